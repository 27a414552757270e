//! "What counts as committed", case by case: three of four existing mirrors get one of these wrong.

use super::support::*;

const INSERT: &str = "insert into t values (1, 'a')";
const NONE: [[&str; 0]; 0] = [];

fn inserted(id: u32) -> Vec<u8> {
    told_row(&format!("({id},a)"))
}

/// The answer to an INSERT that told row `id`, in a transaction with this status.
fn answer(id: u32, status: u8) -> [Vec<u8>; 4] {
    [description(4), inserted(id), complete("INSERT 0 1"), ready(status)]
}

#[test]
fn a_failed_autocommit_statement_leaves_nothing() {
    let mut stage = Stage::new();
    stage.query(INSERT, &[description(4), inserted(1), error(), ready(b'I')]);
    assert_eq!(stage.commits(), NONE);
}

#[test]
fn a_transaction_enters_with_its_commit_and_before_it_is_acknowledged() {
    let mut stage = Stage::new();
    stage.query("begin", &[complete("BEGIN"), ready(b'T')]);
    stage.query(INSERT, &answer(1, b'T'));
    assert_eq!(stage.told(), [], "inside an open transaction nothing may commit yet");
    stage.client(&query("commit"));
    assert!(matches!(stage.told()[..], [Told::Enter(_)]), "announced before COMMIT is forwarded");
    stage.server(&complete("COMMIT"));
    assert_eq!(stage.commits(), [["t 1 (1,a)"]]);
    stage.server(&ready(b'I'));
    assert_eq!(stage.told(), [Told::Resolve(1)]);
}

#[test]
fn a_commit_that_is_answered_rollback_leaves_nothing() {
    let mut stage = Stage::new();
    stage.query("begin", &[complete("BEGIN"), ready(b'T')]);
    stage.query(INSERT, &answer(1, b'T'));
    stage.query("select 1/0", &[error(), ready(b'E')]);
    stage.query("commit", &[complete("ROLLBACK"), ready(b'I')]);
    assert_eq!(stage.commits(), NONE);
}

#[test]
fn rollback_to_takes_back_only_what_came_after_its_savepoint() {
    let mut stage = Stage::new();
    stage.query("begin", &[complete("BEGIN"), ready(b'T')]);
    stage.query(INSERT, &answer(1, b'T'));
    stage.query("savepoint s", &[complete("SAVEPOINT"), ready(b'T')]);
    stage.query(INSERT, &answer(2, b'T'));
    stage.query(INSERT, &[error(), ready(b'E')]);
    stage.query("rollback to s", &[complete("ROLLBACK"), ready(b'T')]);
    stage.query(INSERT, &answer(3, b'T'));
    stage.query("commit", &[complete("COMMIT"), ready(b'I')]);
    assert_eq!(stage.commits(), [["t 1 (1,a)", "t 3 (3,a)"]]);
}

#[test]
fn and_chain_commits_each_link() {
    let mut stage = Stage::new();
    stage.query("begin", &[complete("BEGIN"), ready(b'T')]);
    stage.query(INSERT, &answer(1, b'T'));
    stage.query("commit and chain", &[complete("COMMIT"), ready(b'T')]);
    assert_eq!(stage.commits(), [["t 1 (1,a)"]]);
    stage.query(INSERT, &answer(2, b'T'));
    stage.query("rollback and chain", &[complete("ROLLBACK"), ready(b'T')]);
    stage.query(INSERT, &answer(3, b'T'));
    stage.query("commit", &[complete("COMMIT"), ready(b'I')]);
    assert_eq!(stage.commits(), [["t 3 (3,a)"]]);
}

#[test]
fn a_multi_statement_query_is_one_transaction_unless_it_says_otherwise() {
    let mut stage = Stage::new();
    let two = format!("{INSERT}; {INSERT}");
    let first = [description(4), inserted(1), complete("INSERT 0 1")].concat();
    stage.query(&two, &[first.clone(), error(), ready(b'I')]);
    assert_eq!(stage.commits(), NONE);
    stage.query(&two, &[first.clone(), description(4), inserted(2), complete("INSERT 0 1"), ready(b'I')]);
    assert_eq!(stage.commits(), [["t 1 (1,a)", "t 2 (2,a)"]]);
    let mixed = format!("{INSERT}; begin; {INSERT}; commit; {INSERT}; select 1/0");
    let inner = [complete("BEGIN"), first.clone(), complete("COMMIT")].concat();
    stage.query(&mixed, &[first.clone(), inner, first, error(), ready(b'I')]);
    assert_eq!(stage.commits(), [["t 1 (1,a)", "t 1 (1,a)"]], "what came behind the COMMIT rolled back");
}

#[test]
fn a_pipeline_is_one_transaction_up_to_its_sync() {
    let mut stage = Stage::new();
    stage.client(&[parse("s", INSERT), sync()].concat());
    stage.server(&[message(b'1', b""), ready(b'I')].concat());
    let step = [bind("s", &[]), execute(0)].concat();
    let done = |id| [message(b'2', b""), inserted(id), complete("INSERT 0 1")].concat();
    stage.client(&[step.clone(), step.clone(), sync(), step, sync()].concat());
    stage.server(&[done(1), error(), ready(b'I')].concat());
    assert_eq!(stage.commits(), NONE);
    stage.server(&[done(3), ready(b'I')].concat());
    assert_eq!(stage.commits(), [["t 3 (3,a)"]]);
    assert!(stage.session.is_idle());
}

#[test]
fn a_prepared_transaction_marks_everything_when_it_commits() {
    let mut stage = Stage::new();
    stage.query("begin", &[complete("BEGIN"), ready(b'T')]);
    stage.query(INSERT, &answer(1, b'T'));
    stage.query("prepare transaction 'x'", &[complete("PREPARE TRANSACTION"), ready(b'I')]);
    assert_eq!(stage.commits(), NONE);
    stage.query("commit prepared 'x'", &[complete("COMMIT PREPARED"), ready(b'I')]);
    assert_eq!(stage.commits(), [["mark all TwoPhase"]]);
}

#[test]
fn a_procedure_that_failed_may_have_committed_before() {
    let mut stage = Stage::new();
    stage.query("call p()", &[error(), ready(b'I')]);
    assert_eq!(stage.commits(), [["mark all Opaque"]]);
}

#[test]
fn rule_03_every_commit_is_announced_before_its_message_is_forwarded() {
    let mut stage = Stage::new();
    let pipeline = [query("begin"), query(INSERT), query("commit")].concat();
    stage.client(&pipeline);
    let entered = stage.told().iter().filter(|told| matches!(told, Told::Enter(_))).count();
    assert_eq!(entered, 2, "the INSERT, which might have stood alone, and the COMMIT");
    let [a, b, c, d] = answer(1, b'T');
    stage.server(&[complete("BEGIN"), ready(b'T'), a, b, c, d].concat());
    assert_eq!(stage.told(), [Told::Resolve(1)]);
    stage.server(&[complete("COMMIT"), ready(b'I')].concat());
    assert_eq!(stage.told(), [Told::Commit(vec!["t 1 (1,a)".into()]), Told::Resolve(1)]);
}
