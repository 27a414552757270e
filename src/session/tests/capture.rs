//! What the client must not see, and what the mirror must be told.

use std::sync::Arc;

use super::support::*;
use crate::catalog::{Catalog, Leads, Resolved, Table};
use crate::config::Ddl;
use crate::effect::{Disturbed, Reason, TableId, Touched};

const INSERT: &str = "insert into t values (1, 'a')";

fn enter_t() -> Told {
    Told::Enter(Touched::Tables(vec![TableId(100)]))
}

#[test]
fn a_simple_insert_is_captured_and_nothing_of_it_shows() {
    let mut stage = Stage::new();
    let sent = stage.client(&query(INSERT));
    let text = String::from_utf8_lossy(&sent).into_owned();
    assert!(text.contains("RETURNING \"t\", "), "{text}");
    assert_eq!(sent.len(), u32::from_be_bytes(sent[1..5].try_into().unwrap()) as usize + 1);
    let answer = [description(4), told_row("(1,a)"), complete("INSERT 0 1"), ready(b'I')].concat();
    assert_eq!(stage.server(&answer), [complete("INSERT 0 1"), ready(b'I')].concat());
    assert_eq!(stage.told(), [enter_t(), Told::Commit(vec!["t 1 (1,a)".into()]), Told::Resolve(1)]);
}

#[test]
fn a_client_with_columns_of_its_own_gets_those() {
    let mut stage = Stage::new();
    stage.client(&query(&format!("{INSERT} returning id")));
    let answer = [description(5), row(&["1", "(1,a)", "100", "7", "0/10"]), complete("INSERT 0 1"), ready(b'I')];
    let seen = stage.server(&answer.concat());
    assert_eq!(seen, [description(1), row(&["1"]), complete("INSERT 0 1"), ready(b'I')].concat());
    assert_eq!(stage.commits(), [["t 1 (1,a)"]]);
}

#[test]
fn extended_capture_shows_no_data_and_asks_for_text_without_limit() {
    let mut stage = Stage::new();
    let describe = message(b'D', b"P\0");
    let request = [parse("", INSERT), bind("", &[1]), describe.clone(), execute(1), sync()].concat();
    let sent = stage.client(&request);
    assert!(sent.ends_with(&[bind("", &[]), describe, execute(0), sync()].concat()));
    assert_eq!(stage.server(&extended_insert()), seen_extended_insert());
    assert_eq!(stage.commits(), [["t 1 (1,a)"]]);
}

#[test]
fn result_formats_of_the_client_are_kept_and_ours_are_text() {
    let mut stage = Stage::new();
    let sql = format!("{INSERT} returning id, v");
    let sent = stage.client(&[parse("", &sql), bind("", &[1, 0]), execute(0), sync()].concat());
    assert!(sent.ends_with(&[bind("", &[1, 0, 0, 0, 0, 0]), execute(0), sync()].concat()));
}

#[test]
fn binary_for_all_is_read_as_binary() {
    let mut stage = Stage::new();
    let sql = format!("{INSERT} returning id");
    stage.client(&[parse("", &sql), bind("", &[1]), execute(0), sync()].concat());
    let mut body = 5_u16.to_be_bytes().to_vec();
    let fields: [&[u8]; 5] =
        [&[0, 0, 0, 1], b"(1,a)", &[0, 0, 0, 100], &[0, 0, 0, 0, 0, 0, 0, 7], &[0, 0, 0, 0, 0, 0, 0, 16]];
    for field in fields {
        body.extend_from_slice(&(field.len() as u32).to_be_bytes());
        body.extend_from_slice(field);
    }
    let answer = [message(b'1', b""), message(b'2', b""), message(b'D', &body), complete("INSERT 0 1"), ready(b'I')];
    let seen = stage.server(&answer.concat());
    let own = message(b'D', &[0, 1, 0, 0, 0, 4, 0, 0, 0, 1]);
    assert_eq!(seen, [message(b'1', b""), message(b'2', b""), own, complete("INSERT 0 1"), ready(b'I')].concat());
    assert_eq!(stage.commits(), [["t 1 (1,a)"]]);
}

