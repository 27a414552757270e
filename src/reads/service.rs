//! The way of a drawn read: guard, eligibility, freshness, a connection, the answer; or the reason why not.

use std::future::Future;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use quick_cache::sync::Cache;
use tokio::time::{sleep, timeout};

use super::dice::is_drawn;
use super::eligible::{Ineligible, may_go};
use super::fresh::{Verified, Watermark, is_fit};
use super::leg::Trouble;
use super::pool::Pool;
use super::reply::Reply;
use super::tally::Tally;
use super::twins::Twins;
use crate::catalog::Handle;
use crate::config::{Live, PgUrl};
use crate::mirror::Mirror;
use crate::report::{GuardStatus, ReadsStatus};
use crate::session::{Fallback, Profile, ReadReply, ReadRequest, ReadService, Sample};

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
    verified: Arc<dyn Verified>,
    twins: ArcSwap<Twins>,
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

/// A read that may go: as whom, and between which tables.
struct Allowed {
    profile: Arc<Profile>,
    twins: Arc<Twins>,
    /// For [`Router::user_typed`] and [`Router::suspended`].
    fingerprint: u64,
}

impl Router {
    /// Reads go to `shadow_url`; `primary` and `shadow` are the two catalogs. Must be called within a runtime.
    pub fn new(
        live: Arc<Live>,
        shadow_url: PgUrl,
        primary: Arc<Handle>,
        shadow: Arc<Handle>,
        mirror: Mirror,
        verified: Arc<dyn Verified>,
    ) -> Arc<Self> {
        Arc::new(Self::between(live, shadow_url, primary, shadow, Box::new(mirror), verified))
    }

    fn between(
        live: Arc<Live>,
        shadow_url: PgUrl,
        primary: Arc<Handle>,
        shadow: Arc<Handle>,
        mirror: Box<dyn Watermark>,
        verified: Arc<dyn Verified>,
    ) -> Self {
        let pool = Pool::new(shadow_url, Arc::clone(&live));
        let tally = Arc::new(Tally::new(Arc::clone(&live)));
        let (twins, user_typed) = (ArcSwap::default(), Cache::new(REMEMBERED));
        let suspended = Arc::new(Cache::new(REMEMBERED));
        Self { live, primary, shadow, mirror, verified, twins, user_typed, suspended, pool, tally }
    }

