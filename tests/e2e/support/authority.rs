//! Certificates for either side's TLS.

use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};
use tempfile::TempDir;

use super::Program;

/// An authority and certificates of its making, as files that a server run by another user may read.
pub(crate) struct Authority {
    folder: TempDir,
    issuer: CertifiedIssuer<'static, KeyPair>,
}

impl Authority {
    pub(crate) fn new() -> Self {
        let folder = TempDir::new().unwrap();
        let open = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        std::fs::set_permissions(folder.path(), open).unwrap();
        let mut parameters = CertificateParams::new(Vec::new()).unwrap();
        parameters.distinguished_name.push(DnType::CommonName, "the authority of a test");
        parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let issuer = CertifiedIssuer::self_signed(parameters, KeyPair::generate().unwrap()).unwrap();
        std::fs::write(folder.path().join("ca.pem"), issuer.pem()).unwrap();
        Self { folder, issuer }
    }

    pub(crate) fn path(&self, name: &str) -> String {
        self.folder.path().join(name).display().to_string()
    }

    /// Writes `{name}.pem` and `{name}.key` for `host`.
    pub(crate) fn issue(&self, name: &str, host: &str) {
        let key = KeyPair::generate().unwrap();
        let parameters = CertificateParams::new(vec![host.to_owned()]).unwrap();
        let certificate = parameters.signed_by(&key, &self.issuer).unwrap();
        std::fs::write(self.path(&format!("{name}.pem")), certificate.pem()).unwrap();
        std::fs::write(self.path(&format!("{name}.key")), key.serialize_pem()).unwrap();
    }

    /// The same, signed by nobody else, as `openssl req -x509` makes it with these options.
    pub(crate) async fn self_signed(&self, name: &str, host: &str, options: &[&str]) {
        let (certificate, key) = (self.path(&format!("{name}.pem")), self.path(&format!("{name}.key")));
        let subject = format!("/CN={host}");
        let alternative = format!("subjectAltName=IP:{host}");
        let files = ["-keyout", &key, "-out", &certificate, "-subj", &subject, "-addext", &alternative];
        let program = Program::new("openssl").args(&["req", "-x509", "-nodes", "-days", "1"]).args(options);
        program.args(&files).run().await.must_succeed();
    }

    /// `[listen]` with the certificate of this name.
    pub(crate) fn listen(&self, name: &str) -> String {
        format!(
            "tls_cert = \"{}\"\ntls_key = \"{}\"\n",
            self.path(&format!("{name}.pem")),
            self.path(&format!("{name}.key"))
        )
    }

    pub(crate) fn client(&self) -> ClientConfig {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_file(self.path("ca.pem")).unwrap()).unwrap();
        ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth()
    }
}

/// SQL that makes a server speak TLS with the certificate of this name, which it keeps in its data folder as its own.
pub(crate) fn speak_tls(authority: &Authority, name: &str) -> String {
    let read = |suffix: &str| std::fs::read_to_string(authority.path(&format!("{name}.{suffix}"))).unwrap();
    let rows =
        |text: &str| text.trim_end().lines().map(|line| format!("('{}')", line.trim())).collect::<Vec<_>>().join(",");
    let (certificate, key) = (rows(&read("pem")), rows(&read("key")));
    format!(
        "copy (select * from (values {certificate}) v) to program 'cat > server.crt';
         copy (select * from (values {key}) v) to program 'umask 077; cat > server.key';
         alter system set ssl = on; select pg_reload_conf(); select pg_sleep(1);"
    )
}
