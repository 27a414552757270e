//! One session's protocol, without I/O: outstanding requests, transaction, capture, routing state. `net` feeds a
//! [`Session`] the bytes of both sides and carries out what it says; nothing here reads a clock, a socket or a random
//! number, and nothing here may wait.

mod accounts;
mod block;
mod capture;
mod client;
mod follow;
mod large;
mod machine;
mod names;
mod outstanding;
mod plan;
mod prepared;
mod profile;
mod question;
mod reads;
mod refusals;
mod retry;
mod room;
mod routing;
mod server;
mod settings;
mod splice;
mod temporary;
mod transaction;
mod unread;

#[cfg(any(test, feature = "fuzzing"))]
pub mod testing;
#[cfg(test)]
mod tests;

pub use accounts::{Accounts, Env, RefusalOutcome};
pub use machine::{Session, SessionError};
pub use profile::{Profile, Profiles};
pub use reads::{Described, Extended, Fallback, Lot, ReadReply, ReadRequest, ReadService, Sample, Truncated};
pub use room::Room;
pub use routing::Drawn;
pub use splice::Splice;
