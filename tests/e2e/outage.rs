//! Whatever happens to the shadow or to crossfade itself, clients lose nothing that was acknowledged, and the shadow
//! catches up by itself.

use std::time::Duration;

use futures_util::future::BoxFuture;
use tokio::time::{sleep, timeout};
use tokio_postgres::Client;

use crate::support::{Pair, Workers, connect, eventually, psql, same_rows, seconds};

const SCHEMA: &str = "create table counters (id int primary key, n bigint not null, at timestamptz default '2001-02-03'); \
    insert into counters (id, n) select g, 0 from generate_series(1, 32) g; \
    create table log (id bigserial primary key, worker int, luck float8 default random()); \
    create table arrivals (worker int, luck float8 default random())";

/// No statement of a client may take longer, whatever the shadow does.
const HANG: Duration = Duration::from_secs(10);

fn write(client: &mut Client, number: u32) -> BoxFuture<'_, ()> {
    Box::pin(async move {
        let number = i32::try_from(number).unwrap();
        let deed = async {
            client
                .execute("update counters set n = n + 1, at = now() where id = $1 % 32 + 1", &[&number])
                .await
                .unwrap();
            let transaction = client.transaction().await.unwrap();
            transaction.execute("insert into log (worker) values ($1)", &[&number]).await.unwrap();
            transaction.execute("update counters set n = n + 1 where id = $1 % 8 + 1", &[&number]).await.unwrap();
            transaction.execute("insert into arrivals values ($1, 0.5), ($1, 0.5)", &[&number]).await.unwrap();
            transaction.commit().await.unwrap();
        };
        timeout(HANG, deed).await.expect("a client waited");
        // A bounded load.
        sleep(Duration::from_millis(10)).await;
    })
}

