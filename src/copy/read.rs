//! Reading rows of the primary, with the snapshot they were seen under, in one statement bounded in rows and bytes.

use crate::catalog::{Bound, Chunk, ProbeError, Side, key, key_texts, predicate, record_text};
use crate::effect::{Key, Snapshot, quote_ident};

/// Bounds of one statement.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limit {
    /// Rows at most.
    pub(super) rows: u64,
    /// The images of rows behind this many bytes stay on the server; the first row's always comes.
    pub(super) bytes: u64,
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
