//! What a client asks for before it has a session, packet by packet; without I/O.
//!
//! Nothing that came in clear is ever taken for encrypted: bytes behind a request for encryption end the connection.

use bytes::BytesMut;
use thiserror::Error;

use crate::wire::{self, Malformed, Startup, StartupPacket};

/// Why what a client asks for cannot be had.
#[derive(Debug, PartialEq, Eq, Error)]
pub(super) enum Refusal {
    #[error("{0}")]
    Malformed(#[from] Malformed),
    #[error("a second request for encryption")]
    AskedTwice,
    #[error("bytes in clear behind a request for encryption")]
    EarlyData,
}

/// What follows from what was read.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Read on.
    Wait,
    /// Say no to the encryption that was asked for, and read on.
    Decline,
    /// Say yes; TLS follows.
    Encrypt,
    /// A session, by this message, as it came.
    Session(Startup, BytesMut),
    /// To cancel another's statement, by its key.
    Cancel(Vec<u8>),
}

/// Whether a kind of encryption may be asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Encryption {
    /// It may, and is had.
    Offered,
    /// It may, in vain.
    Unavailable,
    /// It was, or there is encryption already.
    Settled,
}

/// One client, so far.
#[derive(Debug)]
pub(super) struct Asking {
    ssl: Encryption,
    gss: Encryption,
}

impl Asking {
    /// In clear, where TLS may be had or not.
    pub(super) fn in_clear(tls: bool) -> Self {
        let ssl = if tls { Encryption::Offered } else { Encryption::Unavailable };
        Self { ssl, gss: Encryption::Unavailable }
    }

    /// Within TLS, where nothing but a session or a cancel can be asked for.
    pub(super) fn encrypted() -> Self {
        Self { ssl: Encryption::Settled, gss: Encryption::Settled }
    }

    /// Takes the next packet off `input`, once it is whole. Behind a session's message `input` is the session's.
    pub(super) fn step(&mut self, input: &mut BytesMut) -> Result<Step, Refusal> {
        let Some((packet, size)) = wire::startup_packet(input)? else { return Ok(Step::Wait) };
        let message = input.split_to(size);
        let asked = match packet {
            StartupPacket::Startup(startup) => return Ok(Step::Session(startup, message)),
            StartupPacket::Cancel(key) => return Ok(Step::Cancel(key)),
            StartupPacket::Ssl => &mut self.ssl,
            StartupPacket::Gss => &mut self.gss,
        };
        match std::mem::replace(asked, Encryption::Settled) {
            Encryption::Settled => Err(Refusal::AskedTwice),
            _ if !input.is_empty() => Err(Refusal::EarlyData),
            Encryption::Offered => Ok(Step::Encrypt),
            Encryption::Unavailable => Ok(Step::Decline),
        }
    }
}

#[cfg(feature = "fuzzing")]
pub(super) mod fuzzing;
#[cfg(test)]
mod tests;
