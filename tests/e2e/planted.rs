//! Planted faults of every kind, in tables of every kind of key: all are found, and nothing else, whether the application
//! rests or writes, and however far the shadow is behind; and rounds during which things end otherwise than they began.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::time::Duration;

use crossfade::report::{TableStatus, Verdict};
use futures_util::future::BoxFuture;
use rand::RngExt as _;
use serde_json::{Value, json};
use tokio::time::sleep;
use tokio_postgres::Client;

use crate::support::{Pair, Workers, eventually, psql, same_rows, seconds};

/// A table by its name, the columns of its key, and their values in the row of number `o`.
type Kind = (&'static str, &'static str, &'static str);

/// Whose writes are captured row by row.
const CAPTURED: [Kind; 9] = [
    ("ints", "k int primary key", "o"),
    ("bigs", "k bigint primary key", "o::bigint << 20"),
    ("texts", "k text collate \"C\" primary key", "lpad(o::text, 6, '0')"),
    ("words", "k varchar(20) primary key", "lpad(o::text, 6, '0')"),
    ("apart", "k text collate \"C\" primary key", "lpad(o::text, 6, '0')"),
    ("uuids", "k uuid primary key", "lpad(to_hex(o), 32, '0')::uuid"),
    ("composite", "a int, b text, primary key (a, b)", "o / 100, lpad(o::text, 6, '0')"),
    ("dates", "k date primary key", "date '2000-01-01' + o"),
    ("moods", "a mood, b int, primary key (a, b)", "case when o < 3000 then 'sad' else 'glad' end::mood, o"),
];
/// The others.
const READ_BACK: [Kind; 5] = [
    ("instants", "k timestamptz primary key", "timestamptz '2000-01-01Z' + o * interval '1 minute'"),
    ("amounts", "k numeric primary key", "o * 0.5"),
    ("bytes", "k bytea primary key", "decode(lpad(to_hex(o), 8, '0'), 'hex')"),
    ("loose", "k text collate loose primary key", "'k' || o"),
    ("nobody", "k int", "o"),
];

/// The value of one column of one row, on the shadow.
type Fault = (u32, &'static str, &'static str);

const FAULTS: [Fault; 22] = [
    (20, "n", "n + 1"),
    (21, "v", "null"),
    (22, "raw", "1.00"),
    (23, "f", "'-0'"),
    (24, "f", "'NaN'"),
    (25, "f", "'infinity'"),
    (26, "v", "'ABC'"),
    (27, "v", "'abc '"),
    (28, "z", "'11:00+01'"),
    (29, "j", "'{\"b\":2,\"a\":1}'"),
    (30, "m", "'glad'"),
    (31, "arr", "'[2:2]={1}'"),
    (32, "ci", "'ABC'"),
    // What two rows swap leaves every column's values as they were.
    (33, "n", "34"),
    (34, "n", "33"),
    (35, "hs", "'a=>NULL'"),
    (36, "bits", "'1010'"),
    (37, "x", "'<a></a>'"),
    (38, "p", "'(1,2.0000001)'"),
    (40, "i", "'24:00'"),
    (42, "at", "at + interval '1 microsecond'"),
    // The last row of the first chunk: a walk begins with 5000 rows.
    (5009, "n", "0"),
];
/// The first, one among others, the first of the second chunk, the last.
const MISSING: [u32; 4] = [10, 41, 5010, 6009];
/// Before all that the primary has, and behind.
const EXTRA: [u32; 2] = [1, 7000];

const SCHEMA: &str = "
create extension citext; create extension hstore; create type mood as enum ('sad', 'ok', 'glad');
create collation loose (provider = icu, locale = 'und', deterministic = false);
";
const COLUMNS: &str = "o int, n int, v text, raw numeric, f float8, z timetz, at timestamptz, j json, m mood, arr int[], ci citext, hs hstore,
    bits varbit, x xml, p point, i interval, ch char(5)";
const VALUES: &str = "o, o, case o when 21 then '' else 'abc' end, 1.0, 0, '10:00+00', '2026-01-01Z', '{\"a\":1,\"b\":2}', 'sad', '{1}', 'abc', 'a=>1',
    '101', '<a/>', '(1,2)', '1 day', 'abc'";

fn all() -> impl Iterator<Item = &'static Kind> {
    CAPTURED.iter().chain(&READ_BACK)
}

