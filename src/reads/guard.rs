//! What turns the ramp down by itself: too many of the shadow's answers are errors, differ from the primary's, or take too
//! long. A state machine; time is passed in.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::compared::{Times, Verdict};
use crate::config;
use crate::report::{GuardState, GuardStatus};

/// Below it a share says nothing.
const MINIMUM_READS: u64 = 20;
/// But so many differences do, each of them confirmed.
const MINIMUM_MISMATCHES: u64 = 3;
/// So many good answers close a guard that is half open; and no more than these are tried in a second.
const TRIAL_READS: u32 = 20;
/// The window is forgotten in parts.
const BUCKETS: u32 = 10;

/// The guard.
#[derive(Debug, Default)]
pub(super) struct Guard {
    state: State,
    window: VecDeque<Bucket>,
}

#[derive(Debug, Default)]
enum State {
    #[default]
    Closed,
    Open {
        since: Instant,
        why: Why,
    },
    HalfOpen {
        why: Why,
        /// Of what speaks against `why`.
        good: u32,
        /// The second in which reads were last tried, and how many.
        tried: (Instant, u32),
    },
}

/// Why it opened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Why {
    pub(super) cause: Cause,
    pub(super) reason: String,
}

/// Which limit was passed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cause {
    /// `guard.max_error_percent`
    Errors,
    /// `guard.max_mismatch_percent`
    Mismatches,
    /// `guard.max_latency_ratio`
    Latency,
}

impl Cause {
    /// Its name in `/metrics`.
    pub(super) fn label(self) -> &'static str {
        match self {
            Self::Errors => "errors",
            Self::Mismatches => "mismatches",
            Self::Latency => "latency",
        }
    }
}

/// What was seen in a part of the window.
#[derive(Debug, Default, Clone, Copy)]
struct Counts {
    reads: u64,
    errors: u64,
    compared: u64,
    mismatched: u64,
    /// Comparisons with the times of both sides, and these.
    timed: u64,
    primary: Duration,
    shadow: Duration,
}

#[derive(Debug)]
struct Bucket {
    begun: Instant,
    counts: Counts,
}

impl Guard {
    /// Whether every read stays on the primary.
    pub(super) fn is_open(&mut self, now: Instant, settings: &config::Guard) -> bool {
        self.cool_down(now, settings);
        matches!(self.state, State::Open { .. })
    }

    /// Whether this read may be tried.
    pub(super) fn admits(&mut self, now: Instant, settings: &config::Guard) -> bool {
        self.cool_down(now, settings);
        match &mut self.state {
            State::Closed => true,
            State::Open { .. } => false,
            State::HalfOpen { tried, .. } => {
                if now.duration_since(tried.0) >= Duration::from_secs(1) {
                    *tried = (now, 0);
                }
                tried.1 += 1;
                tried.1 <= TRIAL_READS
            }
        }
    }

    /// Whether what is tried must be compared too: only that tells whether it may close.
    pub(super) fn wants_comparisons(&self) -> bool {
        matches!(&self.state, State::HalfOpen { why, .. } if why.cause != Cause::Errors)
    }

    /// The shadow answered as it should.
    pub(super) fn good(&mut self, now: Instant, settings: &config::Guard) {
        self.count(now, settings, |counts| counts.reads += 1);
        self.speaks_for(&[Cause::Errors], now, settings);
    }

    /// The shadow failed.
    pub(super) fn bad(&mut self, now: Instant, settings: &config::Guard) {
        self.count(now, settings, |counts| (counts.reads, counts.errors) = (counts.reads + 1, counts.errors + 1));
        self.speaks_against(now, settings);
    }

    /// A read was run on both sides.
    pub(super) fn compared(&mut self, now: Instant, settings: &config::Guard, verdict: Verdict, times: Times) {
        self.count(now, settings, |counts| {
            counts.compared += u64::from(matches!(verdict, Verdict::Matched(_) | Verdict::Mismatched(_)));
            counts.mismatched += u64::from(matches!(verdict, Verdict::Mismatched(_)));
            counts.timed += 1;
            counts.primary += times.primary;
            counts.shadow += times.shadow;
        });
        match verdict {
            Verdict::Matched(_) => self.speaks_for(&[Cause::Mismatches, Cause::Latency], now, settings),
            Verdict::Mismatched(_) => self.speaks_against(now, settings),
            Verdict::NotComparable | Verdict::Slow => self.speaks_for(&[Cause::Latency], now, settings),
        }
    }

    /// The operator closes it.
    pub(super) fn reset(&mut self) {
        *self = Self::default();
    }

    /// Why it is not closed.
    pub(super) fn why(&self) -> Option<&Why> {
        match &self.state {
            State::Closed => None,
            State::Open { why, .. } | State::HalfOpen { why, .. } => Some(why),
        }
    }

