//! The settings in force, swapped whole.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arc_swap::ArcSwap;

use super::Settings;

/// Shared by everyone who reads hot settings; a reader sees one generation whole.
#[derive(Debug)]
pub struct Live {
    settings: ArcSwap<Settings>,
    generation: AtomicU64,
}

impl Live {
    /// The first generation.
    pub fn new(settings: Settings) -> Arc<Self> {
        Arc::new(Self { settings: ArcSwap::from_pointee(settings), generation: AtomicU64::new(1) })
    }

    /// The settings now in force.
    pub fn get(&self) -> arc_swap::Guard<Arc<Settings>> {
        self.settings.load()
    }

    /// Counts accepted configurations, from 1.
    pub fn generation(&self) -> u64 {
        self.generation.load(Ordering::Acquire)
    }

    /// Puts `settings` in force.
    pub fn swap(&self, settings: Settings) {
        self.settings.store(Arc::new(settings));
        self.generation.fetch_add(1, Ordering::AcqRel);
    }
}
