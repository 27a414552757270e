//! What is to be applied, in order, durable and counted.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use thiserror::Error;

use super::entry::{Entry, Refresh};
use crate::effect::{Key, Mark, Reason, Seq, Snapshot, TableId, Touched, Transaction};
use crate::report::{MirrorStatus, Quarantined, Replayed};

/// What the ledger is opened with.
#[derive(Debug, Clone)]
pub struct LedgerSettings {
    /// The folder, made if absent.
    pub journal: PathBuf,
    /// Bound on its size, in bytes.
    pub journal_max_bytes: u64,
    /// Bound on transactions held in memory, in bytes.
    pub memory: u64,
}

/// Whose ledger it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// `pg_control_system().system_identifier` of the primary.
    pub system_identifier: String,
    /// The primary's database.
    pub database: String,
}

/// Why the journal could not be opened.
#[derive(Debug, Error)]
pub enum OpenError {
    /// Another crossfade has it.
    #[error("the journal {0} is in use by another crossfade: stop it, or give this one its own `mirror.journal`")]
    Locked(PathBuf),
    /// It belongs to another primary.
    #[error(
        "the journal {path} belongs to {found}, and this primary is {expected}: move it away, or name another `mirror.journal`"
    )]
    Foreign {
        /// The folder.
        path: PathBuf,
        /// Bound to.
        found: String,
        /// The primary.
        expected: String,
    },
    /// The disk.
    #[error("the journal {path}: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// What happened.
        source: std::io::Error,
    },
}

/// The handle that sessions, reads, copy, check and admin share.
#[derive(Debug, Clone)]
pub struct Mirror {}

/// Tables of one session that a commit on its way may change. Dropped: resolved without a commit.
#[derive(Debug)]
pub struct Ticket {}

/// The keys touched in one table since it was opened. Dropped: closed.
#[derive(Debug)]
pub struct Window {}

/// The window cannot tell which keys were touched: too many, or an event without key.
#[derive(Debug, Error)]
#[error("the window was voided")]
pub struct Voided;

/// The counters of the contract.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counters {
    /// Sum of the others.
    pub captured: u64,
    /// Committed on the shadow.
    pub applied: u64,
    /// In the ledger.
    pub pending: u64,
    /// Refused.
    pub quarantined: u64,
    /// Nothing of it goes to the ledger.
    pub skipped: u64,
}

/// A table that is to be read back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Suspect {
    /// Which.
    pub table: TableId,
    /// Why (of the first mark).
    pub reason: Reason,
    /// Clears marks up to it, see [`Mirror::clear_table`].
    pub generation: u64,
}

/// Rows that are to be read back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SuspectKeys {
    /// Of this table.
    pub table: TableId,
    /// Which.
    pub keys: Vec<Key>,
    /// Why (of the first mark).
    pub reason: Reason,
    /// Clears marks up to it, see [`Mirror::clear_keys`].
    pub generation: u64,
}

// --- what sessions call: never blocks, never fails
impl Mirror {
    /// Opens the journal and recovers what it holds: entries not known as applied come first out of the feed; after
    /// an unclean end, tables that were in flight are suspect; after an unclean boot of the machine, all are.
    pub fn open(_settings: &LedgerSettings, _identity: &Identity) -> Result<(Self, Feed), OpenError> {
        todo!()
    }

    /// A message that may commit writes to these tables is about to be forwarded (rule 3).
    pub fn enter(&self, _touched: &Touched) -> Ticket {
        todo!()
    }

    /// The commit of `transaction` is about to be acknowledged. Counts it, puts rows and replays into the intake and
    /// marks into the suspects, tells the windows, and resolves the ticket. A transaction with marks only is skipped.
    /// `None`: nothing of it went to the ledger.
    pub fn submit(&self, _transaction: Transaction, _ticket: Option<Ticket>) -> Option<Seq> {
        todo!()
    }

    /// Marks from elsewhere than a transaction (lost primary, new epoch, repair, quarantine, crash).
    pub fn mark(&self, _mark: &Mark) {
        todo!()
    }

    /// A committed transaction that wrote only what is not mirrored.
    pub fn skip(&self) {
        todo!()
    }
}

// --- what reads ask
impl Mirror {
    /// Whether nothing captured is pending and nothing is in flight on any of `tables` (rule 29). Looks at what is in
    /// flight before what is pending, so a commit that moves from one to the other is not missed.
    pub fn is_fresh(&self, _tables: &[TableId]) -> bool {
        todo!()
    }

    /// Whether `table` is suspect, itself or any of its keys.
    pub fn is_suspect(&self, _table: TableId) -> bool {
        todo!()
    }

    /// Age of the oldest pending commit; zero without one.
    pub fn lag(&self) -> Duration {
        todo!()
    }

    /// The last place given out.
    pub fn last(&self) -> Seq {
        todo!()
    }