#[test]
fn rule_13_a_portal_that_does_not_run_to_its_end_marks_its_table() {
    let mut stage = Stage::new();
    let sql = format!("{INSERT} returning id");
    stage.client(&[parse("", &sql), bind("", &[]), execute(1), sync()].concat());
    let row = row(&["1", "(1,a)", "100", "7", "0/10"]);
    let answer = [message(b'1', b""), message(b'2', b""), row, message(b's', b""), ready(b'I')];
    stage.server(&answer.concat());
    assert_eq!(stage.commits(), [["t 1 (1,a)", "mark 100 Portal"]]);
}

#[test]
fn rows_that_arrive_in_a_table_without_key_are_captured() {
    let mut stage = Stage::new();
    let told = row(&["(a)", "200", "7", "0/10"]);
    let answer = [description(4), told.clone(), told, complete("INSERT 0 2"), ready(b'I')];
    let seen = stage.query("insert into k values ('a'), ('a')", &answer);
    assert_eq!(seen, [complete("INSERT 0 2"), ready(b'I')].concat());
    assert_eq!(stage.commits(), [["k  (a)", "k  (a)"]]);
}

#[test]
fn a_delete_tells_its_key() {
    let mut stage = Stage::new();
    let answer = [description(4), told_row("(1)"), complete("DELETE 1"), ready(b'I')];
    stage.query("delete from t where id = 1", &answer);
    assert_eq!(stage.commits(), [["t 1 gone"]]);
}

#[test]
fn rule_14_a_key_that_is_set_marks_the_table() {
    let mut stage = Stage::new();
    stage.query("update t set id = 2 where id = 1", &[complete("UPDATE 1"), ready(b'I')]);
    assert_eq!(stage.commits(), [["mark 100 KeyChange"]]);
}

#[test]
fn what_cannot_be_captured_is_forwarded_as_it_is_and_marked() {
    for (sql, tag, mark) in [
        ("update k set v = 'a'", "UPDATE 1", "mark 200 NoKey"),
        ("delete from k", "DELETE 1", "mark 200 NoKey"),
        ("insert into k values ('a') on conflict (v) do update set v = 'b'", "INSERT 0 1", "mark 200 NoKey"),
        ("truncate t", "TRUNCATE TABLE", "mark 100 Truncate"),
        ("copy t from stdin", "COPY 1", "mark 100 Copy"),
        ("with d as (delete from t returning *) select * from d", "SELECT 1", "mark 100 Form"),
        ("call p()", "CALL", "mark all Opaque"),
        ("select no_such_function(1)", "SELECT 1", "mark all Opaque"),
    ] {
        let mut stage = Stage::new();
        assert_eq!(stage.client(&query(sql)), query(sql), "{sql}");
        stage.server(&[complete(tag), ready(b'I')].concat());
        assert_eq!(stage.commits(), [[mark]], "{sql}");
    }
}

#[test]
fn rule_10_images_printed_in_another_way_are_not_read() {
    let mut stage = Stage::new();
    stage.client(&[parse("s", INSERT), sync()].concat());
    stage.server(&[message(b'1', b""), message(b'S', b"DateStyle\0SQL, DMY\0"), ready(b'I')].concat());
    stage.client(&[bind("s", &[]), execute(0), sync()].concat());
    stage.server(&[message(b'2', b""), told_row("(1,a)"), complete("INSERT 0 1"), ready(b'I')].concat());
    assert_eq!(stage.commits(), [["mark 100 Settings"]]);
    assert_eq!(stage.client(&query(INSERT)), query(INSERT));
}

#[test]
fn rule_10_a_row_too_long_to_be_told_marks_its_key() {
    let sql = "update b set bulk = bulk";
    let mut stage = Stage::new();
    let text = String::from_utf8_lossy(&stage.client(&query(sql))).into_owned();
    assert!(text.contains("RETURNING CASE WHEN pg_catalog.int4gt(pg_catalog.octet_length(\"b\".\"bulk\"), "), "{text}");
    let rows = [row(&["(1,short)", "300", "7", "0/10"]), row(&["(2)", "300", "7", "0/18"])].concat();
    let answer = [description(4), rows, complete("UPDATE 2"), ready(b'I')];
    assert_eq!(stage.server(&answer.concat()), [complete("UPDATE 2"), ready(b'I')].concat());
    assert_eq!(stage.commits(), [["b 1 (1,short)", "mark 1 keys Image"]]);
}

#[test]
fn rule_07_a_relation_the_catalog_does_not_know_marks_all() {
    let mut stage = Stage::new();
    stage.query(INSERT, &[description(4), row(&["(1,a)", "999", "7", "0/10"]), complete("INSERT 0 1"), ready(b'I')]);
    assert_eq!(stage.commits(), [["mark all Ddl"]]);
}

