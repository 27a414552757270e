//! The relay of one session: the loop that moves its bytes.
//!
//! The primary's answers come first, so that what is committed is accounted before the client goes on. The two
//! directions do not wait for each other; a side that does not read stops only what is meant for it.

use std::future::poll_fn;
use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncWrite as _, AsyncWriteExt};
use tokio::sync::watch;
use tracing::debug;

use super::bells::{Bells, Rang, Wires};
use super::cancel::CancelKeys;
use super::direction::{Direction, Look, Trouble};
use super::isolation::isolated;
use super::leaving::{Asked, Leaving};
use super::listener::Shared;
use super::login::Opening;
use super::observer::Observer;
use crate::server::Stream;
use crate::session::{Drawn, Session, SessionError, Splice, Truncated};
use crate::wire::{Severity, error_response};

/// How long a client may take to read the last word.
const FAREWELL: Duration = Duration::from_secs(5);

/// A session with its two sockets.
pub(super) struct Relay {
    observer: Observer,
    client: Stream,
    primary: Stream,
    upward: Direction,
    downward: Direction,
    splice: Splice,
    /// The client takes no more bytes; answers are still read for what they commit.
    client_is_gone: bool,
    /// The primary was told that nothing more comes.
    primary_is_told: bool,
    input: Input,
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

impl Relay {
    pub(super) fn new(
        session: Session,
        client: Stream,
        primary: Stream,
        opening: Opening,
        shared: Arc<Shared>,
        keys: Arc<CancelKeys>,
    ) -> Self {
        let Opening { upward: first, from_client, from_primary } = opening;
        let input = if from_client.is_empty() { Input::Seen } else { Input::New };
        let mut upward = Direction::holding(from_client);
        upward.say(&first);
        Self {
            observer: Observer::new(session, shared, keys),
            client,
            primary,
            upward,
            downward: Direction::holding(from_primary),
            splice: Splice::default(),
            client_is_gone: false,
            primary_is_told: false,
            input,
        }
    }

    /// Runs the session to its end. Login must be over within `startup_timeout`.
    pub(super) async fn run(&mut self, startup_timeout: Duration, leaving: watch::Receiver<Leaving>) {
        let stop = isolated(self.go(startup_timeout, leaving)).await;
        // A session keeps no room for its end.
        let _ = Box::pin(isolated(self.end(stop.unwrap_or(Stop::Panicked)))).await;
    }

    async fn go(&mut self, startup_timeout: Duration, leaving: watch::Receiver<Leaving>) -> Stop {
        let mut login = pin!(tokio::time::sleep(startup_timeout));
        let mut asked = Asked::new(leaving);
        let is_tls = self.client.is_tls() || self.primary.is_tls();
        let wires = if is_tls { Wires::Crossed } else { Wires::Apart };
        let bells = poll_fn(|cx| Poll::Ready(Bells::new(cx.waker(), wires))).await;
        // What was read before the relay.
        if let Err(error) = self.show_down() {
            return Stop::Broken(error);
        }
        loop {
            let stop = poll_fn(|cx| {
                let asked = asked.poll(cx);
                if let Poll::Ready(stop) = self.poll(&bells, asked) {
                    return Poll::Ready(stop);
                }
                if !self.observer.session.is_logged_in() && login.as_mut().poll(cx).is_ready() {
                    return Poll::Ready(Stop::LoginTimedOut);
                }
                Poll::Pending
            });
            match stop.await {
                Stop::Read(drawn) => {
                    if let Err(Truncated) = self.read(*drawn).await {
                        return Stop::Truncated;
                    }
                }
                stop => return stop,
            }
        }
    }

