//! The start of a connection by a socket, with and without TLS: any bytes, in two pieces.

#![no_main]

use crossfade::net::fuzzing::{Became, Reader};
use crossfade_fuzz::settings;
use libfuzzer_sys::fuzz_target;

thread_local! {
    /// One that has a certificate, and one that has none.
    static READERS: [Reader; 2] = [true, false].map(|tls| Reader::new(settings(tls)).expect("a free port"));
}

fuzz_target!(|input: &[u8]| {
    if let Some((&cut, bytes)) = input.split_first() {
        connection(bytes, cut);
    }
});

/// It always ends, nothing in clear becomes an encrypted session, and what it becomes was said.
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
