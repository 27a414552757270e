//! What the primary answers, on its way to the client.

use super::accounts::{Accounts, Env};
use super::block::Block;
use super::capture::{self, Told};
use super::large::Large;
use super::machine::{Mode, Session, SessionError};
use super::outstanding::{Request, Steps};
use super::plan::{Plan, Step};
use super::prepared::{Outcome, RowFormat};
use super::splice::Splice;
use crate::effect::{Change, Mark, Reason, Touched};
use crate::sql::{APPENDED_COLUMNS, Kind};
use crate::wire::{self, HEADER, Header, Malformed, Passing, TransactionStatus};

impl Session {
    /// Takes what the primary answered. Gives how many bytes of it are for the client, with `splice` applied; the rest is
    /// the front of a message that is to come again when it is whole. What is committed has been told to `accounts`
    /// when this returns: only then may the bytes go out.
    pub fn server(
        &mut self,
        input: &[u8],
        env: &Env<'_>,
        accounts: &mut impl Accounts,
        splice: &mut Splice,
    ) -> Result<usize, SessionError> {
        if self.mode == Mode::Unread {
            return self.pass_down(input);
        }
        let mut at = 0;
        loop {
            let passed = self.server_passes.advance(input, &mut at);
            if self.server_drops {
                splice.replace(at - passed, passed, b"");
                self.server_drops = !self.server_passes.is_between_messages();
            }
            let Some(Header { tag, size }) = wire::header(&input[at..]).map_err(SessionError::Server)? else {
                return Ok(at);
            };
            if !self.looks_at(tag) {
                self.server_passes = Passing::over(size);
                continue;
            }
            if tag == b'D' {
                match self.large_row(&input[at..], size, at, splice) {
                    Large::No => {}
                    Large::Wait => return Ok(at),
                    Large::Cut(passes) => {
                        at += passes;
                        self.server_passes = Passing::over(size - passes);
                        self.server_drops = true;
                        continue;
                    }
                }
            }
            let Some(message) = input.get(at..at + size) else { return Ok(at) };
            self.answer(message, at, env, accounts, splice).map_err(SessionError::Server)?;
            self.server_passes = Passing::over(size);
        }
    }

    /// Whether a message is needed whole.
    fn looks_at(&mut self, tag: u8) -> bool {
        match tag {
            b'D' => self.captured().is_some() || self.awaits_answer(),
            b't' => self.outstanding.hidden().is_some(),
            b'N' => {
                self.answered_in_part();
                false
            }
            b'd' | b'c' | b'A' | b'R' | b'H' | b'W' | b'v' => false,
            _ => true,
        }
    }

    fn answer(
        &mut self,
        message: &[u8],
        at: usize,
        env: &Env<'_>,
        accounts: &mut impl Accounts,
        splice: &mut Splice,
    ) -> Result<(), Malformed> {
        let body = &message[HEADER..];
        self.outstanding.drop_copy_ends();
        if self.withhold_answer(message, at, env, splice) || self.withhold(message, at, splice)? {
            return Ok(());
        }
        match message[0] {
            b'D' => self.row(message, at, env, splice)?,
            b'T' => self.row_description(message, at, splice)?,
            tag @ (b'1' | b'2' | b'3' | b'n') => {
                self.answered(tag);
                drop(self.done());
            }
            b'C' => {
                self.tag(wire::cstring(body)?.0, accounts);
                self.hold_tag(message, at, splice);
            }
            b'I' => self.tag(b"", accounts),
            b's' => self.suspended(),
            b'G' => {
                if let Some(Request::Execute { .. } | Request::Query(_)) = self.outstanding.head() {
                    self.copying = !self.outstanding.copy_in();
                }
            }
            b'V' => {
                let mark = Mark::Tables { touched: Touched::All, reason: Reason::Opaque };
                self.transaction.untellable();
                self.transaction.push(None, Change::Mark(mark));
            }
            b'E' if self.retry(message, env, accounts)? => {
                self.failed = true;
                splice.replace(at, message.len(), b"");
            }
            b'E' => self.error(message, at, accounts, splice),
            b'Z' => {
                if let Some(Request::Refused) = self.outstanding.head() {
                    splice.replace(at, message.len(), b"");
                }
                self.ready(wire::ready_status(body)?, accounts);
            }
            b'S' => {
                let (name, value) = wire::parameter_status(body)?;
                self.settings.reported(name, value);
            }
            b'K' => self.cancel_key = Some(body.to_vec()),
            _ => {}
        }
        Ok(())
    }

    /// Takes out an answer that is not for the client: to a request of ours, or one that it has already.
    fn withhold(&mut self, message: &[u8], at: usize, splice: &mut Splice) -> Result<bool, Malformed> {
        let Some(expected) = self.outstanding.hidden() else { return Ok(false) };
        match message[0] {
            b't' => {}
            b'1' | b'2' | b'3' | b'n' | b'T' if message[0] != expected => {
                return Err(Malformed("another answer than before to a statement sent again"));
            }
            b'1' | b'2' | b'3' | b'n' | b'T' => drop(self.done()),
            _ => return Ok(false),
        }
        splice.replace(at, message.len(), b"");
        Ok(true)
    }

