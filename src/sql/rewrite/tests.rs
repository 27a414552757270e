//! The rewrite against the grammar, and against a server.

use proptest::prelude::*;
use tokio_postgres::{Client, NoTls, SimpleQueryMessage, SimpleQueryRow};

use super::*;
use crate::demo::{Cluster, Options, Role};
use crate::sql::{Kind, analyze};

/// Rewrites every write in `text`; the number of them.
fn rewritten(text: &str, image: Image<'_>) -> (String, usize) {
    rewritten_as(text, |_| image)
}

fn rewritten_as<'i>(text: &str, image: impl Fn(&Write) -> Image<'i>) -> (String, usize) {
    let mut result = text.to_owned();
    let mut count = 0;
    for statement in analyze(text.as_bytes()).statements.iter().rev() {
        if let Kind::Write(write) = &*statement.kind {
            let rewrite = returning(statement, write, image(write));
            result.insert_str(rewrite.at, &rewrite.insert);
            count += 1;
        }
    }
    (result, count)
}

#[test]
fn returning_stands_behind_the_last_token() {
    let stamp = "pg_catalog.pg_current_xact_id(), pg_catalog.pg_current_wal_insert_lsn()";
    for (text, before, after, row, target) in [
        ("DELETE FROM t", "DELETE FROM t", "", "ROW(\"t\".*)", "\"t\""),
        ("DELETE FROM S.T a -- c", "DELETE FROM S.T a", " -- c", "ROW(\"a\".*)", "\"a\""),
        (
            "DELETE FROM S.\"t\"\"x\" /* c */;",
            "DELETE FROM S.\"t\"\"x\"",
            " /* c */;",
            "ROW(\"s\".\"t\"\"x\".*)",
            "\"s\".\"t\"\"x\"",
        ),
    ] {
        let expected = format!("{before} RETURNING {row}, {target}.tableoid, {stamp}{after}");
        assert_eq!(rewritten(text, Image::Row), (expected, 1));
    }
    let (text, _) = rewritten("DELETE FROM t RETURNING a;", Image::Columns(&["k1", "K\"2"]));
    let image = "pg_catalog.textin(pg_catalog.record_out(ROW(\"t\".\"k1\", \"t\".\"K\"\"2\")))";
    assert_eq!(text, format!("DELETE FROM t RETURNING a, {image}, \"t\".tableoid, {stamp};"));
}

