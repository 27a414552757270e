//! What became of each drawn read: told to the counters and to the guard.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use super::compared::{Compared, Times, Verdict};
use super::eligible::Ineligible;
use super::guard::Guard;
use super::kept::Kept;
use super::stats::Stats;
use super::trouble::Trouble;
use crate::config::{self, Live, ReadRule, Reads, RuleOf};
use crate::report::{GuardState, GuardStatus, ReadsReport, ReadsStatus, RuleStatus};
use crate::sql;
use crate::telemetry::count_guard_opened;

/// Counters and guard, shared by the router and the answers under way.
#[derive(Debug)]
pub(super) struct Tally {
    live: Arc<Live>,
    start: Instant,
    stats: Mutex<Stats>,
    /// Of those rules that have had reads: in the totals as well.
    by_rule: Mutex<HashMap<RuleOf, Stats>>,
    guard: Mutex<Guard>,
    compared: Mutex<Compared>,
    kept: Mutex<Kept>,
}

impl Tally {
    /// All zero, and closed.
    pub(super) fn new(live: Arc<Live>) -> Self {
        let (stats, by_rule) = (Mutex::default(), Mutex::default());
        let (guard, compared, kept) = (Mutex::default(), Mutex::default(), Mutex::default());
        Self { live, start: Instant::now(), stats, by_rule, guard, compared, kept }
    }

    /// Whether the guard keeps every read on the primary, now that the shadow is so far behind.
    pub(super) fn is_guarded(&self, lag: Duration) -> bool {
        self.on_guard(|guard, now, settings| {
            guard.lags(lag, now, settings);
            guard.is_open(now, settings)
        })
    }

    /// Whether the guard lets this read be tried.
    pub(super) fn admits(&self) -> bool {
        self.on_guard(Guard::admits)
    }

    /// Whether it wants what it lets be tried to be compared.
    pub(super) fn wants_comparisons(&self) -> bool {
        self.guard.lock().wants_comparisons()
    }

    /// The read was not allowed.
    pub(super) fn ineligible(&self, reason: Ineligible, rule: Option<&RuleOf>) {
        self.ineligible_as(reason.label());
        self.on_rule(rule, |stats, _| stats.ineligible(reason.label()));
    }

    /// A read of this text was not allowed: for those who ask which.
    pub(super) fn kept(&self, text: &[u8], reason: Ineligible) {
        let query = sql::redact(&String::from_utf8_lossy(text));
        self.kept.lock().count(query, reason);
    }

    /// The same, for reasons of the session's own.
    pub(super) fn ineligible_as(&self, label: &'static str) {
        self.stats.lock().ineligible(label);
    }

    /// The shadow's answer goes to the client.
    pub(super) fn shadow(&self, rule: Option<&RuleOf>) {
        let now = Instant::now();
        self.count_shadow(rule, now);
        self.on_guard_at(now, Guard::good);
    }

    /// The client cancelled the read before the shadow had answered, and was told so.
    pub(super) fn cancelled(&self, rule: Option<&RuleOf>) {
        self.count_shadow(rule, Instant::now());
    }

    /// The primary answers in the shadow's place.
    pub(super) fn fallback(&self, rule: Option<&RuleOf>) {
        let second = self.second();
        self.stats.lock().fallback(rule.is_none().then_some(second));
        self.on_rule(rule, |stats, second| stats.fallback(Some(second)));
    }

    /// The shadow failed before the first byte.
    pub(super) fn trouble(&self, trouble: Trouble) {
        if trouble.is_the_shadows() {
            self.broken();
        }
    }

    /// The shadow failed, and the client saw it.
    pub(super) fn broken(&self) {
        self.on_guard(Guard::bad);
    }

    /// A comparison of queries of this redacted text ended.
    pub(super) fn compared(&self, query: &str, verdict: Verdict, times: Times) {
        if self.compared.lock().ended(query, verdict, times) {
            tracing::warn!(%query, "a read has different answers on primary and shadow");
        }
        self.on_guard(|guard, now, settings| guard.compared(now, settings, verdict, times));
    }

