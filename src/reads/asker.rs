//! One side of a comparison: a connection of our own, brought to the session's role and settings, over which an eligible
//! read is asked and its answer is digested as it comes.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::BytesMut;
use tokio::time::timeout;

use super::digest::{Digest, Digester};
use super::leg::{Leg, Piece};
use super::messages;
use super::row_description::has_floating_column;
use super::statements::Text;
use super::stop::stop;
use super::trouble::Trouble;
use super::twins::Twins;
use crate::config::PgUrl;
use crate::session::ReadRequest;

/// To connect and log in.
const CONNECT: Duration = Duration::from_secs(5);
/// A larger answer is not compared.
const MAX_BYTES: usize = 64 << 20;

/// One of the two servers.
#[derive(Debug)]
pub(super) struct Asker {
    url: PgUrl,
    leg: Option<Leg>,
}

/// What a server said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Said {
    /// These rows.
    Rows {
        /// All of them.
        digest: Digest,
        /// A column is of floating point.
        floating: bool,
        /// There may be more than were wanted.
        suspended: bool,
    },
    /// This SQLSTATE.
    Error([u8; 5]),
}

/// An answer, and how long it took.
#[derive(Debug, Clone, Copy)]
pub(super) struct Answer {
    pub(super) said: Said,
    pub(super) took: Duration,
}

/// Why there is no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Silence {
    /// Not in time.
    Slow,
    /// A type in it means nothing on the other side: it is no eligible read.
    UserType,
    /// No connection, no answer that can be compared, or one that is too large.
    Other,
}

impl Asker {
    /// Connects when it is first asked.
    pub(super) fn new(url: PgUrl) -> Self {
        Self { url, leg: None }
    }

    /// Asks and waits for all of the answer. What takes longer than `limit` is cancelled. `request` asks for the
    /// description of its portal, and for no other.
    pub(super) async fn ask(
        &mut self,
        request: &ReadRequest,
        text: &Arc<Text>,
        limit: Duration,
    ) -> Result<Answer, Silence> {
        let mut leg = self.connected().await?;
        let begun = Instant::now();
        let said = timeout(limit, answer(&mut leg, request, text)).await;
        let took = begun.elapsed();
        if leg.is_busy() {
            let url = self.url.clone();
            tokio::spawn(async move { stop(&url, leg).await });
        } else {
            self.leg = Some(leg);
        }
        Ok(Answer { said: said.map_err(|_| Silence::Slow)??, took })
    }

    /// Nothing is to be asked for a while.
    pub(super) fn close(&mut self) {
        self.leg = None;
    }

    async fn connected(&mut self) -> Result<Leg, Silence> {
        if let Some(mut leg) = self.leg.take()
            && leg.is_alive()
        {
            return Ok(leg);
        }
        Leg::connect(&self.url, CONNECT).await.map_err(|error| {
            tracing::debug!(server = %self.url, %error, "no connection to compare reads over");
            Silence::Other
        })
    }
}

async fn answer(leg: &mut Leg, request: &ReadRequest, text: &Arc<Text>) -> Result<Said, Silence> {
    match digested(leg, request, text).await {
        Ok(said) => Ok(said),
        Err(Trouble::Refused(sqlstate)) => refused(sqlstate),
        Err(Trouble::Slow) => Err(Silence::Slow),
        Err(Trouble::UserType) => Err(Silence::UserType),
        Err(Trouble::Lost | Trouble::Large) => Err(Silence::Other),
    }
}

/// What an error says of the read: nothing where it is the server's state, or a role that is not ours to take on.
fn refused(sqlstate: [u8; 5]) -> Result<Said, Silence> {
    match &sqlstate {
        b"57014" => Err(Silence::Slow),
        b"42501" | b"22023" | [b'5', b'3' | b'5' | b'7' | b'8', ..] | [b'X', b'X', ..] => {
            let sqlstate = String::from_utf8_lossy(&sqlstate);
            tracing::debug!(%sqlstate, "a read was not compared: a server refused it");
            Err(Silence::Other)
        }
        _ => Ok(Said::Error(sqlstate)),
    }
}

async fn digested(leg: &mut Leg, request: &ReadRequest, text: &Arc<Text>) -> Result<Said, Trouble> {
    // Without twins, no column is said to be of a table: those differ between the two sides.
    let mut preface = BytesMut::new();
    leg.start(request, text, &Twins::default(), &mut preface).await?;
    let columns = preface.strip_prefix(messages::BIND_COMPLETE).unwrap_or(&preface);
    let floating = has_floating_column(columns)?;
    let (mut digester, mut size, mut suspended) = (Digester::new(columns), 0, false);
    loop {
        match leg.piece().await? {
            Piece::Rows(rows) => {
                size += rows.len();
                if size > MAX_BYTES {
                    return Err(Trouble::Lost);
                }
                digester.rows(&rows);
            }
            Piece::Complete(_) => {}
            Piece::Suspended(_) => suspended = true,
            Piece::Error(frame) => return Err(leg.refused(&frame).await),
            Piece::Ready => return Ok(Said::Rows { digest: digester.end(), floating, suspended }),
        }
    }
}
