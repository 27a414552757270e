//! Order: by stamp on a key, by the ledger among commits.

use super::stage::Stage;
use crate::effect::{Change, Mark, Reason, Replay, TableId, Touched};
use crate::mirror::apply::testing::{row, shape};

#[tokio::test]
async fn rule_04_late_arrivals_do_not_undo_newer_images_nor_deletes() {
    let stage = Stage::new("CREATE TABLE t (id int PRIMARY KEY, v text)").await;
    let t = shape(1, "t", &["id", "v pg_catalog.text"], &[0]);
    stage.ledger.hold_ticket(Some(0));
    stage.ledger.transaction(vec![row(&t, &["1"], 20, Some("(1,new)")), row(&t, &["2"], 20, None)]);
    stage.ledger.settle().await;
    stage.ledger.transaction(vec![
        row(&t, &["1"], 10, Some("(1,old)")),
        row(&t, &["2"], 10, Some("(2,old)")),
        row(&t, &["3"], 10, Some("(3,x)")),
    ]);
    stage.ledger.settle().await;
    assert_eq!(stage.query("SELECT * FROM t ORDER BY 1").await, ["1|new", "3|x"]);
    assert!(stage.ledger.marks().is_empty());
}

#[tokio::test]
async fn rule_18_many_transactions_on_hot_and_cold_keys_end_right() {
    let stage =
        Stage::new("CREATE TABLE t (id int PRIMARY KEY, v int); CREATE TABLE h (id int PRIMARY KEY, v int)").await;
    let (t, h) = (shape(1, "t", &["id", "v"], &[0]), shape(2, "h", &["id", "v"], &[0]));
    for i in 1..=3000u64 {
        let (hot, cold) = ((i % 7).to_string(), i.to_string());
        stage.ledger.transaction(vec![
            row(&t, &[&hot], i, Some(&format!("({hot},{i})"))),
            row(&h, &[&cold], i, Some(&format!("({cold},{i})"))),
        ]);
    }
    stage.ledger.settle().await;
    assert_eq!(stage.query("SELECT count(*), sum(v), max(id) FROM h").await, ["3000|4501500|3000"]);
    let expected: Vec<_> = (0..7).map(|k| (2994..=3000).find(|i| i % 7 == k).unwrap().to_string()).collect();
    assert_eq!(stage.query("SELECT v FROM t ORDER BY id").await, expected);
    assert_eq!(stage.ledger.settled(), (1..=3000).collect::<Vec<_>>());
    assert_eq!(stage.query("SELECT seq, parked FROM crossfade.progress").await, ["3000|{}"]);
}

fn replay(sql: &str, settings: &[(&str, &str)], touched: Touched, reason: &str) -> Change {
    let settings = settings.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect();
    Change::Replay(Replay { sql: sql.into(), settings, touched, reason: reason.into() })
}

#[tokio::test]
async fn rule_06_statements_are_replayed_in_their_place_under_their_settings() {
    let stage = Stage::new("CREATE SCHEMA app; CREATE TABLE t (id int PRIMARY KEY, v text)").await;
    let t = shape(1, "t", &["id", "v pg_catalog.text"], &[0]);
    let wide = shape(1, "t", &["id", "v pg_catalog.text", "w"], &[0]);
    let touched = || Touched::Tables(vec![TableId(1)]);
    stage.ledger.transaction(vec![row(&t, &["1"], 1, Some("(1,a)"))]);
    stage.ledger.transaction(vec![
        row(&t, &["2"], 2, Some("(2,a)")),
        replay("TRUNCATE t", &[("search_path", "public")], touched(), "truncate"),
        row(&t, &["3"], 3, Some("(3,a)")),
    ]);
    stage.ledger.transaction(vec![replay("ALTER TABLE public.t ADD w int DEFAULT 5", &[], touched(), "ddl")]);
    stage.ledger.transaction(vec![row(&wide, &["4"], 4, Some("(4,b,6)"))]);
    stage.ledger.transaction(vec![replay(
        "CREATE TABLE made (id int)",
        &[("search_path", "app")],
        Touched::NONE,
        "ddl",
    )]);
    stage.ledger.transaction(vec![replay(
        "CREATE INDEX CONCURRENTLY made_i ON made (id)",
        &[("search_path", "app")],
        Touched::NONE,
        "ddl",
    )]);
    stage.ledger.settle().await;
    assert!(stage.ledger.quarantined().is_empty());
    assert_eq!(stage.query("SELECT * FROM t ORDER BY 1").await, ["3|a|5", "4|b|6"]);
    assert_eq!(stage.query("SELECT indisvalid FROM pg_index WHERE indexrelid = 'app.made_i'::regclass").await, ["t"]);
}

#[tokio::test]
async fn a_statement_the_shadow_refuses_is_quarantined_and_its_tables_marked() {
    let stage = Stage::new("CREATE TABLE t (id int PRIMARY KEY)").await;
    let t = shape(1, "t", &["id"], &[0]);
    let touched = Touched::Tables(vec![TableId(9)]);
    stage.ledger.transaction(vec![replay("TRUNCATE missing", &[], touched.clone(), "truncate")]);
    stage.ledger.transaction(vec![row(&t, &["1"], 2, Some("(1)"))]);
    stage.ledger.settle().await;
    let quarantined = stage.ledger.quarantined();
    assert_eq!((quarantined[0].seq, quarantined[0].sqlstate.as_str()), (1, "42P01"));
    assert_eq!(stage.ledger.marks(), [Mark::Tables { touched, reason: Reason::Quarantine }]);
    assert_eq!(stage.query("SELECT * FROM t").await, ["1"]);
}

#[tokio::test]
async fn a_statement_that_needs_the_clients_session_or_the_primarys_machine_holds_nothing_up() {
    let stage = Stage::new("CREATE TABLE t (id int PRIMARY KEY)").await;
    let t = shape(1, "t", &["id"], &[0]);
    for statement in ["CREATE TABLE made AS EXECUTE prepared_elsewhere", "LOAD '/nowhere'"] {
        stage.ledger.transaction(vec![replay(statement, &[], Touched::NONE, "ddl")]);
    }
    stage.ledger.transaction(vec![row(&t, &["1"], 2, Some("(1)"))]);
    stage.ledger.settle().await;
    let states: Vec<_> = stage.ledger.quarantined().into_iter().map(|refused| refused.sqlstate).collect();
    assert_eq!(states, ["26000", "58P01"]);
    assert_eq!(stage.query("SELECT * FROM t").await, ["1"]);
}
