//! The same bytes, said to the primary and to the proxy, have the same answers.

use crate::support::wire::{
    Said, Wire, bind, copy_data, copy_done, describe_portal, execute, flush, message, parse, query, said_by_both, same,
    sync, terminate,
};
use crate::support::{Pair, eventually, psql, same_rows};

const SCHEMA: &str = "create table t (id int primary key, v text); create table k (v text)";
const INSERT: &str = "insert into t values (1, 'a')";

async fn count(pair: &Pair, table: &str) -> String {
    psql(&pair.primary_url(), &format!("select count(*) from {table}")).await.must_succeed().trim().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_query_with_terminate_and_close_behind_it_still_commits() {
    let pair = Pair::start(SCHEMA).await;
    let mut last = Wire::session(pair.proxy.port()).await;
    last.send(&[query(INSERT), terminate()].concat()).await;
    drop(last);
    eventually("the row of a query, Terminate and close", async || count(&pair, "t").await == "1").await;
    // Slow enough that everything has closed when it commits.
    let mut slow = Wire::session(pair.proxy.port()).await;
    slow.send(&[query("insert into t select 2, 'b' from pg_sleep(0.5)"), terminate()].concat()).await;
    slow.reset();
    eventually("the row of a query, Terminate and reset", async || count(&pair, "t").await == "2").await;
    let mut unsaid = Wire::session(pair.proxy.port()).await;
    unsaid.send(&[parse("", "insert into t values (3, 'c')"), bind("", &[]), execute(0), sync()].concat()).await;
    drop(unsaid);
    eventually("the row of a pipeline and close", async || count(&pair, "t").await == "3").await;
    pair.wait_settled().await;
    assert_eq!(same_rows(&pair, "t").await, 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_half_close_every_answer_is_delivered() {
    let pair = Pair::start(SCHEMA).await;
    let mut answers = Vec::new();
    for port in [pair.primary.port(), pair.proxy.port()] {
        psql(&pair.url(), "truncate t").await.must_succeed();
        let mut wire = Wire::session(port).await;
        let slow = query("select pg_sleep(0.3)");
        wire.send(&[slow, query(INSERT), query("select repeat('x', 1000000) from generate_series(1, 20)")].concat())
            .await;
        wire.half_close().await;
        answers.push(wire.until_closed().await);
    }
    assert_eq!(answers[0], answers[1]);
    assert!(answers[1].closed && answers[1].tags().starts_with("TDCZCZTDDD"), "{}", answers[1].tags());
    pair.wait_settled().await;
    assert_eq!(same_rows(&pair, "t").await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn after_an_error_in_a_series_everything_is_skipped_until_sync() {
    let pair = Pair::start(SCHEMA).await;
    let series = [parse("", "selec 1"), query(INSERT), bind("", &[]), message(b'F', &[0; 14]), copy_done(), sync()];
    let said = same(&pair, "truncate t", &[series.concat(), query("select count(*) from t")].concat()).await;
    assert_eq!((said.tags().as_str(), said.values()), ("EZTDCZ", vec!["0".to_owned()]));
    // The Sync comes later than the error: what is skipped then is not even a transaction of its own.
    let mut wire = Wire::session(pair.proxy.port()).await;
    wire.send(&[parse("", "selec 1"), flush()].concat()).await;
    assert_eq!(wire.until(b'E').await.tags(), "E");
    wire.send(&[query("begin"), query(INSERT), query("commit"), sync()].concat()).await;
    assert_eq!(wire.until_ready().await.tags(), "Z");
    assert_eq!(wire.ask(INSERT).await.tags(), "CZ");
    pair.wait_settled().await;
    assert_eq!(same_rows(&pair, "t").await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn copy_messages_outside_of_copy_are_ignored() {
    let pair = Pair::start(SCHEMA).await;
    let stray = [copy_data("1\ta\n"), copy_done(), message(b'f', b"no\0")].concat();
    let bytes = [&stray[..], &query(INSERT), &stray, &query("select * from t"), &stray, &sync(), &stray].concat();
    let said = same(&pair, "truncate t", &bytes).await;
    assert_eq!(said.tags(), "CZTDCZZ");
    // Behind a COPY that failed its data comes too late.
    let failed = [query("copy t from stdin"), copy_data("x\ty\n"), copy_data("2\ty\n"), copy_done()].concat();
    let said = same(&pair, "truncate t", &[failed, query(INSERT)].concat()).await;
    assert_eq!(said.tags(), "GEZCZ");
    let failed = [parse("", "copy t from stdin"), bind("", &[]), execute(0), sync()].concat();
    let data = [copy_data("x\ty\n"), copy_data("2\ty\n"), copy_done(), sync()].concat();
    let said = same(&pair, "truncate t", &[failed, data, query(INSERT)].concat()).await;
    assert_eq!(said.tags(), "12GEZCZ");
    pair.wait_settled().await;
    assert_eq!(same_rows(&pair, "t").await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_that_the_client_fails_and_one_with_other_messages_in_it() {
    let pair = Pair::start(SCHEMA).await;
    let begin = [query("copy t from stdin"), copy_data("1\ta\n")].concat();
    let fail = message(b'f', b"changed my mind\0");
    let said = same(&pair, "truncate t", &[&begin[..], &fail, &query(INSERT)].concat()).await;
    assert_eq!((said.tags().as_str(), said.errors()), ("GEZCZ", vec!["57014".to_owned()]));
    // Flush and Sync are ignored within, anything else is the end of it.
    let within = [&begin[..], &flush(), &sync(), &copy_data("2\tb\n"), &copy_done()].concat();
    assert_eq!(same(&pair, "truncate t", &within).await.tags(), "GCZ");
    let said = same(&pair, "truncate t", &[&begin[..], &query("select 1")].concat()).await;
    assert_eq!(said.errors(), ["08P01", "08P01"]);
    psql(&pair.url(), "truncate t; insert into t values (7, 'g')").await.must_succeed();
    pair.wait_settled().await;
    assert_eq!(same_rows(&pair, "t").await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn as_many_parameters_as_the_protocol_can_count() {
    let pair = Pair::start(SCHEMA).await;
    for count in [40_000, 65_535] {
        let rows: Vec<_> = (1..=count).map(|n| format!("(${n}::text)")).collect();
        let parameters = vec!["x"; count];
        let sql = format!("insert into k values {}", rows.join(","));
        let bytes = [parse("", &sql), bind("", &parameters), describe_portal(), execute(0), sync()].concat();
        let said = same(&pair, "truncate k", &bytes).await;
        assert_eq!(said.tags(), "12nCZ");
        assert_eq!(said.messages[3].text(), format!("INSERT 0 {count}"));
    }
    pair.wait_settled().await;
    assert_eq!(same_rows(&pair, "k").await, 65_535);
}

#[tokio::test(flavor = "multi_thread")]
async fn malformed_messages_get_the_servers_own_error() {
    let pair = Pair::start(SCHEMA).await;
    let ends_badly = |tag: u8, body: &[u8]| [message(tag, body), sync(), query(INSERT)].concat();
    let prepared = [parse("s", INSERT), sync()].concat();
    for (what, bytes) in [
        ("a Query without its end", message(b'Q', b"select 1")),
        ("a Query with bytes behind its end", message(b'Q', b"select 1\0select 2\0")),
        ("a Parse without its end", ends_badly(b'P', b"s")),
        ("a Parse without its types", ends_badly(b'P', b"s\0select 1\0")),
        ("a Parse that promises more types", ends_badly(b'P', b"s\0select 1\0\0\x05")),
        ("a Bind of nothing", ends_badly(b'B', b"")),
        ("a Bind that promises more parameters", ends_badly(b'B', b"\0s\0\0\0\0\x09")),
        ("a Bind with a parameter of negative length", ends_badly(b'B', b"\0s\0\0\0\0\x01\xff\xff\xff\xf0\0\0")),
        ("a Bind with a long parameter", ends_badly(b'B', b"\0s\0\0\0\0\x01\0\xff\xff\xff\0\0")),
        ("a Bind with bytes behind its end", ends_badly(b'B', b"\0s\0\0\0\0\0\0\0more")),
        ("a Bind with an unknown format", ends_badly(b'B', b"\0s\0\0\0\0\0\0\x01\0\x07")),
        ("a Describe of neither", ends_badly(b'D', b"Xs\0")),
        ("a Describe of nothing", ends_badly(b'D', b"")),
        ("a Close of neither", ends_badly(b'C', b"Xs\0")),
        ("a Close of nothing", ends_badly(b'C', b"")),
        ("an Execute of nothing", ends_badly(b'E', b"")),
        ("an Execute without its limit", ends_badly(b'E', b"\0\0")),
        ("an Execute of an unknown portal", ends_badly(b'E', b"nowhere\0\0\0\0\0")),
        ("a FunctionCall of nothing", [message(b'F', b""), query(INSERT)].concat()),
        ("an unknown message", [message(b'y', b"x"), query(INSERT)].concat()),
        ("a message of the server's", [message(b'Z', b"I"), query(INSERT)].concat()),
        ("a Sync with a body", [message(b'S', b"body"), query(INSERT)].concat()),
    ] {
        let [direct, through] = said_by_both(&pair, "truncate t", &[prepared.clone(), bytes].concat()).await;
        assert_eq!(direct, through, "{what}");
    }
    psql(&pair.url(), "truncate t; insert into t values (7, 'g')").await.must_succeed();
    pair.wait_settled().await;
    assert_eq!(same_rows(&pair, "t").await, 1);
}

/// In one write, names are given another meaning by what fails.
#[tokio::test(flavor = "multi_thread")]
async fn in_a_pipeline_a_name_means_what_the_primary_made_of_it() {
    let pair = Pair::start(SCHEMA).await;
    let close = |name: &str| message(b'C', &[b"S", name.as_bytes(), b"\0"].concat());
    let run = |name: &str| [bind(name, &[]), describe_portal(), execute(0), sync()].concat();
    let nonsense = parse("x", "select nonsense");
    let skipped_portal = [
        [query("begin"), parse("p", INSERT), message(b'B', b"p\0p\0\0\0\0\0\0\0"), sync()].concat(),
        [query("savepoint a"), bind("x", &[]), message(b'C', b"Pp\0"), sync(), query("rollback to a")].concat(),
        [message(b'E', b"p\0\0\0\0\0"), sync(), query("commit")].concat(),
    ];
    for insert in [INSERT, "insert into t values (1, 'a') returning v"] {
        for name in ["s", ""] {
            let before = [parse(name, insert), sync()].concat();
            let select = parse(name, "select 1, 2, 3, 4, 5");
            for between in [
                [select.clone(), sync()].concat(),
                [nonsense.clone(), select.clone(), sync()].concat(),
                [nonsense.clone(), close(name), sync()].concat(),
                [nonsense.clone(), query("select 1"), sync()].concat(),
                [parse(name, "select nonsense"), sync()].concat(),
                [query("deallocate nothing"), nonsense.clone(), close(name), select.clone(), sync()].concat(),
                [close(name), sync(), select.clone(), sync(), select.clone(), sync()].concat(),
                [query("deallocate s"), select.clone(), sync(), parse(name, insert), sync()].concat(),
            ] {
                same(&pair, "truncate t", &[before.clone(), between, run(name), run(name)].concat()).await;
                pair.wait_settled().await;
                same_rows(&pair, "t").await;
            }
        }
    }
    same(&pair, "truncate t", &skipped_portal.concat()).await;
    pair.wait_settled().await;
    assert_eq!(same_rows(&pair, "t").await, 1);
}

/// A half close does not lose what waits.
#[tokio::test(flavor = "multi_thread")]
async fn what_waits_in_a_pipeline_is_still_sent_behind_a_half_close() {
    let pair = Pair::start(SCHEMA).await;
    let mut session = Wire::session(pair.proxy.port()).await;
    let refused = [parse("s", INSERT), sync(), parse("s", "select 1"), sync()].concat();
    session.send(&[refused, bind("s", &[]), execute(0), sync()].concat()).await;
    session.half_close().await;
    assert_eq!(session.until_closed().await.tags(), "1ZEZ2CZ");
    pair.wait_settled().await;
    assert_eq!(same_rows(&pair, "t").await, 1);
}

/// Every message that a client may send, with errors in the middle.
fn everything() -> Vec<u8> {
    let insert = parse("ins", "insert into t values ($1, $2) returning id");
    let function_call = {
        // pg_catalog.int4pl(40, 2), all in text.
        let mut body = 177_u32.to_be_bytes().to_vec();
        body.extend_from_slice(b"\0\0\0\x02\0\0\0\x0240\0\0\0\x012\0\0");
        message(b'F', &body)
    };
    [
        query("select 1 as one"),
        query(INSERT),
        query(INSERT),
        query(""),
        query(" ; "),
        query("insert into t values (2, 'b'); select 1/0; insert into t values (3, 'c')"),
        query("insert into t values (4, 'd') returning v; update t set v = upper(v); select 'x'"),
        [insert, message(b'D', b"Sins\0"), sync()].concat(),
        [bind("ins", &["5", "e"]), describe_portal(), execute(0), bind("ins", &["6", "f"]), execute(0), sync()]
            .concat(),
        [bind("ins", &["7", "g"]), execute(0), bind("ins", &["5", "again"]), execute(0), query("select 1"), sync()]
            .concat(),
        [
            parse("", "select g from generate_series(1, 5) g"),
            bind("", &[]),
            execute(2),
            execute(2),
            flush(),
            execute(2),
            sync(),
        ]
        .concat(),
        [parse("", ""), bind("", &[]), describe_portal(), execute(0), sync()].concat(),
        [message(b'C', b"Sins\0"), bind("ins", &["8", "h"]), sync(), message(b'C', b"P\0"), sync()].concat(),
        function_call,
        message(b'F', &[0; 14]),
        query("copy t from stdin"),
        [copy_data("9\ti\n10"), copy_data("\tj\n"), copy_done()].concat(),
        query("copy t from stdin"),
        [copy_data("9\ti\n"), copy_done()].concat(),
        query("copy t from stdin"),
        message(b'f', b"no\0"),
        query("copy t to stdout"),
        [parse("", "copy t from stdin"), bind("", &[]), execute(0), copy_data("11\tk\n"), copy_done(), sync()].concat(),
        query("listen l"),
        query("begin; notify l, 'within'; insert into t values (12, 'l'); commit; select 2"),
        query("set timezone to 'Asia/Tokyo'; do $$ begin raise notice 'hm'; end $$"),
        query("begin"),
        query("savepoint s"),
        query("insert into t values (1, 'twice')"),
        query("select 1"),
        query("rollback to s; insert into t values (13, 'm')"),
        [parse("", "fetch 2 from nowhere"), bind("", &[]), execute(0), sync()].concat(),
        query("commit"),
        query("select * from t order by id"),
    ]
    .concat()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_message_pipelined_in_one_piece_and_byte_by_byte() {
    let pair = Pair::start(SCHEMA).await;
    let bytes = everything();
    let process = |said: &mut Said| {
        for notification in said.messages.iter_mut().filter(|message| message.tag == b'A') {
            notification.body[..4].fill(0);
        }
    };
    let [mut direct, mut through] = said_by_both(&pair, "truncate t", &bytes).await;
    [&mut direct, &mut through].into_iter().for_each(process);
    assert_eq!(direct, through);
    for tag in "123ACDEGHINSTVZnst".chars() {
        assert!(through.tags().contains(tag), "no {tag} in {}", through.tags());
    }
    psql(&pair.url(), "truncate t").await.must_succeed();
    let mut wire = Wire::session(pair.proxy.port()).await;
    wire.send_byte_by_byte(&[bytes, terminate()].concat()).await;
    let mut slowly = wire.until_closed().await;
    process(&mut slowly);
    assert_eq!(direct, slowly);
    pair.wait_settled().await;
    assert_eq!(same_rows(&pair, "t").await, 8);
}
