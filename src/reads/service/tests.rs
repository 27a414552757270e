use super::super::fresh::fakes::Fake;
use super::super::testing::{self, eventually, extended, read, received, request, rows, tags};
use super::*;
use crate::catalog::{LoadOptions, Patterns};
use crate::config::{Require, Settings};
use crate::demo::Cluster;
use crate::effect::Disturbed;
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
    databases: Databases,
    waiting: Waiting,
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
    let primary_url = cluster.url("postgres").parse().unwrap();
    build(cluster, primary_url, shadow_url, fake).await
}

async fn build(cluster: Cluster, primary_url: PgUrl, shadow_url: PgUrl, fake: Fake) -> House {
    let live = Live::new(with(&cluster, |_| ()));
    let [one, other] = [follow(&primary_url).await, follow(&shadow_url).await];
    let orders = one.get().tables.values().find(|table| table.shape.name == "orders").unwrap().shape.table;
    let fake = Arc::new(Fake { verified: vec![orders], ..fake });
    let databases = Databases { primary_url, shadow_url, primary: one, shadow: other };
    let (watermark, fence) = (Box::new((*fake).clone()), Box::new((*fake).clone()));
    let (router, waiting) = Router::between(Arc::clone(&live), &databases, watermark, fence, fake);
    House { cluster, live, router, orders, databases, waiting }
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
        eventually(|| self.router.pool.take(&Arc::default()).map(drop)).await;
    }

    async fn serve(&self, request: ReadRequest) -> Result<Box<dyn ReadReply>, Fallback> {
        assert!(self.router.draws(&Sample { query: 1, session: 1, settings: None }).is_some());
        self.router.serve(&request).await
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
    let _ddl = house.router.primary.invalidate(Disturbed::NOTHING);
    assert!(house.kept().await.contains(&("catalog_not_current", 1)));
    let status = house.router.reads_status();
    assert_eq!((status.eligible, status.ineligible, status.effective_percent), (0, 4, None));
    let why: Vec<_> = status.kept.iter().map(|kept| (kept.query.as_str(), kept.reason.as_str(), kept.count)).collect();
    let of_orders = |reason| ("SELECT v FROM orders", reason, 1);
    assert_eq!(why, ["catalog_not_current", "stale", "suspect", "unverified"].map(of_orders));
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
        // More than a server can hold.
        assert_eq!(house.serve(of_orders("SELECT repeat(v, 2000000000) FROM orders")).await.err(), Some(Fallback));
    }
    assert_eq!(house.router.guard_status().state, GuardState::Open);
    assert_eq!(house.router.draws(&Sample { query: 1, session: 1, settings: None }), None);
    assert_eq!(house.router.ineligible_by_reason(), [("guard", 1)]);
    house.router.reset_guard();
    assert!(house.router.draws(&Sample { query: 1, session: 1, settings: None }).is_some());
    let facts = Kind::Read(Read::default());
    assert_eq!(house.serve(request("SELECT", facts)).await.err(), Some(Fallback));
    assert!(house.router.ineligible_by_reason().contains(&("no_table", 1)));
}

/// Changes the primary whenever the shadow is waited for.
struct Busy(server::Client);

impl Fence for Busy {
    fn passed<'a>(&'a self, _: &'a [TableId]) -> Pin<Box<dyn Future<Output = ()> + Send + 'a>> {
        Box::pin(async { self.0.batch_execute("UPDATE orders SET v = v || '!' WHERE id = 3").await.unwrap() })
    }
}

impl House {
    fn sides(&self) -> Sides {
        Sides::new(self.databases.primary_url.clone(), self.databases.shadow_url.clone())
    }

    /// compared, mismatched and not comparable, and dropped, once these are.
    async fn compared(&self, requests: impl IntoIterator<Item = ReadRequest>) -> [u64; 4] {
        let mut sides = self.sides();
        for request in requests {
            self.router.compare(&request, &mut sides).await;
        }
        let status = self.router.reads_status();
        [status.compared, status.mismatched, status.not_comparable, status.comparisons_dropped]
    }

    async fn on(&self, url: &PgUrl, sql: &str) -> server::Client {
        let client = server::connect(url, Purpose::Catalog).await.unwrap();
        client.batch_execute(&format!("SET search_path TO public; {sql}")).await.unwrap();
        client
    }
}

#[tokio::test]
async fn answers_that_agree_match_by_either_protocol_and_are_told_by_query() {
    let house = house(Fake::default()).await;
    let mut prepared = extended("SELECT id, v FROM orders WHERE id < $1", &[23], &testing::text_parameter(b"3"));
    prepared.script = of_orders("").script;
    let simple = |bound: u32| of_orders(&format!("SELECT id, v FROM orders WHERE id < {bound}"));
    let grouped = of_orders("SELECT v, count(*) FROM orders GROUP BY v");
    let failing = of_orders("SELECT 1 / (id - id) FROM orders");
    let all = [simple(2), prepared, simple(9), grouped, failing];
    assert_eq!(house.compared(all).await, [5, 0, 0, 0]);
    let report = house.router.reads_report();
    let told = report.by_query.iter().find(|told| told.query == "SELECT id, v FROM orders WHERE id < $1").unwrap();
    assert_eq!((told.compared, told.matched, told.rows), (3, 3, 1 + 2 + 3));
    assert!(told.primary_p50_ms > 0.0 && told.shadow_p99_ms >= told.shadow_p50_ms, "{told:?}");
}

