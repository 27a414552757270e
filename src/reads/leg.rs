//! One connection to the shadow, and one read over it: brought to the session's role and settings, prepared, bound, executed,
//! in a single write; the answers taken apart again.
//!
//! Every read goes as an extended one, so that the switch of role and settings and the read are one transaction: when the
//! switch is refused the read is not run, and when the read fails the switch never was.

use std::sync::Arc;
use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};
use futures_util::FutureExt;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::runtime::{Handle, Id};

use super::frames::{self, Cut, Cutter, Front};
use super::messages;
use super::row_description::{has_foreign_column, has_foreign_parameter};
use super::statements::{Description, Portal, Statements, Text};
use super::switch;
use super::trouble::Trouble;
use super::twins::Twins;
use crate::config::PgUrl;
use crate::server::{self, RawConnection, RawError};
use crate::session::{Described, Extended, Profile, ReadRequest};

/// How much is read at a time.
const READ_BYTES: usize = 32 << 10;

/// What a connection starts with. The pinned ones are the server's own defaults, whatever the shadow's configuration or
/// the role we log in as make of them: a profile names only what differs from those.
const START: [(&str, &str); 16] = [
    ("application_name", "crossfade-reads"),
    ("client_encoding", "UTF8"),
    ("default_transaction_read_only", "on"),
    ("default_transaction_isolation", "read committed"),
    ("search_path", "\"$user\", public"),
    ("DateStyle", "ISO, MDY"),
    ("IntervalStyle", "postgres"),
    ("extra_float_digits", "1"),
    ("bytea_output", "hex"),
    ("xmloption", "content"),
    ("xmlbinary", "base64"),
    ("array_nulls", "on"),
    ("transform_null_equals", "off"),
    ("default_text_search_config", "pg_catalog.simple"),
    ("row_security", "on"),
    ("statement_timeout", "0"),
];

/// What comes once the read runs.
#[derive(Debug)]
pub(super) enum Piece {
    /// DataRows, for the client as they are.
    Rows(Bytes),
    /// CommandComplete.
    Complete(Bytes),
    /// PortalSuspended: there may be more rows than were wanted.
    Suspended(Bytes),
    /// ErrorResponse.
    Error(Bytes),
    /// The connection is free again.
    Ready,
}

/// A connection to the shadow.
#[derive(Debug)]
pub(super) struct Leg {
    connection: RawConnection,
    cutter: Cutter,
    /// Whose runtime watches its socket: elsewhere each answer wakes another thread.
    home: Id,
    /// What it was last brought to.
    profile: Arc<Profile>,
    statements: Statements,
    /// How the portal of a simple read was described last: reads that differ in values alone give the same columns.
    described: Option<Portal>,
    /// What is sent at once.
    out: BytesMut,
    /// Something was sent that is not answered to the end.
    busy: bool,
}

/// What one write holds, and so what is to be answered.
struct Sent {
    evicted: bool,
    switches: usize,
    /// The statement is prepared anew, under this name.
    prepared: Option<String>,
}

/// What a running read gave next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum More {
    /// Rows, or what says that no more come.
    Some,
    /// The connection is free again.
    Ready,
}

impl Leg {
    /// Connects and logs in.
    pub(super) async fn connect(url: &PgUrl, timeout: Duration) -> Result<Self, RawError> {
        let connection = server::connect_raw(url, &START, timeout).await?;
        let profile = Profile { role: url.user.clone(), ..Profile::default() };
        let (cutter, statements) = (Cutter::default(), Statements::default());
        let home = Handle::current().id();
        let (profile, out) = (Arc::new(profile), BytesMut::new());
        Ok(Self { connection, cutter, home, profile, statements, described: None, out, busy: false })
    }

    /// Whether it was opened by this runtime.
    pub(super) fn is_of(&self, runtime: Id) -> bool {
        self.home == runtime
    }

