//! When a table is compared: in the round over all, soon after it was written, and where a restart left off.

use std::fs;

use crossfade::report::{Report, TableReport, TableStatus, Verdict};
use serde_json::{Value, json};

use crate::support::{Pair, eventually, psql};

const ONE_ROUND: &str = "[check]\ninterval = \"1h\"\nrepair = \"off\"\n";

fn table<'a>(report: &'a Report, name: &str) -> &'a TableReport {
    report.tables.iter().find(|table| table.table == name).unwrap_or_else(|| panic!("{name}: {:#?}", report.tables))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_that_was_written_is_compared_again_between_the_rounds_and_no_other() {
    let schema = "create table quiet (id int primary key, v int); insert into quiet select g, g from generate_series(1, 99) g; \
                  create table written (id int primary key, v int); insert into written select * from quiet";
    let pair = Pair::recipe().schema(schema).settings(ONE_ROUND).start().await;
    eventually("the first round ends", async || pair.report().await.history.len() == 1).await;
    let report = pair.report().await;
    assert_eq!((report.verdict, report.history[0].verdict), (Verdict::Consistent, Verdict::Consistent));
    assert_eq!((report.history[0].round, report.history[0].tables, report.history[0].rows_checked), (1, 2, 198));

    psql(&pair.shadow_url(), "update quiet set v = 0 where id = 7; update written set v = 0 where id = 7")
        .await
        .must_succeed();
    psql(&pair.url(), "update written set v = 1 where id = 50").await.must_succeed();
    let diverged = async || table(&pair.report().await, "public.written").status == TableStatus::Diverged;
    eventually("what was written is compared again", diverged).await;
    let report = pair.report().await;
    assert_eq!(table(&report, "public.written").different, 1);
    let quiet = table(&report, "public.quiet");
    assert_eq!(quiet.status, TableStatus::Consistent, "it is not its turn: {quiet:#?}");
    assert_eq!((quiet.coverage_percent, quiet.chunks.matched, quiet.chunks.busy), (100.0, 1, 0), "{quiet:#?}");
    assert!(quiet.verified_since <= quiet.checked_at && quiet.verified_since.is_some(), "{quiet:#?}");
    assert_eq!((pair.status().await.check.round, report.history.len()), (1, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_round_goes_on_after_a_kill_where_it_was() {
    let schema = "create table done (id int primary key, v int); insert into done select g, g from generate_series(1, 99) g; \
                  create table half (id int primary key, v int); insert into half select g, g from generate_series(1, 9000) g; \
                  analyze";
    let settings = format!("{ONE_ROUND}max_rows_per_second = 300\n");
    let mut pair = Pair::recipe().schema(schema).settings(&settings).start().await;
    let under_way = pair.journal().join("check-table.json");
    eventually("a part of the large table is compared", async || {
        table(&pair.report().await, "public.half").coverage_percent > 10.0 && under_way.exists()
    })
    .await;
    let report = pair.report().await;
    let half = table(&report, "public.half");
    assert!(half.rows_per_s > 0.0 && half.left_s.is_some_and(|left| left > 0.0), "{half:#?}");
    assert_eq!((half.status, half.rows_estimated, report.history.len()), (TableStatus::Unchecked, 9000, 0));

    pair.proxy.kill();
    // Where it has been: a round that begins anew would find it.
    psql(&pair.shadow_url(), "update half set v = 0 where id = 1").await.must_succeed();
    let file = pair.proxy.config_file();
    let faster = fs::read_to_string(&file).unwrap().replace("max_rows_per_second = 300", "max_rows_per_second = 0");
    fs::write(&file, faster).unwrap();
    pair.proxy.start_again().await.unwrap();
    eventually("the round ends", async || pair.report().await.history.len() == 1).await;
    let report = pair.report().await;
    assert_eq!((report.verdict, report.history[0].round), (Verdict::Consistent, 1), "{report:#?}");
    assert_eq!((table(&report, "public.half").rows_checked, under_way.exists()), (9000, false));

    pair.work("check").await;
    let report = pair.report().await;
    assert_eq!(table(&report, "public.half").different, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_found_of_another_shadow_says_nothing_after_a_restart() {
    let schema = "create table t (id int primary key); insert into t values (1)";
    let mut pair = Pair::recipe().schema(schema).settings(ONE_ROUND).start().await;
    eventually("the first round ends", async || pair.report().await.history.len() == 1).await;
    pair.proxy.stop().await.unwrap();
    psql(&pair.shadow_url(), "delete from t").await.must_succeed();
    pair.shadow.stop_server("fast").unwrap();
    pair.shadow.start_server().unwrap();
    pair.proxy.start_again().await.unwrap();
    eventually("a round is begun anew", async || pair.report().await.history.len() == 2).await;
    let report = pair.report().await;
    assert_eq!((report.verdict, table(&report, "public.t").missing), (Verdict::Diverged, 1));
    assert_eq!(report.history.iter().map(|round| round.round).collect::<Vec<_>>(), [2, 1]);
}

/// At the speed that is set, the large table alone takes minutes.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_asked_for_and_what_was_written_come_in_the_midst_of_a_large_table() {
    let rows = "(id int primary key, v int); insert into";
    let schema = format!(
        "create table a_written {rows} a_written select g, g from generate_series(1, 50) g; \
         create table huge {rows} huge select g, g from generate_series(1, 100000) g; \
         create table z_asked {rows} z_asked select g, g from generate_series(1, 50) g; analyze"
    );
    let settings = format!("{ONE_ROUND}max_rows_per_second = 500\n");
    let pair = Pair::recipe().schema(&schema).settings(&settings).start().await;
    let huge_began = async || table(&pair.report().await, "public.huge").coverage_percent > 0.0;
    eventually("the large table is being compared", huge_began).await;

    psql(&pair.shadow_url(), "update a_written set v = 0 where id = 7; update z_asked set v = 0 where id = 7")
        .await
        .must_succeed();
    let asked = json!({"tables": ["public.z_asked"]});
    let _: Value = pair.admin().post("/check", &asked).await.unwrap();
    let is_answered = async || table(&pair.report().await, "public.z_asked").different == 1;
    eventually("what is asked for is compared", is_answered).await;
    psql(&pair.url(), "update a_written set v = 1 where id = 50").await.must_succeed();
    let diverged = async || table(&pair.report().await, "public.a_written").status == TableStatus::Diverged;
    eventually("what was written is compared again", diverged).await;
    let _: Value = pair.admin().post("/repair", &asked).await.unwrap();
    let is_repaired = async || table(&pair.report().await, "public.z_asked").repaired == 1;
    eventually("a repair does not wait either", is_repaired).await;
    let report = pair.report().await;
    let huge = table(&report, "public.huge");
    assert_eq!((huge.status, report.history.len()), (TableStatus::Unchecked, 0), "still at it: {huge:#?}");
    assert!(huge.coverage_percent > 0.0 && huge.coverage_percent < 100.0, "{huge:#?}");

    // And it goes on where it was: nothing twice, nothing left out.
    psql(&pair.shadow_url(), "update huge set v = 0 where id = 99999").await.must_succeed();
    let file = pair.proxy.config_file();
    let faster = fs::read_to_string(&file).unwrap().replace("max_rows_per_second = 500", "max_rows_per_second = 0");
    fs::write(&file, faster).unwrap();
    eventually("the round ends", async || pair.report().await.history.len() == 1).await;
    let report = pair.report().await;
    let huge = table(&report, "public.huge");
    assert_eq!((huge.rows_checked, huge.missing, huge.extra, huge.different), (100_000, 0, 0, 1), "{huge:#?}");
}
