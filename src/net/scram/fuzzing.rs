//! What `fuzz/` asks of a login.

use super::{Binding, Challenge, Keys, Prover, Verifier};

/// The two messages of a client, said to one that checks by this verifier and to one that knows none of the user; and the
/// two of a server, said to one that logs in.
pub fn scram(verifier: &str, first: &[u8], last: &[u8]) {
    for binding in [|| Binding::Impossible, || Binding::Declined, || Binding::EndPoint([4; 32].into())] {
        if let Some(verifier) = Verifier::parse(verifier)
            && let Ok(challenge) = Challenge::new(verifier, binding(), first, "ours")
        {
            let _ = challenge.judge(last);
        }
        if let Ok(challenge) = Challenge::new(Verifier::mock("bob", &[7; 32]), binding(), first, "ours") {
            assert!(challenge.judge(last).is_err(), "logged in as nobody");
        }
    }
    for end_point in [None, Some(vec![4; 32])] {
        let keys = Keys { client: [1; 32], stored: [2; 32], server: [3; 32] };
        if let Ok(proof) = Prover::new(keys, end_point, "ours".to_owned()).prove(first) {
            assert!(!proof.is_answered_by(last), "taken for a server that knows the verifier");
        }
    }
}
