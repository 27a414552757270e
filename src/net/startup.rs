//! A connection from its first byte to its StartupMessage: what the client asks for, and TLS where it is configured.
//!
//! Nothing that came in clear is ever taken for encrypted: bytes behind a request for encryption end the connection.

use std::io;
use std::sync::Arc;

use bytes::BytesMut;
use rustls::ServerConfig;
use thiserror::Error;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::{TlsAcceptor, TlsStream};

use crate::server::{Silence, Stream};
use crate::wire::{self, Malformed, Severity, Startup, StartupPacket};

/// The first byte of a TLS handshake, which no start-up packet of a sane length has.
const HANDSHAKE: u8 = 0x16;

/// A client that wants a session.
#[derive(Debug)]
pub(super) struct Hello {
    /// Its socket, encrypted or not.
    pub(super) stream: Stream,
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

impl Wish {
    fn session(stream: Stream, startup: Startup, message: BytesMut, rest: BytesMut) -> Self {
        Self::Session(Box::new(Hello { stream, startup, message, rest }))
    }
}

/// Why a connection does not become a session.
#[derive(Debug, Error)]
pub(super) enum StartupError {
    #[error("{0}")]
    Io(#[from] io::Error),
    #[error("{0}")]
    Malformed(#[from] Malformed),
    #[error("a second request for encryption")]
    AskedTwice,
    #[error("bytes in clear behind a request for encryption")]
    EarlyData,
    #[error("TLS failed: {0}")]
    Handshake(io::Error),
    #[error("direct TLS without the protocol name \"postgresql\" (ALPN)")]
    NoAlpn,
}

impl StartupError {
    /// What the client is told, if it can be told anything.
    fn message(&self) -> Option<bytes::Bytes> {
        match self {
            Self::Io(_) | Self::Handshake(_) | Self::NoAlpn => None,
            error => Some(wire::error_response(Severity::Fatal, "08P01", &error.to_string())),
        }
    }
}

/// How far encryption has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Encryption {
    /// May still be asked for.
    Open,
    /// Was declined.
    Declined,
}

/// Reads until the client has said what it wants. TLS is spoken as `tls` says, and declined without it.
pub(super) async fn negotiate(socket: TcpStream, tls: Option<Arc<ServerConfig>>) -> Result<Wish, StartupError> {
    Silence::Patient.tune(&socket)?;
    if let Some(tls) = &tls
        && first_byte(&socket).await? == Some(HANDSHAKE)
    {
        let stream = accept(socket, Arc::clone(tls)).await?;
        if stream.get_ref().1.alpn_protocol().is_none() {
            return Err(StartupError::NoAlpn);
        }
        return encrypted(Stream::Tls(Box::new(stream))).await;
    }
    in_clear(socket, tls).await
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

async fn in_clear(mut socket: TcpStream, tls: Option<Arc<ServerConfig>>) -> Result<Wish, StartupError> {
    let (mut ssl, mut gss) = (Encryption::Open, Encryption::Open);
    let mut input = BytesMut::new();
    loop {
        let packet = match read_packet(&mut socket, &mut input).await {
            Ok(Some(packet)) => packet,
            Ok(None) => return Ok(Wish::Gone),
            Err(error) => return tell(Stream::Tcp(socket), error).await,
        };
        let (asked, offer) = match packet.0 {
            StartupPacket::Cancel(key) => return Ok(Wish::Cancel(key, Stream::Tcp(socket))),
            StartupPacket::Startup(startup) => {
                return Ok(Wish::session(Stream::Tcp(socket), startup, packet.1, input));
            }
            StartupPacket::Ssl => (&mut ssl, tls.as_ref()),
            StartupPacket::Gss => (&mut gss, None),
        };
        if std::mem::replace(asked, Encryption::Declined) == Encryption::Declined {
            return tell(Stream::Tcp(socket), StartupError::AskedTwice).await;
        }
        if !input.is_empty() {
            return tell(Stream::Tcp(socket), StartupError::EarlyData).await;
        }
        if let Some(tls) = offer {
            socket.write_all(b"S").await?;
            let stream = accept(socket, Arc::clone(tls)).await?;
            return encrypted(Stream::Tls(Box::new(stream))).await;
        }
        socket.write_all(b"N").await?;
    }
}

/// Within TLS nothing but a session or a cancel can be asked for.
async fn encrypted(mut stream: Stream) -> Result<Wish, StartupError> {
    let mut input = BytesMut::new();
    match read_packet(&mut stream, &mut input).await {
        Ok(Some((StartupPacket::Startup(startup), message))) => Ok(Wish::session(stream, startup, message, input)),
        Ok(Some((StartupPacket::Cancel(key), _))) => Ok(Wish::Cancel(key, stream)),
        Ok(Some((StartupPacket::Ssl | StartupPacket::Gss, _))) => tell(stream, StartupError::AskedTwice).await,
        Ok(None) => Ok(Wish::Gone),
        Err(error) => tell(stream, error).await,
    }
}

/// Takes the next packet off `input`: what it is, and its bytes. `None`: the client is gone.
async fn read_packet(
    stream: &mut (impl AsyncRead + Unpin),
    input: &mut BytesMut,
) -> Result<Option<(StartupPacket, BytesMut)>, StartupError> {
    loop {
        if let Some((packet, size)) = wire::startup_packet(input)? {
            return Ok(Some((packet, input.split_to(size))));
        }
        if stream.read_buf(input).await? == 0 {
            return Ok(None);
        }
    }
}

async fn tell(mut stream: Stream, error: StartupError) -> Result<Wish, StartupError> {
    if let Some(message) = error.message() {
        // Whether it hears why is its own affair.
        let _ = stream.write_all(&message).await;
        let _ = stream.shutdown().await;
    }
    Err(error)
}
