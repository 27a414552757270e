//! Two lists of row hashes, side by side.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::catalog::RowHash;
use crate::effect::Key;
use crate::report::DifferenceKind;

/// A row that is not the same on both sides; without key, all that are alike.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Differing {
    /// Which; without parts where there is no key.
    pub(super) key: Key,
    /// What is wrong.
    pub(super) kind: Kind,
    /// How many: one where there is a key.
    pub(super) rows: u64,
}

/// [`DifferenceKind`], ordered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(super) enum Kind {
    Missing,
    Extra,
    Different,
}

impl From<Kind> for DifferenceKind {
    fn from(kind: Kind) -> Self {
        match kind {
            Kind::Missing => Self::Missing,
            Kind::Extra => Self::Extra,
            Kind::Different => Self::Different,
        }
    }
}

/// What differs between the primary's rows and the shadow's, as multisets: rows with equal hashes cancel out first;
/// of the rest, two rows with one key are one row with other values.
pub(super) fn differences(mut primary: Vec<RowHash>, mut shadow: Vec<RowHash>) -> Vec<Differing> {
    cancel(&mut primary, &mut shadow);
    let mut extra: BTreeMap<Key, u64> = BTreeMap::new();
    for row in shadow {
        *extra.entry(row.key).or_default() += row.rows;
    }
    let mut found = Vec::new();
    for RowHash { key, rows, .. } in primary {
        // Without a key nothing says that two rows are one.
        let same = if key.parts().next().is_some() { extra.get_mut(&key) } else { None };
        let kind = match same {
            Some(count) if *count > 0 => {
                *count -= 1;
                Kind::Different
            }
            _ => Kind::Missing,
        };
        found.push(Differing { key, kind, rows });
    }
    let extra = extra.into_iter().filter(|(_, rows)| *rows > 0);
    found.extend(extra.map(|(key, rows)| Differing { key, kind: Kind::Extra, rows }));
    found
}

/// Takes out of both lists, once for once, what is in both.
fn cancel(primary: &mut Vec<RowHash>, shadow: &mut Vec<RowHash>) {
    for rows in [&mut *primary, &mut *shadow] {
        rows.sort_unstable_by_key(|row| row.hash);
    }
    let mut theirs = std::mem::take(shadow).into_iter().peekable();
    primary.retain_mut(|row| {
        while let Some(before) = theirs.next_if(|other| other.hash < row.hash) {
            shadow.push(before);
        }
        if let Some(other) = theirs.peek_mut().filter(|other| other.hash == row.hash) {
            let both = row.rows.min(other.rows);
            (row.rows, other.rows) = (row.rows - both, other.rows - both);
            if other.rows == 0 {
                theirs.next();
            }
        }
        row.rows > 0
    });
    shadow.extend(theirs);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn row(key: u8, value: u8) -> RowHash {
        RowHash {
            key: Key::new([key.to_string().as_str()]),
            hash: (i64::from(key) << 8 | i64::from(value), 7),
            rows: 1,
        }
    }

    fn keyless(value: u8, rows: u64) -> RowHash {
        RowHash { key: Key::new([]), hash: (i64::from(value), 7), rows }
    }

    #[test]
    fn changed_missing_and_extra_rows_are_told_apart() {
        let found = differences(vec![row(1, 1), row(2, 1), row(3, 1)], vec![row(4, 1), row(2, 9), row(1, 1)]);
        let of = |key: &str, kind| Differing { key: Key::new([key]), kind, rows: 1 };
        let mut expected = vec![of("2", Kind::Different), of("3", Kind::Missing), of("4", Kind::Extra)];
        expected.sort();
        let mut found = found;
        found.sort();
        assert_eq!(found, expected);
    }

    #[test]
    fn a_row_that_stands_twice_does_not_cancel_one_that_stands_once() {
        let found = differences(
            vec![keyless(1, 7), keyless(2, 1), keyless(4, 2)],
            vec![keyless(1, 4), keyless(3, 2), keyless(4, 5)],
        );
        let mut kinds: Vec<_> = found.iter().map(|row| (row.kind, row.rows)).collect();
        kinds.sort_unstable();
        assert_eq!(kinds, [(Kind::Missing, 1), (Kind::Missing, 3), (Kind::Extra, 5)]);
    }

    proptest! {
        #[test]
        fn keyed_rows_differ_exactly_as_maps_do(
            primary in prop::collection::btree_map(0u8..20, 0u8..3, 0..15),
            shadow in prop::collection::btree_map(0u8..20, 0u8..3, 0..15),
        ) {
            let rows = |map: &BTreeMap<u8, u8>| map.iter().rev().map(|(&key, &value)| row(key, value)).collect();
            let mut found = differences(rows(&primary), rows(&shadow));
            let mut expected = Vec::new();
            for key in 0..20u8 {
                let kind = match (primary.get(&key), shadow.get(&key)) {
                    (Some(ours), Some(theirs)) if ours != theirs => Kind::Different,
                    (Some(_), None) => Kind::Missing,
                    (None, Some(_)) => Kind::Extra,
                    _ => continue,
                };
                expected.push(Differing { key: row(key, 0).key, kind, rows: 1 });
            }
            found.sort();
            expected.sort();
            prop_assert_eq!(found, expected);
        }
    }
}