#[tokio::test]
async fn a_difference_is_confirmed_and_told_without_its_values() {
    let house = house(Fake::default()).await;
    house.on(&house.databases.shadow_url, "UPDATE orders SET v = 's3cret' WHERE id = 2").await;
    let wrong = of_orders("SELECT v FROM orders WHERE v IN ('order 2', 's3cret')");
    let missing = of_orders("SELECT 1 / (length(v) - 6) FROM orders WHERE id = 2");
    assert_eq!(house.compared([wrong, missing, of_orders("SELECT id FROM orders")]).await, [3, 2, 0, 0]);
    let report = house.router.reads_report();
    assert_eq!(report.by_query.iter().map(|query| query.mismatched).collect::<Vec<_>>(), [1, 1, 0]);
    assert!(!format!("{report:?}").contains("s3cret"));
}

#[tokio::test]
async fn a_total_order_is_compared_and_another_is_not() {
    let house = house(Fake::default()).await;
    for (url, collation) in [(&house.databases.primary_url, "C"), (&house.databases.shadow_url, "und-x-icu")] {
        let sql = format!(
            "ALTER TABLE orders DROP CONSTRAINT orders_pkey, ALTER v TYPE text COLLATE \"{collation}\", ALTER v SET NOT NULL,
             ADD PRIMARY KEY (v); UPDATE orders SET v = (ARRAY['a', 'B', 'c'])[id]"
        );
        house.on(url, &sql).await;
    }
    let Databases { primary_url, shadow_url, .. } = house.databases;
    let house = build(house.cluster, primary_url, shadow_url, Fake::default()).await;
    let ask = |sql| house.compared([of_orders(sql)]);
    assert_eq!(ask("SELECT v FROM orders").await, [1, 0, 0, 0]);
    assert_eq!(ask("SELECT v FROM orders ORDER BY v").await, [2, 1, 0, 0]);
    assert_eq!(ask("SELECT v FROM orders ORDER BY v || 'x'").await, [3, 1, 0, 0]);
    assert_eq!(ask("SELECT v FROM orders ORDER BY v || 'x' LIMIT 1").await, [3, 1, 1, 0], "which one is open");
}

#[tokio::test]
async fn a_query_that_does_not_agree_with_itself_is_not_comparable() {
    let mut house = house(Fake::default()).await;
    house.on(&house.databases.shadow_url, "UPDATE orders SET v = 'never on the primary' WHERE id = 3").await;
    house.router.fence = Box::new(Busy(house.on(&house.databases.primary_url, "").await));
    let busy = of_orders("SELECT v FROM orders WHERE id = 3");
    let quiet = of_orders("SELECT v FROM orders WHERE id = 2");
    assert_eq!(house.compared([busy, quiet]).await, [1, 0, 1, 0]);
}

#[tokio::test]
async fn only_what_is_still_eligible_is_compared_and_roles_are_the_sessions() {
    let mut house = house(Fake::default()).await;
    house.on(&house.databases.primary_url, "CREATE ROLE reader").await;
    let of = |profile, sql| ReadRequest { profile: Some(profile), ..of_orders(sql) };
    let denied = of(testing::profile("reader", &[]), "SELECT v FROM orders");
    let nobody = of(testing::profile("nobody at all", &[]), "SELECT v FROM orders");
    assert_eq!(house.compared([denied, nobody]).await, [0, 0, 0, 2]);
    let writes = request("SELECT nextval('s')", Kind::Read(Read::default()));
    assert_eq!(house.compared([writes, of_orders("SELECT m FROM orders")]).await, [0, 0, 0, 2], "no eligible reads");
    house.router.verified = Arc::new(Fake::default());
    assert_eq!(house.compared([of_orders("SELECT v FROM orders")]).await, [0, 0, 0, 2], "no longer verified");
}

