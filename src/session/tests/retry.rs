//! Rule 12: a refused rewrite is retried in its original form, where nobody can tell.

use super::support::*;
use crate::effect::Touched;

const INSERT: &str = "insert into t values (1, 'a')";
const NOTHING: [u8; 0] = [];

fn refused(sqlstate: &str, more: &str) -> Vec<u8> {
    message(b'E', format!("SERROR\0VERROR\0C{sqlstate}\0Mno\0{more}\0").as_bytes())
}

/// What the primary is asked again, and what the client sees of the refusal.
fn refuse(stage: &mut Stage, answer: &[Vec<u8>]) -> (Option<Vec<u8>>, Vec<u8>) {
    let seen = stage.server(&answer.concat());
    (stage.session.take_again().map(|bytes| bytes.to_vec()), seen)
}

#[test]
fn rule_12_a_refused_rewrite_that_stands_alone_is_sent_again_as_it_came() {
    for sqlstate in ["42501", "42703", "42P01", "42P09", "0A000"] {
        let mut stage = Stage::new();
        assert_ne!(stage.client(&query(INSERT)), query(INSERT));
        stage.told();
        let (again, seen) = refuse(&mut stage, &[refused(sqlstate, "")]);
        assert_eq!((again, seen.as_slice()), (Some(query(INSERT)), &NOTHING[..]), "{sqlstate}");
        assert_eq!(stage.told(), [Told::Enter(Touched::All)], "announced before it is sent again");
        assert_eq!(stage.server(&ready(b'I')), NOTHING);
        assert_eq!(stage.told(), [Told::Resolve(1)]);
        assert!(!stage.session.is_idle());
        let answer = [complete("INSERT 0 1"), ready(b'I')].concat();
        assert_eq!(stage.server(&answer), answer);
        assert_eq!(stage.told(), [Told::Commit(vec!["mark all NotATable".into()]), Told::Resolve(1)]);
        assert!(stage.session.is_idle());
    }
}

#[test]
fn rule_12_a_second_refusal_is_the_clients() {
    let mut stage = Stage::new();
    stage.client(&query(INSERT));
    refuse(&mut stage, &[refused("42703", "P99\0"), ready(b'I')]);
    let answer = [refused("42703", "P13\0"), ready(b'I')];
    let (again, seen) = refuse(&mut stage, &answer);
    assert_eq!((again, seen), (None, answer.concat()));
    assert!(stage.session.is_idle());
    assert_eq!(stage.commits(), Vec::<Vec<String>>::new());
}

#[test]
fn rule_12_what_the_client_sends_meanwhile_comes_behind() {
    let mut stage = Stage::new();
    stage.client(&query(INSERT));
    let (again, _) = refuse(&mut stage, &[refused("42501", "")]);
    assert_eq!(again, Some(query(INSERT)));
    stage.client(&query("select 1"));
    let both = [complete("INSERT 0 1"), ready(b'I'), complete("SELECT 1"), ready(b'I')].concat();
    assert_eq!(stage.server(&[ready(b'I'), both.clone()].concat()), both);
    assert_eq!(stage.commits(), [["mark all NotATable"]]);
    assert!(stage.session.is_idle());
}

#[test]
fn rule_12_elsewhere_the_client_gets_the_error() {
    let mut in_transaction = Stage::new();
    in_transaction.query("begin", &[complete("BEGIN"), ready(b'T')]);
    in_transaction.client(&query(INSERT));
    let mut pipelined = Stage::new();
    pipelined.client(&[query(INSERT), query("select 1")].concat());
    let mut of_several = Stage::new();
    of_several.client(&query(&format!("{INSERT}; {INSERT}")));
    let mut closed = Stage::new();
    closed.client(&query(INSERT));
    closed.session.sends_no_more();
    let mut noticed = Stage::new();
    noticed.client(&query(INSERT));
    noticed.server(&message(b'N', b"SNOTICE\0\0"));
    for mut stage in [in_transaction, pipelined, of_several, closed, noticed] {
        let error = refused("42501", "");
        assert_eq!(refuse(&mut stage, std::slice::from_ref(&error)), (None, error));
    }
    let mut called = Stage::new();
    called.client(&query(INSERT));
    let of_a_function = refused("42501", "WPL/pgSQL function f()\0");
    assert_eq!(refuse(&mut called, std::slice::from_ref(&of_a_function)), (None, of_a_function));
    let mut another = Stage::new();
    another.client(&query(INSERT));
    assert_eq!(refuse(&mut another, &[error()]), (None, error()));
}
