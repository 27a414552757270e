//! Reading rows of the primary, with the snapshot they were seen under, in one statement bounded in rows and bytes.

use std::pin::pin;

use futures_util::TryStreamExt;

use crate::catalog::{
    Bound, Chunk, ProbeError, Share, Side, key, key_texts, predicate, record_text, snapshot_line, whole_text,
};
use crate::effect::{Key, Snapshot, quote_ident};

/// Bounds of one statement.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limit {
    /// Rows at most.
    pub(super) rows: u64,
    /// The images of rows behind this many bytes stay on the server; the first row's always comes.
    pub(super) bytes: u64,
}

impl Limit {
    /// As much as there is.
    pub(super) const NONE: Self = Self { rows: i64::MAX as u64, bytes: i64::MAX as u64 };
}

/// What a statement saw.
#[derive(Debug)]
pub(super) struct Rows {
    /// Under this snapshot.
    pub(super) snapshot: Snapshot,
    /// Key and image, in the order of the key.
    pub(super) rows: Vec<(Key, Box<str>)>,
    /// Keys of rows whose images were too many bytes: still to be read.
    pub(super) beyond: Vec<Key>,
}

impl Rows {
    /// How far a range that was asked for `upto` has been read.
    pub(super) fn covered(&self, limit: Limit, upto: &Bound) -> Bound {
        let cut = !self.beyond.is_empty() || self.rows.len() as u64 >= limit.rows;
        match self.rows.last() {
            Some((last, _)) if cut => Some(last.clone()),
            _ => upto.clone(),
        }
    }
}

/// What a statement saw of a share.
#[derive(Debug)]
pub(super) struct Counted {
    /// The distinct rows, without keys.
    pub(super) rows: Rows,
    /// How often each is there.
    pub(super) counts: Vec<u64>,
    /// Of the share.
    pub(super) extent: Extent,
}

/// How much of a share has been read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Extent {
    /// All of it.
    Whole,
    /// It has more than the limit.
    Cut,
}

/// Reads a share, each distinct row once: a row that is there a million times is one that bears a number.
pub(super) async fn read_share(side: &Side<'_>, share: Share, limit: Limit) -> Result<Counted, ProbeError> {
    let (snapshot, found) = side.snapshot_rows(&share_statement(side, share, limit)).await?;
    let (mut rows, mut counts) = (Vec::with_capacity(found.len()), Vec::with_capacity(found.len()));
    for row in &found {
        if let Some(image) = row.try_get(2).ok().flatten() {
            rows.push((Key::new([""; 0]), image.into()));
            let count = row.try_get(3).ok().flatten().and_then(|count| count.parse().ok());
            counts.push(count.ok_or(ProbeError::Malformed("a count"))?);
        }
    }
    let cut = rows.len() < found.len() || rows.len() as u64 >= limit.rows;
    let extent = if cut { Extent::Cut } else { Extent::Whole };
    Ok(Counted { rows: Rows { snapshot, rows, beyond: Vec::new() }, counts, extent })
}

/// The columns are the position, the image (NULL behind the bound) and the count. Of rows that differ in generated
/// columns only, which are not written, one stands for all.
fn share_statement(side: &Side<'_>, share: Share, limit: Limit) -> String {
    let shape = side.shape();
    let Limit { rows, bytes } = limit;
    format!(
        "SELECT r.place, CASE WHEN r.upto - r.size <= {bytes} THEN r.image END, r.number FROM (\
           SELECT q.*, pg_catalog.sum(q.size) OVER (ORDER BY q.place) AS upto FROM (\
             SELECT p.*, pg_catalog.octet_length(p.image) AS size, pg_catalog.row_number() OVER () AS place FROM (\
               SELECT pg_catalog.min({image}) AS image, pg_catalog.count(*) AS number \
               FROM {table} AS t WHERE {condition} GROUP BY {text} LIMIT {rows}\
             ) AS p\
           ) AS q\
         ) AS r ORDER BY r.place",
        image = record_text(shape),
        table = side.source(),
        condition = predicate(shape, &Chunk::Share(share)),
        text = whole_text(shape),
    )
}

/// Rows as COPY prints them, in the order of the key.
#[derive(Debug)]
pub(super) struct Lines {
    /// Under this snapshot.
    pub(super) snapshot: Snapshot,
    /// Of the written columns.
    pub(super) text: String,
    /// How many.
    pub(super) rows: u64,
    /// Of the chunk that was asked for.
    pub(super) extent: Extent,
}

/// Reads rows behind `after` for where the shadow has none. What comes behind the limit in bytes is thrown away, so
/// that a table whose rows are larger than was thought takes time instead of memory.
pub(super) async fn read_lines(side: &Side<'_>, after: &Bound, limit: Limit) -> Result<Lines, ProbeError> {
    let mut stream = pin!(side.copy_out(&lines_statement(side, after, limit)).await?);
    let (mut snapshot, mut head) = (None, Head::new(limit));
    while let Some(line) = stream.try_next().await? {
        match line.strip_prefix(b"\\N\t") {
            None => snapshot = Some(snapshot_line(&line)?),
            Some(line) => head.push(line),
        }
    }
    let Head { text, rows, extent, .. } = head;
    let text = String::from_utf8(text).map_err(|_| ProbeError::Malformed("UTF-8"))?;
    Ok(Lines { snapshot: snapshot.ok_or(ProbeError::Malformed("a snapshot"))?, text, rows, extent })
}

