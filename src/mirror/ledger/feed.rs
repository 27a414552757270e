//! The ledger's other end: the appliers take from it, in order of seq.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use crate::effect::{Mark, Reason, Seq, Touched};
use crate::mirror::entry::Entry;
use crate::report::Quarantined;

use super::Mirror;
use super::backlog::Taken;
use super::journal::{Cursor, LastEnd, ReadError};

/// Read at once at the start, in bytes.
const CHUNK_BYTES: usize = 4 << 20;

/// Between attempts to read a segment.
const RETRY: Duration = Duration::from_secs(1);

/// The ledger's other end: the appliers take from it, in order of seq.
#[derive(Debug)]
pub struct Feed {
    mirror: Mirror,
    folder: PathBuf,
    /// Where it reads the segments on; `None` while it does, or when that was broken off.
    cursor: Option<Cursor>,
    /// Entries up to it were known as applied when the journal was opened.
    recovered_upto: Seq,
    last_end: LastEnd,
}

/// What became of an entry.
#[derive(Debug)]
pub(in crate::mirror) enum Outcome {
    /// Committed on the shadow (or superseded by newer writes).
    Applied,
    /// The shadow refused it for good.
    Quarantined(Quarantined),
}

impl Feed {
    pub(super) fn new(mirror: Mirror, folder: &Path, recovered_upto: Seq, last_end: LastEnd) -> Self {
        Self { mirror, folder: folder.to_owned(), cursor: None, recovered_upto, last_end }
    }

    /// Entries applied before the last end of crossfade that are still in the segments, oldest first: the appliers
    /// rebuild their memory of stamps from them (rule 4). To be called before [`Feed::next`]. If they are more than
    /// fits into memory the oldest are left out and their tables marked.
    pub(in crate::mirror) fn history(&mut self) -> Vec<Arc<Entry>> {
        let mut history = std::collections::VecDeque::new();
        let mut bytes = 0;
        let mut left_out = Touched::NONE;
        let mut cursor = Cursor::behind(&self.folder, Seq(0));
        loop {
            let entries = match cursor.read(self.recovered_upto, CHUNK_BYTES) {
                Ok(entries) if entries.is_empty() => break,
                Ok(entries) => entries,
                Err(error) => {
                    tracing::error!(%error, "the journal's applied entries cannot be read: all tables are compared");
                    left_out = Touched::All;
                    break;
                }
            };
            bytes += entries.iter().map(|entry| entry.bytes).sum::<usize>();
            history.extend(entries);
            while bytes > self.mirror.shared.bounds.memory / 2 {
                let Some(oldest) = history.pop_front() else { break };
                bytes -= oldest.bytes;
                left_out.extend(&oldest.item.touched());
            }
        }
        if !left_out.is_empty() {
            self.mirror.mark(&Mark::Tables { touched: left_out, reason: Reason::Late });
        }
        history.into()
    }

    /// What the shadow's progress row says: entries up to it are applied, whatever the journal knows. To be called
    /// before [`Feed::next`]. After an unclean end their tables are marked: a refusal among them may have been lost.
    pub(in crate::mirror) fn resume_behind(&mut self, applied: Seq) {
        let (mut delivered, written) = self.mirror.shared.backlog.reach();
        let mut touched = Touched::NONE;
        let mut cursor = Cursor::behind(&self.folder, delivered);
        while delivered < applied.min(written) {
            match cursor.read(applied.min(written), CHUNK_BYTES) {
                Ok(entries) if entries.is_empty() => break,
                Ok(entries) => {
                    for entry in entries {
                        touched.extend(&entry.item.touched());
                        delivered = entry.seq;
                        self.mirror.shared.apply(&entry);
                    }
                }
                Err(error) => {
                    tracing::error!(%error, "the journal cannot be read: entries that are applied are applied again");
                    break;
                }
            }
        }
        self.mirror.shared.backlog.delivered(delivered);
        if self.last_end == LastEnd::Unclean && !touched.is_empty() {
            self.mirror.mark(&Mark::Tables { touched, reason: Reason::Crash });
        }
    }

    /// The next entries, at least one, up to about `max_bytes`; waits for the first, and while paused. Nothing is lost
    /// if the future is dropped.
    pub(in crate::mirror) async fn next(&mut self, max_bytes: usize) -> Vec<Arc<Entry>> {
        let shared = self.mirror.shared.clone();
        let mut paused = shared.paused.subscribe();
        loop {
            // The sender lives in `shared`.
            let _ = paused.wait_for(|paused| !paused).await;
            let published = shared.backlog.published.notified();
            match shared.backlog.take(max_bytes) {
                Taken::Entries(entries) => return entries,
                Taken::Nothing => published.await,
                Taken::OnDisk { after, upto } => match self.read(after, upto, max_bytes).await {
                    Ok(entries) => {
                        shared.backlog.delivered(entries.last().map_or(upto, |entry| entry.seq));
                        if !entries.is_empty() {
                            return entries;
                        }
                    }
                    Err(error) => {
                        tracing::error!(%error, "the journal cannot be read: applying waits. A restart of crossfade \
                            cuts the journal off there and compares all tables");
                        tokio::time::sleep(RETRY).await;
                    }
                },
            }
        }
    }

    /// Somebody waits until everything up to this place is applied.
    pub(in crate::mirror) fn awaited(&self) -> watch::Receiver<Seq> {
        self.mirror.shared.awaited.subscribe()
    }

    async fn read(&mut self, after: Seq, upto: Seq, max_bytes: usize) -> Result<Vec<Arc<Entry>>, ReadError> {
        let cursor = self.cursor.take().filter(|cursor| cursor.after() == after);
        let mut cursor = cursor.unwrap_or_else(|| Cursor::behind(&self.folder, after));
        let reading = tokio::task::spawn_blocking(move || {
            let entries = cursor.read(upto, max_bytes.max(1));
            (cursor, entries)
        });
        match reading.await {
            Ok((cursor, Ok(entries))) => {
                self.cursor = Some(cursor);
                Ok(entries)
            }
            Ok((_, Err(error))) => Err(error),
            Err(error) => Err(ReadError::Io { path: self.folder.clone(), source: error.into() }),
        }
    }

    /// Settles an entry: counts it, frees its tables, moves the watermark. In order of seq. The keys of a refused
    /// entry are marked.
    pub(in crate::mirror) fn settle(&self, entry: &Entry, outcome: Outcome) {
        match outcome {
            Outcome::Applied => self.mirror.shared.apply(entry),
            Outcome::Quarantined(refusal) => self.mirror.shared.quarantine(entry, refusal),
        }
    }

    /// The oldest ticket that is out, else the one that is next: what older ones led to has its place. It grows, and
    /// waits for nothing to be settled.
    pub(in crate::mirror) fn oldest_ticket(&self) -> u64 {
        self.mirror.shared.in_flight.oldest()
    }

    /// The newest ticket given out.
    pub(in crate::mirror) fn newest_ticket(&self) -> u64 {
        self.mirror.shared.in_flight.issued()
    }

    /// How many entries have a place and are not settled.
    pub(in crate::mirror) fn outstanding(&self) -> u64 {
        self.mirror.shared.placement.lock().outstanding()
    }

    /// Entries up to it were known as applied when the journal was opened.
    pub(in crate::mirror) fn recovered(&self) -> Seq {
        self.recovered_upto
    }

    /// The mirror it feeds from, for marks.
    pub(in crate::mirror) fn mirror(&self) -> &Mirror {
        &self.mirror
    }
}