    /// For `/status`.
    pub(super) fn status(&self) -> GuardStatus {
        GuardStatus { state: self.state(), reason: self.why().map(|why| why.reason.clone()) }
    }

    /// The same without words.
    pub(super) fn state(&self) -> GuardState {
        match &self.state {
            State::Closed => GuardState::Closed,
            State::Open { .. } => GuardState::Open,
            State::HalfOpen { .. } => GuardState::HalfOpen,
        }
    }

    /// What came is no trouble in itself: a try that closes the guard once there are enough, unless limits are passed.
    fn speaks_for(&mut self, causes: &[Cause], now: Instant, settings: &config::Guard) {
        let excess = self.excess(settings);
        match (&mut self.state, excess) {
            (State::Open { .. }, _) | (State::Closed, None) => {}
            (State::Closed | State::HalfOpen { .. }, Some(why)) => self.state = State::Open { since: now, why },
            (State::HalfOpen { why, good, .. }, None) => {
                *good += u32::from(causes.contains(&why.cause));
                if *good >= TRIAL_READS {
                    *self = Self::default();
                }
            }
        }
    }

    /// A failure or a difference: it opens the guard where there are too many, and on a try at once.
    fn speaks_against(&mut self, now: Instant, settings: &config::Guard) {
        let why = match &self.state {
            State::Open { .. } => None,
            State::HalfOpen { why, .. } => Some(why.clone()),
            State::Closed => self.excess(settings),
        };
        if let Some(why) = why {
            self.state = State::Open { since: now, why };
        }
    }

    /// The limit that the window passes.
    fn excess(&self, settings: &config::Guard) -> Option<Why> {
        let all = self.window.iter().fold(Counts::default(), |all, bucket| all.and(bucket.counts));
        let within = settings.window.as_secs_f64();
        let why = |cause, reason| Some(Why { cause, reason });
        let (share, limit) = (all.errors as f64 * 100.0 / all.reads as f64, settings.max_error_percent);
        if all.reads >= MINIMUM_READS && share > limit {
            let Counts { reads, errors, .. } = all;
            return why(
                Cause::Errors,
                format!(
                    "{errors} of {reads} shadow reads failed within {within} s: {share:.1} % is above guard.max_error_percent = {limit}"
                ),
            );
        }
        let (share, limit) = (all.mismatched as f64 * 100.0 / all.compared as f64, settings.max_mismatch_percent);
        let enough = all.compared >= MINIMUM_READS || all.mismatched >= MINIMUM_MISMATCHES;
        if enough && share > limit {
            let Counts { compared, mismatched, .. } = all;
            return why(
                Cause::Mismatches,
                format!(
                    "{mismatched} of {compared} compared reads differed within {within} s: {share:.1} % is above guard.max_mismatch_percent = {limit}"
                ),
            );
        }
        let (ratio, limit) = (all.shadow.as_secs_f64() / all.primary.as_secs_f64(), settings.max_latency_ratio);
        if all.timed >= MINIMUM_READS && ratio > limit {
            let timed = all.timed;
            return why(
                Cause::Latency,
                format!(
                    "{timed} compared reads took the shadow {ratio:.1} times as long as the primary within {within} s: above guard.max_latency_ratio = {limit}"
                ),
            );
        }
        None
    }

    fn cool_down(&mut self, now: Instant, settings: &config::Guard) {
        if let State::Open { since, why } = &self.state
            && !settings.cooldown.is_zero()
            && now.duration_since(*since) >= settings.cooldown
        {
            self.state = State::HalfOpen { why: why.clone(), good: 0, tried: (now, 0) };
            // What was seen before speaks of a shadow that may have been mended.
            self.window.clear();
        }
    }

    fn count(&mut self, now: Instant, settings: &config::Guard, count: impl FnOnce(&mut Counts)) {
        self.cool_down(now, settings);
        while self.window.front().is_some_and(|bucket| now.duration_since(bucket.begun) >= settings.window) {
            self.window.pop_front();
        }
        let part = settings.window / BUCKETS;
        if self.window.back().is_none_or(|bucket| now.duration_since(bucket.begun) >= part) {
            self.window.push_back(Bucket { begun: now, counts: Counts::default() });
        }
        if let Some(bucket) = self.window.back_mut() {
            count(&mut bucket.counts);
        }
    }
}

