//! TLS on either side, on both, and on none: the same logins, the same data.

use std::sync::Arc;
use std::time::Duration;

use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::support::{Authority, Pair, Program, eventually, finish, psql, same_rows, speak_tls};

const USERS: &str = "
    set password_encryption = 'md5'; create role hashed login password 's3cret';
    set password_encryption = 'scram-sha-256'; create role scram login password 's3cret';
    create role expired login password 's3cret' valid until '2001-01-01'; create role trusted login;
    create role clear login password 's3cret';
    create table t (id int primary key, note text); grant all on t to public;
";
const HBA: [&str; 5] = [
    "host all trusted 127.0.0.1/32 trust",
    "host all hashed 127.0.0.1/32 md5",
    "host all scram,expired 127.0.0.1/32 scram-sha-256",
    "host all nobody 127.0.0.1/32 scram-sha-256",
    "host all clear 127.0.0.1/32 password",
];

/// The proxy's URL for this login.
fn url(pair: &Pair, login: &str, parameters: &str) -> String {
    pair.url().replace("postgres@", &format!("{login}@")) + "?" + parameters
}

async fn every_login(pair: &Pair, parameters: &str) {
    for login in ["trusted", "hashed:s3cret", "clear:s3cret", "scram:s3cret"] {
        let answer = psql(&url(pair, login, parameters), "select current_user").await;
        assert_eq!(answer.must_succeed().trim(), login.split(':').next().unwrap(), "{parameters}");
    }
    for login in ["hashed:hunter2", "clear:hunter2", "scram:hunter2", "expired:s3cret", "nobody:hunter2"] {
        let answer = psql(&url(pair, login, parameters), "select 1").await;
        let user = login.split(':').next().unwrap();
        let expected = format!("FATAL:  password authentication failed for user \"{user}\"");
        assert!(answer.code == Some(2) && answer.stderr.contains(&expected), "{parameters}: {answer:?}");
    }
    assert!(!pair.proxy.log().contains("hunter2") && !pair.proxy.log().contains("SCRAM-SHA-256$"));
}

