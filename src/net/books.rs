//! One session's books with the mirror.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use crate::catalog::{Handle, Invalidation};
use crate::effect::{Change, Disturbed, Mark, Reason, Seq, Touched, Transaction, Xid};
use crate::mirror::{Mirror, Ticket};
use crate::session::{Accounts, RefusalOutcome};
use crate::telemetry::count_refused_rewrite;

/// What one session has announced and not decided. Dropped with something undecided, as when the primary is lost while
/// a commit is on its way, it marks what that may have written.
#[derive(Debug)]
pub(super) struct Books {
    mirror: Mirror,
    catalog: Arc<Handle>,
    undecided: VecDeque<(Ticket, Touched)>,
    invalidations: Vec<Invalidation>,
    last: Option<Seq>,
}

impl Books {
    pub(super) fn new(mirror: Mirror, catalog: Arc<Handle>) -> Self {
        Self { mirror, catalog, undecided: VecDeque::new(), invalidations: Vec::new(), last: None }
    }

    /// The last place in the ledger of this session's own writes.
    pub(super) fn last_write(&self) -> Option<Seq> {
        self.last
    }
}

impl Accounts for Books {
    fn enter(&mut self, touched: &Touched) {
        self.undecided.push_back((self.mirror.enter(touched), touched.clone()));
    }

    fn commit(&mut self, xid: Option<Xid>, changes: Vec<Change>) {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let transaction = Transaction { xid, committed_ms: now.as_millis() as u64, changes };
        self.last = self.mirror.submit(transaction, None).or(self.last);
    }

    fn skip(&mut self) {
        self.mirror.skip();
    }

    fn resolve(&mut self, count: usize) {
        self.undecided.drain(..count.min(self.undecided.len()));
    }

    fn ddl(&mut self, disturbed: Disturbed) {
        self.invalidations.push(self.catalog.invalidate(disturbed));
    }

    fn defined(&mut self) {
        self.invalidations.clear();
    }

    fn refused(&mut self) {
        self.catalog.reload();
    }

    fn count_refusal(&mut self, outcome: RefusalOutcome) {
        count_refused_rewrite(match outcome {
            RefusalOutcome::Retried => "retried",
            RefusalOutcome::Told => "told",
        });
    }
}

impl Drop for Books {
    fn drop(&mut self) {
        for (ticket, touched) in self.undecided.drain(..) {
            self.mirror.mark(&Mark::Tables { touched, reason: Reason::InDoubt });
            drop(ticket);
        }
    }
}