impl Counts {
    fn and(self, other: Self) -> Self {
        Self {
            reads: self.reads + other.reads,
            errors: self.errors + other.errors,
            compared: self.compared + other.compared,
            mismatched: self.mismatched + other.mismatched,
            timed: self.timed + other.timed,
            primary: self.primary + other.primary,
            shadow: self.shadow + other.shadow,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(cooldown: u64) -> config::Guard {
        config::Guard { max_error_percent: 10.0, cooldown: Duration::from_secs(cooldown), ..config::Guard::default() }
    }

    fn after(start: Instant, seconds: u64) -> Instant {
        start + Duration::from_secs(seconds)
    }

    /// A guard that opened at `now`: 20 reads, 3 of them bad.
    fn opened(now: Instant, settings: &config::Guard) -> Guard {
        let mut guard = Guard::default();
        (0..17).for_each(|_| guard.good(now, settings));
        (0..2).for_each(|_| guard.bad(now, settings));
        assert_eq!(guard.state(), GuardState::Closed, "fewer reads than say anything");
        guard.bad(now, settings);
        assert_eq!(guard.state(), GuardState::Open);
        guard
    }

    #[test]
    fn it_opens_when_more_fail_than_may_and_says_why() {
        let (now, settings) = (Instant::now(), settings(0));
        let mut guard = opened(now, &settings);
        assert!(guard.is_open(now, &settings) && !guard.admits(now, &settings));
        let status = guard.status();
        assert_eq!(status.state, GuardState::Open);
        assert_eq!(
            status.reason.unwrap(),
            "3 of 20 shadow reads failed within 30 s: 15.0 % is above guard.max_error_percent = 10"
        );
    }

    #[test]
    fn a_share_at_the_limit_is_borne() {
        let (now, settings) = (Instant::now(), settings(0));
        let mut guard = Guard::default();
        (0..18).for_each(|_| guard.good(now, &settings));
        (0..2).for_each(|_| guard.bad(now, &settings));
        assert_eq!(guard.status(), GuardStatus::default());
    }

    #[test]
    fn failures_before_the_window_are_forgotten() {
        let (start, settings) = (Instant::now(), settings(0));
        let mut guard = Guard::default();
        (0..10).for_each(|_| guard.bad(start, &settings));
        (0..30).for_each(|_| guard.good(after(start, 31), &settings));
        guard.bad(after(start, 31), &settings);
        assert!(guard.admits(after(start, 31), &settings));
    }

    #[test]
    fn without_a_cool_down_only_the_operator_closes_it() {
        let (start, settings) = (Instant::now(), settings(0));
        let mut guard = opened(start, &settings);
        assert!(guard.is_open(after(start, 1_000_000), &settings));
        guard.reset();
        assert!(guard.admits(start, &settings));
        assert_eq!(guard.status(), GuardStatus::default());
    }

    #[test]
    fn after_the_cool_down_a_few_are_tried_and_close_it() {
        let (start, settings) = (Instant::now(), settings(60));
        let mut guard = opened(start, &settings);
        assert!(guard.is_open(after(start, 59), &settings));
        let later = after(start, 60);
        let tried = (0..100).filter(|_| guard.admits(later, &settings)).count();
        assert_eq!(tried, TRIAL_READS as usize);
        assert_eq!(guard.status().state, GuardState::HalfOpen);
        assert!(guard.admits(after(start, 61), &settings), "tries whose outcome never came do not block it");
        (0..TRIAL_READS).for_each(|_| guard.good(later, &settings));
        assert_eq!(guard.status(), GuardStatus::default());
        assert!((0..100).all(|_| guard.admits(later, &settings)));
    }

    #[test]
    fn one_failed_try_opens_it_again() {
        let (start, settings) = (Instant::now(), settings(60));
        let mut guard = opened(start, &settings);
        let later = after(start, 60);
        assert!(guard.admits(later, &settings));
        guard.bad(later, &settings);
        assert!(guard.is_open(after(start, 119), &settings));
        assert!(!guard.is_open(after(start, 120), &settings));
        assert!(guard.status().reason.unwrap().starts_with("3 of 20"));
    }

    const EQUALLY: Times = Times { primary: Duration::from_millis(2), shadow: Duration::from_millis(2) };
    const SLOWER: Times = Times { primary: Duration::from_millis(2), shadow: Duration::from_millis(7) };

    /// With the default limits: 0.1 % and 3 times.
    fn compare(guard: &mut Guard, now: Instant, cooldown: u64, count: u32, verdict: Verdict, times: Times) {
        let settings = config::Guard { cooldown: Duration::from_secs(cooldown), ..config::Guard::default() };
        (0..count).for_each(|_| guard.compared(now, &settings, verdict, times));
    }

    #[test]
    fn it_opens_when_more_differ_than_may_and_says_why() {
        let (now, mut guard) = (Instant::now(), Guard::default());
        compare(&mut guard, now, 0, 18, Verdict::Matched(1), EQUALLY);
        compare(&mut guard, now, 0, 1, Verdict::Mismatched(1), EQUALLY);
        compare(&mut guard, now, 0, 50, Verdict::NotComparable, EQUALLY);
        assert_eq!(guard.state(), GuardState::Closed, "fewer than say anything");
        compare(&mut guard, now, 0, 1, Verdict::Matched(1), EQUALLY);
        assert_eq!(
            guard.status().reason.unwrap(),
            "1 of 20 compared reads differed within 30 s: 5.0 % is above guard.max_mismatch_percent = 0.1"
        );
        assert_eq!((guard.state(), guard.why().unwrap().cause), (GuardState::Open, Cause::Mismatches));
    }

    #[test]
    fn a_few_differences_alone_open_it_however_seldom_reads_are_compared() {
        let (now, mut guard) = (Instant::now(), Guard::default());
        compare(&mut guard, now, 0, 2, Verdict::Mismatched(1), EQUALLY);
        assert_eq!(guard.state(), GuardState::Closed);
        compare(&mut guard, now, 0, 1, Verdict::Mismatched(1), EQUALLY);
        assert_eq!(guard.state(), GuardState::Open);
    }

    #[test]
    fn differences_before_the_window_or_within_the_limit_are_borne() {
        let (start, mut guard) = (Instant::now(), Guard::default());
        compare(&mut guard, start, 0, 2, Verdict::Mismatched(1), EQUALLY);
        compare(&mut guard, after(start, 31), 0, 999, Verdict::Matched(1), EQUALLY);
        compare(&mut guard, after(start, 31), 0, 1, Verdict::Mismatched(1), EQUALLY);
        assert_eq!(guard.status(), GuardStatus::default());
    }

    #[test]
    fn it_opens_when_the_shadow_is_slower_by_more_than_may_be() {
        let (now, mut guard) = (Instant::now(), Guard::default());
        compare(&mut guard, now, 0, 19, Verdict::Matched(1), SLOWER);
        assert_eq!(guard.state(), GuardState::Closed);
        compare(&mut guard, now, 0, 1, Verdict::Slow, SLOWER);
        assert_eq!(
            guard.status().reason.unwrap(),
            "20 compared reads took the shadow 3.5 times as long as the primary within 30 s: above guard.max_latency_ratio = 3"
        );
        assert_eq!(guard.why().unwrap().cause, Cause::Latency);
    }

    #[test]
    fn what_opened_it_is_what_must_be_good_again() {
        for (verdict, times) in [(Verdict::Mismatched(1), EQUALLY), (Verdict::Matched(1), SLOWER)] {
            let (start, mut guard) = (Instant::now(), Guard::default());
            compare(&mut guard, start, 60, 20, verdict, times);
            let (later, settings) = (after(start, 60), settings(60));
            assert!(guard.admits(later, &settings) && guard.wants_comparisons());
            (0..TRIAL_READS).for_each(|_| guard.good(later, &settings));
            assert_eq!(guard.state(), GuardState::HalfOpen, "answers do not tell whether they are right, or quick");
            compare(&mut guard, later, 60, TRIAL_READS - 1, Verdict::Matched(1), EQUALLY);
            assert_eq!(guard.state(), GuardState::HalfOpen);
            compare(&mut guard, later, 60, 1, Verdict::Matched(1), EQUALLY);
            assert_eq!(guard.status(), GuardStatus::default());
            assert!(!guard.wants_comparisons());
        }
    }

    #[test]
    fn a_try_that_differs_or_tries_that_are_slow_open_it_again() {
        let start = Instant::now();
        for (verdict, times, count) in
            [(Verdict::Mismatched(1), EQUALLY, 1), (Verdict::Matched(1), SLOWER, TRIAL_READS)]
        {
            let mut guard = opened(start, &settings(60));
            let later = after(start, 60);
            assert!(guard.admits(later, &settings(60)));
            assert!(!guard.wants_comparisons(), "it opened by errors");
            compare(&mut guard, later, 60, count, verdict, times);
            assert_eq!(guard.state(), GuardState::Open);
            assert!(guard.is_open(after(later, 59), &settings(60)));
            assert!(!guard.is_open(after(later, 60), &settings(60)));
        }
    }

    #[test]
    fn while_open_comparisons_neither_close_nor_reopen_it() {
        let (start, mut guard) = (Instant::now(), Guard::default());
        compare(&mut guard, start, 0, 3, Verdict::Mismatched(1), EQUALLY);
        let before = guard.status();
        compare(&mut guard, start, 0, 500, Verdict::Matched(1), EQUALLY);
        compare(&mut guard, start, 0, 50, Verdict::Mismatched(1), EQUALLY);
        assert_eq!(guard.status(), before);
        guard.reset();
        compare(&mut guard, start, 0, 20, Verdict::Matched(1), EQUALLY);
        assert_eq!(guard.status(), GuardStatus::default(), "what was before the reset is forgotten");
    }
}