/// Statements on the tables of [`SCHEMA`], and the images they leave; all but the first columns are the client's own.
const FORMS: &[(&str, &[&str])] = &[
    ("INSERT INTO s.t VALUES (3, 'c', 30)", &["(3,c,30)"]),
    ("INSERT INTO s.t (v, id) VALUES (30, 3), (40, 4);", &["(3,,30)", "(4,,40)"]),
    ("INSERT INTO t SELECT id + 10, t, v FROM s.t ORDER BY id", &["(11,a,10)", "(12,\"b,b\",20)"]),
    (
        "INSERT INTO s.t AS x VALUES (1, 'n', 0) ON CONFLICT (id) DO UPDATE SET t = excluded.t, v = x.v + 1",
        &["(1,n,11)"],
    ),
    ("INSERT INTO s.t VALUES (1, 'n', 0) ON CONFLICT (id) DO NOTHING", &[]),
    (
        "INSERT INTO s.t VALUES (1, 'n', 0) ON CONFLICT ON CONSTRAINT t_pkey DO UPDATE SET v = 9 WHERE t.id = 1",
        &["(1,a,9)"],
    ),
    ("INSERT INTO s.d DEFAULT VALUES", &["(1,x)"]),
    ("INSERT INTO s.d OVERRIDING SYSTEM VALUE VALUES (7, 'y')", &["(7,y)"]),
    ("WITH w AS (SELECT 5 AS id) INSERT INTO s.t (id) SELECT id FROM w", &["(5,,)"]),
    ("INSERT INTO s.t TABLE t", &[]),
    ("INSERT INTO s.t VALUES (3, 'c', 30) RETURNING *", &["(3,c,30)"]),
    ("INSERT INTO s.t VALUES (3, 'c', 30) RETURNING t, t.t, t.*, s.t.id AS \"returning\" ; -- end", &["(3,c,30)"]),
    ("UPDATE s.t SET v = v + 1 WHERE id = 1", &["(1,a,11)"]),
    ("UPDATE s.t SET v = v + 1 WHERE id = 1 -- why", &["(1,a,11)"]),
    ("UPDATE s.t SET v = v + 1 WHERE id = 1/* why */;", &["(1,a,11)"]),
    ("UPDATE ONLY s.t SET v = NULL WHERE id = 1", &["(1,a,)"]),
    ("UPDATE s.t * SET t = 'q\"' WHERE id = 1", &["(1,\"q\"\"\",10)"]),
    ("UPDATE ONLY (s.t) AS \"A b\" SET v = 0 WHERE \"A b\".id = 1", &["(1,a,0)"]),
    ("UPDATE s.t t SET v = 0 WHERE t.t = 'a'", &["(1,a,0)"]),
    ("UPDATE s.t SET v = u.w FROM s.u WHERE u.id = t.id", &["(2,\"b,b\",200)"]),
    ("UPDATE s.t SET v = u.w FROM s.u AS u JOIN t AS j ON true WHERE u.id = s.t.id", &[]),
    ("UPDATE s.t SET (t, v) = (SELECT 'z', w FROM s.u WHERE u.id = t.id) WHERE id = 2 RETURNING v, *", &["(2,z,200)"]),
    ("UPDATE s.\"Q t\" SET \"V\" = 5", &["(1,5)"]),
    ("UPDATE s.p SET v = 5", &["(1,5)"]),
    ("UPDATE s.p SET v = 5 RETURNING p", &["(1,5)"]),
    ("INSERT INTO s.p VALUES (15, 1) ON CONFLICT DO NOTHING", &["(15,1)"]),
    ("UPDATE s.parent SET v = 5", &["(1,a,5)", "(2,b,5)"]),
    ("UPDATE s.parent AS v SET v = 5 WHERE v.id = 1", &["(1,a,5)"]),
    ("UPDATE s.parent SET v = 5 FROM (VALUES (1, 2)) AS x (parent, y) WHERE id = x.parent", &["(1,a,5)"]),
    ("UPDATE s.parent AS xmin SET v = 5 WHERE id = 1", &["(1,a,5)"]),
    ("UPDATE s.g SET a = 5", &["(5,10)"]),
    ("UPDATE s.p SET id = 11", &["(11,1)"]),
    ("DELETE FROM s.t", &["(1,a,10)", "(2,\"b,b\",20)"]),
    ("DELETE FROM s.t USING s.u WHERE u.id = t.id", &["(2,\"b,b\",20)"]),
    ("DELETE FROM s.t x USING s.t y WHERE x.id < y.id RETURNING y.*", &["(1,a,10)"]),
    ("WITH w AS (SELECT 1 AS id) DELETE FROM s.t WHERE id IN (SELECT id FROM w)", &["(1,a,10)"]),
    ("/* c */ DELETE FROM s.t WHERE t = E'b\\,b' ; DELETE FROM s.t WHERE id = 1;", &["(2,\"b,b\",20)", "(1,a,10)"]),
    ("SET LOCAL search_path = s; UPDATE t SET v = 1 WHERE t = 'a' RETURNING t", &["(1,a,1)"]),
    ("SET LOCAL search_path = s; DELETE FROM t WHERE t.t = 'a'", &["(1,a,10)"]),
    ("INSERT INTO s.whole VALUES (ROW(1, 2)) RETURNING whole", &["(\"(1,2)\")"]),
    ("DECLARE c CURSOR FOR SELECT * FROM s.t; FETCH c; UPDATE s.t SET v = 1 WHERE CURRENT OF c", &["(1,a,1)"]),
];

/// A column has its table's name; one table's column is a record of that name.
const SCHEMA: &str = "
    CREATE SCHEMA s;
    CREATE TABLE t (id int PRIMARY KEY, t text, v int);
    CREATE TABLE s.t (id int PRIMARY KEY, t text, v int);
    CREATE TABLE s.u (id int PRIMARY KEY, w int);
    CREATE TABLE s.d (id int GENERATED ALWAYS AS IDENTITY, x text DEFAULT 'x');
    CREATE TABLE s.\"Q t\" (\"Q t\" int, \"V\" int);
    CREATE TABLE s.p (id int, v int) PARTITION BY RANGE (id);
    CREATE TABLE s.p1 PARTITION OF s.p FOR VALUES FROM (0) TO (10);
    CREATE TABLE s.p2 (gone int, v int, id int);
    ALTER TABLE s.p2 DROP COLUMN gone;
    ALTER TABLE s.p ATTACH PARTITION s.p2 FOR VALUES FROM (10) TO (20);
    CREATE TABLE s.parent (id int, gone int, t text, v int);
    ALTER TABLE s.parent DROP COLUMN gone;
    CREATE TABLE s.child (more int, v int, t text, id int);
    ALTER TABLE s.child INHERIT s.parent;
    INSERT INTO s.parent VALUES (1, 'a', 10);
    INSERT INTO s.child VALUES (0, 20, 'b', 2);
    CREATE TABLE s.g (a int, b int GENERATED ALWAYS AS (a * 2) STORED);
    INSERT INTO s.g VALUES (1);
    CREATE TYPE s.pair AS (a int, b int);
    CREATE TABLE s.whole (whole s.pair);
    INSERT INTO s.t VALUES (1, 'a', 10), (2, 'b,b', 20);
    INSERT INTO s.u VALUES (2, 200);
    INSERT INTO s.\"Q t\" VALUES (1, 1);
    INSERT INTO s.p VALUES (1, 1);";

