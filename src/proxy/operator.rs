//! What the operator sees and does, gathered from the rooms.

use std::pin::Pin;
use std::sync::Arc;
use std::time::{Instant, SystemTime};

use crate::admin::{Control, ControlError, Jobs, Values};
use crate::catalog::{Handle, Pairs};
use crate::check::{CheckError, Checker};
use crate::config::{Problems, ReloadOutcome, Reloader};
use crate::copy::Healer;
use crate::effect::TableId;
use crate::mirror::{Appliers, Mirror};
use crate::net::Gate;
use crate::reads::Router;
use crate::report::job::{Job, Order, Progress, Repairs};
use crate::report::{MirrorReport, Report, ServerState, Status, TableReport, rfc3339};
use crate::telemetry::{Metrics, publish};

use super::follow::Health;
use super::schema::Schemas;

/// Everything that can be looked at or commanded.
pub(super) struct Operator {
    pub(super) started: Instant,
    pub(super) reloader: Arc<Reloader>,
    pub(super) gate: Arc<Gate>,
    pub(super) mirror: Mirror,
    pub(super) primary: Arc<Handle>,
    pub(super) shadow: Arc<Handle>,
    pub(super) primary_health: Arc<Health>,
    pub(super) appliers: Appliers,
    pub(super) healer: Arc<Healer>,
    pub(super) checker: Arc<Checker>,
    pub(super) schemas: Arc<Schemas>,
    pub(super) router: Arc<Router>,
    pub(super) jobs: Jobs,
    pub(super) metrics: Metrics,
    pub(super) runtime: tokio::runtime::Handle,
}

impl Operator {
    /// Stops what works on the ledger.
    pub(super) async fn stop(self) {
        if let Some(checker) = Arc::into_inner(self.checker) {
            checker.stop().await;
        }
        if let Some(healer) = Arc::into_inner(self.healer) {
            healer.stop().await;
        }
        self.appliers.stop().await;
    }

    fn tables(&self, values: Values) -> Vec<TableReport> {
        self.checker.tables(values == Values::Shown, &self.healer.troubles())
    }

    fn name(&self, table: TableId) -> String {
        match self.primary.get().tables.get(&table) {
            Some(found) => found.shape.display_name(),
            None => format!("(relation {})", table.0),
        }
    }

    fn mirror_status(&self) -> crate::report::MirrorStatus {
        let mut status = self.mirror.status(&|table| self.name(table));
        status.enabled = self.reloader.live().get().mirror.enabled;
        status
    }

    fn mirror_report(&self) -> MirrorReport {
        let (quarantine, replayed) = (self.mirror.quarantine(), self.mirror.replayed());
        let handled = self.mirror.handled(&|table| self.name(table));
        MirrorReport { status: self.mirror_status(), quarantine, replayed, handled }
    }

    /// Refuses names that are no table of either side.
    fn known(&self, tables: &[String]) -> Result<(), ControlError> {
        let pairs = Pairs::new(&self.primary.get(), &self.shadow.get());
        let unknown = tables.iter().find(|name| !pairs.all.iter().any(|pair| pair.name == **name));
        unknown.map_or(Ok(()), |name| Err(ControlError::UnknownTable(name.clone())))
    }
}

impl Control for Operator {
    fn status(&self) -> Status {
        Status {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            uptime_s: (self.started.elapsed().as_secs_f64() * 10.0).round() / 10.0,
            generation: self.reloader.live().generation(),
            sessions: self.gate.status(),
            primary: self.primary_health.status(),
            shadow: self.appliers.shadow(),
            mirror: self.mirror_status(),
            reads: self.router.reads_status(),
            guard: self.router.guard_status(),
            check: self.checker.status(),
        }
    }

    fn report<'a>(
        &'a self,
        table: Option<&'a str>,
        values: Values,
    ) -> Pin<Box<dyn Future<Output = Result<Report, ControlError>> + Send + 'a>> {
        Box::pin(async move {
            let mut tables = self.tables(values);
            if let Some(name) = table {
                tables.retain(|found| found.table == name);
                if tables.is_empty() {
                    return Err(ControlError::UnknownTable(name.to_owned()));
                }
            }
            let generated_at = rfc3339(SystemTime::now());
            let (schema, reads) = (self.schemas.differences(), self.router.reads_report());
            let report = Report::new(generated_at, tables, reads, self.mirror_report());
            Ok(Report { schema, history: self.checker.history(), ..report })
        })
    }

    fn healthy(&self) -> Result<(), String> {
        let primary = self.primary_health.status();
        if primary.state == ServerState::Up {
            return Ok(());
        }
        Err(primary.last_error.unwrap_or_else(|| "the primary was not reached yet".to_owned()))
    }

    fn ready(&self) -> Result<(), String> {
        if self.primary.get().generation == 0 {
            return Err("the primary's catalog is not loaded yet".to_owned());
        }
        Ok(())
    }

    fn metrics(&self) -> String {
        publish(&self.status(), &self.tables(Values::Hidden));
        for (reason, count) in self.router.ineligible_by_reason() {
            metrics::counter!("crossfade_reads_ineligible_by_reason_total", "reason" => reason).absolute(count);
        }
        self.metrics.render()
    }

    fn ramp(&self, percent: f64) {
        self.reloader.live().ramp(percent);
    }

    fn reload(&self) -> Result<ReloadOutcome, Problems> {
        self.reloader.reload()
    }

    fn start_job(&self, order: Order, tables: Option<Vec<String>>) -> Result<Job, ControlError> {
        self.known(tables.as_deref().unwrap_or_default())?;
        let progress = self.jobs.begin(order.kind())?;
        let (checker, healer) = (Arc::clone(&self.checker), Arc::clone(&self.healer));
        let job = progress.job();
        self.runtime.spawn(async move {
            let ended = tokio::select! {
                ended = work(order, tables, &checker, &healer, progress.clone()) => ended,
                () = progress.cancelled() => Ok(()),
            };
            progress.end(ended);
        });
        Ok(job)
    }

    fn job(&self, id: u64, values: Values) -> Result<Job, ControlError> {
        self.jobs.job(id, values)
    }

    fn cancel(&self, id: u64) -> Result<Job, ControlError> {
        self.jobs.cancel(id)
    }

    fn reset_guard(&self) {
        self.router.reset_guard();
    }

    fn pause(&self) {
        self.mirror.pause(true);
    }

    fn resume(&self) {
        self.mirror.pause(false);
    }
}

async fn work(
    order: Order,
    tables: Option<Vec<String>>,
    checker: &Checker,
    healer: &Healer,
    progress: Progress,
) -> Result<(), String> {
    let text = |error: CheckError| error.to_string();
    match order {
        Order::Check => checker.check(tables, progress).await.map_err(text),
        Order::Repair(Repairs::Made) => checker.repair(tables, progress).await.map_err(text),
        Order::Repair(Repairs::Shown) => checker.dry_run(tables, progress).await.map_err(text),
        Order::Backfill(schema) => healer.backfill(tables, schema, progress).await.map_err(|error| error.to_string()),
    }
}
