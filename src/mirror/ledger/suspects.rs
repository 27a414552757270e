//! What may differ on the shadow: marks on tables and keys, until they are healed.
//!
//! Every mark bears a generation. Who heals reads it first, then asks the primary, then clears up to it: a mark that
//! came in between stays (rule 26).

use std::sync::Arc;

use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use tokio::sync::Notify;

use crate::effect::{Key, Mark, Reason, Referring, TableId};

mod marks;

use marks::Marks;

/// Keys marked in one table; beyond it the table is (rule 23).
const KEYS_PER_TABLE: usize = 10_000;

/// Why something is to be read back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cause {
    /// Of the first mark.
    pub reason: Reason,
    /// It was marked because somebody asked for it ([`Reason::Repair`], [`Reason::Backfill`]), at first or since.
    pub is_asked: bool,
    /// The generation of the last mark that came because the shadow refused something ([`Reason::Quarantine`]); 0: none did.
    pub refused: u64,
}

impl Cause {
    fn new(reason: Reason, generation: u64) -> Self {
        Self { reason, is_asked: false, refused: 0 }.and(reason, generation)
    }

    /// What is saved of it.
    fn saved(self) -> Reason {
        if self.is_asked && self.reason != Reason::Backfill { Reason::Repair } else { self.reason }
    }

    /// And marked again.
    fn and(self, reason: Reason, generation: u64) -> Self {
        let is_asked = self.is_asked || matches!(reason, Reason::Repair | Reason::Backfill);
        let refused = if reason == Reason::Quarantine { generation } else { self.refused };
        Self { is_asked, refused, ..self }
    }
}

/// A table that is to be read back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Suspect {
    /// Which.
    pub table: TableId,
    /// Why.
    pub cause: Cause,
    /// Clears marks up to it, see [`Mirror::clear_table`](super::Mirror::clear_table).
    pub generation: u64,
}

/// Rows that are to be read back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SuspectKeys {
    /// Of this table.
    pub table: TableId,
    /// Which.
    pub keys: Vec<Key>,
    /// And those that refer to these keys of other tables, or do on the shadow (rule 16).
    pub referring: Vec<(Arc<Referring>, Vec<Key>)>,
    /// Why.
    pub cause: Cause,
    /// Clears marks up to it, see [`Mirror::clear_keys`](super::Mirror::clear_keys).
    pub generation: u64,
}

impl SuspectKeys {
    /// How many marks these are.
    pub fn count(&self) -> u64 {
        (self.keys.len() + self.referring.iter().map(|(_, to)| to.len()).sum::<usize>()) as u64
    }
}

/// Marks as the state file keeps them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct SavedMarks {
    /// Of all tables, not spread over them yet.
    all: Option<Reason>,
    tables: Vec<(TableId, Reason)>,
    /// The parts of each key; none: which keys they were was not saved.
    keys: Vec<(TableId, Reason, Vec<Vec<String>>)>,
}

/// How much of the marks is saved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum SavedKeys {
    /// Every key.
    Each,
    /// Only that there are some.
    TableOnly,
}

/// The marks, and who waits for one.
#[derive(Debug, Default)]
pub(super) struct Suspects {
    marks: Mutex<Marks>,
    raised: Notify,
}

impl Suspects {
    pub(super) fn mark(&self, mark: &Mark) {
        self.marks.lock().mark(mark);
        self.raised.notify_waiters();
    }

    pub(super) fn set_tables(&self, tables: Vec<TableId>) {
        self.marks.lock().set_tables(tables);
        self.raised.notify_waiters();
    }

    pub(super) fn is_suspect(&self, table: TableId) -> bool {
        self.marks.lock().is_suspect(table)
    }

    pub(super) fn any(&self) -> bool {
        self.marks.lock().any()
    }

    pub(super) fn all(&self) -> Option<(Reason, u64)> {
        self.marks.lock().unspread()
    }

    pub(super) fn tables(&self) -> Vec<Suspect> {
        self.marks.lock().suspect_tables()
    }

    pub(super) fn keys(&self) -> Vec<SuspectKeys> {
        self.marks.lock().suspect_keys()
    }

    pub(super) fn key_count(&self) -> u64 {
        self.marks.lock().key_count()
    }

    pub(super) fn clear_table(&self, table: TableId, generation: u64) {
        self.marks.lock().clear_table(table, generation);
    }

    pub(super) fn clear_keys(&self, healed: &SuspectKeys) {
        self.marks.lock().clear_keys(healed);
    }

    pub(super) fn save(&self, keys: SavedKeys) -> SavedMarks {
        self.marks.lock().save(keys)
    }

    pub(super) fn restore(&self, saved: &SavedMarks) {
        self.marks.lock().restore(saved);
    }

