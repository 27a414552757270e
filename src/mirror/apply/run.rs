//! The appliers' loop: takes entries from the ledger, gives batches to workers, settles what became of them. All
//! decisions are made here, one at a time; it starts over with new connections whenever one is lost.

mod refused;
mod resume;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until, timeout};

use super::ApplySettings;
use super::backoff::Backoff;
use super::batch::{Batch, Company, Form, Task, Trial};
use super::gate::Gate;
use super::health::{self, Health};
use super::horizon::Horizon;
use super::memory::{Memory, Verdict};
use super::outcome::Trouble;
use super::parked::Parked;
use super::progress::{Claimed, Progress};
use super::scheduler::Scheduler;
use super::settle::Settling;
use super::shadow::Shadow;
use super::source::Source;
use super::worker::{Turn, Worker};
use super::writes::{Place, WriteSet};
use super::{marks, marks::shapes};
use crate::effect::{Key, Mark, Reason, Seq, TableId, Touched};
use crate::mirror::entry::{Entry, Fill, Item, Refresh};
use crate::mirror::ledger::Outcome;
use crate::report::Quarantined;

/// Taken from the ledger at a time.
const TAKE_BYTES: usize = 1 << 20;
/// No more is taken while so much waits for a worker.
const QUEUE_BYTES: usize = 4 << 20;
/// For the stamps of keys.
const MEMORY_BYTES: usize = 16 << 20;
/// Entries held behind a refused one; past it, or past so many refused, they are decided early.
const HELD_BYTES: usize = 16 << 20;
const MAX_PARKED: usize = 100;
/// How long a batch may take without being asked whether the connection is stuck; doubled each time it was too short.
const PATIENCE: Duration = Duration::from_secs(30);
const LONGEST_PATIENCE: Duration = Duration::from_hours(1);
/// So far apart batches start that are not full and that nobody waits for: a commit costs the shadow as much for one
/// transaction as for a hundred.
const GATHER: Duration = Duration::from_millis(20);
/// How often a refused transaction is looked at while nothing else happens.
const PARKED_PERIOD: Duration = Duration::from_millis(50);
/// At the end, running batches may take so long.
const LAST_BATCHES: Duration = Duration::from_secs(5);

/// The loop and what it knows.
pub(super) struct Run<S> {
    source: S,
    settings: ApplySettings,
    health: Arc<Health>,
    stop: watch::Receiver<bool>,
    memory: Memory,
    horizon: Horizon,
    scheduler: Scheduler,
    settling: Settling,
    parked: Parked,
    /// Taken, but not looked at yet.
    inbox: VecDeque<Arc<Entry>>,
    /// A replayed statement that is not decided: what comes behind it is looked at when the shadow has its effects.
    barrier: Option<Seq>,
    taken: Seq,
    /// What the shadow had when it was first reached.
    resumed: Option<Progress>,
    /// What is decided or parked.
    progress: Progress,
    /// The last place that the shadow is known to have committed.
    committed: Seq,
    patience: Duration,
    backoff: Backoff,
    /// Somebody waits until everything up to it is applied.
    awaited: watch::Receiver<Seq>,
    /// When the next batch starts, full or not.
    next_batch: Instant,
}

/// A worker comes back.
struct Done {
    worker: Worker,
    number: u64,
    result: Result<(), Trouble>,
}

/// The workers of one connection to the shadow.
struct Crew {
    idle: Vec<Worker>,
    running: JoinSet<Done>,
    gate: Arc<Gate>,
}

/// Why the connections are given up.
enum End {
    Stopped,
    Lost(Trouble),
}

impl From<Trouble> for End {
    fn from(trouble: Trouble) -> Self {
        Self::Lost(trouble)
    }
}

impl<S: Source> Run<S> {
    pub(super) fn new(source: S, settings: ApplySettings, health: Arc<Health>, stop: watch::Receiver<bool>) -> Self {
        Self {
            awaited: source.awaited(),
            next_batch: Instant::now(),
            source,
            settings,
            health,
            stop,
            memory: Memory::new(MEMORY_BYTES),
            horizon: Horizon::default(),
            scheduler: Scheduler::new(),
            settling: Settling::default(),
            parked: Parked::default(),
            inbox: VecDeque::new(),
            barrier: None,
            taken: Seq(0),
            resumed: None,
            progress: Progress::default(),
            committed: Seq(0),
            patience: PATIENCE,
            backoff: Backoff::default(),
        }
    }

