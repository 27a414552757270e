//! Ending what a server runs for a connection of ours.

use std::time::Duration;

use bytes::Bytes;
use tokio::io::AsyncWriteExt;
use tokio::time::timeout;

use super::leg::Leg;
use super::messages;
use crate::config::PgUrl;
use crate::server::{self, OpenError, Silence};

/// To deliver a cancel.
const DELIVERY: Duration = Duration::from_secs(5);
/// What was given up is asked to stop again after it, then after twice as long.
const FIRST_PATIENCE: Duration = Duration::from_millis(100);
/// And closed after it, whatever it does.
const STOPPING: Duration = Duration::from_secs(10);

/// Cancels what `leg` runs until it has ended, and closes it: a cancel that comes while the server waits for the next
/// message, though that is on its way, is dropped by it.
pub(super) async fn stop(url: &PgUrl, mut leg: Leg) {
    let stopped = async {
        let mut patience = FIRST_PATIENCE;
        loop {
            cancel(url.clone(), messages::cancel(leg.cancel_key())).await;
            if timeout(patience, leg.ends()).await.is_ok() {
                return;
            }
            patience *= 2;
        }
    };
    if timeout(STOPPING, stopped).await.is_err() {
        tracing::debug!(server = %url, "a read that was given up does not stop");
    }
}

/// Sends a CancelRequest over a connection of its own.
pub(super) async fn cancel(url: PgUrl, request: Bytes) {
    if !matches!(timeout(DELIVERY, send_alone(&url, &request)).await, Ok(Ok(()))) {
        tracing::debug!(server = %url, "a cancel did not arrive");
    }
}

async fn send_alone(url: &PgUrl, request: &[u8]) -> Result<(), OpenError> {
    let mut stream = server::open(url, Silence::Impatient).await?;
    stream.write_all(request).await?;
    Ok(stream.shutdown().await?)
}
