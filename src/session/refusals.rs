//! The tables of which the primary refused a rewritten statement though the catalog let it pass (rule 12).
//!
//! The refusal may be the client's own, which cannot always be told. So that it does not come again if it was not, the
//! table is not rewritten in this session any more until the catalog has been read anew.

use crate::effect::TableId;

/// What is known of a table that refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refusal {
    /// The catalog has not been read since: the table may be anything.
    New,
    /// It has, and knows of no reason: a table it is.
    Repeated,
}

/// Of one session.
#[derive(Debug, Default)]
pub(super) struct Refusals {
    /// Of the catalog under which `tables` refused.
    generation: u64,
    tables: Vec<(TableId, Refusal)>,
    /// Every table that ever refused: for each the catalog is read anew once, lest a client's own errors do it for ever.
    ever: Vec<TableId>,
}

impl Refusals {
    /// A table refused under this catalog. Whether that is to be read anew.
    pub(super) fn note(&mut self, table: TableId, generation: u64) -> bool {
        if self.generation != generation {
            self.tables.clear();
            self.generation = generation;
        }
        if self.tables.iter().any(|(known, _)| *known == table) {
            return false;
        }
        let first = !self.ever.contains(&table);
        if first {
            self.ever.push(table);
        }
        self.tables.push((table, if first { Refusal::New } else { Refusal::Repeated }));
        first
    }

    /// Whether a table refused under this catalog.
    pub(super) fn of(&self, table: TableId, generation: u64) -> Option<Refusal> {
        let known = if self.generation == generation { self.tables.as_slice() } else { &[] };
        known.iter().find(|(known, _)| *known == table).map(|(_, refusal)| *refusal)
    }

    /// How many refused under this catalog.
    pub(super) fn count(&self, generation: u64) -> usize {
        if self.generation == generation { self.tables.len() } else { 0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_that_refused_counts_until_the_catalog_is_read_anew_which_is_asked_for_once() {
        let (mut refusals, table) = (Refusals::default(), TableId(1));
        assert!(refusals.note(table, 1) && !refusals.note(table, 1));
        assert_eq!((refusals.of(table, 1), refusals.count(1)), (Some(Refusal::New), 1));
        assert_eq!((refusals.of(table, 2), refusals.count(2)), (None, 0));
        assert_eq!(refusals.of(TableId(2), 1), None);
        assert!(!refusals.note(table, 2));
        assert_eq!((refusals.of(table, 2), refusals.of(table, 3)), (Some(Refusal::Repeated), None));
        assert!(refusals.note(TableId(2), 2));
    }
}
