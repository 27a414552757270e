//! The state of a session and what both sides' messages share; `client.rs` and `server.rs` move it.

use std::collections::HashSet;
use std::sync::Arc;

use bytes::Bytes;
use thiserror::Error;

use super::accounts::Accounts;
use super::block::Block;
use super::names::Names;
use super::outstanding::Outstanding;
use super::plan::{Plan, Step};
use super::refusals::Refusals;
use super::retry::Group;
use super::room::Room;
use super::settings::Settings;
use super::temporary::Temporary;
use super::transaction::{Sealed, Transaction};
use crate::catalog::Catalog;
use crate::effect::{Change, Mark, Reason, Touched};
use crate::sql::Kind;
use crate::wire::{Malformed, Passing, Startup, TransactionStatus};

/// Why a session cannot go on.
#[derive(Debug, Error)]
pub enum SessionError {
    /// The client sent what is no message.
    #[error("from the client: {0}")]
    Client(Malformed),
    /// The server did.
    #[error("from the primary: {0}")]
    Server(Malformed),
}

/// How closely a session is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mode {
    /// Relayed unread (`unread.rs`): replication, another database, mirroring off.
    Unread,
    /// Requests, transaction and rows are tracked.
    Tracked,
}

/// One session, from its StartupMessage on.
#[derive(Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each follows messages of its own, in any combination")]
pub struct Session {
    pub(super) mode: Mode,
    pub(super) settings: Settings,
    pub(super) temporary: Temporary,
    /// Views that it made, of which reading runs code that may write, and temporary tables, of which writing does.
    pub(super) opaque_relations: HashSet<String>,
    pub(super) outstanding: Outstanding,
    pub(super) names: Names,
    pub(super) transaction: Transaction,
    /// As the last ReadyForQuery said; `None` before the first.
    pub(super) status: Option<TransactionStatus>,
    /// What the open transaction may have written, by what was sent.
    pub(super) touched: Touched,
    /// Something outstanding may end the transaction block.
    pub(super) may_end_block: bool,
    /// Inside an explicit transaction block, by what was answered.
    pub(super) in_block: bool,
    /// What that block says of its reads.
    pub(super) block: Block,
    /// An error came since the last ReadyForQuery.
    pub(super) failed: bool,
    /// The server skips everything up to a Sync that was not sent yet.
    pub(super) skipping: bool,
    /// The server reads COPY data whose end was not sent yet, in the extended protocol.
    pub(super) copying: bool,
    /// The message at the front of the client's input waits for answers (`names.rs`).
    pub(super) waits: bool,
    /// Bytes of the message under way that pass unread, from the client and from the server.
    pub(super) client_passes: Passing,
    pub(super) server_passes: Passing,
    /// Those from the server are dropped.
    pub(super) server_drops: bool,
    pub(super) cancel_key: Option<Vec<u8>>,
    /// What is under way, as it came.
    pub(super) group: Option<Group>,
    /// Tables that refused a rewrite.
    pub(super) refusals: Refusals,
    /// DDL was announced and its transaction has not ended.
    pub(super) defines: bool,
    /// A refused rewrite in its original form, to be sent before anything else.
    pub(super) again: Option<Bytes>,
    /// There is still a way to the primary on which to send it.
    pub(super) may_retry: bool,
    /// A statement that may change how texts are read was forwarded and not answered.
    pub(super) may_read_otherwise: bool,
    /// The client said Terminate, or the server a FATAL error: the end is no surprise.
    pub(super) farewell: bool,
}

impl Session {
    /// A session that is to be mirrored, whose open transactions share `room` with those of others.
    pub fn tracked(startup: &Startup, catalog: &Catalog, room: &Arc<Room>) -> Self {
        let role = startup.get("user").unwrap_or_default();
        let defaults = catalog.role_settings.get(role).map_or(&[][..], Vec::as_slice);
        Self::new(Mode::Tracked, Settings::new(startup, defaults), Arc::clone(room))
    }

    /// A session whose bytes pass unread.
    pub fn unread(startup: &Startup) -> Self {
        Self::new(Mode::Unread, Settings::new(startup, &[]), Arc::default())
    }

