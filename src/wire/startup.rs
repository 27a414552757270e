//! The first packets of a connection, which have no tag (documentation, 55.2.1 and 55.7).

use super::{Malformed, cstring};

/// The longest start-up packet the server takes (`MAX_STARTUP_PACKET_LENGTH`).
const LONGEST: usize = 10_000;
const CANCEL: u32 = 80_877_102;
const SSL: u32 = 80_877_103;
const GSS: u32 = 80_877_104;

/// A first packet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StartupPacket {
    /// SSLRequest
    Ssl,
    /// GSSENCRequest
    Gss,
    /// CancelRequest, with the key to cancel: process id and secret.
    Cancel(Vec<u8>),
    /// StartupMessage
    Startup(Startup),
}

/// A StartupMessage: forwarded byte for byte, looked at for these.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Startup {
    /// Every parameter in the order sent, duplicates kept.
    pub parameters: Vec<(String, String)>,
}

impl Startup {
    /// The last value given for a parameter.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.parameters.iter().rev().find(|(found, _)| found == name).map(|(_, value)| value.as_str())
    }

    /// Whether it asks for the replication protocol.
    pub fn is_replication(&self) -> bool {
        self.get("replication").is_some_and(|value| !matches!(value, "false" | "off" | "no" | "0"))
    }
}

/// The packet at the front of `bytes` and its size; `None` while it is not whole.
pub fn startup_packet(bytes: &[u8]) -> Result<Option<(StartupPacket, usize)>, Malformed> {
    let Some((length, rest)) = bytes.split_first_chunk() else { return Ok(None) };
    let size = u32::from_be_bytes(*length) as usize;
    if !(8..=LONGEST).contains(&size) {
        return Err(Malformed("the length of a start-up packet is out of range"));
    }
    let Some(body) = rest.get(..size - 4) else { return Ok(None) };
    let (code, body) = body.split_first_chunk().ok_or(Malformed("too short"))?;
    let packet = match u32::from_be_bytes(*code) {
        SSL => StartupPacket::Ssl,
        GSS => StartupPacket::Gss,
        CANCEL => StartupPacket::Cancel(body.to_vec()),
        version if version >> 16 == 3 => StartupPacket::Startup(parameters(body)?),
        _ => return Err(Malformed("unsupported frontend protocol")),
    };
    Ok(Some((packet, size)))
}

fn parameters(mut body: &[u8]) -> Result<Startup, Malformed> {
    let mut startup = Startup::default();
    while body.first().is_some_and(|&byte| byte != 0) {
        let (name, rest) = cstring(body)?;
        let (value, rest) = cstring(rest)?;
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        startup.parameters.push((text(name), text(value)));
        body = rest;
    }
    Ok(startup)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_startup_message_tells_who_and_where() {
        let body = b"\0\x03\0\0user\0bob\0database\0shop\0user\0eve\0\0";
        let mut bytes = (body.len() as u32 + 4).to_be_bytes().to_vec();
        bytes.extend_from_slice(body);
        for cut in 0..bytes.len() {
            assert_eq!(startup_packet(&bytes[..cut]).unwrap(), None);
        }
        let (packet, size) = startup_packet(&bytes).unwrap().unwrap();
        assert_eq!(size, bytes.len());
        let StartupPacket::Startup(startup) = packet else { panic!("{packet:?}") };
        assert_eq!((startup.get("user"), startup.get("database"), startup.get("x")), (Some("eve"), Some("shop"), None));
    }

    #[test]
    fn newer_minor_versions_long_keys_and_unknown_options_are_taken_as_they_come() {
        for version in [2_u16, 9999] {
            let options = b"user\0bob\0_pq_.novelty\0on\0\0";
            let mut bytes = (options.len() as u32 + 8).to_be_bytes().to_vec();
            bytes.extend_from_slice(&[[0, 3], version.to_be_bytes()].concat());
            bytes.extend_from_slice(options);
            let (packet, size) = startup_packet(&bytes).unwrap().unwrap();
            let StartupPacket::Startup(startup) = packet else { panic!("{packet:?}") };
            assert_eq!((size, startup.get("_pq_.novelty")), (bytes.len(), Some("on")));
        }
        let key = [7; 260];
        let mut bytes = (key.len() as u32 + 8).to_be_bytes().to_vec();
        bytes.extend_from_slice(&CANCEL.to_be_bytes());
        bytes.extend_from_slice(&key);
        assert_eq!(startup_packet(&bytes).unwrap(), Some((StartupPacket::Cancel(key.to_vec()), bytes.len())));
    }

    #[test]
    fn an_http_request_is_refused_at_once() {
        assert!(startup_packet(b"GET / HTTP/1.1\r\n").is_err());
    }

    proptest! {
        #[test]
        fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
            let _ = startup_packet(&bytes);
        }
    }
}
