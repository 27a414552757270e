//! The primary fails. Clients see what they would without crossfade: lost connections, and nothing else.

use std::time::Duration;

use tokio::task::block_in_place;
use tokio::time::sleep;

use super::load::{SCHEMA, must_be_the_same, survivors};
use super::times;
use crate::support::{DATABASE, Line, Pair, Traffic, connect, eventually, psql, seconds};

/// Grows with every deed.
const COUNT: &str = "select sum(n) from counters";

#[tokio::test(flavor = "multi_thread")]
async fn restarted() {
    let pair = Pair::start(SCHEMA).await;
    let survivors = survivors(&pair);
    for _ in 0..times(2, 10) {
        survivors.go_on(50).await;
        pair.primary.stop_server("fast").unwrap();
        pair.primary.start_server().unwrap();
    }
    survivors.go_on(50).await;
    let toll = survivors.stop().await;
    assert!(toll.lost > 0, "{toll:?}");
    must_be_the_same(&pair).await;
}

/// Commits without a flush are lost with the server; WAL positions and transaction ids are used again.
#[tokio::test(flavor = "multi_thread")]
async fn crashed_so_that_wal_positions_go_back() {
    let lazily = &["wal_writer_delay = 10s", "wal_writer_flush_after = 1GB", "autovacuum = off"];
    let pair = Pair::recipe().schema(SCHEMA).primary_settings(lazily).start().await;
    for _ in 0..times(1, 5) {
        psql(&pair.primary_url(), "checkpoint").await.must_succeed();
        let survivors = survivors(&pair);
        survivors.go_on(100).await;
        let acknowledged = survivors.stop().await;
        pair.wait_settled().await;
        let before = psql(&pair.primary_url(), &format!("select pg_current_wal_insert_lsn(); {COUNT}")).await;
        pair.primary.stop_server("immediate").unwrap();
        pair.primary.start_server().unwrap();
        let (before, after) = (before.must_succeed(), psql(&pair.primary_url(), COUNT).await.must_succeed());
        let (lsn, counted) = before.trim().split_once('\n').expect("two lines");
        assert_ne!(counted, after.trim(), "nothing was lost of {acknowledged:?}");
        let back = format!("select pg_current_wal_insert_lsn() < '{lsn}'");
        assert_eq!(psql(&pair.primary_url(), &back).await.must_succeed(), "t\n");
        // The same keys again, with lower positions.
        let survivors = self::survivors(&pair);
        survivors.go_on(20).await;
        survivors.stop().await;
        must_be_the_same(&pair).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_standby_promoted_that_lacks_the_last_commits() {
    let mut pair = Pair::recipe().schema(SCHEMA).lines().start().await;
    let replication = Line::to(pair.primary.port()).await;
    let standby = block_in_place(|| pair.primary.standby(replication.port())).unwrap();
    let survivors = survivors(&pair);
    survivors.go_on(50).await;
    let follows = "select count(*) from pg_stat_wal_receiver where status = 'streaming'";
    eventually("the standby follows", async || psql(&standby.url(DATABASE), follows).await.must_succeed() == "1\n")
        .await;
    // What comes now is lost.
    replication.set(Traffic::Breaks);
    survivors.go_on(50).await;
    let acknowledged = psql(&pair.primary_url(), COUNT).await.must_succeed();
    pair.primary_line().set(Traffic::Breaks);
    pair.primary.stop_server("immediate").unwrap();
    standby.promote().unwrap();
    assert_ne!(psql(&standby.url(DATABASE), COUNT).await.must_succeed(), acknowledged, "nothing was lost");
    pair.primary_line().lead_to(standby.port());
    pair.primary_line().set(Traffic::Flows);
    pair.primary = standby;
    survivors.go_on(50).await;
    let toll = survivors.stop().await;
    assert!(toll.lost > 0, "{toll:?}");
    must_be_the_same(&pair).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn its_connections_terminated_one_by_one() {
    let pair = Pair::start(SCHEMA).await;
    let survivors = survivors(&pair);
    let superuser = connect(&pair.primary_url()).await;
    let one = "select pg_terminate_backend(pid), application_name from pg_stat_activity \
               where backend_type = 'client backend' and pid <> pg_backend_pid() order by random() limit 1";
    let mut of_crossfade = 0;
    for _ in 0..times(30, 200) {
        survivors.go_on(5).await;
        let ended = superuser.query_one(one, &[]).await.unwrap();
        of_crossfade += u32::from(ended.get::<_, String>(1).starts_with("crossfade"));
    }
    assert!(of_crossfade > 0, "its own connections are among them");
    survivors.go_on(20).await;
    let toll = survivors.stop().await;
    assert!(toll.lost > 0, "{toll:?}");
    must_be_the_same(&pair).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_while_commits_are_on_the_way() {
    let pair = Pair::recipe().schema(SCHEMA).lines().start().await;
    psql(&pair.primary_url(), "checkpoint").await.must_succeed();
    let survivors = survivors(&pair);
    for round in 0..times(4, 20) {
        survivors.go_on(30).await;
        // Commits take effect, and nobody is told.
        pair.primary_line().set(Traffic::HoldsAnswers);
        sleep(Duration::from_millis(if round % 2 == 0 { 10 } else { 500 })).await;
        pair.primary.stop_server("immediate").unwrap();
        pair.primary_line().set(Traffic::Breaks);
        sleep(Duration::from_secs(seconds(0, 1))).await;
        pair.primary.start_server().unwrap();
        pair.primary_line().set(Traffic::Flows);
    }
    survivors.go_on(50).await;
    let toll = survivors.stop().await;
    assert!(toll.lost > 0, "{toll:?}");
    must_be_the_same(&pair).await;
}
