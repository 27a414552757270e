//! Rules 4, 22 and 24: what a start finds after a clean end, a kill, a power loss and damage on disk.

use std::path::Path;

use super::{eventually, seqs, take};
use crate::effect::{Change, Reason, Seq, Touched};
use crate::mirror::ledger::fixture::{
    T, U, identity, key, mark_keys, mark_tables, open, row, settings, shape, transaction,
};
use crate::mirror::ledger::journal::{Durability, LastEnd, State, recover};
use crate::mirror::ledger::{Feed, Mirror, OpenError, Outcome};

/// Ten transactions on T, all written, the first four applied.
async fn ten(mirror: &Mirror, feed: &mut Feed) {
    for n in 1..=10 {
        let ticket = mirror.enter(&Touched::Tables(vec![T]));
        mirror.submit(transaction(n, vec![row(T, &n.to_string(), n)]), Some(ticket)).unwrap();
    }
    for entry in &take(feed, 10).await[..4] {
        feed.settle(entry, Outcome::Applied);
    }
}

#[tokio::test]
async fn rule_22_a_closed_ledger_goes_on_where_it_was() {
    let folder = tempfile::tempdir().unwrap();
    let (mirror, mut feed) = open(folder.path());
    ten(&mirror, &mut feed).await;
    mirror.mark(&mark_keys(U, &["a", "b"], Reason::Image));
    let counters = mirror.counters();
    mirror.close().await;
    drop((mirror, feed));

    let (mirror, mut feed) = open(folder.path());
    assert_eq!(mirror.counters(), counters);
    assert!(!mirror.is_suspect(T) && !mirror.is_fresh(&[T]));
    assert_eq!(mirror.suspect_keys()[0].keys, [key("a"), key("b")]);
    assert_eq!((mirror.applied(), mirror.last()), (Seq(4), Seq(10)));
    assert_eq!(seqs(&feed.history()), [1, 2, 3, 4]);
    assert_eq!(mirror.shared.horizon(), 0, "what is pending may be late against what is applied");
    feed.resume_behind(Seq(4));
    assert_eq!(mirror.submit(transaction(11, vec![row(T, "11", 11)]), None), Some(Seq(11)));
    let entries = take(&mut feed, 7).await;
    assert_eq!(seqs(&entries), (5..=11).collect::<Vec<_>>());
    for entry in &entries {
        feed.settle(entry, Outcome::Applied);
    }
    assert_eq!(mirror.shared.horizon(), 11);
    assert!(mirror.is_fresh(&[T]));
}

#[tokio::test]
async fn rule_22_after_a_kill_nothing_written_is_lost_and_tables_in_flight_are_suspect() {
    let folder = tempfile::tempdir().unwrap();
    let (mirror, mut feed) = open(folder.path());
    ten(&mirror, &mut feed).await;
    mirror.mark(&mark_keys(U, &["a"], Reason::Image));
    eventually("saved", || saved(folder.path()).marks != crate::mirror::ledger::suspects::SavedMarks::default()).await;
    drop((mirror, feed));

    let (mirror, mut feed) = open(folder.path());
    let reasons: Vec<_> = mirror.suspect_tables().iter().map(|suspect| (suspect.table, suspect.cause.reason)).collect();
    assert_eq!(reasons, [(U, Reason::Image), (T, Reason::Crash)], "which keys they were is not known any more");
    feed.resume_behind(Seq(7));
    let counters = mirror.counters();
    assert_eq!((counters.captured, counters.applied, counters.pending), (10, 7, 3));
    assert_eq!(seqs(&take(&mut feed, 3).await), [8, 9, 10]);
    let next = mirror.submit(transaction(11, vec![row(T, "11", 11)]), None).unwrap();
    assert!(next > Seq(1_000_000), "the shadow may know places that the journal lost");
    let last = take(&mut feed, 1).await.remove(0);
    assert_eq!(last.seq, next);
    assert_eq!(last.flight.newest, 10, "tickets go on, too");
}

