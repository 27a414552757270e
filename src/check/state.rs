//! What the last check of a table said, and what may be said of the table now. Pure.

use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};

use super::tally::Tally;
use crate::catalog::{Pair, Way};
use crate::effect::Key;
use crate::report::{Chunks, Difference, SkippedColumn, TableReport, TableStatus, rfc3339};

/// The last check of one table.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Checked {
    /// In this life of the primary; in another it says nothing (rule 5).
    pub(super) epoch: String,
    /// See [`definition`].
    pub(super) definition: u32,
    /// When its first chunk was compared.
    pub(super) since: SystemTime,
    /// When it ended.
    pub(super) at: SystemTime,
    pub(super) took: Duration,
    pub(super) rows: u64,
    pub(super) chunks: Chunks,
    pub(super) outcome: Outcome,
    pub(super) tally: Tally,
    /// Of the tally, since.
    pub(super) repaired: u64,
    pub(super) samples: Vec<(Key, Difference)>,
}

/// How far it came.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Outcome {
    /// Over all of the table.
    Complete,
    /// Part of it was busy.
    Unfinished(String),
    /// A side refused to be asked.
    Failed(String),
}

impl Checked {
    /// Rows that differed and do not any more.
    pub(super) fn repair(&mut self, keys: &[Key]) {
        for key in keys {
            if self.tally.resolve(key) {
                self.repaired += 1;
            }
        }
        self.samples.retain(|(key, _)| !keys.contains(key));
    }

    /// Without row values, which are not to outlive this run.
    pub(super) fn without_values(mut self) -> Self {
        for (_, sample) in &mut self.samples {
            (sample.primary, sample.shadow) = (None, None);
        }
        self
    }

    /// Whether reads that ask for a verified table may use it, while it is not suspect.
    pub(super) fn is_verified(&self) -> bool {
        self.outcome == Outcome::Complete && self.tally.total() == 0
    }
}

/// What is known of a table besides its last check.
#[derive(Debug, Clone, Copy)]
pub(super) struct Circumstances<'a> {
    /// Of the primary, now.
    pub(super) epoch: &'a str,
    /// Why it is to be read back, if it or any of its rows is.
    pub(super) suspect: Option<&'a str>,
    pub(super) suspect_keys: u64,
    /// The check that runs.
    pub(super) running: Option<Running>,
}

/// How far a check is.
#[derive(Debug, Clone, Copy)]
pub(super) struct Running {
    pub(super) rows: u64,
    pub(super) took: Duration,
}

/// How a table stands, and why it is not consistent.
pub(super) fn judge(pair: &Pair, checked: Option<&Checked>, now: Circumstances<'_>) -> (TableStatus, Option<String>) {
    let because = |status, why: &str| (status, Some(why.to_owned()));
    match (&pair.primary, &pair.shadow) {
        (Some(_), None) => return because(TableStatus::Diverged, "missing on the shadow"),
        (None, _) => return because(TableStatus::Diverged, "only on the shadow"),
        (Some(_), Some(_)) => {}
    }
    let checked = checked.filter(|checked| checked.epoch == now.epoch);
    if let Some(checked) = checked
        && checked.tally.total() > 0
    {
        return match &checked.outcome {
            Outcome::Complete => because(TableStatus::Diverged, "rows differ"),
            // There may be more.
            Outcome::Unfinished(why) | Outcome::Failed(why) => {
                because(TableStatus::Diverged, &format!("rows differ; not all were compared: {why}"))
            }
        };
    }
    if let Some(why) = incomparable(pair) {
        return (TableStatus::Unverifiable, Some(why));
    }
    if let Some(why) = now.suspect {
        return because(TableStatus::Suspect, why);
    }
    match checked.map(|checked| &checked.outcome) {
        None => because(TableStatus::Unchecked, "not compared yet"),
        Some(Outcome::Unfinished(why)) => because(TableStatus::Unchecked, why),
        Some(Outcome::Failed(why)) => because(TableStatus::Unverifiable, why),
        Some(Outcome::Complete) => (TableStatus::Consistent, None),
    }
}

/// Why the rows of both sides cannot be compared at all: columns that only one of them has.
pub(super) fn incomparable(pair: &Pair) -> Option<String> {
    let (primary, shadow) = (pair.primary.as_ref()?, pair.shadow.as_ref()?);
    let common = pair.common_columns().len();
    let alike = common == primary.shape.columns.len() && common == shadow.shape.columns.len();
    (!alike).then(|| pair.differences.join("; "))
}

/// Changes with the columns and the key of either side.
pub(super) fn definition(pair: &Pair) -> u32 {
    let shapes = [&pair.primary, &pair.shadow].map(|side| side.as_ref().map(|table| &table.shape));
    crc32fast::hash(format!("{shapes:?} {:?} {}", pair.key_kind, pair.ranges).as_bytes())
}