    /// The captured statement whose rows come now, and how.
    pub(super) fn captured(&mut self) -> Option<(std::sync::Arc<super::plan::Capture>, RowFormat)> {
        self.outstanding.drop_copy_ends();
        let (step, format) = match self.outstanding.head()? {
            Request::Query(Steps::Each { steps, .. }) => (steps.front()?, RowFormat::Text),
            Request::Execute { portal: Some(portal) } => (portal.prepared.step.as_ref()?, portal.rows),
            _ => return None,
        };
        if let Plan::Captured(capture) = &step.plan { Some((capture.clone(), format)) } else { None }
    }

    fn row(&mut self, message: &[u8], at: usize, env: &Env<'_>, splice: &mut Splice) -> Result<(), Malformed> {
        let Some((capture, format)) = self.captured() else { return Ok(()) };
        let told = if self.settings.prints_exactly(&capture.shape) {
            capture::told(&message[HEADER..], &capture, format, env)
        } else {
            Told::Unreadable(Reason::Settings)
        };
        match told {
            Told::Change(xid, change) => {
                let marks = capture::referring(&change, &capture);
                self.transaction.push(Some(xid), change);
                marks.into_iter().for_each(|mark| self.transaction.push(Some(xid), mark));
            }
            Told::Unmirrored => self.transaction.push_unmirrored(),
            Told::Undefined(touched) => self.transaction.push(None, capture::undefined(touched)),
            Told::Unreadable(reason) => self.transaction.push(None, capture::unreadable(&capture, reason)),
        }
        if capture.own_columns {
            self.answered_in_part();
            strip(message, at, splice)
        } else {
            splice.replace(at, message.len(), b"");
            Ok(())
        }
    }

    fn row_description(&mut self, message: &[u8], at: usize, splice: &mut Splice) -> Result<(), Malformed> {
        if let Some(Request::Describe { .. }) = self.outstanding.head() {
            let request = self.done();
            let statement = request.as_ref().and_then(Request::statement);
            let own_columns = statement.and_then(|statement| statement.capture()).map(|capture| capture.own_columns);
            self.answered(if own_columns == Some(false) { b'n' } else { b'T' });
            return match own_columns {
                None => Ok(()),
                Some(true) => strip(message, at, splice),
                Some(false) => {
                    splice.replace(at, message.len(), &wire::no_data());
                    Ok(())
                }
            };
        }
        match self.captured() {
            Some((capture, _)) if !capture.own_columns => {
                splice.replace(at, message.len(), b"");
                Ok(())
            }
            captured => {
                self.answered_in_part();
                if captured.is_some() { strip(message, at, splice) } else { Ok(()) }
            }
        }
    }

    /// CommandComplete or EmptyQueryResponse.
    fn tag(&mut self, tag: &[u8], accounts: &mut impl Accounts) {
        self.answered_in_part();
        let step = match self.outstanding.head() {
            // A text that was not read may have any number of statements.
            Some(Request::Query(Steps::Each { steps, .. })) => match steps.front() {
                Some(step) if steps.len() == 1 && matches!(step.kind(), Kind::Opaque) => Some(step.clone()),
                _ => steps.pop_front(),
            },
            Some(Request::Execute { .. }) => match self.done() {
                Some(Request::Execute { portal: Some(portal) }) => portal.prepared.step.clone(),
                _ => None,
            },
            _ => None,
        };
        let Some(step) = step else { return };
        let is_followed =
            !matches!(self.outstanding.head(), Some(Request::Query(Steps::Each { steps, .. })) if steps.is_empty());
        match step.kind() {
            Kind::Opaque => self.ran_unread(&step, tag, accounts),
            // What comes behind it before the next ReadyForQuery may fail.
            Kind::Procedure if is_followed => {
                self.commit_what_may_have_committed_inside(&step, accounts);
                self.completed(&step, tag, accounts);
            }
            _ => self.completed(&step, tag, accounts),
        }
    }

    /// Of a text that was not read: it may have begun and ended transactions. What it wrote is anything, and of what was
    /// written before it, it is not known whether it stands.
    fn ran_unread(&mut self, step: &Step, tag: &[u8], accounts: &mut impl Accounts) {
        self.transaction.discard();
        self.completed(step, tag, accounts);
        if [&b"COMMIT"[..], b"ROLLBACK", b"PREPARE TRANSACTION"].contains(&tag) {
            self.commit(accounts);
        }
    }

