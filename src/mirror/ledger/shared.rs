//! What the handle, the feed and the writer share, and the steps that touch several parts of it at once.
//!
//! Locks are taken in this order, and none is held over an await: placement, then suspects, tickets or backlog.

use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::Instant;

use parking_lot::{Condvar, Mutex};
use tokio::sync::watch;

use crate::effect::{Change, Mark, Reason, Seq, Touched, Transaction};
use crate::mirror::entry::{Entry, Item};
use crate::report::Quarantined;

use super::backlog::Backlog;
use super::handled::Handling;
use super::in_flight::InFlight;
use super::placement::{Intake, Placement};
use super::suspects::Suspects;

/// No record is larger: its length must fit into 32 bits, and it must fit into memory to be read.
const MAX_ENTRY_BYTES: usize = 1 << 30;

/// One in so many bytes of the journal is kept for refreshes, so that healing can go on when it is full (rule 23).
const RESERVE: u64 = 16;

/// How much the ledger may take.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bounds {
    pub(super) memory: usize,
    pub(super) journal: u64,
}

/// The ledger.
pub(super) struct Shared {
    pub(super) bounds: Bounds,
    pub(super) in_flight: InFlight,
    pub(super) placement: Mutex<Placement>,
    /// The writer waits on it, with the placement lock.
    pub(super) work: Condvar,
    pub(super) suspects: Suspects,
    pub(super) handling: Handling,
    pub(super) backlog: Backlog,
    /// Size of the segments.
    pub(super) on_disk: AtomicU64,
    pub(super) applied: watch::Sender<Seq>,
    /// Somebody waits until everything up to it is applied.
    pub(super) awaited: watch::Sender<Seq>,
    pub(super) paused: watch::Sender<bool>,
    /// Refreshes and backfills that run.
    pub(super) busy: AtomicUsize,
    /// The last handle is gone, and the journal was not closed.
    pub(super) abandoned: AtomicBool,
    /// See [`Mirror::journal`](super::Mirror::journal).
    pub(super) journal: String,
}

impl fmt::Debug for Shared {
    /// Without what it holds: that is the user's data.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ledger").field("bounds", &self.bounds).finish_non_exhaustive()
    }
}

impl Shared {
    /// Gives a committed transaction its place, or turns it into marks. The caller resolves its ticket afterwards.
    pub(super) fn submit(&self, mut transaction: Transaction) -> Option<Seq> {
        if transaction.changes.is_empty() {
            return None;
        }
        let xid = transaction.xid;
        let marks = take_marks(&mut transaction.changes);
        self.handling.marked(&marks);

        let mut placement = self.placement.lock();
        placement.windows.observe(xid, &transaction.changes);
        for mark in &marks {
            placement.windows.observe_mark(xid, mark);
            self.suspects.mark(mark);
        }
        if transaction.changes.is_empty() {
            placement.books.skip();
            return None;
        }
        let item = Item::Transaction(transaction);
        let (touched, bytes) = (item.touched(), item.bytes());
        if !self.admits(&mut placement, bytes) {
            self.overflow(touched);
            placement.books.skip();
            return None;
        }
        let seq = placement.place(self.in_flight.flight(), item);
        drop(placement);
        self.work.notify_one();
        Some(seq)
    }

    /// Whether a transaction of this size fits into memory and journal.
    fn admits(&self, placement: &mut Placement, bytes: usize) -> bool {
        if placement.intake == Intake::Closed {
            tracing::error!(
                "a transaction came after the journal was closed: its tables are compared at the next start"
            );
            return false;
        }
        let journal = self.bounds.journal - self.bounds.journal / RESERVE;
        let fits = self.fits(placement, bytes, self.bounds.memory, journal);
        match (placement.intake, fits) {
            (Intake::Open, false) => {
                placement.intake = Intake::Overflowing;
                tracing::error!(
                    bytes,
                    "the ledger is full: written tables become suspect until there is room again \
                    (mirror.memory, mirror.journal_max_bytes)"
                );
            }
            (Intake::Overflowing, true) => {
                placement.intake = Intake::Open;
                tracing::info!("the ledger has room again");
            }
            _ => {}
        }
        fits
    }

    /// Whether a refresh of this size fits; it may use the reserve. One that is larger than the memory may come when
    /// nothing else is there: a row that large could not be healed else.
    pub(super) fn admits_refresh(&self, placement: &Placement, bytes: usize) -> bool {
        let is_alone = placement.unwritten_bytes() + self.backlog.bytes() == 0;
        let memory = if is_alone { usize::MAX } else { self.bounds.memory };
        placement.intake != Intake::Closed && self.fits(placement, bytes, memory, self.bounds.journal)
    }

