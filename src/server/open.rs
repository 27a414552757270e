//! The one way to a server's socket: TCP or unix, and TLS as `sslmode` asks for it, in libpq's meaning. For sessions, for
//! cancels and for connections of our own; who logs in over it, and how, is not known here.

use std::io;

use rustls::pki_types::ServerName;
use thiserror::Error;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UnixStream};
use tokio_rustls::{TlsConnector, TlsStream};

use super::stream::{Silence, Stream};
use super::trust;
use crate::config::{PgUrl, SslMode};

/// Length and code.
const SSL_REQUEST: [u8; 8] = [0, 0, 0, 8, 4, 210, 22, 47];

/// Why there is no socket.
#[derive(Debug, Error)]
pub enum OpenError {
    /// The network.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// The server speaks no TLS, and the URL asks for it.
    #[error("the server does not offer TLS, and sslmode={0} asks for it: turn ssl on there, or use prefer or disable")]
    NotOffered(SslMode),
    /// Its answer to the request for TLS is none.
    #[error("the server answered the request for TLS with byte {0:#04x}, expected S or N: is it a PostgreSQL server?")]
    Answer(u8),
    /// The handshake failed, or the certificate is not trusted.
    #[error("TLS with sslmode={mode} failed: {source}")]
    Handshake {
        /// What was asked for.
        mode: SslMode,
        /// What happened.
        source: io::Error,
    },
    /// The certificates to trust cannot be used.
    #[error("sslrootcert: {0}")]
    Roots(String),
    /// No name that a certificate could bear.
    #[error("\"{0}\" is not a host name or address that a certificate could be for")]
    Host(String),
}

/// Connects to the server that `url` names, by TLS where `sslmode` says so. A unix socket is never encrypted.
pub async fn open(url: &PgUrl, silence: Silence) -> Result<Stream, OpenError> {
    if url.host.starts_with('/') {
        let path = format!("{}/.s.PGSQL.{}", url.host, url.port);
        return Ok(Stream::Unix(UnixStream::connect(path).await?));
    }
    let stream = tcp(url, silence).await?;
    if url.sslmode == SslMode::Disable {
        return Ok(Stream::Tcp(stream));
    }
    match encrypted(stream, url).await {
        // Better in clear than not at all, over a connection that nothing was tried on.
        Err(OpenError::Handshake { mode: SslMode::Prefer, .. }) => Ok(Stream::Tcp(tcp(url, silence).await?)),
        other => other,
    }
}

async fn tcp(url: &PgUrl, silence: Silence) -> io::Result<TcpStream> {
    let stream = TcpStream::connect((url.host.as_str(), url.port)).await?;
    silence.tune(&stream)?;
    Ok(stream)
}

/// Asks for TLS. One byte is read and no more: what follows it belongs to the handshake, so nothing said in clear can
/// pass for encrypted.
async fn encrypted(mut stream: TcpStream, url: &PgUrl) -> Result<Stream, OpenError> {
    let connector = TlsConnector::from(trust::client_config(url)?);
    let name = ServerName::try_from(url.host.clone()).map_err(|_| OpenError::Host(url.host.clone()))?;
    stream.write_all(&SSL_REQUEST).await?;
    match stream.read_u8().await? {
        b'S' => {}
        b'N' if url.sslmode == SslMode::Prefer => return Ok(Stream::Tcp(stream)),
        b'N' => return Err(OpenError::NotOffered(url.sslmode)),
        answer => return Err(OpenError::Answer(answer)),
    }
    let handshake = connector.connect(name, stream).await;
    let encrypted = handshake.map_err(|source| OpenError::Handshake { mode: url.sslmode, source })?;
    Ok(Stream::Tls(Box::new(TlsStream::Client(encrypted))))
}
