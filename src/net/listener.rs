//! Accepts clients, and gives each a task of its own.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering};

use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tracing::{debug, warn};

use super::cancel::CancelKeys;
use super::identity::Identity;
use super::login::Login;
use super::relay::Relay;
use super::startup::{Hello, Wish, negotiate};
use super::threads::Threads;
use super::verifiers::Verifiers;
use crate::catalog;
use crate::config::{Live, Settings};
use crate::effect::Epoch;
use crate::mirror::Mirror;
use crate::report::SessionsStatus;
use crate::server::{self, Silence, Stream};
use crate::session::{ReadService, Session};
use crate::sql;
use crate::wire::{Severity, Startup, error_response};

/// What all sessions share.
#[derive(Debug)]
pub struct Shared {
    /// Settings in force.
    pub live: Arc<Live>,
    /// Where writes go.
    pub mirror: Mirror,
    /// Of the primary.
    pub catalog: Arc<catalog::Handle>,
    /// Facts of statements seen before.
    pub statements: sql::Cache,
    /// Who answers drawn reads.
    pub reads: Arc<dyn ReadService>,
    /// The primary's life.
    pub epoch: Arc<AtomicU32>,
}

impl Shared {
    /// The primary's life now.
    pub(super) fn epoch(&self) -> Epoch {
        Epoch(self.epoch.load(Ordering::Acquire))
    }
}

/// Whether sessions are asked to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Leaving {
    /// Stay.
    #[default]
    No,
    /// As soon as no transaction is open.
    WhenIdle,
    /// At once.
    Now,
}

/// Who is in, and what letting them in takes.
#[derive(Debug, Default)]
pub struct Gate {
    open: AtomicUsize,
    total: AtomicU64,
    keys: Arc<CancelKeys>,
    identity: Identity,
    verifiers: Verifiers,
}

impl Gate {
    /// Client connections.
    pub fn status(&self) -> SessionsStatus {
        SessionsStatus { open: self.open.load(Ordering::Relaxed) as u64, total: self.total.load(Ordering::Relaxed) }
    }
}

/// One client's place; given up when it is dropped, however its task ends.
struct Place(Arc<Gate>);

impl Drop for Place {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Ordering::AcqRel);
    }
}

/// Accepts until sessions are asked to leave, and gives each client to one of `threads`. Returns when the last session
/// ended.
pub async fn serve(
    listener: TcpListener,
    threads: Threads,
    shared: Arc<Shared>,
    gate: Arc<Gate>,
    mut leaving: watch::Receiver<Leaving>,
) {
    let mut tasks = tokio::task::JoinSet::new();
    let for_clients = leaving.clone();
    loop {
        tokio::select! {
            biased;
            _ = asked(&mut leaving, Leaving::No) => break,
            Some(ended) = tasks.join_next() => {
                if let Err(error) = ended && error.is_panic() {
                    metrics::counter!("crossfade_session_panics_total").increment(1);
                    warn!("a session ended by a bug in crossfade; the others go on");
                }
            }
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    gate.open.fetch_add(1, Ordering::AcqRel);
                    let place = Place(Arc::clone(&gate));
                    // Taken from this runtime's poller, to be watched by the one it is given to.
                    let Ok(stream) = stream.into_std() else { continue };
                    tasks.spawn_on(client(stream, Arc::clone(&shared), place, for_clients.clone()), threads.next());
                }
                Err(error) => {
                    warn!(%error, "accepting a connection");
                    tokio::time::sleep(std::time::Duration::from_millis(50)).await;
                }
            },
        }
    }
    drop(listener);
    while tasks.join_next().await.is_some() {}
}

/// Waits until sessions are asked for something else than `before`.
pub(super) async fn asked(leaving: &mut watch::Receiver<Leaving>, before: Leaving) -> Leaving {
    let now = leaving.wait_for(|now| *now != before).await.map(|now| *now);
    match now {
        Ok(now) => now,
        Err(_) => std::future::pending().await,
    }
}

async fn client(stream: std::net::TcpStream, shared: Arc<Shared>, place: Place, leaving: watch::Receiver<Leaving>) {
    let settings = Arc::clone(&shared.live.get());
    let Ok(socket) = TcpStream::from_std(stream) else { return };
    let tls = place.0.identity.of(&settings);
    let wish = match tokio::time::timeout(settings.listen.startup_timeout, negotiate(socket, tls)).await {
        Ok(Ok(wish)) => wish,
        Ok(Err(error)) => return debug!(%error, "a client did not become a session"),
        Err(_) => return debug!("a client did not say what it wants in time"),
    };
    match wish {
        Wish::Gone => {}
        Wish::Cancel(key, canceller) => {
            if let Err(error) = place.0.keys.cancel(&key, &settings.primary.url).await {
                debug!(%error, "forwarding a cancel request");
            }
            // Closed only now: whoever waits for it knows that the cancel will not hit its next statement.
            drop(canceller);
        }
        Wish::Session(hello) => welcome(*hello, &shared, &settings, &place, leaving).await,
    }
}

async fn welcome(
    mut hello: Hello,
    shared: &Shared,
    settings: &Settings,
    place: &Place,
    leaving: watch::Receiver<Leaving>,
) {
    if place.0.open.load(Ordering::Acquire) > settings.listen.max_connections {
        let message = error_response(Severity::Fatal, "53300", "sorry, too many clients already");
        return refuse(&mut hello.stream, &message).await;
    }
    let mut primary = match server::open(&settings.primary.url, Silence::Patient).await {
        Ok(primary) => primary,
        Err(error) => {
            let text = format!("crossfade cannot reach the primary at {}: {error}", settings.primary.url);
            return refuse(&mut hello.stream, &error_response(Severity::Fatal, "08006", &text)).await;
        }
    };
    let login = Login::new(&mut hello, &mut primary).run(&place.0.verifiers, settings);
    let opening = match tokio::time::timeout(settings.listen.startup_timeout, login).await {
        Ok(Ok(opening)) => opening,
        Ok(Err(error)) => {
            debug!(%error, "a client was not let in");
            if let Some(message) = error.message(hello.startup.get("user").unwrap_or_default()) {
                refuse(&mut hello.stream, &message).await;
            }
            return;
        }
        Err(_) => return debug!("a client did not log in in time"),
    };
    place.0.total.fetch_add(1, Ordering::Relaxed);
    let session = session(&hello.startup, shared, settings);
    let relay = Relay::new(session, hello.stream, primary, opening, shared, Arc::clone(&place.0.keys));
    relay.run(settings.listen.startup_timeout, leaving).await;
}

/// Sessions on the mirrored database are tracked; the others are relayed and counted.
fn session(startup: &Startup, shared: &Shared, settings: &Settings) -> Session {
    let database = startup.get("database").or_else(|| startup.get("user")).unwrap_or_default();
    if settings.mirror.enabled && !startup.is_replication() && database == settings.primary.url.database {
        return Session::tracked(startup, &shared.catalog.get());
    }
    metrics::counter!("crossfade_sessions_unread_total").increment(1);
    Session::unread(startup)
}

async fn refuse(client: &mut Stream, message: &[u8]) {
    // Whether it hears why is its own affair.
    let _ = client.write_all(message).await;
    let _ = client.shutdown().await;
}
