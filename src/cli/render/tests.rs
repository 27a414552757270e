//! Exact text, as its reader sees it.

use std::collections::BTreeMap;

use serde_json::json;

use super::*;
use crate::report::{
    CheckStatus, Chunks, GuardStatus, Handled, MirrorReport, Quarantined, ReadsReport, Replayed, SessionsStatus,
    SkippedColumn,
};

fn sample() -> Status {
    Status {
        version: "0.1.0".into(),
        uptime_s: 3725.4,
        generation: 3,
        sessions: SessionsStatus { open: 12, total: 340 },
        primary: ServerStatus { state: ServerState::Up, server_version: Some("15.20".into()), last_error: None },
        shadow: ServerStatus {
            state: ServerState::Down,
            server_version: Some("18.1".into()),
            last_error: Some("connection refused".into()),
        },
        mirror: MirrorStatus {
            enabled: true,
            captured: 1000,
            applied: 990,
            pending: 10,
            lag_ms: 4,
            backlog_bytes: 2048,
            suspect_tables: vec!["public.log".into()],
            suspect_keys: 3,
            ..MirrorStatus::default()
        },
        reads: ReadsStatus {
            percent: 10.0,
            effective_percent: Some(9.8),
            eligible: 50,
            shadow: 49,
            fallback: 1,
            ineligible: 20,
            ..ReadsStatus::default()
        },
        guard: GuardStatus { state: GuardState::Open, reason: Some("4.2 % of shadow reads failed".into()) },
        check: CheckStatus { state: CheckState::Running, round: 2, verdict: Verdict::Consistent },
    }
}

#[test]
fn a_status_reads_from_top_to_bottom() {
    assert_eq!(
        status(&sample()),
        "\
crossfade 0.1.0, up 1 h 2 min, configuration 3

sessions  12 open, 340 in all
primary   up, PostgreSQL 15.20
shadow    down, PostgreSQL 18.1, last error: connection refused
mirror    at work, 10 pending, lag 4 ms, backlog 2.0 KiB
          1000 captured = 990 applied + 10 pending + 0 quarantined + 0 skipped
          suspect, to be read back: public.log; 3 single rows
reads     10 % to the shadow, 9.8 % in effect over the last minute
          50 eligible = 49 by the shadow + 1 fallback; 20 not eligible
guard     open: every read goes to the primary (4.2 % of shadow reads failed)
check     running, round 2, verdict consistent
"
    );
}

fn table(name: &str, status: TableStatus) -> TableReport {
    TableReport {
        table: name.into(),
        status,
        reason: None,
        checked_at: Some("2026-01-01T00:00:00Z".into()),
        rows_checked: 1000,
        missing: 0,
        extra: 0,
        different: 0,
        repaired: 0,
        suspect_keys: 0,
        samples: Vec::new(),
        coverage_percent: 100.0,
        verified_since: None,
        chunks: Chunks::default(),
        rows_estimated: 1000,
        rows_per_s: 0.0,
        left_s: None,
        skipped_columns: Vec::new(),
    }
}

fn differing(kind: DifferenceKind, id: i32) -> Difference {
    Difference {
        key: BTreeMap::from([("id".to_owned(), json!(id))]),
        kind,
        columns: vec!["v".into(), "w".into()],
        primary: None,
        shadow: None,
    }
}

#[test]
fn a_report_names_every_table_and_shows_differences() {
    let values = |v: Option<&str>| Some(BTreeMap::from([("v".to_owned(), v.map(ToOwned::to_owned))]));
    let with_values =
        Difference { primary: values(Some("new")), shadow: values(None), ..differing(DifferenceKind::Different, 7) };
    let orders = TableReport {
        missing: 1,
        different: 1,
        samples: vec![differing(DifferenceKind::Missing, 5), with_values],
        ..table("public.orders", TableStatus::Diverged)
    };
    let unchecked = TableReport {
        checked_at: None,
        rows_checked: 0,
        coverage_percent: 12.5,
        chunks: Chunks { matched: 3, busy: 1, ..Chunks::default() },
        rows_per_s: 250.0,
        left_s: Some(70.0),
        skipped_columns: vec![SkippedColumn { column: "old".into(), reason: "the shadow does not have it".into() }],
        reason: Some("no key".into()),
        ..table("public.log", TableStatus::Unchecked)
    };
    let refused = Quarantined {
        seq: 7,
        sqlstate: "23505".into(),
        table: "public.t".into(),
        message: "duplicate key value".into(),
    };
    let replayed = Replayed { query: "truncate t".into(), count: 3, reason: "whole table".into() };
    let handled = [(Some("public.t"), Way::Exact, None), (None, Way::Refreshed, Some("opaque"))];
    let handled = handled.map(|(table, way, reason)| Handled {
        table: table.map(Into::into),
        way,
        reason: reason.map(Into::into),
        transactions: 5,
    });
    let handled = handled.to_vec();
    let settled = MirrorStatus { enabled: true, settled: true, ..MirrorStatus::default() };
    let mirror = MirrorReport { status: settled, quarantine: vec![refused], replayed: vec![replayed], handled };
    let times = ["2026-01-01T00:00:01Z", "2026-01-01T00:00:05Z"].map(ToOwned::to_owned);
    let history = vec![RoundReport::new(4, times, std::slice::from_ref(&orders))];
    let all = Report::new("2026-01-01T00:00:09Z".into(), vec![orders, unchecked], ReadsReport::default(), mirror);
    let all = Report { history, ..all };
    assert_eq!(
        report(&all),
        "\
verdict: diverged  (2026-01-01T00:00:09Z)

TABLE          STATUS     ROWS  COVERED  MISSING  EXTRA  DIFFERENT  REPAIRED  CHECKED AT            WHY
public.log     unchecked     0   12.5 %        0      0          0         0  never                 no key
public.orders  diverged   1000    100 %        1      0          1         0  2026-01-01T00:00:00Z
public.log is being compared: 250 rows/s, 1 min 10 s left
public.log, chunks: 3 match, 0 differ, 1 were busy, 0 could not be compared
public.log: column old is not compared: the shadow does not have it

differences (some of them, where there are many):
  public.orders: the row id = 5 is missing on the shadow
  public.orders: the row id = 7 differs in v, w
    primary v = \"new\"
    shadow  v = NULL

ROUND  ENDED AT              VERDICT   TABLES  CONSISTENT  ROWS  MISSING  EXTRA  DIFFERENT
    4  2026-01-01T00:00:05Z  diverged       1           0  1000        1      0          1

mirror: settled, 0 pending, lag 0 ms, backlog 0 B
        0 captured = 0 applied + 0 pending + 0 quarantined + 0 skipped
refused by the shadow: public.t, SQLSTATE 23505: duplicate key value (seq 7)
replayed 3 times: truncate t (whole table)
public.t: 5 transactions captured exactly
unknown tables: 5 transactions to be read back (opaque)
"
    );
}

