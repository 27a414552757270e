//! The checker's task: rounds by the clock, and what it is asked for in between.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use thiserror::Error;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;

use super::agenda::{Agenda, Ended, Lane, Standing, Step};
use super::dry_run::Room;
use super::memory::Rounds;
use super::results::Results;
use super::round::{self, Round};
use super::state::definition;
use super::turn::Turn;
use crate::catalog::{Handle, Pair};
use crate::config::{Live, Repair};
use crate::effect::TableId;
use crate::mirror::Mirror;
use crate::report::job::Progress;
use crate::report::{CheckStatus, RoundReport, TableReport};

/// How often it is looked whether something is due; `check.interval` may change at any time.
const TICK: Duration = Duration::from_millis(200);
/// How often it is looked which tables there are, and which were written.
const LOOK: Duration = Duration::from_secs(1);
/// What is known is kept again when so many times of what that took have passed.
const KEEPING: u32 = 20;
const REQUESTS: usize = 16;
/// Whoever asks right after the start, or while the shadow comes back, is not refused at once.
const UNTIL_READY: Duration = Duration::from_secs(10);

/// Why a check or repair that was asked for did not come to its end.
#[derive(Debug, Error)]
pub enum CheckError {
    /// On neither side, or not mirrored.
    #[error("no mirrored table {0}: name it as schema.table, and see mirror.include and mirror.exclude")]
    UnknownTable(String),
    /// The catalogs of both sides are needed.
    #[error("the catalogs of both sides have not been read yet: is the shadow up?")]
    NotReady,
    /// Repaired rows were not healed in time.
    #[error("{0} is still to be read back: see its reason in the report")]
    NotHealed(String),
    /// Differences remain.
    #[error("{table} could not be repaired: {why}")]
    NotRepaired {
        /// `schema.table`.
        table: String,
        /// What is left.
        why: String,
    },
    /// Too many wait already.
    #[error("{REQUESTS} requests are waiting for the checker: try again later")]
    Overloaded,
    /// The checker stopped.
    #[error("the checker has stopped")]
    Stopped,
    /// Whoever asked is gone.
    #[error("cancelled")]
    Cancelled,
}

/// The running checker.
#[derive(Debug)]
pub struct Checker {
    results: Arc<Results>,
    requests: mpsc::Sender<Request>,
    task: JoinHandle<()>,
}

/// What it is asked to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Task {
    Check,
    Repair,
    DryRun,
}

/// With its way back.
#[derive(Debug)]
pub(super) struct Request {
    task: Task,
    tables: Option<Vec<String>>,
    progress: Progress,
    /// Closed: nobody waits any more.
    reply: oneshot::Sender<Result<(), CheckError>>,
}

impl Checker {
    /// Starts it on the current tokio runtime; the first round begins when both catalogs have been read.
    pub fn start(live: Arc<Live>, mirror: Mirror, primary: Arc<Handle>, shadow: Arc<Handle>) -> Self {
        let results = Arc::new(Results::new(mirror.clone(), Arc::clone(&primary), Arc::clone(&shadow)));
        let (requests, incoming) = mpsc::channel(REQUESTS);
        let round = Round::new(live, mirror, primary, shadow, Arc::clone(&results));
        let task = tokio::spawn(Driver::new(round, incoming).run());
        Self { results, requests, task }
    }

    /// Compares tables (`schema.table`; all if `None`) and returns when that is done. Dropped before: it stops.
    pub async fn check(&self, tables: Option<Vec<String>>, progress: Progress) -> Result<(), CheckError> {
        self.ask(Task::Check, tables, progress).await
    }

    /// Heals the confirmed differences of tables and returns when their rows have been compared again.
    pub async fn repair(&self, tables: Option<Vec<String>>, progress: Progress) -> Result<(), CheckError> {
        self.ask(Task::Repair, tables, progress).await
    }

    /// Tells in `progress` by which statements the confirmed differences of tables that are still there would be healed.
    pub async fn dry_run(&self, tables: Option<Vec<String>>, progress: Progress) -> Result<(), CheckError> {
        self.ask(Task::DryRun, tables, progress).await
    }

    /// What the checks said so far, to be shared.
    pub fn results(&self) -> Arc<Results> {
        Arc::clone(&self.results)
    }

    /// See [`Results::is_verified`].
    pub fn is_verified(&self, table: TableId) -> bool {
        self.results.is_verified(table)
    }

    /// See [`Results::status`].
    pub fn status(&self) -> CheckStatus {
        self.results.status()
    }

