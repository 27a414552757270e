//! One session's protocol, without I/O: outstanding requests, transaction, capture, routing state. `net` feeds it
//! bytes and carries out what it says; nothing here reads a clock, a socket or a random number.

mod profile;
mod reads;

pub use profile::Profile;
pub use reads::{Extended, Fallback, ReadReply, ReadRequest, ReadService, Sample, Truncated};
