//! Logins that are bound to the TLS connection (SCRAM-SHA-256-PLUS): as libpq asks for them, and against whoever stands
//! between.

use std::sync::Arc;

use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::{TlsAcceptor, TlsConnector};

use crate::support::{Authority, Pair, eventually, psql, speak_tls};

const HBA: [&str; 1] = ["host all scram 127.0.0.1/32 scram-sha-256"];
const USER: &str = "set password_encryption = 'scram-sha-256'; create role scram login password 's3cret';";
const RSA: &[&str] = &["-newkey", "rsa:2048"];
const P256: &[&str] = &["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"];
const P384: &[&str] = &["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-384"];
const PSS: &[&str] = &["-sigopt", "rsa_padding_mode:pss", "-sigopt", "rsa_pss_saltlen:-1"];

fn url(port: u16, login: &str, parameters: &str) -> String {
    format!("postgres://{login}@127.0.0.1:{port}/postgres?{parameters}")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_login_is_bound_to_whatever_certificate_names_a_digest() {
    let authority = Authority::new();
    authority.self_signed("primary", "127.0.0.1", &[RSA, &["-sha512"]].concat()).await;
    authority.self_signed("server", "127.0.0.1", &[RSA, &["-sha256"]].concat()).await;
    let recipe = Pair::recipe().hba(&HBA).listen(&authority.listen("server"));
    let recipe = recipe.schema(&speak_tls(&authority, "primary")).schema(USER);
    let pair = recipe.parameters("sslmode=require", "sslmode=disable").start().await;
    for (options, digest, bindable) in [
        (RSA, &["-sha1"][..], true),
        (RSA, &["-sha384"], true),
        (RSA, &[&["-sha512"], PSS].concat(), true),
        (P256, &["-sha256"], true),
        (P256, &["-sha512"], true),
        (P384, &["-sha384"], true),
        (&["-newkey", "ed25519"], &[], false),
    ] {
        authority.self_signed("server", "127.0.0.1", &[options, digest].concat()).await;
        pair.proxy.signal("HUP").unwrap();
        let root = authority.path("server.pem");
        let client = |binding: &str, login: &str| {
            let parameters = format!("sslmode=verify-full&sslrootcert={root}&channel_binding={binding}");
            url(pair.proxy.port(), login, &parameters)
        };
        eventually("the new certificate", async || {
            psql(&client("disable", "scram:s3cret"), "select 1").await.code == Some(0)
        })
        .await;
        psql(&client("prefer", "scram:s3cret"), "select 1").await.must_succeed();
        let answer = psql(&client("require", "scram:s3cret"), "select current_user").await;
        if bindable {
            assert_eq!(answer.must_succeed().trim(), "scram", "{options:?} {digest:?}");
            let answer = psql(&client("require", "scram:hunter2"), "select 1").await;
            assert!(answer.stderr.contains("password authentication failed for user \"scram\""), "{answer:?}");
        } else {
            assert!(
                answer.stderr.contains("server did not offer an authentication method that supports"),
                "{answer:?}"
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn where_one_side_is_in_clear_no_binding_is_offered_and_libpq_says_so() {
    let authority = Authority::new();
    authority.issue("server", "127.0.0.1");
    for (primary, client, complaint) in [
        ("disable", "require", "server did not offer an authentication method that supports channel binding"),
        ("require", "disable", "channel binding required, but SSL not in use"),
    ] {
        let recipe = Pair::recipe().hba(&HBA).listen(&authority.listen("server"));
        let recipe = recipe.schema(&speak_tls(&authority, "server")).schema(USER);
        let pair = recipe.parameters(&format!("sslmode={primary}"), "sslmode=disable").start().await;
        let client = |binding: &str| {
            url(pair.proxy.port(), "scram:s3cret", &format!("sslmode={client}&channel_binding={binding}"))
        };
        let answer = psql(&client("require"), "select 1").await;
        assert!(answer.code == Some(2) && answer.stderr.contains(complaint), "{answer:?}");
        psql(&client("prefer"), "select 1").await.must_succeed();
    }
}

/// Reads everything between two who do not look at certificates.
struct Interceptor {
    port: u16,
}

impl Interceptor {
    /// In front of the server on port `server`, with a certificate of its own.
    async fn before(server: u16, authority: &Authority) -> Self {
        authority.issue("interceptor", "127.0.0.1");
        let chain = vec![CertificateDer::from_pem_file(authority.path("interceptor.pem")).unwrap()];
        let key = PrivateKeyDer::from_pem_file(authority.path("interceptor.key")).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
        let acceptor = TlsAcceptor::from(Arc::new(config.with_no_client_auth().with_single_cert(chain, key).unwrap()));
        let connector = TlsConnector::from(Arc::new(authority.client()));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        tokio::spawn(async move {
            while let Ok((near, _)) = listener.accept().await {
                tokio::spawn(intercept(near, server, acceptor.clone(), connector.clone()));
            }
        });
        Self { port }
    }
}

async fn intercept(
    mut near: TcpStream,
    server: u16,
    acceptor: TlsAcceptor,
    connector: TlsConnector,
) -> std::io::Result<()> {
    let mut request = [0; 8];
    near.read_exact(&mut request).await?;
    let mut far = TcpStream::connect(("127.0.0.1", server)).await?;
    far.write_all(&request).await?;
    near.write_u8(far.read_u8().await?).await?;
    let mut near = acceptor.accept(near).await?;
    let mut far = connector.connect(ServerName::try_from("127.0.0.1").unwrap(), far).await?;
    copy_bidirectional(&mut near, &mut far).await.map(|_| ())
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_stands_between_two_of_the_three_gets_no_login() {
    let authority = Authority::new();
    authority.issue("server", "127.0.0.1");
    let recipe = Pair::recipe().hba(&HBA).listen(&authority.listen("server")).lines();
    let recipe = recipe.schema(&speak_tls(&authority, "server")).schema(USER);
    let pair = recipe.parameters("sslmode=require", "sslmode=disable").start().await;
    let client = |port: u16, login: &str| url(port, login, "sslmode=require");
    psql(&client(pair.proxy.port(), "scram:s3cret"), "select 1").await.must_succeed();

    let before_us = Interceptor::before(pair.proxy.port(), &authority).await;
    psql(&client(before_us.port, "postgres"), "select 1").await.must_succeed();
    let answer = psql(&client(before_us.port, "scram:s3cret"), "select 1").await;
    assert!(answer.stderr.contains("FATAL:  SCRAM channel binding check failed"), "{answer:?}");

    let before_primary = Interceptor::before(pair.primary.port(), &authority).await;
    pair.primary_line().lead_to(before_primary.port);
    psql(&client(pair.proxy.port(), "postgres"), "select 1").await.must_succeed();
    let answer = psql(&client(pair.proxy.port(), "scram:s3cret"), "select 1").await;
    assert!(answer.stderr.contains("FATAL:  SCRAM channel binding check failed"), "{answer:?}");
}
