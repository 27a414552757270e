//! Rule 15: of code that may write any table the primary tells which it wrote, and no client can tell that it was asked.

use std::collections::BTreeSet;

use crate::support::wire::{Said, Wire, bind, cancel_request, describe_portal, execute, parse, query, sync};
use crate::support::{Pair, eventually, psql, same_rows};

const SCHEMA: &str = "
create table a (id serial primary key, v text);
create table b (id serial primary key, v text);
create table parted (id int, v text) partition by range (id);
create table parted_low partition of parted for values from (0) to (1000);
create table triggered (id serial primary key, v text);
create table late (id serial primary key, v text);
create table defaulted (id serial primary key, v int);
create table asked (id serial primary key, text text);
create table parent (id int primary key);
create table child (id int primary key, parent int references parent deferrable initially deferred);
create function writes_a() returns int language sql as $$ insert into a (v) values ('by function'); select 1 $$;
alter table defaulted alter v set default writes_a();
create function writes_parted() returns int language sql as $$ insert into parted values (7, 'by function'); select 2 $$;
create function writes_nothing() returns int language plpgsql as $$ begin return 3; end $$;
create function writes_and_undoes() returns int language plpgsql as $$ begin
    begin insert into b (v) values ('undone'); raise exception 'inner'; exception when others then null; end;
    create temp table if not exists passing (n int); insert into passing values (1); return 4; end $$;
create function breaks() returns int language sql as $$ insert into child values (1, 4711); select 5 $$;
create function on_write() returns trigger language plpgsql as $$ begin perform writes_a(); return null; end $$;
create trigger on_write after insert on triggered for each row execute function on_write();
create function at_commit() returns trigger language plpgsql as $$ begin execute 'insert into b (v) values (''at the commit'')'; return null; end $$;
create constraint trigger at_commit after insert on late deferrable initially deferred for each row execute function at_commit();
create view calling as select writes_a() as one;
create schema evil;
create function evil.never(oid, oid) returns boolean language sql immutable as 'select false';
create operator evil.= (leftarg = oid, rightarg = oid, function = evil.never);
create table evil.pg_locks (n int);
";

const TABLES: [&str; 10] =
    ["a", "b", "defaulted", "parted", "triggered", "late", "asked", "parent", "child", "evil.pg_locks"];

/// What was marked so far: tables with reasons, and how often.
async fn marks(pair: &Pair) -> BTreeSet<String> {
    let handled = pair.report().await.mirror.handled.into_iter().filter(|handled| handled.reason.is_some());
    let line = |handled: crossfade::report::Handled| {
        let table = handled.table.unwrap_or_else(|| "any table".to_owned());
        format!("{table} {} {}", handled.reason.unwrap_or_default(), handled.transactions)
    };
    handled.map(line).collect()
}

/// Tables newly marked.
fn more(before: &BTreeSet<String>, after: &BTreeSet<String>) -> BTreeSet<String> {
    after.difference(before).map(|line| line.rsplitn(3, ' ').last().unwrap().to_owned()).collect()
}

/// Each waits for its answer.
async fn conversation(port: u16, turns: &[Vec<u8>]) -> Vec<Said> {
    let mut session = Wire::session(port).await;
    let mut said = Vec::new();
    for turn in turns {
        session.send(turn).await;
        said.push(session.until_ready().await);
    }
    said
}

fn series(sql: &str) -> Vec<u8> {
    [parse("", sql), bind("", &[]), describe_portal(), execute(0), sync()].concat()
}

/// With the catalogs read.
async fn start() -> Pair {
    let pair = Pair::start(SCHEMA).await;
    eventually("what a function wrote is told", async || {
        let before = marks(&pair).await;
        psql(&pair.url(), "select writes_a()").await.must_succeed();
        more(&before, &marks(&pair).await) == ["public.a".to_owned()].into()
    })
    .await;
    pair
}

/// The same is said by both, and these tables are marked, and no others.
async fn marks_only(pair: &Pair, expected: &[&str], turns: &[Vec<u8>]) -> Vec<Said> {
    let direct = conversation(pair.primary.port(), turns).await;
    let before = marks(pair).await;
    let through = conversation(pair.proxy.port(), turns).await;
    let what = || turns.iter().map(|turn| turn.escape_ascii().to_string()).collect::<Vec<_>>();
    assert_eq!(direct, through, "{:?}", what());
    let expected: BTreeSet<String> = expected.iter().map(ToString::to_string).collect();
    assert_eq!(more(&before, &marks(pair).await), expected, "{:?}", what());
    through
}

