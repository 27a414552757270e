//! Which unique index identifies a row (rule 14).

use super::facts::{ColumnFact, IndexFact};
use super::types::Types;
use super::{ColumnFacts, KeyKind};

/// The key of a table and its rivals.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Keys {
    /// Indexes into the columns, in the order of the index; empty without a key.
    pub(super) chosen: Vec<usize>,
    pub(super) kind: KeyKind,
    /// Column names of every index that could have been chosen, sorted.
    pub(super) unique: Vec<Vec<String>>,
}

/// Chooses among `indexes`, all of one table, for the table's `columns`: identity by text before anything else, then
/// the primary key, then the replica identity, then the shortest.
pub(super) fn choose(
    indexes: &[&IndexFact],
    columns: &[&ColumnFact],
    facts: &[ColumnFacts],
    types: &Types<'_>,
) -> Keys {
    let mut candidates: Vec<_> =
        indexes.iter().filter_map(|index| Some((*index, positions(index, columns, types)?))).collect();
    let kind_of = |positions: &[usize]| positions.iter().map(|&at| facts[at].kind).max().unwrap_or(KeyKind::None);
    let names_of = |positions: &[usize]| {
        let mut names: Vec<_> = positions.iter().map(|&at| columns[at].name.clone()).collect();
        names.sort_unstable();
        names
    };
    candidates.sort_by_cached_key(|(index, positions)| {
        let opaque = kind_of(positions) == KeyKind::Opaque;
        (opaque, !index.primary, !index.replica_identity, positions.len(), names_of(positions))
    });
    let unique = candidates.iter().map(|(_, positions)| names_of(positions)).collect();
    let chosen = candidates.into_iter().next().map(|(_, positions)| positions).unwrap_or_default();
    Keys { kind: kind_of(&chosen), chosen, unique }
}

/// Where the index's columns stand, if it can serve as key: none of them may be NULL, or computed from columns that a
/// SET could change unseen.
fn positions(index: &IndexFact, columns: &[&ColumnFact], types: &Types<'_>) -> Option<Vec<usize>> {
    if !index.usable || index.columns.is_empty() {
        return None;
    }
    let position = |(number, collation): (&i16, &u32)| {
        let at = columns.iter().position(|column| column.number == *number)?;
        let column = columns[at];
        let fit = column.not_null && !column.generated && !types.is_looser(*collation, column.collation);
        fit.then_some(at)
    };
    index.columns.iter().zip(&index.collations).map(position).collect()
}
