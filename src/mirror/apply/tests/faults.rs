//! Refusals, losses and restarts.

use std::collections::HashSet;
use std::sync::Arc;

use super::stage::{Stage, client, wait_for};
use crate::effect::{Change, Key, Mark, Reason, Replay, Seq, Shape, TableId, Touched};
use crate::mirror::apply::testing::{row, shape};
use crate::mirror::entry::{Refresh, Scope};
use crate::report::ServerState;

/// A table whose `u` is unique, and a row in it.
async fn with_one_row() -> (Stage, Arc<Shape>) {
    let stage = Stage::new("CREATE TABLE t (id int PRIMARY KEY, u text UNIQUE)").await;
    let t = shape(1, "t", &["id", "u pg_catalog.text"], &[0]);
    stage.ledger.transaction(vec![row(&t, &["1"], 1, Some("(1,a)"))]);
    stage.ledger.settle().await;
    (stage, t)
}

#[tokio::test]
async fn rule_19_unique_values_that_swap_in_one_batch() {
    let stage = Stage::new("CREATE TABLE t (id int PRIMARY KEY, u text UNIQUE)").await;
    let t = shape(1, "t", &["id", "u pg_catalog.text"], &[0]);
    stage.ledger.transaction(vec![row(&t, &["1"], 1, Some("(1,a)")), row(&t, &["2"], 2, Some("(2,b)"))]);
    stage.ledger.settle().await;
    stage.ledger.transaction(vec![
        row(&t, &["1"], 3, Some("(1,tmp)")),
        row(&t, &["2"], 4, Some("(2,a)")),
        row(&t, &["1"], 5, Some("(1,b)")),
    ]);
    stage.ledger.settle().await;
    assert!(stage.ledger.quarantined().is_empty());
    assert_eq!(stage.query("SELECT * FROM t ORDER BY 1").await, ["1|b", "2|a"]);
}

#[tokio::test]
async fn rule_20_what_the_shadow_lacks_may_come_later_in_the_ledger() {
    let (stage, t) = with_one_row().await;
    // The second was committed first on the primary, and entered the ledger last.
    stage.ledger.hold_ticket(Some(1));
    stage.ledger.transaction(vec![row(&t, &["2"], 3, Some("(2,a)"))]);
    wait_for("the refusal", || stage.appliers.shadow().state == ServerState::Degraded).await;
    stage.ledger.transaction(vec![row(&t, &["1"], 2, Some("(1,b)"))]);
    stage.ledger.hold_ticket(None);
    stage.ledger.settle().await;
    assert!(stage.ledger.quarantined().is_empty());
    assert_eq!(stage.query("SELECT * FROM t ORDER BY 1").await, ["1|b", "2|a"]);
    assert_eq!(stage.appliers.shadow().state, ServerState::Up);
}

/// Writes that come behind a refused one on its own key are applied before it is tried again.
#[tokio::test]
async fn rule_20_what_is_tried_again_does_not_undo_what_was_applied_meanwhile() {
    let (stage, t) = with_one_row().await;
    let blocker = client(&stage.cluster).await;
    blocker.batch_execute("BEGIN; LOCK TABLE t").await.unwrap();
    stage.ledger.transaction(vec![row(&t, &["2"], 3, Some("(2,a)"))]);
    stage.blocked().await;
    stage.ledger.transaction(vec![row(&t, &["2"], 4, Some("(2,b)"))]);
    stage.ledger.transaction(vec![row(&t, &["1"], 2, Some("(1,c)"))]);
    wait_for("the appliers to take them", || stage.ledger.is_taken()).await;
    blocker.batch_execute("COMMIT").await.unwrap();
    stage.ledger.settle().await;
    assert_eq!(stage.query("SELECT * FROM t ORDER BY 1").await, ["1|c", "2|b"]);
}

/// Nor when crossfade was stopped in between.
#[tokio::test]
async fn rule_20_what_waits_over_a_restart_does_not_undo_what_was_applied_meanwhile() {
    let (mut stage, t) = with_one_row().await;
    stage.ledger.hold_ticket(Some(1));
    stage.ledger.transaction(vec![row(&t, &["2"], 3, Some("(2,a)"))]);
    wait_for("the refusal", || stage.appliers.shadow().state == ServerState::Degraded).await;
    stage.ledger.transaction(vec![row(&t, &["2"], 4, Some("(2,b)"))]);
    stage.ledger.transaction(vec![row(&t, &["1"], 2, Some("(1,c)"))]);
    let applied = ["1|c", "2|b"];
    while stage.query("SELECT * FROM t ORDER BY 1").await != applied {}
    stage = stage.restart().await;
    stage.ledger.hold_ticket(None);
    stage.ledger.settle().await;
    assert_eq!(stage.query("SELECT * FROM t ORDER BY 1").await, applied);
}

