//! Shares of their own for some reads: `[[reads.rule]]`; and why a read stays.

use serde_json::json;
use tokio_postgres::Client;

use crate::support::{Pair, connect, eventually, psql};

const SCHEMA: &str = "create table side (id int primary key, name text); insert into side values (1, 'primary'); \
                      create table other (id int primary key, name text); insert into other values (1, 'primary')";

async fn side(client: &Client, table: &str) -> String {
    client.query_one(&format!("select name from {table} where id = 1"), &[]).await.unwrap().get(0)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rule_serves_or_keeps_reads_of_its_table_or_query_and_follows_the_file() {
    let mut pair = Pair::start(SCHEMA).await;
    pair.work("check").await;
    psql(&pair.shadow_url(), "update side set name = 'shadow'; update other set name = 'shadow'").await.must_succeed();
    let client = connect(&pair.url()).await;
    let quiet = "[check]\ninterval = \"0s\"\n";
    let rule = |of: &str, percent: u32| format!("[[reads.rule]]\n{of}\npercent = {percent}\n");

    pair.proxy.configure(&format!("{quiet}{}", rule("table = \"public.side\"", 100))).unwrap();
    eventually("the rule alone serves", async || side(&client, "side").await == "shadow").await;
    assert_eq!(side(&client, "other").await, "primary", "at 0 %");
    let rules = pair.status().await.reads.rules;
    assert_eq!(serde_json::to_value(&rules).unwrap()[0]["table"], json!("public.side"));
    assert!(rules[0].shadow > 0 && rules[0].effective_percent.is_some(), "{rules:?}");

    let kept = rule("query = \"select name from side where id = $1\"", 0);
    let settings = format!("{quiet}[reads]\npercent = 100\n{kept}{}", rule("table = \"*\"", 100));
    pair.proxy.configure(&settings).unwrap();
    eventually("the other is served", async || side(&client, "other").await == "shadow").await;
    assert_eq!(side(&client, "side").await, "primary", "the first rule decides");
    let other = "select id, name from side";
    eventually("another query of the same table is served", async || {
        client.query_one(other, &[]).await.unwrap().get::<_, &str>(1) == "shadow"
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operator_sees_which_reads_stay_and_why() {
    let pair = Pair::recipe().schema(SCHEMA).settings("[reads]\npercent = 100\n").start().await;
    let client = connect(&pair.url()).await;
    // Until the proxy has read both catalogs, that is the reason.
    eventually("both are told", async || {
        side(&client, "side").await;
        // The driver has just sent a Close: what comes in a pipeline behind it is not drawn.
        client.batch_execute("").await.unwrap();
        client.simple_query("select name from other where name <> 's3cret' and now() is not null").await.unwrap();
        let kept = pair.status().await.reads.kept;
        let told = |query: &str, reason: &str| kept.iter().any(|kept| kept.query == query && kept.reason == reason);
        told("select name from side where id = $1", "unverified")
            && told("select name from other where name <> $1 and now() is not null", "clock")
    })
    .await;
    let reads = pair.status().await.reads;
    assert_eq!(reads.kept.iter().map(|kept| kept.count).sum::<u64>(), reads.ineligible, "{reads:?}");
}