#[tokio::test]
async fn a_slow_side_is_left_and_told() {
    let house = house(Fake::default()).await;
    house.set(|settings| settings.reads.timeout = Duration::from_millis(300));
    let _lock = house.on(&house.databases.shadow_url, "BEGIN; LOCK orders").await;
    assert_eq!(house.compared([of_orders("SELECT v FROM orders")]).await, [0, 0, 1, 0]);
    assert_eq!(house.router.reads_report().by_query[0].shadow_p50_ms, 300.0);
    let waiting = "SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock'";
    let other = house.on(&house.databases.primary_url, "").await;
    while !other.query(waiting, &[]).await.unwrap().is_empty() {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn a_share_of_the_reads_is_drawn_to_be_compared_whoever_serves_them() {
    let mut house = house(Fake::default()).await;
    house.set(|settings| (settings.reads.percent, settings.reads.compare_percent) = (0.0, 100.0));
    assert!(house.router.is_on());
    let lot = house.router.draws(&Sample { query: 1, session: 1, settings: None }).unwrap();
    assert_eq!(lot, Lot { place: None, compared: true });
    let request = ReadRequest { lot, ..of_orders("SELECT v FROM orders") };
    assert_eq!(house.router.serve(&request).await.err(), Some(Fallback));
    assert_eq!(house.router.reads_status().eligible, 0, "it was not drawn for the shadow");
    house.router.answered(request);
    assert!(house.waiting.try_recv().is_ok());
    house.set(|settings| settings.reads.compare_percent = 0.0);
    let lot = house.router.draws(&Sample { query: 1, session: 1, settings: None }).unwrap();
    assert_eq!((lot.place.is_some(), lot.compared), (true, false));
    house.router.answered(ReadRequest { lot, ..of_orders("SELECT v FROM orders") });
    assert!(house.waiting.try_recv().is_err());
}

fn rule(of: RuleOf, percent: f64) -> ReadRule {
    ReadRule { of, percent }
}

#[tokio::test]
async fn a_rule_has_a_share_of_its_own_and_is_counted_by_itself() {
    let house = house(Fake::default()).await;
    house.warm().await;
    let all = RuleOf::Query("SELECT v FROM orders".to_owned());
    let rules = vec![rule(all.clone(), 100.0), rule(RuleOf::Table("public.orders".to_owned()), 0.0)];
    house.set(|settings| (settings.reads.percent, settings.reads.rule) = (0.0, rules));
    let served = async |sql: &str| house.serve(of_orders(sql)).await.map(drop);
    assert_eq!(served("SELECT v FROM orders").await, Ok(()));
    assert_eq!(served("SELECT id FROM orders").await, Err(Fallback));
    assert_eq!(house.serve(request("SELECT", Kind::Read(Read::default()))).await.err(), Some(Fallback));
    let status = house.router.reads_status();
    assert_eq!((status.eligible, status.shadow, status.ineligible, status.effective_percent), (1, 1, 0, None));
    let told: Vec<_> = status.rules.iter().map(|rule| (rule.percent, rule.effective_percent, rule.eligible)).collect();
    assert_eq!(told, [(100.0, Some(100.0), 1), (0.0, None, 0)]);
    assert_eq!(status.rules[0].of, all);
    house.set(|settings| settings.reads.rule = vec![rule(RuleOf::Table("*.orders".to_owned()), 0.0)]);
    assert_eq!(served("SELECT v FROM orders").await, Err(Fallback), "kept at any other share");
    house.set(|_| ());
    assert_eq!(served("SELECT id FROM orders").await, Ok(()));
    let status = house.router.reads_status();
    assert_eq!((status.shadow, status.effective_percent, status.rules.len()), (2, Some(100.0), 0));
}

#[tokio::test]
async fn under_rules_whoever_is_in_at_a_share_is_in_at_every_higher_one() {
    let house = house(Fake::default()).await;
    house.warm().await;
    for place in [0.0, 9.9, 10.0, 30.0, 99.0] {
        for percent in [0.0, 10.0, 50.0, 100.0] {
            house.set(|settings| {
                (settings.reads.percent, settings.reads.rule) =
                    (100.0, vec![rule(RuleOf::Table("*".to_owned()), percent)]);
            });
            let lot = Lot { place: Some(place), compared: false };
            let reply = house.router.serve(&ReadRequest { lot, ..of_orders("SELECT v FROM orders") }).await;
            assert_eq!(reply.is_ok(), place < percent, "{place} at {percent}");
            drop(reply);
            house.warm().await;
        }
    }
}

#[tokio::test]
async fn the_guard_keeps_what_rules_draw_and_only_that() {
    let house = house(Fake::default()).await;
    house.warm().await;
    let rules = vec![rule(RuleOf::Query("SELECT v FROM orders".to_owned()), 0.0)];
    house.set(|settings| settings.reads.rule = rules);
    for _ in 0..20 {
        // More than a server can hold.
        assert_eq!(house.serve(of_orders("SELECT repeat(v, 2000000000) FROM orders")).await.err(), Some(Fallback));
    }
    assert_eq!(house.router.guard_status().state, GuardState::Open);
    assert_eq!(house.serve(of_orders("SELECT v FROM orders")).await.err(), Some(Fallback));
    assert_eq!(house.router.ineligible_by_reason(), [], "the rule kept it");
    assert_eq!(house.serve(of_orders("SELECT id FROM orders")).await.err(), Some(Fallback));
    assert_eq!(house.router.ineligible_by_reason(), [("guard", 1)]);
}
