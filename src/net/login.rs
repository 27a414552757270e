//! What stands between a client's StartupMessage and its relay: nothing where the primary's connection is in clear.
//!
//! Over TLS the primary offers to bind SCRAM to *its* connection, which no relay can satisfy: that offer is left out. With
//! TLS on both sides a client then says that it could bind, and the primary takes this for an attack. So crossfade checks
//! the client itself, by its verifier, and logs in at the primary with the key that the client's proof lays bare: either
//! login bound to its own connection, where that side can. All else (trust, cleartext, md5, errors) is the relay's. No
//! proof, key or verifier is logged.

use std::io;

use bytes::BytesMut;
use thiserror::Error;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tracing::warn;

use super::scram::{self, Binding, Challenge, Keys, Prover, ScramError};
use super::startup::Hello;
use super::verifiers::{VerifierError, Verifiers};
use crate::config::Settings;
use crate::server::Stream;
use crate::wire::{self, Authentication, HEADER, Malformed, SCRAM_SHA_256, SCRAM_SHA_256_PLUS, Severity};

/// Nothing said at login is near this long.
const LONGEST: usize = 64 << 10;

/// With what the relay begins.
#[derive(Debug, Default)]
pub(super) struct Opening {
    /// Goes to the primary first, unseen.
    pub(super) upward: BytesMut,
    /// Read from the client and not looked at yet.
    pub(super) from_client: BytesMut,
    /// Read from the primary and not looked at yet.
    pub(super) from_primary: BytesMut,
}

