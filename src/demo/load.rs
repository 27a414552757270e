//! Many shoppers at a bounded rate, and the count of what they did.

use std::mem;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval};

use super::shopper::{Shopper, Trouble, Turn};

/// Troubles are shown, not collected.
const TROUBLES: usize = 5;

/// What the shoppers did since the last [`Load::take`].
#[derive(Debug, Default)]
pub(super) struct Tally {
    pub(super) turns: u64,
    pub(super) reads: u64,
    pub(super) writes: u64,
    pub(super) undone: u64,
    /// Serialization failures and deadlocks: the primary's own, and no fault of anybody.
    pub(super) conflicts: u64,
    /// Reads that did not see the session's own write.
    pub(super) stale: u64,
    /// Errors that a plain connection would not have brought.
    pub(super) errors: u64,
    /// The first few of both.
    pub(super) troubles: Vec<String>,
    pub(super) latencies: Vec<Duration>,
}

impl Tally {
    fn count(&mut self, outcome: Result<Turn, Trouble>, took: Duration) {
        self.turns += 1;
        self.latencies.push(took);
        match outcome {
            Ok(Turn { reads, writes, undone }) => {
                self.reads += reads;
                self.writes += writes;
                self.undone += undone;
            }
            Err(trouble) if trouble.is_conflict() => self.conflicts += 1,
            Err(trouble) => {
                if matches!(trouble, Trouble::Stale(_)) {
                    self.stale += 1;
                } else {
                    self.errors += 1;
                }
                if self.troubles.len() < TROUBLES {
                    self.troubles.push(trouble.to_string());
                }
            }
        }
    }

    /// The time that `share` (0 to 1) of the turns took at most; zero without turns.
    pub(super) fn quantile(&mut self, share: f64) -> Duration {
        self.latencies.sort_unstable();
        let last = self.latencies.len().saturating_sub(1);
        self.latencies.get((last as f64 * share).round() as usize).copied().unwrap_or_default()
    }
}

/// Running shoppers. Dropped: they end at once.
pub(super) struct Load {
    shoppers: JoinSet<()>,
    done: Arc<AtomicBool>,
    tally: Arc<Mutex<Tally>>,
}

impl Load {
    /// Connects `clients` shoppers, each taking a turn every `pace` at most.
    pub(super) async fn start(url: &str, clients: usize, pace: Duration) -> Result<Self, Trouble> {
        let mut load = Self { shoppers: JoinSet::new(), done: Arc::default(), tally: Arc::default() };
        for _ in 0..clients {
            let shopper = Shopper::connect(url).await?;
            load.shoppers.spawn(shop(shopper, pace, load.done.clone(), load.tally.clone()));
        }
        Ok(load)
    }

    /// What was done since the last call.
    pub(super) fn take(&self) -> Tally {
        mem::take(&mut *self.tally.lock())
    }

    /// Turns since the last [`Load::take`].
    pub(super) fn turns(&self) -> u64 {
        self.tally.lock().turns
    }

    /// Lets every shopper finish its turn; gives what was done since the last [`Load::take`].
    pub(super) async fn stop(mut self) -> Tally {
        self.done.store(true, Ordering::Relaxed);
        while self.shoppers.join_next().await.is_some() {}
        self.take()
    }
}

async fn shop(mut shopper: Shopper, pace: Duration, done: Arc<AtomicBool>, tally: Arc<Mutex<Tally>>) {
    let mut clock = interval(pace);
    clock.set_missed_tick_behavior(MissedTickBehavior::Skip);
    while !done.load(Ordering::Relaxed) {
        clock.tick().await;
        let begun = Instant::now();
        let outcome = shopper.turn().await;
        let last = outcome.as_ref().is_err_and(Trouble::is_final);
        tally.lock().count(outcome, begun.elapsed());
        if last {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stale_read_is_counted_apart_from_errors() {
        let mut tally = Tally::default();
        tally.count(Ok(Turn { reads: 1, writes: 1, undone: 0 }), Duration::from_millis(1));
        tally.count(Err(Trouble::Stale("a cart")), Duration::from_millis(3));
        tally.count(Err(Trouble::DuplicateAccepted), Duration::from_millis(2));
        assert_eq!((tally.turns, tally.reads, tally.stale, tally.errors), (3, 1, 1, 1));
        assert_eq!(tally.troubles.len(), 2);
        assert_eq!(tally.quantile(0.5), Duration::from_millis(2));
        assert_eq!(tally.quantile(1.0), Duration::from_millis(3));
    }

    #[test]
    fn no_turns_have_no_latency() {
        assert_eq!(Tally::default().quantile(0.99), Duration::ZERO);
    }
}
