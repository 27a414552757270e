//! Whose certificate is believed: `sslmode` and `sslrootcert` as libpq means them. Without I/O but for the roots' file.

use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{verify_server_cert_signed_by_trust_anchor, verify_server_name};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, SignatureVerificationAlgorithm, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme};
use webpki::EndEntityCert;

use super::open::OpenError;
use crate::config::{self, PgUrl, SslMode};

/// What TLS towards this server is spoken with.
pub(super) fn client_config(url: &PgUrl) -> Result<Arc<ClientConfig>, OpenError> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let verifier = Verifier { trust: Trust::of(url)?, provider: Arc::clone(&provider) };
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| OpenError::Roots(error.to_string()))?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier))
        .with_no_client_auth();
    config.alpn_protocols = vec![b"postgresql".to_vec()];
    Ok(Arc::new(config))
}

/// Who is believed.
#[derive(Debug)]
enum Trust {
    /// Whoever answers.
    Anyone,
    /// Whom one of these has signed.
    Signed(Roots),
    /// Whom one of these has signed, for the host that was called.
    SignedForHost(Roots),
}

/// What `sslrootcert` holds.
#[derive(Debug)]
struct Roots {
    anchors: RootCertStore,
    certificates: Vec<CertificateDer<'static>>,
}

impl Trust {
    fn of(url: &PgUrl) -> Result<Self, OpenError> {
        let Some(file) = &url.sslrootcert else {
            return match url.sslmode {
                SslMode::VerifyCa | SslMode::VerifyFull => {
                    Err(OpenError::Roots(format!("missing: sslmode={} needs it", url.sslmode)))
                }
                SslMode::Disable | SslMode::Prefer | SslMode::Require => Ok(Self::Anyone),
            };
        };
        let certificates = config::certificates(file).map_err(OpenError::Roots)?;
        let mut anchors = RootCertStore::empty();
        for certificate in certificates.clone() {
            anchors.add(certificate).map_err(|error| OpenError::Roots(format!("{}: {error}", file.display())))?;
        }
        let roots = Roots { anchors, certificates };
        Ok(match url.sslmode {
            SslMode::Disable | SslMode::Prefer => Self::Anyone,
            // libpq's rule: with a file of roots, require verifies as verify-ca does.
            SslMode::Require | SslMode::VerifyCa => Self::Signed(roots),
            SslMode::VerifyFull => Self::SignedForHost(roots),
        })
    }
}

impl Roots {
    fn verify(
        &self,
        certificate: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
        algorithms: &[&dyn SignatureVerificationAlgorithm],
    ) -> Result<(), Error> {
        let parsed = ParsedCertificate::try_from(certificate)?;
        match verify_server_cert_signed_by_trust_anchor(&parsed, &self.anchors, intermediates, now, algorithms) {
            // Its time was looked at before.
            Err(error) if is_of_an_authority(&error) && self.is_own_root(certificate) => Ok(()),
            judged => judged,
        }
    }

    /// Whether this very certificate is trusted and none other stands behind it. With the mark of an authority, which
    /// `openssl req -x509` gives, it is good for OpenSSL and nothing for webpki.
    fn is_own_root(&self, certificate: &CertificateDer<'_>) -> bool {
        let signs_itself = |parsed: EndEntityCert<'_>| parsed.issuer() == parsed.subject();
        self.certificates.contains(certificate) && EndEntityCert::try_from(certificate).is_ok_and(signs_itself)
    }
}

/// Whether nothing but this speaks against a certificate: that it is marked as an authority's.
fn is_of_an_authority(error: &Error) -> bool {
    let Error::InvalidCertificate(CertificateError::Other(other)) = error else { return false };
    matches!(other.0.downcast_ref(), Some(webpki::Error::CaUsedAsEndEntity))
}

#[derive(Debug)]
struct Verifier {
    trust: Trust,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        host: &ServerName<'_>,
        _ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let (Trust::Signed(roots) | Trust::SignedForHost(roots)) = &self.trust else {
            return Ok(ServerCertVerified::assertion());
        };
        roots.verify(certificate, intermediates, now, self.provider.signature_verification_algorithms.all)?;
        if let Trust::SignedForHost(_) = self.trust {
            verify_server_name(&ParsedCertificate::try_from(certificate)?, host)?;
        }
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests;
