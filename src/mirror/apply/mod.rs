//! Applying the ledger to the shadow: batches that do not meet run in parallel and commit in ledger order (rule 18);
//! on one key the newer stamp wins (rule 4); progress commits with the data (rule 21).
//!
//! An entry's way: `run` takes it from the ledger, asks `memory` which of its changes are the newest of their keys,
//! and hands the rest to `scheduler`, which forms batches. A `worker` writes a batch (`compact`, `sql`, `rows`,
//! `replay`), waits at the `gate` for its turn, and commits it with its `progress`. `outcome` says what an error means;
//! `parked` holds what was refused once, `settle` gives the ledger its answers in order.
//!
//! Nothing here is waited for by a client. What cannot be applied exactly is marked suspect, never dropped.

mod backoff;
mod batch;
mod compact;
mod gate;
mod health;
mod horizon;
mod marks;
mod memory;
mod outcome;
mod parked;
mod progress;
mod replay;
mod rows;
mod run;
mod scheduler;
mod settle;
mod shadow;
mod source;
mod sql;
mod worker;
mod writes;

#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use self::health::Health;
use self::run::Run;
use self::source::Source;
use super::ledger::Feed;
use crate::config::PgUrl;
use crate::report::ServerStatus;

/// What the appliers need.
#[derive(Debug, Clone)]
pub struct ApplySettings {
    /// The shadow.
    pub shadow: PgUrl,
    /// Connections.
    pub workers: usize,
    /// The journal: rows of `crossfade.progress` bear it.
    pub source: String,
}

/// The running appliers. Dropped: they stop as by [`Appliers::stop`], unwaited for.
#[derive(Debug)]
pub struct Appliers {
    health: Arc<Health>,
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
}

/// Stopping takes no longer.
const LAST_MOMENTS: Duration = Duration::from_secs(8);

impl Appliers {
    /// Starts them on the current tokio runtime; they reconnect and retry forever.
    pub fn start(settings: ApplySettings, feed: Feed) -> Self {
        Self::with_source(settings, feed)
    }

    fn with_source(settings: ApplySettings, source: impl Source) -> Self {
        let health = Arc::new(Health::default());
        let (stop, stopped) = watch::channel(false);
        let task = tokio::spawn(Run::new(source, settings, health.clone(), stopped).run());
        Self { health, stop, task }
    }

    /// How the shadow stands in their eyes.
    pub fn shadow(&self) -> ServerStatus {
        self.health.status()
    }

    /// Stops taking entries, lets running batches end (bounded by a few seconds), closes the connections.
    pub async fn stop(mut self) {
        self.stop.send_replace(true);
        if timeout(LAST_MOMENTS, &mut self.task).await.is_err() {
            self.task.abort();
        }
    }
}
