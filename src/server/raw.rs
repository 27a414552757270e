//! A logged-in connection whose messages are ours to read and write as bytes: for reads served by the shadow.

use std::io;
use std::time::Duration;

use bytes::BytesMut;
use postgres_protocol::message::frontend;
use thiserror::Error;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::login::{Login, Step, take_message};
use super::open::{OpenError, open};
use super::stream::{Silence, Stream};
use crate::config::PgUrl;

/// A connection behind its first ReadyForQuery.
#[derive(Debug)]
pub struct RawConnection {
    /// The socket.
    pub stream: Stream,
    /// Bytes read and not yet taken.
    pub buffer: BytesMut,
    /// The whole body of BackendKeyData: what a CancelRequest must repeat. Empty if the server gave none.
    pub cancel_key: Vec<u8>,
}

/// Why there is none. Never holds a password.
#[derive(Debug, Error)]
pub enum RawError {
    /// The network.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// Not logged in in time.
    #[error("no answer within {0:?}")]
    Timeout(Duration),
    /// The server said no.
    #[error("{message} (SQLSTATE {sqlstate})")]
    Refused {
        /// Five characters.
        sqlstate: String,
        /// Its primary message.
        message: String,
    },
    /// The server wants a password, and the URL has none.
    #[error("the server asks for a password, and the URL gives none")]
    NoPassword,
    /// There is no socket.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// Something that is no PostgreSQL server, or wants what we do not speak.
    #[error("unexpected answer at login: {0}")]
    Protocol(&'static str),
}

/// Connects and logs in (trust, cleartext, md5, SCRAM-SHA-256) with these settings, all within `timeout`.
pub async fn connect_raw(url: &PgUrl, settings: &[(&str, &str)], timeout: Duration) -> Result<RawConnection, RawError> {
    let log_in = async { log_in(open(url, Silence::Impatient).await?, url, settings).await };
    tokio::time::timeout(timeout, log_in).await.map_err(|_| RawError::Timeout(timeout))?
}

async fn log_in(mut stream: Stream, url: &PgUrl, settings: &[(&str, &str)]) -> Result<RawConnection, RawError> {
    let mut buffer = BytesMut::new();
    let parameters = [("user", url.user.as_str()), ("database", url.database.as_str())];
    frontend::startup_message(parameters.into_iter().chain(settings.iter().copied()), &mut buffer)?;
    stream.write_all(&buffer).await?;
    stream.flush().await?;
    buffer.clear();
    let mut login = Login::new(&url.user, url.password.as_deref());
    loop {
        while let Some((tag, body)) = take_message(&mut buffer)? {
            match login.on_message(tag, body)? {
                Step::Wait => {}
                Step::Send(reply) => {
                    stream.write_all(&reply).await?;
                    stream.flush().await?;
                }
                Step::Ready => return Ok(RawConnection { stream, buffer, cancel_key: login.cancel_key }),
            }
        }
        if stream.read_buf(&mut buffer).await? == 0 {
            return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::demo::{Cluster, Options, Role};
    use crate::server::{Purpose, connect};

    const TIMEOUT: Duration = Duration::from_secs(20);

    async fn cluster(hba: &[&str], sql: &str) -> Cluster {
        let hba = hba.iter().map(|line| (*line).to_owned()).collect();
        let cluster = Cluster::start(&Options { hba, ..Options::for_test(Role::Primary) }).unwrap();
        let client = connect(&cluster.url("postgres").parse().unwrap(), Purpose::Catalog).await.unwrap();
        client.batch_execute(sql).await.unwrap();
        cluster
    }

    async fn try_connect(url: &str) -> Result<RawConnection, RawError> {
        connect_raw(&url.parse().unwrap(), &[("application_name", "raw test")], TIMEOUT).await
    }

    /// Asks for the application name and gives all bytes of the answer.
    async fn ask(connection: &mut RawConnection) -> Vec<u8> {
        let mut query = BytesMut::new();
        frontend::query("SELECT pg_catalog.current_setting('application_name')", &mut query).unwrap();
        connection.stream.write_all(&query).await.unwrap();
        while !connection.buffer.ends_with(b"Z\0\0\0\x05I") {
            assert_ne!(connection.stream.read_buf(&mut connection.buffer).await.unwrap(), 0);
        }
        connection.buffer.split().to_vec()
    }

    #[tokio::test]
    async fn every_way_to_log_in_works_with_the_right_password_only() {
        let hba = [
            "host all clear 127.0.0.1/32 password",
            "host all hashed 127.0.0.1/32 md5",
            "host all scram 127.0.0.1/32 scram-sha-256",
        ];
        let sql = "SET password_encryption = 'md5'; CREATE ROLE hashed LOGIN PASSWORD 's3cret';
                   SET password_encryption = 'scram-sha-256';
                   CREATE ROLE clear LOGIN PASSWORD 's3cret'; CREATE ROLE scram LOGIN PASSWORD 's3cret'";
        let cluster = cluster(&hba, sql).await;
        for user in ["clear", "hashed", "scram"] {
            let url = |login: &str| format!("postgres://{login}@127.0.0.1:{}/postgres", cluster.port());
            let mut connection = try_connect(&url(&format!("{user}:s3cret"))).await.unwrap();
            assert_eq!(connection.cancel_key.len(), 8);
            assert!(connection.buffer.is_empty());
            let answer = ask(&mut connection).await;
            assert!(answer.windows(8).any(|window| window == b"raw test"), "{user}");
            match try_connect(&url(&format!("{user}:hunter2"))).await {
                Err(RawError::Refused { sqlstate, message }) => {
                    assert_eq!(sqlstate, "28P01", "{user}");
                    assert!(!message.contains("hunter2"));
                }
                other => panic!("{user}: {other:?}"),
            }
            assert!(matches!(try_connect(&url(user)).await, Err(RawError::NoPassword)), "{user}");
        }
    }

    #[tokio::test]
    async fn a_unix_socket_is_as_good() {
        let cluster = cluster(&[], "").await;
        let folder = cluster.folder().display().to_string().replace('/', "%2F");
        let url = format!("postgres://postgres@{folder}:{}/postgres", cluster.port());
        let mut connection = try_connect(&url).await.unwrap();
        assert!(!ask(&mut connection).await.is_empty());
    }

    #[tokio::test]
    async fn an_unknown_database_is_the_servers_refusal() {
        let cluster = cluster(&[], "").await;
        let answer = try_connect(&cluster.url("nowhere")).await;
        assert!(matches!(answer, Err(RawError::Refused { sqlstate, .. }) if sqlstate == "3D000"));
    }

    #[tokio::test]
    async fn what_is_no_server_is_an_error() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("postgres://ana@{}/db", listener.local_addr().unwrap());
        let answers: [&[u8]; 4] = [b"HTTP/1.1 400 Bad Request\r\n\r\n", b"Z\0\0\0\x05I", b"R\0\0\0\x04", b""];
        let server = tokio::spawn(async move {
            for answer in answers {
                let (mut socket, _) = listener.accept().await.unwrap();
                let mut startup = BytesMut::new();
                socket.read_buf(&mut startup).await.unwrap();
                socket.write_all(answer).await.unwrap();
            }
        });
        for _ in answers {
            let error = try_connect(&url).await.unwrap_err();
            assert!(matches!(error, RawError::Protocol(_) | RawError::Io(_)), "{error}");
        }
        server.await.unwrap();
    }

    #[tokio::test]
    async fn a_server_that_says_nothing_is_given_up() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("postgres://ana@{}/db", listener.local_addr().unwrap()).parse().unwrap();
        let answer = connect_raw(&url, &[], Duration::from_millis(50)).await;
        assert!(matches!(answer, Err(RawError::Timeout(_))));
    }
}
