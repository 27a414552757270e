//! SQL connections through tokio-postgres, with every setting that shapes text pinned.

use thiserror::Error;

use crate::config::PgUrl;

/// What a connection is for: its `application_name` says so (`crossfade-check` …).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// Reading catalogs and health.
    Catalog,
    /// Applying the ledger.
    Apply,
    /// Comparing.
    Check,
    /// Reading rows back.
    Copy,
    /// Serving reads.
    Reads,
}

/// Why there is no connection. Never holds a password.
#[derive(Debug, Error)]
pub enum ConnectError {
    /// The server could not be reached, or refused.
    #[error("connecting to {url}: {source}")]
    Postgres {
        /// Where, without password.
        url: String,
        /// What it said.
        source: tokio_postgres::Error,
    },
}

/// A logged-in connection; its driver task ends with it.
pub type Client = tokio_postgres::Client;

/// Connects and pins: TimeZone UTC, DateStyle ISO, IntervalStyle postgres, extra_float_digits 3, bytea_output hex,
/// standard_conforming_strings on, client_encoding UTF8, search_path pg_catalog, row_security off, xmloption content,
/// lc_monetary C, statement_timeout 0, idle_in_transaction_session_timeout 0.
pub async fn connect(_url: &PgUrl, _purpose: Purpose) -> Result<Client, ConnectError> {
    todo!()
}