/// Columns that are not compared.
fn skipped(pair: &Pair) -> Vec<SkippedColumn> {
    let (Some(primary), Some(shadow)) = (&pair.primary, &pair.shadow) else { return Vec::new() };
    let sides = [(primary, shadow, "the shadow does not have it"), (shadow, primary, "only the shadow has it")];
    let missing = sides.into_iter().flat_map(|(one, other, reason)| {
        let alone = one.shape.columns.iter().filter(|column| other.column(&column.name).is_none());
        alone.map(|column| SkippedColumn { column: column.name.clone(), reason: reason.to_owned() })
    });
    missing.collect()
}

/// The share of the table that the last check compared, or if that came to no end the one that runs; in percent.
fn coverage(checked: Option<&Checked>, running: Option<Running>, estimate: u64) -> f64 {
    let rows = match (running, checked) {
        (_, Some(Checked { outcome: Outcome::Complete, .. })) => return 100.0,
        (Some(running), _) => running.rows,
        (None, Some(checked)) => checked.rows,
        (None, None) => return 0.0,
    };
    // Less than all, whatever the statistics say.
    let all = estimate.max(rows + 1);
    (rows as f64 * 1000.0 / all as f64).floor() / 10.0
}

fn per_second(rows: u64, took: Duration) -> f64 {
    if took.is_zero() { 0.0 } else { (rows as f64 / took.as_secs_f64()).round() }
}

/// A table's part of the report; row values stay out unless they are asked for.
pub(super) fn report(pair: &Pair, checked: Option<&Checked>, now: Circumstances<'_>, values: bool) -> TableReport {
    let (status, reason) = judge(pair, checked, now);
    let counts = checked.map(|checked| &checked.tally);
    let samples = checked.map_or(&[][..], |checked| &checked.samples);
    let rows_estimated = pair.primary.as_ref().map_or(0, |table| table.rows_estimate);
    let last = checked.map(|checked| Running { rows: checked.rows, took: checked.took });
    let rows_per_s = now.running.or(last).map_or(0.0, |running| per_second(running.rows, running.took));
    let left = now.running.map(|running| rows_estimated.saturating_sub(running.rows) as f64);
    let in_force = checked.filter(|checked| checked.epoch == now.epoch);
    let strip = |(_, sample): &(Key, Difference)| {
        let mut sample = sample.clone();
        if !values {
            (sample.primary, sample.shadow) = (None, None);
        }
        sample
    };
    TableReport {
        table: pair.name.clone(),
        status,
        reason,
        checked_at: checked.map(|checked| rfc3339(checked.at)),
        rows_checked: checked.map_or(0, |checked| checked.rows),
        missing: counts.map_or(0, |tally| tally.missing),
        extra: counts.map_or(0, |tally| tally.extra),
        different: counts.map_or(0, |tally| tally.different),
        repaired: checked.map_or(0, |checked| checked.repaired),
        suspect_keys: now.suspect_keys,
        samples: samples.iter().map(strip).collect(),
        coverage_percent: coverage(in_force, now.running, rows_estimated),
        verified_since: in_force.filter(|checked| checked.is_verified()).map(|checked| rfc3339(checked.since)),
        chunks: checked.map(|checked| checked.chunks).unwrap_or_default(),
        rows_estimated,
        rows_per_s,
        left_s: left.filter(|_| rows_per_s > 0.0).map(|left| (left / rows_per_s).round()),
        skipped_columns: skipped(pair),
    }
}