    fn new(mode: Mode, settings: Settings, room: Arc<Room>) -> Self {
        Self {
            mode,
            settings,
            temporary: Temporary::default(),
            opaque_relations: HashSet::new(),
            outstanding: Outstanding::default(),
            names: Names::default(),
            transaction: Transaction::new(room),
            status: None,
            touched: Touched::NONE,
            may_end_block: false,
            in_block: false,
            block: Block::default(),
            failed: false,
            skipping: false,
            copying: false,
            waits: false,
            client_passes: Passing::default(),
            server_passes: Passing::default(),
            server_drops: false,
            cancel_key: None,
            group: None,
            refusals: Refusals::default(),
            defines: false,
            again: None,
            may_retry: true,
            may_read_otherwise: false,
            farewell: false,
        }
    }

    /// The body of BackendKeyData, once, after it was seen.
    pub fn take_cancel_key(&mut self) -> Option<Vec<u8>> {
        self.cancel_key.take()
    }

    /// Whether the client is logged in, waits for nothing, has no transaction open and no message half sent.
    pub fn is_idle(&self) -> bool {
        self.status == Some(TransactionStatus::Idle)
            && self.outstanding.is_empty()
            && !self.skipping
            && self.client_passes.is_between_messages()
    }

    /// Whether the client waits for nothing and has no message half sent, and what it asks next sees no more than what is
    /// committed: outside a transaction block, or in one whose reads are free. How ReadyForQuery names that.
    pub(super) fn reads_what_is_committed(&self) -> Option<TransactionStatus> {
        let status = self.status?;
        let is_free = match status {
            TransactionStatus::Idle => true,
            TransactionStatus::InBlock => {
                self.block.is_free() && self.touched.is_empty() && self.transaction.is_untouched()
            }
            TransactionStatus::Failed => false,
        };
        (is_free && self.is_answered() && !self.skipping && self.client_passes.is_between_messages()).then_some(status)
    }

    /// Whether a transaction block is open, as the primary said last.
    pub fn is_in_block(&self) -> bool {
        self.status == Some(TransactionStatus::InBlock)
    }

    /// Whether the client waits for nothing.
    pub fn is_answered(&self) -> bool {
        self.outstanding.is_empty()
    }

    /// Whether one side has said that the session ends, so that the client needs no word of ours.
    pub fn has_said_farewell(&self) -> bool {
        self.farewell
    }

    /// Whether the client waits for a ReadyForQuery.
    pub fn awaits_ready(&self) -> bool {
        self.outstanding.awaits_ready()
    }

    /// Whether what the server sent so far, and was let through, ends with a whole message.
    pub fn is_between_answers(&self) -> bool {
        self.server_passes.is_between_messages()
    }

    /// Whether the server will read a text as we do. What is on its way to change that has told nothing yet.
    pub(super) fn reads_alike(&self, text: &[u8]) -> bool {
        let is_plain = text.is_ascii() && memchr::memchr(b'\\', text).is_none();
        is_plain || !self.may_read_otherwise && self.settings.reads_alike(text)
    }

    /// Whether login is over.
    pub fn is_logged_in(&self) -> bool {
        self.status.is_some()
    }

    /// What is planned behind it finds what it makes.
    pub(super) fn foresee(&mut self, step: &Step) {
        self.opaque_relations.extend(step.opaque_relation.clone());
        self.temporary.announce(step.kind());
    }

    /// Tells what a statement that is about to be forwarded may write, if it may commit (rule 3).
    pub(super) fn announce(&mut self, step: &Step, accounts: &mut impl Accounts) {
        let touched = step.touched();
        let block_is_open = matches!(self.status, Some(TransactionStatus::InBlock | TransactionStatus::Failed));
        let stays_open = block_is_open && !self.may_end_block;
        self.may_read_otherwise |= step.may_change_settings();
        if let Plan::Marked(marking) = &step.plan
            && let Some(disturbed) = &marking.disturbed
        {
            self.defines = true;
            accounts.ddl(disturbed.clone());
        }
        if !touched.is_empty() {
            self.touched.extend(&touched);
            if !stays_open {
                self.enter(&touched, accounts);
            }
        }
        if ends_block(step.kind(), stays_open) {
            self.may_end_block = true;
            if !self.touched.is_empty() {
                let touched = self.touched.clone();
                self.enter(&touched, accounts);
            }
        }
    }

    fn enter(&mut self, touched: &Touched, accounts: &mut impl Accounts) {
        self.outstanding.announce();
        accounts.enter(touched);
    }

    /// The open transaction committed.
    pub(super) fn commit(&mut self, accounts: &mut impl Accounts) {
        self.settings.committed();
        self.temporary.committed();
        match self.transaction.seal() {
            Sealed::Nothing => {}
            Sealed::Unmirrored => accounts.skip(),
            Sealed::Changes(xid, changes) => accounts.commit(xid, changes),
        }
    }

