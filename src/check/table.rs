//! Checking one table: chunk by chunk, down to the rows where sums differ, and again where writes were in the way.

use std::collections::HashSet;
use std::time::{Duration, Instant, SystemTime};

use serde::{Deserialize, Serialize};

use super::compare::{Busy, ChunkVerdict, Comparer, RowsVerdict};
use super::diff::Differing;
use super::results::Watch;
use super::tally::Tally;
use super::walk::{Walk, buckets, split};
use crate::catalog::{Bound, Chunk, ProbeError, Share, Way};
use crate::effect::Key;
use crate::report::Chunks;

/// Rows listed at once; larger chunks are cut first.
const LISTED: u64 = 10_000;
/// Cuts of a chunk, one inside the other.
const DEEPEST: u32 = 24;
/// How often what was busy is asked again.
const ROUNDS: u32 = 6;
/// Keys of one probe.
const KEYS_AT_ONCE: usize = 1000;
/// Busy chunks kept to be asked again; a table with more is given up for now.
const BUSY_CHUNKS: usize = 100;

/// Keys kept to be asked again; with more they are asked at once, and a table with more still is given up for now.
const RETRIES: usize = 10_000;

/// How often it is told where a check stands.
const KEEP: Duration = Duration::from_secs(1);

/// What a check found.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Finding {
    /// When its first chunk was compared.
    pub(super) since: SystemTime,
    pub(super) took: Duration,
    pub(super) rows: u64,
    pub(super) chunks: Chunks,
    pub(super) tally: Tally,
    /// What could not be compared, for people; `None`: everything was.
    pub(super) unfinished: Option<String>,
}

impl Default for Finding {
    fn default() -> Self {
        let (took, chunks, tally) = (Duration::ZERO, Chunks::default(), Tally::default());
        Self { since: SystemTime::now(), took, rows: 0, chunks, tally, unfinished: None }
    }
}

/// Where a check stands: all that it takes to go on.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Stand {
    pub(super) walk: Walk,
    pub(super) finding: Finding,
    retry: Vec<Key>,
}

impl Stand {
    pub(super) fn beginning(walk: Walk) -> Self {
        Self { walk, finding: Finding::default(), retry: Vec::new() }
    }
}

/// How keys stand that were asked for.
#[derive(Debug, Default)]
pub(super) struct Probed {
    /// The same on both sides now.
    pub(super) equal: Vec<Key>,
    pub(super) differing: Vec<Key>,
    /// So many were written each time they were compared.
    pub(super) unsure: u64,
}

/// The check of one table under way.
pub(super) struct TableCheck<'a> {
    comparer: Comparer<'a>,
    watch: Option<Watch<'a>>,
    finding: Finding,
    busy: Vec<(Chunk, Busy)>,
    retry: Vec<Key>,
}

impl<'a> TableCheck<'a> {
    pub(super) fn new(comparer: Comparer<'a>, watch: Option<Watch<'a>>) -> Self {
        Self { comparer, watch, finding: Finding::default(), busy: Vec::new(), retry: Vec::new() }
    }

    /// Over the whole table, or what `stand` leaves of it; `keep` is told now and then how far it is.
    pub(super) async fn run(mut self, stand: Stand, mut keep: impl FnMut(Stand)) -> Result<Finding, ProbeError> {
        let Stand { mut walk, finding, retry } = stand;
        if let Some(watch) = &self.watch {
            watch.resumed(finding.rows, finding.took);
        }
        let (before, began, mut kept) = (finding.took, Instant::now(), Instant::now());
        (self.finding, self.retry) = (finding, retry);
        loop {
            let bound = self.bound(&walk).await?;
            let Some(chunk) = walk.next(bound) else { break };
            self.chunk(chunk).await?;
            if self.is_hopeless() {
                break;
            }
            self.finding.took = before + began.elapsed();
            if self.busy.is_empty() && kept.elapsed() >= KEEP {
                keep(Stand { walk: walk.clone(), finding: self.finding.clone(), retry: self.retry.clone() });
                kept = Instant::now();
            }
        }
        self.again().await?;
        self.finding.took = before + began.elapsed();
        self.finding.chunks.busy = self.busy.len() as u64;
        self.finding.unfinished = self.left();
        Ok(self.finding)
    }

    /// Over these keys alone.
    pub(super) async fn keys(mut self, keys: Vec<Key>) -> Result<Probed, ProbeError> {
        self.retry.clone_from(&keys);
        self.again().await?;
        let unsure: HashSet<&Key> = self.retry.iter().collect();
        let mut probed = Probed { unsure: unsure.len() as u64, ..Probed::default() };
        for key in keys {
            match self.finding.tally.resolve(&key) {
                _ if unsure.contains(&key) => {}
                true => probed.differing.push(key),
                false => probed.equal.push(key),
            }
        }
        Ok(probed)
    }

    async fn bound(&self, walk: &Walk) -> Result<Bound, ProbeError> {
        let Comparer { sides, pace, cost, .. } = &self.comparer;
        match walk {
            Walk::Ranges(after) => sides.primary.next_bound(after, pace.rows().min(cost.most())).await,
            _ => Ok(None),
        }
    }

