//! What is written beside a statement's own rows.

use std::sync::Arc;

use super::support::*;
use crate::catalog::{Catalog, Leads, Removal, Resolved, Table};
use crate::effect::{Referring, TableId, Touched};

const CHILD: TableId = TableId(400);
const GRANDCHILD: TableId = TableId(500);

/// With what is written with `t`, and a table `x` that is not mirrored with the same.
fn leading(leads: &Leads) -> Catalog {
    let mut catalog = catalog();
    let t = catalog.tables.get_mut(&TableId(100)).unwrap();
    *t = Arc::new(Table { leads: leads.clone(), ..Table::clone(t) });
    let of_t = Resolved::Table(Arc::clone(t));
    catalog.names.insert("t".into(), vec![("public".into(), of_t)]);
    let leads = Arc::new(leads.clone());
    catalog.names.insert("x".into(), vec![("public".into(), Resolved::Unmirrored(Arc::clone(&leads)))]);
    catalog.unmirrored.insert(900, leads);
    catalog
}

fn foreign_keys() -> Leads {
    let referring = Referring { table: CHILD, columns: vec![("of".into(), "pg_catalog.int4".into())] };
    Leads {
        removal: Removal {
            touched: Touched::of([CHILD, GRANDCHILD]),
            whole: Touched::of([GRANDCHILD]),
            referring: vec![Arc::new(referring)],
        },
        rekeying: Touched::of([CHILD]),
        referenced: vec!["v".into()],
        ..Leads::NOWHERE
    }
}

fn commits(leads: &Leads, sql: &str, answer: &[Vec<u8>]) -> Vec<Vec<String>> {
    let mut stage = Stage::new();
    stage.catalog = Arc::new(leading(leads));
    stage.query(sql, &[answer, &[ready(b'I')]].concat());
    stage.commits()
}

#[test]
fn rule_16_a_deleted_row_marks_those_that_refer_to_it_and_the_tables_behind() {
    let rows = [description(4), told_row("(1)"), told_row("(2)"), complete("DELETE 2")];
    assert_eq!(
        commits(&foreign_keys(), "delete from t", &rows),
        [["t 1 gone", "mark 400 by of = 1 Cascade", "t 2 gone", "mark 400 by of = 2 Cascade", "mark 500 Cascade"]]
    );
    let none = commits(&foreign_keys(), "delete from t", &[description(4), complete("DELETE 0")]);
    assert_eq!(none, [[""; 0]; 0]);
    let mut stage = Stage::new();
    stage.catalog = Arc::new(leading(&foreign_keys()));
    stage.client(&query("delete from t"));
    let touched = Touched::Tables(vec![TableId(100), GRANDCHILD, CHILD]);
    assert_eq!(stage.told(), [Told::Enter(touched)], "all are on their way");
}

#[test]
fn rule_16_an_update_leads_to_those_that_refer_to_what_it_sets() {
    let update = |set: &str| {
        let rows = [description(4), told_row("(1,a)"), complete("UPDATE 1")];
        commits(&foreign_keys(), &format!("update t set {set} = '2' where id = 1"), &rows)
    };
    assert_eq!(update("w"), [["t 1 (1,a)"]]);
    assert_eq!(update("v"), [["t 1 (1,a)", "mark 400 Cascade"]]);
}

