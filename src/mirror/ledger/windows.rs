//! Which keys of a table had an event while a copy or a check was reading it (rules 6, 25 and 27).

use std::collections::{HashMap, HashSet};

use crate::effect::{Change, Key, Mark, Reason, Snapshot, TableId, Touched, Xid};

use super::Voided;

/// Bytes of events remembered for one window; beyond it the window is void (rule 23).
const WINDOW_BYTES: usize = 8 << 20;

/// About what one event takes beside its key.
const EVENT_BYTES: usize = 64;

/// What happened in a window.
#[derive(Debug)]
enum Seen {
    /// These events, each once.
    Events { events: HashSet<(Key, Xid)>, bytes: usize },
    /// More than can be said.
    Void,
}

#[derive(Debug)]
struct Open {
    id: u64,
    seen: Seen,
}

/// The open windows of all tables.
#[derive(Debug, Default)]
pub(super) struct Windows {
    open: HashMap<TableId, Vec<Open>>,
    opened: u64,
}

impl Windows {
    /// Opens one and gives its name.
    pub(super) fn open(&mut self, table: TableId) -> u64 {
        self.opened += 1;
        let seen = Seen::Events { events: HashSet::new(), bytes: 0 };
        self.open.entry(table).or_default().push(Open { id: self.opened, seen });
        self.opened
    }

    /// Closes one, if it is open still.
    pub(super) fn close(&mut self, table: TableId, id: u64) {
        if let Some(windows) = self.open.get_mut(&table) {
            windows.retain(|window| window.id != id);
            if windows.is_empty() {
                self.open.remove(&table);
            }
        }
    }

    /// Tells the windows what a transaction did.
    pub(super) fn observe(&mut self, xid: Option<Xid>, changes: &[Change]) {
        if self.open.is_empty() {
            return;
        }
        for change in changes {
            match change {
                Change::Row(row) if row.shape.key.is_empty() => self.void_table(row.shape.table),
                Change::Row(row) => self.event(row.shape.table, &row.key, xid),
                Change::Replay(replay) => self.void(&replay.touched),
                Change::Mark(mark) => self.observe_mark(xid, mark),
            }
        }
    }

    /// Tells the windows of a mark that a transaction carried.
    pub(super) fn observe_mark(&mut self, xid: Option<Xid>, mark: &Mark) {
        match mark {
            Mark::Keys { table, keys, .. } => keys.iter().for_each(|key| self.event(*table, key, xid)),
            Mark::Referring { referring, .. } => self.void_table(referring.table),
            Mark::Tables { touched, .. } => self.void(touched),
        }
    }

    /// Tells the windows of a mark that no transaction carried.
    pub(super) fn observe_lone_mark(&mut self, mark: &Mark) {
        match mark {
            Mark::Keys { table, reason, .. } if is_write(*reason) => self.void_table(*table),
            Mark::Referring { referring, reason, .. } if is_write(*reason) => self.void_table(referring.table),
            Mark::Tables { touched, reason } if is_write(*reason) => self.void(touched),
            _ => {}
        }
    }

    /// Keys with an event that `snapshot` does not see.
    pub(super) fn newer(&self, table: TableId, id: u64, snapshot: &Snapshot) -> Result<HashSet<Key>, Voided> {
        let events = self.events(table, id)?;
        Ok(events.iter().filter(|(_, xid)| !snapshot.sees(*xid)).map(|(key, _)| key.clone()).collect())
    }

    /// Whether nothing at all happened.
    pub(super) fn is_quiet(&self, table: TableId, id: u64) -> bool {
        self.events(table, id).is_ok_and(HashSet::is_empty)
    }

    fn events(&self, table: TableId, id: u64) -> Result<&HashSet<(Key, Xid)>, Voided> {
        let windows = self.open.get(&table).map_or(&[][..], Vec::as_slice);
        match windows.iter().find(|window| window.id == id).map(|window| &window.seen) {
            Some(Seen::Events { events, .. }) => Ok(events),
            Some(Seen::Void) | None => Err(Voided),
        }
    }

    fn event(&mut self, table: TableId, key: &Key, xid: Option<Xid>) {
        for window in self.open.get_mut(&table).into_iter().flatten() {
            match (&mut window.seen, xid) {
                (Seen::Void, _) => {}
                (seen, None) => *seen = Seen::Void,
                (Seen::Events { events, bytes }, Some(xid)) => {
                    if events.insert((key.clone(), xid)) {
                        *bytes += EVENT_BYTES + key.as_bytes().len();
                    }
                    if *bytes > WINDOW_BYTES {
                        window.seen = Seen::Void;
                    }
                }
            }
        }
    }

