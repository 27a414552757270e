//! The client sees what the primary says, and nothing else.

use std::time::Duration;

use bytes::Bytes;
use futures_util::future::{join_all, poll_fn};
use futures_util::{SinkExt as _, TryStreamExt as _, pin_mut};
use tokio_postgres::error::SqlState;
use tokio_postgres::types::ToSql;
use tokio_postgres::{AsyncMessage, NoTls};

use crate::support::{PGBENCH, Pair, Program, connect, finish, pgbench, psql, same_rows};

/// Everything psql shows of these must be the same through the proxy: rows, tags, notices, errors with their position.
const CONVERSATION: &str = r#"
\set VERBOSITY verbose
\set QUIET off
drop schema if exists talk cascade;
create schema talk;
set search_path = talk, public;
create table people (id serial primary key, name text not null unique, age int check (age > 0), born date default '2001-02-03');
insert into people (name, age) values ('Ann', 30), ('Bob', 40) returning id, upper(name) as loud;
insert into people (name, age) values ('Cid', 50);
insert into people (name, age) values ('Ann', 1);
insert into people (name, age) values ('Dan', -1);
insert into people (name, age) values ('Eve', ), ('Fay', 2);
insert into people (nome) values ('Gus');
insert into people values (default, 'Hal', 1) returning nobody;
insert into people (name, age) values ('Ida', 5) on conflict (name) do update set age = excluded.age returning *;
update people set age = age + 1 where name = 'Ann' -- a comment behind
;
update people set age = age / 0;
update people p set age = 99 from (values ('Bob')) v(name) where p.name = v.name returning p.*;
delete from people where name = 'Nobody';
delete from people where name = 'Cid' returning id;
/* two at once */ select 1 as one \; select 2 as two;
begin; insert into people (name) values ('Jon'); select count(*) from people; rollback;
begin; insert into people (name) values (null); select 1; commit;
begin; savepoint s; insert into people (name) values ('Ann'); rollback to s; insert into people (name) values ('Kay'); commit;
do $$ begin raise notice 'a notice'; raise warning 'a warning' using hint = 'a hint'; end $$;
copy people (name, age) from stdin;
Lea	1
Max	2
\.
copy people from stdin;
not a number	x
\.
copy (select id, name, age from people order by id) to stdout with (format csv, header);
truncate people;
select * from people;
show client_encoding;
set datestyle = 'SQL, DMY';
insert into people (name) values ('Ned') returning born;
select from people;
\d people
prepare find(text) as select age from people where name = $1;
execute find('Ned');
deallocate find;
execute find('Ned');
select pg_catalog.set_config('crossfade.none', 'x', false);
select 'é', E'\\x', 1.5e300::float8, array[1,null,3], '{"a": 1}'::jsonb;
drop schema talk cascade;
"#;

#[tokio::test(flavor = "multi_thread")]
async fn psql_sees_the_same_as_directly() {
    let pair = Pair::start("").await;
    let direct = psql(&pair.primary_url(), CONVERSATION).await;
    let through = psql(&pair.url(), CONVERSATION).await;
    assert_eq!(direct.stdout, through.stdout);
    assert_eq!(file_names_removed(&direct.stderr), file_names_removed(&through.stderr));
    assert!(direct.stdout.contains("INSERT 0 2") && direct.stderr.contains("23505"), "the conversation took place");
}

