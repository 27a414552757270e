//! What is to be applied, in order, durable and counted.
//!
//! [`Mirror`] is the handle; sessions call it without ever waiting. One step under the placement lock gives a
//! transaction its place, counts it and shows it to the open windows; a thread of its own writes it to the journal and
//! then to the [`Feed`], from which the appliers take. What does not fit becomes marks, never waiting and never silence.
//! What a ledger holds is user data: nothing here prints it. Only the writer's thread writes segments and state.

mod backlog;
mod counters;
mod feed;
mod handle;
mod handled;
mod healing;
mod horizon;
mod in_flight;
mod in_flight_file;
mod journal;
mod lag;
mod operator;
mod placement;
mod settings;
mod shared;
mod suspects;
mod syncer;
mod windows;
mod writer;

#[cfg(test)]
mod fixture;
#[cfg(test)]
mod tests;

pub use counters::Counters;
pub use feed::Feed;
pub(super) use feed::Outcome;
pub use handle::{Mirror, Ticket};
pub use healing::{Voided, Window};
#[cfg(feature = "fuzzing")]
pub use journal::fuzzing;
pub use settings::{Identity, LedgerSettings, OpenError};
pub use suspects::{Cause, Suspect, SuspectKeys};
