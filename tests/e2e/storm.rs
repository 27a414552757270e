//! The storm: every way an application writes, by two drivers of different habits, in sessions that know nothing of each
//! other. It must end with the same rows in every table, with the same definitions, and with balanced books.
//!
//! What is written stands in `storm/`: small items, in a file for each group of them. `CROSSFADE_STORM="hot_keys merges"`
//! lets [`all_at_once`] run only those, `CROSSFADE_STORM_SECONDS` for another time, `CROSSFADE_STORM_SEED` in another order.

use crossfade::report::{Handled, Way};

use crate::support::{Pair, Program, Recipe, psql, python, repository, same_rows, same_rows_of_all, seconds};

/// `tests/e2e/storm/storm.py` with these arguments.
fn program(arguments: &[&str]) -> Program {
    let file = repository("tests/e2e/storm/storm.py").display().to_string();
    Program::new(python()).env("PYTHONDONTWRITEBYTECODE", "1").args(&[&[&*file], arguments].concat())
}

/// The databases that these items need.
async fn recipe(items: &[&str]) -> Recipe {
    let schema = program(&[&["schema"], items].concat()).run().await.must_succeed();
    Pair::recipe().schema(&schema).primary_settings(&["max_prepared_transactions = 200"])
}

async fn rages(pair: &Pair, items: &[&str], seconds: u64) {
    let seed = std::env::var("CROSSFADE_STORM_SEED").unwrap_or_else(|_| "1".into());
    let time = seconds.to_string();
    let run = program(&[&["run", &pair.url(), &time, &seed], items].concat());
    println!("{}", run.run_for(seconds).await.must_succeed());
}

/// Settled, and the same on both sides.
async fn leaves_no_difference(pair: &Pair) {
    // Whoever was not ended yet holds locks, and nothing of it is committed.
    let open = "select 'rollback prepared ' || quote_literal(gid) from pg_prepared_xacts";
    let open = psql(&pair.primary_url(), open).await.must_succeed();
    psql(&pair.url(), &open.lines().map(|line| format!("{line};\n")).collect::<String>()).await.must_succeed();
    pair.wait_settled().await;
    let (definitions, tables) = (definitions(pair).await, tables(pair).await);
    let rows = same_rows_of_all(pair, &tables).await;
    println!("{} tables, {rows} rows, {definitions} definitions", tables.len());
    print_how_writes_were_handled(&pair.report().await.mirror.handled);
}

/// By table and reason, and the share that had to be refreshed. A write is what one transaction did to one table.
fn print_how_writes_were_handled(handled: &[Handled]) {
    for Handled { table, way, reason, transactions } in handled {
        let table = table.as_deref().unwrap_or("any table");
        println!("{transactions:7} {way:?} {table} {}", reason.as_deref().unwrap_or_default());
    }
    let sum = |way: Option<Way>| -> u64 {
        handled.iter().filter(|h| way.is_none_or(|way| h.way == way)).map(|h| h.transactions).sum()
    };
    let (exact, refreshed, replayed) = (sum(Some(Way::Exact)), sum(Some(Way::Refreshed)), sum(Some(Way::Replayed)));
    let share = 100.0 * refreshed as f64 / sum(None).max(1) as f64;
    println!("writes: {exact} exact, {replayed} replayed, {refreshed} refreshed: {share:.0} %");
    assert!(exact + replayed + refreshed > 0);
}

const TABLES: &str = "select case when relhassubclass and relkind = 'r' then 'only ' else '' end || oid::regclass from pg_class \
    where relkind in ('r', 'm') and exists (select from pg_attribute where attrelid = pg_class.oid and attnum > 0 and not attisdropped) and relpersistence <> 't' and relnamespace not in ('pg_catalog'::regnamespace, 'information_schema'::regnamespace) \
    and relnamespace::regnamespace::text not in ('crossfade') order by 1";

async fn tables(pair: &Pair) -> Vec<String> {
    let tables = psql(&pair.primary_url(), TABLES).await.must_succeed();
    tables.lines().map(str::to_owned).collect()
}

/// Columns, indexes, constraints, triggers and labels, by their own words. An index that is not valid is what is left of a
/// statement that failed. From 18 on NOT NULL is a constraint too.
const DEFINITIONS: &str = "
select 'column', attrelid::regclass, attname, format_type(atttypid, atttypmod), attnotnull, attidentity, attgenerated, pg_get_expr(adbin, adrelid)
  from pg_attribute join pg_class c on c.oid = attrelid left join pg_attrdef on adrelid = attrelid and adnum = attnum
  where attnum > 0 and not attisdropped and relkind in ('r', 'p', 'v', 'm') and relpersistence <> 't'
  and relnamespace::regnamespace::text not in ('pg_catalog', 'information_schema', 'crossfade', 'pg_toast') order by 2, 3;
select 'index', indexrelid::regclass, pg_get_indexdef(indexrelid) from pg_index join pg_class c on c.oid = indrelid
  where indisvalid and relpersistence <> 't' and relnamespace::regnamespace::text not in ('pg_catalog', 'information_schema', 'crossfade', 'pg_toast') order by 2;
select 'constraint', conrelid::regclass, conname, pg_get_constraintdef(oid), convalidated from pg_constraint
  where contype <> 'n' and connamespace::regnamespace::text not in ('pg_catalog', 'information_schema', 'crossfade') order by 2, 3;
