//! How often the guard opened.

use metrics::counter;

use super::recorder::GUARD_OPENED;

/// Which limit was passed.
pub(super) const CAUSES: [&str; 4] = ["errors", "mismatches", "latency", "lag"];

/// The guard opened by this cause.
pub fn count_guard_opened(cause: &'static str) {
    counter!(GUARD_OPENED, "cause" => cause).increment(1);
}
