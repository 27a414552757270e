//! The connections to the shadow that serve reads: at most `reads.pool_size`, opened in the background. No read waits for
//! one: without an idle connection it goes to the primary, and the next finds more.

use std::ops::{Deref, DerefMut};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::io::AsyncWriteExt;
use tokio::time::timeout;

use super::leg::Leg;
use super::messages;
use crate::config::{Live, PgUrl};
use crate::server::{self, OpenError, Silence};
use crate::session::Profile;

/// To connect and log in, and to deliver a cancel.
const CONNECT: Duration = Duration::from_secs(5);
/// What was given up is asked to stop again after it, then after twice as long.
const FIRST_PATIENCE: Duration = Duration::from_millis(100);
/// And closed after it, whatever it does.
const STOPPING: Duration = Duration::from_secs(10);
/// An idle connection is closed after it.
const IDLE: Duration = Duration::from_mins(1);
/// How often idle connections are looked at.
const SWEEP: Duration = Duration::from_secs(5);
const FIRST_BACKOFF: Duration = Duration::from_millis(100);
const LAST_BACKOFF: Duration = Duration::from_secs(10);

/// The pool.
#[derive(Debug)]
pub(super) struct Pool {
    url: PgUrl,
    live: Arc<Live>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// The one used last at the back.
    idle: Vec<Idle>,
    /// Idle, lent and being opened.
    open: usize,
    opening: usize,
    trouble: Option<Backoff>,
}

#[derive(Debug)]
struct Idle {
    leg: Leg,
    since: Instant,
}

/// The shadow could not be reached.
#[derive(Debug, Clone, Copy)]
struct Backoff {
    length: Duration,
    until: Instant,
}

impl Pool {
    /// Empty. Must be called within a runtime.
    pub(super) fn new(url: PgUrl, live: Arc<Live>) -> Arc<Self> {
        let pool = Arc::new(Self { url, live, state: Mutex::default() });
        tokio::spawn(sweep(Arc::downgrade(&pool)));
        pool
    }

    /// An idle connection, best one that already has this role and settings; `None`: there is none just now.
    pub(super) fn take(self: &Arc<Self>, profile: &Profile) -> Option<Lease> {
        let mut state = self.state.lock();
        while let Some(mut leg) = state.pop(profile) {
            if leg.is_alive() {
                return Some(Lease { leg: Some(leg), cancelled: Cancelled::No, pool: Arc::clone(self) });
            }
            state.open -= 1;
        }
        if state.may_open(self.size(), Instant::now()) {
            state.open += 1;
            state.opening += 1;
            tokio::spawn(Arc::clone(self).open());
        }
        None
    }

    fn size(&self) -> usize {
        self.live.get().reads.pool_size
    }

    async fn open(self: Arc<Self>) {
        let opened = Leg::connect(&self.url, CONNECT).await;
        let mut state = self.state.lock();
        state.opening -= 1;
        match opened {
            Ok(leg) => {
                if state.trouble.take().is_some() {
                    tracing::info!(shadow = %self.url, "reads reach the shadow again");
                }
                state.put_back(leg, self.size());
            }
            Err(error) => {
                state.open -= 1;
                if state.trouble.is_none() {
                    tracing::warn!(shadow = %self.url, %error, "reads do not reach the shadow: the primary answers");
                }
                state.back_off(Instant::now());
            }
        }
    }

    /// A lent connection comes back. It is closed when a cancel may still be on its way, which would hit the next read.
    fn end(self: &Arc<Self>, leg: Leg, cancelled: Cancelled) {
        if leg.is_busy()
            && let Ok(runtime) = tokio::runtime::Handle::try_current()
        {
            runtime.spawn(Arc::clone(self).stop(leg));
        } else if leg.is_busy() || cancelled == Cancelled::Yes {
            self.state.lock().open -= 1;
        } else {
            self.state.lock().put_back(leg, self.size());
        }
    }

    /// Cancels what `leg` runs until it has ended: a cancel that comes while the server waits for the next message,
    /// though that is on its way, is dropped by it.
    async fn stop(self: Arc<Self>, mut leg: Leg) {
        let stopped = async {
            let mut patience = FIRST_PATIENCE;
            loop {
                deliver(self.url.clone(), messages::cancel(leg.cancel_key())).await;
                if timeout(patience, leg.ends()).await.is_ok() {
                    return;
                }
                patience *= 2;
            }
        };
        if timeout(STOPPING, stopped).await.is_err() {
            tracing::debug!(shadow = %self.url, "a read that was given up does not stop");
        }
        drop(leg);
        self.state.lock().open -= 1;
    }
}

/// Whether a cancel was sent to what a connection ran.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Cancelled {
    No,
    Yes,
}

impl State {
    fn pop(&mut self, profile: &Profile) -> Option<Leg> {
        let same = self.idle.iter().rposition(|idle| idle.leg.has(profile));
        let at = same.or(self.idle.len().checked_sub(1))?;
        Some(self.idle.remove(at).leg)
    }

    fn put_back(&mut self, leg: Leg, size: usize) {
        if self.open > size {
            self.open -= 1;
        } else {
            self.idle.push(Idle { leg, since: Instant::now() });
        }
    }

    /// While the shadow cannot be reached, one attempt at a time, and not at once.
    fn may_open(&self, size: usize, now: Instant) -> bool {
        self.open < size && self.trouble.is_none_or(|backoff| self.opening == 0 && now >= backoff.until)
    }

