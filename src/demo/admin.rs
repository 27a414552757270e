//! The proxy's admin address, seen from outside: JSON over HTTP, a connection a request.

use std::time::Duration;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use thiserror::Error;
use tokio::time::sleep;

use crate::admin::{Ask, ExchangeError, exchange};
use crate::report::{Report, Status};

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
        let answer = exchange(&self.address, Ask { method, path, body, token: None }).await;
        let request = format!("{method} {path}");
        match answer {
            Ok((200..300, body)) => Ok(body),
            Ok((status, answer)) => Err(AdminError::Refused { request, status, answer }),
            Err(ExchangeError::Io(source)) => Err(AdminError::Unreachable { address: self.address.clone(), source }),
            Err(error @ ExchangeError::NotHttp) => Err(AdminError::Malformed { request, what: error.to_string() }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn nobody_listening_is_told_with_the_address() {
        let error = Admin::new("127.0.0.1:1".to_owned()).status().await.unwrap_err();
        assert!(error.to_string().contains("127.0.0.1:1"), "{error}");
    }
}
