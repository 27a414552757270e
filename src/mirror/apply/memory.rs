//! The last stamp of each key, for as long as an older write to it may still arrive (rule 4): on one key the newer
//! stamp wins, whatever the order of arrival. Deletes are remembered like any other write; refreshes are not (rule 25).

use std::collections::{HashMap, VecDeque};

use super::horizon::Passed;
use crate::effect::{Key, RowChange, Seq, Stamp, TableId, Touched};

/// What is to become of a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// The newest known of its key.
    Apply,
    /// A newer write of its key came before it.
    Superseded,
    /// Whether a newer write came is forgotten: its key is to be read back.
    Late,
    /// The newest known of its key, but a statement that is not ordered with it may have come in between (rule 6): to
    /// be applied, and its key read back.
    Doubtful,
}

/// Remembers stamps, bounded in bytes.
#[derive(Debug)]
pub(super) struct Memory {
    stamps: HashMap<TableId, HashMap<Key, Remembered>>,
    /// In the order in which they were set; one whose key was set again since is passed over.
    order: VecDeque<(Place, TableId, Key)>,
    bytes: usize,
    max_bytes: usize,
    forgotten: Option<Forgotten>,
    barriers: Vec<(Place, Touched)>,
}

/// When something was set, and how long it holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Place {
    seq: Seq,
    horizon: u64,
}

#[derive(Debug, Clone, Copy)]
struct Remembered {
    stamp: Stamp,
    set: Place,
}

/// What was forced out before its time: an unknown key may have had a stamp up to `newest`.
#[derive(Debug, Clone, Copy)]
struct Forgotten {
    newest: Stamp,
    set: Place,
}

/// About what one remembered key takes beside its own text, which is held twice.
const OVERHEAD: usize = 160;

/// Past so many, the newest is widened instead.
const MAX_BARRIERS: usize = 64;

impl Place {
    fn is_past(self, passed: Passed) -> bool {
        self.seq <= passed.upto && self.horizon < passed.below
    }
}

impl Memory {
    /// Holds about `max_bytes`.
    pub(super) fn new(max_bytes: usize) -> Self {
        Self {
            stamps: HashMap::new(),
            order: VecDeque::new(),
            bytes: 0,
            max_bytes,
            forgotten: None,
            barriers: Vec::new(),
        }
    }

    /// Judges a change of the entry at `seq` and remembers its stamp. Entries come in the order of the ledger; one
    /// may come again.
    pub(super) fn admit(&mut self, seq: Seq, horizon: u64, change: &RowChange) -> Verdict {
        let (table, key, stamp) = (change.shape.table, &change.key, change.stamp);
        if key.is_empty() {
            // Rows without a key have no order among each other.
            return self.behind_barriers(seq, table);
        }
        match self.stamps.get(&table).and_then(|keys| keys.get(key)) {
            Some(known) if known.stamp > stamp => return Verdict::Superseded,
            None if self.forgotten.is_some_and(|forgotten| forgotten.newest > stamp) => return Verdict::Late,
            _ => {}
        }
        self.remember(Place { seq, horizon }, table, key, stamp);
        self.behind_barriers(seq, table)
    }

    fn behind_barriers(&self, seq: Seq, table: TableId) -> Verdict {
        let doubtful = self.barriers.iter().any(|(set, touched)| set.seq < seq && touched.contains(table));
        if doubtful { Verdict::Doubtful } else { Verdict::Apply }
    }

    /// A statement was replayed: rows written before it may still arrive, and bear no order with it.
    pub(super) fn barrier(&mut self, seq: Seq, horizon: u64, touched: &Touched) {
        let set = Place { seq, horizon };
        let full = self.barriers.len() >= MAX_BARRIERS;
        match self.barriers.last_mut() {
            Some((last, _)) if last.seq >= seq => {}
            Some((last, all)) if full => {
                *last = set;
                all.extend(touched);
            }
            _ => self.barriers.push((set, touched.clone())),
        }
    }

    /// Lets go of what nothing can arrive behind any more.
    pub(super) fn pass(&mut self, passed: Passed) {
        while self.order.front().is_some_and(|(set, ..)| set.is_past(passed)) {
            self.forget_oldest();
        }
        self.barriers.retain(|(set, _)| !set.is_past(passed));
        self.forgotten = self.forgotten.filter(|forgotten| !forgotten.set.is_past(passed));
    }

    fn remember(&mut self, set: Place, table: TableId, key: &Key, stamp: Stamp) {
        let keys = self.stamps.entry(table).or_default();
        let known = keys.insert(key.clone(), Remembered { stamp, set });
        if known.is_some_and(|known| known.set == set) {
            return;
        }
        self.order.push_back((set, table, key.clone()));
        self.bytes += cost(key);
        while self.bytes > self.max_bytes
            && let Some((stamp, set)) = self.forget_oldest()
        {
            if let Some(gone) = stamp {
                let newest = self.forgotten.map_or(gone, |forgotten| forgotten.newest.max(gone));
                self.forgotten = Some(Forgotten { newest, set });
            }
        }
    }

    /// Takes the oldest out of the order; its stamp, if it was still the key's.
    fn forget_oldest(&mut self) -> Option<(Option<Stamp>, Place)> {
        let (set, table, key) = self.order.pop_front()?;
        self.bytes = self.bytes.saturating_sub(cost(&key));
        let keys = self.stamps.get_mut(&table)?;
        let current = keys.get(&key).filter(|known| known.set == set).map(|known| known.stamp);
        if current.is_some() {
            keys.remove(&key);
        }
        if keys.is_empty() {
            self.stamps.remove(&table);
        }
        Some((current, set))
    }
}

