//! A client's side of the login, without I/O: what the server sends goes in, what it is to be sent comes out.

use bytes::{Buf, Bytes, BytesMut};
use postgres_protocol::authentication::md5_hash;
use postgres_protocol::authentication::sasl::{ChannelBinding, SCRAM_SHA_256, ScramSha256};
use postgres_protocol::message::frontend;

use super::RawError;

/// Nothing a server says at login is near this long; whoever says more is no server.
const MAX_MESSAGE: usize = 64 << 10;

/// A login under way.
pub(super) struct Login<'a> {
    user: &'a str,
    password: Option<&'a str>,
    state: State,
    /// The body of BackendKeyData, once it came.
    pub(super) cancel_key: Vec<u8>,
}

enum State {
    /// The server has not said yet how it wants us to prove who we are.
    Asked,
    /// The password went out, in a form that proves nothing about the server.
    Sent,
    /// The first SCRAM message went out.
    ScramBegun(ScramSha256),
    /// The proof went out; the server's is due.
    ScramProved(ScramSha256),
    /// The server knows the password too.
    ScramVerified,
    /// AuthenticationOk came.
    LoggedIn,
}

/// What a message leads to.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Read on.
    Wait,
    /// Send this, then read on.
    Send(BytesMut),
    /// The server is ready for queries.
    Ready,
}

/// Takes one message off `buffer`: its tag and body; `None` when it is not all there yet.
pub(super) fn take_message(buffer: &mut BytesMut) -> Result<Option<(u8, Bytes)>, RawError> {
    let Some(&[tag, a, b, c, d]) = buffer.first_chunk::<5>() else { return Ok(None) };
    let length = u32::from_be_bytes([a, b, c, d]) as usize;
    if !(4..=MAX_MESSAGE).contains(&length) {
        return Err(RawError::Protocol("a message of impossible length"));
    }
    if buffer.len() < length + 1 {
        return Ok(None);
    }
    let mut message = buffer.split_to(length + 1).freeze();
    message.advance(5);
    Ok(Some((tag, message)))
}

impl<'a> Login<'a> {
    pub(super) fn new(user: &'a str, password: Option<&'a str>) -> Self {
        Self { user, password, state: State::Asked, cancel_key: Vec::new() }
    }

    /// The server sent this message.
    pub(super) fn on_message(&mut self, tag: u8, mut body: Bytes) -> Result<Step, RawError> {
        match (tag, &self.state) {
            (b'R', _) if body.len() < 4 => Err(RawError::Protocol("an authentication request without a kind")),
            (b'R', _) => {
                let kind = body.get_u32();
                self.on_authentication(kind, &body)
            }
            (b'E', _) => Err(refusal(&body)),
            (b'N' | b'S', _) => Ok(Step::Wait),
            (b'K', State::LoggedIn) => {
                self.cancel_key = body.to_vec();
                Ok(Step::Wait)
            }
            (b'Z', State::LoggedIn) => Ok(Step::Ready),
            _ => Err(RawError::Protocol("a message that does not belong to a login")),
        }
    }

