//! A session between a scripted client and a scripted server, and messages to feed it.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use crate::catalog::{Canonical, Catalog, ColumnFacts, Extent, KeyKind, Resolved, Table, Volatility};
use crate::config::Ddl;
use crate::effect::{Change, Column, Epoch, Mark, Reason, Shape, TableId, Touched, Xid};
use crate::session::{Accounts, Env, Session, SessionError, Splice};
use crate::sql;
use crate::wire::Startup;

/// What the session told, in order.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Told {
    Enter(Touched),
    Commit(Vec<String>),
    Skip,
    Resolve(usize),
    Ddl,
    Defined,
    Refused,
}

#[derive(Debug, Default)]
pub(super) struct Books(pub(super) Vec<Told>);

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

    fn ddl(&mut self) {
        self.0.push(Told::Ddl);
    }

    fn defined(&mut self) {
        self.0.push(Told::Defined);
    }

    fn refused(&mut self) {
        self.0.push(Told::Refused);
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
    }
}

fn tables(touched: &Touched) -> String {
    match touched {
        Touched::All => "all".to_owned(),
        Touched::Tables(tables) => tables.iter().map(|table| table.0.to_string()).collect::<Vec<_>>().join(","),
    }
}

/// A session on a database with `t (id int4 primary key, v text)` as 100, `k (v text)` as 200 without a key, `b (id int4 primary key,
/// bulk text)` as 300, whose rows may be long.
pub(super) struct Stage {
    pub(super) session: Session,
    pub(super) books: Books,
    pub(super) catalog: Arc<Catalog>,
    pub(super) current: bool,
    cache: sql::Cache,
    pub(super) ddl: Ddl,
    /// How many bytes come at a time.
    pub(super) piece: usize,
    upward: Vec<u8>,
    downward: Vec<u8>,
    held: usize,
}

impl Stage {
    /// Logged in and idle.
    pub(super) fn new() -> Self {
        Self::with_pieces_of(usize::MAX)
    }

    pub(super) fn with_pieces_of(piece: usize) -> Self {
        let catalog = catalog();
        let startup = Startup { parameters: vec![("user".into(), "bob".into()), ("database".into(), "app".into())] };
        let mut stage = Self::of(Session::tracked(&startup, &catalog), piece);
        let login = [message(b'R', &[0; 4]), message(b'K', &[0, 0, 0, 1, 0, 0, 0, 2]), ready(b'I')].concat();
        assert_eq!(stage.server(&login), login);
        stage
    }

    /// Mirrored, before its login.
    pub(super) fn before_login(startup: &Startup) -> Self {
        Self::of(Session::tracked(startup, &catalog()), usize::MAX)
    }

    /// Before its login.
    pub(super) fn of(session: Session, piece: usize) -> Self {
        Self {
            session,
            books: Books::default(),
            catalog: Arc::new(catalog()),
            current: true,
            cache: sql::Cache::new(100),
            ddl: Ddl::Mirror,
            piece,
            upward: Vec::new(),
            downward: Vec::new(),
            held: 0,
        }
    }

    /// What goes to the primary when the client sends this.
    pub(super) fn client(&mut self, bytes: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        for piece in bytes.chunks(self.piece.min(bytes.len().max(1))) {
            self.upward.extend_from_slice(piece);
            let mut splice = Splice::default();
            let env = env(&self.catalog, self.current, &self.cache, self.ddl);
            let size = self.session.client(&self.upward, &env, &mut self.books, &mut splice).unwrap();
            splice.apply(&self.upward[..size], &mut out);
            self.upward.drain(..size);
        }
        out
    }

    /// What goes to the client when the primary answers this.
    pub(super) fn server(&mut self, bytes: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        for piece in bytes.chunks(self.piece.min(bytes.len().max(1))) {
            self.downward.extend_from_slice(piece);
            let mut splice = Splice::default();
            let env = env(&self.catalog, self.current, &self.cache, self.ddl);
            let size = self.session.server(&self.downward, &env, &mut self.books, &mut splice).unwrap();
            splice.apply(&self.downward[..size], &mut out);
            self.downward.drain(..size);
            self.held = self.held.max(self.downward.len());
        }
        out
    }

    /// The most that the server's bytes were held at once.
    pub(super) fn held(&self) -> usize {
        self.held
    }

    /// Feeds bytes that need not be well formed.
    pub(super) fn try_client(&mut self, bytes: &[u8]) {
        let env = env(&self.catalog, self.current, &self.cache, self.ddl);
        let mut splice = Splice::default();
        if let Ok(size) = self.session.client(bytes, &env, &mut self.books, &mut splice) {
            splice.apply(&bytes[..size], &mut Vec::new());
        }
    }

