//! Filling a shadow: the schema first, what would go wrong before the first row, and through a kill -9.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crossfade::report::job::{Finding, Job, JobState, Severity};
use serde_json::Value;
use tokio::task::JoinHandle;
use tokio_postgres::NoTls;

use crate::support::{Pair, Program, eventually, psql, same_rows};

/// `crossfade backfill` with these arguments: exit code, the job or nothing, what it said.
async fn backfill(pair: &Pair, arguments: &[&str]) -> (Option<i32>, Option<Job>, String) {
    let program = Program::new(env!("CARGO_BIN_EXE_crossfade"));
    let admin = ["backfill", "--json", "--admin", pair.admin().address()];
    let answer = program.args(&admin).args(arguments).run().await;
    (answer.code, serde_json::from_str(&answer.stdout).ok(), answer.stderr)
}

async fn number(url: &str, sql: &str) -> u64 {
    psql(url, sql).await.must_succeed().trim().parse().unwrap()
}

/// Waits until the proxy has seen a table of either side.
async fn known(pair: &Pair, table: &str) {
    let listed = async || pair.report().await.tables.iter().any(|known| known.table == table);
    eventually("the table in the report", listed).await;
}

#[tokio::test]
async fn an_empty_shadow_gets_the_schema_and_the_rows_and_is_not_given_it_twice() {
    let pair = Pair::start("").await;
    let schema = r#"
        CREATE ROLE only_here; CREATE SCHEMA "odd ""one"; CREATE TYPE public.mood AS ENUM ('good', 'bad');
        CREATE TABLE public.parents (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, mood public.mood, twice int GENERATED ALWAYS AS (id * 2) STORED);
        CREATE TABLE "odd ""one"."T" (id bigint PRIMARY KEY, parent int REFERENCES public.parents, v text UNIQUE);
        CREATE TABLE public.parts (id int PRIMARY KEY, v bytea) PARTITION BY RANGE (id);
        CREATE TABLE public.parts_low PARTITION OF public.parts FOR VALUES FROM (MINVALUE) TO (100);
        CREATE TABLE public.parts_high PARTITION OF public.parts FOR VALUES FROM (100) TO (MAXVALUE);
        CREATE TABLE public.bare (v text);
        CREATE PUBLICATION all_of_it FOR TABLE public.bare;
        GRANT SELECT ON public.bare TO only_here;
        INSERT INTO public.parents (mood) SELECT 'good' FROM generate_series(1, 50);
        INSERT INTO "odd ""one"."T" SELECT i, i % 50 + 1, E'tab\t, newline\n, \\N and \\. ' || i FROM generate_series(1, 3000) i;
        INSERT INTO public.parts SELECT i, decode(md5(i::text), 'hex') FROM generate_series(1, 200) i;
        INSERT INTO public.bare SELECT 'row ' || i % 7 FROM generate_series(1, 100) i;
    "#;
    psql(&pair.primary_url(), schema).await.must_succeed();
    known(&pair, "public.bare").await;

    let (code, job, said) = backfill(&pair, &["--create-schema"]).await;
    let job = job.unwrap_or_else(|| panic!("{code:?} {said}"));
    assert_eq!((code, job.state), (Some(0), JobState::Done), "{job:?} {said}");
    let left_out = job.findings.iter().find(|finding| finding.table == "(database)").unwrap();
    assert!(left_out.what.contains("roles are missing on the shadow (only_here)"), "{left_out:?}");
    pair.wait_settled().await;
    for (table, rows) in
        [("public.parents", 50), (r#""odd ""one"."T""#, 3000), ("public.parts", 200), ("public.bare", 100)]
    {
        assert_eq!(same_rows(&pair, table).await, rows, "{table}");
    }
    assert_eq!(number(&pair.shadow_url(), "SELECT count(*) FROM pg_publication").await, 0);

    let (code, job, _) = backfill(&pair, &["--create-schema"]).await;
    let error = job.unwrap().error.unwrap();
    assert_eq!(code, Some(1));
    assert!(error.contains("the shadow has tables already") && error.contains("public.bare"), "{error}");
    assert!(!error.contains("password"));
}

const BOTH: &str = "
    CREATE TABLE good (id int PRIMARY KEY, v text);
    CREATE TABLE bare (v text);
    CREATE TABLE parents (id int PRIMARY KEY);
";
const OURS: &str = "
    CREATE TABLE gone (id int PRIMARY KEY);
    CREATE TABLE lacks (id int PRIMARY KEY, v text);
    CREATE TABLE doubtful (id int PRIMARY KEY, n bigint, name varchar(20), opt int);
    CREATE TABLE keyed (id int PRIMARY KEY);
    CREATE TABLE secured (id int PRIMARY KEY);
    CREATE TABLE children (id int PRIMARY KEY, parent int);
    INSERT INTO good VALUES (1, 'a');
";
const THEIRS: &str = "
    CREATE TABLE lacks (id int PRIMARY KEY);
    CREATE TABLE doubtful (id int PRIMARY KEY, n int, name varchar(10) UNIQUE, opt int NOT NULL);
    CREATE FUNCTION fire() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
    CREATE TRIGGER always BEFORE INSERT ON doubtful FOR EACH ROW EXECUTE FUNCTION fire();
    ALTER TABLE doubtful ENABLE ALWAYS TRIGGER always;
    CREATE TABLE keyed (id int);
    CREATE TABLE secured (id int PRIMARY KEY, must int NOT NULL);
    CREATE TABLE children (id int PRIMARY KEY, parent int REFERENCES parents);
";

#[tokio::test]
async fn what_would_go_wrong_is_told_for_all_tables_at_once_and_nothing_is_copied() {
    let pair = Pair::start(BOTH).await;
    // Each side's tables appear at once.
    psql(&pair.shadow_url(), &format!("BEGIN; {THEIRS} COMMIT")).await.must_succeed();
    known(&pair, "public.secured").await;
    psql(&pair.primary_url(), &format!("BEGIN; {OURS} COMMIT")).await.must_succeed();
    known(&pair, "public.gone").await;

    let (code, job, said) = backfill(&pair, &[]).await;
    let job = job.unwrap();
    assert_eq!((code, job.state), (Some(1), JobState::Failed));
    let told = |table: &str| -> Vec<(Severity, String)> {
        let of = |finding: &&Finding| finding.table == format!("public.{table}");
        job.findings.iter().filter(of).map(|finding| (finding.severity, finding.what.clone())).collect()
    };
    let has = |table: &str, severity, part: &str| {
        let found = told(table);
        assert!(found.iter().any(|(is, what)| *is == severity && what.contains(part)), "{table}, {part}: {found:?}");
        assert!(said.contains(part), "{part}: {said}");
    };
    has("gone", Severity::Refused, "missing on the shadow");
    has("lacks", Severity::Refused, "column v is missing on the shadow");
    has("secured", Severity::Refused, "column must is only on the shadow");
    has("bare", Severity::Warning, "no key");
    has("keyed", Severity::Warning, "no unique index over its key (id)");
    has("doubtful", Severity::Warning, "column n is bigint on the primary, integer on the shadow");
    has("doubtful", Severity::Warning, "column name is character varying(20)");
    has("doubtful", Severity::Warning, "column opt takes no NULL");
    has("doubtful", Severity::Warning, "unique index doubtful_name_key is only on the shadow");
    has("doubtful", Severity::Warning, "trigger always");
    assert_eq!(told("good"), []);
    assert_eq!(told("children"), [], "its foreign key is stopped for a superuser");
    assert_eq!(number(&pair.shadow_url(), "SELECT count(*) FROM good").await, 0);

    // Warnings alone hold nothing up.
    let (code, job, _) = backfill(&pair, &["public.good", "public.bare", "public.children"]).await;
    assert_eq!((code, job.unwrap().state), (Some(0), JobState::Done));
    assert_eq!(same_rows(&pair, "good").await, 1);
}

#[tokio::test]
async fn a_role_that_may_not_and_foreign_keys_that_it_cannot_stop_are_told() {
    let schema = "
        CREATE ROLE copier LOGIN; GRANT CREATE ON DATABASE postgres TO copier;
        CREATE TABLE parents (id int PRIMARY KEY); CREATE TABLE children (id int PRIMARY KEY, parent int REFERENCES parents);
        CREATE TABLE hidden (id int PRIMARY KEY); ALTER TABLE hidden ENABLE ROW LEVEL SECURITY;
        CREATE TABLE unreadable (id int PRIMARY KEY);
        GRANT SELECT, INSERT, UPDATE, DELETE ON parents, children, hidden TO copier;
    ";
    let parameters = "user=copier";
    let pair = Pair::recipe().schema(schema).parameters(parameters, parameters).start().await;
    let rows = "INSERT INTO parents SELECT generate_series(1, 5000); INSERT INTO children SELECT i, i FROM generate_series(1, 5000) i";
    psql(&pair.primary_url(), rows).await.must_succeed();
    known(&pair, "public.unreadable").await;

    let (code, job, _) = backfill(&pair, &["public.children", "public.hidden", "public.unreadable"]).await;
    let job = job.unwrap();
    assert_eq!(code, Some(1));
    let told: Vec<String> = job.findings.iter().map(|finding| format!("{}: {}", finding.table, finding.what)).collect();
    for part in [
        "public.hidden: row security of the primary",
        "public.hidden: row security of the shadow",
        "public.unreadable: the user of primary.url may not read it",
        "public.unreadable: the user of shadow.url may not write it",
        "public.children: it references public.parents, which is not in the list",
    ] {
        assert!(told.iter().any(|what| what.contains(part)), "{part}: {told:?}");
    }

    // Named behind its child, the parent is copied first all the same.
    let (code, job, said) = backfill(&pair, &["public.children", "public.parents"]).await;
    let job = job.unwrap_or_else(|| panic!("{said}"));
    assert_eq!((code, job.state), (Some(0), JobState::Done), "{job:?}");
    let order: Vec<&str> = job.tables.iter().map(|table| table.table.as_str()).collect();
    assert_eq!(order, ["public.parents", "public.children"]);
    assert_eq!(same_rows(&pair, "children").await, 5000);
}

const ROWS: u64 = 200_000;

/// Writes through the proxy, whatever becomes of it.
fn write(url: String, done: Arc<AtomicBool>) -> JoinHandle<u64> {
    tokio::spawn(async move {
        let mut written = 0;
        while !done.load(Ordering::Relaxed) {
            let Ok((client, connection)) = tokio_postgres::connect(&url, NoTls).await else {
                tokio::time::sleep(Duration::from_millis(20)).await;
                continue;
            };
            tokio::spawn(connection);
            while !done.load(Ordering::Relaxed) {
                let deed = "UPDATE big SET v = v || 'x' WHERE id IN (1 + (random() * 200000)::int, 199999);
                    DELETE FROM big WHERE id = 1 + (random() * 200000)::int;
                    INSERT INTO big VALUES (300000 + (random() * 1000000)::int, 'new'), (1 + (random() * 200000)::int, 'again')
                    ON CONFLICT (id) DO UPDATE SET v = 'met'";
                if client.batch_execute(deed).await.is_err() {
                    break;
                }
                written += 1;
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        }
        written
    })
}

#[tokio::test]
async fn a_backfill_that_is_killed_under_load_goes_on_where_it_was_and_ends_without_a_difference() {
    let mut pair = Pair::start("CREATE TABLE big (id int PRIMARY KEY, v text)").await;
    let rows =
        format!("INSERT INTO big SELECT i, repeat(md5(i::text), 5) FROM generate_series(1, {ROWS}) i; ANALYZE big");
    psql(&pair.primary_url(), &rows).await.must_succeed();
    let done = Arc::new(AtomicBool::new(false));
    let writers: Vec<_> = (0..2).map(|_| write(pair.url(), done.clone())).collect();

    let _: Value = pair.admin().post("/backfill", &serde_json::json!({"tables": ["public.big"]})).await.unwrap();
    let shadow = pair.shadow_url();
    let copied = async || number(&shadow, "SELECT count(*) FROM big").await;
    eventually("a quarter of the rows", async || copied().await > ROWS / 4).await;
    pair.proxy.kill();
    let before = copied().await;
    assert!(before < ROWS * 9 / 10, "it was over before it was killed");
    pair.proxy.start_again().await.unwrap();
    eventually("more rows than before", async || copied().await > before + ROWS / 10).await;
    done.store(true, Ordering::Relaxed);
    for writer in writers {
        assert!(writer.await.unwrap() > 0, "nothing was written meanwhile");
    }
    pair.wait_settled().await;
    same_rows(&pair, "big").await;
    // What was there was compared, and not copied again.
    let inserted = "SELECT n_tup_ins FROM pg_stat_user_tables WHERE relname = 'big'";
    let total = copied().await;
    let inserted = number(&shadow, inserted).await;
    assert!(
        inserted < total + before / 2,
        "{inserted} rows were inserted to have {total}; {before} were there at the kill"
    );
}