    /// Returns when there is something suspect.
    pub(super) async fn suspicion(&self) {
        loop {
            let raised = self.raised.notified();
            if self.any() {
                return;
            }
            raised.await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::effect::Touched;
    use crate::mirror::ledger::fixture::{key, mark_keys, mark_tables};

    const T: TableId = TableId(1);
    const U: TableId = TableId(2);

    fn mark_all(reason: Reason) -> Mark {
        Mark::Tables { touched: Touched::All, reason }
    }

    #[test]
    fn rule_26_a_mark_that_came_after_the_generation_stays() {
        let suspects = Suspects::default();
        suspects.mark(&mark_tables(&[T], Reason::Copy));
        suspects.mark(&mark_keys(U, &["a", "b"], Reason::Image));
        let (table, keys) = (suspects.tables().remove(0), suspects.keys().remove(0));
        suspects.mark(&mark_tables(&[T], Reason::Trigger));
        suspects.mark(&mark_keys(U, &["b"], Reason::Image));
        suspects.clear_table(T, table.generation);
        suspects.clear_keys(&keys);
        assert_eq!(suspects.tables()[0].cause.reason, Reason::Copy, "the reason is that of the first mark");
        assert_eq!(suspects.keys()[0].keys, [key("b")]);
        suspects.clear_table(T, suspects.tables()[0].generation);
        suspects.clear_table(U, suspects.keys()[0].generation);
        assert!(!suspects.any());
    }

    #[test]
    fn tables_come_oldest_mark_first_and_hide_their_keys() {
        let suspects = Suspects::default();
        suspects.mark(&mark_tables(&[U], Reason::Copy));
        suspects.mark(&mark_tables(&[T], Reason::Copy));
        suspects.mark(&mark_tables(&[U], Reason::Copy));
        suspects.mark(&mark_keys(T, &["a"], Reason::Image));
        assert_eq!(suspects.tables().iter().map(|s| s.table).collect::<Vec<_>>(), [U, T]);
        assert_eq!(suspects.keys(), []);
        suspects.clear_table(T, suspects.tables()[1].generation);
        assert_eq!(suspects.keys()[0].keys, [key("a")], "the key was marked after the table");
    }

    #[test]
    fn rule_23_too_many_keys_become_their_table() {
        let suspects = Suspects::default();
        for n in 0..=KEYS_PER_TABLE {
            suspects.mark(&mark_keys(T, &[&n.to_string()], Reason::Cascade));
        }
        assert_eq!(suspects.key_count(), 0);
        assert_eq!(suspects.tables()[0].cause.reason, Reason::Cascade);
    }

    fn refer(to: &str) -> Mark {
        let referring = Arc::new(Referring { table: T, columns: vec![("of".into(), "pg_catalog.text".into())] });
        Mark::Referring { referring, key: key(to), reason: Reason::Cascade }
    }

    #[test]
    fn rule_16_what_refers_to_a_row_is_suspect_until_it_was_looked_for() {
        let suspects = Suspects::default();
        suspects.mark(&refer("a"));
        let first = suspects.keys().remove(0);
        assert!(suspects.is_suspect(T) && first.keys.is_empty());
        assert_eq!(first.referring[0].1, [key("a")]);
        suspects.mark(&refer("b"));
        assert_eq!(suspects.key_count(), 2);
        suspects.clear_keys(&first);
        assert_eq!(suspects.keys()[0].referring[0].1, [key("b")], "marked since");
        let saved = suspects.save(SavedKeys::Each);
        let again = Suspects::default();
        again.restore(&saved);
        assert_eq!(again.tables()[0].table, T, "saved as its table");
        suspects.clear_keys(&suspects.keys()[0]);
        assert!(!suspects.any());
        suspects.mark(&refer("c"));
        suspects.clear_table(T, suspects.keys()[0].generation);
        assert!(!suspects.any());
        for n in 0..=KEYS_PER_TABLE {
            suspects.mark(&refer(&n.to_string()));
        }
        assert_eq!((suspects.key_count(), suspects.tables().len()), (0, 1));
    }

    #[test]
    fn a_mark_on_all_holds_for_tables_the_catalog_shows_later() {
        let suspects = Suspects::default();
        suspects.mark(&mark_all(Reason::Crash));
        assert!(suspects.is_suspect(T));
        assert!(suspects.any());
        assert_eq!(suspects.all().map(|(reason, _)| reason), Some(Reason::Crash));
        suspects.set_tables(vec![T]);
        assert_eq!(suspects.all(), None);
        suspects.clear_table(T, suspects.tables()[0].generation);
        assert!(!suspects.any() && !suspects.is_suspect(T));
        assert!(suspects.is_suspect(U), "made by what marked all, perhaps");
        suspects.set_tables(vec![T, U]);
        assert_eq!(suspects.tables()[0].table, U);
    }

    #[test]
    fn marks_on_dropped_tables_go_and_marks_on_tables_too_new_for_the_catalog_stay() {
        let suspects = Suspects::default();
        suspects.mark(&mark_tables(&[T], Reason::Crash));
        suspects.set_tables(vec![U]);
        assert!(!suspects.any());
        suspects.mark(&mark_tables(&[U, TableId(3)], Reason::Ddl));
        suspects.set_tables(vec![]);
        assert_eq!(suspects.tables().iter().map(|s| s.table).collect::<Vec<_>>(), [TableId(3)]);
    }

    #[test]
    fn marks_read_back_as_they_were_saved() {
        let suspects = Suspects::default();
        suspects.mark(&mark_tables(&[T], Reason::Copy));
        suspects.mark(&mark_keys(U, &["a", "b"], Reason::Image));
        let again = Suspects::default();
        again.restore(&suspects.save(SavedKeys::Each));
        assert_eq!(again.keys()[0].keys, [key("a"), key("b")]);
        assert_eq!(again.tables()[0].table, T);
        let coarse = Suspects::default();
        coarse.restore(&suspects.save(SavedKeys::TableOnly));
        assert_eq!(coarse.tables().iter().map(|s| s.table).collect::<Vec<_>>(), [T, U]);
        assert_eq!(coarse.key_count(), 0);
    }

    #[tokio::test]
    async fn suspicion_wakes_at_the_first_mark() {
        let suspects = std::sync::Arc::new(Suspects::default());
        let waiting = tokio::spawn({
            let suspects = suspects.clone();
            async move { suspects.suspicion().await }
        });
        tokio::task::yield_now().await;
        suspects.mark(&mark_keys(T, &["a"], Reason::Image));
        waiting.await.unwrap();
    }
}