async fn both_kinds_of_clients(primary: &str) {
    let authority = Authority::new();
    authority.issue("server", "127.0.0.1");
    let parameters = primary.replace("CA", &authority.path("ca.pem"));
    let recipe = Pair::recipe().hba(&HBA).listen(&authority.listen("server"));
    let recipe = recipe.schema(&speak_tls(&authority, "server")).schema(USERS);
    let pair = recipe.parameters(&parameters, &parameters).start().await;
    every_login(&pair, "sslmode=disable").await;
    let encrypted = format!("sslmode=verify-full&sslrootcert={}", authority.path("ca.pem"));
    every_login(&pair, &encrypted).await;

    let client = url(&pair, "scram:s3cret", &encrypted);
    let note =
        "insert into t select g, 'by tls' from generate_series(1, 100) g; update t set note = 'again' where id = 7;";
    psql(&client, note).await.must_succeed();
    let ssl = psql(&client, "select ssl from pg_stat_ssl where pid = pg_backend_pid()").await.must_succeed();
    assert_eq!(ssl.trim(), if primary.contains("disable") { "f" } else { "t" });
    pair.wait_settled().await;
    assert_eq!(same_rows(&pair, "t").await, 100);
    let watched = "select count(*) from pg_stat_ssl s join pg_stat_activity a using (pid)
                   where application_name = 'crossfade-apply' and s.ssl";
    let encrypted_appliers = psql(&pair.shadow_url(), watched).await.must_succeed();
    assert_eq!(encrypted_appliers.trim() == "0", primary.contains("disable"), "{encrypted_appliers}");

    let sleeper = Program::new("psql").args(&[&client, "-X", "-c", "select pg_sleep(60)"]).spawn();
    tokio::time::sleep(Duration::from_millis(1500)).await;
    Program::new("kill").args(&["-INT", &sleeper.id().unwrap().to_string()]).run().await.must_succeed();
    let answer = finish(sleeper).await;
    assert!(answer.stderr.contains("canceling statement due to user request"), "{answer:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_with_and_without_tls_log_in_at_a_primary_without() {
    both_kinds_of_clients("sslmode=disable").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_with_and_without_tls_log_in_at_a_primary_with_tls() {
    both_kinds_of_clients("sslmode=verify-full&sslrootcert=CA").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_servers_certificate_is_verified_as_asked() {
    let (authority, stranger) = (Authority::new(), Authority::new());
    authority.issue("server", "localhost");
    let pair = Pair::recipe().schema(&speak_tls(&authority, "server")).start().await;
    let (ca, other) = (authority.path("ca.pem"), stranger.path("ca.pem"));
    for (host, parameters, complaint) in [
        ("localhost", format!("sslmode=verify-full&sslrootcert={ca}"), None),
        ("127.0.0.1", format!("sslmode=verify-full&sslrootcert={ca}"), Some("not valid for name")),
        ("127.0.0.1", format!("sslmode=verify-ca&sslrootcert={ca}"), None),
        ("localhost", format!("sslmode=verify-ca&sslrootcert={other}"), Some("certificate")),
        ("localhost", format!("sslmode=require&sslrootcert={other}"), Some("certificate")),
        ("127.0.0.1", "sslmode=require".to_owned(), None),
        ("127.0.0.1", "sslmode=prefer".to_owned(), None),
        ("localhost", "sslmode=verify-full&sslrootcert=/nowhere".to_owned(), Some("/nowhere cannot be read")),
    ] {
        let url = pair.primary_url().replace("127.0.0.1", host) + "?" + &parameters;
        let connected = crossfade::server::connect(&url.parse().unwrap(), crossfade::server::Purpose::Catalog).await;
        match (connected, complaint) {
            (Ok(client), None) => {
                let sql = "select ssl from pg_stat_ssl where pid = pg_backend_pid()";
                assert!(client.query_one(sql, &[]).await.unwrap().get::<_, bool>(0), "{url}");
            }
            (Err(error), Some(complaint)) => assert!(error.to_string().contains(complaint), "{url}: {error}"),
            (answer, _) => panic!("{url}: {answer:?}"),
        }
    }
}

/// As PostgreSQL's documentation makes one for a server.
#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_that_is_its_own_root_is_believed_as_libpq_believes_it() {
    let authority = Authority::new();
    for name in ["server", "other"] {
        authority.self_signed(name, "127.0.0.1", &["-newkey", "rsa:2048"]).await;
    }
    let pair = Pair::recipe().schema(&speak_tls(&authority, "server")).start().await;
    for (root, believed) in [("server.pem", true), ("other.pem", false), ("ca.pem", false)] {
        for mode in ["verify-full", "verify-ca"] {
            let url = format!("{}?sslmode={mode}&sslrootcert={}", pair.primary_url(), authority.path(root));
            let direct = psql(&url, "select 1").await;
            let ours = crossfade::server::connect(&url.parse().unwrap(), crossfade::server::Purpose::Catalog).await;
            assert_eq!((direct.code == Some(0), ours.is_ok()), (believed, believed), "{url}: {direct:?} {ours:?}");
        }
    }
}

/// Eight bytes that ask for encryption by TLS and by GSSAPI.
const SSL_REQUEST: &[u8] = &[0, 0, 0, 8, 4, 210, 22, 47];
const GSS_REQUEST: &[u8] = &[0, 0, 0, 8, 4, 210, 22, 48];
/// Of user and database `postgres`, protocol 3.0.
const STARTUP: &[u8] = b"\0\0\0\x29\0\x03\0\0user\0postgres\0database\0postgres\0\0";

async fn dial(pair: &Pair) -> TcpStream {
    TcpStream::connect(("127.0.0.1", pair.proxy.port())).await.unwrap()
}

async fn encrypt(
    config: ClientConfig,
    socket: TcpStream,
) -> std::io::Result<tokio_rustls::client::TlsStream<TcpStream>> {
    TlsConnector::from(Arc::new(config)).connect(ServerName::try_from("127.0.0.1").unwrap(), socket).await
}

/// What comes until the other side closes or is ready for queries.
async fn answer(stream: &mut (impl tokio::io::AsyncRead + Unpin)) -> Vec<u8> {
    let mut bytes = Vec::new();
    while !bytes.ends_with(b"Z\0\0\0\x05I") {
        match stream.read_buf(&mut bytes).await {
            Ok(0) | Err(_) => break,
            Ok(_) => {}
        }
    }
    bytes
}

#[tokio::test(flavor = "multi_thread")]
async fn encryption_is_negotiated_as_the_server_does() {
    let authority = Authority::new();
    authority.issue("server", "127.0.0.1");
    let pair = Pair::recipe().listen(&(authority.listen("server") + "tls_min = \"1.3\"\n")).start().await;

    // Declined politely, then TLS; within TLS, not again.
    let mut socket = dial(&pair).await;
    socket.write_all(GSS_REQUEST).await.unwrap();
    assert_eq!(socket.read_u8().await.unwrap(), b'N');
    socket.write_all(SSL_REQUEST).await.unwrap();
    assert_eq!(socket.read_u8().await.unwrap(), b'S');
    let mut encrypted = encrypt(authority.client(), socket).await.unwrap();
    encrypted.write_all(SSL_REQUEST).await.unwrap();
    assert!(String::from_utf8_lossy(&answer(&mut encrypted).await).contains("second request for encryption"));

    // Bytes in clear behind the request.
    let mut socket = dial(&pair).await;
    socket.write_all(&[SSL_REQUEST, STARTUP].concat()).await.unwrap();
    assert!(String::from_utf8_lossy(&answer(&mut socket).await).contains("bytes in clear"));

    // Direct TLS needs the protocol's name.
    for (alpn, welcome) in [(Some(&b"postgresql"[..]), true), (None, false), (Some(b"http/1.1"), false)] {
        let mut config = authority.client();
        config.alpn_protocols = alpn.into_iter().map(<[u8]>::to_vec).collect();
        let said = match encrypt(config, dial(&pair).await).await {
            Ok(mut stream) => {
                let _ = stream.write_all(STARTUP).await;
                answer(&mut stream).await
            }
            Err(_) => Vec::new(),
        };
        assert_eq!(said.ends_with(b"Z\0\0\0\x05I"), welcome, "{alpn:?}");
    }

    let at_most = |version: &str| format!("sslmode=require&ssl_max_protocol_version={version}");
    assert!(psql(&url(&pair, "postgres", &at_most("TLSv1.2")), "select 1").await.stderr.contains("protocol version"));
    psql(&url(&pair, "postgres", &at_most("TLSv1.3")), "select 1").await.must_succeed();
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_certificate_encryption_is_declined_once() {
    let pair = Pair::start("").await;
    let mut socket = dial(&pair).await;
    socket.write_all(SSL_REQUEST).await.unwrap();
    assert_eq!(socket.read_u8().await.unwrap(), b'N');
    socket.write_all(SSL_REQUEST).await.unwrap();
    assert!(String::from_utf8_lossy(&answer(&mut socket).await).contains("second request for encryption"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_certificate_counts_from_the_next_connection_and_a_bad_one_never() {
    let authority = Authority::new();
    authority.issue("server", "wrong.example");
    let pair = Pair::recipe().listen(&authority.listen("server")).start().await;
    let client = url(&pair, "postgres", &format!("sslmode=verify-full&sslrootcert={}", authority.path("ca.pem")));
    assert!(psql(&client, "select 1").await.stderr.contains("wrong.example"));
    authority.issue("server", "127.0.0.1");
    eventually("the new certificate", async || psql(&client, "select 1").await.code == Some(0)).await;
    std::fs::write(authority.path("server.pem"), "nonsense").unwrap();
    eventually("the complaint", async || pair.proxy.log().contains("server.pem holds no certificate")).await;
    psql(&client, "select 1").await.must_succeed();
}

#[tokio::test(flavor = "multi_thread")]
async fn verifiers_come_from_the_file_first_and_else_from_the_primary() {
    let authority = Authority::new();
    authority.issue("server", "127.0.0.1");
    let file = authority.path("users.txt");
    let verifier = postgres_protocol::password::scram_sha_256(b"s3cret");
    std::fs::write(&file, format!("\"scram\" \"{verifier}\"\n\"third\" \"{verifier}\"\n")).unwrap();
    let users = format!(
        "create role scram login password '{verifier}'; create role other login password 's3cret'; create role third login password 'else';"
    );
    let hba = ["host all scram,other,third 127.0.0.1/32 scram-sha-256"];
    let recipe = Pair::recipe().hba(&hba).schema(&(speak_tls(&authority, "server") + &users));
    let listen = authority.listen("server") + &format!("auth_file = \"{file}\"\n");
    let pair = recipe.listen(&listen).parameters("sslmode=require", "sslmode=prefer").start().await;
    let tls = "sslmode=require";
    let who = psql(&url(&pair, "scram:s3cret", tls), "select current_user").await.must_succeed();
    assert_eq!(who.trim(), "scram");
    let answer = psql(&url(&pair, "scram:hunter2", tls), "select 1").await;
    assert!(answer.stderr.contains("password authentication failed for user \"scram\""), "{answer:?}");
    // The file decides, and where it is not the primary's, the primary still has the last word.
    for password in ["else", "s3cret"] {
        let answer = psql(&url(&pair, &format!("third:{password}"), tls), "select 1").await;
        assert!(answer.stderr.contains("password authentication failed for user \"third\""), "{answer:?}");
    }
    // Whom the file does not name, the primary's own list may.
    psql(&url(&pair, "other:s3cret", tls), "select 1").await.must_succeed();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancel_by_tls_reaches_the_statement() {
    let authority = Authority::new();
    authority.issue("server", "127.0.0.1");
    let recipe = Pair::recipe().listen(&authority.listen("server")).schema(&speak_tls(&authority, "server"));
    let pair = recipe.parameters("sslmode=require", "sslmode=require").start().await;
    let direct = async || {
        let mut config = authority.client();
        config.alpn_protocols = vec![b"postgresql".to_vec()];
        encrypt(config, dial(&pair).await).await.unwrap()
    };
    let mut session = direct().await;
    session.write_all(STARTUP).await.unwrap();
    let welcome = answer(&mut session).await;
    let at = welcome.windows(5).position(|window| window == b"K\0\0\0\x0c").expect("a cancel key") + 5;
    let key = &welcome[at..at + 8];
    session.write_all(b"Q\0\0\0\x18select pg_sleep(60)\0").await.unwrap();
    tokio::time::sleep(Duration::from_millis(500)).await;
    let mut cancel = direct().await;
    cancel.write_all(&[&[0, 0, 0, 16, 4, 210, 22, 46], key].concat()).await.unwrap();
    let said = answer(&mut session).await;
    assert!(String::from_utf8_lossy(&said).contains("C57014"), "{}", String::from_utf8_lossy(&said));
}