    fn fits(&self, placement: &Placement, bytes: usize, memory: usize, journal: u64) -> bool {
        let unwritten = placement.unwritten_bytes();
        let in_memory = unwritten + self.backlog.bytes() + bytes;
        let on_disk = self.on_disk.load(Ordering::Relaxed) + (unwritten + bytes) as u64;
        bytes <= MAX_ENTRY_BYTES && in_memory <= memory && on_disk <= journal
    }

    pub(super) fn mark(&self, mark: &Mark) {
        self.placement.lock().windows.observe_lone_mark(mark);
        self.suspects.mark(mark);
    }

    pub(super) fn apply(&self, entry: &Entry) {
        let mut placement = self.placement.lock();
        placement.apply(entry);
        self.announce(&placement);
    }

    /// The keys of a refused entry are suspect before it stops being pending.
    pub(super) fn quarantine(&self, entry: &Entry, refusal: Quarantined) {
        for mark in marks_of(&entry.item, Reason::Quarantine) {
            self.suspects.mark(&mark);
        }
        let mut placement = self.placement.lock();
        placement.quarantine(entry);
        placement.books.list_refusal(refusal);
        self.announce(&placement);
    }

    /// The entry cannot be written: its tables are suspect before it stops being pending.
    pub(super) fn lose(&self, entry: &Entry) {
        self.overflow(entry.item.touched());
        let mut placement = self.placement.lock();
        placement.lose(entry);
        self.announce(&placement);
    }

    /// What was written to these cannot be kept.
    fn overflow(&self, touched: Touched) {
        let mark = Mark::Tables { touched, reason: Reason::Overflow };
        self.suspects.mark(&mark);
        self.handling.marked(&[mark]);
    }

    fn announce(&self, placement: &Placement) {
        self.applied.send_if_modified(|applied| {
            let before = std::mem::replace(applied, placement.applied());
            before != *applied
        });
    }

    /// Somebody waits until everything up to `seq` is applied: nothing up to there gathers company any longer.
    pub(super) fn hurry(&self, seq: Seq) {
        self.awaited.send_if_modified(|awaited| {
            let before = std::mem::replace(awaited, seq.max(*awaited));
            before != *awaited
        });
    }

    /// Something was healed: refused transactions may count as applied now.
    pub(super) fn healed(&self) {
        let suspect = |touched: &Touched| match touched {
            Touched::Tables(tables) => tables.iter().any(|table| self.suspects.is_suspect(*table)),
            Touched::All => self.suspects.any(),
        };
        self.placement.lock().books.heal(suspect);
    }

    /// Up to which ticket nothing older can arrive behind what is applied (rule 4).
    pub(super) fn horizon(&self) -> u64 {
        let oldest = self.in_flight.oldest();
        self.placement.lock().horizon(oldest)
    }

    /// Waits until there is something to write, or to stop for, or until then; gives when it looked.
    pub(super) fn wait_for_work(&self, until: Instant) -> Instant {
        let mut placement = self.placement.lock();
        let idle = |placement: &mut Placement| {
            placement.queue_is_empty() && placement.intake != Intake::Closed && !self.abandoned.load(Ordering::Acquire)
        };
        self.work.wait_while_until(&mut placement, idle, until);
        Instant::now()
    }
}

fn take_marks(changes: &mut Vec<Change>) -> Vec<Mark> {
    if !changes.iter().any(|change| matches!(change, Change::Mark(_))) {
        return Vec::new();
    }
    let mut marks = Vec::new();
    for change in std::mem::take(changes) {
        match change {
            Change::Mark(mark) => marks.push(mark),
            effect => changes.push(effect),
        }
    }
    marks
}

/// Marks on what an item writes: keys where they are known.
fn marks_of(item: &Item, reason: Reason) -> Vec<Mark> {
    let Item::Transaction(transaction) = item else {
        return vec![Mark::Tables { touched: item.touched(), reason }];
    };
    let mark = |change: &Change| match change {
        Change::Row(row) => Some(Mark::rows(row.shape.table, vec![row.key.clone()], reason)),
        Change::Replay(replay) => Some(Mark::Tables { touched: replay.touched.clone(), reason }),
        Change::Mark(_) => None,
    };
    transaction.changes.iter().filter_map(mark).collect()
}
