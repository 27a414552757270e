//! Fed with messages of a client that knows the password, of one that does not, and of ones that make no sense.

use postgres_protocol::authentication::sasl::{ChannelBinding, ScramSha256};
use postgres_protocol::password::scram_sha_256;
use proptest::prelude::*;

use super::*;

fn verifier(password: &str) -> Verifier {
    Verifier::parse(&scram_sha_256(password.as_bytes())).unwrap()
}

/// A client that tries `password` and binds as it says, where nothing else is offered; what came of it, and whether the
/// client was satisfied.
fn exchange(verifier: Verifier, password: &str, client: ChannelBinding) -> Result<(Proven, bool), ScramError> {
    bound_exchange(verifier, password, Binding::Impossible, client)
}

fn bound_exchange(
    verifier: Verifier,
    password: &str,
    offered: Binding,
    client: ChannelBinding,
) -> Result<(Proven, bool), ScramError> {
    let mut client = ScramSha256::new(password.as_bytes(), client);
    let challenge = Challenge::new(verifier, offered, client.message(), &nonce())?;
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
        let prover = Prover::new(proven.keys, None, nonce());
        let challenge = Challenge::new(at_primary, Binding::Impossible, prover.first().as_bytes(), &nonce()).unwrap();
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
fn a_client_is_bound_to_our_certificate_or_not_let_in() {
    let tried = |offered, client| bound_exchange(verifier("x"), "x", offered, client).map(|(_, satisfied)| satisfied);
    let ours = || Binding::EndPoint([1, 2, 3].into());
    let bound = |hash: &[u8]| ChannelBinding::tls_server_end_point(hash.to_vec());
    assert_eq!(tried(ours(), bound(&[1, 2, 3])), Ok(true));
    assert_eq!(tried(ours(), bound(&[1, 2, 4])), Err(ScramError::BoundElsewhere));
    assert_eq!(tried(ours(), bound(&[])), Err(ScramError::BoundElsewhere));
    // It said that it binds, and does not; it binds, and did not say so.
    assert_eq!(tried(ours(), ChannelBinding::unsupported()), Err(ScramError::Malformed));
    for offered in [Binding::Impossible, Binding::Declined] {
        assert_eq!(tried(offered, bound(&[1, 2, 3])), Err(ScramError::Malformed));
    }
}

#[test]
fn a_client_from_which_the_offer_to_bind_was_hidden_is_not_let_in() {
    let tried = |client| bound_exchange(verifier("x"), "x", Binding::Declined, client).map(|(_, satisfied)| satisfied);
    assert_eq!(tried(ChannelBinding::unrequested()), Err(ScramError::Downgraded));
    assert_eq!(tried(ChannelBinding::unsupported()), Ok(true));
}

#[test]
fn our_own_login_is_bound_to_the_servers_certificate() {
    let text = scram_sha_256(b"x");
    let theirs = || Verifier::parse(&text).unwrap();
    for (shown, refused) in [([7; 32], None), ([8; 32], Some(ScramError::BoundElsewhere))] {
        let (proven, _) = exchange(theirs(), "x", ChannelBinding::unsupported()).unwrap();
        let prover = Prover::new(proven.keys, Some(shown.to_vec()), nonce());
        let server = Binding::EndPoint([7; 32].into());
        let challenge = Challenge::new(theirs(), server, prover.first().as_bytes(), &nonce()).unwrap();
        let proof = prover.prove(challenge.message.as_bytes()).unwrap();
        assert_eq!(challenge.judge(proof.message.as_bytes()).err(), refused);
    }
}

#[test]
fn a_server_that_does_not_repeat_our_nonce_gets_no_proof() {
    let (proven, _) = exchange(verifier("x"), "x", ChannelBinding::unsupported()).unwrap();
    let refused = Prover::new(proven.keys, None, "abc".into()).prove(b"r=abdx,s=AAAA,i=4096").err();
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
    fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..64), text in "([ny]|p=tls-server-end-point),[a,]?,n=.?,r=.*") {
        for first in [&bytes, text.as_bytes()] {
            for binding in [Binding::Impossible, Binding::Declined, Binding::EndPoint([1; 32].into())] {
                if let Ok(challenge) = Challenge::new(Verifier::mock("a", &[0; 32]), binding, first, "n") {
                    let _ = challenge.judge(&bytes);
                }
            }
        }
        let _ = Verifier::parse(&String::from_utf8_lossy(&bytes));
    }
}
