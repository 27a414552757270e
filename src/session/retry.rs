//! A refused rewrite, retried in its original form (rule 12).
//!
//! The primary may refuse what was added though it would have taken the client's own text: a privilege, a rule or a view of
//! which the catalog does not know yet. Where the statement stands alone between two ReadyForQuery, outside a transaction,
//! nothing has happened, and the client never learns of it: the refusal is withheld, its messages go out again as they
//! came, and the answer to them is the client's. What it writes then is marked. Answers that the client already has are
//! withheld when they come again.

use std::sync::Arc;

use bytes::Bytes;

use super::accounts::{Accounts, Env, RefusalOutcome};
use super::client::Message;
use super::machine::Session;
use super::outstanding::{Request, Steps};
use super::plan::{Capture, Plan, Step};
use super::prepared::Prepared;
use super::splice::Splice;
use crate::wire::{self, HEADER, Header, Malformed, Target, TransactionStatus};

/// insufficient_privilege, undefined_column, undefined_table, ambiguous_alias, feature_not_supported.
const REFUSALS: [&[u8]; 5] = [b"42501", b"42703", b"42P01", b"42P09", b"0A000"];

/// More than this is not kept: the client then gets the error.
const MOST: usize = 64 << 10;

const SYNC: [u8; 5] = [b'S', 0, 0, 0, 4];

/// What the client sent since the session was idle, while it may be sent again: one captured statement, by a Query or by at
/// most one Parse, Bind and Execute, and nothing behind its Sync.
#[derive(Debug, Default)]
pub(super) struct Group {
    /// As it came.
    bytes: Vec<u8>,
    /// Prepared in it or before.
    statement: Option<Arc<Prepared>>,
    /// Its end is there.
    ended: bool,
    /// Tags of the answers that the client has got.
    answers: Vec<u8>,
}

impl Group {
    /// Takes the message that made `request` in, or cannot.
    fn takes(&mut self, message: &Message<'_>, request: Option<&Request>) -> bool {
        let tag = message.tag();
        let is_first = self.bytes.is_empty();
        let fits = match tag {
            b'Q' => is_first && matches!(request, Some(Request::Query(steps)) if is_one_captured(steps)),
            b'D' => self.is_of(request),
            b'P' | b'B' | b'E' => !self.has(tag) && self.is_of(request),
            b'C' => true,
            b'H' | b'S' => !is_first,
            _ => false,
        };
        if !fits || self.ended || self.bytes.len() + message.size > MOST {
            return false;
        }
        self.ended = matches!(tag, b'Q' | b'S');
        self.bytes.extend_from_slice(message.bytes);
        true
    }

    /// Whether a request is about the one captured statement.
    fn is_of(&mut self, request: Option<&Request>) -> bool {
        let Some(statement) = request.and_then(Request::statement) else { return false };
        let known = self.statement.get_or_insert_with(|| Arc::clone(statement));
        Arc::ptr_eq(known, statement) && statement.capture().is_some()
    }

    fn messages(&self) -> impl Iterator<Item = (usize, Header)> {
        let mut at = 0;
        std::iter::from_fn(move || {
            let header = wire::header(self.bytes.get(at..)?).ok()??;
            let here = at;
            at += header.size;
            Some((here, header))
        })
    }

    fn has(&self, tag: u8) -> bool {
        self.messages().any(|(_, header)| header.tag == tag)
    }
}

impl Session {
    /// What is to be sent to the primary now, before anything else of the client's.
    pub fn take_again(&mut self) -> Option<Bytes> {
        self.again.take()
    }

    /// The client has closed: nothing can be sent again behind it.
    pub fn sends_no_more(&mut self) {
        self.may_retry = false;
    }

    /// Whether what is about to be forwarded is the first since the session was idle, outside a transaction.
    pub(super) fn stands_alone(&self) -> bool {
        self.status == Some(TransactionStatus::Idle) && self.outstanding.is_empty()
    }

    /// Keeps a message that was looked at, if all since the session was idle can be kept.
    pub(super) fn keep(&mut self, message: &Message<'_>, is_first: bool) {
        if is_first {
            self.group = Some(Group::default());
        }
        if let Some(group) = &mut self.group
            && !group.takes(message, self.outstanding.last())
        {
            self.group = None;
        }
    }

    /// An answer is about to reach the client.
    pub(super) fn answered(&mut self, tag: u8) {
        if let Some(group) = &mut self.group {
            group.answers.push(tag);
        }
    }

    /// Something is about to reach the client that cannot be said again.
    pub(super) fn answered_in_part(&mut self) {
        self.group = None;
    }

