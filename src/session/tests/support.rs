//! A session between a scripted client and a scripted server, and messages to feed it.

use std::sync::Arc;

use crate::catalog::{Catalog, Currency};
use crate::config::Ddl;
use crate::effect::{Disturbed, Epoch};
pub(super) use crate::session::testing::{Books, Told, catalog, widened};
use crate::session::{Env, Session, SessionError, Splice};
use crate::sql;
use crate::wire::Startup;

/// A session on the database of [`catalog`].
pub(super) struct Stage {
    pub(super) session: Session,
    pub(super) books: Books,
    pub(super) catalog: Arc<Catalog>,
    pub(super) currency: Currency,
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
        let mut stage = Self::of(Session::tracked(&startup, &catalog, &Arc::default()), piece);
        let login = [message(b'R', &[0; 4]), message(b'K', &[0, 0, 0, 1, 0, 0, 0, 2]), ready(b'I')].concat();
        assert_eq!(stage.server(&login), login);
        stage
    }

    /// Mirrored, before its login.
    pub(super) fn before_login(startup: &Startup) -> Self {
        Self::of(Session::tracked(startup, &catalog(), &Arc::default()), usize::MAX)
    }

    /// Before its login.
    pub(super) fn of(session: Session, piece: usize) -> Self {
        Self {
            session,
            books: Books::default(),
            catalog: Arc::new(catalog()),
            currency: Currency::whole(0),
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
            out.extend(self.released());
        }
        out
    }

    /// What of the client's goes to the primary now.
    pub(super) fn released(&mut self) -> Vec<u8> {
        let mut out = Vec::new();
        let mut splice = Splice::default();
        let env = env(&self.catalog, &self.currency, &self.cache, self.ddl);
        let size = self.session.client(&self.upward, &env, &mut self.books, &mut splice).unwrap();
        splice.apply(&self.upward[..size], &mut out);
        self.upward.drain(..size);
        out
    }

    /// What goes to the client when the primary answers this.
    pub(super) fn server(&mut self, bytes: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        for piece in bytes.chunks(self.piece.min(bytes.len().max(1))) {
            self.downward.extend_from_slice(piece);
            let mut splice = Splice::default();
            let env = env(&self.catalog, &self.currency, &self.cache, self.ddl);
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

    /// From now on the catalog is to be trusted as a whole, or in nothing.
    pub(super) fn trust_catalog(&mut self, whole: bool) {
        let version = self.currency.version + 1;
        self.currency = if whole { Currency::whole(version) } else { Currency::nothing(version) };
    }

    /// From now on, except for these names.
    pub(super) fn doubt(&mut self, names: &[&str]) {
        let disturbed = Disturbed::Shapes(names.iter().map(|&name| name.to_owned()).collect());
        self.currency = Currency::while_changed(self.currency.version + 1, &self.catalog, [&disturbed]);
    }

    /// The same, and which relations and columns these are.
    pub(super) fn doubt_names(&mut self, names: &[&str]) {
        let disturbed = Disturbed::Names(names.iter().map(|&name| name.to_owned()).collect());
        self.currency = Currency::while_changed(self.currency.version + 1, &self.catalog, [&disturbed]);
    }

    /// The same, and what a write to these leads to.
    pub(super) fn doubt_reach(&mut self, names: &[&str]) {
        let disturbed = Disturbed::Relations(names.iter().map(|&name| name.to_owned()).collect());
        self.currency = Currency::while_changed(self.currency.version + 1, &self.catalog, [&disturbed]);
    }

    /// Feeds bytes that need not be well formed.
    pub(super) fn try_client(&mut self, bytes: &[u8]) {
        let env = env(&self.catalog, &self.currency, &self.cache, self.ddl);
        let mut splice = Splice::default();
        if let Ok(size) = self.session.client(bytes, &env, &mut self.books, &mut splice) {
            splice.apply(&bytes[..size], &mut Vec::new());
        }
    }

    /// Feeds bytes that need not be well formed.
    pub(super) fn try_server(&mut self, bytes: &[u8]) -> Result<(), SessionError> {
        let env = env(&self.catalog, &self.currency, &self.cache, self.ddl);
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

fn env<'a>(catalog: &'a Arc<Catalog>, currency: &'a Currency, cache: &'a sql::Cache, ddl: Ddl) -> Env<'a> {
    Env { catalog, currency, cache, ddl, epoch: Epoch(1) }
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

/// Of the unnamed portal, with no parameters.
pub(super) fn bind(statement: &str, formats: &[u16]) -> Vec<u8> {
    bind_portal("", statement, formats)
}

/// With no parameters.
pub(super) fn bind_portal(portal: &str, statement: &str, formats: &[u16]) -> Vec<u8> {
    let formats: Vec<u8> = formats.iter().flat_map(|format| format.to_be_bytes()).collect();
    let count = (formats.len() as u16 / 2).to_be_bytes();
    let names = [portal.as_bytes(), b"\0", statement.as_bytes(), b"\0"].concat();
    message(b'B', &[&names, &[0; 4][..], &count, &formats].concat())
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

/// What the primary answers to Parse, Bind, Describe, Execute and Sync of a captured `insert into t values (1, 'a')`.
pub(super) fn extended_insert() -> Vec<u8> {
    let bound = [message(b'1', b""), message(b'2', b""), description(4)];
    [bound.concat(), told_row("(1,a)"), complete("INSERT 0 1"), ready(b'I')].concat()
}

/// What the client gets of that.
pub(super) fn seen_extended_insert() -> Vec<u8> {
    let bound = [message(b'1', b""), message(b'2', b""), message(b'n', b"")];
    [bound.concat(), complete("INSERT 0 1"), ready(b'I')].concat()
}
