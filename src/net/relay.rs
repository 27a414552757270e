//! The relay of one session: the loop that moves its bytes.
//!
//! The primary's answers come first, so that what is committed is accounted before the client goes on. The two
//! directions do not wait for each other; a side that does not read stops only what is meant for it.

use std::future::poll_fn;
use std::io;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::FutureExt;
use tokio::io::{AsyncWrite as _, AsyncWriteExt};
use tokio::sync::{Notify, watch};
use tracing::debug;

use super::books::Books;
use super::cancel::{CancelKeys, Registered};
use super::direction::Direction;
use super::isolation::isolated;
use super::listener::{self, Leaving, Shared};
use super::login::Opening;
use crate::server::Stream;
use crate::session::{Drawn, Env, Session, SessionError, Splice, Truncated};
use crate::wire::{Severity, error_response};

/// How long a client may take to read the last word.
const FAREWELL: Duration = Duration::from_secs(5);

/// A session with its two sockets.
pub(super) struct Relay<'a> {
    session: Session,
    books: Books,
    shared: &'a Shared,
    client: Stream,
    primary: Stream,
    upward: Direction,
    downward: Direction,
    splice: Splice,
    /// The client takes no more bytes; answers are still read for what they commit.
    client_is_gone: bool,
    /// What the client was given so far ends with a whole message: something of ours may follow.
    between_messages: bool,
    /// The primary was told that nothing more comes.
    primary_is_told: bool,
    input: Input,
    /// For sampling by session.
    number: u64,
    cancelled: Arc<Notify>,
    keys: Arc<CancelKeys>,
    registered: Option<Registered>,
}

/// What is known of the client's unseen bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Input {
    /// Nothing new since the machine saw them.
    Seen,
    /// There are new ones.
    New,
    /// The read in front was offered to the shadow in vain: the primary answers it.
    Offered,
}

/// Why the loop stopped.
enum Stop {
    /// A read was drawn.
    Read(Box<Drawn>),
    /// The primary closed.
    PrimaryClosed,
    /// Asked to leave while idle.
    Leave,
    /// One of the sides does not speak the protocol.
    Broken(SessionError),
    /// The primary's socket failed.
    PrimaryFailed(io::Error),
    /// The client did not log in in time.
    LoginTimedOut,
    /// The shadow was lost within a row.
    Truncated,
    /// A bug.
    Panicked,
}

impl<'a> Relay<'a> {
    pub(super) fn new(
        session: Session,
        client: Stream,
        primary: Stream,
        opening: Opening,
        shared: &'a Shared,
        keys: Arc<CancelKeys>,
    ) -> Self {
        let Opening { upward: first, from_client, from_primary } = opening;
        let input = if from_client.is_empty() { Input::Seen } else { Input::New };
        let mut upward = Direction::holding(from_client);
        upward.say(&first);
        Self {
            session,
            books: Books::new(shared.mirror.clone(), Arc::clone(&shared.catalog)),
            shared,
            client,
            primary,
            upward,
            downward: Direction::holding(from_primary),
            splice: Splice::default(),
            client_is_gone: false,
            between_messages: true,
            primary_is_told: false,
            input,
            number: rand::random(),
            cancelled: Arc::new(Notify::new()),
            keys,
            registered: None,
        }
    }

    /// Runs the session to its end. Login must be over within `startup_timeout`.
    pub(super) async fn run(mut self, startup_timeout: Duration, leaving: watch::Receiver<Leaving>) {
        let stop = isolated(self.go(startup_timeout, leaving)).await;
        self.end(stop.unwrap_or(Stop::Panicked)).await;
    }

