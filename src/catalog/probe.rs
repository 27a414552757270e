//! What copy and check both ask one side about a chunk: its sums, its row hashes, the next bound.
//!
//! Every answer comes with the snapshot of the very statement that gave it, also when there are no rows (rule 28).

use std::collections::HashMap;
use std::sync::Arc;

use thiserror::Error;
use tokio_postgres::{Client, CopyOutStream, SimpleQueryMessage, SimpleQueryRow};

use super::chunk::refers;
use super::{
    Bound, Chunk, Hashing, KeyKind, Method, Pair, Table, hash_row, hash_sums, key_after, key_texts, predicate,
};
use super::{Seed, share_number, whole_text};
use crate::effect::{Key, Referring, Shape, Snapshot};
use crate::telemetry::without_value;

/// Why a side could not be asked.
#[derive(Debug, Error)]
pub enum ProbeError {
    /// The server refused the query. Its detail is left out, and what its message quotes: they show values.
    #[error("{message} (SQLSTATE {sqlstate})")]
    Refused {
        /// Five characters.
        sqlstate: String,
        /// Its primary message.
        message: String,
    },
    /// The connection is gone.
    #[error("the connection was lost: {0}")]
    Lost(tokio_postgres::Error),
    /// There is nothing to ask the other side.
    #[error("the table is missing on one side")]
    OneSided,
    /// An answer of another form than the query has.
    #[error("expected {0} in the server's answer")]
    Malformed(&'static str),
}

impl From<tokio_postgres::Error> for ProbeError {
    fn from(error: tokio_postgres::Error) -> Self {
        match error.as_db_error() {
            Some(refusal) if error.is_closed() || refusal.code().code().starts_with("57P") => Self::Lost(error),
            Some(refusal) => {
                let sqlstate = refusal.code().code().to_owned();
                Self::Refused { message: without_value(&sqlstate, refusal.message()), sqlstate }
            }
            None => Self::Lost(error),
        }
    }
}

/// A chunk's rows in three numbers: equal on both sides, the rows are equal (64 bits of hash at least).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sums {
    /// How many.
    pub rows: u64,
    pub(super) hashes: (String, String),
}

/// What a scan of the whole table tells of one share.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShareSums {
    /// Its rows.
    pub sums: Sums,
    /// Of their texts.
    pub bytes: u64,
}

/// A row by its key and hash; without key, all rows that are alike.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RowHash {
    /// Which; no parts in a table without key.
    pub key: Key,
    /// Of the compared columns.
    pub hash: (i64, i64),
    /// How many: one where there is a key.
    pub rows: u64,
}

/// How the rows of a pair are told apart on both sides.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// By ranges of the key.
    Ranges,
    /// By key, but in buckets: the sides order keys differently.
    Buckets,
    /// As a multiset of whole rows: no key, or none whose text is its identity (rule 17).
    Multiset,
}

impl Way {
    /// For this pair.
    pub fn of(pair: &Pair) -> Self {
        match pair.key_kind {
            KeyKind::Plain | KeyKind::Collated if pair.ranges => Self::Ranges,
            KeyKind::Plain | KeyKind::Collated => Self::Buckets,
            KeyKind::Opaque | KeyKind::None => Self::Multiset,
        }
    }
}

/// One side of a pair, to be asked.
#[derive(Debug)]
pub struct Side<'a> {
    client: &'a Client,
    pub(super) pair: &'a Pair,
    /// This side's table under the primary's shape, whose names and key serve on both.
    pub(super) table: Table,
}

/// Both sides of a pair.
#[derive(Debug)]
pub struct Sides<'a> {
    /// The truth.
    pub primary: Side<'a>,
    /// To be made equal to it.
    pub shadow: Side<'a>,
}

impl<'a> Sides<'a> {
    /// Fails if one side lacks the table.
    pub fn new(pair: &'a Pair, primary: &'a Client, shadow: &'a Client) -> Result<Self, ProbeError> {
        let (Some(ours), Some(theirs)) = (&pair.primary, &pair.shadow) else { return Err(ProbeError::OneSided) };
        let side = |client, table: &Table| {
            let table = Table { shape: Arc::clone(&ours.shape), ..table.clone() };
            Side { client, pair, table }
        };
        Ok(Self { primary: side(primary, ours), shadow: side(shadow, theirs) })
    }

