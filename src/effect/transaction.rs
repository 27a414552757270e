//! The effects of one commit.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{Key, Shape, Stamp, TableId, Xid};

/// What one committed transaction of the primary did, as far as it is known.
#[derive(Debug, Clone, PartialEq)]
pub struct Transaction {
    /// Its top-level id; `None` if no captured row told it.
    pub xid: Option<Xid>,
    /// When the proxy saw the commit, in milliseconds since the Unix epoch.
    pub committed_ms: u64,
    /// In the order in which they happened.
    pub changes: Vec<Change>,
}

/// One effect.
#[derive(Debug, Clone, PartialEq)]
pub enum Change {
    /// A row was written or removed, exactly as told.
    Row(RowChange),
    /// A statement to run again on the shadow, alone (rule 6).
    Replay(Replay),
    /// Something was written that is not known exactly: to be read back.
    Mark(Mark),
}

/// A row as the primary says it now stands.
#[derive(Clone, PartialEq)]
pub struct RowChange {
    /// The columns under which `image` was printed.
    pub shape: Arc<Shape>,
    /// Which row.
    pub key: Key,
    /// When it was written.
    pub stamp: Stamp,
    /// The record's text, all columns of the shape; `None`: the row is gone.
    pub image: Option<Box<str>>,
}

impl fmt::Debug for RowChange {
    /// Without the image: row values stay out of logs.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let verb = if self.image.is_some() { "upsert" } else { "delete" };
        write!(f, "{verb} {} {:?} at {}", self.shape.display_name(), self.key, self.stamp.lsn)
    }
}

/// A statement with whole-table effect, with the settings it ran under.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Replay {
    /// Its text, alone.
    pub sql: String,
    /// Settings to give the shadow session first, name and value.
    pub settings: Vec<(String, String)>,
    /// What it may have written.
    pub touched: Touched,
    /// Why it is replayed: `truncate`, `ddl`.
    pub reason: String,
}

/// Something whose mirror may be wrong.
#[derive(Debug, Clone, PartialEq)]
pub enum Mark {
    /// These rows of a table.
    Keys {
        /// The table.
        table: TableId,
        /// The rows.
        keys: Vec<Key>,
        /// Why.
        reason: Reason,
    },
    /// The rows of a table that refer to a row by its key, or did before they were written with it.
    Referring {
        /// How.
        referring: Arc<Referring>,
        /// Of the row.
        key: Key,
        /// Why.
        reason: Reason,
    },
    /// Whole tables.
    Tables {
        /// Which.
        touched: Touched,
        /// Why.
        reason: Reason,
    },
}

/// How rows of a table refer to another table's by its key.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Referring {
    /// Whose rows refer.
    pub table: TableId,
    /// Its columns, and the type of what they refer to, qualified; in the order of the other's key.
    pub columns: Vec<(String, String)>,
}

impl Mark {
    /// These rows of a table; of one without key, the table.
    pub fn rows(table: TableId, keys: Vec<Key>, reason: Reason) -> Self {
        if keys.iter().any(Key::is_empty) {
            return Self::Tables { touched: Touched::Tables(vec![table]), reason };
        }
        Self::Keys { table, keys, reason }
    }
}

/// A set of tables that a statement may write.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Touched {
    /// These, each once.
    Tables(Vec<TableId>),
    /// Any: it is not known which.
    All,
}

impl Touched {
    /// Nothing.
    pub const NONE: Self = Self::Tables(Vec::new());

    /// These tables.
    pub fn of(tables: impl IntoIterator<Item = TableId>) -> Self {
        Self::Tables(tables.into_iter().collect())
    }

    /// Whether nothing is touched.
    pub fn is_empty(&self) -> bool {
        matches!(self, Self::Tables(tables) if tables.is_empty())
    }

    /// Whether `table` may be among them.
    pub fn contains(&self, table: TableId) -> bool {
        match self {
            Self::Tables(tables) => tables.contains(&table),
            Self::All => true,
        }
    }

    /// Whether the same is touched, in whatever order it was found.
    pub fn is_same_as(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Tables(mine), Self::Tables(theirs)) => {
                mine.len() == theirs.len() && mine.iter().all(|table| theirs.contains(table))
            }
            (mine, theirs) => mine == theirs,
        }
    }

    /// Adds what `other` touches.
    pub fn extend(&mut self, other: &Self) {
        match (&mut *self, other) {
            (Self::All, _) => {}
            (_, Self::All) => *self = Self::All,
            (Self::Tables(mine), Self::Tables(theirs)) => {
                for &table in theirs {
                    if !mine.contains(&table) {
                        mine.push(table);
                    }
                }
            }
        }
    }
}

/// Why a write was not captured exactly. Shown in reports and as a metric label, so the set is closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// The table has no key that both sides share (rule 14).
    NoKey,
    /// The key's type prints equal values differently (rule 17).
    KeyType,
    /// A key column was written by an UPDATE (rule 14).
    KeyChange,
    /// The table has row or statement triggers of the user.
    Trigger,
    /// A foreign key of another table acts on the write (rule 16).
    Cascade,
    /// A rewrite rule, a view or a foreign table (rule 11).
    NotATable,
    /// Row security, or a column the role may not read (rule 11).
    Privilege,
    /// The session's settings print values in another way (rule 10).
    Settings,
    /// COPY FROM.
    Copy,
    /// TRUNCATE that was not replayed.
    Truncate,
    /// DDL on the table, or a catalog that is being read anew.
    Ddl,
    /// A function, DO or CALL that may write anything (rule 15).
    Opaque,
    /// A statement the parser refuses, or too long or deep to look at.
    Unparsed,
    /// MERGE, data-modifying WITH, cursors: forms that are not rewritten.
    Form,
    /// A portal of a captured statement did not run to its end (rule 13).
    Portal,
    /// An image too large to hold, or not readable under the table's shape.
    Image,
    /// `mirror.no_rewrite`.
    Configured,
    /// The primary was lost while the commit was on its way.
    InDoubt,
    /// PREPARE TRANSACTION and COMMIT PREPARED.
    TwoPhase,
    /// The intake or the journal was full (rule 23).
    Overflow,
    /// crossfade ended without closing its journal (rule 22).
    Crash,
    /// The primary began a new epoch (rule 5).
    NewEpoch,
    /// The shadow refused the transaction (rule 20).
    Quarantine,
    /// The check confirmed a difference, or an operator asked.
    Repair,
    /// The table is to be filled from the primary.
    Backfill,
    /// It arrived after its memory was gone (rule 4).
    Late,
}

impl fmt::Display for Reason {
    /// As it is serialized.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.serialize(f)
    }
}
