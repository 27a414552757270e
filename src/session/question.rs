//! The tables that a transaction wrote, asked of the primary where code ran that may write any (rule 15): a function, DO,
//! a trigger. Whatever is written stays locked until the transaction ends, so a SELECT of ours that runs last in it can
//! tell. Its answer narrows the marks on all tables, which else stay.
//!
//! It is asked where nobody can tell: in front of a COMMIT with nothing under way, behind statements that stand alone in
//! one Query, and in front of the Sync of a series, if they neither begin nor end a transaction. What comes back for it is
//! taken out, and the tag of a Query's last statement comes when the transaction has committed, as it would without it.
//! Where such code has run and could not be asked, the next statements that stand alone are: what of the session it has
//! changed is to be known before a read of it goes elsewhere.
//! Whoever cancels just then has cancelled the commit: nothing is committed, and the client gets that error. Hence it is not
//! asked of a role that may not look, nor by a session whose statements have less than a second.

use super::accounts::Env;
use super::machine::Session;
use super::outstanding::{Executed, Request, Steps};
use super::plan::Step;
use super::splice::Splice;
use crate::effect::Touched;
use crate::sql::Kind;
use crate::wire::{self, HEADER, TransactionStatus};

/// Relations locked for writing, 0 for what the locks cannot tell yet: what a trigger or cursor will run at the commit.
/// Then what functions may have changed of the session. Indexes, sequences, views and temporary tables are left out.
const QUESTION: &str = "SELECT ARRAY(SELECT CASE WHEN c.relhastriggers AND EXISTS (SELECT FROM pg_catalog.pg_trigger AS t \
     WHERE t.tgrelid OPERATOR(pg_catalog.=) l.relation AND t.tgdeferrable AND t.tgfoid OPERATOR(pg_catalog.>=) '16384') \
     THEN '0' ELSE l.relation END \
     FROM pg_catalog.pg_locks AS l LEFT JOIN pg_catalog.pg_class AS c ON c.oid OPERATOR(pg_catalog.=) l.relation \
     WHERE l.pid OPERATOR(pg_catalog.=) pg_catalog.pg_backend_pid() \
     AND l.locktype OPERATOR(pg_catalog.=) 'relation' AND l.database OPERATOR(pg_catalog.<>) '0' \
     AND l.mode OPERATOR(pg_catalog.<>) ALL (ARRAY['AccessShareLock', 'RowShareLock', 'SIReadLock']) \
     AND (c.oid IS NULL OR c.relpersistence OPERATOR(pg_catalog.<>) 't' \
     AND c.relkind OPERATOR(pg_catalog.<>) ALL (ARRAY['i', 'I', 't', 'S', 'v', 'c'])) \
     UNION ALL SELECT '0' FROM pg_catalog.pg_cursors AS h WHERE h.is_holdable), \
     pg_catalog.current_setting('search_path'), CURRENT_USER, pg_catalog.pg_my_temp_schema(), \
     pg_catalog.current_setting('extra_float_digits')";

/// No client's statement or portal is called so.
const NAME: &[u8] = b"crossfade question";

/// Where a simple Query bears the question.
#[derive(Debug, Default)]
pub(super) enum Question {
    /// Nowhere, or it is answered.
    #[default]
    No,
    /// In front of the COMMIT.
    First,
    /// Behind the statements; the CommandComplete of the last of them, once it is there.
    Last(Option<Vec<u8>>),
}

/// What a primary says.
#[derive(Debug, PartialEq)]
pub(super) struct Answer {
    /// Oids of relations.
    pub(super) relations: Vec<u32>,
    pub(super) search_path: String,
    pub(super) role: String,
    /// The session has a schema for temporary tables.
    pub(super) temporary: bool,
    pub(super) extra_float_digits: i32,
}

