//! What happens under the placement lock: a transaction gets its place, is counted, and shows in the open windows, in
//! one step. No I/O here.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use crate::effect::{Change, Seq, TableId, Touched};
use crate::mirror::entry::{Entry, Flight, Item};

use super::counters::Books;
use super::horizon::Horizon;
use super::lag::CommitTimes;
use super::windows::Windows;

/// Whether the journal still takes transactions.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Intake {
    /// They get a place.
    #[default]
    Open,
    /// It is full for now: they become marks.
    Overflowing,
    /// It was closed: they become marks.
    Closed,
}

/// The state behind the placement lock.
#[derive(Debug, Default)]
pub(super) struct Placement {
    pub(super) windows: Windows,
    pub(super) books: Books,
    pub(super) intake: Intake,
    times: CommitTimes,
    horizon: Horizon,
    last: Seq,
    applied: Seq,
    /// Entries placed and not settled, refreshes too.
    outstanding: u64,
    outstanding_bytes: u64,
    pending: PendingTables,
    /// Placed, not taken by the writer yet.
    queue: VecDeque<Arc<Entry>>,
    /// Of the queue, and of what the writer took and did not write yet.
    unwritten_bytes: usize,
}

impl Placement {
    /// Behind what the journal held.
    pub(super) fn behind(last: Seq, applied: Seq, books: Books) -> Self {
        Self { books, last, applied, ..Self::default() }
    }

    pub(super) fn last(&self) -> Seq {
        self.last
    }

    /// Everything up to it is settled.
    pub(super) fn applied(&self) -> Seq {
        if self.outstanding == 0 { self.last } else { self.applied }
    }

    pub(super) fn outstanding(&self) -> u64 {
        self.outstanding
    }

    pub(super) fn outstanding_bytes(&self) -> u64 {
        self.outstanding_bytes
    }

    pub(super) fn unwritten_bytes(&self) -> usize {
        self.unwritten_bytes
    }

    pub(super) fn oldest_commit_ms(&self) -> Option<u64> {
        self.times.oldest_ms()
    }

    /// Whether no captured transaction on any of `tables` is pending.
    pub(super) fn is_fresh(&self, tables: &[TableId]) -> bool {
        self.pending.all == 0 && !tables.iter().any(|table| self.pending.tables.contains_key(table))
    }

    /// Gives `item` the next place and puts it into the queue; `flight` is of now.
    pub(super) fn place(&mut self, flight: Flight, item: Item) -> Seq {
        let seq = self.last.next();
        let entry = Entry::new(seq, flight, item);
        self.recover(&entry);
        if matches!(entry.item, Item::Transaction(_)) {
            self.books.place();
        }
        self.unwritten_bytes += entry.bytes;
        self.queue.push_back(Arc::new(entry));
        seq
    }

    /// Takes an entry that has its place already among what is to be applied; the books know it.
    pub(super) fn recover(&mut self, entry: &Entry) {
        self.last = self.last.max(entry.seq);
        self.outstanding += 1;
        self.outstanding_bytes += entry.bytes as u64;
        if let Item::Transaction(transaction) = &entry.item {
            self.times.placed(entry.seq, transaction.committed_ms);
            self.pending.add(&entry.item.touched());
        }
    }

    /// Gives out none of the next places.
    pub(super) fn leave_out(&mut self, places: u64) {
        self.last = Seq(self.last.0.saturating_add(places));
    }

    /// Entries from the queue, about `max_bytes` of them.
    pub(super) fn take(&mut self, max_bytes: usize) -> Vec<Arc<Entry>> {
        let mut bytes = 0;
        let mut batch = Vec::new();
        while bytes < max_bytes {
            let Some(entry) = self.queue.pop_front() else { break };
            bytes += entry.bytes;
            batch.push(entry);
        }
        batch
    }

    /// Up to which ticket nothing older can arrive behind what is applied; `oldest_ticket` was read just before.
    pub(super) fn horizon(&mut self, oldest_ticket: u64) -> u64 {
        self.horizon.sample(oldest_ticket, self.last);
        let applied = self.applied();
        self.horizon.at(applied)
    }

    pub(super) fn queue_is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    /// What was taken is written, or given up.
    pub(super) fn written(&mut self, bytes: usize) {
        self.unwritten_bytes -= bytes;
    }

    /// The entry is on the shadow.
    pub(super) fn apply(&mut self, entry: &Entry) {
        if let Item::Transaction(transaction) = &entry.item {
            self.books.apply();
            for change in &transaction.changes {
                if let Change::Replay(replay) = change {
                    self.books.list_replay(replay);
                }
            }
        }
        self.leave(entry);
    }

    /// The shadow refused the entry.
    pub(super) fn quarantine(&mut self, entry: &Entry) {
        if let Item::Transaction(_) = &entry.item {
            self.books.quarantine(entry.item.touched());
        }
        self.leave(entry);
    }

    /// The entry could not be written: its tables are marked, and nothing of it goes to the shadow.
    pub(super) fn lose(&mut self, entry: &Entry) {
        if let Item::Transaction(_) = &entry.item {
            self.books.lose(1);
        }
        self.take_out(entry);
    }

    /// In order of seq.
    fn leave(&mut self, entry: &Entry) {
        self.applied = self.applied.max(entry.seq);
        self.take_out(entry);
        self.times.settled(self.applied());
    }

    fn take_out(&mut self, entry: &Entry) {
        if let Item::Transaction(_) = &entry.item {
            self.pending.remove(&entry.item.touched());
        }
        self.outstanding -= 1;
        self.outstanding_bytes -= entry.bytes as u64;
    }
}

/// How many pending transactions touch each table.
#[derive(Debug, Default)]
struct PendingTables {
    tables: HashMap<TableId, u64>,
    all: u64,
}

impl PendingTables {
    fn add(&mut self, touched: &Touched) {
        match touched {
            Touched::Tables(tables) => tables.iter().for_each(|table| *self.tables.entry(*table).or_default() += 1),
            Touched::All => self.all += 1,
        }
    }

    fn remove(&mut self, touched: &Touched) {
        match touched {
            Touched::All => self.all -= 1,
            Touched::Tables(tables) => {
                for table in tables {
                    if let Some(count) = self.tables.get_mut(table) {
                        *count -= 1;
                        if *count == 0 {
                            self.tables.remove(table);
                        }
                    }
                }
            }
        }
    }
}
