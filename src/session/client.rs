//! What the client sends, on its way to the primary.

use std::sync::Arc;

use bytes::Bytes;

use super::accounts::{Accounts, Env};
use super::machine::{Mode, Session, SessionError};
use super::outstanding::{Request, Steps};
use super::plan::{Era, Plan, Step};
use super::prepared::{Portal, Prepared, RowFormat};
use super::question::{self, Question};
use super::splice::Splice;
use crate::sql::{APPENDED_COLUMNS, Kind, Script, Statement};
use crate::wire::{self, HEADER, Header, Malformed, Passing, Target};

/// A longer message is not held whole: its names are looked at, and the rest passes.
const HELD: usize = 1 << 20;

/// Raised by the primary itself in place of refused DDL, so that it stands in its order among the answers.
const REFUSAL: &str = "DO $crossfade$ BEGIN RAISE EXCEPTION USING ERRCODE = 'feature_not_supported', \
     MESSAGE = 'crossfade refuses DDL while it mirrors this database', \
     HINT = 'mirror.ddl = \"refuse\" is set: run it on both databases yourself, or set mirror.ddl to \"mirror\".'; \
     END $crossfade$";

/// A message at its place in the chunk.
pub(super) struct Message<'a> {
    pub(super) at: usize,
    pub(super) size: usize,
    /// As much of it as is there, at least the header: all of it unless it is longer than [`HELD`].
    pub(super) bytes: &'a [u8],
}

impl<'a> Message<'a> {
    pub(super) fn tag(&self) -> u8 {
        self.bytes[0]
    }

    pub(super) fn body(&self) -> &'a [u8] {
        &self.bytes[HEADER..]
    }

    fn is_whole(&self) -> bool {
        self.bytes.len() == self.size
    }
}

/// A change to a query text: replace `cut` bytes at `at`.
struct TextEdit {
    at: usize,
    cut: usize,
    insert: String,
}

impl Session {
    /// Takes what the client sent. Gives how many bytes of it are to be forwarded, with `splice` applied; the rest is the
    /// front of a message that is to come again when more of it is there.
    pub fn client(
        &mut self,
        input: &[u8],
        env: &Env<'_>,
        accounts: &mut impl Accounts,
        splice: &mut Splice,
    ) -> Result<usize, SessionError> {
        if self.mode == Mode::Unread {
            return self.pass_up(input);
        }
        let mut at = 0;
        loop {
            let header = self.client_passes.next(input, &mut at).map_err(SessionError::Client)?;
            let Some(Header { tag, size }) = header else { return Ok(at) };
            let there = input.len() - at;
            if !matches!(tag, b'Q' | b'P' | b'B' | b'E' | b'D' | b'C' | b'S' | b'H' | b'F' | b'c' | b'f' | b'X') {
                self.client_passes = Passing::over(size);
                continue;
            }
            if there < size.min(HELD) {
                return Ok(at);
            }
            let message = Message { at, size, bytes: &input[at..at + size.min(there)] };
            self.waits = self.has_to_wait(&message);
            if self.waits {
                return Ok(at);
            }
            if let Err(Malformed(_)) = self.request(&message, env, accounts, splice) {
                // The server refuses it in its own words, as it refuses an unknown portal.
                self.outstanding.push(Request::Execute { portal: None });
            }
            self.client_passes = Passing::over(size);
        }
    }