/// The first lines of many, without a gap, as far as a limit allows; one always.
#[derive(Debug)]
struct Head {
    limit: Limit,
    text: Vec<u8>,
    rows: u64,
    extent: Extent,
}

impl Head {
    fn new(limit: Limit) -> Self {
        Self { limit, text: Vec::new(), rows: 0, extent: Extent::Whole }
    }

    fn push(&mut self, line: &[u8]) {
        if self.rows > 0 && (self.text.len() + line.len()) as u64 > self.limit.bytes {
            self.extent = Extent::Cut;
        }
        if self.rows > 0 && self.extent == Extent::Cut {
            return;
        }
        self.text.extend_from_slice(line);
        self.rows += 1;
        if self.rows >= self.limit.rows {
            self.extent = Extent::Cut;
        }
    }
}

/// One row with the snapshot in the first column, and behind it the rows, whose first column is NULL.
fn lines_statement(side: &Side<'_>, after: &Bound, limit: Limit) -> String {
    let shape = side.shape();
    let written: Vec<String> = shape.written().map(|(_, column)| format!("t.{}", quote_ident(&column.name))).collect();
    let key: Vec<String> = shape.key_columns().map(|column| format!("t.{}", quote_ident(&column.name))).collect();
    format!(
        "COPY (SELECT pg_catalog.pg_current_snapshot()::pg_catalog.text{nulls} UNION ALL \
         (SELECT NULL, {written} FROM {table} AS t WHERE {condition} ORDER BY {key} LIMIT {rows})) TO STDOUT",
        nulls = ", NULL".repeat(written.len()),
        written = written.join(", "),
        table = side.source(),
        condition = predicate(shape, &Chunk::Range { after: after.clone(), upto: None }),
        key = key.join(", "),
        rows = limit.rows,
    )
}

/// Reads a chunk, in the order of the key.
pub(super) async fn read(side: &Side<'_>, chunk: &Chunk, limit: Limit) -> Result<Rows, ProbeError> {
    let (snapshot, rows) = side.snapshot_rows(&statement(side, chunk, limit)).await?;
    let mut found = Rows { snapshot, rows: Vec::with_capacity(rows.len()), beyond: Vec::new() };
    for row in &rows {
        let key = key(row, 3, side.shape().key.len())?;
        match row.try_get(2).ok().flatten() {
            Some(image) => found.rows.push((key, image.into())),
            None => found.beyond.push(key),
        }
    }
    Ok(found)
}

/// The columns are the position, the image (NULL behind the bound) and the parts of the key. Innermost the rows are
/// limited, so that only these are turned into text; around it their sizes add up.
fn statement(side: &Side<'_>, chunk: &Chunk, limit: Limit) -> String {
    let shape = side.shape();
    let order = if shape.key.is_empty() {
        String::new()
    } else {
        let columns = shape.key_columns().map(|column| format!("t.{}", quote_ident(&column.name)));
        format!("ORDER BY {}", columns.collect::<Vec<_>>().join(", "))
    };
    let texts = if shape.key.is_empty() { String::new() } else { format!(", {}", key_texts(shape)) };
    let names: String = (1..=shape.key.len()).map(|part| format!(", k{part}")).collect();
    let Limit { rows, bytes } = limit;
    format!(
        "SELECT r.place, CASE WHEN r.upto - r.size <= {bytes} THEN r.image END{names} FROM (\
           SELECT q.*, pg_catalog.sum(q.size) OVER (ORDER BY q.place) AS upto FROM (\
             SELECT p.*, pg_catalog.octet_length(p.image) AS size FROM (\
               SELECT {image}, pg_catalog.row_number() OVER ({order}){texts} \
               FROM {table} AS t WHERE {condition} {order} LIMIT {rows}\
             ) AS p(image, place{names}) OFFSET 0\
           ) AS q\
         ) AS r ORDER BY r.place",
        image = record_text(shape),
        table = side.source(),
        condition = predicate(shape, chunk),
    )
}
#[cfg(test)]
mod tests {
    use super::*;

    fn head(limit: Limit, lines: &[&str]) -> (String, u64, Extent) {
        let mut head = Head::new(limit);
        for line in lines {
            head.push(line.as_bytes());
        }
        (String::from_utf8(head.text).unwrap(), head.rows, head.extent)
    }

    #[test]
    fn nothing_comes_behind_a_line_that_was_thrown_away() {
        let limit = Limit { rows: 10, bytes: 8 };
        assert_eq!(head(limit, &["1\ta\n", "2\tfar too long\n", "3\tb\n"]), ("1\ta\n".to_owned(), 1, Extent::Cut));
        assert_eq!(head(limit, &["1\ta\n", "2\tb\n"]), ("1\ta\n2\tb\n".to_owned(), 2, Extent::Whole));
    }

    #[test]
    fn the_first_line_always_comes_and_alone_when_it_is_long() {
        let limit = Limit { rows: 10, bytes: 8 };
        assert_eq!(head(limit, &["1\tfar too long\n"]), ("1\tfar too long\n".to_owned(), 1, Extent::Whole));
        assert_eq!(head(limit, &["1\tfar too long\n", "2\tb\n"]), ("1\tfar too long\n".to_owned(), 1, Extent::Cut));
    }

    #[test]
    fn as_many_rows_as_were_asked_for_may_not_be_all() {
        let limit = Limit { rows: 2, bytes: 100 };
        assert_eq!(head(limit, &["1\n", "2\n"]), ("1\n2\n".to_owned(), 2, Extent::Cut));
    }
}
