//! Both sides, row by row, asked without the proxy.

use super::{Pair, psql};

/// The rows of `table` must be the same on both sides, every column of every one of them.
#[track_caller]
pub(crate) fn same_rows<'a>(pair: &'a Pair, table: &'a str) -> impl Future<Output = usize> + 'a {
    let caller = std::panic::Location::caller();
    async move {
        let dump = format!("copy (select t.* from {table} t order by (t.*)::text) to stdout");
        let (primary_url, shadow_url) = (pair.primary_url(), pair.shadow_url());
        let (primary, shadow) = tokio::join!(psql(&primary_url, &dump), psql(&shadow_url, &dump));
        let (primary, shadow) = (primary.must_succeed(), shadow.must_succeed());
        assert!(primary == shadow, "{table} differs ({caller}):\n{}", differences(&primary, &shadow));
        primary.lines().count()
    }
}

/// As [`same_rows`] of many tables, by one look at each side.
pub(crate) async fn same_rows_of_all(pair: &Pair, tables: &[String]) -> usize {
    let dump: String = tables
        .iter()
        .map(|table| {
            format!("\\qecho {HEAD}{table}\ncopy (select t.* from {table} t order by (t.*)::text) to stdout;\n")
        })
        .collect();
    let (primary_url, shadow_url) = (pair.primary_url(), pair.shadow_url());
    let (primary, shadow) = tokio::join!(psql(&primary_url, &dump), psql(&shadow_url, &dump));
    let (primary, shadow) = (primary.must_succeed(), shadow.must_succeed());
    let mut rows = 0;
    let mut differing = Vec::new();
    for ((table, primary), shadow) in tables.iter().zip(primary.split(HEAD).skip(1)).zip(shadow.split(HEAD).skip(1)) {
        rows += primary.lines().count() - 1;
        if primary != shadow {
            differing.push(format!("{table}:\n{}", differences(primary, shadow)));
        }
    }
    assert!(differing.is_empty(), "{} tables differ:\n{}", differing.len(), differing.concat());
    rows
}

/// Stands in front of a table's name, and in no row.
const HEAD: &str = "=-=-= ";

/// The first few rows that one side has more often than the other.
fn differences(primary: &str, shadow: &str) -> String {
    let only = |mine: &str, other: &str| {
        let mut others: std::collections::HashMap<&str, usize> = std::collections::HashMap::new();
        other.lines().for_each(|line| *others.entry(line).or_default() += 1);
        let mut takes = |line: &str| others.get_mut(line).filter(|left| **left > 0).map(|left| *left -= 1).is_some();
        mine.lines().filter(|line| !takes(line)).map(str::to_owned).collect::<Vec<_>>()
    };
    let (missing, extra) = (only(primary, shadow), only(shadow, primary));
    let show = |lines: &[String]| lines.iter().take(5).map(|line| format!("  {line}\n")).collect::<String>();
    format!(
        "{} rows on the primary only:\n{}{} rows on the shadow only:\n{}",
        missing.len(),
        show(&missing),
        extra.len(),
        show(&extra)
    )
}
