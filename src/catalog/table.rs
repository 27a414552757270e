//! One table as the mirror sees it.

use std::sync::Arc;

use crate::effect::{Reason, Shape, Touched};

/// Whether a key's text is its identity, and its order the same on both sides (rule 17).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyKind {
    /// Integers, uuid, date, bool, bytea …: equal exactly when the texts are equal, ordered alike everywhere.
    Plain,
    /// Text under a deterministic collation: identity by text; ranges only where both sides' collations agree.
    Collated,
    /// Identity is the server's word: numeric, float, timestamptz, citext, nondeterministic collations …
    Opaque,
    /// No key.
    None,
}

/// A table of one side.
#[derive(Debug, Clone)]
pub struct Table {
    /// Columns and key.
    pub shape: Arc<Shape>,
    /// Of the key.
    pub key_kind: KeyKind,
    /// Whether its writes may be captured exactly, for roles that may read all of it; else why not.
    pub exact: Result<(), Reason>,
    /// Other tables written when a row is inserted or updated without its key (triggers: `All`).
    pub reach: Touched,
    /// Other tables written when a row is deleted or its key changes (cascades).
    pub cascades: Touched,
    /// Unique indexes besides the key, or foreign keys: its rows depend on others than their own key.
    pub entangled: bool,
    /// `pg_class.reltuples`, 0 if unknown.
    pub rows_estimate: u64,
    /// The types and attributes of all columns, for [`hash_row`](super::hash_row): SQL of each column's canonical form.
    pub canonical: Vec<String>,
    /// For people: column, type, not null, default, as compared between the sides.
    pub definition: Vec<(String, String)>,
    /// Collation, provider and version of each key column's order, empty text where order is everywhere the same.
    pub key_collation: Vec<String>,
}
