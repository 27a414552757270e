//! How old the oldest pending commit is, in bounded memory whatever the backlog.

use std::collections::VecDeque;

use crate::effect::Seq;

/// Beyond it neighbours are merged, and the age is over-, never understated.
const LIMIT: usize = 1024;

/// Commits that lie close together.
#[derive(Debug, Clone, Copy)]
struct Span {
    last: Seq,
    oldest_ms: u64,
}

/// The commit times of what is pending.
#[derive(Debug, Default)]
pub(super) struct CommitTimes {
    spans: VecDeque<Span>,
}

impl CommitTimes {
    /// A commit of that time got this place.
    pub(super) fn placed(&mut self, seq: Seq, committed_ms: u64) {
        match self.spans.back_mut() {
            Some(span) if span.oldest_ms == committed_ms => span.last = seq,
            _ => self.spans.push_back(Span { last: seq, oldest_ms: committed_ms }),
        }
        if self.spans.len() > LIMIT {
            self.merge_neighbours();
        }
    }

    /// Everything up to this place is settled.
    pub(super) fn settled(&mut self, applied: Seq) {
        while self.spans.front().is_some_and(|span| span.last <= applied) {
            self.spans.pop_front();
        }
    }

    /// The time of the oldest pending commit, in milliseconds since the Unix epoch.
    pub(super) fn oldest_ms(&self) -> Option<u64> {
        self.spans.front().map(|span| span.oldest_ms)
    }

    fn merge_neighbours(&mut self) {
        let spans = self.spans.make_contiguous();
        self.spans = spans
            .chunks(2)
            .filter_map(|pair| {
                let (first, last) = (pair.first()?, pair.last()?);
                Some(Span { last: last.last, oldest_ms: first.oldest_ms.min(last.oldest_ms) })
            })
            .collect();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_is_the_first_that_is_not_settled() {
        let mut times = CommitTimes::default();
        for (seq, ms) in [(1, 100), (2, 100), (3, 105)] {
            times.placed(Seq(seq), ms);
        }
        assert_eq!(times.oldest_ms(), Some(100));
        times.settled(Seq(1));
        assert_eq!(times.oldest_ms(), Some(100));
        times.settled(Seq(2));
        assert_eq!(times.oldest_ms(), Some(105));
        times.settled(Seq(3));
        assert_eq!(times.oldest_ms(), None);
    }

    #[test]
    fn a_million_pending_commits_take_bounded_memory_and_never_look_younger() {
        let mut times = CommitTimes::default();
        for seq in 1..=1_000_000 {
            times.placed(Seq(seq), seq);
        }
        assert!(times.spans.len() <= LIMIT);
        for applied in [0, 17, 500_000, 999_998] {
            times.settled(Seq(applied));
            assert!(times.oldest_ms().unwrap() <= applied + 1);
        }
        times.settled(Seq(1_000_000));
        assert_eq!(times.oldest_ms(), None);
    }
}