fn rows(messages: Vec<SimpleQueryMessage>) -> Vec<SimpleQueryRow> {
    let rows = messages.into_iter().filter_map(|message| match message {
        SimpleQueryMessage::Row(row) => Some(row),
        _ => None,
    });
    rows.collect()
}

#[tokio::test]
async fn rule_09_every_form_runs_and_its_image_reads_back_as_the_row() {
    let cluster = Cluster::start(&Options::for_test(Role::Primary)).unwrap();
    let (client, connection) = tokio_postgres::connect(&cluster.url("postgres"), NoTls).await.unwrap();
    tokio::spawn(connection);
    client.batch_execute(SCHEMA).await.unwrap();
    let columns = columns(&client).await;

    for (form, images) in FORMS {
        for (text, writes) in [rewritten(form, Image::Row), rewritten_as(form, |write| whole_or_row(write, &columns))] {
            assert!(writes > 0, "{form}");
            must_tell(&client, &text, images).await;
        }
    }
    let is_whole = |(form, _): &&(&str, &[&str])| {
        rewritten(form, Image::Row) != rewritten_as(form, |write| whole_or_row(write, &columns))
    };
    assert_eq!(FORMS.iter().filter(is_whole).count(), 10);
}

/// Table and column, of all.
async fn columns(client: &Client) -> Vec<(String, String)> {
    let query = "SELECT relname, attname FROM pg_attribute a JOIN pg_class c ON c.oid = attrelid
        WHERE attnum > 0 AND NOT attisdropped";
    rows(client.simple_query(query).await.unwrap())
        .iter()
        .map(|row| (row.get(0).unwrap().to_owned(), row.get(1).unwrap().to_owned()))
        .collect()
}

fn whole_or_row(write: &Write, columns: &[(String, String)]) -> Image<'static> {
    let own = columns.iter().filter(|(table, _)| *table == write.target.name).map(|(_, column)| column.as_str());
    if names_its_row(write, own) { Image::Whole } else { Image::Row }
}

async fn must_tell(client: &Client, text: &str, images: &[&str]) {
    client.batch_execute("ALTER SEQUENCE s.d_id_seq RESTART; BEGIN").await.unwrap();
    let answer = client.simple_query(text).await.unwrap_or_else(|error| panic!("{text}: {error:?}"));
    let xid = rows(client.simple_query("SELECT pg_current_xact_id()").await.unwrap());
    client.batch_execute("ROLLBACK").await.unwrap();

    let captured: Vec<SimpleQueryRow> =
        rows(answer).into_iter().filter(|row| row.columns().iter().any(|column| column.name() == "tableoid")).collect();
    let found: Vec<&str> = captured.iter().map(|row| row.get(row.len() - APPENDED_COLUMNS).unwrap()).collect();
    assert_eq!(found, images, "{text}");
    for row in &captured {
        assert_eq!(row.get(row.len() - 2), xid[0].get(0), "{text}");
        assert!(row.get(row.len() - 1).is_some_and(|lsn| lsn.contains('/')), "{text}");
    }
}

#[tokio::test]
async fn rule_09_columns_of_the_key_alone_read_back() {
    let cluster = Cluster::start(&Options::for_test(Role::Primary)).unwrap();
    let (client, connection) = tokio_postgres::connect(&cluster.url("postgres"), NoTls).await.unwrap();
    tokio::spawn(connection);
    client.batch_execute(SCHEMA).await.unwrap();

    for form in ["DELETE FROM s.t WHERE id = 2", "UPDATE s.t x SET v = 1 WHERE id = 2 RETURNING *"] {
        let (text, _) = rewritten(form, Image::Columns(&["t", "id"]));
        client.batch_execute("BEGIN").await.unwrap();
        let row = rows(client.simple_query(&text).await.unwrap()).remove(0);
        client.batch_execute("ROLLBACK").await.unwrap();
        assert_eq!(row.get(row.len() - APPENDED_COLUMNS), Some("(\"b,b\",2)"), "{text}");
    }
}

