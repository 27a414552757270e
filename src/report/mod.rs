//! The snapshot types of `/status` and `/report`: shared by those who fill them and those who show them.
//!
//! Names and meanings are those of the contract; nothing here computes a verdict but [`Verdict::over`].

mod clock;
mod consistency;
pub mod job;
mod status;

pub use clock::rfc3339;
pub use consistency::{
    Chunks, Difference, DifferenceKind, Handled, MirrorReport, Quarantined, QueryReads, ReadsReport, Replayed, Report,
    RoundReport, SchemaDifference, SchemaKind, SkippedColumn, TableReport, TableStatus, Verdict, Way,
};
pub use status::{
    CheckState, CheckStatus, GuardState, GuardStatus, KeptReads, MirrorStatus, ReadsStatus, RuleStatus, ServerState,
    ServerStatus, SessionsStatus, Status,
};
