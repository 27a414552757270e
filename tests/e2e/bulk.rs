//! Much at once: rows and streams that are larger than what is held of them, sides that do not read, texts that go deep,
//! and encodings that are not ours.

use crossfade::report::TableStatus;

use crate::support::wire::{Wire, bind, copy_done, execute, message, parse, query, said_by_both, same, sync};
use crate::support::{Pair, eventually, psql, same_rows};

const MIB: usize = 1 << 20;

/// Rows and streams of 64 MB, both ways and by both protocols.
async fn large_ones_pass(settings: &str) -> (Pair, usize) {
    let schema = "create table t (id int primary key, v text); create table c (v text)";
    let pair = Pair::recipe().schema(schema).settings(settings).start().await;
    psql(&pair.url(), "insert into t values (0, 'warm'); select * from t").await.must_succeed();
    // What is marked is read back, which is not the relay's work, and needs the shadow.
    pair.shadow.stop_server("immediate").unwrap();
    let before = pair.most_memory();
    let mut wire = Wire::session(pair.proxy.port()).await;

    wire.send(&query("select repeat('x', 67108864) from generate_series(1, 2)")).await;
    let said = wire.until_ready().await;
    assert_eq!((said.tags().as_str(), said.messages[1].body.len()), ("TDDCZ", 67_108_864 + 6));
    // By a text, and by a parameter.
    let value = "y".repeat(64 * MIB);
    assert_eq!(wire.ask(&format!("insert into t values (1, '{value}')")).await.tags(), "CZ");
    let insert = parse("", "insert into t values (2, $1)");
    let bound = bind("", &[&value]);
    wire.send(&[insert, bound, execute(0), sync()].concat()).await;
    assert_eq!(wire.until_ready().await.tags(), "12CZ");
    // A stream in, in messages of all sizes, and out again.
    wire.send(&query("copy c from stdin")).await;
    wire.until(b'G').await;
    let line = [&vec![b'z'; 1023][..], b"\n"].concat();
    for size in [1, 64, 4096, 65_536] {
        wire.send(&message(b'd', &line.repeat(size))).await;
    }
    wire.send(&copy_done()).await;
    assert_eq!(wire.until_ready().await.tags(), "CZ");
    wire.send(&query("copy c to stdout")).await;
    let said = wire.until_ready().await;
    assert_eq!(said.messages.iter().filter(|message| message.tag == b'd').count(), 69_697);
    let grown = pair.most_memory().saturating_sub(before);
    (pair, grown)
}

#[tokio::test(flavor = "multi_thread")]
async fn large_rows_and_streams_are_not_held_in_memory() {
    let (_pair, grown) = large_ones_pass("[mirror]\nenabled = false\n").await;
    assert!(grown < 8 * MIB, "{} MiB", grown / MIB);
}