    /// Whether a read of `profile` needs no switch.
    pub(super) fn has(&self, profile: &Arc<Profile>) -> bool {
        self.profile == *profile
    }

    /// Whether something it was sent may still run.
    pub(super) fn is_busy(&self) -> bool {
        self.busy
    }

    /// Whether the client has got a part of a row and not its rest.
    pub(super) fn is_inside_a_row(&self) -> bool {
        self.cutter.is_inside_a_row()
    }

    /// What a CancelRequest must repeat.
    pub(super) fn cancel_key(&self) -> &[u8] {
        &self.connection.cancel_key
    }

    /// Whether an idle connection can be used: the server has neither closed it nor said that it will.
    pub(super) fn is_alive(&mut self) -> bool {
        loop {
            match self.connection.stream.read_buf(&mut self.connection.buffer).now_or_never() {
                None => return matches!(self.cutter.cut(&mut self.connection.buffer), Ok(None)),
                Some(Ok(1..)) => {}
                Some(_) => return false,
            }
            if !matches!(self.cutter.cut(&mut self.connection.buffer), Ok(None)) {
                return false;
            }
        }
    }

    /// Asks the server for the smallest of answers.
    pub(super) async fn check(&mut self) -> Result<(), Trouble> {
        self.out.clear();
        messages::sync(&mut self.out);
        self.send().await?;
        if matches!(self.piece().await?, Piece::Ready) { Ok(()) } else { Err(Trouble::Lost) }
    }

    /// Sends the read of `text` and takes the answers up to its first row. `preface` gets what the client must get before
    /// that.
    pub(super) async fn start(
        &mut self,
        request: &ReadRequest,
        text: &Arc<Text>,
        twins: &Twins,
        preface: &mut BytesMut,
    ) -> Result<(), Trouble> {
        let sent = self.compose(request, text);
        self.send().await?;
        if sent.evicted {
            self.take(b'3').await?;
        }
        for _ in 0..sent.switches {
            self.switched().await?;
        }
        if let Some(extended) = &request.extended {
            self.prepared(sent, text).await?;
            self.take(b'2').await?;
            if extended.parse {
                preface.extend_from_slice(messages::PARSE_COMPLETE);
            }
            if extended.describe_statement {
                self.describe(text, twins, preface)?;
            }
            preface.extend_from_slice(messages::BIND_COMPLETE);
            if extended.described == Described::Statement {
                self.describe(text, twins, preface)?;
            }
        } else {
            self.take(b'1').await?;
            self.take(b'2').await?;
        }
        if describes_portal(request) {
            self.portal(request, text, twins, preface).await?;
        }
        if !Arc::ptr_eq(&self.profile, &text.profile) {
            self.profile = Arc::clone(&text.profile);
        }
        Ok(())
    }

    /// Puts what comes next of the running read behind `held`.
    pub(super) async fn more(&mut self, held: &mut BytesMut) -> Result<More, Trouble> {
        match self.front().await? {
            Front::Rows(size) | Front::Message { tag: b'C' | b's', size } => {
                held.extend_from_slice(&self.connection.buffer[..size]);
                self.connection.buffer.advance(size);
                Ok(More::Some)
            }
            Front::Message { tag: b'Z', size } if self.connection.buffer[..size] == *messages::READY => {
                self.connection.buffer.advance(size);
                self.busy = false;
                Ok(More::Ready)
            }
            Front::Message { tag: b'E', size } => {
                let frame = self.connection.buffer.split_to(size);
                Err(self.refused(&frame).await)
            }
            Front::Message { .. } => Err(Trouble::Lost),
        }
    }

