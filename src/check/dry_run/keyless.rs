//! The statements for rows that no key tells apart: as many of a kind are inserted or deleted as there are too few or too
//! many. Rows are kinds by the digest of their text.

use std::collections::BTreeMap;

use tokio_postgres::SimpleQueryRow;

use super::{LONGEST_ROW, Room, literal};
use crate::catalog::{Chunk, ProbeError, Share, Side, digest, predicate, whole_text};
use crate::check::compare::Comparer;
use crate::check::walk::buckets;
use crate::effect::{Shape, fields, quote_ident};

/// Kinds of rows of one side that are held at once: a share with more is taken in halves.
const KINDS: usize = 50_000;

/// Statements, for how many rows there is none, and how many differ. As far as there is room shares are looked into;
/// rows of the others are only counted if their numbers differ.
pub(in crate::check) async fn write(
    comparer: &Comparer<'_>,
    rows_estimate: u64,
    room: &mut Room,
) -> Result<(Vec<String>, u64, u64), ProbeError> {
    let (of, sides) = (buckets(rows_estimate), &comparer.sides);
    let ours = sides.primary.share_sums(of).await?;
    comparer.catch_up().await;
    let mut theirs = sides.shadow.share_sums(of).await?;
    let (mut deletions, mut insertions, mut shown, mut rows) = (Vec::new(), Vec::new(), 0, 0);
    let mut differs = |number: &u32| {
        let (ours, theirs) = (ours.get(number), theirs.remove(number));
        ours.map(|share| &share.sums) != theirs.as_ref().map(|share| &share.sums)
    };
    let mut shares: Vec<Share> = (0..of).filter(|number| differs(number)).map(|number| Share { number, of }).collect();
    while let Some(share) = shares.pop() {
        let chunk = Chunk::Share(share);
        let (ours, theirs) = (kinds(&sides.primary, &chunk).await?, kinds(&sides.shadow, &chunk).await?);
        if ours.len().max(theirs.len()) == KINDS
            && let Some(halves) = share.halves()
        {
            shares.extend(halves);
            continue;
        }
        let mut surpluses: BTreeMap<String, i64> = ours.into_iter().collect();
        for (kind, count) in theirs {
            *surpluses.entry(kind).or_default() -= count;
        }
        for (kind, surplus) in surpluses {
            rows += surplus.unsigned_abs();
            let (list, side) = match surplus {
                0 => continue,
                1.. => (&mut insertions, &sides.primary),
                _ => (&mut deletions, &sides.shadow),
            };
            if room.is_full() {
                continue;
            }
            let Some(text) = text(side, &chunk, &kind).await? else { continue };
            let statement =
                if surplus > 0 { insertion(side.shape(), &text, surplus) } else { deletion(side, &text, -surplus) };
            if room.take(&statement) {
                list.push(statement);
                shown += surplus.unsigned_abs();
            }
        }
    }
    deletions.append(&mut insertions);
    Ok((deletions, rows - shown, rows))
}

/// How often each kind of row is there, if they are fewer than [`KINDS`].
async fn kinds(side: &Side<'_>, share: &Chunk) -> Result<Vec<(String, i64)>, ProbeError> {
    let (shape, kind) = (side.shape(), digest(&whole_text(side.shape())));
    let condition = predicate(shape, share);
    let sql = format!(
        "SELECT {kind}, pg_catalog.count(*) FROM {} AS t WHERE {condition} GROUP BY 1 LIMIT {KINDS}",
        side.source()
    );
    let read = |row: &SimpleQueryRow| {
        let [kind, count] = [0, 1].map(|column| row.try_get(column).ok().flatten());
        let count = count.and_then(|count| count.parse().ok());
        Some((kind?.to_owned(), count?))
    };
    let rows = side.query(&sql).await?;
    rows.iter().map(|row| read(row).ok_or(ProbeError::Malformed("a count"))).collect()
}

/// Of the rows of this kind, unless it is too long.
async fn text(side: &Side<'_>, share: &Chunk, kind: &str) -> Result<Option<String>, ProbeError> {
    let (shape, text) = (side.shape(), whole_text(side.shape()));
    let sql = format!(
        "SELECT {text} FROM {} AS t WHERE {} AND {} = '{kind}' AND pg_catalog.octet_length({text}) <= {LONGEST_ROW} LIMIT 1",
        side.source(),
        predicate(shape, share),
        digest(&text),
    );
    let rows = side.query(&sql).await?;
    Ok(rows.first().and_then(|row| row.try_get(0).ok().flatten()).map(str::to_owned))
}

fn insertion(shape: &Shape, text: &str, count: i64) -> String {
    let names: Vec<String> = shape.written().map(|(_, column)| quote_ident(&column.name)).collect();
    let values: Vec<String> = fields(text).unwrap_or_default().iter().map(|value| literal(value.as_deref())).collect();
    let series = if count == 1 { String::new() } else { format!(" FROM pg_catalog.generate_series(1, {count})") };
    let (table, names, values) = (shape.sql_name(), names.join(", "), values.join(", "));
    format!("INSERT INTO {table} ({names}) OVERRIDING SYSTEM VALUE SELECT {values}{series};")
}

/// Partitions number their rows each for itself.
fn deletion(shadow: &Side<'_>, text: &str, count: i64) -> String {
    let (table, same) = (shadow.source(), format!("{} = {}", whole_text(shadow.shape()), literal(Some(text))));
    format!(
        "DELETE FROM {table} AS t WHERE (t.tableoid, t.ctid) IN (SELECT t.tableoid, t.ctid FROM {table} AS t WHERE {same} LIMIT {count});"
    )
}
