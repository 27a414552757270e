//! The way of a drawn read: guard, eligibility, freshness, a connection, the answer; or the reason why not. And, for those that
//! are compared, whether they may be.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use quick_cache::sync::Cache;
use tokio::time::{sleep, timeout};

use super::asker::Silence;
use super::compare::{self, Fence, Question, Queue, Rows, Sides, Waiting};
use super::compared::Verdict;
use super::dice::{place, position};
use super::eligible::{Ineligible, parameters_fit};
use super::fresh::{Verified, Watermark, is_fit};
use super::pool::Pool;
use super::reply::Reply;
use super::route::{Route, Routes};
use super::rules::{Rules, highest_share};
use super::tally::Tally;
use super::trouble::Trouble;
use super::twins::Twins;
use crate::catalog::{Catalog, Handle};
use crate::config::{Consistency, Live, PgUrl, ReadRule, Reads, RuleOf};
use crate::effect::TableId;
use crate::mirror::Mirror;
use crate::report::{GuardStatus, ReadsReport, ReadsStatus};
use crate::session::{Fallback, Lot, ReadReply, ReadRequest, ReadService, Sample};
use crate::sql;
use crate::wire::TransactionStatus;

/// How long a read waits for writes to its tables that are on their way, and how often it looks.
const FRESHNESS: Duration = Duration::from_millis(5);
const FRESHNESS_LOOK: Duration = Duration::from_millis(1);

/// How long a query stays on the primary whose answer broke off when the client had a part of it.
const SUSPENDED: Duration = Duration::from_mins(1);

/// Texts remembered for types that keep them on the primary.
const REMEMBERED: usize = 1024;

/// Serves reads from the shadow.
pub struct Router {
    live: Arc<Live>,
    primary: Arc<Handle>,
    shadow: Arc<Handle>,
    mirror: Box<dyn Watermark>,
    fence: Box<dyn Fence>,
    verified: Arc<dyn Verified>,
    queue: Queue,
    twins: ArcSwap<Twins>,
    routes: Routes,
    rules: ArcSwap<Rules>,
    user_typed: Cache<u64, ()>,
    /// Queries whose answer broke off, and when.
    suspended: Arc<Cache<u64, Instant>>,
    pool: Arc<Pool>,
    tally: Arc<Tally>,
}

impl std::fmt::Debug for Router {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Router").field("tally", &self.tally).finish_non_exhaustive()
    }
}

/// The two sides of the proxy, by URL and by catalog.
#[derive(Debug)]
pub struct Databases {
    /// Where comparisons ask.
    pub primary_url: PgUrl,
    /// Where reads go.
    pub shadow_url: PgUrl,
    /// The primary's tables.
    pub primary: Arc<Handle>,
    /// The shadow's.
    pub shadow: Arc<Handle>,
}

impl Router {
    /// Serves and compares, from now on. Must be called within a runtime.
    pub fn new(live: Arc<Live>, databases: &Databases, mirror: Mirror, verified: Arc<dyn Verified>) -> Arc<Self> {
        let (watermark, fence) = (Box::new(mirror.clone()), Box::new(mirror));
        let (router, waiting) = Self::between(live, databases, watermark, fence, verified);
        let router = Arc::new(router);
        compare::start(&router, waiting, &databases.primary_url, &databases.shadow_url);
        router
    }

    fn between(
        live: Arc<Live>,
        databases: &Databases,
        mirror: Box<dyn Watermark>,
        fence: Box<dyn Fence>,
        verified: Arc<dyn Verified>,
    ) -> (Self, Waiting) {
        let Databases { primary, shadow, shadow_url, .. } = databases;
        let (primary, shadow) = (Arc::clone(primary), Arc::clone(shadow));
        let pool = Pool::new(shadow_url.clone(), Arc::clone(&live));
        let tally = Arc::new(Tally::new(Arc::clone(&live)));
        let (twins, rules, user_typed) = (ArcSwap::default(), ArcSwap::default(), Cache::new(REMEMBERED));
        let suspended = Arc::new(Cache::new(REMEMBERED));
        let (queue, waiting) = Queue::new();
        let routes = Routes::default();
        let router = Self {
            live,
            primary,
            shadow,
            mirror,
            fence,
            verified,
            queue,
            twins,
            routes,
            rules,
            user_typed,
            suspended,
            pool,
            tally,
        };
        (router, waiting)
    }

    /// For `/status`.
    pub fn reads_status(&self) -> ReadsStatus {
        self.tally.reads_status(&self.live.get().reads)
    }

