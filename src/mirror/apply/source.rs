//! What the appliers need of the ledger: its feed, behind a trait, so that they are tested without a journal.

use std::sync::Arc;

use tokio::sync::watch;

use crate::effect::{Mark, Seq};
use crate::mirror::entry::Entry;
use crate::mirror::ledger::{Feed, Outcome};

/// The ledger's other end. See [`Feed`] for what each promises.
pub(super) trait Source: Send + Sync + 'static {
    fn history(&mut self) -> Vec<Arc<Entry>>;
    fn resume_behind(&mut self, applied: Seq);
    /// Dropped before it is ready, it has taken nothing.
    fn next(&mut self, max_bytes: usize) -> impl Future<Output = Vec<Arc<Entry>>> + Send;
    fn settle(&self, entry: &Entry, outcome: Outcome);
    fn oldest_ticket(&self) -> u64;
    fn newest_ticket(&self) -> u64;
    fn outstanding(&self) -> u64;
    /// Somebody waits until everything up to this place is applied.
    fn awaited(&self) -> watch::Receiver<Seq>;
    /// The last place given out.
    fn last(&self) -> Seq;
    /// Up to there the ledger knew all as applied when it was opened.
    fn recovered(&self) -> Seq;
    fn mark(&self, mark: &Mark);
}

impl Source for Feed {
    fn history(&mut self) -> Vec<Arc<Entry>> {
        Self::history(self)
    }

    fn resume_behind(&mut self, applied: Seq) {
        Self::resume_behind(self, applied);
    }

    fn next(&mut self, max_bytes: usize) -> impl Future<Output = Vec<Arc<Entry>>> + Send {
        Self::next(self, max_bytes)
    }

    fn settle(&self, entry: &Entry, outcome: Outcome) {
        Self::settle(self, entry, outcome);
    }

    fn oldest_ticket(&self) -> u64 {
        Self::oldest_ticket(self)
    }

    fn newest_ticket(&self) -> u64 {
        Self::newest_ticket(self)
    }

    fn outstanding(&self) -> u64 {
        Self::outstanding(self)
    }

    fn awaited(&self) -> watch::Receiver<Seq> {
        Self::awaited(self)
    }

    fn last(&self) -> Seq {
        self.mirror().last()
    }

    fn recovered(&self) -> Seq {
        Self::recovered(self)
    }

    fn mark(&self, mark: &Mark) {
        self.mirror().mark(mark);
    }
}
