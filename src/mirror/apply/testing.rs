//! What the tests of this room share: entries made by hand.

use std::sync::Arc;

use crate::effect::{Change, Column, Epoch, Key, Lsn, RowChange, Seq, Shape, Stamp, TableId, Transaction, Xid};
use crate::mirror::entry::{Entry, Fill, Item, Refresh};

/// A table of schema `public` whose columns are written `name` (an int4) or `name type`; `=` in front: generated.
pub(super) fn shape(table: u32, name: &str, columns: &[&str], key: &[usize]) -> Arc<Shape> {
    let column = |text: &&str| {
        let (generated, text) = text.strip_prefix('=').map_or((false, *text), |rest| (true, rest));
        let (name, type_name) = text.split_once(' ').unwrap_or((text, "pg_catalog.int4"));
        Column { name: name.into(), type_name: type_name.into(), generated }
    };
    Arc::new(Shape {
        table: TableId(table),
        schema: "public".into(),
        name: name.into(),
        columns: columns.iter().map(column).collect(),
        key: key.to_vec(),
    })
}

pub(super) fn row(shape: &Arc<Shape>, key: &[&str], lsn: u64, image: Option<&str>) -> Change {
    Change::Row(RowChange {
        shape: shape.clone(),
        key: Key::new(key.iter().copied()),
        stamp: Stamp { epoch: Epoch(1), lsn: Lsn(lsn) },
        image: image.map(Into::into),
    })
}

/// A transaction at `seq`, with a ticket of the same number as its horizon.
pub(super) fn entry(seq: u64, changes: Vec<Change>) -> Arc<Entry> {
    let transaction = Transaction { xid: Some(Xid(seq)), committed_ms: 0, changes };
    Arc::new(Entry { seq: Seq(seq), horizon: seq, item: Item::Transaction(transaction), bytes: 100 })
}

pub(super) fn refresh(seq: u64, refresh: Refresh) -> Arc<Entry> {
    Arc::new(Entry { seq: Seq(seq), horizon: seq, item: Item::Refresh(refresh), bytes: 100 })
}

pub(super) fn fill(seq: u64, fill: Fill) -> Arc<Entry> {
    Arc::new(Entry { seq: Seq(seq), horizon: seq, item: Item::Fill(fill), bytes: 100 })
}
