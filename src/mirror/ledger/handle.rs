//! The handle: opening, and what sessions and reads call. Nothing here blocks but `open`.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use parking_lot::{Condvar, Mutex};
use tokio::sync::watch;

use crate::effect::{Mark, Seq, TableId, Touched, Transaction};

use super::backlog::Backlog;
use super::feed::Feed;
use super::handled::Handling;
use super::in_flight::InFlight;
use super::in_flight_file::InFlightFile;
use super::journal::{Durability, Folder, Recovered, State, boot_id, recover};
use super::settings::{Identity, LedgerSettings, OpenError};
use super::shared::{Bounds, Shared};
use super::suspects::{SavedKeys, Suspects};
use super::syncer::Syncer;
use super::writer::Writer;

/// The handle that sessions, reads, copy, check and admin share.
#[derive(Debug, Clone)]
pub struct Mirror {
    pub(super) shared: Arc<Shared>,
    pub(super) life: Arc<Life>,
}

/// Tables of one session that a commit on its way may change. Dropped: resolved without a commit.
#[derive(Debug)]
pub struct Ticket {
    shared: Arc<Shared>,
    number: u64,
}

impl Drop for Ticket {
    fn drop(&mut self) {
        self.shared.in_flight.resolve(self.number);
    }
}

/// Ends the writer with the last handle. Without [`Mirror::close`] before, the journal is left as after a crash.
pub(super) struct Life {
    shared: Arc<Shared>,
    writer: Option<JoinHandle<()>>,
    /// Closes when the writer has ended.
    pub(super) ended: watch::Receiver<()>,
}

impl fmt::Debug for Life {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Life").finish_non_exhaustive()
    }
}

impl Drop for Life {
    fn drop(&mut self) {
        {
            let _placement = self.shared.placement.lock();
            self.shared.abandoned.store(true, Ordering::Release);
        }
        self.shared.work.notify_one();
        if self.writer.take().is_some_and(|writer| writer.join().is_err()) {
            tracing::error!("the writer of the journal had ended with a panic");
        }
    }
}

impl Mirror {
    /// Opens the journal and recovers what it holds: entries not known as applied come first out of the feed; after
    /// an unclean end, tables that were in flight are suspect; after an unclean boot of the machine, all are.
    pub fn open(settings: &LedgerSettings, identity: &Identity) -> Result<(Self, Feed), OpenError> {
        let folder = Folder::open(&settings.journal, identity)?;
        let path = folder.path().to_owned();
        let Recovered { last_end, state: saved, issued, written, segments, placement, marks } = recover(&path)?;

        let suspects = Suspects::default();
        suspects.restore(&saved.marks);
        marks.iter().for_each(|mark| suspects.mark(mark));
        let state = State {
            clean: false,
            boot_id: boot_id(),
            last: placement.last(),
            written,
            issued,
            books: placement.books.clone(),
            marks: suspects.save(SavedKeys::TableOnly),
            ..saved
        };
        // The marks are saved before the file they came from is replaced.
        state.save(&path, Durability::Power).map_err(OpenError::io(&path))?;
        let file = InFlightFile::create(&path, std::iter::empty()).map_err(OpenError::io(&path))?;

        let memory = usize::try_from(settings.memory).unwrap_or(usize::MAX);
        let shared = Arc::new(Shared {
            bounds: Bounds { memory, journal: settings.journal_max_bytes },
            in_flight: InFlight::new(issued, file),
            applied: watch::Sender::new(placement.applied()),
            awaited: watch::Sender::new(Seq(0)),
            placement: Mutex::new(placement),
            work: Condvar::new(),
            suspects,
            handling: Handling::default(),
            backlog: Backlog::new(memory / 2, state.applied, written),
            on_disk: AtomicU64::new(0),
            paused: watch::Sender::new(false),
            busy: AtomicUsize::new(0),
            abandoned: AtomicBool::new(false),
            journal: folder.journal().to_owned(),
        });
        let recovered_upto = state.applied;
        let syncer = Syncer::start().map_err(OpenError::io(&path))?;
        let writer = Writer::new(shared.clone(), folder, segments, state, syncer);
        let (ending, ended) = watch::channel(());
        let thread = std::thread::Builder::new()
            .name("journal".into())
            .spawn(move || {
                writer.run();
                drop(ending);
            })
            .map_err(OpenError::io(&path))?;
        let life = Arc::new(Life { shared: shared.clone(), writer: Some(thread), ended });
        let mirror = Self { shared, life };
        let feed = Feed::new(mirror.clone(), &path, recovered_upto, last_end);
        Ok((mirror, feed))
    }

    /// A message that may commit writes to these tables is about to be forwarded (rule 3).
    pub fn enter(&self, touched: &Touched) -> Ticket {
        Ticket { number: self.shared.in_flight.enter(touched), shared: self.shared.clone() }
    }

    /// The commit of `transaction` is about to be acknowledged. Counts it, puts rows and replays into the intake and
    /// marks into the suspects, tells the windows, and resolves the ticket. A transaction with marks only is skipped;
    /// one without any change wrote nothing and is not counted. `None`: nothing of it went to the ledger.
    pub fn submit(&self, transaction: Transaction, ticket: Option<Ticket>) -> Option<Seq> {
        let seq = self.shared.submit(transaction);
        // Only now: what leaves the flight must be pending or suspect already.
        drop(ticket);
        seq
    }

    /// Marks from elsewhere than a transaction (lost primary, new epoch, repair, quarantine, crash).
    pub fn mark(&self, mark: &Mark) {
        self.shared.mark(mark);
    }

    /// A committed transaction that wrote only what is not mirrored.
    pub fn skip(&self) {
        self.shared.placement.lock().books.skip();
    }

    /// The tables of the catalog, each time it was loaded: a mark on all tables is spread over them, and marks on
    /// tables that are gone are dropped.
    pub fn set_tables(&self, tables: Vec<TableId>) {
        self.shared.suspects.set_tables(tables);
        self.shared.healed();
    }
}

// --- what reads ask
impl Mirror {
    /// Whether nothing captured is pending and nothing is in flight on any of `tables` (rule 29). Looks at what is in
    /// flight before what is pending, so a commit that moves from one to the other is not missed. Ask for suspects
    /// after it, not before: a commit's marks are there when it is no longer in flight.
    pub fn is_fresh(&self, tables: &[TableId]) -> bool {
        !self.shared.in_flight.touches(tables) && self.shared.placement.lock().is_fresh(tables)
    }

    /// Whether `table` is suspect, itself or any of its keys.
    pub fn is_suspect(&self, table: TableId) -> bool {
        self.shared.suspects.is_suspect(table)
    }

    /// Age of the oldest pending commit; zero without one.
    pub fn lag(&self) -> Duration {
        let oldest = self.shared.placement.lock().oldest_commit_ms();
        oldest.map_or(Duration::ZERO, |oldest| {
            let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
            now.saturating_sub(Duration::from_millis(oldest))
        })
    }

    /// Somebody waits for what is pending: it is applied without waiting for company.
    pub fn hurry(&self) {
        self.shared.hurry(self.last());
    }

    /// The last place given out.
    pub fn last(&self) -> Seq {
        self.shared.placement.lock().last()
    }

    /// Which journal this is: its places mean nothing to another, even of the same primary.
    pub fn journal(&self) -> &str {
        &self.shared.journal
    }

    /// Everything up to it is committed on the shadow, or quarantined.
    pub fn applied(&self) -> Seq {
        self.shared.placement.lock().applied()
    }
}
