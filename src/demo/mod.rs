//! `crossfade demo`: the whole thing on two throw-away clusters.

mod cluster;

pub use cluster::{Cluster, ClusterError, Options};