/// Rows read back say more than an older image; only, who reads them back cannot know what is tried again later.
#[tokio::test]
async fn rule_20_keys_read_back_before_a_refused_write_of_them_is_tried_again_are_read_back_again() {
    let (stage, t) = with_one_row().await;
    stage.ledger.hold_ticket(Some(1));
    stage.ledger.transaction(vec![row(&t, &["2"], 3, Some("(2,a)"))]);
    wait_for("the refusal", || stage.appliers.shadow().state == ServerState::Degraded).await;
    let rows = vec![(Key::new(["2"]), "(2,b)".into())];
    let scope = Scope::Keys(vec![Key::new(["2"])]);
    stage.ledger.refresh(Refresh { shape: t.clone(), scope, rows, newer: HashSet::new() });
    stage.ledger.transaction(vec![row(&t, &["1"], 2, Some("(1,c)"))]);
    stage.ledger.hold_ticket(None);
    stage.ledger.settle().await;
    let mark = Mark::Keys { table: TableId(1), keys: vec![Key::new(["2"])], reason: Reason::Late };
    assert_eq!(stage.ledger.marks(), [mark]);
}

/// A statement that was run again meanwhile knew nothing of its rows.
#[tokio::test]
async fn rule_20_what_is_tried_again_behind_a_truncation_is_read_back() {
    let (stage, t) = with_one_row().await;
    stage.ledger.hold_ticket(Some(1));
    stage.ledger.transaction(vec![row(&t, &["2"], 3, Some("(2,a)"))]);
    wait_for("the refusal", || stage.appliers.shadow().state == ServerState::Degraded).await;
    let truncate = Replay {
        sql: "TRUNCATE public.t".into(),
        settings: Vec::new(),
        touched: Touched::of([TableId(1)]),
        reason: "truncate".into(),
    };
    stage.ledger.transaction(vec![Change::Replay(truncate)]);
    while !stage.query("SELECT * FROM t").await.is_empty() {}
    stage.ledger.hold_ticket(None);
    stage.ledger.settle().await;
    let mark = Mark::Keys { table: TableId(1), keys: vec![Key::new(["2"])], reason: Reason::Late };
    assert!(stage.ledger.marks().contains(&mark), "{:?}", stage.ledger.marks());
}

#[tokio::test]
async fn rule_20_what_is_refused_for_good_is_quarantined_whole_and_the_rest_flows() {
    let stage = Stage::new("CREATE TABLE t (id int PRIMARY KEY); CREATE TABLE ok (id int PRIMARY KEY)").await;
    let t = shape(1, "t", &["id", "extra"], &[0]);
    let ok = shape(2, "ok", &["id"], &[0]);
    for i in 1..=20u64 {
        let key = i.to_string();
        let mut changes = vec![row(&ok, &[&key], i, Some(&format!("({i})")))];
        if i == 7 {
            changes.push(row(&t, &["1"], i, Some("(1,2)")));
        }
        stage.ledger.transaction(changes);
    }
    stage.ledger.settle().await;
    let quarantined = stage.ledger.quarantined();
    assert_eq!(quarantined.len(), 1);
    assert_eq!((quarantined[0].seq, quarantined[0].sqlstate.as_str()), (7, "42703"));
    assert_eq!(quarantined[0].table, "public.t");
    let mark = |table, key: &str| Mark::Keys {
        table: TableId(table),
        keys: vec![Key::new([key])],
        reason: Reason::Quarantine,
    };
    assert_eq!(stage.ledger.marks(), [mark(1, "1"), mark(2, "7")]);
    assert_eq!(stage.query("SELECT count(*), sum(id) FROM ok").await, ["19|203"]);
    let status = stage.appliers.shadow();
    assert_eq!(status.state, ServerState::Degraded);
    assert!(status.last_error.unwrap().contains("42703"));
}

