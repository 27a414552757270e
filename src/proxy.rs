//! Builds everything from the settings, hands out the handles through which the rooms meet, starts and stops it.
//!
//! Sessions have threads of their own, so that neither applying nor comparing can stand in front of a client.
//! Here alone the rooms of floor 3 are joined: reads learn from check what is verified, sessions reach the mirror.

mod epoch;
mod follow;
mod once;
mod operator;
mod schema;

use std::sync::Arc;
use std::sync::atomic::AtomicU32;
use std::time::{Duration, Instant};

use anyhow::Context;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{Mutex, watch};
use tracing::{info, warn};

use crate::admin::{self, Jobs, Token};
use crate::catalog;
use crate::check::Checker;
use crate::config::{Reloader, Settings};
use crate::copy::{Healer, follow_sequences};
use crate::mirror::{Appliers, ApplySettings, Identity, LedgerSettings, Mirror};
use crate::net::{self, Gate, Leaving};
use crate::reads::{Databases, Router};
use crate::sql;
use crate::telemetry::Metrics;

use follow::{Follower, Health, Side};
pub use once::{OnceError, check_once};
use operator::Operator;
use schema::Schemas;

/// Scripts that are remembered.
const STATEMENTS: usize = 10_000;
/// How long what is left after the sessions may take to end.
const LINGER: Duration = Duration::from_secs(10);

/// Runs the proxy until SIGTERM or SIGINT.
pub async fn run(reloader: Arc<Reloader>) -> anyhow::Result<()> {
    let live = Arc::clone(reloader.live());
    let settings = Arc::clone(&live.get());
    let metrics = Metrics::start()?;
    let token = Token::of(&settings.admin)?;
    let clients = listen(&settings.listen.address, "listen.address").await?;
    let operators = listen(&settings.admin.address, "admin.address").await?;
    let mut ending = Ending::new()?;

    let primary_health = Arc::new(Health::default());
    let Some(first) = ending.or(follow::first_catalog(&settings, &primary_health)).await else { return Ok(()) };
    let epoch = Arc::new(AtomicU32::new(0));
    let (mirror, feed) = open_mirror(&settings, &first)?;
    epoch::enter(&settings.mirror.journal, &first.epoch, &epoch, &mirror)?;

    let primary = Arc::new(catalog::Handle::default());
    let shadow = Arc::new(catalog::Handle::default());
    let follower = |side| Follower {
        side,
        live: Arc::clone(&live),
        mirror: mirror.clone(),
        primary: Arc::clone(&primary),
        shadow: Arc::clone(&shadow),
        epoch: Arc::clone(&epoch),
    };
    let shadow_health = Arc::new(Health::default());
    let mut followers = tokio::task::JoinSet::new();
    followers.spawn(follower(Side::Primary).run(Arc::clone(&primary_health)));
    followers.spawn(follower(Side::Shadow).run(Arc::clone(&shadow_health)));
    let schemas = Arc::new(Schemas::default());
    followers.spawn(Arc::clone(&schemas).follow(Arc::clone(&live), Arc::clone(&primary), Arc::clone(&shadow)));

    followers.spawn(follow_sequences(Arc::clone(&live), Arc::clone(&primary)));

    let apply = ApplySettings {
        shadow: settings.shadow.url.clone(),
        workers: settings.mirror.workers,
        source: mirror.journal().to_owned(),
    };
    let appliers = Appliers::start(apply, feed);
    let healer = Healer::start(Arc::clone(&live), mirror.clone(), Arc::clone(&primary), Arc::clone(&shadow));
    let checker = Checker::start(Arc::clone(&live), mirror.clone(), Arc::clone(&primary), Arc::clone(&shadow));
    let databases = Databases {
        primary_url: settings.primary.url.clone(),
        shadow_url: settings.shadow.url.clone(),
        primary: Arc::clone(&primary),
        shadow: Arc::clone(&shadow),
    };
    let verified = Arc::new(follow::CheckedTables(checker.results()));
    let router = Router::new(Arc::clone(&live), &databases, mirror.clone(), verified);

    let gate = Arc::new(Gate::default());
    let shared = Arc::new(net::Shared {
        live: Arc::clone(&live),
        mirror: mirror.clone(),
        catalog: Arc::clone(&primary),
        statements: sql::Cache::new(STATEMENTS),
        profiles: crate::session::Profiles::default(),
        reads: Arc::clone(&router) as Arc<dyn crate::session::ReadService>,
        epoch: Arc::clone(&epoch),
        room: Arc::default(),
    });
    let operator = Arc::new(Operator {
        started: Instant::now(),
        reloader,
        gate: Arc::clone(&gate),
        mirror: mirror.clone(),
        primary: Arc::clone(&primary),
        shadow: Arc::clone(&shadow),
        primary_health,
        appliers,
        healer: Arc::new(healer),
        checker: Arc::new(checker),
        schemas,
        router,
        jobs: Jobs::default(),
        metrics,
        runtime: tokio::runtime::Handle::current(),
    });

    let threads = net::Threads::start().context("starting the sessions' threads")?;
    let (leave, leaving) = watch::channel(Leaving::No);
    let (closed, mut all_closed) = watch::channel(false);
    let serving_clients = tokio::spawn(async move {
        net::serve(clients, threads, shared, gate, leaving).await;
        closed.send_replace(true);
    });
    let (stop_admin, admin_stopped) = tokio::sync::oneshot::channel::<()>();
    let serving = admin::serve(operators, Arc::clone(&operator) as Arc<dyn admin::Control>, token, async {
        let _ = admin_stopped.await;
    });
    let serving = tokio::spawn(serving);
    info!(listen = %settings.listen.address, admin = %settings.admin.address, "crossfade is ready");

    ending.wait().await;
    info!("ending: running transactions may finish");
    leave.send_replace(Leaving::WhenIdle);
    let all_gone = async |limit| tokio::time::timeout(limit, all_closed.wait_for(|closed| *closed)).await.is_ok();
    let mut all_gone = all_gone;
    if !all_gone(settings.listen.shutdown_timeout).await {
        warn!("transactions still run after listen.shutdown_timeout: ending them");
        leave.send_replace(Leaving::Now);
        all_gone(LINGER).await;
    }
    serving_clients.abort();
    drop(stop_admin);
    let _ = tokio::time::timeout(LINGER, serving).await;
    followers.abort_all();
    stop(operator, &mirror).await;
    Ok(())
}

