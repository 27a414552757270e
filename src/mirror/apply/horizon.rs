//! When nothing older can arrive any more: every commit that was in flight at some moment is resolved, and all that
//! these commits put into the ledger has been taken from it.
//!
//! It takes two steps, because the appliers may be far behind the ledger: the tickets resolve first, and what they
//! led to stands in the ledger then, up to its last place at that moment, but is taken later.

use crate::effect::Seq;

/// Watches tickets and places.
#[derive(Debug, Default)]
pub(super) struct Horizon {
    begun: u64,
    open: Option<Passed>,
}

/// Entries up to `upto` are taken, and what led to them is resolved below `below`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Passed {
    /// Which observation told it: what it says was true after all earlier ones had begun.
    pub(super) number: u64,
    /// Tickets below it are resolved.
    pub(super) below: u64,
    /// Every entry up to it is taken.
    pub(super) upto: Seq,
}

impl Horizon {
    /// Looks at the oldest unresolved ticket, the last place of which an entry may come (read after it) and the last
    /// place taken.
    pub(super) fn observe(&mut self, oldest_ticket: u64, last: Seq, taken: Seq) -> Option<Passed> {
        let open = self.open.get_or_insert_with(|| {
            self.begun += 1;
            Passed { number: self.begun, below: oldest_ticket, upto: last }
        });
        // Places may turn out to be empty: what could not be kept leaves its place.
        open.upto = open.upto.min(last);
        if taken < open.upto { None } else { self.open.take() }
    }

    /// How many observations have begun: one with a higher number looks at a later moment than now.
    pub(super) fn begun(&self) -> u64 {
        self.begun
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rule_04_a_ticket_counts_as_past_only_when_its_entries_are_taken_too() {
        let mut horizon = Horizon::default();
        assert_eq!(horizon.observe(5, Seq(10), Seq(4)), None);
        // Later tickets resolve, but what they wrote stands behind the place of this observation.
        assert_eq!(horizon.observe(9, Seq(20), Seq(9)), None);
        assert_eq!(horizon.observe(9, Seq(20), Seq(10)), Some(Passed { number: 1, below: 5, upto: Seq(10) }));
        assert_eq!(horizon.begun(), 1);
        assert_eq!(horizon.observe(9, Seq(20), Seq(20)), Some(Passed { number: 2, below: 9, upto: Seq(20) }));
    }

    #[test]
    fn places_that_turn_out_to_be_empty_are_not_waited_for() {
        let mut horizon = Horizon::default();
        assert_eq!(horizon.observe(5, Seq(1_000_010), Seq(10)), None);
        assert_eq!(horizon.observe(9, Seq(10), Seq(10)), Some(Passed { number: 1, below: 5, upto: Seq(10) }));
    }
}
