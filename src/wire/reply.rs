//! Messages of our own: the few that crossfade says itself, encoded by pgwire.

use bytes::{Bytes, BytesMut};
use pgwire::messages::Message;
use pgwire::messages::extendedquery::Parse;
use pgwire::messages::response::ErrorResponse;

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
pub fn error_response(severity: Severity, sqlstate: &str, message: &str) -> Bytes {
    let severity = severity.text().to_owned();
    let fields =
        vec![(b'S', severity.clone()), (b'V', severity), (b'C', sqlstate.to_owned()), (b'M', message.to_owned())];
    encode(&ErrorResponse::new(fields))
}

/// NoData, in place of a RowDescription.
pub fn no_data() -> [u8; 5] {
    [b'n', 0, 0, 0, 4]
}

/// A Parse of the unnamed statement.
pub fn parse_message(sql: &str, types: &[u32]) -> Bytes {
    encode(&Parse::new(None, sql.to_owned(), types.to_vec()))
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
    use crate::wire::{HEADER, error_fields, header, parse};

    #[test]
    fn our_errors_read_as_the_protocol_says() {
        let message = error_response(Severity::Fatal, "53300", "sorry, too many clients already");
        assert_eq!(header(&message).unwrap().unwrap().size, message.len());
        let fields: Vec<_> = error_fields(&message[HEADER..]).collect();
        assert!(fields.contains(&(b'C', b"53300")) && fields.contains(&(b'V', b"FATAL")));
    }

    #[test]
    fn our_parse_reads_as_the_protocol_says() {
        let message = parse_message("select $1", &[23]);
        let read = parse(&message[HEADER..]).unwrap();
        assert_eq!((read.name, read.sql, read.types()), (&b""[..], &b"select $1"[..], vec![23]));
    }
}
