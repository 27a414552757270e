//! What the client asked and the server has not answered yet, in order.

use std::collections::VecDeque;
use std::sync::Arc;

use super::plan::Step;
use super::prepared::{Outcome, Portal, Prepared, Series};
use super::question::Question;

/// One request under way.
#[derive(Debug)]
pub(super) enum Request {
    /// A simple Query: the statements still to be answered.
    Query(Steps),
    /// A Query or Sync whose refusal was withheld: so is the ReadyForQuery behind it.
    Refused,
    /// Parse of this statement.
    Parse { name: Vec<u8>, statement: Arc<Prepared> },
    /// Bind of this statement, if it is known.
    Bind { portal: Vec<u8>, statement: Option<Arc<Prepared>> },
    /// Close of the statement of this name.
    CloseStatement(Vec<u8>),
    /// Close of the portal of this name.
    ClosePortal(Vec<u8>),
    /// Describe of this statement or a portal of it, if it is known.
    Describe { statement: Option<Arc<Prepared>> },
    /// Execute of a portal; `None`: one that is not ours to know (a cursor).
    Execute { portal: Option<Portal> },
    /// Execute of the question (`question.rs`).
    Question,
    /// What prepares it and clears it away.
    Aside,
    /// FunctionCall
    FunctionCall,
    /// Sync
    Sync,
    /// CopyDone or CopyFail.
    CopyEnd,
}

impl Request {
    /// The prepared statement that it is about.
    pub(super) fn statement(&self) -> Option<&Arc<Prepared>> {
        match self {
            Self::Parse { statement, .. } => Some(statement),
            Self::Bind { statement, .. } | Self::Describe { statement } => statement.as_ref(),
            Self::Execute { portal } => portal.as_ref().map(|portal| &portal.prepared),
            _ => None,
        }
    }

    fn ends_with_ready(&self) -> bool {
        matches!(self, Self::Query(_) | Self::Refused | Self::Sync | Self::FunctionCall)
    }

    fn runs_nothing(&self) -> bool {
        use Request::{Bind, ClosePortal, CloseStatement, Describe, Parse};
        matches!(self, Parse { .. } | Bind { .. } | Describe { .. } | CloseStatement(_) | ClosePortal(_))
    }
}

/// The statements of a simple Query.
#[derive(Debug)]
pub(super) enum Steps {
    /// Any number, none of which matters.
    Quiet,
    /// In order, with the shifts that insertions into the text cause in error positions: from this character on, so
    /// many characters.
    Each { steps: VecDeque<Step>, shifts: Vec<(usize, usize)>, question: Question },
}

/// What the series under way has run, outside of a transaction block.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Executed {
    /// Nothing at all.
    #[default]
    Nothing,
    /// Statements that write what is known.
    Known,
    /// Statements that may write anything, within the transaction that its Sync commits.
    Untold,
    /// Anything else.
    Other,
}

/// The queue.
#[derive(Debug, Default)]
pub(super) struct Outstanding {
    requests: VecDeque<Sent>,
    /// The one that the next request belongs to.
    series: Series,
    /// Announcements since the last request that ends with ReadyForQuery.
    announced: usize,
    /// By the requests since the last one that ends with ReadyForQuery.
    executed: Executed,
    /// Something was answered since the last ReadyForQuery: the transaction that it runs in goes on, Sync or not.
    unfinished: bool,
}

#[derive(Debug)]
struct Sent {
    request: Request,
    /// Announcements that are decided when this is answered by ReadyForQuery.
    announced: usize,
    /// The answer is not for the client, and has this tag.
    hidden: Option<u8>,
}

impl Outstanding {
    /// Whether the server has answered everything, up to a ReadyForQuery.
    pub(super) fn is_empty(&self) -> bool {
        self.requests.is_empty() && !self.unfinished
    }

    /// The request at the head was refused, and its ReadyForQuery is withheld.
    pub(super) fn refuse(&mut self) {
        match self.head() {
            Some(head) => *head = Request::Refused,
            None => self.push(Request::Refused),
        }
    }

    /// Whether anything of it ends with ReadyForQuery.
    pub(super) fn awaits_ready(&self) -> bool {
        self.requests.iter().any(|sent| sent.request.ends_with_ready())
    }

    pub(super) fn announce(&mut self) {
        self.announced += 1;
    }

    pub(super) fn series(&self) -> Series {
        self.series
    }

    pub(super) fn executed(&self) -> Executed {
        self.executed
    }

    /// Whether all that is under way runs nothing.
    pub(super) fn only_prepares(&self) -> bool {
        self.requests.iter().all(|sent| sent.request.runs_nothing())
    }

    pub(super) fn push(&mut self, request: Request) {
        self.series.0 += u64::from(matches!(request, Request::Sync));
        self.executed = match &request {
            request if request.ends_with_ready() => Executed::Nothing,
            Request::Execute { portal } => match portal.as_ref().and_then(|portal| portal.prepared.step.as_ref()) {
                Some(step) if step.stays_in_its_transaction() && step.may_write_anything() => {
                    self.executed.max(Executed::Untold)
                }
                Some(step) if step.stays_in_its_transaction() => self.executed.max(Executed::Known),
                _ => Executed::Other,
            },
            _ => self.executed,
        };
        let announced = if request.ends_with_ready() { std::mem::take(&mut self.announced) } else { 0 };
        self.requests.push_back(Sent { request, announced, hidden: None });
    }

    /// The answer to the request last pushed is not for the client; it has this tag.
    pub(super) fn hide_last(&mut self, tag: u8) {
        if let Some(sent) = self.requests.back_mut() {
            sent.hidden = Some(tag);
        }
    }

    /// The tag of the next answer if it is not for the client.
    pub(super) fn hidden(&self) -> Option<u8> {
        self.requests.front()?.hidden
    }

    /// The request last pushed.
    pub(super) fn last(&self) -> Option<&Request> {
        self.requests.back().map(|sent| &sent.request)
    }

    pub(super) fn head(&mut self) -> Option<&mut Request> {
        self.requests.front_mut().map(|sent| &mut sent.request)
    }

    pub(super) fn pop(&mut self) -> Option<Request> {
        self.unfinished = true;
        let Sent { request, announced, .. } = self.requests.pop_front()?;
        // None, unless the server answers what was not asked.
        self.announced += announced;
        Some(request)
    }

    /// Takes everything up to the request that this ReadyForQuery answers; gives how many announcements that decides.
    pub(super) fn ready(&mut self, taken: impl FnMut(&Request, Outcome)) -> usize {
        let decided = self.take_to_ready(taken);
        self.unfinished = false;
        self.drop_copy_ends();
        decided
    }

    fn take_to_ready(&mut self, mut taken: impl FnMut(&Request, Outcome)) -> usize {
        while let Some(Sent { request, announced, .. }) = self.requests.pop_front() {
            if request.ends_with_ready() {
                taken(&request, Outcome::Done);
                return announced;
            }
            taken(&request, Outcome::Undone);
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

    /// After an error in the extended protocol: takes what the server skips, which is everything before the next Sync.
    /// `false`: that Sync was not sent yet.
    pub(super) fn skip_to_sync(&mut self, mut skipped: impl FnMut(&Request)) -> bool {
        let sync = self.requests.iter().position(|sent| matches!(sent.request, Request::Sync));
        let rest = self.requests.split_off(sync.unwrap_or(self.requests.len()));
        let mut announced = 0;
        for sent in std::mem::replace(&mut self.requests, rest) {
            announced += sent.announced;
            skipped(&sent.request);
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
