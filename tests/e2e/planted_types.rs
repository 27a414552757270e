//! A fault in a column of every type whose values can differ without their texts, or their equality, saying so at first
//! sight: each is found, by key and column, and what is no difference is not.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use crossfade::report::TableReport;
use serde_json::Value;

use crate::support::{Pair, eventually, psql, same_rows};

/// A type, a value, and another.
type Fault = (&'static str, &'static str, &'static str);

const FAULTS: [Fault; 56] = [
    ("char(5)", "'abc'", "'abd'"),
    ("char(5)", "''", "null"),
    // Without a length blanks are kept, and equal all the same.
    ("bpchar", "'abc'", "'abc '"),
    ("bpchar", "'a'", "'A'"),
    ("varchar(5)", "'abc'", "'abc '"),
    ("\"char\"", "'a'", "''"),
    ("name", "'abc'", "'abc '"),
    ("money", "'1.00'", "'1.01'"),
    ("money", "'0'", "null"),
    ("bit(4)", "B'1010'", "B'1011'"),
    ("varbit", "B'101'", "B'1010'"),
    ("varbit", "B''", "null"),
    ("xml", "'<a/>'", "'<a></a>'"),
    ("xml", "'<a>1</a>'", "'<a> 1</a>'"),
    ("json", "'{\"a\":1}'", "'{\"a\": 1}'"),
    ("json", "'{\"a\":1}'", "'{\"a\":2,\"a\":1}'"),
    ("jsonb", "'{\"a\":1.0}'", "'{\"a\":1.00}'"),
    ("jsonb", "'null'", "null"),
    ("point", "'(0,1)'", "'(-0,1)'"),
    ("line", "'{1,-1,0}'", "'{2,-2,0}'"),
    ("lseg", "'[(0,0),(1,1)]'", "'[(1,1),(0,0)]'"),
    ("box", "'(1,1),(0,0)'", "'(1,1),(0,1e-7)'"),
    ("path", "'((0,0),(1,1))'", "'[(0,0),(1,1)]'"),
    ("polygon", "'((0,0),(1,0),(1,1))'", "'((1,0),(1,1),(0,0))'"),
    ("circle", "'<(0,0),1>'", "'<(0,0),1.0000001>'"),
    ("int4range", "'[1,3)'", "'[1,4)'"),
    ("int4range", "'empty'", "'(,)'"),
    ("numrange", "'[1.0,2)'", "'[1.00,2)'"),
    ("numrange", "'[1,2]'", "'[1,2)'"),
    ("tstzrange", "'[2026-01-01Z,)'", "'[2026-01-01Z,infinity)'"),
    ("datemultirange", "'{[2026-01-01,2026-01-03)}'", "'{[2026-01-01,2026-01-02)}'"),
    ("nummultirange", "'{}'", "'{[1,1]}'"),
    ("hstore", "'a=>\"NULL\"'", "'a=>NULL'"),
    ("citext", "'abc'", "'Abc'"),
    ("ltree", "'a.b'", "'a.B'"),
    ("cube", "'(1,2)'", "'(1,2),(1,2.0000001)'"),
    ("tsvector", "'a:1A'", "'a:1B'"),
    ("tsquery", "'a & b'", "'b & a'"),
    ("inet", "'10.0.0.1'", "'10.0.0.1/31'"),
    ("cidr", "'10.0.0.0/24'", "'10.0.0.0/25'"),
    ("macaddr", "'08:00:2b:01:02:03'", "'08:00:2b:01:02:04'"),
    ("bytea", "'\\x00'", "'\\x0000'"),
    ("numeric", "1.0", "1.00"),
    ("numeric", "'infinity'", "'NaN'"),
    ("float4", "0.1", "0.10000001"),
    ("float8", "0", "'-0'"),
    ("interval", "'1 mon'", "'30 days'"),
    ("timestamp", "'infinity'", "'294276-12-31'"),
    ("timetz", "'10:00+00'", "'11:00+01'"),
    ("text[]", "'{NULL}'", "'{\"NULL\"}'"),
    ("int[]", "'{1,2}'", "'[0:1]={1,2}'"),
    ("money[]", "'{1,2}'", "'{1,3}'"),
    ("both_of", "row(null, '')", "row(null, null)"),
    ("both_of", "row(null, null)", "null"),
    ("label", "'a'", "'a '"),
    ("regclass", "'pg_class'", "'pg_proc'"),
];

/// What is written otherwise and is the same.
const SAME: [Fault; 6] = [
    ("char(5)", "'abc'", "'abc  '"),
    ("int4range", "'[1,3)'", "'[1,2]'"),
    ("cidr", "'10.0.0.0/24'", "'10.0.0/24'"),
    ("box", "'(1,1),(0,0)'", "'(0,0),(1,1)'"),
    ("money", "'1'", "'$1.00'"),
    ("jsonb", "'{\"a\":1,\"b\":2}'", "'{\"b\":2,\"a\":0,\"a\":1}'"),
];

const TYPES: &str = "
create extension citext; create extension hstore; create extension ltree; create extension cube;
create type both_of as (a int, b text); create domain label as text;
";

fn all() -> impl Iterator<Item = Fault> {
    FAULTS.into_iter().chain(SAME)
}

/// With a key by ranges, one by buckets (each side orders it otherwise), and none. The row of number `n` has another value
/// in column `cn`.
const TABLES: [(&str, &str); 3] =
    [("ranged", "k int primary key"), ("bucketed", "k text collate \"C\" primary key"), ("nobody", "k int")];

/// Types and tables with a row for each fault and some more.
pub(crate) fn schema() -> String {
    let columns: String = all().zip(1..).map(|((of_type, ..), n)| format!(", c{n} {of_type}")).collect();
    let values: Vec<_> = all().map(|(of_type, value, _)| format!("{value}::{of_type}")).collect();
    let mut sql = TYPES.to_owned();
    for (table, key) in TABLES {
        writeln!(sql, "create table {table} ({key}{columns});").unwrap();
        writeln!(sql, "insert into {table} select n, {} from generate_series(1, 200) n;", values.join(", ")).unwrap();
    }
    sql
}

/// For the shadow.
fn faults() -> String {
    let mut sql = String::new();
    for (table, _) in TABLES {
        for ((of_type, _, other), n) in all().zip(1..) {
            writeln!(sql, "update {table} set c{n} = {other}::{of_type} where k::text = '{n}';").unwrap();
        }
    }
    sql
}

/// All that was planted, and nothing else.
async fn are_found(pair: &Pair) {
    let report: Value = pair.admin().get("/report?values=1").await.unwrap();
    let planted: BTreeSet<_> = (1..=FAULTS.len()).map(|n| (n.to_string(), format!("c{n}"))).collect();
    let count = FAULTS.len() as u64;
    for (table, _) in TABLES {
        let tables = report["tables"].as_array().unwrap();
        let told = tables.iter().find(|told| told["table"] == format!("public.{table}")).unwrap();
        let counts = ["missing", "extra", "different"].map(|kind| told[kind].as_u64().unwrap());
        if table == "nobody" {
            assert_eq!(counts, [count, count, 0], "{}", told["reason"]);
            continue;
        }
        let columns = |sample: &Value| {
            sample["columns"].as_array().into_iter().flatten().filter_map(Value::as_str).collect::<Vec<_>>().join(",")
        };
        let of = |sample: &Value| (sample["key"]["k"].to_string().trim_matches('"').to_owned(), columns(sample));
        let found: BTreeSet<_> = told["samples"].as_array().unwrap().iter().map(of).collect();
        let name = |(key, _): &(String, String)| FAULTS[key.parse::<usize>().unwrap() - 1];
        let overlooked: Vec<_> = planted.difference(&found).map(name).collect();
        let false_alarms: Vec<_> = found.difference(&planted).collect();
        assert!(overlooked.is_empty() && false_alarms.is_empty(), "{table}: {overlooked:?} {false_alarms:?}");
        assert_eq!(counts, [0, 0, count], "{table}");
    }
}

/// Finds nothing, then what is planted, and leaves nothing when it was repaired.
pub(crate) async fn are_found_and_repaired(pair: &Pair) {
    let apart =
        "begin; alter table bucketed alter k type text collate \"de-x-icu\"; create table only_there (id int); commit";
    psql(&pair.shadow_url(), apart).await.must_succeed();
    let known = async || pair.report().await.tables.iter().any(|table| table.table == "public.only_there");
    eventually("the shadow's new table in the report", known).await;
    pair.work("check").await;
    for table in both_have(pair).await {
        assert_eq!((table.missing, table.extra, table.different), (0, 0, 0), "{}: {:?}", table.table, table.reason);
        assert!(table.verified_since.is_some(), "{}: {:?}", table.table, table.reason);
    }
    psql(&pair.shadow_url(), &faults()).await.must_succeed();
    pair.work("check").await;
    are_found(pair).await;
    pair.work("repair").await;
    pair.work("check").await;
    for (table, _) in TABLES {
        assert_eq!(same_rows(pair, table).await, 200, "{table}");
    }
    for table in both_have(pair).await {
        assert_eq!((table.missing, table.extra, table.different), (0, 0, 0), "{}: {:?}", table.table, table.reason);
    }
}

async fn both_have(pair: &Pair) -> Vec<TableReport> {
    let mut tables = pair.report().await.tables;
    tables.retain(|table| table.table != "public.only_there");
    tables
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fault_in_a_column_of_every_type_is_found_and_what_is_no_difference_is_not() {
    let settings = "[check]\ninterval = \"0s\"\nsamples = 100\n";
    let pair = Pair::recipe().schema(&schema()).settings(settings).start().await;
    are_found_and_repaired(&pair).await;
}
