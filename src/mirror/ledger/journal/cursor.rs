//! Reading entries back from the segments in order, some at a time, while they are being written.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::effect::Seq;
use crate::mirror::entry::Entry;

use super::folder::segments;
use super::segment::{Bookmark, ReadError, SegmentReader};

/// Stands behind the last entry it gave.
#[derive(Debug)]
pub(in crate::mirror::ledger) struct Cursor {
    folder: PathBuf,
    after: Seq,
    bookmark: Option<Bookmark>,
}

impl Cursor {
    /// Stands behind `after`.
    pub(in crate::mirror::ledger) fn behind(folder: &Path, after: Seq) -> Self {
        Self { folder: folder.to_owned(), after, bookmark: None }
    }

    /// Where it stands.
    pub(in crate::mirror::ledger) fn after(&self) -> Seq {
        self.after
    }

    /// The next entries up to `upto`, about `max_bytes` of them and at least one, if there is one. Entries up to `upto`
    /// must be written.
    pub(in crate::mirror::ledger) fn read(
        &mut self,
        upto: Seq,
        max_bytes: usize,
    ) -> Result<Vec<Arc<Entry>>, ReadError> {
        let mut entries = Vec::new();
        let mut bytes = 0;
        let mut place = match self.bookmark.take() {
            Some(bookmark) => Some(bookmark),
            None => self.segment_of(self.after.next())?.map(Bookmark::front),
        };
        while let Some(bookmark) = place.take() {
            let first = bookmark.first;
            let mut reader = SegmentReader::open(&self.folder, bookmark)?;
            while self.after < upto && bytes < max_bytes {
                let Some(entry) = reader.next()? else { break };
                if entry.seq > upto {
                    return Ok(entries);
                }
                if entry.seq > self.after {
                    self.after = entry.seq;
                    bytes += entry.bytes;
                    entries.push(Arc::new(entry));
                }
            }
            if self.after >= upto || bytes >= max_bytes {
                self.bookmark = Some(reader.bookmark(first));
                break;
            }
            place = self.segment_behind(first)?.map(Bookmark::front);
        }
        Ok(entries)
    }

    /// The segment that holds `seq`, if any does, or else the one behind it.
    fn segment_of(&self, seq: Seq) -> Result<Option<u64>, ReadError> {
        let segments = self.segments()?;
        let holding = segments.iter().rev().find(|first| **first <= seq.0);
        Ok(holding.or(segments.first()).copied())
    }

    fn segment_behind(&self, first: u64) -> Result<Option<u64>, ReadError> {
        Ok(self.segments()?.into_iter().find(|next| *next > first))
    }

    fn segments(&self) -> Result<Vec<u64>, ReadError> {
        segments(&self.folder).map_err(|source| ReadError::Io { path: self.folder.clone(), source })
    }
}
