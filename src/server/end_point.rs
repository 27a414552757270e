//! What SCRAM is bound to: the hash of the certificate that the server of a TLS connection showed (RFC 5929,
//! `tls-server-end-point`). Reads no more of a certificate than by what it was signed, and believes nothing in it.

use sha2::{Digest as _, Sha224, Sha256, Sha384, Sha512};

/// With which digest a certificate was signed, as far as it matters here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum SignedWith {
    Sha224,
    /// Or with MD5 or SHA-1, in whose place it stands.
    Sha256,
    Sha384,
    Sha512,
}

/// The hash of a certificate in DER form. `None` where there is no such hash: by Ed25519 no digest is named, and libpq knows
/// no binding to it either.
pub fn end_point(certificate: &[u8]) -> Option<Vec<u8>> {
    Some(match signed_with(certificate)? {
        SignedWith::Sha224 => Sha224::digest(certificate).to_vec(),
        SignedWith::Sha256 => Sha256::digest(certificate).to_vec(),
        SignedWith::Sha384 => Sha384::digest(certificate).to_vec(),
        SignedWith::Sha512 => Sha512::digest(certificate).to_vec(),
    })
}

const SEQUENCE: u8 = 0x30;
const OBJECT_IDENTIFIER: u8 = 0x06;
/// `[0]`, explicitly tagged.
const FIRST_FIELD: u8 = 0xa0;

/// 1.2.840.113549.1.1, the algorithms with RSA; one more byte says which.
const RSA: &[u8] = b"\x2a\x86\x48\x86\xf7\x0d\x01\x01";
/// 1.2.840.10045.4.1, with SHA-1.
const ECDSA_SHA1: &[u8] = b"\x2a\x86\x48\xce\x3d\x04\x01";
/// 1.2.840.10045.4.3, the algorithms with ECDSA and SHA-2.
const ECDSA: &[u8] = b"\x2a\x86\x48\xce\x3d\x04\x03";
/// 2.16.840.1.101.3.4.2, the digests of SHA-2.
const SHA2: &[u8] = b"\x60\x86\x48\x01\x65\x03\x04\x02";

/// `Certificate ::= SEQUENCE { tbsCertificate, signatureAlgorithm, … }`
fn signed_with(certificate: &[u8]) -> Option<SignedWith> {
    let (fields, _) = value(SEQUENCE, certificate)?;
    let (_, behind) = value(SEQUENCE, fields)?;
    let (algorithm, _) = value(SEQUENCE, behind)?;
    let (name, parameters) = value(OBJECT_IDENTIFIER, algorithm)?;
    let (&last, family) = name.split_last()?;
    match (family, last) {
        _ if name == ECDSA_SHA1 => Some(SignedWith::Sha256),
        (RSA, 10) => pss_digest(parameters),
        (RSA, 14) | (ECDSA, 1) => Some(SignedWith::Sha224),
        // 4 and 5 with MD5 and SHA-1.
        (RSA, 4 | 5 | 11) | (ECDSA, 2) => Some(SignedWith::Sha256),
        (RSA, 12) | (ECDSA, 3) => Some(SignedWith::Sha384),
        (RSA, 13) | (ECDSA, 4) => Some(SignedWith::Sha512),
        _ => None,
    }
}

/// `RSASSA-PSS-params ::= SEQUENCE { [0] hashAlgorithm DEFAULT sha1, … }`
fn pss_digest(parameters: &[u8]) -> Option<SignedWith> {
    let (fields, _) = value(SEQUENCE, parameters)?;
    let Some((digest, _)) = value(FIRST_FIELD, fields) else { return Some(SignedWith::Sha256) };
    let (algorithm, _) = value(SEQUENCE, digest)?;
    let (name, _) = value(OBJECT_IDENTIFIER, algorithm)?;
    match name.strip_prefix(SHA2)? {
        [4] => Some(SignedWith::Sha224),
        [1] => Some(SignedWith::Sha256),
        [2] => Some(SignedWith::Sha384),
        [3] => Some(SignedWith::Sha512),
        _ => None,
    }
}

/// The value with this tag at the front of `der`, and what follows it.
fn value(tag: u8, der: &[u8]) -> Option<(&[u8], &[u8])> {
    let [found, short, rest @ ..] = der else { return None };
    let (length, rest) = match short {
        0..=0x7f => (usize::from(*short), rest),
        // In so many bytes: a certificate is no longer than three can tell.
        0x81..=0x83 => {
            let (bytes, rest) = rest.split_at_checked(usize::from(short & 0x7f))?;
            (bytes.iter().fold(0, |length, &byte| length << 8 | usize::from(byte)), rest)
        }
        _ => return None,
    };
    (*found == tag).then(|| rest.split_at_checked(length))?
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// A certificate signed by this algorithm, and of what else one has only the outlines.
    fn signed(algorithm: &[u8]) -> Vec<u8> {
        let sequence = |content: &[u8]| [&[SEQUENCE, 0x82, 0, content.len() as u8], content].concat();
        sequence(&[sequence(b"to be signed"), sequence(algorithm), b"\x03\x02\x00\xff".to_vec()].concat())
    }

    fn by_name(family: &[u8], last: u8) -> Vec<u8> {
        [&[OBJECT_IDENTIFIER, family.len() as u8 + 1], family, &[last]].concat()
    }

    fn pss(parameters: &[u8]) -> Vec<u8> {
        [by_name(RSA, 10), [&[SEQUENCE, parameters.len() as u8], parameters].concat()].concat()
    }

    #[test]
    fn the_digest_is_the_signatures_and_never_a_weak_one() {
        for (algorithm, size) in [
            (by_name(RSA, 4), 32),
            (by_name(RSA, 5), 32),
            (by_name(RSA, 14), 28),
            (by_name(RSA, 11), 32),
            (by_name(RSA, 12), 48),
            (by_name(RSA, 13), 64),
            (by_name(&ECDSA_SHA1[..6], 1), 32),
            (by_name(ECDSA, 1), 28),
            (by_name(ECDSA, 2), 32),
            (by_name(ECDSA, 3), 48),
            (by_name(ECDSA, 4), 64),
            (pss(b""), 32),
            (pss(b"\xa0\x0f\x30\x0d\x06\x09\x60\x86\x48\x01\x65\x03\x04\x02\x02\x05\x00"), 48),
        ] {
            let hash = end_point(&signed(&algorithm)).expect("a hash");
            assert_eq!(hash.len(), size, "{algorithm:02x?}");
        }
        let certificate = signed(&by_name(ECDSA, 3));
        assert_eq!(end_point(&certificate).unwrap(), Sha384::digest(&certificate).to_vec());
    }

    #[test]
    fn what_names_no_digest_has_no_hash() {
        let ed25519 = b"\x06\x03\x2b\x65\x70";
        for algorithm in [&ed25519[..], b"", &pss(b"\xa0\x05\x30\x03\x06\x01\x2a"), &by_name(RSA, 99)] {
            assert_eq!(end_point(&signed(algorithm)), None, "{algorithm:02x?}");
        }
    }

    proptest! {
        #[test]
        fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..64), cut in 0_usize..40) {
            let _ = end_point(&bytes);
            let whole = signed(&by_name(RSA, 11));
            let cut = &whole[..cut.min(whole.len() - 3)];
            prop_assert!(end_point(cut).is_none());
        }
    }
}
