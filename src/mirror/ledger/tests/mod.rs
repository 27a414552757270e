//! The ledger as a whole, on a journal of its own.

mod bounds;
mod crash;
mod healing;
mod model;
mod sessions;

use std::sync::Arc;
use std::time::Duration;

use super::Feed;
use crate::mirror::entry::Entry;

/// The next `count` entries, taken in small bites.
async fn take(feed: &mut Feed, count: usize) -> Vec<Arc<Entry>> {
    let mut entries = Vec::new();
    while entries.len() < count {
        entries.extend(feed.next(1).await);
    }
    entries
}

fn seqs(entries: &[Arc<Entry>]) -> Vec<u64> {
    entries.iter().map(|entry| entry.seq.0).collect()
}

/// Waits for what the writer's thread does in its own time; a minute is for ever.
async fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    for _ in 0..6000 {
        if holds() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("never: {what}");
}
