//! Real sockets, and TLS cut at every byte.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use rustls::pki_types::ServerName;
use rustls::{ClientConfig, RootCertStore};
use tokio::io::ReadBuf;
use tokio::net::TcpListener;
use tokio::time::{Sleep, sleep};
use tokio_rustls::TlsConnector;

use super::*;

const SSL: &[u8] = &[0, 0, 0, 8, 4, 210, 22, 47];
const STARTUP: &[u8] = b"\0\0\0\x12\0\x03\0\0user\0bob\0\0";
const CANCEL: &[u8] = &[0, 0, 0, 16, 4, 210, 22, 46, 0, 0, 0, 7, 1, 2, 3, 4];
/// Long enough for what came before to be read by itself, mostly.
const PAUSE: Duration = Duration::from_millis(1);

/// What clients are shown, and with what they believe it.
fn shown() -> (Shown, ClientConfig) {
    let made = rcgen::generate_simple_self_signed(vec!["localhost".into()]).unwrap();
    let provider = || Arc::new(rustls::crypto::ring::default_provider());
    let key = rustls::pki_types::PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
    let server = ServerConfig::builder_with_provider(provider()).with_safe_default_protocol_versions().unwrap();
    let mut tls = server.with_no_client_auth().with_single_cert(vec![made.cert.der().clone()], key).unwrap();
    tls.alpn_protocols = vec![b"postgresql".to_vec()];
    let mut roots = RootCertStore::empty();
    roots.add(made.cert.der().clone()).unwrap();
    let client = ClientConfig::builder_with_provider(provider()).with_safe_default_protocol_versions().unwrap();
    let mut client = client.with_root_certificates(roots).with_no_client_auth();
    client.alpn_protocols = vec![b"postgresql".to_vec()];
    (Shown { tls: Arc::new(tls), end_point: Some([7; 32].into()) }, client)
}

/// Both ends of a connection.
async fn connection() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (near, far) = tokio::join!(TcpStream::connect(listener.local_addr().unwrap()), listener.accept());
    let near = near.unwrap();
    near.set_nodelay(true).unwrap();
    (near, far.unwrap().0)
}

/// Pauses once, behind so many bytes.
struct Halting {
    socket: TcpStream,
    left: usize,
    pause: Option<Pin<Box<Sleep>>>,
}

impl Halting {
    fn new(socket: TcpStream, left: usize) -> Self {
        Self { socket, left, pause: None }
    }
}

impl AsyncRead for Halting {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Halting {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        if let Some(pause) = &mut self.pause {
            ready!(pause.as_mut().poll(cx));
            self.pause = None;
        }
        let most = if self.left == 0 { bytes.len() } else { bytes.len().min(self.left) };
        let size = ready!(Pin::new(&mut self.socket).poll_write(cx, &bytes[..most]))?;
        if self.left > 0 {
            self.left -= size;
            self.pause = (self.left == 0).then(|| Box::pin(sleep(PAUSE)));
        }
        Poll::Ready(Ok(size))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_shutdown(cx)
    }
}

/// The ClientHello of this client.
fn hello(client: &ClientConfig) -> Vec<u8> {
    let name = ServerName::try_from("localhost").unwrap();
    let mut hello = Vec::new();
    let mut connection = rustls::ClientConnection::new(Arc::new(client.clone()), name).unwrap();
    connection.write_tls(&mut hello).unwrap();
    hello
}

#[tokio::test]
async fn tls_begins_wherever_its_first_message_is_split() {
    let (shown, client) = shown();
    let name = ServerName::try_from("localhost").unwrap();
    for by_request in [false, true] {
        for cut in 0..hello(&client).len() {
            let (mut near, far) = connection().await;
            let connector = TlsConnector::from(Arc::new(client.clone()));
            let theirs = async {
                if by_request {
                    near.write_all(SSL).await.unwrap();
                    assert_eq!(near.read_u8().await.unwrap(), b'S');
                }
                let mut stream = connector.connect(name.clone(), Halting::new(near, cut)).await.unwrap();
                stream.write_all(STARTUP).await.unwrap();
                stream.flush().await.unwrap();
                stream
            };
            let (wish, _stream) = tokio::join!(negotiate(far, Some(shown.clone())), theirs);
            let Ok(Wish::Session(hello)) = wish else { panic!("{cut}: {wish:?}") };
            assert!(hello.stream.is_tls() && hello.end_point == shown.end_point && hello.message == STARTUP);
        }
    }
}

#[tokio::test]
async fn tls_that_ends_within_its_first_message_is_nothing() {
    let (shown, client) = shown();
    let whole = hello(&client);
    for by_request in [false, true] {
        for cut in 1..=whole.len() {
            let (mut near, far) = connection().await;
            let theirs = async {
                if by_request {
                    near.write_all(SSL).await.unwrap();
                    assert_eq!(near.read_u8().await.unwrap(), b'S');
                }
                near.write_all(&whole[..cut]).await.unwrap();
                near.shutdown().await.unwrap();
            };
            let (wish, ()) = tokio::join!(negotiate(far, Some(shown.clone())), theirs);
            assert!(matches!(wish, Err(StartupError::Handshake(_))), "{cut}: {wish:?}");
        }
    }
}

#[tokio::test]
async fn what_is_asked_in_clear_may_come_in_any_two_pieces() {
    let (shown, _) = shown();
    for tls in [None, Some(shown)] {
        for message in [STARTUP, CANCEL] {
            for cut in 1..message.len() {
                let (mut near, far) = connection().await;
                let theirs = async {
                    near.write_all(&message[..cut]).await.unwrap();
                    sleep(PAUSE).await;
                    near.write_all(&message[cut..]).await.unwrap();
                };
                let (wish, ()) = tokio::join!(negotiate(far, tls.clone()), theirs);
                match wish {
                    Ok(Wish::Session(hello)) => assert!(hello.message == STARTUP && hello.end_point.is_none()),
                    Ok(Wish::Cancel(key, _)) => assert_eq!(key, &CANCEL[8..]),
                    other => panic!("{cut}: {other:?}"),
                }
            }
        }
    }
}
