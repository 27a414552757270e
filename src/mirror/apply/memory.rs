//! The last stamp of each key, for as long as an older write to it may still arrive (rule 4): on one key the newer
//! stamp wins, whatever the order of arrival. Deletes are remembered like any other write; refreshes are not (rule 25).
//!
//! How long that is each entry says itself, by the tickets of the moment at which it was placed: an entry behind it
//! has none older than its oldest. So a backlog of any length is worked off with the memory that it had while it grew.

use std::collections::{HashMap, VecDeque};

use crate::effect::{Key, RowChange, Seq, Stamp, TableId, Touched};
use crate::mirror::entry::Flight;

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

/// Where something was set, and the newest ticket of then: what has a newer one is newer too.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Place {
    seq: Seq,
    newest: u64,
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

impl Forgotten {
    /// Whether what was forgotten may have been newer than a write that comes with an entry of `flight`.
    fn is_newer(self, stamp: Stamp, flight: Flight) -> bool {
        self.newest > stamp && self.set.may_follow(flight)
    }
}

/// About what one remembered key takes beside its own text, which is held twice.
const OVERHEAD: usize = 160;

/// Past so many, the newest is widened instead.
const MAX_BARRIERS: usize = 64;

impl Place {
    /// What holds as long as both: one that is tried again is remembered behind others.
    fn or_later(self, other: Self) -> Self {
        Self { seq: self.seq.max(other.seq), newest: self.newest.max(other.newest) }
    }

