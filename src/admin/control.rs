//! What the operator may ask and do: implemented by `proxy.rs`.

use std::pin::Pin;

use thiserror::Error;

use crate::config::{Problems, ReloadOutcome};
use crate::report::job::{Job, Order};
use crate::report::{Report, Status};

/// Whether samples and statements show the values of rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Values {
    /// Keys and column names alone.
    Hidden,
    /// Both rows in full, asked for by `?values=1`.
    Shown,
}

/// Why a command was not carried out.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum ControlError {
    /// No such table on either side.
    #[error("{0} is not a table of the primary or the shadow (names are schema.table)")]
    UnknownTable(String),
    /// No such job, or it was forgotten.
    #[error("there is no job {0}: it was never started, or is too old to be remembered")]
    UnknownJob(u64),
    /// It does not go with what is going on.
    #[error("{0}")]
    Conflict(String),
    /// It cannot be answered at the moment.
    #[error("{0}")]
    Unavailable(String),
}

/// The proxy as the operator sees it. Methods without a future return at once.
pub trait Control: Send + Sync + 'static {
    /// `GET /status`
    fn status(&self) -> Status;

    /// `GET /report`, of all tables or one. Values may have to be read from both databases.
    fn report<'a>(
        &'a self,
        table: Option<&'a str>,
        values: Values,
    ) -> Pin<Box<dyn Future<Output = Result<Report, ControlError>> + Send + 'a>>;

    /// Whether clients can be served; else why not. The primary decides, the shadow never does.
    fn healthy(&self) -> Result<(), String>;

    /// Whether the listener is open and the catalog loaded; else what is missing.
    fn ready(&self) -> Result<(), String>;

    /// `GET /metrics`, in the text format of Prometheus.
    fn metrics(&self) -> String;

    /// Sends this share of reads to the shadow; within 0 to 100.
    fn ramp(&self, percent: f64);

    /// Reads the configuration again. May read files.
    fn reload(&self) -> Result<ReloadOutcome, Problems>;

    /// Starts work on these tables, or on all.
    fn start_job(&self, order: Order, tables: Option<Vec<String>>) -> Result<Job, ControlError>;

    /// How a job stands.
    fn job(&self, id: u64, values: Values) -> Result<Job, ControlError>;

    /// Asks a job to end.
    fn cancel(&self, id: u64) -> Result<Job, ControlError>;

    /// Closes the guard.
    fn reset_guard(&self);

    /// Stops applying; capture goes on.
    fn pause(&self);

    /// Goes on applying.
    fn resume(&self);
}