select 'trigger', tgrelid::regclass, pg_get_triggerdef(oid) from pg_trigger where not tgisinternal order by 2, 3;
select 'enum', enumtypid::regtype, enumlabel, rank() over (partition by enumtypid order by enumsortorder) from pg_enum order by 2, 4;
";

async fn definitions(pair: &Pair) -> usize {
    let (primary_url, shadow_url) = (pair.primary_url(), pair.shadow_url());
    let (primary, shadow) = tokio::join!(psql(&primary_url, DEFINITIONS), psql(&shadow_url, DEFINITIONS));
    let (mut primary, mut shadow) = (sorted(&primary.must_succeed()), sorted(&shadow.must_succeed()));
    let count = primary.len();
    let both: std::collections::HashSet<_> = primary.iter().filter(|line| shadow.contains(line)).cloned().collect();
    primary.retain(|line| !both.contains(line));
    shadow.retain(|line| !both.contains(line));
    assert!(primary == shadow, "definitions differ, on the primary:\n{primary:#?}\non the shadow:\n{shadow:#?}");
    count
}

fn sorted(lines: &str) -> Vec<String> {
    let mut lines: Vec<_> = lines.lines().map(str::to_owned).collect();
    lines.sort_unstable();
    lines
}

async fn storm(items: &[&str], seconds: u64) {
    let pair = recipe(items).await.start().await;
    rages(&pair, items, seconds).await;
    leaves_no_difference(&pair).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn values_of_every_kind() {
    storm(&["values"], seconds(2, 60)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_of_every_kind() {
    storm(&["keys"], seconds(2, 60)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_that_everyone_writes() {
    storm(&["contention"], seconds(2, 60)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn tables_of_every_kind() {
    storm(&["structure"], seconds(2, 60)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn transactions_of_every_kind() {
    storm(&["transactions"], seconds(2, 60)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn many_rows_at_once() {
    storm(&["bulk"], seconds(2, 60)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn writes_whose_tables_are_not_told() {
    storm(&["unseen"], seconds(2, 60)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn definitions_that_change() {
    storm(&["ddl"], seconds(2, 60)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn all_at_once() {
    let chosen = std::env::var("CROSSFADE_STORM").unwrap_or_else(|_| "all".into());
    let time = std::env::var("CROSSFADE_STORM_SECONDS").map_or(seconds(5, 300), |time| time.parse().unwrap());
    storm(&chosen.split_whitespace().collect::<Vec<_>>(), time).await;
}

/// As an operator ends it, whoever began it.
#[tokio::test(flavor = "multi_thread")]
async fn two_phases_end_behind_a_restart_of_the_proxy() {
    let recipe = Pair::recipe().schema("create table t (id int primary key, v float8); insert into t values (0, 0)");
    let mut pair = recipe.primary_settings(&["max_prepared_transactions = 10"]).start().await;
    for (id, gid) in [(1, "kept"), (2, "undone"), (3, "killed")] {
        let begin = format!("begin; insert into t values ({id}, random()); prepare transaction '{gid}'");
        psql(&pair.url(), &begin).await.must_succeed();
    }
    pair.proxy.stop().await.unwrap();
    pair.proxy.start_again().await.unwrap();
    psql(&pair.url(), "commit prepared 'kept'; rollback prepared 'undone'").await.must_succeed();
    pair.proxy.kill();
    pair.proxy.start_again().await.unwrap();
    psql(&pair.url(), "commit prepared 'killed'").await.must_succeed();
    pair.wait_settled().await;
    assert_eq!(same_rows(&pair, "t").await, 3);
}

/// A million in the long form.
#[tokio::test(flavor = "multi_thread")]
async fn one_statement_over_very_many_rows() {
    let rows = seconds(100_000, 1_000_000);
    let schema = format!(
        "create table many (id int primary key, n int default 0, v float8); insert into many select generate_series(1, {rows})"
    );
    let pair = Pair::start(&schema).await;
    psql(&pair.url(), "update many set n = id % 7, v = random()").await.must_succeed();
    psql(&pair.url(), "delete from many where n = 3; update many set v = -v where id = 1").await.must_succeed();
    pair.wait_settled().await;
    assert_eq!(same_rows(&pair, "many").await as u64, rows - (rows + 4) / 7);
}

#[tokio::test(flavor = "multi_thread")]
async fn large_objects_and_notifications_are_not_mirrored_and_that_is_said() {
    let pair = Pair::start("create table t (id int primary key, object oid)").await;
    let script =
        "insert into t select 1, lo_from_bytea(0, '\\x00ff'); notify news, 'payload'; select pg_notify('news', 'more')";
    psql(&pair.url(), script).await.must_succeed();
    pair.wait_settled().await;
    assert_eq!(same_rows(&pair, "t").await, 1, "the row that names it is");
    let objects = "select count(*) from pg_largeobject_metadata";
    let count = async |url: String| psql(&url, objects).await.must_succeed();
    assert_eq!((count(pair.primary_url()).await, count(pair.shadow_url()).await), ("1\n".into(), "0\n".into()));
    let readme = include_str!("../../README.md");
    assert!(readme.contains("| large objects, `NOTIFY`,"), "the table of what is mirrored says so");
}
