//! What single rooms read from outside: the shadow's answers, SCRAM messages, the journal's records, URLs.

#![no_main]

use crossfade::config::PgUrl;
use crossfade::{mirror, net, reads};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    let Some((&room, rest)) = input.split_first() else { return };
    match room {
        b'a' => answers(rest),
        b's' => scram(rest),
        b'j' => mirror::fuzzing::journal(&parts(rest)),
        b'u' => url(rest),
        _ => {}
    }
});

/// Rows and messages are the same in whatever pieces they come; in front of what is no message more of them may be seen.
fn answers(input: &[u8]) {
    let Some((&size, stream)) = input.split_first() else { return };
    let (rows, messages, whole) = reads::fuzzing::answers(stream, stream.len());
    for frame in &messages {
        reads::fuzzing::described(frame);
    }
    let in_pieces = reads::fuzzing::answers(stream, size.into());
    if whole {
        assert_eq!(in_pieces, (rows, messages, whole));
    } else {
        assert!(in_pieces.0.starts_with(&rows) && in_pieces.1.starts_with(&messages) && !in_pieces.2);
    }
}

fn scram(input: &[u8]) {
    if let [verifier, first, last, ..] = input.split(|&byte| byte == b'\n').collect::<Vec<_>>()[..] {
        net::fuzzing::scram(std::str::from_utf8(verifier).unwrap_or_default(), first, last);
    }
}

fn url(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    if let Ok(url) = text.parse::<PgUrl>() {
        let _ = format!("{url} {url:?}");
    }
}

/// Each behind its length in two bytes.
fn parts(mut input: &[u8]) -> Vec<&[u8]> {
    let mut parts = Vec::new();
    while let Some((&length, rest)) = input.split_first_chunk() {
        let (part, rest) = rest.split_at(rest.len().min(u16::from_le_bytes(length).into()));
        parts.push(part);
        input = rest;
    }
    parts
}
