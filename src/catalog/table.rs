//! One table as the mirror sees it.

use std::sync::Arc;

use super::{Leads, TextSample};
use crate::effect::{Column, Reason, Shape, TableId};

/// Whether a key's text is its identity, and its order the same on both sides (rule 17). The worst column decides.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum KeyKind {
    /// Integers, uuid, date, bool …: equal exactly when the texts are equal, ordered alike everywhere.
    Plain,
    /// Text under a deterministic collation, enums: identity by text; ranges only where both sides' orders agree.
    Collated,
    /// Identity is the server's word: numeric, float, timestamptz, citext, nondeterministic collations …
    Opaque,
    /// No key.
    None,
}

/// How a column enters a row's hash, so that it is equal exactly when the values print alike on both sides.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Canonical {
    /// By the type's own hash, which tells apart whatever prints differently.
    Native {
        /// What this server makes of a sample of the type.
        sample: i64,
    },
    /// By its text: no hash of its own (json, geometric …), one that calls different texts equal (float, interval, numeric
    /// without scale, arrays …) or equal texts different (enum), or one that the server cannot show.
    Text,
}

/// How long a value's text can become, told without making it (rule 10).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Extent {
    /// Some ten thousand characters at the most.
    Bounded,
    /// As `octet_length` says, which looks at a value's head only.
    Octets,
    /// Unknown: what it takes on disk, compressed, is a hint.
    Stored,
}

/// What is to be known of a column beyond the shape.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ColumnFacts {
    /// Its `pg_attribute.attnum`, which a RowDescription names: columns dropped earlier leave gaps.
    pub number: i16,
    /// How it enters a row's hash.
    pub canonical: Canonical,
    /// What it is worth as part of a key.
    pub kind: KeyKind,
    /// How long it can become.
    pub extent: Extent,
    /// What its order depends on (provider, locale and version of the collation, labels of the enum); empty text where
    /// order is everywhere the same.
    pub order: String,
    /// Type, not null, default, for people and for comparing the sides.
    pub definition: String,
}

/// A table of one side.
#[derive(Debug, Clone)]
pub struct Table {
    /// Columns and key.
    pub shape: Arc<Shape>,
    /// Of each column of the shape.
    pub columns: Vec<ColumnFacts>,
    /// Of the key: its worst column's.
    pub key_kind: KeyKind,
    /// Column names of every unique index that could serve as key, the chosen one included, each sorted.
    pub unique_keys: Vec<Vec<String>>,
    /// Whether its writes may be captured exactly, for roles that may read all of it; else why not.
    pub exact: Result<(), Reason>,
    /// What is written with it.
    pub leads: Leads,
    /// Unique indexes besides the key, or foreign keys: its rows depend on others than their own key.
    pub entangled: bool,
    /// `pg_class.reltuples`, 0 if unknown.
    pub rows_estimate: u64,
    /// What its server makes of texts.
    pub text_sample: Arc<TextSample>,
    /// A partitioned root: its rows are its partitions'.
    pub partitioned: bool,
    /// Mirrored tables that inherit from it (no partitions): a read or write that names it includes their rows.
    pub descendants: Vec<TableId>,
    /// Tables that are not mirrored inherit from it, or are foreign partitions of it: what names it reads their rows, too.
    pub strays: bool,
}

impl Table {
    /// Its own rows, for FROM: `"schema"."name"`, behind ONLY where tables that inherit from it would be included.
    pub fn source(&self) -> String {
        let name = self.shape.sql_name();
        if self.partitioned { name } else { format!("ONLY {name}") }
    }

    /// The key's column names, sorted; none without a key.
    pub fn key_names(&self) -> Vec<String> {
        let mut names: Vec<_> = self.shape.key_columns().map(|column| column.name.clone()).collect();
        names.sort_unstable();
        names
    }

    /// Whether `other`, its namesake, has a unique index over the columns of this table's key (rule 14).
    pub fn shares_key_with(&self, other: &Table) -> bool {
        !self.shape.key.is_empty() && other.unique_keys.contains(&self.key_names())
    }

    /// A column and its facts by name.
    pub fn column(&self, name: &str) -> Option<(&Column, &ColumnFacts)> {
        self.shape.columns.iter().zip(&self.columns).find(|(column, _)| column.name == name)
    }
}
