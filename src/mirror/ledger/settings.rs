//! What a ledger is opened with, and why it may not open.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// What the ledger is opened with.
#[derive(Debug, Clone)]
pub struct LedgerSettings {
    /// The folder, made if absent.
    pub journal: PathBuf,
    /// Bound on its size, in bytes.
    pub journal_max_bytes: u64,
    /// Bound on transactions held in memory, in bytes.
    pub memory: u64,
}

/// Whose ledger it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    /// `pg_control_system().system_identifier` of the primary.
    pub system_identifier: String,
    /// The primary's database.
    pub database: String,
}

impl Identity {
    pub(super) fn describe(&self) -> String {
        format!("database \"{}\" of system {}", self.database, self.system_identifier)
    }
}

/// Why the journal could not be opened.
#[derive(Debug, Error)]
pub enum OpenError {
    /// Another crossfade has it.
    #[error("the journal {0} is in use by another crossfade: stop it, or give this one its own `mirror.journal`")]
    Locked(PathBuf),
    /// It belongs to another primary.
    #[error(
        "the journal {path} belongs to {found}, and this primary is {expected}: move it away, or name another `mirror.journal`"
    )]
    Foreign {
        /// The folder.
        path: PathBuf,
        /// Bound to.
        found: String,
        /// The primary.
        expected: String,
    },
    /// The disk.
    #[error("the journal {path}: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// What happened.
        source: std::io::Error,
    },
}

impl OpenError {
    /// For `map_err` on what was done with `path`.
    pub(super) fn io(path: &Path) -> impl FnOnce(std::io::Error) -> Self {
        move |source| Self::Io { path: path.to_owned(), source }
    }
}
