//! What stands in the ledger.

use std::collections::HashSet;
use std::sync::Arc;

use crate::effect::{Change, Key, Seq, Shape, Touched, Transaction};

/// One place of the ledger.
#[derive(Debug)]
pub(super) struct Entry {
    /// Which.
    pub(super) seq: Seq,
    /// The newest ticket that had been handed out when this was placed: while any ticket up to it is unresolved, an
    /// older write to one of its keys may still arrive (rule 4).
    pub(super) horizon: u64,
    /// What to apply.
    pub(super) item: Item,
    /// About how much memory it takes, in bytes.
    pub(super) bytes: usize,
}

impl Entry {
    /// An entry at this place.
    pub(super) fn new(seq: Seq, horizon: u64, item: Item) -> Self {
        let bytes = item.bytes();
        Self { seq, horizon, item, bytes }
    }
}

/// What to apply.
#[derive(Debug)]
pub(super) enum Item {
    /// The effects of a commit.
    Transaction(Transaction),
    /// Rows read back from the primary.
    Refresh(Refresh),
}

impl Item {
    /// The tables it may write.
    pub(super) fn touched(&self) -> Touched {
        match self {
            Self::Refresh(refresh) => Touched::Tables(vec![refresh.shape.table]),
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
        const ROW: usize = 96;
        let text = |text: &Option<Box<str>>| text.as_ref().map_or(0, |text| text.len());
        PLACE
            + match self {
                Self::Transaction(transaction) => transaction
                    .changes
                    .iter()
                    .map(|change| match change {
                        Change::Row(row) => ROW + row.key.as_bytes().len() + text(&row.image),
                        Change::Replay(replay) => {
                            let settings = replay.settings.iter().map(|(name, value)| name.len() + value.len());
                            2 * ROW + replay.sql.len() + settings.sum::<usize>()
                        }
                        Change::Mark(_) => ROW,
                    })
                    .sum::<usize>(),
                Self::Refresh(refresh) => {
                    let keys = |keys: &mut dyn Iterator<Item = &Key>| keys.map(|key| ROW + key.as_bytes().len()).sum();
                    let scope: usize = match &refresh.scope {
                        Scope::Keys(named) => keys(&mut named.iter()),
                        Scope::Range { after, upto } => keys(&mut after.iter().chain(upto)),
                        Scope::Multiset => 0,
                    };
                    let rows = refresh.rows.iter().map(|(key, row)| ROW + key.as_bytes().len() + row.len());
                    scope + keys(&mut refresh.newer.iter()) + rows.sum::<usize>()
                }
            }
    }
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
    /// Only for a table found empty on the shadow: rows that are there already stay (rule 27), nothing is deleted.
    pub insert_if_absent: bool,
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
    /// The whole of a table without a key, as a multiset of whole rows: keys of `rows` are meaningless. The shadow's
    /// rows are made equal by inserting and deleting whole rows.
    Multiset,
}