#[tokio::test(flavor = "multi_thread")]
async fn large_rows_and_streams_are_not_held_in_memory_while_they_are_mirrored() {
    let (pair, grown) = large_ones_pass("").await;
    assert!(grown < 16 * MIB, "{} MiB", grown / MIB);
    let suspect = pair.status().await.mirror.suspect_tables;
    assert_eq!(suspect, ["public.c", "public.t"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_large_row_that_the_primary_makes_itself_is_not_held_in_memory() {
    let columns: Vec<String> = (0..16).map(|n| format!("w{n} text")).collect();
    let schema = format!(
        "create table t (id int primary key, v text); insert into t values (1, 'a'); create table w (id int primary key, {})",
        columns.join(", ")
    );
    let pair = Pair::start(&schema).await;
    pair.shadow.stop_server("immediate").unwrap();
    let before = pair.most_memory();
    let mut wire = Wire::session(pair.proxy.port()).await;
    assert_eq!(wire.ask("update t set v = repeat('x', 67108864) where id = 1").await.tags(), "CZ");
    assert_eq!(wire.ask("insert into t select 2, repeat('x', 67108864) returning id").await.tags(), "TDCZ");
    let grown = pair.most_memory().saturating_sub(before);
    assert!(grown < 16 * MIB, "{} MiB", grown / MIB);
    // By their keys alone (rule 10).
    assert_eq!(pair.status().await.mirror.suspect_keys, 2);
    // Sixteen values, none of which is long: all of that row is told, and it is too large to be kept (rule 23).
    let values = vec!["repeat('x', 1000000)"; 16].join(", ");
    assert_eq!(wire.ask(&format!("insert into w values (1, {values}) returning id")).await.tags(), "TDCZ");
    let grown = pair.most_memory().saturating_sub(before);
    assert!(grown < 16 * MIB, "{} MiB", grown / MIB);
    assert_eq!(pair.status().await.mirror.suspect_tables, ["public.w"]);
    // Read back, which takes more than `mirror.memory` for each of them.
    pair.shadow.start_server().unwrap();
    pair.wait_settled().await;
    assert_eq!(same_rows(&pair, "t").await, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_sends_without_reading_stops_nobody_and_reads_everything_in_the_end() {
    let pair = Pair::start("create table t (id int primary key, v text)").await;
    // 40 MB of requests with as many answers: more than the buffers between, in both directions. The server itself stops
    // reading when nobody reads its answers, so the client that is well behaved reads at last.
    let series: Vec<u8> = (0..4000)
        .flat_map(|n| {
            query(&format!("/* {} */ insert into t values ({n}, repeat('v', 10000)) returning v", "x".repeat(10_000)))
        })
        .collect();
    let mut wire = Wire::session(pair.proxy.port()).await;
    let taken = wire.send_without_reading(&series).await;
    assert!(taken < series.len(), "everything was taken: nothing waits for the reader");
    psql(&pair.url(), "select 1").await.must_succeed();
    let said = wire.send_while_reading(&series[taken..], 4000).await;
    assert_eq!(said.tags(), "TDCZ".repeat(4000));
    assert_eq!(psql(&pair.primary_url(), "select count(*) from t").await.must_succeed(), "4000\n");
    pair.wait_settled().await;
    assert_eq!(same_rows(&pair, "t").await, 4000);
}

/// Texts that go deep or are long, each with a form of 100 kB and of 1 MB.
fn deep(size: usize) -> Vec<String> {
    let half = size / 2;
    vec![
        format!("select {}1{}", "(".repeat(half), ")".repeat(half)),
        format!("select {}1{}", "abs(".repeat(size / 5), ")".repeat(size / 5)),
        format!("select count(*) from t where true{}", " and true".repeat(size / 9)),
        format!("select 1{}", "+1".repeat(half)),
        format!(
            "insert into t values (1, 'x') on conflict do nothing returning {}1{}",
            "(".repeat(half),
            ")".repeat(half)
        ),
        format!("update t set v = v where id = 1{}", " and true".repeat(size / 9)),
        format!("select {}", "(".repeat(size)),
        format!("insert into t values (2, {}'y'{})", "upper(".repeat(size / 7), ")".repeat(size / 7)),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn texts_that_go_deep_have_the_servers_answer() {
    let pair = Pair::start("create table t (id int primary key, v text)").await;
    // Just below and above what is parsed here, 100 kB and 1 MB.
    for size in [10_000, 60_000, 100_000, 1_000_000] {
        for sql in deep(size) {
            let simple = query(&sql);
            let extended = [parse("", &sql), bind("", &[]), execute(0), sync()].concat();
            same(&pair, "truncate t; insert into t values (1, 'a')", &simple).await;
            same(&pair, "truncate t; insert into t values (1, 'a')", &extended).await;
        }
    }
    pair.wait_settled().await;
    same_rows(&pair, "t").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn other_encodings_have_the_servers_answer_and_the_shadow_the_same_rows() {
    let pair = Pair::start("create table t (id int primary key, v text); create table k (v text)").await;
    let latin = |sql: &str| {
        let bytes: Vec<u8> = sql.chars().map(|c| u8::try_from(u32::from(c)).unwrap()).collect();
        message(b'Q', &[&bytes[..], b"\0"].concat())
    };
    let latin1 = query("set client_encoding to 'LATIN1'");
    let conversations = [
        [latin1.clone(), latin("insert into t values (1, 'é')"), latin("select * from t where v = 'é'")].concat(),
        // The same bytes are something else in UTF-8, and valid there.
        [latin1.clone(), latin("insert into t values (2, 'Ã©') returning v"), latin("update t set v = v || 'Ã©'")]
            .concat(),
        [latin1.clone(), latin("create table \"tablé\" (id int primary key); insert into \"tablé\" values (1)")]
            .concat(),
        [latin1.clone(), latin("alter table \"tablé\" add \"Ã©\" text default 'Ã©'")].concat(),
        [
            latin1,
            latin("insert into k values ('ÿ')"),
            latin("copy t from stdin"),
            message(b'd', b"5\t\xe9\n"),
            copy_done(),
        ]
        .concat(),
        // Invalid in UTF-8: refused by the server, by both protocols.
        latin("insert into t values (3, 'é')"),
        [message(b'P', b"\0insert into t values (3, '\xe9')\0\0\0"), bind("", &[]), execute(0), sync()].concat(),
        [
            parse("", "insert into t values (3, $1)"),
            message(b'B', b"\0\0\0\0\0\x01\0\0\0\x01\xe9\0\0"),
            execute(0),
            sync(),
        ]
        .concat(),
        latin("select 'a\u{80}b'; insert into t values (4, 'd')"),
        [
            query("set client_encoding to 'SQL_ASCII'"),
            latin("insert into t values (6, 'é')"),
            query("insert into t values (7, 'é')"),
        ]
        .concat(),
        [
            query("set client_encoding to 'SJIS'"),
            latin("insert into t values (8, '\u{83}\\')"),
            query("select * from t where id = 8"),
        ]
        .concat(),
        [query("set client_encoding to 'nonsense'"), query("insert into t values (9, 'é')")].concat(),
    ];
    for bytes in &conversations {
        let [direct, through] = said_by_both(&pair, "drop table if exists \"tablé\"; truncate t, k", bytes).await;
        assert_eq!(direct, through, "{}", bytes.escape_ascii());
    }
    // What works, once more, to stay.
    let repeat = async |bytes: &[u8]| {
        let mut wire = Wire::session(pair.proxy.port()).await;
        wire.send(&[bytes, &message(b'X', b"")].concat()).await;
        wire.until_closed().await;
    };
    psql(&pair.url(), "drop table if exists \"tablé\"; truncate t, k").await.must_succeed();
    for works in [0, 1, 4] {
        repeat(&conversations[works]).await;
    }
    pair.wait_settled().await;
    assert_eq!(same_rows(&pair, "t").await, 3);
    assert_eq!(same_rows(&pair, "k").await, 1);
    // DDL that cannot be read is not run again: the table is missing on the shadow, and said to be.
    repeat(&conversations[2]).await;
    eventually("the new table is known", async || {
        let report = pair.report().await;
        let table = report.tables.iter().find(|table| table.table.contains("tabl"));
        table.is_some_and(|table| table.status != TableStatus::Consistent && table.status != TableStatus::Unchecked)
    })
    .await;
}