fn cost(key: &Key) -> usize {
    OVERHEAD + 2 * key.as_bytes().len()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use proptest::prelude::*;

    use super::*;
    use crate::effect::{Column, Epoch, Lsn, Shape};

    fn change(key: u8, lsn: u64) -> RowChange {
        let column = Column { name: "id".into(), type_name: "pg_catalog.int4".into(), generated: false };
        let shape =
            Shape { table: TableId(1), schema: "public".into(), name: "t".into(), columns: vec![column], key: vec![0] };
        RowChange {
            shape: Arc::new(shape),
            key: Key::new([key.to_string().as_str()]),
            stamp: Stamp { epoch: Epoch(1), lsn: Lsn(lsn) },
            image: None,
        }
    }

    fn passed(below: u64, upto: u64) -> Passed {
        Passed { number: 1, below, upto: Seq(upto) }
    }

    #[test]
    fn rule_04_a_late_write_is_dropped_while_its_key_is_remembered() {
        let mut memory = Memory::new(1 << 20);
        assert_eq!(memory.admit(Seq(1), 4, &change(1, 50)), Verdict::Apply);
        assert_eq!(memory.admit(Seq(2), 4, &change(1, 40)), Verdict::Superseded);
        assert_eq!(memory.admit(Seq(3), 4, &change(1, 50)), Verdict::Apply);
        memory.pass(passed(4, 3));
        assert_eq!(memory.admit(Seq(4), 4, &change(1, 40)), Verdict::Superseded);
        memory.pass(passed(5, 4));
        assert_eq!(memory.admit(Seq(5), 6, &change(1, 40)), Verdict::Apply);
        assert_eq!(memory.stamps.len(), 1);
    }

    #[test]
    fn rule_04_a_key_forced_out_is_marked_until_nothing_older_can_come() {
        let mut memory = Memory::new(3 * (OVERHEAD + 10));
        for key in 0..10 {
            memory.admit(Seq(1), 4, &change(key, 50 + u64::from(key)));
        }
        assert_eq!(memory.admit(Seq(2), 5, &change(0, 40)), Verdict::Late);
        assert_eq!(memory.admit(Seq(2), 5, &change(0, 90)), Verdict::Apply);
        memory.pass(passed(u64::MAX, 2));
        assert_eq!(memory.admit(Seq(3), 6, &change(7, 40)), Verdict::Apply);
        assert!(memory.bytes <= memory.max_bytes);
    }

    #[test]
    fn rule_06_rows_behind_a_replayed_statement_are_doubtful_until_the_horizon() {
        let mut memory = Memory::new(1 << 20);
        memory.barrier(Seq(1), 4, &Touched::Tables(vec![TableId(1)]));
        assert_eq!(memory.admit(Seq(1), 4, &change(1, 10)), Verdict::Apply);
        assert_eq!(memory.admit(Seq(2), 5, &change(2, 10)), Verdict::Doubtful);
        memory.pass(passed(5, 2));
        assert_eq!(memory.admit(Seq(3), 5, &change(3, 10)), Verdict::Apply);
    }

    proptest! {
        /// Writes hold tickets from `start` to `end`; they enter the ledger when the ticket resolves. Whatever the
        /// order, the last change applied to a key is its newest, or the key was marked.
        #[test]
        fn rule_04_any_order_that_tickets_allow_ends_with_the_newest(
            writes in prop::collection::vec((0u8..4, 0u64..12), 1..40),
            max_keys in 1usize..6,
            behind in 0usize..4,
        ) {
            // Ticket i is taken at moment i, stamped then, and resolved at moment i + hold.
            let mut resolved: Vec<(u64, usize)> =
                writes.iter().enumerate().map(|(i, (_, hold))| (i as u64 + hold, i)).collect();
            resolved.sort_unstable();
            let order: Vec<usize> = resolved.iter().map(|&(_, i)| i).collect();
            let mut memory = Memory::new(max_keys * (OVERHEAD + 10));
            let (mut state, mut marked) = (HashMap::new(), Vec::new());
            for (place, &i) in order.iter().enumerate() {
                let seq = Seq(place as u64 + 1);
                let moment = resolved[place].0;
                let horizon = moment.min(writes.len() as u64 - 1);
                let key = writes[i].0;
                match memory.admit(seq, horizon, &change(key, 100 + i as u64)) {
                    Verdict::Apply => {
                        state.insert(key, i);
                    }
                    Verdict::Late => marked.push(key),
                    Verdict::Superseded | Verdict::Doubtful => {}
                }
                // Looked at when the ledger was `behind` places further: its tickets up to then are resolved.
                let upto = place.saturating_sub(behind);
                let below = order[upto + 1..].iter().min().map_or(u64::MAX, |&oldest| oldest as u64);
                memory.pass(passed(below, upto as u64 + 1));
            }
            for (key, newest) in writes.iter().enumerate().map(|(i, (key, _))| (*key, i)).collect::<HashMap<_, _>>() {
                prop_assert!(marked.contains(&key) || state.get(&key) == Some(&newest));
            }
        }
    }
}
