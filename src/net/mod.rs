//! Sockets of the data path: listener, start-up, login, relay loop, cancel.
//!
//! One task a session; it moves bytes between one client and one primary connection, shows them to the session's
//! machine, and never waits for the shadow but inside a read that was drawn. Knows the mirror only through its handle
//! and reads only through [`ReadService`](crate::session::ReadService).

mod asking;
mod bells;
mod books;
mod cancel;
mod direction;
#[cfg(feature = "fuzzing")]
pub mod fuzzing;
mod identity;
mod isolation;
mod leaving;
mod listener;
mod login;
mod observer;
mod relay;
mod scram;
mod startup;
mod threads;
mod verifiers;

pub use leaving::Leaving;
pub use listener::{Gate, Shared, serve};
pub use threads::Threads;