#[test]
fn rules_15_and_16_what_is_written_with_a_table_that_is_not_mirrored_is_marked() {
    let triggered = Leads { reach: Touched::All, ..Leads::NOWHERE };
    for (leads, sql, tag, expected) in [
        (&triggered, "insert into x values (1)", "INSERT 0 1", Some("mark all Trigger")),
        (&triggered, "copy x from stdin", "COPY 1", Some("mark all Copy")),
        (&triggered, "with gone as (delete from x returning *) select * from gone", "SELECT 1", Some("mark all Form")),
        (&foreign_keys(), "delete from x", "DELETE 1", Some("mark 400,500 Cascade")),
        (&foreign_keys(), "update x set v = 1", "UPDATE 1", Some("mark 400 Cascade")),
        (&foreign_keys(), "update x set w = 1", "UPDATE 1", None),
        (&foreign_keys(), "insert into x values (1)", "INSERT 0 1", None),
        (&Leads::NOWHERE, "delete from x", "DELETE 1", None),
    ] {
        let expected: Vec<Vec<String>> = expected.into_iter().map(|mark| vec![mark.to_owned()]).collect();
        assert_eq!(commits(leads, sql, &[complete(tag)]), expected, "{sql}");
    }
    // A row that turns out to be of such a table.
    let elsewhere = row(&["(1,a)", "900", "7", "0/10"]);
    let answer = [description(4), elsewhere, complete("INSERT 0 1")];
    assert_eq!(commits(&triggered, "insert into k values ('a')", &answer), [["mark all Ddl"]]);
}

#[test]
fn rule_15_what_is_written_with_a_truncation_is_marked() {
    let noted = Leads { truncation: Touched::All, ..Leads::NOWHERE };
    assert_eq!(commits(&noted, "truncate t", &[complete("TRUNCATE TABLE")]), [["mark all Truncate"]]);
    let rows = [description(4), told_row("(1,a)"), complete("INSERT 0 1")];
    assert_eq!(commits(&noted, "insert into t values (1, 'a')", &rows), [["t 1 (1,a)"]]);
}

#[test]
fn rule_15_what_a_statement_calls_has_run_though_it_wrote_no_row() {
    for sql in ["update t set v = 'b' where f()", "delete from t where f(id)", "insert into t select 1 where f()"] {
        let tag = if sql.starts_with("insert") { "INSERT 0 0" } else { "UPDATE 0" };
        let marks = commits(&Leads::NOWHERE, sql, &[description(4), complete(tag)]);
        assert_eq!(marks, [["mark all Opaque"]], "{sql}");
    }
}

#[test]
fn rule_12_while_a_name_may_mean_another_column_or_table_a_write_leads_wherever_one_of_them_does() {
    let mut stage = Stage::new();
    stage.catalog = Arc::new(leading(&foreign_keys()));
    stage.doubt(&["t"]);
    stage.query("update t set renamed = 'b'", &[complete("UPDATE 1"), ready(b'I')]);
    assert_eq!(stage.commits(), [["mark 100 Ddl"]], "an index, say");
    stage.doubt_names(&["t"]);
    stage.query("update t set renamed = 'b'", &[complete("UPDATE 1"), ready(b'I')]);
    assert_eq!(stage.commits(), [["mark 100,400,500 Ddl"]]);
}

#[test]
fn rule_15_what_a_temporary_table_calls_is_marked_with_what_it_is_given() {
    let mut stage = Stage::new();
    let calling = Leads { calls: true, ..Leads::NOWHERE };
    stage.catalog = Arc::new(leading(&calling));
    for (made, expected) in [
        ("create temp table p (a int default f())", vec![vec!["mark all Form"]]),
        ("create temp table q (a int, check (f(a)))", vec![vec!["mark all Form"]]),
        ("create temp table r (like t including all)", vec![vec!["mark all Form"]]),
        ("create temp table s (a int default 1, like k)", vec![]),
    ] {
        stage.query(made, &[complete("CREATE TABLE"), ready(b'I')]);
        let name = made.split(' ').nth(3).unwrap();
        stage.commits();
        stage.query(&format!("insert into {name} values (1)"), &[complete("INSERT 0 1"), ready(b'I')]);
        assert_eq!(stage.commits(), expected, "{made}");
    }
}

#[test]
fn what_sql_has_prepared_may_write_anything_when_the_protocol_runs_it() {
    let mut stage = Stage::new();
    stage.client(&[bind("ins", &[]), execute(0), sync()].concat());
    stage.server(&[message(b'2', b""), complete("INSERT 0 1"), ready(b'I')].concat());
    assert_eq!(stage.commits(), [["mark all Opaque"]]);
}