    /// For `/report`.
    pub fn reads_report(&self) -> ReadsReport {
        self.tally.reads_report()
    }

    /// For `/status`.
    pub fn guard_status(&self) -> GuardStatus {
        self.tally.guard_status()
    }

    /// Drawn reads that were not allowed, by reason: for `/metrics`.
    pub fn ineligible_by_reason(&self) -> Vec<(&'static str, u64)> {
        self.tally.reasons()
    }

    /// `POST /guard/reset`
    pub fn reset_guard(&self) {
        self.tally.reset_guard();
    }

    async fn answer(&self, request: &ReadRequest) -> Result<Reply, Fallback> {
        // Drawn to be compared alone.
        let Some(place) = request.lot.place else { return Err(Fallback) };
        let settings = request.settings.clone().unwrap_or_else(|| Arc::clone(&self.live.get()));
        let route = self.route(request);
        let tables = route.as_ref().map(|route| &*route.tables).unwrap_or_default();
        let rule = self.rule(request, tables, &settings.reads);
        let share = rule.as_ref().map_or(settings.reads.percent, |rule| rule.percent);
        if place >= share {
            return Err(Fallback);
        }
        let rule = rule.as_ref().map(|rule| &rule.of);
        let guarded = !settings.reads.rule.is_empty() && self.guards();
        let route = match route {
            _ if guarded => Err(Ineligible::Guard),
            Ok(route) => self.allow_soon(request, &route, &settings.reads).await.map(|()| route),
            Err(reason) => Err(reason),
        };
        let route = route.map_err(|reason| self.keep(request, reason, rule))?;
        let Some(lease) = self.pool.take(&route.text.profile).filter(|_| self.tally.admits()) else {
            self.tally.fallback(rule);
            return Err(Fallback);
        };
        let limit = settings.reads.timeout;
        let begun = tokio::select! {
            begun = timeout(limit, Reply::begin(lease, request, &route, &self.tally)) => begun,
            // In a block the primary answers: a client that insists cancels once more.
            () = request.cancelled.notified() => {
                if request.status != TransactionStatus::Idle {
                    self.tally.fallback(rule);
                    return Err(Fallback);
                }
                self.tally.cancelled(rule);
                return Ok(Reply::cancelled(request, &self.tally));
            }
        };
        let trouble = match begun.unwrap_or(Err(Trouble::Slow)) {
            Ok(reply) => {
                self.tally.shadow(rule);
                return Ok(reply.suspends(route.fingerprint, &self.suspended));
            }
            Err(trouble) => trouble,
        };
        match trouble {
            Trouble::UserType => {
                self.user_typed.insert(route.fingerprint, ());
                return Err(self.keep(request, Ineligible::UserType, rule));
            }
            // The next ones will be large, too.
            Trouble::Large => self.suspended.insert(route.fingerprint, Instant::now()),
            Trouble::Lost | Trouble::Refused(_) | Trouble::Slow => self.tally.trouble(trouble),
        }
        self.tally.fallback(rule);
        Err(Fallback)
    }

    /// It was drawn and may not go.
    fn keep(&self, request: &ReadRequest, reason: Ineligible, rule: Option<&RuleOf>) -> Fallback {
        self.tally.ineligible(reason, rule);
        self.tally.kept(&request.sql, reason);
        Fallback
    }

    /// Runs a read on both sides, if it may still be, and counts what came of it.
    pub(super) async fn compare(&self, request: &ReadRequest, sides: &mut Sides) {
        let Ok(route) = self.comparable(request) else { return };
        let question = Question { request, route: &route, limit: self.live.get().reads.timeout };
        let rows = |floating| Rows::of(request, floating, &route.tables, &self.primary.get());
        match sides.compare(&question, &*self.fence, rows).await {
            // What became suspect meanwhile is known to differ.
            Ok((Verdict::Mismatched(_), _)) if self.comparable(request).is_err() => self.tally.comparison_dropped(),
            Ok((verdict, times)) => {
                let query = sql::redact(&String::from_utf8_lossy(&request.sql));
                self.tally.compared(&query, verdict, times);
            }
            Err(Silence::UserType) => self.user_typed.insert(route.fingerprint, ()),
            Err(Silence::Slow | Silence::Other) => self.tally.comparison_dropped(),
        }
    }

    /// Eligible, but for how far the shadow is just now: a comparison waits for it.
    fn comparable(&self, request: &ReadRequest) -> Result<Arc<Route>, Ineligible> {
        let reads = self.live.get().reads.clone();
        let reads = Reads { consistency: Consistency::None, max_lag: Duration::MAX, ..reads };
        let route = self.route(request)?;
        self.allow(request, &route, &reads)?;
        Ok(route)
    }