/// Why a client is not let in.
#[derive(Debug, Error)]
pub(super) enum LoginError {
    #[error("{0}")]
    Client(io::Error),
    #[error("the connection to the primary was lost: {0}")]
    Primary(io::Error),
    #[error("{0}")]
    Malformed(#[from] Malformed),
    #[error("{0}")]
    Scram(#[from] ScramError),
    #[error("crossfade cannot check the password: {0}")]
    Verifier(#[from] VerifierError),
    #[error("the primary does not prove that it knows the password")]
    Impostor,
}

impl LoginError {
    /// What the client is told, as the server would say it.
    pub(super) fn message(&self, user: &str) -> Option<bytes::Bytes> {
        let (sqlstate, text) = match self {
            Self::Client(_) => return None,
            Self::Scram(ScramError::Wrong) => ("28P01", format!("password authentication failed for user \"{user}\"")),
            Self::Malformed(_) | Self::Scram(ScramError::Malformed) => ("08P01", self.to_string()),
            Self::Primary(_) => ("08006", self.to_string()),
            Self::Verifier(_) | Self::Impostor | Self::Scram(_) => ("28000", self.to_string()),
        };
        Some(wire::error_response(Severity::Fatal, sqlstate, &text))
    }
}

/// A login under way.
pub(super) struct Login<'a> {
    hello: &'a mut Hello,
    primary: &'a mut Stream,
    from_primary: BytesMut,
}

impl<'a> Login<'a> {
    pub(super) fn new(hello: &'a mut Hello, primary: &'a mut Stream) -> Self {
        Self { hello, primary, from_primary: BytesMut::new() }
    }

    /// Brings it to where the relay can go on.
    pub(super) async fn run(mut self, verifiers: &Verifiers, settings: &Settings) -> Result<Opening, LoginError> {
        if !self.primary.is_tls() {
            let (upward, from_client) = (std::mem::take(&mut self.hello.message), std::mem::take(&mut self.hello.rest));
            return Ok(Opening { upward, from_client, from_primary: BytesMut::new() });
        }
        let message = std::mem::take(&mut self.hello.message);
        self.tell_primary(&message).await?;
        loop {
            let Some(&tag) = self.peek().await? else { return Ok(self.opening()) };
            match tag {
                b'R' => return self.authentication(verifiers, settings).await,
                // The protocol's version, or a notice: the client's, and more follows.
                b'v' | b'N' => {
                    let message = frame(self.primary, &mut self.from_primary, LoginError::Primary).await?;
                    self.tell_client(&message).await?;
                }
                _ => return Ok(self.opening()),
            }
        }
    }

    fn opening(self) -> Opening {
        Opening {
            upward: BytesMut::new(),
            from_client: std::mem::take(&mut self.hello.rest),
            from_primary: self.from_primary,
        }
    }

    /// The next tag of the primary's; `None`: it has closed.
    async fn peek(&mut self) -> Result<Option<&u8>, LoginError> {
        if self.from_primary.is_empty() {
            self.primary.read_buf(&mut self.from_primary).await.map_err(LoginError::Primary)?;
        }
        Ok(self.from_primary.first())
    }

    async fn authentication(mut self, verifiers: &Verifiers, settings: &Settings) -> Result<Opening, LoginError> {
        let request = frame(self.primary, &mut self.from_primary, LoginError::Primary).await?;
        let Authentication::Sasl(mut mechanisms) = wire::authentication(&request[HEADER..])? else {
            self.put_back(&request);
            return Ok(self.opening());
        };
        if self.hello.stream.is_tls() && mechanisms.contains(&SCRAM_SHA_256) {
            let end_point = mechanisms.contains(&SCRAM_SHA_256_PLUS).then(|| self.primary.end_point()).flatten();
            let keys = self.check_client(verifiers, settings).await?;
            return self.log_in(keys, end_point).await;
        }
        mechanisms.retain(|mechanism| *mechanism != SCRAM_SHA_256_PLUS);
        let offer = wire::sasl_offer(&mechanisms);
        self.put_back(&offer);
        Ok(self.opening())
    }

    /// In front of what the primary said since.
    fn put_back(&mut self, message: &[u8]) {
        let behind = std::mem::replace(&mut self.from_primary, BytesMut::from(message));
        self.from_primary.extend_from_slice(&behind);
    }

    /// Plays the server: the client's keys and what proves to it that we are one.
    async fn check_client(&mut self, verifiers: &Verifiers, settings: &Settings) -> Result<(Keys, String), LoginError> {
        let end_point = self.hello.end_point.clone();
        let offered = if end_point.is_some() { &[SCRAM_SHA_256_PLUS, SCRAM_SHA_256][..] } else { &[SCRAM_SHA_256] };
        self.tell_client(&wire::sasl_offer(offered)).await?;
        let response = self.client_response().await?;
        let (mechanism, first) = wire::sasl_initial_response(&response[HEADER..])?;
        let binding = match (mechanism, end_point) {
            (SCRAM_SHA_256_PLUS, Some(end_point)) => Binding::EndPoint(end_point),
            (SCRAM_SHA_256, Some(_)) => Binding::Declined,
            (SCRAM_SHA_256, None) => Binding::Impossible,
            _ => return Err(Malformed("client selected an invalid SASL authentication mechanism").into()),
        };
        let user = self.hello.startup.get("user").unwrap_or_default();
        let verifier = verifiers.of(user, settings).await;
        let verifier = verifier.inspect_err(|error| warn!(user, %error, "a client's password cannot be checked"))?;
        let challenge = Challenge::new(verifier, binding, first, &scram::nonce())?;
        self.tell_client(&wire::sasl_challenge(challenge.message.as_bytes())).await?;
        let response = self.client_response().await?;
        let proven = challenge.judge(&response[HEADER..])?;
        Ok((proven.keys, proven.message))
    }

    /// Plays the client. What the primary says behind its proof, or instead of it, is the relay's.
    async fn log_in(
        mut self,
        (keys, outcome): (Keys, String),
        end_point: Option<Vec<u8>>,
    ) -> Result<Opening, LoginError> {
        let mechanism = if end_point.is_some() { SCRAM_SHA_256_PLUS } else { SCRAM_SHA_256 };
        let prover = Prover::new(keys, end_point, scram::nonce());
        let begin = wire::sasl_begin(mechanism, prover.first().as_bytes());
        self.tell_primary(&begin).await?;
        let message = frame(self.primary, &mut self.from_primary, LoginError::Primary).await?;
        let proof = match expected(&message)? {
            Some(Authentication::SaslContinue(challenge)) => prover.prove(challenge)?,
            _ => return Ok(self.refused(&message)),
        };
        self.tell_primary(&wire::sasl_response(proof.message.as_bytes())).await?;
        let message = frame(self.primary, &mut self.from_primary, LoginError::Primary).await?;
        match expected(&message)? {
            Some(Authentication::SaslFinal(data)) if proof.is_answered_by(data) => {}
            Some(Authentication::SaslFinal(_)) => return Err(LoginError::Impostor),
            _ => return Ok(self.refused(&message)),
        }
        self.tell_client(&wire::sasl_outcome(outcome.as_bytes())).await?;
        Ok(self.opening())
    }

    fn refused(mut self, message: &[u8]) -> Opening {
        self.put_back(message);
        self.opening()
    }

    async fn client_response(&mut self) -> Result<BytesMut, LoginError> {
        let message = frame(&mut self.hello.stream, &mut self.hello.rest, LoginError::Client).await?;
        match message.first() {
            Some(b'p') => Ok(message),
            Some(b'X') => Err(LoginError::Client(io::ErrorKind::UnexpectedEof.into())),
            _ => Err(Malformed("expected SASL response").into()),
        }
    }

    async fn tell_client(&mut self, message: &[u8]) -> Result<(), LoginError> {
        say(&mut self.hello.stream, message).await.map_err(LoginError::Client)
    }

    async fn tell_primary(&mut self, message: &[u8]) -> Result<(), LoginError> {
        say(self.primary, message).await.map_err(LoginError::Primary)
    }
}

/// What an authentication request says; `None`: the message is none, and the client must hear it. A login that ends
/// without the primary's proof is an impostor's.
fn expected(message: &[u8]) -> Result<Option<Authentication<'_>>, LoginError> {
    match message {
        [b'R', ..] => match wire::authentication(&message[HEADER..])? {
            Authentication::Sasl(_) | Authentication::Other => Err(LoginError::Impostor),
            sasl => Ok(Some(sasl)),
        },
        _ => Ok(None),
    }
}

async fn say(stream: &mut Stream, message: &[u8]) -> io::Result<()> {
    stream.write_all(message).await?;
    stream.flush().await
}

/// Takes the next whole message.
async fn frame(
    stream: &mut Stream,
    buffer: &mut BytesMut,
    side: fn(io::Error) -> LoginError,
) -> Result<BytesMut, LoginError> {
    loop {
        if let Some(header) = wire::header(buffer)? {
            if header.size > LONGEST {
                return Err(Malformed("a message too long for a login").into());
            }
            if buffer.len() >= header.size {
                return Ok(buffer.split_to(header.size));
            }
        }
        if stream.read_buf(buffer).await.map_err(side)? == 0 {
            return Err(side(io::ErrorKind::UnexpectedEof.into()));
        }
    }
}
