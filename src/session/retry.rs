//! A refused rewrite, retried in its original form (rule 12).
//!
//! The primary may refuse what was added though it would have taken the client's own text: a privilege, a rule or a view of
//! which the catalog does not know yet. Where the statement stands alone, outside a transaction, nothing has happened
//! and nothing was answered, the client never learns of it: the refusal is withheld, the text goes out again as it came,
//! and its answer is the client's. What it writes then is marked.

use bytes::Bytes;

use super::accounts::Accounts;
use super::machine::Session;
use super::outstanding::{Request, Steps};
use super::plan::Step;
use crate::wire::{self, HEADER, TransactionStatus};

/// insufficient_privilege, undefined_column, undefined_table, ambiguous_alias, feature_not_supported.
const REFUSALS: [&[u8]; 5] = [b"42501", b"42703", b"42P01", b"42P09", b"0A000"];

impl Session {
    /// What is to be sent to the primary now, before anything else of the client's.
    pub fn take_again(&mut self) -> Option<Bytes> {
        self.again.take()
    }

    /// The client has closed: nothing can be sent again behind it.
    pub fn sends_no_more(&mut self) {
        self.may_retry = false;
    }

    /// Whether a simple query that is about to be forwarded stands alone, outside a transaction.
    pub(super) fn stands_alone(&self) -> bool {
        self.status == Some(TransactionStatus::Idle) && self.outstanding.is_empty()
    }

    /// A part of the answer has reached the client: it cannot be asked for again.
    pub(super) fn answered_in_part(&mut self) {
        if let Some(Request::Query(Steps::Each { original, .. })) = self.outstanding.head() {
            *original = None;
        }
    }

    /// Whether the error is a refusal that the client need not see; the original is then under way.
    pub(super) fn retry(&mut self, message: &[u8], accounts: &mut impl Accounts) -> bool {
        let nothing_follows = self.outstanding.is_last() && self.client_passes == 0;
        if !nothing_follows || !self.may_retry || self.farewell || !is_refusal(message) {
            return false;
        }
        let Some(Request::Query(Steps::Each { steps, original, .. })) = self.outstanding.head() else { return false };
        let (Some(text), Some(step)) = (original.take(), steps.front().and_then(Step::unrewritten)) else {
            return false;
        };
        drop(self.outstanding.refuse());
        self.announce(&step, accounts);
        let steps = Steps::Each { steps: [step].into(), shifts: Vec::new(), original: None };
        self.outstanding.push(Request::Query(steps));
        self.again = Some(text);
        true
    }
}

/// An error that an added RETURNING may cause, raised by the statement itself and not by a function that it calls.
fn is_refusal(message: &[u8]) -> bool {
    let mut fields = wire::error_fields(&message[HEADER..]);
    let refused = |(code, text): (u8, &[u8])| code == b'C' && REFUSALS.contains(&text);
    fields.any(refused) && wire::error_fields(&message[HEADER..]).all(|(code, _)| code != b'W')
}