    /// A comparison was given up.
    pub(super) fn comparison_dropped(&self) {
        self.compared.lock().dropped();
    }

    /// The operator closes the guard.
    pub(super) fn reset_guard(&self) {
        self.on_guard(|guard, _, _| guard.reset());
    }

    /// For `/status`.
    pub(super) fn guard_status(&self) -> GuardStatus {
        self.guard.lock().status()
    }

    /// For `/status`.
    pub(super) fn reads_status(&self, reads: &Reads) -> ReadsStatus {
        let compared = self.compared.lock().totals();
        ReadsStatus {
            compared: compared.matched + compared.mismatched,
            mismatched: compared.mismatched,
            not_comparable: compared.not_comparable,
            comparisons_dropped: compared.dropped,
            rules: self.rules(&reads.rule),
            kept: self.kept.lock().top(),
            ..self.stats.lock().status(self.second(), reads.percent)
        }
    }

    /// In their order; those that are no longer configured are forgotten.
    fn rules(&self, rules: &[ReadRule]) -> Vec<RuleStatus> {
        let mut by_rule = self.by_rule.lock();
        by_rule.retain(|of, _| rules.iter().any(|rule| rule.of == *of));
        let status = |rule: &ReadRule| {
            let counted = by_rule.get(&rule.of).map(|stats| stats.status(self.second(), rule.percent));
            let ReadsStatus { effective_percent, eligible, shadow, fallback, ineligible, .. } =
                counted.unwrap_or_default();
            let (of, percent) = (rule.of.clone(), rule.percent);
            RuleStatus { of, percent, effective_percent, eligible, shadow, fallback, ineligible }
        };
        rules.iter().map(status).collect()
    }

    fn count_shadow(&self, rule: Option<&RuleOf>, now: Instant) {
        let second = now.duration_since(self.start).as_secs();
        self.stats.lock().shadow(rule.is_none().then_some(second));
        self.on_rule(rule, |stats, second| stats.shadow(Some(second)));
    }

    fn on_rule(&self, rule: Option<&RuleOf>, count: impl FnOnce(&mut Stats, u64)) {
        let Some(rule) = rule else { return };
        let mut by_rule = self.by_rule.lock();
        if !by_rule.contains_key(rule) {
            by_rule.insert(rule.clone(), Stats::default());
        }
        if let Some(stats) = by_rule.get_mut(rule) {
            count(stats, self.second());
        }
    }

    fn second(&self) -> u64 {
        self.start.elapsed().as_secs()
    }

    /// For `/report`.
    pub(super) fn reads_report(&self) -> ReadsReport {
        self.compared.lock().report(self.live.get().guard.max_latency_ratio)
    }

    /// For `/metrics`.
    pub(super) fn reasons(&self) -> Vec<(&'static str, u64)> {
        self.stats.lock().reasons()
    }

    fn on_guard<T>(&self, act: impl FnOnce(&mut Guard, Instant, &config::Guard) -> T) -> T {
        self.on_guard_at(Instant::now(), act)
    }

    /// Whatever changes the guard is told.
    fn on_guard_at<T>(&self, now: Instant, act: impl FnOnce(&mut Guard, Instant, &config::Guard) -> T) -> T {
        let mut guard = self.guard.lock();
        let before = guard.state();
        let outcome = act(&mut guard, now, &self.live.get().guard);
        if guard.state() != before {
            tell(&guard);
        }
        outcome
    }
}

fn tell(guard: &Guard) {
    let why = guard.why();
    let reason = why.map_or("", |why| &why.reason);
    match guard.state() {
        GuardState::Open => {
            tracing::warn!(%reason, "the guard opened: every read goes to the primary");
            if let Some(why) = why {
                count_guard_opened(why.cause.label());
            }
        }
        GuardState::HalfOpen => tracing::info!(%reason, "the guard is half open: a few reads are tried on the shadow"),
        GuardState::Closed => tracing::info!("the guard closed: the ramp works"),
    }
}
