//! The way to either server: sockets for everyone, TLS as the URL asks for it, and the login and settings of connections
//! of our own. How a session's client logs in is `net`'s affair.

mod both;
mod client;
mod end_point;
mod login;
mod open;
mod raw;
mod stream;
mod trust;

pub use both::Both;
pub use client::{Client, ConnectError, Purpose, connect};
pub use end_point::end_point;
pub use open::{OpenError, open};
pub use raw::{RawConnection, RawError, connect_raw};
pub use stream::{Silence, Stream};
