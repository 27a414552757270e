//! A small database and books that remember, for the tests of this room and for `fuzz/`.

use std::collections::HashSet;
use std::sync::Arc;

use super::{Accounts, RefusalOutcome};
use crate::catalog::{Canonical, Catalog, ColumnFacts, Extent, KeyKind, Leads, Resolved, Table, Volatility};
use crate::effect::{Change, Column, Disturbed, Mark, Reason, Shape, TableId, Touched, Xid};

/// What the session told, in order.
#[derive(Debug, Clone, PartialEq)]
pub enum Told {
    /// [`Accounts::enter`]
    Enter(Touched),
    /// [`Accounts::commit`], its changes described.
    Commit(Vec<String>),
    /// [`Accounts::skip`]
    Skip,
    /// [`Accounts::resolve`] of more than none.
    Resolve(usize),
    /// [`Accounts::ddl`]
    Ddl(Disturbed),
    /// [`Accounts::defined`]
    Defined,
    /// [`Accounts::refused`]
    Refused,
    /// [`Accounts::count_refusal`]
    Refusal(RefusalOutcome),
}

/// Writes down what it is told.
#[derive(Debug, Default)]
pub struct Books(pub Vec<Told>);

impl Accounts for Books {
    fn enter(&mut self, touched: &Touched) {
        self.0.push(Told::Enter(touched.clone()));
    }

    fn commit(&mut self, _xid: Option<Xid>, changes: Vec<Change>) {
        self.0.push(Told::Commit(changes.iter().map(describe).collect()));
    }

    fn skip(&mut self) {
        self.0.push(Told::Skip);
    }

    fn resolve(&mut self, count: usize) {
        if count > 0 {
            self.0.push(Told::Resolve(count));
        }
    }

    fn ddl(&mut self, disturbed: Disturbed) {
        self.0.push(Told::Ddl(disturbed));
    }

    fn defined(&mut self) {
        self.0.push(Told::Defined);
    }

    fn refused(&mut self) {
        self.0.push(Told::Refused);
    }

    fn count_refusal(&mut self, outcome: RefusalOutcome) {
        self.0.push(Told::Refusal(outcome));
    }
}

fn describe(change: &Change) -> String {
    match change {
        Change::Row(row) => {
            let key: Vec<_> = row.key.parts().collect();
            let image = row.image.as_deref().map_or("gone".to_owned(), str::to_owned);
            format!("{} {} {image}", row.shape.name, key.join(","))
        }
        Change::Replay(replay) => format!("replay {}", replay.sql),
        Change::Mark(Mark::Tables { touched, reason }) => format!("mark {} {reason:?}", tables(touched)),
        Change::Mark(Mark::Keys { keys, reason, .. }) => format!("mark {} keys {reason:?}", keys.len()),
        Change::Mark(Mark::Referring { referring, key, reason }) => {
            let columns: Vec<_> = referring.columns.iter().map(|(column, _)| column.as_str()).collect();
            let key: Vec<_> = key.parts().collect();
            format!("mark {} by {} = {} {reason:?}", referring.table.0, columns.join(","), key.join(","))
        }
    }
}

fn tables(touched: &Touched) -> String {
    match touched {
        Touched::All => "all".to_owned(),
        Touched::Tables(tables) => tables.iter().map(|table| table.0.to_string()).collect::<Vec<_>>().join(","),
    }
}

/// A database with `t (id int4 primary key, v text)` as 100, `k (v text)` as 200 without a key, `b (id int4 primary key,
/// bulk text)` as 300, whose rows may be long; for the role `bob`.
pub fn catalog() -> Catalog {
    catalog_with(&["id", "v"])
}

/// Where `bob` may ask what a transaction wrote.
pub fn asking() -> Catalog {
    Catalog { askers: ["bob".into()].into(), ..catalog() }
}

/// With a column more in `t`.
pub fn widened() -> Catalog {
    catalog_with(&["id", "v", "w"])
}

fn catalog_with(columns_of_t: &[&str]) -> Catalog {
    let column =
        |name: &str, type_name: &str| Column { name: name.into(), type_name: type_name.into(), generated: false };
    let facts = |kind, extent| ColumnFacts {
        number: 1,
        canonical: Canonical::Native { sample: 1 },
        kind,
        extent,
        order: String::new(),
        definition: String::new(),
    };
    // As if the texts of the others had a length in their type.
    let extent = |column: &Column| if column.name == "bulk" { Extent::Octets } else { Extent::Bounded };
    let table = |id: u32, name: &str, columns: Vec<Column>, key: Vec<usize>| {
        let keyless = key.is_empty();
        let shape = Shape { table: TableId(id), schema: "public".into(), name: name.into(), columns, key };
        Arc::new(Table {
            columns: shape.columns.iter().map(|column| facts(KeyKind::Plain, extent(column))).collect(),
            shape: Arc::new(shape),
            key_kind: if keyless { KeyKind::None } else { KeyKind::Plain },
            unique_keys: Vec::new(),
            exact: if keyless { Err(Reason::NoKey) } else { Ok(()) },
            leads: Leads::NOWHERE,
            entangled: false,
            text_sample: Arc::default(),
            rows_estimate: 0,
            partitioned: false,
            descendants: Vec::new(),
            strays: false,
        })
    };
    let types = ["pg_catalog.int4", "pg_catalog.text", "pg_catalog.text"];
    let columns = columns_of_t.iter().zip(types).map(|(name, type_name)| column(name, type_name));
    let t = table(100, "t", columns.collect(), vec![0]);
    let k = table(200, "k", vec![column("v", "pg_catalog.text")], vec![]);
    let mut catalog = Catalog { generation: 1, ..Catalog::default() };
    let b = table(300, "b", vec![column("id", "pg_catalog.int4"), column("bulk", "pg_catalog.text")], vec![0]);
    for table in [t, k, b] {
        let id = table.shape.table;
        catalog.roots.insert(id.0, id);
        catalog.names.insert(table.shape.name.clone(), vec![("public".into(), Resolved::Table(Arc::clone(&table)))]);
        catalog.tables.insert(id, table);
    }
    catalog.functions = [("=".into(), vec![("pg_catalog".into(), Volatility::Safe)])].into_iter().collect();
    catalog.unreadable = [("bob".into(), HashSet::new())].into_iter().collect();
    catalog
}