#[tokio::test]
async fn rule_10_of_a_row_with_a_long_value_the_key_alone_is_told() {
    let cluster = Cluster::start(&Options::for_test(Role::Primary)).unwrap();
    let (client, connection) = tokio_postgres::connect(&cluster.url("postgres"), NoTls).await.unwrap();
    tokio::spawn(connection);
    let schema = "CREATE TABLE b (id int, n int, o bytea, t text, \"J s\" json);
        INSERT INTO b VALUES (1, 0, NULL, NULL, NULL), (2, 0, 'o', 't', '1'), (3, 0, decode(repeat('ab', 1 + (1 << 20)), 'hex'), '', NULL),
            (4, 0, '', repeat('t', 1 + (1 << 20)), NULL), (5, 0, '', '', to_json((
                SELECT string_agg(md5(g::text), '') FROM generate_series(1, 40000) g)))";
    client.batch_execute(schema).await.unwrap();
    let bulky = [Bulky::Octets("o"), Bulky::Octets("t"), Bulky::Stored("J s")];
    for (form, key, long) in [
        ("UPDATE b SET n = 1", &["id"][..], [Some("(3)"), Some("(4)"), Some("(5)")]),
        ("UPDATE b x SET n = 1 RETURNING id", &["id"], [Some("(3)"), Some("(4)"), Some("(5)")]),
        ("UPDATE b SET n = 1", &[], [None; 3]),
        ("UPDATE b SET n = 1 RETURNING id", &[], [None; 3]),
    ] {
        let (text, _) = rewritten(form, Image::Unless { bulky: &bulky, key });
        let rows = rows(client.simple_query(&text).await.unwrap());
        let images: Vec<_> = rows.iter().map(|row| row.get(row.len() - APPENDED_COLUMNS)).collect();
        assert_eq!(images[..2], [Some("(1,1,,,)"), Some("(2,1,\"\\\\x6f\",t,1)")], "{text}");
        assert_eq!(images[2..], long, "{text}");
    }
}

fn table() -> impl Strategy<Value = String> {
    prop::sample::select(vec!["t", "s.t", "\"T t\"", "s.\"q\"\"q\"", "ONLY t", "s.t AS a", "t AS \"A\""])
        .prop_map(str::to_owned)
}

fn expression() -> impl Strategy<Value = String> {
    let leaf =
        prop::sample::select(vec!["1", "a", "$1", "'x;y'", "E'\\''", "$$ -- $$", "now()", "NULL", "\"returning\""]);
    leaf.prop_map(str::to_owned).prop_recursive(3, 12, 2, |inner| {
        prop_oneof![
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("({a} + {b})")),
            inner.clone().prop_map(|a| format!("(SELECT {a} FROM u FOR UPDATE)")),
            inner.prop_map(|a| format!("coalesce({a}, 0)")),
        ]
    })
}

fn tail() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec!["", ";", " -- RETURNING", " /* ; */ ;", "--\n;", "\n\n"])
}

fn statement() -> impl Strategy<Value = String> {
    let client = prop::option::of(expression());
    let head = prop::sample::select(vec!["", "WITH w AS (SELECT 1) ", "/* c */ ", "-- c\n"]);
    (head, table(), expression(), expression(), 0..6, client).prop_map(|(head, table, a, b, form, client)| {
        let insert = table.trim_start_matches("ONLY ");
        let body = match form {
            0 => format!("INSERT INTO {insert} VALUES ({a}, {b}), (DEFAULT, {a})"),
            1 => format!("INSERT INTO {insert} SELECT {a} FROM u WHERE {b} LIMIT 1"),
            2 => format!("INSERT INTO {insert} (c) VALUES ({a}) ON CONFLICT (c) DO UPDATE SET c = {b}"),
            3 => format!("UPDATE {table} SET c = {a}, d = {b}"),
            4 => format!("UPDATE {table} SET c = {a} FROM u WHERE {b}"),
            _ => format!("DELETE FROM {table} USING u WHERE {a} = {b}"),
        };
        let client = client.map_or(String::new(), |client| format!(" RETURNING *, {client}"));
        format!("{head}{body}{client}")
    })
}

proptest! {
    #[test]
    fn the_rewritten_text_is_the_original_and_returning(body in statement(), tail in tail()) {
        let original = format!("{body}{tail}");
        let (text, writes) = rewritten(&original, Image::Row);
        prop_assert_eq!(writes, 1, "{}", original);
        let printed = |text: &str| {
            let tree = pg_raw_parse::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"));
            pg_raw_parse::deparse(tree.iter().next().unwrap()).unwrap().as_str().to_owned()
        };
        let (before, after) = (printed(&original), printed(&text));
        let added = after.strip_prefix(&before);
        prop_assert!(added.is_some(), "{} is not the beginning of {}", before, after);
        let added = added.unwrap_or_default();
        prop_assert!(added.starts_with(" RETURNING row(") || added.starts_with(" RETURNING ROW(") || added.starts_with(", pg_catalog.textin("), "{}", added);
        prop_assert!(added.ends_with("pg_catalog.pg_current_wal_insert_lsn()"), "{}", added);
    }
}
