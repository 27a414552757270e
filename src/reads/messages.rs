//! The messages that we write: a client's, to the shadow; and a server's, where the client needs one that the shadow did
//! not send.

use bytes::{BufMut, Bytes, BytesMut};

const CANCEL_REQUEST: u32 = 80_877_102;

/// ParseComplete.
pub(super) const PARSE_COMPLETE: &[u8] = b"1\0\0\0\x04";
/// BindComplete.
pub(super) const BIND_COMPLETE: &[u8] = b"2\0\0\0\x04";
/// ReadyForQuery outside a transaction.
pub(super) const READY: &[u8] = b"Z\0\0\0\x05I";
/// ReadyForQuery in a transaction block.
pub(super) const READY_IN_BLOCK: &[u8] = b"Z\0\0\0\x05T";
/// What Bind says behind the names when there are no parameters and all results are text.
pub(super) const BIND_NOTHING: &[u8] = &[0; 6];

/// The parameters in text form with their places, from what Bind says behind the names; `None`: it is not well formed.
pub(super) fn text_parameters(bind: &[u8]) -> Option<Vec<(usize, &[u8])>> {
    let (formats, rest) = counted(bind)?;
    let (formats, mut rest) = rest.split_at_checked(2 * formats)?;
    let (formats, _) = formats.as_chunks::<2>();
    let count;
    (count, rest) = counted(rest)?;
    let mut texts = Vec::new();
    for at in 0..count {
        let (length, behind) = rest.split_first_chunk::<4>()?;
        // Minus one: NULL.
        let length = usize::try_from(i32::from_be_bytes(*length)).unwrap_or(0);
        let value;
        (value, rest) = behind.split_at_checked(length)?;
        let format = if formats.len() == 1 { formats.first() } else { formats.get(at) };
        if format.is_none_or(|format| *format == [0, 0]) {
            texts.push((at, value));
        }
    }
    Some(texts)
}

fn counted(bytes: &[u8]) -> Option<(usize, &[u8])> {
    let (count, rest) = bytes.split_first_chunk::<2>()?;
    Some((usize::from(u16::from_be_bytes(*count)), rest))
}

/// Parse.
pub(super) fn parse(out: &mut BytesMut, name: &str, sql: &[u8], parameter_types: &[u32]) {
    message(out, b'P', |out| {
        put_text(out, name.as_bytes());
        put_text(out, sql);
        out.put_u16(parameter_types.len() as u16);
        parameter_types.iter().for_each(|&oid| out.put_u32(oid));
    });
}

/// Describe of a prepared statement.
pub(super) fn describe_statement(out: &mut BytesMut, name: &str) {
    message(out, b'D', |out| {
        out.put_u8(b'S');
        put_text(out, name.as_bytes());
    });
}

/// Describe of the unnamed portal.
pub(super) fn describe_portal(out: &mut BytesMut) {
    message(out, b'D', |out| out.put_slice(b"P\0"));
}

/// Bind of the unnamed portal; `rest` is what follows the names.
pub(super) fn bind(out: &mut BytesMut, name: &str, rest: &[u8]) {
    message(out, b'B', |out| {
        put_text(out, b"");
        put_text(out, name.as_bytes());
        out.put_slice(rest);
    });
}

/// Execute of the unnamed portal, for so many rows; to its end, if `limit` is not above zero.
pub(super) fn execute(out: &mut BytesMut, limit: i32) {
    message(out, b'E', |out| {
        put_text(out, b"");
        out.put_i32(limit);
    });
}

/// Close of a prepared statement.
pub(super) fn close(out: &mut BytesMut, name: &str) {
    message(out, b'C', |out| {
        out.put_u8(b'S');
        put_text(out, name.as_bytes());
    });
}

/// Sync.
pub(super) fn sync(out: &mut BytesMut) {
    message(out, b'S', |_| ());
}

/// CancelRequest, `key` being the body of BackendKeyData.
pub(super) fn cancel(key: &[u8]) -> Bytes {
    let mut out = BytesMut::with_capacity(8 + key.len());
    out.put_u32(8 + key.len() as u32);
    out.put_u32(CANCEL_REQUEST);
    out.put_slice(key);
    out.freeze()
}

/// ErrorResponse.
pub(super) fn error(sqlstate: &str, message_text: &str) -> Bytes {
    let mut out = BytesMut::new();
    message(&mut out, b'E', |out| {
        for (field, text) in [(b'S', "ERROR"), (b'V', "ERROR"), (b'C', sqlstate), (b'M', message_text)] {
            out.put_u8(field);
            put_text(out, text.as_bytes());
        }
        out.put_u8(0);
    });
    out.freeze()
}

/// A message around what `body` puts. Bodies are bounded far below 2 GiB (`eligible` sees to it).
fn message(out: &mut BytesMut, tag: u8, body: impl FnOnce(&mut BytesMut)) {
    out.put_u8(tag);
    let length = out.len();
    out.put_u32(0);
    body(out);
    let size = (out.len() - length) as u32;
    out[length..length + 4].copy_from_slice(&size.to_be_bytes());
}

fn put_text(out: &mut BytesMut, text: &[u8]) {
    out.put_slice(text);
    out.put_u8(0);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn parameters_in_text_form_are_found() {
        let two = |formats: &[u8]| [formats, b"\0\x02\0\0\0\x01a\xff\xff\xff\xff\0\0"].concat();
        assert_eq!(text_parameters(&two(&[0, 0])), Some(vec![(0, &b"a"[..]), (1, &b""[..])]));
        assert_eq!(text_parameters(&two(&[0, 1, 0, 1])), Some(Vec::new()));
        assert_eq!(text_parameters(&two(&[0, 2, 0, 1, 0, 0])), Some(vec![(1, &b""[..])]));
        assert_eq!(text_parameters(BIND_NOTHING), Some(Vec::new()));
        assert_eq!(text_parameters(&[0, 0, 0, 1, 0, 0, 0, 9]), None);
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes: Vec<u8>) {
            text_parameters(&bytes);
        }
    }

    #[test]
    fn messages_are_as_the_protocol_has_them() {
        let mut out = BytesMut::new();
        parse(&mut out, "s1", b"SELECT $1", &[23]);
        bind(&mut out, "s1", BIND_NOTHING);
        execute(&mut out, 0);
        sync(&mut out);
        let expected: &[u8] = b"P\0\0\0\x17s1\0SELECT $1\0\0\x01\0\0\0\x17\
            B\0\0\0\x0e\0s1\0\0\0\0\0\0\0\
            E\0\0\0\x09\0\0\0\0\0\
            S\0\0\0\x04";
        assert_eq!(out, expected);
        assert_eq!(
            cancel(&[1, 2, 3, 4, 5, 6, 7, 8]),
            &b"\0\0\0\x10\x04\xd2\x16\x2e\x01\x02\x03\x04\x05\x06\x07\x08"[..]
        );
        assert_eq!(error("08006", "gone"), &b"E\0\0\0\x20SERROR\0VERROR\0C08006\0Mgone\0\0"[..]);
    }
}
