//! The other side of the admin address: one request and its answer, a connection each. HTTP/1.0, so that the end of the
//! answer is the end of the connection and never chunked.

use std::fmt::Write as _;
use std::io;
use std::time::Duration;

use thiserror::Error;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

const CONNECT: Duration = Duration::from_secs(5);
/// A report with values reads rows of both databases.
const ANSWER: Duration = Duration::from_mins(1);
/// More than any report needs.
const MAX_ANSWER: u64 = 256 << 20;

/// What is asked.
#[derive(Debug, Clone, Copy)]
pub struct Ask<'a> {
    /// `GET`, `POST` or `DELETE`.
    pub method: &'a str,
    /// With its query string.
    pub path: &'a str,
    /// JSON, or nothing.
    pub body: &'a str,
    /// `admin.token_file`'s content, where one is set.
    pub token: Option<&'a str>,
}

/// Why there is no answer.
#[derive(Debug, Error)]
pub enum ExchangeError {
    /// Nobody there, or not in time.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// Something else listens.
    #[error("it is not HTTP")]
    NotHttp,
}

/// Asks the admin address `host:port`; gives status and body.
pub async fn exchange(address: &str, ask: Ask<'_>) -> Result<(u16, String), ExchangeError> {
    let mut request = format!("{} {} HTTP/1.0\r\nHost: {address}\r\n", ask.method, ask.path);
    if let Some(token) = ask.token {
        let _ = write!(request, "Authorization: Bearer {token}\r\n");
    }
    let _ = write!(request, "Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{}", ask.body.len(), ask.body);
    let late = |_| io::Error::from(io::ErrorKind::TimedOut);
    let mut stream = timeout(CONNECT, TcpStream::connect(address)).await.map_err(late)??;
    let mut answer = Vec::new();
    let exchange = async {
        stream.write_all(request.as_bytes()).await?;
        stream.take(MAX_ANSWER).read_to_end(&mut answer).await
    };
    timeout(ANSWER, exchange).await.map_err(late)??;
    split(&String::from_utf8_lossy(&answer)).ok_or(ExchangeError::NotHttp)
}

/// Status and body of an HTTP answer.
fn split(answer: &str) -> Option<(u16, String)> {
    let (head, body) = answer.split_once("\r\n\r\n")?;
    let status = head.strip_prefix("HTTP/1.")?.split(' ').nth(1)?.parse().ok()?;
    Some((status, body.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_split_into_status_and_body() {
        assert_eq!(split("HTTP/1.0 202 Accepted\r\ncontent-length: 2\r\n\r\n{}"), Some((202, "{}".into())));
        assert_eq!(split("HTTP/1.1 503 Service Unavailable\r\n\r\n"), Some((503, String::new())));
        for wrong in ["", "SSH-2.0-OpenSSH\r\n\r\n", "HTTP/1.0\r\n\r\n", "HTTP/1.0 x\r\n\r\n"] {
            assert_eq!(split(wrong), None, "{wrong:?}");
        }
    }
}
