//! A client that does not wait for answers, and gives names another meaning in what may fail.

use std::sync::Arc;

use proptest::prelude::*;

use super::primary::{NONSENSE, Primary};
use super::support::*;
use crate::catalog::Catalog;

const INSERT: &str = "insert into t values (1, 'a')";
const OWN: &str = "insert into t values (1, 'a') returning v";
const SELECT: &str = "select 1, 2, 3, 4, 5";

/// A session, its primary, and the primary as it would be had the client asked it directly.
struct Play {
    stage: Stage,
    real: Primary,
    direct: Primary,
    /// On its way to the primary, and to crossfade.
    asked: Vec<u8>,
    answers: Vec<u8>,
    seen: Vec<u8>,
    expected: Vec<u8>,
}

impl Play {
    fn in_pieces_of(piece: usize) -> Self {
        Self {
            stage: Stage::with_pieces_of(piece),
            real: Primary::new(),
            direct: Primary::new(),
            asked: Vec::new(),
            answers: Vec::new(),
            seen: Vec::new(),
            expected: Vec::new(),
        }
    }

    fn client(&mut self, said: &[u8]) {
        self.asked.extend(self.stage.client(said));
        self.expected.extend(self.direct.answer(said));
    }

    /// The primary answers all that it got, and crossfade sees so much of that.
    fn primary(&mut self, most: usize) {
        self.answers.extend(self.real.answer(&std::mem::take(&mut self.asked)));
        let said: Vec<u8> = self.answers.drain(..most.min(self.answers.len())).collect();
        for piece in said.chunks(self.stage.piece.min(said.len().max(1))) {
            self.seen.extend(self.stage.server(piece));
            self.asked.extend(self.stage.session.take_again().unwrap_or_default());
            self.asked.extend(self.stage.released());
        }
    }

    /// The client waits for all answers.
    fn wait(&mut self) {
        while !self.asked.is_empty() || !self.answers.is_empty() {
            self.primary(usize::MAX);
        }
    }

    /// The client has seen what it would have seen, and every row is told.
    fn is_true(&mut self) {
        self.wait();
        assert_eq!(self.seen.escape_ascii().to_string(), self.expected.escape_ascii().to_string());
        assert_eq!(self.real.inserted, self.direct.inserted);
        let told: Vec<String> = self.stage.commits().concat();
        assert_eq!(told, vec!["t 1 (1,a)"; self.direct.inserted]);
        assert!(self.stage.session.is_idle());
    }
}

fn close_portal(portal: &str) -> Vec<u8> {
    message(b'C', &[b"P", portal.as_bytes(), b"\0"].concat())
}

fn describe(what: &str) -> Vec<u8> {
    message(b'D', &[what.as_bytes(), b"\0"].concat())
}

fn execute_portal(portal: &str) -> Vec<u8> {
    message(b'E', &[portal.as_bytes(), &[0; 5]].concat())
}

/// Bind, Describe, Execute and Sync.
fn run(statement: &str) -> Vec<u8> {
    [bind(statement, &[0]), describe("P"), execute(0), sync()].concat()
}

/// With `before` answered, `pipelined` comes in one write; and then `after`.
#[track_caller]
fn same(before: &[Vec<u8>], pipelined: &[Vec<u8>], after: &[Vec<u8>]) {
    let pipelined = pipelined.concat();
    for piece in (1..=pipelined.len()).chain([usize::MAX]) {
        let mut play = Play::in_pieces_of(piece);
        for said in [&before.concat(), &pipelined, &after.concat()] {
            play.client(said);
            play.wait();
        }
        play.is_true();
    }
}

#[test]
fn a_parse_that_is_refused_leaves_what_comes_behind_the_old_statement() {
    for [old, new] in [[INSERT, SELECT], [OWN, SELECT], [SELECT, INSERT], [INSERT, OWN]] {
        let before = [parse("s", old), sync()];
        same(&before, &[parse("s", new), sync(), run("s"), run("s")], &[run("s")]);
        same(&before, &[parse("s", new), sync(), describe("Ss"), sync()], &[run("s")]);
        same(&before, &[parse("s", NONSENSE), sync(), sync(), run("s")], &[run("s")]);
        same(&[], &[parse("s", old), sync(), parse("s", new), sync(), run("s")], &[run("s")]);
    }
}

#[test]
fn what_is_skipped_behind_an_error_changes_no_name_for_what_comes_behind() {
    let failed = parse("x", NONSENSE);
    for name in ["", "s"] {
        let before = [parse(name, INSERT), sync()];
        same(&before, &[failed.clone(), close(name), sync(), run(name)], &[run(name)]);
        same(&before, &[failed.clone(), parse(name, SELECT), sync(), run(name)], &[run(name)]);
        same(&before, &[failed.clone(), close(name), parse(name, SELECT), run(name), run(name)], &[run(name)]);
        same(&before, &[failed.clone(), query(SELECT), sync(), run(name)], &[run(name)]);
    }
}

#[test]
fn a_refused_parse_does_not_take_back_what_came_behind_it() {
    let before = [parse("", SELECT), sync()];
    same(&before, &[parse("", NONSENSE), sync(), parse("", INSERT), run("")], &[run("")]);
    same(&before, &[parse("", NONSENSE), sync(), run("")], &[run("")]);
    let before = [parse("s", INSERT), sync()];
    same(&before, &[parse("s", SELECT), sync(), close("s"), parse("s", SELECT), sync()], &[run("s")]);
}