    /// The pair.
    pub fn pair(&self) -> &'a Pair {
        self.primary.pair
    }

    /// The primary's.
    pub fn shape(&self) -> &Arc<Shape> {
        self.primary.shape()
    }
}

impl Side<'_> {
    /// The primary's, whichever side this is.
    pub fn shape(&self) -> &Arc<Shape> {
        &self.table.shape
    }

    /// For FROM.
    pub fn source(&self) -> String {
        self.table.source()
    }

    /// The sums of a chunk.
    pub async fn sums(&self, chunk: &Chunk) -> Result<(Snapshot, Sums), ProbeError> {
        match self.pair.hashing {
            Hashing::There(method) => self.sums_there(method, chunk).await,
            Hashing::Here => self.sums_here(chunk).await,
        }
    }

    async fn sums_there(&self, method: Method, chunk: &Chunk) -> Result<(Snapshot, Sums), ProbeError> {
        let sql = format!(
            "SELECT pg_catalog.pg_current_snapshot()::pg_catalog.text, {} FROM {} AS t WHERE {}",
            hash_sums(self.pair, method),
            self.source(),
            predicate(self.shape(), chunk)
        );
        let rows = self.query(&sql).await?;
        let row = rows.first().ok_or(ProbeError::Malformed("a row of sums"))?;
        Ok((snapshot(row)?, sums(row)?))
    }

    /// The sums of each of `of` shares that has rows, by its number, in one scan.
    pub async fn share_sums(&self, of: u32) -> Result<HashMap<u32, ShareSums>, ProbeError> {
        let Hashing::There(method) = self.pair.hashing else { return self.share_sums_here(of).await };
        // OFFSET 0: the text is made once.
        let sql = format!(
            "SELECT {}, {}, pg_catalog.sum(pg_catalog.octet_length(w.text)) FROM {} AS t, \
             LATERAL (SELECT {} AS text OFFSET 0) AS w GROUP BY 1",
            share_number("w.text", of),
            hash_sums(self.pair, method),
            self.source(),
            whole_text(self.shape()),
        );
        let rows = self.query(&sql).await?;
        let read = |row| Ok((number(row, 0)?, ShareSums { sums: sums(row)?, bytes: number(row, 4)? }));
        rows.iter().map(read).collect()
    }

    /// Key and hash of each row of a chunk. Rows without key that are alike come as one: there may be millions of them.
    pub async fn row_hashes(&self, chunk: &Chunk) -> Result<(Snapshot, Vec<RowHash>), ProbeError> {
        let Hashing::There(method) = self.pair.hashing else { return self.row_hashes_here(chunk).await };
        let shape = self.shape();
        let keyless = shape.key.is_empty();
        let (rest, group) =
            if keyless { ("pg_catalog.count(*)".to_owned(), " GROUP BY 1, 2") } else { (key_texts(shape), "") };
        let inner = format!(
            "SELECT {}, {}, {rest} FROM {} AS t WHERE {}{group}",
            hash_row(self.pair, method, Seed::First),
            hash_row(self.pair, method, Seed::Second),
            self.source(),
            predicate(shape, chunk)
        );
        let (snapshot, rows) = self.snapshot_rows(&inner).await?;
        let read = |row: &SimpleQueryRow| {
            let rows = if keyless { number(row, 3)? } else { 1 };
            Ok(RowHash { key: key(row, 3, shape.key.len())?, hash: (number(row, 1)?, number(row, 2)?), rows })
        };
        Ok((snapshot, rows.iter().map(read).collect::<Result<_, ProbeError>>()?))
    }

    /// The key that ends the next range of `rows` rows behind `after`; `None` when fewer are left.
    pub async fn next_bound(&self, after: &Bound, rows: u64) -> Result<Bound, ProbeError> {
        let rows = self.query(&key_after(&self.table, after, rows)).await?;
        rows.first().map(|row| key(row, 0, self.shape().key.len())).transpose()
    }

    /// The rows of `inner` behind the snapshot they were seen under, which is column 0 of each. The first column of
    /// `inner` must never be NULL: that is how no rows show.
    pub async fn snapshot_rows(&self, inner: &str) -> Result<(Snapshot, Vec<SimpleQueryRow>), ProbeError> {
        let sql = format!(
            "SELECT s.*, r.* FROM (SELECT pg_catalog.pg_current_snapshot()::pg_catalog.text) AS s \
             LEFT JOIN LATERAL ({inner}) AS r ON true"
        );
        let mut rows = self.query(&sql).await?;
        let snapshot = snapshot(rows.first().ok_or(ProbeError::Malformed("a snapshot"))?)?;
        rows.retain(|row| row.try_get(1).is_ok_and(|column| column.is_some()));
        Ok((snapshot, rows))
    }

    /// Whether the table has no row at all.
    pub async fn is_empty(&self) -> Result<bool, ProbeError> {
        Ok(self.query(&format!("SELECT 1 FROM {} LIMIT 1", self.source())).await?.is_empty())
    }

    /// How many rows have a key `> after` and `<= upto`.
    pub async fn count(&self, after: &Bound, upto: &Bound) -> Result<u64, ProbeError> {
        let range = predicate(self.shape(), &Chunk::Range { after: after.clone(), upto: upto.clone() });
        let sql = format!("SELECT pg_catalog.count(*) FROM {} AS t WHERE {range}", self.source());
        number(self.query(&sql).await?.first().ok_or(ProbeError::Malformed("a count"))?, 0)
    }

    /// The keys of rows that refer to these of another table, no more than so many.
    pub async fn referring(&self, how: &Referring, keys: &[Key], most: usize) -> Result<Vec<Key>, ProbeError> {
        let (source, refers) = (self.source(), refers(how, keys));
        let sql = format!("SELECT {} FROM {source} AS t WHERE {refers} LIMIT {most}", key_texts(self.shape()));
        self.query(&sql).await?.iter().map(|row| key(row, 0, self.shape().key.len())).collect()
    }

    /// What `COPY … TO STDOUT` prints, a line a message.
    pub async fn copy_out(&self, sql: &str) -> Result<CopyOutStream, ProbeError> {
        Ok(self.client.copy_out(sql).await?)
    }

    /// The rows of one statement, as text.
    pub async fn query(&self, sql: &str) -> Result<Vec<SimpleQueryRow>, ProbeError> {
        let messages = self.client.simple_query(sql).await?;
        let row = |message| match message {
            SimpleQueryMessage::Row(row) => Some(row),
            _ => None,
        };
        Ok(messages.into_iter().filter_map(row).collect())
    }
}

/// The key in `parts` columns from `first` on.
pub fn key(row: &SimpleQueryRow, first: usize, parts: usize) -> Result<Key, ProbeError> {
    let part = |column| row.try_get(column).ok().flatten().ok_or(ProbeError::Malformed("a key without NULL"));
    Ok(Key::new((first..first + parts).map(part).collect::<Result<Vec<_>, _>>()?))
}

/// From columns 1 to 3.
fn sums(row: &SimpleQueryRow) -> Result<Sums, ProbeError> {
    let hash = |column| row.try_get(column).ok().flatten().unwrap_or("0").to_owned();
    Ok(Sums { rows: number(row, 1)?, hashes: (hash(2), hash(3)) })
}

fn snapshot(row: &SimpleQueryRow) -> Result<Snapshot, ProbeError> {
    let text = row.try_get(0).ok().flatten().ok_or(ProbeError::Malformed("a snapshot"))?;
    text.parse().map_err(|_| ProbeError::Malformed("a snapshot"))
}

fn number<T: std::str::FromStr>(row: &SimpleQueryRow, column: usize) -> Result<T, ProbeError> {
    let text = row.try_get(column).ok().flatten();
    text.and_then(|text| text.parse().ok()).ok_or(ProbeError::Malformed("a number"))
}
