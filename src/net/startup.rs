//! A connection from its first byte to its StartupMessage: what the client asks for, and TLS where it is configured.

use std::io;
use std::sync::Arc;

use bytes::BytesMut;
use rustls::ServerConfig;
use thiserror::Error;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::{TlsAcceptor, TlsStream};

use super::asking::{Asking, Refusal, Step};
use super::identity::Shown;
use crate::server::{Silence, Stream};
use crate::wire::{Severity, Startup, error_response};

/// The first byte of a TLS handshake, which no start-up packet of a sane length has.
const HANDSHAKE: u8 = 0x16;

/// A client that wants a session.
#[derive(Debug)]
pub(super) struct Hello {
    /// Its socket, encrypted or not.
    pub(super) stream: Stream,
    /// What it may bind its login to; nothing in clear.
    pub(super) end_point: Option<Arc<[u8]>>,
    /// What it asks for.
    pub(super) startup: Startup,
    /// Its StartupMessage as it came.
    pub(super) message: BytesMut,
    /// What was read behind that.
    pub(super) rest: BytesMut,
}

/// What a client wants.
#[derive(Debug)]
pub(super) enum Wish {
    /// A session.
    Session(Box<Hello>),
    /// To cancel another's statement, by its key; the connection is closed when that is done.
    Cancel(Vec<u8>, Stream),
    /// Nothing any more.
    Gone,
}

/// Why a connection does not become a session.
#[derive(Debug, Error)]
pub(super) enum StartupError {
    #[error("{0}")]
    Io(#[from] io::Error),
    #[error("{0}")]
    Refused(#[from] Refusal),
    #[error("TLS failed: {0}")]
    Handshake(io::Error),
    #[error("direct TLS without the protocol name \"postgresql\" (ALPN)")]
    NoAlpn,
}

/// Reads until the client has said what it wants. TLS is spoken as `shown` says, and declined without it.
pub(super) async fn negotiate(mut socket: TcpStream, shown: Option<Shown>) -> Result<Wish, StartupError> {
    Silence::Patient.tune(&socket)?;
    if let Some(shown) = &shown
        && first_byte(&socket).await? == Some(HANDSHAKE)
    {
        let stream = accept(socket, Arc::clone(&shown.tls)).await?;
        if stream.get_ref().1.alpn_protocol().is_none() {
            return Err(StartupError::NoAlpn);
        }
        return encrypted(stream, shown.end_point.clone()).await;
    }
    let mut input = BytesMut::new();
    match hear(&mut socket, &mut input, Asking::in_clear(shown.is_some())).await {
        Ok(Heard::Encrypt) => {
            let Some(shown) = shown else { return Ok(Wish::Gone) };
            encrypted(accept(socket, shown.tls).await?, shown.end_point).await
        }
        heard => become_of(Stream::Tcp(socket), None, input, heard).await,
    }
}

/// Left in the socket; `None` when it ended without one.
async fn first_byte(socket: &TcpStream) -> io::Result<Option<u8>> {
    let mut byte = [0];
    let size = socket.peek(&mut byte).await?;
    Ok((size == 1).then_some(byte[0]))
}

async fn accept(socket: TcpStream, tls: Arc<ServerConfig>) -> Result<TlsStream<TcpStream>, StartupError> {
    let accepted = TlsAcceptor::from(tls).accept(socket).await;
    accepted.map(TlsStream::Server).map_err(StartupError::Handshake)
}

async fn encrypted(stream: TlsStream<TcpStream>, end_point: Option<Arc<[u8]>>) -> Result<Wish, StartupError> {
    let (mut stream, mut input) = (Stream::Tls(Box::new(stream)), BytesMut::new());
    let heard = hear(&mut stream, &mut input, Asking::encrypted()).await;
    become_of(stream, end_point, input, heard).await
}

/// What a client said last.
#[derive(Debug)]
enum Heard {
    Session(Startup, BytesMut),
    Cancel(Vec<u8>),
    /// It was told yes.
    Encrypt,
    Gone,
}

/// Reads and answers until there is nothing more to answer in this way.
async fn hear(
    stream: &mut (impl AsyncRead + AsyncWrite + Unpin),
    input: &mut BytesMut,
    mut asking: Asking,
) -> Result<Heard, StartupError> {
    loop {
        match asking.step(input)? {
            Step::Session(startup, message) => return Ok(Heard::Session(startup, message)),
            Step::Cancel(key) => return Ok(Heard::Cancel(key)),
            Step::Encrypt => {
                stream.write_all(b"S").await?;
                return Ok(Heard::Encrypt);
            }
            Step::Decline => stream.write_all(b"N").await?,
            Step::Wait => {
                if stream.read_buf(input).await? == 0 {
                    return Ok(Heard::Gone);
                }
            }
        }
    }
}

async fn become_of(
    mut stream: Stream,
    end_point: Option<Arc<[u8]>>,
    rest: BytesMut,
    heard: Result<Heard, StartupError>,
) -> Result<Wish, StartupError> {
    if let Err(StartupError::Refused(refusal)) = &heard {
        // Whether it hears why is its own affair.
        let _ = stream.write_all(&error_response(Severity::Fatal, "08P01", &refusal.to_string())).await;
        let _ = stream.shutdown().await;
    }
    Ok(match heard? {
        Heard::Session(startup, message) => {
            Wish::Session(Box::new(Hello { stream, end_point, startup, message, rest }))
        }
        Heard::Cancel(key) => Wish::Cancel(key, stream),
        Heard::Encrypt | Heard::Gone => Wish::Gone,
    })
}

#[cfg(feature = "fuzzing")]
pub(super) mod fuzzing;
#[cfg(test)]
mod tests;
