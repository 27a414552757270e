//! The connections to the shadow that serve reads: at most `reads.pool_size`, opened in the background, some of them before
//! the first read. No read waits for one, so nobody can be in front of it: without an idle connection it goes to the primary.
//!
//! Idle ones are asked now and then whether they are still there. A shadow that has no connection left for us is given
//! some back, and asked for more ever more rarely.

use std::ops::{Deref, DerefMut};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tokio::runtime::{Handle, Id};
use tokio::sync::watch;
use tokio::time::timeout;

use super::leg::Leg;
use super::messages;
use super::rules::highest_share;
use super::stop::{cancel, stop};
use crate::config::{Live, PgUrl};
use crate::server::RawError;
use crate::session::Profile;

/// To connect and log in.
const CONNECT: Duration = Duration::from_secs(5);
/// An idle connection is closed after it, if there are more than [`WARM`].
const IDLE: Duration = Duration::from_mins(1);
/// So many are kept open while the ramp is above zero.
const WARM: usize = 4;
/// How often the pool looks after itself.
const LOOK: Duration = Duration::from_secs(1);
/// An idle connection is asked for an answer so often.
const CHECK: Duration = Duration::from_secs(5);
/// In which it must come.
const CHECK_ANSWER: Duration = Duration::from_secs(2);
/// `too_many_connections`
const TOO_MANY: &str = "53300";
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
    leg: Box<Leg>,
    since: Instant,
    /// When it last answered.
    answered: Instant,
}

/// Why the last attempt to open a connection failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Failure {
    /// The shadow could not be reached, or does not let us in.
    Unreachable,
    /// It has as many connections as it can have.
    Full,
}

/// No attempt before its end, and then one at a time.
#[derive(Debug, Clone, Copy)]
struct Backoff {
    failure: Failure,
    length: Duration,
    until: Instant,
}

impl Pool {
    /// Empty. Must be called within a runtime.
    pub(super) fn new(url: PgUrl, live: Arc<Live>) -> Arc<Self> {
        let pool = Arc::new(Self { url, live, state: Mutex::default() });
        tokio::spawn(look_after(Arc::downgrade(&pool), pool.live.subscribe()));
        pool
    }

    /// An idle connection, best one of this thread's that already has this role and settings; `None`: there is none just
    /// now.
    pub(super) fn take(self: &Arc<Self>, profile: &Arc<Profile>) -> Option<Lease> {
        let here = Handle::current().id();
        let mut state = self.state.lock();
        let mut found = None;
        while let Some(mut leg) = state.pop(profile, here) {
            if leg.is_alive() {
                found = Some(Lease { leg: Some(leg), cancelled: Cancelled::No, pool: Arc::clone(self) });
                break;
            }
            state.open -= 1;
        }
        // The next one shall find one, too, and of this thread.
        let is_short = state.idle.is_empty() || found.as_ref().is_some_and(|lease| !lease.is_of(here));
        if found.is_none() || is_short && state.opening == 0 {
            self.open_more(&mut state);
        }
        found
    }

    /// Opens one in the background, if one may be.
    fn open_more(self: &Arc<Self>, state: &mut State) -> bool {
        let may_open = state.may_open(self.size(), Instant::now());
        if may_open {
            state.open += 1;
            state.opening += 1;
            tokio::spawn(Arc::clone(self).open());
        }
        may_open
    }

    /// Opens what is to be kept warm, closes what nobody needs, asks the rest whether it is there.
    fn look_after(self: &Arc<Self>, now: Instant) {
        let settings = self.live.get();
        let warm = if highest_share(&settings.reads) > 0.0 { WARM.min(settings.reads.pool_size) } else { 0 };
        let mut state = self.state.lock();
        state.close_idle(warm, now);
        while state.open < warm && self.open_more(&mut state) {}
        for idle in state.take_unheard(now) {
            tokio::spawn(Arc::clone(self).check(idle));
        }
    }

