//! What became of every committed transaction, and the lists that show what was refused and what was replayed.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use crate::effect::{Replay, Touched};
use crate::report::{Quarantined, Replayed};

/// Refusals and replayed statements kept for the report.
const LISTED: usize = 100;

/// Characters of a replayed statement kept for the report.
const QUERY_CHARS: usize = 1000;

/// The counters of the contract.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counters {
    /// Sum of the others.
    pub captured: u64,
    /// Committed on the shadow.
    pub applied: u64,
    /// In the ledger.
    pub pending: u64,
    /// Refused.
    pub quarantined: u64,
    /// Nothing of it goes to the ledger.
    pub skipped: u64,
}

/// The books. `captured` is not kept but summed, so it cannot disagree.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Books {
    applied: u64,
    pending: u64,
    quarantined: u64,
    skipped: u64,
    /// Refused transactions by the tables they wrote, until those are read back.
    unhealed: Vec<(Touched, u64)>,
    refusals: VecDeque<Quarantined>,
    /// By text and reason.
    replays: Vec<Replayed>,
}

impl Books {
    pub(super) fn counters(&self) -> Counters {
        Counters {
            captured: self.applied + self.pending + self.quarantined + self.skipped,
            applied: self.applied,
            pending: self.pending,
            quarantined: self.quarantined,
            skipped: self.skipped,
        }
    }

    /// Nothing of a transaction goes to the ledger.
    pub(super) fn skip(&mut self) {
        self.skipped += 1;
    }

    /// A transaction got its place.
    pub(super) fn place(&mut self) {
        self.pending += 1;
    }

    /// A placed transaction is out of the ledger again: it could not be kept.
    pub(super) fn lose(&mut self, transactions: u64) {
        let lost = transactions.min(self.pending);
        self.pending -= lost;
        self.skipped += lost;
    }

    /// A pending transaction is on the shadow.
    pub(super) fn apply(&mut self) {
        self.pending = self.pending.saturating_sub(1);
        self.applied += 1;
    }

    /// The shadow refused a pending transaction that wrote these tables.
    pub(super) fn quarantine(&mut self, touched: Touched) {
        self.pending = self.pending.saturating_sub(1);
        self.quarantined += 1;
        match self.unhealed.iter_mut().find(|(of, _)| *of == touched) {
            Some((_, count)) => *count += 1,
            None => self.unhealed.push((touched, 1)),
        }
    }

    /// Refused transactions none of whose tables is suspect any more count as applied.
    pub(super) fn heal(&mut self, is_suspect: impl Fn(&Touched) -> bool) {
        let Self { unhealed, quarantined, applied, .. } = self;
        unhealed.retain(|(touched, count)| {
            let open = is_suspect(touched);
            if !open {
                *quarantined = quarantined.saturating_sub(*count);
                *applied += count;
            }
            open
        });
    }

    /// The journal was read back and holds this many pending transactions that the books count as pending, of
    /// `known`, and this many more that they do not know yet.
    pub(super) fn recount(&mut self, known: u64, unknown: u64) {
        self.lose(self.pending.saturating_sub(known));
        self.pending = known + unknown;
    }

    pub(super) fn list_refusal(&mut self, refusal: Quarantined) {
        self.refusals.push_front(refusal);
        self.refusals.truncate(LISTED);
    }

    pub(super) fn refusals(&self) -> Vec<Quarantined> {
        self.refusals.iter().cloned().collect()
    }

    pub(super) fn list_replay(&mut self, replay: &Replay) {
        let query: String = replay.sql.chars().take(QUERY_CHARS).collect();
        let same = |listed: &&mut Replayed| listed.query == query && listed.reason == replay.reason;
        if let Some(listed) = self.replays.iter_mut().find(same) {
            listed.count += 1;
        } else if self.replays.len() < LISTED {
            self.replays.push(Replayed { query, count: 1, reason: replay.reason.clone() });
        }
    }

    pub(super) fn replays(&self) -> Vec<Replayed> {
        self.replays.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::effect::TableId;
    use crate::mirror::ledger::fixture::refusal;

    #[test]
    fn a_refused_transaction_counts_as_applied_once_its_tables_are_healed() {
        let mut books = Books::default();
        for _ in 0..3 {
            books.place();
        }
        books.quarantine(Touched::Tables(vec![TableId(1), TableId(2)]));
        books.quarantine(Touched::Tables(vec![TableId(3)]));
        books.heal(|touched| touched.contains(TableId(2)));
        let counters = books.counters();
        assert_eq!((counters.quarantined, counters.applied, counters.pending), (1, 1, 1));
        books.heal(|_| false);
        assert_eq!(books.counters(), Counters { captured: 3, applied: 2, pending: 1, quarantined: 0, skipped: 0 });
    }

    #[test]
    fn what_the_journal_lost_is_skipped_and_what_it_has_more_is_captured() {
        let mut books = Books::default();
        for _ in 0..5 {
            books.place();
        }
        books.recount(3, 4);
        assert_eq!(books.counters(), Counters { captured: 9, applied: 0, pending: 7, quarantined: 0, skipped: 2 });
    }

    #[test]
    fn the_lists_are_bounded() {
        let mut books = Books::default();
        for seq in 0..=LISTED as u64 {
            books.list_refusal(refusal(seq));
        }
        assert_eq!(books.refusals().len(), LISTED);
        assert_eq!(books.refusals()[0].seq, LISTED as u64, "newest first");
    }
}