    /// Everything up to it is committed on the shadow, or quarantined.
    pub fn applied(&self) -> Seq {
        todo!()
    }
}

// --- what copy and check call
impl Mirror {
    /// From now on, remembers the key and xid of every event on `table` as it enters the ledger.
    pub fn open_window(&self, _table: TableId) -> Window {
        todo!()
    }

    /// Waits until every commit on `table` that was in flight at the call is resolved, then gives the last place: all
    /// that a snapshot taken before the call saw is at or before it (rule 26).
    pub async fn fence(&self, _table: TableId) -> Seq {
        todo!()
    }

    /// Waits until [`Mirror::applied`] reaches `seq`.
    pub async fn wait_applied(&self, _seq: Seq) {
        todo!()
    }

    /// Puts a refresh into the ledger and closes its window in one step. Before it is called the fence has passed.
    /// Rows whose key has an event that `snapshot` does not see are taken out and named in `newer`. For a table whose
    /// events bear no key any event voids.
    pub fn place(&self, _window: Window, _snapshot: &Snapshot, _refresh: Refresh) -> Result<Seq, Voided> {
        todo!()
    }

    /// Tables to read back, oldest mark first.
    pub fn suspect_tables(&self) -> Vec<Suspect> {
        todo!()
    }

    /// Rows to read back, by table.
    pub fn suspect_keys(&self) -> Vec<SuspectKeys> {
        todo!()
    }

    /// Returns when there is something suspect.
    pub async fn suspicion(&self) {
        todo!()
    }

    /// The table was read back by snapshots sent after `generation` was seen, and the refresh is applied. Marks that
    /// came later stay. Clears marks on its keys up to `generation` too.
    pub fn clear_table(&self, _table: TableId, _generation: u64) {
        todo!()
    }

    /// The same for single keys.
    pub fn clear_keys(&self, _table: TableId, _keys: &[Key], _generation: u64) {
        todo!()
    }

    /// A refresh or backfill is running, until the guard is dropped: not settled.
    pub fn busy(&self) -> impl Drop + Send + use<> {
        struct Busy;
        impl Drop for Busy {
            fn drop(&mut self) {}
        }
        Busy
    }
}

impl Window {
    /// Keys with an event that `snapshot` does not see.
    pub fn newer(&self, _snapshot: &Snapshot) -> Result<std::collections::HashSet<Key>, Voided> {
        todo!()
    }
}

// --- what the operator sees and does
impl Mirror {
    /// As in `/status`; `names` gives `schema.table` for a suspect table.
    pub fn status(&self, _names: &dyn Fn(TableId) -> String) -> MirrorStatus {
        todo!()
    }

    /// The counters alone.
    pub fn counters(&self) -> Counters {
        todo!()
    }

    /// What the shadow refused, newest first, bounded.
    pub fn quarantine(&self) -> Vec<Quarantined> {
        todo!()
    }

    /// What was replayed, bounded.
    pub fn replayed(&self) -> Vec<Replayed> {
        todo!()
    }

    /// Applying stops (true) or goes on (false); capture goes on in any case.
    pub fn pause(&self, _paused: bool) {
        todo!()
    }

    /// Writes everything out and closes the journal cleanly: no table is suspect at the next start for it.
    pub async fn close(&self) {
        todo!()
    }
}

/// The ledger's other end: the appliers take from it, in order of seq.
#[derive(Debug)]
pub struct Feed {}

/// What became of an entry.
#[derive(Debug)]
pub(super) enum Outcome {
    /// Committed on the shadow (or superseded by newer writes).
    Applied,
    /// The shadow refused it for good.
    Quarantined(Quarantined),
}

impl Feed {
    /// Entries applied before the last end of crossfade that are still in the segments, oldest first: the appliers
    /// rebuild their memory of stamps from them (rule 4). To be called before [`Feed::next`].
    pub(super) fn history(&mut self) -> Vec<Arc<Entry>> {
        todo!()
    }

    /// What the shadow's progress row says: entries up to it are applied, whatever the journal knows.
    pub(super) fn resume_behind(&mut self, _applied: Seq) {
        todo!()
    }

    /// The next entries, at least one, up to about `max_bytes`; waits for the first, and while paused.
    pub(super) async fn next(&mut self, _max_bytes: usize) -> Vec<Arc<Entry>> {
        todo!()
    }

    /// Settles an entry: counts it, frees its tables, moves the watermark. In order of seq.
    pub(super) fn settle(&self, _entry: &Entry, _outcome: Outcome) {
        todo!()
    }

    /// The oldest ticket not resolved yet; `u64::MAX` without one.
    pub(super) fn oldest_ticket(&self) -> u64 {
        todo!()
    }

    /// The mirror it feeds from, for marks.
    pub(super) fn mirror(&self) -> &Mirror {
        todo!()
    }
}
