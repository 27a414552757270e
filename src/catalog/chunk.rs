//! SQL over parts of a table: half-open key ranges or hash buckets, bounds, row hashes. Text only.

use super::Table;
use crate::effect::{Key, Shape};

/// An end of a range.
pub type Bound = Option<Key>;

/// A part of a table. Every key belongs to exactly one chunk of a partition of the table: ranges are half open and
/// reach from minus to plus infinity.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Chunk {
    /// Keys `> after` and `<= upto`; `None` is infinity.
    Range {
        /// Excluded.
        after: Bound,
        /// Included.
        upto: Bound,
    },
    /// Keys whose text hashes into this bucket: where order differs between the sides.
    Bucket {
        /// `0..of`
        number: u32,
        /// How many.
        of: u32,
    },
    /// These keys.
    Keys(Vec<Key>),
}

/// `WHERE`-condition of a chunk over alias `t`, literals quoted and cast to the column types: `TRUE` for everything.
pub fn predicate(_shape: &Shape, _chunk: &Chunk) -> String {
    todo!()
}

/// The key that ends the next range of `rows` rows behind `after`: a query with one row of key texts, or none.
pub fn key_after(_shape: &Shape, _after: &Bound, _rows: u64) -> String {
    todo!()
}

/// `t."a"::text, t."b"::text`: the key as texts.
pub fn key_texts(_shape: &Shape) -> String {
    todo!()
}

/// A 64-bit hash of a row over alias `t`, of the columns both sides have, with this seed.
pub fn hash_row(_table: &Table, _seed: u32) -> String {
    todo!()
}

/// `count(*), sum(hash 1)::text, sum(hash 2)::text` over alias `t`.
pub fn hash_sums(_table: &Table) -> String {
    todo!()
}
