//! Definitions of all sorts.

use super::*;
use crate::sql::analyze;

fn ddl(text: &str) -> Definition {
    match std::sync::Arc::unwrap_or_clone(analyze(text.as_bytes()).statements.remove(0).kind) {
        Kind::Ddl { targets, deed, temporary, cluster_wide, outside_transaction, query, .. } => {
            Definition { targets, deed, temporary, cluster_wide, outside_transaction, query }
        }
        other => panic!("{text}: {other:?}"),
    }
}

fn targets(text: &str) -> Vec<String> {
    let targets = ddl(text).targets.into_iter();
    targets.map(|name| name.schema.map_or(String::new(), |schema| schema + ".") + &name.name).collect()
}

#[test]
fn definitions_name_their_relations() {
    for (text, expected) in [
        ("CREATE TABLE a (b int) INHERITS (s.c)", &["a", "s.c"][..]),
        ("CREATE TABLE a PARTITION OF b DEFAULT", &["a", "b"]),
        ("CREATE TABLE a AS SELECT 1", &["a"]),
        ("CREATE TABLE a AS WITH x AS (DELETE FROM b RETURNING *) SELECT * FROM x", &["a", "b"]),
        ("SELECT 1 INTO a FROM b", &["a"]),
        ("SELECT 1 INTO a UNION SELECT 2", &["a"]),
        ("ALTER TABLE s.a ADD b int", &["s.a"]),
        ("ALTER TABLE a ATTACH PARTITION b DEFAULT", &["a", "b"]),
        ("ALTER TABLE a INHERIT b", &["a", "b"]),
        ("ALTER TABLE a RENAME TO b", &["a"]),
        ("ALTER TABLE a SET SCHEMA b", &["a"]),
        ("DROP TABLE a, s.b", &["a", "s.b"]),
        ("DROP TRIGGER x ON s.a", &["s.a"]),
        ("DROP FUNCTION f(int)", &[]),
        ("DROP SCHEMA s CASCADE", &[]),
        ("CREATE INDEX ON a (b)", &["a"]),
        ("CREATE POLICY p ON a", &["a"]),
        ("CREATE RULE r AS ON INSERT TO a DO NOTHING", &["a"]),
        ("CREATE TRIGGER x BEFORE INSERT ON a EXECUTE FUNCTION f()", &["a"]),
        ("CREATE VIEW v AS SELECT 1", &["v"]),
        ("GRANT SELECT (b) ON a, s.c TO bob", &["a", "s.c"]),
        ("GRANT EXECUTE ON FUNCTION f(int) TO bob", &[]),
        ("GRANT SELECT ON ALL TABLES IN SCHEMA s TO bob", &[]),
        ("REVOKE ALL ON SCHEMA s FROM bob", &[]),
        ("REFRESH MATERIALIZED VIEW a", &["a"]),
        ("CREATE FOREIGN TABLE a (b int) SERVER s", &[]),
        ("COMMENT ON TABLE a IS 'x'", &[]),
        ("CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 1'", &[]),
        ("CREATE EXTENSION x", &[]),
        ("ALTER TYPE t ADD VALUE 'x'", &[]),
        ("ALTER DEFAULT PRIVILEGES GRANT SELECT ON TABLES TO bob", &[]),
        ("CREATE STATISTICS s ON a, b FROM t", &[]),
        ("CREATE OPERATOR <+> (FUNCTION = f, LEFTARG = int)", &[]),
        ("DROP OWNED BY bob", &[]),
    ] {
        assert_eq!(targets(text), expected, "{text}");
    }
}