#[test]
fn rule_08_an_image_of_another_shape_marks_the_table() {
    let mut stage = Stage::new();
    stage.query(INSERT, &[description(4), told_row("(1,a,b)"), complete("INSERT 0 1"), ready(b'I')]);
    assert_eq!(stage.commits(), [["mark 100 Image"]]);
}

/// Also what is told while it is under way, of a statement that was rewritten before.
#[test]
fn rule_12_while_ddl_is_under_way_what_it_does_not_name_is_captured_all_the_same() {
    let mut stage = Stage::new();
    stage.doubt(&["k", "made"]);
    stage.query(INSERT, &[description(4), told_row("(1,a)"), complete("INSERT 0 1"), ready(b'I')]);
    stage.doubt(&["t"]);
    stage.query(INSERT, &[complete("INSERT 0 1"), ready(b'I')]);
    stage.trust_catalog(true);
    stage.client(&query(INSERT));
    stage.doubt(&["t"]);
    stage.server(&[description(4), told_row("(1,a)"), complete("INSERT 0 1"), ready(b'I')].concat());
    assert_eq!(stage.commits(), [["t 1 (1,a)"], ["mark 100 Ddl"], ["mark 100 Ddl"]]);
}

/// A trigger may be on its way, or was made since the statement was planned.
#[test]
fn rule_12_what_a_write_leads_to_is_what_it_was_when_the_statement_was_planned_or_anything() {
    let mut stage = Stage::new();
    stage.doubt_reach(&["t"]);
    stage.query(INSERT, &[complete("INSERT 0 1"), ready(b'I')]);
    stage.trust_catalog(true);
    stage.client(&query(INSERT));
    let mut triggered = catalog();
    let table = triggered.tables.get_mut(&TableId(100)).unwrap();
    *table = Arc::new(Table {
        leads: Leads { reach: Touched::All, ..Leads::NOWHERE },
        exact: Err(Reason::Trigger),
        ..Table::clone(table)
    });
    stage.catalog = Arc::new(triggered);
    stage.server(&[description(4), told_row("(1,a)"), complete("INSERT 0 1"), ready(b'I')].concat());
    assert_eq!(stage.commits(), [["mark all Ddl"], ["mark all Ddl"]]);
}

#[test]
fn rule_15_what_a_definition_runs_is_marked_wherever_it_writes() {
    let mut stage = Stage::new();
    for (sql, expected) in [
        ("create temp table x as select f()", "mark all Opaque"),
        ("select f() into temp x", "mark all Opaque"),
        ("create temp table x as execute p", "mark all Opaque"),
        ("create temp view seen as select f() as n; select * from seen", "mark all Opaque"),
        ("select * from seen", "mark all Opaque"),
    ] {
        stage.client(&query(sql));
        let tags: Vec<_> = sql.split(';').map(|_| complete("SELECT 1")).collect();
        stage.server(&[tags.concat(), ready(b'I')].concat());
        assert_eq!(stage.commits(), [[expected]], "{sql}");
    }
    let watched = Catalog { ddl_is_watched: true, ..catalog() };
    stage.catalog = Arc::new(watched);
    stage.query("comment on table t is 'x'", &[complete("COMMENT"), ready(b'I')]);
    assert_eq!(stage.told()[0], Told::Ddl(Disturbed::Everything), "an event trigger may do anything");
    stage.query("create temp table y (a int)", &[complete("CREATE TABLE"), ready(b'I')]);
    assert_eq!(stage.commits(), [["mark all Opaque"]]);
}

#[test]
fn ddl_is_announced_replayed_and_marked_or_refused_by_the_primary_itself() {
    let mut stage = Stage::new();
    stage.query("alter table t add w int", &[complete("ALTER TABLE"), ready(b'I')]);
    let told = stage.told();
    assert_eq!(told[..2], [Told::Ddl(Disturbed::Shapes(vec!["t".into()])), enter_t()]);
    assert_eq!(told[2], Told::Commit(vec!["replay alter table t add w int".into(), "mark 100 Ddl".into()]));
    stage.ddl = Ddl::Refuse;
    let sent = String::from_utf8(stage.client(&query("alter table t add x int"))).unwrap();
    assert!(sent.contains("feature_not_supported") && !sent.contains("alter table"), "{sent}");
}

