//! The capturing rewrite: what is appended to a statement so that the primary tells which rows it wrote.

use super::{Statement, Write};

/// Columns that the rewrite appends, behind the client's own: image, tableoid, xid, WAL position.
pub const APPENDED_COLUMNS: usize = 4;

/// What the image column holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Image<'a> {
    /// `ROW(t.*)`: all columns.
    Row,
    /// `ROW(t.k1, t.k2)`: these columns.
    Columns(&'a [&'a str]),
}

/// An insertion into a query text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rewrite {
    /// Byte offset in the query text.
    pub at: usize,
    /// What is put there.
    pub insert: String,
}

/// The insertion that captures `write`, which stands in `text` as `statement`.
pub fn returning(_text: &str, _statement: &Statement, _write: &Write, _image: Image<'_>) -> Rewrite {
    todo!()
}
