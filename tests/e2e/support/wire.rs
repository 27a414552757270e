//! A client that speaks bytes: messages as they are sent and as they come, and the primary asked the same directly.

use std::fmt;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::Pair;

/// Nothing that a test waits for takes longer.
const PATIENCE: Duration = Duration::from_mins(1);

/// Eight bytes that ask for encryption by TLS and by GSSAPI.
pub(crate) const SSL_REQUEST: &[u8] = &[0, 0, 0, 8, 4, 210, 22, 47];
pub(crate) const GSS_REQUEST: &[u8] = &[0, 0, 0, 8, 4, 210, 22, 48];
/// Protocol 3.0.
pub(crate) const VERSION: u32 = 3 << 16;

/// A message from the server.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Message {
    pub(crate) tag: u8,
    pub(crate) body: Vec<u8>,
}

impl Message {
    /// A field of an ErrorResponse or NoticeResponse.
    pub(crate) fn field(&self, code: u8) -> Option<String> {
        let mut fields = self.body.split(|&byte| byte == 0).filter(|field| !field.is_empty());
        let field = fields.find(|field| field[0] == code)?;
        Some(String::from_utf8_lossy(&field[1..]).into_owned())
    }

    /// The body up to its first zero, as text: a tag, or the name of a parameter.
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(self.body.split(|&byte| byte == 0).next().unwrap_or_default()).into_owned()
    }
}

impl fmt::Debug for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = &self.body[..self.body.len().min(200)];
        write!(f, "{} {}", self.tag as char, shown.escape_ascii())
    }
}

/// What came until the session was ready, or until the other side closed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Said {
    pub(crate) messages: Vec<Message>,
    pub(crate) closed: bool,
}

impl Said {
    pub(crate) fn tags(&self) -> String {
        self.messages.iter().map(|message| message.tag as char).collect()
    }

    /// SQLSTATEs of the errors.
    pub(crate) fn errors(&self) -> Vec<String> {
        self.messages.iter().filter(|message| message.tag == b'E').filter_map(|message| message.field(b'C')).collect()
    }

    /// Fields of the rows, one after another.
    pub(crate) fn values(&self) -> Vec<String> {
        let mut values = Vec::new();
        for row in self.messages.iter().filter(|message| message.tag == b'D') {
            let mut rest = &row.body[2..];
            while let Some((length, tail)) = rest.split_first_chunk::<4>() {
                let (field, tail) = tail.split_at(usize::try_from(i32::from_be_bytes(*length)).unwrap_or(0));
                values.push(String::from_utf8_lossy(field).into_owned());
                rest = tail;
            }
        }
        values
    }
}

/// One connection.
pub(crate) struct Wire {
    stream: TcpStream,
}

impl Wire {
    /// Nothing said yet.
    pub(crate) async fn dial(port: u16) -> Self {
        let stream = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
        stream.set_nodelay(true).unwrap();
        Self { stream }
    }

    /// Logged in as `postgres`; and what was said meanwhile.
    pub(crate) async fn open(port: u16) -> (Self, Said) {
        let mut wire = Self::dial(port).await;
        wire.send(&startup(VERSION, &[])).await;
        let welcome = wire.until_ready().await;
        assert!(!welcome.closed && welcome.errors().is_empty(), "{welcome:?}");
        (wire, welcome)
    }

    /// A session and nothing else.
    pub(crate) async fn session(port: u16) -> Self {
        Self::open(port).await.0
    }

    pub(crate) async fn send(&mut self, bytes: &[u8]) {
        timeout(PATIENCE, self.stream.write_all(bytes)).await.expect("nobody reads").expect("writing");
    }

    /// An error: the other side has closed.
    pub(crate) async fn try_send(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        timeout(PATIENCE, self.stream.write_all(bytes)).await.expect("nobody reads")
    }

    /// Sends as much as is taken while nothing is read; gives how much that is.
    pub(crate) async fn send_without_reading(&mut self, bytes: &[u8]) -> usize {
        let mut taken = 0;
        while taken < bytes.len() {
            match timeout(Duration::from_secs(1), self.stream.write(&bytes[taken..])).await {
                Ok(size) => taken += size.expect("writing"),
                Err(_) => break,
            }
        }
        taken
    }

    /// Sends, and reads as many answers at the same time.
    pub(crate) async fn send_while_reading(&mut self, bytes: &[u8], answers: usize) -> Said {
        let (mut reading, mut writing) = self.stream.split();
        let read = async {
            let mut messages = Vec::new();
            let mut ready = 0;
            while ready < answers {
                let message = read_message(&mut reading).await.expect("an answer");
                ready += usize::from(message.tag == b'Z');
                messages.push(message);
            }
            Said { messages, closed: false }
        };
        let both = async { tokio::join!(writing.write_all(bytes), read) };
        let (sent, said) = timeout(PATIENCE, both).await.expect("no progress");
        sent.expect("writing");
        said
    }

    /// Each byte in a packet of its own, as near as a socket can be told.
    pub(crate) async fn send_byte_by_byte(&mut self, bytes: &[u8]) {
        for byte in bytes.chunks(1) {
            self.send(byte).await;
            tokio::task::yield_now().await;
        }
    }

    /// Nothing more will be sent; answers are still read.
    pub(crate) async fn half_close(&mut self) {
        self.stream.shutdown().await.unwrap();
    }

    /// Gone with a RST, and whatever was not read is lost.
    pub(crate) fn reset(self) {
        socket2::SockRef::from(&self.stream).set_linger(Some(Duration::ZERO)).unwrap();
    }

