//! Clients of our own, and many of them at once.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use futures_util::future::BoxFuture;
use tokio::task::JoinSet;
use tokio::time::sleep;
use tokio_postgres::{Client, NoTls};

/// A connection whose driver ends with it.
pub(crate) async fn connect(url: &str) -> Client {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await.unwrap_or_else(|error| panic!("{error}"));
    tokio::spawn(connection);
    client
}

/// Asks until the answer is yes; `what` names what never came.
pub(crate) async fn eventually(what: &str, mut question: impl AsyncFnMut() -> bool) {
    let begun = Instant::now();
    while !question().await {
        assert!(begun.elapsed() < Duration::from_secs(30), "never came: {what}");
        sleep(Duration::from_millis(20)).await;
    }
}

/// What a worker repeats, with its connection and its number.
pub(crate) type Deed = for<'a> fn(&'a mut Client, u32) -> BoxFuture<'a, ()>;

/// Concurrent clients that repeat a deed until they are stopped. Any panic in one fails the test that waits for them.
pub(crate) struct Workers {
    tasks: JoinSet<()>,
    done: Arc<AtomicBool>,
    deeds: Arc<AtomicU64>,
}

impl Workers {
    /// Starts `count` of them, each with a connection to `url` and its number.
    pub(crate) async fn start(url: &str, count: u32, deed: Deed) -> Self {
        let mut workers = Self { tasks: JoinSet::new(), done: Arc::default(), deeds: Arc::default() };
        for number in 0..count {
            let mut client = connect(url).await;
            let (done, deeds) = (workers.done.clone(), workers.deeds.clone());
            workers.tasks.spawn(async move {
                while !done.load(Ordering::Relaxed) {
                    deed(&mut client, number).await;
                    deeds.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        workers
    }

    /// Deeds done so far.
    pub(crate) fn deeds(&self) -> u64 {
        self.deeds.load(Ordering::Relaxed)
    }

    /// Lets them go on until every one has done some more.
    pub(crate) async fn go_on(&self, deeds: u64) {
        let target = self.deeds() + deeds;
        eventually("more deeds of the workers", async || self.deeds() >= target).await;
    }

    /// Lets every one finish its deed.
    pub(crate) async fn stop(mut self) -> u64 {
        self.done.store(true, Ordering::Relaxed);
        while let Some(ended) = self.tasks.join_next().await {
            if let Err(error) = ended {
                std::panic::resume_unwind(error.into_panic());
            }
        }
        self.deeds()
    }
}
