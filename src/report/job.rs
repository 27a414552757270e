//! `GET /jobs/ID`: work that takes a while, and the handle by which whoever does it tells how far it is.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use tokio::sync::watch;

/// What is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum JobKind {
    /// Comparing.
    Check,
    /// Filling the shadow.
    Backfill,
    /// Healing differences.
    Repair,
}

impl fmt::Display for JobKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Check => "check",
            Self::Backfill => "backfill",
            Self::Repair => "repair",
        })
    }
}

/// How it goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum JobState {
    /// At work.
    Running,
    /// All done.
    Done,
    /// Ended by an error.
    Failed,
    /// Ended on request.
    Cancelled,
}

/// One table of a job.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct JobTable {
    /// `schema.table`.
    pub table: String,
    /// So far.
    pub rows_done: u64,
    /// In all, as the primary's statistics have it.
    pub rows_estimated: u64,
    /// On average, since the table was begun.
    pub rows_per_s: f64,
}

/// What a finding leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Nothing was begun because of it.
    Refused,
    /// The work goes on.
    Warning,
}

/// What was found in the definitions before the work began.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// `schema.table`, or `(database)`.
    pub table: String,
    /// What it leads to.
    pub severity: Severity,
    /// In words, with what to do.
    pub what: String,
}

/// What a backfill does about the shadow's schema.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Schema {
    /// It is there.
    #[default]
    Present,
    /// It is brought over first.
    Created,
}

/// What a repair does with what it finds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Repairs {
    /// It heals it.
    #[default]
    Made,
    /// It shows the SQL that would.
    Shown,
}

/// What is asked for, with what goes with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// Comparing.
    Check,
    /// Filling the shadow.
    Backfill(Schema),
    /// Healing differences.
    Repair(Repairs),
}

impl Order {
    /// Of the job.
    pub fn kind(self) -> JobKind {
        match self {
            Self::Check => JobKind::Check,
            Self::Backfill(_) => JobKind::Backfill,
            Self::Repair(_) => JobKind::Repair,
        }
    }
}

/// What the repair of one table would come down to.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct DryRun {
    /// `schema.table`.
    pub table: String,
    /// Rows that differ now.
    pub rows: u64,
    /// For the shadow, one a row. With row values: left out unless they are asked for.
    pub statements: Vec<String>,
    /// Rows that differ and have no statement: there are too many, or they are too long.
    pub left_out: u64,
    /// What else is to be known.
    pub note: Option<String>,
}

/// A job as it stands.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Job {
    /// Counts from 1 at each start of crossfade.
    pub id: u64,
    /// What is done.
    pub kind: JobKind,
    /// How it goes.
    pub state: JobState,
    /// In the order in which they were begun.
    pub tables: Vec<JobTable>,
    /// Why it failed.
    pub error: Option<String>,
    /// What was found before it began; left out if nothing.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub findings: Vec<Finding>,
    /// Of a repair that was to show and not to do; left out if nothing.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub dry_run: Vec<DryRun>,
}

impl Job {
    /// Without the values of rows.
    #[must_use]
    pub fn without_values(mut self) -> Self {
        for table in &mut self.dry_run {
            table.statements.clear();
        }
        self
    }
}

/// A job under way. Clones speak of the same one; who works updates it, who watches takes [`Progress::job`].
#[derive(Debug, Clone)]
pub struct Progress(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    id: u64,
    kind: JobKind,
    cancelled: watch::Sender<bool>,
    stand: Mutex<Stand>,
}

#[derive(Debug)]
struct Stand {
    state: JobState,
    error: Option<String>,
    tables: Vec<Counted>,
    findings: Vec<Finding>,
    dry_run: Vec<DryRun>,
}

#[derive(Debug)]
struct Counted {
    table: String,
    rows_done: u64,
    rows_estimated: u64,
    begun: Instant,
    took: Option<Duration>,
}

impl Progress {
    /// A job that begins now.
    pub fn begin(id: u64, kind: JobKind) -> Self {
        let (tables, findings, dry_run) = (Vec::new(), Vec::new(), Vec::new());
        let stand = Mutex::new(Stand { state: JobState::Running, error: None, tables, findings, dry_run });
        Self(Arc::new(Inner { id, kind, cancelled: watch::Sender::new(false), stand }))
    }

    /// Work on `table` begins, or begins anew.
    pub fn begin_table(&self, table: &str, rows_estimated: u64) {
        let mut stand = self.0.stand.lock();
        stand.tables.retain(|counted| counted.table != table);
        let table = table.to_owned();
        stand.tables.push(Counted { table, rows_done: 0, rows_estimated, begun: Instant::now(), took: None });
    }

