//! `crossfade repair --dry-run`: the SQL that would bring the shadow in line, and nothing done.

use serde_json::{Value, json};

use crate::support::{Pair, Program, eventually, psql, same_rows};

const SCHEMA: &str = r#"
create table "Odd ""name" ("the id" int primary key, "it's" text, twice int generated always as ("the id" * 2) stored, m money, iv interval, raw bytea);
insert into "Odd ""name" ("the id", "it's", m, iv, raw) select g, 'it''s \n "' || g, g, interval '-1 day 2 hours', '\x00ff' from generate_series(1, 100) g;
create table numbered (id int generated always as identity primary key, v char(5), x xml, p point);
insert into numbered (v, x, p) select 'v', '<a/>', '(1,2)' from generate_series(1, 100) g;
create table amounts (n numeric primary key, v int); insert into amounts select g * 0.5, g from generate_series(1, 50) g;
create table parts (a int, b text, primary key (b, a)) partition by list (a);
create table parts_1 partition of parts for values in (1); insert into parts select 1, 'b' || g from generate_series(1, 50) g;
create table many (id int primary key, v text); insert into many select g, 'v' from generate_series(1, 1500) g;
create table nobody (v text, n int, g int generated always as (n + 1) stored);
insert into nobody (v, n) select 'it''s', g % 5 from generate_series(1, 500) g; insert into nobody values (null, null), ('', null);
create table alone (id int, v text); insert into alone select g, 'v' from generate_series(1, 20) g;
create table zero (id int primary key);
"#;
const FAULTS: &str = r#"
update "Odd ""name" set "it's" = null where "the id" = 7; update "Odd ""name" set m = 0, iv = '0', raw = '' where "the id" = 8;
delete from "Odd ""name" where "the id" = 9; insert into "Odd ""name" values (1000, 'more');
update numbered set v = 'w', x = '<b/>', p = '(0,0)' where id = 5; delete from numbered where id = 6;
update amounts set n = 1.00 where n = 1.0; delete from amounts where v = 3; insert into amounts values (1000, 1);
insert into parts values (1, 'more'); delete from parts where b = 'b1';
delete from nobody where ctid in (select ctid from nobody where n = 1 limit 3); insert into nobody values ('it''s', 2), ('it''s', 2), ('new', 9);
update nobody set v = '' where v is null; delete from alone where id = 3;
"#;

