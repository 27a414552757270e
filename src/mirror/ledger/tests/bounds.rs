//! Rule 23: whatever comes, memory and journal stay within their bounds, and what does not fit is marked.

use std::sync::atomic::Ordering;

use super::{eventually, seqs, take};
use crate::effect::{Change, Reason, Touched};
use crate::mirror::ledger::fixture::{T, U, identity, open, refresh, row, settings, snapshot, transaction};
use crate::mirror::ledger::{Feed, LedgerSettings, Mirror, Outcome};
use crate::report::Way;

fn wide(n: u64) -> Change {
    row(T, &"x".repeat(1000), n)
}

fn open_small(folder: &std::path::Path, journal: u64, memory: u64) -> (Mirror, Feed) {
    let settings = LedgerSettings { journal_max_bytes: journal, memory, ..settings(folder) };
    Mirror::open(&settings, &identity()).unwrap()
}

#[tokio::test]
async fn rule_23_a_stalled_feed_and_100_000_transactions_take_bounded_memory_and_lose_none() {
    const COUNT: u64 = 100_000;
    const MEMORY: usize = 1 << 20;
    let folder = tempfile::tempdir().unwrap();
    let (mirror, mut feed) = open_small(folder.path(), 1 << 30, MEMORY as u64);
    for n in 0..COUNT {
        mirror.submit(transaction(n, vec![row(T, "a", n)]), None);
        let unwritten = mirror.shared.placement.lock().unwritten_bytes();
        assert!(unwritten + mirror.shared.backlog.bytes() <= MEMORY + MEMORY / 2);
    }
    let counters = mirror.counters();
    assert_eq!(counters.captured, COUNT);
    assert_eq!(mirror.is_suspect(T), counters.skipped > 0);
    eventually("written", || mirror.shared.placement.lock().unwritten_bytes() == 0).await;
    let mut delivered = 0;
    while delivered < counters.pending {
        for entry in feed.next(64 << 10).await {
            delivered += 1;
            assert_eq!(entry.seq.0, delivered);
            feed.settle(&entry, Outcome::Applied);
        }
    }
    assert_eq!(mirror.counters().applied + counters.skipped, COUNT);
    // The window is in use again once the feed has caught up.
    mirror.submit(transaction(1, vec![row(T, "a", 1)]), None);
    eventually("in memory", || mirror.shared.backlog.bytes() > 0).await;
    assert_eq!(seqs(&take(&mut feed, 1).await), [delivered + 1]);
}

#[tokio::test]
async fn rule_23_past_the_journals_bound_transactions_become_marks_and_a_refresh_still_fits() {
    const JOURNAL: u64 = 512 << 10;
    let folder = tempfile::tempdir().unwrap();
    let (mirror, mut feed) = open_small(folder.path(), JOURNAL, 64 << 20);
    let mut placed = 0;
    while mirror.submit(transaction(placed, vec![wide(placed)]), None).is_some() {
        placed += 1;
    }
    assert_eq!(mirror.suspect_tables()[0].cause.reason, Reason::Overflow);
    assert_eq!(mirror.counters().skipped, 1);
    let window = mirror.open_window(U);
    mirror.place(window, &snapshot("9:9:"), refresh(U, &["a"])).unwrap();
    for entry in take(&mut feed, placed as usize + 1).await {
        feed.settle(&entry, Outcome::Applied);
    }
    let handled = mirror.handled(&|table| table.0.to_string());
    let handled: Vec<_> = handled.iter().map(|handled| (handled.way, handled.transactions)).collect();
    assert_eq!(handled, [(Way::Exact, placed), (Way::Refreshed, 1)]);
    eventually("room", || mirror.submit(transaction(1, vec![wide(1)]), None).is_some()).await;
    assert!(mirror.shared.on_disk.load(Ordering::Relaxed) <= JOURNAL);
}

