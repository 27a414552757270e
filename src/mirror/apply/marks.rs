//! What is marked suspect where applying is not exact.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::effect::{Change, Key, Mark, Reason, Replay, RowChange, Shape, TableId, Touched};
use crate::mirror::entry::{Entry, Fill, Item, Refresh, Scope};

/// What an entry tells, marks left out: they are with the suspects already.
pub(super) enum Told<'a> {
    Row(&'a RowChange),
    Replay(&'a Replay),
}

/// What the transaction at `entry` tells, in order; nothing of rows read back.
pub(super) fn changes(entry: &Entry) -> impl Iterator<Item = Told<'_>> {
    let changes = match &entry.item {
        Item::Transaction(transaction) => &transaction.changes[..],
        Item::Refresh(_) | Item::Fill(_) => &[],
    };
    changes.iter().filter_map(|change| match change {
        Change::Row(row) => Some(Told::Row(row)),
        Change::Replay(replay) => Some(Told::Replay(replay)),
        Change::Mark(_) => None,
    })
}

/// The shapes under which the rows of `entry` were printed; one may come several times.
pub(super) fn shapes(entry: &Entry) -> impl Iterator<Item = &Arc<Shape>> {
    let read_back = match &entry.item {
        Item::Refresh(refresh) => Some(&refresh.shape),
        Item::Fill(fill) => Some(&fill.shape),
        Item::Transaction(_) => None,
    };
    let rows = changes(entry).filter_map(|told| match told {
        Told::Row(row) => Some(&row.shape),
        Told::Replay(_) => None,
    });
    read_back.into_iter().chain(rows)
}

/// Keys whose order of writes is not known (rules 4 and 6).
pub(super) fn late(keys: Vec<(TableId, Key)>) -> impl Iterator<Item = Mark> {
    by_table(keys, Reason::Late)
}

/// Keys of `entry`, which was refused and is tried again, in tables of which rows were read back since, or that a replayed
/// statement wrote: what those said or did may be undone.
pub(super) fn read_back_behind<'a>(
    entry: &Entry,
    behind: impl Iterator<Item = &'a Entry>,
) -> impl Iterator<Item = Mark> {
    let mut passed = Touched::NONE;
    for entry in behind {
        match &entry.item {
            Item::Refresh(Refresh { shape, .. }) | Item::Fill(Fill { shape, .. }) => {
                passed.extend(&Touched::of([shape.table]));
            }
            Item::Transaction(_) => changes(entry).for_each(|told| {
                if let Told::Replay(replay) = told {
                    passed.extend(&replay.touched);
                }
            }),
        }
    }
    let keys = changes(entry).filter_map(|told| match told {
        Told::Row(row) if passed.contains(row.shape.table) => Some((row.shape.table, row.key.clone())),
        Told::Row(_) | Told::Replay(_) => None,
    });
    late(keys.collect())
}

/// What a transaction that the shadow refused would have written.
pub(super) fn quarantined(entry: &Entry) -> Vec<Mark> {
    let (mut keys, mut replayed) = (Vec::new(), Touched::NONE);
    for told in changes(entry) {
        match told {
            Told::Row(row) => keys.push((row.shape.table, row.key.clone())),
            Told::Replay(replay) => replayed.extend(&replay.touched),
        }
    }
    let tables = (!replayed.is_empty()).then_some(Mark::Tables { touched: replayed, reason: Reason::Quarantine });
    by_table(keys, Reason::Quarantine).chain(tables).collect()
}

/// What rows read back spoke for, when the shadow refused them.
pub(super) fn read_back_refused(item: &Item) -> Mark {
    let reason = Reason::Quarantine;
    match item {
        Item::Refresh(Refresh { shape, scope: Scope::Keys(keys), .. }) => {
            Mark::Keys { table: shape.table, keys: keys.clone(), reason }
        }
        _ => Mark::Tables { touched: item.touched(), reason },
    }
}

fn by_table(keys: Vec<(TableId, Key)>, reason: Reason) -> impl Iterator<Item = Mark> {
    let mut tables: BTreeMap<TableId, Vec<Key>> = BTreeMap::new();
    for (table, key) in keys {
        tables.entry(table).or_default().push(key);
    }
    tables.into_iter().map(move |(table, keys)| Mark::rows(table, keys, reason))
}
