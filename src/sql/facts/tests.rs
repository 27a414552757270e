//! What is found in trees of the grammar.

use super::super::FunctionName;
use super::*;

fn facts(text: &str) -> Facts {
    let tree = pg_raw_parse::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"));
    Facts::of(tree.stmts().next().unwrap())
}

fn tables(text: &str) -> Vec<String> {
    let mut names: Vec<String> = facts(text)
        .read
        .tables
        .into_iter()
        .map(|name| name.schema.map_or(String::new(), |schema| schema + ".") + &name.name)
        .collect();
    names.sort();
    names
}

fn named(functions: Vec<FunctionName>, wanted: impl Fn(Call) -> bool) -> Vec<String> {
    let mut names: Vec<_> =
        functions.into_iter().filter(|function| wanted(function.call)).map(|function| function.name).collect();
    names.sort();
    names
}

fn functions(text: &str) -> Vec<String> {
    let facts = facts(text);
    assert!(!facts.unknown, "{text}");
    named(facts.read.functions, |call| call != Call::Attribute)
}

#[test]
fn tables_are_found_anywhere_and_once() {
    assert_eq!(
        tables("SELECT * FROM a, s.b JOIN \"C\" ON true, LATERAL (SELECT * FROM d) x, a"),
        ["C", "a", "d", "s.b"]
    );
    assert_eq!(
        tables("SELECT (SELECT 1 FROM a) FROM b WHERE EXISTS (SELECT 1 FROM c) ORDER BY (TABLE d)"),
        ["a", "b", "c", "d"]
    );
    assert_eq!(tables("SELECT 1 FROM a UNION SELECT 1 FROM b EXCEPT VALUES ((SELECT 1 FROM c))"), ["a", "b", "c"]);
    assert_eq!(
        tables("SELECT f((SELECT 1 FROM a)) FILTER (WHERE 1 IN (SELECT 1 FROM b)) OVER (ORDER BY (SELECT 1 FROM c))"),
        ["a", "b", "c"]
    );
    assert_eq!(
        tables("SELECT * FROM f((SELECT 1 FROM a)) LIMIT (SELECT 1 FROM b) OFFSET (SELECT 1 FROM c)"),
        ["a", "b", "c"]
    );
}

#[test]
fn a_name_behind_a_dot_may_be_a_function_of_the_row() {
    let attributes = |text: &str| named(facts(text).read.functions, |call| call == Call::Attribute);
    assert_eq!(attributes("SELECT t.f, s.t.g, a FROM t"), ["f", "g"]);
    assert_eq!(attributes("SELECT (t).h, (x[1].y).z, t.* FROM t"), ["h", "y", "z"]);
    assert_eq!(attributes("UPDATE t SET a.b = t.c WHERE d"), ["c"]);
}

#[test]
fn names_of_with_queries_are_no_tables_where_they_are_in_scope() {
    assert_eq!(tables("WITH a AS (SELECT * FROM b) SELECT * FROM a"), ["b"]);
    assert_eq!(tables("WITH a AS (SELECT * FROM a) SELECT * FROM a"), ["a"]);
    assert_eq!(tables("WITH a AS (SELECT * FROM b), b AS (SELECT * FROM a) SELECT * FROM b"), ["b"]);
    assert_eq!(tables("WITH RECURSIVE a AS (SELECT * FROM b), b AS (SELECT * FROM a) SELECT * FROM b"), [""; 0]);
    assert_eq!(tables("SELECT * FROM a, (WITH a AS (SELECT 1) SELECT * FROM a) x"), ["a"]);
    assert_eq!(tables("WITH a AS (SELECT 1) SELECT * FROM s.a"), ["s.a"]);
    assert_eq!(tables("WITH a AS (SELECT 1) SELECT * FROM (SELECT * FROM a) x"), [""; 0]);
}

#[test]
fn functions_and_operators_are_found() {
    assert_eq!(functions("SELECT f(1), s.g(a) FROM h() WHERE a @@ i(2)"), ["@@", "f", "g", "h", "i"]);
    assert_eq!(functions("SELECT count(*) OVER (PARTITION BY f(a) ORDER BY g(a)) FROM t"), ["count", "f", "g"]);
    assert_eq!(functions("SELECT 1 FROM t ORDER BY a USING OPERATOR(s.<<)"), ["<<"]);
    assert_eq!(functions("SELECT * FROM ROWS FROM (f(1), g(2)) x"), ["f", "g"]);
}

