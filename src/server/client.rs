//! SQL connections through tokio-postgres, with every setting that shapes text pinned.

use std::ops::{Deref, DerefMut};
use std::time::Duration;

use thiserror::Error;
use tokio::sync::watch;
use tokio::task::AbortHandle;
use tokio_postgres::NoTls;

use super::open::{OpenError, open};
use super::stream::{Silence, Stream};
use crate::config::PgUrl;

/// What a connection is for: its `application_name` says so (`crossfade-check` …).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// Reading catalogs and health.
    Catalog,
    /// Applying the ledger.
    Apply,
    /// Comparing.
    Check,
    /// Reading rows back.
    Copy,
    /// Serving reads.
    Reads,
}

impl Purpose {
    /// As servers are told it.
    pub fn application_name(self) -> &'static str {
        match self {
            Self::Catalog => "crossfade-catalog",
            Self::Apply => "crossfade-apply",
            Self::Check => "crossfade-check",
            Self::Copy => "crossfade-copy",
            Self::Reads => "crossfade-reads",
        }
    }
}

/// Why there is no connection. Never holds a password.
#[derive(Debug, Error)]
pub enum ConnectError {
    /// The server could not be reached, or refused.
    #[error("connecting to {url}: {}", reason(source))]
    Postgres {
        /// Where, without password.
        url: String,
        /// What it said.
        source: tokio_postgres::Error,
    },
    /// Not logged in in time.
    #[error("connecting to {url}: no answer within {TIMEOUT:?}")]
    Timeout {
        /// Where, without password.
        url: String,
    },
    /// There is no socket.
    #[error("connecting to {url}: {source}")]
    Open {
        /// Where, without password.
        url: String,
        /// Why.
        source: OpenError,
    },
}

/// tokio-postgres says what kind of error it is; why is told by the cause. Without the server's detail, which may show
/// values.
fn reason(error: &tokio_postgres::Error) -> String {
    match (error.as_db_error(), std::error::Error::source(error)) {
        (Some(refusal), _) => refusal.message().to_owned(),
        (None, Some(cause)) => cause.to_string(),
        (None, None) => error.to_string(),
    }
}

/// For the whole login.
const TIMEOUT: Duration = Duration::from_secs(5);

/// A logged-in connection. Dropped: its socket is closed, whatever was under way.
#[derive(Debug)]
pub struct Client {
    client: tokio_postgres::Client,
    driver: AbortHandle,
    /// Its sender ends with the driver.
    alive: watch::Receiver<()>,
}

impl Client {
    /// Returns when the connection is lost, asked something or not.
    pub async fn closed(&self) {
        while self.alive.clone().changed().await.is_ok() {}
    }
}

impl Deref for Client {
    type Target = tokio_postgres::Client;

    fn deref(&self) -> &Self::Target {
        &self.client
    }
}

impl DerefMut for Client {
    fn deref_mut(&mut self) -> &mut Self::Target {
        &mut self.client
    }
}

impl Drop for Client {
    /// Left to itself the driver would wait for the answers that are still due: forever, from a server that hangs.
    fn drop(&mut self) {
        self.driver.abort();
    }
}

/// All that decides how values print and parse, how names resolve, and how long things may take.
const SETTINGS: &str = "
    SET TimeZone = 'UTC';
    SET DateStyle = 'ISO, MDY';
    SET IntervalStyle = 'postgres';
    SET extra_float_digits = 3;
    SET bytea_output = 'hex';
    SET standard_conforming_strings = on;
    SET array_nulls = on;
    SET quote_all_identifiers = off;
    SET xmloption = 'content';
    SET lc_monetary = 'C';
    SET search_path = pg_catalog;
    SET row_security = off;
    SET jit = off;
    SET default_transaction_isolation = 'read committed';
    SET default_transaction_read_only = off;
    SET statement_timeout = 0;
    SET lock_timeout = 0;
    SET idle_in_transaction_session_timeout = 0;
    SELECT pg_catalog.set_config(name, '0', false)
      FROM (VALUES ('idle_session_timeout'), ('transaction_timeout')) AS newer (name)
      WHERE pg_catalog.current_setting(name, true) IS NOT NULL;
";

/// Connects and pins: `TimeZone` UTC, `DateStyle` ISO, `IntervalStyle` postgres, `extra_float_digits` 3, `bytea_output`
/// hex, `standard_conforming_strings` on, `client_encoding` UTF8, `search_path` `pg_catalog`, `row_security` off,
/// `xmloption` content, `lc_monetary` C, READ COMMITTED, no timeouts; no JIT, which costs our short statements more than it saves.
pub async fn connect(url: &PgUrl, purpose: Purpose) -> Result<Client, ConnectError> {
    let opened = async {
        let socket = open(url, Silence::Impatient).await;
        let socket = socket.map_err(|source| ConnectError::Open { url: url.to_string(), source })?;
        let logged_in = log_in(socket, url, purpose).await;
        logged_in.map_err(|source| ConnectError::Postgres { url: url.to_string(), source })
    };
    tokio::time::timeout(TIMEOUT, opened).await.unwrap_or_else(|_| Err(ConnectError::Timeout { url: url.to_string() }))
}

