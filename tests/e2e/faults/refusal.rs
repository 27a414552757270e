//! What the shadow refuses of itself is quarantined and told, the rest flows; healed once the cause is gone. Clients see
//! nothing of it.

use super::load::{SCHEMA, must_be_the_same, workers};
use crate::support::{Pair, connect, eventually, psql, same_rows};

const MAILS: &str = "
    create table accounts (id int primary key, mail text);
    insert into accounts select g, 'mail ' || g from generate_series(1, 100) g;
";

#[tokio::test(flavor = "multi_thread")]
async fn by_a_unique_index_that_exists_only_there() {
    let pair = Pair::start(&format!("{SCHEMA}{MAILS}")).await;
    psql(&pair.shadow_url(), "create unique index only_here on accounts (mail)").await.must_succeed();
    let workers = workers(&pair).await;
    let client = connect(&pair.url()).await;
    workers.go_on(50).await;
    client.batch_execute("insert into accounts values (101, 'new')").await.unwrap();
    client.batch_execute("update accounts set mail = 'mail 2' where id = 1").await.unwrap();
    client
        .batch_execute(
            "begin; insert into accounts values (102, 'new'); update counters set n = -5 where id = 30; commit",
        )
        .await
        .unwrap();
    client.batch_execute("update accounts set mail = 'other' where id = 50").await.unwrap();
    eventually("both are quarantined", async || pair.status().await.mirror.quarantined == 2).await;
    let report = pair.report().await;
    let told: Vec<_> = report.mirror.quarantine.iter().map(|q| (q.sqlstate.as_str(), q.table.as_str())).collect();
    assert_eq!(told, [("23505", "public.accounts"); 2], "{:?}", report.mirror.quarantine);
    assert!(!report.mirror.status.settled);
    let applied = pair.status().await.mirror.applied;
    workers.go_on(100).await;
    eventually("the rest flows", async || pair.status().await.mirror.applied > applied + 100).await;
    let other = "select mail from accounts where id = 50";
    eventually("also in the same table", async || psql(&pair.shadow_url(), other).await.must_succeed() == "other\n")
        .await;
    psql(&pair.shadow_url(), "drop index only_here").await.must_succeed();
    workers.stop().await;
    must_be_the_same(&pair).await;
    assert_eq!(same_rows(&pair, "accounts").await, 102);
    let healed = pair.status().await.mirror;
    assert_eq!(healed.quarantined, 0, "{healed:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn by_a_missing_column_that_comes_later() {
    let pair = Pair::start(SCHEMA).await;
    psql(&pair.shadow_url(), "alter table log drop column word").await.must_succeed();
    let workers = workers(&pair).await;
    workers.go_on(100).await;
    eventually("writes are quarantined", async || pair.status().await.mirror.quarantined > 0).await;
    let report = pair.report().await;
    let first = report.mirror.quarantine.first().expect("the report lists what was refused");
    assert_eq!((first.sqlstate.as_str(), first.table.as_str()), ("42703", "public.log"), "{first:?}");
    let applied = pair.status().await.mirror.applied;
    workers.go_on(50).await;
    eventually("the rest flows", async || pair.status().await.mirror.applied > applied).await;
    psql(&pair.shadow_url(), "alter table log add column word text").await.must_succeed();
    workers.go_on(50).await;
    workers.stop().await;
    must_be_the_same(&pair).await;
    let healed = pair.status().await.mirror;
    assert_eq!(healed.quarantined, 0, "{healed:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn while_nobody_else_writes_and_across_a_kill() {
    let mut pair = Pair::start(MAILS).await;
    psql(&pair.shadow_url(), "create unique index only_here on accounts (mail)").await.must_succeed();
    pair.shadow.stop_server("fast").unwrap();
    psql(&pair.url(), "update accounts set mail = 'mail 2' where id = 1").await.must_succeed();
    eventually("it is on disk", async || pair.journal_bytes() > 100).await;
    pair.proxy.kill();
    pair.proxy.start_again().await.unwrap();
    pair.shadow.start_server().unwrap();
    eventually("it is quarantined", async || pair.status().await.mirror.quarantined == 1).await;
    psql(&pair.shadow_url(), "drop index only_here").await.must_succeed();
    pair.wait_settled().await;
    assert_eq!(same_rows(&pair, "accounts").await, 100);
}