/// Stops what works on the ledger, then closes it.
async fn stop(operator: Arc<Operator>, mirror: &Mirror) {
    operator.jobs.cancel_all();
    let ended = async {
        if let Some(operator) = Arc::into_inner(operator) {
            operator.stop().await;
        }
        mirror.close().await;
    };
    if tokio::time::timeout(LINGER, ended).await.is_err() {
        warn!("the journal was not closed in time: what was under way is compared at the next start");
    }
}

async fn listen(address: &str, key: &str) -> anyhow::Result<TcpListener> {
    TcpListener::bind(address).await.with_context(|| format!("{key}: cannot listen on {address}"))
}

fn open_mirror(settings: &Settings, catalog: &catalog::Catalog) -> anyhow::Result<(Mirror, crate::mirror::Feed)> {
    let ledger = LedgerSettings {
        journal: settings.mirror.journal.clone(),
        journal_max_bytes: settings.mirror.journal_max_bytes.0,
        memory: settings.mirror.memory.0,
    };
    let identity = Identity {
        system_identifier: catalog.system_identifier.clone(),
        database: settings.primary.url.database.clone(),
    };
    Ok(Mirror::open(&ledger, &identity)?)
}

/// SIGTERM and SIGINT.
struct Ending {
    terminate: Mutex<tokio::signal::unix::Signal>,
    interrupt: Mutex<tokio::signal::unix::Signal>,
}

impl Ending {
    fn new() -> anyhow::Result<Self> {
        let terminate = Mutex::new(signal(SignalKind::terminate())?);
        Ok(Self { terminate, interrupt: Mutex::new(signal(SignalKind::interrupt())?) })
    }

    async fn wait(&mut self) {
        let (mut terminate, mut interrupt) = (self.terminate.lock().await, self.interrupt.lock().await);
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    }

    /// What `work` gives, unless a signal comes first.
    async fn or<T>(&mut self, work: impl Future<Output = T>) -> Option<T> {
        tokio::select! {
            done = work => Some(done),
            () = self.wait() => None,
        }
    }
}