async fn log_in(socket: Stream, url: &PgUrl, purpose: Purpose) -> Result<Client, tokio_postgres::Error> {
    let mut config = tokio_postgres::Config::new();
    // The socket is encrypted already, where it shall be.
    config
        .ssl_mode(tokio_postgres::config::SslMode::Disable)
        .user(&url.user)
        .dbname(&url.database)
        .application_name(purpose.application_name());
    if let Some(password) = &url.password {
        config.password(password);
    }
    let (client, connection) = config.connect_raw(socket, NoTls).await?;
    // How it ends is told to whoever waits for an answer.
    let (lives, alive) = watch::channel(());
    let driver = tokio::spawn(async move {
        drop(connection.await);
        drop(lives);
    })
    .abort_handle();
    let client = Client { client, driver, alive };
    client.batch_execute(SETTINGS).await?;
    // The server ends what a closed connection left running; not on every platform, and then it is refused.
    let _ = client.batch_execute("SET client_connection_check_interval = '5s'").await;
    Ok(client)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::demo::{Cluster, Options, Role};

    fn cluster(hba: &[&str]) -> Cluster {
        let hba = hba.iter().map(|line| (*line).to_owned()).collect();
        Cluster::start(&Options { hba, ..Options::for_test(Role::Primary) }).unwrap()
    }

    fn url(text: &str) -> PgUrl {
        text.parse().unwrap()
    }

    #[tokio::test]
    async fn settings_are_pinned_whatever_the_role_has() {
        let cluster = cluster(&[]);
        let mut client = connect(&url(&cluster.url("postgres")), Purpose::Check).await.unwrap();
        client
            .batch_execute(
                "ALTER ROLE postgres SET TimeZone = 'Asia/Tokyo'; ALTER ROLE postgres SET DateStyle = 'German';
                 ALTER ROLE postgres SET search_path = public; ALTER ROLE postgres SET statement_timeout = '9s';
                 ALTER ROLE postgres SET default_transaction_isolation = 'serializable';
                 ALTER ROLE postgres SET idle_session_timeout = '9s'",
            )
            .await
            .unwrap();
        client = connect(&url(&cluster.url("postgres")), Purpose::Check).await.unwrap();
        for (name, expected) in [
            ("TimeZone", "UTC"),
            ("DateStyle", "ISO, MDY"),
            ("search_path", "pg_catalog"),
            ("statement_timeout", "0"),
            ("idle_session_timeout", "0"),
            ("default_transaction_isolation", "read committed"),
            ("client_encoding", "UTF8"),
            ("application_name", "crossfade-check"),
        ] {
            let row = client.query_one("SELECT current_setting($1)", &[&name]).await.unwrap();
            assert_eq!(row.get::<_, String>(0), expected, "{name}");
        }
    }

    #[tokio::test]
    async fn a_connection_that_the_server_ends_is_told_at_once() {
        let cluster = cluster(&[]);
        let url = url(&cluster.url("postgres"));
        let (client, other) = tokio::join!(connect(&url, Purpose::Catalog), connect(&url, Purpose::Catalog));
        let (client, other) = (client.unwrap(), other.unwrap());
        assert!(tokio::time::timeout(Duration::from_millis(50), client.closed()).await.is_err());
        let pid: i32 = client.query_one("SELECT pg_backend_pid()", &[]).await.unwrap().get(0);
        other.query_one("SELECT pg_terminate_backend($1)", &[&pid]).await.unwrap();
        tokio::time::timeout(Duration::from_secs(5), client.closed()).await.expect("told");
    }

    #[tokio::test]
    async fn a_dropped_client_leaves_no_connection_even_while_a_query_runs() {
        let cluster = cluster(&[]);
        let url = url(&cluster.url("postgres"));
        let watcher = connect(&url, Purpose::Catalog).await.unwrap();
        let client = connect(&url, Purpose::Copy).await.unwrap();
        let abandoned = tokio::time::timeout(Duration::from_millis(50), client.batch_execute("SELECT pg_sleep(600)"));
        assert!(abandoned.await.is_err());
        drop(client);
        let gone = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'crossfade-copy'";
        for _ in 0..200 {
            if watcher.query_one(gone, &[]).await.unwrap().get::<_, i64>(0) == 0 {
                return;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        panic!("the server still runs the query of a client that is gone");
    }

    #[tokio::test]
    async fn refusals_say_where_and_why_without_the_password() {
        let cluster = cluster(&["host all ana 127.0.0.1/32 scram-sha-256"]);
        let admin = connect(&url(&cluster.url("postgres")), Purpose::Catalog).await.unwrap();
        admin.batch_execute("CREATE ROLE ana LOGIN PASSWORD 'right'").await.unwrap();
        let with = |password: &str, tail: &str| {
            url(&format!("postgres://ana:{password}@127.0.0.1:{}/postgres{tail}", cluster.port()))
        };
        assert!(connect(&with("right", "?sslmode=prefer"), Purpose::Catalog).await.is_ok());
        let error = connect(&with("hunter2", ""), Purpose::Catalog).await.unwrap_err().to_string();
        assert!(error.contains("password authentication failed") && error.contains("127.0.0.1"), "{error}");
        assert!(!error.contains("hunter2"), "{error}");
        let error = connect(&with("right", "?sslmode=require"), Purpose::Catalog).await.unwrap_err().to_string();
        assert!(error.contains("sslmode=require"), "{error}");
    }
}
