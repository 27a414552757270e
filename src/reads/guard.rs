//! What turns the ramp down by itself: too many of the shadow's answers are errors. A state machine; time is passed in.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use crate::config;
use crate::report::{GuardState, GuardStatus};

/// Below it a share says nothing.
const MINIMUM_READS: u64 = 20;
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
        reason: String,
    },
    HalfOpen {
        reason: String,
        good: u32,
        /// The second in which reads were last tried, and how many.
        tried: (Instant, u32),
    },
}

#[derive(Debug)]
struct Bucket {
    begun: Instant,
    reads: u64,
    errors: u64,
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

    /// The shadow answered as it should.
    pub(super) fn good(&mut self, now: Instant, settings: &config::Guard) {
        if let State::HalfOpen { good, .. } = &mut self.state {
            *good += 1;
            if *good >= TRIAL_READS {
                *self = Self::default();
            }
        }
        self.count(now, settings, 0);
    }

    /// The shadow failed; whether that opens the guard.
    pub(super) fn bad(&mut self, now: Instant, settings: &config::Guard) -> bool {
        self.count(now, settings, 1);
        let reason = match &self.state {
            State::Open { .. } => return false,
            State::HalfOpen { reason, .. } => reason.clone(),
            State::Closed => {
                let (reads, errors) = self.window.iter().fold((0, 0), |(r, e), b| (r + b.reads, e + b.errors));
                let share = errors as f64 * 100.0 / reads as f64;
                if reads < MINIMUM_READS || share <= settings.max_error_percent {
                    return false;
                }
                let (seconds, limit) = (settings.window.as_secs_f64(), settings.max_error_percent);
                format!(
                    "{errors} of {reads} shadow reads failed within {seconds} s: {share:.1} % is above guard.max_error_percent = {limit}"
                )
            }
        };
        self.state = State::Open { since: now, reason };
        true
    }

    /// The operator closes it.
    pub(super) fn reset(&mut self) {
        *self = Self::default();
    }

    /// For `/status`.
    pub(super) fn status(&self) -> GuardStatus {
        match &self.state {
            State::Closed => GuardStatus { state: GuardState::Closed, reason: None },
            State::Open { reason, .. } => GuardStatus { state: GuardState::Open, reason: Some(reason.clone()) },
            State::HalfOpen { reason, .. } => GuardStatus { state: GuardState::HalfOpen, reason: Some(reason.clone()) },
        }
    }

    fn cool_down(&mut self, now: Instant, settings: &config::Guard) {
        if let State::Open { since, reason } = &self.state
            && !settings.cooldown.is_zero()
            && now.duration_since(*since) >= settings.cooldown
        {
            self.state = State::HalfOpen { reason: reason.clone(), good: 0, tried: (now, 0) };
        }
    }

    fn count(&mut self, now: Instant, settings: &config::Guard, errors: u64) {
        while self.window.front().is_some_and(|bucket| now.duration_since(bucket.begun) >= settings.window) {
            self.window.pop_front();
        }
        match self.window.back_mut() {
            Some(bucket) if now.duration_since(bucket.begun) < settings.window / BUCKETS => {
                bucket.reads += 1;
                bucket.errors += errors;
            }
            _ => self.window.push_back(Bucket { begun: now, reads: 1, errors }),
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
        assert!(!guard.bad(now, settings) && !guard.bad(now, settings), "fewer reads than say anything");
        assert!(guard.bad(now, settings));
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
        assert!(!guard.bad(now, &settings) && !guard.bad(now, &settings));
        assert_eq!(guard.status(), GuardStatus::default());
    }

    #[test]
    fn failures_before_the_window_are_forgotten() {
        let (start, settings) = (Instant::now(), settings(0));
        let mut guard = Guard::default();
        (0..10).for_each(|_| assert!(!guard.bad(start, &settings)));
        (0..30).for_each(|_| guard.good(after(start, 31), &settings));
        assert!(!guard.bad(after(start, 31), &settings));
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
        assert!(guard.bad(later, &settings));
        assert!(guard.is_open(after(start, 119), &settings));
        assert!(!guard.is_open(after(start, 120), &settings));
        assert!(guard.status().reason.unwrap().starts_with("3 of 20"));
    }
}
