//! Facts of texts seen before.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use quick_cache::Weighter;

use super::{Script, analyze};

/// Longer texts are analysed anew each time: they are rarely sent twice, and would push out many short ones.
const MAX_CACHED_BYTES: usize = 4 << 10;

/// What an entry weighs at least; the whole cache weighs its capacity times this.
const ENTRY_BYTES: u64 = 1 << 10;

/// Places of the memory of texts seen once.
const SEEN: usize = 4 << 10;

/// Bounded by number and by bytes, shared by all sessions. A hit costs one hash of the text and no allocation.
#[derive(Debug)]
pub struct Cache {
    scripts: quick_cache::sync::Cache<Box<[u8]>, Arc<Script>, TextBytes>,
    /// Hashes of texts seen once. A text that bears its values is never sent again and not worth a place.
    seen: Box<[AtomicU64]>,
}

impl Cache {
    /// Holds at most about `capacity` scripts, and about a KiB of text for each of them.
    pub fn new(capacity: usize) -> Self {
        let bytes = ENTRY_BYTES.saturating_mul(capacity as u64);
        let seen = (0..SEEN).map(|_| AtomicU64::new(0)).collect();
        Self { scripts: quick_cache::sync::Cache::with_weighter(capacity, bytes, TextBytes), seen }
    }

    /// The facts of `text`, from memory or by analysis.
    pub fn analyze(&self, text: &[u8]) -> Arc<Script> {
        if text.len() > MAX_CACHED_BYTES {
            return Arc::new(analyze(text));
        }
        if let Some(script) = self.scripts.get(text) {
            return script;
        }
        // Two sessions may analyse the same text at once: cheaper than making one wait for the other.
        let script = Arc::new(analyze(text));
        if self.was_seen(text) {
            self.scripts.insert(text.into(), Arc::clone(&script));
        }
        script
    }

    /// Whether this text, or rarely another that took its place, came before; remembers that it came.
    fn was_seen(&self, text: &[u8]) -> bool {
        let hash = rapidhash::v3::rapidhash_v3(text).max(1);
        self.seen[hash as usize % SEEN].swap(hash, Ordering::Relaxed) == hash
    }
}

#[derive(Debug, Clone)]
struct TextBytes;

impl Weighter<Box<[u8]>, Arc<Script>> for TextBytes {
    /// The facts are roughly as long as the text they are drawn from.
    fn weight(&self, text: &Box<[u8]>, _script: &Arc<Script>) -> u64 {
        ENTRY_BYTES.max(2 * text.len() as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_seen_before_is_not_analysed_again() {
        let cache = Cache::new(100);
        let once = cache.analyze(b"SELECT 1");
        assert_eq!(cache.scripts.len(), 0, "not worth a place yet");
        let twice = cache.analyze(b"SELECT 1");
        assert_eq!(once, twice);
        assert!(Arc::ptr_eq(&twice, &cache.analyze(b"SELECT 1")));
        assert!(!Arc::ptr_eq(&twice, &cache.analyze(b"SELECT 2")));
    }

    #[test]
    fn a_long_text_is_not_kept() {
        let cache = Cache::new(100);
        let text = format!("SELECT '{}'", "x".repeat(MAX_CACHED_BYTES));
        let first = cache.analyze(text.as_bytes());
        assert_eq!(first, cache.analyze(text.as_bytes()));
        assert_eq!(cache.scripts.len(), 0);
    }

    #[test]
    fn number_and_bytes_are_bounded() {
        let cache = Cache::new(64);
        let twice = |text: String| (0..2).for_each(|_| drop(cache.analyze(text.as_bytes())));
        for n in 0..1000 {
            twice(format!("SELECT {n}"));
        }
        assert!(cache.scripts.len() <= 64);
        for n in 0..100 {
            twice(format!("SELECT {n}, '{}'", "x".repeat(4000)));
        }
        assert!(cache.scripts.weight() <= 64 * ENTRY_BYTES);
        let bytes: usize = cache.scripts.iter().map(|(text, _)| text.len()).sum();
        assert!(bytes <= 64 << 10);
    }
}
