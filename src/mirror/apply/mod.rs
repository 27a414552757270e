//! Applying the ledger to the shadow: batches that do not meet run in parallel and commit in ledger order (rule 18);
//! on one key the newer stamp wins (rule 4); progress commits with the data (rule 21).

use crate::config::PgUrl;
use crate::report::ServerStatus;

use super::ledger::Feed;

/// What the appliers need.
#[derive(Debug, Clone)]
pub struct ApplySettings {
    /// The shadow.
    pub shadow: PgUrl,
    /// Connections.
    pub workers: usize,
    /// `Identity::system_identifier` of the primary: rows of `crossfade.progress` bear it.
    pub source: String,
}

/// The running appliers.
#[derive(Debug)]
pub struct Appliers {}

impl Appliers {
    /// Starts them on the current tokio runtime; they reconnect and retry forever.
    pub fn start(_settings: ApplySettings, _feed: Feed) -> Self {
        todo!()
    }

    /// How the shadow stands in their eyes.
    pub fn shadow(&self) -> ServerStatus {
        todo!()
    }

    /// Stops taking entries, lets running batches end (bounded by a few seconds), closes the connections.
    pub async fn stop(self) {
        todo!()
    }
}
