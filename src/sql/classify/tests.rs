//! One statement of each kind, and what is told of it.

use super::*;
use crate::sql::Access;
use crate::sql::{Setting, SettingValue, analyze};

fn kind(text: &str) -> Kind {
    let mut statements = analyze(text.as_bytes()).statements;
    assert_eq!(statements.len(), 1, "{text}");
    std::sync::Arc::unwrap_or_clone(statements.remove(0).kind)
}

fn write(text: &str) -> Write {
    match kind(text) {
        Kind::Write(write) => *write,
        other => panic!("{text}: {other:?}"),
    }
}

fn name(text: &str) -> Name {
    let (schema, name) = text.split_once('.').map_or((None, text), |(schema, name)| (Some(schema), name));
    Name { schema: schema.map(str::to_owned), name: name.to_owned() }
}

fn names(texts: &[&str]) -> Vec<Name> {
    texts.iter().map(|text| name(text)).collect()
}

fn set(name: &str, local: bool, value: SettingValue) -> Kind {
    Kind::Set(Setting { name: name.to_owned(), local, value })
}

fn values(values: &[&str]) -> SettingValue {
    SettingValue::Values(values.iter().map(|&value| value.to_owned()).collect())
}

#[test]
fn a_read_is_a_read() {
    for text in
        ["SELECT 1", "VALUES (1)", "TABLE t", "WITH a AS (SELECT 1) SELECT * FROM a", "(SELECT 1) UNION SELECT 2"]
    {
        assert!(matches!(kind(text), Kind::Read(_)), "{text}");
    }
}

#[test]
fn a_write_tells_its_table_and_columns() {
    let insert = write("INSERT INTO s.\"T\" AS x (a) VALUES (1) ON CONFLICT (a) DO UPDATE SET b = 2, c[1] = 3");
    assert_eq!((insert.verb, insert.target, insert.alias), (Verb::Insert, name("s.T"), Some("x".to_owned())));
    assert_eq!(insert.set_columns, ["b", "c"]);
    assert!(!insert.returning && !insert.unusual);

    let update = write("UPDATE ONLY T SET (a, B) = (1, 2) WHERE CURRENT OF c RETURNING *");
    assert_eq!((update.verb, update.target, update.alias), (Verb::Update, name("t"), None));
    assert_eq!(update.set_columns, ["a", "b"]);
    assert!(update.returning && update.unusual);

    let delete = write("WITH x AS (SELECT 1) DELETE FROM t USING x WHERE f(t.a)");
    assert_eq!((delete.verb, delete.target), (Verb::Delete, name("t")));
    let functions = delete.reads.functions.iter().map(|function| (function.name.as_str(), function.call));
    assert_eq!(functions.collect::<Vec<_>>(), [("f", Call::Name), ("a", Call::Attribute)]);
}

#[test]
fn what_the_rewrite_does_not_cover_is_unusual() {
    assert!(write("UPDATE t SET a = 1 RETURNING WITH (OLD AS o) o.a").unusual);
    assert!(write("UPDATE t SET a = 1 FROM s.t WHERE true").unusual);
    assert!(!write("UPDATE t AS x SET a = 1 FROM s.t WHERE true").unusual);
    assert!(!write("UPDATE s.t SET a = 1 FROM y.t WHERE true").unusual);
}

