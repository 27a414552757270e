//! Reading a side's catalogs, and keeping them current.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arc_swap::ArcSwap;
use thiserror::Error;
use tokio::sync::Notify;

use super::Catalog;

/// Why a catalog could not be read.
#[derive(Debug, Error)]
pub enum LoadError {
    /// The server refused a query.
    #[error("reading the catalogs: {0}")]
    Query(#[from] tokio_postgres::Error),
}

/// The catalog in force, and whether it may be out of date.
#[derive(Debug, Default)]
pub struct Handle {
    current: ArcSwap<Catalog>,
    /// DDL that was forwarded and is not read yet: while above zero, no image may be decoded.
    stale: AtomicU64,
    wake: Notify,
}

impl Handle {
    /// The catalog last loaded; empty, generation 0, before the first.
    pub fn get(&self) -> arc_swap::Guard<Arc<Catalog>> {
        self.current.load()
    }

    /// Whether what it says may be trusted for capture.
    pub fn is_current(&self) -> bool {
        self.stale.load(Ordering::Acquire) == 0
    }

    /// DDL is about to be forwarded, or an unknown relation was met: not current until loaded anew. The reload
    /// happens when [`Handle::ddl_resolved`] says so, or after a while.
    pub fn invalidate(&self) {
        self.stale.fetch_add(1, Ordering::AcqRel);
    }

    /// The transaction that called [`Handle::invalidate`] ended: load anew now.
    pub fn ddl_resolved(&self) {
        self.wake.notify_one();
    }
}
