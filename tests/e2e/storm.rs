//! The storm: every way an application writes, by two drivers of different habits, in sessions that know nothing of each
//! other. It must end with the same rows in every table, with the same definitions, and with balanced books.
//!
//! What is written stands in `storm/`: small items, in a file for each group of them. `CROSSFADE_STORM="hot_keys merges"`
//! lets [`all_at_once`] run only those, `CROSSFADE_STORM_SECONDS` for another time, `CROSSFADE_STORM_SEED` in another order.

use crate::support::{Pair, Program, Recipe, psql, python, same_rows, seconds};

/// `tests/e2e/storm/storm.py` with these arguments.
fn program(arguments: &[&str]) -> Program {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/e2e/storm/storm.py");
    Program::new(python()).env("PYTHONDONTWRITEBYTECODE", "1").args(&[&[file], arguments].concat())
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
    let mut rows = 0;
    for table in &tables {
        rows += same_rows(pair, table).await;
    }
    println!("{} tables, {rows} rows, {definitions} definitions", tables.len());
}

const TABLES: &str = "select case when relhassubclass and relkind = 'r' then 'only ' else '' end || oid::regclass from pg_class \
    where relkind in ('r', 'm') and exists (select from pg_attribute where attrelid = pg_class.oid and attnum > 0 and not attisdropped) and relpersistence <> 't' and relnamespace not in ('pg_catalog'::regnamespace, 'information_schema'::regnamespace) \
    and relnamespace::regnamespace::text not in ('crossfade') order by 1";

async fn tables(pair: &Pair) -> Vec<String> {
    let tables = psql(&pair.primary_url(), TABLES).await.must_succeed();
    tables.lines().map(str::to_owned).collect()
}

/// Columns, indexes and constraints, by their own words.
const DEFINITIONS: &str = "
select 'column', attrelid::regclass, attname, format_type(atttypid, atttypmod), attnotnull, attidentity, attgenerated, pg_get_expr(adbin, adrelid)
  from pg_attribute join pg_class c on c.oid = attrelid left join pg_attrdef on adrelid = attrelid and adnum = attnum
  where attnum > 0 and not attisdropped and relkind in ('r', 'p', 'v', 'm') and relpersistence <> 't'
  and relnamespace::regnamespace::text not in ('pg_catalog', 'information_schema', 'crossfade', 'pg_toast') order by 2, 3;
select 'index', indexrelid::regclass, pg_get_indexdef(indexrelid), indisvalid from pg_index join pg_class c on c.oid = indrelid
  where relpersistence <> 't' and relnamespace::regnamespace::text not in ('pg_catalog', 'information_schema', 'crossfade', 'pg_toast') order by 2;
select 'constraint', conrelid::regclass, conname, pg_get_constraintdef(oid), convalidated from pg_constraint
  where connamespace::regnamespace::text not in ('pg_catalog', 'information_schema', 'crossfade') order by 2, 3;
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
    storm(&["values"], seconds(4, 60)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_of_every_kind() {
    storm(&["keys"], seconds(4, 60)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_that_everyone_writes() {
    storm(&["contention"], seconds(4, 60)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn tables_of_every_kind() {
    storm(&["structure"], seconds(4, 60)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn transactions_of_every_kind() {
    storm(&["transactions"], seconds(4, 60)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn many_rows_at_once() {
    storm(&["bulk"], seconds(4, 60)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn writes_whose_tables_are_not_told() {
    storm(&["unseen"], seconds(4, 60)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn definitions_that_change() {
    storm(&["ddl"], seconds(4, 60)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn all_at_once() {
    let chosen = std::env::var("CROSSFADE_STORM").unwrap_or_else(|_| "all".into());
    let time = std::env::var("CROSSFADE_STORM_SECONDS").map_or(seconds(10, 300), |time| time.parse().unwrap());
    storm(&chosen.split_whitespace().collect::<Vec<_>>(), time).await;
}
