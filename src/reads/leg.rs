//! One connection to the shadow, and one read over it: brought to the session's role and settings, prepared, bound, executed,
//! in a single write; the answers taken apart again.
//!
//! Every read goes as an extended one, so that the switch of role and settings and the read are one transaction: when the
//! switch is refused the read is not run, and when the read fails the switch never was.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures_util::FutureExt;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::runtime::{Handle, Id};

use super::frames::{self, Cut, Cutter, Malformed};
use super::messages;
use super::row_description::{has_foreign_column, has_foreign_parameter, translated};
use super::statements::{Description, Statements, Text};
use super::switch;
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

/// Why a read was not answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Trouble {
    /// The connection is gone, or what came over it is no answer.
    Lost,
    /// The shadow said no; the connection is as good as before.
    Refused([u8; 5]),
    /// Nothing came in time.
    Slow,
    /// A parameter or a column of the result is of a type whose oid means nothing to the client.
    UserType,
}

impl From<io::Error> for Trouble {
    fn from(_: io::Error) -> Self {
        Self::Lost
    }
}

impl From<Malformed> for Trouble {
    fn from(_: Malformed) -> Self {
        Self::Lost
    }
}

impl Trouble {
    /// Whether it speaks against the shadow: errors in the data asked for are the same on the primary, and a
    /// connection that ends is the pool's affair.
    pub(super) fn is_the_shadows(self) -> bool {
        match self {
            Self::Slow => true,
            Self::Refused(sqlstate) => !sqlstate.starts_with(b"22") && !sqlstate.starts_with(b"57P"),
            Self::Lost | Self::UserType => false,
        }
    }
}

/// What comes once the read runs.
#[derive(Debug)]
pub(super) enum Piece {
    /// DataRows, for the client as they are.
    Rows(Bytes),
    /// CommandComplete.
    Complete(Bytes),
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
    /// Something was sent that is not answered to the end.
    busy: bool,
}

/// What one write holds, and so what is to be answered.
struct Sent {
    evicted: bool,
    switches: usize,
    /// The statement is prepared anew, under this name.
    prepared: Option<String>,
    text: Text,
}

impl Leg {
    /// Connects and logs in.
    pub(super) async fn connect(url: &PgUrl, timeout: Duration) -> Result<Self, RawError> {
        let connection = server::connect_raw(url, &START, timeout).await?;
        let profile = Profile { role: url.user.clone(), ..Profile::default() };
        let (cutter, statements) = (Cutter::default(), Statements::default());
        let home = Handle::current().id();
        Ok(Self { connection, cutter, home, profile: Arc::new(profile), statements, busy: false })
    }

    /// Whether it was opened by this runtime.
    pub(super) fn is_of(&self, runtime: Id) -> bool {
        self.home == runtime
    }

    /// Whether a read of `profile` needs no switch.
    pub(super) fn has(&self, profile: &Profile) -> bool {
        *self.profile == *profile
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
        let mut out = BytesMut::new();
        messages::sync(&mut out);
        self.busy = true;
        self.connection.stream.write_all(&out).await?;
        self.connection.stream.flush().await?;
        if matches!(self.piece().await?, Piece::Ready) { Ok(()) } else { Err(Trouble::Lost) }
    }

    /// Sends the read and takes the answers up to its first row: what the client must get before that.
    pub(super) async fn start(
        &mut self,
        request: &ReadRequest,
        profile: &Arc<Profile>,
        twins: &Twins,
    ) -> Result<BytesMut, Trouble> {
        let mut out = BytesMut::new();
        let sent = self.compose(&mut out, request, profile);
        self.busy = true;
        self.connection.stream.write_all(&out).await?;
        self.connection.stream.flush().await?;
        if sent.evicted {
            self.take(b'3').await?;
        }
        for _ in 0..sent.switches {
            self.switched().await?;
        }
        let translate = |frame: &Bytes| translated(frame, |table, number| twins.primary(table, number));
        let mut preface = BytesMut::new();
        if let Some(extended) = &request.extended {
            let description = self.described(&sent).await?;
            self.take(b'2').await?;
            if extended.parse {
                preface.extend_from_slice(messages::PARSE_COMPLETE);
            }
            let describe = |preface: &mut BytesMut| -> Result<(), Trouble> {
                preface.extend_from_slice(&description.parameters);
                preface.extend_from_slice(&translate(&description.row)?);
                Ok(())
            };
            if extended.describe_statement {
                describe(&mut preface)?;
            }
            preface.extend_from_slice(messages::BIND_COMPLETE);
            if extended.described == Described::Statement {
                describe(&mut preface)?;
            }
        } else {
            self.take(b'1').await?;
            self.take(b'2').await?;
        }
        if describes_portal(request) {
            let row = self.row_description().await?;
            preface.extend_from_slice(&translate(&row)?);
        }
        self.profile = Arc::clone(profile);
        Ok(preface)
    }

