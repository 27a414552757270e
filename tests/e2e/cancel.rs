//! Cancel requests reach the statement they are meant for, and nobody else.

use std::time::Duration;

use futures_util::future::join_all;

use crate::support::wire::{Said, Wire, cancel_request, copy_data, copy_done, query};
use crate::support::{Pair, eventually, psql};

fn key(welcome: &Said) -> Vec<u8> {
    welcome.messages.iter().find(|message| message.tag == b'K').unwrap().body.clone()
}

/// Asks for it and waits until the request was carried out.
async fn cancel(port: u16, key: &[u8]) {
    let mut canceller = Wire::dial(port).await;
    canceller.send(&cancel_request(key)).await;
    assert_eq!(canceller.until_closed().await.tags(), "");
}

/// Waits until so many sleep on the primary.
async fn sleepers(pair: &Pair, count: usize) {
    let sql = "select count(*) from pg_stat_activity where query like 'select pg_sleep%' and state = 'active'";
    eventually("the statements run", async || {
        psql(&pair.primary_url(), sql).await.must_succeed().trim() == count.to_string()
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancel_ends_when_it_was_carried_out_and_never_hits_the_next_statement() {
    let pair = Pair::start("").await;
    let (mut wire, welcome) = Wire::open(pair.proxy.port()).await;
    let key = key(&welcome);
    for round in 0..100 {
        // Nothing runs: once the canceller has heard the end of it, no later statement is hit.
        cancel(pair.proxy.port(), &key).await;
        let said = wire.ask("select pg_sleep(0.005)").await;
        assert_eq!(said.tags(), "TDCZ", "round {round}: {said:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_canceller_is_closed_when_the_primary_has_processed_its_request() {
    let pair = Pair::start("").await;
    let port = pair.proxy.port();
    let (mut wire, welcome) = Wire::open(port).await;
    wire.send(&query("select pg_sleep(60)")).await;
    sleepers(&pair, 1).await;
    let waiting = pair.nobody_enters();
    let key = key(&welcome);
    let closed = tokio::spawn(async move { cancel(port, &key).await });
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert!(!closed.is_finished(), "closed before the primary has seen the request");
    drop(waiting);
    closed.await.unwrap();
    assert_eq!(wire.until_ready().await.errors(), ["57014"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn among_many_sessions_under_load_only_the_one_that_is_meant_is_cancelled() {
    let pair = Pair::start("create table t (id int primary key, n int); insert into t values (1, 0)").await;
    let port = pair.proxy.port();
    let mut sessions = join_all((0..40).map(|_| Wire::open(port))).await;
    for (wire, _) in &mut sessions {
        wire.send(&query("select pg_sleep(60)")).await;
    }
    sleepers(&pair, 40).await;
    let (stop, stopped) = tokio::sync::watch::channel(false);
    let load = join_all((0..4).map(|_| {
        let stopped = stopped.clone();
        async move {
            let mut wire = Wire::session(port).await;
            while !*stopped.borrow() {
                assert_eq!(wire.ask("update t set n = n + 1").await.tags(), "CZ");
            }
        }
    }));
    let cancels = async {
        // Half of them, all at once, and each twice.
        let meant: Vec<_> = sessions.iter().step_by(2).map(|(_, welcome)| key(welcome)).collect();
        join_all(meant.iter().chain(&meant).map(|key| cancel(port, key))).await;
        for (wire, _) in sessions.iter_mut().step_by(2) {
            assert_eq!(wire.until_ready().await.errors(), ["57014"]);
        }
        sleepers(&pair, 20).await;
        for (wire, _) in sessions.iter_mut().step_by(2) {
            assert_eq!(wire.ask("select 1").await.tags(), "TDCZ", "the session lives on");
        }
        stop.send_replace(true);
    };
    tokio::join!(load, cancels);
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_keys_and_cancellers_that_vanish_harm_nobody() {
    let pair = Pair::start("").await;
    let port = pair.proxy.port();
    let (mut wire, welcome) = Wire::open(port).await;
    let key = key(&welcome);
    wire.send(&query("select pg_sleep(60)")).await;
    sleepers(&pair, 1).await;
    let mut wrong = key.clone();
    wrong[7] ^= 1;
    let long = [&key[..], &[0; 200]].concat();
    for key in [&wrong[..], &[0; 8], &[], &key[..4], &long] {
        cancel(port, key).await;
    }
    // Gone before it has said everything, and after.
    let mut half = Wire::dial(port).await;
    half.send(&cancel_request(&key)[..12]).await;
    half.reset();
    sleepers(&pair, 1).await;
    let mut whole = Wire::dial(port).await;
    whole.send(&cancel_request(&key)).await;
    whole.reset();
    // A request that was read whole is carried out; the reset may also have come first, and then a second one is.
    let said = tokio::select! {
        said = wire.until_ready() => said,
        () = tokio::time::sleep(Duration::from_secs(2)) => {
            cancel(port, &key).await;
            wire.until_ready().await
        }
    };
    assert_eq!(said.errors(), ["57014"]);
    assert_eq!(wire.ask("select 1").await.tags(), "TDCZ");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancel_during_copy_in_waits_for_the_next_data() {
    let pair = Pair::start("create table t (id int primary key, v text)").await;
    let mut said = Vec::new();
    for port in [pair.primary.port(), pair.proxy.port()] {
        let (mut wire, welcome) = Wire::open(port).await;
        wire.send(&query("copy t from stdin")).await;
        assert_eq!(wire.until(b'G').await.tags(), "G");
        eventually("the server waits for data", async || {
            let sql = "select wait_event from pg_stat_activity where query = 'copy t from stdin' and state = 'active'";
            psql(&pair.primary_url(), sql).await.must_succeed() == "ClientRead\n"
        })
        .await;
        cancel(port, &key(&welcome)).await;
        let early = tokio::time::timeout(Duration::from_millis(300), wire.message()).await;
        assert!(early.is_err(), "it was cancelled while it waited: {early:?}");
        wire.send(&[copy_data("2\tb\n"), copy_done()].concat()).await;
        let mut answers = wire.until_ready().await;
        answers.messages.extend(wire.ask("select count(*) from t").await.messages);
        said.push(answers);
    }
    assert_eq!(said[0], said[1]);
    assert_eq!((said[1].tags().as_str(), said[1].errors()), ("EZTDCZ", vec!["57014".to_owned()]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancel_reaches_a_read_that_the_shadow_serves() {
    let schema =
        "create table t (id int primary key, v text); insert into t select g, 'v' from generate_series(1, 5000) g";
    let settings = "[reads]\npercent = 100\ntimeout = \"60s\"\n";
    let pair = Pair::recipe().schema(schema).settings(settings).start().await;
    pair.work("check").await;
    let (mut wire, welcome) = Wire::open(pair.proxy.port()).await;
    eventually("the shadow serves", async || {
        assert_eq!(wire.ask("select v from t where id = 7").await.values(), ["v"]);
        pair.status().await.reads.shadow > 0
    })
    .await;
    // Long enough for a minute, and without a word on the way.
    let long = "select count(*) from t a, t b, t c where a.id + b.id + c.id = 0";
    wire.send(&query(long)).await;
    let running =
        "select count(*) from pg_stat_activity where query like 'select count(*) from t a%' and state = 'active'";
    eventually("the shadow works", async || psql(&pair.shadow_url(), running).await.must_succeed().trim() == "1").await;
    cancel(pair.proxy.port(), &key(&welcome)).await;
    let said = wire.until_ready().await;
    assert_eq!((said.tags().as_str(), said.errors()), ("EZ", vec!["57014".to_owned()]));
    assert_eq!(wire.ask("select v from t where id = 7").await.values(), ["v"]);
    eventually("the shadow rests", async || psql(&pair.shadow_url(), running).await.must_succeed().trim() == "0").await;
}