async fn repair(pair: &Pair, arguments: &[&str]) -> String {
    let config = pair.proxy.config_file().display().to_string();
    let program = Program::new(env!("CARGO_BIN_EXE_crossfade")).args(&["repair", "--dry-run", "--config", &config]);
    program.args(arguments).run().await.must_succeed()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dry_run_prints_what_brings_the_shadow_in_line_and_does_nothing() {
    let pair = Pair::start(SCHEMA).await;
    let unchecked = repair(&pair, &["public.zero"]).await;
    assert!(unchecked.contains("-- not compared yet") && !unchecked.contains("BEGIN"), "{unchecked}");
    psql(&pair.shadow_url(), FAULTS).await.must_succeed();
    pair.work("check").await;
    // Since then one has become equal, and one differs in another way.
    psql(&pair.shadow_url(), "delete from \"Odd \"\"name\" where \"the id\" = 1000").await.must_succeed();
    psql(&pair.url(), "delete from numbered where id = 5").await.must_succeed();
    pair.wait_settled().await;
    psql(&pair.shadow_url(), "insert into numbered overriding system value values (5, 'x')").await.must_succeed();

    // Its triggers do not fire when the mirror writes.
    let trigger = "create function spoil() returns trigger language plpgsql as 'begin new.v = ''bad''; return new; end'; \
                   create trigger spoil before insert or update on numbered for each row execute function spoil()";
    psql(&pair.shadow_url(), trigger).await.must_succeed();

    let fingerprint = async || {
        let rows = "select md5(string_agg(t::text, '' order by t::text)) from numbered t; select count(*) from amounts";
        psql(&pair.shadow_url(), rows).await.must_succeed()
    };
    let before = fingerprint().await;
    let script = repair(&pair, &[]).await;
    assert_eq!(fingerprint().await, before, "nothing was applied");
    assert!(pair.status().await.mirror.settled, "and nothing marked");
    for line in [
        "-- public.Odd \"name: 3 rows differ",
        "-- public.numbered: 2 rows differ",
        "-- public.nobody: 8 rows differ",
        "DELETE FROM ONLY \"public\".\"numbered\" AS t WHERE (t.\"id\") IN (('5'::pg_catalog.int4));",
        "INSERT INTO \"public\".\"parts\" (\"a\", \"b\") OVERRIDING SYSTEM VALUE VALUES ('1', 'b1') ON CONFLICT (\"b\", \"a\") DO NOTHING;",
    ] {
        assert!(script.lines().any(|found| found == line), "{line}\n---\n{script}");
    }
    assert!(
        !script.contains("\"zero\"") && !script.contains("\"twice\"") && !script.contains("1000', 'more"),
        "{script}"
    );

    psql(&pair.shadow_url(), &script).await.must_succeed();
    for (table, rows) in
        [("\"Odd \"\"name\"", 100), ("numbered", 99), ("amounts", 50), ("parts", 50), ("nobody", 502), ("alone", 20)]
    {
        assert_eq!(same_rows(&pair, table).await, rows, "{table}");
    }
    assert_eq!(repair(&pair, &[]).await, "-- no confirmed difference is left\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dry_run_is_bounded_says_what_it_leaves_out_and_shows_values_only_if_asked() {
    let pair = Pair::start(SCHEMA).await;
    psql(&pair.shadow_url(), "delete from many; delete from alone where id = 1").await.must_succeed();
    pair.work("check").await;
    let script = repair(&pair, &["public.many", "public.alone"]).await;
    assert_eq!(script.lines().filter(|line| line.starts_with("INSERT")).count(), 1000);
    assert!(script.contains("-- public.many: 1500 rows differ\n"), "{script}");
    assert!(script.contains("-- left out here: 500\n"), "{script}");
    assert!(script.contains("-- public.alone: 1 row differs\n-- left out here: 1\n"), "no room is left: {script}");

    let job: Value = pair.admin().post("/repair", &json!({"tables": ["public.many"], "dry_run": true})).await.unwrap();
    let path = format!("/jobs/{}", job["id"]);
    let done = async || pair.admin().get::<Value>(&path).await.unwrap()["state"] == "done";
    eventually("the dry run is done", done).await;
    let hidden: Value = pair.admin().get(&path).await.unwrap();
    let many = json!({"table": "public.many", "rows": 1500, "statements": [], "left_out": 500, "note": null});
    assert_eq!(hidden["dry_run"], json!([many]));
    let shown: Value = pair.admin().get(&format!("{path}?values=1")).await.unwrap();
    assert_eq!(shown["dry_run"][0]["statements"].as_array().unwrap().len(), 1000);
    assert_eq!(psql(&pair.shadow_url(), "select count(*) from many").await.must_succeed(), "0\n");
}

/// A table that was never analyzed has no shares but one.
#[tokio::test(flavor = "multi_thread")]
async fn a_dry_run_over_more_rows_without_key_than_are_held_names_no_row_that_is_alike() {
    let schema = "create table alike (v int); insert into alike select g from generate_series(1, 120000) g";
    let pair = Pair::start(schema).await;
    psql(&pair.shadow_url(), "delete from alike where v in (7, 70000); insert into alike values (-1)")
        .await
        .must_succeed();
    pair.work("check").await;
    let script = repair(&pair, &["public.alike"]).await;
    assert!(script.contains("-- public.alike: 3 rows differ\n"), "{}", script.lines().take(20).collect::<String>());
    assert_eq!(script.lines().filter(|line| line.starts_with("INSERT") || line.starts_with("DELETE")).count(), 3);
    psql(&pair.shadow_url(), &script).await.must_succeed();
    assert_eq!(same_rows(&pair, "alike").await, 120_000);
}
