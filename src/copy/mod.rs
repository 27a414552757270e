//! Rows in bulk from the primary to the shadow: one mechanism fills an empty table, heals a suspect one, and repairs
//! confirmed differences.
//!
//! It meets the mirror in marks (what is to be read back), windows (which keys are newer than what was read), the
//! fence (rule 26) and the ledger, in which what was read takes its place. It never writes rows to the shadow itself, and
//! it never clears a mark before the rows that answer it are applied. Sequences, which no row tells, follow by themselves.

mod board;
mod heal;
mod healer;
mod preflight;
mod read;
mod schedule;
mod schema;
mod sequences;
mod walk;

pub use healer::{CopyError, Healer};
pub use schema::SchemaError;
pub use sequences::follow_sequences;
