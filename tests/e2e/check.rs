//! The checker: nothing false on a busy table, nothing overlooked; and the report as the contract has it.

use crossfade::report::{DifferenceKind, TableStatus, Verdict};
use futures_util::future::BoxFuture;
use rand::RngExt as _;
use serde_json::{Value, json};
use tokio_postgres::Client;

use crate::support::{Pair, Program, Workers, psql, same_rows};

const SCHEMA: &str = "
create table busy (id int primary key, v float8, at timestamptz default now());
insert into busy (id, v, at) select g, 0, '2026-01-01' from generate_series(1, 5000) g;
create table pairs (a int, b text, v text, primary key (a, b));
insert into pairs select g % 50, 'b' || g, 'v' from generate_series(1, 2000) g;
create table quiet (id uuid primary key, v text);
insert into quiet select md5(g::text)::uuid, 'v' || g from generate_series(1, 300) g;
";

/// Writes rows 1 to 4000 of `busy`, deletes some and brings them back; leaves the rest alone.
fn churn(client: &mut Client, _: u32) -> BoxFuture<'_, ()> {
    Box::pin(async move {
        let (id, gone) = {
            let mut rng = rand::rng();
            (rng.random_range(1..=4000_i32), rng.random_range(1..=4000_i32))
        };
        client.execute("update busy set v = random(), at = now() where id = $1", &[&id]).await.unwrap();
        client.execute("delete from busy where id = $1", &[&gone]).await.unwrap();
        client
            .execute("insert into busy (id, v) values ($1, random()) on conflict do nothing", &[&gone])
            .await
            .unwrap();
        client.execute("update pairs set v = $1::int::text where a = $1 % 20", &[&id]).await.unwrap();
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn three_planted_faults_are_found_under_load_and_nothing_else() {
    let pair = Pair::start(SCHEMA).await;
    assert_eq!(pair.report().await.verdict, Verdict::Unknown, "nothing was checked yet");
    let workers = Workers::start(&pair.url(), 4, churn).await;
    workers.go_on(20).await;
    pair.work("check").await;
    let clean = pair.report().await;
    assert_eq!(clean.verdict, Verdict::Consistent, "{:#?}", clean.tables);

    let faults = "update busy set v = v + 1 where id = 4500; \
                  delete from pairs where a = 30 and b = 'b30'; \
                  insert into quiet values ('00000000-0000-0000-0000-000000000007', 'made up')";
    psql(&pair.shadow_url(), faults).await.must_succeed();
    pair.work("check").await;
    let report = pair.report().await;
    assert_eq!(report.verdict, Verdict::Diverged, "{:#?}", report.tables);
    let [busy, pairs, quiet] = &report.tables[..] else { panic!("{:#?}", report.tables) };
    assert_eq!((busy.table.as_str(), busy.missing, busy.extra, busy.different), ("public.busy", 0, 0, 1), "{busy:#?}");
    assert_eq!((busy.samples[0].kind, &busy.samples[0].columns), (DifferenceKind::Different, &vec!["v".to_owned()]));
    assert_eq!(json!(busy.samples[0].key), json!({"id": 4500}));
    assert_eq!((pairs.missing, pairs.extra, pairs.different), (1, 0, 0), "{pairs:#?}");
    assert_eq!(json!(pairs.samples[0].key), json!({"a": 30, "b": "b30"}));
    assert_eq!((quiet.missing, quiet.extra, quiet.different), (0, 1, 0), "{quiet:#?}");
    assert_eq!(json!(quiet.samples[0].key), json!({"id": "00000000-0000-0000-0000-000000000007"}));
    assert_eq!(quiet.status, TableStatus::Diverged);

    pair.work("repair").await;
    let repaired = pair.report().await;
    assert!(repaired.tables.iter().all(|table| table.missing + table.extra + table.different == 0), "{repaired:#?}");
    assert!(repaired.tables.iter().all(|table| table.repaired == 1), "{repaired:#?}");
    pair.work("check").await;
    workers.stop().await;
    pair.wait_settled().await;
    pair.work("check").await;
    assert_eq!(pair.report().await.verdict, Verdict::Consistent);
    for table in ["busy", "pairs", "quiet"] {
        same_rows(&pair, table).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_kind_of_difference_is_counted_and_nothing_is_repaired_unasked() {
    let pair = Pair::start(
        "create table t (id int primary key, v text); insert into t select g, 'v' from generate_series(1, 3000) g",
    )
    .await;
    let faults = "update t set v = null where id <= 30; delete from t where id between 1001 and 1100; insert into t select g, 'x' from generate_series(4001, 4050) g";
    psql(&pair.shadow_url(), faults).await.must_succeed();
    pair.work("check").await;
    let table = pair.report().await.tables.remove(0);
    assert_eq!(
        (table.different, table.missing, table.extra),
        (30, 100, 50),
        "exact, not capped by samples: {table:#?}"
    );
    assert_eq!(table.samples.len(), 20, "check.samples");
    let settled = pair.wait_settled().await;
    assert_eq!(settled.check.verdict, Verdict::Diverged);
    assert_eq!(psql(&pair.shadow_url(), "select count(*) from t").await.must_succeed(), "2950\n", "only reported");
    pair.work("repair").await;
    pair.wait_settled().await;
    assert_eq!(same_rows(&pair, "t").await, 3000);
}

#[tokio::test(flavor = "multi_thread")]
async fn rounds_come_by_themselves_and_repair_all_where_asked() {
    let schema =
        "create table t (id int primary key, v text); insert into t select g, 'v' from generate_series(1, 100) g";
    let settings = "[check]\ninterval = \"1s\"\nrepair = \"all\"\n";
    let pair = Pair::recipe().schema(schema).settings(settings).start().await;
    psql(&pair.shadow_url(), "delete from t where id = 50").await.must_succeed();
    crate::support::eventually("the row comes back by itself", async || {
        psql(&pair.shadow_url(), "select count(*) from t").await.must_succeed() == "100\n"
    })
    .await;
    assert!(pair.status().await.check.round > 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_report_and_the_status_bear_the_names_of_the_contract() {
    let pair = Pair::start("create table t (id int primary key, v text); insert into t values (1, 'precious')").await;
    psql(&pair.shadow_url(), "update t set v = 'wrong'").await.must_succeed();
    pair.work("check").await;
    let report: Value = pair.admin().get("/report?table=public.t").await.unwrap();
    let table = &report["tables"][0];
    let names = [
        "table",
        "status",
        "reason",
        "checked_at",
        "rows_checked",
        "missing",
        "extra",
        "different",
        "repaired",
        "suspect_keys",
        "samples",
    ];
    for name in names {
        assert!(table.get(name).is_some(), "{name} is not in {table:#}");
    }
    for name in ["generated_at", "verdict", "reads", "mirror"] {
        assert!(report.get(name).is_some(), "{name} is not in {report:#}");
    }
    assert_eq!(table["samples"][0], json!({"key": {"id": 1}, "kind": "different", "columns": ["v"]}));
    assert!(!report.to_string().contains("precious"), "a row value appeared unasked");
    let with_values: Value = pair.admin().get("/report?values=1").await.unwrap();
    assert!(with_values.to_string().contains("precious"), "{with_values:#}");

    let status: Value = pair.admin().get("/status").await.unwrap();
    for path in [
        "/version",
        "/uptime_s",
        "/generation",
        "/sessions/open",
        "/sessions/total",
        "/primary/state",
        "/primary/server_version",
        "/shadow/state",
        "/mirror/enabled",
        "/mirror/captured",
        "/mirror/applied",
        "/mirror/pending",
        "/mirror/quarantined",
        "/mirror/skipped",
        "/mirror/settled",
        "/mirror/lag_ms",
        "/mirror/backlog_bytes",
        "/mirror/suspect_tables",
        "/reads/percent",
        "/reads/effective_percent",
        "/reads/eligible",
        "/reads/shadow",
        "/reads/fallback",
        "/guard/state",
        "/check/state",
        "/check/round",
        "/check/verdict",
    ] {
        assert!(status.pointer(path).is_some(), "{path} is not in {status:#}");
    }
    let metrics = pair.admin().text("/metrics").await.unwrap();
    assert!(metrics.lines().any(|line| line.starts_with("crossfade_")), "{metrics}");
    pair.admin().text("/healthz").await.unwrap();
    pair.admin().text("/readyz").await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_commands_talk_to_a_running_proxy() {
    let pair = Pair::start("create table t (id int primary key, v text); insert into t values (1, 'a')").await;
    let config = pair.proxy.config_file().display().to_string();
    let command = async |arguments: &[&str]| {
        let program = Program::new(env!("CARGO_BIN_EXE_crossfade")).args(arguments);
        program.args(&["--config", &config]).run().await
    };
    assert_eq!(command(&["check"]).await.code, Some(0));
    assert_eq!(command(&["report"]).await.code, Some(0));
    psql(&pair.shadow_url(), "delete from t").await.must_succeed();
    assert_eq!(command(&["check"]).await.code, Some(1), "diverged");
    let report = command(&["report", "--json"]).await;
    assert_eq!(report.code, Some(1));
    assert_eq!(serde_json::from_str::<Value>(&report.stdout).unwrap()["verdict"], "diverged");
    assert_eq!(command(&["repair"]).await.code, Some(0));
    assert_eq!(command(&["check"]).await.code, Some(0));
    assert_eq!(command(&["ramp", "25"]).await.code, Some(0));
    let status = command(&["status", "--json"]).await.must_succeed();
    assert_eq!(serde_json::from_str::<Value>(&status).unwrap()["reads"]["percent"], 25.0);
    assert_eq!(command(&["ramp", "many"]).await.code, Some(2));
    let mut pair = pair;
    pair.proxy.kill();
    assert_eq!(command(&["status"]).await.code, Some(3), "nobody there");
}
