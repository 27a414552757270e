//! `crossfade demo`: the whole thing on two throw-away clusters.

mod cluster;

pub use cluster::{Cluster, ClusterError, Options};

/// How long and how much.
#[derive(Debug, Default)]
pub struct Script;

/// How it ended.
#[derive(Debug)]
pub enum Outcome {
    /// Everything promised was seen.
    AsPromised,
    /// Something was not.
    Broken,
    /// By ctrl-c or a signal.
    Interrupted,
}

/// Plays the demo.
pub async fn run(_script: &Script) -> anyhow::Result<Outcome> {
    todo!()
}
