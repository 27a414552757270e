//! The network between crossfade and a server, in the hands of a test: a relay of bytes that stops, slows down or breaks.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::AbortHandle;
use tokio::time::sleep;

/// What becomes of bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Traffic {
    /// They arrive.
    Flows,
    /// None arrives, either way; connections stay open, and new ones are made.
    Stops,
    /// Those of the server do not arrive, those for it do.
    HoldsAnswers,
    /// Each piece arrives so much later.
    Crawls(Duration),
    /// There is no connection, and none can be made.
    Breaks,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Direction {
    ToServer,
    FromServer,
}

/// A port of the loopback interface that leads to a server. Dropped: its connections are closed.
#[derive(Debug)]
pub(crate) struct Line {
    port: u16,
    server: Arc<AtomicU16>,
    traffic: watch::Sender<Traffic>,
    accepting: AbortHandle,
}

impl Line {
    /// Leads to the server on port `server`.
    pub(crate) async fn to(server: u16) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a free port");
        let port = listener.local_addr().expect("its address").port();
        let server = Arc::new(AtomicU16::new(server));
        let (traffic, seen) = watch::channel(Traffic::Flows);
        let accepting = tokio::spawn(accept(listener, Arc::clone(&server), seen)).abort_handle();
        Self { port, server, traffic, accepting }
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// New connections go to this server from now on.
    pub(crate) fn lead_to(&self, server: u16) {
        self.server.store(server, Ordering::Relaxed);
    }

    pub(crate) fn set(&self, traffic: Traffic) {
        self.traffic.send_replace(traffic);
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        self.accepting.abort();
        self.set(Traffic::Breaks);
    }
}

async fn accept(listener: TcpListener, server: Arc<AtomicU16>, traffic: watch::Receiver<Traffic>) {
    loop {
        let Ok((near, _)) = listener.accept().await else { return };
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, server.load(Ordering::Relaxed)));
        let mut broken = traffic.clone();
        let traffic = traffic.clone();
        tokio::spawn(async move {
            tokio::select! {
                _ = broken.wait_for(|traffic| *traffic == Traffic::Breaks) => {}
                () = connect(near, address, traffic) => {}
            }
        });
    }
}

/// Ends when both sides have.
async fn connect(near: TcpStream, server: SocketAddr, traffic: watch::Receiver<Traffic>) {
    let Ok(far) = TcpStream::connect(server).await else { return };
    for socket in [&near, &far] {
        socket.set_nodelay(true).expect("a socket");
    }
    let ((near_reads, near_writes), (far_reads, far_writes)) = (near.into_split(), far.into_split());
    tokio::join!(
        carry(near_reads, far_writes, Direction::ToServer, traffic.clone()),
        carry(far_reads, near_writes, Direction::FromServer, traffic)
    );
}

async fn carry(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    direction: Direction,
    mut traffic: watch::Receiver<Traffic>,
) {
    let mut buffer = vec![0; 64 << 10];
    // The end of what one side says is told to the other like what it said.
    while let Ok(length) = from.read(&mut buffer).await {
        let passes = |traffic: &Traffic| match traffic {
            Traffic::Flows | Traffic::Crawls(_) => true,
            Traffic::Stops | Traffic::Breaks => false,
            Traffic::HoldsAnswers => direction == Direction::ToServer,
        };
        let Ok(passing) = traffic.wait_for(passes).await.map(|passing| *passing) else { return };
        if let Traffic::Crawls(delay) = passing {
            sleep(delay).await;
        }
        if length == 0 {
            break;
        }
        if to.write_all(&buffer[..length]).await.is_err() {
            return;
        }
    }
    // The other side may be gone.
    let _ = to.shutdown().await;
}
