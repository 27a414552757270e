//! Keeps the catalogs of both sides current, and tells the mirror what changed.

use std::sync::Arc;
use std::sync::atomic::AtomicU32;
use std::time::Duration;

use parking_lot::Mutex;
use tracing::{info, warn};

use super::epoch;
use crate::catalog::{self, Catalog, Changed, Handle, LoadOptions, Patterns};
use crate::check::Results;
use crate::config::{Live, Settings};
use crate::effect::{Mark, Reason, TableId, Touched};
use crate::mirror::Mirror;
use crate::reads::Verified;
use crate::report::{ServerState, ServerStatus};
use crate::server::{self, Purpose};

/// Between looks for changes that nobody announced.
const POLL: Duration = Duration::from_secs(5);
/// Between tries to connect.
const RETRY: Duration = Duration::from_millis(200);

/// Which server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    Primary,
    Shadow,
}

/// Whether a server answers, as seen by its follower.
#[derive(Debug, Default)]
pub(super) struct Health(Mutex<ServerStatus>);

impl Health {
    pub(super) fn status(&self) -> ServerStatus {
        self.0.lock().clone()
    }

    fn up(&self, version: &str) {
        let status =
            ServerStatus { state: ServerState::Up, server_version: Some(version.to_owned()), last_error: None };
        *self.0.lock() = status;
    }

    fn down(&self, error: &dyn std::fmt::Display) {
        let mut status = self.0.lock();
        if status.state != ServerState::Down || status.last_error.is_none() {
            warn!("{error}");
        }
        status.state = ServerState::Down;
        status.last_error = Some(error.to_string());
    }
}

/// The primary's catalog, however long it takes to be reached.
pub(super) async fn first_catalog(settings: &Settings, health: &Health) -> Catalog {
    loop {
        let loaded = async {
            let client = server::connect(&settings.primary.url, Purpose::Catalog).await?;
            anyhow::Ok(catalog::load(&client, &options(settings, None), 1).await?)
        };
        match loaded.await {
            Ok(catalog) => {
                health.up(&catalog.server_version);
                return catalog;
            }
            Err(error) => health.down(&format_args!("waiting for the primary: {error:#}")),
        }
        tokio::time::sleep(RETRY).await;
    }
}

fn options(settings: &Settings, other: Option<Arc<Catalog>>) -> LoadOptions {
    LoadOptions {
        include: Patterns::new(&settings.mirror.include),
        exclude: Patterns::new(&settings.mirror.exclude),
        no_rewrite: Patterns::new(&settings.mirror.no_rewrite),
        other,
    }
}

/// Follows one side.
pub(super) struct Follower {
    pub(super) side: Side,
    pub(super) live: Arc<Live>,
    pub(super) mirror: Mirror,
    pub(super) primary: Arc<Handle>,
    pub(super) shadow: Arc<Handle>,
    pub(super) epoch: Arc<AtomicU32>,
}

impl Follower {
    /// Connects, follows, and connects again, forever.
    pub(super) async fn run(self, health: Arc<Health>) {
        // While the primary is out of sight nothing is settled.
        let mut out_of_sight = None;
        loop {
            let settings = Arc::clone(&self.live.get());
            let (url, handle) = match self.side {
                Side::Primary => (&settings.primary.url, &self.primary),
                Side::Shadow => (&settings.shadow.url, &self.shadow),
            };
            match server::connect(url, Purpose::Catalog).await {
                Ok(client) => {
                    // It may have crashed again since it was lost.
                    if out_of_sight.is_some() {
                        epoch::begin(&settings.mirror.journal, &self.epoch, &self.mirror);
                        out_of_sight = None;
                    }
                    let changed = |changed: Changed| {
                        health.up(&changed.after.server_version);
                        self.changed(&changed);
                    };
                    tokio::select! {
                        error = handle.follow(&client, || self.options(), POLL, changed) => health.down(&error),
                        () = client.closed() => health.down(&format_args!("the connection to {url} was lost")),
                        never = self.reload_with_patterns(handle) => match never {},
                    }
                    if self.side == Side::Primary {
                        out_of_sight = Some(self.mirror.busy());
                        epoch::begin(&settings.mirror.journal, &self.epoch, &self.mirror);
                    }
                }
                Err(error) => health.down(&error),
            }
            tokio::time::sleep(RETRY).await;
        }
    }

    /// Which tables are mirrored is a hot setting.
    async fn reload_with_patterns(&self, handle: &Handle) -> std::convert::Infallible {
        let mut generations = self.live.subscribe();
        let patterns = || {
            let mirror = &self.live.get().mirror;
            (mirror.include.clone(), mirror.exclude.clone(), mirror.no_rewrite.clone())
        };
        let mut seen = patterns();
        loop {
            if generations.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
            if patterns() != seen {
                seen = patterns();
                handle.reload();
            }
        }
    }

    fn options(&self) -> LoadOptions {
        let other = match self.side {
            Side::Primary => self.shadow.get(),
            Side::Shadow => self.primary.get(),
        };
        let other = (other.generation > 0).then(|| Arc::clone(&other));
        options(&self.live.get(), other)
    }

    fn changed(&self, changed: &Changed) {
        if self.side == Side::Shadow {
            // Whether a write may be captured depends on the shadow's keys too.
            if changed.before.generation == 0 || !changed.tables.is_empty() {
                self.primary.reload();
            }
            return;
        }
        let tables: Vec<TableId> = changed.after.tables.keys().copied().collect();
        self.mirror.set_tables(tables);
        if !changed.tables.is_empty() {
            info!(tables = changed.tables.len(), announced = changed.announced, "tables changed: they are compared");
            let touched = Touched::Tables(changed.tables.clone());
            self.mirror.mark(&Mark::Tables { touched, reason: Reason::Ddl });
        }
        if !changed.led_to.is_empty() {
            info!("what is written with some tables has changed: what that may be is compared");
            self.mirror.mark(&Mark::Tables { touched: changed.led_to.clone(), reason: Reason::Ddl });
        }
    }
}

/// What check says, for reads.
pub(super) struct CheckedTables(pub(super) Arc<Results>);

impl Verified for CheckedTables {
    fn is_verified(&self, table: TableId) -> bool {
        self.0.is_verified(table)
    }
}