    pub(super) fn request(
        &mut self,
        message: &Message<'_>,
        env: &Env<'_>,
        accounts: &mut impl Accounts,
        splice: &mut Splice,
    ) -> Result<(), Malformed> {
        let tag = message.tag();
        if tag == b'X' {
            self.farewell = true;
            return Ok(());
        }
        if self.skipping {
            if tag == b'S' {
                self.skipping = false;
                self.outstanding.push(Request::Sync);
            }
            return Ok(());
        }
        let is_first = self.stands_alone();
        match tag {
            b'Q' => self.query(message, env, accounts, splice),
            b'P' => self.parse(message, env, splice)?,
            b'B' => self.bind(message, env, splice)?,
            b'D' => self.describe(message, env, splice)?,
            b'E' => self.execute(message, env, accounts, splice)?,
            b'C' => self.close(message)?,
            b'F' => {
                // A fast-path call may run any function.
                let opaque = crate::effect::Touched::All;
                self.touched.extend(&opaque);
                self.outstanding.announce();
                accounts.enter(&opaque);
                self.outstanding.push(Request::FunctionCall);
            }
            b'H' => {}
            b'S' if self.copying => {}
            b'S' => {
                self.ask_before_sync(message.at, env, splice);
                self.outstanding.push(Request::Sync);
            }
            // Outside of COPY the server ignores them.
            _ if self.outstanding.is_empty() => {}
            _ => {
                self.copying = false;
                self.outstanding.push(Request::CopyEnd);
            }
        }
        self.keep(message, is_first);
        Ok(())
    }

    fn query(&mut self, message: &Message<'_>, env: &Env<'_>, accounts: &mut impl Accounts, splice: &mut Splice) {
        let text = message.body().split(|&byte| byte == 0).next().unwrap_or_default();
        let script = self.analyze(if message.is_whole() { text } else { message.body() }, env);
        let text = std::str::from_utf8(text).unwrap_or_default();
        let mut steps: Vec<Step> = Vec::new();
        for index in 0..script.statements.len() {
            let step = self.executing(self.planner(env).step(&script, index, text));
            self.foresee(&step);
            // By then its names may stand for others.
            let is_elsewhere = steps.iter().any(Step::may_change_names);
            steps.push(if is_elsewhere { step.of_any_table() } else { step });
        }
        if steps.iter().all(Step::is_quiet) && !self.settings.is_doubted() {
            self.outstanding.push(Request::Query(Steps::Quiet));
            return;
        }
        let question = if message.is_whole() { self.question(&steps, env) } else { Question::No };
        for step in &steps {
            self.announce(step, accounts);
        }
        let mut edits: Vec<TextEdit> = steps.iter().filter_map(text_edit).collect();
        edits.extend(question::insertion(&question, text).map(|(at, insert)| TextEdit { at, cut: 0, insert }));
        let shifts = shifts(text, &edits);
        edit_text(message, 0, edits, splice);
        self.outstanding.push(Request::Query(Steps::Each { steps: steps.into(), shifts, question }));
    }

    /// What is said of a text, if the server reads it as we do.
    fn analyze(&self, text: &[u8], env: &Env<'_>) -> Arc<Script> {
        if self.reads_alike(text) { env.cache.analyze(text) } else { Arc::new(Script::opaque(text)) }
    }

    /// An SQL EXECUTE of a statement that was prepared by the protocol runs it as it was rewritten.
    pub(super) fn executing(&self, step: Step) -> Step {
        let Kind::Execute { name, calls } = step.kind() else { return step };
        let calls = *calls;
        let prepared = self.names.statements.get(name.as_bytes());
        match prepared.and_then(|prepared| prepared.capture()) {
            Some(capture) => step.captured_before(capture, calls),
            None => step,
        }
    }

    fn parse(&mut self, message: &Message<'_>, env: &Env<'_>, splice: &mut Splice) -> Result<(), Malformed> {
        let (name, rest) = wire::cstring(message.body())?;
        let name_size = name.len() + 1;
        let planner = self.planner(env);
        let (sql, types, step) = if message.is_whole() {
            let parse = wire::parse(message.body())?;
            let script = self.analyze(parse.sql, env);
            let text = std::str::from_utf8(parse.sql).unwrap_or_default();
            let step = (script.statements.len() == 1).then(|| planner.step(&script, 0, text));
            edit_text(message, name_size, step.iter().filter_map(text_edit).collect(), splice);
            (Bytes::copy_from_slice(parse.sql), parse.types(), step)
        } else {
            let script = self.analyze(rest, env);
            (Bytes::new(), Vec::new(), Some(planner.step(&script, 0, "")))
        };
        let era = planner.era();
        let mut prepared = Prepared { sql, types, step: step.map(|step| self.executing(step)), era, shape: None };
        prepared.shape = prepared.capture().map(|capture| Arc::clone(&capture.shape));
        self.ask_parse(name, Arc::new(prepared));
        Ok(())
    }

