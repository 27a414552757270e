//! What was written: plain data that session, mirror, copy and check share.
//!
//! A session captures [`Change`]s, seals them into a [`Transaction`] on proof of commit and hands that to the
//! mirror; copy and check speak of the same [`Key`]s and [`Snapshot`]s. Nothing here does I/O or knows who uses it.

mod disturbed;
mod key;
mod lines;
mod record;
mod shape;
mod snapshot;
mod stamp;
mod transaction;

pub use disturbed::Disturbed;
pub use key::Key;
pub use lines::{line_fields, line_key, lines, without_keys};
pub use record::{MalformedRecord, fields};
pub use shape::{Column, Shape, TableId, quote_ident};
pub use snapshot::{MalformedSnapshot, Snapshot};
pub use stamp::{Epoch, Lsn, MalformedLsn, Seq, Stamp, Xid};
pub use transaction::{Change, Mark, Reason, Referring, Replay, RowChange, Touched, Transaction};