#[test]
fn rule_30_syntax_that_is_a_function_is_named() {
    for (expression, names) in [
        ("CURRENT_USER", &["current_user"][..]),
        ("USER", &["current_user"]),
        ("SESSION_USER", &["session_user"]),
        ("CURRENT_SCHEMA", &["current_schema"]),
        ("CURRENT_CATALOG", &["current_database"]),
        ("CURRENT_DATE", &["now"]),
        ("LOCALTIMESTAMP(3)", &["now"]),
        ("'now'::timestamptz", &["now"]),
        ("DATE 'Tomorrow'", &["now"]),
        ("a AT TIME ZONE 'UTC'", &["timezone"]),
        ("EXTRACT(year FROM a)", &["extract"]),
        ("a LIKE 'x%'", &["~~"]),
        ("a NOT ILIKE 'x' ESCAPE '!'", &["!~~*", "like_escape"]),
        ("a SIMILAR TO 'x'", &["similar_to_escape", "~"]),
        ("a BETWEEN 1 AND 2", &["<=", ">="]),
        ("a NOT BETWEEN SYMMETRIC 1 AND 2", &["<", ">"]),
        ("a IN (1, 2)", &["="]),
        ("a IN (SELECT 1)", &["="]),
        ("a < ALL (SELECT 1)", &["<"]),
        ("a IS DISTINCT FROM 1", &["="]),
        ("NULLIF(a, 1)", &["="]),
        ("CASE a WHEN 1 THEN 2 END", &["="]),
        ("COALESCE(a, 1) IS NULL OR GREATEST(a, 1) IS NOT NULL", &[]),
        ("substring(a FROM 1)", &["substring"]),
        ("'t'::regclass", &["regclass"]),
        ("xmlelement(name a, b)", &["xmlelement"]),
        ("json_array(f(1))", &["f", "json_array"]),
        ("JSON_VALUE(a, '$' RETURNING int DEFAULT f() ON ERROR)", &["f", "json_value"]),
        ("a IS JSON", &["is_json"]),
        ("f(a => g())", &["f", "g"]),
        ("(f(a)).b[g(1)]", &["f", "g"]),
    ] {
        assert_eq!(functions(&format!("SELECT {expression} FROM t")), names, "{expression}");
    }
    assert_eq!(functions("SELECT * FROM t TABLESAMPLE bernoulli (f(1))"), ["f", "tablesample"]);
    assert_eq!(functions("SELECT * FROM t JOIN u USING (a)"), ["="]);
    assert_eq!(functions("SELECT * FROM t NATURAL JOIN u"), ["="]);
    assert_eq!(functions("SELECT * FROM xmltable('/a' PASSING x COLUMNS b int PATH 'c')"), ["xmltable"]);
    assert_eq!(functions("SELECT * FROM json_table(x, '$' COLUMNS (b int PATH '$'))"), ["json_table"]);
}

#[test]
fn locks_system_columns_and_types_are_told() {
    assert!(facts("SELECT 1 FROM t FOR UPDATE").read.locks);
    assert!(facts("SELECT 1 FROM (SELECT 1 FROM t FOR KEY SHARE) x").read.locks);
    assert!(facts("SELECT 1 FROM t FOR UPDATE OF t").read.tables.len() == 1);
    assert!(facts("SELECT t.ctid FROM t").read.system_columns);
    assert!(!facts("SELECT t.a, t.* FROM t").read.system_columns);
    assert!(facts("SELECT a::mood FROM t").read.user_types);
    assert!(facts("SELECT * FROM f() x(a s.mood)").read.user_types);
    assert!(facts("SELECT CAST(a AS public.text[]) FROM t").read.user_types);
    for name in ["int", "text[]", "varchar(3)", "pg_catalog.int4", "timestamp with time zone", "_int4", "float"] {
        assert!(!facts(&format!("SELECT a::{name} FROM t")).read.user_types, "{name}");
    }
}

#[test]
fn the_target_of_a_write_is_read_only_if_named_again() {
    assert_eq!(tables("UPDATE t SET a = 1 FROM u"), ["u"]);
    assert_eq!(tables("DELETE FROM t WHERE a IN (SELECT a FROM t)"), ["t"]);
    assert_eq!(tables("INSERT INTO t SELECT * FROM u ON CONFLICT (a) DO UPDATE SET b = (SELECT 1 FROM v)"), ["u", "v"]);
    assert_eq!(functions("UPDATE t SET (a, b) = (SELECT f(), g()) RETURNING h(a)"), ["f", "g", "h"]);
}
