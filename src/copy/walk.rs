//! Healing a whole table: what is equal already is not read; the rest is read back part by part.

use std::collections::HashMap;

use super::heal::{Comparison, Found, HealError, Healing};
use crate::catalog::{Chunk, KeyKind, RowHash, Share, ShareSums, Way};
use crate::effect::Key;

/// Rows of one bucket or share, about: its keys and hashes of both sides are held at once.
const BUCKET: u64 = 20_000;
/// Bytes of the texts of one share's rows, about.
const SHARE_BYTES: u64 = 2 << 20;
/// Shares whose sums of both sides are held at once. Of a table that needs more, a share is cut when it is read.
const MOST_SHARES: u32 = 1 << 16;

/// Makes the table equal, as of snapshots sent after this was called; returns when it is so on the shadow.
pub(super) async fn heal_table(healing: &mut Healing<'_>, rows_estimate: u64) -> Result<(), HealError> {
    // Behind a fence: rows that are on their way must not be taken for rows that were never there (rule 27).
    healing.catch_up().await;
    if is_fillable(healing) && healing.sides.shadow.is_empty().await? {
        healing.fill(None, Found::Empty).await?;
    } else {
        match Way::of(healing.sides.pair()) {
            Way::Ranges => heal_ranges(healing).await?,
            Way::Buckets => heal_buckets(healing).await?,
            Way::Multiset => heal_multiset(healing, rows_estimate).await?,
        }
    }
    healing.settle().await;
    Ok(())
}

/// Whether lines of its rows bear their keys, and both sides tell rows apart by them.
fn is_fillable(healing: &Healing<'_>) -> bool {
    let mut key = healing.sides.shape().key_columns();
    healing.sides.pair().key_kind != KeyKind::None && key.all(|column| !column.generated)
}

async fn heal_ranges(healing: &mut Healing<'_>) -> Result<(), HealError> {
    let mut after = None;
    loop {
        let rows = healing.rows_at_once();
        let upto = healing.sides.primary.next_bound(&after, rows).await?;
        let reached = match healing.compare(&Chunk::Range { after: after.clone(), upto: upto.clone() }).await? {
            Comparison::Equal(rows) => {
                healing.done(rows);
                upto
            }
            Comparison::Sparse if is_fillable(healing) => healing.fill(after, Found::Sparse).await?,
            Comparison::Sparse | Comparison::Different => {
                healing.range(after, &upto).await?;
                upto
            }
        };
        if reached.is_none() {
            return Ok(());
        }
        after = reached;
    }
}

async fn heal_buckets(healing: &mut Healing<'_>) -> Result<(), HealError> {
    // Each bucket takes a scan; an estimate may be missing.
    let rows = healing.sides.primary.count(&None, &None).await?;
    let of = u32::try_from(rows / BUCKET).unwrap_or(u32::MAX).saturating_add(1);
    for number in 0..of {
        let chunk = Chunk::Bucket { number, of };
        if let Comparison::Equal(rows) = healing.compare(&chunk).await? {
            healing.done(rows);
            continue;
        }
        let (_, ours) = healing.sides.primary.row_hashes(&chunk).await?;
        healing.catch_up().await;
        let (_, theirs) = healing.sides.shadow.row_hashes(&chunk).await?;
        healing.keys(&unequal(ours, theirs)).await?;
    }
    Ok(())
}

async fn heal_multiset(healing: &mut Healing<'_>, rows_estimate: u64) -> Result<(), HealError> {
    let window = healing.mirror.open_window(healing.table());
    let (of, ours) = shares_of_primary(healing, rows_estimate).await?;
    healing.catch_up().await;
    let theirs = healing.sides.shadow.share_sums(of).await?;
    // A row that is missing, and one like it that came meanwhile, look equal; not where none came.
    let again = if window.is_quiet() { None } else { Some(healing.sides.primary.share_sums(of).await?) };
    drop(window);
    for number in 0..of {
        let [before, between, after] =
            [&ours, &theirs, again.as_ref().unwrap_or(&ours)].map(|side| side.get(&number).map(|share| &share.sums));
        match before {
            _ if before != between || before != after => healing.share(Share { number, of }).await?,
            Some(equal) => healing.done(equal.rows),
            None => {}
        }
    }
    Ok(())
}

/// Into how many shares to cut the table, and what the primary has in each. An estimate that is far too low is known
/// from what is found.
async fn shares_of_primary(
    healing: &Healing<'_>,
    rows_estimate: u64,
) -> Result<(u32, HashMap<u32, ShareSums>), HealError> {
    let mut of = shares(rows_estimate, 0);
    loop {
        let found = healing.sides.primary.share_sums(of).await?;
        let total = |number: fn(&ShareSums) -> u64| found.values().map(number).sum();
        let enough = shares(total(|share| share.sums.rows), total(|share| share.bytes));
        if enough <= of.saturating_mul(2) {
            return Ok((of, found));
        }
        of = enough;
    }
}

/// Shares for so much.
fn shares(rows: u64, bytes: u64) -> u32 {
    let number = (rows / BUCKET).max(bytes / SHARE_BYTES);
    u32::try_from(number).unwrap_or(u32::MAX).saturating_add(1).min(MOST_SHARES)
}

/// Keys whose rows are not the same in both lists.
fn unequal(ours: Vec<RowHash>, theirs: Vec<RowHash>) -> Vec<Key> {
    let mut rest: HashMap<Key, (i64, i64)> = ours.into_iter().map(|row| (row.key, row.hash)).collect();
    let mut keys = Vec::new();
    for row in theirs {
        if rest.remove(&row.key) != Some(row.hash) {
            keys.push(row.key);
        }
    }
    keys.extend(rest.into_keys());
    keys
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changed_missing_and_extra_keys_are_all_unequal() {
        let rows = |rows: &[(&str, i64)]| {
            rows.iter()
                .map(|&(key, hash)| RowHash { key: Key::new([key]), hash: (hash, 0), rows: 1 })
                .collect::<Vec<_>>()
        };
        let ours = rows(&[("same", 1), ("changed", 2), ("missing", 3)]);
        let theirs = rows(&[("extra", 4), ("changed", 5), ("same", 1)]);
        let mut found = unequal(ours, theirs);
        found.sort_unstable();
        let mut expected: Vec<_> = ["changed", "extra", "missing"].map(|key| Key::new([key])).into();
        expected.sort_unstable();
        assert_eq!(found, expected);
    }
}