    /// Feeds bytes that need not be well formed.
    pub(super) fn try_server(&mut self, bytes: &[u8]) -> Result<(), SessionError> {
        let env = env(&self.catalog, self.current, &self.cache, self.ddl);
        let mut splice = Splice::default();
        let size = self.session.server(bytes, &env, &mut self.books, &mut splice)?;
        splice.apply(&bytes[..size], &mut Vec::new());
        Ok(())
    }

    /// A simple query that the primary answers with these messages.
    pub(super) fn query(&mut self, sql: &str, answer: &[Vec<u8>]) -> Vec<u8> {
        self.client(&query(sql));
        self.server(&answer.concat())
    }

    /// What was told since the last call.
    pub(super) fn told(&mut self) -> Vec<Told> {
        std::mem::take(&mut self.books.0)
    }

    /// The commits told since the last call.
    pub(super) fn commits(&mut self) -> Vec<Vec<String>> {
        let commit = |told| if let Told::Commit(changes) = told { Some(changes) } else { None };
        self.told().into_iter().filter_map(commit).collect()
    }
}

fn env<'a>(catalog: &'a Arc<Catalog>, current: bool, cache: &'a sql::Cache, ddl: Ddl) -> Env<'a> {
    Env { catalog, current, cache, ddl, epoch: Epoch(1) }
}

pub(super) fn catalog() -> Catalog {
    catalog_with(&["id", "v"])
}

/// With a column more in `t`.
pub(super) fn widened() -> Catalog {
    catalog_with(&["id", "v", "w"])
}

fn catalog_with(columns_of_t: &[&str]) -> Catalog {
    let column =
        |name: &str, type_name: &str| Column { name: name.into(), type_name: type_name.into(), generated: false };
    let facts = |kind, extent| ColumnFacts {
        number: 1,
        canonical: Canonical::Native,
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
            reach: Touched::NONE,
            cascades: Touched::NONE,
            entangled: false,
            rows_estimate: 0,
            partitioned: false,
            descendants: Vec::new(),
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
    catalog.functions = HashMap::from([("=".into(), vec![("pg_catalog".into(), Volatility::Safe)])]);
    catalog.unreadable = HashMap::from([("bob".into(), HashSet::new())]);
    catalog
}

pub(super) fn message(tag: u8, body: &[u8]) -> Vec<u8> {
    let mut message = vec![tag];
    message.extend_from_slice(&(body.len() as u32 + 4).to_be_bytes());
    message.extend_from_slice(body);
    message
}

pub(super) fn query(sql: &str) -> Vec<u8> {
    message(b'Q', &[sql.as_bytes(), b"\0"].concat())
}

pub(super) fn parse(name: &str, sql: &str) -> Vec<u8> {
    message(b'P', &[name.as_bytes(), b"\0", sql.as_bytes(), b"\0\0\0"].concat())
}

/// With no parameters.
pub(super) fn bind(statement: &str, formats: &[u16]) -> Vec<u8> {
    let formats: Vec<u8> = formats.iter().flat_map(|format| format.to_be_bytes()).collect();
    let count = (formats.len() as u16 / 2).to_be_bytes();
    message(b'B', &[b"\0", statement.as_bytes(), b"\0\0\0\0\0", &count, &formats[..]].concat())
}

pub(super) fn close(statement: &str) -> Vec<u8> {
    message(b'C', &[b"S", statement.as_bytes(), b"\0"].concat())
}

pub(super) fn execute(limit: u32) -> Vec<u8> {
    message(b'E', &[b"\0", &limit.to_be_bytes()[..]].concat())
}

pub(super) fn sync() -> Vec<u8> {
    message(b'S', b"")
}

pub(super) fn ready(status: u8) -> Vec<u8> {
    message(b'Z', &[status])
}

pub(super) fn complete(tag: &str) -> Vec<u8> {
    message(b'C', &[tag.as_bytes(), b"\0"].concat())
}

pub(super) fn error() -> Vec<u8> {
    message(b'E', b"SERROR\0VERROR\0C23505\0Mno\0\0")
}

/// With this code, and fields more.
pub(super) fn refused(sqlstate: &str, more: &str) -> Vec<u8> {
    message(b'E', format!("SERROR\0VERROR\0C{sqlstate}\0Mno\0{more}\0").as_bytes())
}

pub(super) fn row(fields: &[&str]) -> Vec<u8> {
    let mut body = (fields.len() as u16).to_be_bytes().to_vec();
    for field in fields {
        body.extend_from_slice(&(field.len() as u32).to_be_bytes());
        body.extend_from_slice(field.as_bytes());
    }
    message(b'D', &body)
}

pub(super) fn description(columns: usize) -> Vec<u8> {
    let mut body = (columns as u16).to_be_bytes().to_vec();
    for _ in 0..columns {
        body.extend_from_slice(b"c\0");
        body.extend_from_slice(&[0; 18]);
    }
    message(b'T', &body)
}

/// The appended columns of a row of `t`.
pub(super) fn told_row(image: &str) -> Vec<u8> {
    row(&[image, "100", "7", "0/10"])
}
