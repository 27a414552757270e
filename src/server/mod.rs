//! Connections of our own to either server: URL, login, settings. For everyone above; sessions' connections are `net`'s.

mod both;
mod client;
mod login;
mod raw;

pub use both::Both;
pub use client::{Client, ConnectError, Purpose, connect};
pub use raw::{RawConnection, RawError, Stream, connect_raw};