    /// One byte, as answers to requests for encryption are.
    pub(crate) async fn byte(&mut self) -> u8 {
        timeout(PATIENCE, self.stream.read_u8()).await.expect("no answer").expect("a byte")
    }

    /// The next message; `None`: closed.
    pub(crate) async fn message(&mut self) -> Option<Message> {
        timeout(PATIENCE, read_message(&mut self.stream)).await.expect("no answer")
    }

    /// All up to this tag, or to the end.
    pub(crate) async fn until(&mut self, tag: u8) -> Said {
        let mut messages = Vec::new();
        while let Some(message) = self.message().await {
            let is_last = message.tag == tag;
            messages.push(message);
            if is_last {
                return Said { messages, closed: false };
            }
        }
        Said { messages, closed: true }
    }

    pub(crate) async fn until_ready(&mut self) -> Said {
        self.until(b'Z').await
    }

    /// Until the other side closes.
    pub(crate) async fn until_closed(&mut self) -> Said {
        self.until(0).await
    }

    /// Whatever comes until the other side closes.
    pub(crate) async fn bytes_until_closed(&mut self) -> Vec<u8> {
        let mut bytes = Vec::new();
        // Reset or closed: the end.
        let _ = timeout(PATIENCE, self.stream.read_to_end(&mut bytes)).await.expect("no end");
        bytes
    }

    /// A simple query and its answer.
    pub(crate) async fn ask(&mut self, sql: &str) -> Said {
        self.send(&query(sql)).await;
        self.until_ready().await
    }
}

async fn read_message(stream: &mut (impl AsyncRead + Unpin)) -> Option<Message> {
    let tag = stream.read_u8().await.ok()?;
    let length = stream.read_u32().await.ok()? as usize;
    let mut body = vec![0; length - 4];
    stream.read_exact(&mut body).await.ok()?;
    Some(Message { tag, body })
}

/// What both sides say to `bytes` sent in one piece on a session of its own, followed by Terminate: the primary directly,
/// then the proxy. `before` runs through the proxy in front of each.
pub(crate) async fn said_by_both(pair: &Pair, before: &str, bytes: &[u8]) -> [Said; 2] {
    let mut said = Vec::new();
    for port in [pair.primary.port(), pair.proxy.port()] {
        super::psql(&pair.url(), before).await.must_succeed();
        let mut session = Wire::session(port).await;
        session.send(&[bytes, &terminate()].concat()).await;
        said.push(session.until_closed().await);
    }
    said.try_into().unwrap()
}

/// Both sides must say the same, which is given back.
#[track_caller]
pub(crate) fn same<'a>(pair: &'a Pair, before: &'a str, bytes: &'a [u8]) -> impl Future<Output = Said> + 'a {
    let caller = std::panic::Location::caller();
    async move {
        let [direct, through] = said_by_both(pair, before, bytes).await;
        assert_eq!(direct, through, "{caller}: {}", bytes[..bytes.len().min(200)].escape_ascii());
        through
    }
}

pub(crate) fn message(tag: u8, body: &[u8]) -> Vec<u8> {
    let length = (body.len() as u32 + 4).to_be_bytes();
    [&[tag], &length[..], body].concat()
}

/// A StartupMessage for user and database `postgres`, with more parameters.
pub(crate) fn startup(version: u32, more: &[(&str, &str)]) -> Vec<u8> {
    let mut body = version.to_be_bytes().to_vec();
    for (name, value) in [("user", "postgres"), ("database", "postgres")].iter().chain(more) {
        body.extend_from_slice(&[name.as_bytes(), b"\0", value.as_bytes(), b"\0"].concat());
    }
    body.push(0);
    [&(body.len() as u32 + 4).to_be_bytes()[..], &body].concat()
}

/// A CancelRequest for the body of a BackendKeyData.
pub(crate) fn cancel_request(key: &[u8]) -> Vec<u8> {
    [&(key.len() as u32 + 8).to_be_bytes()[..], &[4, 210, 22, 46], key].concat()
}

pub(crate) fn query(sql: &str) -> Vec<u8> {
    message(b'Q', &[sql.as_bytes(), b"\0"].concat())
}

pub(crate) fn parse(name: &str, sql: &str) -> Vec<u8> {
    message(b'P', &[name.as_bytes(), b"\0", sql.as_bytes(), b"\0\0\0"].concat())
}

/// Of the unnamed portal, all as text.
pub(crate) fn bind(statement: &str, parameters: &[&str]) -> Vec<u8> {
    let mut body = [b"\0", statement.as_bytes(), b"\0\0\0"].concat();
    body.extend_from_slice(&u16::try_from(parameters.len()).unwrap().to_be_bytes());
    for parameter in parameters {
        body.extend_from_slice(&(parameter.len() as u32).to_be_bytes());
        body.extend_from_slice(parameter.as_bytes());
    }
    body.extend_from_slice(&[0, 0]);
    message(b'B', &body)
}

/// Of the unnamed portal; limit 0 is none.
pub(crate) fn execute(limit: u32) -> Vec<u8> {
    message(b'E', &[&b"\0"[..], &limit.to_be_bytes()].concat())
}

pub(crate) fn describe_portal() -> Vec<u8> {
    message(b'D', b"P\0")
}

pub(crate) fn sync() -> Vec<u8> {
    message(b'S', b"")
}

pub(crate) fn flush() -> Vec<u8> {
    message(b'H', b"")
}

pub(crate) fn copy_data(data: &str) -> Vec<u8> {
    message(b'd', data.as_bytes())
}

pub(crate) fn copy_done() -> Vec<u8> {
    message(b'c', b"")
}

pub(crate) fn terminate() -> Vec<u8> {
    message(b'X', b"")
}
