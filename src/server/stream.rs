//! A connected byte stream, whatever carries it: the one type of socket for sessions and for connections of our own.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use socket2::{SockRef, TcpKeepalive};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, UnixStream};
use tokio_rustls::TlsStream;

use super::end_point;

/// TCP, a unix socket, or TLS over TCP. Dispatched directly: the plain kinds cost a branch.
#[derive(Debug)]
pub enum Stream {
    /// In clear.
    Tcp(TcpStream),
    /// On this machine.
    Unix(UnixStream),
    /// Encrypted; boxed, for plain sessions should not pay for its size.
    Tls(Box<TlsStream<TcpStream>>),
}

/// How soon a peer that is gone without a word is noticed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Silence {
    /// Within minutes, and never because it only takes its time: for sessions.
    Patient,
    /// Within half a minute, whether we wait or write: for connections of our own, which can be made anew.
    Impatient,
}

/// What [`Silence::Impatient`] bears.
const SILENCE: Duration = Duration::from_secs(30);

impl Silence {
    /// No delay for small messages, and probes.
    pub fn tune(self, stream: &TcpStream) -> io::Result<()> {
        stream.set_nodelay(true)?;
        let socket = SockRef::from(stream);
        let keepalive = TcpKeepalive::new();
        match self {
            Self::Patient => socket.set_tcp_keepalive(&keepalive.with_time(Duration::from_mins(1))),
            Self::Impatient => {
                #[cfg(target_os = "linux")]
                socket.set_tcp_user_timeout(Some(SILENCE))?;
                let probes = keepalive.with_time(SILENCE / 2).with_interval(SILENCE / 6).with_retries(3);
                socket.set_tcp_keepalive(&probes)
            }
        }
    }
}

impl Stream {
    /// Whether it is encrypted.
    pub fn is_tls(&self) -> bool {
        matches!(self, Self::Tls(_))
    }

    /// What SCRAM with the server at its other end can be bound to.
    pub fn end_point(&self) -> Option<Vec<u8>> {
        let Self::Tls(stream) = self else { return None };
        end_point(stream.get_ref().1.peer_certificates()?.first()?)
    }
}

impl AsyncRead for Stream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_read(cx, buffer),
            Self::Unix(stream) => Pin::new(stream).poll_read(cx, buffer),
            Self::Tls(stream) => match ready!(Pin::new(stream).poll_read(cx, buffer)) {
                // Closed without TLS's farewell, as many drivers do. What was cut off shows in the frames.
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Poll::Ready(Ok(())),
                read => Poll::Ready(read),
            },
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_write(cx, bytes),
            Self::Unix(stream) => Pin::new(stream).poll_write(cx, bytes),
            Self::Tls(stream) => Pin::new(stream).poll_write(cx, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_flush(cx),
            Self::Unix(stream) => Pin::new(stream).poll_flush(cx),
            Self::Tls(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Unix(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Tls(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}
