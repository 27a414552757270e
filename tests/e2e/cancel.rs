//! Cancels do what the server's own do, and no more.

use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::support::Pair;

const STARTUP: &[u8] = b"\0\0\0\x29\0\x03\0\0user\0postgres\0database\0postgres\0\0";
const CANCEL: [u8; 8] = [0, 0, 0, 16, 4, 210, 22, 46];
const READY: &[u8] = b"Z\0\0\0\x05I";

async fn dial(pair: &Pair) -> TcpStream {
    TcpStream::connect(("127.0.0.1", pair.proxy.port())).await.unwrap()
}

/// All up to the next ReadyForQuery.
async fn answer(session: &mut TcpStream) -> Vec<u8> {
    let mut said = Vec::new();
    while !said.ends_with(READY) {
        assert_ne!(session.read_buf(&mut said).await.unwrap(), 0, "{}", String::from_utf8_lossy(&said));
    }
    said
}

/// Drivers wait for this before they send the next statement, which a late cancel would hit.
#[tokio::test(flavor = "multi_thread")]
async fn the_connection_of_a_cancel_is_closed_when_the_primary_has_processed_it() {
    let pair = Pair::start("").await;
    let mut session = dial(&pair).await;
    session.write_all(STARTUP).await.unwrap();
    let welcome = answer(&mut session).await;
    let at = welcome.windows(5).position(|window| window == b"K\0\0\0\x0c").expect("a cancel key") + 5;
    session.write_all(b"Q\0\0\0\x18select pg_sleep(60)\0").await.unwrap();
    tokio::time::sleep(Duration::from_millis(500)).await;

    let waiting = pair.nobody_enters();
    let mut canceller = dial(&pair).await;
    canceller.write_all(&[&CANCEL, &welcome[at..at + 8]].concat()).await.unwrap();
    let closed = tokio::spawn(async move { canceller.read_to_end(&mut Vec::new()).await });
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert!(!closed.is_finished(), "closed before the primary has seen the request");
    drop(waiting);
    closed.await.unwrap().unwrap();
    let said = answer(&mut session).await;
    assert!(String::from_utf8_lossy(&said).contains("C57014"), "{}", String::from_utf8_lossy(&said));
}
