//! Clients that bear what every client of a server must: the loss of the connection. They connect again and go on.

use std::error::Error as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use futures_util::future::BoxFuture;
use tokio::task::JoinSet;
use tokio::time::sleep;
use tokio_postgres::{Client, Error, NoTls};

use super::eventually;

/// What one repeats, with its connection and its number.
type Deed = for<'a> fn(&'a mut Client, u32) -> BoxFuture<'a, Result<(), Error>>;

/// Between two tries to connect.
const RETRY: Duration = Duration::from_millis(50);

/// What they went through.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Toll {
    /// Acknowledged.
    pub(crate) deeds: u64,
    /// Connections that were lost.
    pub(crate) lost: u64,
}

/// Concurrent clients. One that is told anything but that its connection is lost fails the test that waits for them.
pub(crate) struct Survivors {
    tasks: JoinSet<()>,
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    done: AtomicBool,
    deeds: AtomicU64,
    lost: AtomicU64,
}

impl Survivors {
    /// Starts `count` of them.
    pub(crate) fn start(url: &str, count: u32, deed: Deed) -> Self {
        let (mut tasks, shared) = (JoinSet::new(), Arc::<Shared>::default());
        for number in 0..count {
            tasks.spawn(survive(url.to_owned(), number, deed, Arc::clone(&shared)));
        }
        Self { tasks, shared }
    }

    pub(crate) fn toll(&self) -> Toll {
        let Shared { deeds, lost, .. } = &*self.shared;
        Toll { deeds: deeds.load(Ordering::Relaxed), lost: lost.load(Ordering::Relaxed) }
    }

    /// Lets them go on until every one has done some more.
    pub(crate) async fn go_on(&self, deeds: u64) {
        let target = self.toll().deeds + deeds;
        eventually("more deeds of the survivors", async || self.toll().deeds >= target).await;
    }

    /// Lets every one finish its deed.
    pub(crate) async fn stop(mut self) -> Toll {
        self.shared.done.store(true, Ordering::Relaxed);
        while let Some(ended) = self.tasks.join_next().await {
            if let Err(error) = ended {
                std::panic::resume_unwind(error.into_panic());
            }
        }
        self.toll()
    }
}

async fn survive(url: String, number: u32, deed: Deed, shared: Arc<Shared>) {
    let goes_on = || !shared.done.load(Ordering::Relaxed);
    while goes_on() {
        let mut client = match tokio_postgres::connect(&url, NoTls).await {
            Ok((client, connection)) => {
                tokio::spawn(connection);
                client
            }
            Err(error) => {
                must_be_a_loss(&error);
                sleep(RETRY).await;
                continue;
            }
        };
        while goes_on() {
            if let Err(error) = deed(&mut client, number).await {
                must_be_a_loss(&error);
                shared.lost.fetch_add(1, Ordering::Relaxed);
                break;
            }
            shared.deeds.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// As a server says it that goes down, comes up, or ends a session; or a socket that ended without a word.
pub(crate) fn must_be_a_loss(error: &Error) {
    let is_loss = match error.code() {
        Some(state) => state.code().starts_with("08") || state.code().starts_with("57P0"),
        None => error.is_closed() || error.source().is_some_and(<dyn std::error::Error>::is::<std::io::Error>),
    };
    assert!(is_loss, "not only the connection was lost: {error:?}");
}
