//! What copy and check call: windows, the fence, placing what was read, and clearing marks (rules 25 to 28).

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use parking_lot::MutexGuard;
use thiserror::Error;

use crate::effect::{Key, Reason, Seq, Snapshot, TableId};
use crate::mirror::entry::{Fill, Item, Refresh, Scope};

use super::Mirror;
use super::placement::Placement;
use super::shared::Shared;
use super::suspects::{Suspect, SuspectKeys};

/// The keys touched in one table since it was opened. Dropped: closed.
#[derive(Debug)]
pub struct Window {
    shared: Arc<Shared>,
    table: TableId,
    id: u64,
}

/// The window cannot tell which keys were touched: too many, or an event without key; or there is no room for the
/// refresh. To be tried again.
#[derive(Debug, Error)]
#[error("the window was voided")]
pub struct Voided;

impl Window {
    /// Whether nothing at all has happened to its table.
    pub fn is_quiet(&self) -> bool {
        self.shared.placement.lock().windows.is_quiet(self.table, self.id)
    }

    /// Keys with an event that `snapshot` does not see.
    pub fn newer(&self, snapshot: &Snapshot) -> Result<HashSet<Key>, Voided> {
        self.shared.placement.lock().windows.newer(self.table, self.id, snapshot)
    }
}

impl Drop for Window {
    fn drop(&mut self) {
        self.shared.placement.lock().windows.close(self.table, self.id);
    }
}

/// A refresh or backfill that runs.
struct Busy(Arc<Shared>);

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.busy.fetch_sub(1, Ordering::AcqRel);
    }
}

impl Mirror {
    /// From now on, remembers the key and xid of every event on `table` as it enters the ledger.
    pub fn open_window(&self, table: TableId) -> Window {
        let id = self.shared.placement.lock().windows.open(table);
        Window { shared: self.shared.clone(), table, id }
    }

    /// Waits until every commit on `table` that was in flight at the call is resolved, then gives the last place: all
    /// that a snapshot taken before the call saw is at or before it (rule 26).
    pub async fn fence(&self, table: TableId) -> Seq {
        self.shared.in_flight.fence(table).await;
        self.last()
    }

    /// Waits until [`Mirror::applied`] reaches `seq`.
    pub async fn wait_applied(&self, seq: Seq) {
        self.shared.hurry(seq);
        let mut applied = self.shared.applied.subscribe();
        // The sender lives as long as this handle.
        let _ = applied.wait_for(|applied| *applied >= seq).await;
    }

    /// Puts a refresh into the ledger and closes its window in one step. Before it is called the fence has passed.
    /// Rows whose key has an event that `snapshot` does not see are taken out and named in `newer`. For a table whose
    /// events bear no key any event voids.
    pub fn place(&self, window: Window, snapshot: &Snapshot, mut refresh: Refresh) -> Result<Seq, Voided> {
        let keyless = refresh.shape.key.is_empty() || matches!(refresh.scope, Scope::Multiset { .. });
        let placement = self.shared.placement.lock();
        if keyless && !placement.windows.is_quiet(window.table, window.id) {
            return Err(Voided);
        }
        self.place_in(placement, window, snapshot, |newer| {
            refresh.newer.extend(newer);
            if !keyless {
                refresh.rows.retain(|(key, _)| !refresh.newer.contains(key));
            }
            Item::Refresh(refresh)
        })
    }

    /// The same for rows that go where the shadow has none or few.
    pub fn place_fill(&self, window: Window, snapshot: &Snapshot, mut fill: Fill) -> Result<Seq, Voided> {
        self.place_in(self.shared.placement.lock(), window, snapshot, |newer| {
            fill.newer.extend(newer);
            Item::Fill(fill)
        })
    }

    fn place_in(
        &self,
        mut placement: MutexGuard<'_, Placement>,
        window: Window,
        snapshot: &Snapshot,
        item: impl FnOnce(HashSet<Key>) -> Item,
    ) -> Result<Seq, Voided> {
        let newer = placement.windows.newer(window.table, window.id, snapshot);
        let placed = newer.and_then(|newer| {
            let item = item(newer);
            if !self.shared.admits_refresh(&placement, item.bytes()) {
                return Err(Voided);
            }
            Ok(placement.place(self.shared.in_flight.flight(), item))
        });
        placement.windows.close(window.table, window.id);
        drop(placement);
        drop(window);
        self.shared.work.notify_one();
        placed
    }

    /// Tables to read back, oldest mark first.
    pub fn suspect_tables(&self) -> Vec<Suspect> {
        self.shared.suspects.tables()
    }

    /// Rows to read back, by table; those of tables that are suspect as a whole wait for these.
    pub fn suspect_keys(&self) -> Vec<SuspectKeys> {
        self.shared.suspects.keys()
    }

    /// All tables are suspect, and [`Mirror::set_tables`] has not told yet which they are.
    pub fn all_suspect(&self) -> Option<(Reason, u64)> {
        self.shared.suspects.all()
    }

    /// Returns when there is something suspect.
    pub async fn suspicion(&self) {
        self.shared.suspects.suspicion().await;
    }

    /// The table was read back by snapshots sent after `generation` was seen, and the refresh is applied. Marks that
    /// came later stay. Clears marks on its keys up to `generation` too.
    pub fn clear_table(&self, table: TableId, generation: u64) {
        self.shared.suspects.clear_table(table, generation);
        self.shared.healed();
    }

    /// The same for single rows.
    pub fn clear_keys(&self, healed: &SuspectKeys) {
        self.shared.suspects.clear_keys(healed);
        self.shared.healed();
    }

    /// A refresh or backfill is running, until the guard is dropped: not settled.
    pub fn busy(&self) -> impl Drop + Send + use<> {
        self.shared.busy.fetch_add(1, Ordering::AcqRel);
        Busy(self.shared.clone())
    }
}