    fn back_off(&mut self, now: Instant) {
        let length = self.trouble.map_or(FIRST_BACKOFF, |backoff| (backoff.length * 2).min(LAST_BACKOFF));
        self.trouble = Some(Backoff { length, until: now + length });
    }

    fn close_idle(&mut self, now: Instant) {
        let before = self.idle.len();
        self.idle.retain_mut(|idle| now.duration_since(idle.since) < IDLE && idle.leg.is_alive());
        self.open -= before - self.idle.len();
    }
}

async fn sweep(pool: Weak<Pool>) {
    loop {
        tokio::time::sleep(SWEEP).await;
        let Some(pool) = pool.upgrade() else { return };
        pool.state.lock().close_idle(Instant::now());
    }
}

/// Sends a CancelRequest over a connection of its own.
pub(super) async fn deliver(url: PgUrl, cancel: Bytes) {
    if !matches!(timeout(CONNECT, send_alone(&url, &cancel)).await, Ok(Ok(()))) {
        tracing::debug!(shadow = %url, "a cancel did not reach the shadow");
    }
}

async fn send_alone(url: &PgUrl, request: &[u8]) -> Result<(), OpenError> {
    let mut stream = server::open(url, Silence::Impatient).await?;
    stream.write_all(request).await?;
    Ok(stream.shutdown().await?)
}

/// A connection that is lent. Dropped idle, it goes back; dropped busy, what it runs is cancelled and it is closed.
#[derive(Debug)]
pub(super) struct Lease {
    leg: Option<Leg>,
    cancelled: Cancelled,
    pool: Arc<Pool>,
}

impl Lease {
    /// Asks the shadow to cancel what runs. Nobody waits for it.
    pub(super) fn cancel(&mut self) {
        self.cancelled = Cancelled::Yes;
        tokio::spawn(deliver(self.pool.url.clone(), messages::cancel(self.cancel_key())));
    }
}

impl Deref for Lease {
    type Target = Leg;

    fn deref(&self) -> &Leg {
        self.leg.as_ref().expect("taken in drop only")
    }
}

impl DerefMut for Lease {
    fn deref_mut(&mut self) -> &mut Leg {
        self.leg.as_mut().expect("taken in drop only")
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        if let Some(leg) = self.leg.take() {
            self.pool.end(leg, self.cancelled);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{self, eventually, lease};
    use super::*;

    impl Pool {
        /// For a tally beside it.
        pub(in crate::reads) fn live(&self) -> Arc<Live> {
            Arc::clone(&self.live)
        }
    }

    #[tokio::test]
    async fn no_one_waits_and_no_more_are_opened_than_allowed() {
        let (cluster, client) = testing::cluster("").await;
        let (pool, live) = testing::pool(&cluster);
        let sized = |size| {
            let mut settings = testing::settings(&cluster);
            settings.reads.pool_size = size;
            live.swap(settings);
        };
        sized(2);
        assert!(pool.take(&Profile::default()).is_none(), "opened behind the read's back");
        let (one, two) = (lease(&pool).await, lease(&pool).await);
        assert!(pool.take(&Profile::default()).is_none());
        let counts = |state: &State| (state.open, state.opening, state.idle.len());
        assert_eq!(counts(&pool.state.lock()), (2, 0, 0));
        sized(3);
        let three = lease(&pool).await;
        sized(1);
        drop((one, two, three));
        assert_eq!(counts(&pool.state.lock()), (1, 0, 1));
        let count = "SELECT 1 FROM pg_stat_activity WHERE application_name = 'crossfade-reads'";
        while client.query(count, &[]).await.unwrap().len() != 1 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        sized(0);
        let last = lease(&pool).await;
        drop(last);
        assert_eq!(pool.state.lock().open, 0);
    }

    #[tokio::test]
    async fn a_shadow_that_goes_is_noticed_and_found_again() {
        let (cluster, _client) = testing::cluster("").await;
        let (pool, _) = testing::pool(&cluster);
        drop(lease(&pool).await);
        cluster.stop_server("immediate").unwrap();
        eventually(|| pool.take(&Profile::default()).is_none().then_some(())).await;
        eventually(|| pool.state.lock().trouble).await;
        cluster.start_server().unwrap();
        lease(&pool).await;
        assert!(pool.state.lock().trouble.is_none());
    }

    #[tokio::test]
    async fn idle_connections_are_closed_after_a_while() {
        let (cluster, _client) = testing::cluster("").await;
        let (pool, _) = testing::pool(&cluster);
        drop(lease(&pool).await);
        // Whoever waited long for the first has asked for another.
        while pool.state.lock().opening > 0 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        let open = pool.state.lock().open;
        pool.state.lock().close_idle(Instant::now());
        assert_eq!(pool.state.lock().open, open);
        pool.state.lock().close_idle(Instant::now() + IDLE);
        assert_eq!(pool.state.lock().open, 0);
    }

    #[test]
    fn attempts_on_a_shadow_that_is_down_become_rare_but_never_end() {
        let (mut state, now) = (State::default(), Instant::now());
        assert!(state.may_open(1, now));
        for _ in 0..20 {
            state.back_off(now);
        }
        assert!(!state.may_open(1, now));
        assert!(state.may_open(1, now + LAST_BACKOFF));
        state.opening = 1;
        assert!(!state.may_open(2, now + LAST_BACKOFF), "one attempt at a time");
    }
}
