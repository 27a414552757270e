//! Checking and repairing one pair of tables, whatever the servers do meanwhile: every table ends with a word.

mod known;
mod repair;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use super::agenda::{Lane, Standing};
use super::compare::Comparer;
use super::cost::Cost;
use super::dry_run::{self, Room};
use super::memory::{Lives, Memory, UnderWay};
use super::results::Results;
use super::sample::describe;
use super::state::{Checked, Outcome, definition, incomparable};
use super::table::{Finding, Probed, Ran, Stand, TableCheck};
use super::turn::Turn;
use super::walk::Walk;
use crate::catalog::{Handle, KeyKind, Pace, Pair, Pairs, ProbeError, Sides, Way};
use crate::config::Live;
use crate::effect::{Key, Shape, TableId};
use crate::mirror::Mirror;
use crate::report::job::{DryRun, Progress};
use crate::report::{Chunks, Difference};
use crate::server::{Both, Purpose};

/// Of each statement of a check.
const STATEMENT_TIMEOUT: Duration = Duration::from_mins(1);
/// Connections lost during the check of one table before it is given up.
const LOSSES: u32 = 3;
const LARGEST_CHUNK: u64 = 200_000;

/// What a check found, and a description of some of it.
type Found = (Finding, Vec<(Key, Difference)>);

/// What rounds and requests share.
#[derive(Debug)]
pub(super) struct Round {
    pub(super) live: Arc<Live>,
    pub(super) results: Arc<Results>,
    mirror: Mirror,
    primary: Arc<Handle>,
    shadow: Arc<Handle>,
    both: Option<Both>,
    cost: Cost,
    pub(super) memory: Memory,
    /// Checks that let others pass, by table.
    paused: HashMap<String, Paused>,
}

/// A check that let others pass. It says nothing of another life, or of other columns.
#[derive(Debug)]
struct Paused {
    lives: Lives,
    definition: u32,
    stand: Stand,
}

/// How a turn of a check ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ended {
    /// Said all there is to say, after so much work.
    Complete(Duration),
    /// It is worth asking again.
    Unfinished(Duration),
    /// Others pass.
    Paused,
}

impl Round {
    pub(super) fn new(
        live: Arc<Live>,
        mirror: Mirror,
        primary: Arc<Handle>,
        shadow: Arc<Handle>,
        results: Arc<Results>,
    ) -> Self {
        let cost = Cost::new(Arc::clone(&live));
        let memory = Memory::new(live.get().mirror.journal.clone());
        Self { live, results, mirror, primary, shadow, both: None, cost, memory, paused: HashMap::new() }
    }

    /// Whether the catalogs of both sides have been read.
    pub(super) fn is_ready(&self) -> bool {
        self.primary.get().generation > 0 && self.shadow.get().generation > 0
    }

    pub(super) fn pairs(&self) -> Vec<Pair> {
        Pairs::new(&self.primary.get(), &self.shadow.get()).all
    }

    /// Of primary and shadow as they are now.
    pub(super) fn lives(&self) -> Lives {
        [&self.primary, &self.shadow].map(|side| side.get().epoch.clone())
    }

