//! Accepts clients, and gives each a task of its own.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tracing::{debug, warn};

use super::cancel::CancelKeys;
use super::identity::Identity;
use super::isolation::isolated;
use super::leaving::{Leaving, asked};
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
use crate::session::{Profiles, ReadService, Room, Session};
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
    /// Roles and settings of sessions.
    pub profiles: Profiles,
    /// Who answers drawn reads.
    pub reads: Arc<dyn ReadService>,
    /// The primary's life.
    pub epoch: Arc<AtomicU32>,
    /// For what open transactions hold.
    pub room: Arc<Room>,
}

impl Shared {
    /// The primary's life now.
    pub(super) fn epoch(&self) -> Epoch {
        Epoch(self.epoch.load(Ordering::Acquire))
    }
}

/// Who is in, and what letting them in takes.
#[derive(Debug, Default)]
pub struct Gate {
    /// Connections that have not said what they want, or want a cancel.
    arriving: AtomicUsize,
    /// Sessions, from their StartupMessage on.
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

/// A place among those that `count` counts; given up when it is dropped, however its task ends.
struct Place {
    gate: Arc<Gate>,
    count: fn(&Gate) -> &AtomicUsize,
}

impl Place {
    /// `None`: `most` are taken.
    fn take(gate: &Arc<Gate>, count: fn(&Gate) -> &AtomicUsize, most: usize) -> Option<Self> {
        let place = Self { gate: Arc::clone(gate), count };
        let before = count(gate).fetch_add(1, Ordering::AcqRel);
        (before < most).then_some(place)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        (self.count)(&self.gate).fetch_sub(1, Ordering::AcqRel);
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
            () = asked(&mut leaving) => break,
            Some(_) = tasks.join_next() => {}
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    let most = shared.live.get().listen.max_connections;
                    let Some(arrival) = Place::take(&gate, |gate| &gate.arriving, most) else {
                        // Into an empty buffer: it is taken at once.
                        let _ = stream.try_write(&too_many());
                        continue;
                    };
                    // Taken from this runtime's poller, to be watched by the one it is given to.
                    let Ok(stream) = stream.into_std() else { continue };
                    let client = client(stream, Arc::clone(&shared), arrival, for_clients.clone());
                    tasks.spawn_on(client, threads.next());
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

/// A session that was let in, with its place.
struct Guest {
    relay: Box<Relay>,
    login_timeout: Duration,
    _place: Place,
}

/// One client, from its first byte to its last.
async fn client(stream: std::net::TcpStream, shared: Arc<Shared>, arrival: Place, leaving: watch::Receiver<Leaving>) {
    // The room that letting it in took is given back then.
    let guest = Box::pin(isolated(let_in(stream, shared, arrival, leaving.clone()))).await.flatten();
    if let Some(mut guest) = guest {
        guest.relay.run(guest.login_timeout, leaving).await;
    }
}

async fn let_in(
    stream: std::net::TcpStream,
    shared: Arc<Shared>,
    arrival: Place,
    mut leaving: watch::Receiver<Leaving>,
) -> Option<Guest> {
    let settings = Arc::clone(&shared.live.get());
    let socket = TcpStream::from_std(stream).ok()?;
    let gate = Arc::clone(&arrival.gate);
    let negotiated =
        tokio::time::timeout(settings.listen.startup_timeout, negotiate(socket, gate.identity.of(&settings)));
    let negotiated = tokio::select! {
        negotiated = negotiated => negotiated,
        () = asked(&mut leaving) => return None,
    };
    let wish = match negotiated {
        Ok(Ok(wish)) => wish,
        Ok(Err(error)) => {
            debug!(%error, "a client did not become a session");
            return None;
        }
        Err(_) => {
            debug!("a client did not say what it wants in time");
            return None;
        }
    };
    match wish {
        Wish::Gone => None,
        Wish::Cancel(key, canceller) => {
            if let Err(error) = gate.keys.cancel(&key, &settings.primary.url).await {
                debug!(%error, "forwarding a cancel request");
            }
            // Closed only now: whoever waits for it knows that the cancel will not hit its next statement.
            drop(canceller);
            None
        }
        Wish::Session(mut hello) => {
            let Some(place) = Place::take(&gate, |gate| &gate.open, settings.listen.max_connections) else {
                refuse(&mut hello.stream, &too_many()).await;
                return None;
            };
            drop(arrival);
            let relay = welcome(*hello, shared, &settings, &gate).await?;
            Some(Guest { relay, login_timeout: settings.listen.startup_timeout, _place: place })
        }
    }
}

fn too_many() -> Bytes {
    error_response(Severity::Fatal, "53300", "sorry, too many clients already")
}

async fn welcome(mut hello: Hello, shared: Arc<Shared>, settings: &Settings, gate: &Gate) -> Option<Box<Relay>> {
    let mut primary = match server::open(&settings.primary.url, Silence::Patient).await {
        Ok(primary) => primary,
        Err(error) => {
            let text = format!("crossfade cannot reach the primary at {}: {error}", settings.primary.url);
            refuse(&mut hello.stream, &error_response(Severity::Fatal, "08006", &text)).await;
            return None;
        }
    };
    let login = Login::new(&mut hello, &mut primary).run(&gate.verifiers, settings);
    let opening = match tokio::time::timeout(settings.listen.startup_timeout, login).await {
        Ok(Ok(opening)) => opening,
        Ok(Err(error)) => {
            debug!(%error, "a client was not let in");
            if let Some(message) = error.message(hello.startup.get("user").unwrap_or_default()) {
                refuse(&mut hello.stream, &message).await;
            }
            return None;
        }
        Err(_) => {
            debug!("a client did not log in in time");
            return None;
        }
    };
    gate.total.fetch_add(1, Ordering::Relaxed);
    let session = session(&hello.startup, &shared, settings);
    Some(Box::new(Relay::new(session, hello.stream, primary, opening, shared, Arc::clone(&gate.keys))))
}

/// Sessions on the mirrored database are tracked; the others are relayed and counted.
fn session(startup: &Startup, shared: &Shared, settings: &Settings) -> Session {
    let database = startup.get("database").or_else(|| startup.get("user")).unwrap_or_default();
    if settings.mirror.enabled && !startup.is_replication() && database == settings.primary.url.database {
        return Session::tracked(startup, &shared.catalog.get(), &shared.room);
    }
    metrics::counter!("crossfade_sessions_unread_total").increment(1);
    Session::unread(startup)
}

async fn refuse(client: &mut Stream, message: &[u8]) {
    // Whether it hears why is its own affair.
    let _ = client.write_all(message).await;
    let _ = client.shutdown().await;
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Bytes of what `work` gives.
    fn room<A, B, C, D, F>(_work: impl FnOnce(A, B, C, D) -> F) -> usize {
        size_of::<F>()
    }

    #[test]
    fn a_session_waits_in_little_room() {
        assert!(room(client) <= 2048, "{} bytes", room(client));
    }
}