#[tokio::test]
async fn rule_21_a_shadow_that_crashes_midway_gets_everything_exactly_once() {
    let stage = Stage::new("CREATE TABLE t (id int PRIMARY KEY, v int); CREATE TABLE log (n int)").await;
    let t = shape(1, "t", &["id", "v"], &[0]);
    // A statement that would count twice if it were run twice.
    let count = |n: u64| {
        Change::Replay(Replay {
            sql: format!("INSERT INTO public.log VALUES ({n})"),
            settings: Vec::new(),
            touched: Touched::NONE,
            reason: "test".into(),
        })
    };
    for i in 1..=600u64 {
        stage.ledger.transaction(vec![row(&t, &[&(i % 50).to_string()], i, Some(&format!("({},{i})", i % 50)))]);
        if i % 3 == 0 {
            stage.ledger.transaction(vec![count(i)]);
        }
        if i == 200 || i == 400 {
            wait_for("some progress", || stage.ledger.settled().len() as u64 > i / 2).await;
            stage.cluster.stop_server("immediate").unwrap();
            wait_for("the loss to be seen", || stage.appliers.shadow().state == ServerState::Down).await;
            stage.cluster.start_server().unwrap();
        }
    }
    stage.ledger.settle().await;
    assert_eq!(stage.query("SELECT count(*), count(DISTINCT n) FROM log").await, ["200|200"]);
    assert_eq!(stage.query("SELECT count(*), min(v), max(v) FROM t").await, ["50|551|600"]);
    assert_eq!(stage.appliers.shadow().state, ServerState::Up);
    assert!(stage.ledger.quarantined().is_empty());
}

#[tokio::test]
async fn rule_21_new_appliers_go_on_where_the_shadow_stands() {
    let stage = Stage::new("CREATE TABLE t (id int PRIMARY KEY)").await;
    let t = shape(1, "t", &["id"], &[0]);
    stage.ledger.transaction(vec![row(&t, &["1"], 1, Some("(1)"))]);
    stage.ledger.transaction(vec![row(&t, &["2"], 2, Some("(2)"))]);
    stage.ledger.settle().await;
    assert_eq!(stage.ledger.resumed(), Some(Seq(0)));
    let stage = stage.restart().await;
    stage.ledger.transaction(vec![row(&t, &["3"], 3, Some("(3)"))]);
    stage.ledger.settle().await;
    assert_eq!(stage.ledger.resumed(), Some(Seq(2)));
    assert_eq!(stage.query("SELECT * FROM t ORDER BY 1").await, ["1", "2", "3"]);
    stage.appliers.stop().await;
}

#[tokio::test]
async fn rule_21_a_shadow_that_went_back_is_compared() {
    let stage = Stage::new("CREATE TABLE t (id int PRIMARY KEY)").await;
    let t = shape(1, "t", &["id"], &[0]);
    stage.ledger.transaction(vec![row(&t, &["1"], 1, Some("(1)"))]);
    stage.ledger.settle().await;
    assert!(stage.ledger.marks().is_empty());
    // As after a restore from a backup.
    stage.query("DELETE FROM t").await;
    stage.query("UPDATE crossfade.progress SET seq = 0").await;
    stage
        .query("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'crossfade-apply'")
        .await;
    wait_for("the mark", || stage.ledger.marks() == [all_tables()]).await;
}

#[tokio::test]
async fn rule_21_a_shadow_that_was_never_given_the_newest_did_not_go_back() {
    let stage = Stage::new("CREATE TABLE t (id int PRIMARY KEY)").await;
    let t = shape(1, "t", &["id"], &[0]);
    let refused = shape(1, "t", &["id", "extra"], &[0]);
    stage.ledger.transaction(vec![row(&t, &["1"], 1, Some("(1)"))]);
    stage.ledger.transaction(vec![row(&refused, &["2"], 2, Some("(2,2)"))]);
    stage.ledger.settle().await;
    assert_eq!(stage.ledger.quarantined().len(), 1);
    let marks = stage.ledger.marks();
    stage
        .query("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'crossfade-apply'")
        .await;
    stage.ledger.transaction(vec![row(&t, &["3"], 3, Some("(3)"))]);
    stage.ledger.settle().await;
    assert_eq!(stage.query("SELECT * FROM t ORDER BY 1").await, ["1", "3"]);
    assert_eq!(stage.ledger.marks(), marks);
}

