//! Joins the rooms.

use std::sync::Arc;

use crate::config::Reloader;

/// Runs the proxy until it is told to end.
pub async fn run(_reloader: Arc<Reloader>) -> anyhow::Result<()> {
    todo!()
}
