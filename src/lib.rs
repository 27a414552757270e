//! crossfade, a shadow-write proxy for PostgreSQL. `ARCHITECTURE.md` is the map; `use` runs downward only.

pub mod catalog;
pub mod config;
pub mod demo;
pub mod effect;
pub mod mirror;
pub mod reads;
pub mod report;
pub mod server;
pub mod session;
pub mod sql;
