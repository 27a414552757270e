//! Keeping a catalog current: loaded at the start, when it is asked for, and when a cheap look finds it changed.

use std::sync::Arc;
use std::time::Duration;

use tokio_postgres::Client;

use super::{Catalog, Handle, LoadError, LoadOptions, load};
use crate::effect::TableId;

/// What a load found.
#[derive(Debug)]
pub struct Changed {
    /// Before it; generation 0 at the start.
    pub before: Arc<Catalog>,
    /// Now in force.
    pub after: Arc<Catalog>,
    /// Tables that are new or whose columns, types or key are other than before; none at the start.
    pub tables: Vec<TableId>,
    /// DDL of ours was read by this load: the changes may be its own. Else they passed us by, and what was captured
    /// since the last load may have been read under a wrong shape (rule 8).
    pub announced: bool,
}

impl Handle {
    /// Loads, and loads again when [`Handle::invalidate`] or [`Handle::reload`] ask for it, or when a look every `poll`
    /// finds that the catalogs changed. Calls `changed` after each load. Returns when the connection fails: to be
    /// called again with another.
    pub async fn follow(
        &self,
        client: &Client,
        options: impl Fn() -> LoadOptions,
        poll: Duration,
        mut changed: impl FnMut(Changed),
    ) -> LoadError {
        todo!()
    }
}