    /// See [`Results::tables`].
    pub fn tables(&self, values: bool, troubles: &HashMap<TableId, String>) -> Vec<TableReport> {
        self.results.tables(values, troubles)
    }

    /// See [`Results::history`].
    pub fn history(&self) -> Vec<RoundReport> {
        self.results.history()
    }

    /// Stops it.
    pub async fn stop(self) {
        self.task.abort();
        let _ = self.task.await;
    }

    async fn ask(&self, task: Task, tables: Option<Vec<String>>, progress: Progress) -> Result<(), CheckError> {
        let (reply, answer) = oneshot::channel();
        self.requests.try_send(Request { task, tables, progress, reply }).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => CheckError::Overloaded,
            mpsc::error::TrySendError::Closed(_) => CheckError::Stopped,
        })?;
        answer.await.unwrap_or(Err(CheckError::Stopped))
    }
}

struct Driver {
    round: Round,
    agenda: Agenda,
    incoming: mpsc::Receiver<Request>,
    stage: Stage,
    /// When the round under way began.
    began: SystemTime,
    /// As of the last look.
    pairs: BTreeMap<String, Pair>,
    standings: BTreeMap<String, Standing>,
    looked: Option<Instant>,
    /// When checks that let others pass began: the transactions that had written to their tables.
    writes: HashMap<String, u64>,
    /// When what is known may be kept again.
    keep_from: Instant,
}

/// Whether what was known before the start has been read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Fresh,
    Restored,
}

impl Driver {
    fn new(round: Round, incoming: mpsc::Receiver<Request>) -> Self {
        let (agenda, stage, began) = (Agenda::default(), Stage::Fresh, SystemTime::now());
        let (pairs, standings) = (BTreeMap::new(), BTreeMap::new());
        let (writes, keep_from) = (HashMap::new(), Instant::now());
        Self { round, agenda, incoming, stage, began, pairs, standings, looked: None, writes, keep_from }
    }

    async fn run(mut self) {
        loop {
            tokio::select! {
                request = self.incoming.recv() => match request {
                    Some(request) => self.answer(request).await,
                    None => return,
                },
                () = tokio::time::sleep(TICK) => self.what_is_due().await,
            }
        }
    }

    async fn what_is_due(&mut self) {
        if !self.round.is_ready() {
            return;
        }
        self.restore();
        loop {
            // Nobody waits for a whole round.
            while let Ok(request) = self.incoming.try_recv() {
                self.answer(request).await;
            }
            self.look();
            self.end_round();
            let interval = self.round.live.get().check.interval;
            match self.agenda.next(Instant::now(), interval) {
                None => {
                    self.round.results.running(false);
                    return;
                }
                Some(Step::Round) => self.begin_round(),
                Some(Step::Check(table, lane)) => self.step(table, lane).await,
            }
        }
    }

    /// Goes on where the last run of crossfade was, if primary and shadow are still the same.
    fn restore(&mut self) {
        if self.stage == Stage::Restored {
            return;
        }
        self.stage = Stage::Restored;
        let Round { memory, results, live, .. } = &self.round;
        results.restore_history(memory.history());
        if !live.get().mirror.enabled {
            // What is written now is not captured: it may differ by the next start.
            memory.forget();
            return;
        }
        let Some(Rounds { round, began, left, mut tables }) = memory.rounds(&self.round.lives()) else { return };
        let pairs = self.round.pairs();
        let is_same =
            |name: &str, checked: u32| pairs.iter().any(|pair| pair.name == name && definition(pair) == checked);
        tables.retain(|name, checked| is_same(name, checked.definition));
        self.began = began;
        let ago = SystemTime::now().duration_since(began).unwrap_or_default();
        let now = Instant::now();
        self.agenda.resume(now.checked_sub(ago).unwrap_or(now), left, tables.keys().cloned());
        results.restore(round, tables);
    }

    fn begin_round(&mut self) {
        self.began = SystemTime::now();
        self.round.results.next_round();
        self.agenda.begin_round(Instant::now(), self.standings.keys().cloned().collect());
        self.keep();
    }

    /// One turn of one table.
    async fn step(&mut self, table: String, lane: Lane) {
        let Some(pair) = self.pairs.get(&table).cloned() else { return };
        self.round.results.running(true);
        match self.check(&pair, Some(lane), None).await {
            round::Ended::Paused => self.agenda.paused(table, lane),
            round::Ended::Complete(_) | round::Ended::Unfinished(_) => self.round.results.running(false),
        }
        if Instant::now() >= self.keep_from {
            self.keep();
        }
    }