    fn bind(&mut self, message: &Message<'_>, env: &Env<'_>, splice: &mut Splice) -> Result<(), Malformed> {
        let (portal, rest) = wire::cstring(message.body())?;
        let (name, _) = wire::cstring(rest)?;
        self.change_if_elsewhere(name, message.at, splice);
        let Some(prepared) = self.follow(name, message.at, env, splice) else {
            // If there is one, SQL has prepared it.
            let kind = Kind::Execute { name: String::from_utf8_lossy(name).into_owned(), calls: false };
            let statements = vec![Statement { span: 0..0, kind: Arc::new(kind) }];
            let step = self.planner(env).step(&Arc::new(Script { statements }), 0, "");
            let unknown =
                Prepared { sql: Bytes::new(), types: Vec::new(), step: Some(step), era: Era::default(), shape: None };
            self.ask_bind(portal, Some(Portal { prepared: Arc::new(unknown), rows: RowFormat::Text }));
            return Ok(());
        };
        let rows = match prepared.capture() {
            Some(capture) if message.is_whole() => bind_formats(message, capture.own_columns, splice)?,
            Some(_) => RowFormat::Unknown,
            None => RowFormat::Text,
        };
        self.ask_bind(portal, Some(Portal { prepared, rows }));
        Ok(())
    }

    fn describe(&mut self, message: &Message<'_>, env: &Env<'_>, splice: &mut Splice) -> Result<(), Malformed> {
        let statement = match wire::close_or_describe(message.body())? {
            Target::Statement(name) => {
                self.change_if_elsewhere(name, message.at, splice);
                self.follow(name, message.at, env, splice)
            }
            Target::Portal(name) => self.names.portals.get(name).map(|portal| Arc::clone(&portal.prepared)),
        };
        self.outstanding.push(Request::Describe { statement });
        Ok(())
    }

    fn execute(
        &mut self,
        message: &Message<'_>,
        env: &Env<'_>,
        accounts: &mut impl Accounts,
        splice: &mut Splice,
    ) -> Result<(), Malformed> {
        let execute = wire::execute(message.body())?;
        let portal = self.names.portals.get(execute.portal).cloned();
        if let Some(step) = portal.as_ref().and_then(|portal| portal.prepared.step.as_ref()) {
            self.ask_before_commit(step, message.at, env, splice);
            self.foresee(step);
            self.announce(step, accounts);
            if let Plan::Captured(capture) = &step.plan
                && !capture.own_columns
                && execute.limit > 0
            {
                splice.replace(message.at + HEADER + execute.limit_at, 4, &[0; 4]);
            }
        }
        self.outstanding.push(Request::Execute { portal });
        Ok(())
    }

    fn close(&mut self, message: &Message<'_>) -> Result<(), Malformed> {
        self.ask_close(wire::close_or_describe(message.body())?);
        Ok(())
    }

    /// The unnamed statement was changed on the shadow and is now wanted on the primary: puts a Parse or Close in front.
    fn change_if_elsewhere(&mut self, statement: &[u8], at: usize, splice: &mut Splice) {
        let names = &self.names;
        let is_asked = names.statements.is_asked_in(b"", self.outstanding.series());
        if !statement.is_empty() || !names.unnamed_elsewhere || is_asked {
            return;
        }
        if let Some(prepared) = names.statements.get(b"").cloned() {
            splice.replace(at, 0, &wire::parse_message(b"", &prepared.sql, &prepared.types));
            self.ask_parse(b"", prepared);
            self.hide_answer(b'1');
        } else {
            splice.replace(at, 0, &wire::close_statement_message(b""));
            self.ask_close(Target::Statement(b""));
            self.hide_answer(b'3');
        }
    }
}