    /// PortalSuspended: rule 13, a captured portal that did not run to its end.
    fn suspended(&mut self) {
        self.answered_in_part();
        if let Some((capture, _)) = self.captured() {
            self.transaction.push(None, capture::unreadable(&capture, Reason::Portal));
        }
        // What functions wrote for the rows that came stays written, whether the others are asked for or not.
        if let Some(Request::Execute { portal: Some(portal) }) = self.done()
            && let Some(step) = &portal.prepared.step
        {
            if step.may_write_anything() {
                self.wrote(step, b"");
            }
            if step.sets_by_function() {
                self.settings.unknown();
                self.settings.unshareable();
            }
        }
    }

    fn error(&mut self, message: &[u8], at: usize, accounts: &mut impl Accounts, splice: &mut Splice) {
        self.failed = true;
        self.copying = false;
        self.farewell |= wire::is_fatal(&message[HEADER..]);
        self.group = None;
        let failed = match self.outstanding.head() {
            None | Some(Request::Sync | Request::FunctionCall | Request::Refused) => return,
            Some(Request::Query(steps)) => {
                let Steps::Each { steps, shifts, .. } = std::mem::replace(steps, Steps::Quiet) else { return };
                shift_position(message, at, &shifts, splice);
                steps.into_iter().next()
            }
            Some(Request::Execute { portal }) => portal.as_ref().and_then(|portal| portal.prepared.step.clone()),
            Some(_) => None,
        };
        if let Some(step) = failed {
            self.commit_what_may_have_committed_inside(&step, accounts);
        }
        self.skipping = !self.skip();
    }

    /// A procedure may have committed before it failed, outside of a transaction block.
    fn commit_what_may_have_committed_inside(&self, step: &Step, accounts: &mut impl Accounts) {
        let may_have = match step.kind() {
            Kind::Procedure => !self.in_block,
            kind => matches!(kind, Kind::Opaque),
        };
        if let Plan::Marked(marking) = &step.plan
            && may_have
        {
            let mark = Mark::Tables { touched: marking.touched.clone(), reason: marking.reason };
            accounts.commit(None, vec![Change::Mark(mark)]);
        }
    }

    /// Takes what the server skips after an error as if it had never been sent. `false`: the Sync up to which it skips was
    /// not sent yet.
    pub(super) fn skip(&mut self) -> bool {
        if matches!(self.outstanding.head(), Some(Request::Query(_))) {
            return true;
        }
        let names = &mut self.names;
        self.outstanding.skip_to_sync(|request| names.decide(request, Outcome::Undone))
    }

    fn ready(&mut self, status: TransactionStatus, accounts: &mut impl Accounts) {
        if self.status.replace(status).is_none() {
            // The end of the login. What the client has asked already comes behind it.
            return;
        }
        let names = &mut self.names;
        let decided = self.outstanding.ready(|request, outcome| names.decide(request, outcome));
        self.outstanding.drop_copy_ends();
        // Whatever was taken for part of a COPY: the server has read a Sync.
        self.skipping = false;
        self.copying = false;
        if status == TransactionStatus::Idle {
            self.block = Block::Bound;
            self.names.portals.forget_all();
            if self.failed {
                self.roll_back();
            } else {
                self.commit(accounts);
            }
        }
        self.failed = false;
        self.group = None;
        self.in_block = status != TransactionStatus::Idle;
        accounts.resolve(decided);
        if self.outstanding.is_empty() {
            self.temporary.answered();
            self.may_end_block = false;
            self.may_read_otherwise = false;
            if status == TransactionStatus::Idle {
                self.touched = Touched::NONE;
                if std::mem::take(&mut self.defines) {
                    accounts.defined();
                }
            }
        }
    }
}

/// Takes the appended columns off.
fn strip(message: &[u8], at: usize, splice: &mut Splice) -> Result<(), Malformed> {
    let strip = wire::strip_columns(message, APPENDED_COLUMNS)?;
    splice.replace(at, strip.front.len(), &strip.front);
    splice.replace(at + strip.size, message.len() - strip.size, b"");
    Ok(())
}

/// Error positions (field `P`) count characters of the text as the client sent it.
fn shift_position(message: &[u8], at: usize, shifts: &[(usize, usize)], splice: &mut Splice) {
    let Some((_, field)) = wire::error_fields(&message[HEADER..]).find(|(code, _)| *code == b'P') else { return };
    let Some(position) = std::str::from_utf8(field).ok().and_then(|field| field.parse::<usize>().ok()) else { return };
    let shift: usize = shifts.iter().filter(|(from, _)| position > *from).map(|(_, by)| by).sum();
    if shift == 0 {
        return;
    }
    let text = position.saturating_sub(shift).to_string();
    let field_at = at + (field.as_ptr() as usize - message.as_ptr() as usize);
    let length = (message.len() - 1 - field.len() + text.len()) as u32;
    splice.replace(at + 1, 4, &length.to_be_bytes());
    splice.replace(field_at, field.len(), text.as_bytes());
}
