//! The marks themselves. Without waiting, and without a lock.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use super::{Cause, KEYS_PER_TABLE, SavedKeys, SavedMarks, Suspect, SuspectKeys};
use crate::effect::{Key, Mark, Reason, Referring, TableId, Touched};

/// Marks on a whole table.
#[derive(Debug, Clone, Copy)]
struct TableMark {
    cause: Cause,
    first: u64,
    latest: u64,
}

/// Marks on single keys of a table.
#[derive(Debug)]
struct KeyMarks {
    cause: Cause,
    first: u64,
    keys: HashMap<Key, u64>,
    /// By how rows refer, and to what.
    referring: HashMap<Arc<Referring>, HashMap<Key, u64>>,
}

impl KeyMarks {
    fn len(&self) -> usize {
        self.keys.len() + self.referring.values().map(HashMap::len).sum::<usize>()
    }
}

/// All marks.
#[derive(Debug, Default)]
pub(super) struct Marks {
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
    pub(super) fn mark(&mut self, mark: &Mark) {
        self.generation += 1;
        match mark {
            Mark::Keys { table, keys, reason } => self.mark_keys(*table, keys, *reason),
            Mark::Referring { referring, key, reason } => self.mark_referring(referring, key, *reason),
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
        let new = || TableMark { cause: Cause::new(reason, generation), first: generation, latest: generation };
        let mark = self.tables.entry(table).or_insert_with(new);
        (mark.cause, mark.latest) = (mark.cause.and(reason, generation), generation);
        if let Some(keys) = self.keys.remove(&table) {
            mark.cause.is_asked |= keys.cause.is_asked;
            mark.cause.refused = mark.cause.refused.max(keys.cause.refused);
        }
        self.expect_until_loaded(table);
    }

    fn mark_keys(&mut self, table: TableId, keys: &[Key], reason: Reason) {
        if keys.is_empty() {
            return;
        }
        let generation = self.generation;
        self.key_marks(table, reason).keys.extend(keys.iter().map(|key| (key.clone(), generation)));
        self.bound_keys(table);
        self.expect_until_loaded(table);
    }

    fn mark_referring(&mut self, referring: &Arc<Referring>, key: &Key, reason: Reason) {
        let generation = self.generation;
        let marked = self.key_marks(referring.table, reason);
        marked.referring.entry(Arc::clone(referring)).or_default().insert(key.clone(), generation);
        self.bound_keys(referring.table);
        self.expect_until_loaded(referring.table);
    }

    fn key_marks(&mut self, table: TableId, reason: Reason) -> &mut KeyMarks {
        let first = self.generation;
        let new =
            || KeyMarks { cause: Cause::new(reason, first), first, keys: HashMap::new(), referring: HashMap::new() };
        let marked = self.keys.entry(table).or_insert_with(new);
        marked.cause = marked.cause.and(reason, first);
        marked
    }

    fn bound_keys(&mut self, table: TableId) {
        if let Some(marked) = self.keys.get(&table).filter(|marked| marked.len() > KEYS_PER_TABLE) {
            let first = marked.cause.reason;
            self.mark_table(table, first);
        }
    }

    /// A table marked before the catalog was loaded is dropped if the catalog does not have it.
    fn expect_until_loaded(&mut self, table: TableId) {
        if !self.loaded {
            self.known.insert(table);
        }
    }

    pub(super) fn set_tables(&mut self, tables: Vec<TableId>) {
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

    pub(super) fn is_suspect(&self, table: TableId) -> bool {
        self.tables.contains_key(&table)
            || self.keys.contains_key(&table)
            || (self.all.is_some() && !self.known.contains(&table))
    }

    pub(super) fn any(&self) -> bool {
        !self.tables.is_empty() || !self.keys.is_empty() || self.unspread().is_some()
    }

    pub(super) fn key_count(&self) -> u64 {
        self.keys.values().map(|marked| marked.len() as u64).sum()
    }

    /// The mark on all tables, as long as it is not known which they are.
    pub(super) fn unspread(&self) -> Option<(Reason, u64)> {
        self.all.filter(|_| !self.loaded)
    }

    pub(super) fn suspect_tables(&self) -> Vec<Suspect> {
        let mut marks: Vec<_> = self.tables.iter().collect();
        marks.sort_unstable_by_key(|(table, mark)| (mark.first, **table));
        let suspect = |(table, mark): (&TableId, &TableMark)| Suspect {
            table: *table,
            cause: mark.cause,
            generation: mark.latest,
        };
        marks.into_iter().map(suspect).collect()
    }

    /// Keys of tables that are suspect as a whole wait until the table is read back.
    pub(super) fn suspect_keys(&self) -> Vec<SuspectKeys> {
        let mut marks: Vec<_> = self.keys.iter().filter(|(table, _)| !self.tables.contains_key(table)).collect();
        marks.sort_unstable_by_key(|(table, marked)| (marked.first, **table));
        let suspect = |(table, marked): (&TableId, &KeyMarks)| {
            let mut keys: Vec<_> = marked.keys.keys().cloned().collect();
            keys.sort_unstable();
            let to = |(referring, to): (&Arc<Referring>, &HashMap<Key, u64>)| {
                (Arc::clone(referring), to.keys().cloned().collect())
            };
            let referring = marked.referring.iter().map(to).collect();
            SuspectKeys { table: *table, keys, referring, cause: marked.cause, generation: self.generation }
        };
        marks.into_iter().map(suspect).collect()
    }

    pub(super) fn clear_table(&mut self, table: TableId, generation: u64) {
        if self.tables.get(&table).is_some_and(|mark| mark.latest <= generation) {
            self.tables.remove(&table);
        }
        self.retain_keys(table, |marked| {
            marked.keys.retain(|_, marked| *marked > generation);
            marked.referring.values_mut().for_each(|to| to.retain(|_, marked| *marked > generation));
        });
    }

    pub(super) fn clear_keys(&mut self, healed: &SuspectKeys) {
        let SuspectKeys { table, keys, referring, generation, .. } = healed;
        self.retain_keys(*table, |marked| {
            clear(&mut marked.keys, keys, *generation);
            for (how, to) in referring {
                if let Some(marked) = marked.referring.get_mut(how) {
                    clear(marked, to, *generation);
                }
            }
        });
    }

    fn retain_keys(&mut self, table: TableId, clear: impl Fn(&mut KeyMarks)) {
        if let Some(marked) = self.keys.get_mut(&table) {
            clear(marked);
            marked.referring.retain(|_, to| !to.is_empty());
            if marked.len() == 0 {
                self.keys.remove(&table);
            }
        }
    }

    pub(super) fn save(&self, keys: SavedKeys) -> SavedMarks {
        let parts = |key: &Key| key.parts().map(str::to_owned).collect();
        let saved = |marked: &KeyMarks| match keys {
            SavedKeys::Each => marked.keys.keys().map(parts).collect(),
            SavedKeys::TableOnly => Vec::new(),
        };
        let mut tables: Vec<_> = self.tables.iter().map(|(table, mark)| (*table, mark.cause.saved())).collect();
        // What refers to a key is saved as its table.
        let referring = |(_, marked): &(&TableId, &KeyMarks)| !marked.referring.is_empty();
        tables.extend(self.keys.iter().filter(referring).map(|(table, marked)| (*table, marked.cause.saved())));
        tables.sort_unstable_by_key(|(table, _)| *table);
        tables.dedup_by_key(|(table, _)| *table);
        let keyed = self.keys.iter().filter(|(_, marked)| !marked.keys.is_empty());
        let mut by_key: Vec<_> = keyed.map(|(table, marked)| (*table, marked.cause.saved(), saved(marked))).collect();
        by_key.sort_unstable_by_key(|(table, ..)| *table);
        SavedMarks { all: self.unspread().map(|(reason, _)| reason), tables, keys: by_key }
    }

    pub(super) fn restore(&mut self, saved: &SavedMarks) {
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

/// Clears those of `keys` that were marked up to `generation`.
fn clear(marked: &mut HashMap<Key, u64>, keys: &[Key], generation: u64) {
    for key in keys {
        if marked.get(key).is_some_and(|marked| *marked <= generation) {
            marked.remove(key);
        }
    }
}