    async fn end(&mut self, stop: Stop) {
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
                let client_is_done = self.upward.has_ended() && !self.observer.session.awaits_ready();
                if !client_is_done && !self.observer.session.has_said_farewell() {
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
        if self.client_is_gone || !self.observer.between_messages {
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

    /// Moves what can be moved, where something happened.
    fn poll(&mut self, bells: &Bells, asked: Leaving) -> Poll<Stop> {
        let Rang { upward, downward } = bells.rang();
        if downward && let Poll::Ready(stop) = self.poll_down(&mut bells.downward.context()) {
            return Poll::Ready(stop);
        }
        if (upward || self.is_stirred())
            && let Poll::Ready(stop) = self.poll_up(&mut bells.upward.context())
        {
            return Poll::Ready(stop);
        }
        match asked {
            Leaving::No => Poll::Pending,
            Leaving::WhenIdle if self.is_busy() => Poll::Pending,
            Leaving::WhenIdle | Leaving::Now => Poll::Ready(Stop::Leave),
        }
    }

    /// Whether answers have stirred what waits for them, or the client is gone and the primary does not know yet.
    fn is_stirred(&self) -> bool {
        let is_to_be_told = self.client_is_gone && !self.primary_is_told;
        self.input != Input::Seen || !self.upward.is_flushed() || is_to_be_told
    }

    fn is_busy(&self) -> bool {
        self.observer.session.is_logged_in() && !(self.observer.session.is_idle() && self.downward.is_flushed())
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
            let client = (!self.client_is_gone).then_some(&mut self.client);
            let look = |input: &[u8], splice: &mut Splice| self.observer.down(input, splice);
            match self.downward.poll_pass(cx, &mut self.primary, client, look, &mut self.splice) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Err(Trouble::Reader(error))) => return Poll::Ready(Stop::PrimaryFailed(error)),
                Poll::Ready(Err(Trouble::Refused(error))) => return Poll::Ready(Stop::Broken(error)),
                Poll::Ready(Ok(())) if self.downward.has_ended() => return Poll::Ready(Stop::PrimaryClosed),
                Poll::Ready(Ok(())) => self.heed_answers(),
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
                match self.show_up() {
                    Ok(None) => continue,
                    Ok(Some(drawn)) => return Poll::Ready(Stop::Read(drawn)),
                    Err(error) => return Poll::Ready(Stop::Broken(error)),
                }
            }
            if self.observer.session.waits_for_answers() {
                return Poll::Pending;
            }
            if self.upward.has_ended() || self.client_is_gone {
                return self.poll_told(cx);
            }
            let mut drawn = None;
            let may_draw = self.downward.is_flushed();
            let look = |input: &[u8], splice: &mut Splice| {
                drawn = may_draw.then(|| self.observer.drawn(input)).flatten();
                if drawn.is_some() { Ok(Look::Keep) } else { self.observer.up(input, splice) }
            };
            match self.upward.poll_pass(cx, &mut self.client, Some(&mut self.primary), look, &mut self.splice) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Err(Trouble::Reader(_))) => self.client_is_gone = true,
                Poll::Ready(Err(Trouble::Refused(error))) => return Poll::Ready(Stop::Broken(error)),
                Poll::Ready(Ok(())) => {
                    if let Some(drawn) = drawn {
                        return Poll::Ready(Stop::Read(drawn));
                    }
                }
            }
        }
    }

    /// What the client sent before it closed is out: the primary learns that nothing more comes.
    fn poll_told(&mut self, cx: &mut Context<'_>) -> Poll<Stop> {
        self.observer.session.sends_no_more();
        if !self.primary_is_told && std::pin::Pin::new(&mut self.primary).poll_shutdown(cx).is_ready() {
            self.primary_is_told = true;
        }
        Poll::Pending
    }

    fn show_down(&mut self) -> Result<(), SessionError> {
        self.downward.show(|input, splice| self.observer.down(input, splice), &mut self.splice)?;
        self.heed_answers();
        Ok(())
    }

    /// Answers came: what waited for them is shown again, and what the machine wants asked once more goes in front of it.
    fn heed_answers(&mut self) {
        if self.observer.session.waits_for_answers() {
            self.input = Input::New;
        }
        if let Some(again) = self.observer.session.take_again() {
            self.upward.say(&again);
        }
    }

    /// Shows what the client sent and nobody saw yet; or the read in front of it is drawn, unless the client has not taken
    /// all of the answers before: they come first.
    fn show_up(&mut self) -> Result<Option<Box<Drawn>>, SessionError> {
        if self.input == Input::New
            && self.downward.is_flushed()
            && let Some(drawn) = self.observer.drawn(self.upward.unseen())
        {
            return Ok(Some(drawn));
        }
        self.input = Input::Seen;
        self.upward.show(|input, splice| self.observer.up(input, splice), &mut self.splice)?;
        Ok(None)
    }

    /// Asks the shadow. Until its first byte is there the primary can answer instead, unnoticed.
    async fn read(&mut self, drawn: Drawn) -> Result<(), Truncated> {
        self.observer.forget_cancels();
        let Ok(mut reply) = self.observer.shared().reads.serve(&drawn.request).await else {
            self.input = Input::Offered;
            self.observer.awaits_answer(drawn.request);
            return Ok(());
        };
        self.observer.between_messages = false;
        while let Some(bytes) = reply.next().await {
            let bytes = bytes?;
            if !self.client_is_gone && self.client.write_all(&bytes).await.is_err() {
                self.client_is_gone = true;
            }
        }
        // TLS may hold back what the socket did not take.
        if !self.client_is_gone && self.client.flush().await.is_err() {
            self.client_is_gone = true;
        }
        self.observer.between_messages = true;
        self.upward.take(drawn.size);
        self.observer.session.served(&drawn);
        self.observer.shared().reads.answered(drawn.request);
        self.input = Input::New;
        Ok(())
    }
}
