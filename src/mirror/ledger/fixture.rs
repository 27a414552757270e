//! Small makers of effects, marks and ledgers for the tests of this room.

use std::collections::HashSet;
use std::path::Path;
use std::sync::Arc;

use crate::effect::{
    Change, Column, Epoch, Key, Lsn, Mark, Reason, Replay, RowChange, Shape, Snapshot, Stamp, TableId, Touched,
    Transaction, Xid,
};
use crate::mirror::entry::{Refresh, Scope};
use crate::report::Quarantined;

use super::{Feed, Identity, LedgerSettings, Mirror};

pub(super) const T: TableId = TableId(1);
pub(super) const U: TableId = TableId(2);

pub(super) fn shape(table: TableId, keyed: bool) -> Arc<Shape> {
    let column = |name: &str| Column { name: name.into(), type_name: "pg_catalog.text".into(), generated: name == "g" };
    Arc::new(Shape {
        table,
        schema: "public".into(),
        name: format!("t{}", table.0),
        columns: vec![column("id"), column("v"), column("g")],
        key: if keyed { vec![0] } else { vec![] },
    })
}

pub(super) fn key(text: &str) -> Key {
    Key::new([text])
}

pub(super) fn stamp(lsn: u64) -> Stamp {
    Stamp { epoch: Epoch(1), lsn: Lsn(lsn) }
}

pub(super) fn row(table: TableId, id: &str, lsn: u64) -> Change {
    let image = Some(format!("({id},v{lsn},)").into());
    Change::Row(RowChange { shape: shape(table, true), key: key(id), stamp: stamp(lsn), image })
}

pub(super) fn delete(table: TableId, id: &str, lsn: u64) -> Change {
    Change::Row(RowChange { shape: shape(table, true), key: key(id), stamp: stamp(lsn), image: None })
}

pub(super) fn keyless(table: TableId, lsn: u64) -> Change {
    let image = Some("(a,b,)".into());
    Change::Row(RowChange { shape: shape(table, false), key: Key::new([]), stamp: stamp(lsn), image })
}

pub(super) fn truncate(touched: Touched) -> Change {
    Change::Replay(Replay { sql: "truncate t".into(), settings: vec![], touched, reason: "truncate".into() })
}

pub(super) fn mark_keys(table: TableId, ids: &[&str], reason: Reason) -> Mark {
    Mark::Keys { table, keys: ids.iter().map(|id| key(id)).collect(), reason }
}

pub(super) fn mark_tables(tables: &[TableId], reason: Reason) -> Mark {
    Mark::Tables { touched: Touched::Tables(tables.to_vec()), reason }
}

pub(super) fn transaction(xid: u64, changes: Vec<Change>) -> Transaction {
    Transaction { xid: Some(Xid(xid)), committed_ms: 1_000 + xid, changes }
}

pub(super) fn refresh(table: TableId, ids: &[&str]) -> Refresh {
    Refresh {
        shape: shape(table, true),
        scope: Scope::Range { after: None, upto: None },
        rows: ids.iter().map(|id| (key(id), format!("({id},old,)").into())).collect(),
        newer: HashSet::new(),
    }
}

pub(super) fn snapshot(text: &str) -> Snapshot {
    text.parse().unwrap()
}

pub(super) fn refusal(seq: u64) -> Quarantined {
    Quarantined { seq, sqlstate: "23505".into(), table: "public.t".into(), message: "duplicate".into() }
}

pub(super) fn identity() -> Identity {
    Identity { system_identifier: "7000000000000000001".into(), database: "app".into() }
}

pub(super) fn settings(folder: &Path) -> LedgerSettings {
    LedgerSettings { journal: folder.join("journal"), journal_max_bytes: 1 << 30, memory: 64 << 20 }
}

pub(super) fn open(folder: &Path) -> (Mirror, Feed) {
    Mirror::open(&settings(folder), &identity()).unwrap()
}

pub(super) mod strategy {
    use super::*;
    use crate::catalog::Share;
    use crate::mirror::entry::{Existing, Fill, Item};
    use proptest::prelude::*;

    fn any_shape() -> impl Strategy<Value = Arc<Shape>> {
        (1..4_u32, any::<bool>()).prop_map(|(table, keyed)| shape(TableId(table), keyed))
    }

    fn any_key() -> impl Strategy<Value = Key> {
        prop::collection::vec(".{0,8}", 0..3).prop_map(|parts| Key::new(parts.iter().map(String::as_str)))
    }

    fn any_row() -> impl Strategy<Value = Change> {
        (any_shape(), any_key(), any::<(u32, u64)>(), prop::option::of(".*")).prop_map(|(shape, key, at, image)| {
            let stamp = Stamp { epoch: Epoch(at.0), lsn: Lsn(at.1) };
            Change::Row(RowChange { shape, key, stamp, image: image.map(Into::into) })
        })
    }

    fn any_replay() -> impl Strategy<Value = Change> {
        let touched = prop_oneof![
            Just(Touched::All),
            prop::collection::vec(any::<u32>().prop_map(TableId), 0..3).prop_map(Touched::Tables)
        ];
        (".*", prop::collection::vec((".*", ".*"), 0..3), touched).prop_map(|(sql, settings, touched)| {
            Change::Replay(Replay { sql, settings, touched, reason: "ddl".into() })
        })
    }

    fn any_refresh() -> impl Strategy<Value = Item> {
        let range = (prop::option::of(any_key()), prop::option::of(any_key()));
        let scope = prop_oneof![
            (any::<u32>(), any::<u32>(), prop::collection::vec(any::<u64>(), 0..3))
                .prop_map(|(number, of, counts)| Scope::Multiset { share: Share { number, of }, counts }),
            prop::collection::vec(any_key(), 0..3).prop_map(Scope::Keys),
            range.prop_map(|(after, upto)| Scope::Range { after, upto })
        ];
        let rows = prop::collection::vec((any_key(), ".*".prop_map(String::into_boxed_str)), 0..3);
        (any_shape(), scope, rows, prop::collection::hash_set(any_key(), 0..3))
            .prop_map(|(shape, scope, rows, newer)| Item::Refresh(Refresh { shape, scope, rows, newer }))
    }

    fn any_fill() -> impl Strategy<Value = Item> {
        let replaced = (prop::option::of(any_key()), prop::option::of(any_key()))
            .prop_map(|(after, upto)| Existing::Replaced { after, upto });
        let newer = prop::collection::hash_set(any_key(), 0..3);
        (any_shape(), ".*", newer, prop_oneof![Just(Existing::Kept), replaced]).prop_map(
            |(shape, lines, newer, existing)| Item::Fill(Fill { shape, lines: lines.into(), newer, existing }),
        )
    }

    pub(in crate::mirror::ledger) fn item() -> impl Strategy<Value = Item> {
        let changes = prop::collection::vec(prop_oneof![4 => any_row(), 1 => any_replay()], 0..5);
        let transaction = (prop::option::of(any::<u64>()), any::<u64>(), changes).prop_map(|(xid, ms, changes)| {
            Item::Transaction(Transaction { xid: xid.map(Xid), committed_ms: ms, changes })
        });
        prop_oneof![transaction, any_refresh(), any_fill()]
    }
}