    /// Until it is told to stop.
    pub(super) async fn run(mut self) {
        for entry in self.source.history() {
            // What was doubtful then was marked then.
            let _ = self.judge(&entry);
            self.memory.settled(entry.seq, entry.flight);
            self.taken = entry.seq;
        }
        loop {
            let opened = tokio::select! {
                opened = Shadow::open(&self.settings, &self.health) => opened,
                () = stopped(&mut self.stop) => return,
            };
            let end = match opened {
                Ok((shadow, workers, claimed)) => {
                    self.resume(claimed);
                    let gate = Arc::new(Gate::new(self.scheduler.next_number()));
                    self.drive(shadow, Crew { idle: workers, running: JoinSet::new(), gate }).await
                }
                Err(trouble) => Err(End::Lost(trouble)),
            };
            self.scheduler.recall();
            let Err(End::Lost(trouble)) = end else { return };
            tracing::warn!("applying stopped, trying again: {trouble}");
            self.health.answers(Some(trouble.to_string()));
            if trouble == Trouble::Stuck {
                self.patience = (self.patience * 2).min(LONGEST_PATIENCE);
            }
            if self.pause().await {
                return;
            }
        }
    }

    async fn drive(&mut self, mut shadow: Shadow, mut crew: Crew) -> Result<(), End> {
        let mut pulse = JoinSet::new();
        pulse.spawn(health::watch(shadow.control.clone(), self.health.clone()));
        loop {
            self.look_around();
            self.look_at_inbox(&mut shadow).await?;
            self.try_parked(&mut shadow).await?;
            let due = self.start_batches(&mut crew);
            self.settle();
            let room = self.inbox.is_empty() && self.scheduler.queued_bytes() < QUEUE_BYTES;
            tokio::select! {
                biased;
                () = stopped(&mut self.stop) => {
                    let _ = timeout(LAST_BATCHES, self.drain(&mut crew)).await;
                    self.settle();
                    return Err(End::Stopped);
                }
                _ = pulse.join_next() => return Err(Trouble::Lost("it does not answer".to_owned()).into()),
                Some(done) = crew.running.join_next() => match done {
                    Ok(Done { worker, number, result: Ok(()) }) => {
                        crew.idle.push(worker);
                        self.committed(number, &mut shadow);
                    }
                    Ok(failed) => self.recover(failed, &mut crew, &mut shadow).await?,
                    Err(error) => return Err(Trouble::Lost(error.to_string()).into()),
                },
                entries = self.source.next(TAKE_BYTES), if room => self.inbox.extend(entries),
                () = sleep_until(due.unwrap_or(self.next_batch)), if due.is_some() => {}
                _ = self.awaited.changed(), if due.is_some() => {}
                () = sleep(PARKED_PERIOD), if !self.parked.is_empty() => {}
            }
        }
    }

    /// Moves the horizon.
    fn look_around(&mut self) {
        let oldest = self.source.oldest_ticket();
        if let Some(passed) = self.horizon.observe(oldest, self.last_to_come(), self.taken) {
            self.parked.pass(passed);
        }
    }

    /// The last place of which an entry may still come: not all places given out hold one.
    fn last_to_come(&self) -> Seq {
        let last = self.source.last();
        if self.source.outstanding() > self.settling.len() { last } else { self.taken }
    }

    /// Turns entries into tasks.
    async fn look_at_inbox(&mut self, shadow: &mut Shadow) -> Result<(), End> {
        while self.barrier.is_none()
            && let Some(entry) = self.inbox.front().cloned()
        {
            for shape in shapes(&entry) {
                shadow.learn(shape).await?;
            }
            self.inbox.pop_front();
            self.take(entry, shadow);
            self.look_around();
        }
        Ok(())
    }

    fn take(&mut self, entry: Arc<Entry>, shadow: &Shadow) {
        let seq = entry.seq;
        self.settling.expect(entry.clone());
        self.taken = seq;
        let task = self.task(entry, shadow);
        match &self.resumed {
            Some(resumed) if resumed.has(seq) => return self.settling.decide(seq, Outcome::Applied),
            // Refused before the last end: it waits as it did, behind what was applied in spite of it.
            Some(resumed) if resumed.parked.contains(&seq) => return self.park(&task),
            _ => {}
        }
        if task.writes == WriteSet::Everything {
            self.barrier = Some(seq);
        }
        self.scheduler.push(task);
    }

    /// A task for `entry`, judged by what is remembered; what is doubtful is marked.
    fn task(&mut self, entry: Arc<Entry>, shadow: &Shadow) -> Task {
        let (verdicts, marked) = self.judge(&entry);
        for mark in marks::late(marked) {
            self.source.mark(&mark);
        }
        let mut verdicts = verdicts.into_iter();
        Task::new(entry, |_| verdicts.next().unwrap_or(Verdict::Apply), |shape| shadow.standing(shape))
    }

