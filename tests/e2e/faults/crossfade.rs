//! crossfade is killed, or its journal is damaged or full. Clients lose their connections, and with a full disk nothing.

use std::fs;
use std::path::Path;
use std::time::Duration;

use rand::RngExt;
use tokio::time::sleep;

use super::load::{SCHEMA, must_be_the_same, survivors, workers};
use super::times;
use crate::support::{Pair, SmallDisk, Traffic, connect, eventually, psql};

#[tokio::test(flavor = "multi_thread")]
async fn killed_at_random_moments_under_load() {
    let mut pair = Pair::start(SCHEMA).await;
    let survivors = survivors(&pair);
    let kills = times(5, 20);
    for _ in 0..kills {
        survivors.go_on(1).await;
        sleep(Duration::from_millis(rand::rng().random_range(0..1500))).await;
        pair.proxy.kill();
        pair.proxy.start_again().await.unwrap();
    }
    survivors.go_on(20).await;
    let toll = survivors.stop().await;
    assert!(toll.lost >= u64::from(kills), "{toll:?}");
    must_be_the_same(&pair).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_between_a_commit_and_its_answer() {
    let mut pair = Pair::recipe().schema(SCHEMA).lines().start().await;
    let [explicit, alone, keyless] =
        [connect(&pair.url()).await, connect(&pair.url()).await, connect(&pair.url()).await];
    explicit
        .batch_execute("begin; insert into log (worker) values (1); update counters set n = 5 where id = 5")
        .await
        .unwrap();
    pair.wait_settled().await;
    pair.primary_line().set(Traffic::HoldsAnswers);
    let commits = [
        tokio::spawn(async move { explicit.batch_execute("commit").await }),
        tokio::spawn(async move { alone.batch_execute("update counters set n = 6 where id = 6").await }),
        tokio::spawn(async move { keyless.batch_execute("insert into arrivals values (7, 7)").await }),
    ];
    let committed = "select (select count(*) from counters where n > 0) + (select count(*) from log) \
                     + (select count(*) from arrivals)";
    eventually("all are committed", async || psql(&pair.primary_url(), committed).await.must_succeed() == "4\n").await;
    pair.proxy.kill();
    for commit in commits {
        assert!(commit.await.unwrap().is_err(), "nobody answered");
    }
    pair.primary_line().set(Traffic::Flows);
    pair.proxy.start_again().await.unwrap();
    must_be_the_same(&pair).await;
    assert_eq!(psql(&pair.shadow_url(), committed).await.must_succeed(), "4\n");
}

/// Kills crossfade with writes pending and the shadow away, has its journal damaged, and starts everything again.
async fn with_journal_damaged(said: &str, damage: fn(&Path)) {
    let mut pair = Pair::start(SCHEMA).await;
    pair.shadow.stop_server("fast").unwrap();
    let survivors = survivors(&pair);
    for _ in 0..times(1, 5) {
        survivors.go_on(100).await;
        pair.proxy.kill();
        let last = pair.segments().pop().expect("a segment");
        damage(&last);
        pair.proxy.start_again().await.unwrap();
        assert!(pair.proxy.log().contains(said), "the damage is told");
        survivors.go_on(20).await;
    }
    pair.shadow.start_server().unwrap();
    survivors.go_on(20).await;
    survivors.stop().await;
    must_be_the_same(&pair).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_last_record_of_its_journal_torn() {
    with_journal_damaged("is incomplete damage=Tail", |segment| {
        let file = fs::OpenOptions::new().write(true).open(segment).unwrap();
        file.set_len(file.metadata().unwrap().len() - 5).unwrap();
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_checksum_of_a_record_broken() {
    with_journal_damaged("is damaged damage=Records", |segment| {
        let mut bytes = fs::read(segment).unwrap();
        // Behind eight bytes records follow, each behind its length and its checksum.
        let mut at = 8;
        while at < bytes.len() / 2 {
            let length: [u8; 4] = bytes[at..at + 4].try_into().unwrap();
            at += 8 + u32::from_le_bytes(length) as usize;
        }
        bytes[at + 4] ^= 1;
        fs::write(segment, bytes).unwrap();
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn its_disk_full() {
    let Some(disk) = SmallDisk::mount(4).await else { return };
    let journal = format!("[mirror]\njournal = \"{}\"\n", disk.path().join("journal").display());
    let mut pair = Pair::recipe().schema(SCHEMA).settings(&journal).start().await;
    let load = workers(&pair).await;
    load.go_on(50).await;
    // Full with the shadow there, and away.
    disk.fill();
    load.go_on(100).await;
    pair.shadow.stop_server("fast").unwrap();
    load.go_on(100).await;
    let full = pair.status().await.mirror;
    assert!(!full.suspect_tables.is_empty(), "what is not kept must be suspect: {full:?}");
    pair.shadow.start_server().unwrap();
    load.go_on(50).await;
    disk.free();
    load.go_on(50).await;
    load.stop().await;
    must_be_the_same(&pair).await;

    // And killed with it.
    disk.fill();
    let survivors = survivors(&pair);
    survivors.go_on(100).await;
    pair.proxy.kill();
    disk.free();
    pair.proxy.start_again().await.unwrap();
    survivors.go_on(50).await;
    survivors.stop().await;
    must_be_the_same(&pair).await;
}
