//! crossfade, a shadow-write proxy for PostgreSQL. `ARCHITECTURE.md` is the map; `use` runs downward only.

pub mod admin;
pub mod catalog;
pub mod check;
pub mod cli;
pub mod config;
pub mod copy;
pub mod demo;
pub mod effect;
pub mod mirror;
pub mod net;
pub mod proxy;
pub mod reads;
pub mod report;
pub mod server;
pub mod session;
pub mod sql;
pub mod telemetry;
pub mod wire;
