//! The shadow fails, in every way but a full disk. Clients see nothing of it.

use std::time::Duration;

use crossfade::report::ServerState;
use tokio::time::sleep;

use super::load::{SCHEMA, must_be_the_same, workers};
use super::times;
use crate::support::{Pair, Traffic, connect, eventually, psql, seconds, send};

/// Waits until `/status` says so.
async fn shadow_is(pair: &Pair, state: ServerState) {
    let what = format!("the shadow is said to be {state:?}");
    eventually(&what, async || pair.status().await.shadow.state == state).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn stopped_by_a_signal() {
    let pair = Pair::start(SCHEMA).await;
    let workers = workers(&pair).await;
    for _ in 0..times(2, 10) {
        pair.signal_shadow("STOP");
        workers.go_on(100).await;
        sleep(Duration::from_secs(seconds(0, 5))).await;
        pair.signal_shadow("CONT");
        workers.go_on(50).await;
    }
    workers.stop().await;
    must_be_the_same(&pair).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn its_postmaster_killed_and_started_again() {
    let pair = Pair::start(SCHEMA).await;
    let workers = workers(&pair).await;
    // What its cluster does not flush is no loss of crossfade's: its own commits ask for it.
    for _ in 0..times(2, 10) {
        workers.go_on(100).await;
        send("KILL", pair.shadow.pid().expect("the shadow runs"));
        workers.go_on(100).await;
        // Its children must have ended before.
        eventually("the shadow starts", async || pair.shadow.start_server().is_ok()).await;
    }
    workers.go_on(50).await;
    workers.stop().await;
    must_be_the_same(&pair).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn restarted_again_and_again() {
    let pair = Pair::start(SCHEMA).await;
    let workers = workers(&pair).await;
    for round in 0..times(4, 20) {
        pair.shadow.stop_server(if round % 2 == 0 { "fast" } else { "immediate" }).unwrap();
        pair.shadow.start_server().unwrap();
        workers.go_on(50).await;
    }
    workers.stop().await;
    must_be_the_same(&pair).await;
}

/// Under load, each of these for a while.
async fn with_network(troubles: &[Traffic]) {
    let pair = Pair::recipe().schema(SCHEMA).lines().start().await;
    let workers = workers(&pair).await;
    for traffic in troubles {
        workers.go_on(50).await;
        pair.shadow_line().set(*traffic);
        sleep(Duration::from_secs(seconds(1, 60))).await;
        workers.go_on(50).await;
        assert!(pair.status().await.mirror.pending > 0, "{traffic:?} changed nothing");
        pair.shadow_line().set(Traffic::Flows);
    }
    workers.go_on(50).await;
    workers.stop().await;
    must_be_the_same(&pair).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn its_network_cut() {
    with_network(&[Traffic::Breaks]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn its_network_silent() {
    with_network(&[Traffic::Stops, Traffic::HoldsAnswers]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn its_network_slow() {
    with_network(&[Traffic::Crawls(Duration::from_millis(300))]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn its_network_cut_while_commits_are_on_the_way() {
    let pair = Pair::recipe().schema(SCHEMA).lines().start().await;
    let workers = workers(&pair).await;
    for _ in 0..times(4, 20) {
        workers.go_on(30).await;
        // What was sent takes effect, and nobody is told.
        pair.shadow_line().set(Traffic::HoldsAnswers);
        workers.go_on(10).await;
        pair.shadow_line().set(Traffic::Breaks);
        workers.go_on(10).await;
        pair.shadow_line().set(Traffic::Flows);
    }
    workers.stop().await;
    must_be_the_same(&pair).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn its_password_changed_and_back() {
    let schema = format!("create role mirror superuser login password 'one'; {SCHEMA}");
    let pair = Pair::recipe().schema(&schema).shadow_user("mirror", "one").start().await;
    let workers = workers(&pair).await;
    workers.go_on(50).await;
    let end_sessions = "select pg_terminate_backend(pid) from pg_stat_activity where usename = 'mirror'";
    psql(&pair.shadow_url(), &format!("alter role mirror password 'two'; {end_sessions}")).await.must_succeed();
    shadow_is(&pair, ServerState::Down).await;
    workers.go_on(100).await;
    let status = pair.status().await;
    let said = status.shadow.last_error.unwrap_or_default();
    assert!(said.contains("password authentication failed"), "{said}");
    assert!(status.mirror.pending > 0, "{:?}", status.mirror);
    psql(&pair.shadow_url(), "alter role mirror password 'one'").await.must_succeed();
    workers.go_on(50).await;
    workers.stop().await;
    must_be_the_same(&pair).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn its_table_locked() {
    let pair = Pair::start(SCHEMA).await;
    let workers = workers(&pair).await;
    workers.go_on(50).await;
    let locker = connect(&pair.shadow_url()).await;
    locker.batch_execute("begin; lock table counters in access exclusive mode").await.unwrap();
    workers.go_on(100).await;
    shadow_is(&pair, ServerState::Degraded).await;
    sleep(Duration::from_secs(seconds(0, 60))).await;
    let status = pair.status().await;
    assert!(status.mirror.pending > 0, "{status:?}");
    assert_eq!(status.mirror.quarantined, 0, "a lock is nothing that is refused for good: {status:?}");
    locker.batch_execute("rollback").await.unwrap();
    workers.go_on(50).await;
    workers.stop().await;
    must_be_the_same(&pair).await;
}
