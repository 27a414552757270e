//! What comparisons came to, by kind of query. Bounded: so many kinds, and of each the times of its last comparisons.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use crate::report::{QueryReads, ReadsReport};

/// Kinds of queries that are told apart.
const QUERIES: usize = 500;
/// Times kept of each, by which its percentiles go.
const TIMES: usize = 256;
/// Fewer say nothing of a plan.
const MINIMUM_TIMES: usize = 10;

/// How a comparison ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Equal answers, of so many rows.
    Matched(u64),
    /// Different ones, confirmed.
    Mismatched(u64),
    /// The primary does not agree with itself, or which rows come is open.
    NotComparable,
    /// The shadow did not answer in time.
    Slow,
}

/// How long each side took for the same read.
#[derive(Debug, Clone, Copy)]
pub(super) struct Times {
    pub(super) primary: Duration,
    pub(super) shadow: Duration,
}

/// All of it.
#[derive(Debug, Default)]
pub(super) struct Compared {
    matched: u64,
    mismatched: u64,
    not_comparable: u64,
    /// Comparisons that never ended in a verdict.
    dropped: u64,
    by_query: HashMap<String, Query>,
    /// Counts comparisons, to know which kind was seen last.
    clock: u64,
}

#[derive(Debug, Default)]
struct Query {
    matched: u64,
    mismatched: u64,
    not_comparable: u64,
    rows: u64,
    times: VecDeque<Times>,
    seen: u64,
}

impl Compared {
    /// A comparison of a query of this redacted text ended; whether it is the first difference of its kind.
    pub(super) fn ended(&mut self, query: &str, verdict: Verdict, times: Times) -> bool {
        self.clock += 1;
        match verdict {
            Verdict::Matched(_) => self.matched += 1,
            Verdict::Mismatched(_) => self.mismatched += 1,
            Verdict::NotComparable | Verdict::Slow => self.not_comparable += 1,
        }
        if !self.by_query.contains_key(query) {
            self.make_room();
            self.by_query.insert(query.to_owned(), Query::default());
        }
        let Some(query) = self.by_query.get_mut(query) else { return false };
        query.seen = self.clock;
        query.ended(verdict, times);
        query.mismatched == 1 && matches!(verdict, Verdict::Mismatched(_))
    }

    /// There was no room for it, no connection, or no end.
    pub(super) fn dropped(&mut self) {
        self.dropped += 1;
    }

    /// matched and mismatched, not comparable, dropped.
    pub(super) fn totals(&self) -> Totals {
        let &Self { matched, mismatched, not_comparable, dropped, .. } = self;
        Totals { matched, mismatched, not_comparable, dropped }
    }

    /// For `/report`: those with differences first, then those with a worse plan, then the most frequent. `ratio` is the guard's.
    pub(super) fn report(&self, ratio: f64) -> ReadsReport {
        let mut by_query: Vec<_> = self.by_query.iter().map(|(text, query)| query.report(text, ratio)).collect();
        by_query.sort_by(|a, b| {
            let worst_first = b.mismatched.cmp(&a.mismatched).then(b.plan_regression.cmp(&a.plan_regression));
            worst_first.then(b.compared.cmp(&a.compared)).then_with(|| a.query.cmp(&b.query))
        });
        let Totals { matched, mismatched, not_comparable, dropped } = self.totals();
        ReadsReport { compared: matched + mismatched, matched, mismatched, not_comparable, dropped, by_query }
    }

    /// The kind that was not seen for longest goes, those with differences last.
    fn make_room(&mut self) {
        if self.by_query.len() < QUERIES {
            return;
        }
        let oldest = self.by_query.iter().min_by_key(|(_, query)| (query.mismatched > 0, query.seen));
        if let Some(oldest) = oldest.map(|(text, _)| text.clone()) {
            self.by_query.remove(&oldest);
        }
    }
}

/// Since start.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Totals {
    pub(super) matched: u64,
    pub(super) mismatched: u64,
    pub(super) not_comparable: u64,
    pub(super) dropped: u64,
}

impl Query {
    fn ended(&mut self, verdict: Verdict, times: Times) {
        match verdict {
            Verdict::Matched(rows) => (self.matched, self.rows) = (self.matched + 1, self.rows + rows),
            Verdict::Mismatched(rows) => (self.mismatched, self.rows) = (self.mismatched + 1, self.rows + rows),
            Verdict::NotComparable | Verdict::Slow => self.not_comparable += 1,
        }
        if self.times.len() == TIMES {
            self.times.pop_front();
        }
        self.times.push_back(times);
    }

