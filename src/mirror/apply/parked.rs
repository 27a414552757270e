//! Transactions that the shadow refused once. What they lack may come later in the ledger (a deferred constraint lets
//! the dependent come first), so each is tried again when everything that was pending or in flight at its refusal has
//! been applied (rule 20). Not for longer than [`PATIENCE`]: nothing that comes later counts as applied meanwhile, and a
//! single statement on the primary may take hours. What is refused then is read back, until it fits.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::horizon::Passed;
use crate::effect::Seq;
use crate::mirror::entry::Entry;

const PATIENCE: Duration = Duration::from_secs(10);

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
    since: Instant,
    wait: Wait,
}

#[derive(Debug)]
enum Wait {
    /// For the tickets that were out at the refusal, up to this one.
    Tickets(u64),
    /// For the entries they led to, up to this one, to be applied.
    Applied(Seq),
}

impl Parked {
    /// `entry` was refused `now`, when `newest_ticket` was the last given out and `observations` had begun.
    pub(super) fn park(&mut self, entry: Arc<Entry>, observations: u64, newest_ticket: u64, now: Instant) {
        let index = self.stuck.partition_point(|other| other.entry.seq < entry.seq);
        let wait = Wait::Tickets(newest_ticket);
        self.stuck.insert(index, Stuck { entry, observations, since: now, wait });
    }

    /// The horizon moved.
    pub(super) fn pass(&mut self, passed: Passed) {
        for stuck in &mut self.stuck {
            if let Wait::Tickets(newest) = stuck.wait
                && passed.number > stuck.observations
                && newest < passed.below
            {
                stuck.wait = Wait::Applied(passed.upto);
            }
        }
    }

    /// Who has waited long enough for statements on the primary waits for what they have led to so far, up to `taken`.
    pub(super) fn lose_patience(&mut self, taken: Seq, now: Instant) {
        for stuck in &mut self.stuck {
            if matches!(stuck.wait, Wait::Tickets(_)) && now.duration_since(stuck.since) >= PATIENCE {
                stuck.wait = Wait::Applied(taken);
            }
        }
    }

    /// The oldest of those to be tried again when everything up to `applied` is.
    pub(super) fn ripe(&self, applied: Seq) -> Option<Arc<Entry>> {
        let ripe = |stuck: &&Stuck| matches!(stuck.wait, Wait::Applied(upto) if upto <= applied);
        self.stuck.iter().find(ripe).map(|stuck| stuck.entry.clone())
    }

    /// The oldest of all.
    pub(super) fn oldest(&self) -> Option<Arc<Entry>> {
        self.stuck.front().map(|stuck| stuck.entry.clone())
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
        let (mut parked, now) = (Parked::default(), Instant::now());
        parked.park(entry(3, Vec::new()), 1, 7, now);
        parked.pass(passed(1, 8, 5));
        assert!(parked.ripe(Seq(9)).is_none(), "that look was before the refusal");
        parked.pass(passed(2, 7, 6));
        assert!(parked.ripe(Seq(9)).is_none(), "a ticket of then is not resolved");
        parked.pass(passed(3, 8, 9));
        assert!(parked.ripe(Seq(8)).is_none(), "what they led to is not applied");
        assert_eq!(parked.ripe(Seq(9)).unwrap().seq, Seq(3));
        parked.release(Seq(3));
        assert!(parked.is_empty());
    }

    #[test]
    fn nobody_waits_for_ever_for_a_statement_that_takes_hours() {
        let (mut parked, now) = (Parked::default(), Instant::now());
        parked.park(entry(3, Vec::new()), 1, 7, now);
        parked.lose_patience(Seq(9), now + PATIENCE / 2);
        assert!(parked.ripe(Seq(9)).is_none());
        parked.lose_patience(Seq(9), now + PATIENCE);
        assert!(parked.ripe(Seq(8)).is_none(), "what came meanwhile is not applied");
        assert_eq!(parked.ripe(Seq(9)).unwrap().seq, Seq(3));
    }
}