    /// Whether something older than what was set here may come with an entry of `flight`, or behind it.
    fn may_follow(self, flight: Flight) -> bool {
        self.newest >= flight.oldest
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
    pub(super) fn admit(&mut self, seq: Seq, flight: Flight, change: &RowChange) -> Verdict {
        let (table, key, stamp) = (change.shape.table, &change.key, change.stamp);
        if key.is_empty() {
            // Rows without a key have no order among each other.
            return self.behind_barriers(seq, flight, table);
        }
        match self.stamps.get(&table).and_then(|keys| keys.get(key)) {
            Some(known) if known.stamp > stamp => return Verdict::Superseded,
            None if self.forgotten.is_some_and(|forgotten| forgotten.is_newer(stamp, flight)) => return Verdict::Late,
            _ => {}
        }
        self.remember(Place { seq, newest: flight.newest }, table, key, stamp);
        self.behind_barriers(seq, flight, table)
    }

    fn behind_barriers(&self, seq: Seq, flight: Flight, table: TableId) -> Verdict {
        let mut before = self.barriers.iter().filter(|(set, _)| set.seq < seq && set.may_follow(flight));
        if before.any(|(_, touched)| touched.contains(table)) { Verdict::Doubtful } else { Verdict::Apply }
    }

    /// A statement was replayed: rows written before it may still arrive, and bear no order with it.
    pub(super) fn barrier(&mut self, seq: Seq, flight: Flight, touched: &Touched) {
        let set = Place { seq, newest: flight.newest };
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

    /// The entry at `seq` and all before it are settled, and none of them comes again: lets go of what nothing older
    /// can come behind any more.
    pub(super) fn settled(&mut self, seq: Seq, flight: Flight) {
        let is_past = |set: Place| set.seq <= seq && !set.may_follow(flight);
        while self.order.front().is_some_and(|(set, ..)| is_past(*set)) {
            self.forget_oldest();
        }
        self.barriers.retain(|(set, _)| !is_past(*set));
        self.forgotten = self.forgotten.filter(|forgotten| !is_past(forgotten.set));
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
                self.forgotten = Some(match self.forgotten {
                    Some(before) => Forgotten { newest: before.newest.max(gone), set: before.set.or_later(set) },
                    None => Forgotten { newest: gone, set },
                });
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

    /// With tickets from `oldest` to `newest`.
    fn flight(oldest: u64, newest: u64) -> Flight {
        Flight { oldest, newest }
    }

    #[test]
    fn rule_04_a_late_write_is_dropped_while_its_key_is_remembered() {
        let mut memory = Memory::new(1 << 20);
        assert_eq!(memory.admit(Seq(1), flight(1, 4), &change(1, 50)), Verdict::Apply);
        assert_eq!(memory.admit(Seq(2), flight(1, 4), &change(1, 40)), Verdict::Superseded);
        assert_eq!(memory.admit(Seq(3), flight(1, 4), &change(1, 50)), Verdict::Apply);
        memory.settled(Seq(3), flight(4, 4));
        assert_eq!(memory.admit(Seq(4), flight(4, 4), &change(1, 40)), Verdict::Superseded);
        memory.settled(Seq(2), flight(9, 9));
        assert_eq!(memory.admit(Seq(5), flight(4, 4), &change(1, 40)), Verdict::Superseded, "3 may come again");
        memory.settled(Seq(5), flight(5, 5));
        assert_eq!(memory.admit(Seq(6), flight(5, 6), &change(1, 40)), Verdict::Apply);
        assert_eq!(memory.stamps.len(), 1);
    }

    #[test]
    fn rule_04_a_key_forced_out_is_marked_until_nothing_older_can_come() {
        let mut memory = Memory::new(3 * (OVERHEAD + 10));
        for key in 0..10 {
            memory.admit(Seq(1), flight(1, 4), &change(key, 50 + u64::from(key)));
        }
        assert_eq!(memory.admit(Seq(2), flight(4, 5), &change(0, 40)), Verdict::Late);
        assert_eq!(memory.admit(Seq(2), flight(4, 5), &change(0, 90)), Verdict::Apply);
        assert_eq!(memory.admit(Seq(3), flight(5, 6), &change(7, 40)), Verdict::Apply, "its ticket is newer than all");
        memory.settled(Seq(3), flight(7, 7));
        assert!(memory.forgotten.is_none() && memory.order.is_empty());
        assert!(memory.bytes <= memory.max_bytes);
    }

    #[test]
    fn rule_04_a_backlog_is_worked_off_with_the_memory_it_had_while_it_grew() {
        let mut memory = Memory::new(1 << 20);
        for ticket in 1..1000 {
            memory.admit(Seq(ticket), flight(ticket, ticket), &change((ticket % 200) as u8, ticket));
            memory.settled(Seq(ticket), flight(ticket, ticket));
            assert!(memory.order.len() <= 1);
        }
    }

    #[test]
    fn rule_06_rows_behind_a_replayed_statement_are_doubtful_while_their_ticket_may_be_as_old() {
        let mut memory = Memory::new(1 << 20);
        memory.barrier(Seq(1), flight(1, 4), &Touched::Tables(vec![TableId(1)]));
        assert_eq!(memory.admit(Seq(1), flight(1, 4), &change(1, 10)), Verdict::Apply);
        assert_eq!(memory.admit(Seq(2), flight(4, 5), &change(2, 10)), Verdict::Doubtful);
        assert_eq!(memory.admit(Seq(3), flight(5, 5), &change(3, 10)), Verdict::Apply);
        memory.settled(Seq(3), flight(5, 5));
        assert!(memory.barriers.is_empty());
    }

    proptest! {
        /// Writes hold tickets from `start` to `end`; they enter the ledger when the ticket resolves. Whatever the
        /// order, the last change applied to a key is its newest, or the key was marked.
        #[test]
        fn rule_04_any_order_that_tickets_allow_ends_with_the_newest(
            writes in prop::collection::vec((0u8..4, 0u64..12), 1..40),
            max_keys in 1usize..6,
            behind in 0usize..4,
            again in 0usize..3,
        ) {
            // Ticket i is taken at moment i, stamped then, and resolved at moment i + hold.
            let mut resolved: Vec<(u64, usize)> =
                writes.iter().enumerate().map(|(i, (_, hold))| (i as u64 + hold, i)).collect();
            resolved.sort_unstable();
            let order: Vec<usize> = resolved.iter().map(|&(_, i)| i).collect();
            let flight = |place: usize| {
                let oldest = order[place..].iter().min().map_or(u64::MAX, |&oldest| oldest as u64);
                flight(oldest, resolved[place].0.min(writes.len() as u64 - 1))
            };
            let mut memory = Memory::new(max_keys * (OVERHEAD + 10));
            let (mut state, mut marked) = (HashMap::new(), Vec::new());
            for last in 0..order.len() {
                // One that was refused comes again, behind others that were taken meanwhile.
                for place in [Some(last), last.checked_sub(again)].into_iter().flatten() {
                    let i = order[place];
                    let key = writes[i].0;
                    match memory.admit(Seq(place as u64 + 1), flight(place), &change(key, 100 + i as u64)) {
                        Verdict::Apply => {
                            state.insert(key, i);
                        }
                        Verdict::Late => marked.push(key),
                        Verdict::Superseded | Verdict::Doubtful => {}
                    }
                }
                // What may come again is not settled.
                if let Some(settled) = last.checked_sub(behind + again) {
                    memory.settled(Seq(settled as u64 + 1), flight(settled));
                }
            }
            for (key, newest) in writes.iter().enumerate().map(|(i, (key, _))| (*key, i)).collect::<HashMap<_, _>>() {
                prop_assert!(marked.contains(&key) || state.get(&key) == Some(&newest));
            }
        }
    }
}