#[tokio::test]
async fn rule_22_a_ticket_still_out_at_the_close_leaves_its_table_suspect() {
    let folder = tempfile::tempdir().unwrap();
    let (mirror, feed) = open(folder.path());
    let out = mirror.enter(&Touched::Tables(vec![U]));
    drop(mirror.enter(&Touched::Tables(vec![T])));
    mirror.close().await;
    assert_eq!(mirror.submit(transaction(1, vec![row(U, "a", 1)]), Some(out)), None);
    drop((mirror, feed));
    let (mirror, _feed) = open(folder.path());
    assert!(mirror.is_suspect(U) && !mirror.is_suspect(T));
}

#[tokio::test]
async fn rule_22_after_a_loss_of_power_all_tables_are_suspect() {
    let folder = tempfile::tempdir().unwrap();
    drop(open(folder.path()));
    let journal = folder.path().join("journal");
    let state = saved(folder.path());
    State { boot_id: Some("another".into()), ..state }.save(&journal, Durability::Process).unwrap();
    let (mirror, _feed) = open(folder.path());
    assert_eq!(mirror.all_suspect().map(|(reason, _)| reason), Some(Reason::Crash));
    mirror.set_tables(vec![T, U]);
    assert_eq!(mirror.suspect_tables().len(), 2);
}

#[tokio::test]
async fn a_first_start_and_one_after_an_empty_run_suspect_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let (mirror, feed) = open(folder.path());
    assert!(mirror.status(&|_| String::new()).settled);
    mirror.close().await;
    drop((mirror, feed));
    assert!(open(folder.path()).0.status(&|_| String::new()).settled);
    assert!(open(folder.path()).0.status(&|_| String::new()).settled, "killed with nothing in flight");
}

#[tokio::test]
async fn marks_made_before_a_kill_are_there_after_it() {
    let folder = tempfile::tempdir().unwrap();
    let (mirror, feed) = open(folder.path());
    let ticket = mirror.enter(&Touched::Tables(vec![T]));
    mirror.submit(transaction(1, vec![Change::Mark(mark_tables(&[T], Reason::Copy))]), Some(ticket));
    drop((mirror, feed));
    assert!(open(folder.path()).0.is_suspect(T));
}

#[tokio::test]
async fn rule_24_one_ledger_a_journal() {
    let folder = tempfile::tempdir().unwrap();
    let ledger = open(folder.path());
    assert!(matches!(Mirror::open(&settings(folder.path()), &identity()), Err(OpenError::Locked(_))));
    drop(ledger);
    let mut other = identity();
    other.database = "other".into();
    assert!(matches!(Mirror::open(&settings(folder.path()), &other), Err(OpenError::Foreign { .. })));
    open(folder.path());
}

#[tokio::test]
async fn shapes_survive_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let (mirror, mut feed) = open(folder.path());
    ten(&mirror, &mut feed).await;
    mirror.close().await;
    drop((mirror, feed));
    let (_mirror, mut feed) = open(folder.path());
    let history = feed.history();
    let crate::mirror::entry::Item::Transaction(first) = &history[0].item else { panic!("{history:?}") };
    let Change::Row(first) = &first.changes[0] else { panic!("{history:?}") };
    assert_eq!(first.shape, shape(T, true));
}

fn saved(folder: &Path) -> State {
    let content = std::fs::read_to_string(folder.join("journal/state")).unwrap();
    serde_json::from_str(content.split_once('\n').unwrap().1).unwrap()
}

/// A closed journal of ten transactions, and the bytes of its one segment.
async fn closed_journal(folder: &Path) -> (std::path::PathBuf, Vec<u8>) {
    let (mirror, mut feed) = open(folder);
    ten(&mirror, &mut feed).await;
    mirror.close().await;
    let segment = folder.join("journal").join(format!("{:020}.log", 1));
    let bytes = std::fs::read(&segment).unwrap();
    (segment, bytes)
}

