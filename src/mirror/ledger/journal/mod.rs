//! The ledger on disk: a folder with numbered segments of checksummed records, a state file, and a lock.
//!
//! Owned by the ledger. One thread writes; recovery and the feed only read. Bytes from the disk are never trusted.

mod codec;
mod cursor;
mod folder;
#[cfg(feature = "fuzzing")]
pub mod fuzzing;
mod record;
mod recover;
mod segment;
mod state;

pub(super) use cursor::Cursor;
pub(super) use folder::{Durability, Folder, remove_segment};
pub(super) use recover::{LastEnd, Recovered, recover};
pub(super) use segment::{ReadError, SegmentFile, SegmentInfo};
pub(super) use state::{State, boot_id};
