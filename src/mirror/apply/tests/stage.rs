//! A shadow with a database, and a ledger in memory.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::{Notify, watch};
use tokio::time::{sleep, timeout};
use tokio_postgres::{Client, NoTls, SimpleQueryMessage};

use super::super::source::Source;
use super::super::testing;
use super::super::{Appliers, ApplySettings};
use crate::config::PgUrl;
use crate::demo::{Cluster, Options, Role};
use crate::effect::{Change, Mark, Seq};
use crate::mirror::entry::{Entry, Fill, Flight, Item, Refresh};
use crate::mirror::ledger::Outcome;
use crate::report::Quarantined;

pub(super) fn cluster() -> Cluster {
    Cluster::start(&Options::for_test(Role::Shadow)).unwrap()
}

/// What the ledger would hold; shared with the [`Source`] that the appliers own.
#[derive(Debug)]
pub(super) struct Ledger {
    state: Mutex<State>,
    arrived: Notify,
    awaited: watch::Sender<Seq>,
}

#[derive(Debug, Default)]
struct State {
    /// Since the start.
    all: Vec<Arc<Entry>>,
    waiting: VecDeque<Arc<Entry>>,
    last: u64,
    oldest_ticket: Option<u64>,
    settled: Vec<u64>,
    quarantined: Vec<Quarantined>,
    marks: Vec<Mark>,
    resumed: Option<Seq>,
}

impl Default for Ledger {
    fn default() -> Self {
        Self { state: Mutex::default(), arrived: Notify::new(), awaited: watch::Sender::new(Seq(0)) }
    }
}

impl Ledger {
    /// The next place, with a ticket of the same number.
    fn push(&self, make: impl FnOnce(u64) -> Item) -> u64 {
        let mut state = self.state.lock();
        state.last += 1;
        let seq = state.last;
        let flight = Flight { oldest: state.oldest_ticket.unwrap_or(seq), newest: seq };
        let entry = testing::placed(seq, flight, make(seq));
        state.all.push(entry.clone());
        state.waiting.push_back(entry);
        self.arrived.notify_one();
        seq
    }

    pub(super) fn transaction(&self, changes: Vec<Change>) -> u64 {
        self.push(|seq| testing::transaction(seq, changes))
    }

    pub(super) fn refresh(&self, refresh: Refresh) -> u64 {
        self.push(|_| Item::Refresh(refresh))
    }

    pub(super) fn fill(&self, fill: Fill) -> u64 {
        self.push(|_| Item::Fill(fill))
    }

    /// Whether the appliers have taken all there is.
    pub(super) fn is_taken(&self) -> bool {
        self.state.lock().waiting.is_empty()
    }

    /// While set, a commit with this ticket is in flight.
    pub(super) fn hold_ticket(&self, ticket: Option<u64>) {
        self.state.lock().oldest_ticket = ticket;
    }

    pub(super) fn marks(&self) -> Vec<Mark> {
        self.state.lock().marks.clone()
    }

    pub(super) fn quarantined(&self) -> Vec<Quarantined> {
        self.state.lock().quarantined.clone()
    }

    pub(super) fn settled(&self) -> Vec<u64> {
        self.state.lock().settled.clone()
    }

    pub(super) fn resumed(&self) -> Option<Seq> {
        self.state.lock().resumed
    }

    /// Waits until everything is settled.
    pub(super) async fn settle(&self) {
        let settled = || {
            let state = self.state.lock();
            state.settled.last() == Some(&state.last)
        };
        wait_for("the ledger to be settled", settled).await;
    }
}

