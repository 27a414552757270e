//! The catalog in force, and whether it may be trusted: DDL on its way makes it stale until it has been read anew.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use arc_swap::ArcSwap;
use parking_lot::Mutex;
use tokio::sync::Notify;

use super::Catalog;

/// One side's catalog, shared by all who ask it.
#[derive(Debug, Default)]
pub struct Handle {
    catalog: ArcSwap<Catalog>,
    staleness: Mutex<Staleness>,
    /// What `staleness` says, for those who ask with every statement.
    current: AtomicBool,
    wake: Notify,
}

/// Counts that tell whether every change that was announced has been read.
#[derive(Debug, Default)]
struct Staleness {
    /// Invalidations not dropped yet.
    open: u64,
    /// Invalidations dropped so far.
    resolved: u64,
    /// `resolved` as it was when the last finished load began; `None` before the first.
    read: Option<u64>,
}

impl Staleness {
    fn is_current(&self) -> bool {
        self.open == 0 && self.read == Some(self.resolved)
    }
}

/// DDL is under way, or an unknown relation was met. Dropped when its transaction has ended, either way: the catalog
/// is current again once a load that began after that has finished.
#[derive(Debug)]
#[must_use = "dropped at once it asks for a reload at once"]
pub struct Invalidation {
    handle: Arc<Handle>,
}

impl Drop for Invalidation {
    fn drop(&mut self) {
        self.handle.change(|staleness| {
            staleness.open -= 1;
            staleness.resolved += 1;
        });
        self.handle.wake.notify_one();
    }
}

/// A load that has begun: what had been announced by then, it reads.
#[derive(Debug)]
pub(super) struct Loading {
    resolved: u64,
    /// Whether anything was announced since the last load began.
    pub(super) announced: bool,
}

/// A catalog that was loaded once, and is not followed.
impl From<Catalog> for Handle {
    fn from(catalog: Catalog) -> Self {
        Self { catalog: ArcSwap::from_pointee(catalog), ..Self::default() }
    }
}

impl Handle {
    /// The catalog last loaded; empty, generation 0, before the first.
    pub fn get(&self) -> arc_swap::Guard<Arc<Catalog>> {
        self.catalog.load()
    }

    /// Whether what it says may be trusted for capture.
    pub fn is_current(&self) -> bool {
        self.current.load(Ordering::Acquire)
    }

    /// DDL is about to be forwarded, or an unknown relation was met (then dropped at once): not current until the
    /// answer has been dropped and the catalog loaded anew.
    pub fn invalidate(self: &Arc<Self>) -> Invalidation {
        self.change(|staleness| staleness.open += 1);
        Invalidation { handle: Arc::clone(self) }
    }

    /// Asks for a load without distrusting what is there: patterns in the settings changed.
    pub fn reload(&self) {
        self.wake.notify_one();
    }

    /// Until a load is asked for.
    pub(super) async fn wanted(&self) {
        self.wake.notified().await;
    }

    /// To be called before the load's first query.
    pub(super) fn begin(&self) -> Loading {
        let staleness = self.staleness.lock();
        let Staleness { open, resolved, read } = *staleness;
        Loading { resolved, announced: open > 0 || read.is_some_and(|read| read != resolved) }
    }

    /// Puts a catalog in force.
    pub(super) fn replace(&self, catalog: Arc<Catalog>) {
        self.catalog.store(catalog);
    }

    /// What the load that began as `loading` gave is in force.
    pub(super) fn finish(&self, loading: &Loading) {
        self.change(|staleness| staleness.read = Some(loading.resolved));
    }

    fn change(&self, with: impl FnOnce(&mut Staleness)) {
        let mut staleness = self.staleness.lock();
        with(&mut staleness);
        // Inside the lock, so that an older answer cannot overwrite a newer.
        self.current.store(staleness.is_current(), Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(handle: &Handle) {
        handle.finish(&handle.begin());
    }

    #[test]
    fn is_not_current_before_the_first_load() {
        let handle = Handle::default();
        assert!(!handle.is_current());
        load(&handle);
        assert!(handle.is_current());
    }

    #[test]
    fn only_a_load_that_began_after_the_ddl_ended_makes_it_current() {
        let handle = Arc::new(Handle::default());
        load(&handle);
        let ddl = handle.invalidate();
        assert!(!handle.is_current());
        load(&handle);
        assert!(!handle.is_current(), "the transaction may still commit");
        let early = handle.begin();
        drop(ddl);
        handle.finish(&early);
        assert!(!handle.is_current(), "its snapshot may be older than the commit");
        load(&handle);
        assert!(handle.is_current());
    }

    #[test]
    fn of_two_the_last_counts() {
        let handle = Arc::new(Handle::default());
        load(&handle);
        let (first, second) = (handle.invalidate(), handle.invalidate());
        drop(second);
        load(&handle);
        assert!(!handle.is_current());
        drop(first);
        assert!(!handle.is_current());
        load(&handle);
        assert!(handle.is_current());
    }

    #[tokio::test]
    async fn the_end_of_ddl_wakes_the_loader() {
        let handle = Arc::new(Handle::default());
        drop(handle.invalidate());
        handle.wanted().await;
        assert!(!handle.begin().announced, "before the first load everything is new");
        load(&handle);
        drop(handle.invalidate());
        assert!(handle.begin().announced);
    }
}
