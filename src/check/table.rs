//! Checking one table: chunk by chunk, down to the rows where sums differ, and again where writes were in the way.

use std::collections::HashSet;
use std::fmt;
use std::time::{Duration, Instant, SystemTime};

use serde::{Deserialize, Serialize};

use super::compare::{Busy, ChunkVerdict, Comparer, RowsVerdict};
use super::diff::Differing;
use super::results::Watch;
use super::tally::Tally;
use super::turn::Turn;
use super::walk::{Walk, buckets, split};
use crate::catalog::{Chunk, ProbeError, Share, Way};
use crate::effect::Key;
use crate::report::Chunks;

const FIRST_CHUNK: u64 = 5000;
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
    /// What could not be compared; `None`: everything was.
    #[serde(skip)]
    pub(super) unfinished: Option<Left>,
}

impl Default for Finding {
    fn default() -> Self {
        let (took, chunks, tally) = (Duration::ZERO, Chunks::default(), Tally::default());
        Self { since: SystemTime::now(), took, rows: 0, chunks, tally, unfinished: None }
    }
}

/// What a check could not compare.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Left {
    /// Chunks, for this reason.
    Busy(Busy),
    /// So many rows were written each time they were compared.
    Rows(usize),
}

impl fmt::Display for Left {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Busy(Busy::Behind) => f.write_str("the shadow did not catch up in time to be compared"),
            Self::Busy(Busy::Voided) => f.write_str("it was written all the time, not row by row"),
            Self::Busy(Busy::Suspect) => f.write_str("it was to be read back while it was compared"),
            Self::Rows(rows) => write!(f, "{rows} rows were written each time they were compared"),
        }
    }
}

/// Where a check stands: all that it takes to go on.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Stand {
    walk: Walk,
    finding: Finding,
    retry: Vec<Key>,
    /// What it is in the midst of; that is not kept over a restart.
    #[serde(skip)]
    midst: Midst,
}

/// Of a chunk, or of what was busy.
#[derive(Debug, Clone, Default)]
struct Midst {
    /// To be compared before the walk goes on, the last first, and how often they were cut already.
    parts: Vec<(Chunk, u32)>,
    busy: Vec<(Chunk, Busy)>,
    /// How often what was busy was asked again.
    rounds: u32,
    /// Whether the keys are still to be asked in this round.
    keys_due: bool,
    /// Rows that a chunk had.
    rows_at_once: Option<u64>,
}

impl Stand {
    pub(super) fn beginning(walk: Walk) -> Self {
        Self { walk, finding: Finding::default(), retry: Vec::new(), midst: Midst::default() }
    }

    /// Rows that the next chunk should have.
    pub(super) fn rows_at_once(&self) -> u64 {
        self.midst.rows_at_once.unwrap_or(FIRST_CHUNK)
    }
}

/// How a turn of a check ended.
pub(super) enum Ran {
    /// All that could be compared was.
    Ended(Finding),
    /// Others pass; it goes on from here.
    Paused(Stand),
}

/// How keys stand that were asked for.
#[derive(Debug, Default)]
pub(super) struct Probed {
    /// The same on both sides now.
    pub(super) equal: Vec<Key>,
    pub(super) differing: Vec<Key>,
    /// So many were written each time they were compared, or not compared.
    pub(super) unsure: u64,
}

/// Whether there was something to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    Done,
    None,
}

/// The check of one table under way.
pub(super) struct TableCheck<'a> {
    comparer: Comparer<'a>,
    watch: Option<Watch<'a>>,
    stand: Stand,
}

impl<'a> TableCheck<'a> {
    /// Over the whole table, or what `stand` leaves of it.
    pub(super) fn new(comparer: Comparer<'a>, watch: Option<Watch<'a>>, stand: Stand) -> Self {
        Self { comparer, watch, stand }
    }

    /// Until it ends or its turn is over; `keep` is told now and then how far it is.
    pub(super) async fn run(mut self, turn: &Turn<'_>, mut keep: impl FnMut(&Stand)) -> Result<Ran, ProbeError> {
        if let Some(watch) = &self.watch {
            watch.resumed(self.stand.finding.rows, self.stand.finding.took);
        }
        let (before, began, mut kept) = (self.stand.finding.took, Instant::now(), Instant::now());
        while self.step(turn).await? == Step::Done {
            self.stand.finding.took = before + began.elapsed();
            let Midst { parts, busy, .. } = &self.stand.midst;
            if parts.is_empty() && busy.is_empty() && kept.elapsed() >= KEEP {
                keep(&self.stand);
                kept = Instant::now();
            }
            if turn.is_over() {
                if let Some(watch) = self.watch {
                    watch.paused();
                }
                self.stand.midst.rows_at_once = Some(self.comparer.pace.rows());
                return Ok(Ran::Paused(self.stand));
            }
        }
        self.stand.finding.took = before + began.elapsed();
        self.stand.finding.chunks.busy = self.stand.midst.busy.len() as u64;
        self.stand.finding.unfinished = self.left();
        Ok(Ran::Ended(self.stand.finding))
    }

