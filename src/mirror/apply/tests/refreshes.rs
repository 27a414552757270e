//! Rows read back from the primary (rules 25 to 28).

use std::collections::HashSet;
use std::sync::Arc;

use super::stage::Stage;
use crate::catalog::Share;
use crate::effect::{Key, Mark, Reason, Shape, TableId, Touched};
use crate::mirror::apply::testing::shape;
use crate::mirror::entry::{Existing, Fill, Refresh, Scope};

fn refresh(shape: &Arc<Shape>, scope: Scope, rows: &[(&[&str], &str)]) -> Refresh {
    Refresh {
        shape: shape.clone(),
        scope,
        rows: rows.iter().map(|(key, image)| (Key::new(key.iter().copied()), (*image).into())).collect(),
        newer: HashSet::new(),
    }
}

fn multiset(share: Share, counts: &[u64]) -> Scope {
    Scope::Multiset { share, counts: counts.to_vec() }
}

fn key(parts: &[&str]) -> Key {
    Key::new(parts.iter().copied())
}

#[tokio::test]
async fn rule_27_a_range_is_upserted_and_what_the_primary_lacks_in_it_is_deleted() {
    let stage = Stage::new(
        "CREATE TABLE t (a int, b int, v text, PRIMARY KEY (a, b));
         INSERT INTO t SELECT i / 10, i % 10, 'shadow' FROM generate_series(0, 49) i",
    )
    .await;
    let t = shape(1, "t", &["a", "b", "v pg_catalog.text"], &[0, 1]);
    let scope = Scope::Range { after: Some(key(&["1", "3"])), upto: Some(key(&["3", "2"])) };
    let rows: &[(&[&str], &str)] = &[(&["1", "4"], "(1,4,primary)"), (&["2", "99"], "(2,99,primary)")];
    let newer = HashSet::from([key(&["3", "1"])]);
    stage.ledger.refresh(Refresh { newer, ..refresh(&t, scope, rows) });
    stage.ledger.settle().await;
    assert_eq!(stage.query("SELECT count(*) FROM t WHERE (a, b) <= (1, 3) OR (a, b) > (3, 2)").await, ["31"]);
    let inside = "SELECT * FROM t WHERE (a, b) > (1, 3) AND (a, b) <= (3, 2) ORDER BY a, b";
    assert_eq!(stage.query(inside).await, ["1|4|primary", "2|99|primary", "3|1|shadow"]);
    stage.ledger.refresh(refresh(&t, Scope::Range { after: None, upto: None }, &[(&["0", "0"], "(0,0,x)")]));
    stage.ledger.settle().await;
    assert_eq!(stage.query("SELECT * FROM t").await, ["0|0|x"]);
}

#[tokio::test]
async fn rows_of_tables_that_inherit_are_not_the_parents() {
    let stage = Stage::new(
        "CREATE TABLE keyed (id int PRIMARY KEY, v text); CREATE TABLE keyed_heir () INHERITS (keyed);
         INSERT INTO keyed VALUES (1, 'gone'), (2, 'old'); INSERT INTO keyed_heir VALUES (1, 'stays'), (2, 'stays');
         CREATE TABLE bare (v text); CREATE TABLE bare_heir () INHERITS (bare);
         INSERT INTO bare VALUES ('gone'); INSERT INTO bare_heir VALUES ('gone')",
    )
    .await;
    let keyed = shape(1, "keyed", &["id", "v pg_catalog.text"], &[0]);
    let bare = shape(2, "bare", &["v pg_catalog.text"], &[]);
    stage.ledger.refresh(refresh(&keyed, Scope::Range { after: None, upto: None }, &[(&["2"], "(2,new)")]));
    stage.ledger.refresh(refresh(&keyed, Scope::Keys(vec![key(&["1"])]), &[]));
    stage.ledger.refresh(refresh(&bare, multiset(Share { number: 0, of: 1 }, &[]), &[]));
    stage.ledger.settle().await;
    assert_eq!(stage.query("SELECT * FROM ONLY keyed").await, ["2|new"]);
    assert_eq!(stage.query("SELECT * FROM keyed_heir ORDER BY 1").await, ["1|stays", "2|stays"]);
    assert_eq!(stage.query("SELECT * FROM ONLY bare").await, [""; 0]);
    assert_eq!(stage.query("SELECT * FROM bare_heir").await, ["gone"]);
}

