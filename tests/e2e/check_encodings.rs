//! Checks between servers that do not hash alike: other encodings, bytes that no encoding explains, no MD5.

use std::fs;

use crossfade::report::{TableStatus, Verdict};
use serde_json::Value;

use crate::planted_types;
use crate::support::{Pair, Recipe, psql};

const SETTINGS: &str = "[check]\ninterval = \"0s\"\nsamples = 100\n";

/// As on a server whose OpenSSL allows what FIPS 140 allows.
const WITHOUT_MD5: &str = "set allow_system_table_mods = on;
-- Built-in functions go by their oid: these are no longer called md5.
update pg_proc set proname = 'not_md5' where proname = 'md5';
create function pg_catalog.md5(bytea) returns text language plpgsql immutable strict parallel safe
  as 'begin raise exception ''could not compute MD5 hash: unsupported''; end';
create function pg_catalog.md5(text) returns text language plpgsql immutable strict parallel safe
  as 'begin raise exception ''could not compute MD5 hash: unsupported''; end';
reset allow_system_table_mods;\n";

fn recipe() -> Recipe {
    Pair::recipe().settings(SETTINGS).primary_settings(&["log_statement = 'all'"])
}

/// Who hashed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Hashed {
    Natively,
    ByMd5,
    Here,
}

/// As the primary's log has it of the tables with a key.
fn hashed(pair: &Pair) -> Hashed {
    let log = fs::read_to_string(pair.primary.folder().join("server.log")).unwrap();
    let asked = |what: &str| log.lines().any(|line| line.contains("\"ranged\"") && line.contains(what));
    match (asked("pg_catalog.hash_record_extended("), asked("pg_catalog.md5("), asked(") TO STDOUT (ENCODING '")) {
        (true, false, false) => Hashed::Natively,
        (false, true, false) => Hashed::ByMd5,
        (false, false, true) => Hashed::Here,
        other => panic!("{other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn faults_of_every_type_are_found_between_servers_without_md5() {
    let pair = recipe().schema(WITHOUT_MD5).schema(&planted_types::schema()).start().await;
    assert!(psql(&pair.shadow_url(), "select md5('x')").await.stderr.contains("unsupported"));
    planted_types::are_found_and_repaired(&pair).await;
    assert_eq!(hashed(&pair), Hashed::Natively);
}

#[tokio::test(flavor = "multi_thread")]
async fn faults_of_every_type_are_found_by_md5_where_encodings_differ() {
    let pair = recipe().schema(&planted_types::schema()).encodings("LATIN1", "UTF8").start().await;
    planted_types::are_found_and_repaired(&pair).await;
    assert_eq!(hashed(&pair), Hashed::ByMd5);
}

#[tokio::test(flavor = "multi_thread")]
async fn faults_of_every_type_are_found_by_streamed_rows_where_encodings_differ_and_md5_is_missing() {
    let recipe = recipe().schema(WITHOUT_MD5).schema(&planted_types::schema());
    let pair = recipe.encodings("LATIN1", "UTF8").start().await;
    planted_types::are_found_and_repaired(&pair).await;
    assert_eq!(hashed(&pair), Hashed::Here);
}

#[tokio::test(flavor = "multi_thread")]
async fn faults_of_every_type_are_found_by_streamed_rows_from_a_database_that_knows_no_encoding() {
    let recipe = recipe().schema(&planted_types::schema());
    let pair = recipe.encodings("SQL_ASCII", "UTF8").start().await;
    planted_types::are_found_and_repaired(&pair).await;
    assert_eq!(hashed(&pair), Hashed::Here);
}

/// Bytes that are no text in UTF-8 are a difference of their rows; the others are compared as ever.
#[tokio::test(flavor = "multi_thread")]
async fn bytes_that_no_encoding_explains_are_a_difference_of_their_row_alone() {
    let schema = "create table t (id int primary key, v text); insert into t select g, 'v' || g from generate_series(1, 9000) g;
        create table b (k text primary key, v text); insert into b select 'k' || g, 'v' || g from generate_series(1, 500) g;
        create table n (v text); insert into n select 'v' || g % 100 from generate_series(1, 500) g;
        create table long (id int primary key, v text); insert into long select g, repeat('ab', 300000) from generate_series(1, 5) g; analyze";
    let pair = recipe().schema(schema).encodings("SQL_ASCII", "UTF8").start().await;
    pair.work("check").await;
    assert_eq!(pair.report().await.verdict, Verdict::Consistent, "{:#?}", pair.report().await.tables);

    let latin1 = "convert_from('\\x76e9'::bytea, 'SQL_ASCII')";
    let sql = format!(
        "update t set v = {latin1} where id = 7000; update b set v = {latin1} where k = 'k7'; \
        update n set v = {latin1} where ctid = '(0,1)'; update long set v = v || 'x' where id = 3"
    );
    psql(&pair.primary_url(), &sql).await.must_succeed();
    pair.work("check").await;
    let report: Value = pair.admin().get("/report?values=1").await.unwrap();
    let counts = |name: &str| {
        let tables = report["tables"].as_array().unwrap();
        let table = tables.iter().find(|table| table["table"] == format!("public.{name}")).unwrap();
        (["missing", "extra", "different"].map(|kind| table[kind].as_u64().unwrap()), table["samples"].clone())
    };
    for (name, key) in [("t", serde_json::json!({"id": 7000})), ("b", serde_json::json!({"k": "k7"}))] {
        let (counts, samples) = counts(name);
        assert_eq!(counts, [0, 0, 1], "{name}: {report:#}");
        assert_eq!((&samples[0]["key"], &samples[0]["columns"]), (&key, &serde_json::json!(["v"])), "{name}");
    }
    assert_eq!(counts("n").0, [1, 1, 0]);
    assert_eq!(counts("long").0, [0, 0, 1]);
    let checked: Vec<_> = pair.report().await.tables.into_iter().map(|table| table.status).collect();
    assert_eq!(checked, [TableStatus::Diverged; 4]);
}