    /// Over these keys alone, as far as the turn lasts.
    pub(super) async fn keys(mut self, keys: Vec<Key>, turn: &Turn<'_>) -> Result<Probed, ProbeError> {
        self.stand.retry.clone_from(&keys);
        while self.step(turn).await? == Step::Done && !turn.is_over() {}
        let Stand { mut finding, retry, .. } = self.stand;
        let unsure: HashSet<&Key> = retry.iter().collect();
        let mut probed = Probed { unsure: unsure.len() as u64, ..Probed::default() };
        for key in keys {
            match finding.tally.resolve(&key) {
                _ if unsure.contains(&key) => {}
                true => probed.differing.push(key),
                false => probed.equal.push(key),
            }
        }
        Ok(probed)
    }

    /// The next thing there is to do.
    async fn step(&mut self, turn: &Turn<'_>) -> Result<Step, ProbeError> {
        if self.is_hopeless() {
            return Ok(Step::None);
        }
        if let Some((part, depth)) = self.stand.midst.parts.pop() {
            self.part(part, depth).await?;
        } else if let Some(chunk) = self.next_chunk().await? {
            self.part(chunk, 0).await?;
        } else if std::mem::take(&mut self.stand.midst.keys_due) {
            self.retry().await?;
        } else {
            return Ok(self.again(turn).await);
        }
        Ok(Step::Done)
    }

    async fn next_chunk(&mut self) -> Result<Option<Chunk>, ProbeError> {
        let Comparer { sides, pace, cost, .. } = &self.comparer;
        let bound = match &self.stand.walk {
            Walk::Ranges(after) => sides.primary.next_bound(after, pace.rows().min(cost.most())).await?,
            _ => None,
        };
        Ok(self.stand.walk.next(bound))
    }

    /// Compares a chunk by its sums; where they differ and it is large, its parts are to be compared.
    async fn part(&mut self, part: Chunk, depth: u32) -> Result<(), ProbeError> {
        match self.comparer.chunk(&part).await? {
            ChunkVerdict::Match { rows } => {
                self.stand.finding.chunks.matched += 1;
                self.compared(rows);
            }
            ChunkVerdict::Busy(why) => self.stand.midst.busy.push((part, why)),
            ChunkVerdict::Unequal { primary, shadow } => {
                let cut = self.cut(&part, primary, shadow, depth).await?;
                if cut.is_empty() && self.list(part).await? {
                    self.compared(primary);
                }
                self.stand.midst.parts.extend(cut.into_iter().map(|part| (part, depth + 1)));
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
                self.stand.midst.busy.push((chunk, why));
                Ok(false)
            }
            RowsVerdict::Listed { confirmed, retry } => {
                let Chunks { matched, confirmed: differing, .. } = &mut self.stand.finding.chunks;
                *if confirmed.is_empty() { matched } else { differing } += 1;
                self.listed(&confirmed, retry);
                if self.stand.retry.len() > RETRIES {
                    self.retry().await?;
                }
                Ok(true)
            }
        }
    }

    fn listed(&mut self, confirmed: &[Differing], retry: Vec<Key>) {
        for row in confirmed {
            self.stand.finding.tally.confirm(row);
        }
        if let (Some(watch), false) = (&self.watch, confirmed.is_empty()) {
            watch.differs();
        }
        self.stand.retry.extend(retry);
    }

    /// Whether to try for longer would only keep the other tables waiting.
    fn is_hopeless(&self) -> bool {
        let Stand { retry, midst: Midst { busy, .. }, .. } = &self.stand;
        let behind = busy.iter().filter(|(_, why)| *why == Busy::Behind).count();
        behind > 1 || busy.len() > BUSY_CHUNKS || retry.len() > RETRIES
    }

    /// What was busy is to be compared again, a few times, each time after a longer pause.
    async fn again(&mut self, turn: &Turn<'_>) -> Step {
        let Stand { retry, midst, .. } = &mut self.stand;
        if midst.rounds >= ROUNDS || (midst.busy.is_empty() && retry.is_empty()) {
            return Step::None;
        }
        if midst.rounds > 0 {
            turn.sleep(Duration::from_millis(100 << midst.rounds)).await;
        }
        midst.rounds += 1;
        midst.keys_due = true;
        midst.parts.extend(midst.busy.drain(..).map(|(chunk, _)| (chunk, 0)));
        Step::Done
    }

    /// Keys that were being written, once more.
    async fn retry(&mut self) -> Result<(), ProbeError> {
        let keys = std::mem::take(&mut self.stand.retry);
        for batch in keys.chunks(KEYS_AT_ONCE) {
            self.probe(batch).await?;
        }
        Ok(())
    }

    async fn probe(&mut self, keys: &[Key]) -> Result<(), ProbeError> {
        match self.comparer.rows(&Chunk::Keys(keys.to_vec())).await? {
            RowsVerdict::Busy(_) => self.stand.retry.extend_from_slice(keys),
            RowsVerdict::Listed { confirmed, retry } => self.listed(&confirmed, retry),
        }
        Ok(())
    }

    fn left(&self) -> Option<Left> {
        let Stand { retry, midst, .. } = &self.stand;
        let busy = midst.busy.first().map(|(_, why)| Left::Busy(*why));
        busy.or_else(|| (!retry.is_empty()).then_some(Left::Rows(retry.len())))
    }

    fn compared(&mut self, rows: u64) {
        self.stand.finding.rows += rows;
        if let Some(watch) = &self.watch {
            watch.compared(rows);
        }
    }
}
