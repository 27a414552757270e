//! Definitions of temporary relations, which may bear the name of a real one.

use super::support::*;

fn replays(stage: &mut Stage, sql: &str) -> bool {
    stage.query(sql, &[complete("DDL"), ready(b'I')]);
    stage.commits().iter().flatten().any(|change| change.starts_with("replay"))
}

#[test]
fn a_definition_of_a_temporary_table_is_not_replayed_on_the_real_one_it_hides() {
    let mut stage = Stage::new();
    for made in ["create temp table t (id int)", "select 1 as id into temp t", "create temp table t as select 1"] {
        assert!(!replays(&mut stage, made));
        for change in ["alter table t add w int", "create index on t (id)", "drop table t"] {
            assert!(!replays(&mut stage, change), "{change} after {made}");
        }
        for real in ["alter table t add w int", "drop table t", "create table t (id int)"] {
            assert!(replays(&mut stage, real), "{real}: the temporary one is gone");
        }
    }
    assert!(!replays(&mut stage, "create temp table t (id int)"));
    assert!(replays(&mut stage, "drop table public.t"));
    assert!(replays(&mut stage, "create table t (id int)"), "it is not temporary because another is");
}

#[test]
fn a_temporary_table_goes_and_comes_back_with_its_transaction() {
    let mut stage = Stage::new();
    let step = |stage: &mut Stage, sql: &str, tag: &str, status: u8| {
        stage.query(sql, &[complete(tag), ready(status)]);
    };
    step(&mut stage, "begin", "BEGIN", b'T');
    step(&mut stage, "create temp table t (id int)", "CREATE TABLE", b'T');
    step(&mut stage, "rollback", "ROLLBACK", b'I');
    assert!(replays(&mut stage, "drop table t"));
    step(&mut stage, "create temp table t (id int)", "CREATE TABLE", b'I');
    step(&mut stage, "begin", "BEGIN", b'T');
    step(&mut stage, "savepoint s", "SAVEPOINT", b'T');
    step(&mut stage, "drop table t", "DROP TABLE", b'T');
    step(&mut stage, "rollback to s", "ROLLBACK", b'T');
    step(&mut stage, "commit", "COMMIT", b'I');
    stage.told();
    assert!(!replays(&mut stage, "drop table t"));
    step(&mut stage, "create temp table t (id int)", "CREATE TABLE", b'I');
    step(&mut stage, "discard all", "DISCARD ALL", b'I');
    stage.told();
    assert!(replays(&mut stage, "drop table t"));
}