/// Whether differences of this pair can be named and healed by key.
pub(super) fn has_keys(pair: &Pair) -> bool {
    Way::of(pair) != Way::Multiset
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::UNIX_EPOCH;

    use super::*;
    use crate::catalog::{Canonical, ColumnFacts, Extent, KeyKind, Leads, Table};
    use crate::check::diff::{Differing, Kind};
    use crate::effect::{Column, Shape, TableId};

    fn table(columns: &[&str]) -> Arc<Table> {
        let column =
            |name: &&str| Column { name: (*name).into(), type_name: "pg_catalog.int4".into(), generated: false };
        let facts = ColumnFacts {
            number: 1,
            canonical: Canonical::Native { sample: 1 },
            kind: KeyKind::Plain,
            extent: Extent::Bounded,
            order: String::new(),
            definition: "integer".into(),
        };
        let shape = Shape {
            table: TableId(1),
            schema: "public".into(),
            name: "t".into(),
            columns: columns.iter().map(column).collect(),
            key: vec![0],
        };
        Arc::new(Table {
            shape: Arc::new(shape),
            columns: vec![facts; columns.len()],
            key_kind: KeyKind::Plain,
            unique_keys: vec![vec![columns[0].into()]],
            exact: Ok(()),
            leads: Leads::NOWHERE,
            entangled: false,
            text_sample: Arc::default(),
            rows_estimate: 0,
            partitioned: false,
            descendants: Vec::new(),
            strays: false,
        })
    }

    fn pair() -> Pair {
        Pair::new("public.t".into(), Some(table(&["id", "v"])), Some(table(&["id", "v"])))
    }

    fn checked(outcome: Outcome, differing: &[(&str, Kind)]) -> Checked {
        let mut tally = Tally::default();
        for &(key, kind) in differing {
            tally.confirm(&Differing { key: Key::new([key]), kind, rows: 1 });
        }
        Checked {
            epoch: "1".into(),
            definition: 0,
            since: UNIX_EPOCH,
            at: UNIX_EPOCH,
            took: Duration::from_secs(3),
            rows: 9,
            chunks: Chunks::default(),
            outcome,
            tally,
            repaired: 0,
            samples: Vec::new(),
        }
    }

    const NOW: Circumstances<'_> = Circumstances { epoch: "1", suspect: None, suspect_keys: 0, running: None };

    fn status(checked: Option<&Checked>, now: Circumstances<'_>) -> TableStatus {
        judge(&pair(), checked, now).0
    }

    #[test]
    fn consistent_is_said_only_of_what_was_compared_whole_in_this_epoch_and_is_not_suspect() {
        let complete = checked(Outcome::Complete, &[]);
        assert_eq!(judge(&pair(), Some(&complete), NOW), (TableStatus::Consistent, None));
        assert_eq!(status(None, NOW), TableStatus::Unchecked);
        assert_eq!(status(Some(&complete), Circumstances { epoch: "2", ..NOW }), TableStatus::Unchecked);
        assert_eq!(status(Some(&complete), Circumstances { suspect: Some("copy"), ..NOW }), TableStatus::Suspect);
        let unfinished = checked(Outcome::Unfinished("busy".into()), &[]);
        assert_eq!(status(Some(&unfinished), NOW), TableStatus::Unchecked);
        assert!(complete.is_verified() && !unfinished.is_verified());
        let failed = checked(Outcome::Failed("timeout".into()), &[]);
        assert_eq!(judge(&pair(), Some(&failed), NOW), (TableStatus::Unverifiable, Some("timeout".into())));
    }

    #[test]
    fn all_of_a_table_is_covered_only_by_a_check_that_came_to_its_end() {
        let complete = checked(Outcome::Complete, &[]);
        let unfinished = checked(Outcome::Unfinished("busy".into()), &[]);
        let running = |rows| Some(Running { rows, took: Duration::from_secs(2) });
        assert_eq!(coverage(Some(&complete), None, 50), 100.0);
        assert_eq!(coverage(Some(&unfinished), None, 36), 25.0);
        assert_eq!(coverage(Some(&unfinished), None, 0), 90.0);
        assert_eq!(coverage(Some(&complete), running(500), 1000), 100.0);
        assert_eq!(coverage(Some(&unfinished), running(500), 1000), 50.0);
        assert_eq!(coverage(None, running(5000), 1000), 99.9);
        let shown = report(&pair(), Some(&complete), Circumstances { running: running(10), ..NOW }, false);
        assert_eq!((shown.rows_per_s, shown.left_s), (5.0, Some(0.0)));
        let shown = report(&pair(), Some(&complete), NOW, false);
        assert_eq!((shown.rows_per_s, shown.left_s), (3.0, None));
        assert_eq!(shown.verified_since.as_deref(), Some("1970-01-01T00:00:00Z"));
    }

    #[test]
    fn columns_of_one_side_are_named_as_skipped_and_change_the_definition() {
        let other = Pair::new("public.t".into(), Some(table(&["id", "v"])), Some(table(&["id", "w"])));
        let names: Vec<_> = skipped(&other).into_iter().map(|skipped| (skipped.column, skipped.reason)).collect();
        let expected = [("v", "the shadow does not have it"), ("w", "only the shadow has it")];
        assert_eq!(names, expected.map(|(column, reason)| (column.to_owned(), reason.to_owned())));
        assert_ne!(definition(&other), definition(&pair()));
        assert_eq!(definition(&pair()), definition(&pair()));
    }

    #[test]
    fn a_confirmed_difference_outweighs_everything_until_it_is_repaired() {
        let mut differing = checked(Outcome::Complete, &[("1", Kind::Missing), ("2", Kind::Different)]);
        let suspect = Circumstances { suspect: Some("repair"), ..NOW };
        assert_eq!(status(Some(&differing), suspect), TableStatus::Diverged);
        assert!(!differing.is_verified());
        differing.repair(&[Key::new(["1"]), Key::new(["3"])]);
        assert_eq!((differing.tally.missing, differing.tally.different, differing.repaired), (0, 1, 1));
        assert_eq!(status(Some(&differing), NOW), TableStatus::Diverged);
        differing.repair(&[Key::new(["2"])]);
        assert_eq!(status(Some(&differing), NOW), TableStatus::Consistent);
        assert!(differing.is_verified());
    }

    #[test]
    fn a_table_of_one_side_is_diverged_and_one_with_other_columns_unverifiable() {
        let complete = checked(Outcome::Complete, &[]);
        let alone = Pair::new("public.t".into(), Some(table(&["id"])), None);
        assert_eq!(judge(&alone, None, NOW), (TableStatus::Diverged, Some("missing on the shadow".into())));
        let alone = Pair::new("public.t".into(), None, Some(table(&["id"])));
        assert_eq!(judge(&alone, None, NOW), (TableStatus::Diverged, Some("only on the shadow".into())));
        let other = Pair::new("public.t".into(), Some(table(&["id", "v"])), Some(table(&["id"])));
        assert_eq!(judge(&other, Some(&complete), NOW).0, TableStatus::Unverifiable);
    }
}