/// The rows of these numbers.
fn insert(&(name, _, key): &Kind, from: u32, to: u32) -> String {
    format!("insert into {name} select {key}, {VALUES} from generate_series({from}, {to}) o")
}

fn schema() -> String {
    let mut sql = SCHEMA.to_owned();
    for kind @ (name, key, _) in all() {
        // The key stands first; PRIMARY KEY over more columns behind them is moved by nobody.
        let (columns, constraint) = key
            .split_once(", primary key")
            .map_or((*key, String::new()), |(columns, key)| (columns, format!(", primary key{key}")));
        writeln!(sql, "create table {name} ({columns}, {COLUMNS}{constraint});").unwrap();
        writeln!(sql, "{}; create index on {name} (o); analyze {name};", insert(kind, 10, 6009)).unwrap();
    }
    sql
}

async fn start() -> Pair {
    let settings = "[check]\ninterval = \"0s\"\nsamples = 100\n";
    let pair = Pair::recipe().schema(&schema()).settings(settings).start().await;
    // One side orders these keys otherwise; the last table tells when that is known.
    let apart = "begin; alter table apart alter k type text collate \"de-x-icu\"; create table only_there (); alter table only_there add id int; commit";
    psql(&pair.shadow_url(), apart).await.must_succeed();
    let known = async || pair.report().await.tables.iter().any(|table| table.table == "public.only_there");
    eventually("the shadow's new table in the report", known).await;
    pair
}

async fn plant(pair: &Pair) {
    let mut sql = String::new();
    for kind @ (name, ..) in all() {
        for (row, column, value) in FAULTS {
            writeln!(sql, "update {name} set {column} = {value} where o = {row};").unwrap();
        }
        for row in MISSING {
            writeln!(sql, "delete from {name} where o = {row};").unwrap();
        }
        for row in EXTRA {
            writeln!(sql, "{};", insert(kind, row, row)).unwrap();
        }
    }
    // There twice.
    writeln!(sql, "{};", insert(&READ_BACK[4], 50, 50)).unwrap();
    psql(&pair.shadow_url(), &sql).await.must_succeed();
}

/// Row, kind and column.
type Found = BTreeSet<(u32, String, String)>;

fn planted() -> Found {
    let different = FAULTS.iter().map(|&(row, column, _)| (row, "different".to_owned(), column.to_owned()));
    let missing = MISSING.iter().map(|&row| (row, "missing".to_owned(), String::new()));
    let extra = EXTRA.iter().map(|&row| (row, "extra".to_owned(), String::new()));
    different.chain(missing).chain(extra).collect()
}

fn found(table: &Value) -> Found {
    let samples = table["samples"].as_array().unwrap().iter();
    let of = |sample: &Value| {
        let row = if sample["primary"].is_null() { &sample["shadow"]["o"] } else { &sample["primary"]["o"] };
        let columns: Vec<_> = sample["columns"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        (row.as_str().unwrap().parse().unwrap(), sample["kind"].as_str().unwrap().to_owned(), columns.join(","))
    };
    samples.map(of).collect()
}

/// Whether a table that could not be compared whole is no failure.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Demand {
    Everything,
    NothingFalse,
}

