//! What sessions hand over, in which order it comes out, and what reads see of it.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures_util::FutureExt;

use super::{seqs, take};
use crate::effect::{Change, Reason, Seq, Touched};
use crate::mirror::entry::{Flight, Item};
use crate::mirror::ledger::Outcome;
use crate::mirror::ledger::fixture::{T, U, mark_keys, mark_tables, open, row, transaction, truncate};

#[tokio::test]
async fn a_transaction_comes_out_as_it_went_in_and_its_marks_go_to_the_suspects() {
    let folder = tempfile::tempdir().unwrap();
    let (mirror, mut feed) = open(folder.path());
    let ticket = mirror.enter(&Touched::Tables(vec![T]));
    let changes = vec![row(T, "a", 1), Change::Mark(mark_keys(U, &["k"], Reason::Image)), row(T, "b", 2)];
    assert_eq!(mirror.submit(transaction(7, changes), Some(ticket)), Some(Seq(1)));
    let entry = take(&mut feed, 1).await.remove(0);
    let Item::Transaction(effects) = &entry.item else { panic!("{entry:?}") };
    assert_eq!(*effects, transaction(7, vec![row(T, "a", 1), row(T, "b", 2)]));
    assert_eq!(entry.flight, Flight { oldest: 1, newest: 1 });
    assert!(mirror.is_suspect(U) && !mirror.is_suspect(T));
    feed.settle(&entry, Outcome::Applied);
    assert_eq!(mirror.applied(), Seq(1));
}

#[tokio::test]
async fn marks_alone_are_skipped_and_nothing_at_all_is_not_counted() {
    let folder = tempfile::tempdir().unwrap();
    let (mirror, _feed) = open(folder.path());
    let marks = vec![Change::Mark(mark_tables(&[T], Reason::Copy))];
    assert_eq!(mirror.submit(transaction(7, marks), None), None);
    assert_eq!(mirror.submit(transaction(8, vec![]), None), None);
    mirror.skip();
    let counters = mirror.counters();
    assert_eq!((counters.captured, counters.skipped), (2, 2));
    assert!(mirror.is_suspect(T));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn places_come_out_in_order_whoever_submits() {
    const THREADS: u64 = 4;
    const EACH: u64 = 500;
    let folder = tempfile::tempdir().unwrap();
    let (mirror, mut feed) = open(folder.path());
    let sessions: Vec<_> = (0..THREADS)
        .map(|session| {
            let mirror = mirror.clone();
            std::thread::spawn(move || {
                for n in 0..EACH {
                    let ticket = mirror.enter(&Touched::Tables(vec![T]));
                    mirror.submit(transaction(session * EACH + n, vec![row(T, "a", n)]), Some(ticket)).unwrap();
                }
            })
        })
        .collect();
    let entries = take(&mut feed, (THREADS * EACH) as usize).await;
    assert_eq!(seqs(&entries), (1..=THREADS * EACH).collect::<Vec<_>>());
    for session in sessions {
        session.join().unwrap();
    }
}

/// The session's phase is odd from when its table is in flight until before its commit is settled: whoever asks within
/// one odd phase must not be told that the table is fresh.
#[test]
fn rule_03_a_commit_is_never_missed_on_its_way_from_in_flight_to_applied() {
    let folder = tempfile::tempdir().unwrap();
    let (mirror, mut feed) = open(folder.path());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let phase = AtomicU64::new(0);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for n in 0..2000 {
                let ticket = mirror.enter(&if n % 7 == 0 { Touched::All } else { Touched::Tables(vec![T, U]) });
                phase.fetch_add(1, Ordering::SeqCst);
                let change = if n % 5 == 0 { truncate(Touched::All) } else { row(T, "a", n) };
                mirror.submit(transaction(n, vec![change]), Some(ticket)).unwrap();
                let entry = runtime.block_on(take(&mut feed, 1)).remove(0);
                phase.fetch_add(1, Ordering::SeqCst);
                feed.settle(&entry, Outcome::Applied);
                assert!(mirror.is_fresh(&[T, U]));
            }
            phase.store(u64::MAX - 1, Ordering::SeqCst);
        });
        scope.spawn(|| {
            loop {
                let before = phase.load(Ordering::SeqCst);
                let fresh = mirror.is_fresh(&[T]);
                if phase.load(Ordering::SeqCst) == before && before % 2 == 1 {
                    assert!(!fresh);
                }
                if before == u64::MAX - 1 {
                    break;
                }
            }
        });
    });
}

#[tokio::test]
async fn rule_29_freshness_is_of_the_tables_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let (mirror, mut feed) = open(folder.path());
    let ticket = mirror.enter(&Touched::Tables(vec![T]));
    assert!(!mirror.is_fresh(&[T]) && mirror.is_fresh(&[U]));
    mirror.submit(transaction(1, vec![row(T, "a", 1)]), Some(ticket));
    assert!(!mirror.is_fresh(&[U, T]) && mirror.is_fresh(&[U]));
    mirror.submit(transaction(2, vec![truncate(Touched::All)]), None);
    assert!(!mirror.is_fresh(&[U]));
    let entries = take(&mut feed, 2).await;
    for entry in &entries {
        feed.settle(entry, Outcome::Applied);
    }
    assert!(mirror.is_fresh(&[T, U]));
}

#[tokio::test]
async fn lag_is_the_age_of_the_oldest_pending_commit() {
    let folder = tempfile::tempdir().unwrap();
    let (mirror, mut feed) = open(folder.path());
    assert_eq!(mirror.lag(), Duration::ZERO);
    mirror.submit(transaction(0, vec![row(T, "a", 1)]), None);
    assert!(mirror.lag() > Duration::from_hours(8760), "the fixture commits in 1970");
    let entry = take(&mut feed, 1).await.remove(0);
    feed.settle(&entry, Outcome::Applied);
    assert_eq!(mirror.lag(), Duration::ZERO);
}

#[tokio::test]
async fn a_paused_feed_gives_nothing_until_it_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let (mirror, mut feed) = open(folder.path());
    mirror.pause(true);
    assert!(mirror.status(&|_| String::new()).paused);
    mirror.submit(transaction(1, vec![row(T, "a", 1)]), None).unwrap();
    super::eventually("written", || mirror.shared.backlog.bytes() > 0).await;
    assert!(feed.next(1).now_or_never().is_none());
    mirror.pause(false);
    assert_eq!(seqs(&feed.next(1).await), [1]);
}

#[tokio::test]
async fn what_is_replayed_is_listed_once_applied() {
    let folder = tempfile::tempdir().unwrap();
    let (mirror, mut feed) = open(folder.path());
    for xid in 1..=2 {
        mirror.submit(transaction(xid, vec![truncate(Touched::Tables(vec![T]))]), None);
    }
    assert_eq!(mirror.replayed(), []);
    for entry in take(&mut feed, 2).await {
        feed.settle(&entry, Outcome::Applied);
    }
    let replayed = mirror.replayed();
    assert_eq!((replayed[0].query.as_str(), replayed[0].count, replayed.len()), ("truncate t", 2, 1));
}