    /// What is to become of each row change of `entry`, in order, and the keys that are to be marked.
    fn judge(&mut self, entry: &Entry) -> (Vec<Verdict>, Vec<(TableId, Key)>) {
        let (mut verdicts, mut marked) = (Vec::new(), Vec::new());
        for change in marks::changes(entry) {
            match change {
                marks::Told::Row(row) => {
                    let verdict = self.memory.admit(entry.seq, entry.flight, row);
                    if matches!(verdict, Verdict::Late | Verdict::Doubtful) {
                        marked.push((row.shape.table, row.key.clone()));
                    }
                    verdicts.push(verdict);
                }
                marks::Told::Replay(replay) => self.memory.barrier(entry.seq, entry.flight, &replay.touched),
            }
        }
        (verdicts, marked)
    }

    /// Tries the oldest refused transaction again, when its time has come or too much is held behind it.
    async fn try_parked(&mut self, shadow: &mut Shadow) -> Result<(), End> {
        let is_too_much = self.parked.len() > MAX_PARKED || self.settling.bytes() > HELD_BYTES + QUEUE_BYTES;
        self.parked.lose_patience(self.taken, Instant::now());
        let ripe = if is_too_much { self.parked.oldest() } else { self.parked.ripe(self.progress.seq) };
        let Some(entry) = ripe else { return Ok(()) };
        for shape in shapes(&entry) {
            shadow.learn(shape).await?;
        }
        self.parked.release(entry.seq);
        for mark in marks::read_back_behind(&entry, self.settling.behind(entry.seq)) {
            self.source.mark(&mark);
        }
        let task = self.task(entry, shadow);
        let last_trial = Batch { company: Company::Alone, trial: Trial::Last, ..Batch::new(vec![task]) };
        self.scheduler.put_again(vec![last_trial]);
        Ok(())
    }

    /// Gives workers what may start; when the next batch may, if it only waits for company.
    fn start_batches(&mut self, crew: &mut Crew) -> Option<Instant> {
        while let Some(mut worker) = crew.idle.pop() {
            let now = Instant::now();
            if now < self.next_batch && self.scheduler.gathers(*self.awaited.borrow_and_update()) {
                crew.idle.push(worker);
                return Some(self.next_batch);
            }
            let ahead = self.scheduler.last_running();
            let Some((number, batch)) = self.scheduler.start() else {
                crew.idle.push(worker);
                return None;
            };
            self.next_batch = now + GATHER;
            let mut progress = self.progress.clone();
            progress.seq = progress.seq.max(ahead).max(batch.last());
            progress.parked.retain(|parked| batch.tasks.iter().all(|task| task.seq() != *parked));
            let (gate, patience) = (crew.gate.clone(), self.patience);
            crew.running.spawn(async move {
                let turn = Turn { gate: &gate, number, progress: &progress, patience };
                let result = worker.run(&batch, turn).await;
                Done { worker, number, result }
            });
        }
        None
    }

    fn settle(&mut self) {
        while let Some((entry, outcome)) = self.settling.next() {
            self.memory.settled(entry.seq, entry.flight);
            self.source.settle(&entry, outcome);
        }
    }

    fn committed(&mut self, number: u64, shadow: &mut Shadow) {
        let Some(batch) = self.scheduler.committed(number) else { return };
        if batch.writes == WriteSet::Everything {
            shadow.forget_standings();
        }
        self.backoff.reset();
        self.patience = PATIENCE;
        self.applied(&batch);
    }

    fn applied(&mut self, batch: &Batch) {
        for task in &batch.tasks {
            self.decided(task.seq(), Outcome::Applied);
        }
        self.committed = self.committed.max(batch.last());
        self.health.took(|| tables(batch));
    }

    fn decided(&mut self, seq: Seq, outcome: Outcome) {
        self.progress.seq = self.progress.seq.max(seq);
        self.progress.parked.remove(&seq);
        if self.barrier == Some(seq) {
            self.barrier = None;
        }
        self.settling.decide(seq, outcome);
    }

    /// Lets running batches end.
    async fn drain(&mut self, crew: &mut Crew) {
        while let Some(done) = crew.running.join_next().await {
            if let Ok(Done { number, result: Ok(()), .. }) = done
                && let Some(batch) = self.scheduler.committed(number)
            {
                self.applied(&batch);
            }
        }
    }

    /// Waits before trying again; whether it was told to stop meanwhile.
    async fn pause(&mut self) -> bool {
        let wait = self.backoff.next(rand::random());
        timeout(wait, stopped(&mut self.stop)).await.is_ok()
    }
}

/// Returns when the loop is to stop.
async fn stopped(stop: &mut watch::Receiver<bool>) {
    // The other end gone means stop too.
    let _ = stop.wait_for(|stop| *stop).await;
}

/// The tables that `batch` writes rows of; one may come several times.
fn tables(batch: &Batch) -> impl Iterator<Item = String> {
    batch.tasks.iter().flat_map(|task| shapes(&task.entry)).map(|shape| shape.display_name())
}
