//! What the client asked and the server has not answered yet, in order.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;

use super::plan::Step;
use super::prepared::{Portal, Prepared, Undo};

/// One request under way.
#[derive(Debug)]
pub(super) enum Request {
    /// A simple Query: the statements still to be answered.
    Query(Steps),
    /// A simple Query whose refusal was withheld: so is the ReadyForQuery behind it.
    Refused,
    /// Parse. Hidden: our own, its answer is not for the client.
    Parse { undo: Option<Undo<Arc<Prepared>>>, hidden: bool },
    /// Bind
    Bind { undo: Undo<Portal> },
    /// Close of a statement or portal.
    Close { statement: Option<Undo<Arc<Prepared>>>, portal: Option<Undo<Portal>> },
    /// Describe of something with appended columns or without.
    Describe { appended: Appended },
    /// Execute of a portal; `None`: one that is not ours to know (a cursor).
    Execute { portal: Option<Portal> },
    /// FunctionCall
    FunctionCall,
    /// Sync
    Sync,
    /// CopyDone or CopyFail.
    CopyEnd,
}

/// Whether an answer bears columns that the client did not ask for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Appended {
    /// No.
    No,
    /// Behind its own.
    BehindOwn,
    /// And none of its own.
    Alone,
}

/// The statements of a simple Query.
#[derive(Debug)]
pub(super) enum Steps {
    /// Any number, none of which matters.
    Quiet,
    /// In order, with the shifts that insertions into the text cause in error positions: from this character on, so
    /// many characters. `original`: the message as it came, while it may be sent again.
    Each { steps: VecDeque<Step>, shifts: Vec<(usize, usize)>, original: Option<Bytes> },
}

/// The queue.
#[derive(Debug, Default)]
pub(super) struct Outstanding {
    requests: VecDeque<Sent>,
    /// Announcements since the last request that ends with ReadyForQuery.
    announced: usize,
    /// Something was answered since the last ReadyForQuery: the transaction that it runs in goes on, Sync or not.
    unfinished: bool,
}

#[derive(Debug)]
struct Sent {
    request: Request,
    /// Announcements that are decided when this is answered by ReadyForQuery.
    announced: usize,
}

impl Outstanding {
    /// Whether the server has answered everything, up to a ReadyForQuery.
    pub(super) fn is_empty(&self) -> bool {
        self.requests.is_empty() && !self.unfinished
    }

    /// Whether nothing comes behind the request at the head.
    pub(super) fn is_last(&self) -> bool {
        self.requests.len() == 1
    }

    /// The request at the head was refused, and its answer is withheld.
    pub(super) fn refuse(&mut self) -> Option<Request> {
        self.head().map(|head| std::mem::replace(head, Request::Refused))
    }

    pub(super) fn announce(&mut self) {
        self.announced += 1;
    }

    pub(super) fn push(&mut self, request: Request) {
        let ready = matches!(request, Request::Query(_) | Request::Sync | Request::FunctionCall);
        let announced = if ready { std::mem::take(&mut self.announced) } else { 0 };
        self.requests.push_back(Sent { request, announced });
    }

    pub(super) fn head(&mut self) -> Option<&mut Request> {
        self.requests.front_mut().map(|sent| &mut sent.request)
    }

    pub(super) fn pop(&mut self) -> Option<Request> {
        self.unfinished = true;
        let Sent { request, announced } = self.requests.pop_front()?;
        // None, unless the server answers what was not asked.
        self.announced += announced;
        Some(request)
    }

    /// Takes everything up to the request that this ReadyForQuery answers; gives how many announcements that decides.
    pub(super) fn ready(&mut self) -> usize {
        let decided = self.take_to_ready();
        self.unfinished = false;
        self.drop_copy_ends();
        decided
    }

    fn take_to_ready(&mut self) -> usize {
        while let Some(Sent { request, announced }) = self.requests.pop_front() {
            if matches!(request, Request::Query(_) | Request::Refused | Request::Sync | Request::FunctionCall) {
                return announced;
            }
            self.announced += announced;
        }
        0
    }

    /// CopyDone and CopyFail have no answer of their own.
    pub(super) fn drop_copy_ends(&mut self) {
        while let Some(Request::CopyEnd) = self.head() {
            self.requests.pop_front();
        }
    }

    /// After an error in the extended protocol: takes what the server skips, which is everything before the next Sync,
    /// newest first. `false`: that Sync was not sent yet.
    pub(super) fn skip_to_sync(&mut self, mut skipped: impl FnMut(Request)) -> bool {
        let sync = self.requests.iter().position(|sent| matches!(sent.request, Request::Sync));
        let rest = self.requests.split_off(sync.unwrap_or(self.requests.len()));
        let mut announced = 0;
        for sent in std::mem::replace(&mut self.requests, rest).into_iter().rev() {
            announced += sent.announced;
            skipped(sent.request);
        }
        match self.requests.front_mut() {
            Some(sync) => sync.announced += announced,
            None => self.announced += announced,
        }
        sync.is_some()
    }

    /// The server began to read COPY data for the request at the head: it ignores every Sync and Flush up to the end
    /// of the data. `false`: that end was not sent yet.
    pub(super) fn copy_in(&mut self) -> bool {
        let end = self.requests.iter().position(|sent| matches!(sent.request, Request::CopyEnd));
        let last = end.unwrap_or(self.requests.len());
        let mut announced = 0;
        let mut index = 0;
        self.requests.retain(|sent| {
            let ignored = index < last && matches!(sent.request, Request::Sync);
            index += 1;
            if ignored {
                announced += sent.announced;
            }
            !ignored
        });
        let next = self.requests.iter_mut().find(|sent| matches!(sent.request, Request::Query(_) | Request::Sync));
        match next {
            Some(next) => next.announced += announced,
            None => self.announced += announced,
        }
        end.is_some()
    }
}
