//! A logged-in connection whose messages are ours to read and write as bytes: for reads served by the shadow.

use std::io;
use std::time::Duration;

use bytes::BytesMut;
use thiserror::Error;
use tokio::io::{AsyncRead, AsyncWrite};

use crate::config::PgUrl;

/// A byte stream to a server: TCP or a unix socket.
pub trait Stream: AsyncRead + AsyncWrite + Send + Sync + Unpin + std::fmt::Debug {}

impl<T: AsyncRead + AsyncWrite + Send + Sync + Unpin + std::fmt::Debug> Stream for T {}

/// A connection behind its first ReadyForQuery.
#[derive(Debug)]
pub struct RawConnection {
    /// The socket.
    pub stream: Box<dyn Stream>,
    /// Bytes read and not yet taken.
    pub buffer: BytesMut,
    /// The whole body of BackendKeyData: what a CancelRequest must repeat. Empty if the server gave none.
    pub cancel_key: Vec<u8>,
}

/// Why there is none. Never holds a password.
#[derive(Debug, Error)]
pub enum RawError {
    /// The network.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// Not logged in in time.
    #[error("no answer within {0:?}")]
    Timeout(Duration),
    /// The server said no.
    #[error("{message} (SQLSTATE {sqlstate})")]
    Refused {
        /// Five characters.
        sqlstate: String,
        /// Its primary message.
        message: String,
    },
    /// The server wants a password, and the URL has none.
    #[error("the server asks for a password, and the URL gives none")]
    NoPassword,
    /// `sslmode` asks for TLS.
    #[error("sslmode {0} is not supported yet: use disable or prefer")]
    Tls(SslMode),
    /// Something that is no PostgreSQL server, or wants what we do not speak.
    #[error("unexpected answer at login: {0}")]
    Protocol(&'static str),
}

/// Connects and logs in (trust, cleartext, md5, SCRAM-SHA-256) with these settings, all within `timeout`.
pub async fn connect_raw(
    _url: &PgUrl,
    _settings: &[(&str, &str)],
    _timeout: Duration,
) -> Result<RawConnection, RawError> {
    todo!()
}
