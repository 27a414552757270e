//! Rule 15: what a transaction wrote by code that may write any table is asked of the primary, unseen.

use std::collections::HashMap;
use std::sync::Arc;

use proptest::prelude::*;

use super::support::*;
use crate::catalog::Catalog;
use crate::effect::{TableId, Touched};
use crate::session::testing::asking;
use crate::wire::{self, HEADER, Header};

const NOTHING: [u8; 0] = [];
const NAME: &str = "crossfade question";
const ALL: &str = "mark all Opaque";

fn stage() -> Stage {
    let mut stage = Stage::new();
    stage.catalog = Arc::new(asking());
    stage
}

/// Within a transaction block in which this ran.
fn block(sql: &str) -> Stage {
    let mut stage = stage();
    stage.query("begin", &[complete("BEGIN"), ready(b'T')]);
    stage.query(sql, &[complete("DONE"), ready(b'T')]);
    stage.told();
    stage
}

fn answer(relations: &str) -> Vec<u8> {
    row(&[relations, "\"$user\", public", "bob", "0", "1"])
}

/// All that a Query with it is answered.
fn answered(relations: &str) -> Vec<u8> {
    [description(5), answer(relations), complete("SELECT 1")].concat()
}

/// All that its messages of the extended protocol are answered.
fn answered_extended(relations: &str) -> Vec<u8> {
    let ok = |tag| message(tag, b"");
    [ok(b'3'), ok(b'1'), ok(b'2'), answer(relations), complete("SELECT 1"), ok(b'3'), ok(b'3')].concat()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn asks(bytes: &[u8]) -> bool {
    text(bytes).contains("pg_catalog.pg_locks")
}

#[test]
fn rule_15_a_commit_of_what_is_not_known_asks_first() {
    for sql in ["select f()", "do 'anything'", "call p()", "copy (select f()) to stdout", "truncate t cascade"] {
        let mut stage = block(sql);
        let sent = text(&stage.client(&query("commit; -- now"))[HEADER..]);
        assert!(sent.starts_with("SELECT ARRAY(") && sent.ends_with("'); commit; -- now\0"), "{sql}: {sent}");
        assert_eq!(stage.told(), [Told::Enter(Touched::All)], "{sql}: until it is answered all are in flight");
        let end = [complete("COMMIT"), ready(b'I')].concat();
        assert_eq!(stage.server(&[answered("{100,200,100}"), end.clone()].concat()), end, "{sql}");
        let marks = stage.commits();
        assert!(matches!(&marks[..], [mark] if mark.len() == 1 && mark[0].starts_with("mark 100,200 ")), "{marks:?}");
        assert_eq!(text(&stage.client(&query("commit"))), text(&query("commit")), "{sql}: once");
    }
}

#[test]
fn rule_15_a_commit_of_a_series_asks_first() {
    let mut stage = block("select f()");
    let series = [parse("", "commit"), bind("", &[]), execute(0)];
    assert_eq!(stage.client(&series[..2].concat()), series[..2].concat());
    let sent = stage.client(&series[2]);
    assert!(asks(&sent) && sent.ends_with(&[close(NAME), series[2].clone()].concat()), "{}", text(&sent));
    assert_eq!(stage.client(&sync()), sync());
    let bound = [message(b'1', b""), message(b'2', b"")].concat();
    let end = [complete("COMMIT"), ready(b'I')].concat();
    let seen = stage.server(&[bound.clone(), answered_extended("{300}"), end.clone()].concat());
    assert_eq!(seen, [bound, end].concat());
    assert_eq!(stage.commits(), [["mark 300 Opaque"]]);
    assert!(stage.session.is_idle());
}

#[test]
fn rule_15_statements_that_stand_alone_are_asked_behind_and_their_tag_waits_for_the_commit() {
    let mut stage = stage();
    let sent = text(&stage.client(&query("select 1; select f(); -- all"))[HEADER..]);
    assert!(sent.starts_with("select 1; select f(); -- all\n;SELECT ARRAY("), "{sent}");
    let rows = [description(1), row(&["1"])].concat();
    let first = [rows.clone(), complete("SELECT 1")].concat();
    assert_eq!(stage.server(&[&first[..], &rows, &complete("SELECT 1")].concat()), [&first[..], &rows].concat());
    assert_eq!(stage.server(&description(5)), NOTHING);
    assert_eq!(stage.server(&answer("{100}")), NOTHING);
    let end = [complete("SELECT 1"), ready(b'I')].concat();
    assert_eq!(stage.server(&end), end);
    assert_eq!(stage.commits(), [["mark 100 Opaque"]]);
    // Refused at its commit it had no tag.
    stage.client(&query("select f()"));
    let refused = [error(), ready(b'I')].concat();
    let all = [&first[..], &description(5), &answer("{100}"), &refused].concat();
    assert_eq!(stage.server(&all), [&rows[..], &refused].concat());
    assert_eq!(stage.commits(), Vec::<Vec<String>>::new());
    assert!(stage.session.is_idle());
}

#[test]
fn rule_15_a_series_that_stands_alone_is_asked_in_front_of_its_sync() {
    let mut stage = stage();
    let series = [parse("", "select f()"), bind("", &[]), execute(0)].concat();
    assert_eq!(stage.client(&series), series);
    let sent = stage.client(&sync());
    assert!(asks(&sent) && sent.ends_with(&[close(NAME), sync()].concat()));
    let ran = [message(b'1', b""), message(b'2', b""), row(&["1"]), complete("SELECT 1")].concat();
    let seen = stage.server(&[ran.clone(), answered_extended("{}"), ready(b'I')].concat());
    assert_eq!(seen, [ran, ready(b'I')].concat());
    assert_eq!(stage.commits(), Vec::<Vec<String>>::new(), "it wrote nothing");
    assert!(stage.session.is_idle());
    // Refused before it is asked, or when it is.
    for ran in [vec![message(b'1', b"")], vec![message(b'1', b""), message(b'2', b""), complete("SELECT 1")]] {
        stage.client(&[series.clone(), sync()].concat());
        let all = [&ran.concat()[..], &error(), &ready(b'I')].concat();
        assert_eq!(stage.server(&all), all);
        assert_eq!(stage.commits(), Vec::<Vec<String>>::new());
        assert!(stage.session.is_idle());
    }
}

#[test]
fn rule_15_a_captured_row_stays_beside_the_tables_that_are_told() {
    let mut stage = stage();
    let insert = "insert into t values (1, f())";
    let sent = text(&stage.client(&query(insert)));
    assert!(sent.contains("RETURNING") && sent.contains("\n;SELECT ARRAY("), "{sent}");
    let inserted = [description(4), told_row("(1,a)"), complete("INSERT 0 1")].concat();
    let end = [complete("INSERT 0 1"), ready(b'I')].concat();
    assert_eq!(stage.server(&[inserted, answered("{100,300}"), ready(b'I')].concat()), end);
    assert_eq!(stage.commits(), [["t 1 (1,a)", "mark 100,300 Opaque"]]);
}

#[test]
fn rule_15_all_tables_stay_marked_by_an_answer_that_does_not_tell() {
    let digits = row(&["{100}", "public", "bob", "0", "many"]);
    let answers = [answer("{100,4711}"), answer("{0}"), answer("100"), answer("{-1}"), row(&["{100}"]), digits];
    for (case, told) in answers.into_iter().enumerate() {
        let mut stage = block("select f()");
        stage.client(&query("commit"));
        stage.server(&[description(5), told, complete("SELECT 1"), complete("COMMIT"), ready(b'I')].concat());
        assert_eq!(stage.commits(), [[ALL]], "case {case}");
    }
    let mut stale = block("select f()");
    stale.client(&query("commit"));
    stale.trust_catalog(false);
    stale.server(&[answered("{100}"), complete("COMMIT"), ready(b'I')].concat());
    assert_eq!(stale.commits(), [[ALL]], "the catalog is being read anew");
}

#[test]
fn rule_15_nothing_is_asked_where_it_could_be_seen_or_would_not_tell() {
    let is_asked = |mut stage: Stage, sql: &str| asks(&stage.client(&query(sql)));
    let with = |change: fn(&mut Catalog)| {
        let mut stage = block("select f()");
        let mut catalog = asking();
        change(&mut catalog);
        stage.catalog = Arc::new(catalog);
        stage
    };
    let after = |sql: &str| {
        let mut stage = stage();
        stage.query(sql, &[complete("SET"), ready(b'I')]);
        stage
    };
    let mut failed = block("select f()");
    failed.query("select 1/0", &[error(), ready(b'E')]);
    let mut pipelined = block("select f()");
    pipelined.client(&query("select f()"));
    // Its locks went with the savepoint, but what it did to the session is to be known.
    let mut rolled_back_to = block("select f()");
    rolled_back_to.query("savepoint s", &[complete("SAVEPOINT"), ready(b'T')]);
    rolled_back_to.query("rollback to s", &[complete("ROLLBACK"), ready(b'T')]);
    assert!(asks(&rolled_back_to.client(&query("commit"))));
    rolled_back_to.server(&[answered("{100}"), complete("COMMIT"), ready(b'I')].concat());
    assert_eq!(rolled_back_to.commits(), [[ALL]]);
    let mut read_anew = block("select f()");
    read_anew.trust_catalog(false);
    for (case, stage) in [
        failed,
        pipelined,
        read_anew,
        block("insert into t values (1, 'a')"),
        with(|catalog| catalog.askers.clear()),
        with(|catalog| (catalog.texts_are_read, catalog.triggers_are_deferred) = (true, true)),
    ]
    .into_iter()
    .enumerate()
    {
        assert!(!is_asked(stage, "commit"), "case {case}");
    }
    for sql in ["commit and chain", "rollback", "commit; select f()", "prepare transaction 'x'", "select f()"] {
        assert!(!is_asked(block("select f()"), sql), "{sql}");
    }
    for sql in
        ["do 'anything'", "call p()", "execute anything", "select f(), current_query()", "begin; select f(); end"]
    {
        assert!(!is_asked(stage(), sql), "{sql}");
    }
    for (sql, expected) in [
        ("set statement_timeout = 200", false),
        ("set statement_timeout = '1 min'", true),
        ("set statement_timeout = 0", true),
        ("set statement_timeout = 'soon'", false),
        ("set role eve", false),
        ("set lock_timeout = 1", true),
    ] {
        assert_eq!(is_asked(after(sql), "select f()"), expected, "{sql}");
    }
    let mut seen = stage();
    seen.catalog = Arc::new(Catalog { texts_are_read: true, ..asking() });
    assert!(!asks(&seen.client(&query("select f()"))));
    let series = [parse("", "select f()"), bind("", &[]), execute(0), sync()].concat();
    seen.server(&[complete("SELECT 1"), ready(b'I')].concat());
    assert!(asks(&seen.client(&series)), "where no text of the client's changes it does not matter");
}

#[test]
fn rule_15_a_session_of_which_nothing_was_told_is_asked_by_its_next_statement() {
    let series = [parse("", "select 1"), bind("", &[]), execute(0), sync()].concat();
    for (next, told) in [(query("select 1"), answered("{}")), (series, answered_extended("{}"))] {
        let mut stage = stage();
        stage.query("execute anything", &[complete("SELECT 1"), ready(b'I')]);
        assert_eq!(stage.commits(), [[ALL]]);
        for sql in ["begin", "", "set work_mem = 1", "rollback"] {
            let status = if sql == "begin" { b'T' } else { b'I' };
            assert_eq!(stage.client(&query(sql)), query(sql));
            stage.server(&[complete("DONE"), ready(status)].concat());
        }
        assert!(asks(&stage.client(&next)));
        let ran = [complete("SELECT 1"), told, ready(b'I')].concat();
        stage.server(&if next[0] == b'Q' { ran } else { [message(b'1', b""), message(b'2', b""), ran].concat() });
        assert!(stage.session.is_idle() && stage.commits().is_empty());
        assert_eq!(stage.client(&next), next, "once");
    }
    let mut unshared = stage();
    unshared.query("do 'anything'", &[complete("DO"), ready(b'I')]);
    assert!(
        asks(&unshared.client(&query("select 1"))),
        "it cannot be shared, but floats are captured when it has told"
    );
}

#[test]
fn rule_15_a_procedure_within_a_block_commits_nothing_before_its_end() {
    let mut stage = block("select 1");
    stage.client(&query("do 'anything'"));
    assert_eq!(stage.told(), [], "nothing is in flight");
    stage.server(&[error(), ready(b'E')].concat());
    assert_eq!(stage.told(), []);
}

#[test]
fn rule_15_what_a_portal_has_written_when_it_is_left_is_marked() {
    let mut stage = stage();
    stage.catalog = Arc::new(catalog());
    stage.client(&[parse("", "select f()"), bind("", &[]), execute(1), sync()].concat());
    let ran = [message(b'1', b""), message(b'2', b""), row(&["1"]), message(b's', b""), ready(b'I')].concat();
    assert_eq!(stage.server(&ran), ran);
    assert_eq!(stage.commits(), [[ALL]]);
}

/// A primary with transaction blocks: `f()` writes the table 100, `g()` 200, `failing` fails.
#[derive(Default)]
struct Primary {
    statements: HashMap<Vec<u8>, String>,
    portals: HashMap<Vec<u8>, String>,
    block: Block,
    skipping: bool,
    locked: Vec<u32>,
    /// The tables of each commit.
    committed: Vec<Vec<u32>>,
}

#[derive(Default, Clone, Copy, PartialEq)]
enum Block {
    #[default]
    None,
    Open,
    Failed,
}

impl Primary {
    fn answer(&mut self, mut requests: &[u8]) -> Vec<u8> {
        let mut answers = Vec::new();
        while let Some(Header { tag, size }) = wire::header(requests).unwrap() {
            let body = &requests[HEADER..size];
            match tag {
                b'S' => {
                    self.skipping = false;
                    answers.extend(self.ready());
                }
                _ if self.skipping => {}
                b'Q' => {
                    let text = text(wire::cstring(body).unwrap().0);
                    for statement in text.split(';').map(str::trim).filter(|statement| !statement.is_empty()) {
                        let described = statement.to_lowercase().starts_with("select").then(|| description(5));
                        let (answer, done) = self.run(statement);
                        answers.extend(described.filter(|_| done).unwrap_or_default());
                        answers.extend(answer);
                        if !done {
                            break;
                        }
                    }
                    answers.extend(self.ready());
                }
                tag => {
                    let (answer, done) = self.request(tag, body);
                    answers.extend(answer);
                    self.skipping = !done;
                }
            }
            requests = &requests[size..];
        }
        answers
    }

    fn request(&mut self, tag: u8, body: &[u8]) -> (Vec<u8>, bool) {
        match tag {
            b'P' => {
                let parse = wire::parse(body).unwrap();
                let taken = !parse.name.is_empty() && self.statements.contains_key(parse.name);
                assert!(!taken, "a name given twice");
                self.statements.insert(parse.name.to_vec(), text(parse.sql));
                (message(b'1', b""), true)
            }
            b'B' => {
                let bind = wire::bind(body).unwrap();
                self.portals.insert(bind.portal.to_vec(), self.statements[bind.statement].clone());
                (message(b'2', b""), true)
            }
            b'E' => {
                let statement = self.portals[wire::execute(body).unwrap().portal].clone();
                self.run(&statement)
            }
            _ => {
                let (kind, name) = (body[0], wire::cstring(&body[1..]).unwrap().0);
                let closed = if kind == b'S' { &mut self.statements } else { &mut self.portals };
                closed.remove(name);
                (message(b'3', b""), true)
            }
        }
    }

    fn run(&mut self, statement: &str) -> (Vec<u8>, bool) {
        let refused = self.block == Block::Failed && !matches!(statement, "commit" | "rollback");
        if refused || statement == "select failing" {
            self.locked.clear();
            self.block = if self.block == Block::None { Block::None } else { Block::Failed };
            return (error(), false);
        }
        let answer = match statement {
            "begin" => {
                self.block = Block::Open;
                complete("BEGIN")
            }
            "commit" if self.block != Block::Failed => {
                self.commit();
                self.block = Block::None;
                complete("COMMIT")
            }
            "commit" | "rollback" => {
                self.locked.clear();
                self.block = Block::None;
                complete("ROLLBACK")
            }
            statement => {
                let table = match statement {
                    "select f()" => Some(100),
                    "select g()" => Some(200),
                    _ => None,
                };
                self.locked.extend(table);
                let locked: Vec<_> = self.locked.iter().map(u32::to_string).collect();
                let told = answer(&format!("{{{}}}", locked.join(",")));
                let ours = statement.starts_with("SELECT ARRAY(");
                [if ours { told } else { row(&["1"; 5]) }, complete("SELECT 1")].concat()
            }
        };
        (answer, true)
    }

    fn commit(&mut self) {
        let mut locked = std::mem::take(&mut self.locked);
        locked.sort_unstable();
        locked.dedup();
        if !locked.is_empty() {
            self.committed.push(locked);
        }
    }

    fn ready(&mut self) -> Vec<u8> {
        let status = match self.block {
            Block::None => {
                self.commit();
                b'I'
            }
            Block::Open => b'T',
            Block::Failed => b'E',
        };
        if status == b'I' {
            self.portals.clear();
        }
        ready(status)
    }
}

/// Statements in one Query or one series.
type Turn = (bool, Vec<&'static str>);

fn turn() -> impl Strategy<Value = Turn> {
    const STATEMENTS: [&str; 7] =
        ["begin", "commit", "rollback", "select f()", "select g()", "select 1", "select failing"];
    (any::<bool>(), prop::collection::vec(prop::sample::select(&STATEMENTS[..]), 1..3))
}

fn sent((simple, statements): &Turn) -> Vec<u8> {
    if *simple {
        return query(&statements.join("; "));
    }
    let run = |sql: &&str| [parse("", sql), bind("", &[]), execute(0)].concat();
    [statements.iter().flat_map(run).collect(), sync()].concat()
}

proptest! {
    #[test]
    fn rule_15_whatever_is_asked_the_client_sees_what_it_would_have_seen_and_every_written_table_is_marked(
        turns in prop::collection::vec((prop::collection::vec(turn(), 1..3), 1..60_usize), 1..10),
    ) {
        let mut stage = stage();
        let (mut real, mut model) = (Primary::default(), Primary::default());
        for (turns, piece) in turns {
            let turns = turns.iter().flat_map(sent).collect::<Vec<_>>();
            stage.piece = piece;
            let sent = stage.client(&turns);
            let seen = stage.server(&real.answer(&sent));
            prop_assert_eq!(text(&seen), text(&model.answer(&turns)));
        }
        prop_assert_eq!(&real.committed, &model.committed);
        let mut marked = stage.commits().into_iter();
        for tables in &model.committed {
            let marks = marked.next().expect("a mark").join(" ");
            let all = tables.iter().all(|table| marks.contains(&TableId(*table).0.to_string()));
            prop_assert!(marks.contains("all") || all, "{} for {:?}", marks, tables);
        }
        prop_assert!(real.statements.keys().all(Vec::is_empty), "nothing is left behind");
    }
}
