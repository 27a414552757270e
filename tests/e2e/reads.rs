//! The ramp: who serves a read, and that nobody can tell.

use std::fs;
use std::time::Duration;

use crossfade::demo::AdminError;
use crossfade::report::Status;
use futures_util::future::BoxFuture;
use serde_json::json;
use tokio_postgres::Client;

use crate::support::wire::{Said, Wire, bind, describe_portal, execute, message, parse, query, sync};
use crate::support::{Pair, Workers, connect, eventually, psql, same_rows};

const SCHEMA: &str =
    "create table t (id int primary key, v bigint not null); insert into t select g, 0 from generate_series(1, 64) g";

/// Writes, then reads what it wrote: by both protocols, by prepared statements, after transactions and rollbacks.
fn read_your_writes(client: &mut Client, number: u32) -> BoxFuture<'_, ()> {
    Box::pin(async move {
        let mine = i32::try_from(number).unwrap() + 1;
        let before: i64 = client.query_one("select v from t where id = $1", &[&mine]).await.unwrap().get(0);
        client.execute("update t set v = v + 1 where id = $1", &[&mine]).await.unwrap();
        let seen: i64 = client.query_one("select v from t where id = $1", &[&mine]).await.unwrap().get(0);
        assert_eq!(seen, before + 1, "after an update by itself");

        let transaction = client.transaction().await.unwrap();
        transaction.execute("update t set v = v + 1 where id = $1", &[&mine]).await.unwrap();
        transaction.commit().await.unwrap();
        let simple = client.simple_query(&format!("select v from t where id = {mine}")).await.unwrap();
        let row = simple.iter().find_map(|message| match message {
            tokio_postgres::SimpleQueryMessage::Row(row) => Some(row.get(0).unwrap().parse::<i64>().unwrap()),
            _ => None,
        });
        assert_eq!(row, Some(before + 2), "after a transaction");

        let transaction = client.transaction().await.unwrap();
        transaction.execute("update t set v = -1 where id = $1", &[&mine]).await.unwrap();
        transaction.rollback().await.unwrap();
        let seen: i64 = client.query_one("select v from t where id = $1", &[&mine]).await.unwrap().get(0);
        assert_eq!(seen, before + 2, "after a rollback");
        // Rows that nobody writes: these may always come from the shadow.
        let still: i64 = client.query_one("select v from t where id = $1", &[&(mine + 32)]).await.unwrap().get(0);
        assert_eq!(still, 0);
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn no_session_misses_its_own_write_at_50_percent() {
    let pair = Pair::recipe().schema(SCHEMA).settings("[reads]\npercent = 50\nsample_by = \"random\"\n").start().await;
    pair.work("check").await;
    let workers = Workers::start(&pair.url(), 8, read_your_writes).await;
    workers.go_on(600).await;
    workers.stop().await;
    pair.wait_settled().await;
    same_rows(&pair, "t").await;
    // And once nothing is written any more, the share is what was asked for.
    let client = connect(&pair.url()).await;
    let before = pair.status().await.reads;
    for _ in 0..400 {
        client.query_one("select v from t where id = 40", &[]).await.unwrap();
    }
    let served = pair.status().await.reads.shadow - before.shadow;
    assert!((120..=280).contains(&served), "{served} of 400 at 50 %");
}

/// The first read after a ramp may meet a pool that only begins to connect: it goes to the primary.
pub(crate) async fn served_by_the_shadow(client: &Client) {
    eventually("a read from the shadow", async || side(client).await == "shadow").await;
}

/// Makes the two sides tell themselves apart: a verified table whose shadow says something else.
pub(crate) async fn pair_with_a_telling_shadow() -> Pair {
    pair_with_a_telling_shadow_and("").await
}

pub(crate) async fn pair_with_a_telling_shadow_and(settings: &str) -> Pair {
    let schema = "create table side (id int primary key, name text); insert into side values (1, 'primary'); \
                  create table other (id int primary key)";
    let pair = Pair::recipe().schema(schema).settings(settings).start().await;
    pair.work("check").await;
    psql(&pair.shadow_url(), "update side set name = 'shadow'").await.must_succeed();
    pair
}

pub(crate) async fn side(client: &Client) -> String {
    client.query_one("select name from side where id = $1", &[&1_i32]).await.unwrap().get(0)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_verified_table_is_served_by_the_shadow_by_every_protocol() {
    let pair = pair_with_a_telling_shadow().await;
    let client = connect(&pair.url()).await;
    assert_eq!(side(&client).await, "primary", "at 0 %");
    let prepared = client.prepare("select name from side where id = $1").await.unwrap();
    pair.ramp(100.0).await;
    served_by_the_shadow(&client).await;
    assert_eq!(side(&client).await, "shadow", "unnamed");
    // The driver has just sent a Close: what comes in a pipeline behind it goes where that went.
    client.batch_execute("").await.unwrap();
    let named: String = client.query_one(&prepared, &[&1_i32]).await.unwrap().get(0);
    assert_eq!(named, "shadow", "prepared before the ramp");
    assert_eq!(psql(&pair.url(), "select name from side").await.must_succeed(), "shadow\n", "simple");
    let reads = pair.status().await.reads;
    assert!(reads.shadow >= 3, "{reads:?}");
    assert!((reads.percent - 100.0).abs() < 1e-9, "{reads:?}");
    for sql in [
        "begin; select name from side; commit",
        "select name from side for update",
        "select name from side where random() >= 0",
        "create temp table side (name text); insert into side values ('primary'); select name from side",
        "set role postgres; begin; select name from side; rollback",
        "select name from side where pg_backend_pid() > 0",
        "set session characteristics as transaction isolation level repeatable read; select name from side",
        "set default_transaction_isolation = 'serializable'; select name from side",
        "begin transaction isolation level repeatable read read only; select name from side; commit",
        "select name from only side where xmin is not null",
        "select s.name from side s join pg_class c on c.relname = 'side'",
        "select name from side where id::regclass is not null",
        "select name from side tablesample bernoulli (100)",
        "listen something; select name from side",
        "select name from side where pg_try_advisory_lock(1)",
        "declare c cursor with hold for select name from side; fetch c",
        "create temp table own (id int); select name from side left join own using (id)",
        "select name from side where 'now'::timestamptz is not null",
    ] {
        assert_eq!(psql(&pair.url(), sql).await.stdout, "primary\n", "{sql}");
    }
    pair.ramp(0.0).await;
    assert_eq!(side(&client).await, "primary", "back at 0 %");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_of_the_shadow_has_the_messages_that_the_primary_sends() {
    let pair = pair_with_a_telling_shadow().await;
    pair.ramp(100.0).await;
    served_by_the_shadow(&connect(&pair.url()).await).await;
    let (mut direct, mut through) = (Wire::session(pair.primary.port()).await, Wire::session(pair.proxy.port()).await);
    let sql = "select name from side where id = $1";
    let statement = |name: &str| message(b'D', &[b"S", name.as_bytes(), b"\0"].concat());
    for wire in [&mut direct, &mut through] {
        wire.send(&[parse("named", sql), sync()].concat()).await;
        wire.until_ready().await;
    }
    for asked in [
        query("select name from side where id = 1"),
        [parse("", sql), bind("", &["1"]), execute(0)].concat(),
        [parse("", sql), bind("", &["1"]), describe_portal(), execute(0)].concat(),
        [parse("", sql), bind("", &["1"]), statement(""), execute(0)].concat(),
        [parse("", sql), statement(""), bind("", &["1"]), describe_portal(), execute(0)].concat(),
        [bind("named", &["1"]), execute(0)].concat(),
        [statement("named"), bind("named", &["1"]), statement("named"), execute(0)].concat(),
        [bind("named", &["2"]), describe_portal(), execute(0)].concat(),
        [bind("named", &["1"]), execute(1)].concat(),
        [bind("named", &["1"]), execute(2)].concat(),
        [parse("", "select name from side, generate_series(1, 5)"), bind("", &[]), execute(3)].concat(),
    ] {
        let end = if asked[0] == b'Q' { Vec::new() } else { sync() };
        let asked = [asked, end].concat();
        let mut said = Vec::new();
        for wire in [&mut direct, &mut through] {
            wire.send(&asked).await;
            said.push(wire.until_ready().await);
        }
        assert_eq!(said[0].tags(), said[1].tags(), "{}", asked.escape_ascii());
        let values: Vec<_> = said[0].values().iter().map(|value| value.replace("primary", "shadow")).collect();
        assert_eq!(said[1].values(), values, "{}", asked.escape_ascii());
        let described = |said: &Said| said.messages.iter().find(|message| message.tag == b'T').cloned();
        assert_eq!(described(&said[0]), described(&said[1]), "{}", asked.escape_ascii());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_read_comes_behind_an_answer_that_the_client_has_not_taken() {
    let pair = pair_with_a_telling_shadow().await;
    pair.ramp(100.0).await;
    served_by_the_shadow(&connect(&pair.url()).await).await;
    // Nothing is read until more was answered than the sockets hold: somewhere between, the proxy has seen the end of an
    // answer of the primary's of which the client has taken a part.
    let mut wire = Wire::session(pair.proxy.port()).await;
    for number in 0..1200 {
        wire.send(&query(&format!("select {number}, repeat('x', 6000)"))).await;
        tokio::time::sleep(Duration::from_millis(2)).await;
        wire.send(&query("select name from side")).await;
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    for number in 0..1200 {
        let large = wire.until_ready().await;
        assert_eq!((large.tags().as_str(), &large.values()[0]), ("TDCZ", &number.to_string()));
        let read = wire.until_ready().await;
        assert_eq!(read.tags(), "TDCZ", "behind answer {number}");
        assert!(["primary", "shadow"].contains(&read.values()[0].as_str()), "{read:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_that_was_not_checked_or_diverged_stays_on_the_primary() {
    let schema = "create table side (id int primary key, name text); insert into side values (1, 'primary')";
    let pair = Pair::recipe().schema(schema).settings("[reads]\npercent = 100\n").start().await;
    let client = connect(&pair.url()).await;
    assert_eq!(side(&client).await, "primary");
    let Status { reads, .. } = pair.status().await;
    assert_eq!(reads.shadow, 0, "nothing was checked yet: {reads:?}");
    assert!(reads.ineligible > 0, "{reads:?}");
    pair.work("check").await;
    psql(&pair.shadow_url(), "update side set name = 'shadow'").await.must_succeed();
    eventually("verified: the shadow serves", async || side(&client).await == "shadow").await;
    pair.work("check").await;
    assert_eq!(side(&client).await, "primary", "diverged");
    pair.work("repair").await;
    pair.work("check").await;
    psql(&pair.shadow_url(), "update side set name = 'shadow'").await.must_succeed();
    eventually("healed: the shadow serves", async || side(&client).await == "shadow").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_with_pending_writes_stays_on_the_primary() {
    let pair = pair_with_a_telling_shadow().await;
    pair.ramp(100.0).await;
    let client = connect(&pair.url()).await;
    served_by_the_shadow(&client).await;
    pair.admin().post::<serde_json::Value>("/mirror/pause", &json!({})).await.unwrap();
    client.execute("update side set name = 'primary, newer' where id = 1", &[]).await.unwrap();
    assert_eq!(side(&client).await, "primary, newer");
    assert_eq!(side(&connect(&pair.url()).await).await, "primary, newer", "for other sessions too");
    pair.admin().post::<serde_json::Value>("/mirror/resume", &json!({})).await.unwrap();
    pair.wait_settled().await;
    same_rows(&pair, "side").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_ramp_turns_in_an_open_session() {
    let mut pair = pair_with_a_telling_shadow().await;
    let client = connect(&pair.url()).await;
    assert_eq!(side(&client).await, "primary");
    let turned = async |side_now: &str, how: &str| {
        eventually(how, async || side(&client).await == side_now).await;
    };
    let settings = |percent: u32| format!("[check]\ninterval = \"0s\"\n[reads]\npercent = {percent}\n");
    pair.proxy.configure(&settings(100)).unwrap();
    turned("shadow", "the file alone").await;
    pair.proxy.configure(&settings(0)).unwrap();
    pair.proxy.signal("HUP").unwrap();
    turned("primary", "SIGHUP").await;
    pair.proxy.configure(&settings(100)).unwrap();
    pair.admin().post::<serde_json::Value>("/reload", &json!({})).await.unwrap();
    turned("shadow", "POST /reload").await;
    let status = pair.admin().ramp(0.0).await.unwrap();
    assert!(status.reads.percent.abs() < 1e-9, "the answer is the new status: {status:?}");
    turned("primary", "POST /ramp").await;
    pair.ramp(100.0).await;
    turned("shadow", "POST /ramp").await;
    assert_eq!(pair.status().await.sessions.open, 1, "no session was dropped");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_ramp_does_not_turn_within_a_transaction() {
    let pair = pair_with_a_telling_shadow().await;
    let (client, outside) = (connect(&pair.url()).await, connect(&pair.url()).await);
    for begin in ["begin", "begin read only", "begin isolation level repeatable read"] {
        pair.ramp(0.0).await;
        client.batch_execute(begin).await.unwrap();
        assert_eq!(side(&client).await, "primary");
        pair.ramp(100.0).await;
        served_by_the_shadow(&outside).await;
        assert_eq!(side(&client).await, "primary", "{begin}");
        client.batch_execute("commit").await.unwrap();
        served_by_the_shadow(&client).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_reads_on_the_shadow_as_the_primary_is_configured() {
    let schema = "create schema hidden; create table hidden.side (id int primary key, name text, bytes bytea); \
                  insert into hidden.side values (1, 'primary', '\\x00ff')";
    let configured = &["search_path = 'hidden'", "bytea_output = 'escape'", "extra_float_digits = 0"];
    let pair = Pair::recipe().schema(schema).primary_settings(configured).start().await;
    pair.work("check").await;
    psql(&pair.shadow_url(), "update hidden.side set name = 'shadow'").await.must_succeed();
    pair.ramp(100.0).await;
    let read = "select name, bytes, 0.1::float8 + 0.2::float8 from side where id = 1";
    eventually("a read from the shadow", async || {
        psql(&pair.url(), read).await.must_succeed() == "shadow|\\000\\377|0.3\n"
    })
    .await;
    let isolated = "alter system set default_transaction_isolation = 'repeatable read'; select pg_reload_conf()";
    psql(&pair.primary_url(), isolated).await.must_succeed();
    // A session's defaults are those that were known when it began; the catalog is read again after DDL.
    psql(&pair.url(), "create table nudge (id int)").await.must_succeed();
    eventually("the catalog knows of it", async || psql(&pair.url(), read).await.must_succeed().starts_with("primary"))
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_that_others_inherit_from_waits_for_their_writes() {
    let schema = "create table side (id int primary key, name text); create table heir () inherits (side); \
                  alter table heir add primary key (id); insert into heir values (1, 'old')";
    let pair = Pair::start(schema).await;
    pair.work("check").await;
    pair.ramp(100.0).await;
    let client = connect(&pair.url()).await;
    let before = pair.status().await.reads;
    eventually("a read from the shadow", async || {
        assert_eq!(side(&client).await, "old");
        pair.status().await.reads.shadow > before.shadow
    })
    .await;
    pair.admin().post::<serde_json::Value>("/mirror/pause", &json!({})).await.unwrap();
    client.execute("update heir set name = 'new' where id = 1", &[]).await.unwrap();
    assert_eq!(side(&client).await, "new");
    pair.admin().post::<serde_json::Value>("/mirror/resume", &json!({})).await.unwrap();
    pair.wait_settled().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broken_file_is_refused_and_changes_nothing() {
    let mut pair = pair_with_a_telling_shadow().await;
    pair.ramp(100.0).await;
    let before = pair.status().await;
    let client = connect(&pair.url()).await;
    served_by_the_shadow(&client).await;
    for (broken, key, found, allowed) in [
        ("[reads]\npercent = 250\n", "reads.percent", "250", "100"),
        ("[reads]\npercnt = 5\n", "percnt", "percnt", "percent"),
        ("[reads]\nmax_lag = 7\n", "max_lag", "7", ""),
        ("[reads]\nconsistency = \"maybe\"\n", "consistency", "maybe", "session"),
        ("[reads\n", "proxy.toml", "", ""),
    ] {
        pair.proxy.configure(broken).unwrap();
        let answer = pair.admin().post::<serde_json::Value>("/reload", &json!({})).await;
        let Err(AdminError::Refused { status, answer, .. }) = answer else {
            panic!("{broken} was accepted: {answer:?}")
        };
        assert!((400..500).contains(&status), "{broken}: {status} {answer}");
        for part in ["proxy.toml", key, found, allowed] {
            assert!(answer.contains(part), "{broken}: {part} is not in {answer}");
        }
        let after = pair.status().await;
        assert_eq!(after.generation, before.generation);
        assert!((after.reads.percent - before.reads.percent).abs() < 1e-9);
        assert_eq!(side(&client).await, "shadow");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_file_at_the_start_ends_with_2_and_says_why() {
    let folder = tempfile::TempDir::new().unwrap();
    let file = folder.path().join("proxy.toml");
    fs::write(&file, "[primary]\nurl = \"postgres://a:secret@h/d\"\n[shadow]\nurl = \"postgres://b@h/d\"\n[reads]\npercent = \"many\"\n").unwrap();
    let path = file.display().to_string();
    let answer =
        crate::support::Program::new(env!("CARGO_BIN_EXE_crossfade")).args(&["run", "--config", &path]).run().await;
    assert_eq!(answer.code, Some(2), "{answer:?}");
    for part in [path.as_str(), "reads.percent", "many"] {
        assert!(answer.stderr.contains(part), "{part} is not in {answer:?}");
    }
    assert!(!answer.stderr.contains("secret"), "{answer:?}");
}