#[tokio::test]
async fn keys_are_upserted_deleted_or_left_if_newer() {
    let stage = Stage::new(
        "CREATE TABLE t (id int PRIMARY KEY, v text UNIQUE); INSERT INTO t VALUES (1, 'a'), (2, 'b'), (3, 'c'), (4, 'd')",
    )
    .await;
    let t = shape(1, "t", &["id", "v pg_catalog.text"], &[0]);
    let scope = Scope::Keys(["1", "2", "3", "5"].map(|part| key(&[part])).to_vec());
    // 1 and 5 swap a unique value with what is there; 2 is gone; of 3 the ledger knows better.
    let rows: &[(&[&str], &str)] = &[(&["5"], "(5,a)"), (&["1"], "(1,b)")];
    stage.ledger.refresh(Refresh { newer: HashSet::from([key(&["3"])]), ..refresh(&t, scope, rows) });
    stage.ledger.settle().await;
    assert_eq!(stage.query("SELECT * FROM t ORDER BY 1").await, ["1|b", "3|c", "4|d", "5|a"]);
    assert!(stage.ledger.marks().is_empty());
}

#[tokio::test]
async fn rule_27_a_fill_leaves_what_is_there() {
    let stage = Stage::new("CREATE TABLE t (id int PRIMARY KEY, v text); INSERT INTO t VALUES (1, 'live')").await;
    let t = shape(1, "t", &["id", "v pg_catalog.text"], &[0]);
    stage.ledger.fill(Fill {
        shape: t.clone(),
        lines: "1\tcopied\n2\t\\N\n3\ta\\tb\\\\N\n".into(),
        newer: HashSet::new(),
        existing: Existing::Kept,
    });
    stage.ledger.fill(Fill {
        shape: t.clone(),
        lines: "4\tcopied\n5\t\\N\n6\ta\\tb\\\\N\n".into(),
        newer: HashSet::new(),
        existing: Existing::Kept,
    });
    stage.ledger.fill(Fill { shape: t, lines: "".into(), newer: HashSet::new(), existing: Existing::Kept });
    stage.ledger.settle().await;
    let rows = stage.query("SELECT * FROM t ORDER BY 1").await;
    assert_eq!(rows, ["1|live", "2|∅", "3|a\tb\\N", "4|copied", "5|∅", "6|a\tb\\N"]);
    assert!(stage.ledger.marks().is_empty());
}

#[tokio::test]
async fn a_fill_of_columns_with_other_types_is_cast_as_an_insert_would() {
    // COPY would refuse 1.5 for an integer, and read a time with a zone as one without.
    let stage = Stage::new("CREATE TABLE t (id bigint PRIMARY KEY, n int, at timestamp)").await;
    let t = shape(1, "t", &["id", "n pg_catalog.float8", "at pg_catalog.timestamptz"], &[0]);
    stage.ledger.fill(Fill {
        shape: t,
        lines: "1\t1.6\t2026-01-01 00:00:00+01\n".into(),
        newer: HashSet::new(),
        existing: Existing::Kept,
    });
    stage.ledger.settle().await;
    assert_eq!(stage.query("SELECT * FROM t").await, ["1|2|2025-12-31 23:00:00"]);
}

#[tokio::test]
async fn generated_columns_are_computed_and_identities_kept_by_a_fill() {
    let stage = Stage::new(
        "CREATE TABLE t (g int GENERATED ALWAYS AS (n * 2) STORED, id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, n int)",
    )
    .await;
    let mut t = Shape::clone(&shape(1, "t", &["g", "id", "n"], &[1]));
    t.columns[0].generated = true;
    stage.ledger.fill(Fill {
        shape: Arc::new(t),
        lines: "7\t1\n".into(),
        newer: HashSet::new(),
        existing: Existing::Kept,
    });
    stage.ledger.settle().await;
    assert_eq!(stage.query("SELECT * FROM t").await, ["2|7|1"]);
}

#[tokio::test]
async fn a_fill_that_another_unique_index_refuses_marks_its_table() {
    let stage = Stage::new("CREATE TABLE t (id int PRIMARY KEY, v text UNIQUE); INSERT INTO t VALUES (9, 'a')").await;
    let t = shape(1, "t", &["id", "v pg_catalog.text"], &[0]);
    stage.ledger.fill(Fill { shape: t, lines: "1\ta\n".into(), newer: HashSet::new(), existing: Existing::Kept });
    stage.ledger.settle().await;
    assert_eq!(stage.query("SELECT * FROM t").await, ["9|a"]);
    let touched = Touched::Tables(vec![TableId(1)]);
    assert_eq!(stage.ledger.marks(), [Mark::Tables { touched, reason: Reason::Quarantine }]);
}

