//! A bug met in one session ends that session, and nothing else on its thread.

use std::panic::AssertUnwindSafe;

use futures_util::FutureExt;
use tracing::error;

use crate::telemetry;

/// What `work` gives; `None`: it panicked. That was counted and logged, its place by the hook
/// (`telemetry::log_panics`); the message, which may hold anything, nowhere.
///
/// No `async fn`, which would hold `work` twice.
pub(super) fn isolated<T>(work: impl Future<Output = T>) -> impl Future<Output = Option<T>> {
    AssertUnwindSafe(work).catch_unwind().map(|done| {
        if done.is_err() {
            telemetry::count_session_panic();
            error!("a session ends by a bug in crossfade; the others go on");
        }
        done.ok()
    })
}

#[cfg(test)]
mod tests;
