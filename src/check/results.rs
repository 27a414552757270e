//! What the checks said so far: for the report, and for reads that ask whether a table is verified.

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime};

use arc_swap::ArcSwap;
use parking_lot::Mutex;

use super::state::{Checked, Circumstances, Outcome, Running, report};
use crate::catalog::{Handle, Pair, Pairs};
use crate::effect::{Reason, TableId};
use crate::mirror::Mirror;
use crate::report::job::Progress;
use crate::report::{CheckState, CheckStatus, RoundReport, TableReport, Verdict, rfc3339};

/// Rounds remembered.
const ROUNDS: usize = 100;

/// Shared by the checker and all who ask.
#[derive(Debug)]
pub struct Results {
    mirror: Mirror,
    primary: Arc<Handle>,
    shadow: Arc<Handle>,
    tables: Mutex<BTreeMap<String, Checked>>,
    /// What `tables` says, for those who ask with every read.
    verified: ArcSwap<Verified>,
    running: AtomicBool,
    round: AtomicU64,
    /// Oldest first.
    history: Mutex<VecDeque<RoundReport>>,
    /// By table; of those whose turn it is not, too.
    under_way: Mutex<BTreeMap<String, UnderWay>>,
}

/// A table that is being compared.
#[derive(Debug)]
struct UnderWay {
    rows: u64,
    began: Instant,
}

/// Tells how far the check of a table is: the report while it lives, and the job by which it was asked for.
#[derive(Debug)]
pub(super) struct Watch<'a> {
    results: &'a Results,
    table: &'a str,
    progress: Option<&'a Progress>,
    ends: Ends,
}

/// What becomes of a check that is not watched any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ends {
    Now,
    Later,
}

impl Watch<'_> {
    /// The check goes on where it was: so many rows were compared in the time that it took so far.
    pub(super) fn resumed(&self, rows: u64, took: Duration) {
        if let Some(under_way) = self.results.under_way.lock().get_mut(self.table) {
            under_way.began = under_way.began.checked_sub(took).unwrap_or(under_way.began);
        }
        self.compared(rows);
    }

    pub(super) fn compared(&self, rows: u64) {
        if let Some(under_way) = self.results.under_way.lock().get_mut(self.table) {
            under_way.rows += rows;
        }
        if let Some(progress) = self.progress {
            progress.add_rows(self.table, rows);
        }
    }

    /// Others pass; it goes on later.
    pub(super) fn paused(mut self) {
        self.ends = Ends::Later;
    }

    /// It was found to differ: reads are not to wait for the end of its check.
    pub(super) fn differs(&self) {
        self.results.doubt(self.table);
    }
}

impl Drop for Watch<'_> {
    fn drop(&mut self) {
        if self.ends == Ends::Now {
            self.results.given_up(self.table);
        }
    }
}

#[derive(Debug, Default)]
struct Verified {
    epoch: String,
    tables: HashSet<TableId>,
}

impl Results {
    pub(super) fn new(mirror: Mirror, primary: Arc<Handle>, shadow: Arc<Handle>) -> Self {
        Self {
            mirror,
            primary,
            shadow,
            tables: Mutex::default(),
            verified: ArcSwap::default(),
            running: AtomicBool::new(false),
            round: AtomicU64::new(0),
            history: Mutex::default(),
            under_way: Mutex::default(),
        }
    }

    /// Whether the last round over all chunks of the table ended without a confirmed difference, in this epoch, and it
    /// is not suspect. Cheap.
    pub fn is_verified(&self, table: TableId) -> bool {
        let verified = self.verified.load();
        verified.tables.contains(&table) && verified.epoch == self.primary.get().epoch && !self.mirror.is_suspect(table)
    }

    /// As in `/status`.
    pub fn status(&self) -> CheckStatus {
        let running = self.running.load(Ordering::Acquire);
        let state = if running { CheckState::Running } else { CheckState::Idle };
        let tables = self.tables(false, &HashMap::new());
        CheckStatus { state, round: self.round.load(Ordering::Acquire), verdict: Verdict::over(&tables) }
    }

    /// Every table of either side, sorted by name, with row values only if asked for. `troubles` says of suspect
    /// tables why they are not healed yet.
    pub fn tables(&self, values: bool, troubles: &HashMap<TableId, String>) -> Vec<TableReport> {
        let (primary, shadow) = (self.primary.get(), self.shadow.get());
        // Before its first load an empty catalog would read as a shadow without tables.
        let loaded = primary.generation > 0 && shadow.generation > 0;
        let pairs = if loaded { Pairs::new(&primary, &shadow) } else { Pairs::new(&primary, &primary) };
        let suspects = self.suspects(troubles);
        let under_way = self.under_way.lock();
        let running = |name: &str| {
            let UnderWay { rows, began } = under_way.get(name)?;
            Some(Running { rows: *rows, took: began.elapsed() })
        };
        let tables = self.tables.lock();
        let show = |pair: &Pair| {
            let id = pair.primary.as_ref().map(|table| table.shape.table);
            let suspect = id.and_then(|id| suspects.get(&id));
            let now = Circumstances {
                epoch: &primary.epoch,
                suspect: suspect.map(|suspect| suspect.why.as_str()),
                suspect_keys: suspect.map_or(0, |suspect| suspect.keys),
                running: running(&pair.name),
            };
            report(pair, tables.get(&pair.name), now, values)
        };
        pairs.all.iter().map(show).collect()
    }