#[tokio::test]
async fn rule_27_a_fill_of_a_range_replaces_what_is_there_but_what_is_newer() {
    let rows = "INSERT INTO NAME SELECT i, 'shadow' FROM generate_series(1, 9) i;";
    let stage = Stage::new(&format!(
        "CREATE TABLE same (id int PRIMARY KEY, v text); {} CREATE TABLE cast_ (id bigint PRIMARY KEY, v text); {}",
        rows.replace("NAME", "same"),
        rows.replace("NAME", "cast_")
    ))
    .await;
    for (table, name) in [(1, "same"), (2, "cast_")] {
        let existing = Existing::Replaced { after: Some(key(&["2"])), upto: Some(key(&["8"])) };
        let newer = HashSet::from([key(&["5"]), key(&["6"])]);
        let shape = shape(table, name, &["id", "v pg_catalog.text"], &[0]);
        stage.ledger.fill(Fill { shape, lines: "3\tprimary\n6\tprimary\n8\tprimary\n".into(), newer, existing });
    }
    stage.ledger.settle().await;
    let expected = ["1|shadow", "2|shadow", "3|primary", "5|shadow", "6|shadow", "8|primary", "9|shadow"];
    assert_eq!(stage.query("SELECT * FROM same ORDER BY 1").await, expected);
    assert_eq!(stage.query("SELECT * FROM cast_ ORDER BY 1").await, expected);
    assert!(stage.ledger.marks().is_empty());
}

#[tokio::test]
async fn a_multiset_is_made_equal_by_whole_rows() {
    let stage = Stage::new(
        "CREATE TABLE t (a int, j json);
         INSERT INTO t VALUES (1, '{\"x\": 1}'), (1, '{\"x\": 1}'), (1, '{\"x\": 1}'), (2, NULL), (3, '3')",
    )
    .await;
    let t = shape(1, "t", &["a", "j pg_catalog.json"], &[]);
    let one = r#"(1,"{""x"": 1}")"#;
    let rows: &[(&[&str], &str)] = &[(&[], one), (&[], "(2,)"), (&[], "(4,)")];
    stage.ledger.refresh(refresh(&t, multiset(Share::WHOLE, &[2, 2, 1]), rows));
    stage.ledger.settle().await;
    let all = "SELECT * FROM t ORDER BY 1";
    assert_eq!(stage.query(all).await, ["1|{\"x\": 1}", "1|{\"x\": 1}", "2|∅", "2|∅", "4|∅"]);
    stage.ledger.refresh(refresh(&t, multiset(Share::WHOLE, &[]), &[]));
    stage.ledger.settle().await;
    assert!(stage.query(all).await.is_empty());
}

#[tokio::test]
async fn a_share_of_a_multiset_leaves_the_other_shares_alone() {
    let stage = Stage::new("CREATE TABLE t (a int); INSERT INTO t SELECT i FROM generate_series(1, 100) i").await;
    let t = shape(1, "t", &["a"], &[]);
    let inside = format!("{} = 3", crate::catalog::share_number("ROW(a)::text", 4));
    let one = stage.query(&format!("SELECT a FROM t WHERE {inside} LIMIT 1")).await.remove(0);
    let outside = stage.query(&format!("SELECT count(*) FROM t WHERE NOT {inside}")).await;
    let image = format!("({one})");
    stage.ledger.refresh(refresh(&t, multiset(Share { number: 3, of: 4 }, &[3]), &[(&[], image.as_str())]));
    stage.ledger.settle().await;
    assert_eq!(stage.query(&format!("SELECT a FROM t WHERE {inside}")).await, [&*one, &*one, &*one]);
    assert_eq!(stage.query(&format!("SELECT count(*) FROM t WHERE NOT {inside}")).await, outside);
}

#[tokio::test]
async fn rows_of_a_table_with_rules_are_read_back_too_and_no_rule_fires() {
    let stage = Stage::new(
        "CREATE TABLE t (id int PRIMARY KEY, v int); INSERT INTO t VALUES (1, 0); CREATE TABLE log (id int);
         CREATE RULE also AS ON INSERT TO t DO ALSO INSERT INTO log VALUES (new.id);
         CREATE RULE never AS ON UPDATE TO t DO INSTEAD NOTHING; CREATE RULE kept AS ON DELETE TO t DO INSTEAD NOTHING",
    )
    .await;
    let t = shape(1, "t", &["id", "v"], &[0]);
    stage.ledger.refresh(refresh(&t, Scope::Keys(vec![key(&["1"])]), &[(&["1"], "(1,5)")]));
    stage.ledger.settle().await;
    assert_eq!(stage.query("SELECT * FROM t").await, ["1|5"]);
    assert_eq!(stage.query("SELECT count(*) FROM log").await, ["0"]);
    assert!(stage.ledger.marks().is_empty());
}

#[tokio::test]
async fn a_refresh_that_is_refused_marks_again_and_is_not_counted_as_quarantined() {
    let stage = Stage::new("CREATE TABLE t (id int PRIMARY KEY, v int CHECK (v > 0))").await;
    let t = shape(1, "t", &["id", "v"], &[0]);
    stage.ledger.refresh(refresh(&t, Scope::Keys(vec![key(&["1"])]), &[(&["1"], "(1,-1)")]));
    stage.ledger.settle().await;
    assert!(stage.ledger.quarantined().is_empty());
    let mark = Mark::Keys { table: TableId(1), keys: vec![key(&["1"])], reason: Reason::Quarantine };
    assert_eq!(stage.ledger.marks(), [mark]);
}
