//! A logged-in connection whose messages are ours to read and write as bytes: for reads served by the shadow.

use std::io;

use bytes::BytesMut;
use thiserror::Error;
use tokio::net::TcpStream;

use crate::config::PgUrl;

/// A connection behind its first ReadyForQuery.
#[derive(Debug)]
pub struct RawConnection {
    /// The socket.
    pub stream: TcpStream,
    /// Bytes read and not yet taken.
    pub buffer: BytesMut,
    /// The whole body of BackendKeyData: what a CancelRequest must repeat.
    pub cancel_key: Vec<u8>,
}

/// Why there is none.
#[derive(Debug, Error)]
pub enum RawError {
    /// The network.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// The server said no.
    #[error("{message} (SQLSTATE {sqlstate})")]
    Refused {
        /// Five characters.
        sqlstate: String,
        /// Its primary message.
        message: String,
    },
    /// Something that is no PostgreSQL server, or wants what we do not speak.
    #[error("unexpected answer at login: {0}")]
    Protocol(&'static str),
}

/// Connects and logs in (trust, cleartext, md5, SCRAM-SHA-256).
pub async fn connect_raw(_url: &PgUrl, _settings: &[(&str, &str)]) -> Result<RawConnection, RawError> {
    todo!()
}