    /// For `/status`.
    pub fn reads_status(&self) -> ReadsStatus {
        self.tally.reads_status(self.live.get().reads.percent)
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

    async fn answer(&self, request: ReadRequest) -> Result<Reply, Fallback> {
        let allowed = self.allow_soon(&request).await.map_err(|reason| {
            self.tally.ineligible(reason);
            Fallback
        })?;
        let Some(lease) = self.pool.take(&allowed.profile).filter(|_| self.tally.admits()) else {
            self.tally.fallback();
            return Err(Fallback);
        };
        let limit = self.live.get().reads.timeout;
        let Allowed { profile, twins, .. } = &allowed;
        let begun = tokio::select! {
            begun = timeout(limit, Reply::begin(lease, &request, profile, twins, &self.tally)) => begun,
            () = request.cancelled.notified() => {
                self.tally.cancelled();
                return Ok(Reply::cancelled(&request, &self.tally));
            }
        };
        let trouble = match begun.unwrap_or(Err(Trouble::Slow)) {
            Ok(reply) => {
                self.tally.shadow();
                return Ok(reply.suspends(allowed.fingerprint, &self.suspended));
            }
            Err(trouble) => trouble,
        };
        if trouble == Trouble::UserType {
            self.user_typed.insert(allowed.fingerprint, ());
            self.tally.ineligible(Ineligible::UserType);
        } else {
            self.tally.fallback();
            self.tally.trouble(trouble);
        }
        Err(Fallback)
    }

    /// What is only stale may be fresh in a moment.
    async fn allow_soon(&self, request: &ReadRequest) -> Result<Allowed, Ineligible> {
        let begun = Instant::now();
        loop {
            match self.allow(request) {
                Err(Ineligible::Stale) if begun.elapsed() < FRESHNESS => sleep(FRESHNESS_LOOK).await,
                decided => return decided,
            }
        }
    }

    fn allow(&self, request: &ReadRequest) -> Result<Allowed, Ineligible> {
        if !self.primary.is_current() || !self.shadow.is_current() {
            return Err(Ineligible::CatalogNotCurrent);
        }
        let tables = may_go(request, &self.primary.get(), &self.shadow.get())?;
        let twins = self.twins();
        if !tables.iter().all(|&table| twins.is_alike(table)) {
            return Err(Ineligible::DifferentTable);
        }
        let fingerprint = fingerprint(request, &twins);
        if self.user_typed.get(&fingerprint).is_some() {
            return Err(Ineligible::UserType);
        }
        if self.suspended.get(&fingerprint).is_some_and(|since| since.elapsed() < SUSPENDED) {
            return Err(Ineligible::Suspended);
        }
        let settings = self.live.get();
        is_fit(&tables, request.own_writes, &settings.reads, &*self.mirror, &*self.verified)?;
        let profile = request.profile.clone().ok_or(Ineligible::SessionState)?;
        Ok(Allowed { profile, twins, fingerprint })
    }

    fn twins(&self) -> Arc<Twins> {
        let (primary, shadow) = (self.primary.get(), self.shadow.get());
        let twins = self.twins.load_full();
        if twins.is_of(&primary, &shadow) {
            return twins;
        }
        let twins = Arc::new(Twins::new(&primary, &shadow));
        self.twins.store(Arc::clone(&twins));
        twins
    }
}

/// Of the text, its parameters' types and the catalogs: what decides the types of its result.
fn fingerprint(request: &ReadRequest, twins: &Twins) -> u64 {
    let mut hasher = DefaultHasher::new();
    let types = request.extended.as_ref().map(|extended| &extended.parameter_types);
    (&request.sql, types, twins.generations()).hash(&mut hasher);
    hasher.finish()
}

impl ReadService for Router {
    fn draws(&self, sample: &Sample) -> bool {
        let settings = self.live.get();
        if !is_drawn(settings.reads.percent, settings.reads.sample_by, sample, rand::random) {
            return false;
        }
        let guarded = self.tally.is_guarded();
        if guarded {
            self.tally.ineligible(Ineligible::Guard);
        }
        !guarded
    }

    fn is_on(&self) -> bool {
        self.live.get().reads.percent > 0.0
    }

    fn serve(
        &self,
        request: ReadRequest,
    ) -> Pin<Box<dyn Future<Output = Result<Box<dyn ReadReply>, Fallback>> + Send + '_>> {
        Box::pin(async move { Ok(Box::new(self.answer(request).await?) as Box<dyn ReadReply>) })
    }

    fn ineligible(&self, reason: &'static str) {
        self.tally.ineligible_as(reason);
    }
}

#[cfg(test)]
mod tests {
    use super::super::fresh::fakes::Fake;
    use super::super::testing::{self, eventually, extended, read, received, request, rows, tags};
    use super::*;
    use crate::catalog::{LoadOptions, Patterns};
    use crate::config::{Require, Settings};
    use crate::demo::Cluster;
    use crate::effect::TableId;
    use crate::report::GuardState;
    use crate::server::{self, Purpose};
    use crate::sql::{Kind, Read};

    const TABLES: &str = "CREATE TYPE mood AS ENUM ('good'); CREATE TABLE orders (id int PRIMARY KEY, v text, m mood);
        INSERT INTO orders SELECT i, 'order ' || i FROM generate_series(1, 3) i";

    /// A router between two databases of one server, whose relations have different oids.
    struct House {
        cluster: Cluster,
        live: Arc<Live>,
        router: Router,
        orders: TableId,
    }

    async fn house(fake: Fake) -> House {
        let (cluster, client) = testing::cluster("CREATE DATABASE shadow").await;
        let earlier = "ALTER TABLE orders ADD gone int; ALTER TABLE orders DROP v; ALTER TABLE orders ADD v text;
            UPDATE orders SET v = 'order ' || id; ALTER TABLE orders DROP m; ALTER TABLE orders ADD m mood;
            ALTER TABLE orders DROP gone";
        client.batch_execute(&format!("{TABLES}; {earlier}")).await.unwrap();
        let shadow_url: PgUrl = cluster.url("shadow").parse().unwrap();
        let shadow = server::connect(&shadow_url, Purpose::Catalog).await.unwrap();
        shadow.batch_execute(&format!("SET search_path TO public; CREATE TABLE earlier (); {TABLES}")).await.unwrap();
        let live = Live::new(with(&cluster, |_| ()));
        let primary_url = cluster.url("postgres").parse().unwrap();
        let [one, other] = [follow(&primary_url).await, follow(&shadow_url).await];
        let orders = one.get().tables.values().find(|table| table.shape.name == "orders").unwrap().shape.table;
        let fake = Arc::new(Fake { verified: vec![orders], ..fake });
        let router = Router::between(Arc::clone(&live), shadow_url, one, other, Box::new((*fake).clone()), fake);
        House { cluster, live, router, orders }
    }

