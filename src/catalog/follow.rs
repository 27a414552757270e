//! Keeping a catalog current: loaded at the start, when it is asked for, and when a cheap look finds it changed.

use std::sync::Arc;
use std::time::Duration;

use tokio_postgres::Client;

use super::load::fingerprint;
use super::{Catalog, Currency, Handle, LoadError, LoadOptions, Table, load};
use crate::effect::{TableId, Touched};

/// What a load found.
#[derive(Debug)]
pub struct Changed {
    /// Before it; generation 0 at the start.
    pub before: Arc<Catalog>,
    /// Now in force.
    pub after: Arc<Catalog>,
    /// Tables that are new or whose columns, types or key are other than before; none at the start.
    pub tables: Vec<TableId>,
    /// Where writes lead now that led elsewhere before: what was written since the last look may be missing there.
    pub led_to: Touched,
    /// DDL of ours was read by this load: the changes may be its own. Else they passed us by, and what was captured
    /// since the last load may have been read under a wrong shape (rule 8).
    pub announced: bool,
}

impl Handle {
    /// Loads, and loads again when [`Handle::invalidate`] or [`Handle::reload`] ask for it, or when a look every `poll`
    /// finds that the catalogs changed. Calls `changed` after each load, before what it found counts as current.
    /// Returns when the connection fails: to be called again with another.
    pub async fn follow(
        &self,
        client: &Client,
        options: impl Fn() -> LoadOptions,
        poll: Duration,
        mut changed: impl FnMut(Changed),
    ) -> LoadError {
        loop {
            if let Err(error) = self.load_and_wait(client, options(), poll, &mut changed).await {
                return error;
            }
        }
    }

    /// Loads, and waits until there is reason to load again.
    async fn load_and_wait(
        &self,
        client: &Client,
        options: LoadOptions,
        poll: Duration,
        changed: &mut impl FnMut(Changed),
    ) -> Result<(), LoadError> {
        // Before the load: what changes while it runs is found by the next look.
        let seen = fingerprint(client).await?;
        let loading = self.begin();
        let before = Arc::clone(&self.get());
        let after = Arc::new(load(client, &options, before.generation + 1).await?);
        let (mut tables, mut led_to) = (Vec::new(), Touched::NONE);
        if before.generation > 0 {
            (tables, led_to) = (changed_tables(&before, &after), led_elsewhere(&before, &after, &loading.currency));
        }
        self.replace(Arc::clone(&after));
        changed(Changed { before, after, tables, led_to, announced: loading.announced });
        self.finish(&loading);
        while tokio::time::timeout(poll, self.wanted()).await.is_err() {
            if fingerprint(client).await? != seen {
                break;
            }
        }
        Ok(())
    }
}

/// Tables that are new in `after`, or whose rows print otherwise than in `before`.
fn changed_tables(before: &Catalog, after: &Catalog) -> Vec<TableId> {
    let is_same = |table: &Table| {
        let old = before.tables.get(&table.shape.table);
        old.is_some_and(|old| old.shape == table.shape && old.columns == table.columns)
    };
    let mut changed: Vec<_> =
        after.tables.values().filter(|table| !is_same(table)).map(|table| table.shape.table).collect();
    changed.sort_unstable();
    changed
}

/// Where writes to tables lead by what has changed between both, and did not before. What was announced was reckoned with.
fn led_elsewhere(before: &Catalog, after: &Catalog, currency: &Currency) -> Touched {
    let mut touched = Touched::NONE;
    for (id, table) in &after.tables {
        if let Some(old) = before.tables.get(id).filter(|old| currency.trusts_reach(old)) {
            touched.extend(&table.leads.beyond(&old.leads));
        }
    }
    for (oid, leads) in &after.unmirrored {
        if let Some(old) = before.unmirrored.get(oid) {
            touched.extend(&leads.beyond(old));
        }
    }
    touched
}
