//! Transactions that the shadow refused once. What they lack may come later in the ledger (a deferred constraint lets
//! the dependent come first), so each is tried again when everything that was pending or in flight at its refusal has
//! been applied (rule 20).

use std::collections::VecDeque;
use std::sync::Arc;

use super::horizon::Passed;
use crate::effect::Seq;
use crate::mirror::entry::Entry;

/// Refused once, oldest first.
#[derive(Debug, Default)]
pub(super) struct Parked {
    stuck: VecDeque<Stuck>,
}

#[derive(Debug)]
struct Stuck {
    entry: Arc<Entry>,
    /// Observations begun at the refusal: only later ones count.
    observations: u64,
    /// The last place given out at the refusal.
    last: Seq,
    wait: Wait,
}

#[derive(Debug)]
enum Wait {
    /// For tickets of the time of the refusal. `newest`: at least the newest of them, known from the horizon of an
    /// entry that was placed later.
    Tickets { newest: Option<u64> },
    /// For the entries they led to, up to this one, to be applied.
    Applied(Seq),
}

impl Parked {
    /// `entry` was refused, when the ledger had given out `last` and `observations` had begun.
    pub(super) fn park(&mut self, entry: Arc<Entry>, observations: u64, last: Seq) {
        let index = self.stuck.partition_point(|other| other.entry.seq < entry.seq);
        self.stuck.insert(index, Stuck { entry, observations, last, wait: Wait::Tickets { newest: None } });
    }

    /// Another entry was taken from the ledger.
    pub(super) fn taken(&mut self, entry: &Entry) {
        for stuck in &mut self.stuck {
            if let Wait::Tickets { newest: newest @ None } = &mut stuck.wait
                && entry.seq > stuck.last
            {
                *newest = Some(entry.horizon);
            }
        }
    }

    /// The horizon moved.
    pub(super) fn pass(&mut self, passed: Passed) {
        for stuck in &mut self.stuck {
            if let Wait::Tickets { newest } = stuck.wait
                && passed.number > stuck.observations
                && (passed.below == u64::MAX || newest.is_some_and(|newest| newest < passed.below))
            {
                stuck.wait = Wait::Applied(passed.upto);
            }
        }
    }

    /// The oldest of those to be tried again when everything up to `applied` is; with `now`, the oldest of all.
    pub(super) fn ripe(&self, applied: Seq, now: bool) -> Option<Arc<Entry>> {
        let ripe = |stuck: &&Stuck| now || matches!(stuck.wait, Wait::Applied(upto) if upto <= applied);
        self.stuck.iter().find(ripe).map(|stuck| stuck.entry.clone())
    }

    /// Is being tried again.
    pub(super) fn release(&mut self, seq: Seq) {
        self.stuck.retain(|stuck| stuck.entry.seq != seq);
    }

    pub(super) fn len(&self) -> usize {
        self.stuck.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.stuck.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mirror::apply::testing::entry;

    fn passed(number: u64, below: u64, upto: u64) -> Passed {
        Passed { number, below, upto: Seq(upto) }
    }

    #[test]
    fn rule_20_tried_again_only_behind_all_that_was_in_flight_at_the_refusal() {
        let mut parked = Parked::default();
        parked.park(entry(3, Vec::new()), 1, Seq(5));
        parked.pass(passed(1, u64::MAX, 5));
        assert!(parked.ripe(Seq(9), false).is_none(), "that look was before the refusal");
        parked.pass(passed(2, 4, 6));
        assert!(parked.ripe(Seq(9), false).is_none(), "tickets of then are not known to be resolved");
        parked.taken(&entry(7, Vec::new()));
        parked.pass(passed(3, 8, 9));
        assert!(parked.ripe(Seq(8), false).is_none(), "what they led to is not applied");
        assert_eq!(parked.ripe(Seq(9), false).unwrap().seq, Seq(3));
        parked.release(Seq(3));
        assert!(parked.is_empty());
    }
}
