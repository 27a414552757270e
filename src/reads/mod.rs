//! The ramp: which reads the shadow may serve, and serving them.
//!
//! [`Router`] answers [`session::ReadService`](crate::session::ReadService): dice, eligibility, freshness, guard, then one
//! read over one of a bounded pool of connections to the shadow. `proxy.rs` builds it and joins it to the sessions, the
//! mirror and the checker; `admin/` reads its status. A share of the reads is run on both sides once its client is served
//! (`compare`), over connections of its own.
//!
//! It never makes a client wait for the shadow longer than `reads.timeout`, never writes on the shadow, and never passes on
//! the first byte of an answer that it does not know to be under way.

mod asker;
mod compare;
mod compared;
mod dice;
mod digest;
mod eligible;
mod frames;
mod fresh;
#[cfg(feature = "fuzzing")]
pub mod fuzzing;
mod guard;
mod kept;
mod leg;
mod messages;
mod pool;
mod reply;
mod route;
mod row_description;
mod rules;
mod service;
mod statements;
mod stats;
mod stop;
mod switch;
mod tally;
#[cfg(test)]
mod testing;
mod trouble;
mod twins;

pub use fresh::Verified;
pub use service::{Databases, Router};
