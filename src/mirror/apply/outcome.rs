//! What an error of the shadow means: it passes, the connection is gone, or the shadow refuses for good.

use tokio_postgres::error::DbError;

use crate::telemetry::without_value;

/// Why a batch did not commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Trouble {
    /// The connection is gone, or in an unknown state: whether a commit on its way took effect is not known.
    Lost(String),
    /// No answer within the time allowed: as lost, and more time is to be allowed.
    Stuck,
    /// It passes by itself: to be tried again, forever.
    Passing(Refusal),
    /// The shadow refuses what it was sent.
    Refused(Refusal),
    /// An earlier batch failed: rolled back, to be done again behind it.
    Withdrawn,
}

/// The words of the shadow. Never its DETAIL, which shows values.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Refusal {
    /// Five characters.
    pub(super) sqlstate: String,
    /// The primary message.
    pub(super) message: String,
    /// `schema.table`, where it is known.
    pub(super) table: Option<String>,
}

/// `unique_violation`: may be a swap of unique values inside one batch (rule 19).
pub(super) const UNIQUE_VIOLATION: &str = "23505";
pub(super) const EXCLUSION_VIOLATION: &str = "23P01";
/// `feature_not_supported`: ON CONFLICT on a table with rules, whether they fire or not.
pub(super) const FEATURE_NOT_SUPPORTED: &str = "0A000";
/// `active_sql_transaction`: the statement cannot run inside a transaction.
pub(super) const ACTIVE_SQL_TRANSACTION: &str = "25001";
/// `insufficient_privilege`.
pub(super) const INSUFFICIENT_PRIVILEGE: &str = "42501";
/// `invalid_text_representation`: used for images that cannot be read under their shape.
pub(super) const INVALID_TEXT: &str = "22P02";

impl Refusal {
    pub(super) fn new(sqlstate: &str, message: &str) -> Self {
        Self { sqlstate: sqlstate.to_owned(), message: without_value(sqlstate, message), table: None }
    }
}

impl Trouble {
    /// Names the table, where the shadow did not.
    pub(super) fn about(mut self, table: impl FnOnce() -> String) -> Self {
        if let Self::Refused(refusal) | Self::Passing(refusal) = &mut self {
            refusal.table.get_or_insert_with(table);
        }
        self
    }
}

impl std::fmt::Display for Refusal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} (SQLSTATE {})", self.message, self.sqlstate)
    }
}

impl std::fmt::Display for Trouble {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Lost(why) => write!(f, "the connection to the shadow was lost: {why}"),
            Self::Stuck => f.write_str("the shadow gave no answer in the time allowed"),
            Self::Passing(refusal) | Self::Refused(refusal) => write!(f, "{refusal}"),
            Self::Withdrawn => f.write_str("an earlier batch failed"),
        }
    }
}

impl From<tokio_postgres::Error> for Trouble {
    fn from(error: tokio_postgres::Error) -> Self {
        match error.as_db_error() {
            Some(said) => classify(said.code().code(), said),
            None => Self::Lost(error.to_string()),
        }
    }
}

fn classify(sqlstate: &str, said: &DbError) -> Trouble {
    let mut refusal = Refusal::new(sqlstate, said.message());
    refusal.table = said.schema().zip(said.table()).map(|(schema, table)| format!("{schema}.{table}"));
    // The fence of the progress row: another writer has taken over, or we have ourselves on a newer connection.
    let fenced = said.schema() == Some("crossfade") && said.table() == Some("progress");
    match fate(sqlstate) {
        _ if fenced => Trouble::Lost("another crossfade took over the shadow".to_owned()),
        Fate::Lost => Trouble::Lost(refusal.to_string()),
        Fate::Passes => Trouble::Passing(refusal),
        Fate::ForGood => Trouble::Refused(refusal),
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Fate {
    Lost,
    Passes,
    ForGood,
}

fn fate(sqlstate: &str) -> Fate {
    match sqlstate {
        // A statement name the server does not know: something between us and it changed the server session.
        "57P01" | "57P02" | "57P03" | "57P05" | "25P03" | "25P04" | "26000" => Fate::Lost,
        // Serialization, deadlock, lock and statement timeouts; in use; read only: a standby, or set so for a while.
        "40001" | "40P01" | "55P03" | "57014" | "55006" | "25006" => Fate::Passes,
        state if state.starts_with("08") => Fate::Lost,
        state if state.starts_with("53") || state.starts_with("58") => Fate::Passes,
        _ => Fate::ForGood,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_passes_is_retried_and_what_does_not_is_refused() {
        for state in ["40001", "40P01", "55P03", "57014", "53100", "53300", "58030"] {
            assert_eq!(fate(state), Fate::Passes, "{state}");
        }
        for state in ["08006", "57P01", "57P03"] {
            assert_eq!(fate(state), Fate::Lost, "{state}");
        }
        for state in ["42P01", "42703", "23502", "23503", "23505", "23514", "22001", "42501", "XX000"] {
            assert_eq!(fate(state), Fate::ForGood, "{state}");
        }
    }
}
