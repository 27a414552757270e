//! Prepared statements follow the catalog; DDL is announced until its transaction has ended.

use std::sync::Arc;

use super::support::*;
use crate::catalog::{Catalog, Volatility};
use crate::effect::Disturbed;

const INSERT: &str = "insert into t values (1, 'a')";
const OWN: &str = "insert into t values (1, 'a') returning v";

/// The texts of the Parse messages among these.
fn parsed(sent: &[u8]) -> Vec<bool> {
    let mut rest = sent;
    let mut texts = Vec::new();
    while let Some(header) = crate::wire::header(rest).unwrap() {
        if header.tag == b'P' {
            let text = crate::wire::parse(&rest[crate::wire::HEADER..header.size]).unwrap().sql;
            texts.push(String::from_utf8_lossy(text).contains("RETURNING \"t\""));
        }
        rest = &rest[header.size..];
    }
    texts
}

fn hidden() -> Vec<u8> {
    [message(b'1', b""), message(b'3', b""), message(b'3', b""), message(b'1', b"")].concat()
}

#[test]
fn a_statement_is_captured_while_the_catalog_may_be_trusted() {
    let mut stage = Stage::new();
    stage.client(&[parse("s", INSERT), sync()].concat());
    stage.server(&[message(b'1', b""), ready(b'I')].concat());
    let group = [bind("s", &[1]), execute(0), sync()].concat();
    let plain = [message(b'2', b""), complete("INSERT 0 1"), ready(b'I')].concat();
    let told = [message(b'2', b""), told_row("(1,a)"), complete("INSERT 0 1"), ready(b'I')].concat();
    stage.trust_catalog(false);
    assert_eq!(parsed(&stage.client(&group)), [false, false]);
    assert_eq!(stage.server(&[hidden(), plain.clone()].concat()), plain);
    assert_eq!(stage.client(&group), group, "once");
    stage.server(&plain);
    assert_eq!(stage.commits(), [["mark 100 Ddl"], ["mark 100 Ddl"]]);
    stage.trust_catalog(true);
    assert_eq!(parsed(&stage.client(&group)), [true, true]);
    assert_eq!(stage.server(&[hidden(), told.clone()].concat()), plain);
    stage.catalog = Arc::new(Catalog { generation: 2, ..catalog() });
    assert_eq!(parsed(&stage.client(&group)), [false; 0], "the same text again");
    stage.server(&told);
    assert_eq!(stage.commits(), [["t 1 (1,a)"], ["t 1 (1,a)"]]);
}

/// Also those whose text is never rewritten.
#[test]
fn rule_15_what_a_prepared_read_may_write_is_what_the_catalog_says_when_it_is_bound() {
    let mut stage = Stage::new();
    let function = |volatility| {
        let mut changed = catalog();
        changed.functions.insert("f".into(), vec![("public".into(), volatility)]);
        Arc::new(changed)
    };
    stage.catalog = function(Volatility::Stable);
    stage.client(&[parse("s", "select f()"), sync()].concat());
    stage.server(&[message(b'1', b""), ready(b'I')].concat());
    let group = [bind("s", &[]), execute(0), sync()].concat();
    let answer = [message(b'2', b""), complete("SELECT 1"), ready(b'I')].concat();
    for (volatility, expected) in [(Volatility::Stable, vec![]), (Volatility::Opaque, vec![["mark all Opaque"]])] {
        stage.catalog = function(volatility);
        Arc::get_mut(&mut stage.catalog).unwrap().generation = 2 + expected.len() as u64;
        assert_eq!(stage.client(&group), group);
        stage.server(&answer);
        assert_eq!(stage.commits(), expected);
    }
}

#[test]
fn described_columns_are_not_given_another_meaning() {
    let mut stage = Stage::new();
    stage.client(&[parse("s", OWN), sync()].concat());
    stage.server(&[message(b'1', b""), ready(b'I')].concat());
    let group = [bind("s", &[]), execute(0), sync()].concat();
    stage.catalog = Arc::new(Catalog { generation: 2, ..widened() });
    stage.trust_catalog(false);
    assert_eq!(parsed(&stage.client(&group)), [false; 0], "the primary itself is to say whether they changed");
    let told = row(&["a", "(1,a,w)", "100", "7", "0/10"]);
    stage.server(&[message(b'2', b""), told, complete("INSERT 0 1"), ready(b'I')].concat());
    assert_eq!(stage.commits(), [["mark all Ddl"]]);
}

#[test]
fn ddl_is_under_way_until_its_transaction_has_ended() {
    let mut stage = Stage::new();
    stage.query("begin", &[complete("BEGIN"), ready(b'T')]);
    stage.query("revoke select on t from bob", &[complete("REVOKE"), ready(b'T')]);
    assert_eq!(stage.told(), [Told::Ddl(Disturbed::Shapes(vec!["t".into()]))]);
    stage.query("commit", &[complete("COMMIT"), ready(b'I')]);
    assert_eq!(stage.told().last(), Some(&Told::Defined));
}

#[test]
fn what_changes_roles_changes_who_may_read() {
    for sql in ["revoke readers from bob", "alter role bob nobypassrls", "drop owned by bob"] {
        let mut stage = Stage::new();
        stage.client(&query(sql));
        assert_eq!(stage.told().first(), Some(&Told::Ddl(Disturbed::Everything)), "{sql}");
        stage.server(&[complete("DONE"), ready(b'I')].concat());
        assert_eq!(stage.told().last(), Some(&Told::Defined), "{sql}");
    }
}
