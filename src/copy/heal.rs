//! Reading back parts of one table: a chunk under its window, behind the fence, into the ledger (rules 25 to 28).

use std::collections::{HashSet, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use thiserror::Error;

use super::read::{Counted, Extent, Limit, Lines, Rows, read, read_lines, read_share};
use crate::catalog::{Bound, Chunk, Pace, ProbeError, Share, Sides, Throttle};
use crate::effect::{Key, Referring, Seq, TableId, line_key, lines};
use crate::mirror::{Existing, Fill, Mirror, Refresh, Scope, Voided, Window};
use crate::report::job::Progress;

/// Rows of one refresh by key.
const KEYS_AT_ONCE: usize = 500;
/// Rows that refer to others: with more the table is read back.
const MOST_REFERRING: usize = 50_000;
/// Bytes of images of one refresh.
const BYTES_AT_ONCE: u64 = 2 << 20;
/// Bounds on a share, which is read in one statement: twice what a share has on average.
const SHARE: Limit = Limit { rows: 40_000, bytes: 2 * BYTES_AT_ONCE };
/// Refreshes placed and not yet applied.
const OUTSTANDING: usize = 2;
/// Windows of one chunk that may be voided before the table is put off.
const TRIES: u32 = 8;

/// Why a table is not healed yet.
#[derive(Debug, Error)]
pub(super) enum HealError {
    /// One side said no, or is gone.
    #[error("{0}")]
    Probe(#[from] ProbeError),
    /// It is written faster than it can be read.
    #[error("it was written, not row by row, each time it was read back")]
    Voided,
}

/// One table, and what it takes to heal it.
#[derive(Debug)]
pub(super) struct Healing<'a> {
    pub(super) mirror: &'a Mirror,
    pub(super) sides: Sides<'a>,
    pub(super) progress: Option<Progress>,
    placed: VecDeque<Seq>,
    throttle: Throttle,
    pace: Pace,
    /// Windows voided one after the other.
    voided: u32,
}

impl<'a> Healing<'a> {
    pub(super) fn new(mirror: &'a Mirror, sides: Sides<'a>, progress: Option<Progress>) -> Self {
        let pace = Pace::new(1000, 20_000, Duration::from_millis(200));
        Self { mirror, sides, progress, placed: VecDeque::new(), throttle: Throttle::default(), pace, voided: 0 }
    }

    pub(super) fn table(&self) -> TableId {
        self.sides.shape().table
    }

    /// Rows a chunk should have.
    pub(super) fn rows_at_once(&self) -> u64 {
        self.pace.rows()
    }

    pub(super) fn done(&self, rows: u64) {
        if let Some(progress) = &self.progress {
            progress.add_rows(&self.sides.pair().name, rows);
        }
    }

    /// Waits until everything that was committed before the call is on the shadow.
    pub(super) async fn catch_up(&self) {
        let seq = self.mirror.fence(self.table()).await;
        self.mirror.wait_applied(seq).await;
    }

    /// Rests where the primary answers slowly, or the mirror is behind.
    async fn rest(&mut self) -> Result<(), HealError> {
        let begun = Instant::now();
        self.sides.primary.query("SELECT 1").await?;
        let rest = self.throttle.rest(begun.elapsed(), self.mirror.lag());
        if !rest.is_zero() {
            tokio::time::sleep(rest).await;
        }
        Ok(())
    }

    /// Waits until everything that was placed is on the shadow: then marks may be cleared.
    pub(super) async fn settle(&mut self) {
        if let Some(last) = self.placed.drain(..).next_back() {
            self.mirror.wait_applied(last).await;
        }
    }

    /// How the shadow's rows of a chunk stand to the primary's. Equal sums need no window:
    /// they say that the chunk stood as the primary's snapshot saw it, and what came later is in the ledger.
    pub(super) async fn compare(&mut self, chunk: &Chunk) -> Result<Comparison, HealError> {
        self.rest().await?;
        let (_, ours) = self.sides.primary.sums(chunk).await?;
        self.catch_up().await;
        let (_, theirs) = self.sides.shadow.sums(chunk).await?;
        Ok(match ours == theirs {
            true => Comparison::Equal(ours.rows),
            false if is_sparse(theirs.rows, ours.rows) => Comparison::Sparse,
            false => Comparison::Different,
        })
    }

    /// Reads back the keys `> after` and `<= upto`, in as many steps as their size takes.
    pub(super) async fn range(&mut self, mut after: Bound, upto: &Bound) -> Result<(), HealError> {
        loop {
            self.rest().await?;
            let limit = Limit { rows: self.pace.rows(), bytes: BYTES_AT_ONCE };
            let reading = self.read(&Chunk::Range { after: after.clone(), upto: upto.clone() }, limit).await?;
            let reached = reading.rows.covered(limit, upto);
            let scope = Scope::Range { after: after.clone(), upto: reached.clone() };
            if self.place(reading, scope).await? {
                if reached == *upto {
                    return Ok(());
                }
                after = reached;
            }
        }
    }

    /// Copies the keys `> after`, in the order of the primary's key, to the end of the table, or of the part of which
    /// the shadow has few; how far it came.
    pub(super) async fn fill(&mut self, mut after: Bound, found: Found) -> Result<Bound, HealError> {
        let mut size = Size::default();
        loop {
            self.rest().await?;
            let window = self.mirror.open_window(self.table());
            let limit = Limit { rows: size.rows_in(BYTES_AT_ONCE).min(self.pace.rows()), bytes: BYTES_AT_ONCE };
            let begun = Instant::now();
            let Lines { snapshot, text, rows, extent } = read_lines(&self.sides.primary, &after, limit).await?;
            self.pace.took(rows, begun.elapsed());
            size = Size::of(text.len(), rows);
            self.mirror.fence(self.table()).await;
            let shape = Arc::clone(self.sides.shape());
            let reached = lines(&text).next_back().and_then(|line| line_key(&shape, line));
            let upto = reached.filter(|_| extent == Extent::Cut);
            let (existing, goes_on) = match found {
                Found::Empty => (Existing::Kept, true),
                Found::Sparse => {
                    let there = self.sides.shadow.count(&after, &upto).await?;
                    let (after, upto) = (after.clone(), upto.clone());
                    (Existing::Replaced { after, upto }, is_sparse(there, rows))
                }
            };
            let fill = Fill { shape, lines: text.into(), newer: HashSet::new(), existing };
            if self.placed(self.mirror.place_fill(window, &snapshot, fill), rows).await? {
                if upto.is_none() || !goes_on {
                    return Ok(upto);
                }
                after = upto;
            }
        }
    }

    /// Which rows refer to these of other tables on the shadow, behind all that was written before they were asked for: what
    /// a foreign key wrote on the primary is among them, or was written anew since (rule 16).
    pub(super) async fn referring(&self, to: &[(Arc<Referring>, Vec<Key>)]) -> Result<Referred, HealError> {
        let mut found = Vec::new();
        if to.is_empty() {
            return Ok(Referred::Keys(found));
        }
        self.catch_up().await;
        for (how, keys) in to {
            for keys in keys.chunks(KEYS_AT_ONCE) {
                match self.sides.shadow.referring(how, keys, MOST_REFERRING + 1).await {
                    Ok(more) => found.extend(more),
                    Err(lost @ ProbeError::Lost(_)) => return Err(lost.into()),
                    // The column is not there, or of another type.
                    Err(_) => return Ok(Referred::TooMany),
                }
                if found.len() > MOST_REFERRING {
                    return Ok(Referred::TooMany);
                }
            }
        }
        found.sort_unstable();
        found.dedup();
        Ok(Referred::Keys(found))
    }

    /// Reads back these rows; those the primary lacks go from the shadow too.
    pub(super) async fn keys(&mut self, keys: &[Key]) -> Result<(), HealError> {
        let mut left: VecDeque<Key> = keys.iter().cloned().collect();
        while !left.is_empty() {
            self.rest().await?;
            let batch: Vec<Key> = left.iter().take(KEYS_AT_ONCE).cloned().collect();
            let limit = Limit { rows: batch.len() as u64, bytes: BYTES_AT_ONCE };
            let reading = self.read(&Chunk::Keys(batch.clone()), limit).await?;
            let beyond: HashSet<Key> = reading.rows.beyond.iter().cloned().collect();
            let scope = Scope::Keys(batch.iter().filter(|key| !beyond.contains(*key)).cloned().collect());
            if self.place(reading, scope).await? {
                left.drain(..batch.len());
                left.extend(beyond);
            }
        }
        Ok(())
    }

    /// Reads back a share of a table whose rows have no key, in as many parts as its size takes.
    pub(super) async fn share(&mut self, share: Share) -> Result<(), HealError> {
        let mut left = vec![share];
        while let Some(share) = left.pop() {
            self.rest().await?;
            let halves = share.halves();
            let window = self.mirror.open_window(self.table());
            let limit = if halves.is_some() { SHARE } else { Limit::NONE };
            let Counted { rows, counts, extent } = read_share(&self.sides.primary, share, limit).await?;
            if let (Extent::Cut, Some(halves)) = (extent, halves) {
                left.extend(halves);
                continue;
            }
            self.mirror.fence(self.table()).await;
            let reading = Reading { window, rows };
            if !self.place(reading, Scope::Multiset { share, counts }).await? {
                left.push(share);
            }
        }
        Ok(())
    }

    async fn read(&mut self, chunk: &Chunk, limit: Limit) -> Result<Reading, HealError> {
        let window = self.mirror.open_window(self.table());
        let begun = Instant::now();
        let rows = read(&self.sides.primary, chunk, limit).await?;
        self.pace.took(rows.rows.len() as u64, begun.elapsed());
        self.mirror.fence(self.table()).await;
        Ok(Reading { window, rows })
    }

    async fn place(&mut self, reading: Reading, scope: Scope) -> Result<bool, HealError> {
        let Reading { window, rows: Rows { snapshot, rows, .. } } = reading;
        let count = match &scope {
            Scope::Multiset { counts, .. } => counts.iter().sum(),
            Scope::Keys(_) | Scope::Range { .. } => rows.len() as u64,
        };
        let refresh = Refresh { shape: Arc::clone(self.sides.shape()), scope, rows, newer: HashSet::new() };
        self.placed(self.mirror.place(window, &snapshot, refresh), count).await
    }

    /// False: something was written that names no key, so nothing was placed; to be read again, less at once.
    async fn placed(&mut self, placed: Result<Seq, Voided>, rows: u64) -> Result<bool, HealError> {
        let Ok(seq) = placed else {
            self.voided += 1;
            if self.voided > TRIES {
                return Err(HealError::Voided);
            }
            self.pace.shrink();
            tokio::time::sleep(Duration::from_millis(10 << self.voided)).await;
            return Ok(false);
        };
        self.voided = 0;
        self.done(rows);
        self.placed.push_back(seq);
        if self.placed.len() > OUTSTANDING
            && let Some(oldest) = self.placed.pop_front()
        {
            self.mirror.wait_applied(oldest).await;
        }
        Ok(true)
    }
}

/// Rows that refer to others.
#[derive(Debug)]
pub(super) enum Referred {
    /// These.
    Keys(Vec<Key>),
    /// More than are read back one by one, or it could not be asked.
    TooMany,
}

/// What was read, its window still open, behind the fence.
#[derive(Debug)]
struct Reading {
    window: Window,
    rows: Rows,
}

/// How the shadow's rows of a chunk stand to the primary's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Comparison {
    /// The same, so many.
    Equal(u64),
    /// Few are there: it is quicker to copy all than to find out which.
    Sparse,
    /// Others.
    Different,
}

/// Why rows are copied unseen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Found {
    /// The shadow had none (rule 27).
    Empty,
    /// It has few, as where a backfill was cut short, or the application has written before it began.
    Sparse,
}

fn is_sparse(theirs: u64, ours: u64) -> bool {
    theirs < ours / 2
}

/// How large rows are, as the last chunk had them.
#[derive(Debug, Default, Clone, Copy)]
struct Size {
    bytes: u64,
    rows: u64,
}

impl Size {
    fn of(bytes: usize, rows: u64) -> Self {
        Self { bytes: bytes as u64, rows }
    }

    /// How many fit into so many bytes.
    fn rows_in(self, bytes: u64) -> u64 {
        bytes.saturating_mul(self.rows).checked_div(self.bytes).map_or(u64::MAX, |rows| rows.max(1))
    }
}