    fn on_authentication(&mut self, kind: u32, body: &[u8]) -> Result<Step, RawError> {
        let mut reply = BytesMut::new();
        match (kind, std::mem::replace(&mut self.state, State::Asked)) {
            (0, State::Asked | State::Sent | State::ScramVerified) => {
                self.state = State::LoggedIn;
                return Ok(Step::Wait);
            }
            (3, State::Asked) => {
                frontend::password_message(self.password()?.as_bytes(), &mut reply)?;
                self.state = State::Sent;
            }
            (5, State::Asked) => {
                let salt =
                    body.try_into().map_err(|_| RawError::Protocol("an md5 salt that is not four bytes long"))?;
                let hash = md5_hash(self.user.as_bytes(), self.password()?.as_bytes(), salt);
                frontend::password_message(hash.as_bytes(), &mut reply)?;
                self.state = State::Sent;
            }
            (10, State::Asked) => {
                if !body.split(|&byte| byte == 0).any(|mechanism| mechanism == SCRAM_SHA_256.as_bytes()) {
                    return Err(RawError::Protocol("a SASL login without SCRAM-SHA-256"));
                }
                let scram = ScramSha256::new(self.password()?.as_bytes(), ChannelBinding::unsupported());
                frontend::sasl_initial_response(SCRAM_SHA_256, scram.message(), &mut reply)?;
                self.state = State::ScramBegun(scram);
            }
            (11, State::ScramBegun(mut scram)) => {
                scram.update(body).map_err(|_| RawError::Protocol("a SCRAM challenge that makes no sense"))?;
                frontend::sasl_response(scram.message(), &mut reply)?;
                self.state = State::ScramProved(scram);
            }
            (12, State::ScramProved(mut scram)) => {
                let unproved = |_| RawError::Protocol("the server does not prove that it knows the password");
                scram.finish(body).map_err(unproved)?;
                self.state = State::ScramVerified;
                return Ok(Step::Wait);
            }
            _ => return Err(RawError::Protocol("a way to log in that is not spoken here, or out of turn")),
        }
        Ok(Step::Send(reply))
    }

    fn password(&self) -> Result<&'a str, RawError> {
        self.password.ok_or(RawError::NoPassword)
    }
}

/// An ErrorResponse: fields of a type byte and a text that a zero ends.
fn refusal(body: &[u8]) -> RawError {
    let (mut sqlstate, mut message) = (String::new(), String::new());
    for field in body.split(|&byte| byte == 0) {
        let text = |value: &[u8]| String::from_utf8_lossy(value).into_owned();
        match field.split_first() {
            Some((b'C', value)) => sqlstate = text(value),
            Some((b'M', value)) => message = text(value),
            _ => {}
        }
    }
    RawError::Refused { sqlstate, message }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn authentication(kind: u32, rest: &[u8]) -> Bytes {
        [&kind.to_be_bytes()[..], rest].concat().into()
    }

    #[test]
    fn nothing_but_the_proof_ends_a_scram_login() {
        let mut login = Login::new("ana", Some("secret"));
        let begun = login.on_message(b'R', authentication(10, b"SCRAM-SHA-256-PLUS\0SCRAM-SHA-256\0\0")).unwrap();
        assert!(matches!(begun, Step::Send(_)));
        assert!(login.on_message(b'R', authentication(0, b"")).is_err(), "an impostor skips the proof");
    }

    #[test]
    fn a_key_and_readiness_come_only_behind_the_login() {
        for tag in *b"KZ" {
            assert!(Login::new("ana", None).on_message(tag, Bytes::from_static(b"I")).is_err());
        }
        let mut login = Login::new("ana", None);
        assert_eq!(login.on_message(b'R', authentication(0, b"")).unwrap(), Step::Wait);
        assert_eq!(login.on_message(b'K', Bytes::from_static(b"12345678")).unwrap(), Step::Wait);
        assert_eq!(login.on_message(b'Z', Bytes::from_static(b"I")).unwrap(), Step::Ready);
        assert_eq!(login.cancel_key, b"12345678");
    }

    #[test]
    fn a_password_that_is_missing_is_said() {
        let answer = Login::new("ana", None).on_message(b'R', authentication(3, b""));
        assert!(matches!(answer, Err(RawError::NoPassword)));
    }

    proptest! {
        #[test]
        fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let mut buffer = BytesMut::from(&bytes[..]);
            let _ = take_message(&mut buffer);
        }

        #[test]
        fn no_message_panics(
            messages in prop::collection::vec((prop::sample::select(b"RENSKZv".to_vec()), prop::option::of(0_u32..13),
                prop::collection::vec(any::<u8>(), 0..40)), 1..6),
        ) {
            let mut login = Login::new("ana", Some("secret"));
            for (tag, kind, rest) in messages {
                let body = kind.map_or_else(|| Bytes::from(rest.clone()), |kind| authentication(kind, &rest));
                if login.on_message(tag, body).is_err() {
                    break;
                }
            }
        }
    }
}