    /// Whether the error is a refusal that the client need not see; the original is then under way.
    pub(super) fn retry(
        &mut self,
        message: &[u8],
        env: &Env<'_>,
        accounts: &mut impl Accounts,
    ) -> Result<bool, Malformed> {
        let Some(capture) = self.refused(message) else { return Ok(false) };
        if self.refusals.note(capture.shape.table, env.catalog.generation) {
            accounts.refused();
        }
        let is_retried = self.retry_group(&capture, env, accounts)?;
        accounts.count_refusal(if is_retried { RefusalOutcome::Retried } else { RefusalOutcome::Told });
        Ok(is_retried)
    }

    fn retry_group(
        &mut self,
        capture: &Capture,
        env: &Env<'_>,
        accounts: &mut impl Accounts,
    ) -> Result<bool, Malformed> {
        let Some(group) = self.group.take() else { return Ok(false) };
        if !self.may_retry
            || self.farewell
            || !self.client_passes.is_between_messages()
            || self.is_told_by_the_text(&group, capture)
        {
            return Ok(false);
        }
        let mut again = Vec::new();
        if !self.skip() {
            again.extend_from_slice(&SYNC);
        }
        self.outstanding.refuse();
        self.send_again(&group, &mut again, env, accounts)?;
        self.again = Some(again.into());
        Ok(true)
    }

    /// The captured statement that the error is about, if its rewrite may have caused it.
    fn refused(&mut self, error: &[u8]) -> Option<Arc<Capture>> {
        let field =
            |wanted| wire::error_fields(&error[HEADER..]).find(|(code, _)| *code == wanted).map(|(_, text)| text);
        // With a context it was not raised by the statement itself, but by a function that it calls.
        if !REFUSALS.contains(&field(b'C')?) || field(b'W').is_some() {
            return None;
        }
        let position: Option<usize> = field(b'P').and_then(|text| std::str::from_utf8(text).ok()?.parse().ok());
        let is_added = |(from, by): (usize, usize)| position.is_none_or(|at| at > from && at <= from + by);
        match self.outstanding.head()? {
            Request::Query(Steps::Each { steps, shifts, .. }) => {
                let capture = captured(steps.front()?)?;
                shifts.iter().copied().any(is_added).then_some(capture)
            }
            request => {
                let statement = request.statement()?;
                let capture = statement.capture()?;
                let text = statement.sql.get(..capture.rewrite.at).unwrap_or_default();
                let characters = std::str::from_utf8(text).unwrap_or_default().chars().count();
                is_added((characters, capture.rewrite.insert.chars().count())).then(|| Arc::clone(capture))
            }
        }
    }

    /// Whether the primary refused, before it ran, a statement prepared earlier whose columns were described to the client:
    /// its own text may have to be refused as well, and Parse must not give those columns another meaning.
    fn is_told_by_the_text(&mut self, group: &Group, capture: &Capture) -> bool {
        let is_ours = self.outstanding.hidden().is_some();
        let looks_only = matches!(self.outstanding.head(), Some(Request::Bind { .. } | Request::Describe { .. }));
        capture.own_columns && looks_only && !is_ours && !group.has(b'P')
    }

    /// Has the group's messages looked at once more. Nothing that the table's refusal rules out is done to them.
    fn send_again(
        &mut self,
        group: &Group,
        again: &mut Vec<u8>,
        env: &Env<'_>,
        accounts: &mut impl Accounts,
    ) -> Result<(), Malformed> {
        let mut splice = Splice::default();
        let mut answers = group.answers.iter();
        for (at, Header { size, tag }) in group.messages() {
            let message = Message { at, size, bytes: &group.bytes[at..at + size] };
            self.close_if_parsed(&message, &mut splice)?;
            self.request(&message, env, accounts, &mut splice)?;
            if matches!(tag, b'P' | b'B' | b'D' | b'C')
                && let Some(answer) = answers.next()
            {
                self.hide_answer(*answer);
            }
        }
        splice.apply(&group.bytes, again);
        Ok(())
    }

    /// A named statement that was parsed outlives the refusal of what came behind, and its name can't be taken twice.
    fn close_if_parsed(&mut self, message: &Message<'_>, splice: &mut Splice) -> Result<(), Malformed> {
        if message.tag() == b'P' {
            let (name, _) = wire::cstring(message.body())?;
            if !name.is_empty() {
                splice.replace(message.at, 0, &wire::close_statement_message(name));
                self.ask_close(Target::Statement(name));
                self.hide_answer(b'3');
            }
        }
        Ok(())
    }
}

fn captured(step: &Step) -> Option<Arc<Capture>> {
    if let Plan::Captured(capture) = &step.plan { Some(Arc::clone(capture)) } else { None }
}

fn is_one_captured(steps: &Steps) -> bool {
    matches!(steps, Steps::Each { steps, .. } if steps.len() == 1 && steps.front().and_then(captured).is_some())
}
