//! What a check costs: rows a second as they are set, and memory whatever it finds.

use std::fs;
use std::time::{Duration, Instant};

use crossfade::report::job::{Job, JobState};
use crossfade::report::{CheckState, TableStatus};
use serde_json::json;

use crate::support::{Pair, Traffic, connect, eventually, psql, seconds};

#[tokio::test(flavor = "multi_thread")]
async fn a_check_reads_no_more_rows_a_second_than_set_and_follows_the_setting() {
    let schema = "create table t (id int primary key); insert into t select generate_series(1, 10000); analyze t";
    let settings = "[check]\ninterval = \"0s\"\nmax_rows_per_second = 50\n";
    let pair = Pair::recipe().schema(schema).settings(settings).start().await;
    let begun = Instant::now();
    let job: Job = pair.admin().post("/check", &json!({})).await.unwrap();
    let path = format!("/jobs/{}", job.id);
    let look = async || pair.admin().get::<Job>(&path).await.unwrap();
    eventually("some rows are compared", async || look().await.tables.iter().any(|table| table.rows_done > 100)).await;
    let slow = look().await;
    // One statement may read ahead what the next has to wait for.
    let allowed = 50 * (begun.elapsed().as_secs() + 2);
    assert!(slow.tables[0].rows_done <= allowed, "{allowed}: {slow:?}");
    assert_eq!(slow.state, JobState::Running);

    let file = pair.proxy.config_file();
    let faster = fs::read_to_string(&file).unwrap().replace("max_rows_per_second = 50", "max_rows_per_second = 0");
    fs::write(&file, faster).unwrap();
    eventually("the rest goes at full speed", async || look().await.state == JobState::Done).await;
    assert_eq!(look().await.tables[0].rows_done, 10_000);
}

/// A third of the rows is missing, a third differs, a third as many are extra; and rows without key, all alike.
#[tokio::test(flavor = "multi_thread")]
async fn differences_without_number_are_counted_one_by_one_in_bounded_memory() {
    let rows = seconds(300_000, 10_000_000);
    let twins = rows.min(1_000_000);
    let pair = Pair::start("create table wide (id int primary key, v text); create table twins (v text)").await;
    let ours = format!(
        "insert into wide select g, 'value ' || g from generate_series(1, {rows}) g; analyze wide; \
         insert into twins select 'one' from generate_series(1, {twins}) g; analyze twins"
    );
    let theirs = format!(
        "insert into wide select g, case g % 3 when 1 then 'other' else 'value ' || g end \
         from generate_series(1, {rows} + {rows} / 3) g where g % 3 <> 0 or g > {rows}; analyze wide; \
         insert into twins select 'another' from generate_series(1, {twins}) g; analyze twins"
    );
    let (primary, shadow) = (pair.primary_url(), pair.shadow_url());
    let (ours, theirs) = tokio::join!(psql(&primary, &ours), psql(&shadow, &theirs));
    ours.must_succeed();
    theirs.must_succeed();
    let before = pair.most_memory();
    pair.work("check").await;
    let report = pair.report().await;
    let [alike, keyed] = &report.tables[..] else { panic!("{:#?}", report.tables) };
    assert_eq!(
        (keyed.missing, keyed.extra, keyed.different),
        (rows / 3, rows / 3, rows.div_ceil(3)),
        "{:?}",
        keyed.reason
    );
    assert_eq!((alike.missing, alike.extra, alike.different), (twins, twins, 0), "{:?}", alike.reason);
    assert_eq!(keyed.samples.len(), 20, "check.samples");
    let more = pair.most_memory().saturating_sub(before) >> 20;
    println!("{more} MiB more for {rows} differences");
    assert!(more < 64, "{more} MiB more for {rows} differences");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_difference_takes_its_table_out_before_its_check_has_ended() {
    let schema = "create table t (id int primary key, v text); \
                  insert into t select g, 'v' from generate_series(1, 50000) g; analyze t";
    let settings = "[check]\ninterval = \"0s\"\nmax_rows_per_second = 0\n";
    let pair = Pair::recipe().schema(schema).settings(settings).start().await;
    pair.work("check").await;
    assert_eq!(pair.report().await.tables[0].status, TableStatus::Consistent);
    psql(&pair.shadow_url(), "update t set v = 'other' where id = 1").await.must_succeed();
    let file = pair.proxy.config_file();
    let slower = fs::read_to_string(&file).unwrap().replace("max_rows_per_second = 0", "max_rows_per_second = 200");
    fs::write(&file, slower).unwrap();
    eventually("the limit is in force", async || pair.status().await.generation == 2).await;
    let _: Job = pair.admin().post("/check", &json!({})).await.unwrap();
    eventually("it is no longer called consistent", async || {
        pair.report().await.tables[0].status != TableStatus::Consistent
    })
    .await;
    let table = pair.report().await.tables.remove(0);
    assert_eq!(
        (table.status, table.reason.as_deref()),
        (TableStatus::Unchecked, Some("the check that runs has found differences"))
    );
    assert_eq!(pair.status().await.check.state, CheckState::Running);
}

/// Round trips of a client while chunks are counted.
const ROUND_TRIPS: usize = 200;

/// Chunks that the primary was asked for, as its log has it.
fn chunks(pair: &Pair) -> usize {
    let log = fs::read_to_string(pair.primary.folder().join("server.log")).unwrap();
    log.lines().filter(|line| line.contains("hash_record_extended(ROW(t.")).count()
}

/// The clock is another client of the primary, which is as slow for it as for the checker. Without rests every third round
/// trip would be a chunk: its end, a question that costs nothing, its sums.
#[tokio::test(flavor = "multi_thread")]
async fn a_check_reads_less_while_the_primary_is_slow_and_goes_on_at_once_when_it_is_not() {
    let schema = "create table t (id int primary key, v text); insert into t select g, 'v' from generate_series(1, 50000) g; analyze t";
    // Its chunks are of a few rows soon.
    let settings = "[check]\ninterval = \"0s\"\nchunk_time = \"1ms\"\n";
    let recipe = Pair::recipe().schema(schema).settings(settings).primary_settings(&["log_statement = 'all'"]);
    let pair = recipe.lines().start().await;
    let through_the_line =
        pair.primary.url("postgres").replace(&pair.primary.port().to_string(), &pair.primary_line().port().to_string());
    let client = connect(&through_the_line).await;
    let _: Job = pair.admin().post("/check", &json!({})).await.unwrap();
    eventually("a check is under way", async || chunks(&pair) > 30).await;

    pair.primary_line().set(Traffic::Crawls(Duration::from_millis(20)));
    let before = chunks(&pair);
    for _ in 0..ROUND_TRIPS {
        client.batch_execute("select 1").await.unwrap();
    }
    let slow = chunks(&pair) - before;
    assert!(slow < ROUND_TRIPS / 6, "{slow} chunks while the primary was slow");
    let check = pair.status().await.check;
    assert_eq!(check.state, CheckState::Running);

    pair.primary_line().set(Traffic::Flows);
    let is_over = async || pair.status().await.check.state != CheckState::Running;
    eventually("it goes on at full speed", async || chunks(&pair) - before > 2 * ROUND_TRIPS || is_over().await).await;
}