async fn must_be_the_same(pair: &Pair) {
    pair.wait_settled().await;
    assert_eq!(same_rows(pair, "counters").await, 32);
    assert!(same_rows(pair, "log").await > 0);
    same_rows(pair, "arrivals").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hanging_shadow_is_not_noticed_by_clients() {
    let pair = Pair::start(SCHEMA).await;
    let workers = Workers::start(&pair.url(), 4, write).await;
    workers.go_on(50).await;
    pair.signal_shadow("STOP");
    workers.go_on(300).await;
    let status = pair.status().await;
    assert!(status.mirror.pending > 0, "the shadow hangs, and still everything is applied: {:?}", status.mirror);
    assert!(status.mirror.lag_ms > 0 && !status.mirror.settled, "{:?}", status.mirror);
    connect(&pair.url()).await.batch_execute("select 1").await.expect("new clients are served");
    assert!(pair.admin().text("/healthz").await.is_ok(), "the shadow decides nothing about health");
    pair.signal_shadow("CONT");
    workers.go_on(50).await;
    workers.stop().await;
    must_be_the_same(&pair).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stopped_shadow_catches_up_when_it_is_back() {
    let pair = Pair::start(SCHEMA).await;
    let workers = Workers::start(&pair.url(), 4, write).await;
    workers.go_on(50).await;
    pair.shadow.stop_server("immediate").unwrap();
    sleep(Duration::from_secs(seconds(0, 20))).await;
    workers.go_on(300).await;
    eventually("the shadow is said to be down", async || {
        pair.status().await.shadow.state == crossfade::report::ServerState::Down
    })
    .await;
    assert!(pair.status().await.mirror.pending > 0);
    pair.shadow.start_server().unwrap();
    workers.go_on(50).await;
    workers.stop().await;
    must_be_the_same(&pair).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn reads_fall_back_unseen_when_the_shadow_goes() {
    let pair = Pair::start(SCHEMA).await;
    pair.work("check").await;
    pair.ramp(100.0).await;
    let client = connect(&pair.url()).await;
    let read = async || timeout(HANG, client.query_one("select n from counters where id = 5", &[])).await;
    eventually("a read from the shadow", async || {
        read().await.expect("a client waited").unwrap();
        pair.status().await.reads.shadow > 0
    })
    .await;
    pair.signal_shadow("STOP");
    for _ in 0..5 {
        read().await.expect("a client waited").expect("the primary answers");
    }
    pair.signal_shadow("CONT");
    pair.shadow.stop_server("immediate").unwrap();
    for _ in 0..20 {
        read().await.expect("a client waited").expect("the primary answers");
    }
    let reads = pair.status().await.reads;
    assert_eq!(reads.eligible, reads.shadow + reads.fallback, "{reads:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_crossfade_heals_by_itself() {
    let mut pair = Pair::start(SCHEMA).await;
    for _ in 0..2 {
        let writing = tokio::spawn(write_until_the_end(pair.url()));
        sleep(Duration::from_secs(2)).await;
        pair.proxy.kill();
        let acknowledged = writing.await.unwrap();
        assert!(acknowledged > 0);
        pair.proxy.start_again().await.unwrap();
    }
    must_be_the_same(&pair).await;
}

/// Writes until the connection breaks; gives the number of acknowledged writes.
async fn write_until_the_end(url: String) -> u64 {
    let client = connect(&url).await;
    let mut acknowledged = 0;
    let sql = "update counters set n = n + 1 where id = 1; insert into log (worker) values (99); \
               insert into arrivals values (99)";
    while client.batch_execute(sql).await.is_ok() {
        acknowledged += 1;
    }
    acknowledged
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_pending_survives_a_kill() {
    let mut pair = Pair::start(SCHEMA).await;
    pair.shadow.stop_server("fast").unwrap();
    psql(
        &pair.url(),
        "insert into log (worker) select g from generate_series(1, 500) g; \
         insert into arrivals select g % 7, 1 from generate_series(1, 100) g; update counters set n = 7",
    )
    .await
    .must_succeed();
    // Some 20 kB are the first transaction's, 25 all of them.
    eventually("two transactions are on disk", async || pair.journal_bytes() > 22 << 10).await;
    pair.proxy.kill();
    pair.proxy.start_again().await.unwrap();
    let pending = pair.status().await.mirror;
    assert!(pending.captured >= 2 && !pending.settled, "{pending:?}");
    pair.shadow.start_server().unwrap();
    must_be_the_same(&pair).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_orderly_stop_leaves_nothing_to_heal() {
    let mut pair = Pair::start(SCHEMA).await;
    psql(&pair.url(), "update counters set n = 1 where id < 10; insert into log (worker) values (1)")
        .await
        .must_succeed();
    let before = pair.wait_settled().await.mirror;
    let status = pair.proxy.stop().await.unwrap();
    assert!(status.success(), "{status}");
    pair.proxy.start_again().await.unwrap();
    let after = pair.status().await.mirror;
    assert_eq!((&after.suspect_tables, after.suspect_keys), (&Vec::new(), 0), "{after:?}");
    assert_eq!((after.captured, after.applied), (before.captured, before.applied), "counters survive a restart");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_primary_is_told_to_the_client_and_followed() {
    let pair = Pair::start(SCHEMA).await;
    // The clusters of tests commit asynchronously: without it the crash takes the tables along.
    psql(&pair.primary_url(), "checkpoint").await.must_succeed();
    psql(&pair.url(), "update counters set n = 1").await.must_succeed();
    let client = connect(&pair.url()).await;
    pair.primary.stop_server("immediate").unwrap();
    assert!(client.batch_execute("select 1").await.is_err());
    pair.primary.start_server().unwrap();
    eventually("the primary is served again", async || psql(&pair.url(), "select 1").await.code == Some(0)).await;
    psql(&pair.url(), "update counters set n = 2 where id = 3; insert into log (worker) values (3)")
        .await
        .must_succeed();
    must_be_the_same(&pair).await;
}