    /// The next of the running read. Safe to be dropped half-way and called again.
    pub(super) async fn piece(&mut self) -> Result<Piece, Trouble> {
        match self.cut().await? {
            Cut::Rows(rows) => Ok(Piece::Rows(rows)),
            Cut::Message { tag: b'C', frame } => Ok(Piece::Complete(frame)),
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

    fn compose(&mut self, out: &mut BytesMut, request: &ReadRequest, profile: &Arc<Profile>) -> Sent {
        let parameter_types = request.extended.as_ref().map(|extended| extended.parameter_types.clone());
        let text = Text {
            sql: request.sql.clone(),
            parameter_types: parameter_types.unwrap_or_default(),
            profile: Arc::clone(profile),
        };
        let switches = if self.has(profile) { Vec::new() } else { switch::statements(&self.profile, profile) };
        let mut sent = Sent { evicted: false, switches: switches.len(), prepared: None, text };
        let found = request.extended.as_ref().and_then(|_| Some(self.statements.find(&sent.text)?.name.clone()));
        if request.extended.is_some() && found.is_none() {
            if let Some(name) = self.statements.make_room() {
                messages::close(out, &name);
                sent.evicted = true;
            }
            sent.prepared = Some(self.statements.new_name());
        }
        for switch in &switches {
            messages::parse(out, "", switch.as_bytes(), &[]);
            messages::bind(out, "", messages::BIND_NOTHING);
            messages::execute(out);
        }
        match &request.extended {
            None => {
                messages::parse(out, "", &request.sql, &[]);
                messages::bind(out, "", messages::BIND_NOTHING);
            }
            Some(Extended { bind, .. }) => {
                if let Some(name) = &sent.prepared {
                    messages::parse(out, name, &request.sql, &sent.text.parameter_types);
                    messages::describe_statement(out, name);
                }
                messages::bind(out, found.as_ref().or(sent.prepared.as_ref()).map_or("", String::as_str), bind);
            }
        }
        if describes_portal(request) {
            messages::describe_portal(out);
        }
        messages::execute(out);
        messages::sync(out);
        sent
    }

    /// How the shadow describes the statement; asked once, when it is prepared.
    async fn described(&mut self, sent: &Sent) -> Result<Description, Trouble> {
        let Some(name) = &sent.prepared else {
            return self.statements.find(&sent.text).map(|prepared| prepared.description.clone()).ok_or(Trouble::Lost);
        };
        self.take(b'1').await?;
        // Refused from here on, the statement stays behind on the shadow, unknown to us: better a new connection.
        let parameters = self.take(b't').await.map_err(|_| Trouble::Lost)?;
        if has_foreign_parameter(&parameters)? {
            return Err(Trouble::UserType);
        }
        let row = match self.row_description().await {
            Err(Trouble::Refused(_)) => return Err(Trouble::Lost),
            other => other?,
        };
        let description = Description { parameters, row };
        self.statements.add(name.clone(), sent.text.clone(), description.clone());
        Ok(description)
    }

    async fn row_description(&mut self) -> Result<Bytes, Trouble> {
        let (tag, frame) = self.message().await?;
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

    async fn take(&mut self, expected: u8) -> Result<Bytes, Trouble> {
        let (tag, frame) = self.message().await?;
        if tag == expected { Ok(frame) } else { Err(Trouble::Lost) }
    }

    async fn message(&mut self) -> Result<(u8, Bytes), Trouble> {
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
        loop {
            if let Some(cut) = self.cutter.cut(&mut self.connection.buffer)? {
                return Ok(cut);
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