#[test]
fn error_positions_are_those_of_the_text_the_client_sent() {
    let mut stage = Stage::new();
    let sql = format!("{INSERT}; select nonsense");
    let sent = stage.client(&query(&sql));
    let rewritten = String::from_utf8_lossy(&sent[5..]).into_owned();
    let position = |text: &str| text.find("nonsense").unwrap() + 1;
    let error_at = |at: usize| message(b'E', format!("SERROR\0C42703\0P{at}\0\0").as_bytes());
    let answer =
        [description(4), told_row("(1,a)"), complete("INSERT 0 1"), error_at(position(&rewritten)), ready(b'I')];
    let seen = stage.server(&answer.concat());
    assert_eq!(seen, [complete("INSERT 0 1"), error_at(position(&sql)), ready(b'I')].concat());
    assert_eq!(stage.commits(), Vec::<Vec<String>>::new(), "the implicit transaction rolled back");
}

#[test]
fn an_sql_execute_of_what_the_protocol_prepared_is_captured_as_that_was_rewritten() {
    for (sql, columns, told, own) in [
        (INSERT.to_owned(), 4, told_row("(1,a)"), Vec::new()),
        (
            format!("{INSERT} returning id"),
            5,
            row(&["1", "(1,a)", "100", "7", "0/10"]),
            [description(1), row(&["1"])].concat(),
        ),
    ] {
        let mut stage = Stage::new();
        stage.client(&[parse("s", &sql), sync()].concat());
        stage.server(&[message(b'1', b""), ready(b'I')].concat());
        assert_eq!(stage.client(&query("execute s")), query("execute s"));
        let seen = stage.server(&[description(columns), told, complete("INSERT 0 1"), ready(b'I')].concat());
        assert_eq!(seen, [&own[..], &complete("INSERT 0 1"), &ready(b'I')].concat(), "{sql}");
        assert_eq!(stage.commits(), [["t 1 (1,a)"]]);
    }
}

#[test]
fn rule_23_a_row_too_large_to_be_kept_is_not_held() {
    let image = format!("(1,{})", "x".repeat(9 << 20));
    let (alone, behind_own) = (told_row(&image), row(&["1", &image, "100", "7", "0/10"]));
    for (sql, columns, told, own) in [
        (INSERT.to_owned(), 4, alone, Vec::new()),
        (format!("{INSERT} returning id"), 5, behind_own, [description(1), row(&["1"])].concat()),
    ] {
        for piece in [5, 1000, 1 << 20, usize::MAX] {
            let mut stage = Stage::with_pieces_of(piece.max(1000));
            stage.client(&query(&sql));
            // The front in small pieces, the mass in larger ones.
            let (front, mass) = told.split_at(64);
            let mut seen = stage.server(&description(columns));
            seen.extend(front.chunks(piece).flat_map(|piece| stage.server(piece)));
            seen.extend(stage.server(mass));
            assert!(stage.held() < 100, "{} bytes are held", stage.held());
            seen.extend(stage.server(&[complete("INSERT 0 1"), ready(b'I')].concat()));
            assert_eq!(seen, [&own[..], &complete("INSERT 0 1"), &ready(b'I')].concat(), "{sql} in pieces of {piece}");
            assert_eq!(stage.commits(), [["mark 100 Overflow"]]);
        }
    }
}

#[test]
fn rule_11_a_write_through_a_view_marks_what_it_reaches_while_that_is_known() {
    let mut stage = Stage::new();
    let catalog = Arc::get_mut(&mut stage.catalog).unwrap();
    catalog.names.insert("w".into(), vec![("public".into(), Resolved::View(None))]);
    catalog.through_views.insert("w".into(), Touched::Tables(vec![TableId(200)]));
    for (current, sql, expected) in [
        (true, "insert into w values (1)", "mark 200 NotATable"),
        (true, "with gone as (delete from w returning 1) select 1", "mark 200 Form"),
        (true, "insert into w values (nobody_knows(1))", "mark all Opaque"),
        (false, "insert into w values (1)", "mark all NotATable"),
    ] {
        stage.trust_catalog(current);
        stage.client(&query(sql));
        stage.server(&[complete("INSERT 0 1"), ready(b'I')].concat());
        assert_eq!(stage.commits(), [[expected]], "{sql}");
    }
}