    fn with(cluster: &Cluster, change: impl FnOnce(&mut Settings)) -> Settings {
        let mut settings = testing::settings(cluster);
        settings.reads.percent = 100.0;
        settings.reads.timeout = Duration::from_secs(20);
        change(&mut settings);
        settings
    }

    async fn follow(url: &PgUrl) -> Arc<Handle> {
        let client = server::connect(url, Purpose::Catalog).await.unwrap();
        let handle = Arc::new(Handle::default());
        let followed = Arc::clone(&handle);
        let options = || LoadOptions { include: Patterns::new(&["*".to_owned()]), ..LoadOptions::default() };
        tokio::spawn(async move { followed.follow(&client, options, Duration::from_mins(1), |_| ()).await });
        eventually(|| handle.is_current().then_some(())).await;
        handle
    }

    impl House {
        fn set(&self, change: impl FnOnce(&mut Settings)) {
            self.live.swap(with(&self.cluster, change));
        }

        /// Asks until the pool has had time to open a connection.
        async fn warm(&self) {
            eventually(|| self.router.pool.take(&Profile::default()).map(drop)).await;
        }

        async fn serve(&self, request: ReadRequest) -> Result<Box<dyn ReadReply>, Fallback> {
            assert!(self.router.draws(&Sample { query: 1, session: 1 }));
            self.router.serve(request).await
        }

        /// What keeps a read of `orders`.
        async fn kept(&self) -> Vec<(&'static str, u64)> {
            assert_eq!(self.serve(of_orders("SELECT v FROM orders")).await.err(), Some(Fallback));
            self.router.ineligible_by_reason()
        }
    }

    fn of_orders(sql: &str) -> ReadRequest {
        request(sql, Kind::Read(read(&["orders"])))
    }

    #[tokio::test]
    async fn a_drawn_read_is_answered_by_the_shadow_as_if_it_were_the_primary() {
        let house = house(Fake::default()).await;
        house.warm().await;
        let mut reply = house.serve(of_orders("SELECT v FROM orders ORDER BY id")).await.unwrap();
        let messages = received(&mut *reply).await;
        assert_eq!(rows(&messages), ["order 1", "order 2", "order 3"]);
        let (_, description) = &messages[0];
        assert_eq!(description[4..8], house.orders.0.to_be_bytes(), "the primary's oid");
        assert_eq!(description[8..10], [0, 5], "and attribute");
        let mut prepared = extended("SELECT v FROM orders WHERE id = 2", &[], &[0; 6]);
        prepared.script = of_orders("").script;
        let messages = received(&mut *house.serve(prepared).await.unwrap()).await;
        assert_eq!((tags(&messages).as_str(), rows(&messages)), ("1tT2TDCZ", vec!["order 2".to_owned()]));
        let status = house.router.reads_status();
        assert_eq!((status.eligible, status.shadow, status.fallback, status.ineligible), (2, 2, 0, 0));
        assert_eq!(status.effective_percent, Some(100.0));
    }

    #[tokio::test]
    async fn rule_29_a_read_waits_a_moment_for_writes_that_are_on_their_way() {
        let mut house = house(Fake::default()).await;
        house.warm().await;
        house.router.mirror = Box::new(Fake { stale_looks: Arc::new(1.into()), ..Fake::default() });
        let mut reply = house.serve(of_orders("SELECT v FROM orders WHERE id = 1")).await.unwrap();
        assert_eq!(rows(&received(&mut *reply).await), ["order 1"]);
        assert_eq!(house.router.reads_status().ineligible, 0);
    }