    /// If nothing is left of it.
    fn end_round(&mut self) {
        if self.agenda.round_ended() {
            self.round.memory.keep_history(&self.round.results.round_ended(self.began));
            self.keep();
        }
    }

    fn keep(&mut self) {
        let begun = Instant::now();
        let Round { memory, results, .. } = &self.round;
        let left = self.agenda.left().cloned().collect();
        let rounds = Rounds { round: results.round(), began: self.began, left, tables: results.known() };
        memory.keep_rounds(&self.round.lives(), &rounds);
        self.keep_from = Instant::now() + begun.elapsed() * KEEPING;
    }

    fn look(&mut self) {
        if self.looked.is_none_or(|looked| looked.elapsed() >= LOOK) {
            self.pairs = self.round.pairs().into_iter().map(|pair| (pair.name.clone(), pair)).collect();
            self.standings = self.round.standings(self.pairs.values());
            self.agenda.look(Instant::now(), &self.standings);
            self.give_up();
            self.looked = Some(Instant::now());
        }
    }

    /// Checks that are not to go on.
    fn give_up(&mut self) {
        let Self { round, agenda, writes, .. } = self;
        round.give_up_but(|table| agenda.is_paused(table));
        writes.retain(|table, _| agenda.is_paused(table));
    }

    async fn answer(&mut self, request: Request) {
        let Request { task, tables, progress, mut reply } = request;
        self.round.results.running(true);
        let result = tokio::select! {
            result = self.perform(task, tables, &progress) => result,
            () = reply.closed() => Err(CheckError::Cancelled),
        };
        self.round.results.running(false);
        let _ = reply.send(result);
    }

    async fn perform(&mut self, task: Task, names: Option<Vec<String>>, progress: &Progress) -> Result<(), CheckError> {
        self.wait_until_ready().await?;
        self.restore();
        let pairs = choose(self.round.pairs(), names)?;
        for pair in &pairs {
            progress.begin_table(&pair.name, pair.primary.as_ref().map_or(0, |table| table.rows_estimate));
        }
        let mut room = Room::default();
        for pair in &pairs {
            match task {
                Task::Check => drop(self.check(pair, None, Some(progress)).await),
                Task::Repair => self.round.repair(pair, Some(progress), &Turn::Asked).await?,
                Task::DryRun => progress.shown(self.round.dry_run(pair, &mut room).await),
            }
        }
        Ok(())
    }

    async fn wait_until_ready(&self) -> Result<(), CheckError> {
        let ready = async {
            while !self.round.is_ready() {
                tokio::time::sleep(TICK).await;
            }
        };
        tokio::time::timeout(UNTIL_READY, ready).await.map_err(|_| CheckError::NotReady)
    }

    /// Where nobody waits for its end, for one turn.
    async fn check(&mut self, pair: &Pair, lane: Option<Lane>, progress: Option<&Progress>) -> round::Ended {
        // As they were at the last look, so before it began: what came since makes it dirty.
        let now = self.standings.get(&pair.name).map_or(0, |standing| standing.writes);
        let writes = lane.and_then(|_| self.writes.remove(&pair.name)).unwrap_or(now);
        let turn = if lane.is_some() { Turn::begin(&self.incoming) } else { Turn::Asked };
        let ended = self.round.check(pair, lane, progress, &turn).await;
        let (took, complete) = match ended {
            round::Ended::Paused => {
                self.writes.insert(pair.name.clone(), writes);
                return ended;
            }
            round::Ended::Complete(took) => (took, true),
            round::Ended::Unfinished(took) => (took, false),
        };
        self.agenda.checked(&pair.name, Ended { at: Instant::now(), took, writes, complete });
        self.give_up();
        let turn = if lane.is_some() { Turn::UntilAsked(&self.incoming) } else { Turn::Asked };
        if self.round.live.get().check.repair == Repair::All
            && let Err(error) = self.round.repair(pair, None, &turn).await
        {
            tracing::warn!("after the check: {error}");
        }
        ended
    }
}

fn choose(pairs: Vec<Pair>, names: Option<Vec<String>>) -> Result<Vec<Pair>, CheckError> {
    let Some(names) = names else { return Ok(pairs) };
    let find =
        |name: String| pairs.iter().find(|pair| pair.name == name).cloned().ok_or(CheckError::UnknownTable(name));
    names.into_iter().map(find).collect()
}