#[test]
fn a_reload_says_only_what_there_is_to_say() {
    let mut outcome = ReloadOutcome { generation: 2, ..ReloadOutcome::default() };
    assert_eq!(reload(&outcome), "configuration 2 is in force\nnothing changed\n");
    outcome.changed = vec!["reads.percent".into(), "check.samples".into()];
    outcome.needs_restart = vec!["listen.address".into()];
    outcome.overridden = vec!["log.level".into()];
    assert_eq!(
        reload(&outcome),
        "\
configuration 2 is in force
changed: reads.percent, check.samples
waiting for a restart: listen.address
overridden by environment or command line: log.level
"
    );
}

#[test]
fn spans_and_sizes_are_rounded_for_people() {
    let spans = [12.9, 61.0, 7260.0, 90_000.0].map(span);
    assert_eq!(spans, ["12 s", "1 min 1 s", "2 h 1 min", "1 d 1 h"]);
    let sizes = [0, 1023, 1536, 64 << 20, u64::MAX].map(bytes);
    assert_eq!(sizes, ["0 B", "1023 B", "1.5 KiB", "64.0 MiB", "16777216.0 TiB"]);
}

#[test]
fn compared_reads_are_shown_by_query_the_first_of_many() {
    let query = |text: &str, mismatched, plan_regression| QueryReads {
        query: text.into(),
        compared: 40,
        matched: 40 - mismatched,
        mismatched,
        not_comparable: 0,
        rows: 400,
        primary_p50_ms: 0.4,
        primary_p99_ms: 1.906,
        shadow_p50_ms: 12.5,
        shadow_p99_ms: 20.0,
        plan_regression,
    };
    let mut by_query = vec![query("select v from t where id = $1", 2, true), query("table t", 0, false)];
    let mut reads = ReadsReport {
        compared: 80,
        matched: 78,
        mismatched: 2,
        not_comparable: 5,
        dropped: 1,
        by_query: by_query.clone(),
    };
    let text = |reads: &ReadsReport| {
        report(&Report::new("2026-01-01T00:00:09Z".into(), Vec::new(), reads.clone(), MirrorReport::default()))
    };
    let expected = "
reads: 80 compared, 2 with different answers; 5 not comparable, 1 given up

COMPARED  DIFFERENT  ROWS  PRIMARY P50      P99  SHADOW P50       P99  PLAN    QUERY
      40          2   400      0.40 ms  1.91 ms    12.50 ms  20.00 ms  slower  select v from t where id = $1
      40          0   400      0.40 ms  1.91 ms    12.50 ms  20.00 ms          table t
";
    assert!(text(&reads).contains(expected), "{}", text(&reads));
    by_query.resize(SHOWN + 3, by_query[1].clone());
    reads.by_query = by_query;
    assert!(text(&reads).contains("\nand 3 more: --json shows all\n"));
}

#[test]
fn rules_are_told_in_their_order() {
    let rule = |of, percent, effective_percent| RuleStatus {
        of,
        percent,
        effective_percent,
        eligible: 10,
        shadow: 9,
        fallback: 1,
        ineligible: 4,
    };
    let rules = vec![
        rule(RuleOf::Table("public.*".into()), 50.0, Some(45.0)),
        rule(RuleOf::Query("select $1".into()), 0.0, None),
    ];
    let status = status(&Status { reads: ReadsStatus { rules, ..sample().reads }, ..sample() });
    let expected = "
          50 % of table public.*, 45.0 % in effect: 10 eligible = 9 by the shadow + 1 fallback
          0 % like select $1: 10 eligible = 9 by the shadow + 1 fallback
";
    assert!(status.contains(expected), "{status}");
}

#[test]
fn the_most_frequent_reads_that_stay_are_told() {
    let kept = |count| KeptReads { query: "select now()".into(), reason: "clock".into(), count };
    let reads = ReadsStatus { kept: (0..KEPT as u64 + 2).map(|n| kept(100 - n)).collect(), ..sample().reads };
    let text = status(&Status { reads, ..sample() });
    assert!(text.contains("\n          kept on the primary, clock: 100 times select now()\n"), "{text}");
    assert_eq!(text.matches("kept on the primary").count(), KEPT);
}
