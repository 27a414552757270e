//! The proxy's admin address, seen from outside: JSON over HTTP, a connection a request.

use std::time::Duration;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use thiserror::Error;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};

use crate::report::{Report, Status};

/// A request that takes longer has no answer.
const PATIENCE: Duration = Duration::from_secs(10);
/// Between two looks at a running job.
const POLL: Duration = Duration::from_millis(100);

/// Why there is no answer, or a bad one.
#[derive(Debug, Error)]
pub enum AdminError {
    /// Nobody there.
    #[error("the proxy's admin address {address} does not answer: {source}")]
    Unreachable {
        /// Where.
        address: String,
        /// What happened.
        source: std::io::Error,
    },
    /// A status other than 2xx.
    #[error("{request} was answered {status}: {answer}")]
    Refused {
        /// Method and path.
        request: String,
        /// Of HTTP.
        status: u16,
        /// The body.
        answer: String,
    },
    /// Not HTTP, or not the JSON of the contract.
    #[error("the answer to {request} cannot be read: {what}")]
    Malformed {
        /// Method and path.
        request: String,
        /// What is wrong with it.
        what: String,
    },
    /// A job ended otherwise than done.
    #[error("the {kind} job ended as {state}: {error}")]
    Job {
        /// What it was to do.
        kind: String,
        /// `failed` or `cancelled`.
        state: String,
        /// Its own words.
        error: String,
    },
}

/// One proxy's admin address.
#[derive(Debug, Clone)]
pub struct Admin {
    address: String,
}

#[derive(Deserialize)]
struct Accepted {
    id: Value,
}

#[derive(Deserialize)]
struct Job {
    kind: String,
    state: String,
    error: Option<String>,
}

impl Admin {
    /// At `host:port`.
    pub fn new(address: String) -> Self {
        Self { address }
    }

    /// `host:port`.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// `GET /status`.
    pub async fn status(&self) -> Result<Status, AdminError> {
        self.get("/status").await
    }

    /// `GET /report`.
    pub async fn report(&self) -> Result<Report, AdminError> {
        self.get("/report").await
    }

    /// `POST /ramp`.
    pub async fn ramp(&self, percent: f64) -> Result<Status, AdminError> {
        self.post("/ramp", &json!({ "percent": percent })).await
    }

    /// `POST /check`, `/repair` or `/backfill` (`kind`) over all tables, until the job is done.
    pub async fn work(&self, kind: &str) -> Result<(), AdminError> {
        let Accepted { id } = self.post(&format!("/{kind}"), &json!({})).await?;
        let id = id.as_str().map_or_else(|| id.to_string(), str::to_owned);
        loop {
            let job: Job = self.get(&format!("/jobs/{id}")).await?;
            match job.state.as_str() {
                "running" => sleep(POLL).await,
                "done" => return Ok(()),
                _ => {
                    let Job { kind, state, error } = job;
                    return Err(AdminError::Job { kind, state, error: error.unwrap_or_default() });
                }
            }
        }
    }

    /// `GET path`.
    pub async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, AdminError> {
        self.json("GET", path, "").await
    }

    /// `POST path`.
    pub async fn post<T: DeserializeOwned>(&self, path: &str, body: &Value) -> Result<T, AdminError> {
        self.json("POST", path, &body.to_string()).await
    }

    /// The body as it came, for `/metrics`, `/healthz`, `/readyz`.
    pub async fn text(&self, path: &str) -> Result<String, AdminError> {
        self.request("GET", path, "").await
    }

    async fn json<T: DeserializeOwned>(&self, method: &str, path: &str, body: &str) -> Result<T, AdminError> {
        let answer = self.request(method, path, body).await?;
        serde_json::from_str(&answer)
            .map_err(|error| AdminError::Malformed { request: format!("{method} {path}"), what: error.to_string() })
    }

    async fn request(&self, method: &str, path: &str, body: &str) -> Result<String, AdminError> {
        let unreachable = |source| AdminError::Unreachable { address: self.address.clone(), source };
        // HTTP/1.0: the server closes behind the answer and never chunks it.
        let request = format!(
            "{method} {path} HTTP/1.0\r\nHost: {}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            self.address,
            body.len()
        );
        let exchange = async {
            let mut stream = TcpStream::connect(&self.address).await?;
            stream.write_all(request.as_bytes()).await?;
            let mut answer = Vec::new();
            stream.read_to_end(&mut answer).await?;
            Ok(answer)
        };
        let answer = timeout(PATIENCE, exchange)
            .await
            .unwrap_or_else(|_| Err(std::io::ErrorKind::TimedOut.into()))
            .map_err(unreachable)?;
        let request = format!("{method} {path}");
        match split(&String::from_utf8_lossy(&answer)) {
            Some((200..300, body)) => Ok(body.to_owned()),
            Some((status, body)) => Err(AdminError::Refused { request, status, answer: body.to_owned() }),
            None => Err(AdminError::Malformed { request, what: "it is not HTTP".to_owned() }),
        }
    }
}

/// Status and body of an HTTP answer.
fn split(answer: &str) -> Option<(u16, &str)> {
    let (head, body) = answer.split_once("\r\n\r\n")?;
    let status = head.strip_prefix("HTTP/1.")?.split(' ').nth(1)?.parse().ok()?;
    Some((status, body))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_split_into_status_and_body() {
        assert_eq!(split("HTTP/1.0 202 Accepted\r\ncontent-length: 2\r\n\r\n{}"), Some((202, "{}")));
        assert_eq!(split("HTTP/1.1 503 Service Unavailable\r\n\r\n"), Some((503, "")));
        assert_eq!(split("SSH-2.0-OpenSSH\r\n\r\n"), None);
        assert_eq!(split(""), None);
    }

    #[tokio::test]
    async fn nobody_listening_is_told_with_the_address() {
        let error = Admin::new("127.0.0.1:1".to_owned()).status().await.unwrap_err();
        assert!(error.to_string().contains("127.0.0.1:1"), "{error}");
    }
}