    /// The open transaction rolled back.
    pub(super) fn roll_back(&mut self) {
        self.settings.rolled_back();
        self.temporary.rolled_back();
        self.transaction.discard();
    }

    /// A statement ran to its end with this tag.
    pub(super) fn completed(&mut self, step: &Step, tag: &[u8], accounts: &mut impl Accounts) {
        self.wrote(step, tag);
        if step.may_write_anything() {
            self.settings.doubt();
        }
        self.temporary.completed(step.kind());
        match step.kind() {
            Kind::Begin { access, repeatable } => {
                // A second one in a block is ignored, with a warning.
                if !self.in_block {
                    self.block = Block::begun(*access, *repeatable, self.settings.profile());
                }
                self.in_block = true;
            }
            Kind::Commit { chain } | Kind::Rollback { chain } => {
                if tag == b"COMMIT" {
                    self.commit(accounts);
                } else {
                    self.roll_back();
                }
                self.in_block = *chain;
                if !chain {
                    self.block = Block::Bound;
                }
            }
            Kind::PrepareTransaction(_) => {
                // Its changes become visible by COMMIT PREPARED, which marks every table. What it set stays.
                if tag == b"PREPARE TRANSACTION" {
                    self.settings.committed();
                }
                self.roll_back();
                self.in_block = false;
            }
            Kind::Savepoint(name) => {
                self.transaction.savepoint(name);
                self.settings.savepoint(name);
            }
            Kind::Release(name) => {
                self.transaction.release(name);
                self.settings.release(name);
            }
            Kind::RollbackTo(name) => {
                self.transaction.rollback_to(name);
                self.settings.rolled_back_to(name);
                self.temporary.rolled_back_to_savepoint();
                self.block.rolled_back_to_savepoint();
            }
            Kind::Set(setting) => {
                self.settings.set(setting);
                self.block.set(setting);
            }
            Kind::Read(read) if !read.settings.is_empty() && matches!(step.plan, Plan::Quiet) => {
                for setting in &read.settings {
                    self.settings.set(setting);
                    self.block.set(setting);
                }
            }
            Kind::Discard { all: true } => {
                self.settings.discard_all();
                self.opaque_relations.clear();
                self.names.statements.forget_all();
            }
            Kind::Deallocate(None) => self.names.statements.forget_all(),
            Kind::Deallocate(Some(name)) => self.names.statements.forget(name.as_bytes()),
            Kind::Ddl { temporary: true, .. } => self.settings.unshareable(),
            Kind::Utility { session_state: true } | Kind::Procedure | Kind::Opaque | Kind::DeclareCursor(_) => {
                self.settings.unshareable();
            }
            Kind::Read(read) if super::plan::changes_session(read) => {
                if step.sets_by_function() {
                    self.settings.unknown();
                }
                self.settings.unshareable();
            }
            _ => {}
        }
    }

    /// Notes what a statement that ran wrote besides the rows it told.
    pub(super) fn wrote(&mut self, step: &Step, tag: &[u8]) {
        if step.touches_all() && !step.is_told_by_locks(self.in_block) {
            self.transaction.untellable();
        }
        let mark = |touched: &Touched, reason| Change::Mark(Mark::Tables { touched: touched.clone(), reason });
        match &step.plan {
            Plan::Quiet | Plan::Refused => {}
            Plan::Unmirrored => self.transaction.push_unmirrored(),
            Plan::Captured(capture) => {
                // Without a row nothing cascades; what was called has run.
                let happened = |(_, reason): &&(Touched, Reason)| *reason != Reason::Cascade || !tag.ends_with(b" 0");
                for (touched, reason) in capture.besides.iter().filter(happened) {
                    self.transaction.push(None, mark(touched, *reason));
                }
            }
            Plan::Marked(marking) => {
                if self.temporary.hides(step.kind()) {
                    self.transaction.push_unmirrored();
                } else if let Some(replay) = &marking.replay {
                    self.transaction.push(None, Change::Replay(replay.clone()));
                }
                if !marking.touched.is_empty() {
                    self.transaction.push(None, mark(&marking.touched, marking.reason));
                }
            }
        }
    }
}

/// Whether a statement may end a transaction, or a block if one `is_open` for certain: within one, procedures cannot.
fn ends_block(kind: &Kind, is_open: bool) -> bool {
    match kind {
        Kind::Commit { .. } | Kind::Rollback { .. } | Kind::PrepareTransaction(_) | Kind::Opaque => true,
        Kind::Procedure => !is_open,
        _ => false,
    }
}
