//! The messages of a SASL login, for the one case in which crossfade takes part in it.

use super::frame::message;
use super::{Malformed, cstring};

/// The mechanism that every client knows.
pub const SCRAM_SHA_256: &[u8] = b"SCRAM-SHA-256";
/// The same bound to the TLS connection, which no relay between two of them can satisfy.
pub const SCRAM_SHA_256_PLUS: &[u8] = b"SCRAM-SHA-256-PLUS";

const SASL: u32 = 10;
const SASL_CONTINUE: u32 = 11;
const SASL_FINAL: u32 = 12;

/// What the server asks for at login.
#[derive(Debug, PartialEq, Eq)]
pub enum Authentication<'a> {
    /// One of these mechanisms.
    Sasl(Vec<&'a [u8]>),
    /// An answer to this challenge.
    SaslContinue(&'a [u8]),
    /// Nothing more of SASL; its own proof.
    SaslFinal(&'a [u8]),
    /// Nothing, or something else.
    Other,
}

/// The body of an authentication request (`R`).
pub fn authentication(body: &[u8]) -> Result<Authentication<'_>, Malformed> {
    let (kind, data) = body.split_first_chunk().ok_or(Malformed("an authentication request without a kind"))?;
    Ok(match u32::from_be_bytes(*kind) {
        SASL => Authentication::Sasl(data.split(|&byte| byte == 0).filter(|name| !name.is_empty()).collect()),
        SASL_CONTINUE => Authentication::SaslContinue(data),
        SASL_FINAL => Authentication::SaslFinal(data),
        _ => Authentication::Other,
    })
}

/// AuthenticationSASL with these mechanisms.
pub fn sasl_offer(mechanisms: &[&[u8]]) -> Vec<u8> {
    let mut names = Vec::new();
    for name in mechanisms {
        names.extend_from_slice(name);
        names.push(0);
    }
    names.push(0);
    request(SASL, &names)
}

/// AuthenticationSASLContinue.
pub fn sasl_challenge(data: &[u8]) -> Vec<u8> {
    request(SASL_CONTINUE, data)
}

/// AuthenticationSASLFinal.
pub fn sasl_outcome(data: &[u8]) -> Vec<u8> {
    request(SASL_FINAL, data)
}

fn request(kind: u32, data: &[u8]) -> Vec<u8> {
    message(b'R', &[&kind.to_be_bytes(), data])
}

/// The body of a SASLInitialResponse: mechanism and data.
pub fn sasl_initial_response(body: &[u8]) -> Result<(&[u8], &[u8]), Malformed> {
    let (mechanism, rest) = cstring(body)?;
    let (length, data) = rest.split_first_chunk().ok_or(Malformed("a SASL response without a length"))?;
    if u32::from_be_bytes(*length) as usize != data.len() {
        return Err(Malformed("a SASL response of another length than it says"));
    }
    Ok((mechanism, data))
}

/// SASLInitialResponse.
pub fn sasl_begin(mechanism: &[u8], data: &[u8]) -> Vec<u8> {
    message(b'p', &[mechanism, &[0], &(data.len() as u32).to_be_bytes(), data])
}

/// SASLResponse.
pub fn sasl_response(data: &[u8]) -> Vec<u8> {
    message(b'p', &[data])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::{HEADER, header};
    use proptest::prelude::*;

    #[test]
    fn an_offer_names_the_mechanisms_in_their_order() {
        let theirs = b"\0\0\0\x0aSCRAM-SHA-256-PLUS\0SCRAM-SHA-256\0\0";
        let Authentication::Sasl(mechanisms) = authentication(theirs).unwrap() else { panic!() };
        assert_eq!(mechanisms, [SCRAM_SHA_256_PLUS, SCRAM_SHA_256]);
        assert_eq!(&sasl_offer(&mechanisms)[HEADER..], theirs);
        let ours = sasl_offer(&mechanisms[1..]);
        assert_eq!(ours, b"R\0\0\0\x17\0\0\0\x0aSCRAM-SHA-256\0\0");
        assert_eq!(header(&ours).unwrap().unwrap().size, ours.len());
    }

    #[test]
    fn what_is_written_reads_back() {
        assert_eq!(
            authentication(&sasl_challenge(b"r=1")[HEADER..]).unwrap(),
            Authentication::SaslContinue(b"r=1".as_slice())
        );
        assert_eq!(authentication(&sasl_outcome(b"v=1")[HEADER..]).unwrap(), Authentication::SaslFinal(b"v=1"));
        assert_eq!(authentication(b"\0\0\0\0").unwrap(), Authentication::Other);
        let begin = sasl_begin(SCRAM_SHA_256, b"n,,");
        assert_eq!(sasl_initial_response(&begin[HEADER..]).unwrap(), (SCRAM_SHA_256, b"n,,".as_slice()));
    }

    proptest! {
        #[test]
        fn no_bytes_panic(body in prop::collection::vec(any::<u8>(), 0..64)) {
            let _ = (authentication(&body), sasl_initial_response(&body));
        }
    }
}
