//! What the tests of this room share: entries made by hand.

use std::sync::Arc;

use crate::effect::{Change, Column, Epoch, Key, Lsn, RowChange, Seq, Shape, Stamp, TableId, Transaction, Xid};
use crate::mirror::entry::{Entry, Flight, Item, Refresh};

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

/// A transaction at `seq`, with a ticket of the same number, the only one of its time.
pub(super) fn entry(seq: u64, changes: Vec<Change>) -> Arc<Entry> {
    placed(seq, alone(seq), transaction(seq, changes))
}

/// Rows read back at `seq`, likewise.
pub(super) fn refresh(seq: u64, refresh: Refresh) -> Arc<Entry> {
    placed(seq, alone(seq), Item::Refresh(refresh))
}

pub(super) fn transaction(xid: u64, changes: Vec<Change>) -> Item {
    Item::Transaction(Transaction { xid: Some(Xid(xid)), committed_ms: 0, changes })
}

pub(super) fn placed(seq: u64, flight: Flight, item: Item) -> Arc<Entry> {
    Arc::new(Entry { seq: Seq(seq), flight, item, bytes: 100 })
}

fn alone(ticket: u64) -> Flight {
    Flight { oldest: ticket, newest: ticket }
}
