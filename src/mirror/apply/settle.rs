//! Entries are settled in the order of the ledger, whatever the order in which their fate is decided.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::effect::Seq;
use crate::mirror::entry::Entry;
use crate::mirror::ledger::Outcome;

/// Entries taken and not settled, oldest first.
#[derive(Debug, Default)]
pub(super) struct Settling {
    open: VecDeque<(Arc<Entry>, Option<Outcome>)>,
    bytes: usize,
}

impl Settling {
    /// Was taken from the ledger, behind all others.
    pub(super) fn expect(&mut self, entry: Arc<Entry>) {
        self.bytes += entry.bytes;
        self.open.push_back((entry, None));
    }

    /// What became of the entry at `seq`.
    pub(super) fn decide(&mut self, seq: Seq, outcome: Outcome) {
        let index = self.open.partition_point(|(entry, _)| entry.seq < seq);
        if let Some((entry, decided)) = self.open.get_mut(index)
            && entry.seq == seq
        {
            *decided = Some(outcome);
        }
    }

    /// The oldest, if its fate is decided.
    pub(super) fn next(&mut self) -> Option<(Arc<Entry>, Outcome)> {
        let (_, Some(_)) = self.open.front()? else { return None };
        let (entry, outcome) = self.open.pop_front()?;
        self.bytes = self.bytes.saturating_sub(entry.bytes);
        Some((entry, outcome?))
    }

    /// Those behind the one at `seq`.
    pub(super) fn behind(&self, seq: Seq) -> impl Iterator<Item = &Entry> {
        self.open.range(self.open.partition_point(|(entry, _)| entry.seq <= seq)..).map(|(entry, _)| &**entry)
    }

    /// How many they are.
    pub(super) fn len(&self) -> u64 {
        self.open.len() as u64
    }

    /// What the entries take in memory.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mirror::apply::testing::entry;

    #[test]
    fn an_undecided_entry_holds_back_those_behind_it() {
        let mut settling = Settling::default();
        for seq in [3, 5, 6] {
            settling.expect(entry(seq, Vec::new()));
        }
        settling.decide(Seq(5), Outcome::Applied);
        settling.decide(Seq(4), Outcome::Applied);
        assert!(settling.next().is_none());
        settling.decide(Seq(3), Outcome::Applied);
        let settled: Vec<_> = std::iter::from_fn(|| settling.next()).map(|(entry, _)| entry.seq.0).collect();
        assert_eq!((settled, settling.bytes()), (vec![3, 5], 100));
    }
}
