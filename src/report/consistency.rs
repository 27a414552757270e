//! `GET /report`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::MirrorStatus;

/// What may be said of a table or of all.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// Compared, equal, not suspect.
    Consistent,
    /// A difference is confirmed.
    Diverged,
    /// Neither can be said.
    #[default]
    Unknown,
}

impl Verdict {
    /// `diverged` if any table is, else `unknown` if any is not consistent or there is none, else `consistent`.
    pub fn over(tables: &[TableReport]) -> Self {
        let any = |status| tables.iter().any(|table: &TableReport| table.status == status);
        if any(TableStatus::Diverged) {
            Self::Diverged
        } else if tables.is_empty() || tables.iter().any(|table| table.status != TableStatus::Consistent) {
            Self::Unknown
        } else {
            Self::Consistent
        }
    }
}

/// How a table stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TableStatus {
    /// Checked, without difference left, and not suspect.
    Consistent,
    /// With confirmed differences left.
    Diverged,
    /// Its mirror may be wrong, and is to be read back.
    Suspect,
    /// Not compared yet.
    Unchecked,
    /// It cannot be compared; the reason says why.
    Unverifiable,
}

/// What is wrong with a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DifferenceKind {
    /// On the primary only.
    Missing,
    /// On the shadow only.
    Extra,
    /// On both, with other values.
    Different,
}

/// A confirmed difference.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Difference {
    /// Column and value of each key column.
    pub key: BTreeMap<String, serde_json::Value>,
    /// What is wrong.
    pub kind: DifferenceKind,
    /// Which columns differ.
    pub columns: Vec<String>,
    /// The primary's row, only when values were asked for.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub primary: Option<BTreeMap<String, Option<String>>>,
    /// The shadow's row, only when values were asked for.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub shadow: Option<BTreeMap<String, Option<String>>>,
}

/// One table.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TableReport {
    /// `schema.table`.
    pub table: String,
    /// How it stands.
    pub status: TableStatus,
    /// Why, when it is not consistent.
    pub reason: Option<String>,
    /// End of the last check, RFC 3339, UTC.
    pub checked_at: Option<String>,
    /// In that check.
    pub rows_checked: u64,
    /// On the primary only: confirmed by the last check, less repaired.
    pub missing: u64,
    /// On the shadow only.
    pub extra: u64,
    /// On both, with other values.
    pub different: u64,
    /// Differences of the last check repaired since.
    pub repaired: u64,
    /// Rows marked.
    pub suspect_keys: u64,
    /// Some of the differences, at most `check.samples`.
    pub samples: Vec<Difference>,
    /// Share of the table that its last check compared, or if that came to no end the one that runs; 100 only when it
    /// came to its end.
    #[serde(default)]
    pub coverage_percent: f64,
    /// When the first chunk of the last check was compared, if that found no difference: no part was verified earlier.
    #[serde(default)]
    pub verified_since: Option<String>,
    /// Of the last check, by what was said of them.
    #[serde(default)]
    pub chunks: Chunks,
    /// As the primary's statistics have it.
    #[serde(default)]
    pub rows_estimated: u64,
    /// Of the check that runs, else of the last.
    #[serde(default)]
    pub rows_per_s: f64,
    /// Seconds that the check that runs will take still.
    #[serde(default)]
    pub left_s: Option<f64>,
    /// Columns that are not compared.
    #[serde(default)]
    pub skipped_columns: Vec<SkippedColumn>,
}

/// Parts of a table by what was said of them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Chunks {
    /// Equal.
    #[serde(rename = "match")]
    pub matched: u64,
    /// With confirmed differences.
    pub confirmed: u64,
    /// Written, or waiting for the shadow, each time they were compared.
    pub busy: u64,
    /// A server refused to be asked.
    pub unverifiable: u64,
}

/// A column that is not compared.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SkippedColumn {
    /// Its name.
    pub column: String,
    /// Why.
    pub reason: String,
}

/// A round over all tables that has ended.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RoundReport {
    /// Which.
    pub round: u64,
    /// RFC 3339, UTC.
    pub began_at: String,
    /// RFC 3339, UTC.
    pub ended_at: String,
    /// Over all tables, at its end.
    pub verdict: Verdict,
    /// How many.
    pub tables: u64,
    /// Of them, those that were consistent.
    pub consistent: u64,
    /// Rows compared.
    pub rows_checked: u64,
    /// On the primary only.
    pub missing: u64,
    /// On the shadow only.
    pub extra: u64,
    /// On both, with other values.
    pub different: u64,
}

impl RoundReport {
    /// Of a round that ends with `tables`.
    pub fn new(round: u64, [began_at, ended_at]: [String; 2], tables: &[TableReport]) -> Self {
        let sum = |of: fn(&TableReport) -> u64| tables.iter().map(of).sum();
        Self {
            round,
            began_at,
            ended_at,
            verdict: Verdict::over(tables),
            tables: tables.len() as u64,
            consistent: sum(|table| u64::from(table.status == TableStatus::Consistent)),
            rows_checked: sum(|table| table.rows_checked),
            missing: sum(|table| table.missing),
            extra: sum(|table| table.extra),
            different: sum(|table| table.different),
        }
    }
}