    async fn check(self: Arc<Self>, mut idle: Idle) {
        let answer = timeout(CHECK_ANSWER, idle.leg.check()).await;
        let mut state = self.state.lock();
        if matches!(answer, Ok(Ok(()))) {
            state.keep(Idle { answered: Instant::now(), ..idle }, self.size());
        } else {
            state.open -= 1;
            tracing::debug!(shadow = %self.url, "an idle connection for reads does not answer");
        }
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
                if state.succeed(Instant::now()) == Some(Failure::Unreachable) {
                    tracing::info!(shadow = %self.url, "reads reach the shadow again");
                }
                state.put_back(Box::new(leg), self.size());
            }
            Err(error) => {
                let failure = match &error {
                    RawError::Refused { sqlstate, .. } if sqlstate == TOO_MANY => Failure::Full,
                    _ => Failure::Unreachable,
                };
                if state.fail(failure, Instant::now()) {
                    let open = state.open;
                    tracing::warn!(shadow = %self.url, %error, open, "no more connections to the shadow for reads: where none is left, the primary answers");
                }
            }
        }
    }

    /// A lent connection comes back. It is closed when a cancel may still be on its way, which would hit the next read.
    fn end(self: &Arc<Self>, leg: Box<Leg>, cancelled: Cancelled) {
        if leg.is_busy()
            && let Ok(runtime) = Handle::try_current()
        {
            runtime.spawn(Arc::clone(self).stop(leg));
        } else if leg.is_busy() || cancelled == Cancelled::Yes {
            self.state.lock().open -= 1;
        } else {
            self.state.lock().put_back(leg, self.size());
        }
    }

    async fn stop(self: Arc<Self>, leg: Box<Leg>) {
        stop(&self.url, *leg).await;
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
    /// Of those that fit best the one used last.
    fn pop(&mut self, profile: &Arc<Profile>, here: Id) -> Option<Box<Leg>> {
        let fitness = |idle: &Idle| (idle.leg.is_of(here), idle.leg.has(profile));
        let (at, _) = self.idle.iter().enumerate().max_by_key(|(_, idle)| fitness(idle))?;
        Some(self.idle.remove(at).leg)
    }

    fn put_back(&mut self, leg: Box<Leg>, size: usize) {
        let now = Instant::now();
        self.keep(Idle { leg, since: now, answered: now }, size);
    }

    /// Unless there are too many. The one used last is found first.
    fn keep(&mut self, idle: Idle, size: usize) {
        if self.open > size {
            self.open -= 1;
        } else {
            let at = self.idle.partition_point(|other| other.since <= idle.since);
            self.idle.insert(at, idle);
        }
    }

    /// After a failure, one attempt at a time, and not at once.
    fn may_open(&self, size: usize, now: Instant) -> bool {
        self.open < size && self.trouble.is_none_or(|backoff| self.opening == 0 && now >= backoff.until)
    }

    /// A connection was opened; gives what the trouble was. Of a full shadow it is taken slowly: it may be full again.
    fn succeed(&mut self, now: Instant) -> Option<Failure> {
        let Backoff { failure, length, .. } = self.trouble.take()?;
        if failure == Failure::Full && length > FIRST_BACKOFF {
            let length = length / 2;
            self.trouble = Some(Backoff { failure, length, until: now + length });
        }
        Some(failure)
    }

    /// An attempt failed; whether that is new. A full shadow gets half of what is idle, for others than us.
    fn fail(&mut self, failure: Failure, now: Instant) -> bool {
        self.open -= 1;
        if failure == Failure::Full {
            let given_back = self.idle.len().div_ceil(2);
            self.idle.drain(..given_back);
            self.open -= given_back;
        }
        let length = self.trouble.map_or(FIRST_BACKOFF, |backoff| (backoff.length * 2).min(LAST_BACKOFF));
        let before = self.trouble.replace(Backoff { failure, length, until: now + length });
        before.is_none_or(|before| before.failure != failure)
    }

    /// Those that ended, and beyond `warm` those that nobody used for long.
    fn close_idle(&mut self, warm: usize, now: Instant) {
        let mut open = self.open;
        self.idle.retain_mut(|idle| {
            let kept = idle.leg.is_alive() && (open <= warm || now.duration_since(idle.since) < IDLE);
            open -= usize::from(!kept);
            kept
        });
        self.open = open;
    }

    /// The idle ones that have not answered for a while. They stay among the open ones.
    fn take_unheard(&mut self, now: Instant) -> Vec<Idle> {
        self.idle.extract_if(.., |idle| now.duration_since(idle.answered) >= CHECK).collect()
    }
}

/// When something in force changes, the ramp above all, and now and then.
async fn look_after(pool: Weak<Pool>, mut changes: watch::Receiver<u64>) {
    loop {
        let Some(looked_after) = pool.upgrade() else { return };
        looked_after.look_after(Instant::now());
        drop(looked_after);
        // Nobody changes anything any more: the pool goes with its settings.
        if matches!(timeout(LOOK, changes.changed()).await, Ok(Err(_))) {
            tokio::time::sleep(LOOK).await;
        }
    }
}

/// A connection that is lent. Dropped idle, it goes back; dropped busy, what it runs is cancelled and it is closed.
#[derive(Debug)]
pub(super) struct Lease {
    /// Boxed, for it is handed around with every read.
    leg: Option<Box<Leg>>,
    cancelled: Cancelled,
    pool: Arc<Pool>,
}

impl Lease {
    /// Whether what it runs was cancelled.
    pub(super) fn is_cancelled(&self) -> bool {
        self.cancelled == Cancelled::Yes
    }

    /// Asks the shadow to cancel what runs. Nobody waits for it.
    pub(super) fn cancel(&mut self) {
        self.cancelled = Cancelled::Yes;
        tokio::spawn(cancel(self.pool.url.clone(), messages::cancel(self.cancel_key())));
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
mod tests;
