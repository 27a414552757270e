//! How far a long piece of work is: `tables` of `/jobs/ID`.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use parking_lot::Mutex;
use serde::{Deserialize, Serialize};

/// One table of the work.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TableProgress {
    /// `schema.table`.
    pub table: String,
    /// Rows looked at or copied.
    pub rows_done: u64,
    /// The server's estimate of all.
    pub rows_estimated: u64,
    /// Since the table was begun.
    pub rows_per_s: f64,
}

/// Shared by who does the work and who shows it; a clone is the same progress.
#[derive(Debug, Clone, Default)]
pub struct Progress {
    tables: Arc<Mutex<BTreeMap<String, Span>>>,
}

#[derive(Debug)]
struct Span {
    begun: Instant,
    last: Instant,
    done: u64,
    estimated: u64,
}

impl Progress {
    /// Work on `table` begins, or begins anew.
    pub fn begin(&self, table: &str, rows_estimated: u64) {
        let now = Instant::now();
        let span = Span { begun: now, last: now, done: 0, estimated: rows_estimated };
        self.tables.lock().insert(table.to_owned(), span);
    }

    /// So many more rows of a table that was begun.
    pub fn add(&self, table: &str, rows: u64) {
        if let Some(span) = self.tables.lock().get_mut(table) {
            span.done += rows;
            span.last = Instant::now();
        }
    }

    /// Sorted by table.
    pub fn tables(&self) -> Vec<TableProgress> {
        let show = |(table, span): (&String, &Span)| {
            let seconds = span.last.duration_since(span.begun).as_secs_f64();
            let rows_per_s = if seconds > 0.0 { span.done as f64 / seconds } else { 0.0 };
            TableProgress { table: table.clone(), rows_done: span.done, rows_estimated: span.estimated, rows_per_s }
        };
        self.tables.lock().iter().map(show).collect()
    }
}