#[tokio::test]
async fn a_closed_journal_cut_at_any_byte_keeps_what_is_whole_and_suspects_all() {
    let folder = tempfile::tempdir().unwrap();
    let (segment, bytes) = closed_journal(folder.path()).await;
    let mut written = Seq(0);
    for length in 0..bytes.len() {
        std::fs::write(&segment, &bytes[..length]).unwrap();
        let recovered = recover(&folder.path().join("journal")).unwrap();
        assert!(recovered.written >= written && recovered.written < Seq(10), "{length}");
        written = recovered.written;
        assert_eq!(recovered.placement.outstanding(), written.0.saturating_sub(4), "{length}");
        assert!(suspects_all(&recovered.marks), "{length}");
        let counters = recovered.placement.books.counters();
        assert_eq!((counters.captured, counters.applied), (10, 4), "{length}");
        assert!(recovered.placement.last() > Seq(10), "no place is used twice");
    }
    assert_eq!(written, Seq(9));
}

#[tokio::test]
async fn a_byte_flipped_anywhere_is_noticed() {
    let folder = tempfile::tempdir().unwrap();
    let (segment, bytes) = closed_journal(folder.path()).await;
    for at in 0..bytes.len() {
        let mut damaged = bytes.clone();
        damaged[at] ^= 1 << (at % 8);
        std::fs::write(&segment, &damaged).unwrap();
        let recovered = recover(&folder.path().join("journal")).unwrap();
        assert!(recovered.written < Seq(10) && suspects_all(&recovered.marks), "{at}");
        assert_eq!(recovered.placement.books.counters().captured, 10, "{at}");
    }
}

#[tokio::test]
async fn rule_22_a_record_torn_by_a_kill_suspects_only_what_was_in_flight_and_damage_before_it_all() {
    let folder = tempfile::tempdir().unwrap();
    let (segment, bytes) = closed_journal(folder.path()).await;
    let journal = folder.path().join("journal");
    let killed = State { clean: false, written: Seq(3), ..saved(folder.path()) };
    killed.save(&journal, Durability::Process).unwrap();
    std::fs::write(journal.join("in-flight"), b"+t\0\0\x01\0\0\0").unwrap();

    std::fs::write(&segment, &bytes[..bytes.len() - 3]).unwrap();
    let recovered = recover(&journal).unwrap();
    assert_eq!(recovered.last_end, LastEnd::Unclean);
    assert_eq!(recovered.marks, [mark_tables(&[T], Reason::Crash)]);
    assert_eq!(recovered.written, Seq(9));
    assert!(std::fs::metadata(&segment).unwrap().len() < bytes.len() as u64 - 3, "cut off behind the last whole one");

    let mut damaged = bytes.clone();
    damaged[bytes.len() / 2] ^= 1;
    std::fs::write(&segment, &damaged).unwrap();
    assert!(suspects_all(&recover(&journal).unwrap().marks));
}

#[tokio::test]
async fn segments_behind_a_damaged_one_are_put_aside() {
    let folder = tempfile::tempdir().unwrap();
    let (segment, bytes) = closed_journal(folder.path()).await;
    let (mirror, mut feed) = open(folder.path());
    mirror.submit(transaction(11, vec![row(T, "11", 11)]), None).unwrap();
    take(&mut feed, 7).await;
    mirror.close().await;
    drop((mirror, feed));
    std::fs::write(&segment, &bytes[..bytes.len() - 3]).unwrap();
    let recovered = recover(&folder.path().join("journal")).unwrap();
    assert_eq!(recovered.written, Seq(9));
    assert!(suspects_all(&recovered.marks));
    assert!(folder.path().join("journal").join(format!("{:020}.log.broken", 11)).exists());
}

fn suspects_all(marks: &[crate::effect::Mark]) -> bool {
    matches!(marks, [crate::effect::Mark::Tables { touched: Touched::All, .. }])
}
