//! Three rows made wrong on the shadow, behind everybody's back, and whether a report names exactly those.

use std::collections::BTreeSet;

use serde_json::Value;
use tokio_postgres::Client;

use crate::report::{Difference, DifferenceKind, Report};

/// A row made wrong, in the words of the report.
pub(super) struct Fault {
    pub(super) told: &'static str,
    sql: &'static str,
    table: &'static str,
    kind: DifferenceKind,
    key: &'static [(&'static str, i64)],
    columns: &'static [&'static str],
}

/// One of each kind, in rows that no shopper writes.
pub(super) const FAULTS: [Fault; 3] = [
    Fault {
        told: "customers 17: name changed",
        sql: "update customers set name = 'Mallory' where id = 17",
        table: "public.customers",
        kind: DifferenceKind::Different,
        key: &[("id", 17)],
        columns: &["name"],
    },
    Fault {
        told: "order_items (42, 1): removed",
        sql: "delete from order_items where order_id = 42 and line = 1",
        table: "public.order_items",
        kind: DifferenceKind::Missing,
        key: &[("order_id", 42), ("line", 1)],
        columns: &[],
    },
    Fault {
        told: "orders 9000000: made up",
        sql: "insert into orders (id, customer_id) values (9000000, 17)",
        table: "public.orders",
        kind: DifferenceKind::Extra,
        key: &[("id", 9_000_000)],
        columns: &[],
    },
];

pub(super) async fn plant(shadow: &Client) -> Result<(), tokio_postgres::Error> {
    for fault in &FAULTS {
        shadow.execute(fault.sql, &[]).await?;
    }
    Ok(())
}

/// Each difference that the report names, in one line.
pub(super) fn found(report: &Report) -> Vec<String> {
    let lines = report.tables.iter().flat_map(|table| {
        table.samples.iter().map(|sample| {
            let Difference { kind, key, columns, .. } = sample;
            let key: Vec<_> = key.iter().map(|(column, value)| format!("{column} {}", plain(value))).collect();
            let what = match kind {
                DifferenceKind::Missing => "missing on the shadow".to_owned(),
                DifferenceKind::Extra => "only on the shadow".to_owned(),
                DifferenceKind::Different => format!("differs in {}", columns.join(", ")),
            };
            format!("{} {}: {what}", table.table, key.join(", "))
        })
    });
    lines.collect()
}

/// Whether the report counts and names the planted faults and nothing else.
pub(super) fn are_exactly_those(report: &Report) -> bool {
    let counted: u64 = report.tables.iter().map(|table| table.missing + table.extra + table.different).sum();
    let named: BTreeSet<_> = report
        .tables
        .iter()
        .flat_map(|table| table.samples.iter().map(|sample| identity(&table.table, sample)))
        .collect();
    let planted: BTreeSet<_> = FAULTS.iter().map(Fault::identity).collect();
    counted == FAULTS.len() as u64 && named == planted
}

type Identity = (String, String, BTreeSet<(String, String)>, BTreeSet<String>);

impl Fault {
    fn identity(&self) -> Identity {
        let key = self.key.iter().map(|(column, value)| ((*column).to_owned(), value.to_string())).collect();
        let columns = self.columns.iter().map(|&column| column.to_owned()).collect();
        (self.table.to_owned(), format!("{:?}", self.kind), key, columns)
    }
}

fn identity(table: &str, difference: &Difference) -> Identity {
    let key = difference.key.iter().map(|(column, value)| (column.clone(), plain(value))).collect();
    // Which columns of a missing or an extra row differ is no question.
    let columns = match difference.kind {
        DifferenceKind::Different => difference.columns.iter().cloned().collect(),
        DifferenceKind::Missing | DifferenceKind::Extra => BTreeSet::new(),
    };
    (table.to_owned(), format!("{:?}", difference.kind), key, columns)
}

/// A key value as a person would write it.
fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::{Chunks, MirrorReport, ReadsReport, TableReport, TableStatus};

    /// Table, kind, key and columns.
    type Fault = (&'static str, DifferenceKind, &'static [(&'static str, i64)], &'static [&'static str]);

    fn report(differences: &[Fault]) -> Report {
        let tables = differences.iter().map(|(table, kind, key, columns)| TableReport {
            table: (*table).to_owned(),
            status: TableStatus::Diverged,
            reason: None,
            checked_at: None,
            rows_checked: 1,
            missing: u64::from(*kind == DifferenceKind::Missing),
            extra: u64::from(*kind == DifferenceKind::Extra),
            different: u64::from(*kind == DifferenceKind::Different),
            repaired: 0,
            suspect_keys: 0,
            samples: vec![Difference {
                key: key.iter().map(|(column, value)| ((*column).to_owned(), Value::from(*value))).collect(),
                kind: *kind,
                columns: columns.iter().map(|&column| column.to_owned()).collect(),
                primary: None,
                shadow: None,
            }],
            coverage_percent: 100.0,
            verified_since: None,
            chunks: Chunks::default(),
            rows_estimated: 1,
            rows_per_s: 0.0,
            left_s: None,
            skipped_columns: Vec::new(),
        });
        Report::new(String::new(), tables.collect(), ReadsReport::default(), MirrorReport::default())
    }

    const PLANTED: [Fault; 3] = [
        ("public.customers", DifferenceKind::Different, &[("id", 17)], &["name"]),
        ("public.order_items", DifferenceKind::Missing, &[("line", 1), ("order_id", 42)], &[]),
        ("public.orders", DifferenceKind::Extra, &[("id", 9_000_000)], &[]),
    ];

    #[test]
    fn the_planted_faults_are_recognised_and_nothing_else_is() {
        assert!(are_exactly_those(&report(&PLANTED)));
        assert!(!are_exactly_those(&report(&PLANTED[..2])));
        let mut other = PLANTED;
        other[0].2 = &[("id", 18)];
        assert!(!are_exactly_those(&report(&other)));
        let mut more = PLANTED.to_vec();
        more.push(("public.carts", DifferenceKind::Missing, &[("product_id", 1)], &[]));
        assert!(!are_exactly_those(&report(&more)));
    }

    #[test]
    fn a_difference_is_told_in_one_line() {
        let lines = found(&report(&PLANTED));
        assert_eq!(lines[0], "public.customers id 17: differs in name");
        assert_eq!(lines[1], "public.order_items line 1, order_id 42: missing on the shadow");
    }
}
