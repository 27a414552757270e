//! Functions, operators, views.

use super::*;
use crate::catalog::Volatility;

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
        (None, "lo_import", Volatility::Opaque),
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
