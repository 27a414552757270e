//! Checker and healer over two real servers and a real mirror; the sessions' part is played by [`Rig::write`].

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use crossfade::catalog::{Handle, LoadOptions, Patterns};
use crossfade::check::Checker;
use crossfade::config::{Live, PgUrl, Settings};
use crossfade::copy::Healer;
use crossfade::demo::{Cluster, Options, Role};
use crossfade::effect::{Change, Key, Lsn, Mark, Reason, RowChange, Stamp, TableId, Touched, Transaction, Xid};
use crossfade::mirror::{Appliers, ApplySettings, Identity, LedgerSettings, Mirror};
use crossfade::report::job::{JobKind, Progress, Schema};
use crossfade::report::{DifferenceKind, TableReport, TableStatus};
use crossfade::server::{Client, Purpose, connect};

struct Rig {
    primary: Client,
    shadow: Client,
    mirror: Mirror,
    catalog: Arc<Handle>,
    checker: Checker,
    healer: Healer,
    _appliers: Appliers,
    _journal: tempfile::TempDir,
    clusters: [Cluster; 2],
}

const SCHEMA: &str = "
    CREATE TABLE public.ints (id int PRIMARY KEY, v text, at timestamptz DEFAULT now());
    CREATE TABLE public.texts (name text PRIMARY KEY, v int);
    CREATE TABLE public.uuids (id uuid PRIMARY KEY, v jsonb);
    CREATE TABLE public.pairs (a int, b text, v float8, PRIMARY KEY (a, b));
    CREATE TABLE public.amounts (n numeric PRIMARY KEY, v int);
    CREATE TABLE public.keyless (v text);
    CREATE TABLE public.untouched (id int PRIMARY KEY, \"odd \"\"name\" text);
";

const ROWS: &str = "
    INSERT INTO public.ints SELECT i, 'v' || i, '2026-01-01' FROM generate_series(1, 12000) i;
    INSERT INTO public.texts SELECT 'n''' || i, i FROM generate_series(1, 500) i;
    INSERT INTO public.uuids SELECT md5(i::text)::uuid, jsonb_build_object('i', i) FROM generate_series(1, 500) i;
    INSERT INTO public.pairs SELECT i % 20, 'b' || i, i / 3.0 FROM generate_series(1, 500) i;
    INSERT INTO public.amounts SELECT i * 0.1, i FROM generate_series(1, 500) i;
    INSERT INTO public.keyless SELECT 'row ' || i % 100 FROM generate_series(1, 500) i;
    INSERT INTO public.untouched SELECT i, 'odd, \"' || i FROM generate_series(1, 100) i;
";

fn settings(primary: &str, shadow: &str) -> Settings {
    let toml = format!("primary.url = '{primary}'\nshadow.url = '{shadow}'\ncheck.interval = '0s'\ncheck.samples = 50");
    let source = config::File::from_str(&toml, config::FileFormat::Toml);
    config::Config::builder().add_source(source).build().unwrap().try_deserialize().unwrap()
}

fn follow(handle: &Arc<Handle>, url: PgUrl) {
    let handle = Arc::clone(handle);
    tokio::spawn(async move {
        let client = connect(&url, Purpose::Catalog).await.unwrap();
        let options = || LoadOptions { include: Patterns::new(&["*".into()]), ..LoadOptions::default() };
        handle.follow(&client, options, Duration::from_secs(1), |_| {}).await
    });
}

impl Rig {
    async fn start() -> Self {
        let clusters = [Role::Primary, Role::Shadow].map(|role| Cluster::start(&Options::for_test(role)).unwrap());
        let urls = clusters.each_ref().map(|cluster| cluster.url("postgres"));
        let live = Live::new(settings(&urls[0], &urls[1]));
        let [primary_url, shadow_url]: [PgUrl; 2] = urls.map(|url| url.parse().unwrap());
        let primary = connect(&primary_url, Purpose::Catalog).await.unwrap();
        let shadow = connect(&shadow_url, Purpose::Catalog).await.unwrap();
        for side in [&primary, &shadow] {
            side.batch_execute(SCHEMA).await.unwrap();
            side.batch_execute(ROWS).await.unwrap();
            side.batch_execute("ANALYZE").await.unwrap();
        }
        let journal = tempfile::tempdir().unwrap();
        let ledger =
            LedgerSettings { journal: journal.path().join("journal"), journal_max_bytes: 1 << 30, memory: 64 << 20 };
        let identity = Identity { system_identifier: "1".into(), database: "postgres".into() };
        let (mirror, feed) = Mirror::open(&ledger, &identity).unwrap();
        let apply = ApplySettings { shadow: shadow_url.clone(), workers: 2, source: "1".into() };
        let appliers = Appliers::start(apply, feed);
        let (catalog, theirs) = (Arc::new(Handle::default()), Arc::new(Handle::default()));
        follow(&catalog, primary_url);
        follow(&theirs, shadow_url);
        while catalog.get().generation == 0 || theirs.get().generation == 0 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        let checker = Checker::start(live.clone(), mirror.clone(), catalog.clone(), theirs.clone());
        let healer = Healer::start(live, mirror.clone(), catalog.clone(), theirs);
        Self { primary, shadow, mirror, catalog, checker, healer, _appliers: appliers, _journal: journal, clusters }
    }

    fn table(&self, name: &str) -> TableId {
        let catalog = self.catalog.get();
        catalog.tables.values().find(|table| table.shape.name == name).unwrap().shape.table
    }

    fn mark(&self, tables: &[&str]) {
        let tables = tables.iter().map(|name| self.table(name)).collect();
        self.mirror.mark(&Mark::Tables { touched: Touched::Tables(tables), reason: Reason::Copy });
    }

    async fn healed(&self) {
        let done = async {
            while !self.mirror.suspect_tables().is_empty() || !self.mirror.suspect_keys().is_empty() {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        let troubles = || self.healer.troubles();
        tokio::time::timeout(Duration::from_mins(1), done).await.unwrap_or_else(|_| panic!("{:?}", troubles()));
    }

    async fn check(&self) -> BTreeMap<String, TableReport> {
        self.checker.check(None, Progress::begin(1, JobKind::Check)).await.unwrap();
        self.report()
    }

    fn report(&self) -> BTreeMap<String, TableReport> {
        let tables = self.checker.tables(true, &self.healer.troubles());
        tables.into_iter().map(|table| (table.table.clone(), table)).collect()
    }

    async fn same_rows(&self, table: &str) -> bool {
        let sql = format!("SELECT t::text FROM public.{table} t ORDER BY 1");
        let mut sides = Vec::new();
        for side in [&self.primary, &self.shadow] {
            let rows = side.query(&sql, &[]).await.unwrap();
            sides.push(rows.iter().map(|row| row.get(0)).collect::<Vec<String>>());
        }
        sides[0] == sides[1]
    }

    /// What a session does with one captured statement: in flight, forwarded, submitted with its rows.
    async fn write(&self, client: &Client, table: &str, statement: &str) {
        let shape = self.catalog.get().tables[&self.table(table)].shape.clone();
        let ticket = self.mirror.enter(&Touched::Tables(vec![shape.table]));
        let sql = format!(
            "{statement} RETURNING id::text, ROW(t.*)::text, pg_current_xact_id()::text, \
             pg_current_wal_insert_lsn()::text"
        );
        let rows = client.query(&sql, &[]).await.unwrap();
        let mut xid = None;
        let changes = rows.iter().map(|row| {
            xid = Some(Xid(row.get::<_, &str>(2).parse().unwrap()));
            let lsn: Lsn = row.get::<_, &str>(3).parse().unwrap();
            let gone = statement.starts_with("DELETE");
            Change::Row(RowChange {
                shape: shape.clone(),
                key: Key::new([row.get::<_, &str>(0)]),
                stamp: Stamp { lsn, ..Stamp::default() },
                image: (!gone).then(|| row.get::<_, &str>(1).into()),
            })
        });
        let changes = changes.collect();
        // The acknowledgement is on its way for a while.
        tokio::time::sleep(Duration::from_millis(u64::from(rand::random::<u8>() % 8))).await;
        self.mirror.submit(Transaction { xid, committed_ms: 0, changes }, Some(ticket));
    }
}

/// Changed, missing and extra rows; how many of each the checker must find, by table.
const PLANTED: &str = "
    UPDATE public.ints SET v = 'other' WHERE id IN (1, 7000);
    DELETE FROM public.ints WHERE id IN (5000, 12000);
    INSERT INTO public.ints VALUES (-5, 'extra'), (20000, 'extra'), (20001, NULL);
    UPDATE public.texts SET v = v + 1 WHERE name = 'n''7';
    DELETE FROM public.texts WHERE name = 'n''8';
    INSERT INTO public.texts VALUES ('zz', 1), ('', 2);
    UPDATE public.uuids SET v = v || '{\"j\": 1}' WHERE id = md5('3')::uuid;
    DELETE FROM public.uuids WHERE id = md5('4')::uuid;
    INSERT INTO public.uuids VALUES (md5('x')::uuid, '{}');
    UPDATE public.pairs SET v = v + 1e-9 WHERE (a, b) = (3, 'b3');
    DELETE FROM public.pairs WHERE (a, b) = (19, 'b19');
    INSERT INTO public.pairs VALUES (3, 'x', 0);
    UPDATE public.amounts SET v = -1 WHERE n = 0.7;
    DELETE FROM public.amounts WHERE n = 0.8;
    DELETE FROM public.keyless WHERE ctid = (SELECT min(ctid) FROM public.keyless);
    INSERT INTO public.keyless VALUES ('row 5'), (NULL);
";

fn counts(report: &TableReport) -> (u64, u64, u64) {
    (report.missing, report.extra, report.different)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn planted_differences_are_all_found_and_nothing_else_and_repair_heals_them() {
    let rig = Rig::start().await;
    for (name, table) in rig.check().await {
        assert_eq!((table.status, table.reason), (TableStatus::Consistent, None), "{name}");
        assert!(rig.checker.is_verified(rig.table(name.trim_start_matches("public."))), "{name}");
    }

    rig.shadow.batch_execute(PLANTED).await.unwrap();
    let found = rig.check().await;
    let expected = HashMap::from([
        ("public.ints", (2, 3, 2)),
        ("public.texts", (1, 2, 1)),
        ("public.uuids", (1, 1, 1)),
        ("public.pairs", (1, 1, 1)),
        ("public.amounts", (1, 0, 1)),
        ("public.keyless", (1, 2, 0)),
        ("public.untouched", (0, 0, 0)),
    ]);
    for (name, table) in &found {
        assert_eq!(counts(table), expected[name.as_str()], "{name}");
        let diverged = table.status == TableStatus::Diverged;
        assert_eq!(diverged, name != "public.untouched", "{name}: {:?}", table.reason);
    }
    let sample = |id: i64| found["public.ints"].samples.iter().find(|sample| sample.key["id"] == id).unwrap();
    assert_eq!(sample(7000).kind, DifferenceKind::Different);
    assert_eq!(sample(7000).columns, ["v"]);
    assert_eq!(sample(7000).primary.as_ref().unwrap()["v"], Some("v7000".into()));
    assert_eq!((sample(5000).kind, sample(20000).kind), (DifferenceKind::Missing, DifferenceKind::Extra));
    let pair = &found["public.pairs"].samples.iter().find(|sample| sample.columns == ["v"]).unwrap().key;
    assert_eq!(serde_json::to_string(pair).unwrap(), r#"{"a":3,"b":"b3"}"#);
    assert!(
        rig.checker
            .tables(false, &HashMap::new())
            .iter()
            .all(|table| { table.samples.iter().all(|sample| sample.primary.is_none() && sample.shadow.is_none()) })
    );

    rig.checker.repair(None, Progress::begin(1, JobKind::Check)).await.unwrap();
    for (name, table) in rig.report() {
        assert_eq!((counts(&table), table.status), ((0, 0, 0), TableStatus::Consistent), "{name}: {:?}", table.reason);
        let (missing, extra, different) = expected[name.as_str()];
        assert_eq!(table.repaired, missing + extra + different, "{name}");
        assert!(rig.same_rows(name.trim_start_matches("public.")).await, "{name}");
    }
}

impl Rig {
    async fn check_ints(&self) -> TableReport {
        let tables = Some(vec!["public.ints".to_owned()]);
        self.checker.check(tables, Progress::begin(1, JobKind::Check)).await.unwrap();
        self.report().remove("public.ints").unwrap()
    }

    /// Checks `ints`, and again while a commit is on its way for which every fence waits: the same is to be known.
    async fn check_ints_to_no_end(&self) -> TableReport {
        let whole = self.check_ints().await;
        assert_eq!((whole.status, whole.reason.as_deref()), (TableStatus::Diverged, Some("rows differ")));
        let ticket = self.mirror.enter(&Touched::Tables(vec![self.table("ints")]));
        let part = self.check_ints().await;
        drop(ticket);
        let reason = "rows differ; not all were compared: the shadow did not catch up in time to be compared";
        assert_eq!((part.status, part.reason.as_deref()), (TableStatus::Diverged, Some(reason)));
        assert_eq!((counts(&part), part.samples.len()), (counts(&whole), whole.samples.len()));
        part
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_known_to_differ_stays_known_over_a_check_that_comes_to_no_end() {
    let rig = Rig::start().await;
    rig.shadow.batch_execute(PLANTED).await.unwrap();
    assert_eq!(counts(&rig.check_ints_to_no_end().await), (2, 3, 2));
    rig.shadow.batch_execute("UPDATE public.ints SET v = 'v1' WHERE id = 1").await.unwrap();
    let again = rig.check_ints().await;
    assert_eq!((counts(&again), again.reason.as_deref()), ((2, 3, 1), Some("rows differ")));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn more_differences_than_keys_are_held_of_stay_known_too_and_are_repaired() {
    let rig = Rig::start().await;
    rig.shadow.batch_execute("TRUNCATE public.ints").await.unwrap();
    assert_eq!(counts(&rig.check_ints_to_no_end().await), (12_000, 0, 0));
    let ints = Some(vec!["public.ints".to_owned()]);
    rig.checker.repair(ints, Progress::begin(1, JobKind::Check)).await.unwrap();
    assert!(rig.same_rows("ints").await);
    let report = rig.report().remove("public.ints").unwrap();
    assert_eq!((counts(&report), report.repaired, report.status), ((0, 0, 0), 12_000, TableStatus::Consistent));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_read_back_and_not_compared_since_is_not_said_to_be_repaired() {
    let rig = Rig::start().await;
    rig.shadow.batch_execute("TRUNCATE public.ints").await.unwrap();
    assert_eq!(counts(&rig.check_ints().await), (12_000, 0, 0));
    let ints = || Some(vec!["public.ints".to_owned()]);
    // From the moment at which all of it is read back a commit is on its way, for which the check's fence waits.
    let on_its_way = async {
        while rig.mirror.suspect_tables().is_empty() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        while !rig.mirror.suspect_tables().is_empty() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        rig.mirror.enter(&Touched::Tables(vec![rig.table("ints")]))
    };
    let repair = rig.checker.repair(ints(), Progress::begin(1, JobKind::Check));
    let (repaired, ticket) = tokio::join!(repair, on_its_way);
    let error = repaired.unwrap_err().to_string();
    assert!(error.contains("public.ints") && error.contains("read back"), "{error}");
    let report = rig.report().remove("public.ints").unwrap();
    assert_eq!((report.status, counts(&report), report.repaired), (TableStatus::Unchecked, (0, 0, 0), 0));
    drop(ticket);
    assert!(rig.same_rows("ints").await);
    assert_eq!(rig.check_ints().await.status, TableStatus::Consistent);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn marks_are_healed_in_full_tables_and_empty_ones() {
    let rig = Rig::start().await;
    rig.shadow.batch_execute(PLANTED).await.unwrap();
    rig.shadow.batch_execute("TRUNCATE public.pairs, public.uuids, public.untouched").await.unwrap();
    rig.mark(&["ints", "texts", "uuids", "pairs", "amounts", "keyless"]);
    let keys = ["1", "2", "99", "100", "101"].map(|key| Key::new([key])).into();
    rig.mirror.mark(&Mark::Keys { table: rig.table("untouched"), keys, reason: Reason::Copy });
    rig.healed().await;
    for table in ["ints", "texts", "uuids", "pairs", "amounts", "keyless"] {
        assert!(rig.same_rows(table).await, "{table}");
    }
    let rows = rig.shadow.query("SELECT id FROM public.untouched ORDER BY 1", &[]).await.unwrap();
    assert_eq!(rows.iter().map(|row| row.get(0)).collect::<Vec<i32>>(), [1, 2, 99, 100]);

    let progress = Progress::begin(1, JobKind::Check);
    rig.healer.backfill(Some(vec!["public.untouched".into()]), Schema::Present, progress.clone()).await.unwrap();
    assert!(rig.same_rows("untouched").await);
    assert_eq!(progress.job().tables[0].rows_done, 100);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_table_the_shadow_lacks_is_not_healed_and_says_why() {
    let rig = Rig::start().await;
    rig.primary.batch_execute("CREATE TABLE public.fresh (id int PRIMARY KEY)").await.unwrap();
    while !rig.catalog.get().tables.values().any(|table| table.shape.name == "fresh") {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let error = rig
        .healer
        .backfill(Some(vec!["public.fresh".into()]), Schema::Present, Progress::begin(1, JobKind::Check))
        .await
        .unwrap_err();
    assert!(error.to_string().contains("missing on the shadow"), "{error}");
    let report = &rig.report()["public.fresh"];
    assert_eq!((report.status, report.reason.as_deref()), (TableStatus::Diverged, Some("missing on the shadow")));
    assert!(!rig.checker.is_verified(rig.table("fresh")));
}

impl Rig {
    /// Whether both sides have the same rows in `table`, told by sums: too many to fetch.
    async fn same_sums(&self, table: &str) -> bool {
        let sql = format!(
            "SELECT count(*)::text, sum(hashtextextended(ROW(t.*)::text, 1))::text, \
             sum(hashtextextended(ROW(t.*)::text, 2))::text FROM public.{table} t"
        );
        let mut sides = Vec::new();
        for side in [&self.primary, &self.shadow] {
            let row = side.query_one(&sql, &[]).await.unwrap();
            sides.push([0, 1, 2].map(|column| row.get::<_, Option<String>>(column)));
        }
        sides[0] == sides[1]
    }

    /// Plants rows in `keyless` on both sides, then differences on the shadow, and heals them.
    async fn heal_keyless(&self, rows: &str, planted: &str) {
        for side in [&self.primary, &self.shadow] {
            side.batch_execute("TRUNCATE public.keyless").await.unwrap();
            side.batch_execute(rows).await.unwrap();
        }
        self.shadow.batch_execute(planted).await.unwrap();
        assert!(!self.same_sums("keyless").await);
        self.mark(&["keyless"]);
        self.healed().await;
        assert!(self.same_sums("keyless").await);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_large_table_without_key_is_healed_in_shares_though_its_size_is_estimated_wrong() {
    let rig = Rig::start().await;
    rig.heal_keyless(
        "INSERT INTO public.keyless SELECT 'row ' || i FROM generate_series(1, 450000) i",
        "DELETE FROM public.keyless WHERE v IN ('row 7', 'row 300000');
         INSERT INTO public.keyless VALUES ('row 8'), ('row 8'), ('extra'), (NULL)",
    )
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rows_without_key_heal_however_wide() {
    let rig = Rig::start().await;
    // More than a share may have in one row, in some rows together, and in all.
    rig.heal_keyless(
        "INSERT INTO public.keyless SELECT repeat(md5(i::text), 9000) FROM generate_series(1, 60) i;
         INSERT INTO public.keyless SELECT repeat(md5(i::text), 200000) FROM generate_series(1, 3) i",
        "DELETE FROM public.keyless WHERE ctid IN (SELECT ctid FROM public.keyless ORDER BY v LIMIT 20);
         DELETE FROM public.keyless WHERE length(v) > 5000000; INSERT INTO public.keyless SELECT repeat('x', 6000000)",
    )
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_row_that_is_there_a_million_times_heals() {
    let rig = Rig::start().await;
    let rows = "INSERT INTO public.keyless SELECT 'the same' FROM generate_series(1, 1000000)";
    rig.heal_keyless(rows, "DELETE FROM public.keyless WHERE ctid < '(1,1)'; INSERT INTO public.keyless VALUES ('x')")
        .await;
    rig.heal_keyless(rows, "INSERT INTO public.keyless SELECT 'the same' FROM generate_series(1, 3)").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_table_without_key_and_statistics_is_filled() {
    let rig = Rig::start().await;
    for side in [&rig.primary, &rig.shadow] {
        side.batch_execute("CREATE TABLE public.fresh (v text, twice text GENERATED ALWAYS AS (v || v) STORED)")
            .await
            .unwrap();
    }
    rig.primary.batch_execute("INSERT INTO public.fresh SELECT i FROM generate_series(1, 90000) i").await.unwrap();
    while !rig.catalog.get().tables.values().any(|table| table.shape.name == "fresh") {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(rig.catalog.get().tables[&rig.table("fresh")].rows_estimate, 0);
    rig.mark(&["fresh"]);
    rig.healed().await;
    assert!(rig.same_sums("fresh").await);
}

/// Runs `rounds` of random writes on a few hot rows and many cold ones.
async fn load(rig: &Rig, client: &Client, rounds: u32) {
    for _ in 0..rounds {
        let hot = rand::random::<u16>() % 8 + 1;
        let cold = rand::random::<u16>() % 13_000;
        let statement = match rand::random::<u8>() % 4 {
            0 => format!("DELETE FROM public.ints t WHERE id = {cold}"),
            1 => format!(
                "INSERT INTO public.ints AS t VALUES ({cold}, random()::text) ON CONFLICT (id) DO UPDATE SET v = 'again'"
            ),
            _ => format!("UPDATE public.ints t SET v = random()::text WHERE id IN ({hot}, {cold})"),
        };
        rig.write(client, "ints", &statement).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rule_25_26_under_load_there_is_no_false_alarm_and_no_difference_is_overlooked_or_left_unhealed() {
    let rig = Arc::new(Rig::start().await);
    rig.shadow.batch_execute("DELETE FROM public.ints WHERE id = 14000 OR id % 2 = 0").await.unwrap();
    rig.primary.batch_execute("INSERT INTO public.ints VALUES (14000, 'missing')").await.unwrap();
    rig.mark(&["ints"]);
    let mut writers = Vec::new();
    for _ in 0..4 {
        let rig = Arc::clone(&rig);
        writers.push(tokio::spawn(async move {
            let url: PgUrl = rig.clusters[0].url("postgres").parse().unwrap();
            let client = connect(&url, Purpose::Catalog).await.unwrap();
            load(&rig, &client, 400).await;
        }));
    }
    rig.healed().await;
    for planted in [false, true] {
        if planted {
            rig.shadow.batch_execute("UPDATE public.ints SET v = 'planted' WHERE id = 14000").await.unwrap();
        }
        rig.checker.check(Some(vec!["public.ints".into()]), Progress::begin(1, JobKind::Check)).await.unwrap();
        let report = &rig.report()["public.ints"];
        assert_eq!(counts(report), (0, 0, u64::from(planted)), "{:?} {:?}", report.samples, report.reason);
    }
    rig.checker.repair(None, Progress::begin(1, JobKind::Check)).await.unwrap();
    for writer in writers {
        writer.await.unwrap();
    }
    rig.mirror.wait_applied(rig.mirror.last()).await;
    assert!(rig.same_rows("ints").await);
    assert_eq!(rig.check().await["public.ints"].status, TableStatus::Consistent);
}