async fn is_found(pair: &Pair, demand: Demand) {
    let report: Value = pair.admin().get("/report?values=1").await.unwrap();
    let (planted, mut tables) = (planted(), 0);
    for table in report["tables"].as_array().unwrap() {
        let (name, status) = (table["table"].as_str().unwrap(), table["status"].as_str().unwrap());
        let counts = ["missing", "extra", "different"].map(|count| table[count].as_u64().unwrap());
        if name == "public.only_there" {
            assert_eq!((status, counts), ("diverged", [0, 0, 0]), "{table}");
            continue;
        }
        tables += 1;
        if demand == Demand::NothingFalse && status != "diverged" {
            continue;
        }
        let [missing, extra, different] = [MISSING.len(), EXTRA.len(), FAULTS.len()].map(|count| count as u64);
        if name == "public.nobody" {
            assert_eq!(counts, [missing + different, extra + different + 1, 0], "{name}: {}", table["reason"]);
            continue;
        }
        let found = found(table);
        if demand == Demand::NothingFalse {
            assert!(found.is_subset(&planted), "{name}: {:?}", found.difference(&planted).collect::<Vec<_>>());
            continue;
        }
        let (false_alarms, overlooked) = (found.difference(&planted), planted.difference(&found));
        let wrong: Vec<_> = false_alarms.chain(overlooked).collect();
        assert!(wrong.is_empty(), "{name}, {}: {wrong:?}", table["reason"]);
        assert_eq!(counts, [missing, extra, different], "{name}");
    }
    assert_eq!(tables, CAPTURED.len() + READ_BACK.len());
}