/// What is done to the text of one statement.
fn text_edit(step: &Step) -> Option<TextEdit> {
    match &step.plan {
        Plan::Captured(capture) => {
            Some(TextEdit { at: capture.rewrite.at, cut: 0, insert: capture.rewrite.insert.clone() })
        }
        Plan::Refused => {
            let span = step.span();
            Some(TextEdit { at: span.start, cut: span.len(), insert: REFUSAL.to_owned() })
        }
        Plan::Quiet | Plan::Marked(_) | Plan::Unmirrored => None,
    }
}

/// A text as the primary gets it.
pub(super) fn rewritten(sql: &[u8], step: Option<&Step>) -> Vec<u8> {
    let mut splice = Splice::default();
    if let Some(TextEdit { at, cut, insert }) = step.and_then(text_edit) {
        splice.replace(at, cut, insert.as_bytes());
    }
    let mut text = Vec::new();
    splice.apply(sql, &mut text);
    text
}

/// Edits the text that stands `text_at` bytes into the body, and the message's length.
fn edit_text(message: &Message<'_>, text_at: usize, edits: Vec<TextEdit>, splice: &mut Splice) {
    if edits.is_empty() {
        return;
    }
    let grown: usize = edits.iter().map(|edit| edit.insert.len()).sum();
    let cut: usize = edits.iter().map(|edit| edit.cut).sum();
    let length = (message.size - 1 + grown - cut) as u32;
    splice.replace(message.at + 1, 4, &length.to_be_bytes());
    for edit in edits {
        splice.replace(message.at + HEADER + text_at + edit.at, edit.cut, edit.insert.as_bytes());
    }
}

/// From which character of the edited text on error positions are shifted, and by how many characters.
fn shifts(text: &str, edits: &[TextEdit]) -> Vec<(usize, usize)> {
    let mut shifts = Vec::new();
    let mut inserted = 0;
    for edit in edits.iter().filter(|edit| edit.cut == 0) {
        let characters = edit.insert.chars().count();
        shifts.push((text.get(..edit.at).map_or(0, |front| front.chars().count()) + inserted, characters));
        inserted += characters;
    }
    shifts
}

/// Sees to it that the appended columns come readable, whatever formats the client asked for.
fn bind_formats(message: &Message<'_>, own_columns: bool, splice: &mut Splice) -> Result<RowFormat, Malformed> {
    let bind = wire::bind(message.body())?;
    let formats_at = message.at + HEADER + bind.formats_at;
    let mut resize = |size: usize, at: usize, cut: usize, insert: &[u8], count: u16| {
        splice.replace(message.at + 1, 4, &(size as u32).to_be_bytes());
        splice.replace(formats_at, 2, &count.to_be_bytes());
        splice.replace(at, cut, insert);
    };
    let length = message.size - 1;
    match bind.formats() {
        0 => Ok(RowFormat::Text),
        count if !own_columns => {
            resize(length - 2 * count, formats_at + 2, 2 * count, &[], 0);
            Ok(RowFormat::Text)
        }
        1 if bind.all_binary() => Ok(RowFormat::Binary),
        1 => Ok(RowFormat::Text),
        count => {
            let appended = [0; 2 * APPENDED_COLUMNS];
            let total = u16::try_from(count + APPENDED_COLUMNS).map_err(|_| Malformed("too many result formats"))?;
            resize(length + appended.len(), formats_at + 2 + 2 * count, 0, &appended, total);
            Ok(RowFormat::Text)
        }
    }
}
