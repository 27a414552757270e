//! SCRAM-SHA-256 and SCRAM-SHA-256-PLUS (RFC 5802, 7677) from both ends, without I/O: as the server that checks a client by its verifier, and as
//! the client that logs in with the keys which that check laid bare.
//!
//! Knows no password. `Debug` is left out on purpose: everything here is secret.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::{Digest as _, Sha256};
use thiserror::Error;

type Key = [u8; 32];

/// As many as the server uses where nothing else is set.
const ITERATIONS: &str = "4096";

/// Why an exchange ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub(super) enum ScramError {
    #[error("malformed SCRAM message")]
    Malformed,
    /// The client believes that no binding was offered, and one was: somebody between us took it out.
    #[error("SCRAM channel binding negotiation error")]
    Downgraded,
    /// The client is bound to another certificate than ours: to that of somebody between us.
    #[error("SCRAM channel binding check failed")]
    BoundElsewhere,
    /// The proof is not that of the password.
    #[error("wrong password")]
    Wrong,
}

/// What a client was offered to bind its login to, and what it chose.
pub(super) enum Binding {
    /// Nothing was offered.
    Impossible,
    /// It chose not to.
    Declined,
    /// To this hash of our certificate.
    EndPoint(Arc<[u8]>),
}

/// With a binding, a client's first message begins so.
const BOUND: &str = "p=tls-server-end-point,,";

/// What the server keeps of a password: `SCRAM-SHA-256$iterations:salt$storedkey:serverkey`.
pub(super) struct Verifier {
    iterations: String,
    salt: String,
    stored_key: Key,
    server_key: Key,
}

impl Verifier {
    /// `None`: it is none, such as an md5 hash.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (parameters, keys) = text.strip_prefix("SCRAM-SHA-256$")?.split_once('$')?;
        let (iterations, salt) = parameters.split_once(':')?;
        let (stored_key, server_key) = keys.split_once(':')?;
        iterations.parse::<u32>().ok().filter(|&count| count > 0)?;
        STANDARD.decode(salt).ok()?;
        let (stored_key, server_key) = (key(stored_key)?, key(server_key)?);
        Some(Self { iterations: iterations.to_owned(), salt: salt.to_owned(), stored_key, server_key })
    }

    /// Of a user that there is not, or that has no such password: the same salt every time, and no proof fits.
    pub(super) fn mock(user: &str, secret: &Key) -> Self {
        let salt = sign(secret, user);
        Self {
            iterations: ITERATIONS.to_owned(),
            salt: STANDARD.encode(&salt[..16]),
            stored_key: rand::random(),
            server_key: rand::random(),
        }
    }
}

/// The keys of a password: with these one logs in as its owner.
pub(super) struct Keys {
    client: Key,
    stored: Key,
    server: Key,
}

/// The server's side, its challenge made.
pub(super) struct Challenge {
    verifier: Verifier,
    /// What the client said of a binding.
    gs2: &'static str,
    /// What it must be bound to.
    end_point: Arc<[u8]>,
    client_first: String,
    /// The server-first-message, to be sent.
    pub(super) message: String,
    nonce: String,
}

/// What a right proof gives.
pub(super) struct Proven {
    /// The server-final-message, which proves that the verifier is known here.
    pub(super) message: String,
    /// The client's.
    pub(super) keys: Keys,
}

impl Challenge {
    /// Answers the client-first-message; `nonce` is our part of it.
    pub(super) fn new(
        verifier: Verifier,
        binding: Binding,
        client_first: &[u8],
        nonce: &str,
    ) -> Result<Self, ScramError> {
        let text = text(client_first)?;
        // The client cannot bind (`n`), or believes that we cannot (`y`), or does it.
        let begins = |gs2: &'static str| text.strip_prefix(gs2).map(|bare| (gs2, bare));
        let begun = ["n,,", "y,,", BOUND].into_iter().find_map(begins);
        let (gs2, bare) = begun.ok_or(ScramError::Malformed)?;
        let end_point = match (binding, gs2) {
            (Binding::EndPoint(end_point), BOUND) => end_point,
            (Binding::EndPoint(_), _) | (_, BOUND) => return Err(ScramError::Malformed),
            (Binding::Declined, "y,,") => return Err(ScramError::Downgraded),
            (Binding::Declined | Binding::Impossible, _) => Arc::default(),
        };
        let (name, rest) = bare.split_once(',').ok_or(ScramError::Malformed)?;
        let theirs = attribute(rest, "r=")?;
        if !name.starts_with("n=") || theirs.is_empty() || theirs.contains(',') {
            return Err(ScramError::Malformed);
        }
        let nonce = format!("{theirs}{nonce}");
        let message = format!("r={nonce},s={},i={}", verifier.salt, verifier.iterations);
        Ok(Self { verifier, gs2, end_point, client_first: bare.to_owned(), message, nonce })
    }

