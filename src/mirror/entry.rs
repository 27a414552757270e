//! What stands in the ledger.

use std::collections::HashSet;
use std::sync::Arc;

use crate::catalog::Share;
use crate::effect::{Change, Key, Seq, Shape, Touched, Transaction};

/// One place of the ledger.
#[derive(Debug)]
pub(super) struct Entry {
    /// Which.
    pub(super) seq: Seq,
    /// What was on its way when this was placed.
    pub(super) flight: Flight,
    /// What to apply.
    pub(super) item: Item,
    /// About how much memory it takes, in bytes.
    pub(super) bytes: usize,
}

impl Entry {
    /// An entry at this place.
    pub(super) fn new(seq: Seq, flight: Flight, item: Item) -> Self {
        let bytes = item.bytes();
        Self { seq, flight, item, bytes }
    }
}

/// The tickets of the moment at which an entry was placed (rule 4).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Flight {
    /// The oldest that was out, else the next: the entry's own and those of all entries behind it are not older.
    pub(super) oldest: u64,
    /// The newest that had been given out: while one up to it is out, a write older than the entry's may still come.
    pub(super) newest: u64,
}

/// What to apply.
#[derive(Debug)]
pub(super) enum Item {
    /// The effects of a commit.
    Transaction(Transaction),
    /// Rows read back from the primary.
    Refresh(Refresh),
    /// Rows of the primary for where the shadow has none.
    Fill(Fill),
}

impl Item {
    /// The tables it may write.
    pub(super) fn touched(&self) -> Touched {
        match self {
            Self::Refresh(refresh) => Touched::Tables(vec![refresh.shape.table]),
            Self::Fill(fill) => Touched::Tables(vec![fill.shape.table]),
            Self::Transaction(transaction) => {
                let mut tables = Vec::new();
                for change in &transaction.changes {
                    match change {
                        Change::Row(row) if tables.last() == Some(&row.shape.table) => {}
                        Change::Row(row) => tables.push(row.shape.table),
                        Change::Replay(replay) => match &replay.touched {
                            Touched::Tables(replayed) => tables.extend_from_slice(replayed),
                            Touched::All => return Touched::All,
                        },
                        Change::Mark(_) => {}
                    }
                }
                tables.sort_unstable();
                tables.dedup();
                Touched::Tables(tables)
            }
        }
    }

    /// About how much memory it takes, in bytes. The same for an item read back from the journal.
    pub(super) fn bytes(&self) -> usize {
        const PLACE: usize = 128;
        PLACE
            + match self {
                Self::Transaction(transaction) => transaction.changes.iter().map(change_bytes).sum::<usize>(),
                Self::Refresh(refresh) => {
                    let scope = match &refresh.scope {
                        Scope::Keys(keys) => keys_bytes(keys.iter()),
                        Scope::Range { after, upto } => keys_bytes(after.iter().chain(upto)),
                        Scope::Multiset { counts, .. } => size_of_val(&counts[..]),
                    };
                    let rows = refresh.rows.iter().map(|(key, row)| PART + key.as_bytes().len() + row.len());
                    scope + keys_bytes(refresh.newer.iter()) + rows.sum::<usize>()
                }
                Self::Fill(fill) => {
                    let bounds = match &fill.existing {
                        Existing::Kept => 0,
                        Existing::Replaced { after, upto } => keys_bytes(after.iter().chain(upto)),
                    };
                    bounds + keys_bytes(fill.newer.iter()) + fill.lines.len()
                }
            }
    }
}

/// About what a row, key or setting takes beside its text.
const PART: usize = 96;

fn change_bytes(change: &Change) -> usize {
    match change {
        Change::Row(row) => PART + row.key.as_bytes().len() + row.image.as_deref().map_or(0, str::len),
        Change::Replay(replay) => {
            let settings = replay.settings.iter().map(|(name, value)| PART + name.len() + value.len());
            2 * PART + replay.sql.len() + settings.sum::<usize>()
        }
        Change::Mark(_) => PART,
    }
}

fn keys_bytes<'a>(keys: impl Iterator<Item = &'a Key>) -> usize {
    keys.map(|key| PART + key.as_bytes().len()).sum()
}

/// Rows read back from the primary in one statement, to be put in place of what the shadow has (rules 25 to 28).
/// It bears no stamp: its place in the ledger is its order, and it neither sets nor clears remembered stamps.
#[derive(Debug, Clone)]
pub struct Refresh {
    /// The columns under which `rows` were printed.
    pub shape: Arc<Shape>,
    /// Which keys it speaks for: those it has no row for are deleted.
    pub scope: Scope,
    /// Key and record text of each row the primary has; keys in `newer` are left out.
    pub rows: Vec<(Key, Box<str>)>,
    /// Keys of which the ledger already holds something that the rows' snapshot did not see: left untouched.
    pub newer: HashSet<Key>,
}

/// Rows read from the primary for where the shadow has none, or few. Like a refresh it bears no stamp.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fill {
    /// The columns under which `lines` were printed; it has a key.
    pub shape: Arc<Shape>,
    /// As COPY prints the written columns, in text format.
    pub lines: Box<str>,
    /// Lines of these keys are left out, and rows that are there stay: the ledger holds something of them that the
    /// lines' snapshot did not see. Left out when they are applied, since sessions wait while an entry is placed.
    pub newer: HashSet<Key>,
    /// What becomes of rows that are there.
    pub existing: Existing,
}

/// What becomes of rows that the shadow has where others are copied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Existing {
    /// They stay: right for a table, or an end of its key's order, that was found empty (rule 27).
    Kept,
    /// Those of keys `> after` and `<= upto` go, as in a refresh.
    Replaced {
        /// Excluded; `None` is infinity.
        after: Option<Key>,
        /// Included.
        upto: Option<Key>,
    },
}

/// What a refresh speaks for.
#[derive(Debug, Clone)]
pub enum Scope {
    /// Keys `> after` and `<= upto` in the server's order; `None` is infinity.
    Range {
        /// Excluded.
        after: Option<Key>,
        /// Included.
        upto: Option<Key>,
    },
    /// These keys.
    Keys(Vec<Key>),
    /// A share of a table without a key, as a multiset of whole rows: `rows` are distinct, their keys meaningless. The
    /// shadow's rows of that share are made equal by inserting and deleting whole rows.
    Multiset {
        /// Which.
        share: Share,
        /// How often each of `rows` is there.
        counts: Vec<u64>,
    },
}
