//! Functions, operators, views.

use std::collections::HashSet;

use super::*;
use crate::catalog::Volatility;
use crate::effect::Touched;

#[tokio::test]
async fn rule_30_functions_are_as_safe_as_the_worst_of_their_name() {
    let (_cluster, client) = server().await;
    run(
        &client,
        "CREATE FUNCTION fixed(int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT 1';
         CREATE FUNCTION mixed(int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT 1';
         CREATE FUNCTION mixed(text) RETURNS int LANGUAGE sql VOLATILE AS 'SELECT 1';
         CREATE FUNCTION steady() RETURNS int LANGUAGE sql STABLE AS 'SELECT 1';
         CREATE FUNCTION lower(int) RETURNS int LANGUAGE sql VOLATILE AS 'SELECT 1';
         CREATE FUNCTION step(int, int) RETURNS int LANGUAGE sql VOLATILE AS 'SELECT 1';
         CREATE AGGREGATE total(int) (SFUNC = step, STYPE = int);
         CREATE OPERATOR ### (LEFTARG = int, RIGHTARG = int, FUNCTION = step);
         CREATE OPERATOR @@@ (RIGHTARG = int, FUNCTION = fixed)",
    )
    .await;
    let catalog = catalog(&client).await;
    for (schema, name, expected) in [
        (None, "fixed", Volatility::Safe),
        (None, "mixed", Volatility::Opaque),
        (None, "steady", Volatility::Stable),
        (None, "lower", Volatility::Opaque),
        (Some("pg_catalog"), "lower", Volatility::Safe),
        (None, "total", Volatility::Opaque),
        (None, "###", Volatility::Opaque),
        (None, "@@@", Volatility::Safe),
        (None, "=", Volatility::Safe),
        (None, "count", Volatility::Safe),
        (None, "jsonb_agg", Volatility::Safe),
        (None, "to_char", Volatility::Safe),
        (None, "now", Volatility::Clock),
        (None, "current_date", Volatility::Clock),
        (None, "current_user", Volatility::Local),
        (None, "age", Volatility::Clock),
        (None, "version", Volatility::Local),
        (None, "random", Volatility::Local),
        (None, "pg_advisory_lock", Volatility::Local),
        (None, "query_to_xml", Volatility::Opaque),
        (None, "lo_import", Volatility::Local),
        (Some("pg_catalog"), "regtype", Volatility::Local),
        (None, "regtype", Volatility::Opaque),
        (None, "nobody_made_this", Volatility::Opaque),
        (Some("public"), "count", Volatility::Opaque),
    ] {
        assert_eq!(catalog.volatility(schema, name), expected, "{name}");
    }
}

#[tokio::test]
async fn rule_29_views_expand_to_the_tables_behind_them() {
    let (_cluster, client) = server().await;
    run(
        &client,
        "CREATE TABLE a (id int PRIMARY KEY, t text); CREATE TABLE b (id int PRIMARY KEY, a int);
         CREATE TABLE p (id int PRIMARY KEY) PARTITION BY RANGE (id); CREATE TABLE p1 PARTITION OF p DEFAULT;
         CREATE FUNCTION steady() RETURNS int LANGUAGE sql STABLE AS 'SELECT 1';
         CREATE VIEW joined AS SELECT a.id, count(*) FROM a JOIN b ON b.a = a.id WHERE t LIKE 'x%' GROUP BY 1;
         CREATE VIEW over AS SELECT * FROM joined WHERE id IN (SELECT id FROM p1);
         CREATE VIEW clock AS SELECT now(), id FROM a; CREATE VIEW keyword AS SELECT current_date, id FROM a;
         CREATE VIEW own AS SELECT steady(), id FROM a; CREATE VIEW over_own AS SELECT id FROM own;
         CREATE VIEW system AS SELECT oid FROM pg_class;
         CREATE MATERIALIZED VIEW m AS SELECT 1 AS id; CREATE VIEW old AS SELECT id FROM m",
    )
    .await;
    let catalog = catalog(&client).await;
    let ids = |names: &[&str]| {
        let mut ids: Vec<_> = names.iter().map(|name| catalog.table(name).shape.table).collect();
        ids.sort_unstable();
        ids
    };
    let behind = |name: &str| match catalog.resolve(Some("public"), name, &[]) {
        Resolved::View(tables) => tables.map(|mut tables| {
            tables.sort_unstable();
            tables
        }),
        other => panic!("{name} is {other:?}"),
    };
    assert_eq!(behind("joined"), Some(ids(&["a", "b"])));
    assert_eq!(behind("over"), Some(ids(&["a", "b", "p"])));
    for name in ["clock", "keyword", "own", "over_own", "system", "old"] {
        assert_eq!(behind(name), None, "{name}");
    }
}

#[tokio::test]
async fn rule_11_a_write_through_a_view_reaches_what_is_behind_it_unless_something_else_acts() {
    let (_cluster, client) = server().await;
    run(
        &client,
        "CREATE TABLE a (id int PRIMARY KEY, t text); CREATE TABLE child (id int PRIMARY KEY, a int REFERENCES a ON DELETE CASCADE);
         CREATE TABLE acting (id int PRIMARY KEY);
         CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN EXECUTE ''SELECT 1''; RETURN NULL; END';
         CREATE FUNCTION guess() RETURNS int LANGUAGE sql VOLATILE AS 'SELECT 1';
         CREATE TRIGGER t AFTER INSERT ON acting FOR EACH ROW EXECUTE FUNCTION f();
         CREATE VIEW plain AS SELECT id, t FROM a WHERE id < 50; CREATE VIEW over AS SELECT * FROM plain;
         CREATE VIEW to_child AS SELECT * FROM child; CREATE VIEW to_acting AS SELECT * FROM acting;
         CREATE VIEW instead AS SELECT id FROM a;
         CREATE TRIGGER t INSTEAD OF INSERT ON instead FOR EACH ROW EXECUTE FUNCTION f();
         CREATE VIEW over_instead AS SELECT id FROM instead;
         CREATE VIEW ruled AS SELECT id FROM a; CREATE RULE r AS ON INSERT TO ruled DO INSTEAD DELETE FROM acting;
         CREATE VIEW guessing AS SELECT id, t FROM a; ALTER VIEW guessing ALTER id SET DEFAULT guess();
         CREATE VIEW calling AS SELECT guess() AS id; CREATE VIEW twice AS SELECT id FROM a;
         CREATE SCHEMA other; CREATE TABLE other.twice (id int PRIMARY KEY)",
    )
    .await;
    let catalog = catalog(&client).await;
    let reached = |names: &[&str]| names.iter().map(|name| catalog.table(name).shape.table).collect::<HashSet<_>>();
    for (name, expected) in [
        ("plain", Some(reached(&["a", "child"]))),
        ("over", Some(reached(&["a", "child"]))),
        ("to_child", Some(reached(&["child"]))),
        ("to_acting", None),
        ("instead", None),
        ("over_instead", None),
        ("ruled", None),
        ("guessing", None),
        ("calling", None),
        ("twice", None),
    ] {
        let found = match catalog.through_views.get(name) {
            Some(Touched::Tables(tables)) => Some(tables.iter().copied().collect::<HashSet<_>>()),
            Some(Touched::All) | None => None,
        };
        assert_eq!(found, expected, "{name}");
    }
}

#[tokio::test]
async fn rule_15_a_database_tells_whether_its_code_looks_at_texts_or_runs_at_the_commit() {
    let (_cluster, client) = server().await;
    run(&client, "CREATE TABLE t (id int, v text); CREATE VIEW w AS SELECT id FROM t WHERE v = 'current_query'").await;
    let told = async || {
        let catalog = catalog(&client).await;
        (catalog.texts_are_read, catalog.triggers_are_deferred)
    };
    assert_eq!(told().await, (false, false));
    for (made, undone) in [
        (
            "CREATE FUNCTION f() RETURNS void LANGUAGE plpgsql AS 'BEGIN PERFORM Current_Query(); END'",
            "DROP FUNCTION f()",
        ),
        ("CREATE FUNCTION f() RETURNS text LANGUAGE sql RETURN current_query()", "DROP FUNCTION f()"),
        ("ALTER TABLE t ALTER v SET DEFAULT current_query()", "ALTER TABLE t ALTER v DROP DEFAULT"),
        ("CREATE VIEW x AS SELECT current_query()", "DROP VIEW x"),
        ("CREATE VIEW x AS SELECT query FROM pg_stat_activity", "DROP VIEW x"),
    ] {
        run(&client, made).await;
        assert_eq!(told().await, (true, false), "{made}");
        run(&client, undone).await;
    }
    let deferred =
        "CREATE FUNCTION g() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN EXECUTE ''SELECT 1''; RETURN NULL; END';
         CREATE CONSTRAINT TRIGGER g AFTER INSERT ON t DEFERRABLE FOR EACH ROW EXECUTE FUNCTION g()";
    run(&client, deferred).await;
    assert_eq!(told().await, (false, true));
    assert!(!catalog(&client).await.ddl_is_watched);
    let watching = "CREATE FUNCTION e() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN END';
         CREATE EVENT TRIGGER e ON ddl_command_end EXECUTE FUNCTION e()";
    run(&client, watching).await;
    assert!(catalog(&client).await.ddl_is_watched);
}

#[tokio::test]
async fn rule_15_functions_that_only_draw_a_value_are_known() {
    let (_cluster, client) = server().await;
    run(
        &client,
        "CREATE EXTENSION pgcrypto; CREATE TABLE salted (id int PRIMARY KEY, salt text DEFAULT gen_salt('md5'));
         CREATE FUNCTION writing() RETURNS text LANGUAGE sql AS 'SELECT gen_salt(''md5'')';
         CREATE TABLE written (id int PRIMARY KEY, salt text DEFAULT writing())",
    )
    .await;
    let catalog = catalog(&client).await;
    assert_eq!(catalog.volatility(None, "gen_salt"), Volatility::Stable);
    assert_eq!(catalog.volatility(None, "writing"), Volatility::Opaque);
    let reaches_all = |name| catalog.table(name).leads.by_writing() == Touched::All;
    assert!(!reaches_all("salted") && reaches_all("written"));
}

#[tokio::test]
async fn rule_15_what_is_written_belongs_to_the_root_and_what_is_unknown_to_all() {
    let (_cluster, client) = server().await;
    run(
        &client,
        "CREATE TABLE a (id int); CREATE TABLE p (id int) PARTITION BY LIST (id); CREATE TABLE p1 PARTITION OF p DEFAULT;
         CREATE MATERIALIZED VIEW m AS SELECT 1",
    )
    .await;
    let catalog = catalog(&client).await;
    let mut oids = std::collections::HashMap::new();
    for name in ["a", "p", "p1", "m", "pg_class"] {
        let found = client.query_one("SELECT oid FROM pg_class WHERE relname = $1::text", &[&name]).await.unwrap();
        oids.insert(name, found.get::<_, u32>(0));
    }
    let written = |names: &[&str]| catalog.written(&names.iter().map(|name| oids[name]).collect::<Vec<_>>());
    let mut both = vec![catalog.table("a").shape.table, catalog.table("p").shape.table];
    both.sort_unstable();
    assert_eq!(written(&["p1", "a", "p", "a"]), Touched::Tables(both));
    assert_eq!(written(&["m", "pg_class"]), Touched::NONE);
    assert_eq!(catalog.written(&[oids["a"], 0]), Touched::All);
}