    /// Where it goes, if it may by what it is.
    fn route(&self, request: &ReadRequest) -> Result<Arc<Route>, Ineligible> {
        if !self.primary.is_current() || !self.shadow.is_current() {
            return Err(Ineligible::CatalogNotCurrent);
        }
        parameters_fit(request)?;
        let (primary, shadow) = (self.primary.get(), self.shadow.get());
        self.routes.find(request, &primary, &shadow, &self.twins(&primary, &shadow))
    }

    /// The rule that is about it.
    fn rule(&self, request: &ReadRequest, tables: &[TableId], reads: &Reads) -> Option<ReadRule> {
        if reads.rule.is_empty() {
            return None;
        }
        let mut rules = self.rules.load_full();
        if !rules.is_of(&reads.rule) {
            rules = Arc::new(Rules::new(&reads.rule));
            self.rules.store(Arc::clone(&rules));
        }
        rules.first(&request.sql, tables, &self.primary.get()).cloned()
    }

    /// What is only stale may be fresh in a moment.
    async fn allow_soon(&self, request: &ReadRequest, route: &Route, reads: &Reads) -> Result<(), Ineligible> {
        let mut waits_since = None;
        loop {
            match self.allow(request, route, reads) {
                Err(Ineligible::Stale) if waits_since.get_or_insert_with(Instant::now).elapsed() < FRESHNESS => {
                    self.mirror.hurry();
                    sleep(FRESHNESS_LOOK).await;
                }
                decided => return decided,
            }
        }
    }

    fn allow(&self, request: &ReadRequest, route: &Route, reads: &Reads) -> Result<(), Ineligible> {
        if !route.tables.iter().all(|&table| route.twins.is_alike(table)) {
            return Err(Ineligible::DifferentTable);
        }
        if self.user_typed.get(&route.fingerprint).is_some() {
            return Err(Ineligible::UserType);
        }
        if self.suspended.get(&route.fingerprint).is_some_and(|since| since.elapsed() < SUSPENDED) {
            return Err(Ineligible::Suspended);
        }
        is_fit(&route.tables, request.own_writes, reads, &*self.mirror, &*self.verified)
    }

    /// Whether the guard keeps every read on the primary, as far behind as the shadow is now.
    fn guards(&self) -> bool {
        self.tally.is_guarded(self.mirror.lag())
    }

    fn is_guarded(&self) -> bool {
        let guarded = self.guards();
        if guarded {
            self.tally.ineligible(Ineligible::Guard, None);
        }
        guarded
    }

    fn twins(&self, primary: &Catalog, shadow: &Catalog) -> Arc<Twins> {
        let twins = self.twins.load_full();
        if twins.is_of(primary, shadow) {
            return twins;
        }
        let twins = Arc::new(Twins::new(primary, shadow));
        self.twins.store(Arc::clone(&twins));
        twins
    }
}

impl ReadService for Router {
    fn draws(&self, sample: &Sample<'_>) -> Option<Lot> {
        let live = self.live.get();
        let reads = &sample.settings.unwrap_or(&live).reads;
        let place = place(reads.sample_by, sample, rand::random);
        // By chance, whatever the reads are drawn by: so that all of them are compared now and then.
        let compared = reads.compare_percent > 0.0 && position(rand::random()) < reads.compare_percent;
        // With rules, whether it is drawn at all is known once it was looked at; only then the guard keeps it.
        let served = place < highest_share(reads) && (!reads.rule.is_empty() || !self.is_guarded());
        (served || compared).then_some(Lot { place: served.then_some(place), compared })
    }

    fn is_on(&self) -> bool {
        let reads = &self.live.get().reads;
        highest_share(reads) > 0.0 || reads.compare_percent > 0.0
    }

    fn serve<'a>(
        &'a self,
        request: &'a ReadRequest,
    ) -> Pin<Box<dyn Future<Output = Result<Box<dyn ReadReply>, Fallback>> + Send + 'a>> {
        Box::pin(async move { Ok(Box::new(self.answer(request).await?) as Box<dyn ReadReply>) })
    }

    fn answered(&self, request: ReadRequest) {
        let tried = request.lot.place.is_some() && self.tally.wants_comparisons();
        if (request.lot.compared || tried) && !self.queue.offer(request) {
            self.tally.comparison_dropped();
        }
    }

    fn ineligible(&self, reason: &'static str) {
        self.tally.ineligible_as(reason);
    }
}

#[cfg(test)]
mod tests;
