//! `GET /status`.

use serde::{Deserialize, Serialize};

use super::Verdict;
use crate::config::RuleOf;

/// How things stand, in one look.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Status {
    /// Of crossfade.
    pub version: String,
    /// Since start.
    pub uptime_s: f64,
    /// Accepted configurations.
    pub generation: u64,
    /// Client connections.
    pub sessions: SessionsStatus,
    /// The primary.
    pub primary: ServerStatus,
    /// The shadow.
    pub shadow: ServerStatus,
    /// Captured and applied.
    pub mirror: MirrorStatus,
    /// The ramp.
    pub reads: ReadsStatus,
    /// What may turn it down.
    pub guard: GuardStatus,
    /// The background comparison.
    pub check: CheckStatus,
}

/// Client connections.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct SessionsStatus {
    /// Now.
    pub open: u64,
    /// Since start.
    pub total: u64,
}

/// Whether a server answers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ServerState {
    /// It answers.
    Up,
    /// It does not, or was not asked yet.
    #[default]
    Down,
    /// Reachable, but refusing some of what it is sent.
    Degraded,
}

/// One server.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct ServerStatus {
    /// Whether it answers.
    pub state: ServerState,
    /// As it calls itself; `None` until it was reached.
    pub server_version: Option<String>,
    /// The last trouble with it.
    pub last_error: Option<String>,
}

/// Committed transactions that wrote: `captured` is always the sum of `applied`, `pending`, `quarantined`, `skipped`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct MirrorStatus {
    /// `mirror.enabled`.
    pub enabled: bool,
    /// By the operator.
    pub paused: bool,
    /// All that wrote.
    pub captured: u64,
    /// Committed on the shadow.
    pub applied: u64,
    /// In the ledger.
    pub pending: u64,
    /// The shadow refused any of it.
    pub quarantined: u64,
    /// Nothing of it goes to the ledger.
    pub skipped: u64,
    /// Pending 0, no suspects, no refresh or backfill running.
    pub settled: bool,
    /// Age of the oldest pending commit; 0 without one.
    pub lag_ms: u64,
    /// Of the ledger, memory and disk.
    pub backlog_bytes: u64,
    /// `schema.table`, sorted.
    pub suspect_tables: Vec<String>,
    /// Single rows marked.
    pub suspect_keys: u64,
}

/// Counted among drawn reads.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct ReadsStatus {
    /// In force: configured, or set by `POST /ramp`.
    pub percent: f64,
    /// percent × shadow ÷ eligible over the last minute; `None` without eligible reads.
    pub effective_percent: Option<f64>,
    /// shadow + fallback.
    pub eligible: u64,
    /// Answered by the shadow.
    pub shadow: u64,
    /// Allowed, but answered by the primary.
    pub fallback: u64,
    /// Drawn and not allowed.
    pub ineligible: u64,
    /// Run on both sides.
    pub compared: u64,
    /// With different answers.
    pub mismatched: u64,
    /// Run on both sides, and nothing can be said.
    #[serde(default)]
    pub not_comparable: u64,
    /// Comparisons given up: no room, no connection, no end.
    #[serde(default)]
    pub comparisons_dropped: u64,
    /// `[[reads.rule]]`, in order. What they are about is in the counts above, and not in `effective_percent`.
    #[serde(default)]
    pub rules: Vec<RuleStatus>,
    /// Which of the ineligible came most often, and why they stay on the primary.
    #[serde(default)]
    pub kept: Vec<KeptReads>,
}

/// Reads of one kind that stay on the primary for one reason.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct KeptReads {
    /// Their text, literals replaced.
    pub query: String,
    /// As in `/metrics`.
    pub reason: String,
    /// How many, since the kind was seen often enough to be remembered.
    pub count: u64,
}

/// A `[[reads.rule]]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RuleStatus {
    /// Which reads it is about.
    #[serde(flatten)]
    pub of: RuleOf,
    /// Configured.
    pub percent: f64,
    /// percent × shadow ÷ eligible over the last minute; `None` without eligible reads.
    pub effective_percent: Option<f64>,
    /// shadow + fallback.
    pub eligible: u64,
    /// Answered by the shadow.
    pub shadow: u64,
    /// Allowed, but answered by the primary.
    pub fallback: u64,
    /// Drawn and not allowed.
    pub ineligible: u64,
}

/// Whether the guard lets the ramp work.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GuardState {
    /// The ramp works.
    #[default]
    Closed,
    /// Every read goes to the primary.
    Open,
    /// A few reads are tried.
    HalfOpen,
}

/// The guard.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct GuardStatus {
    /// Whether it lets the ramp work.
    pub state: GuardState,
    /// Why it opened.
    pub reason: Option<String>,
}

/// Whether a round is running.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CheckState {
    /// Waiting for the next.
    #[default]
    Idle,
    /// Comparing.
    Running,
}

/// The background comparison.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct CheckStatus {
    /// Whether a round is running.
    pub state: CheckState,
    /// Rounds begun.
    pub round: u64,
    /// Of the whole report.
    pub verdict: Verdict,
}
