//! What stands in the ledger.

use std::collections::HashSet;
use std::sync::Arc;

use crate::effect::{Key, Seq, Shape, Transaction};

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

/// What to apply.
#[derive(Debug)]
pub(super) enum Item {
    /// The effects of a commit.
    Transaction(Transaction),
    /// Rows read back from the primary.
    Refresh(Refresh),
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
