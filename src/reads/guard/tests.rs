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
    for (verdict, times, count) in [(Verdict::Mismatched(1), EQUALLY, 1), (Verdict::Matched(1), SLOWER, TRIAL_READS)] {
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
fn a_shadow_that_is_too_far_behind_opens_it_and_good_answers_close_it_once_it_is_not() {
    let (start, settings) = (Instant::now(), settings(0));
    let (mut guard, minute) = (Guard::default(), Duration::from_mins(1));
    guard.lags(minute, start, &settings);
    assert_eq!(guard.status(), GuardStatus::default(), "at the limit");
    guard.lags(minute + Duration::from_millis(1500), start, &settings);
    let reason = "the shadow is 61.5 s behind: more than guard.max_lag = 60 s";
    assert_eq!(guard.why(), Some(&Why { cause: Cause::Lag, reason: reason.to_owned() }));
    assert!(guard.is_open(after(start, 1000), &settings), "nobody said that it is not behind any more");
    guard.lags(minute, start, &settings);
    assert!(guard.admits(start, &settings) && !guard.wants_comparisons());
    guard.lags(2 * minute, start, &settings);
    assert!(guard.is_open(start, &settings) && guard.why().unwrap().reason.contains("120.0 s"));
    guard.lags(Duration::ZERO, start, &settings);
    (0..TRIAL_READS).for_each(|_| guard.good(start, &settings));
    assert_eq!(guard.status(), GuardStatus::default());
}

#[test]
fn lag_does_not_make_it_forget_what_else_it_opened_by() {
    let (start, settings, mut guard) = (Instant::now(), settings(60), Guard::default());
    compare(&mut guard, start, 60, 3, Verdict::Mismatched(1), EQUALLY);
    let later = after(start, 60);
    assert!(guard.admits(later, &settings));
    guard.lags(Duration::from_hours(1), later, &settings);
    guard.lags(Duration::ZERO, later, &settings);
    assert!(guard.is_open(after(later, 59), &settings));
    assert_eq!(guard.why().unwrap().cause, Cause::Mismatches);
}

#[test]
fn without_a_limit_it_may_be_however_far_behind() {
    let settings = config::Guard { max_lag: Duration::ZERO, ..settings(60) };
    let mut guard = Guard::default();
    guard.lags(Duration::from_hours(24), Instant::now(), &settings);
    assert_eq!(guard.status(), GuardStatus::default());
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
