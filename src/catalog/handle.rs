//! The catalog in force, and what of it may be trusted: what DDL on its way may change is stale until it was read anew.

use std::sync::Arc;

use arc_swap::{ArcSwap, Guard};
use parking_lot::Mutex;
use tokio::sync::Notify;

use super::{Catalog, Currency};
use crate::effect::Disturbed;

/// Past so many announcements that no load has followed, what they were about is not held apart any longer.
const MAX_ENDED: usize = 1000;

/// One side's catalog, shared by all who ask it.
#[derive(Debug, Default)]
pub struct Handle {
    catalog: ArcSwap<Catalog>,
    staleness: Mutex<Staleness>,
    /// What `staleness` says, for those who ask with every statement.
    currency: ArcSwap<Currency>,
    wake: Notify,
}

/// Counts that tell whether every change that was announced has been read.
#[derive(Debug, Default)]
struct Staleness {
    announced: Vec<Announced>,
    /// Of the last announcement.
    number: u64,
    /// How many have ended so far.
    ended: u64,
    /// `ended` as it was when the last finished load began; `None` before the first.
    read: Option<u64>,
    version: u64,
}

/// What no load has read that began after its end.
#[derive(Debug)]
struct Announced {
    number: u64,
    disturbed: Disturbed,
    /// How many had ended then, itself included; `None` while it is under way.
    ended: Option<u64>,
}

impl Staleness {
    fn currency(&self, catalog: &Catalog) -> Currency {
        match self.read {
            Some(_) => {
                let disturbed = self.announced.iter().map(|announced| &announced.disturbed);
                Currency::while_changed(self.version, catalog, disturbed)
            }
            None => Currency::nothing(self.version),
        }
    }

    fn end(&mut self, number: u64) {
        self.ended += 1;
        let ended = Some(self.ended);
        if let Some(announced) = self.announced.iter_mut().find(|announced| announced.number == number) {
            announced.ended = ended;
        }
        if self.announced.len() > MAX_ENDED {
            self.announced.retain(|announced| announced.ended.is_none());
            self.announced.push(Announced { number, disturbed: Disturbed::Everything, ended });
        }
    }

    fn read(&mut self, ended: u64) {
        self.read = Some(ended);
        self.announced.retain(|announced| announced.ended.is_none_or(|end| end > ended));
    }
}

/// DDL is under way, or an unknown relation was met. Dropped when its transaction has ended, either way: what it disturbs
/// is current again once a load that began after that has finished.
#[derive(Debug)]
#[must_use = "dropped at once it asks for a reload at once"]
pub struct Invalidation {
    handle: Arc<Handle>,
    number: u64,
}

impl Drop for Invalidation {
    fn drop(&mut self) {
        self.handle.change(|staleness| staleness.end(self.number));
        self.handle.wake.notify_one();
    }
}

/// A load that has begun: what had ended by then, it reads.
#[derive(Debug)]
pub(super) struct Loading {
    ended: u64,
    /// Whether anything was announced since the last load began.
    pub(super) announced: bool,
    /// What was trusted of the catalog before it.
    pub(super) currency: Arc<Currency>,
}

/// A catalog that was loaded once, and is not followed.
impl From<Catalog> for Handle {
    fn from(catalog: Catalog) -> Self {
        Self { catalog: ArcSwap::from_pointee(catalog), ..Self::default() }
    }
}

impl Handle {
    /// The catalog last loaded; empty, generation 0, before the first.
    pub fn get(&self) -> Guard<Arc<Catalog>> {
        self.catalog.load()
    }

    /// What may be trusted of a catalog that is asked for afterwards.
    pub fn currency(&self) -> Guard<Arc<Currency>> {
        self.currency.load()
    }

    /// Whether all that it says may be trusted.
    pub fn is_current(&self) -> bool {
        self.currency.load().is_whole()
    }

    /// DDL is about to be forwarded, or an unknown relation was met (then dropped at once): what it disturbs is not current
    /// until the answer has been dropped and the catalog loaded anew.
    pub fn invalidate(self: &Arc<Self>, disturbed: Disturbed) -> Invalidation {
        let mut number = 0;
        self.change(|staleness| {
            staleness.number += 1;
            number = staleness.number;
            staleness.announced.push(Announced { number, disturbed, ended: None });
        });
        Invalidation { handle: Arc::clone(self), number }
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
        let announced = staleness.read.is_some() && !staleness.announced.is_empty();
        Loading { ended: staleness.ended, announced, currency: Arc::clone(&self.currency.load()) }
    }

    /// Puts a catalog in force.
    pub(super) fn replace(&self, catalog: Arc<Catalog>) {
        self.change(|_| self.catalog.store(catalog));
    }

    /// What the load that began as `loading` gave is in force.
    pub(super) fn finish(&self, loading: &Loading) {
        self.change(|staleness| staleness.read(loading.ended));
    }

    fn change(&self, with: impl FnOnce(&mut Staleness)) {
        let mut staleness = self.staleness.lock();
        with(&mut staleness);
        staleness.version += 1;
        // Inside the lock, so that an older answer cannot overwrite a newer.
        self.currency.store(Arc::new(staleness.currency(&self.catalog.load())));
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
        let ddl = handle.invalidate(Disturbed::Everything);
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
        let (first, second) = (handle.invalidate(Disturbed::Everything), handle.invalidate(Disturbed::Everything));
        drop(second);
        load(&handle);
        assert!(!handle.is_current());
        drop(first);
        assert!(!handle.is_current());
        load(&handle);
        assert!(handle.is_current());
    }

    #[test]
    fn only_what_ddl_names_is_doubted_and_each_by_itself() {
        let handle = Arc::new(Handle::default());
        load(&handle);
        let [t, u] = ["t", "u"].map(|name| handle.invalidate(Disturbed::Relations(vec![name.into()])));
        let knows = || ["t", "u", "v"].map(|name| handle.currency().knows(name));
        assert_eq!(knows(), [false, false, true]);
        drop(t);
        let loading = handle.begin();
        drop(u);
        handle.finish(&loading);
        assert_eq!(knows(), [true, false, true], "the end of the second was not read");
        load(&handle);
        assert!(handle.is_current());
        drop(handle.invalidate(Disturbed::NOTHING));
        assert_eq!(knows(), [true; 3]);
        assert!(!handle.is_current());
    }

    #[test]
    fn announcements_that_no_load_follows_take_bounded_room() {
        let handle = Arc::new(Handle::default());
        load(&handle);
        for n in 0..3 * MAX_ENDED {
            drop(handle.invalidate(Disturbed::Relations(vec![n.to_string()])));
        }
        assert!(handle.staleness.lock().announced.len() <= MAX_ENDED + 1);
        assert!(handle.currency().is_nothing());
        load(&handle);
        assert!(handle.is_current());
    }

    #[tokio::test]
    async fn the_end_of_ddl_wakes_the_loader() {
        let handle = Arc::new(Handle::default());
        drop(handle.invalidate(Disturbed::Everything));
        handle.wanted().await;
        assert!(!handle.begin().announced, "before the first load everything is new");
        load(&handle);
        drop(handle.invalidate(Disturbed::Everything));
        assert!(handle.begin().announced);
    }
}
