//! Rule 12: a refused rewrite is retried in its original form, where nobody can tell.

use std::sync::Arc;

use proptest::prelude::*;

use super::primary::{Primary, Refuses};
use super::support::*;
use crate::catalog::Catalog;
use crate::effect::Touched;
use crate::session::RefusalOutcome;

const INSERT: &str = "insert into t values (1, 'a')";
const OWN: &str = "insert into t values (1, 'a') returning v";
const NOTHING: [u8; 0] = [];
const RETRIED: Told = Told::Refusal(RefusalOutcome::Retried);
const TOLD: Told = Told::Refusal(RefusalOutcome::Told);
const CODES: [&str; 5] = ["42501", "42703", "42P01", "42P09", "0A000"];

/// What the primary is asked again, and what the client sees of the refusal.
fn refuse(stage: &mut Stage, answer: &[Vec<u8>]) -> (Option<Vec<u8>>, Vec<u8>) {
    let seen = stage.server(&answer.concat());
    (stage.session.take_again().map(|bytes| bytes.to_vec()), seen)
}

fn ok(tag: u8) -> Vec<u8> {
    message(tag, b"")
}

fn describe_portal() -> Vec<u8> {
    message(b'D', b"P\0")
}

/// A session with `sql` prepared as `s`.
fn prepared(sql: &str) -> Stage {
    let mut stage = Stage::new();
    stage.client(&[parse("s", sql), sync()].concat());
    stage.server(&[ok(b'1'), ready(b'I')].concat());
    stage
}

/// What crossfade puts in front of the Bind of a statement that needs another text.
fn parsed_anew(name: &str, sql: &str) -> Vec<u8> {
    let trial = "crossfade trial";
    [parse(trial, sql), close(trial), close(name), parse(name, sql)].concat()
}

