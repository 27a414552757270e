//! What the operator sees and does.

use std::sync::atomic::Ordering;

use crate::effect::TableId;
use crate::report::{Handled, MirrorStatus, Quarantined, Replayed};

use super::Mirror;
use super::counters::Counters;
use super::placement::Intake;

impl Mirror {
    /// As in `/status`; `names` gives `schema.table` for a suspect table.
    pub fn status(&self, names: &dyn Fn(TableId) -> String) -> MirrorStatus {
        let lag = self.lag();
        let mut suspect_tables: Vec<_> =
            self.shared.suspects.tables().into_iter().map(|suspect| names(suspect.table)).collect();
        suspect_tables.sort_unstable();
        let placement = self.shared.placement.lock();
        let counters = placement.books.counters();
        let outstanding = placement.outstanding();
        let backlog_bytes = placement.outstanding_bytes();
        drop(placement);
        MirrorStatus {
            enabled: true,
            paused: *self.shared.paused.borrow(),
            captured: counters.captured,
            applied: counters.applied,
            pending: counters.pending,
            quarantined: counters.quarantined,
            skipped: counters.skipped,
            settled: outstanding == 0 && self.shared.busy.load(Ordering::Acquire) == 0 && !self.shared.suspects.any(),
            lag_ms: u64::try_from(lag.as_millis()).unwrap_or(u64::MAX),
            backlog_bytes,
            suspect_tables,
            suspect_keys: self.shared.suspects.key_count(),
        }
    }

    /// The counters alone.
    pub fn counters(&self) -> Counters {
        self.shared.placement.lock().books.counters()
    }

    /// What the shadow refused, newest first, bounded.
    pub fn quarantine(&self) -> Vec<Quarantined> {
        self.shared.placement.lock().books.refusals()
    }

    /// What was replayed, bounded.
    pub fn replayed(&self) -> Vec<Replayed> {
        self.shared.placement.lock().books.replays()
    }

    /// How committed transactions were handled since start, by table; `names` gives `schema.table`.
    pub fn handled(&self, names: &dyn Fn(TableId) -> String) -> Vec<Handled> {
        self.shared.handling.report(names)
    }

    /// Applying stops (true) or goes on (false); capture goes on in any case.
    pub fn pause(&self, paused: bool) {
        self.shared.paused.send_replace(paused);
    }

    /// Writes everything out and closes the journal cleanly: no table is suspect at the next start for it, but those
    /// with a ticket still out. What is submitted afterwards becomes marks. Sessions and appliers are stopped first.
    pub async fn close(&self) {
        self.shared.placement.lock().intake = Intake::Closed;
        self.shared.work.notify_one();
        // Nothing is ever sent: it errs when the writer has ended.
        let _ = self.life.ended.clone().changed().await;
    }
}
