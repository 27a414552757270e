//! The machine of one session and what it looks with: catalog, settings, books. Shown every byte before it goes on.

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::FutureExt;
use tokio::sync::Notify;

use super::books::Books;
use super::cancel::{CancelKeys, Registered};
use super::direction::Look;
use super::listener::Shared;
use crate::config::Settings;
use crate::session::{Drawn, Env, Profile, ReadRequest, Session, SessionError, Splice};

/// So long the reads of a transaction block are answered elsewhere; then the primary gets one again, for it ends blocks that
/// are idle for longer than `idle_in_transaction_session_timeout`.
const AWAKE: Duration = Duration::from_millis(500);

/// A transaction block of the session.
struct OpenBlock {
    /// In force when it began.
    settings: Arc<Settings>,
    /// The primary's last answer.
    waits_since: Instant,
}

/// See the module.
pub(super) struct Observer {
    pub(super) session: Session,
    books: Books,
    shared: Arc<Shared>,
    /// For sampling by session.
    number: u64,
    cancelled: Arc<Notify>,
    /// The session's own role and settings, and the one that all sessions share that have them.
    profile: Option<[Arc<Profile>; 2]>,
    /// The primary answers it, and it is compared then.
    awaited: Option<ReadRequest>,
    keys: Arc<CancelKeys>,
    registered: Option<Registered>,
    block: Option<OpenBlock>,
    /// What the client was given so far ends with a whole message: something of ours may follow.
    pub(super) between_messages: bool,
}

impl Observer {
    pub(super) fn new(session: Session, shared: Arc<Shared>, keys: Arc<CancelKeys>) -> Self {
        Self {
            session,
            books: Books::new(shared.mirror.clone(), Arc::clone(&shared.catalog)),
            shared,
            number: rand::random(),
            cancelled: Arc::new(Notify::new()),
            profile: None,
            awaited: None,
            keys,
            registered: None,
            block: None,
            between_messages: true,
        }
    }

    pub(super) fn shared(&self) -> &Shared {
        &self.shared
    }

    /// From the primary.
    pub(super) fn down(&mut self, input: &[u8], splice: &mut Splice) -> Result<Look, SessionError> {
        let size = if self.session.is_unread() {
            self.session.pass_down(input)?
        } else {
            let (session, books) = (&mut self.session, &mut self.books);
            with_env(&self.shared, |env| session.server(input, env, books, splice))?
        };
        self.between_messages = self.session.is_between_answers();
        self.block = self.session.is_in_block().then(|| OpenBlock {
            settings: self.block.take().map_or_else(|| Arc::clone(&self.shared.live.get()), |block| block.settings),
            waits_since: Instant::now(),
        });
        if let Some(request) = self.awaited.take_if(|_| self.session.is_answered()) {
            self.shared.reads.answered(request);
        }
        if let Some(key) = self.session.take_cancel_key() {
            self.registered = Some(self.keys.register(key, Arc::clone(&self.cancelled)));
        }
        Ok(Look::Pass(size))
    }

    /// From the client.
    pub(super) fn up(&mut self, input: &[u8], splice: &mut Splice) -> Result<Look, SessionError> {
        let size = if self.session.is_unread() {
            self.session.pass_up(input)?
        } else {
            let (session, books) = (&mut self.session, &mut self.books);
            with_env(&self.shared, |env| session.client(input, env, books, splice))?
        };
        Ok(Look::Pass(size))
    }

    /// The read at the front of the client's input, if the dice draw it.
    pub(super) fn drawn(&mut self, input: &[u8]) -> Option<Box<Drawn>> {
        let Shared { reads, statements, .. } = &*self.shared;
        let settings = self.block.as_ref().map(|block| &block.settings);
        let mut drawn = self.session.drawn(input, statements, &**reads, self.number, settings, &self.cancelled)?;
        if self.block.as_ref().is_some_and(|block| block.waits_since.elapsed() > AWAKE) {
            reads.ineligible("idle_in_transaction");
            return None;
        }
        drawn.request.own_writes = self.books.last_write();
        drawn.request.profile = drawn.request.profile.map(|profile| self.shared_profile(profile));
        Some(Box::new(drawn))
    }

    fn shared_profile(&mut self, own: Arc<Profile>) -> Arc<Profile> {
        match &self.profile {
            Some([known, shared]) if Arc::ptr_eq(known, &own) => Arc::clone(shared),
            _ => {
                let shared = self.shared.profiles.one(&own);
                self.profile = Some([own, Arc::clone(&shared)]);
                shared
            }
        }
    }

    /// A drawn read is answered by the primary after all.
    pub(super) fn awaits_answer(&mut self, request: ReadRequest) {
        self.awaited = Some(request).filter(|request| request.lot.compared);
    }

    /// A cancel that came before this was not meant for what comes.
    pub(super) fn forget_cancels(&self) {
        let _ = self.cancelled.notified().now_or_never();
    }
}

fn with_env<T>(shared: &Shared, look: impl FnOnce(&Env<'_>) -> T) -> T {
    // First: of the catalog that follows no less may be trusted.
    let currency = shared.catalog.currency();
    let catalog = shared.catalog.get();
    let ddl = shared.live.get().mirror.ddl;
    look(&Env { catalog: &catalog, currency: &currency, cache: &shared.statements, ddl, epoch: shared.epoch() })
}