#[tokio::test]
async fn rule_22_a_shadow_ahead_of_a_journal_that_lost_its_tail_is_compared() {
    let stage = Stage::new("CREATE TABLE t (id int PRIMARY KEY)").await;
    let t = shape(1, "t", &["id"], &[0]);
    stage.ledger.transaction(vec![row(&t, &["1"], 1, Some("(1)"))]);
    stage.ledger.settle().await;
    stage.query("UPDATE crossfade.progress SET seq = 500").await;
    let stage = stage.restart().await;
    wait_for("the mark", || stage.ledger.marks() == [all_tables()]).await;
    // What is placed anew under a number that the shadow has already is applied.
    stage.ledger.transaction(vec![row(&t, &["2"], 2, Some("(2)"))]);
    stage.ledger.settle().await;
    assert_eq!(stage.query("SELECT * FROM t ORDER BY 1").await, ["1", "2"]);
}

#[tokio::test]
async fn rule_24_a_shadow_filled_under_another_journal_is_compared_once() {
    let stage = Stage::new(
        "CREATE SCHEMA crossfade;
         CREATE TABLE crossfade.progress (source text PRIMARY KEY, seq bigint NOT NULL,
             parked bigint[] NOT NULL DEFAULT '{}', writer bigint NOT NULL);
         INSERT INTO crossfade.progress VALUES ('lost', 7, '{}', 1); CREATE TABLE t (id int PRIMARY KEY)",
    )
    .await;
    wait_for("the mark", || stage.ledger.marks() == [all_tables()]).await;
    let t = shape(1, "t", &["id"], &[0]);
    stage.ledger.transaction(vec![row(&t, &["1"], 1, Some("(1)"))]);
    stage.ledger.settle().await;
    let stage = stage.restart().await;
    wait_for("the shadow", || stage.appliers.shadow().state == ServerState::Up).await;
    assert_eq!(stage.ledger.marks().len(), 1);
}

fn all_tables() -> Mark {
    Mark::Tables { touched: Touched::All, reason: Reason::Crash }
}

#[tokio::test]
async fn rule_24_a_second_writer_is_refused() {
    let stage = Stage::new("CREATE TABLE t (id int PRIMARY KEY)").await;
    wait_for("the first", || stage.appliers.shadow().state == ServerState::Up).await;
    let free = "SELECT pg_try_advisory_lock(1668443763, 1717658725)";
    assert_eq!(stage.query(free).await, ["f"]);
}

#[tokio::test]
async fn a_lock_on_the_shadow_is_waited_for_and_a_lost_worker_is_replaced() {
    let stage = Stage::new("CREATE TABLE t (id int PRIMARY KEY)").await;
    let t = shape(1, "t", &["id"], &[0]);
    stage.ledger.transaction(vec![row(&t, &["1"], 1, Some("(1)"))]);
    stage.ledger.settle().await;
    let blocker = client(&stage.cluster).await;
    blocker.batch_execute("BEGIN; LOCK TABLE t").await.unwrap();
    stage.ledger.transaction(vec![row(&t, &["2"], 2, Some("(2)"))]);
    let waiting = stage.blocked().await;
    stage.query(&format!("SELECT pg_terminate_backend({waiting})")).await;
    blocker.batch_execute("COMMIT").await.unwrap();
    stage.ledger.settle().await;
    assert_eq!(stage.query("SELECT * FROM t ORDER BY 1").await, ["1", "2"]);
}

#[tokio::test]
async fn without_the_right_to_stop_triggers_it_says_so_and_applies_all_the_same() {
    let stage = Stage::with_user(
        "CREATE ROLE plain LOGIN; GRANT CREATE ON DATABASE postgres TO plain;
         CREATE TABLE parent (id int PRIMARY KEY); CREATE TABLE child (id int PRIMARY KEY, p int REFERENCES parent);
         GRANT ALL ON ALL TABLES IN SCHEMA public TO plain",
        "plain",
    )
    .await;
    let (parent, child) = (shape(1, "parent", &["id"], &[0]), shape(2, "child", &["id", "p"], &[0]));
    for i in 1..=50u64 {
        let key = i.to_string();
        stage.ledger.transaction(vec![row(&parent, &[&key], i, Some(&format!("({i})")))]);
        stage.ledger.transaction(vec![row(&child, &[&key], i, Some(&format!("({i},{i})")))]);
    }
    stage.ledger.settle().await;
    assert!(stage.ledger.quarantined().is_empty());
    assert_eq!(stage.query("SELECT count(*) FROM child").await, ["50"]);
    let status = stage.appliers.shadow();
    assert_eq!(status.state, ServerState::Degraded);
    assert!(status.last_error.unwrap().contains("session_replication_role"));
}