async fn is_clean(pair: &Pair) {
    for table in pair.report().await.tables {
        let counts = (table.missing, table.extra, table.different);
        assert_eq!(counts, (0, 0, 0), "{}: {:?}", table.table, table.reason);
        let consistent = table.status == TableStatus::Consistent;
        assert_eq!(consistent, table.table != "public.only_there", "{}: {:?}", table.table, table.reason);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_planted_fault_is_found_in_tables_of_every_key_and_nothing_else_and_repaired() {
    let pair = start().await;
    pair.work("check").await;
    is_clean(&pair).await;
    plant(&pair).await;
    pair.work("check").await;
    is_found(&pair, Demand::Everything).await;
    pair.work("repair").await;
    is_clean(&pair).await;
    for (table, ..) in all() {
        assert_eq!(same_rows(&pair, table).await, 6000, "{table}");
    }
}

/// Writes the rows in between, each worker its own.
fn churn(client: &mut Client, number: u32) -> BoxFuture<'_, ()> {
    Box::pin(async move {
        let (kind, row, value) = {
            let mut rng = rand::rng();
            let kind = &CAPTURED[rng.random_range(0..CAPTURED.len())];
            (kind, rng.random_range(25..1200_u32) * 4 + number, rng.random_range(0..1000_i32))
        };
        let table = kind.0;
        client
            .batch_execute(&format!("update {table} set n = {value}, f = {value} / 7.0 where o = {row}"))
            .await
            .unwrap();
        if value % 4 == 0 {
            let again = insert(kind, row, row);
            client.batch_execute(&format!("delete from {table} where o = {row}")).await.unwrap();
            client.batch_execute(&again).await.unwrap();
        }
    })
}

/// Keeps the shadow up to so far behind, until it is dropped.
async fn lags(pair: &Pair, lag: Duration) {
    let post = async |path| pair.admin().post::<Value>(path, &json!({})).await.unwrap();
    loop {
        post("/mirror/pause").await;
        sleep(lag).await;
        post("/mirror/resume").await;
        let caught_up = async || pair.status().await.mirror.lag_ms < 50;
        eventually("the shadow behind no more", caught_up).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_planted_fault_is_found_under_a_storm() {
    let pair = start().await;
    let workers = Workers::start(&pair.url(), 4, churn).await;
    workers.go_on(40).await;
    pair.work("check").await;
    is_clean(&pair).await;
    plant(&pair).await;
    pair.work("check").await;
    is_found(&pair, Demand::Everything).await;
    workers.stop().await;
    pair.wait_settled().await;
    pair.work("check").await;
    is_found(&pair, Demand::Everything).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_planted_fault_is_found_under_a_storm_however_far_the_shadow_is_behind() {
    let pair = start().await;
    plant(&pair).await;
    let workers = Workers::start(&pair.url(), 4, churn).await;
    workers.go_on(40).await;
    for lag in [1, 30].into_iter().take(seconds(1, 2) as usize) {
        tokio::select! {
            () = pair.work("check") => {}
            () = lags(&pair, Duration::from_secs(lag)) => {}
        }
        pair.admin().post::<Value>("/mirror/resume", &json!({})).await.unwrap();
        // A chunk is given up when the shadow is ten seconds behind.
        is_found(&pair, if lag < 10 { Demand::Everything } else { Demand::NothingFalse }).await;
        let most = pair.most_memory() >> 20;
        println!("{most} MiB at the most while the shadow was {lag} s behind");
        assert!(most < 128, "{most} MiB");
    }
    workers.stop().await;
    pair.wait_settled().await;
    pair.work("check").await;
    is_found(&pair, Demand::Everything).await;
}

/// Slow enough that there is time to do something in the midst of it.
const SLOW: &str = "[check]\ninterval = \"0s\"\nmax_rows_per_second = 4000\n";
const THREE: &str = "
create table a (id int primary key, v text); insert into a select g, 'v' from generate_series(1, 12000) g;
create table b (id int primary key, v text); insert into b select g, 'v' from generate_series(1, 100) g;
create table c (id text primary key, v int); insert into c select g, g from generate_series(1, 100) g;
";

/// A round during which `sql` is sent through the proxy: no difference may be told, now or later.
async fn a_round_with(sql: &str, tables: &[&str]) {
    let pair = Pair::recipe().schema(THREE).settings(SLOW).start().await;
    let act = async {
        eventually("a round", async || pair.status().await.check.state == crossfade::report::CheckState::Running).await;
        psql(&pair.url(), sql).await.must_succeed();
    };
    tokio::join!(pair.admin().work("check"), act).0.unwrap_or_else(|error| panic!("{sql}: {error}"));
    let without_difference = async || {
        for table in pair.report().await.tables {
            assert_eq!((table.missing, table.extra, table.different), (0, 0, 0), "{sql}: {table:?}");
        }
    };
    without_difference().await;
    pair.wait_settled().await;
    // The shadow's own definitions are looked at every few seconds.
    let is_seen = async || {
        let report = pair.report().await;
        let told = report.tables.iter().filter_map(|table| table.reason.as_ref());
        report.tables.len() == tables.len() && !told.into_iter().any(|reason| reason.contains("shadow"))
    };
    eventually("what changed on the shadow is seen", is_seen).await;
    for table in tables {
        same_rows(&pair, table).await;
    }
    pair.work("check").await;
    without_difference().await;
    let report = pair.report().await;
    assert_eq!(report.verdict, Verdict::Consistent, "{sql}: {:?}", report.tables);
    for table in tables {
        same_rows(&pair, table).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_dropped_during_a_round_is_no_difference() {
    a_round_with("drop table a; drop table c", &["b"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_altered_during_a_round_is_no_difference() {
    let sql = "alter table a add w int default 5; update a set w = 6 where id > 11000; alter table c drop v; insert into c values ('new')";
    a_round_with(sql, &["a", "b", "c"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_truncated_during_a_round_is_no_difference() {
    a_round_with("truncate a; insert into a values (1, 'new'); truncate c", &["a", "b", "c"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shadow_that_stops_during_a_round_is_no_difference() {
    let pair = Pair::recipe().schema(THREE).settings(SLOW).start().await;
    let act = async {
        eventually("a round", async || pair.status().await.check.state == crossfade::report::CheckState::Running).await;
        pair.shadow.stop_server("immediate").unwrap();
        psql(&pair.url(), "update a set v = 'new' where id % 2 = 0; delete from b where id > 50").await.must_succeed();
        sleep(Duration::from_secs(2)).await;
        pair.shadow.start_server().unwrap();
    };
    // Tables that could not be asked fail the job, and are told of.
    let _ = tokio::join!(pair.admin().work("check"), act);
    for table in pair.report().await.tables {
        assert_eq!((table.missing, table.extra, table.different), (0, 0, 0), "{table:?}");
    }
    pair.wait_settled().await;
    pair.work("check").await;
    assert_eq!(pair.report().await.verdict, Verdict::Consistent);
}
