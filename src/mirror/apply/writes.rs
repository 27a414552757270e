//! What a batch writes: two batches run in parallel only where their write sets do not meet (rule 19).

use std::collections::{HashMap, HashSet};

use crate::effect::{Key, TableId};

/// The keys, tables, or everything that is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum WriteSet {
    /// Nothing may run beside it: a replayed statement.
    Everything,
    /// These places.
    Places(HashMap<Place, Reach>),
}

/// Where something is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Place {
    /// A table.
    Table(TableId),
    /// All tables bound by foreign keys that the shadow checks: one place, because a check looks across tables.
    ForeignKeys,
}

/// How much of a place is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Reach {
    /// Rows with these keys.
    Keys(HashSet<Key>),
    /// It is not known which rows, or they depend on each other.
    Whole,
}

impl Default for WriteSet {
    fn default() -> Self {
        Self::Places(HashMap::new())
    }
}

impl WriteSet {
    /// Adds one row. Rows of a table without key meet only what reaches the whole of it.
    pub(super) fn add_key(&mut self, table: TableId, key: &Key) {
        let Self::Places(places) = self else { return };
        match places.entry(Place::Table(table)).or_insert_with(|| Reach::Keys(HashSet::new())) {
            Reach::Whole => {}
            Reach::Keys(_) if key.is_empty() => {}
            Reach::Keys(keys) => {
                keys.insert(key.clone());
            }
        }
    }

    /// Adds all of a place.
    pub(super) fn add_whole(&mut self, place: Place) {
        if let Self::Places(places) = self {
            places.insert(place, Reach::Whole);
        }
    }

    /// Adds what `other` holds.
    pub(super) fn extend(&mut self, other: &Self) {
        let Self::Places(theirs) = other else {
            *self = Self::Everything;
            return;
        };
        let Self::Places(mine) = self else { return };
        for (place, reach) in theirs {
            match (mine.entry(*place).or_insert_with(|| Reach::Keys(HashSet::new())), reach) {
                (Reach::Whole, _) => {}
                (Reach::Keys(keys), Reach::Keys(more)) => keys.extend(more.iter().cloned()),
                (slot, Reach::Whole) => *slot = Reach::Whole,
            }
        }
    }

    /// Whether the order of the two matters.
    pub(super) fn meets(&self, other: &Self) -> bool {
        let (Self::Places(mine), Self::Places(theirs)) = (self, other) else { return true };
        let (few, many) = if mine.len() <= theirs.len() { (mine, theirs) } else { (theirs, mine) };
        few.iter().any(|(place, reach)| many.get(place).is_some_and(|against| reach.meets(against)))
    }

    /// Whether any of `place` is in it.
    pub(super) fn holds(&self, place: Place) -> bool {
        match self {
            Self::Everything => true,
            Self::Places(places) => places.contains_key(&place),
        }
    }
}

impl Reach {
    fn meets(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Keys(mine), Self::Keys(theirs)) => !mine.is_disjoint(theirs),
            _ => true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(table: u32, keys: &[&str]) -> WriteSet {
        let mut set = WriteSet::default();
        for key in keys {
            set.add_key(TableId(table), &Key::new([*key]));
        }
        set
    }

    #[test]
    fn rule_19_sets_meet_in_a_key_a_whole_table_or_a_barrier() {
        let mut whole = WriteSet::default();
        whole.add_whole(Place::Table(TableId(1)));
        assert!(keys(1, &["a", "b"]).meets(&keys(1, &["b"])));
        assert!(!keys(1, &["a"]).meets(&keys(1, &["b"])));
        assert!(!keys(1, &["a"]).meets(&keys(2, &["a"])));
        assert!(keys(1, &["a"]).meets(&whole));
        assert!(!keys(2, &["a"]).meets(&whole));
        assert!(WriteSet::Everything.meets(&WriteSet::default()));
    }

    #[test]
    fn a_union_meets_what_its_parts_meet() {
        let mut union = keys(1, &["a"]);
        union.extend(&keys(1, &["b"]));
        union.extend(&keys(2, &["c"]));
        assert!(union.meets(&keys(1, &["b"])) && union.meets(&keys(2, &["c"])) && !union.meets(&keys(2, &["a"])));
        let mut whole = WriteSet::default();
        whole.add_whole(Place::Table(TableId(2)));
        union.extend(&whole);
        assert!(union.meets(&keys(2, &["a"])));
        union.extend(&WriteSet::Everything);
        assert!(union.meets(&keys(9, &["z"])));
    }
}