/// Waits for something that must come, bounded generously: the machine may be slow.
pub(super) async fn wait_for(what: &str, mut holds: impl FnMut() -> bool) {
    let come = async {
        while !holds() {
            sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(Duration::from_mins(1), come).await.unwrap_or_else(|_| panic!("waiting for {what}"));
}

pub(super) struct MemorySource(Arc<Ledger>);

impl Source for MemorySource {
    /// What was not settled comes again.
    fn history(&mut self) -> Vec<Arc<Entry>> {
        let mut state = self.0.state.lock();
        let settled = state.settled.last().copied().unwrap_or(0);
        let (history, waiting): (Vec<_>, Vec<_>) = state.all.iter().cloned().partition(|entry| entry.seq.0 <= settled);
        state.waiting = waiting.into();
        history
    }

    fn resume_behind(&mut self, applied: Seq) {
        let mut state = self.0.state.lock();
        state.resumed = Some(applied);
        while state.waiting.front().is_some_and(|entry| entry.seq <= applied) {
            let entry = state.waiting.pop_front().unwrap();
            state.settled.push(entry.seq.0);
        }
    }

    async fn next(&mut self, _max_bytes: usize) -> Vec<Arc<Entry>> {
        loop {
            let arrived = self.0.arrived.notified();
            let entries: Vec<_> = self.0.state.lock().waiting.drain(..).collect();
            if !entries.is_empty() {
                return entries;
            }
            arrived.await;
        }
    }

    fn settle(&self, entry: &Entry, outcome: Outcome) {
        let mut state = self.0.state.lock();
        let last = state.settled.last().copied().unwrap_or(0);
        assert!(last < entry.seq.0, "{} settled behind {last}", entry.seq.0);
        state.settled.push(entry.seq.0);
        if let Outcome::Quarantined(quarantined) = outcome {
            state.quarantined.push(quarantined);
        }
    }

    fn oldest_ticket(&self) -> u64 {
        self.0.state.lock().oldest_ticket.unwrap_or(u64::MAX)
    }

    fn newest_ticket(&self) -> u64 {
        self.0.state.lock().oldest_ticket.unwrap_or(0)
    }

    fn outstanding(&self) -> u64 {
        let state = self.0.state.lock();
        state.last - state.settled.len() as u64
    }

    fn awaited(&self) -> watch::Receiver<Seq> {
        self.0.awaited.subscribe()
    }

    fn last(&self) -> Seq {
        Seq(self.0.state.lock().last)
    }

    fn recovered(&self) -> Seq {
        Seq(0)
    }

    fn mark(&self, mark: &Mark) {
        self.0.state.lock().marks.push(mark.clone());
    }
}

/// A database on a shadow, with appliers.
pub(super) struct Stage {
    pub(super) cluster: Cluster,
    pub(super) ledger: Arc<Ledger>,
    pub(super) appliers: Appliers,
}

impl Stage {
    /// Starts a shadow, runs `schema` on it, and starts the appliers.
    pub(super) async fn new(schema: &str) -> Self {
        Self::with_user(schema, "postgres").await
    }

    /// The same with the appliers logged in as `user`.
    pub(super) async fn with_user(schema: &str, user: &str) -> Self {
        let cluster = cluster();
        query(&cluster, schema).await;
        let ledger = Arc::new(Ledger::default());
        let appliers = start(&cluster, &ledger, user);
        Self { cluster, ledger, appliers }
    }

    /// Stops the appliers and starts others on the same ledger.
    pub(super) async fn restart(self) -> Self {
        self.appliers.stop().await;
        let appliers = start(&self.cluster, &self.ledger, "postgres");
        Self { appliers, ..self }
    }

    /// Waits until something on the shadow waits for a lock; the process.
    pub(super) async fn blocked(&self) -> String {
        loop {
            let waiting = self.query("SELECT pid FROM pg_stat_activity WHERE wait_event_type = 'Lock'").await;
            if let Some(pid) = waiting.into_iter().next() {
                return pid;
            }
        }
    }

    /// The rows of `sql` on the shadow, fields joined by `|`, NULL as `∅`.
    pub(super) async fn query(&self, sql: &str) -> Vec<String> {
        query(&self.cluster, sql).await
    }
}

fn start(cluster: &Cluster, ledger: &Arc<Ledger>, user: &str) -> Appliers {
    let mut shadow: PgUrl = cluster.url("postgres").parse().unwrap();
    shadow.user = user.into();
    let settings = ApplySettings { shadow, workers: 4, source: "7000".into() };
    Appliers::with_source(settings, MemorySource(ledger.clone()))
}

pub(super) async fn client(cluster: &Cluster) -> Client {
    let (client, connection) = tokio_postgres::connect(&cluster.url("postgres"), NoTls).await.unwrap();
    tokio::spawn(connection);
    client
}

async fn query(cluster: &Cluster, sql: &str) -> Vec<String> {
    let messages = client(cluster).await.simple_query(sql).await.unwrap();
    let rows = messages.into_iter().filter_map(|message| match message {
        SimpleQueryMessage::Row(row) => {
            let fields = (0..row.len()).map(|i| row.get(i).unwrap_or("∅"));
            Some(fields.collect::<Vec<_>>().join("|"))
        }
        _ => None,
    });
    rows.collect()
}
