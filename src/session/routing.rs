//! Which of the client's next messages make up a read that may be asked elsewhere.

use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::Notify;

use super::machine::{Mode, Session};
use super::plan::{Era, changes_session};
use super::prepared::Prepared;
use super::reads::{Described, Extended, ReadRequest, ReadService, Sample};
use crate::config::Settings;
use crate::sql::{self, Kind, Script};
use crate::wire::{self, HEADER, Header, Target};

/// A drawn read and the bytes of the client that ask for it.
#[derive(Debug)]
pub struct Drawn {
    /// How many bytes at the front of the client's input.
    pub size: usize,
    /// What to ask.
    pub request: ReadRequest,
    parsed: Option<Arc<Prepared>>,
}

/// The messages of a read, taken apart.
struct Series {
    size: usize,
    sql: Bytes,
    extended: Option<Extended>,
    parsed: Option<Arc<Prepared>>,
}

impl Session {
    /// The read at the front of `input`, if it sees no more than what is committed, the read is whole, and the dice of `service` draw it.
    /// `number` was drawn at connect, `settings` hold for the open block.
    pub fn drawn(
        &self,
        input: &[u8],
        cache: &sql::Cache,
        service: &dyn ReadService,
        number: u64,
        settings: Option<&Arc<Settings>>,
        cancelled: &Arc<Notify>,
    ) -> Option<Drawn> {
        if self.mode == Mode::Unread || !service.is_on() {
            return None;
        }
        let status = self.reads_what_is_committed()?;
        let series = self.series(input)?;
        let parameters = series.extended.as_ref().map_or(&[][..], |extended| &extended.bind);
        let query = rapidhash::v3::rapidhash_v3_seeded(
            parameters,
            &rapidhash::v3::RapidSecrets::seed(rapidhash::v3::rapidhash_v3(&series.sql)),
        );
        let lot = service.draws(&Sample { query, session: number, settings })?;
        if !self.reads_alike(&series.sql) {
            return None;
        }
        let script = cache.analyze(&series.sql);
        if !is_one_read(&script) {
            return None;
        }
        let request = ReadRequest {
            sql: series.sql,
            script,
            profile: self.settings.shared_profile(),
            own_writes: None,
            extended: series.extended,
            cancelled: Arc::clone(cancelled),
            status,
            settings: settings.cloned(),
            lot,
        };
        Some(Drawn { size: series.size, request, parsed: series.parsed })
    }

    /// A drawn read was answered by the shadow: its messages never reach the primary.
    pub fn served(&mut self, drawn: &Drawn) {
        if let Some(prepared) = &drawn.parsed {
            self.names.statements.set(b"", Arc::clone(prepared));
            self.names.unnamed_elsewhere = true;
        } else if drawn.request.extended.is_none() {
            self.names.statements.forget(b"");
            self.names.unnamed_elsewhere = true;
        }
    }

    fn series(&self, input: &[u8]) -> Option<Series> {
        let (tag, body, size) = message(input)?;
        if tag == b'Q' {
            let (sql, _) = wire::cstring(body).ok()?;
            return Some(Series { size, sql: Bytes::copy_from_slice(sql), extended: None, parsed: None });
        }
        self.extended_series(input)
    }

    /// `Parse? Describe(statement)? Bind Describe? Execute Sync`, with the unnamed portal. Rows that a limit leaves could be
    /// asked for in a transaction block only: there none may be left.
    fn extended_series(&self, input: &[u8]) -> Option<Series> {
        let mut messages = Messages { input, at: 0 };
        let parsed = match messages.take(b'P') {
            Some(body) => Some(parse_unnamed(body)?),
            None => None,
        };
        let described_first = match messages.take(b'D') {
            Some(body) => match wire::close_or_describe(body).ok()? {
                Target::Statement(name) => Some(name),
                Target::Portal(_) => return None,
            },
            None => None,
        };
        let body = messages.take(b'B')?;
        let bind = wire::bind(body).ok()?;
        let described = match messages.take(b'D') {
            Some(body) => match wire::close_or_describe(body).ok()? {
                Target::Portal(b"") => Described::Portal,
                Target::Statement(name) if name == bind.statement => Described::Statement,
                _ => return None,
            },
            None => Described::Nothing,
        };
        let execute = wire::execute(messages.take(b'E')?).ok()?;
        messages.take(b'S')?;
        let names_fit = bind.portal.is_empty()
            && execute.portal.is_empty()
            && described_first.is_none_or(|name| name == bind.statement)
            && (parsed.is_none() || bind.statement.is_empty());
        if !names_fit || execute.limit > 0 && self.is_in_block() {
            return None;
        }
        let prepared = parsed.clone().or_else(|| self.names.statements.get(bind.statement).cloned())?;
        let extended = Extended {
            parameter_types: prepared.types.clone(),
            parse: parsed.is_some(),
            describe_statement: described_first.is_some(),
            bind: Bytes::copy_from_slice(bind.rest),
            described,
            limit: execute.limit,
        };
        Some(Series { size: messages.at, sql: prepared.sql.clone(), extended: Some(extended), parsed })
    }
}

/// Whole messages at the front of the input.
struct Messages<'a> {
    input: &'a [u8],
    at: usize,
}

impl<'a> Messages<'a> {
    /// The body of the next message if it has this tag.
    fn take(&mut self, expected: u8) -> Option<&'a [u8]> {
        let (tag, body, size) = message(&self.input[self.at..])?;
        (tag == expected).then(|| {
            self.at += size;
            body
        })
    }
}

fn message(input: &[u8]) -> Option<(u8, &[u8], usize)> {
    let Header { tag, size } = wire::header(input).ok()??;
    Some((tag, input.get(HEADER..size)?, size))
}

fn parse_unnamed(body: &[u8]) -> Option<Arc<Prepared>> {
    let parse = wire::parse(body).ok()?;
    let (sql, types, era) = (Bytes::copy_from_slice(parse.sql), parse.types(), Era::default());
    let prepared = Prepared { sql, types, step: None, era, shape: None };
    parse.name.is_empty().then(|| Arc::new(prepared))
}

fn is_one_read(script: &Script) -> bool {
    match script.statements.as_slice() {
        [statement] => matches!(&*statement.kind, Kind::Read(read) if !changes_session(read)),
        _ => false,
    }
}
