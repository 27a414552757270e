//! What may differ on the shadow: marks on tables and keys, until they are healed.
//!
//! Every mark bears a generation. Who heals reads it first, then asks the primary, then clears up to it: a mark that
//! came in between stays (rule 26).

use std::collections::{HashMap, HashSet};

use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use tokio::sync::Notify;

use crate::effect::{Key, Mark, Reason, TableId, Touched};

/// Keys marked in one table; beyond it the table is (rule 23).
const KEYS_PER_TABLE: usize = 10_000;

/// A table that is to be read back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Suspect {
    /// Which.
    pub table: TableId,
    /// Why (of the first mark).
    pub reason: Reason,
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
    /// Why (of the first mark).
    pub reason: Reason,
    /// Clears marks up to it, see [`Mirror::clear_keys`](super::Mirror::clear_keys).
    pub generation: u64,
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
        self.marks.lock().keys.values().map(|marked| marked.keys.len() as u64).sum()
    }

    pub(super) fn clear_table(&self, table: TableId, generation: u64) {
        self.marks.lock().clear_table(table, generation);
    }

    pub(super) fn clear_keys(&self, table: TableId, keys: &[Key], generation: u64) {
        self.marks.lock().clear_keys(table, keys, generation);
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

/// Marks on a whole table.
#[derive(Debug, Clone, Copy)]
struct TableMark {
    reason: Reason,
    first: u64,
    latest: u64,
}

/// Marks on single keys of a table.
#[derive(Debug)]
struct KeyMarks {
    reason: Reason,
    first: u64,
    keys: HashMap<Key, u64>,
}

#[derive(Debug, Default)]
struct Marks {
    generation: u64,
    tables: HashMap<TableId, TableMark>,
    keys: HashMap<TableId, KeyMarks>,
    /// The last mark on all tables: it holds for tables that the catalog shows later, too.
    all: Option<(Reason, u64)>,
    /// The tables of the catalog, and those marked before it was loaded.
    known: HashSet<TableId>,
    loaded: bool,
}

impl Marks {
    fn mark(&mut self, mark: &Mark) {
        self.generation += 1;
        match mark {
            Mark::Keys { table, keys, reason } => self.mark_keys(*table, keys, *reason),
            Mark::Tables { touched: Touched::Tables(tables), reason } => {
                tables.iter().for_each(|table| self.mark_table(*table, *reason));
            }
            Mark::Tables { touched: Touched::All, reason } => {
                self.all = Some((*reason, self.generation));
                let known: Vec<_> = self.known.iter().copied().collect();
                known.into_iter().for_each(|table| self.mark_table(table, *reason));
            }
        }
    }

    fn mark_table(&mut self, table: TableId, reason: Reason) {
        let generation = self.generation;
        let mark = self.tables.entry(table).or_insert(TableMark { reason, first: generation, latest: generation });
        mark.latest = generation;
        self.keys.remove(&table);
        self.expect_until_loaded(table);
    }

    fn mark_keys(&mut self, table: TableId, keys: &[Key], reason: Reason) {
        if keys.is_empty() {
            return;
        }
        let generation = self.generation;
        let marked =
            self.keys.entry(table).or_insert_with(|| KeyMarks { reason, first: generation, keys: HashMap::new() });
        marked.keys.extend(keys.iter().map(|key| (key.clone(), generation)));
        if marked.keys.len() > KEYS_PER_TABLE {
            let first = marked.reason;
            self.mark_table(table, first);
        }
        self.expect_until_loaded(table);
    }

    /// A table marked before the catalog was loaded is dropped if the catalog does not have it.
    fn expect_until_loaded(&mut self, table: TableId) {
        if !self.loaded {
            self.known.insert(table);
        }
    }

    fn set_tables(&mut self, tables: Vec<TableId>) {
        let listed: HashSet<_> = tables.into_iter().collect();
        let gone: Vec<_> = self.known.difference(&listed).copied().collect();
        for table in gone {
            self.tables.remove(&table);
            self.keys.remove(&table);
        }
        if let Some((reason, _)) = self.all {
            self.generation += 1;
            let new: Vec<_> = listed.difference(&self.known).copied().collect();
            new.into_iter().for_each(|table| self.mark_table(table, reason));
        }
        self.known = listed;
        self.loaded = true;
    }

    fn is_suspect(&self, table: TableId) -> bool {
        self.tables.contains_key(&table)
            || self.keys.contains_key(&table)
            || (self.all.is_some() && !self.known.contains(&table))
    }

    fn any(&self) -> bool {
        !self.tables.is_empty() || !self.keys.is_empty() || self.unspread().is_some()
    }

    /// The mark on all tables, as long as it is not known which they are.
    fn unspread(&self) -> Option<(Reason, u64)> {
        self.all.filter(|_| !self.loaded)
    }

    fn suspect_tables(&self) -> Vec<Suspect> {
        let mut marks: Vec<_> = self.tables.iter().collect();
        marks.sort_unstable_by_key(|(table, mark)| (mark.first, **table));
        let suspect = |(table, mark): (&TableId, &TableMark)| Suspect {
            table: *table,
            reason: mark.reason,
            generation: mark.latest,
        };
        marks.into_iter().map(suspect).collect()
    }

    /// Keys of tables that are suspect as a whole wait until the table is read back.
    fn suspect_keys(&self) -> Vec<SuspectKeys> {
        let mut marks: Vec<_> = self.keys.iter().filter(|(table, _)| !self.tables.contains_key(table)).collect();
        marks.sort_unstable_by_key(|(table, marked)| (marked.first, **table));
        let suspect = |(table, marked): (&TableId, &KeyMarks)| {
            let mut keys: Vec<_> = marked.keys.keys().cloned().collect();
            keys.sort_unstable();
            SuspectKeys { table: *table, keys, reason: marked.reason, generation: self.generation }
        };
        marks.into_iter().map(suspect).collect()
    }

    fn clear_table(&mut self, table: TableId, generation: u64) {
        if self.tables.get(&table).is_some_and(|mark| mark.latest <= generation) {
            self.tables.remove(&table);
        }
        self.retain_keys(table, |_, marked| marked > generation);
    }

    fn clear_keys(&mut self, table: TableId, keys: &[Key], generation: u64) {
        let healed: HashSet<_> = keys.iter().collect();
        self.retain_keys(table, |key, marked| marked > generation || !healed.contains(key));
    }

    fn retain_keys(&mut self, table: TableId, keep: impl Fn(&Key, u64) -> bool) {
        if let Some(marked) = self.keys.get_mut(&table) {
            marked.keys.retain(|key, generation| keep(key, *generation));
            if marked.keys.is_empty() {
                self.keys.remove(&table);
            }
        }
    }

    fn save(&self, keys: SavedKeys) -> SavedMarks {
        let parts = |key: &Key| key.parts().map(str::to_owned).collect();
        let saved = |marked: &KeyMarks| match keys {
            SavedKeys::Each => marked.keys.keys().map(parts).collect(),
            SavedKeys::TableOnly => Vec::new(),
        };
        let mut tables: Vec<_> = self.tables.iter().map(|(table, mark)| (*table, mark.reason)).collect();
        tables.sort_unstable_by_key(|(table, _)| *table);
        let mut by_key: Vec<_> = self.keys.iter().map(|(table, m)| (*table, m.reason, saved(m))).collect();
        by_key.sort_unstable_by_key(|(table, ..)| *table);
        SavedMarks { all: self.unspread().map(|(reason, _)| reason), tables, keys: by_key }
    }

    fn restore(&mut self, saved: &SavedMarks) {
        if let Some(reason) = saved.all {
            self.mark(&Mark::Tables { touched: Touched::All, reason });
        }
        for (table, reason) in &saved.tables {
            self.mark(&Mark::Tables { touched: Touched::Tables(vec![*table]), reason: *reason });
        }
        for (table, reason, keys) in &saved.keys {
            let keys: Vec<_> = keys.iter().map(|parts| Key::new(parts.iter().map(String::as_str))).collect();
            let mark = if keys.is_empty() {
                Mark::Tables { touched: Touched::Tables(vec![*table]), reason: *reason }
            } else {
                Mark::Keys { table: *table, keys, reason: *reason }
            };
            self.mark(&mark);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
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
        suspects.clear_keys(U, &keys.keys, keys.generation);
        assert_eq!(suspects.tables()[0].reason, Reason::Copy, "the reason is that of the first mark");
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
        assert_eq!(suspects.tables()[0].reason, Reason::Cascade);
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
