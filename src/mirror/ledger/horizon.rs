//! Up to which ticket nothing older can arrive any more, seen from where the appliers stand (rule 4).
//!
//! A resolved ticket is not enough: its transaction may have its place and still wait to be applied. So what was the
//! oldest ticket is remembered together with the last place of that moment, and holds once that place is applied.

use std::collections::VecDeque;

use crate::effect::Seq;

/// Beyond it no sample is taken until one is reached: the answer is older, never wrong.
const LIMIT: usize = 64;

/// Everything placed behind `last` came or comes with this ticket or a later one.
#[derive(Debug, Clone, Copy)]
struct Sample {
    last: Seq,
    oldest_ticket: u64,
}

/// Samples not reached yet, and the one that holds.
#[derive(Debug, Default)]
pub(super) struct Horizon {
    ahead: VecDeque<Sample>,
    reached: u64,
}

impl Horizon {
    /// Takes a sample: `oldest_ticket` was read before `last`.
    pub(super) fn sample(&mut self, oldest_ticket: u64, last: Seq) {
        if let Some(sample) = self.ahead.back_mut().filter(|sample| sample.last == last) {
            sample.oldest_ticket = oldest_ticket;
        } else if self.ahead.len() < LIMIT {
            self.ahead.push_back(Sample { last, oldest_ticket });
        }
    }

    /// No entry behind `applied` has a ticket older than the answer.
    pub(super) fn at(&mut self, applied: Seq) -> u64 {
        while let Some(sample) = self.ahead.front().filter(|sample| sample.last <= applied) {
            self.reached = sample.oldest_ticket;
            self.ahead.pop_front();
        }
        self.reached
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rule_04_a_resolved_ticket_holds_until_what_it_placed_is_applied() {
        let mut horizon = Horizon::default();
        horizon.sample(3, Seq(10));
        assert_eq!(horizon.at(Seq(10)), 3);
        // Ticket 3 resolved and placed 11: nothing is forgotten before 11 is applied.
        horizon.sample(5, Seq(11));
        assert_eq!(horizon.at(Seq(10)), 3);
        assert_eq!(horizon.at(Seq(11)), 5);
    }

    #[test]
    fn rule_04_with_many_samples_the_answer_only_gets_older() {
        let mut horizon = Horizon::default();
        for n in 1..=1000 {
            horizon.sample(n, Seq(n));
        }
        assert!(horizon.ahead.len() <= LIMIT);
        assert!(horizon.at(Seq(1000)) <= 1000);
        horizon.sample(1001, Seq(1001));
        assert_eq!(horizon.at(Seq(1001)), 1001);
    }
}
