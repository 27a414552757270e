//! What became of each drawn read: told to the counters and to the guard.

use std::sync::Arc;
use std::time::Instant;

use parking_lot::Mutex;

use super::compared::{Compared, Times, Verdict};
use super::eligible::Ineligible;
use super::guard::Guard;
use super::leg::Trouble;
use super::stats::Stats;
use crate::config::Live;
use crate::report::{GuardStatus, ReadsReport, ReadsStatus};

/// Counters and guard, shared by the router and the answers under way.
#[derive(Debug)]
pub(super) struct Tally {
    live: Arc<Live>,
    start: Instant,
    stats: Mutex<Stats>,
    guard: Mutex<Guard>,
    compared: Mutex<Compared>,
}

impl Tally {
    /// All zero, and closed.
    pub(super) fn new(live: Arc<Live>) -> Self {
        let (stats, guard, compared) = (Mutex::default(), Mutex::default(), Mutex::default());
        Self { live, start: Instant::now(), stats, guard, compared }
    }

    /// Whether the guard keeps every read on the primary.
    pub(super) fn is_guarded(&self) -> bool {
        self.guard.lock().is_open(Instant::now(), &self.live.get().guard)
    }

    /// Whether the guard lets this read be tried.
    pub(super) fn admits(&self) -> bool {
        self.guard.lock().admits(Instant::now(), &self.live.get().guard)
    }

    /// The read was not allowed.
    pub(super) fn ineligible(&self, reason: Ineligible) {
        self.ineligible_as(reason.label());
    }

    /// The same, for reasons of the session's own.
    pub(super) fn ineligible_as(&self, label: &'static str) {
        self.stats.lock().ineligible(label);
    }

    /// The shadow's answer goes to the client.
    pub(super) fn shadow(&self) {
        self.stats.lock().shadow(self.start.elapsed().as_secs());
        self.guard.lock().good(Instant::now(), &self.live.get().guard);
    }

    /// The client cancelled the read before the shadow had answered, and was told so.
    pub(super) fn cancelled(&self) {
        self.stats.lock().shadow(self.start.elapsed().as_secs());
    }

    /// The primary answers in the shadow's place.
    pub(super) fn fallback(&self) {
        self.stats.lock().fallback(self.start.elapsed().as_secs());
    }

    /// The shadow failed before the first byte.
    pub(super) fn trouble(&self, trouble: Trouble) {
        if trouble.is_the_shadows() {
            self.broken();
        }
    }

    /// The shadow failed, and the client saw it.
    pub(super) fn broken(&self) {
        let mut guard = self.guard.lock();
        if guard.bad(Instant::now(), &self.live.get().guard) {
            let reason = guard.status().reason.unwrap_or_default();
            tracing::warn!(%reason, "the guard opened: every read goes to the primary");
        }
    }

    /// A comparison of queries of this redacted text ended.
    pub(super) fn compared(&self, query: &str, verdict: Verdict, times: Times) {
        self.compared.lock().ended(query, verdict, times);
    }

    /// A comparison was given up.
    pub(super) fn comparison_dropped(&self) {
        self.compared.lock().dropped();
    }

    /// The operator closes the guard.
    pub(super) fn reset_guard(&self) {
        self.guard.lock().reset();
    }

    /// For `/status`.
    pub(super) fn guard_status(&self) -> GuardStatus {
        self.guard.lock().status()
    }

    /// For `/status`.
    pub(super) fn reads_status(&self, percent: f64) -> ReadsStatus {
        let compared = self.compared.lock().totals();
        ReadsStatus {
            compared: compared.matched + compared.mismatched,
            mismatched: compared.mismatched,
            not_comparable: compared.not_comparable,
            comparisons_dropped: compared.dropped,
            ..self.stats.lock().status(self.start.elapsed().as_secs(), percent)
        }
    }

    /// For `/report`.
    pub(super) fn reads_report(&self) -> ReadsReport {
        self.compared.lock().report(self.live.get().guard.max_latency_ratio)
    }

    /// For `/metrics`.
    pub(super) fn reasons(&self) -> Vec<(&'static str, u64)> {
        self.stats.lock().reasons()
    }
}
