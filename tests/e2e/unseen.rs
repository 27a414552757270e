//! What a statement does not show, or shows to nobody who parses it: definitions within functions and DO, texts too long to be
//! read, names that stand for another schema's tables by the time a statement runs.

use tokio_postgres::Client;

use crate::support::{Pair, connect, psql};

async fn rows(side: &Client, table: &str) -> Vec<String> {
    let rows = side.query(&format!("select left(t::text, 40) from {table} t order by 1"), &[]).await.unwrap();
    rows.iter().map(|row| row.get(0)).collect()
}

async fn assert_same(pair: &Pair, tables: &[&str], what: &str) {
    pair.wait_settled().await;
    let (primary, shadow) = (connect(&pair.primary_url()).await, connect(&pair.shadow_url()).await);
    for table in tables {
        assert_eq!(rows(&primary, table).await, rows(&shadow, table).await, "{table}: {what}");
    }
}

/// Until the catalog is read anew nobody knows of them.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_written_by_way_of_hidden_definitions_arrives_when_they_are_seen() {
    let schema = "create table orders (id int primary key); create table log (id serial primary key, what text);
        create function noted() returns trigger language plpgsql as
            $$ begin execute 'insert into log (what) values (tg_op())'; return null; end $$;
        create function tg_op() returns text language sql as 'select ''op''';
        create function track(name text) returns void language plpgsql as $$ begin
            execute format('create trigger noted after insert on %I for each row execute function noted()', name); end $$;
        create table users (id int primary key); create table posts (id int primary key, u int);
        insert into users select g from generate_series(1, 9) g; insert into posts select g, g from generate_series(1, 9) g;
        create table events (id int, at date) partition by range (at);";
    let pair = Pair::recipe().schema(schema).settings("[check]\ninterval = \"0s\"\n").start().await;
    psql(&pair.shadow_url(), "create table rest partition of events default").await.must_succeed();
    let tables = ["orders", "log", "users", "posts", "events"];
    for script in [
        "select track('orders'); insert into orders values (1); insert into orders values (2)",
        "do $$ begin alter table posts add foreign key (u) references users on delete cascade; end $$;
         delete from users where id = 3",
        "create temp table stage (x int);
         do $$ begin create table events_4 partition of events for values from ('2026-04-01') to ('2026-05-01'); end $$;
         insert into events_4 values (1, '2026-04-05')",
    ] {
        psql(&pair.url(), script).await.must_succeed();
        // A look at the catalog comes every few seconds.
        let generation = pair.status().await.generation;
        tokio::time::sleep(std::time::Duration::from_secs(6)).await;
        assert!(pair.status().await.generation >= generation);
        assert_same(&pair, &tables, script).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_committed_within_a_text_that_is_not_read_is_marked() {
    let schema = "create table p (id int primary key, v text)";
    let pair = Pair::recipe().schema(schema).settings("[check]\ninterval = \"0s\"\n").start().await;
    let client = connect(&pair.url()).await;
    let long = "x".repeat(70_000);
    let fails = format!("begin; insert into p values (1, '{long}'); commit; insert into p values (2, ''), (2, '')");
    client.batch_execute(&fails).await.unwrap_err();
    assert_same(&pair, &["p"], "an error behind a COMMIT").await;
    let ends = format!("insert into p values (4, '{long}'); commit; begin; insert into p values (5, '')");
    client.batch_execute("begin; insert into p values (3, '')").await.unwrap();
    client.batch_execute(&ends).await.unwrap();
    client.batch_execute("rollback").await.unwrap();
    assert_same(&pair, &["p"], "a COMMIT within").await;
    let undone = format!("insert into p values (7, '{long}'); rollback; begin; insert into p values (8, '')");
    client.batch_execute("begin; insert into p values (6, '')").await.unwrap();
    client.batch_execute(&undone).await.unwrap();
    client.batch_execute("commit").await.unwrap();
    assert_same(&pair, &["p"], "a ROLLBACK within").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_statement_leads_where_its_names_do_when_it_runs() {
    let tenant = |schema: &str| {
        format!(
            "create schema {schema}; create table {schema}.carts (id int primary key);
             create table {schema}.lines (id int primary key, cart int references {schema}.carts on delete cascade);
             insert into {schema}.carts select g from generate_series(1, 9) g;
             insert into {schema}.lines select g, g from generate_series(1, 9) g;"
        )
    };
    let schema = format!(
        "{}{} create table public.accounts (id int primary key, n int default 0); insert into accounts select 1",
        tenant("t1"),
        tenant("t2")
    );
    let pair = Pair::recipe().schema(&schema).settings("[check]\ninterval = \"0s\"\n").start().await;
    let tables = ["t1.carts", "t1.lines", "t2.carts", "t2.lines", "accounts"];
    let client = connect(&pair.url()).await;
    let removing = "with d as (delete from carts where id = $1 returning id) select count(*) from d";
    client.batch_execute("set search_path = t1").await.unwrap();
    let prepared = client.prepare(removing).await.unwrap();
    client.query(&prepared, &[&1]).await.unwrap();
    client.batch_execute("set search_path = t2").await.unwrap();
    pair.wait_settled().await;
    client.query(&prepared, &[&2]).await.unwrap();
    assert_same(&pair, &tables, "prepared under another path").await;
    client.batch_execute("set search_path = t1").await.unwrap();
    let inline = removing.replace("$1", "3");
    client.batch_execute(&format!("set search_path = t2; {inline}")).await.unwrap();
    assert_same(&pair, &tables, "behind a SET in one text").await;
    client.batch_execute("set search_path = public; create temp table zz (x int)").await.unwrap();
    client.batch_execute("set search_path = t2; delete from carts where id = 5").await.unwrap();
    assert_same(&pair, &tables, "a name that was unknown").await;
    client.batch_execute("set search_path = public; create temp view act as select * from accounts").await.unwrap();
    client.batch_execute("update act set n = n + 1 where id = 1").await.unwrap();
    assert_same(&pair, &tables, "through a temporary view").await;
}
