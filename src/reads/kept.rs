//! Which queries stay on the primary, and why: the most frequent of them. Bounded.

use std::collections::HashMap;

use super::eligible::Ineligible;
use crate::report::KeptReads;

/// Queries that are told apart, each with its reasons.
const QUERIES: usize = 200;
/// Of these, shown.
const SHOWN: usize = 20;

/// Drawn reads that were not allowed, by redacted text and reason.
#[derive(Debug, Default)]
pub(super) struct Kept {
    counts: HashMap<(String, &'static str), u64>,
}

impl Kept {
    /// One more read of this redacted text.
    pub(super) fn count(&mut self, query: String, reason: Ineligible) {
        let key = (query, reason.label());
        if let Some(count) = self.counts.get_mut(&key) {
            *count += 1;
            return;
        }
        if self.counts.len() >= QUERIES {
            self.forget_the_rarest();
        }
        self.counts.insert(key, 1);
    }

    /// The most frequent, first.
    pub(super) fn top(&self) -> Vec<KeptReads> {
        let kept = |((query, reason), &count): (&(String, &'static str), &u64)| KeptReads {
            query: query.clone(),
            reason: (*reason).to_owned(),
            count,
        };
        let mut top: Vec<_> = self.counts.iter().map(kept).collect();
        top.sort_by(|a, b| b.count.cmp(&a.count).then_with(|| (&a.query, &a.reason).cmp(&(&b.query, &b.reason))));
        top.truncate(SHOWN);
        top
    }

    /// The rarer half goes at once: most texts that are new come once, and none of them must cost a walk over all.
    fn forget_the_rarest(&mut self) {
        let mut counts: Vec<_> = self.counts.values().copied().collect();
        counts.sort_unstable();
        let median = counts.get(QUERIES / 2).copied().unwrap_or_default();
        let mut room = (QUERIES / 2).saturating_sub(counts.iter().filter(|&&count| count > median).count());
        self.counts.retain(|_, &mut count| {
            let stays = count > median || (count == median && room > 0);
            room = room.saturating_sub(usize::from(count == median));
            stays
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(kept: &Kept) -> Vec<(String, String, u64)> {
        kept.top().into_iter().map(|KeptReads { query, reason, count }| (query, reason, count)).collect()
    }

    #[test]
    fn queries_are_told_by_reason_the_most_frequent_first() {
        let mut kept = Kept::default();
        let mut count = |query: &str, reason| kept.count(query.to_owned(), reason);
        count("SELECT v FROM t WHERE id = $1", Ineligible::Stale);
        count("SELECT now() FROM t", Ineligible::Clock);
        count("SELECT v FROM t WHERE id = $1", Ineligible::Stale);
        count("SELECT v FROM t WHERE id = $1", Ineligible::Lag);
        let row = |query: &str, reason: &str, count| (query.to_owned(), reason.to_owned(), count);
        assert_eq!(
            told(&kept),
            [
                row("SELECT v FROM t WHERE id = $1", "stale", 2),
                row("SELECT now() FROM t", "clock", 1),
                row("SELECT v FROM t WHERE id = $1", "lag", 1),
            ]
        );
    }

    #[test]
    fn they_are_bounded_and_the_frequent_stay() {
        let mut kept = Kept::default();
        (0..5).for_each(|_| kept.count("SELECT a".to_owned(), Ineligible::NoTable));
        for number in 0..10 * QUERIES {
            kept.count(format!("SELECT c{number}"), Ineligible::NoTable);
            assert!(kept.counts.len() <= QUERIES);
        }
        assert_eq!((kept.top().len(), kept.top()[0].count), (SHOWN, 5));
    }

    #[test]
    fn room_is_made_whatever_the_counts() {
        for each in [1, 2] {
            let mut kept = Kept::default();
            for number in 0..QUERIES {
                (0..each).for_each(|_| kept.count(format!("SELECT c{number}"), Ineligible::NoTable));
            }
            kept.forget_the_rarest();
            assert_eq!(kept.counts.len(), QUERIES / 2);
        }
    }
}