    /// Compares a chunk by its sums, and where they differ its parts.
    async fn chunk(&mut self, chunk: Chunk) -> Result<(), ProbeError> {
        let mut parts = vec![(chunk, 0)];
        while let Some((part, depth)) = parts.pop() {
            match self.comparer.chunk(&part).await? {
                ChunkVerdict::Match { rows } => {
                    self.finding.chunks.matched += 1;
                    self.compared(rows);
                }
                ChunkVerdict::Busy(why) => self.busy.push((part, why)),
                ChunkVerdict::Unequal { primary, shadow } => {
                    let cut = self.cut(&part, primary, shadow, depth).await?;
                    if cut.is_empty() && self.list(part).await? {
                        self.compared(primary);
                    }
                    parts.extend(cut.into_iter().map(|part| (part, depth + 1)));
                }
            }
        }
        Ok(())
    }

    /// Parts of a chunk that has too many rows to list; none if it is to be listed as it is.
    async fn cut(&self, chunk: &Chunk, primary: u64, shadow: u64, depth: u32) -> Result<Vec<Chunk>, ProbeError> {
        let sides = &self.comparer.sides;
        let rows = primary.max(shadow);
        if rows <= LISTED || depth >= DEEPEST {
            return Ok(Vec::new());
        }
        if let (Chunk::Range { .. }, Way::Multiset) = (chunk, Way::of(sides.pair())) {
            let of = buckets(rows);
            return Ok((0..of).map(|number| Chunk::Share(Share { number, of })).collect());
        }
        let middle = match chunk {
            Chunk::Range { after, .. } => {
                let fuller = if primary >= shadow { &sides.primary } else { &sides.shadow };
                fuller.next_bound(after, rows / 2).await?
            }
            _ => None,
        };
        Ok(split(chunk, &middle).map_or_else(Vec::new, Vec::from))
    }

    /// Row by row; false if it was busy.
    async fn list(&mut self, chunk: Chunk) -> Result<bool, ProbeError> {
        match self.comparer.rows(&chunk).await? {
            RowsVerdict::Busy(why) => {
                self.busy.push((chunk, why));
                Ok(false)
            }
            RowsVerdict::Listed { confirmed, retry } => {
                let Chunks { matched, confirmed: differing, .. } = &mut self.finding.chunks;
                *if confirmed.is_empty() { matched } else { differing } += 1;
                self.listed(&confirmed, retry);
                if self.retry.len() > RETRIES {
                    self.retry().await?;
                }
                Ok(true)
            }
        }
    }

    fn listed(&mut self, confirmed: &[Differing], retry: Vec<Key>) {
        for row in confirmed {
            self.finding.tally.confirm(row);
        }
        if let (Some(watch), false) = (&self.watch, confirmed.is_empty()) {
            watch.differs();
        }
        self.retry.extend(retry);
    }

    /// Whether to try for longer would only keep the other tables waiting.
    fn is_hopeless(&self) -> bool {
        let behind = self.busy.iter().filter(|(_, why)| *why == Busy::Behind).count();
        behind > 1 || self.busy.len() > BUSY_CHUNKS || self.retry.len() > RETRIES
    }

    /// What was busy, a few times more, each time after a longer pause.
    async fn again(&mut self) -> Result<(), ProbeError> {
        for round in 0..ROUNDS {
            if self.is_hopeless() || (self.busy.is_empty() && self.retry.is_empty()) {
                break;
            }
            if round > 0 {
                tokio::time::sleep(Duration::from_millis(100 << round)).await;
            }
            for (chunk, _) in std::mem::take(&mut self.busy) {
                self.chunk(chunk).await?;
            }
            self.retry().await?;
        }
        Ok(())
    }

    /// Keys that were being written, once more.
    async fn retry(&mut self) -> Result<(), ProbeError> {
        let keys = std::mem::take(&mut self.retry);
        for batch in keys.chunks(KEYS_AT_ONCE) {
            self.probe(batch).await?;
        }
        Ok(())
    }

    async fn probe(&mut self, keys: &[Key]) -> Result<(), ProbeError> {
        match self.comparer.rows(&Chunk::Keys(keys.to_vec())).await? {
            RowsVerdict::Busy(_) => self.retry.extend_from_slice(keys),
            RowsVerdict::Listed { confirmed, retry } => self.listed(&confirmed, retry),
        }
        Ok(())
    }

    /// What is still busy, for people.
    fn left(&self) -> Option<String> {
        let keys = self.retry.len();
        match self.busy.first() {
            Some((_, Busy::Behind)) => Some("the shadow did not catch up in time to be compared".into()),
            Some((_, Busy::Voided)) => Some("it was written all the time, not row by row".into()),
            Some((_, Busy::Suspect)) => Some("it was to be read back while it was compared".into()),
            None if keys > 0 => Some(format!("{keys} rows were written each time they were compared")),
            None => None,
        }
    }

    fn compared(&mut self, rows: u64) {
        self.finding.rows += rows;
        if let Some(watch) = &self.watch {
            watch.compared(rows);
        }
    }
}
