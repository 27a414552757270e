//! What `fuzz/` asks of the start of a connection, by a socket.

use std::io;
use std::net::Ipv4Addr;
use std::sync::Arc;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::{Builder, Runtime};

use super::super::identity::Identity;
use super::{StartupError, Wish, negotiate};
use crate::config::Settings;

/// What a connection became.
#[derive(Debug)]
pub enum Became {
    /// A session, by this message.
    Session {
        /// As it came.
        message: Vec<u8>,
        /// Whether it was encrypted.
        encrypted: bool,
    },
    /// A request to cancel.
    Cancel,
    /// Nothing.
    Gone,
    /// An error.
    Refused,
}

/// Hears clients as the proxy does.
#[derive(Debug)]
pub struct Reader {
    runtime: Runtime,
    listener: TcpListener,
    identity: Identity,
    settings: Arc<Settings>,
}

impl Reader {
    /// With the certificate of these settings, if they name one.
    pub fn new(settings: Settings) -> io::Result<Self> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let listener = runtime.block_on(TcpListener::bind((Ipv4Addr::LOCALHOST, 0)))?;
        Ok(Self { runtime, listener, identity: Identity::default(), settings: Arc::new(settings) })
    }

    /// A client that sends these pieces and nothing more: what it became, and what it heard.
    pub fn hear(&self, pieces: &[&[u8]]) -> io::Result<(Became, Vec<u8>)> {
        self.runtime.block_on(async {
            let mut client = TcpStream::connect(self.listener.local_addr()?).await?;
            client.set_nodelay(true)?;
            let (socket, _) = self.listener.accept().await?;
            let ours = async { became(negotiate(socket, self.identity.of(&self.settings)).await) };
            let theirs = async {
                for piece in pieces {
                    // It may have been refused before.
                    if client.write_all(piece).await.is_err() {
                        break;
                    }
                    tokio::task::yield_now().await;
                }
                let _ = client.shutdown().await;
                let mut heard = Vec::new();
                let _ = client.read_to_end(&mut heard).await;
                heard
            };
            Ok(tokio::join!(ours, theirs))
        })
    }
}

fn became(wish: Result<Wish, StartupError>) -> Became {
    match wish {
        Ok(Wish::Session(hello)) => {
            Became::Session { encrypted: hello.stream.is_tls(), message: hello.message.to_vec() }
        }
        Ok(Wish::Cancel(..)) => Became::Cancel,
        Ok(Wish::Gone) => Became::Gone,
        Err(error) => {
            let _ = error.to_string();
            Became::Refused
        }
    }
}