    async fn go(&mut self, startup_timeout: Duration, mut leaving: watch::Receiver<Leaving>) -> Stop {
        let login = tokio::time::sleep(startup_timeout);
        tokio::pin!(login);
        let mut asked = Leaving::No;
        // What was read before the relay.
        if let Err(error) = self.show_down() {
            return Stop::Broken(error);
        }
        loop {
            let logged_in = self.session.is_logged_in();
            let stop = tokio::select! {
                biased;
                stop = poll_fn(|cx| self.poll(cx, asked)) => stop,
                now = listener::asked(&mut leaving, asked) => {
                    asked = now;
                    continue;
                }
                () = &mut login, if !logged_in => {
                    if self.session.is_logged_in() {
                        continue;
                    }
                    return Stop::LoginTimedOut;
                }
            };
            match stop {
                Stop::Read(drawn) => {
                    if let Err(Truncated) = self.read(*drawn).await {
                        return Stop::Truncated;
                    }
                }
                stop => return stop,
            }
        }
    }

    async fn end(mut self, stop: Stop) {
        match stop {
            Stop::Leave => {
                self.tell("57P01", "terminating connection due to administrator command").await;
            }
            Stop::Broken(error) => {
                debug!(%error, "a session ended");
                self.tell("08P01", &error.to_string()).await;
            }
            Stop::PrimaryFailed(error) => {
                self.tell("08006", &format!("the connection to the primary was lost: {error}")).await;
            }
            Stop::PrimaryClosed => {
                let client_is_done = self.upward.has_ended() && !self.session.awaits_ready();
                if !client_is_done && !self.session.has_said_farewell() {
                    self.tell("08006", "the primary closed the connection unexpectedly").await;
                }
            }
            Stop::Panicked => {
                self.tell("XX000", "a bug in crossfade ends this session; an open transaction is rolled back").await;
            }
            Stop::LoginTimedOut => {
                debug!("a client did not log in in time");
                self.tell("57014", "canceling authentication due to timeout").await;
            }
            Stop::Truncated | Stop::Read(_) => debug!("the shadow was lost within a row: the session cannot go on"),
        }
        let _ = self.client.shutdown().await;
    }

    /// The last word, where it can be one: within a message it would be taken for a part of it.
    async fn tell(&mut self, sqlstate: &str, message: &str) {
        if self.client_is_gone || !self.between_messages {
            return;
        }
        let message = error_response(Severity::Fatal, sqlstate, message);
        let said = async {
            poll_fn(|cx| self.downward.poll_flush(cx, &mut self.client)).await?;
            self.client.write_all(&message).await?;
            self.client.flush().await
        };
        let _ = tokio::time::timeout(FAREWELL, said).await;
    }

    /// Moves what can be moved.
    fn poll(&mut self, cx: &mut Context<'_>, asked: Leaving) -> Poll<Stop> {
        if let Poll::Ready(stop) = self.poll_down(cx) {
            return Poll::Ready(stop);
        }
        if let Poll::Ready(stop) = self.poll_up(cx) {
            return Poll::Ready(stop);
        }
        match asked {
            Leaving::No => Poll::Pending,
            Leaving::WhenIdle if self.is_busy() => Poll::Pending,
            Leaving::WhenIdle | Leaving::Now => Poll::Ready(Stop::Leave),
        }
    }

    fn is_busy(&self) -> bool {
        self.session.is_logged_in() && !(self.session.is_idle() && self.downward.is_flushed())
    }

