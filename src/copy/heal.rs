//! Reading back parts of one table: a chunk under its window, behind the fence, into the ledger (rules 25 to 28).

use std::collections::{HashSet, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use thiserror::Error;

use super::read::{Limit, Rows, read};
use crate::catalog::{Bound, Chunk, Pace, Pair, ProbeError, sums};
use crate::effect::{Key, Seq, Shape, TableId};
use crate::mirror::{Mirror, Refresh, Scope, Window};
use crate::report::job::Progress;
use crate::server::Both;

/// Rows of one refresh by key.
const KEYS_AT_ONCE: usize = 500;
/// Bytes of images of one refresh.
const BYTES_AT_ONCE: u64 = 4 << 20;
/// Refreshes placed and not yet applied.
const OUTSTANDING: usize = 4;
/// Windows of one chunk that may be voided before the table is put off.
const TRIES: u32 = 8;
/// Bounds on a table without key, which is read in one statement.
const MULTISET: Limit = Limit { rows: 200_000, bytes: 64 << 20 };

/// Why a table is not healed yet.
#[derive(Debug, Error)]
pub(super) enum HealError {
    /// One side said no, or is gone.
    #[error("{0}")]
    Probe(#[from] ProbeError),
    /// It is written faster than it can be read.
    #[error("it was written, not row by row, each time it was read back")]
    Voided,
    /// Without key, and too much for one statement.
    #[error("it has no key both sides share and more than {} rows or {} MiB", MULTISET.rows, MULTISET.bytes >> 20)]
    TooLarge,
}

/// One table, and what it takes to heal it.
#[derive(Debug)]
pub(super) struct Healing<'a> {
    pub(super) mirror: &'a Mirror,
    pub(super) both: &'a Both,
    pub(super) pair: &'a Pair,
    /// The primary's.
    pub(super) shape: Arc<Shape>,
    pub(super) progress: Option<Progress>,
    placed: VecDeque<Seq>,
    pace: Pace,
    /// Windows voided one after the other.
    voided: u32,
}

impl<'a> Healing<'a> {
    pub(super) fn new(
        mirror: &'a Mirror,
        both: &'a Both,
        pair: &'a Pair,
        shape: Arc<Shape>,
        progress: Option<Progress>,
    ) -> Self {
        let pace = Pace::new(1000, 20_000, Duration::from_millis(200));
        Self { mirror, both, pair, shape, progress, placed: VecDeque::new(), pace, voided: 0 }
    }

    pub(super) fn table(&self) -> TableId {
        self.shape.table
    }

    /// Rows a chunk should have.
    pub(super) fn rows_at_once(&self) -> u64 {
        self.pace.rows()
    }

    pub(super) fn done(&self, rows: u64) {
        if let Some(progress) = &self.progress {
            progress.add_rows(&self.pair.name, rows);
        }
    }

    /// Waits until everything that was committed before the call is on the shadow.
    pub(super) async fn catch_up(&self) {
        let seq = self.mirror.fence(self.table()).await;
        self.mirror.wait_applied(seq).await;
    }

    /// Waits until everything that was placed is on the shadow: then marks may be cleared.
    pub(super) async fn settle(&mut self) {
        if let Some(last) = self.placed.drain(..).next_back() {
            self.mirror.wait_applied(last).await;
        }
    }

    /// Whether the shadow's rows of a chunk are the primary's; also how many there are. Equal sums need no window:
    /// they say that the chunk stood as the primary's snapshot saw it, and what came later is in the ledger.
    pub(super) async fn is_equal(&self, chunk: &Chunk) -> Result<Option<u64>, HealError> {
        let (_, ours) = sums(&self.both.primary, self.pair, &self.shape, chunk).await?;
        self.catch_up().await;
        let (_, theirs) = sums(&self.both.shadow, self.pair, &self.shape, chunk).await?;
        Ok((ours == theirs).then_some(ours.rows))
    }

    /// Reads back the keys `> after` and `<= upto`, in as many steps as their size takes.
    pub(super) async fn range(&mut self, mut after: Bound, upto: &Bound) -> Result<(), HealError> {
        loop {
            let limit = Limit { rows: self.pace.rows(), bytes: BYTES_AT_ONCE };
            let reading = self.read(&Chunk::Range { after: after.clone(), upto: upto.clone() }, limit).await?;
            let reached = reading.rows.covered(limit, upto);
            let scope = Scope::Range { after: after.clone(), upto: reached.clone() };
            if self.place(reading, scope, Existing::Replaced).await? {
                if reached == *upto {
                    return Ok(());
                }
                after = reached;
            }
        }
    }

    /// Fills a table that was found empty, in the order of the primary's key.
    pub(super) async fn fill(&mut self) -> Result<(), HealError> {
        let mut after = None;
        loop {
            let limit = Limit { rows: self.pace.rows(), bytes: BYTES_AT_ONCE };
            let reading = self.read(&Chunk::Range { after: after.clone(), upto: None }, limit).await?;
            let reached = reading.rows.covered(limit, &None);
            let scope = Scope::Keys(reading.rows.rows.iter().map(|(key, _)| key.clone()).collect());
            if self.place(reading, scope, Existing::Kept).await? {
                if reached.is_none() {
                    return Ok(());
                }
                after = reached;
            }
        }
    }

    /// Reads back these rows; those the primary lacks go from the shadow too.
    pub(super) async fn keys(&mut self, keys: &[Key]) -> Result<(), HealError> {
        let mut left: VecDeque<Key> = keys.iter().cloned().collect();
        while !left.is_empty() {
            let batch: Vec<Key> = left.iter().take(KEYS_AT_ONCE).cloned().collect();
            let limit = Limit { rows: batch.len() as u64, bytes: BYTES_AT_ONCE };
            let reading = self.read(&Chunk::Keys(batch.clone()), limit).await?;
            let beyond: HashSet<Key> = reading.rows.beyond.iter().cloned().collect();
            let scope = Scope::Keys(batch.iter().filter(|key| !beyond.contains(*key)).cloned().collect());
            if self.place(reading, scope, Existing::Replaced).await? {
                left.drain(..batch.len());
                left.extend(beyond);
            }
        }
        Ok(())
    }

    /// Reads back the whole of a table whose rows have no key.
    pub(super) async fn multiset(&mut self) -> Result<(), HealError> {
        loop {
            let reading = self.read(&Chunk::Range { after: None, upto: None }, MULTISET).await?;
            if !reading.rows.beyond.is_empty() || reading.rows.rows.len() as u64 >= MULTISET.rows {
                return Err(HealError::TooLarge);
            }
            if self.place(reading, Scope::Multiset, Existing::Replaced).await? {
                return Ok(());
            }
        }
    }

    async fn read(&mut self, chunk: &Chunk, limit: Limit) -> Result<Reading, HealError> {
        let window = self.mirror.open_window(self.table());
        let begun = Instant::now();
        let rows = read(&self.both.primary, &self.shape, chunk, limit).await?;
        self.pace.took(rows.rows.len() as u64, begun.elapsed());
        self.mirror.fence(self.table()).await;
        Ok(Reading { window, rows })
    }

    /// False: something was written that names no key, so nothing was placed; to be read again, less at once.
    async fn place(&mut self, reading: Reading, scope: Scope, existing: Existing) -> Result<bool, HealError> {
        let Reading { window, rows: Rows { snapshot, rows, .. } } = reading;
        let count = rows.len() as u64;
        let refresh = Refresh {
            shape: Arc::clone(&self.shape),
            scope,
            rows,
            newer: HashSet::new(),
            insert_if_absent: existing == Existing::Kept,
        };
        let Ok(seq) = self.mirror.place(window, &snapshot, refresh) else {
            self.voided += 1;
            if self.voided > TRIES {
                return Err(HealError::Voided);
            }
            self.pace.shrink();
            tokio::time::sleep(Duration::from_millis(10 << self.voided)).await;
            return Ok(false);
        };
        self.voided = 0;
        self.done(count);
        self.placed.push_back(seq);
        if self.placed.len() > OUTSTANDING
            && let Some(oldest) = self.placed.pop_front()
        {
            self.mirror.wait_applied(oldest).await;
        }
        Ok(true)
    }
}

/// What was read, its window still open, behind the fence.
#[derive(Debug)]
struct Reading {
    window: Window,
    rows: Rows,
}

/// What becomes of rows that the shadow has already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Existing {
    Replaced,
    Kept,
}
