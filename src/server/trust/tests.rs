//! Certificates that are roots themselves, as `openssl req -x509` and PostgreSQL's documentation make them.

use std::time::Duration;

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, KeyPair, date_time_ymd};

use super::*;

/// For `db.example`, signed by itself.
fn certificate(is_ca: IsCa, change: fn(&mut CertificateParams)) -> CertificateDer<'static> {
    let mut parameters = CertificateParams::new(vec!["db.example".to_owned()]).unwrap();
    parameters.distinguished_name.push(DnType::CommonName, "db.example");
    parameters.is_ca = is_ca;
    parameters.not_before = date_time_ymd(2020, 1, 1);
    parameters.not_after = date_time_ymd(2030, 1, 1);
    change(&mut parameters);
    parameters.self_signed(&KeyPair::generate().unwrap()).unwrap().der().clone()
}

fn ours(is_ca: IsCa) -> CertificateDer<'static> {
    certificate(is_ca, |_| {})
}

fn authority() -> IsCa {
    IsCa::Ca(BasicConstraints::Unconstrained)
}

/// What is said in the year 2026 of a server that shows `shown` and was called by `host`, where `root` is trusted.
fn said(shown: &CertificateDer<'_>, root: &CertificateDer<'static>, host: &str) -> Result<(), Error> {
    let mut roots = RootCertStore::empty();
    roots.add(root.clone()).unwrap();
    let trust = Trust::SignedForHost(Roots { anchors: roots, certificates: vec![root.clone()] });
    let verifier = Verifier { trust, provider: Arc::new(rustls::crypto::ring::default_provider()) };
    let now = UnixTime::since_unix_epoch(Duration::from_secs(1_780_000_000));
    let host = ServerName::try_from(host.to_owned()).unwrap();
    verifier.verify_server_cert(shown, &[], &host, &[], now).map(|_| ())
}

#[test]
fn one_that_is_its_own_root_is_believed() {
    for is_ca in [authority(), IsCa::ExplicitNoCa, IsCa::NoCa] {
        let ours = ours(is_ca);
        assert_eq!(said(&ours, &ours, "db.example"), Ok(()), "{is_ca:?}");
    }
}

#[test]
fn not_for_another_host() {
    let ours = ours(authority());
    assert!(matches!(said(&ours, &ours, "other.example"), Err(Error::InvalidCertificate(_))));
}

#[test]
fn not_before_nor_after_its_time() {
    for change in [
        |parameters: &mut CertificateParams| parameters.not_after = date_time_ymd(2025, 1, 1),
        |parameters: &mut CertificateParams| parameters.not_before = date_time_ymd(2029, 1, 1),
    ] {
        let ours = certificate(authority(), change);
        assert!(matches!(said(&ours, &ours, "db.example"), Err(Error::InvalidCertificate(_))));
    }
}

#[test]
fn none_that_only_bears_its_name() {
    for is_ca in [authority(), IsCa::NoCa] {
        let said = said(&ours(is_ca), &ours(is_ca), "db.example");
        assert!(matches!(said, Err(Error::InvalidCertificate(_))), "{said:?}");
    }
}

/// OpenSSL asks for its issuer then, too.
#[test]
fn none_that_another_has_signed_and_is_not_there() {
    let mut parameters = CertificateParams::new(vec!["db.example".to_owned()]).unwrap();
    parameters.is_ca = authority();
    parameters.distinguished_name.push(DnType::CommonName, "db.example");
    let issuer =
        rcgen::CertifiedIssuer::self_signed(CertificateParams::default(), KeyPair::generate().unwrap()).unwrap();
    let shown = parameters.signed_by(&KeyPair::generate().unwrap(), &issuer).unwrap().der().clone();
    assert!(matches!(said(&shown, &shown, "db.example"), Err(Error::InvalidCertificate(_))));
}