    /// The next of the running read. Safe to be dropped half-way and called again.
    pub(super) async fn piece(&mut self) -> Result<Piece, Trouble> {
        match self.cut().await? {
            Cut::Rows(rows) => Ok(Piece::Rows(rows)),
            Cut::Message { tag: b'C', frame } => Ok(Piece::Complete(frame)),
            Cut::Message { tag: b's', frame } => Ok(Piece::Suspended(frame)),
            Cut::Message { tag: b'E', frame } => Ok(Piece::Error(frame)),
            Cut::Message { tag: b'Z', frame } if frame == messages::READY => {
                self.busy = false;
                Ok(Piece::Ready)
            }
            Cut::Message { .. } => Err(Trouble::Lost),
        }
    }

    /// Waits until nothing of what it was sent runs any more. Safe to be dropped half-way and called again.
    pub(super) async fn ends(&mut self) {
        while !matches!(self.cut().await, Ok(Cut::Message { tag: b'Z', .. }) | Err(_)) {}
    }

    async fn send(&mut self) -> Result<(), Trouble> {
        self.busy = true;
        self.connection.stream.write_all(&self.out).await?;
        self.connection.stream.flush().await?;
        Ok(())
    }

    fn compose(&mut self, request: &ReadRequest, text: &Arc<Text>) -> Sent {
        let Self { out, statements, .. } = self;
        out.clear();
        let switches =
            if self.profile == text.profile { Vec::new() } else { switch::statements(&self.profile, &text.profile) };
        let mut sent = Sent { evicted: false, switches: switches.len(), prepared: None };
        if request.extended.is_some() && statements.find(text).is_none() {
            if let Some(name) = statements.make_room() {
                messages::close(out, &name);
                sent.evicted = true;
            }
            sent.prepared = Some(statements.new_name());
        }
        for switch in &switches {
            messages::parse(out, "", switch.as_bytes(), &[]);
            messages::bind(out, "", messages::BIND_NOTHING);
            messages::execute(out, 0);
        }
        match (&request.extended, &sent.prepared) {
            (None, _) => {
                messages::parse(out, "", &request.sql, &[]);
                messages::bind(out, "", messages::BIND_NOTHING);
            }
            (Some(Extended { bind, .. }), Some(name)) => {
                messages::parse(out, name, &request.sql, &text.parameter_types);
                messages::describe_statement(out, name);
                messages::bind(out, name, bind);
            }
            (Some(Extended { bind, .. }), None) => {
                messages::bind(out, statements.find(text).map_or("", |prepared| &prepared.name), bind);
            }
        }
        if describes_portal(request) {
            messages::describe_portal(out);
        }
        messages::execute(out, request.extended.as_ref().map_or(0, |extended| extended.limit));
        messages::sync(out);
        sent
    }

    /// How the shadow describes the statement is asked once, when it is prepared.
    async fn prepared(&mut self, sent: Sent, text: &Arc<Text>) -> Result<(), Trouble> {
        let Some(name) = sent.prepared else { return Ok(()) };
        self.take(b'1').await?;
        // Refused from here on, the statement stays behind on the shadow, unknown to us: better a new connection.
        let parameters = self.message(b't').await.map_err(|_| Trouble::Lost)?;
        if has_foreign_parameter(&parameters)? {
            return Err(Trouble::UserType);
        }
        let row = match self.row_description().await {
            Err(Trouble::Refused(_)) => return Err(Trouble::Lost),
            other => other?,
        };
        self.statements.add(name, Arc::clone(text), Description { parameters, row });
        Ok(())
    }

    /// Of the statement, as the client gets it.
    fn describe(&mut self, text: &Arc<Text>, twins: &Twins, out: &mut BytesMut) -> Result<(), Trouble> {
        let Description { parameters, row } = &self.statements.find(text).ok_or(Trouble::Lost)?.description;
        out.extend_from_slice(parameters);
        out.extend_from_slice(&twins.translated(row)?);
        Ok(())
    }