impl Answer {
    /// From the body of a DataRow; `None`: not understood.
    fn read(body: &[u8]) -> Option<Self> {
        let fields = wire::data_row_fields(body).ok()?;
        let text = |index: usize| std::str::from_utf8((*fields.get(index)?)?).ok();
        let relations = text(0)?.strip_prefix('{')?.strip_suffix('}')?;
        let relations = relations.split(',').filter(|oid| !oid.is_empty()).map(|oid| oid.parse().ok());
        Some(Self {
            relations: relations.collect::<Option<_>>()?,
            search_path: text(1)?.to_owned(),
            role: text(2)?.to_owned(),
            temporary: text(3)? != "0",
            extra_float_digits: text(4)?.parse().ok()?,
        })
    }
}

impl Session {
    /// Where a Query of these statements is to bear the question.
    pub(super) fn question(&self, steps: &[Step], env: &Env<'_>) -> Question {
        if !self.may_ask(env) {
            return Question::No;
        }
        // At a COMMIT only a deferred trigger could see how the text has changed.
        let is_seen = |by_triggers: bool| env.catalog.texts_are_read && by_triggers;
        match steps {
            [commit] if commit.is_plain_commit() => {
                let is_alone = self.status == Some(TransactionStatus::InBlock) && self.outstanding.is_empty();
                let is_untold = self.transaction.is_untold() || self.settings.is_doubted();
                let asks = is_alone && is_untold && !is_seen(env.catalog.triggers_are_deferred);
                if asks { Question::First } else { Question::No }
            }
            steps => {
                let asks = self.stands_alone()
                    && (steps.iter().any(Step::may_write_anything) || self.settings.is_doubted() && !steps.is_empty())
                    && steps.iter().all(|step| step.stays_in_its_transaction() && !step.reads_its_text())
                    && !is_seen(true);
                if asks { Question::Last(None) } else { Question::No }
            }
        }
    }

    /// Asks in front of an Execute of this statement at `at`, if it is a COMMIT of what is not known.
    pub(super) fn ask_before_commit(&mut self, step: &Step, at: usize, env: &Env<'_>, splice: &mut Splice) {
        if step.is_plain_commit()
            && self.status == Some(TransactionStatus::InBlock)
            && !self.may_end_block
            && self.outstanding.only_prepares()
            && (self.transaction.is_untold() || self.settings.is_doubted())
            && self.may_ask(env)
        {
            self.ask(at, splice);
        }
    }

    /// Asks in front of a Sync at `at`, if it commits what is not known, or the session is not known any more.
    pub(super) fn ask_before_sync(&mut self, at: usize, env: &Env<'_>, splice: &mut Splice) {
        let asks = match self.outstanding.executed() {
            Executed::Untold => true,
            Executed::Known => self.settings.is_doubted(),
            Executed::Nothing | Executed::Other => false,
        };
        if asks && self.status == Some(TransactionStatus::Idle) && !self.outstanding.awaits_ready() && self.may_ask(env)
        {
            self.ask(at, splice);
        }
    }

    fn may_ask(&self, env: &Env<'_>) -> bool {
        let role = &self.settings.profile().role;
        !env.currency.is_nothing()
            && !self.defines
            && !self.failed
            && env.catalog.askers.contains(role)
            && self.settings.may_ask()
    }

    fn ask(&mut self, at: usize, splice: &mut Splice) {
        let messages = [
            (wire::close_statement_message(NAME), Request::Aside, b'3'),
            (wire::parse_message(NAME, QUESTION.as_bytes(), &[]), Request::Aside, b'1'),
            (wire::bind_message(NAME, NAME), Request::Aside, b'2'),
            (wire::execute_message(NAME), Request::Question, b'C'),
            (wire::close_portal_message(NAME), Request::Aside, b'3'),
            (wire::close_statement_message(NAME), Request::Aside, b'3'),
        ];
        for (message, request, answer) in messages {
            splice.replace(at, 0, &message);
            self.outstanding.push(request);
            self.hide_answer(answer);
        }
    }