    /// A check of `name` ended.
    pub(super) fn record(&self, name: &str, checked: Checked) {
        self.tables.lock().insert(name.to_owned(), checked);
        self.publish();
    }

    /// Changes what is known of `name`.
    pub(super) fn amend(&self, name: &str, change: impl FnOnce(&mut Checked)) {
        if let Some(checked) = self.tables.lock().get_mut(name) {
            change(checked);
        }
        self.publish();
    }

    /// What the last check of `name` said holds no more.
    fn doubt(&self, name: &str) {
        if self.tables.lock().get(name).is_some_and(Checked::is_verified) {
            let why = "the check that runs has found differences";
            self.amend(name, |checked| checked.outcome = Outcome::Unfinished(why.to_owned()));
        }
    }

    /// What the last check of `name` said, if it was in this epoch.
    pub(super) fn last(&self, name: &str) -> Option<Checked> {
        let epoch = &self.primary.get().epoch;
        self.tables.lock().get(name).filter(|checked| checked.epoch == *epoch).cloned()
    }

    pub(super) fn running(&self, running: bool) {
        self.running.store(running, Ordering::Release);
    }

    /// The check of `table` begins.
    pub(super) fn watch<'a>(&'a self, table: &'a str, progress: Option<&'a Progress>) -> Watch<'a> {
        self.under_way.lock().insert(table.to_owned(), UnderWay { rows: 0, began: Instant::now() });
        Watch { results: self, table, progress, ends: Ends::Now }
    }

    /// The check of `table` does not go on.
    pub(super) fn given_up(&self, table: &str) {
        self.under_way.lock().remove(table);
    }

    pub(super) fn round(&self) -> u64 {
        self.round.load(Ordering::Acquire)
    }

    pub(super) fn next_round(&self) {
        self.round.fetch_add(1, Ordering::AcqRel);
    }

    /// A round over all tables, begun at `began`, has ended. Gives all that are remembered, oldest first.
    pub(super) fn round_ended(&self, began: SystemTime) -> Vec<RoundReport> {
        let times = [rfc3339(began), rfc3339(SystemTime::now())];
        let round = RoundReport::new(self.round(), times, &self.tables(false, &HashMap::new()));
        let mut history = self.history.lock();
        history.push_back(round);
        let many = history.len().saturating_sub(ROUNDS);
        history.drain(..many);
        history.iter().cloned().collect()
    }

    /// The last rounds over all tables, newest first.
    pub fn history(&self) -> Vec<RoundReport> {
        self.history.lock().iter().rev().cloned().collect()
    }

    /// Rounds of earlier runs, oldest first.
    pub(super) fn restore_history(&self, history: Vec<RoundReport>) {
        let last = history.last().map_or(0, |round| round.round);
        self.round.fetch_max(last, Ordering::AcqRel);
        *self.history.lock() = history.into();
    }

    /// What was found before a restart, in this round.
    pub(super) fn restore(&self, round: u64, tables: BTreeMap<String, Checked>) {
        self.round.fetch_max(round, Ordering::AcqRel);
        let mut known = self.tables.lock();
        for (name, checked) in tables {
            known.entry(name).or_insert(checked);
        }
        drop(known);
        self.publish();
    }

    /// All that is known in this epoch, to be kept.
    pub(super) fn known(&self) -> BTreeMap<String, Checked> {
        let epoch = &self.primary.get().epoch;
        let tables = self.tables.lock();
        let known = tables.iter().filter(|(_, checked)| checked.epoch == *epoch);
        known.map(|(name, checked)| (name.clone(), checked.clone().without_values())).collect()
    }

    fn publish(&self) {
        let primary = self.primary.get();
        let tables = self.tables.lock();
        let verified = primary.tables.values().filter(|table| {
            let checked = tables.get(&table.shape.display_name());
            checked.is_some_and(|checked| checked.epoch == primary.epoch && checked.is_verified())
        });
        let tables = verified.map(|table| table.shape.table).collect();
        self.verified.store(Arc::new(Verified { epoch: primary.epoch.clone(), tables }));
    }

    fn suspects(&self, troubles: &HashMap<TableId, String>) -> HashMap<TableId, SuspectTable> {
        let why = |table: TableId, reason: Reason| match troubles.get(&table) {
            Some(trouble) => trouble.clone(),
            None => format!("to be read back: {reason}"),
        };
        let mut found = HashMap::new();
        for suspect in self.mirror.suspect_tables() {
            found.insert(suspect.table, SuspectTable { why: why(suspect.table, suspect.cause.reason), keys: 0 });
        }
        for suspect in self.mirror.suspect_keys() {
            let fresh = || SuspectTable { why: why(suspect.table, suspect.cause.reason), keys: 0 };
            found.entry(suspect.table).or_insert_with(fresh).keys += suspect.count();
        }
        found
    }
}

/// A table that is suspect, or some of whose rows are.
struct SuspectTable {
    why: String,
    keys: u64,
}
