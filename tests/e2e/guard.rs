//! The guard turns the ramp down by itself, says why, and turns it up again once that is over.

use crossfade::report::{GuardState, GuardStatus};
use serde_json::{Value, json};

use crate::compare::{SCHEMA, by_query};
use crate::support::{Pair, connect, eventually, psql};

async fn guard(pair: &Pair) -> GuardStatus {
    pair.status().await.guard
}

#[tokio::test(flavor = "multi_thread")]
async fn differences_open_the_guard_and_it_closes_once_they_are_gone() {
    let settings = "[reads]\npercent = 100\ncompare_percent = 10\n[guard]\ncooldown = \"1s\"\n";
    let pair = Pair::recipe().schema(SCHEMA).settings(settings).start().await;
    pair.work("check").await;
    psql(&pair.shadow_url(), "update quiet set name = 'wrong' where id = 3").await.must_succeed();
    let client = connect(&pair.url()).await;
    let read = async || client.query("select name from quiet", &[]).await.unwrap();
    eventually("the guard opens", async || {
        read().await;
        guard(&pair).await.state == GuardState::Open
    })
    .await;
    let reason = guard(&pair).await.reason.unwrap();
    assert!(reason.contains("differed") && reason.contains("guard.max_mismatch_percent = 0.1"), "{reason}");
    assert!(pair.proxy.log().contains("the guard opened"), "{}", pair.proxy.log());
    let metrics = pair.admin().text("/metrics").await.unwrap();
    assert!(metrics.contains("crossfade_guard_opened_total{cause=\"mismatches\"}"), "{metrics}");
    eventually("it tries, and opens again", async || {
        read().await;
        pair.proxy.log().matches("the guard opened").count() >= 2
    })
    .await;
    psql(&pair.shadow_url(), "update quiet set name = 'name 3' where id = 3").await.must_succeed();
    eventually("the guard closes", async || {
        read().await;
        guard(&pair).await == GuardStatus::default()
    })
    .await;
    let before = pair.status().await.reads.shadow;
    eventually("the shadow serves", async || {
        read().await;
        pair.status().await.reads.shadow > before
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worse_plan_is_told_and_opens_the_guard_until_it_is_reset() {
    let schema = "create table big (id int primary key, k int not null); create index by_k on big (k); \
                  insert into big select g, g from generate_series(1, 500000) g; analyze big";
    let settings = "[reads]\ncompare_percent = 100\n";
    let pair = Pair::recipe().schema(schema).settings(settings).start().await;
    pair.work("check").await;
    psql(&pair.shadow_url(), "drop index by_k").await.must_succeed();
    let client = connect(&pair.url()).await;
    eventually("the guard opens", async || {
        client.query("select id from big where k = $1", &[&7_i32]).await.unwrap();
        guard(&pair).await.state == GuardState::Open
    })
    .await;
    let reason = guard(&pair).await.reason.unwrap();
    assert!(reason.contains("guard.max_latency_ratio = 3"), "{reason}");
    let report = pair.report().await;
    let query = by_query(&report, "select id from big where k = $1").unwrap();
    assert!(query.plan_regression && query.shadow_p50_ms > 3.0 * query.primary_p50_ms, "{query:?}");
    psql(&pair.shadow_url(), "create index by_k on big (k)").await.must_succeed();
    pair.admin().post::<Value>("/guard/reset", &json!({})).await.unwrap();
    assert_eq!(guard(&pair).await, GuardStatus::default());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shadow_too_far_behind_opens_the_guard_and_it_closes_once_that_has_caught_up() {
    let settings = "[reads]\npercent = 100\nmax_lag = \"1h\"\n[guard]\nmax_lag = \"1s\"\ncooldown = \"1s\"\n";
    let pair = Pair::recipe().schema(SCHEMA).settings(settings).start().await;
    pair.work("check").await;
    let client = connect(&pair.url()).await;
    let read = async || client.query("select name from quiet", &[]).await.unwrap();
    pair.admin().post::<Value>("/mirror/pause", &json!({})).await.unwrap();
    client.execute("update t set v = 1 where id = 1", &[]).await.unwrap();
    eventually("the guard opens", async || {
        read().await;
        guard(&pair).await.state == GuardState::Open
    })
    .await;
    let reason = guard(&pair).await.reason.unwrap();
    assert!(reason.ends_with("s behind: more than guard.max_lag = 1 s"), "{reason}");
    let before = pair.status().await.reads.shadow;
    read().await;
    assert_eq!(pair.status().await.reads.shadow, before);
    pair.admin().post::<Value>("/mirror/resume", &json!({})).await.unwrap();
    eventually("the guard closes, and the shadow serves", async || {
        read().await;
        guard(&pair).await == GuardStatus::default() && pair.status().await.reads.shadow > before
    })
    .await;
}
