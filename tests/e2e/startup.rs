//! From the first byte to the first ReadyForQuery: as the server does it, and within bounds.

use std::time::Duration;

use crate::support::wire::{
    GSS_REQUEST, SSL_REQUEST, Said, VERSION, Wire, cancel_request, message, query, startup, terminate,
};
use crate::support::{Pair, Program, eventually, psql, same_rows};

/// What is said to a StartupMessage, but for the key and the process.
async fn welcome(port: u16, version: u32, more: &[(&str, &str)]) -> Said {
    let mut wire = Wire::dial(port).await;
    wire.send(&startup(version, more)).await;
    let mut said = wire.until_ready().await;
    for key in said.messages.iter_mut().filter(|message| message.tag == b'K') {
        key.body.fill(0);
    }
    said
}

#[tokio::test(flavor = "multi_thread")]
async fn a_welcome_is_the_servers_message_by_message() {
    let pair = Pair::start("").await;
    for (version, more) in [
        (VERSION, vec![]),
        (VERSION, vec![("application_name", "teller"), ("client_encoding", "LATIN1"), ("options", "-c datestyle=SQL")]),
        (VERSION, vec![("database", "template1")]),
        (VERSION, vec![("database", "nowhere")]),
        (VERSION, vec![("user", "nobody_known")]),
        (VERSION, vec![("no_such_setting", "x")]),
        (VERSION + 2, vec![]),
        (VERSION + 2, vec![("_pq_.novelty", "on"), ("_pq_.other", "1")]),
        (VERSION, vec![("_pq_.novelty", "on")]),
        (VERSION + 9999, vec![]),
    ] {
        let (direct, through) =
            tokio::join!(welcome(pair.primary.port(), version, &more), welcome(pair.proxy.port(), version, &more));
        assert_eq!(direct, through, "{version:x} {more:?}");
        assert_eq!(through.closed, !through.errors().is_empty(), "{through:?}");
        let negotiated = version > VERSION || more.iter().any(|(name, _)| name.starts_with("_pq_."));
        assert_eq!(through.tags().contains('v'), negotiated, "{through:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_key_is_the_one_of_the_backend() {
    let pair = Pair::start("").await;
    for database in ["postgres", "template1"] {
        let mut wire = Wire::dial(pair.proxy.port()).await;
        wire.send(&startup(VERSION, &[("database", database)])).await;
        let welcome = wire.until_ready().await;
        let key = &welcome.messages.iter().find(|message| message.tag == b'K').unwrap().body;
        let pid = u32::from_be_bytes(key[..4].try_into().unwrap());
        assert_eq!(wire.ask("select pg_backend_pid()").await.values(), [pid.to_string()], "{database}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn encryption_is_declined_politely_once_each() {
    let pair = Pair::start("").await;
    for requests in [[SSL_REQUEST, GSS_REQUEST], [GSS_REQUEST, SSL_REQUEST]] {
        let mut wire = Wire::dial(pair.proxy.port()).await;
        for request in requests {
            wire.send(request).await;
            assert_eq!(wire.byte().await, b'N');
        }
        wire.send(&startup(VERSION, &[])).await;
        assert!(!wire.until_ready().await.closed);
    }
    // The server here may have GSSAPI, but has no certificate.
    for (port, request) in
        [(pair.primary.port(), SSL_REQUEST), (pair.proxy.port(), SSL_REQUEST), (pair.proxy.port(), GSS_REQUEST)]
    {
        let mut wire = Wire::dial(port).await;
        wire.send(request).await;
        assert_eq!(wire.byte().await, b'N');
        wire.send(request).await;
        let said = wire.until_closed().await;
        let severity = said.messages[0].field(b'S');
        assert_eq!((said.tags().as_str(), severity.as_deref()), ("E", Some("FATAL")), "{said:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_sends_a_byte_at_a_time_is_let_in() {
    let pair = Pair::start("create table t (id int primary key)").await;
    let mut wire = Wire::dial(pair.proxy.port()).await;
    wire.send_byte_by_byte(SSL_REQUEST).await;
    assert_eq!(wire.byte().await, b'N');
    wire.send_byte_by_byte(&[startup(VERSION, &[]), query("insert into t values (1)"), terminate()].concat()).await;
    let said = wire.until_closed().await;
    assert!(said.tags().ends_with("ZCZ"), "{said:?}");
    pair.wait_settled().await;
    assert_eq!(same_rows(&pair, "t").await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn garbage_is_refused_at_once() {
    let pair = Pair::start("").await;
    let http = b"GET / HTTP/1.1\r\nHost: example\r\n\r\n";
    let two_gigabytes = [0x7f, 0xff, 0xff, 0xff, 0, 3, 0, 0];
    let unfinished = [&[0, 0, 0, 16, 0, 3, 0, 0][..], b"userbob!"].concat();
    let old = [0, 0, 0, 8, 0, 2, 0, 0];
    let empty = [0, 0, 0, 4];
    for bytes in [&http[..], &two_gigabytes, &[0xff; 64], &[0; 64], &unfinished, &old, &empty] {
        let mut wire = Wire::dial(pair.proxy.port()).await;
        wire.send(bytes).await;
        let said = wire.until_closed().await;
        let known = said.errors() == ["08P01"] || said.errors() == ["28000"];
        assert!(known, "{}: {said:?}", bytes.escape_ascii());
    }
    // A message that promises 2 GB, in place of a password or a query.
    for tag in [b'p', b'Q'] {
        let mut wire = Wire::session(pair.proxy.port()).await;
        wire.send(&[tag, 0x7f, 0xff, 0xff, 0xff]).await;
        wire.send(&vec![b'x'; 100_000]).await;
        wire.half_close().await;
        wire.until_closed().await;
    }
    psql(&pair.url(), "select 1").await.must_succeed();
}

#[tokio::test(flavor = "multi_thread")]
async fn slow_start_ups_end_in_time_and_are_bounded() {
    let listen = "startup_timeout = \"2s\"\nmax_connections = 4\n";
    let recipe = Pair::recipe().hba(&["host all slow 127.0.0.1/32 scram-sha-256"]).schema("create user slow");
    let pair = recipe.listen(listen).start().await;
    // One that never sends its password is a session, and is told why it ends.
    let mut unproven = Wire::dial(pair.proxy.port()).await;
    unproven.send(&startup(VERSION, &[("user", "slow")])).await;
    assert_eq!(unproven.until(b'R').await.tags(), "R");
    let mut slow = Vec::new();
    for size in [0, 1, 20, 40] {
        let mut wire = Wire::dial(pair.proxy.port()).await;
        wire.send(&startup(VERSION, &[])[..size]).await;
        slow.push(wire);
    }
    let beyond = Wire::dial(pair.proxy.port()).await.until_closed().await;
    assert_eq!((beyond.tags().as_str(), beyond.errors()), ("E", vec!["53300".to_owned()]));
    for wire in &mut slow {
        assert_eq!(wire.until_closed().await.tags(), "");
    }
    let said = unproven.until_closed().await;
    assert_eq!((said.tags().as_str(), said.errors()), ("E", vec!["57014".to_owned()]));
    // One that sends a byte now and then is no better.
    let mut dripping = Wire::dial(pair.proxy.port()).await;
    for byte in startup(VERSION, &[]).chunks(1).cycle() {
        if dripping.try_send(byte).await.is_err() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    assert_eq!(dripping.until_closed().await.tags(), "");
    assert_eq!(pair.status().await.sessions.open, 0);
    psql(&pair.url(), "select 1").await.must_succeed();
}

#[tokio::test(flavor = "multi_thread")]
async fn one_connection_too_many_is_told_so_and_a_cancel_is_none() {
    let pair = Pair::recipe().listen("max_connections = 2\n").start().await;
    let (mut first, welcome) = Wire::open(pair.proxy.port()).await;
    let _second = Wire::session(pair.proxy.port()).await;
    let mut third = Wire::dial(pair.proxy.port()).await;
    third.send(&startup(VERSION, &[])).await;
    let said = third.until_closed().await;
    assert_eq!((said.tags().as_str(), said.errors()), ("E", vec!["53300".to_owned()]));
    assert_eq!(said.messages[0].field(b'M').unwrap(), "sorry, too many clients already");
    assert_eq!(pair.status().await.sessions.open, 2);

    let key = &welcome.messages.iter().find(|message| message.tag == b'K').unwrap().body;
    first.send(&query("select pg_sleep(60)")).await;
    eventually("the statement runs", async || {
        let sql = "select count(*) from pg_stat_activity where query like 'select pg_sleep%' and state = 'active'";
        psql(&pair.primary_url(), sql).await.must_succeed().trim() == "1"
    })
    .await;
    let mut canceller = Wire::dial(pair.proxy.port()).await;
    canceller.send(&cancel_request(key)).await;
    canceller.until_closed().await;
    assert_eq!(first.until_ready().await.errors(), ["57014"]);
    first.send(&terminate()).await;
    first.until_closed().await;
    eventually("a place is free again", async || psql(&pair.url(), "select 1").await.code == Some(0)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn too_many_clients_of_the_server_are_told_by_the_server() {
    let schema = "create role few login connection limit 0";
    let pair = Pair::recipe().schema(schema).primary_settings(&["max_connections = 40"]).start().await;
    let few = [("user", "few")];
    let direct = welcome(pair.primary.port(), VERSION, &few).await;
    let through = welcome(pair.proxy.port(), VERSION, &few).await;
    assert_eq!((direct, through.errors()), (through, vec!["53300".to_owned()]));
    // And where it has no place for anybody.
    let mut sessions = Vec::new();
    let refusal = loop {
        let mut wire = Wire::dial(pair.primary.port()).await;
        wire.send(&startup(VERSION, &[])).await;
        let said = wire.until_ready().await;
        if said.closed {
            break said;
        }
        sessions.push(wire);
    };
    assert_eq!(refusal.errors(), ["53300"]);
    assert_eq!(welcome(pair.proxy.port(), VERSION, &[]).await, refusal);
}

#[tokio::test(flavor = "multi_thread")]
async fn replication_connections_are_relayed() {
    let settings = ["wal_level = logical", "max_wal_senders = 4", "max_replication_slots = 4"];
    let pair = Pair::recipe().schema("create table t (id int primary key)").primary_settings(&settings).start().await;
    for mode in ["database", "true"] {
        let mut said = Vec::new();
        for port in [pair.primary.port(), pair.proxy.port()] {
            let mut wire = Wire::dial(port).await;
            wire.send(&startup(VERSION, &[("replication", mode)])).await;
            let mut welcome = wire.until_ready().await;
            welcome.messages.retain(|message| message.tag != b'K');
            let show = wire.ask("SHOW wal_level").await;
            let identity = wire.ask("IDENTIFY_SYSTEM").await;
            let system = (identity.values()[0].clone(), identity.values()[1].clone(), identity.tags());
            said.push((welcome, show, system));
        }
        assert_eq!(said[0], said[1], "{mode}");
    }

    // The base backup of the whole cluster, and then its WAL as it is written.
    let folder = tempfile::TempDir::new().unwrap();
    let port = pair.proxy.port().to_string();
    let there = ["-h", "127.0.0.1", "-U", "postgres", "-p", &port];
    let (backup, wal) = (folder.path().join("base"), folder.path().join("wal"));
    let (backup, wal) = (backup.display().to_string(), wal.display().to_string());
    let program = Program::new("pg_basebackup").args(&there).args(&["-D", &backup, "-c", "fast", "-X", "stream"]);
    program.run().await.must_succeed();
    assert!(std::path::Path::new(&backup).join("PG_VERSION").is_file());

    std::fs::create_dir(&wal).unwrap();
    let mut receiver = Program::new("pg_receivewal").args(&there).args(&["-D", &wal, "-n"]).spawn();
    eventually("a receiver streams", async || {
        let sql = "select count(*) from pg_stat_replication where application_name = 'pg_receivewal'";
        psql(&pair.primary_url(), sql).await.must_succeed().trim() == "1"
    })
    .await;
    psql(&pair.url(), "insert into t select generate_series(1, 100); select pg_switch_wal()").await.must_succeed();
    eventually("a segment arrives", async || {
        std::fs::read_dir(&wal).unwrap().any(|file| file.unwrap().path().extension().is_none())
    })
    .await;
    receiver.kill().await.unwrap();
    // A stream does not say when it ends: it is told as late as is allowed.
    let mut streaming = Wire::dial(pair.proxy.port()).await;
    streaming.send(&startup(VERSION, &[("replication", "true")])).await;
    streaming.until_ready().await;
    let at = streaming.ask("IDENTIFY_SYSTEM").await.values()[2].clone();
    streaming.send(&query(&format!("START_REPLICATION PHYSICAL {at}"))).await;
    assert_eq!(streaming.until(b'W').await.tags(), "W");
    psql(&pair.url(), "insert into t select generate_series(101, 200)").await.must_succeed();
    assert_eq!(streaming.until(b'd').await.messages[0].tag, b'd');
    streaming.send(&message(b'c', b"")).await;
    let said = streaming.until_ready().await;
    assert!(said.tags().trim_start_matches('d').starts_with('c') && !said.closed, "{}", said.tags());
    pair.wait_settled().await;
    assert_eq!(same_rows(&pair, "t").await, 200);
}