    /// Whether the next row is an answer to the question.
    pub(super) fn awaits_answer(&mut self) -> bool {
        match self.outstanding.head() {
            Some(Request::Query(Steps::Each { question, .. })) => {
                matches!(question, Question::First | Question::Last(Some(_)))
            }
            Some(Request::Question) => true,
            _ => false,
        }
    }

    /// Takes out what answers the question.
    pub(super) fn withhold_answer(&mut self, message: &[u8], at: usize, env: &Env<'_>, splice: &mut Splice) -> bool {
        if !matches!(message[0], b'T' | b'D' | b'C') || !self.awaits_answer() {
            return false;
        }
        let mut tag = None;
        match (message[0], self.outstanding.head()) {
            (b'D', _) => self.told(&message[HEADER..], env),
            (b'C', Some(Request::Query(Steps::Each { question, .. }))) => {
                if let Question::Last(held) = std::mem::take(question) {
                    tag = held;
                }
            }
            (b'C', _) => drop(self.done()),
            _ => {}
        }
        splice.replace(at, message.len(), &tag.unwrap_or_default());
        true
    }

    /// Keeps the CommandComplete that the client is to get when the question behind it is answered.
    pub(super) fn hold_tag(&mut self, message: &[u8], at: usize, splice: &mut Splice) {
        if let Some(Request::Query(Steps::Each { steps, question: Question::Last(held), .. })) = self.outstanding.head()
            && steps.is_empty()
        {
            *held = Some(message.to_vec());
            splice.replace(at, message.len(), b"");
        }
    }

    fn told(&mut self, row: &[u8], env: &Env<'_>) {
        let Some(answer) = Answer::read(row) else { return };
        let written = env.catalog.written(&answer.relations);
        if !env.currency.trusts_written(&written) {
            return;
        }
        self.transaction.told(&written);
        if written.is_empty() && !answer.relations.is_empty() {
            self.transaction.push_unmirrored();
        }
        if written != Touched::All {
            self.settings.found(&answer);
        }
    }
}

impl Step {
    fn is_plain_commit(&self) -> bool {
        matches!(self.kind(), Kind::Commit { chain: false })
    }

    /// Whether a transaction that it runs in is the same behind it, and it has no objection to one of several statements.
    pub(super) fn stays_in_its_transaction(&self) -> bool {
        matches!(self.kind(), Kind::Read(_) | Kind::Write(_) | Kind::OtherWrite { .. } | Kind::Truncate { .. })
    }

    /// Whether what it wrote is locked until the transaction ends that was open before it.
    pub(super) fn is_told_by_locks(&self, in_block: bool) -> bool {
        match self.kind() {
            // Outside of a transaction block it may commit inside.
            Kind::Procedure => in_block,
            Kind::CopyTo(_) | Kind::CopyFrom { .. } | Kind::DeclareCursor(_) | Kind::Ddl { temporary: true, .. } => {
                true
            }
            _ => self.stays_in_its_transaction(),
        }
    }

    /// Whether it asks for the text that the client sent.
    fn reads_its_text(&self) -> bool {
        let functions = match self.kind() {
            Kind::Read(read) => &read.functions,
            Kind::Write(write) => &write.reads.functions,
            Kind::OtherWrite { reads, .. } | Kind::CopyFrom { reads, .. } => &reads.functions,
            _ => return false,
        };
        functions.iter().any(|function| function.name == "current_query" || function.name.starts_with("pg_stat_get_"))
    }
}

/// The text of a Query with the question in front of it or behind it: what to insert, and where.
pub(super) fn insertion(question: &Question, text: &str) -> Option<(usize, String)> {
    match question {
        Question::No => None,
        Question::First => Some((0, format!("{QUESTION}; "))),
        // On a line of its own: the text may end with a comment.
        Question::Last(_) => Some((text.len(), format!("\n;{QUESTION}"))),
    }
}