#[test]
fn rule_12_what_of_the_catalog_a_definition_disturbs() {
    for (text, expected) in [
        ("CREATE TABLE s.a (b int)", Some(&["a"][..])),
        ("CREATE TABLE a (b int REFERENCES c, FOREIGN KEY (b) REFERENCES s.d)", Some(&["a", "c", "d"])),
        ("CREATE TABLE a PARTITION OF b DEFAULT", Some(&["a", "b"])),
        ("CREATE TABLE heir () INHERITS (b)", Some(&["heir", "b"])),
        ("CREATE TABLE a AS SELECT * FROM b", Some(&["a"])),
        ("SELECT 1 INTO a FROM b", Some(&["a"])),
        ("ALTER TABLE a ADD b int REFERENCES c", Some(&["a", "c"])),
        ("ALTER TABLE a ADD FOREIGN KEY (b) REFERENCES c", Some(&["a", "c"])),
        ("ALTER TABLE a DETACH PARTITION b CONCURRENTLY", Some(&["a", "b"])),
        ("ALTER TABLE a ADD b int NOT NULL, DROP c, ALTER d TYPE text", Some(&["a"])),
        ("ALTER TABLE a ADD b int DEFAULT f()", Some(&["a"])),
        ("ALTER TABLE a ADD b int NOT NULL DEFAULT 0, ADD UNIQUE (b)", Some(&["a"])),
        ("ALTER TABLE a RENAME TO b", Some(&["a", "b"])),
        ("ALTER TABLE a RENAME b TO c", Some(&["a", "c"])),
        ("ALTER TABLE a SET SCHEMA s", Some(&["a"])),
        ("ALTER INDEX a RENAME TO b", Some(&["a", "b"])),
        ("CREATE UNIQUE INDEX CONCURRENTLY i ON s.a (b)", Some(&["a"])),
        ("DROP TABLE a, s.b CASCADE", Some(&["a", "b"])),
        ("DROP VIEW v", Some(&["v"])),
        ("DROP TRIGGER t ON a", Some(&["a"])),
        ("CREATE CONSTRAINT TRIGGER t AFTER INSERT ON a FROM b FOR EACH ROW EXECUTE FUNCTION f()", Some(&["a", "b"])),
        ("CREATE POLICY p ON a", Some(&["a"])),
        ("CREATE RULE r AS ON INSERT TO a DO ALSO INSERT INTO b VALUES (1)", Some(&["a"])),
        ("CREATE OR REPLACE VIEW v AS SELECT 1", Some(&["v"])),
        ("GRANT SELECT ON a TO bob", Some(&["a"])),
        ("COMMENT ON TABLE a IS 'x'", Some(&[])),
        ("CREATE TYPE t AS ENUM ('a')", Some(&[])),
        ("ALTER TYPE t ADD VALUE 'b'", Some(&[])),
        ("ALTER TYPE t RENAME VALUE 'b' TO 'c'", None),
        ("DROP TYPE t CASCADE", None),
        ("DROP INDEX i", None),
        ("ALTER TYPE t ADD ATTRIBUTE a int CASCADE", None),
        ("ALTER TYPE t RENAME ATTRIBUTE a TO b", None),
        ("DROP FUNCTION f() CASCADE", None),
        ("DROP SCHEMA s CASCADE", None),
        ("CREATE SCHEMA s CREATE TABLE a (b int)", None),
        ("CREATE OR REPLACE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 1'", None),
        ("ALTER FUNCTION f() VOLATILE", None),
        ("GRANT SELECT ON ALL TABLES IN SCHEMA s TO bob", None),
        ("GRANT bob TO alice", None),
        ("CREATE EXTENSION x", None),
    ] {
        let disturbed = match &*analyze(text.as_bytes()).statements[0].kind {
            Kind::Ddl { disturbed, .. } => disturbed.clone(),
            other => panic!("{text}: {other:?}"),
        };
        let names = match &disturbed {
            Disturbed::Relations(names) | Disturbed::Names(names) | Disturbed::Shapes(names) => {
                Some(names.iter().map(String::as_str).collect::<Vec<_>>())
            }
            Disturbed::Everything => None,
        };
        assert_eq!(names.as_deref(), expected, "{text}");
        let leads = [
            "TRIGGER t A",
            "RULE",
            "VIEW v AS",
            "REFERENCES",
            "ATTACH",
            "CREATE TABLE s.a",
            "INHERITS",
            "DETACH",
            "DEFAULT f",
        ];
        let leads = leads.iter().any(|words| text.contains(words));
        assert_eq!(matches!(disturbed, Disturbed::Relations(_)), leads && names.is_some(), "{text}");
    }
}