/// One kind of query that was run on both sides.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct QueryReads {
    /// Its text, literals replaced.
    pub query: String,
    /// How often.
    pub compared: u64,
    /// How often with equal answers.
    #[serde(default)]
    pub matched: u64,
    /// How often with different answers.
    pub mismatched: u64,
    /// How often nothing could be said: the primary did not agree with itself, which rows come is open, or the shadow did
    /// not answer in time.
    #[serde(default)]
    pub not_comparable: u64,
    /// Rows of all its answers compared.
    #[serde(default)]
    pub rows: u64,
    /// Median on the primary.
    pub primary_p50_ms: f64,
    /// 99th percentile on the primary.
    pub primary_p99_ms: f64,
    /// Median on the shadow.
    pub shadow_p50_ms: f64,
    /// 99th percentile on the shadow.
    pub shadow_p99_ms: f64,
    /// The shadow is slower than the primary by more than `guard.max_latency_ratio`.
    #[serde(default)]
    pub plan_regression: bool,
}

/// Reads run on both sides.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct ReadsReport {
    /// How many.
    pub compared: u64,
    /// With equal answers.
    pub matched: u64,
    /// With different answers.
    pub mismatched: u64,
    /// Of which nothing can be said.
    #[serde(default)]
    pub not_comparable: u64,
    /// Given up: no room, no connection, no end.
    #[serde(default)]
    pub dropped: u64,
    /// By kind.
    pub by_query: Vec<QueryReads>,
}

/// A transaction that the shadow refused.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Quarantined {
    /// Its place in the ledger.
    pub seq: u64,
    /// Of the refusal.
    pub sqlstate: String,
    /// Of the first row refused.
    pub table: String,
    /// The shadow's message, without its detail (which shows values).
    pub message: String,
}

/// A kind of statement that was run again on the shadow.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Replayed {
    /// Its text.
    pub query: String,
    /// How often.
    pub count: u64,
    /// Why it was not captured as rows.
    pub reason: String,
}

/// What is done with a write.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Way {
    /// Its rows were captured: they are applied as the primary told them.
    Exact,
    /// What it may have written is read back.
    Refreshed,
    /// Its statement is run again on the shadow.
    Replayed,
}

/// Transactions whose writes to a table were handled in one way, since start.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Handled {
    /// `schema.table`; `None`: which tables they wrote is not known.
    pub table: Option<String>,
    /// How.
    pub way: Way,
    /// Why they had to be read back.
    pub reason: Option<String>,
    /// How many.
    pub transactions: u64,
}

/// The mirror's part of the report.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct MirrorReport {
    /// As in `/status`.
    #[serde(flatten)]
    pub status: MirrorStatus,
    /// What the shadow refused, newest first.
    pub quarantine: Vec<Quarantined>,
    /// What was replayed.
    pub replayed: Vec<Replayed>,
    /// How writes were handled, by table and reason. A transaction counts once for each.
    #[serde(default)]
    pub handled: Vec<Handled>,
}

/// What is defined otherwise on the two sides. In the order in which it is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SchemaKind {
    /// A table that one side lacks, or that is partitioned on one side.
    Table,
    /// Type, NOT NULL, default, collation, or that it is generated.
    Column,
    /// PRIMARY KEY, UNIQUE, EXCLUDE, CHECK, REFERENCES.
    Constraint,
    /// One that belongs to no constraint.
    Index,
    /// Its bounds and steps.
    Sequence,
    /// The shadow's is behind.
    SequencePosition,
    /// Its version, or that it is missing.
    Extension,
    /// Encoding, provider, locale and version of the database.
    Collation,
    /// Of a table.
    Owner,
    /// On a table.
    Grants,
}

/// A difference of definition: a warning, on which no verdict hangs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SchemaDifference {
    /// Of what kind of object.
    pub kind: SchemaKind,
    /// Which.
    pub object: String,
    /// As the primary defines it; null where it does not.
    pub primary: Option<String>,
    /// As the shadow defines it.
    pub shadow: Option<String>,
}

/// How the two databases stand.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// RFC 3339, UTC.
    pub generated_at: String,
    /// Of all tables.
    pub verdict: Verdict,
    /// Differences of definition; null while they could not be read.
    #[serde(default)]
    pub schema: Option<Vec<SchemaDifference>>,
    /// Every table of either side, sorted by name.
    pub tables: Vec<TableReport>,
    /// Reads run on both sides.
    pub reads: ReadsReport,
    /// The mirror.
    pub mirror: MirrorReport,
    /// The last rounds over all tables, newest first.
    #[serde(default)]
    pub history: Vec<RoundReport>,
}

impl Report {
    /// A report over `tables`, with the verdict over all of them.
    pub fn new(generated_at: String, mut tables: Vec<TableReport>, reads: ReadsReport, mirror: MirrorReport) -> Self {
        tables.sort_by(|a, b| a.table.cmp(&b.table));
        let verdict = Verdict::over(&tables);
        Self { generated_at, verdict, schema: None, tables, reads, mirror, history: Vec::new() }
    }
}