    #[tokio::test]
    async fn a_query_whose_answer_broke_off_stays_on_the_primary_for_a_while() {
        let house = house(Fake::default()).await;
        house.warm().await;
        let sql = "SELECT repeat('x', 100000), 1 / (3 - id) FROM orders";
        let messages = received(&mut *house.serve(of_orders(sql)).await.unwrap()).await;
        assert!(tags(&messages).ends_with("EZ"), "{}", tags(&messages));
        assert_eq!(house.serve(of_orders(sql)).await.err(), Some(Fallback));
        assert_eq!(house.router.ineligible_by_reason(), [("suspended", 1)]);
        let mut another = house.serve(of_orders("SELECT v FROM orders WHERE id = 1")).await.unwrap();
        assert_eq!(rows(&received(&mut *another).await), ["order 1"]);
    }

    #[tokio::test]
    async fn a_read_that_may_not_go_is_counted_by_its_reason() {
        let mut house = house(Fake::default()).await;
        let orders = house.orders;
        house.router.mirror = Box::new(Fake { stale: vec![orders], ..Fake::default() });
        assert_eq!(house.kept().await, [("stale", 1)]);
        house.router.mirror = Box::new(Fake { suspect: vec![orders], ..Fake::default() });
        assert_eq!(house.kept().await, [("stale", 1), ("suspect", 1)]);
        house.router.mirror = Box::new(Fake::default());
        house.router.verified = Arc::new(Fake::default());
        assert_eq!(house.kept().await, [("stale", 1), ("suspect", 1), ("unverified", 1)]);
        house.set(|settings| settings.reads.require = Require::Mirrored);
        let _ddl = house.router.primary.invalidate();
        assert!(house.kept().await.contains(&("catalog_not_current", 1)));
        let status = house.router.reads_status();
        assert_eq!((status.eligible, status.ineligible, status.effective_percent), (0, 4, None));
    }

    #[tokio::test]
    async fn a_result_with_user_types_stays_and_is_remembered() {
        let house = house(Fake::default()).await;
        house.warm().await;
        for _ in 0..3 {
            assert_eq!(house.serve(of_orders("SELECT m FROM orders")).await.err(), Some(Fallback));
        }
        assert_eq!(house.router.ineligible_by_reason(), [("user_type", 3)]);
        assert_eq!(house.router.reads_status().eligible, 0);
    }

    #[tokio::test]
    async fn a_read_without_a_connection_or_in_time_falls_back() {
        let house = house(Fake::default()).await;
        assert_eq!(house.serve(of_orders("SELECT v FROM orders")).await.err(), Some(Fallback));
        house.warm().await;
        house.set(|settings| settings.reads.timeout = Duration::from_millis(100));
        assert_eq!(house.serve(of_orders("SELECT pg_sleep(600) FROM orders")).await.err(), Some(Fallback));
        house.cluster.stop_server("immediate").unwrap();
        assert_eq!(house.serve(of_orders("SELECT v FROM orders")).await.err(), Some(Fallback));
        let status = house.router.reads_status();
        assert_eq!((status.shadow, status.fallback, status.ineligible), (0, 3, 0));
    }

    #[tokio::test]
    async fn a_cancel_before_the_first_byte_is_answered_at_once() {
        let house = house(Fake::default()).await;
        house.warm().await;
        let sleeper = of_orders("SELECT pg_sleep(600) FROM orders");
        sleeper.cancelled.notify_one();
        let mut reply = house.serve(sleeper).await.unwrap();
        assert_eq!(tags(&received(&mut *reply).await), "EZ");
    }

    #[tokio::test]
    async fn errors_of_the_shadow_open_the_guard_and_then_nothing_is_drawn() {
        let house = house(Fake::default()).await;
        house.warm().await;
        for _ in 0..20 {
            assert_eq!(house.serve(of_orders("SELECT no_such_column FROM orders")).await.err(), Some(Fallback));
        }
        assert_eq!(house.router.guard_status().state, GuardState::Open);
        assert!(!house.router.draws(&Sample { query: 1, session: 1 }));
        assert_eq!(house.router.ineligible_by_reason(), [("guard", 1)]);
        house.router.reset_guard();
        assert!(house.router.draws(&Sample { query: 1, session: 1 }));
        let facts = Kind::Read(Read::default());
        assert_eq!(house.serve(request("SELECT", facts)).await.err(), Some(Fallback));
        assert!(house.router.ineligible_by_reason().contains(&("no_table", 1)));
    }
}
