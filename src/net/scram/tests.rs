//! Fed with messages of a client that knows the password, of one that does not, and of ones that make no sense.

use postgres_protocol::authentication::sasl::{ChannelBinding, ScramSha256};
use postgres_protocol::password::scram_sha_256;
use proptest::prelude::*;

use super::*;

fn verifier(password: &str) -> Verifier {
    Verifier::parse(&scram_sha_256(password.as_bytes())).unwrap()
}

/// A client that tries `password`; what came of it, and whether the client was satisfied.
fn exchange(verifier: Verifier, password: &str, binding: ChannelBinding) -> Result<(Proven, bool), ScramError> {
    let mut client = ScramSha256::new(password.as_bytes(), binding);
    let challenge = Challenge::new(verifier, client.message(), &nonce())?;
    client.update(challenge.message.as_bytes()).unwrap();
    let proven = challenge.judge(client.message())?;
    let satisfied = client.finish(proven.message.as_bytes()).is_ok();
    Ok((proven, satisfied))
}

#[test]
fn the_right_password_is_proved_to_both_sides_with_and_without_the_word_that_binding_is_possible() {
    for binding in [ChannelBinding::unsupported(), ChannelBinding::unrequested()] {
        assert!(exchange(verifier("s3cret"), "s3cret", binding).unwrap().1);
    }
}

#[test]
fn what_the_proof_laid_bare_logs_in_elsewhere_with_the_same_verifier_only() {
    let text = scram_sha_256(b"s3cret");
    let theirs = || Verifier::parse(&text).unwrap();
    for (at_primary, right) in [(theirs(), true), (verifier("s3cret"), false)] {
        let (proven, _) = exchange(theirs(), "s3cret", ChannelBinding::unsupported()).unwrap();
        let prover = Prover::new(proven.keys, nonce());
        let challenge = Challenge::new(at_primary, prover.first().as_bytes(), &nonce()).unwrap();
        let proof = prover.prove(challenge.message.as_bytes()).unwrap();
        match challenge.judge(proof.message.as_bytes()) {
            Ok(proven) => assert!(right && proof.is_answered_by(proven.message.as_bytes())),
            Err(error) => assert!(!right && error == ScramError::Wrong),
        }
        assert!(!proof.is_answered_by(b"v=AAAA") && !proof.is_answered_by(b"e=other-error"));
    }
}

#[test]
fn a_wrong_password_and_an_unknown_user_are_equally_wrong() {
    let wrong = exchange(verifier("s3cret"), "hunter2", ChannelBinding::unsupported()).err();
    let unknown = exchange(Verifier::mock("eve", &[7; 32]), "hunter2", ChannelBinding::unsupported()).err();
    assert_eq!((wrong, unknown), (Some(ScramError::Wrong), Some(ScramError::Wrong)));
}

#[test]
fn an_unknown_user_has_the_same_salt_every_time_and_another_than_others() {
    let salt = |user: &str, secret: u8| Verifier::mock(user, &[secret; 32]).salt;
    assert_eq!(salt("eve", 1), salt("eve", 1));
    assert_ne!(salt("eve", 1), salt("adam", 1));
    assert_ne!(salt("eve", 1), salt("eve", 2));
}

#[test]
fn a_binding_that_was_not_offered_is_refused() {
    let client = ScramSha256::new(b"x", ChannelBinding::tls_server_end_point(vec![1]));
    let refused = Challenge::new(verifier("x"), client.message(), "n").err();
    assert_eq!(refused, Some(ScramError::ChannelBinding));
}

#[test]
fn a_server_that_does_not_repeat_our_nonce_gets_no_proof() {
    let (proven, _) = exchange(verifier("x"), "x", ChannelBinding::unsupported()).unwrap();
    let refused = Prover::new(proven.keys, "abc".into()).prove(b"r=abdx,s=AAAA,i=4096").err();
    assert_eq!(refused, Some(ScramError::Malformed));
}

#[test]
fn what_is_no_verifier_is_none() {
    for text in ["", "md5abc", "SCRAM-SHA-256$0:AAAA$x:y", "SCRAM-SHA-256$4096:AAAA$AAAA:AAAA"] {
        assert!(Verifier::parse(text).is_none(), "{text}");
    }
}

proptest! {
    #[test]
    fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..64), text in "[nyp],[a,]?,n=.?,r=.*") {
        for first in [&bytes, text.as_bytes()] {
            if let Ok(challenge) = Challenge::new(Verifier::mock("a", &[0; 32]), first, "n") {
                let _ = challenge.judge(&bytes);
            }
        }
        let _ = Verifier::parse(&String::from_utf8_lossy(&bytes));
    }
}
