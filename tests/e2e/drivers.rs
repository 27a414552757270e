//! Programs of real drivers print the same through crossfade as directly, and what they wrote is on the shadow.

use crate::support::{Pair, Program, psql, python, repository, same_rows};

async fn prints_the_same(program: &str, table: &str) {
    let pair = Pair::start("").await;
    let file = repository("tests/e2e/drivers").join(program).display().to_string();
    let run = async |url: &str| Program::new(python()).args(&[&file, url]).run().await;
    let direct = run(&pair.primary_url()).await.must_succeed();
    psql(&pair.primary_url(), &format!("drop table {table}")).await.must_succeed();
    assert_eq!(direct, run(&pair.url()).await.must_succeed());
    // And again with the ramp open, over tables that are there and verified by now.
    pair.wait_settled().await;
    same_rows(&pair, table).await;
    pair.work("check").await;
    pair.ramp(100.0).await;
    assert_eq!(direct, run(&pair.url()).await.must_succeed(), "with reads from the shadow");
    pair.wait_settled().await;
    assert!(same_rows(&pair, table).await > 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn psycopg_prints_the_same() {
    prints_the_same("psycopg_session.py", "psycopg_items").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn asyncpg_prints_the_same() {
    prints_the_same("asyncpg_session.py", "asyncpg_items").await;
}