#[tokio::test]
async fn rule_23_a_refresh_of_one_row_larger_than_the_memory_has_its_place_when_nothing_else_is_there() {
    let folder = tempfile::tempdir().unwrap();
    let (mirror, mut feed) = open_small(folder.path(), 1 << 30, 1 << 20);
    let large = || {
        let mut large = refresh(U, &["a"]);
        large.rows[0].1 = "x".repeat(2 << 20).into();
        large
    };
    let place = || mirror.place(mirror.open_window(U), &snapshot("9:9:"), large());
    mirror.submit(transaction(1, vec![row(T, "a", 1)]), None).unwrap();
    assert!(place().is_err());
    let first = take(&mut feed, 1).await.remove(0);
    feed.settle(&first, Outcome::Applied);
    drop(first);
    eventually("room for the large row", || place().is_ok()).await;
    assert!(place().is_err(), "only one at a time");
    assert_eq!(seqs(&take(&mut feed, 1).await), [2]);
}

#[tokio::test]
async fn rule_04_segments_stay_while_a_late_arrival_may_have_to_be_measured_against_them() {
    let folder = tempfile::tempdir().unwrap();
    let (mirror, mut feed) = open_small(folder.path(), 4 << 20, 64 << 20);
    let segments = || log_files(folder.path());
    let open_ticket = mirror.enter(&Touched::Tables(vec![T]));
    for n in 0..600 {
        let ticket = mirror.enter(&Touched::Tables(vec![T]));
        mirror.submit(transaction(n, vec![wide(n)]), Some(ticket)).unwrap();
        let entry = take(&mut feed, 1).await.remove(0);
        feed.settle(&entry, Outcome::Applied);
    }
    let written = segments();
    assert!(written > 2, "{written}");
    assert!(mirror.shared.horizon() <= 1);
    // The late one arrives: as long as it is not applied, nothing goes.
    mirror.submit(transaction(600, vec![wide(0)]), Some(open_ticket)).unwrap();
    let late = take(&mut feed, 1).await.remove(0);
    assert!(mirror.shared.horizon() <= 1);
    assert_eq!(segments(), written);
    feed.settle(&late, Outcome::Applied);
    eventually("removed", || segments() == 1).await;
    assert_eq!(mirror.shared.horizon(), 602);
}

#[tokio::test]
async fn rule_20_what_is_not_settled_holds_no_ticket_back() {
    let folder = tempfile::tempdir().unwrap();
    let (mirror, mut feed) = open_small(folder.path(), 4 << 20, 64 << 20);
    for n in 0..3 {
        let ticket = mirror.enter(&Touched::Tables(vec![T]));
        mirror.submit(transaction(n, vec![wide(n)]), Some(ticket)).unwrap();
    }
    // A refused one is not settled before the tickets of its time are resolved.
    take(&mut feed, 3).await;
    assert_eq!((feed.oldest_ticket(), feed.newest_ticket(), feed.outstanding()), (4, 3, 3));
    let open_ticket = mirror.enter(&Touched::Tables(vec![T]));
    assert_eq!((feed.oldest_ticket(), feed.newest_ticket()), (4, 4));
    drop(open_ticket);
    assert_eq!(feed.oldest_ticket(), 5);
}

fn log_files(folder: &std::path::Path) -> usize {
    let files = std::fs::read_dir(folder.join("journal")).unwrap();
    files.filter(|file| file.as_ref().unwrap().path().extension().is_some_and(|extension| extension == "log")).count()
}

#[tokio::test]
async fn rule_23_a_journal_that_cannot_be_written_turns_transactions_into_marks() {
    let folder = tempfile::tempdir().unwrap();
    let (mirror, _feed) = open(folder.path());
    mirror.set_tables(vec![T, U]);
    std::fs::remove_dir_all(folder.path().join("journal")).unwrap();
    let seq = mirror.submit(transaction(1, vec![row(T, "a", 1)]), None).unwrap();
    mirror.wait_applied(seq).await;
    assert!(mirror.is_suspect(T) && !mirror.is_suspect(U));
    assert!(mirror.is_fresh(&[T]));
    let counters = mirror.counters();
    assert_eq!((counters.captured, counters.pending, counters.skipped), (1, 0, 1));
}
