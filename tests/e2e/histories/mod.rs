//! Histories: many sessions write and read through the ramp while it turns and something breaks, and nobody sees what the
//! promise in force excludes.

mod judge;
mod sessions;

use std::time::Duration;

use crossfade::report::ReadsStatus;
use rand::RngExt;
use serde_json::json;
use tokio::time::sleep;

use crate::support::{Pair, Traffic, connect, eventually, same_rows, send};
use judge::{Deed, Event, Promise, Violation, judge};
use sessions::{Sessions, TABLES};

fn is_long() -> bool {
    std::env::var_os("CROSSFADE_SOAK").is_some()
}

fn consistency(promise: Promise) -> &'static str {
    match promise {
        Promise::Session => "session",
        Promise::Table => "table",
    }
}

/// Rounds of the checker come all the time, and no lag keeps a read that its consistency does not keep.
fn settings(consistency: &str, percent: u32) -> String {
    format!(
        "[check]\ninterval = \"1s\"\n[guard]\nmax_error_percent = 100\nmax_lag = \"0s\"\n\
         [reads]\npercent = {percent}\nsample_by = \"random\"\nconsistency = \"{consistency}\"\nmax_lag = \"1h\"\ntimeout = \"300ms\"\npool_size = 8\n"
    )
}

/// Turns the ramp as an operator does who keeps the share in the file: it outlives a restart.
async fn turn(pair: &mut Pair, promise: Promise, percent: u32) {
    pair.proxy.configure(&settings(consistency(promise), percent)).unwrap();
    pair.admin().post::<serde_json::Value>("/reload", &json!({})).await.unwrap();
}

/// `fault` breaks something, once, and makes it whole again.
async fn keeps(promise: Promise, fault: impl AsyncFn(&mut Pair, &Sessions)) {
    let mut pair =
        Pair::recipe().schema(&sessions::schema()).settings(&settings(consistency(promise), 0)).lines().start().await;
    pair.work("check").await;
    let sessions = Sessions::start(&pair.url(), 6);
    for _ in 0..if is_long() { 8 } else { 1 } {
        for percent in [0, 100, 30, 100] {
            turn(&mut pair, promise, percent).await;
            sessions.go_on(50).await;
            if percent > 0 {
                is_served(&pair, 20).await;
            }
            fault(&mut pair, &sessions).await;
            sessions.go_on(50).await;
        }
    }
    is_served(&pair, 100).await;
    let count = sessions.count();
    let history = sessions.stop().await;
    must_keep(promise, &history, &pair.status().await.reads, count);
    pair.wait_settled().await;
    for table in TABLES {
        same_rows(&pair, table).await;
    }
}

/// Whatever broke before: the shadow serves so many reads.
async fn is_served(pair: &Pair, reads: u64) {
    let before = pair.status().await.reads.shadow;
    eventually("reads from the shadow", async || pair.status().await.reads.shadow >= before + reads).await;
}

/// Shows what was broken with all that was noted about the same register or list before it.
fn must_keep(promise: Promise, history: &[Event], reads: &ReadsStatus, sessions: u32) {
    println!("{} deeds of {sessions} sessions, {} reads from the shadow since its start", history.len(), reads.shadow);
    let violations = judge(history, promise);
    let Some(first) = violations.first() else { return };
    let at = first.read();
    let same = history[..=at].iter().filter(|event| about(&event.deed) == about(&history[at].deed));
    let shown: Vec<_> = same.collect();
    for event in &shown[shown.len().saturating_sub(40)..] {
        println!("{event:?}");
    }
    panic!("{} violations, the first: {first:?}", violations.len());
}

fn about(deed: &Deed) -> (bool, i64) {
    match deed {
        Deed::Write { register, .. } | Deed::Read { register, .. } => (true, *register),
        Deed::Append { list, .. } | Deed::ReadList { list, .. } => (false, *list),
    }
}

/// In the short form only the promise that is in force unless another is asked for.
async fn keeps_both(fault: impl AsyncFn(&mut Pair, &Sessions)) {
    keeps(Promise::Table, &fault).await;
    if is_long() {
        keeps(Promise::Session, fault).await;
    }
}

/// Else the other tests would say nothing.
#[tokio::test(flavor = "multi_thread")]
async fn where_no_promise_is_asked_for_one_is_broken_and_that_is_found() {
    let pair = Pair::recipe().schema(&sessions::schema()).settings(&settings("none", 100)).start().await;
    pair.work("check").await;
    let sessions = Sessions::start(&pair.url(), 6);
    sessions.go_on(100).await;
    pair.admin().post::<serde_json::Value>("/mirror/pause", &json!({})).await.unwrap();
    sessions.go_on(300).await;
    pair.admin().post::<serde_json::Value>("/mirror/resume", &json!({})).await.unwrap();
    let history = sessions.stop().await;
    assert!(judge(&history, Promise::Session).iter().any(|violation| matches!(violation, Violation::WentBack(_))));
    assert!(judge(&history, Promise::Table).iter().any(|violation| matches!(violation, Violation::Stale(_))));
}

#[tokio::test(flavor = "multi_thread")]
async fn table_while_nothing_breaks() {
    keeps(Promise::Table, async |_, sessions| sessions.go_on(300).await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn session_while_nothing_breaks() {
    keeps(Promise::Session, async |_, sessions| sessions.go_on(300).await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn while_the_shadow_is_stopped() {
    keeps_both(async |pair, sessions| {
        pair.signal_shadow("STOP");
        sessions.go_on(100).await;
        pair.signal_shadow("CONT");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn while_the_shadow_is_killed_and_started_again() {
    keeps_both(async |pair, sessions| {
        send("KILL", pair.shadow.pid().expect("the shadow runs"));
        sessions.go_on(100).await;
        eventually("the shadow starts", async || pair.shadow.start_server().is_ok()).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn while_the_network_is_slow() {
    keeps_both(async |pair, sessions| {
        for delay in if is_long() { &[3, 30][..] } else { &[10] } {
            let slow = Traffic::Crawls(Duration::from_millis(*delay));
            for lines in [[true, false], [false, true], [true, true]] {
                for (line, is_slow) in [pair.primary_line(), pair.shadow_line()].into_iter().zip(lines) {
                    line.set(if is_slow { slow } else { Traffic::Flows });
                }
                sessions.go_on(40).await;
            }
        }
        pair.primary_line().set(Traffic::Flows);
        pair.shadow_line().set(Traffic::Flows);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn while_connections_to_the_primary_are_terminated() {
    keeps_both(async |pair, sessions| {
        let superuser = connect(&pair.primary_url()).await;
        let one = "select pg_terminate_backend(pid) from pg_stat_activity \
                       where backend_type = 'client backend' and pid <> pg_backend_pid() order by random() limit 1";
        for _ in 0..10 {
            sessions.go_on(10).await;
            superuser.query_one(one, &[]).await.unwrap();
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn while_commits_of_the_primary_are_not_answered() {
    keeps_both(async |pair, sessions| {
        for _ in 0..3 {
            pair.primary_line().set(Traffic::HoldsAnswers);
            sleep(Duration::from_millis(100)).await;
            pair.primary_line().set(Traffic::Breaks);
            sleep(Duration::from_millis(100)).await;
            pair.primary_line().set(Traffic::Flows);
            sessions.go_on(50).await;
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn while_crossfade_is_killed_and_started_again() {
    keeps_both(async |pair, sessions| {
        sessions.go_on(20).await;
        let moment = Duration::from_millis(rand::rng().random_range(0..300));
        sleep(moment).await;
        pair.proxy.kill();
        pair.proxy.start_again().await.unwrap();
    })
    .await;
}
