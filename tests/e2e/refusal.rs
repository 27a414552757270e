//! What the primary refuses of a rewrite, and what it could not do, nobody sees.

use crossfade::report::Way;
use tokio_postgres::error::SqlState;

use crate::support::{Pair, connect, psql, same_rows};

/// `hidden` may be written, and of its columns only the key may be read.
const SCHEMA: &str = "create table ruled (id int primary key); create table diverted (id int primary key); \
    create table hidden (id int primary key, v text); create table plain (id int primary key, v text)";
const WRITER: &str = "create role writer login; create role readers; grant readers to writer; \
    grant insert, update on hidden, plain to writer; grant select on hidden to writer; grant select on plain to readers";
const DIVERT: &str = "create rule divert as on insert to ruled do instead insert into diverted values (new.id)";
const HIDE: &str = "revoke select on hidden from writer; grant select (id) on hidden to writer";

async fn start() -> Pair {
    let pair = Pair::start(SCHEMA).await;
    psql(&pair.url(), WRITER).await.must_succeed();
    pair.wait_settled().await;
    pair
}

fn as_writer(pair: &Pair) -> String {
    pair.url().replace("postgres://postgres@", "postgres://writer@")
}

/// Behind crossfade's back, so that its catalog does not know.
async fn unseen(pair: &Pair, sql: &str) {
    psql(&pair.primary_url(), sql).await.must_succeed();
}

