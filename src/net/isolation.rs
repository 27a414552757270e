//! A bug met in one session ends that session, and nothing else on its thread.

use std::panic::AssertUnwindSafe;

use futures_util::FutureExt;
use tracing::error;

use crate::telemetry;

/// What `work` gives; `None`: it panicked. That was counted and logged, its place by the hook
/// (`telemetry::log_panics`); the message, which may hold anything, nowhere.
pub(super) async fn isolated<T>(work: impl Future<Output = T>) -> Option<T> {
    let done = AssertUnwindSafe(work).catch_unwind().await;
    if done.is_err() {
        telemetry::count_session_panic();
        error!("a session ends by a bug in crossfade; the others go on");
    }
    done.ok()
}

#[cfg(test)]
mod tests;
