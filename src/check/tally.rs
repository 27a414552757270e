//! The confirmed differences of one table: exact counts, and keys up to a bound.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

use super::diff::{Differing, Kind};
use crate::effect::Key;

/// Keys held per table.
const KEYS: usize = 10_000;

/// What the last check confirmed, less what has been repaired since.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(super) struct Tally {
    pub(super) missing: u64,
    pub(super) extra: u64,
    pub(super) different: u64,
    #[serde(with = "pairs")]
    keys: HashMap<Key, Kind>,
}

impl Tally {
    /// Counts a confirmed difference; one that is known already counts once.
    pub(super) fn confirm(&mut self, found: &Differing) {
        let keyed = found.key.parts().next().is_some();
        if keyed && let Some(known) = self.keys.get(&found.key).copied() {
            *self.count(known) -= 1;
            self.keys.insert(found.key.clone(), found.kind);
        } else if keyed && self.keys.len() < KEYS {
            self.keys.insert(found.key.clone(), found.kind);
        }
        *self.count(found.kind) += found.rows;
    }

    /// The row of `key` is the same on both sides now. False if it was not known to differ.
    pub(super) fn resolve(&mut self, key: &Key) -> bool {
        let Some(kind) = self.keys.remove(key) else { return false };
        *self.count(kind) -= 1;
        true
    }

    /// Differences left.
    pub(super) fn total(&self) -> u64 {
        self.missing + self.extra + self.different
    }

    /// Those held of whose keys `other` knows nothing.
    pub(super) fn beyond(&self, other: &Self) -> Vec<Differing> {
        let unseen = self.keys.iter().filter(|(key, _)| !other.keys.contains_key(key));
        unseen.map(|(key, &kind)| Differing { key: key.clone(), kind, rows: 1 }).collect()
    }

    /// The keys held, in order.
    pub(super) fn keys(&self) -> Vec<Key> {
        let mut keys: Vec<_> = self.keys.keys().cloned().collect();
        keys.sort_unstable();
        keys
    }

    /// The keys, when every difference has one and all are held.
    pub(super) fn all_keys(&self) -> Option<Vec<Key>> {
        (self.keys.len() as u64 == self.total()).then(|| self.keys.keys().cloned().collect())
    }

    /// Some of the differences, at most so many: those with the least keys, else, where there are none, by kind.
    pub(super) fn examples(&self, most: usize) -> Vec<Differing> {
        if self.keys.is_empty() {
            let kinds = [(Kind::Missing, self.missing), (Kind::Extra, self.extra), (Kind::Different, self.different)];
            let of = |(kind, count): (Kind, u64)| std::iter::repeat_n(kind, usize::try_from(count).unwrap_or(most));
            let kinds = kinds.into_iter().flat_map(of).take(most);
            return kinds.map(|kind| Differing { key: Key::new([]), kind, rows: 1 }).collect();
        }
        let mut keyed: Vec<_> =
            self.keys.iter().map(|(key, &kind)| Differing { key: key.clone(), kind, rows: 1 }).collect();
        keyed.sort_unstable();
        keyed.truncate(most);
        keyed
    }

    fn count(&mut self, kind: Kind) -> &mut u64 {
        match kind {
            Kind::Missing => &mut self.missing,
            Kind::Extra => &mut self.extra,
            Kind::Different => &mut self.different,
        }
    }
}

/// JSON has no maps by key.
mod pairs {
    use std::collections::HashMap;

    use serde::{Deserialize, Deserializer, Serializer};

    use super::{Key, Kind};

    pub(super) fn serialize<S: Serializer>(keys: &HashMap<Key, Kind>, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(keys)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<HashMap<Key, Kind>, D::Error> {
        Ok(Vec::<(Key, Kind)>::deserialize(deserializer)?.into_iter().collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(key: &str, kind: Kind) -> Differing {
        Differing { key: Key::new([key]), kind, rows: 1 }
    }

    #[test]
    fn a_key_found_twice_counts_once_as_it_was_found_last() {
        let mut tally = Tally::default();
        tally.confirm(&of("1", Kind::Missing));
        tally.confirm(&of("1", Kind::Different));
        assert_eq!((tally.missing, tally.different, tally.total()), (0, 1, 1));
        assert!(tally.resolve(&Key::new(["1"])));
        assert!(!tally.resolve(&Key::new(["1"])));
        assert_eq!(tally.total(), 0);
    }

    #[test]
    fn what_was_kept_is_read_back_the_same() {
        let mut tally = Tally::default();
        tally.confirm(&of("1", Kind::Missing));
        tally.confirm(&of("2", Kind::Different));
        let mut read: Tally = serde_json::from_str(&serde_json::to_string(&tally).unwrap()).unwrap();
        assert_eq!(read.examples(9), tally.examples(9));
        assert!(read.resolve(&Key::new(["2"])));
        assert_eq!((read.missing, read.different), (1, 0));
    }

    #[test]
    fn counts_stay_exact_where_keys_are_too_many_to_hold() {
        let mut tally = Tally::default();
        for key in 0..KEYS + 5 {
            tally.confirm(&of(&key.to_string(), Kind::Extra));
        }
        assert_eq!(tally.extra, KEYS as u64 + 5);
        assert_eq!(tally.all_keys(), None);
    }

    #[test]
    fn rows_without_key_count_each() {
        let mut tally = Tally::default();
        let row = Differing { key: Key::new([]), kind: Kind::Missing, rows: 1 };
        tally.confirm(&row);
        tally.confirm(&row);
        tally.confirm(&Differing { rows: 10_000_000, ..row.clone() });
        assert_eq!(tally.missing, 10_000_002);
        assert_eq!(tally.all_keys(), None);
        assert_eq!(tally.examples(2), [row.clone(), row.clone()]);
        assert_eq!(tally.examples(1), [row]);
    }
}
