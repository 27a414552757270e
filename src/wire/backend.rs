//! What the server sends: views of the bodies that decide anything, and the removal of columns from rows.

use super::{HEADER, Malformed, cstring};

/// The status byte of ReadyForQuery.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum TransactionStatus {
    /// `I`
    #[default]
    Idle,
    /// `T`
    InBlock,
    /// `E`
    Failed,
}

/// The body of a ReadyForQuery.
pub fn ready_status(body: &[u8]) -> Result<TransactionStatus, Malformed> {
    match body {
        [b'I'] => Ok(TransactionStatus::Idle),
        [b'T'] => Ok(TransactionStatus::InBlock),
        [b'E'] => Ok(TransactionStatus::Failed),
        _ => Err(Malformed("an unknown transaction status")),
    }
}

/// The body of a ParameterStatus: name and value.
pub fn parameter_status(body: &[u8]) -> Result<(&[u8], &[u8]), Malformed> {
    let (name, rest) = cstring(body)?;
    let (value, _) = cstring(rest)?;
    Ok((name, value))
}

/// The body of an ErrorResponse or NoticeResponse: fields by code.
pub fn error_fields(mut body: &[u8]) -> impl Iterator<Item = (u8, &[u8])> {
    std::iter::from_fn(move || {
        let (&code, rest) = body.split_first().filter(|(code, _)| **code != 0)?;
        let (value, rest) = cstring(rest).ok()?;
        body = rest;
        Some((code, value))
    })
}

/// Whether the body of an ErrorResponse says that the session ends.
pub fn is_fatal(body: &[u8]) -> bool {
    error_fields(body).any(|(code, text)| code == b'V' && matches!(text, b"FATAL" | b"PANIC"))
}

/// The body of a DataRow: fields, `None` is NULL.
pub fn data_row_fields(body: &[u8]) -> Result<Vec<Option<&[u8]>>, Malformed> {
    let (count, mut rest) = body.split_first_chunk().ok_or(Malformed("too short"))?;
    let mut fields = Vec::new();
    for _ in 0..u16::from_be_bytes(*count) {
        let (length, tail) = rest.split_first_chunk::<4>().ok_or(Malformed("too short"))?;
        match usize::try_from(i32::from_be_bytes(*length)) {
            Err(_) => {
                fields.push(None);
                rest = tail;
            }
            Ok(length) => {
                let (field, tail) = tail.split_at_checked(length).ok_or(Malformed("a field longer than its row"))?;
                fields.push(Some(field));
                rest = tail;
            }
        }
    }
    Ok(fields)
}

/// A RowDescription or DataRow without its last columns: a new front for the message and how much of it stays.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ColumnStrip {
    /// Header and column count of the shorter message.
    pub front: [u8; HEADER + 2],
    /// Its size, header included; the bytes behind the front stay as they are.
    pub size: usize,
}

/// Takes the last `columns` columns from a RowDescription (`T`) or DataRow (`D`), header included.
pub fn strip_columns(message: &[u8], columns: usize) -> Result<ColumnStrip, Malformed> {
    let (&[tag, _, _, _, _, high, low], mut rest) = message.split_first_chunk().ok_or(Malformed("too short"))?;
    let kept = usize::from(u16::from_be_bytes([high, low]))
        .checked_sub(columns)
        .ok_or(Malformed("fewer columns than were asked for"))?;
    for _ in 0..kept {
        let length = if tag == b'T' {
            cstring(rest)?.0.len() + 1 + 18
        } else {
            let (length, _) = rest.split_first_chunk::<4>().ok_or(Malformed("too short"))?;
            4 + usize::try_from(i32::from_be_bytes(*length)).unwrap_or(0)
        };
        rest = rest.get(length..).ok_or(Malformed("a column longer than its message"))?;
    }
    let size = message.len() - rest.len();
    let [a, b, c, d] = (size as u32 - 1).to_be_bytes();
    let [high, low] = (kept as u16).to_be_bytes();
    Ok(ColumnStrip { front: [tag, a, b, c, d, high, low], size })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn data_row(fields: &[Option<Vec<u8>>]) -> Vec<u8> {
        let mut body = (fields.len() as u16).to_be_bytes().to_vec();
        for field in fields {
            match field {
                None => body.extend_from_slice(&(-1_i32).to_be_bytes()),
                Some(bytes) => {
                    body.extend_from_slice(&(bytes.len() as u32).to_be_bytes());
                    body.extend_from_slice(bytes);
                }
            }
        }
        let mut message = vec![b'D'];
        message.extend_from_slice(&(body.len() as u32 + 4).to_be_bytes());
        message.extend(body);
        message
    }

    proptest! {
        #[test]
        fn a_stripped_row_is_the_row_of_the_first_columns(
            fields in prop::collection::vec(prop::option::of(prop::collection::vec(any::<u8>(), 0..9)), 2..9),
            take in 0_usize..9,
        ) {
            let take = take.min(fields.len());
            let message = data_row(&fields);
            let strip = strip_columns(&message, take).unwrap();
            let mut stripped = strip.front.to_vec();
            stripped.extend_from_slice(&message[strip.front.len()..strip.size]);
            prop_assert_eq!(stripped, data_row(&fields[..fields.len() - take]));
            let read: Vec<_> = data_row_fields(&message[HEADER..]).unwrap().into_iter().map(|f| f.map(<[u8]>::to_vec)).collect();
            prop_assert_eq!(read, fields);
        }

        #[test]
        fn no_bytes_panic(body in prop::collection::vec(any::<u8>(), 0..64)) {
            let _ = (data_row_fields(&body), strip_columns(&body, 2), error_fields(&body).count(), parameter_status(&body));
        }
    }
}