    fn void(&mut self, touched: &Touched) {
        match touched {
            Touched::Tables(tables) => tables.iter().for_each(|table| self.void_table(*table)),
            Touched::All => self.open.values_mut().flatten().for_each(|window| window.seen = Seen::Void),
        }
    }

    fn void_table(&mut self, table: TableId) {
        for window in self.open.get_mut(&table).into_iter().flatten() {
            window.seen = Seen::Void;
        }
    }
}

/// Whether a mark speaks of writes on the primary, or only of what the shadow has. The events of transactions that
/// were dropped or refused have passed through the windows already.
fn is_write(reason: Reason) -> bool {
    !matches!(
        reason,
        Reason::Repair | Reason::Backfill | Reason::Quarantine | Reason::Late | Reason::Crash | Reason::Overflow
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mirror::ledger::fixture::{delete, key, keyless, mark_keys, mark_tables, row, truncate};

    const T: TableId = TableId(1);

    fn newer(windows: &Windows, id: u64, snapshot: &str) -> Option<Vec<Key>> {
        let mut keys: Vec<_> = windows.newer(T, id, &snapshot.parse().unwrap()).ok()?.into_iter().collect();
        keys.sort();
        Some(keys)
    }

    #[test]
    fn rule_25_a_key_is_newer_if_any_of_its_events_is_not_seen() {
        let mut windows = Windows::default();
        windows.observe(Some(Xid(30)), &[row(T, "before", 1)]);
        let id = windows.open(T);
        windows.observe(Some(Xid(14)), &[row(T, "a", 1)]);
        windows.observe(Some(Xid(19)), &[row(T, "a", 2), delete(T, "b", 3)]);
        windows.observe(Some(Xid(25)), &[row(TableId(2), "other", 4)]);
        assert_eq!(newer(&windows, id, "10:20:14"), Some(vec![key("a")]));
        assert_eq!(newer(&windows, id, "14:14:"), Some(vec![key("a"), key("b")]));
        assert_eq!(newer(&windows, id, "20:20:"), Some(vec![]));
    }

    #[test]
    fn rule_06_an_event_without_xid_or_key_voids_every_window_on_its_table() {
        let voiding: [(Option<Xid>, Change); 6] = [
            (None, row(T, "a", 1)),
            (Some(Xid(5)), keyless(T, 1)),
            (Some(Xid(5)), truncate(Touched::Tables(vec![T]))),
            (Some(Xid(5)), truncate(Touched::All)),
            (Some(Xid(5)), Change::Mark(mark_tables(&[T], Reason::Copy))),
            (None, Change::Mark(mark_keys(T, &["a"], Reason::Image))),
        ];
        for (xid, change) in voiding {
            let mut windows = Windows::default();
            let (first, second, other) = (windows.open(T), windows.open(T), windows.open(TableId(2)));
            windows.observe(xid, std::slice::from_ref(&change));
            assert_eq!(newer(&windows, first, "9:9:"), None, "{change:?}");
            assert_eq!(newer(&windows, second, "9:9:"), None, "{change:?}");
            let all = matches!(&change, Change::Replay(replay) if replay.touched == Touched::All);
            assert_eq!(windows.newer(TableId(2), other, &"9:9:".parse().unwrap()).is_err(), all);
        }
    }

    #[test]
    fn a_key_mark_with_an_xid_is_an_event() {
        let mut windows = Windows::default();
        let id = windows.open(T);
        windows.observe(Some(Xid(12)), &[Change::Mark(mark_keys(T, &["a"], Reason::Image))]);
        assert_eq!(newer(&windows, id, "10:10:"), Some(vec![key("a")]));
        assert!(!windows.is_quiet(T, id));
    }

    #[test]
    fn only_marks_that_tell_of_writes_void() {
        let mut windows = Windows::default();
        let id = windows.open(T);
        windows.observe_lone_mark(&mark_tables(&[T], Reason::Repair));
        assert!(windows.is_quiet(T, id));
        windows.observe_lone_mark(&mark_tables(&[T], Reason::InDoubt));
        assert_eq!(newer(&windows, id, "10:10:"), None);
    }

    #[test]
    fn rule_23_a_full_window_is_void() {
        let mut windows = Windows::default();
        let id = windows.open(T);
        for n in 0..(WINDOW_BYTES / EVENT_BYTES) as u64 {
            windows.observe(Some(Xid(n)), &[row(T, "a", n)]);
        }
        assert_eq!(newer(&windows, id, "1:1:"), None);
    }

    #[test]
    fn a_closed_window_remembers_nothing() {
        let mut windows = Windows::default();
        let id = windows.open(T);
        windows.close(T, id);
        assert_eq!(newer(&windows, id, "10:10:"), None);
        assert!(windows.open.is_empty());
    }
}
