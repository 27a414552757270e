//! Values of every kind arrive as they were.

use super::stage::Stage;
use crate::effect::{Mark, Reason, TableId, Touched};
use crate::mirror::apply::testing::{row, shape};

#[tokio::test]
async fn values_of_many_types_arrive_as_they_were() {
    let stage = Stage::new(
        r#"CREATE TYPE "Mood" AS ENUM ('sad', 'so "so"');
           CREATE DOMAIN small AS int CHECK (VALUE < 100);
           CREATE TYPE pair AS (a int, b text);
           CREATE TABLE "T""1" (
               "Id" bigint PRIMARY KEY, txt text, "from" varchar(5), c char(3), j json, jb jsonb, ints int[], txts text[],
               raw bytea, mood "Mood", dom small, comp pair, ts timestamptz, num numeric(10,2), f float8, bits bit(3),
               span interval, ok boolean, u uuid, r int4range, xm xml, doubled bigint GENERATED ALWAYS AS ("Id" * 2) STORED)"#,
    )
    .await;
    let columns = [
        "Id pg_catalog.int8",
        "txt pg_catalog.text",
        "from pg_catalog.varchar",
        "c pg_catalog.bpchar",
        "j pg_catalog.json",
        "jb pg_catalog.jsonb",
        "ints pg_catalog._int4",
        "txts pg_catalog._text",
        "raw pg_catalog.bytea",
        "mood public.\"Mood\"",
        "dom public.small",
        "comp public.pair",
        "ts pg_catalog.timestamptz",
        "num pg_catalog.\"numeric\"",
        "f pg_catalog.float8",
        "bits pg_catalog.\"bit\"",
        "span pg_catalog.\"interval\"",
        "ok pg_catalog.bool",
        "u pg_catalog.uuid",
        "r pg_catalog.int4range",
        "xm pg_catalog.xml",
        "=doubled pg_catalog.int8",
    ];
    let shape = shape(1, "T\"1", &columns, &[0]);
    let full = r#"(1,"a ""q"" \\ b,
é",abc,"x  ","{""a"":  1}","{""a"": 1}","{1,NULL,3}","{"""",NULL,""a,b""}","\\x00ff","so ""so""",42,"(1,""x y"")","2026-01-01 00:00:00.123456+00",12.50,0.1,101,"1 mon 2 days",t,6b58c1c0-0000-4000-8000-000000000001,"[1,5)",<a>b</a>,2)"#;
    let empty = format!("(2,\"\",\"\",,,,{{}},{}4)", ",".repeat(14));
    let null = format!("(3,{}6)", ",".repeat(20));
    stage.ledger.transaction(vec![
        row(&shape, &["1"], 1, Some(full)),
        row(&shape, &["2"], 2, Some(&empty)),
        row(&shape, &["3"], 3, Some(&null)),
    ]);
    stage.ledger.settle().await;
    assert!(stage.ledger.quarantined().is_empty());
    let images = "SET bytea_output = hex; SET timezone = 'UTC'; SELECT ROW(t.*)::text FROM \"T\"\"1\" t ORDER BY 1";
    assert_eq!(stage.query(images).await, [full.to_owned(), empty, null]);
}

#[tokio::test]
async fn composite_keys_identity_columns_and_keys_without_other_columns() {
    let stage = Stage::new(
        "CREATE TABLE pair (a int, b text, v text, PRIMARY KEY (b, a));
         CREATE TABLE bare (a int, b int, PRIMARY KEY (a, b));
         CREATE TABLE ident (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, v text);
         CREATE TABLE twice (id int PRIMARY KEY, n int GENERATED ALWAYS AS IDENTITY, v text)",
    )
    .await;
    let pair = shape(1, "pair", &["a", "b pg_catalog.text", "v pg_catalog.text"], &[1, 0]);
    let bare = shape(2, "bare", &["a", "b"], &[0, 1]);
    let ident = shape(3, "ident", &["id", "v pg_catalog.text"], &[0]);
    let twice = shape(4, "twice", &["id", "n", "v pg_catalog.text"], &[0]);
    stage.ledger.transaction(vec![
        row(&pair, &["x", "1"], 1, Some("(1,x,old)")),
        row(&pair, &["y", "1"], 2, Some("(1,y,gone)")),
        row(&bare, &["1", "2"], 3, Some("(1,2)")),
        row(&ident, &["7"], 4, Some("(7,a)")),
        row(&twice, &["1"], 5, Some("(1,50,a)")),
    ]);
    stage.ledger.settle().await;
    stage.ledger.transaction(vec![
        row(&pair, &["x", "1"], 11, Some("(1,x,new)")),
        row(&pair, &["y", "1"], 12, None),
        row(&bare, &["1", "2"], 13, Some("(1,2)")),
        row(&ident, &["7"], 14, Some("(7,b)")),
        row(&twice, &["1"], 15, Some("(1,50,b)")),
    ]);
    stage.ledger.settle().await;
    assert!(stage.ledger.quarantined().is_empty());
    assert_eq!(stage.query("SELECT * FROM pair").await, ["1|x|new"]);
    assert_eq!(stage.query("SELECT * FROM bare").await, ["1|2"]);
    assert_eq!(stage.query("SELECT * FROM ident").await, ["7|b"]);
    assert_eq!(stage.query("SELECT * FROM twice").await, ["1|50|b"]);
}

#[tokio::test]
async fn rows_without_a_key_all_arrive_once_each_the_same_ones_too() {
    let stage = Stage::new("CREATE TABLE log (v text, at int)").await;
    let log = shape(1, "log", &["v pg_catalog.text", "at"], &[]);
    for i in 1..=300u64 {
        let image = format!("(same,{})", i % 3);
        stage.ledger.transaction(vec![row(&log, &[], 2 * i, Some(&image)), row(&log, &[], 2 * i, Some(&image))]);
    }
    stage.ledger.settle().await;
    assert!(stage.ledger.quarantined().is_empty());
    assert_eq!(
        stage.query("SELECT v, at, count(*) FROM log GROUP BY 1, 2 ORDER BY 2").await,
        ["same|0|200", "same|1|200", "same|2|200"]
    );
}

#[tokio::test]
async fn a_refused_row_without_a_key_is_never_tried_behind_what_was_read_back() {
    let stage = Stage::new("CREATE TABLE log (v text CHECK (v <> 'no'))").await;
    let log = shape(1, "log", &["v pg_catalog.text"], &[]);
    stage.ledger.hold_ticket(Some(1));
    stage.ledger.transaction(vec![row(&log, &[], 1, Some("(no)"))]);
    stage.ledger.settle().await;
    assert_eq!(stage.ledger.quarantined().len(), 1);
    let mark = Mark::Tables { touched: Touched::Tables(vec![TableId(1)]), reason: Reason::Quarantine };
    assert_eq!(stage.ledger.marks(), [mark]);
}

#[tokio::test]
async fn a_row_deleted_and_inserted_again_ends_as_inserted() {
    let stage = Stage::new("CREATE TABLE t (id int PRIMARY KEY, v text)").await;
    let t = shape(1, "t", &["id", "v pg_catalog.text"], &[0]);
    stage.ledger.transaction(vec![
        row(&t, &["1"], 1, Some("(1,a)")),
        row(&t, &["1"], 2, None),
        row(&t, &["1"], 3, Some("(1,b)")),
        row(&t, &["2"], 4, Some("(2,a)")),
        row(&t, &["2"], 5, None),
    ]);
    stage.ledger.settle().await;
    assert_eq!(stage.query("SELECT * FROM t").await, ["1|b"]);
}
