//! The thread that owns the journal: writes what was placed, shows it to the appliers, has it made durable; saves the
//! state, removes segments that are no longer needed.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use crate::effect::Seq;
use crate::mirror::entry::{Entry, Item};

use super::journal::{Durability, Folder, SegmentFile, SegmentInfo, State, remove_segment};
use super::placement::Intake;
use super::shared::Shared;
use super::suspects::SavedKeys;
use super::syncer::Syncer;

/// How often the segments are synced and the state is saved.
const TICK: Duration = Duration::from_millis(200);

/// So long entries gather before they are written, that not each wakes the writer: unless somebody waits for them.
const GATHER: Duration = Duration::from_millis(2);

/// Entries written in one go, in bytes.
const BATCH_BYTES: usize = 1 << 20;

/// Segments are at most about this large, and small enough that removing them frees a small journal in steps.
const SEGMENT_BYTES: u64 = 16 << 20;
const SEGMENTS: u64 = 16;

/// How long a table without a ticket stays in the in-flight file.
const STICKY: Duration = Duration::from_secs(5);

/// Whether writing works, so that trouble is told once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Disk {
    Works,
    Refuses,
}

/// What follows a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Rest {
    /// What is placed already.
    Queued,
    /// What is to come.
    ToCome,
    /// Nothing: the ledger is closed.
    Nothing,
}

/// The writer.
#[derive(Debug)]
pub(super) struct Writer {
    shared: Arc<Shared>,
    folder: Folder,
    segment_bytes: u64,
    batch_bytes: usize,
    active: Option<SegmentFile>,
    closed: VecDeque<SegmentInfo>,
    /// As it was saved last.
    state: State,
    written: Seq,
    /// Largest horizon of a segment that was removed before its time.
    cut_horizon: Option<u64>,
    /// All that was placed before this is written.
    written_before: Instant,
    /// All that was placed before this is durable.
    durable_before: Instant,
    syncer: Syncer,
    /// Something is written that the syncer was not told of.
    unsynced: bool,
    /// Syncing failed once: what is on disk is not known any more in this run.
    distrusted: bool,
    disk: Disk,
}

impl Writer {
    /// Goes on behind these segments. `state` is what the next start finds until something else is saved.
    pub(super) fn new(
        shared: Arc<Shared>,
        folder: Folder,
        segments: Vec<SegmentInfo>,
        state: State,
        syncer: Syncer,
    ) -> Self {
        let segment_bytes = (shared.bounds.journal / SEGMENTS).min(SEGMENT_BYTES);
        let written = state.written;
        let writer = Self {
            shared,
            folder,
            segment_bytes,
            batch_bytes: BATCH_BYTES.min(segment_bytes as usize).max(1),
            active: None,
            closed: segments.into(),
            state,
            written,
            cut_horizon: None,
            written_before: Instant::now(),
            durable_before: Instant::now(),
            syncer,
            unsynced: false,
            distrusted: false,
            disk: Disk::Works,
        };
        writer.measure();
        writer
    }

    /// Works until the ledger is closed or abandoned.
    pub(super) fn run(mut self) {
        let mut next_tick = Instant::now() + TICK;
        loop {
            let now = self.shared.wait_for_work(next_tick);
            if self.shared.abandoned.load(Ordering::Acquire) {
                return;
            }
            let (batch, rest) = self.take();
            if !batch.is_empty() {
                self.write(&batch);
            }
            if rest != Rest::Queued {
                self.written_before = now;
            }
            if rest == Rest::Nothing {
                self.close();
                return;
            }
            if !batch.is_empty() {
                self.gather(&batch);
            }
            if now >= next_tick {
                self.tick(now);
                next_tick = Instant::now() + TICK;
            }
        }
    }

    fn take(&self) -> (Vec<Arc<Entry>>, Rest) {
        let mut placement = self.shared.placement.lock();
        let batch = placement.take(self.batch_bytes);
        let rest = match placement.intake {
            _ if !placement.queue_is_empty() => Rest::Queued,
            Intake::Closed => Rest::Nothing,
            Intake::Open | Intake::Overflowing => Rest::ToCome,
        };
        (batch, rest)
    }

    fn write(&mut self, batch: &[Arc<Entry>]) {
        match self.append(batch) {
            Ok(()) => {
                self.disk = Disk::Works;
                self.unsynced = true;
                self.written = batch.last().map_or(self.written, |entry| entry.seq);
                for entry in batch {
                    if let Item::Transaction(transaction) = &entry.item {
                        self.shared.handling.kept(&transaction.changes);
                    }
                }
                self.shared.backlog.publish(batch);
            }
            Err(error) => {
                if self.disk == Disk::Works {
                    tracing::error!(%error, folder = %self.folder.path().display(), "the journal cannot be written: \
                        written tables become suspect until it can");
                }
                self.disk = Disk::Refuses;
                batch.iter().for_each(|entry| self.shared.lose(entry));
            }
        }
        self.measure();
        self.shared.placement.lock().written(batch.iter().map(|entry| entry.bytes).sum());
    }

