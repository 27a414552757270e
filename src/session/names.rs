//! What a name will stand for when the server reads the message that uses it, while the client does not wait for answers.
//!
//! Within a series, which ends with Sync, a message is read only if all before it succeeded: there, what was asked counts as
//! done. Behind the Sync it may have failed. A message that would then mean another statement or portal waits, with all
//! behind it, until the server has answered: it needs nothing more for that, as it has the Sync.

use std::sync::Arc;

use super::client::Message;
use super::machine::Session;
use super::outstanding::Request;
use super::prepared::{Named, Outcome, Portal, Prepared};
use crate::wire::{self, Target};

/// The names of a session.
#[derive(Debug, Default)]
pub(super) struct Names {
    pub(super) statements: Named<Arc<Prepared>>,
    pub(super) portals: Named<Portal>,
    /// The unnamed statement was last changed on the shadow: the primary has another one or none.
    pub(super) unnamed_elsewhere: bool,
}

impl Names {
    /// A request was answered, or skipped.
    pub(super) fn decide(&mut self, request: &Request, outcome: Outcome) {
        match request {
            Request::Parse { name, .. } | Request::CloseStatement(name) => {
                self.statements.decide(name, outcome);
                self.unnamed_elsewhere &= !(name.is_empty() && outcome == Outcome::Done);
            }
            Request::Bind { portal, .. } | Request::ClosePortal(portal) => self.portals.decide(portal, outcome),
            Request::Query(_) if outcome == Outcome::Done => {
                self.statements.forget(b"");
                self.unnamed_elsewhere = false;
            }
            _ => {}
        }
    }
}

impl Session {
    /// Whether the front of what the client sent waits for answers: it is to be shown again when there are some.
    pub fn waits_for_answers(&self) -> bool {
        self.waits
    }

    /// Whether this message may be forwarded only when more is answered.
    pub(super) fn has_to_wait(&self, message: &Message<'_>) -> bool {
        // What is skipped uses no names, and a server that reads COPY data answers nothing.
        if self.skipping || self.copying {
            return false;
        }
        let Some(target) = used(message) else { return false };
        let series = self.outstanding.series();
        match target {
            Target::Statement(name) => self.names.statements.is_doubtful(name, series),
            Target::Portal(name) => self.names.portals.is_doubtful(name, series),
        }
    }

    pub(super) fn ask_parse(&mut self, name: &[u8], statement: Arc<Prepared>) {
        self.names.statements.ask(name, self.outstanding.series(), Some(Arc::clone(&statement)));
        self.outstanding.push(Request::Parse { name: name.to_vec(), statement });
    }

    pub(super) fn ask_bind(&mut self, name: &[u8], portal: Option<Portal>) {
        let statement = portal.as_ref().map(|portal| Arc::clone(&portal.prepared));
        self.names.portals.ask(name, self.outstanding.series(), portal);
        self.outstanding.push(Request::Bind { portal: name.to_vec(), statement });
    }

    pub(super) fn ask_close(&mut self, target: Target<'_>) {
        let series = self.outstanding.series();
        match target {
            Target::Statement(name) => {
                self.names.statements.ask(name, series, None);
                self.outstanding.push(Request::CloseStatement(name.to_vec()));
            }
            Target::Portal(name) => {
                self.names.portals.ask(name, series, None);
                self.outstanding.push(Request::ClosePortal(name.to_vec()));
            }
        }
    }

    /// The answer to the request last pushed is not for the client; it has this tag.
    pub(super) fn hide_answer(&mut self, tag: u8) {
        self.outstanding.hide_last(tag);
    }

    /// The server has done what the request at the head asked.
    pub(super) fn done(&mut self) -> Option<Request> {
        let request = self.outstanding.pop()?;
        self.names.decide(&request, Outcome::Done);
        Some(request)
    }
}

/// The statement or portal that a message uses.
fn used<'a>(message: &Message<'a>) -> Option<Target<'a>> {
    match message.tag() {
        b'B' => {
            let (_, rest) = wire::cstring(message.body()).ok()?;
            Some(Target::Statement(wire::cstring(rest).ok()?.0))
        }
        b'D' => wire::close_or_describe(message.body()).ok(),
        b'E' => Some(Target::Portal(wire::execute(message.body()).ok()?.portal)),
        _ => None,
    }
}
