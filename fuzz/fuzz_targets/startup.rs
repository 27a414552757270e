//! The first packets of a connection, in any bytes and any pieces, with and without TLS, and the messages of a login.

#![no_main]

use std::sync::{Arc, LazyLock};

use crossfade::catalog::Catalog;
use crossfade::net::fuzzing::{Became, Reader, asked};
use crossfade::session::{Session, testing};
use crossfade::wire::{self, HEADER, Severity, StartupPacket};
use crossfade_fuzz::settings;
use libfuzzer_sys::fuzz_target;

static CATALOG: LazyLock<Catalog> = LazyLock::new(testing::catalog);

thread_local! {
    /// One that has a certificate, and one that has none.
    static READERS: [Reader; 2] = [true, false].map(|tls| Reader::new(settings(tls)).expect("a free port"));
}

fuzz_target!(|bytes: &[u8]| {
    packet(bytes);
    for tls in [true, false] {
        talk(bytes, tls);
    }
    if let Some((&cut, bytes)) = bytes.split_first() {
        connection(bytes, cut);
    }
    login(bytes);
    if let Ok(text) = std::str::from_utf8(bytes) {
        spoken(text);
    }
});

/// A packet is there when it is whole, and then it does not matter what follows it.
fn packet(bytes: &[u8]) {
    let whole = wire::startup_packet(bytes);
    let Ok(Some((packet, size))) = &whole else { return };
    assert!((8..=10_000).contains(size) && *size <= bytes.len());
    assert_eq!(wire::startup_packet(&bytes[..*size]), whole);
    for cut in [0, 3, 4, 7, 8, size / 2, size - 1] {
        assert!(cut >= *size || wire::startup_packet(&bytes[..cut]) == Ok(None));
    }
    if let StartupPacket::Startup(startup) = packet {
        let _ = startup.is_replication();
        assert!(!Session::tracked(startup, &CATALOG, &Arc::default()).is_logged_in());
        assert!(!Session::unread(startup).is_logged_in());
    }
}

/// Only what came too early depends on the pieces in which it came, and encryption is promised where it can be had.
fn talk(bytes: &[u8], tls: bool) {
    let patient = asked(bytes.chunks(1), tls);
    assert!(!patient.is_early && patient.taken <= bytes.len());
    assert!([&b""[..], b"N", b"NN", b"S", b"NS"].contains(&&patient.answers[..]));
    assert!(tls || !patient.answers.contains(&b'S'));
    for size in [2, 7, 8, 9, bytes.len().max(1)] {
        let talk = asked(bytes.chunks(size), tls);
        if talk.is_early {
            assert!(patient.answers.len() > talk.answers.len() && patient.answers.starts_with(&talk.answers));
        } else {
            assert_eq!(talk, patient);
        }
    }
}

/// The same by a socket: it always ends, nothing in clear becomes an encrypted session, and what it becomes was said.
fn connection(bytes: &[u8], cut: u8) {
    let (front, back) = bytes.split_at(bytes.len().min(cut.into()));
    for (reader, tls) in [(0, true), (1, false)] {
        let heard = READERS.with(|readers| readers[reader].hear(&[front, back]));
        let (became, heard) = heard.expect("two ends of a connection");
        match became {
            Became::Session { message, encrypted } => {
                assert!(!encrypted && heard.iter().all(|&byte| byte == b'N'));
                assert!(bytes.windows(message.len()).any(|window| window == message));
            }
            Became::Cancel | Became::Gone => assert!(heard.iter().all(|&byte| byte == b'N')),
            Became::Refused => assert!(tls || heard.is_empty() || heard.contains(&b'E')),
        }
    }
}

fn login(bytes: &[u8]) {
    if let Ok(wire::Authentication::Sasl(mechanisms)) = wire::authentication(bytes) {
        let offer = wire::sasl_offer(&mechanisms);
        assert_eq!(size(&offer), offer.len());
    }
    if let Ok((mechanism, data)) = wire::sasl_initial_response(bytes) {
        let again = wire::sasl_begin(mechanism, data);
        assert_eq!(&again[HEADER..], bytes);
    }
    for data in [wire::sasl_challenge(bytes), wire::sasl_outcome(bytes)] {
        assert_eq!(size(&data), data.len());
        assert!(wire::authentication(&data[HEADER..]).is_ok());
    }
}

/// What crossfade says itself is a message, whatever it says.
fn spoken(text: &str) {
    let error = wire::error_response(Severity::Fatal, "08P01", text);
    assert_eq!(size(&error), error.len());
    let parse = wire::parse_message(b"s", text.as_bytes(), &[23]);
    assert_eq!(size(&parse), parse.len());
}

fn size(message: &[u8]) -> usize {
    wire::header(message).expect("a length").expect("a whole header").size
}
