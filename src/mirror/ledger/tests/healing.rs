//! Windows, fence and refreshes together, and what becomes of marks.

use std::collections::HashSet;

use futures_util::FutureExt;

use super::take;
use crate::catalog::Share;
use crate::effect::{Key, Reason, Seq, Touched};
use crate::mirror::entry::{Existing, Fill, Item, Scope};
use crate::mirror::ledger::Outcome;
use crate::mirror::ledger::fixture::{
    T, U, key, keyless, mark_tables, open, refresh, refusal, row, shape, snapshot, transaction,
};

#[tokio::test]
async fn rule_25_a_refresh_leaves_out_what_its_snapshot_did_not_see() {
    let folder = tempfile::tempdir().unwrap();
    let (mirror, mut feed) = open(folder.path());
    let window = mirror.open_window(T);
    mirror.submit(transaction(5, vec![row(T, "seen", 1)]), None);
    mirror.submit(transaction(12, vec![row(T, "newer", 2)]), None);
    assert_eq!(window.newer(&snapshot("10:10:")).unwrap(), [key("newer")].into());
    let seq = mirror.place(window, &snapshot("10:10:"), refresh(T, &["seen", "newer"])).unwrap();
    assert_eq!(seq, Seq(3));
    mirror.submit(transaction(13, vec![row(T, "seen", 3)]), None);
    let entries = take(&mut feed, 4).await;
    let Item::Refresh(placed) = &entries[2].item else { panic!("{entries:?}") };
    assert_eq!(placed.rows.iter().map(|(key, _)| key.clone()).collect::<Vec<Key>>(), [key("seen")]);
    assert_eq!(placed.newer, [key("newer")].into());
    let counters = mirror.counters();
    assert_eq!((counters.captured, counters.pending), (3, 3), "refreshes are not counted");
    for entry in &entries[..3] {
        assert!(mirror.wait_applied(seq).now_or_never().is_none());
        feed.settle(entry, Outcome::Applied);
    }
    assert!(mirror.wait_applied(seq).now_or_never().is_some());
    assert_eq!(*feed.awaited().borrow(), seq, "the appliers know that somebody waits");
    mirror.hurry();
    assert_eq!(*feed.awaited().borrow(), mirror.last());
}

#[tokio::test]
async fn rule_25_a_fill_leaves_out_what_its_snapshot_did_not_see() {
    let folder = tempfile::tempdir().unwrap();
    let (mirror, mut feed) = open(folder.path());
    let lines = "seen\told\nnewer\told\nother\told\n";
    let existing = Existing::Replaced { after: None, upto: None };
    let fill =
        || Fill { shape: shape(T, true), lines: lines.into(), newer: HashSet::new(), existing: existing.clone() };
    let window = mirror.open_window(T);
    mirror.submit(transaction(5, vec![row(T, "seen", 1)]), None);
    mirror.submit(transaction(12, vec![row(T, "newer", 2)]), None);
    mirror.place_fill(window, &snapshot("10:10:"), fill()).unwrap();
    let window = mirror.open_window(T);
    mirror.mark(&mark_tables(&[T], Reason::InDoubt));
    assert!(mirror.place_fill(window, &snapshot("10:10:"), fill()).is_err());
    let entries = take(&mut feed, 3).await;
    let Item::Fill(placed) = &entries[2].item else { panic!("{entries:?}") };
    assert_eq!(placed.newer, [key("newer")].into());
}

#[tokio::test]
async fn rule_06_a_voided_window_places_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let (mirror, _feed) = open(folder.path());
    let window = mirror.open_window(T);
    mirror.mark(&mark_tables(&[T], Reason::InDoubt));
    assert!(mirror.place(window, &snapshot("10:10:"), refresh(T, &["a"])).is_err());
    assert_eq!(mirror.last(), Seq(0));
}

#[tokio::test]
async fn rule_27_any_event_voids_the_refresh_of_a_table_without_key() {
    let folder = tempfile::tempdir().unwrap();
    let (mirror, _feed) = open(folder.path());
    let whole = || {
        let mut refresh = refresh(T, &["a", "b"]);
        refresh.scope = Scope::Multiset { share: Share::WHOLE, counts: vec![1, 1] };
        refresh.shape = shape(T, false);
        refresh
    };
    let window = mirror.open_window(T);
    mirror.submit(transaction(5, vec![row(T, "seen", 1)]), None);
    assert!(mirror.place(window, &snapshot("10:10:"), whole()).is_err());
    let window = mirror.open_window(T);
    mirror.submit(transaction(5, vec![keyless(T, 1)]), None);
    assert!(mirror.place(window, &snapshot("10:10:"), whole()).is_err());
    let window = mirror.open_window(T);
    assert!(mirror.place(window, &snapshot("10:10:"), whole()).is_ok());
}

#[tokio::test]
async fn rule_26_the_fence_gives_the_place_of_what_was_in_flight() {
    let folder = tempfile::tempdir().unwrap();
    let (mirror, _feed) = open(folder.path());
    let ticket = mirror.enter(&Touched::Tables(vec![T]));
    let _other = mirror.enter(&Touched::Tables(vec![U]));
    let mut fence = Box::pin(mirror.fence(T));
    assert!(fence.as_mut().now_or_never().is_none());
    let seq = mirror.submit(transaction(5, vec![row(T, "a", 1)]), Some(ticket)).unwrap();
    assert_eq!(fence.await, seq);
}

#[tokio::test]
async fn rule_20_the_keys_of_a_refused_transaction_are_suspect_until_they_are_healed() {
    let folder = tempfile::tempdir().unwrap();
    let (mirror, mut feed) = open(folder.path());
    mirror.submit(transaction(5, vec![row(T, "a", 1), row(U, "b", 2)]), None);
    let entry = take(&mut feed, 1).await.remove(0);
    feed.settle(&entry, Outcome::Quarantined(refusal(1)));
    assert_eq!(mirror.counters().quarantined, 1);
    assert_eq!(mirror.quarantine(), [refusal(1)]);
    let suspects = mirror.suspect_keys();
    assert_eq!(suspects.iter().map(|s| (s.table, s.keys.len())).collect::<Vec<_>>(), [(T, 1), (U, 1)]);
    mirror.clear_keys(&suspects[0]);
    assert_eq!(mirror.counters().quarantined, 1);
    mirror.clear_keys(&suspects[1]);
    assert_eq!((mirror.counters().quarantined, mirror.counters().applied), (0, 1));
}

#[tokio::test]
async fn settled_means_nothing_pending_nothing_suspect_nothing_running() {
    let folder = tempfile::tempdir().unwrap();
    let (mirror, mut feed) = open(folder.path());
    let settled = || mirror.status(&|table| format!("public.t{}", table.0)).settled;
    assert!(settled());
    let busy = mirror.busy();
    assert!(!settled());
    drop(busy);
    let window = mirror.open_window(T);
    mirror.place(window, &snapshot("10:10:"), refresh(T, &["a"])).unwrap();
    assert!(!settled());
    let entry = take(&mut feed, 1).await.remove(0);
    feed.settle(&entry, Outcome::Applied);
    assert!(settled());
    mirror.mark(&mark_tables(&[T], Reason::Repair));
    assert!(!settled());
    assert_eq!(mirror.status(&|table| format!("public.t{}", table.0)).suspect_tables, ["public.t1"]);
    mirror.clear_table(T, mirror.suspect_tables()[0].generation);
    assert!(settled());
}
