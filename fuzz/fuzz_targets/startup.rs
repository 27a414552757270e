//! The first packets of a connection, in any bytes and any pieces, and the messages of a login.

#![no_main]

use std::sync::{Arc, LazyLock};

use crossfade::catalog::Catalog;
use crossfade::net::fuzzing::asked;
use crossfade::session::{Session, testing};
use crossfade::wire::{self, HEADER, Severity, StartupPacket};
use libfuzzer_sys::fuzz_target;

static CATALOG: LazyLock<Catalog> = LazyLock::new(testing::catalog);

fuzz_target!(|bytes: &[u8]| {
    packet(bytes);
    for tls in [true, false] {
        talk(bytes, tls);
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
