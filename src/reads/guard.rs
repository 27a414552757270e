//! What turns the ramp down by itself: too many of the shadow's answers are errors, differ from the primary's, or take too
//! long, or it is too far behind. A state machine; time is passed in.

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
    /// `guard.max_lag`
    Lag,
}

impl Cause {
    /// Its name in `/metrics`.
    pub(super) fn label(self) -> &'static str {
        match self {
            Self::Errors => "errors",
            Self::Mismatches => "mismatches",
            Self::Latency => "latency",
            Self::Lag => "lag",
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
        matches!(self.state, State::HalfOpen { why: Why { cause: Cause::Mismatches | Cause::Latency, .. }, .. })
    }

    /// The shadow answered as it should.
    pub(super) fn good(&mut self, now: Instant, settings: &config::Guard) {
        self.count(now, settings, |counts| counts.reads += 1);
        self.speaks_for(&[Cause::Errors, Cause::Lag], now, settings);
    }

    /// The shadow failed.
    pub(super) fn bad(&mut self, now: Instant, settings: &config::Guard) {
        self.count(now, settings, |counts| (counts.reads, counts.errors) = (counts.reads + 1, counts.errors + 1));
        self.speaks_against(now, settings);
    }

    /// So far behind is the shadow, when a read could go to it. What opened by that alone tries again once it is no more.
    pub(super) fn lags(&mut self, lag: Duration, now: Instant, settings: &config::Guard) {
        self.cool_down(now, settings);
        let limit = settings.max_lag;
        let is_behind = !limit.is_zero() && lag > limit;
        let behind = || {
            let (behind, limit) = (lag.as_secs_f64(), limit.as_secs_f64());
            let reason = format!("the shadow is {behind:.1} s behind: more than guard.max_lag = {limit} s");
            Why { cause: Cause::Lag, reason }
        };
        match &self.state {
            State::Open { why, .. } if why.cause == Cause::Lag && !is_behind => self.half_open(why.clone(), now),
            // What it opened by at first is still to be tried.
            State::HalfOpen { why, .. } if is_behind && why.cause != Cause::Lag => {
                self.state = State::Open { since: now, why: why.clone() };
            }
            State::HalfOpen { .. } | State::Closed if is_behind => {
                self.state = State::Open { since: now, why: behind() };
            }
            State::Open { .. } | State::HalfOpen { .. } | State::Closed => {}
        }
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
            self.half_open(why.clone(), now);
        }
    }

    fn half_open(&mut self, why: Why, now: Instant) {
        self.state = State::HalfOpen { why, good: 0, tried: (now, 0) };
        // What was seen before speaks of a shadow that may have been mended.
        self.window.clear();
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
mod tests;