/// psql names the file it reads from, and that is a temporary one.
fn file_names_removed(stderr: &str) -> Vec<&str> {
    stderr
        .lines()
        .map(|line| line.strip_prefix("psql:").and_then(|l| l.split_once(':')).map_or(line, |(_, l)| l))
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn pgbench_reads_in_all_three_modes() {
    let pair = Pair::start(PGBENCH).await;
    for mode in ["simple", "extended", "prepared"] {
        pgbench(&pair.url(), &["-n", "-S", "-M", mode, "-c", "4", "-T", "2"]).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn pgbench_pipelines() {
    let pair = Pair::start(
        "create table t (id int primary key, n int); insert into t select g, 0 from generate_series(1, 50) g",
    )
    .await;
    let script = tempfile::NamedTempFile::new().unwrap();
    let lines = "\\set a random(1, 50)\n\\startpipeline\nselect n from t where id = :a;\nupdate t set n = n + 1 where id = :a;\n\
                 select n from t where id = :a;\nupdate t set n = n + 1 where id = :a;\n\\endpipeline\n";
    std::fs::write(script.path(), lines).unwrap();
    let path = script.path().display().to_string();
    for mode in ["extended", "prepared"] {
        pgbench(&pair.url(), &["-n", "-M", mode, "-c", "4", "-t", "100", "-f", &path]).await;
    }
    pair.wait_settled().await;
    assert_eq!(same_rows(&pair, "t").await, 50);
    assert_eq!(psql(&pair.shadow_url(), "select sum(n) from t").await.must_succeed(), "1600\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn logins_are_relayed() {
    let hba = [
        "host all md5er 127.0.0.1/32 md5",
        "host all scrammer 127.0.0.1/32 scram-sha-256",
        "host all banned 127.0.0.1/32 reject",
    ];
    let pair = Pair::recipe().hba(&hba).start().await;
    let users = "set password_encryption = 'md5'; create user md5er password 'one'; \
                 set password_encryption = 'scram-sha-256'; create user scrammer password 'two'; \
                 create user truster; create user banned";
    psql(&pair.primary_url(), users).await.must_succeed();
    let attempts = [
        ("md5er", "one", true),
        ("md5er", "wrong", false),
        ("scrammer", "two", true),
        ("scrammer", "wrong", false),
        ("scrammer", "", false),
        ("truster", "", true),
        ("banned", "", false),
        ("nobody_known", "", false),
    ];
    for (user, password, welcome) in attempts {
        let login = async |port: u16| {
            let url = format!("postgres://{user}@127.0.0.1:{port}/postgres");
            let sql = "select current_user, current_database()";
            let psql = Program::new("psql").args(&[&url, "-X", "-w", "-Atc", sql]);
            let psql = if password.is_empty() { psql } else { psql.env("PGPASSWORD", password) };
            psql.run().await.without_port(port)
        };
        let (direct, through) = (login(pair.primary.port()).await, login(pair.proxy.port()).await);
        assert_eq!(direct, through, "{user} with {password:?}");
        assert_eq!(through.code == Some(0), welcome, "{user} with {password:?}: {through:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn start_up_parameters_pass_untouched() {
    let pair = Pair::start("").await;
    let ask = async |url: &str| {
        let sql = "show application_name; show work_mem; show timezone; show search_path";
        let psql = Program::new("psql").args(&[url, "-X", "-At", "-c", sql]);
        psql.env("PGAPPNAME", "teller")
            .env("PGOPTIONS", "-c work_mem=7MB -c search_path=a,b")
            .env("PGTZ", "Asia/Tokyo")
            .run()
            .await
    };
    let through = ask(&pair.url()).await;
    assert_eq!(through, ask(&pair.primary_url()).await);
    assert_eq!(through.must_succeed(), "teller\n7MB\nAsia/Tokyo\na,b\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn errors_come_with_every_field() {
    let pair =
        Pair::start("create table t (id int primary key, n int check (n > 0)); insert into t values (1, 1)").await;
    let (direct, through) = (connect(&pair.primary_url()).await, connect(&pair.url()).await);
    let wrong = [
        "insert into t values (1, 1)",
        "insert into t values (2, -1)",
        "insert into t values (2, nope)",
        "insert into t (id, x) values (2, 1)",
        "update t set n = n / 0",
        "update t set n = 'x'::text",
        "delete from t where id = 'seven'",
        "delete from nowhere",
        "selec 1",
        "select * from t where",
        "do $$ begin raise exception 'mine' using errcode = 'AB123', detail = 'd', hint = 'h', table = 't'; end $$",
    ];
    for sql in wrong {
        let error = async |client: &tokio_postgres::Client| {
            let simple = client.batch_execute(sql).await.expect_err(sql).as_db_error().expect(sql).clone();
            let extended = client.execute(sql, &[]).await.expect_err(sql).as_db_error().expect(sql).clone();
            (simple, extended)
        };
        assert_eq!(error(&direct).await, error(&through).await, "{sql}");
    }
    let count: i64 = through.query_one("select count(*) from t", &[]).await.unwrap().get(0);
    assert_eq!(count, 1, "the session lives on");
}

#[tokio::test(flavor = "multi_thread")]
async fn copy_streams_both_ways() {
    let pair = Pair::start("create table t (id int primary key, pad text)").await;
    let client = connect(&pair.url()).await;
    let sink = client.copy_in("copy t from stdin").await.unwrap();
    pin_mut!(sink);
    for id in 0..20_000 {
        sink.send(Bytes::from(format!("{id}\t{id:0>200}\n"))).await.unwrap();
    }
    assert_eq!(sink.finish().await.unwrap(), 20_000);
    let stream = client.copy_out("copy (select * from t order by id) to stdout").await.unwrap();
    let bytes: usize = stream.try_fold(0, async |sum, chunk| Ok(sum + chunk.len())).await.unwrap();
    assert_eq!(bytes, (0..20_000).map(|id: i32| id.to_string().len() + 202).sum::<usize>());
    assert!(client.copy_in::<_, Bytes>("copy nowhere from stdin").await.is_err());
    pair.wait_settled().await;
    assert_eq!(same_rows(&pair, "t").await, 20_000);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_large_value_passes_both_ways() {
    let pair = Pair::start("create table t (id int primary key, pad text)").await;
    let client = connect(&pair.url()).await;
    let large = "0123456789abcdef".repeat(1 << 20);
    client.execute("insert into t values (1, $1)", &[&large]).await.unwrap();
    let back: String = client.query_one("select pad from t", &[]).await.unwrap().get(0);
    assert!(back == large, "{} bytes came back", back.len());
    pair.wait_settled().await;
    assert_eq!(same_rows(&pair, "t").await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn notifications_arrive_unasked() {
    let pair = Pair::start("").await;
    let (listener, mut connection) = tokio_postgres::connect(&pair.url(), NoTls).await.unwrap();
    let (told, mut heard) = tokio::sync::mpsc::unbounded_channel();
    tokio::spawn(async move {
        while let Some(Ok(message)) = poll_fn(|context| connection.poll_message(context)).await {
            if let AsyncMessage::Notification(notification) = message {
                let _ = told.send((notification.channel().to_owned(), notification.payload().to_owned()));
            }
        }
    });
    listener.batch_execute("listen news").await.unwrap();
    // The listener asks nothing from now on: the notification is not an answer.
    connect(&pair.url()).await.batch_execute("notify news, 'through'").await.unwrap();
    assert_eq!(heard.recv().await.unwrap(), ("news".to_owned(), "through".to_owned()));
    connect(&pair.primary_url()).await.batch_execute("notify news, 'direct'").await.unwrap();
    assert_eq!(heard.recv().await.unwrap(), ("news".to_owned(), "direct".to_owned()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancel_reaches_the_statement() {
    let pair = Pair::start("").await;
    let client = connect(&pair.url()).await;
    let token = client.cancel_token();
    let (answer, cancelled) = tokio::join!(client.batch_execute("select pg_sleep(60)"), async {
        tokio::time::sleep(Duration::from_millis(500)).await;
        token.cancel_query(NoTls).await
    });
    cancelled.unwrap();
    assert_eq!(answer.unwrap_err().code(), Some(&SqlState::QUERY_CANCELED));
    client.batch_execute("select 1").await.expect("the session lives on");

    let psql = Program::new("psql").args(&[&pair.url(), "-X", "-c", "select pg_sleep(60)"]).spawn();
    tokio::time::sleep(Duration::from_secs(1)).await;
    Program::new("kill").args(&["-INT", &psql.id().unwrap().to_string()]).run().await.must_succeed();
    let answer = finish(psql).await;
    assert!(answer.stderr.contains("canceling statement due to user request"), "{answer:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_of_a_pipeline_come_in_order() {
    let pair = Pair::start("create table t (id int primary key, n int)").await;
    let client = connect(&pair.url()).await;
    let insert = client.prepare("insert into t values ($1, $1) returning n").await.unwrap();
    let select = client.prepare("select $1::int + 1").await.unwrap();
    let deeds = (0..200_i32).map(|n| {
        let (client, insert, select) = (&client, &insert, &select);
        async move {
            // Every tenth insert is a duplicate: its error must not shift the answers behind it.
            let id = if n % 10 == 9 { n - 1 } else { n };
            let (inserted, selected): ([&(dyn ToSql + Sync); 1], [&(dyn ToSql + Sync); 1]) = ([&id], [&n]);
            let (written, read) = tokio::join!(client.query(insert, &inserted), client.query_one(select, &selected));
            assert_eq!(read.unwrap().get::<_, i32>(0), n + 1);
            match written {
                Ok(rows) => assert_eq!((rows[0].get::<_, i32>(0), n % 10 != 9), (n, true)),
                Err(error) => assert_eq!((error.code(), n % 10), (Some(&SqlState::UNIQUE_VIOLATION), 9)),
            }
        }
    });
    join_all(deeds).await;
    pair.wait_settled().await;
    assert_eq!(same_rows(&pair, "t").await, 180);
}

#[tokio::test(flavor = "multi_thread")]
async fn another_database_is_relayed_and_not_mirrored() {
    let pair = Pair::start("").await;
    psql(&pair.primary_url(), "create database other").await.must_succeed();
    let other = pair.proxy.url("other");
    let answer = psql(&other, "create table t (id int primary key); insert into t values (1); select * from t").await;
    assert_eq!(answer.must_succeed(), "1\n");
    let status = pair.wait_settled().await;
    assert_eq!(status.mirror.applied, 0, "{:?}", status.mirror);
}
