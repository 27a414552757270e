//! What the fuzz targets share: a conversation as they take it from bytes, and settings.

use crossfade::config::{Settings, Sources};
use crossfade::wire::{self, HEADER, Header};

/// Who speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    Client,
    Server,
}

/// All that one side says before the other does.
#[derive(Debug)]
pub struct Turn {
    pub side: Side,
    pub bytes: Vec<u8>,
}

/// Reads a conversation: records of a tag, whose top bit says that the server speaks, two bytes of length, and a body. The
/// header of the message is made, so that most changes to an input leave messages; a tag of zero stands for bytes
/// without a header.
pub fn conversation(mut input: &[u8]) -> Vec<Turn> {
    let mut turns: Vec<Turn> = Vec::new();
    while let Some((&[tag, low, high], rest)) = input.split_first_chunk() {
        let side = if tag & 0x80 == 0 { Side::Client } else { Side::Server };
        let (body, rest) = rest.split_at(rest.len().min(u16::from_le_bytes([low, high]).into()));
        input = rest;
        let mut bytes = Vec::new();
        if tag & 0x7f != 0 {
            bytes.push(tag & 0x7f);
            bytes.extend_from_slice(&(body.len() as u32 + 4).to_be_bytes());
        }
        bytes.extend_from_slice(body);
        match turns.last_mut() {
            Some(turn) if turn.side == side => turn.bytes.extend(bytes),
            _ => turns.push(Turn { side, bytes }),
        }
    }
    turns
}

/// The whole messages at the front of `bytes`.
pub fn messages(mut bytes: &[u8]) -> Vec<&[u8]> {
    let mut messages = Vec::new();
    while let Ok(Some(Header { size, .. })) = wire::header(bytes) {
        let Some((message, rest)) = bytes.split_at_checked(size) else { break };
        messages.push(message);
        bytes = rest;
    }
    messages
}

/// What is behind the header.
pub fn body(message: &[u8]) -> &[u8] {
    &message[HEADER..]
}

/// Between two servers that nobody asks for, with a certificate for clients or without.
///
/// # Panics
/// Where there is no folder for temporary files.
pub fn settings(tls: bool) -> Settings {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let variable = |key: &str, value: &str| (format!("CROSSFADE_{key}").into(), value.into());
    let mut variables = vec![
        variable("PRIMARY__URL", "postgres://a@127.0.0.1:1/a"),
        variable("SHADOW__URL", "postgres://a@127.0.0.1:2/a"),
    ];
    if tls {
        let made = rcgen::generate_simple_self_signed(vec!["localhost".into()]).expect("a certificate");
        for (key, name, text) in [
            ("LISTEN__TLS_CERT", "server.crt", made.cert.pem()),
            ("LISTEN__TLS_KEY", "server.key", made.signing_key.serialize_pem()),
        ] {
            let path = folder.path().join(name);
            std::fs::write(&path, text).expect("a file");
            variables.push(variable(key, &path.display().to_string()));
        }
    }
    Sources::with_environment(None, variables).load().expect("settings").settings
}
