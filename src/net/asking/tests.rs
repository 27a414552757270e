//! Requests in every order, in one piece and byte by byte.

use proptest::prelude::*;

use super::*;

const SSL: &[u8] = &[0, 0, 0, 8, 4, 210, 22, 47];
const GSS: &[u8] = &[0, 0, 0, 8, 4, 210, 22, 48];
const CANCEL: &[u8] = &[0, 0, 0, 16, 4, 210, 22, 46, 0, 0, 0, 7, 1, 2, 3, 4];
const STARTUP: &[u8] = b"\0\0\0\x12\0\x03\0\0user\0bob\0\0";

/// What is said to these pieces, up to the end.
fn heard(mut asking: Asking, pieces: &[&[u8]]) -> Vec<Result<Step, Refusal>> {
    let (mut input, mut said) = (BytesMut::new(), Vec::new());
    for piece in pieces {
        input.extend_from_slice(piece);
        loop {
            match asking.step(&mut input) {
                Ok(Step::Wait) => break,
                Ok(Step::Decline) => said.push(Ok(Step::Decline)),
                end => {
                    said.push(end);
                    return said;
                }
            }
        }
    }
    said
}

fn bytes_of(pieces: &[&[u8]]) -> Vec<Vec<u8>> {
    pieces.concat().chunks(1).map(<[u8]>::to_vec).collect()
}

fn session() -> Step {
    let startup = Startup { parameters: vec![("user".into(), "bob".into())] };
    Step::Session(startup, BytesMut::from(STARTUP))
}

#[test]
fn every_order_of_requests_is_answered_the_same_in_messages_and_in_bytes() {
    let session = || Ok(session());
    let cancel = || Ok(Step::Cancel(CANCEL[8..].to_vec()));
    let declined = || Ok(Step::Decline);
    for (tls, pieces, expected) in [
        (false, vec![STARTUP], vec![session()]),
        (false, vec![CANCEL], vec![cancel()]),
        (false, vec![SSL, STARTUP], vec![declined(), session()]),
        (false, vec![GSS, SSL, STARTUP], vec![declined(), declined(), session()]),
        (false, vec![SSL, GSS, CANCEL], vec![declined(), declined(), cancel()]),
        (false, vec![SSL, SSL], vec![declined(), Err(Refusal::AskedTwice)]),
        (false, vec![GSS, SSL, GSS], vec![declined(), declined(), Err(Refusal::AskedTwice)]),
        (true, vec![STARTUP], vec![session()]),
        (true, vec![GSS, SSL], vec![declined(), Ok(Step::Encrypt)]),
        (true, vec![GSS, GSS], vec![declined(), Err(Refusal::AskedTwice)]),
        (true, vec![SSL, STARTUP], vec![Ok(Step::Encrypt)]),
    ] {
        let bytes = bytes_of(&pieces);
        let bytes: Vec<_> = bytes.iter().map(Vec::as_slice).collect();
        assert_eq!(heard(Asking::in_clear(tls), &pieces), expected);
        assert_eq!(heard(Asking::in_clear(tls), &bytes), expected);
    }
    for request in [SSL, GSS] {
        assert_eq!(heard(Asking::encrypted(), &[request]), [Err(Refusal::AskedTwice)]);
    }
    assert_eq!(heard(Asking::encrypted(), &[STARTUP]), [session()]);
}

#[test]
fn bytes_behind_a_request_for_encryption_end_it_whatever_they_are() {
    for request in [SSL, GSS] {
        for behind in [&b"\x16"[..], STARTUP, SSL, GSS, CANCEL, &[0]] {
            for tls in [false, true] {
                let piece = [request, behind].concat();
                assert_eq!(heard(Asking::in_clear(tls), &[&piece]), [Err(Refusal::EarlyData)]);
            }
        }
    }
}

proptest! {
    /// Only what came early depends on the pieces in which it came.
    #[test]
    fn nothing_but_early_bytes_depends_on_where_they_are_split(
        messages in prop::collection::vec(
            prop_oneof![Just(SSL), Just(GSS), Just(CANCEL), Just(STARTUP), Just(&b"\x16\x03\x01"[..]), Just(&[0; 8][..])],
            0..5,
        ),
        cut in any::<prop::sample::Index>(),
        tls in any::<bool>(),
    ) {
        let whole = messages.concat();
        let (front, back) = whole.split_at(cut.index(whole.len() + 1));
        let bytes = bytes_of(&messages);
        let bytes: Vec<_> = bytes.iter().map(Vec::as_slice).collect();
        let patient = heard(Asking::in_clear(tls), &bytes);
        for pieces in [vec![&whole[..]], vec![front, back]] {
            let said = heard(Asking::in_clear(tls), &pieces);
            if let Some((Err(Refusal::EarlyData), before)) = said.split_last() {
                let answered = matches!(patient[before.len()], Ok(Step::Decline | Step::Encrypt));
                prop_assert!(patient.starts_with(before) && answered);
            } else {
                prop_assert_eq!(&said, &patient);
            }
        }
    }
}
