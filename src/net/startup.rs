//! A connection from its first byte to its StartupMessage.

use std::io;

use bytes::{Buf, BytesMut};
use thiserror::Error;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::stream::Stream;
use crate::wire::{self, Malformed, Severity, Startup, StartupPacket};

/// What a client wants.
#[derive(Debug)]
pub(super) enum Wish {
    /// A session: its StartupMessage, and everything read so far, that message in front.
    Session(Startup, BytesMut),
    /// To cancel another's statement.
    Cancel(Vec<u8>),
    /// Nothing any more.
    Gone,
}

/// Why a connection does not become a session.
#[derive(Debug, Error)]
pub(super) enum StartupError {
    #[error("{0}")]
    Io(#[from] io::Error),
    #[error("{0}")]
    Malformed(#[from] Malformed),
    #[error("a second request for encryption after it was declined")]
    AskedTwice,
    #[error("bytes in clear behind a request for encryption")]
    EarlyData,
}

impl StartupError {
    /// What the client is told, if it can be told anything.
    fn message(&self) -> Option<bytes::Bytes> {
        match self {
            Self::Io(_) => None,
            error => Some(wire::error_response(Severity::Fatal, "08P01", &error.to_string())),
        }
    }
}

/// Reads until the client has said what it wants. Encryption is declined.
pub(super) async fn negotiate(client: &mut Stream) -> Result<Wish, StartupError> {
    let wish = read_wish(client).await;
    if let Err(error) = &wish
        && let Some(message) = error.message()
    {
        let _ = client.write_all(&message).await;
    }
    wish
}

async fn read_wish(client: &mut Stream) -> Result<Wish, StartupError> {
    let mut input = BytesMut::new();
    let (mut asked_tls, mut asked_gss) = (false, false);
    loop {
        let Some((packet, size)) = wire::startup_packet(&input)? else {
            if client.read_buf(&mut input).await? == 0 {
                return Ok(Wish::Gone);
            }
            continue;
        };
        let asked = match packet {
            StartupPacket::Cancel(key) => return Ok(Wish::Cancel(key)),
            StartupPacket::Startup(startup) => return Ok(Wish::Session(startup, input)),
            StartupPacket::Ssl => &mut asked_tls,
            StartupPacket::Gss => &mut asked_gss,
        };
        if std::mem::replace(asked, true) {
            return Err(StartupError::AskedTwice);
        }
        input.advance(size);
        if !input.is_empty() {
            return Err(StartupError::EarlyData);
        }
        client.write_all(b"N").await?;
    }
}