#[test]
fn queries_within_definitions() {
    let named = |text: &str| match ddl(text).query {
        Some(DefiningQuery::Runs(Some(read))) => format!("runs {}", read.functions[0].name),
        Some(DefiningQuery::Runs(None)) => "runs".to_owned(),
        Some(DefiningQuery::View(read)) => format!("reads {}", read.functions[0].name),
        Some(DefiningQuery::Table(read)) => {
            let functions = read.functions.iter().map(|function| &function.name);
            let found: Vec<_> = functions.chain(read.tables.iter().map(|table| &table.name)).cloned().collect();
            format!("calls {}", found.join(" "))
        }
        None => String::new(),
    };
    for (text, expected) in [
        ("CREATE TABLE a AS SELECT f()", "runs f"),
        ("CREATE TEMP TABLE a AS SELECT * FROM f()", "runs f"),
        ("CREATE MATERIALIZED VIEW a AS SELECT f()", "runs f"),
        ("SELECT f() INTO TEMP a", "runs f"),
        ("CREATE TABLE a AS EXECUTE p(1)", "runs"),
        ("CREATE TEMP VIEW a AS SELECT f()", "reads f"),
        ("CREATE TABLE a (b int DEFAULT f())", ""),
    ] {
        assert_eq!(named(text), expected, "{text}");
    }
}

#[test]
fn what_is_temporary() {
    for text in [
        "CREATE TEMP TABLE a (b int)",
        "CREATE TEMPORARY VIEW a AS SELECT 1",
        "CREATE TABLE pg_temp.a (b int)",
        "SELECT 1 INTO TEMP a",
        "CREATE TEMP TABLE a AS SELECT 1",
        "CREATE TEMP SEQUENCE a",
        "DROP TABLE pg_temp.a",
    ] {
        assert!(ddl(text).temporary, "{text}");
    }
    for text in [
        "CREATE TABLE a (b int)",
        "CREATE UNLOGGED TABLE a (b int)",
        "DROP TABLE a, pg_temp.b",
        "DROP FUNCTION f()",
        "CREATE TEMP TABLE a AS WITH x AS (DELETE FROM b RETURNING *) SELECT * FROM x",
    ] {
        assert!(!ddl(text).temporary, "{text}");
    }
}

#[test]
fn what_is_not_for_the_other_database() {
    for text in [
        "CREATE DATABASE a",
        "DROP DATABASE a",
        "ALTER DATABASE a SET b = 1",
        "CREATE ROLE a",
        "ALTER USER a PASSWORD 'x'",
        "DROP ROLE a",
        "GRANT a TO b",
        "CREATE TABLESPACE a LOCATION '/b'",
        "ALTER SYSTEM SET a = 1",
        "CREATE SUBSCRIPTION a CONNECTION '' PUBLICATION b",
        "GRANT CONNECT ON DATABASE a TO b",
    ] {
        assert!(ddl(text).cluster_wide, "{text}");
    }
    assert!(!ddl("CREATE SCHEMA a").cluster_wide);
}

#[test]
fn what_refuses_a_transaction() {
    for text in [
        "CREATE INDEX CONCURRENTLY a ON b (c)",
        "DROP INDEX CONCURRENTLY a",
        "CREATE DATABASE a",
        "ALTER TABLE a DETACH PARTITION b CONCURRENTLY",
        "ALTER SYSTEM SET a = 1",
    ] {
        assert!(ddl(text).outside_transaction, "{text}");
    }
    assert!(!ddl("CREATE INDEX a ON b (c)").outside_transaction);
}
