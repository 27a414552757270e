//! Reads run on both sides: what agrees, what does not, and that nobody waits for it.

use crossfade::report::{QueryReads, Report};
use futures_util::future::BoxFuture;
use tokio_postgres::Client;

use crate::support::{Pair, Program, Workers, connect, eventually, psql};

pub(crate) const SCHEMA: &str = "create table t (id int primary key, v bigint not null); insert into t select g, 0 from generate_series(1, 64) g; \
     create table quiet (id int primary key, name text); insert into quiet select g, 'name ' || g from generate_series(1, 9) g";

/// Writes, and reads in every way that may be compared.
fn write_and_read(client: &mut Client, number: u32) -> BoxFuture<'_, ()> {
    Box::pin(async move {
        let mine = i32::try_from(number % 8).unwrap() + 1;
        client.execute("update t set v = v + 1 where id = $1", &[&mine]).await.unwrap();
        client.query("select v from t where id = $1", &[&mine]).await.unwrap();
        client.query("select id, v from t where id > 8 order by id limit 5", &[]).await.unwrap();
        client.query("select count(*), sum(v) from t", &[]).await.unwrap();
        client.simple_query(&format!("select name from quiet where id = {mine}")).await.unwrap();
    })
}

pub(crate) fn by_query<'a>(report: &'a Report, text: &str) -> Option<&'a QueryReads> {
    report.reads.by_query.iter().find(|query| query.query == text)
}

#[tokio::test(flavor = "multi_thread")]
async fn under_writes_nothing_differs_that_does_not() {
    let settings = "[reads]\npercent = 50\nsample_by = \"random\"\ncompare_percent = 100\n";
    let pair = Pair::recipe().schema(SCHEMA).settings(settings).start().await;
    pair.work("check").await;
    let workers = Workers::start(&pair.url(), 8, write_and_read).await;
    workers.go_on(600).await;
    // A sum over what is written all the time may never be the same twice.
    eventually("reads were compared under writes", async || {
        let reads = pair.report().await.reads;
        reads.matched >= 50 && reads.by_query.iter().filter(|query| query.matched >= 5).count() >= 3
    })
    .await;
    workers.stop().await;
    let mut client = connect(&pair.url()).await;
    eventually("every kind of read matched", async || {
        write_and_read(&mut client, 1).await;
        let reads = pair.report().await.reads;
        reads.by_query.len() == 4 && reads.by_query.iter().all(|query| query.matched > 0)
    })
    .await;
    let reads = pair.report().await.reads;
    assert_eq!((reads.mismatched, reads.compared), (0, reads.matched), "{reads:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn at_0_percent_reads_are_compared_and_a_difference_is_told_without_its_values() {
    let settings = "[reads]\ncompare_percent = 100\n[guard]\nmax_mismatch_percent = 100\n";
    let pair = Pair::recipe().schema(SCHEMA).settings(settings).start().await;
    let client = connect(&pair.url()).await;
    let read = async || client.query("select name from quiet where id = $1 and name <> 'x'", &[&3_i32]).await.unwrap();
    read().await;
    assert_eq!(pair.status().await.reads.compared, 0, "nothing was checked yet");
    pair.work("check").await;
    let text = "select name from quiet where id = $1 and name <> $2";
    eventually("it matches", async || {
        assert_eq!(read().await[0].get::<_, &str>(0), "name 3");
        by_query(&pair.report().await, text).is_some_and(|query| query.matched > 0 && query.rows > 0)
    })
    .await;
    psql(&pair.shadow_url(), "update quiet set name = 's3cret' where id = 3").await.must_succeed();
    eventually("it differs", async || {
        assert_eq!(read().await[0].get::<_, &str>(0), "name 3");
        by_query(&pair.report().await, text).is_some_and(|query| query.mismatched > 0)
    })
    .await;
    let reads = pair.status().await.reads;
    assert!(reads.mismatched > 0 && reads.compared > reads.mismatched, "{reads:?}");
    assert_eq!((reads.shadow, reads.eligible), (0, 0), "no client was served by the shadow: {reads:?}");
    let admin = ["report", "--admin", pair.admin().address()];
    let report = Program::new(env!("CARGO_BIN_EXE_crossfade")).args(&admin).run().await.stdout;
    assert!(report.contains(text), "{report}");
    for told in [report, pair.proxy.log()] {
        assert!(!told.contains("s3cret") && !told.contains("name 3"), "{told}");
    }
    let metrics = pair.admin().text("/metrics").await.unwrap();
    assert!(metrics.contains("crossfade_reads_mismatched_total"), "{metrics}");
}
