//! Rewrites that the primary refused though the catalog let them pass: DDL that crossfade did not see.

use metrics::counter;

use super::recorder::REFUSED_REWRITES;

/// What may become of one.
pub(super) const OUTCOMES: [&str; 2] = ["retried", "told"];

/// One more, with what became of it.
pub fn count_refused_rewrite(outcome: &'static str) {
    debug_assert!(OUTCOMES.contains(&outcome), "{outcome}");
    counter!(REFUSED_REWRITES, "outcome" => outcome).increment(1);
}
