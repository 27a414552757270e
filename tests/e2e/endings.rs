//! How sessions end: by their clients, by the server, and by the proxy.

use std::time::Duration;

use crate::support::wire::{Said, VERSION, Wire, copy_data, parse, query, startup};
use crate::support::{Pair, Program, eventually, psql, same_rows};

const SCHEMA: &str = "create table t (id int primary key, v text); insert into t values (1, 'a')";

async fn pid(wire: &mut Wire) -> String {
    wire.ask("select pg_backend_pid()").await.values().remove(0)
}

async fn primary(pair: &Pair, sql: &str) -> String {
    psql(&pair.primary_url(), sql).await.must_succeed().trim().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_servers_last_words_pass_unchanged() {
    let pair = Pair::start(SCHEMA).await;
    let waits = "set idle_in_transaction_session_timeout = '200ms'; set idle_session_timeout = '300ms'";
    let mut words = Vec::new();
    for port in [pair.primary.port(), pair.proxy.port()] {
        let mut said: Vec<Said> = Vec::new();
        // Terminated while idle, within a transaction and within a statement.
        for (sql, within) in [("", ""), ("begin; select 1", ""), ("", "select pg_sleep(60)")] {
            let mut wire = Wire::session(port).await;
            let pid = pid(&mut wire).await;
            wire.ask(sql).await;
            if !within.is_empty() {
                wire.send(&query(within)).await;
                let asked = format!("select state = 'active' from pg_stat_activity where pid = {pid}");
                eventually("the statement runs", async || primary(&pair, &asked).await == "t").await;
            }
            primary(&pair, &format!("select pg_terminate_backend({pid})")).await;
            said.push(wire.until_closed().await);
        }
        for sql in ["begin", "select 1"] {
            let mut wire = Wire::session(port).await;
            wire.ask(waits).await;
            wire.ask(sql).await;
            said.push(wire.until_closed().await);
        }
        // Within a COPY and within a series.
        for bytes in [query("copy t from stdin"), parse("", "select 1")] {
            let mut wire = Wire::session(port).await;
            let pid = pid(&mut wire).await;
            wire.send(&bytes).await;
            tokio::time::sleep(Duration::from_millis(200)).await;
            primary(&pair, &format!("select pg_terminate_backend({pid})")).await;
            said.push(wire.until_closed().await);
        }
        words.push(said);
    }
    assert_eq!(words[0], words[1]);
    let errors: Vec<_> = words[1].iter().flat_map(Said::errors).collect();
    assert_eq!(errors, ["57P01", "57P01", "57P01", "25P03", "57P05", "57P01", "57P01"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_vanishes_in_a_transaction_has_it_rolled_back() {
    let pair = Pair::start(SCHEMA).await;
    for how in ["close", "reset", "half a message and close", "close within COPY", "reset with an answer under way"] {
        let mut wire = Wire::session(pair.proxy.port()).await;
        wire.ask("begin; update t set v = 'b' where id = 1; lock table t in access exclusive mode").await;
        match how {
            "close" => drop(wire),
            "reset" => wire.reset(),
            "half a message and close" => {
                wire.send(&query("commit")[..8]).await;
                drop(wire);
            }
            "close within COPY" => {
                wire.send(&[query("copy t from stdin"), copy_data("2\tb\n")].concat()).await;
                wire.until(b'G').await;
                drop(wire);
            }
            _ => {
                wire.send(&query("select repeat('x', 10000) from generate_series(1, 100000)")).await;
                wire.message().await;
                wire.reset();
            }
        }
        eventually(how, async || {
            let sql = "set lock_timeout = '1s'; update t set v = 'a' where id = 1";
            let answer = psql(&pair.url(), sql).await;
            !answer.stderr.contains("lock timeout")
        })
        .await;
        assert_eq!(primary(&pair, "select string_agg(v, ',') from t").await, "a", "{how}");
    }
    let backends = "select count(*) from pg_stat_activity where state like 'idle in transaction%'";
    eventually("no transaction is left", async || primary(&pair, backends).await == "0").await;
    pair.wait_settled().await;
    assert_eq!(same_rows(&pair, "t").await, 1);
}

/// What sessions of every kind are told when the primary ends like this.
async fn when_the_primary_ends(mirror: &str, end: impl AsyncFn(&Pair, &str)) {
    let pair = Pair::recipe().schema(SCHEMA).settings(mirror).start().await;
    let mut idle = Wire::session(pair.proxy.port()).await;
    let mut in_transaction = Wire::session(pair.proxy.port()).await;
    in_transaction.ask("begin; update t set v = 'b'").await;
    let mut running = Wire::session(pair.proxy.port()).await;
    let pid = pid(&mut running).await;
    running.send(&query("select pg_sleep(60)")).await;
    let asked = format!("select state = 'active' from pg_stat_activity where pid = {pid}");
    eventually("the statement runs", async || primary(&pair, &asked).await == "t").await;
    end(&pair, &pid).await;
    for (what, wire) in [("idle", &mut idle), ("in a transaction", &mut in_transaction), ("running", &mut running)] {
        let said = wire.until_closed().await;
        let last = said.messages.last().unwrap_or_else(|| panic!("{what}: a bare close"));
        assert!(last.tag == b'E' && last.field(b'V').as_deref() == Some("FATAL"), "{what}: {said:?}");
        let sqlstate = last.field(b'C').unwrap();
        assert!(["08006", "57P01", "57P02"].contains(&sqlstate.as_str()), "{what}: {said:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_backend_is_told_to_every_client() {
    let kill = async |_: &Pair, pid: &str| {
        Program::new("kill").args(&["-9", pid]).run().await.must_succeed();
    };
    when_the_primary_ends("", kill).await;
    when_the_primary_ends("[mirror]\nenabled = false\n", kill).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_primary_that_stops_at_once_is_told_to_every_client() {
    let stop = async |pair: &Pair, _: &str| pair.primary.stop_server("immediate").unwrap();
    when_the_primary_ends("", stop).await;
    when_the_primary_ends("[mirror]\nenabled = false\n", stop).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_primary_that_is_not_there_is_told_to_a_client_that_comes() {
    let pair = Pair::start(SCHEMA).await;
    pair.primary.stop_server("immediate").unwrap();
    let mut wire = Wire::dial(pair.proxy.port()).await;
    wire.send(&startup(VERSION, &[])).await;
    let said = wire.until_closed().await;
    assert_eq!((said.tags().as_str(), said.errors()), ("E", vec!["08006".to_owned()]), "{said:?}");
}

/// What three sessions hear of a shutdown: idle, in a transaction that ends in time, in one that does not.
async fn when_the_proxy_is_asked_to_end(mirror: &str) {
    let recipe = Pair::recipe().schema(SCHEMA).settings(mirror).listen("shutdown_timeout = \"4s\"\n");
    let mut pair = recipe.start().await;
    let mut idle = Wire::session(pair.proxy.port()).await;
    idle.ask("select 1").await;
    let mut copied = Wire::session(pair.proxy.port()).await;
    copied.ask("copy (select 1) to stdout").await;
    let mut finishing = Wire::session(pair.proxy.port()).await;
    finishing.ask("begin; update t set v = 'b' where id = 1").await;
    let mut staying = Wire::session(pair.proxy.port()).await;
    staying.ask("begin; insert into t values (2, 'never')").await;
    let mut running = Wire::session(pair.proxy.port()).await;
    running.send(&query("select pg_sleep(1), 'done'")).await;
    let mut unsaid = Wire::dial(pair.proxy.port()).await;
    unsaid.send(&startup(VERSION, &[])[..6]).await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    pair.proxy.signal("TERM").unwrap();
    for wire in [&mut idle, &mut copied] {
        let said = wire.until_closed().await;
        assert_eq!((said.tags().as_str(), said.errors()), ("E", vec!["57P01".to_owned()]), "{said:?}");
    }
    assert_eq!(unsaid.until_closed().await.tags(), "");
    assert_eq!(staying.ask("select 1").await.tags(), "TDCZ", "it may still finish");
    let said = finishing.ask("commit").await;
    assert_eq!(said.messages[0].text(), "COMMIT");
    for (wire, tags) in [(&mut finishing, "E"), (&mut running, "TDCZE"), (&mut staying, "E")] {
        let said = wire.until_closed().await;
        assert_eq!((said.tags().as_str(), said.errors()), (tags, vec!["57P01".to_owned()]), "{said:?}");
    }
    assert!(pair.proxy.stop().await.unwrap().success());
    assert_eq!(primary(&pair, "select string_agg(v, ',') from t").await, "b");
}

#[tokio::test(flavor = "multi_thread")]
async fn when_it_is_asked_to_end_transactions_finish_and_every_client_is_told() {
    when_the_proxy_is_asked_to_end("").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn when_it_is_asked_to_end_unmirrored_transactions_finish_too() {
    when_the_proxy_is_asked_to_end("[mirror]\nenabled = false\n").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shutdown_never_puts_its_word_into_the_middle_of_a_row() {
    for mirror in ["", "[mirror]\nenabled = false\n"] {
        let recipe = Pair::recipe().schema(SCHEMA).settings(mirror).listen("shutdown_timeout = \"1s\"\n");
        let mut pair = recipe.start().await;
        let mut reader = Wire::session(pair.proxy.port()).await;
        // More than sockets hold: the row is on its way when the limit comes.
        reader.send(&query("select repeat('x', 100000000)")).await;
        assert_eq!(reader.message().await.unwrap().tag, b'T');
        pair.proxy.stop().await.unwrap();
        let rest = reader.bytes_until_closed().await;
        assert!(rest.len() < 100_000_000, "the row was on its way");
        assert!(rest[11..].iter().all(|&byte| byte == b'x'), "{}", rest[rest.len() - 200..].escape_ascii());
    }
}