#[test]
fn writes_in_other_forms_name_all_their_targets() {
    for (text, targets) in [
        ("MERGE INTO t USING u ON t.a = u.a WHEN MATCHED THEN DELETE", &["t"][..]),
        ("WITH x AS (DELETE FROM s.a RETURNING *) SELECT * FROM x", &["s.a"]),
        ("EXPLAIN ANALYZE UPDATE t SET a = 1", &["t"]),
        ("EXPLAIN (ANALYZE on) UPDATE t SET a = 1", &["t"]),
        ("COPY (DELETE FROM t RETURNING *) TO STDOUT", &["t"]),
        ("EXPLAIN ANALYZE SELECT f()", &[]),
        ("EXPLAIN ANALYZE SELECT a FROM t", &[]),
    ] {
        match kind(text) {
            Kind::OtherWrite { targets: found, .. } => assert_eq!(found, names(targets), "{text}"),
            other => panic!("{text}: {other:?}"),
        }
    }
    match kind("WITH x AS (INSERT INTO a VALUES (f()) RETURNING *) INSERT INTO b SELECT g() FROM x") {
        Kind::OtherWrite { mut targets, reads } => {
            targets.sort_by(|a, b| a.name.cmp(&b.name));
            assert_eq!(targets, names(&["a", "b"]));
            assert_eq!(reads.functions.len(), 2);
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn transactions() {
    let begin = |access, repeatable| Kind::Begin { access, repeatable };
    for (text, expected) in [
        ("BEGIN", begin(Access::Default, false)),
        ("START TRANSACTION READ ONLY", begin(Access::ReadOnly, false)),
        ("BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY", begin(Access::ReadOnly, true)),
        ("BEGIN ISOLATION LEVEL SERIALIZABLE READ WRITE", begin(Access::ReadWrite, true)),
        ("BEGIN ISOLATION LEVEL READ UNCOMMITTED", begin(Access::Default, false)),
        ("END", Kind::Commit { chain: false }),
        ("COMMIT AND CHAIN", Kind::Commit { chain: true }),
        ("ABORT", Kind::Rollback { chain: false }),
        ("ROLLBACK AND CHAIN", Kind::Rollback { chain: true }),
        ("SAVEPOINT A", Kind::Savepoint("a".into())),
        ("RELEASE SAVEPOINT a", Kind::Release("a".into())),
        ("ROLLBACK TO \"A\"", Kind::RollbackTo("A".into())),
        ("PREPARE TRANSACTION 'g'", Kind::PrepareTransaction("g".into())),
        ("COMMIT PREPARED 'g'", Kind::CommitPrepared("g".into())),
        ("ROLLBACK PREPARED 'g'", Kind::RollbackPrepared("g".into())),
    ] {
        assert_eq!(kind(text), expected, "{text}");
    }
}

#[test]
fn settings() {
    for (text, expected) in [
        ("SET search_path = a, \"B\"", set("search_path", false, values(&["a", "B"]))),
        ("SET LOCAL statement_timeout TO 10", set("statement_timeout", true, values(&["10"]))),
        ("SET SCHEMA 'x'", set("search_path", false, values(&["x"]))),
        ("SET NAMES 'UTF8'", set("client_encoding", false, values(&["UTF8"]))),
        ("SET TIME ZONE 'UTC'", set("timezone", false, values(&["UTC"]))),
        ("SET TIME ZONE INTERVAL '1' HOUR TO MINUTE", set("timezone", false, SettingValue::Other)),
        ("SET TIME ZONE LOCAL", set("timezone", false, SettingValue::Default)),
        ("SET ROLE bob", set("role", false, values(&["bob"]))),
        ("SET ROLE NONE", set("role", false, values(&["none"]))),
        ("RESET ROLE", set("role", false, SettingValue::Default)),
        ("SET SESSION AUTHORIZATION bob", set("session_authorization", false, values(&["bob"]))),
        ("RESET SESSION AUTHORIZATION", set("session_authorization", false, SettingValue::Default)),
        ("SET DateStyle TO DEFAULT", set("datestyle", false, SettingValue::Default)),
        ("SET a.b FROM CURRENT", set("a.b", false, SettingValue::Other)),
        ("RESET ALL", set("all", false, SettingValue::Default)),
        ("SET TRANSACTION READ ONLY", set("transaction", false, values(&["transaction_read_only=1"]))),
        ("SET TRANSACTION SNAPSHOT '1-1'", set("transaction", false, SettingValue::Other)),
        (
            "SET SESSION CHARACTERISTICS AS TRANSACTION ISOLATION LEVEL SERIALIZABLE",
            set("session_characteristics", false, values(&["transaction_isolation=serializable"])),
        ),
        ("DISCARD ALL", Kind::Discard { all: true }),
        ("DISCARD TEMP", Kind::Discard { all: false }),
    ] {
        assert_eq!(kind(text), expected, "{text}");
    }
}

#[test]
fn prepared_statements() {
    let text = "PREPARE p (int, text) AS /* as */ UPDATE t SET a = $1 -- end";
    match kind(text) {
        Kind::Prepare { name, body } => {
            assert_eq!((name.as_str(), &text[body.span.clone()]), ("p", "UPDATE t SET a = $1"));
            assert!(matches!(*body.kind, Kind::Write(_)));
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(kind("EXECUTE p(1, 'a')"), Kind::Execute { name: "p".into(), calls: false });
    assert_eq!(kind("EXECUTE p(now())"), Kind::Execute { name: "p".into(), calls: true });
    assert_eq!(kind("DEALLOCATE p"), Kind::Deallocate(Some("p".into())));
    assert_eq!(kind("DEALLOCATE ALL"), Kind::Deallocate(None));
}

#[test]
fn copies_and_truncations() {
    let copy = |target| Kind::CopyFrom { target: name(target), reads: Read::default() };
    assert_eq!(kind("COPY s.t (a) FROM STDIN"), copy("s.t"));
    assert_eq!(kind("COPY t FROM PROGRAM 'x'"), copy("t"));
    let Kind::CopyFrom { reads, .. } = kind("COPY t FROM STDIN WHERE f(a)") else { panic!("it is a COPY") };
    assert_eq!(reads.functions.len(), 1);
    for text in ["COPY t TO STDOUT", "COPY (SELECT * FROM t) TO '/tmp/x'"] {
        assert!(matches!(kind(text), Kind::CopyTo(read) if read.tables == names(&["t"])), "{text}");
    }
    let targets = names(&["a", "s.b"]);
    assert_eq!(kind("TRUNCATE a, ONLY s.b CASCADE"), Kind::Truncate { targets, cascade: true });
    assert!(matches!(kind("DECLARE c CURSOR FOR SELECT * FROM t FOR UPDATE"), Kind::DeclareCursor(read) if read.locks));
}

#[test]
fn what_writes_no_row() {
    for text in [
        "FETCH 1 FROM c",
        "MOVE c",
        "CLOSE c",
        "LISTEN x",
        "UNLISTEN *",
        "NOTIFY x",
        "SHOW all",
        "CHECKPOINT",
        "VACUUM FULL t",
        "ANALYZE",
        "LOCK TABLE t",
        "EXPLAIN DELETE FROM t",
        "EXPLAIN (ANALYZE false) DELETE FROM t",
        "CLUSTER t",
        "EXPLAIN ANALYZE SELECT 1",
        "REINDEX TABLE CONCURRENTLY t",
        "SET CONSTRAINTS ALL DEFERRED",
    ] {
        assert_eq!(kind(text), Kind::Utility { session_state: false }, "{text}");
    }
    assert_eq!(kind("LOAD 'x'"), Kind::Utility { session_state: true });
}

#[test]
fn what_may_write_anything() {
    assert_eq!(kind("DO $$ BEGIN END $$"), Kind::Procedure);
    assert_eq!(kind("CALL p(1)"), Kind::Procedure);
    assert_eq!(kind("EXPLAIN ANALYZE EXECUTE p"), Kind::Opaque);
}

#[test]
fn settings_set_by_function() {
    let set = |name: &str, value: &str, local| Setting {
        name: name.into(),
        local,
        value: SettingValue::Values(vec![value.into()]),
    };
    let path = Setting { name: "search_path".into(), local: true, value: SettingValue::List("a, \"B\"".into()) };
    let unseen = Setting { name: "role".into(), local: true, value: SettingValue::Other };
    let reset = Setting { name: "work_mem".into(), local: false, value: SettingValue::Default };
    for (text, expected) in [
        ("select set_config('App.Tenant', '7', true)", vec![set("app.tenant", "7", true)]),
        (
            "select pg_catalog.set_config('search_path', 'a, \"B\"', 'on'), set_config('role', $1, true)",
            vec![path, unseen.clone()],
        ),
        (
            "select current_setting('jit') as cur, set_config('jit', 'off', false) as new",
            vec![set("jit", "off", false)],
        ),
        ("select set_config('work_mem', null, false)", vec![reset]),
        ("select set_config($1, 'x', true)", vec![]),
        ("select set_config('a.b', 'x', $1)", vec![]),
        ("select set_config('a.b', 'x', true) from t", vec![]),
        ("select set_config('a.b', 'x', true) where false", vec![]),
        ("select set_config('a.b', 'x', true) limit 0", vec![]),
        ("select set_config('a.b', 'x', true) order by set_config('c.d', 'x', true)", vec![]),
        ("select set_config('a.b', 'x', true) union select 'y'", vec![]),
        ("select case when random() < 0.5 then set_config('a.b', 'x', true) end", vec![]),
        ("select set_config('a.b', 'x', true), f()", vec![]),
        ("select set_config('a.b', set_config('c.d', 'x', true), true)", vec![]),
        ("select set_config('role', $1::text, true)", vec![unseen.clone()]),
        ("select set_config('role', $1::of_a_user, true)", vec![]),
        ("select current_setting('a.b')", vec![]),
        ("select 1", vec![]),
    ] {
        let script = analyze(text.as_bytes());
        let Kind::Read(read) = &*script.statements[0].kind else { panic!("{text}") };
        assert_eq!(read.settings, expected, "{text}");
    }
}