#[tokio::test(flavor = "multi_thread")]
async fn rule_12_a_rewrite_that_the_primary_refuses_is_unseen_and_healed() {
    let schema = "create table ruled (id int primary key); create table diverted (id int primary key); \
                  create table hidden (id int primary key, v text)";
    let pair = Pair::start(schema).await;
    // Behind crossfade's back, so that its catalog knows of neither.
    let unseen = "create rule divert as on insert to ruled do instead insert into diverted values (new.id); \
                  create role writer login; grant insert on hidden to writer";
    psql(&pair.primary_url(), unseen).await.must_succeed();
    let answer = psql(&pair.url(), "insert into ruled values (1)").await;
    assert_eq!((answer.code, answer.stderr.as_str()), (Some(0), ""));
    let as_writer = pair.url().replace("postgres://postgres@", "postgres://writer@");
    let answer = psql(&as_writer, "insert into hidden values (1, 'a'); insert into hidden values (1, 'b', 'c')").await;
    assert!(answer.stderr.contains("INSERT has more expressions than target columns"), "{answer:?}");
    assert!(!answer.stderr.contains("permission denied"), "{answer:?}");
    pair.wait_settled().await;
    for table in ["diverted", "hidden"] {
        assert_eq!(same_rows(&pair, table).await, 1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn rule_12_so_it_is_by_the_extended_protocol() {
    let pair = start().await;
    unseen(&pair, &format!("{DIVERT}; {HIDE}")).await;
    let client = connect(&pair.url()).await;
    // Refused at Parse.
    assert_eq!(client.execute("insert into ruled values ($1)", &[&1_i32]).await.unwrap(), 1);
    let client = connect(&as_writer(&pair)).await;
    // Refused at Execute, of a statement that was parsed and described before.
    let insert = client.prepare("insert into hidden values ($1, $2)").await.unwrap();
    let returning = client.prepare("insert into hidden values ($1, $2) returning id").await.unwrap();
    for id in 1..4_i32 {
        assert_eq!(client.execute(&insert, &[&id, &"a"]).await.unwrap(), 1);
        let row = client.query_one(&returning, &[&(id + 10), &"b"]).await.unwrap();
        assert_eq!(row.get::<_, i32>(0), id + 10);
    }
    let error = client.query_one("select v from hidden", &[]).await.unwrap_err();
    assert_eq!(error.code(), Some(&SqlState::INSUFFICIENT_PRIVILEGE), "{error:?}");
    pair.wait_settled().await;
    assert_eq!((same_rows(&pair, "diverted").await, same_rows(&pair, "hidden").await), (1, 6));
}

#[tokio::test(flavor = "multi_thread")]
async fn rule_12_a_statement_prepared_while_all_was_well_goes_on() {
    let pair = start().await;
    let client = connect(&pair.url()).await;
    let ruled = client.prepare("insert into ruled values ($1)").await.unwrap();
    let writer = connect(&as_writer(&pair)).await;
    let hidden = writer.prepare("insert into hidden values ($1, $2)").await.unwrap();
    assert_eq!(client.execute(&ruled, &[&0_i32]).await.unwrap(), 1);
    assert_eq!(writer.execute(&hidden, &[&0_i32, &"a"]).await.unwrap(), 1);
    unseen(&pair, &format!("{DIVERT}; {HIDE}")).await;
    for id in 1..4_i32 {
        assert_eq!(client.execute(&ruled, &[&id]).await.unwrap(), 1);
        assert_eq!(writer.execute(&hidden, &[&id, &"b"]).await.unwrap(), 1);
    }
    unseen(&pair, "drop rule divert on ruled; grant select on hidden to writer").await;
    psql(&pair.url(), "create table made ()").await.must_succeed();
    for id in 5..8_i32 {
        assert_eq!(client.execute(&ruled, &[&id]).await.unwrap(), 1);
        assert_eq!(writer.execute(&hidden, &[&id, &"c"]).await.unwrap(), 1);
    }
    pair.wait_settled().await;
    let rows = [same_rows(&pair, "ruled").await, same_rows(&pair, "diverted").await, same_rows(&pair, "hidden").await];
    assert_eq!(rows, [4, 3, 7]);
}

#[tokio::test(flavor = "multi_thread")]
async fn rule_12_in_a_transaction_a_refusal_is_seen_once_at_most() {
    let pair = start().await;
    let mut writer = connect(&as_writer(&pair)).await;
    let insert = writer.prepare("insert into hidden values ($1, 'a')").await.unwrap();
    unseen(&pair, HIDE).await;
    let mut refusals = 0;
    for id in 0..10_i32 {
        let transaction = writer.transaction().await.unwrap();
        match transaction.execute(&insert, &[&id]).await {
            Ok(_) => transaction.commit().await.unwrap(),
            Err(error) => {
                assert_eq!(error.code(), Some(&SqlState::INSUFFICIENT_PRIVILEGE), "{error:?}");
                refusals += 1;
            }
        }
    }
    assert!(refusals <= 1, "{refusals}");
    pair.wait_settled().await;
    assert_eq!(same_rows(&pair, "hidden").await, 10 - refusals);
}

#[tokio::test(flavor = "multi_thread")]
async fn rule_12_ddl_that_comes_our_way_leads_to_no_refusal() {
    let pair = start().await;
    let mut writer = connect(&as_writer(&pair)).await;
    let inserts = ["hidden", "plain"].map(|table| format!("insert into {table} values ($1, 'a')"));
    let statements = [writer.prepare(&inserts[0]).await.unwrap(), writer.prepare(&inserts[1]).await.unwrap()];
    let other = connect(&pair.url()).await;
    let ddl = ["begin; select 1; revoke select on hidden from writer; commit", "revoke readers from writer"];
    for (id, ddl) in (0..).zip(ddl) {
        other.batch_execute(ddl).await.unwrap();
        for (statement, text) in statements.iter().zip(&inserts) {
            let transaction = writer.transaction().await.unwrap();
            transaction.execute(statement, &[&id]).await.unwrap_or_else(|error| panic!("{ddl}: {text}: {error:?}"));
            transaction.execute(text, &[&(id + 100)]).await.unwrap_or_else(|error| panic!("{ddl}: {text}: {error:?}"));
            transaction.commit().await.unwrap();
        }
    }
    pair.wait_settled().await;
    assert_eq!((same_rows(&pair, "hidden").await, same_rows(&pair, "plain").await), (4, 4));
}

/// A value whose text the primary cannot make.
const HUGE: &str = "insert into huge values (1, 0, convert_to(repeat('a', 540 << 20), 'UTF8'))";

#[tokio::test(flavor = "multi_thread")]
async fn rule_10_a_row_too_long_for_its_text_is_written_as_ever() {
    // By the quicker compression it takes a moment.
    let schema = "create table huge (id int primary key, n int, v bytea compression lz4); \
                  insert into huge values (2, 0, 'short')";
    let pair = Pair::start(schema).await;
    unseen(&pair, HUGE).await;
    let client = connect(&pair.url()).await;
    client.batch_execute("update huge set n = n + 1").await.unwrap();
    assert_eq!(client.execute("update huge set n = n + $1", &[&1_i32]).await.unwrap(), 2);
    let rows = client.query("update huge set n = n + 1 returning n", &[]).await.unwrap();
    assert_eq!(rows.iter().map(|row| row.get(0)).collect::<Vec<i32>>(), [3, 3]);
    assert_eq!(client.execute("delete from huge where id = 1", &[]).await.unwrap(), 1);
    pair.wait_settled().await;
    assert_eq!(same_rows(&pair, "huge").await, 1);
}

/// SET LOCAL warns outside a block, and holds until the end of the query or series all the same; and what is set at all is
/// reported only behind it.
#[tokio::test(flavor = "multi_thread")]
async fn rule_10_what_is_set_in_front_of_a_write_in_one_query_counts_for_it() {
    let pair = Pair::start("create table t (id int primary key, f float8, d date, i interval, v text)").await;
    let client = connect(&pair.url()).await;
    let settings = [
        "extra_float_digits = -10",
        "extra_float_digits = 0.3",
        "datestyle = 'SQL, DMY'",
        "datestyle = 'German'",
        "intervalstyle = 'sql_standard'",
        "client_encoding = 'LATIN1'",
        "client_encoding = 'SQL_ASCII'",
    ];
    for (n, setting) in settings.iter().enumerate() {
        for (id, form) in [(10 * n, "set local"), (10 * n + 1, "set"), (10 * n + 2, "select 1; set session")] {
            let values = format!("({id}, 1.0::float8 / 3, '2026-02-01', '-1 day 2:03', U&'\\00c3\\00a9')");
            client.batch_execute(&format!("{form} {setting}; insert into t values {values}")).await.unwrap();
            client.batch_execute("reset all").await.unwrap();
        }
        client.batch_execute(&format!("insert into t values ({}, 2.0::float8 / 3)", 10 * n + 3)).await.unwrap();
    }
    pair.wait_settled().await;
    assert_eq!(same_rows(&pair, "t").await, settings.len() * 4);
    let exact = pair
        .report()
        .await
        .mirror
        .handled
        .iter()
        .filter(|handled| handled.way == Way::Exact)
        .map(|handled| handled.transactions)
        .sum::<u64>();
    assert_eq!(exact, settings.len() as u64, "behind them it is captured exactly");
}

/// What code does to the session nobody sees; what it fills a table with neither.
#[tokio::test(flavor = "multi_thread")]
async fn rule_15_what_hidden_code_sets_or_writes_is_not_lost() {
    let schema = "create table t (id int primary key, f float8); create table source (id int primary key); insert into source values (1);
        create table log (id serial primary key, what text);
        create function noted(what text) returns int language sql as $$ insert into log (what) values ($1); select 1 $$;
        create view noting as select noted('by the view') as n";
    let pair = Pair::start(schema).await;
    let client = connect(&pair.url()).await;
    for steps in [
        &["do $$ begin set extra_float_digits = -10; end $$"][..],
        &["insert into t values (1, 1.0::float8 / 3)"],
        &["reset all"],
        &[
            "begin; do $$ begin set local extra_float_digits = -10; end $$",
            "insert into t values (2, 2.0::float8 / 3)",
            "commit",
        ],
        &["create temp table filled as select noted('by a temporary table')"],
        &["select noted('by a select') into temp other"],
        &["create temp view seen as select noted('by a temporary view') as n"],
        &["select * from seen"],
        &["create view later as select * from noting; select * from later"],
    ] {
        for sql in steps {
            client.batch_execute(sql).await.unwrap_or_else(|error| panic!("{sql}: {error}"));
        }
        // Before the marks of one heal what another left.
        pair.wait_settled().await;
        assert!(same_rows(&pair, "t").await <= 2 && same_rows(&pair, "log").await <= 4, "{steps:?}");
    }
    assert_eq!((same_rows(&pair, "t").await, same_rows(&pair, "log").await), (2, 4));
}
