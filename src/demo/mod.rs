//! `crossfade demo`: the whole thing on two throw-away clusters, under live load.
//!
//! Owns the clusters, the shop that is loaded into them, the shoppers, the faults planted in the shadow and the words
//! of the summary. The proxy it shows is the real one: this executable, run as a child process, seen only through
//! what its users touch (the two ports and the configuration file). [`Cluster`], [`Proxy`] and [`Admin`] serve the
//! tests and the benches too. Nothing here may reach into the proxy's insides, or outlive the run.

mod admin;
mod cluster;
mod fault;
mod load;
mod process;
mod screen;
mod shopper;
mod stage;
mod story;
mod summary;

pub use admin::{Admin, AdminError};
pub use cluster::{Cluster, ClusterError, Options, Role};
pub use process::{ProcessError, Proxy, Setup};
pub use story::{Outcome, Script, run};
