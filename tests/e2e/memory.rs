//! The bound on memory: `mirror.memory` and 64 MiB more, whatever waits for the shadow and however much is written at once.

use futures_util::future::join_all;

use crate::support::wire::{Wire, copy_done, message, query};
use crate::support::{Pair, Recipe, connect, eventually, psql, same_rows, seconds};

const MIB: usize = 1 << 20;
/// Less than the default: what does not fit into it must be on disk, or marked.
const MEMORY: usize = 16 * MIB;
const BOUND: usize = MEMORY + 64 * MIB;

const SCHEMA: &str = "create table t (id int primary key, n int, v text); create table u (id int primary key, n int, v text); \
    create table k (n int, v text)";

fn recipe() -> Recipe {
    Pair::recipe().schema(SCHEMA).settings("[mirror]\nmemory = \"16MiB\"\n")
}

#[track_caller]
fn must_be_within(pair: &Pair, when: &str) {
    let most = pair.most_memory();
    println!("{when}: {} MiB at most", most / MIB);
    assert!(most < BOUND, "{when}: {} MiB, of {} MiB that are allowed", most / MIB, BOUND / MIB);
}

/// Many clients at once until the ledger's segments hold so much.
async fn write_until(pair: &Pair, journal: u64) {
    let write = async |number: i32| {
        let client = connect(&pair.url()).await;
        let mut round = 0;
        while pair.journal_bytes() < journal {
            round += 1;
            let first = (round * 8 + number) * 1000;
            let insert =
                format!("insert into t select g, 0, repeat('v', 900) from generate_series({first}, {first} + 499) g");
            client.batch_execute(&insert).await.unwrap();
            client
                .batch_execute(&format!("update t set n = n + 1 where id between {first} and {first} + 49"))
                .await
                .unwrap();
        }
    };
    join_all((0..8).map(write)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_outage_of_the_shadow_under_load_stays_within_it() {
    let pair = recipe().start().await;
    psql(&pair.url(), "insert into u select g, 0, 'warm' from generate_series(1, 100) g").await.must_succeed();
    pair.wait_settled().await;
    pair.shadow.stop_server("immediate").unwrap();
    write_until(&pair, seconds(100, 1000) * MIB as u64).await;
    must_be_within(&pair, "the shadow is away");
    assert!(pair.status().await.mirror.suspect_tables.is_empty(), "what did not fit into memory was not kept on disk");
    pair.shadow.start_server().unwrap();
    pair.wait_settled_within(seconds(120, 600)).await;
    must_be_within(&pair, "the shadow has caught up");
    assert!(same_rows(&pair, "t").await > 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_large_copy_stays_within_it_in_and_out() {
    let pair = recipe().start().await;
    let kilobytes = |short, long| 1024 * usize::try_from(seconds(short, long)).unwrap();
    // Healing a table without a key reads it once for each 2 MB of it.
    let (keyed, keyless) = (kilobytes(100, 1000), kilobytes(10, 50));
    for (table, lines) in [("t", keyed), ("k", keyless)] {
        let mut wire = Wire::session(pair.proxy.port()).await;
        wire.send(&query(&format!("copy {table} from stdin"))).await;
        wire.until(b'G').await;
        let value = "v".repeat(1000);
        let mut sent = 0;
        while sent < lines {
            let some: String = (sent..sent + 64)
                .map(|id| if table == "t" { format!("{id}\t0\t{value}\n") } else { format!("{id}\t{value}\n") })
                .collect();
            wire.send(&message(b'd', some.as_bytes())).await;
            sent += 64;
        }
        wire.send(&copy_done()).await;
        assert_eq!(wire.until_ready().await.tags(), "CZ");
        must_be_within(&pair, "copied in");
    }
    pair.wait_settled_within(seconds(120, 900)).await;
    must_be_within(&pair, "healed");
    psql(&pair.url(), "\\o /dev/null\ncopy t to stdout").await.must_succeed();
    must_be_within(&pair, "copied out");
    assert_eq!(same_rows(&pair, "t").await, keyed);
    assert_eq!(same_rows(&pair, "k").await, keyless);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_statement_over_very_many_rows_stays_within_it() {
    let pair = recipe().start().await;
    let rows = seconds(200_000, 1_000_000);
    for sql in [
        format!("insert into t select g, 0, repeat('v', 100) from generate_series(1, {rows}) g"),
        "update t set n = n + 1".to_owned(),
        "insert into u select * from t".to_owned(),
        "update t set n = n + 1 returning *".to_owned(),
    ] {
        psql(&pair.url(), &format!("\\o /dev/null\n{sql}")).await.must_succeed();
        must_be_within(&pair, &sql);
    }
    pair.wait_settled_within(seconds(120, 600)).await;
    must_be_within(&pair, "healed");
    assert_eq!(same_rows(&pair, "t").await as u64, rows);
    assert_eq!(same_rows(&pair, "u").await as u64, rows);
}

/// Rule 23: what all open transactions hold together is bounded, not what each does.
#[tokio::test(flavor = "multi_thread")]
async fn rule_23_many_large_transactions_at_once_stay_within_it() {
    const CLIENTS: usize = 20;
    let pair = recipe().start().await;
    let url = pair.url();
    let clients = join_all((0..CLIENTS).map(|_| connect(&url))).await;
    let write = async |(number, client): (usize, &tokio_postgres::Client)| {
        let first = number * 10_000;
        let insert = format!(
            "begin; insert into t select g, 0, repeat('v', 900) from generate_series({first}, {first} + 5999) g"
        );
        client.batch_execute(&insert).await.unwrap();
    };
    join_all(clients.iter().enumerate().map(write)).await;
    must_be_within(&pair, "all transactions are open");
    join_all(clients.iter().map(async |client| client.batch_execute("commit").await.unwrap())).await;
    must_be_within(&pair, "they are committed");
    eventually("all of them are counted", async || pair.status().await.mirror.captured >= CLIENTS as u64).await;
    pair.wait_settled_within(seconds(120, 120)).await;
    must_be_within(&pair, "healed");
    assert_eq!(same_rows(&pair, "t").await, CLIENTS * 6000);
}
