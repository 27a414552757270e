//! What `fuzz/` asks of this room.

pub use super::asking::fuzzing::{Talk, asked};
pub use super::scram::fuzzing::scram;
pub use super::startup::fuzzing::{Became, Reader};