/// What was written past the proxy, for comparison, is not on the shadow.
async fn same_everywhere(pair: &Pair) {
    pair.work("repair").await;
    pair.wait_settled().await;
    for table in TABLES {
        same_rows(pair, table).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn rule_15_a_function_marks_the_tables_that_it_wrote_however_it_is_called() {
    let pair = start().await;
    let a: &[&str] = &["public.a"];
    let block = |middle: &[Vec<u8>], end: Vec<u8>| [&[query("begin")], middle, &[end]].concat();
    for (expected, sql) in [
        (a, "select writes_a()"),
        (a, "select * from calling"),
        (a, "select 1 where writes_a() = 1 -- and no more"),
        (&["public.a", "public.b"], "insert into b (v) values (writes_a()::text) returning v"),
        (&["public.a", "public.defaulted"], "insert into defaulted default values"),
        (&["public.parted"], "select writes_parted()"),
        (&["public.a", "public.triggered"], "insert into triggered (v) values ('x') returning v"),
        (&[], "select writes_nothing()"),
        (&[], "select writes_and_undoes()"),
        (&["public.a"], "with w as (insert into a (v) values ('with') returning 1) select * from w"),
        (&["any table"], "insert into late (v) values ('x')"),
    ] {
        marks_only(&pair, expected, &[query(sql)]).await;
        marks_only(&pair, expected, &[series(sql)]).await;
        marks_only(&pair, expected, &block(&[query(sql)], query("commit"))).await;
        marks_only(&pair, expected, &block(&[series(sql)], series("end"))).await;
    }
    let procedure = "do $$ begin perform writes_a(); end $$";
    marks_only(&pair, a, &block(&[query(procedure)], query("commit"))).await;
    marks_only(&pair, a, &block(&[series(procedure)], series("commit"))).await;
    marks_only(&pair, &["any table"], &[query(procedure)]).await;
    marks_only(&pair, &["any table"], &[series(procedure)]).await;
    let elsewhere = [query("create temp table kept (n int)"), query("insert into kept select writes_a()")];
    marks_only(&pair, a, &elsewhere).await;
    let hijacked =
        [query("set search_path = evil, pg_catalog, public"), query("select writes_nothing(), public.writes_a()")];
    marks_only(&pair, a, &hijacked).await;
    let held = [query("declare c cursor with hold for select writes_a()")];
    marks_only(&pair, &["any table"], &block(&held, query("commit"))).await;
    same_everywhere(&pair).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn rule_15_what_fails_at_its_commit_has_the_answer_that_it_would_have() {
    let pair = start().await;
    let block = |end: Vec<u8>| vec![query("begin"), query("select breaks()"), end, query("select 1")];
    for turns in [
        vec![query("select breaks()")],
        vec![series("select breaks()")],
        block(query("commit")),
        block(series("commit")),
    ] {
        let said = marks_only(&pair, &[], &turns).await;
        assert!(said.iter().any(|said| said.errors() == ["23503"]), "{said:?}");
    }
    let failed = "select writes_a(), 1 / 0";
    for turns in [vec![query(failed)], vec![series(failed)], vec![query("begin"), query(failed), query("commit")]] {
        marks_only(&pair, &[], &turns).await;
    }
    same_everywhere(&pair).await;
}

/// What we ask waits here for a lock that no COMMIT needs.
#[tokio::test(flavor = "multi_thread")]
async fn rule_15_a_commit_that_is_cancelled_while_it_is_asked_commits_nothing() {
    let pair = start().await;
    let rows = "select count(*) from a";
    let (mut session, welcome) = Wire::open(pair.proxy.port()).await;
    let key = &welcome.messages.iter().find(|message| message.tag == b'K').expect("a key").body;
    for commit in [query("commit"), series("commit")] {
        let before = (psql(&pair.primary_url(), rows).await.must_succeed(), marks(&pair).await);
        session.ask("begin").await;
        session.ask("select writes_a()").await;
        let mut holder = Wire::session(pair.primary.port()).await;
        holder.ask("begin; lock table pg_catalog.pg_trigger in access exclusive mode").await;
        session.send(&commit).await;
        let waiting = "select count(*) from pg_locks where not granted and relation = 'pg_trigger'::regclass";
        eventually("it waits", async || psql(&pair.primary_url(), waiting).await.must_succeed() != "0\n").await;
        Wire::dial(pair.proxy.port()).await.send(&cancel_request(key)).await;
        let said = session.until_ready().await;
        assert_eq!(said.errors(), ["57014"]);
        holder.ask("rollback").await;
        assert_eq!(session.ask("rollback").await.tags(), "CZ");
        let after = (psql(&pair.primary_url(), rows).await.must_succeed(), marks(&pair).await);
        assert_eq!(before, after);
    }
    assert_eq!(session.ask("select writes_a()").await.tags(), "TDCZ", "nothing of it is left");
    same_everywhere(&pair).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn rule_15_code_that_looks_at_the_text_sees_the_clients() {
    let pair = start().await;
    let audit = "create function audited() returns trigger language plpgsql as $$ begin \
        insert into asked (text) values (current_query()); return null; end $$; \
        create trigger audited after insert on b for each row execute function audited(); drop trigger at_commit on late";
    psql(&pair.url(), audit).await.must_succeed();
    let sql = "insert into b (v) values ('audited')";
    let block = [query("begin"), query(sql), query("commit")];
    eventually("the trigger is known, and its block is asked", async || {
        let before = marks(&pair).await;
        conversation(pair.proxy.port(), &block).await;
        more(&before, &marks(&pair).await) == ["public.asked".to_owned(), "public.b".to_owned()].into()
    })
    .await;
    marks_only(&pair, &["any table"], &[query(sql)]).await;
    marks_only(&pair, &["public.asked", "public.b"], &[series(sql)]).await;
    let texts = psql(&pair.primary_url(), "select distinct text from asked").await.must_succeed();
    assert_eq!(texts.trim(), sql);
    same_everywhere(&pair).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn rule_15_a_role_that_may_not_look_at_locks_is_not_asked() {
    let pair = start().await;
    let revoke = "create role app login; grant all on all tables in schema public to app; \
        grant all on all sequences in schema public to app; revoke select on pg_catalog.pg_locks from public";
    psql(&pair.url(), revoke).await.must_succeed();
    let turns = [
        query("set role app"),
        query("select writes_a()"),
        query("begin"),
        query("select writes_a()"),
        query("commit"),
    ];
    marks_only(&pair, &["any table"], &turns).await;
    pair.wait_settled().await;
    marks_only(&pair, &["any table"], &turns).await;
    same_everywhere(&pair).await;
}
