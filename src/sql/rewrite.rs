//! The capturing rewrite: what is appended to a statement so that the primary tells which rows it wrote.
//!
//! RETURNING is last in the grammar, so text is put behind the statement's last token and nothing is printed anew.
//! All names in it are qualified: users may own a function, a cast or a type of any name.

use std::fmt::Write as _;

use super::{Statement, Write, names};

/// Columns that the rewrite appends, behind the client's own: image, tableoid, xid, WAL position.
pub const APPENDED_COLUMNS: usize = 4;

/// What the image column holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Image<'a> {
    /// `t`: all columns, as one value. The cheapest by far to analyse, and right only if [`names_its_row`].
    Whole,
    /// `ROW(t.*)`: all columns.
    Row,
    /// `ROW(t.k1, t.k2)`: these columns.
    Columns(&'a [&'a str]),
    /// All columns, but for a row with a long value in one of `bulky`: of that the columns of the key, NULL without one.
    Unless {
        /// All that may have long values.
        bulky: &'a [Bulky<'a>],
        /// The columns of the key.
        key: &'a [&'a str],
    },
}

/// A column whose values may be long, by how that is told. Neither way makes the value's text or reads it whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bulky<'a> {
    /// Has an `octet_length`, in a quarter of the time that the other takes.
    Octets(&'a str),
    /// By what it takes on disk.
    Stored(&'a str),
}

/// From this many bytes on a value is long.
const LONG: u32 = 1 << 20;

/// An insertion into a query text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rewrite {
    /// Byte offset in the query text.
    pub at: usize,
    /// What is put there.
    pub insert: String,
}

/// The insertion that captures `write`, which is `statement` or its body.
///
/// With a RETURNING of the client the image is made text on the server, because one result format may hold for all
/// columns and a binary record cannot be read without its types; else it is a plain record, which costs less.
pub fn returning(statement: &Statement, write: &Write, image: Image<'_>) -> Rewrite {
    let target = target(write);
    let row = match image {
        Image::Unless { bulky, key } if !bulky.is_empty() => {
            let long: Vec<String> = bulky.iter().map(|column| is_long(&target, *column)).collect();
            let short = if key.is_empty() { "NULL".to_owned() } else { row(&target, key) };
            format!("CASE WHEN {} THEN {short} ELSE ROW({target}.*) END", long.join(" OR "))
        }
        Image::Whole => quoted(bare_name(write)),
        Image::Row | Image::Unless { .. } => format!("ROW({target}.*)"),
        Image::Columns(columns) => row(&target, columns),
    };
    let mut insert = if write.returning {
        format!(", pg_catalog.textin(pg_catalog.record_out({row}))")
    } else {
        format!(" RETURNING {row}")
    };
    // Writing to a String cannot fail.
    let _ =
        write!(insert, ", {target}.tableoid, pg_catalog.pg_current_xact_id(), pg_catalog.pg_current_wal_insert_lsn()");
    Rewrite { at: statement.span.end, insert }
}

/// Whether the bare name of what `write` writes means the row and nothing else, in a table of these columns (rule 9).
pub fn names_its_row<'c>(write: &Write, columns: impl IntoIterator<Item = &'c str>) -> bool {
    let name = bare_name(write);
    !write.joined && !names::is_system_column(name) && columns.into_iter().all(|column| column != name)
}

fn bare_name(write: &Write) -> &str {
    write.alias.as_ref().unwrap_or(&write.target.name)
}

fn row(target: &str, columns: &[&str]) -> String {
    let columns: Vec<String> = columns.iter().map(|column| format!("{target}.{}", quoted(column))).collect();
    format!("ROW({})", columns.join(", "))
}

fn is_long(target: &str, column: Bulky<'_>) -> String {
    let (measure, column) = match column {
        Bulky::Octets(column) => ("octet_length", column),
        Bulky::Stored(column) => ("pg_column_size", column),
    };
    format!("pg_catalog.int4gt(pg_catalog.{measure}({target}.{}), {LONG})", quoted(column))
}

/// How RETURNING names the table written.
fn target(write: &Write) -> String {
    match (&write.alias, &write.target.schema) {
        (Some(alias), _) => quoted(alias),
        (None, Some(schema)) => format!("{}.{}", quoted(schema), quoted(&write.target.name)),
        (None, None) => quoted(&write.target.name),
    }
}

fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

#[cfg(test)]
mod tests;