    fn report(&self, text: &str, ratio: f64) -> QueryReads {
        let sorted = |of: fn(&Times) -> Duration| {
            let mut times: Vec<_> = self.times.iter().map(of).collect();
            times.sort_unstable();
            times
        };
        let (primary, shadow) = (sorted(|times| times.primary), sorted(|times| times.shadow));
        let (primary_p50_ms, shadow_p50_ms) = (percentile(&primary, 50), percentile(&shadow, 50));
        QueryReads {
            query: text.to_owned(),
            compared: self.matched + self.mismatched,
            matched: self.matched,
            mismatched: self.mismatched,
            not_comparable: self.not_comparable,
            rows: self.rows,
            primary_p50_ms,
            primary_p99_ms: percentile(&primary, 99),
            shadow_p50_ms,
            shadow_p99_ms: percentile(&shadow, 99),
            plan_regression: self.times.len() >= MINIMUM_TIMES && shadow_p50_ms > ratio * primary_p50_ms,
        }
    }
}

/// In milliseconds, to the microsecond: the least of `sorted` that so many of a hundred do not exceed.
fn percentile(sorted: &[Duration], percent: usize) -> f64 {
    let rank = (sorted.len() * percent).div_ceil(100).max(1);
    sorted.get(rank - 1).map_or(0.0, |time| time.as_micros() as f64 / 1000.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn times(primary: u64, shadow: u64) -> Times {
        Times { primary: Duration::from_millis(primary), shadow: Duration::from_millis(shadow) }
    }

    #[test]
    fn compared_is_matched_and_mismatched() {
        let mut compared = Compared::default();
        compared.ended("a", Verdict::Matched(3), times(1, 1));
        assert!(compared.ended("a", Verdict::Mismatched(2), times(1, 1)));
        compared.ended("b", Verdict::NotComparable, times(1, 1));
        compared.dropped();
        let report = compared.report(3.0);
        assert_eq!((report.compared, report.matched, report.mismatched), (2, 1, 1));
        assert_eq!((report.not_comparable, report.dropped), (1, 1));
        let by_query: Vec<_> = report.by_query.iter().map(|q| (q.query.as_str(), q.compared, q.rows)).collect();
        assert_eq!(by_query, [("a", 2, 5), ("b", 0, 0)]);
    }

    #[test]
    fn percentiles_are_of_the_last_comparisons() {
        let mut compared = Compared::default();
        compared.ended("a", Verdict::Matched(1), times(5000, 5000));
        for n in 1..=TIMES as u64 {
            compared.ended("a", Verdict::Matched(1), times(n, 2 * n));
        }
        let query = compared.report(3.0).by_query.remove(0);
        assert_eq!((query.primary_p50_ms, query.primary_p99_ms), (128.0, 254.0));
        assert_eq!((query.shadow_p50_ms, query.shadow_p99_ms), (256.0, 508.0));
    }

    #[test]
    fn a_plan_regressed_when_the_shadow_is_slower_by_the_guards_ratio() {
        let mut compared = Compared::default();
        let flagged = |compared: &Compared, ratio| compared.report(ratio).by_query[0].plan_regression;
        for _ in 1..MINIMUM_TIMES {
            compared.ended("a", Verdict::Matched(1), times(10, 31));
        }
        assert!(!flagged(&compared, 3.0), "too few to say");
        compared.ended("a", Verdict::Matched(1), times(10, 31));
        assert!(flagged(&compared, 3.0) && !flagged(&compared, 3.1));
    }

    #[test]
    fn kinds_are_bounded_and_those_that_differed_stay() {
        let mut compared = Compared::default();
        compared.ended("different", Verdict::Mismatched(1), times(1, 1));
        for number in 0..2 * QUERIES {
            compared.ended(&number.to_string(), Verdict::Matched(1), times(1, 1));
        }
        let report = compared.report(3.0);
        assert_eq!(report.by_query.len(), QUERIES);
        assert_eq!(report.by_query[0].query, "different");
        assert_eq!(report.compared, 1 + 2 * QUERIES as u64);
    }
}