#[test]
fn a_deallocate_forgets_what_was_prepared_before_it() {
    let before = [parse("s", SELECT), sync()];
    let anew = [parse("s", INSERT), sync(), run("s")].concat();
    same(&before, &[query("deallocate s"), anew.clone()], &[run("s")]);
    same(&before, &[query("deallocate x"), anew.clone()], &[run("s")]);
    same(&before, &[query("deallocate s"), query("deallocate s"), run("s"), anew], &[run("s")]);
}

#[test]
fn a_name_that_is_new_does_not_wait() {
    let mut stage = Stage::new();
    let text = [parse("s", SELECT), sync(), bind("s", &[]), execute(0), sync()].concat();
    assert_eq!(stage.client(&text), text);
    same(&[], &[parse("s", NONSENSE), sync(), run("s")], &[run("s")]);
    same(&[], &[parse("s", INSERT), sync(), run("s"), run("s")], &[run("s")]);
}

#[test]
fn nor_does_one_of_the_same_series() {
    let mut stage = Stage::new();
    let series = [parse("", SELECT), bind("", &[]), execute(0), sync()].concat();
    let many = series.repeat(3);
    assert_eq!(stage.client(&many), many);
}

#[test]
fn a_statement_that_could_not_follow_the_catalog_is_what_it_was() {
    let mut play = Play::in_pieces_of(usize::MAX);
    play.client(&[parse("s", INSERT), sync()].concat());
    play.wait();
    play.stage.trust_catalog(false);
    play.client(&[parse("x", NONSENSE), bind("s", &[]), sync(), bind("s", &[]), sync()].concat());
    play.stage.trust_catalog(true);
    play.stage.catalog = Arc::new(Catalog { generation: 2, ..catalog() });
    play.wait();
    play.client(&run("s"));
    play.is_true();
}

#[test]
fn a_portal_whose_close_was_skipped_is_still_there_behind_a_savepoint() {
    let mut stage = Stage::new();
    stage.query("begin", &[complete("BEGIN"), ready(b'T')]);
    stage.client(&[parse("s", INSERT), bind_portal("p", "s", &[]), sync()].concat());
    stage.server(&[message(b'1', b""), message(b'2', b""), ready(b'T')].concat());
    stage.query("savepoint a", &[complete("SAVEPOINT"), ready(b'T')]);
    let back = query("rollback to a");
    let forwarded = [bind("x", &[]), close_portal("p"), sync(), back].concat();
    let held = [execute_portal("p"), sync()].concat();
    assert_eq!(stage.client(&[forwarded.clone(), held.clone()].concat()), forwarded);
    stage.server(&refused("26000", ""));
    assert_eq!(stage.released(), held);
    stage.server(&[ready(b'E'), complete("ROLLBACK"), ready(b'T')].concat());
    let ran = [complete("INSERT 0 1"), ready(b'T')].concat();
    assert_eq!(stage.server(&[told_row("(1,a)"), ran.clone()].concat()), ran);
    stage.query("commit", &[complete("COMMIT"), ready(b'I')]);
    assert_eq!(stage.commits(), [["t 1 (1,a)"]]);
}

#[test]
fn nothing_waits_while_the_server_waits_for_copy_data() {
    let mut stage = Stage::new();
    stage.client(&[parse("s", INSERT), sync()].concat());
    stage.server(&[message(b'1', b""), ready(b'I')].concat());
    let copy = [query("copy k from stdin"), close("s"), sync()].concat();
    assert_eq!(stage.client(&[copy.clone(), run("s")].concat()), copy);
    stage.server(&message(b'G', &[0; 3]));
    assert_eq!(stage.released(), run("s"), "the server is to refuse it");
}

fn client_message() -> impl Strategy<Value = Vec<u8>> {
    let name = || prop_oneof![Just(""), Just("s")];
    let portal = || prop_oneof![3 => Just(""), 1 => Just("p")];
    let sql = prop_oneof![3 => Just(INSERT), 2 => Just(OWN), 3 => Just(SELECT), 2 => Just(NONSENSE)];
    prop_oneof![
        3 => (name(), sql.clone()).prop_map(|(name, sql)| parse(name, sql)),
        4 => (portal(), name(), 0..3_usize).prop_map(|(portal, name, formats)| {
            bind_portal(portal, name, [&[][..], &[0], &[0; 5]][formats])
        }),
        1 => name().prop_map(|name| describe(&format!("S{name}"))),
        1 => portal().prop_map(|portal| describe(&format!("P{portal}"))),
        4 => portal().prop_map(execute_portal),
        1 => name().prop_map(close),
        1 => portal().prop_map(close_portal),
        1 => prop_oneof![sql, Just("deallocate s")].prop_map(query),
        5 => Just(sync()),
    ]
}

proptest! {
    #[test]
    fn whatever_is_pipelined_the_client_sees_what_it_would_have_seen_and_every_row_is_told(
        turns in prop::collection::vec((prop::collection::vec(client_message(), 1..8), 0..60_usize), 1..10),
        piece in 1..80_usize,
    ) {
        let mut play = Play::in_pieces_of(piece);
        for (said, answered) in turns {
            play.client(&said.concat());
            play.primary(answered);
        }
        play.client(&sync());
        play.is_true();
    }
}