    fn gather(&self, batch: &[Arc<Entry>]) {
        let bytes: usize = batch.iter().map(|entry| entry.bytes).sum();
        if bytes < self.batch_bytes && *self.shared.awaited.borrow() <= self.written {
            std::thread::sleep(GATHER);
        }
    }

    fn append(&mut self, batch: &[Arc<Entry>]) -> std::io::Result<()> {
        self.retire_if_full();
        let Some(first) = batch.first() else { return Ok(()) };
        let segment = match &mut self.active {
            Some(segment) => segment,
            none => none.insert(SegmentFile::create(self.folder.path(), first.seq)?),
        };
        let appended = segment.append(batch);
        if appended.as_ref().is_err_and(|error| !error.usable) {
            self.retire();
        }
        appended.map_err(Into::into)
    }

    fn retire_if_full(&mut self) {
        if self.active.as_ref().is_some_and(|segment| segment.info().bytes >= self.segment_bytes) {
            self.retire();
        }
    }

    fn retire(&mut self) {
        self.order_sync();
        self.closed.extend(self.active.take().map(|segment| segment.info()));
    }

    fn order_sync(&mut self) {
        if let Some(active) = &self.active
            && std::mem::take(&mut self.unsynced)
        {
            self.syncer.order(active.file(), self.written_before);
        }
    }

    /// What became of what was to be synced.
    fn look_at_syncs(&mut self) {
        while let Some(result) = self.syncer.done() {
            match result {
                Ok(before) => self.durable_before = before,
                Err(error) => self.distrust(&error),
            }
        }
    }

    fn distrust(&mut self, error: &std::io::Error) {
        if !std::mem::replace(&mut self.distrusted, true) {
            tracing::error!(%error, folder = %self.folder.path().display(), "the journal cannot be made durable: \
                if crossfade is killed now, tables written since its start are compared at the next");
        }
    }

    fn tick(&mut self, now: Instant) {
        self.look_at_syncs();
        if self.syncer.is_idle() {
            if self.unsynced {
                self.order_sync();
            } else {
                self.durable_before = self.written_before;
            }
        }
        let saved = self.save(false, SavedKeys::TableOnly, Durability::Process);
        if saved && !self.distrusted {
            let idle_since = now.checked_sub(STICKY).unwrap_or(self.durable_before);
            self.shared.in_flight.leave_idle(self.durable_before.min(idle_since));
        }
        self.trim();
    }

    /// Saves the state if it has changed; whether it is saved.
    fn save(&mut self, clean: bool, keys: SavedKeys, durability: Durability) -> bool {
        let state = self.current_state(clean, keys);
        if state == self.state && durability == Durability::Process {
            return true;
        }
        match state.save(self.folder.path(), durability) {
            Ok(()) => {
                self.state = state;
                true
            }
            Err(error) => {
                tracing::error!(%error, folder = %self.folder.path().display(), "the state of the journal cannot be saved");
                false
            }
        }
    }

    fn current_state(&self, clean: bool, keys: SavedKeys) -> State {
        let horizon = self.shared.horizon();
        let placement = self.shared.placement.lock();
        State {
            clean,
            boot_id: self.state.boot_id.clone(),
            last: placement.last(),
            written: self.written,
            applied: placement.applied().min(self.written),
            trimmed: self.state.trimmed,
            issued: self.shared.in_flight.issued(),
            history_cut: self.cut_horizon.is_some_and(|cut| cut >= horizon),
            books: placement.books.clone(),
            marks: self.shared.suspects.save(keys),
        }
    }

    /// Removes segments that are applied and that no late arrival has to be measured against; when the journal is half
    /// full, also those that one may have to.
    fn trim(&mut self) {
        self.retire_if_full();
        let horizon = self.shared.horizon();
        let mut bytes = self.bytes();
        let mut done = Vec::new();
        for segment in &self.closed {
            let forced = bytes > self.shared.bounds.journal / 2;
            if segment.last > self.state.applied || (segment.horizon >= horizon && !forced) {
                break;
            }
            if segment.horizon >= horizon {
                self.cut_horizon = self.cut_horizon.max(Some(segment.horizon));
            }
            bytes -= segment.bytes;
            done.push(*segment);
        }
        let Some(last) = done.last() else { return };
        self.state.trimmed = last.last.max(self.state.trimmed);
        if !self.save(false, SavedKeys::TableOnly, Durability::Power) {
            return;
        }
        for segment in done {
            if let Err(error) = remove_segment(self.folder.path(), segment.first) {
                tracing::error!(%error, segment = segment.first, "a segment of the journal cannot be removed");
                break;
            }
            self.closed.pop_front();
        }
        self.measure();
    }

    fn bytes(&self) -> u64 {
        let active = self.active.as_ref().map_or(0, |segment| segment.info().bytes);
        active + self.closed.iter().map(|segment| segment.bytes).sum::<u64>()
    }

    fn measure(&self) {
        self.shared.on_disk.store(self.bytes(), Ordering::Relaxed);
    }

    fn close(&mut self) {
        self.order_sync();
        if let Err(error) = self.syncer.wait() {
            self.distrust(&error);
        }
        if !self.distrusted && self.save(true, SavedKeys::Each, Durability::Power) {
            self.shared.in_flight.close();
        }
    }
}
