//! Written entries on their way to the appliers: a bounded window in memory, and behind it only the segments.
//!
//! Appliers that keep up never read the disk. Once the window is full, what follows is on disk only, until the feed has
//! read everything that is written.

use std::collections::VecDeque;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::effect::Seq;
use crate::mirror::entry::Entry;

/// The window.
#[derive(Debug)]
pub(super) struct Backlog {
    queue: Mutex<Queue>,
    max_bytes: usize,
    pub(super) published: Notify,
}

#[derive(Debug)]
struct Queue {
    memory: VecDeque<Arc<Entry>>,
    bytes: usize,
    /// The last entry given to the appliers.
    delivered: Seq,
    /// The last entry written.
    written: Seq,
    rest: Rest,
}

/// Where what follows the window in memory is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Rest {
    /// Nothing follows.
    Nothing,
    /// On disk only, up to the last entry written.
    OnDisk,
}

/// What the feed finds.
#[derive(Debug)]
pub(super) enum Taken {
    Entries(Vec<Arc<Entry>>),
    /// They are to be read from the segments.
    OnDisk {
        after: Seq,
        upto: Seq,
    },
    Nothing,
}

impl Backlog {
    /// Entries behind `delivered` up to `written` are on disk.
    pub(super) fn new(max_bytes: usize, delivered: Seq, written: Seq) -> Self {
        let rest = if delivered < written { Rest::OnDisk } else { Rest::Nothing };
        let queue = Queue { memory: VecDeque::new(), bytes: 0, delivered, written, rest };
        Self { queue: Mutex::new(queue), max_bytes, published: Notify::new() }
    }

    /// These entries are written.
    pub(super) fn publish(&self, entries: &[Arc<Entry>]) {
        {
            let mut queue = self.queue.lock();
            for entry in entries {
                if queue.bytes + entry.bytes > self.max_bytes {
                    queue.rest = Rest::OnDisk;
                }
                if queue.rest == Rest::Nothing {
                    queue.bytes += entry.bytes;
                    queue.memory.push_back(entry.clone());
                }
                queue.written = entry.seq;
            }
        }
        self.published.notify_waiters();
    }

    /// Takes the next entries from memory, about `max_bytes`, or tells where they are.
    pub(super) fn take(&self, max_bytes: usize) -> Taken {
        let mut queue = self.queue.lock();
        let mut entries = Vec::new();
        let mut bytes = 0;
        while bytes < max_bytes.max(1) {
            let Some(entry) = queue.memory.pop_front() else { break };
            bytes += entry.bytes;
            queue.delivered = entry.seq;
            entries.push(entry);
        }
        queue.bytes -= bytes;
        match queue.rest {
            _ if !entries.is_empty() => Taken::Entries(entries),
            Rest::OnDisk => Taken::OnDisk { after: queue.delivered, upto: queue.written },
            Rest::Nothing => Taken::Nothing,
        }
    }

    /// The feed has read up to here from the segments.
    pub(super) fn delivered(&self, upto: Seq) {
        let mut queue = self.queue.lock();
        queue.delivered = queue.delivered.max(upto);
        if queue.memory.is_empty() && queue.delivered >= queue.written {
            queue.rest = Rest::Nothing;
        }
    }

    /// The last entry given to the appliers, and the last written.
    pub(super) fn reach(&self) -> (Seq, Seq) {
        let queue = self.queue.lock();
        (queue.delivered, queue.written)
    }

    /// Bytes held in memory.
    pub(super) fn bytes(&self) -> usize {
        self.queue.lock().bytes
    }
}
