//! Committed transactions on their way to the shadow: intake, ledger, ordering, appliers, progress; and what copy and
//! check need beside it: windows, marks and the fence.
//!
//! [`Mirror`] is the handle everyone above shares. Nothing that a session calls on it can block or fail. Split inside:
//! `ledger/` (what is to be applied: intake, journal, counters, windows, in flight, suspects) and `apply/` (applying it).

mod apply;
mod entry;
mod ledger;

pub use apply::{Appliers, ApplySettings};
pub use entry::{Existing, Fill, Refresh, Scope};
#[cfg(feature = "fuzzing")]
pub use ledger::fuzzing;
pub use ledger::{
    Cause, Counters, Feed, Identity, LedgerSettings, Mirror, OpenError, Suspect, SuspectKeys, Ticket, Voided, Window,
};
