//! Messages of our own: the few that crossfade says itself.

use bytes::{Bytes, BytesMut};
use pgwire::messages::Message;
use pgwire::messages::response::ErrorResponse;

use super::frame::message;

/// How bad an error is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Severity {
    /// The statement failed.
    Error,
    /// The session ends.
    Fatal,
}

impl Severity {
    fn text(self) -> &'static str {
        match self {
            Self::Error => "ERROR",
            Self::Fatal => "FATAL",
        }
    }
}

/// An ErrorResponse with a five-character SQLSTATE.
pub fn error_response(severity: Severity, sqlstate: &str, text: &str) -> Bytes {
    let severity = severity.text().to_owned();
    let fields = vec![(b'S', severity.clone()), (b'V', severity), (b'C', sqlstate.to_owned()), (b'M', text.to_owned())];
    encode(&ErrorResponse::new(fields))
}

/// NoData, in place of a RowDescription.
pub fn no_data() -> [u8; 5] {
    [b'n', 0, 0, 0, 4]
}

/// A Parse. The client's name and text need not be UTF-8, which pgwire wants.
pub fn parse_message(name: &[u8], sql: &[u8], types: &[u32]) -> Vec<u8> {
    let count = (types.len() as u16).to_be_bytes();
    let types: Vec<u8> = types.iter().flat_map(|oid| oid.to_be_bytes()).collect();
    message(b'P', &[name, &[0], sql, &[0], &count, &types])
}

/// A Close of a prepared statement.
pub fn close_statement_message(name: &[u8]) -> Vec<u8> {
    message(b'C', &[b"S", name, &[0]])
}

/// A Close of a portal.
pub fn close_portal_message(name: &[u8]) -> Vec<u8> {
    message(b'C', &[b"P", name, &[0]])
}

/// A Bind without parameters, for results as text.
pub fn bind_message(portal: &[u8], statement: &[u8]) -> Vec<u8> {
    message(b'B', &[portal, &[0], statement, &[0], &[0; 6]])
}

/// An Execute for all rows.
pub fn execute_message(portal: &[u8]) -> Vec<u8> {
    message(b'E', &[portal, &[0; 5]])
}

fn encode(message: &impl Message) -> Bytes {
    let mut bytes = BytesMut::new();
    // Encoding into memory fails only for messages over 2 GiB, which ours are not: an empty answer is then right too.
    let _ = message.encode(&mut bytes);
    bytes.freeze()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::{HEADER, Target, bind, close_or_describe, error_fields, execute, header, parse};

    #[test]
    fn our_errors_read_as_the_protocol_says() {
        let message = error_response(Severity::Fatal, "53300", "sorry, too many clients already");
        assert_eq!(header(&message).unwrap().unwrap().size, message.len());
        let fields: Vec<_> = error_fields(&message[HEADER..]).collect();
        assert!(fields.contains(&(b'C', b"53300")) && fields.contains(&(b'V', b"FATAL")));
    }

    #[test]
    fn our_requests_read_as_the_protocol_says() {
        let message = parse_message(b"s", b"select $1", &[23]);
        assert_eq!(header(&message).unwrap().unwrap().size, message.len());
        let read = parse(&message[HEADER..]).unwrap();
        assert_eq!((read.name, read.sql, read.types()), (&b"s"[..], &b"select $1"[..], vec![23]));
        let message = close_statement_message(b"s");
        assert_eq!(header(&message).unwrap().unwrap().size, message.len());
        assert_eq!(close_or_describe(&message[HEADER..]).unwrap(), Target::Statement(b"s"));
        let message = close_portal_message(b"p");
        assert_eq!(close_or_describe(&message[HEADER..]).unwrap(), Target::Portal(b"p"));
        let message = bind_message(b"p", b"s");
        let read = bind(&message[HEADER..]).unwrap();
        assert_eq!((read.portal, read.statement, read.formats()), (&b"p"[..], &b"s"[..], 0));
        let message = execute_message(b"p");
        let read = execute(&message[HEADER..]).unwrap();
        assert_eq!((read.portal, read.limit), (&b"p"[..], 0));
    }
}
