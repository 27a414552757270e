//! SQL over parts of a table: half-open key ranges or hash buckets, bounds, row hashes. Text only.
//!
//! Everything is written over alias `t` and for connections of [`server::connect`](crate::server::connect), whose
//! settings are pinned. One text serves both sides: it names the primary's columns, which the shadow shares.

use super::share::{Share, share_number, whole_text};
use super::{Canonical, Method, Pair, Table};
use crate::effect::{Column, Key, Referring, Shape, quote_ident};

/// An end of a range.
pub type Bound = Option<Key>;

/// A part of a table. Every key belongs to exactly one chunk of a partition of the table: ranges are half open and
/// reach from minus to plus infinity.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Chunk {
    /// Keys `> after` and `<= upto`; `None` is infinity. Only where [`Pair::ranges`] holds, or on one side alone.
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
    /// Rows whose whole text hashes into this share: where no key tells them apart on both sides.
    Share(Share),
    /// These keys.
    Keys(Vec<Key>),
}

/// `WHERE`-condition of a chunk over alias `t`, literals quoted and cast to the column types: `TRUE` for everything.
pub fn predicate(shape: &Shape, chunk: &Chunk) -> String {
    match chunk {
        Chunk::Range { after, upto } => {
            let ends = [(after, ">"), (upto, "<=")];
            let ends = ends.into_iter().filter_map(|(end, operator)| Some((end.as_ref()?, operator)));
            let tests: Vec<_> = ends
                .map(|(key, operator)| {
                    format!("({}) {operator} ({})", columns(shape.key_columns()), literals(shape, key))
                })
                .collect();
            if tests.is_empty() { "TRUE".into() } else { tests.join(" AND ") }
        }
        Chunk::Bucket { number, of } => {
            format!("{} = {number}", share_number(&row_text(shape.key_columns()), of))
        }
        Chunk::Share(Share { number, of }) => format!("{} = {number}", share_number(&whole_text(shape), of)),
        Chunk::Keys(keys) if keys.is_empty() => "FALSE".into(),
        Chunk::Keys(keys) => {
            let rows: Vec<_> = keys.iter().map(|key| format!("({})", literals(shape, key))).collect();
            format!("({}) IN ({})", columns(shape.key_columns()), rows.join(", "))
        }
    }
}

/// The same for the rows that refer to these keys of another table.
pub(super) fn refers(referring: &Referring, keys: &[Key]) -> String {
    let columns: Vec<_> = referring.columns.iter().map(|(column, _)| format!("t.{}", quote_ident(column))).collect();
    let row = |key: &Key| {
        let literal = |(part, (_, type_name)): (&str, &(String, String))| literal(part, type_name);
        format!("({})", key.parts().zip(&referring.columns).map(literal).collect::<Vec<_>>().join(", "))
    };
    format!("({}) IN ({})", columns.join(", "), keys.iter().map(row).collect::<Vec<_>>().join(", "))
}

/// The key that ends the next range of `rows` rows behind `after`: a query with one row of key texts, or none when
/// fewer rows are left.
pub fn key_after(table: &Table, after: &Bound, rows: u64) -> String {
    let shape = &table.shape;
    format!(
        "SELECT {} FROM {} t WHERE {} ORDER BY {} OFFSET {} LIMIT 1",
        key_texts(shape),
        table.source(),
        predicate(shape, &Chunk::Range { after: after.clone(), upto: None }),
        columns(shape.key_columns()),
        rows.saturating_sub(1),
    )
}

/// Each key column's text as a record prints it, separated by commas: the parts of a [`Key`]. (A cast would not do:
/// `true::text` is `true`, in a record it is `t`; and users may own casts.)
pub fn key_texts(shape: &Shape) -> String {
    let texts: Vec<_> =
        shape.key_columns().map(|column| format!("pg_catalog.format('%s', {})", reference(column))).collect();
    texts.join(", ")
}

/// The text of the record of all columns of the shape in order: what [`fields`](crate::effect::fields) reads.
pub fn record_text(shape: &Shape) -> String {
    row_text(shape.columns.iter())
}

/// One of two hashes of a row, of the columns both sides have, where servers hash.
///
/// A record's hash is a sum over its fields, and so would be the sum of such hashes: what is swapped between two rows would
/// not show. Hence it is hashed once more, to 32 bits.
pub fn hash_row(pair: &Pair, method: Method, seed: Seed) -> String {
    let columns = pair.common_columns();
    let all_texts = || common_text(pair);
    let (texts, native): (Vec<_>, Vec<_>) =
        columns.iter().copied().partition(|(_, canonical)| *canonical == Canonical::Text);
    let number = seed as u8;
    match method {
        Method::Md5 => {
            let (utf8, half) = (format!("pg_catalog.convert_to({}, 'UTF8')", all_texts()), number * 16 - 15);
            format!(
                "('x' || pg_catalog.substr(pg_catalog.md5({utf8}), {half}, 16))::pg_catalog.bit(64)::pg_catalog.int8"
            )
        }
        Method::Native if native.is_empty() => format!("pg_catalog.hashtextextended({}, {number})", all_texts()),
        Method::Native => {
            let mut fields: Vec<_> = native.into_iter().map(|(column, _)| reference(column)).collect();
            if !texts.is_empty() {
                fields.push(row_text(texts.into_iter().map(|(column, _)| column)));
            }
            let record = format!("pg_catalog.hash_record_extended(ROW({}), {number})", fields.join(", "));
            format!("pg_catalog.hashint8extended({record}, {number})")
        }
    }
}

/// The text of a record of the columns both sides have.
pub(super) fn common_text(pair: &Pair) -> String {
    row_text(pair.common_columns().into_iter().map(|(column, _)| column))
}

/// Which of the two hashes of a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Seed {
    /// One.
    First = 1,
    /// The other.
    Second = 2,
}

/// `count(*)` and two sums of row hashes as text: equal on both sides when the rows are, as multisets. Sums, because
/// exclusive-or would lose rows that stand there twice.
pub fn hash_sums(pair: &Pair, method: Method) -> String {
    let sum = |seed| format!("COALESCE(pg_catalog.sum({}), 0)::pg_catalog.text", hash_row(pair, method, seed));
    format!("pg_catalog.count(*), {}, {}", sum(Seed::First), sum(Seed::Second))
}

fn reference(column: &Column) -> String {
    format!("t.{}", quote_ident(&column.name))
}

fn columns<'a>(columns: impl Iterator<Item = &'a Column>) -> String {
    columns.map(reference).collect::<Vec<_>>().join(", ")
}

/// The text of a record of these columns.
pub(super) fn row_text<'a>(of: impl Iterator<Item = &'a Column>) -> String {
    format!("pg_catalog.textin(pg_catalog.record_out(ROW({})))", columns(of))
}

fn literals(shape: &Shape, key: &Key) -> String {
    let parts = key.parts().zip(shape.key_columns());
    let literals = parts.map(|(part, column): (&str, &Column)| literal(part, &column.type_name));
    literals.collect::<Vec<_>>().join(", ")
}

fn literal(text: &str, type_name: &str) -> String {
    format!("'{}'::{type_name}", text.replace('\'', "''"))
}