    /// Judges the client-final-message.
    pub(super) fn judge(self, client_final: &[u8]) -> Result<Proven, ScramError> {
        let (without_proof, proof) = text(client_final)?.rsplit_once(",p=").ok_or(ScramError::Malformed)?;
        let proof = key(proof).ok_or(ScramError::Malformed)?;
        let (bound, nonce) = without_proof.split_once(',').ok_or(ScramError::Malformed)?;
        if bound != bound_to(self.gs2, &self.end_point) {
            return Err(if self.gs2 == BOUND { ScramError::BoundElsewhere } else { ScramError::Malformed });
        }
        if attribute(nonce, "r=")? != self.nonce {
            return Err(ScramError::Malformed);
        }
        let conversation = format!("{},{},{without_proof}", self.client_first, self.message);
        let Verifier { stored_key, server_key, .. } = self.verifier;
        let client_key = xor(&proof, &sign(&stored_key, &conversation));
        if !same(&Sha256::digest(client_key).into(), &stored_key) {
            return Err(ScramError::Wrong);
        }
        let message = format!("v={}", STANDARD.encode(sign(&server_key, &conversation)));
        Ok(Proven { message, keys: Keys { client: client_key, stored: stored_key, server: server_key } })
    }
}

/// The client's side, nothing answered yet.
pub(super) struct Prover {
    keys: Keys,
    end_point: Option<Vec<u8>>,
    nonce: String,
}

/// The client's side, its proof made.
pub(super) struct Proof {
    /// The client-final-message, to be sent.
    pub(super) message: String,
    signature: Key,
}

impl Prover {
    /// Bound to this hash of the server's certificate, or not at all.
    pub(super) fn new(keys: Keys, end_point: Option<Vec<u8>>, nonce: String) -> Self {
        Self { keys, end_point, nonce }
    }

    /// The client-first-message.
    pub(super) fn first(&self) -> String {
        format!("{}{}", self.gs2(), self.bare())
    }

    fn gs2(&self) -> &'static str {
        if self.end_point.is_some() { BOUND } else { "n,," }
    }

    fn bare(&self) -> String {
        format!("n=,r={}", self.nonce)
    }

    /// Answers the server-first-message.
    pub(super) fn prove(self, server_first: &[u8]) -> Result<Proof, ScramError> {
        let challenge = text(server_first)?;
        let nonce = attribute(challenge.split(',').next().unwrap_or_default(), "r=")?;
        if !nonce.starts_with(&self.nonce) || nonce.len() == self.nonce.len() {
            return Err(ScramError::Malformed);
        }
        let bound = bound_to(self.gs2(), self.end_point.as_deref().unwrap_or_default());
        let without_proof = format!("{bound},r={nonce}");
        let conversation = format!("{},{challenge},{without_proof}", self.bare());
        let proof = xor(&self.keys.client, &sign(&self.keys.stored, &conversation));
        let message = format!("{without_proof},p={}", STANDARD.encode(proof));
        Ok(Proof { message, signature: sign(&self.keys.server, &conversation) })
    }
}

impl Proof {
    /// Whether the server-final-message proves that the server knows the verifier.
    pub(super) fn is_answered_by(&self, server_final: &[u8]) -> bool {
        let theirs = text(server_final).ok().and_then(|text| key(text.strip_prefix("v=")?));
        theirs.is_some_and(|theirs| same(&theirs, &self.signature))
    }
}

/// Our part of a nonce: printable, without a comma.
pub(super) fn nonce() -> String {
    STANDARD.encode(rand::random::<[u8; 18]>())
}

fn text(bytes: &[u8]) -> Result<&str, ScramError> {
    std::str::from_utf8(bytes).map_err(|_| ScramError::Malformed)
}

fn attribute<'a>(text: &'a str, name: &str) -> Result<&'a str, ScramError> {
    text.strip_prefix(name).ok_or(ScramError::Malformed)
}

/// The attribute that tells of a binding once more, with what it is to.
fn bound_to(gs2: &str, end_point: &[u8]) -> String {
    format!("c={}", STANDARD.encode([gs2.as_bytes(), end_point].concat()))
}

fn key(text: &str) -> Option<Key> {
    STANDARD.decode(text).ok()?.try_into().ok()
}

fn sign(key: &Key, text: &str) -> Key {
    // HMAC itself fills a short key with zeros up to a block.
    let mut block = [0; 64];
    block[..key.len()].copy_from_slice(key);
    let mut mac = Hmac::<Sha256>::new(&block.into());
    mac.update(text.as_bytes());
    mac.finalize().into_bytes().into()
}

fn xor(a: &Key, b: &Key) -> Key {
    std::array::from_fn(|at| a[at] ^ b[at])
}

/// In the same time whatever differs.
fn same(a: &Key, b: &Key) -> bool {
    a.iter().zip(b).fold(0, |difference, (a, b)| difference | (a ^ b)) == 0
}

#[cfg(feature = "fuzzing")]
pub(super) mod fuzzing;
#[cfg(test)]
mod tests;