#[test]
fn what_the_protocol_has_prepared_shows_nothing_of_it_when_a_parsed_execute_runs_it() {
    let mut stage = Stage::new();
    stage.client(&[parse("p", "insert into t values (1, 'a')"), sync()].concat());
    stage.server(&[message(b'1', b""), ready(b'I')].concat());
    for turn in 0..2 {
        let describe = message(b'D', b"P\0");
        stage.client(&[parse("", "execute p"), bind("", &[]), describe, execute(0), sync()].concat());
        assert_eq!(stage.server(&extended_insert()), seen_extended_insert(), "turn {turn}");
        assert_eq!(stage.commits(), [["t 1 (1,a)"]]);
    }
}

#[test]
fn rule_15_what_a_procedure_has_committed_stays_though_what_follows_fails() {
    let mut stage = Stage::new();
    let failing = "insert into t values (1, 'a')";
    let call = [parse("", "call f()"), bind("", &[]), execute(0)].concat();
    stage.client(&[call, parse("", failing), bind("", &[]), execute(0), sync()].concat());
    let answer = [
        message(b'1', b""),
        message(b'2', b""),
        complete("CALL"),
        message(b'1', b""),
        message(b'2', b""),
        error(),
        ready(b'I'),
    ];
    stage.server(&answer.concat());
    assert_eq!(stage.commits(), [["mark all Opaque"]]);
}

#[test]
fn what_other_forms_read_may_write_too() {
    let mut catalog = catalog();
    catalog.names.insert("opaque".into(), vec![("public".into(), Resolved::View(None))]);
    catalog.calling_views.insert("opaque".into());
    let catalog = Arc::new(catalog);
    for (sql, tag) in [
        ("with x as (insert into t select 1 from opaque returning *) select * from x", "SELECT 1"),
        ("merge into t using opaque on true when matched then delete", "MERGE 1"),
        ("explain analyze select * from opaque", "EXPLAIN"),
        ("copy t from stdin where f(id)", "COPY 1"),
    ] {
        let mut stage = Stage::new();
        stage.catalog = Arc::clone(&catalog);
        stage.query(sql, &[complete(tag), ready(b'I')]);
        assert_eq!(stage.commits(), [["mark all Opaque"]], "{sql}");
    }
}

#[test]
fn a_temporary_table_that_a_text_makes_first_is_one_within_it() {
    let mut stage = Stage::new();
    let text = "create temp table x (a int); insert into x values (1); drop table x";
    let tags = [complete("CREATE TABLE"), complete("INSERT 0 1"), complete("DROP TABLE"), ready(b'I')];
    stage.query(text, &tags);
    assert!(stage.commits().concat().iter().all(|mark| !mark.contains("all")), "nothing else is marked");
    stage.query(
        "create temp view y as select 1 from t; update y set v = 'b'",
        &[complete("CREATE VIEW"), complete("UPDATE 1"), ready(b'I')],
    );
    assert_eq!(stage.commits(), [["mark all Form"]], "through a view");
}

#[test]
fn an_execute_whose_arguments_call_something_is_captured_and_marks_what_that_may_write() {
    let mut stage = Stage::new();
    stage.client(&[parse("p", "insert into t values ($1, 'a')"), sync()].concat());
    stage.server(&[message(b'1', b""), ready(b'I')].concat());
    stage.client(&query("execute p(f())"));
    let answer = [description(4), told_row("(1,a)"), complete("INSERT 0 1"), ready(b'I')];
    assert_eq!(stage.server(&answer.concat()), [complete("INSERT 0 1"), ready(b'I')].concat());
    assert_eq!(stage.commits(), [["t 1 (1,a)", "mark all Opaque"]]);
}