    /// What was found before the first row.
    pub fn found(&self, findings: Vec<Finding>) {
        self.0.stand.lock().findings.extend(findings);
    }

    /// What the repair of a table would come down to.
    pub fn shown(&self, dry_run: DryRun) {
        self.0.stand.lock().dry_run.push(dry_run);
    }

    /// What was shown is not to be held for longer.
    pub fn forget_shown(&self) {
        self.0.stand.lock().dry_run = Vec::new();
    }

    /// So many more rows of a table that was begun.
    pub fn add_rows(&self, table: &str, rows: u64) {
        let mut stand = self.0.stand.lock();
        if let Some(counted) = stand.tables.iter_mut().find(|counted| counted.table == table) {
            counted.rows_done = counted.rows_done.saturating_add(rows);
        }
    }

    /// Work on `table` is over.
    pub fn end_table(&self, table: &str) {
        let mut stand = self.0.stand.lock();
        if let Some(counted) = stand.tables.iter_mut().find(|counted| counted.table == table) {
            counted.took.get_or_insert_with(|| counted.begun.elapsed());
        }
    }

    /// Asks the work to end. It ends when it looks.
    pub fn cancel(&self) {
        self.0.cancelled.send_replace(true);
    }

    /// Whether the work was asked to end: to be looked at between chunks.
    pub fn is_cancelled(&self) -> bool {
        *self.0.cancelled.borrow()
    }

    /// Returns when the work is asked to end.
    pub async fn cancelled(&self) {
        let mut cancelled = self.0.cancelled.subscribe();
        // The sender lives as long as `self`.
        let _ = cancelled.wait_for(|cancelled| *cancelled).await;
    }

    /// The work has ended: done, failed with this message, or cancelled if it was asked to. Only the first end counts.
    pub fn end(&self, outcome: Result<(), String>) {
        let mut stand = self.0.stand.lock();
        if stand.state != JobState::Running {
            return;
        }
        (stand.state, stand.error) = match outcome {
            Err(message) => (JobState::Failed, Some(message)),
            Ok(()) if self.is_cancelled() => (JobState::Cancelled, None),
            Ok(()) => (JobState::Done, None),
        };
        for counted in &mut stand.tables {
            counted.took.get_or_insert_with(|| counted.begun.elapsed());
        }
    }

    /// How it stands.
    pub fn job(&self) -> Job {
        let stand = self.0.stand.lock();
        let tables = stand.tables.iter().map(Counted::now).collect();
        let (error, findings, dry_run) = (stand.error.clone(), stand.findings.clone(), stand.dry_run.clone());
        Job { id: self.0.id, kind: self.0.kind, state: stand.state, tables, error, findings, dry_run }
    }
}

impl Counted {
    fn now(&self) -> JobTable {
        let seconds = self.took.unwrap_or_else(|| self.begun.elapsed()).as_secs_f64();
        let rows_per_s = if seconds > 0.0 { (self.rows_done as f64 / seconds).round() } else { 0.0 };
        JobTable {
            table: self.table.clone(),
            rows_done: self.rows_done,
            rows_estimated: self.rows_estimated,
            rows_per_s,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_add_up_and_a_table_begun_anew_counts_anew() {
        let progress = Progress::begin(7, JobKind::Backfill);
        progress.begin_table("public.orders", 100);
        progress.add_rows("public.orders", 40);
        progress.clone().add_rows("public.orders", 2);
        progress.add_rows("public.unknown", 5);
        progress.begin_table("public.items", 0);
        progress.add_rows("public.items", 9);
        progress.begin_table("public.items", 3);
        let job = progress.job();
        let rows: Vec<_> = job.tables.iter().map(|t| (t.table.as_str(), t.rows_done, t.rows_estimated)).collect();
        assert_eq!(rows, [("public.orders", 42, 100), ("public.items", 0, 3)]);
        assert_eq!((job.id, job.kind, job.state), (7, JobKind::Backfill, JobState::Running));
    }

    #[test]
    fn the_first_end_counts() {
        let progress = Progress::begin(1, JobKind::Check);
        progress.end(Err("the primary is away".into()));
        progress.end(Ok(()));
        assert_eq!(progress.job().state, JobState::Failed);
        assert_eq!(progress.job().error.as_deref(), Some("the primary is away"));
    }

    #[tokio::test]
    async fn cancelling_wakes_and_shows() {
        let progress = Progress::begin(1, JobKind::Repair);
        let worker = progress.clone();
        let work = tokio::spawn(async move {
            worker.cancelled().await;
            worker.end(Ok(()));
        });
        progress.cancel();
        work.await.unwrap();
        assert_eq!(progress.job().state, JobState::Cancelled);
    }
}
