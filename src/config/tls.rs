//! Certificates and verifiers: read with the configuration, so that a bad file is refused like any other mistake.
//!
//! Owns the contents of these files and what is judged of them. Never shows a key or a verifier.

use std::collections::HashMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::version::{TLS12, TLS13};
use rustls::{ServerConfig, SupportedProtocolVersion};
use serde::Deserialize;
use sha2::{Digest as _, Sha256};

use super::Listen;

/// A file whose content is part of the settings: with another content they are other settings. `Debug` shows the path.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(from = "PathBuf")]
pub struct ContentFile {
    path: PathBuf,
    content: Arc<[u8]>,
}

impl From<PathBuf> for ContentFile {
    fn from(path: PathBuf) -> Self {
        Self { path, content: Arc::default() }
    }
}

impl fmt::Debug for ContentFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.path, f)
    }
}

impl ContentFile {
    /// Reads it, its path taken from `folder`.
    pub(super) fn read(&mut self, folder: &Path) -> Result<(), String> {
        self.path = folder.join(&self.path);
        let content = std::fs::read(&self.path).map_err(|error| self.complaint(format!("cannot be read: {error}")))?;
        self.content = content.into();
        Ok(())
    }

    fn complaint(&self, what: impl fmt::Display) -> String {
        format!("{} {what}", self.path.display())
    }
}

/// The oldest version of TLS that clients may speak.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub enum TlsMin {
    /// 1.2
    #[serde(rename = "1.2")]
    V12,
    /// 1.3
    #[serde(rename = "1.3")]
    V13,
}

static FROM_12: &[&SupportedProtocolVersion] = &[&TLS13, &TLS12];
static FROM_13: &[&SupportedProtocolVersion] = &[&TLS13];

impl TlsMin {
    fn versions(self) -> &'static [&'static SupportedProtocolVersion] {
        match self {
            Self::V12 => FROM_12,
            Self::V13 => FROM_13,
        }
    }
}

/// The name by which clients ask for this protocol within TLS.
const ALPN: &[u8] = b"postgresql";

impl Listen {
    /// What TLS towards clients is accepted with; `None` where no certificate is given. An error tells the key it
    /// complains about.
    pub fn tls(&self) -> Result<Option<Arc<ServerConfig>>, (&'static str, String)> {
        let (certificate, key) = match (&self.tls_cert, &self.tls_key) {
            (None, None) => return Ok(None),
            (Some(certificate), Some(key)) => (certificate, key),
            (Some(_), None) => return Err(("listen.tls_key", "missing: listen.tls_cert needs its key".to_owned())),
            (None, Some(_)) => return Err(("listen.tls_cert", "missing: listen.tls_key needs its certificate".into())),
        };
        let chain = certificates_of(&certificate.content)
            .map_err(|complaint| ("listen.tls_cert", certificate.complaint(complaint)))?;
        let wrong_key = |complaint: String| ("listen.tls_key", key.complaint(complaint));
        let secret = PrivateKeyDer::from_pem_slice(&key.content)
            .map_err(|_| wrong_key("holds no private key in PEM form (PKCS #8, PKCS #1 or SEC 1)".to_owned()))?;
        let mut config = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_protocol_versions(self.tls_min.versions())
            .map_err(|error| ("listen.tls_min", error.to_string()))?
            .with_no_client_auth()
            .with_single_cert(chain, secret)
            .map_err(|error| wrong_key(format!("is not a usable key for {}: {error}", certificate.path.display())))?;
        config.alpn_protocols = vec![ALPN.to_vec()];
        Ok(Some(Arc::new(config)))
    }

    /// Where what is part of these settings is read from.
    pub(super) fn files(&self) -> impl Iterator<Item = &Path> {
        [&self.tls_cert, &self.tls_key, &self.auth_file].into_iter().flatten().map(|file| file.path.as_path())
    }