#[test]
fn rule_12_a_refused_rewrite_that_stands_alone_is_sent_again_as_it_came() {
    for sqlstate in CODES {
        let mut stage = Stage::new();
        assert_ne!(stage.client(&query(INSERT)), query(INSERT));
        stage.told();
        let (again, seen) = refuse(&mut stage, &[refused(sqlstate, "")]);
        assert_eq!((again, seen.as_slice()), (Some(query(INSERT)), &NOTHING[..]), "{sqlstate}");
        assert_eq!(
            stage.told(),
            [Told::Refused, Told::Enter(Touched::All), RETRIED],
            "announced before it is sent again"
        );
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
fn rule_12_a_parse_that_is_refused_is_sent_again_with_its_group() {
    for sqlstate in CODES {
        let mut stage = Stage::new();
        let group = [parse("s", INSERT), message(b'D', b"Ss\0"), sync()].concat();
        assert_ne!(stage.client(&group), group);
        let (again, seen) = refuse(&mut stage, &[refused(sqlstate, ""), ready(b'I')]);
        assert_eq!((again, seen.as_slice()), (Some([close("s"), group].concat()), &NOTHING[..]), "{sqlstate}");
        let answer = [ok(b'1'), message(b't', &[0, 0]), ok(b'n'), ready(b'I')].concat();
        assert_eq!(stage.server(&[ok(b'3'), answer.clone()].concat()), answer);
        let group = [bind("s", &[1]), execute(1), sync()].concat();
        assert_eq!(stage.client(&group), group, "not rewritten from then on");
        stage.server(&[ok(b'2'), complete("INSERT 0 1"), ready(b'I')].concat());
        assert_eq!(stage.commits(), [["mark all NotATable"]]);
    }
}

#[test]
fn rule_12_what_the_client_was_answered_before_the_refusal_is_not_said_twice() {
    let mut stage = Stage::new();
    let group = [parse("", OWN), bind("", &[]), describe_portal(), execute(0), sync()].concat();
    stage.client(&group);
    let begun = [ok(b'1'), ok(b'2'), description(5)];
    let (again, seen) = refuse(&mut stage, &[&begun[..], &[refused("42501", "")]].concat());
    assert_eq!((again, seen), (Some(group), [ok(b'1'), ok(b'2'), description(1)].concat()));
    let rest = [row(&["a"]), complete("INSERT 0 1"), ready(b'I')].concat();
    let all = [ready(b'I'), ok(b'1'), ok(b'2'), description(1), rest.clone()].concat();
    assert_eq!(stage.server(&all), rest);
    assert!(stage.session.is_idle());
}

#[test]
fn rule_12_an_answer_of_another_kind_than_the_client_was_given_ends_the_session() {
    let mut stage = Stage::new();
    stage.client(&[parse("", INSERT), bind("", &[]), describe_portal(), execute(0), sync()].concat());
    refuse(&mut stage, &[ok(b'1'), ok(b'2'), description(4), refused("42501", "")]);
    stage.server(&[ready(b'I'), ok(b'1'), ok(b'2')].concat());
    assert!(stage.try_server(&description(1)).is_err());
}

#[test]
fn rule_12_a_statement_prepared_before_is_prepared_anew_as_it_came() {
    for at_bind in [true, false] {
        let mut stage = prepared(INSERT);
        let group = [bind("s", &[1]), execute(1), sync()].concat();
        assert_ne!(stage.client(&group), group);
        stage.told();
        let bound: &[_] = if at_bind { &[] } else { &[ok(b'2')] };
        let (again, seen) = refuse(&mut stage, &[bound, &[refused("0A000", ""), ready(b'I')]].concat());
        assert_eq!(again, Some([parsed_anew("s", INSERT), group.clone()].concat()));
        assert_eq!(seen, bound.concat());
        let rest = [complete("INSERT 0 1"), ready(b'I')].concat();
        let hidden = [ok(b'1'), ok(b'3'), ok(b'3'), ok(b'1')].concat();
        let all = [hidden, ok(b'2'), rest.clone()].concat();
        let expected = if at_bind { [ok(b'2'), rest].concat() } else { rest };
        assert_eq!(stage.server(&all), expected);
        assert_eq!(stage.commits(), [["mark all NotATable"]]);
        assert_eq!(stage.client(&group), group, "not rewritten from then on");
    }
}

#[test]
fn rule_12_a_statement_that_cannot_be_prepared_anew_stays() {
    let mut stage = prepared(INSERT);
    let group = [bind("s", &[]), execute(0), sync()].concat();
    let rewritten = stage.client(&group);
    refuse(&mut stage, &[refused("42P01", ""), ready(b'I')]);
    let gone = [refused("42P01", ""), ready(b'I')];
    assert_eq!(refuse(&mut stage, &gone), (None, gone.concat()));
    assert!(stage.session.is_idle());
    assert_eq!(stage.client(&group), [parsed_anew("s", INSERT), rewritten].concat());
}

#[test]
fn rule_12_described_columns_are_not_given_another_meaning() {
    let mut stage = prepared(OWN);
    let group = [bind("s", &[]), execute(0), sync()].concat();
    stage.client(&group);
    let changed = [refused("0A000", ""), ready(b'I')];
    assert_eq!(refuse(&mut stage, &changed), (None, changed.concat()), "cached plan must not change result type");
    let mut stage = prepared(OWN);
    stage.client(&group);
    let (again, _) = refuse(&mut stage, &[ok(b'2'), refused("42501", "")]);
    assert_eq!(again, Some([parsed_anew("s", OWN), group].concat()), "the primary has found them to be the same");
}

#[test]
fn rule_12_a_refusal_that_a_flush_shows_is_synced_away() {
    let mut stage = Stage::new();
    let flushed = [parse("", INSERT), message(b'D', b"S\0"), message(b'H', b"")].concat();
    stage.client(&flushed);
    let (again, seen) = refuse(&mut stage, &[refused("0A000", "")]);
    assert_eq!((again, seen.as_slice()), (Some([sync(), flushed].concat()), &NOTHING[..]));
    let group = [bind("", &[]), execute(0), sync()].concat();
    assert_eq!(stage.client(&group), group);
    let answer = [ok(b'1'), message(b't', &[0, 0]), ok(b'n'), ok(b'2'), complete("INSERT 0 1"), ready(b'I')].concat();
    assert_eq!(stage.server(&[ready(b'I'), answer.clone()].concat()), answer);
    assert_eq!(stage.commits(), [["mark all NotATable"]]);
    assert!(stage.session.is_idle());
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
    let sent = |requests: &[Vec<u8>]| {
        let mut stage = Stage::new();
        stage.client(&requests.concat());
        stage
    };
    let run = [parse("", OWN), bind("", &[]), execute(0)].concat();
    let mut in_transaction = Stage::new();
    in_transaction.query("begin", &[complete("BEGIN"), ready(b'T')]);
    in_transaction.client(&query(INSERT));
    let mut in_transaction_too = Stage::new();
    in_transaction_too.query("begin", &[complete("BEGIN"), ready(b'T')]);
    in_transaction_too.client(&[run.clone(), sync()].concat());
    let pipelined = sent(&[query(INSERT), query("select 1")]);
    let pipelined_too = sent(&[run.clone(), sync(), sync()]);
    let of_several = sent(&[query(&format!("{INSERT}; {INSERT}"))]);
    let of_several_too = sent(&[run.clone(), run.clone(), sync()]);
    let long_bind = message(b'B', &[&[0; 4], &[0, 1, 0, 1, 0, 0][..], &vec![0; 64 << 10], &[0, 0]].concat());
    let long = sent(&[parse("", INSERT), long_bind, execute(0), sync()]);
    let mut closed = sent(&[run.clone(), sync()]);
    closed.session.sends_no_more();
    let mut noticed = sent(&[run.clone(), sync()]);
    noticed.server(&message(b'N', b"SNOTICE\0\0"));
    let mut begun = sent(&[run, sync()]);
    begun.server(&[ok(b'1'), ok(b'2'), row(&["a", "(1,a)", "100", "7", "0/10"])].concat());
    let stages = [
        in_transaction,
        in_transaction_too,
        pipelined,
        pipelined_too,
        of_several,
        of_several_too,
        long,
        closed,
        noticed,
        begun,
    ];
    for (case, mut stage) in stages.into_iter().enumerate() {
        let error = refused("42501", "");
        assert_eq!(refuse(&mut stage, std::slice::from_ref(&error)), (None, error), "case {case}");
        assert!(stage.told().contains(&Told::Refused), "case {case}: it will not come again");
    }
}

#[test]
fn rule_12_an_error_that_is_the_clients_own_is_no_refusal() {
    let own = [refused("42501", "WPL/pgSQL function f()\0"), refused("42703", "P13\0"), refused("23505", "")];
    for error in own {
        for request in [query(INSERT), [parse("", INSERT), bind("", &[]), execute(0), sync()].concat()] {
            let mut stage = Stage::new();
            stage.client(&request);
            stage.told();
            assert_eq!(refuse(&mut stage, std::slice::from_ref(&error)), (None, error.clone()));
            assert_eq!(stage.told(), []);
        }
    }
}

#[test]
fn rule_12_a_table_that_refused_is_not_rewritten_until_the_catalog_was_read_anew() {
    let mut stage = prepared(INSERT);
    stage.query("begin", &[complete("BEGIN"), ready(b'T')]);
    let group = [bind("s", &[]), execute(0), sync()].concat();
    let refusal = [ok(b'2'), refused("42501", ""), ready(b'E')].concat();
    let again = [parsed_anew("s", INSERT), group.clone()].concat();
    let hidden = [ok(b'1'), ok(b'3'), ok(b'3'), ok(b'1')].concat();
    let run = [ok(b'2'), complete("INSERT 0 1"), ready(b'T')].concat();
    let cases = [(1, vec![Told::Refused, TOLD], "mark all NotATable"), (2, vec![TOLD], "mark 100 Privilege")];
    for (generation, told, mark) in cases {
        stage.catalog = Arc::new(Catalog { generation, ..catalog() });
        if generation == 1 {
            stage.client(&group);
        } else {
            let text = String::from_utf8_lossy(&stage.client(&group)).into_owned();
            assert!(text.contains("crossfade trial") && text.contains("RETURNING \"t\""), "rewritten again: {text}");
            stage.server(&hidden);
        }
        stage.told();
        assert_eq!(stage.server(&refusal), refusal);
        assert_eq!(stage.told(), told, "read anew once, and not for ever");
        stage.query("rollback", &[complete("ROLLBACK"), ready(b'I')]);
        stage.query("begin", &[complete("BEGIN"), ready(b'T')]);
        assert_eq!(stage.client(&group), again);
        assert_eq!(stage.server(&[hidden.clone(), run.clone()].concat()), run);
        assert_eq!(stage.client(&query(INSERT)), query(INSERT));
        stage.server(&[complete("INSERT 0 1"), ready(b'T')].concat());
        stage.query("commit", &[complete("COMMIT"), ready(b'I')]);
        assert_eq!(stage.commits(), [[mark]]);
        stage.query("begin", &[complete("BEGIN"), ready(b'T')]);
    }
}

/// Groups that stand alone.
fn group() -> impl Strategy<Value = Vec<u8>> {
    let sql = prop_oneof![Just(INSERT), Just(OWN), Just("select 1")];
    let name = prop_oneof![Just(""), Just("s")];
    (sql, name, any::<[bool; 6]>()).prop_map(|(sql, name, [simple, first, described, flushed, limited, closed])| {
        if simple {
            return query(sql);
        }
        let mut group = Vec::new();
        if first {
            group.extend(if name.is_empty() { parse("", sql) } else { [close(name), parse(name, sql)].concat() });
        }
        if described {
            group.extend(message(b'D', &[b"S", name.as_bytes(), b"\0"].concat()));
        }
        if flushed {
            group.extend(message(b'H', b""));
        }
        group.extend(bind(name, &[]));
        if described {
            group.extend(describe_portal());
        }
        group.extend(execute(u32::from(limited)));
        if closed {
            group.extend(message(b'C', b"P\0"));
        }
        group.extend(sync());
        group
    })
}

proptest! {
    #[test]
    fn rule_12_with_a_primary_that_refuses_what_is_appended_the_client_sees_what_it_would_have_seen(
        groups in prop::collection::vec((group(), 0..5_usize, 1..80_usize), 1..12),
    ) {
        use Refuses::{AtBind, AtDescribe, AtExecute, AtParse, Nothing};
        let mut stage = Stage::new();
        let (mut real, mut model) = (Primary::new(), Primary::new());
        for (generation, (group, refuses, piece)) in (2..).zip(groups) {
            // The catalog is read anew, and knows no better.
            stage.catalog = Arc::new(Catalog { generation, ..catalog() });
            stage.piece = piece;
            real.refuses = [Nothing, AtParse, AtBind, AtDescribe, AtExecute][refuses];
            let parses = matches!(group[0], b'P' | b'C');
            if matches!(real.refuses, AtBind | AtDescribe) && !parses {
                // What was prepared before may have columns of its own: then the primary's word counts.
                real.refuses = AtExecute;
            }
            let mut sent = stage.client(&group);
            let mut seen = Vec::new();
            while !sent.is_empty() {
                seen.extend(stage.server(&real.answer(&sent)));
                sent = stage.session.take_again().map_or_else(Vec::new, |again| again.to_vec());
            }
            prop_assert_eq!(seen, model.answer(&group));
            prop_assert!(stage.session.is_idle());
        }
    }
}