    /// Those of `pairs` that can be compared, as they stand.
    pub(super) fn standings<'a>(&self, pairs: impl Iterator<Item = &'a Pair>) -> BTreeMap<String, Standing> {
        let tables: HashMap<TableId, String> =
            pairs.filter_map(|pair| Some((comparable(pair)?.table, pair.name.clone()))).collect();
        let writes = self.writes(&tables);
        let standing = |(table, name): (&TableId, &String)| {
            let writes = writes.get(name).copied().unwrap_or_default();
            (name.clone(), Standing { writes, suspect: self.mirror.is_suspect(*table) })
        };
        tables.iter().map(standing).collect()
    }

    /// Transactions since the start, by the tables that they wrote; those of which that is not known count for each.
    fn writes(&self, tables: &HashMap<TableId, String>) -> HashMap<String, u64> {
        let handled = self.mirror.handled(&|table| tables.get(&table).cloned().unwrap_or_default());
        let unknown: u64 = handled.iter().filter(|way| way.table.is_none()).map(|way| way.transactions).sum();
        let mut writes: HashMap<String, u64> = tables.values().map(|name| (name.clone(), unknown)).collect();
        for way in handled {
            if let Some(count) = way.table.and_then(|table| writes.get_mut(&table)) {
                *count += way.transactions;
            }
        }
        writes
    }

    /// Checks one table, until its turn is over, and records what it found at the end. In the sweep it goes on where it
    /// stood at a restart.
    pub(super) async fn check(
        &mut self,
        pair: &Pair,
        lane: Option<Lane>,
        progress: Option<&Progress>,
        turn: &Turn<'_>,
    ) -> Ended {
        if comparable(pair).is_none() {
            return Ended::Complete(Duration::ZERO);
        }
        let (epoch, began) = (self.primary.get().epoch.clone(), Instant::now());
        let (mut finding, samples, outcome) = match self.find(pair, lane, progress, turn).await {
            Ok(None) => return Ended::Paused,
            Ok(Some((finding, samples))) => {
                let outcome =
                    finding.unfinished.map_or(Outcome::Complete, |left| Outcome::Unfinished(left.to_string()));
                (finding, samples, outcome)
            }
            Err(why) => (Finding::default(), Vec::new(), Outcome::Failed(why)),
        };
        if lane == Some(Lane::Sweep) {
            self.memory.ended(&self.lives(), &pair.name);
        }
        if matches!(outcome, Outcome::Failed(_)) {
            finding.chunks = Chunks { unverifiable: 1, ..Chunks::default() };
        }
        let worked = finding.took.max(began.elapsed());
        if self.primary.get().epoch != epoch {
            return Ended::Unfinished(worked);
        }
        let ended = if outcome == Outcome::Complete { Ended::Complete(worked) } else { Ended::Unfinished(worked) };
        let Finding { since, took, rows, chunks, tally, unfinished } = finding;
        let (definition, at) = (definition(pair), SystemTime::now());
        let mut checked =
            Checked { epoch, definition, since, at, took, rows, chunks, outcome, tally, repaired: 0, samples };
        if checked.outcome != Outcome::Complete {
            checked = self.with_known(pair, checked, unfinished, turn).await;
        }
        self.results.record(&pair.name, checked);
        ended
    }

    /// Checks that let others pass go on only for these tables.
    pub(super) fn give_up_but(&mut self, is_wanted: impl Fn(&str) -> bool) {
        let unwanted: Vec<String> = self.paused.keys().filter(|table| !is_wanted(table)).cloned().collect();
        for table in unwanted {
            self.paused.remove(&table);
            self.results.given_up(&table);
            self.memory.ended(&self.lives(), &table);
        }
    }

    /// `None`: it let others pass.
    async fn find(
        &mut self,
        pair: &Pair,
        lane: Option<Lane>,
        progress: Option<&Progress>,
        turn: &Turn<'_>,
    ) -> Result<Option<Found>, String> {
        let (lives, definition) = (self.lives(), definition(pair));
        let samples = self.live.get().check.samples;
        let (mut losses, mut paused) = (0, lane.and_then(|_| self.resumable(pair)));
        loop {
            let both = self.connect().await?;
            let found = async {
                let sides = || Sides::new(pair, &both.primary, &both.shadow);
                let stand = paused.take().unwrap_or_else(|| self.stand(pair, lane, &lives));
                let (comparer, results, memory) = self.comparer(sides()?, stand.rows_at_once());
                let check = TableCheck::new(comparer, Some(results.watch(&pair.name, progress)), stand);
                let keep = |stand: &Stand| {
                    if lane == Some(Lane::Sweep) {
                        let (table, stand) = (pair.name.clone(), stand.clone());
                        memory.keep_under_way(&lives, &UnderWay { table, definition, stand });
                    }
                };
                let finding = match check.run(turn, keep).await? {
                    Ran::Ended(finding) => finding,
                    Ran::Paused(stand) => {
                        let paused = Paused { lives: lives.clone(), definition, stand };
                        self.paused.insert(pair.name.clone(), paused);
                        return Ok(None);
                    }
                };
                let examples = finding.tally.examples(samples);
                let described = describe(&sides()?, &examples).await?;
                let keys = examples.into_iter().map(|row| row.key);
                Ok(Some((finding, keys.zip(described).collect())))
            }
            .await;
            self.both = Some(both);
            match found {
                Ok(found) => return Ok(found),
                Err(ProbeError::Lost(_)) if losses < LOSSES => losses += 1,
                Err(error) => return Err(error.to_string()),
            }
        }
    }

    async fn compare_keys(&mut self, pair: &Pair, keys: Vec<Key>, turn: &Turn<'_>) -> Result<Probed, String> {
        let both = self.connect().await?;
        let probed = async {
            let stand = Stand::beginning(Walk::Done);
            let sides = Sides::new(pair, &both.primary, &both.shadow)?;
            let (comparer, ..) = self.comparer(sides, stand.rows_at_once());
            TableCheck::new(comparer, None, stand).keys(keys, turn).await
        };
        let probed = probed.await;
        self.both = Some(both);
        probed.map_err(|error| error.to_string())
    }

    /// By which statements the confirmed differences of one table that are still there would be healed. Reads only.
    pub(super) async fn dry_run(&mut self, pair: &Pair, room: &mut Room) -> DryRun {
        let nothing =
            |note: &str| DryRun { table: pair.name.clone(), note: Some(note.to_owned()), ..DryRun::default() };
        if let Some(why) = incomparable(pair) {
            return nothing(&why);
        }
        if comparable(pair).is_none() {
            return nothing("only one side has it");
        }
        match self.results.last(&pair.name) {
            None => nothing("not compared yet: see crossfade check"),
            Some(last) if last.tally.total() == 0 => DryRun { table: pair.name.clone(), ..DryRun::default() },
            Some(last) => self.show(pair, &last, room).await.unwrap_or_else(|why| nothing(&why)),
        }
    }

    async fn show(&mut self, pair: &Pair, last: &Checked, room: &mut Room) -> Result<DryRun, String> {
        let keys = last.tally.keys();
        let unheld = last.tally.total() - keys.len() as u64;
        if pair.key_kind == KeyKind::None {
            return self.show_keyless(pair, room).await;
        }
        let Probed { differing, unsure, .. } = self.compare_keys(pair, keys, &Turn::Asked).await?;
        let both = self.connect().await?;
        let written = match Sides::new(pair, &both.primary, &both.shadow) {
            Ok(sides) => dry_run::write(&sides, &differing, room).await,
            Err(error) => Err(error),
        };
        self.both = Some(both);
        let (statements, left_out) = written.map_err(|error| error.to_string())?;
        let rows = differing.len() as u64 + unheld;
        let notes = [
            (unsure > 0).then(|| format!("{unsure} more were written each time they were compared")),
            (unheld > 0)
                .then(|| "more rows differed than their keys are held: a repair reads the table back whole".into()),
        ];
        let note = notes.into_iter().flatten().reduce(|one, other: String| format!("{one}; {other}"));
        Ok(DryRun { table: pair.name.clone(), rows, statements, left_out: left_out + unheld, note })
    }

    async fn show_keyless(&mut self, pair: &Pair, room: &mut Room) -> Result<DryRun, String> {
        let both = self.connect().await?;
        let rows = pair.primary.as_ref().map_or(0, |table| table.rows_estimate);
        let written = async {
            let (comparer, ..) = self.comparer(Sides::new(pair, &both.primary, &both.shadow)?, 1);
            dry_run::keyless::write(&comparer, rows, room).await
        };
        let written = written.await;
        self.both = Some(both);
        let (statements, left_out, rows) = written.map_err(|error| error.to_string())?;
        Ok(DryRun { table: pair.name.clone(), rows, statements, left_out, note: None })
    }

    /// Where a check that let others pass stands, if that still says something.
    fn resumable(&mut self, pair: &Pair) -> Option<Stand> {
        let Paused { lives, definition: of, stand } = self.paused.remove(&pair.name)?;
        (lives == self.lives() && of == definition(pair)).then_some(stand)
    }

    /// Where the check of a table begins.
    fn stand(&self, pair: &Pair, lane: Option<Lane>, lives: &Lives) -> Stand {
        let kept = (lane == Some(Lane::Sweep)).then(|| self.memory.under_way(lives)).flatten();
        let kept = kept.filter(|kept| kept.table == pair.name && kept.definition == definition(pair));
        let rows = pair.primary.as_ref().map_or(0, |table| table.rows_estimate);
        kept.map_or_else(|| Stand::beginning(Walk::new(Way::of(pair), rows)), |kept| kept.stand)
    }

    fn comparer<'a>(&'a mut self, sides: Sides<'a>, rows: u64) -> (Comparer<'a>, &'a Results, &'a Memory) {
        let pace = Pace::new(rows, LARGEST_CHUNK, self.live.get().check.chunk_time);
        let comparer = Comparer { mirror: &self.mirror, sides, cost: &mut self.cost, pace };
        (comparer, &self.results, &self.memory)
    }

    /// The connections of the last check if they still live, else new ones.
    async fn connect(&mut self) -> Result<Both, String> {
        let (kept, settings) = (self.both.take(), Arc::clone(&self.live.get()));
        let both = Both::kept_or_new(kept, &settings, Purpose::Check, STATEMENT_TIMEOUT).await;
        both.map_err(|error| error.to_string())
    }
}

/// The primary's shape of a pair whose rows can be compared; what stands against it shows in the report by itself.
fn comparable(pair: &Pair) -> Option<Arc<Shape>> {
    let (primary, _) = (pair.primary.as_ref()?, pair.shadow.as_ref()?);
    incomparable(pair).is_none().then(|| Arc::clone(&primary.shape))
}
