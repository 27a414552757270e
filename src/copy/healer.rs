//! The healer: waits for suspects, reads them back, up to `copy.workers` tables at a time, and tries again whatever fails.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use thiserror::Error;
use tokio::task::{JoinHandle, JoinSet};
use tracing::{debug, warn};

use super::board::{self, Board};
use super::heal::{HealError, Healing, Referred};
use super::preflight::preflight;
use super::schedule::{Ended, Schedule, Work};
use super::schema::{SchemaError, create_schema};
use super::walk::heal_table;
use crate::catalog::{Handle, Pair, Pairs, ProbeError, Sides, Way};
use crate::config::{Live, Repair};
use crate::effect::{Mark, Reason, TableId, Touched};
use crate::mirror::{Cause, Mirror};
use crate::report::job::{Finding, Progress, Schema, Severity};
use crate::server::{Both, ConnectError, Purpose};

/// While something is suspect and waits, how often it is looked whether its time has come.
const TICK: Duration = Duration::from_millis(50);
const STATEMENT_TIMEOUT: Duration = Duration::from_mins(5);
/// A schema that was brought over is seen in the catalog by then.
const SCHEMA_SEEN: Duration = Duration::from_secs(30);

/// Why tables were not read back.
#[derive(Debug, Error)]
pub enum CopyError {
    /// No such table on the primary, or it is not mirrored.
    #[error("no mirrored table {0} on the primary: name it as schema.table, and see mirror.include and mirror.exclude")]
    UnknownTable(String),
    /// It was tried, and will be again.
    #[error("{table} could not be read back: {why}; it stays suspect and is tried again")]
    Failed {
        /// `schema.table`.
        table: String,
        /// What happened.
        why: String,
    },
    /// Nothing was begun.
    #[error("nothing was copied: {0}")]
    Refused(String),
    /// The schema was not brought over.
    #[error("{0}")]
    Schema(#[from] SchemaError),
    /// A server could not be reached.
    #[error("{0}")]
    Connect(#[from] ConnectError),
    /// A server could not be asked.
    #[error("{0}")]
    Probe(#[from] ProbeError),
}

impl CopyError {
    fn refused(findings: &[Finding]) -> Self {
        let refused = findings.iter().filter(|finding| finding.severity == Severity::Refused);
        let list: Vec<_> = refused.map(|finding| format!("{}: {}", finding.table, finding.what)).collect();
        Self::Refused(list.join("; "))
    }
}

/// The running healer.
#[derive(Debug)]
pub struct Healer {
    shared: Arc<Shared>,
    task: JoinHandle<()>,
}

/// What every piece of work looks at.
#[derive(Debug)]
struct Shared {
    live: Arc<Live>,
    mirror: Mirror,
    primary: Arc<Handle>,
    shadow: Arc<Handle>,
    board: Board,
}

impl Healer {
    /// Starts it on the current tokio runtime.
    pub fn start(live: Arc<Live>, mirror: Mirror, primary: Arc<Handle>, shadow: Arc<Handle>) -> Self {
        let shared = Arc::new(Shared { live, mirror, primary, shadow, board: Board::default() });
        let task = tokio::spawn(run(Arc::clone(&shared)));
        Self { shared, task }
    }

    /// Reads whole tables back (`schema.table`; all if `None`), and returns when that is done: a table that is empty
    /// on the shadow is filled. Before the first row it looks at both sides' definitions, and tells what it finds in
    /// `progress`. Dropped before its end: what was begun goes on, unwatched.
    pub async fn backfill(
        &self,
        tables: Option<Vec<String>>,
        schema: Schema,
        progress: Progress,
    ) -> Result<(), CopyError> {
        let both = self.shared.connect(None).await?;
        if schema == Schema::Created {
            self.create_schema(&both, &progress).await?;
        }
        let chosen = self.shared.choose(tables)?;
        let pairs: Vec<Pair> = chosen.iter().filter_map(|(table, ..)| self.shared.pair(*table)).collect();
        let preflight = preflight(&both, &pairs).await.map_err(ProbeError::from)?;
        drop(both);
        progress.found(preflight.findings.clone());
        if preflight.refuses() {
            return Err(CopyError::refused(&preflight.findings));
        }
        for step in &preflight.steps {
            let names: Vec<&str> = step.iter().map(|&place| pairs[place].name.as_str()).collect();
            let step = chosen.iter().filter(|(_, name, _)| names.contains(&name.as_str())).collect();
            self.copy(step, &progress).await?;
        }
        Ok(())
    }

    /// These tables at once, to their end.
    async fn copy(&self, tables: Vec<&Chosen>, progress: &Progress) -> Result<(), CopyError> {
        let Shared { mirror, board, .. } = &*self.shared;
        for (table, name, rows) in &tables {
            progress.begin_table(name, *rows);
            board.watch(*table, progress.clone());
        }
        let ids: Vec<TableId> = tables.iter().map(|(table, ..)| *table).collect();
        mirror.mark(&Mark::Tables { touched: Touched::Tables(ids), reason: Reason::Backfill });
        let suspects = mirror.suspect_tables();
        for (id, table, _) in tables {
            // Not suspect any more: healed since.
            let Some(suspect) = suspects.iter().find(|suspect| suspect.table == *id) else { continue };
            let healed = board.wait_healed(*id, suspect.generation).await;
            healed.map_err(|why| CopyError::Failed { table: table.clone(), why })?;
            progress.end_table(table);
        }
        Ok(())
    }

    /// Brings the schema over, and waits until it was seen there.
    async fn create_schema(&self, both: &Both, progress: &Progress) -> Result<(), CopyError> {
        let settings = self.shared.live.get();
        let mut told: Vec<String> =
            create_schema(&settings.primary.url, &settings.shadow.url, both).await?.into_iter().collect();
        let Shared { primary, shadow, .. } = &*self.shared;
        let unseen = || Pairs::new(&primary.get(), &shadow.get()).all.iter().any(|pair| pair.shadow.is_none());
        let deadline = Instant::now() + SCHEMA_SEEN;
        while unseen() {
            if Instant::now() > deadline {
                told.push(
                    "some tables that were created are not seen on the shadow yet, and not copied now".to_owned(),
                );
                break;
            }
            shadow.reload();
            tokio::time::sleep(TICK).await;
        }
        let finding = |what| Finding { table: "(database)".into(), severity: Severity::Warning, what };
        progress.found(told.into_iter().map(finding).collect());
        Ok(())
    }

    /// Why tables that are suspect are not healed yet, as far as it is known.
    pub fn troubles(&self) -> HashMap<TableId, String> {
        self.shared.board.troubles()
    }

    /// Stops it. What it placed stays in the ledger; what it did not finish stays marked.
    pub async fn stop(self) {
        self.task.abort();
        let _ = self.task.await;
    }
}

/// Id, name and estimated rows of a table of the primary.
type Chosen = (TableId, String, u64);

impl Shared {
    fn choose(&self, names: Option<Vec<String>>) -> Result<Vec<Chosen>, CopyError> {
        let catalog = self.primary.get();
        let all = || {
            catalog.tables.values().map(|table| (table.shape.table, table.shape.display_name(), table.rows_estimate))
        };
        let Some(names) = names else {
            let mut chosen: Vec<Chosen> = all().collect();
            chosen.sort_unstable_by(|one, other| one.1.cmp(&other.1));
            return Ok(chosen);
        };
        let find = |name: String| all().find(|(_, found, _)| *found == name).ok_or(CopyError::UnknownTable(name));
        names.into_iter().map(find).collect()
    }

    fn pair(&self, table: TableId) -> Option<Pair> {
        let (primary, shadow) = (self.primary.get(), self.shadow.get());
        let ours = primary.tables.get(&table)?;
        let theirs = shadow
            .tables
            .values()
            .find(|other| other.shape.schema == ours.shape.schema && other.shape.name == ours.shape.name);
        Some(Pair::new(ours.shape.display_name(), Some(Arc::clone(ours)), theirs.cloned()))
    }

    /// With `check.repair = "off"` only what was asked for is read back.
    fn wanted(&self, cause: Cause) -> bool {
        self.live.get().check.repair != Repair::Off || cause.is_asked
    }

    /// A connection to each side, the given one if it still lives.
    async fn connect(&self, idle: Option<Both>) -> Result<Both, ConnectError> {
        Both::kept_or_new(idle, &self.live.get(), Purpose::Copy, STATEMENT_TIMEOUT).await
    }
}

/// A finished piece of work, and the connections it leaves.
struct Done {
    work: Work,
    began: Instant,
    both: Option<Both>,
    result: Result<(), Trouble>,
}

#[derive(Debug, Error)]
enum Trouble {
    #[error("{0}")]
    Connect(#[from] ConnectError),
    #[error("{0}")]
    Heal(#[from] HealError),
    #[error("the table is missing on the shadow")]
    NoShadow,
    #[error("column {0} is missing on the shadow")]
    NoColumn(String),
    #[error("the table is not in the primary's catalog")]
    NoPrimary,
    #[error("the shadow refused the rows read back")]
    Refused,
}

impl Trouble {
    fn ended(&self) -> Ended {
        match self {
            Self::Connect(_) | Self::Heal(HealError::Probe(ProbeError::Lost(_))) => Ended::Disconnected,
            _ => Ended::Failed,
        }
    }
}

async fn run(shared: Arc<Shared>) {
    let mut schedule = Schedule::default();
    let mut working: JoinSet<Done> = JoinSet::new();
    let mut idle: Vec<Both> = Vec::new();
    loop {
        if working.is_empty() {
            schedule.none_runs();
            shared.mirror.suspicion().await;
        }
        for work in next(&shared, &mut schedule, working.len()) {
            let tries = schedule.failures(work.table());
            working.spawn(perform(Arc::clone(&shared), work, idle.pop(), tries));
        }
        tokio::select! {
            Some(done) = working.join_next() => match done {
                Ok(done) => idle.extend(finish(&shared, &mut schedule, done)),
                Err(error) => warn!("reading back ended early: {error}"),
            },
            () = tokio::time::sleep(TICK) => {}
        }
    }
}

fn next(shared: &Shared, schedule: &mut Schedule, running: usize) -> Vec<Work> {
    let workers = shared.live.get().copy.workers.max(1);
    if running >= workers {
        return Vec::new();
    }
    let now = Instant::now();
    schedule.forget(now);
    let mut keys = shared.mirror.suspect_keys();
    keys.retain(|keys| shared.wanted(keys.cause));
    let mut tables = shared.mirror.suspect_tables();
    tables.retain(|suspect| shared.wanted(suspect.cause));
    schedule.due(now, keys, tables, workers)
}

fn finish(shared: &Shared, schedule: &mut Schedule, done: Done) -> Option<Both> {
    let table = done.work.table();
    let now = Instant::now();
    let (how, why) = match &done.result {
        Ok(()) => (Ended::Healed, None),
        Err(trouble) => {
            debug!("table {} is not read back yet: {trouble}", table.0);
            let (how, why) = (trouble.ended(), trouble.to_string());
            let kind = if how == Ended::Disconnected { board::Trouble::Waiting } else { board::Trouble::Failed };
            (how, Some(kind(why)))
        }
    };
    shared.board.trouble(table, why);
    schedule.ended(table, now, now - done.began, how);
    if let (Work::Table(suspect), Ended::Healed) = (&done.work, how) {
        shared.board.healed(table, suspect.generation);
    }
    done.both.filter(|both| !both.is_closed())
}

async fn perform(shared: Arc<Shared>, work: Work, idle: Option<Both>, tries: u32) -> Done {
    let _busy = shared.mirror.busy();
    let began = Instant::now();
    match shared.connect(idle).await {
        Ok(both) => {
            let result = heal(&shared, &work, &both, tries).await;
            Done { work, began, both: Some(both), result }
        }
        Err(error) => Done { work, began, both: None, result: Err(error.into()) },
    }
}

/// Tries after which a table that the primary's catalog does not know counts as dropped.
const DROPPED_AFTER: u32 = 3;

async fn heal(healer: &Shared, work: &Work, both: &Both, tries: u32) -> Result<(), Trouble> {
    let (table, mirror) = (work.table(), &healer.mirror);
    let Some(pair) = healer.pair(table) else {
        if tries < DROPPED_AFTER || !healer.primary.is_current() {
            return Err(Trouble::NoPrimary);
        }
        clear(mirror, work);
        return Ok(());
    };
    let Ok(sides) = Sides::new(&pair, &both.primary, &both.shadow) else {
        // A statement that makes it may have been replayed since the shadow's catalog was read.
        healer.shadow.reload();
        return Err(Trouble::NoShadow);
    };
    let mut healing = Healing::new(mirror, sides, healer.board.progress(table));
    read_back(healer, &pair, &mut healing, work).await?;
    if !refused(mirror, work) {
        return Ok(());
    }
    // What stood in the way of some rows has made room by now, if it was to go itself.
    healing.progress = None;
    for work in &suspect_still(mirror, table) {
        read_back(healer, &pair, &mut healing, work).await?;
        if refused(mirror, work) {
            return Err(Trouble::Refused);
        }
    }
    Ok(())
}

/// Once, and clears what that answers.
async fn read_back(healer: &Shared, pair: &Pair, healing: &mut Healing<'_>, work: &Work) -> Result<(), Trouble> {
    let (table, mirror) = (work.table(), &healer.mirror);
    match work {
        Work::Keys(suspect) if Way::of(pair) != Way::Multiset => {
            let mut keys = suspect.keys.clone();
            match healing.referring(&suspect.referring).await? {
                Referred::Keys(found) => keys.extend(found),
                Referred::TooMany => {
                    mirror.mark(&Mark::Tables { touched: Touched::of([table]), reason: suspect.cause.reason });
                }
            }
            healing.keys(&keys).await?;
            healing.settle().await;
        }
        Work::Keys(_) | Work::Table(_) => {
            // Equal in all columns but one is not equal. It may have been added since the shadow's catalog was read.
            if let Some(column) = pair.missing_column() {
                healer.shadow.reload();
                return Err(Trouble::NoColumn(column.to_owned()));
            }
            heal_table(healing, pair.primary.as_ref().map_or(0, |table| table.rows_estimate)).await?;
        }
    }
    clear(mirror, work);
    Ok(())
}

/// What is to be read back of a table.
fn suspect_still(mirror: &Mirror, table: TableId) -> Vec<Work> {
    let keys = mirror.suspect_keys().into_iter().filter(|keys| keys.table == table).map(Work::Keys);
    keys.chain(mirror.suspect_tables().into_iter().filter(|suspect| suspect.table == table).map(Work::Table)).collect()
}

fn clear(mirror: &Mirror, work: &Work) {
    match work {
        Work::Keys(suspect) => mirror.clear_keys(suspect),
        Work::Table(suspect) => mirror.clear_table(suspect.table, suspect.generation),
    }
}

/// Whether the table is suspect again because the shadow would not take what was read back.
fn refused(mirror: &Mirror, work: &Work) -> bool {
    let tables = mirror.suspect_tables().into_iter().map(|suspect| (suspect.table, suspect.cause));
    let keys = mirror.suspect_keys().into_iter().map(|keys| (keys.table, keys.cause));
    tables.chain(keys).any(|(table, cause)| table == work.table() && cause.refused > work.generation())
}