    /// The certificate that clients are shown, in DER form.
    pub fn certificate(&self) -> Option<CertificateDer<'static>> {
        certificates_of(&self.tls_cert.as_ref()?.content).ok()?.into_iter().next()
    }

    /// What the salts of unknown users are made of: the same as long as the key is, and known to nobody else.
    pub fn secret(&self) -> [u8; 32] {
        let key = self.tls_key.as_ref().map(|key| &key.content[..]).unwrap_or_default();
        Sha256::new().chain_update(b"crossfade: salts of unknown users").chain_update(key).finalize().into()
    }

    /// Verifiers by user, from `auth_file`: lines of `"user" "SCRAM-SHA-256$…"`, a `"` within a name doubled; empty lines
    /// and lines that begin with `;` or `#` are skipped. An error tells the line and never its text.
    pub fn verifiers(&self) -> Result<HashMap<String, String>, String> {
        let Some(file) = &self.auth_file else { return Ok(HashMap::new()) };
        let text = std::str::from_utf8(&file.content).map_err(|_| file.complaint("is not UTF-8"))?;
        let lines = text.lines().enumerate().map(|(at, line)| (at + 1, line.trim()));
        let lines = lines.filter(|(_, line)| !line.is_empty() && !line.starts_with([';', '#']));
        let read = |(number, line)| {
            let expected = "expected \"user\" \"SCRAM-SHA-256$iterations:salt$storedkey:serverkey\"";
            user_and_verifier(line).ok_or_else(|| file.complaint(format!("line {number}: {expected}")))
        };
        lines.map(read).collect()
    }
}

fn user_and_verifier(line: &str) -> Option<(String, String)> {
    let (user, rest) = quoted(line)?;
    let (verifier, rest) = quoted(rest.trim_start())?;
    (rest.trim().is_empty() && verifier.starts_with("SCRAM-SHA-256$")).then_some((user, verifier))
}

/// The text between the quotes at the front, and what follows them.
fn quoted(text: &str) -> Option<(String, &str)> {
    let mut rest = text.strip_prefix('"')?;
    let mut value = String::new();
    loop {
        let (part, tail) = rest.split_once('"')?;
        value.push_str(part);
        match tail.strip_prefix('"') {
            Some(tail) => {
                value.push('"');
                rest = tail;
            }
            None => return Some((value, tail)),
        }
    }
}

/// The certificates in a PEM file.
pub fn certificates(file: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let content = std::fs::read(file).map_err(|error| format!("{} cannot be read: {error}", file.display()))?;
    certificates_of(&content).map_err(|complaint| format!("{} {complaint}", file.display()))
}

fn certificates_of(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, &'static str> {
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    found.ok().filter(|found| !found.is_empty()).ok_or("holds no certificate in PEM form")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(content: &str) -> ContentFile {
        ContentFile { path: "some.file".into(), content: content.as_bytes().into() }
    }

    fn pair() -> (String, String) {
        let made = rcgen::generate_simple_self_signed(vec!["localhost".into()]).unwrap();
        (made.cert.pem(), made.signing_key.serialize_pem())
    }

    fn with(certificate: Option<ContentFile>, key: Option<ContentFile>) -> Listen {
        Listen { tls_cert: certificate, tls_key: key, ..Listen::default() }
    }

    #[test]
    fn a_certificate_and_its_key_are_taken_and_nothing_else() {
        let (one, other) = (pair(), pair());
        assert!(Listen::default().tls().unwrap().is_none());
        assert!(with(Some(file(&one.0)), Some(file(&one.1))).tls().unwrap().is_some());
        for (listen, key, reason) in [
            (with(Some(file(&one.0)), None), "listen.tls_key", "missing"),
            (with(None, Some(file(&one.1))), "listen.tls_cert", "missing"),
            (with(Some(file("")), Some(file(&one.1))), "listen.tls_cert", "some.file holds no certificate"),
            (with(Some(file(&one.0)), Some(file("nonsense"))), "listen.tls_key", "some.file holds no private key"),
            (with(Some(file(&one.0)), Some(file(&other.1))), "listen.tls_key", "not a usable key for some.file"),
        ] {
            let (at, complaint) = listen.tls().unwrap_err();
            assert!(at == key && complaint.contains(reason), "{at}: {complaint}");
        }
    }

    #[test]
    fn verifiers_are_read_by_user_and_never_shown() {
        let text = "; comment\n\n\"ana\" \"SCRAM-SHA-256$4096:c2FsdA==$a:b\"\n\"o\"\"hara\"  \"SCRAM-SHA-256$x\"\n";
        let listen = Listen { auth_file: Some(file(text)), ..Listen::default() };
        let verifiers = listen.verifiers().unwrap();
        assert_eq!((verifiers.len(), verifiers["o\"hara"].as_str()), (2, "SCRAM-SHA-256$x"));
        for wrong in ["\"ana\" \"hunter2\"", "\"ana\"", "ana SCRAM-SHA-256$x", "\"ana\" \"SCRAM-SHA-256$hunter2\" x"] {
            let listen = Listen { auth_file: Some(file(&format!("\n{wrong}\n"))), ..Listen::default() };
            let complaint = listen.verifiers().unwrap_err();
            assert!(
                complaint.starts_with("some.file line 2: expected") && !complaint.contains("hunter2"),
                "{complaint}"
            );
        }
    }
}
