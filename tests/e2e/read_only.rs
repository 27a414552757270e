//! Reads of transaction blocks that are READ COMMITTED and READ ONLY go statement by statement (rule 31).

use std::time::Duration;

use tokio::time::sleep;

use crate::reads::{pair_with_a_telling_shadow, pair_with_a_telling_shadow_and, served_by_the_shadow, side};
use crate::support::wire::{Wire, bind, describe_portal, execute, parse, query, sync};
use crate::support::{Pair, connect, eventually, psql};

async fn telling_pair_at_100_percent() -> Pair {
    let pair = pair_with_a_telling_shadow().await;
    pair.ramp(100.0).await;
    served_by_the_shadow(&connect(&pair.url()).await).await;
    pair
}

#[tokio::test(flavor = "multi_thread")]
async fn rule_31_a_block_that_is_read_only_and_read_committed_reads_from_the_shadow() {
    let pair = telling_pair_at_100_percent().await;
    let client = connect(&pair.url()).await;
    for (begin, expected) in [
        ("begin read only", "shadow"),
        ("start transaction isolation level read committed, read only", "shadow"),
        ("begin; set transaction read only", "shadow"),
        ("set session characteristics as transaction read only; begin", "shadow"),
        ("set default_transaction_read_only = on; begin", "shadow"),
        ("begin read write", "primary"),
        ("begin; set transaction read only; set transaction isolation level repeatable read", "primary"),
        ("begin; set transaction isolation level repeatable read, read only", "primary"),
        ("begin isolation level repeatable read; set transaction read only", "primary"),
        ("set default_transaction_isolation = serializable; begin read only", "primary"),
        ("begin read only isolation level serializable", "primary"),
        ("reset default_transaction_read_only; begin", "primary"),
        ("begin; update other set id = id; set transaction read only", "primary"),
        ("begin; savepoint a; set transaction read only; rollback to a", "primary"),
        ("begin read only; savepoint a; rollback to a", "shadow"),
        ("begin read only; set local search_path = pg_catalog, public", "primary"),
        ("begin read only; declare c cursor for select name from side", "primary"),
    ] {
        for statement in begin.split(';') {
            client.batch_execute(statement).await.unwrap();
        }
        match expected {
            "shadow" => served_by_the_shadow(&client).await,
            primary => assert_eq!(side(&client).await, primary, "{begin}"),
        }
        client.batch_execute("commit").await.unwrap();
        client.batch_execute("discard all").await.unwrap();
        served_by_the_shadow(&client).await;
    }
    client.batch_execute("begin read only; commit and chain").await.unwrap();
    served_by_the_shadow(&client).await;
    client.batch_execute("rollback and chain; rollback; begin").await.unwrap();
    assert_eq!(side(&client).await, "primary", "the next block is another");
}

#[tokio::test(flavor = "multi_thread")]
async fn rule_31_each_statement_of_the_block_sees_what_is_committed_when_it_begins() {
    let pair = telling_pair_at_100_percent().await;
    let (reader, writer) = (connect(&pair.url()).await, connect(&pair.url()).await);
    reader.batch_execute("begin read only").await.unwrap();
    served_by_the_shadow(&reader).await;
    for name in ["one", "two", "three"] {
        writer.execute("update side set name = $1", &[&name]).await.unwrap();
        assert_eq!(side(&reader).await, name);
    }
    let refused = reader.execute("update side set name = ''", &[]).await.unwrap_err();
    assert_eq!(refused.code().map(|code| code.code().to_owned()).as_deref(), Some("25006"));
    let failed = reader.query_one("select name from side where id = 1", &[]).await.unwrap_err();
    assert_eq!(failed.code().map(|code| code.code().to_owned()).as_deref(), Some("25P02"), "the block failed");
    reader.batch_execute("rollback").await.unwrap();
    assert_eq!(side(&reader).await, "three");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_within_a_block_has_the_messages_that_the_primary_sends() {
    let pair = telling_pair_at_100_percent().await;
    let (mut direct, mut through) = (Wire::session(pair.primary.port()).await, Wire::session(pair.proxy.port()).await);
    // On a slow machine the primary is kept awake by some of them.
    let before = pair.status().await.reads;
    let sql = "select id from side where id = $1";
    for asked in [
        query("begin read only"),
        query("select id from side"),
        [parse("", sql), bind("", &["1"]), describe_portal(), execute(0), sync()].concat(),
        query("savepoint a"),
        [parse("", sql), bind("", &["2"]), execute(0), sync()].concat(),
        query("select id from side where id > 'x'"),
        query("rollback to a"),
        query("select id from side"),
        query("commit"),
        query("select id from side"),
    ] {
        let mut said = Vec::new();
        for wire in [&mut direct, &mut through] {
            wire.send(&asked).await;
            said.push(wire.until_ready().await);
        }
        assert_eq!(said[0].messages, said[1].messages, "{}", asked.escape_ascii());
    }
    let after = pair.status().await.reads;
    let (served, kept) = (after.shadow - before.shadow, after.ineligible - before.ineligible);
    assert!(served + kept == 5 && served > 0, "{served} by the shadow, {kept} kept");
}

#[tokio::test(flavor = "multi_thread")]
async fn within_a_block_a_large_answer_and_a_cancelled_read_are_the_primarys() {
    let pair = pair_with_a_telling_shadow_and("[reads]\ntimeout = \"60s\"\n").await;
    pair.ramp(100.0).await;
    served_by_the_shadow(&connect(&pair.url()).await).await;
    let client = connect(&pair.url()).await;
    client.batch_execute("begin read only").await.unwrap();
    let large: String = client.query_one("select repeat(name, 20000) from side", &[]).await.unwrap().get(0);
    assert!(large.starts_with("primary"));
    served_by_the_shadow(&client).await;

    let fallback = pair.status().await.reads.fallback;
    let slow =
        "select count(*) from generate_series(1, 3000) a, generate_series(1, 3000) b, generate_series(1, 1000) c, side";
    let cancel = client.cancel_token();
    let asking = tokio::spawn(async move {
        let count: i64 = client.query_one(slow, &[]).await?.get(0);
        Ok::<_, tokio_postgres::Error>((count, client))
    });
    let running = "select count(*) from pg_stat_activity where state = 'active' and query like '%generate_series%' \
                   and pid <> pg_backend_pid()";
    let runs = async || psql(&pair.shadow_url(), running).await.must_succeed().trim() == "1";
    eventually("the shadow works", runs).await;
    // A server that is about to read its next message, as between Bind and Execute, lets a cancel pass.
    while !asking.is_finished() {
        cancel.cancel_query(tokio_postgres::NoTls).await.unwrap();
        sleep(Duration::from_millis(50)).await;
    }
    let cancelled = asking.await.unwrap().map(|(count, _)| count).unwrap_err();
    assert_eq!(cancelled.code().map(|code| code.code().to_owned()).as_deref(), Some("57014"));
    assert_eq!(pair.status().await.reads.fallback, fallback + 1, "the primary answered in the shadow's place");
}
