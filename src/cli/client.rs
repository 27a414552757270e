//! The commands' way to the admin address: which one, with which token, and what an answer means to who typed.

use std::fmt::Write as _;
use std::io;

use serde::de::DeserializeOwned;
use serde_json::Value;

use super::args::{Target, config_file};
use super::exit::{Exit, Failure};
use crate::admin::{Ask, ExchangeError, exchange};
use crate::config::{Sources, read_secret};

/// Speaks to one proxy.
pub(super) struct Client {
    address: String,
    token: Option<String>,
}

/// What the proxy said, with a status of success.
pub(super) struct Answer(String);

impl Client {
    /// To the proxy of this target. The configuration is read only where the flags leave something open, and its token
    /// goes to its own address alone.
    pub(super) fn new(target: &Target) -> Result<Self, Failure> {
        let usage = |message: String| Failure::new(Exit::Usage, message);
        let (address, token_file) = if let Some(address) = target.admin.clone() {
            (address, None)
        } else {
            let sources = Sources::new(config_file(target.config.clone()));
            let admin = sources.admin().map_err(|problems| usage(problems.to_string()))?;
            (admin.address, admin.token_file)
        };
        let token_file = target.token_file.clone().or(token_file);
        let token = token_file.map(|file| read_secret(&file)).transpose();
        let token = token.map_err(|complaint| usage(format!("the token: {complaint}")))?;
        Ok(Self { address: reachable(&address), token })
    }

    pub(super) async fn get(&self, path: &str) -> Result<Answer, Failure> {
        self.ask("GET", path, None).await
    }

    pub(super) async fn post(&self, path: &str, body: Option<Value>) -> Result<Answer, Failure> {
        self.ask("POST", path, body).await
    }

    async fn ask(&self, method: &str, path: &str, body: Option<Value>) -> Result<Answer, Failure> {
        let body = body.map(|body| body.to_string()).unwrap_or_default();
        let ask = Ask { method, path, body: &body, token: self.token.as_deref() };
        match exchange(&self.address, ask).await {
            Ok((200..300, body)) => Ok(Answer(body)),
            Ok((status, body)) => Err(refusal(status, &body)),
            Err(ExchangeError::Io(error)) => Err(self.unreachable(&error)),
            Err(ExchangeError::NotHttp) => {
                Err(Failure::new(Exit::Unreachable, format!("what answers at {} is not crossfade", self.address)))
            }
        }
    }

    fn unreachable(&self, error: &io::Error) -> Failure {
        let message = format!(
            "no crossfade can be reached at {}: {error}\nIs it running? Name its admin address by --admin, or its configuration by --config.",
            self.address
        );
        Failure::new(Exit::Unreachable, message)
    }
}

impl Answer {
    /// As it came, for machines.
    pub(super) fn text(&self) -> &str {
        &self.0
    }

    /// As data.
    pub(super) fn parse<T: DeserializeOwned>(&self) -> Result<T, Failure> {
        serde_json::from_str(&self.0)
            .map_err(|error| Failure::new(Exit::Unreachable, format!("the answer is not one of crossfade: {error}")))
    }
}

/// A proxy that listens everywhere is reached here.
fn reachable(address: &str) -> String {
    let port = |prefix| address.strip_prefix(prefix);
    if let Some(port) = port("0.0.0.0:") {
        return format!("127.0.0.1:{port}");
    }
    port("[::]:").map_or_else(|| address.to_owned(), |port| format!("[::1]:{port}"))
}

/// The proxy said no: its own words.
fn refusal(status: u16, body: &str) -> Failure {
    let json: Value = serde_json::from_str(body).unwrap_or_default();
    let detail = json.get("detail").and_then(Value::as_str).unwrap_or(body).to_owned();
    match status {
        401 => Failure::new(Exit::Usage, "the proxy asks for its token: name the file that holds it by --token-file"),
        400 | 404 | 422 => Failure::new(Exit::Usage, detail),
        _ => Failure::new(Exit::Bad, detail),
    }
}

/// For a query string.
pub(super) fn percent_encoded(text: &str) -> String {
    let mut encoded = String::new();
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => encoded.push(char::from(byte)),
            _ => {
                let _ = write!(encoded, "%{byte:02X}");
            }
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_go_into_a_query_string() {
        assert_eq!(percent_encoded("public.Bestellungen ä&"), "public.Bestellungen%20%C3%A4%26");
    }

    #[test]
    fn a_proxy_that_listens_everywhere_is_reached_here() {
        assert_eq!(reachable("0.0.0.0:9632"), "127.0.0.1:9632");
        assert_eq!(reachable("[::]:9632"), "[::1]:9632");
        assert_eq!(reachable("10.1.2.3:9632"), "10.1.2.3:9632");
    }

    #[test]
    fn refusals_keep_the_words_of_the_proxy() {
        let body = "{\"error\":\"not found\",\"detail\":\"there is no job 7\"}";
        let Failure { exit, message } = refusal(404, body);
        assert_eq!((exit, message.as_str()), (Exit::Usage, "there is no job 7"));
        assert_eq!(refusal(409, body).exit, Exit::Bad);
        assert_eq!(refusal(401, "").exit, Exit::Usage);
    }
}
