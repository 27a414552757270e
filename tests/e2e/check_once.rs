//! `crossfade check --once`: two quiet databases, and no proxy.

use crossfade::demo::{Cluster, Options};
use crossfade::report::{Report, TableStatus, Verdict};
use tokio::task::spawn_blocking;

use crate::support::{Program, psql};

const SCHEMA: &str = "create table t (id int primary key, v text); insert into t select g, 'v' from generate_series(1, 500) g; \
                      create table log (line text); insert into log select 'a' from generate_series(1, 50); \
                      create table other (id int primary key)";

async fn cluster() -> Cluster {
    let template_cache = Some(std::env::temp_dir().join("crossfade-test-templates"));
    let options = Options { template_cache, ..Options::default() };
    spawn_blocking(move || Cluster::start(&options)).await.unwrap().unwrap()
}

async fn two() -> (Cluster, Cluster) {
    let (primary, shadow) = tokio::join!(cluster(), cluster());
    for side in [&primary, &shadow] {
        psql(&side.url("postgres"), SCHEMA).await.must_succeed();
    }
    (primary, shadow)
}

#[tokio::test(flavor = "multi_thread")]
async fn two_databases_are_compared_without_a_proxy_and_nothing_is_changed() {
    let (primary, shadow) = two().await;
    let (ours, theirs) = (primary.url("postgres"), shadow.url("postgres"));
    let folder = tempfile::tempdir().unwrap();
    let check = async |more: &[&str]| {
        let arguments = [&["check", "--once", "--primary", &ours, "--shadow", &theirs], more].concat();
        Program::new(env!("CARGO_BIN_EXE_crossfade")).args(&arguments).env("TMPDIR", folder.path()).run().await
    };
    let answer = check(&[]).await;
    assert_eq!(answer.code, Some(0), "{}", answer.stderr);
    assert!(answer.stdout.starts_with("verdict: consistent"), "{}", answer.stdout);

    let faults = "update t set v = null where id = 7; delete from t where id = 500; insert into log values ('b'); \
                  create table extra (id int)";
    psql(&theirs, faults).await.must_succeed();
    let answer = check(&["--json"]).await;
    assert_eq!(answer.code, Some(1), "{}", answer.stderr);
    let report: Report = serde_json::from_str(&answer.stdout).unwrap();
    let told = |at: usize| {
        let table = &report.tables[at];
        (table.table.as_str(), table.status, table.missing, table.extra, table.different)
    };
    assert_eq!(report.verdict, Verdict::Diverged);
    assert_eq!(told(0), ("public.extra", TableStatus::Diverged, 0, 0, 0));
    assert_eq!(told(1), ("public.log", TableStatus::Diverged, 0, 1, 0));
    assert_eq!(told(2), ("public.other", TableStatus::Consistent, 0, 0, 0));
    assert_eq!(told(3), ("public.t", TableStatus::Diverged, 1, 0, 1));
    assert_eq!(check(&["public.other"]).await.code, Some(0), "only what was asked for");
    assert_eq!(psql(&theirs, "select count(*) from t where v = 'v'").await.must_succeed(), "498\n", "only reported");
    assert_eq!(folder.path().read_dir().unwrap().count(), 0, "a file was left behind");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_check_that_cannot_be_made_says_why_by_its_exit_code() {
    let (primary, shadow) = two().await;
    let (ours, theirs) = (primary.url("postgres"), shadow.url("postgres"));
    let check = async |arguments: &[&str]| {
        let arguments = [&["check", "--once"], arguments].concat();
        Program::new(env!("CARGO_BIN_EXE_crossfade")).args(&arguments).run().await
    };
    let unknown = check(&["--primary", &ours, "--shadow", &theirs, "public.nothing"]).await;
    assert_eq!(unknown.code, Some(2));
    assert!(unknown.stderr.contains("public.nothing"), "{}", unknown.stderr);
    assert_eq!(check(&["--primary", &ours, "--shadow", "nonsense"]).await.code, Some(2));
    shadow.stop_server("fast").unwrap();
    let away = check(&["--primary", &ours, "--shadow", &theirs]).await;
    assert_eq!((away.code, away.stdout.as_str()), (Some(3), ""), "{}", away.stderr);
}
