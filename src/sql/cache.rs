//! Facts of texts seen before.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use quick_cache::Weighter;

use super::skeleton::skeleton;
use super::{Kind, MAX_BYTES, Script, Statement, analyze};

/// Longer keys are not kept: they rarely come twice, and would push out many short ones.
const MAX_KEY_BYTES: usize = 4 << 10;

/// What an entry weighs at least; the whole cache weighs its capacity times this.
const ENTRY_BYTES: u64 = 1 << 10;

/// Places of the memory of keys seen once.
const SEEN: usize = 4 << 10;

/// Bounded by number and by bytes, shared by all sessions. A hit costs one hash of the text, and where the text bears
/// values, a walk over its tokens.
#[derive(Debug)]
pub struct Cache {
    entries: quick_cache::sync::Cache<Box<str>, Entry, KeyBytes>,
    /// Hashes of keys seen once: not worth a place yet.
    seen: Box<[AtomicU64]>,
}

/// Facts by a whole text, or by the skeleton of many.
#[derive(Debug, Clone)]
struct Entry {
    script: Arc<Script>,
    /// Of the text that was analysed.
    length: usize,
    /// Whether they hold for every text of the same skeleton.
    shared: bool,
}

impl Entry {
    /// What it says of a text of the same skeleton: only values differ, and none stands behind the statement's end.
    fn of_skeleton(&self, length: usize) -> Option<Arc<Script>> {
        if !self.shared {
            return None;
        }
        if length == self.length {
            return Some(Arc::clone(&self.script));
        }
        let [statement] = &self.script.statements[..] else { return None };
        let end = (statement.span.end + length).checked_sub(self.length)?;
        let moved = Statement { span: statement.span.start..end, kind: Arc::clone(&statement.kind) };
        Some(Arc::new(Script { statements: vec![moved] }))
    }
}

impl Cache {
    /// Holds at most about `capacity` scripts, and about a KiB of text for each of them.
    pub fn new(capacity: usize) -> Self {
        let bytes = ENTRY_BYTES.saturating_mul(capacity as u64);
        let seen = (0..SEEN).map(|_| AtomicU64::new(0)).collect();
        Self { entries: quick_cache::sync::Cache::with_weighter(capacity, bytes, KeyBytes), seen }
    }

    /// The facts of `text`, from memory or by analysis.
    pub fn analyze(&self, text: &[u8]) -> Arc<Script> {
        match std::str::from_utf8(text) {
            Ok(text) if text.len() <= MAX_BYTES => self.look_up(text),
            _ => Arc::new(analyze(text)),
        }
    }

    fn look_up(&self, text: &str) -> Arc<Script> {
        if let Some(entry) = self.entries.get(text)
            && entry.length == text.len()
        {
            return entry.script;
        }
        let key = skeleton(text);
        if let Some(script) = self.entries.get(&*key).and_then(|entry| entry.of_skeleton(text.len())) {
            return script;
        }
        // Two sessions may analyse the same text at once: cheaper than making one wait for the other.
        let script = Arc::new(analyze(text.as_bytes()));
        let shared = is_one_read_or_write(&script);
        let key = if shared { &*key } else { text };
        if key.len() <= MAX_KEY_BYTES && self.was_seen(key) {
            self.entries.insert(key.into(), Entry { script: Arc::clone(&script), length: text.len(), shared });
        }
        script
    }

    /// Whether this key, or rarely another that took its place, came before; remembers that it came.
    fn was_seen(&self, key: &str) -> bool {
        let hash = rapidhash::v3::rapidhash_v3(key.as_bytes()).max(1);
        self.seen[hash as usize % SEEN].swap(hash, Ordering::Relaxed) == hash
    }
}

/// The kinds whose facts do not depend on the values in the text.
fn is_one_read_or_write(script: &Script) -> bool {
    match &script.statements[..] {
        [statement] => matches!(*statement.kind, Kind::Read(_) | Kind::Write(_)),
        _ => false,
    }
}

#[derive(Debug, Clone)]
struct KeyBytes;

impl Weighter<Box<str>, Entry> for KeyBytes {
    /// The facts are roughly as long as the text they are drawn from.
    fn weight(&self, key: &Box<str>, _entry: &Entry) -> u64 {
        ENTRY_BYTES.max(2 * key.len() as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_seen_before_is_not_analysed_again() {
        let cache = Cache::new(100);
        let once = cache.analyze(b"SELECT a");
        assert_eq!(cache.entries.len(), 0, "not worth a place yet");
        let twice = cache.analyze(b"SELECT a");
        assert_eq!(once, twice);
        assert!(Arc::ptr_eq(&twice, &cache.analyze(b"SELECT a")));
        assert!(!Arc::ptr_eq(&twice, &cache.analyze(b"SELECT b")));
    }

    #[test]
    fn texts_that_differ_in_values_are_analysed_once() {
        let cache = Cache::new(100);
        for text in [" UPDATE t SET a = 5 ;", " UPDATE t SET a = 'longer' ;", " UPDATE t SET a = 1234 ;-- 7"] {
            for _ in 0..3 {
                assert_eq!(*cache.analyze(text.as_bytes()), analyze(text.as_bytes()), "{text}");
            }
        }
        assert_eq!(cache.entries.len(), 3);
        let short = cache.analyze(b"UPDATE t SET a = 1");
        let long = cache.analyze(b"UPDATE t SET a = 123456");
        let longer = cache.analyze(b"UPDATE t SET a = 12345678");
        assert_eq!(longer.statements[0].span, 0..25);
        assert!(Arc::ptr_eq(&long.statements[0].kind, &longer.statements[0].kind));
        assert!(!Arc::ptr_eq(&short.statements[0].kind, &longer.statements[0].kind), "it came first");
    }

    #[test]
    fn values_that_are_facts_are_told_apart() {
        let cache = Cache::new(100);
        for text in ["SET a = 0", "SET a = 1", "SET a = '0'", "SELECT 'now'", "SELECT 'not'", "SELECT 0;SELECT 1"] {
            for _ in 0..3 {
                assert_eq!(*cache.analyze(text.as_bytes()), analyze(text.as_bytes()), "{text}");
            }
        }
        // What the parser refuses says nothing about its skeleton.
        for text in ["SELECT a::float(0)", "SELECT a::float(0)", "SELECT a::float(8)", "SELECT a::float(8)"] {
            assert_eq!(*cache.analyze(text.as_bytes()), analyze(text.as_bytes()), "{text}");
        }
    }

    #[test]
    fn a_long_key_is_not_kept() {
        let cache = Cache::new(100);
        let text = format!("SELECT {}", "x".repeat(MAX_KEY_BYTES));
        let first = cache.analyze(text.as_bytes());
        assert_eq!(first, cache.analyze(text.as_bytes()));
        assert_eq!(cache.entries.len(), 0);
    }

    #[test]
    fn number_and_bytes_are_bounded() {
        let cache = Cache::new(64);
        let twice = |text: String| (0..2).for_each(|_| drop(cache.analyze(text.as_bytes())));
        for n in 0..1000 {
            twice(format!("SELECT a{n}"));
        }
        assert!(cache.entries.len() <= 64);
        for n in 0..100 {
            twice(format!("SELECT a{n}, {}", "x".repeat(4000)));
        }
        assert!(cache.entries.weight() <= 64 * ENTRY_BYTES);
        let bytes: usize = cache.entries.iter().map(|(key, _)| key.len()).sum();
        assert!(bytes <= 64 << 10);
    }
}