    /// The portal's description, as the client gets it. It is the same each time, but for the formats asked for.
    async fn portal(
        &mut self,
        request: &ReadRequest,
        text: &Arc<Text>,
        twins: &Twins,
        out: &mut BytesMut,
    ) -> Result<(), Trouble> {
        let Front::Message { size, .. } = self.front().await? else { return Err(Trouble::Lost) };
        let known = match request.extended {
            Some(_) => self.statements.find(text).and_then(|prepared| prepared.portal.as_ref()),
            None => self.described.as_ref(),
        };
        if let Some(Portal { sent, translated, generations }) = known
            && self.connection.buffer[..size] == **sent
            && *generations == twins.generations()
        {
            out.extend_from_slice(translated);
            self.connection.buffer.advance(size);
            return Ok(());
        }
        let sent = self.row_description().await?;
        let (translated, generations) = (twins.translated(&sent)?, twins.generations());
        out.extend_from_slice(&translated);
        let portal = Some(Portal { sent: Bytes::copy_from_slice(&sent), translated, generations });
        match request.extended {
            Some(_) => {
                if let Some(prepared) = self.statements.find(text) {
                    prepared.portal = portal;
                }
            }
            None => self.described = portal,
        }
        Ok(())
    }

    async fn row_description(&mut self) -> Result<Bytes, Trouble> {
        let (tag, frame) = self.any_message().await?;
        match tag {
            b'T' if has_foreign_column(&frame)? => Err(Trouble::UserType),
            b'T' | b'n' => Ok(frame),
            _ => Err(Trouble::Lost),
        }
    }

    async fn switched(&mut self) -> Result<(), Trouble> {
        self.take(b'1').await?;
        self.take(b'2').await?;
        loop {
            match self.cut().await? {
                Cut::Rows(_) => {}
                Cut::Message { tag: b'C', .. } => return Ok(()),
                Cut::Message { tag: b'E', frame } => return Err(self.refused(&frame).await),
                Cut::Message { .. } => return Err(Trouble::Lost),
            }
        }
    }

    /// Such a message, of which nobody wants more.
    async fn take(&mut self, expected: u8) -> Result<(), Trouble> {
        match self.front().await? {
            Front::Message { tag, size } if tag == expected => {
                self.connection.buffer.advance(size);
                Ok(())
            }
            _ => self.message(expected).await.map(drop),
        }
    }

    async fn message(&mut self, expected: u8) -> Result<Bytes, Trouble> {
        let (tag, frame) = self.any_message().await?;
        if tag == expected { Ok(frame) } else { Err(Trouble::Lost) }
    }

    async fn any_message(&mut self) -> Result<(u8, Bytes), Trouble> {
        match self.cut().await? {
            Cut::Message { tag: b'E', frame } => Err(self.refused(&frame).await),
            Cut::Message { tag, frame } => Ok((tag, frame)),
            Cut::Rows(_) => Err(Trouble::Lost),
        }
    }

    /// After an error the server skips to Sync, which was sent with the read.
    pub(super) async fn refused(&mut self, frame: &[u8]) -> Trouble {
        match self.piece().await {
            Ok(Piece::Ready) => frames::sqlstate(frame).map_or(Trouble::Lost, Trouble::Refused),
            _ => Trouble::Lost,
        }
    }

    async fn cut(&mut self) -> Result<Cut, Trouble> {
        Ok(self.front().await?.cut(&mut self.connection.buffer))
    }

    /// What comes next. It stays in the buffer until it is taken off: a message is found again, of rows they must be at once.
    async fn front(&mut self) -> Result<Front, Trouble> {
        loop {
            if let Some(front) = self.cutter.front(&mut self.connection.buffer)? {
                return Ok(front);
            }
            self.connection.buffer.reserve(READ_BYTES);
            if self.connection.stream.read_buf(&mut self.connection.buffer).await? == 0 {
                return Err(Trouble::Lost);
            }
        }
    }
}

/// A simple Query describes its result, too.
fn describes_portal(request: &ReadRequest) -> bool {
    request.extended.as_ref().is_none_or(|extended| extended.described == Described::Portal)
}