    /// From the primary to the client.
    fn poll_down(&mut self, cx: &mut Context<'_>) -> Poll<Stop> {
        loop {
            if self.client_is_gone {
                self.downward.discard();
            } else {
                match self.downward.poll_flush(cx, &mut self.client) {
                    Poll::Pending => return Poll::Pending,
                    Poll::Ready(Ok(())) => {}
                    Poll::Ready(Err(_)) => {
                        self.client_is_gone = true;
                        continue;
                    }
                }
            }
            match self.downward.poll_fill(cx, &mut self.primary) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Err(error)) => return Poll::Ready(Stop::PrimaryFailed(error)),
                Poll::Ready(Ok(())) if self.downward.has_ended() => return Poll::Ready(Stop::PrimaryClosed),
                Poll::Ready(Ok(())) => {}
            }
            if let Err(error) = self.show_down() {
                return Poll::Ready(Stop::Broken(error));
            }
        }
    }

    /// From the client to the primary.
    fn poll_up(&mut self, cx: &mut Context<'_>) -> Poll<Stop> {
        loop {
            match self.upward.poll_flush(cx, &mut self.primary) {
                // After an error its last words may still be on their way to us: they end the session.
                Poll::Pending | Poll::Ready(Err(_)) => return Poll::Pending,
                Poll::Ready(Ok(())) => {}
            }
            if self.input != Input::Seen {
                if let Some(drawn) = self.drawn() {
                    return Poll::Ready(Stop::Read(Box::new(drawn)));
                }
                if let Err(error) = self.show_up() {
                    return Poll::Ready(Stop::Broken(error));
                }
                continue;
            }
            if self.session.waits_for_answers() {
                return Poll::Pending;
            }
            if self.upward.has_ended() || self.client_is_gone {
                return self.poll_told(cx);
            }
            match self.upward.poll_fill(cx, &mut self.client) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Err(_)) => self.client_is_gone = true,
                Poll::Ready(Ok(())) => self.input = Input::New,
            }
        }
    }

    /// What the client sent before it closed is out: the primary learns that nothing more comes.
    fn poll_told(&mut self, cx: &mut Context<'_>) -> Poll<Stop> {
        self.session.sends_no_more();
        if !self.primary_is_told && std::pin::Pin::new(&mut self.primary).poll_shutdown(cx).is_ready() {
            self.primary_is_told = true;
        }
        Poll::Pending
    }

    fn show_down(&mut self) -> Result<(), SessionError> {
        let catalog = self.shared.catalog.get();
        let settings = self.shared.live.get();
        let env = env(self.shared, &catalog, settings.mirror.ddl);
        let (session, books) = (&mut self.session, &mut self.books);
        self.downward.show(|input, splice| session.server(input, &env, books, splice), &mut self.splice)?;
        self.between_messages = self.session.is_between_answers();
        if self.session.waits_for_answers() {
            self.input = Input::New;
        }
        if let Some(again) = self.session.take_again() {
            self.upward.say(&again);
        }
        if let Some(key) = self.session.take_cancel_key() {
            self.registered = Some(self.keys.register(key, Arc::clone(&self.cancelled)));
        }
        Ok(())
    }

    fn show_up(&mut self) -> Result<(), SessionError> {
        self.input = Input::Seen;
        let catalog = self.shared.catalog.get();
        let settings = self.shared.live.get();
        let env = env(self.shared, &catalog, settings.mirror.ddl);
        let (session, books) = (&mut self.session, &mut self.books);
        self.upward.show(|input, splice| session.client(input, &env, books, splice), &mut self.splice)
    }

    fn drawn(&self) -> Option<Drawn> {
        if self.input == Input::Offered {
            return None;
        }
        let reads = &*self.shared.reads;
        let mut drawn =
            self.session.drawn(self.upward.unseen(), &self.shared.statements, reads, self.number, &self.cancelled)?;
        drawn.request.own_writes = self.books.last_write();
        Some(drawn)
    }

    /// Asks the shadow. Until its first byte is there the primary can answer instead, unnoticed.
    async fn read(&mut self, drawn: Drawn) -> Result<(), Truncated> {
        // A cancel that came before this read was not meant for it.
        let _ = self.cancelled.notified().now_or_never();
        let Ok(mut reply) = self.shared.reads.serve(drawn.request.clone()).await else {
            self.input = Input::Offered;
            return Ok(());
        };
        self.between_messages = false;
        while let Some(bytes) = reply.next().await {
            let bytes = bytes?;
            if !self.client_is_gone && self.client.write_all(&bytes).await.is_err() {
                self.client_is_gone = true;
            }
        }
        self.between_messages = true;
        self.upward.take(drawn.size);
        self.session.served(&drawn);
        self.input = Input::New;
        Ok(())
    }
}

fn env<'e>(shared: &'e Shared, catalog: &'e Arc<crate::catalog::Catalog>, ddl: crate::config::Ddl) -> Env<'e> {
    Env { catalog, current: shared.catalog.is_current(), cache: &shared.statements, ddl, epoch: shared.epoch() }
}
