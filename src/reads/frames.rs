//! Cutting what a server sends into messages, with bounded memory: rows pass in whatever pieces they come, all other
//! messages whole, and asynchronous ones not at all. Without I/O; no bytes make it panic.

use bytes::{Buf, Bytes, BytesMut};
use thiserror::Error;

/// Longer messages that are no rows are not waited for.
const MAX_MESSAGE: usize = 1 << 20;

const HEADER: usize = 5;

/// Bytes that are not what a server sends.
#[derive(Debug, Error, PartialEq, Eq)]
#[error("a message of impossible or excessive length")]
pub(super) struct Malformed;

/// What is at the front of the buffer, and how long it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Front {
    /// DataRow messages, one behind the other; the first and the last may be parts.
    Rows(usize),
    /// Another message.
    Message {
        /// Its type.
        tag: u8,
        /// With its header.
        size: usize,
    },
}

impl Front {
    /// Takes it off.
    pub(super) fn cut(self, buffer: &mut BytesMut) -> Cut {
        let mut take = |size| buffer.split_to(size).freeze();
        match self {
            Self::Rows(size) => Cut::Rows(take(size)),
            Self::Message { tag, size } => Cut::Message { tag, frame: take(size) },
        }
    }
}

/// A piece of what came.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Cut {
    /// DataRow messages, one behind the other; the first and the last may be parts.
    Rows(Bytes),
    /// Another message.
    Message {
        /// Its type.
        tag: u8,
        /// With its header.
        frame: Bytes,
    },
}

/// Where in the stream of one connection we are.
#[derive(Debug, Default)]
pub(super) struct Cutter {
    /// Of a DataRow, still to come.
    row: usize,
    /// Of a message that is dropped, still to come.
    dropped: usize,
}

impl Cutter {
    /// Takes the next piece off `buffer`; `None`: more is needed.
    pub(super) fn cut(&mut self, buffer: &mut BytesMut) -> Result<Option<Cut>, Malformed> {
        Ok(self.front(buffer)?.map(|front| front.cut(buffer)))
    }

    /// The next piece, which the caller takes off `buffer` before it asks again; `None`: more is needed.
    pub(super) fn front(&mut self, buffer: &mut BytesMut) -> Result<Option<Front>, Malformed> {
        loop {
            let dropped = self.dropped.min(buffer.len());
            buffer.advance(dropped);
            self.dropped -= dropped;
            let rows = self.rows(buffer)?;
            if rows > 0 {
                return Ok(Some(Front::Rows(rows)));
            }
            let Some((tag, size)) = header(buffer)? else { return Ok(None) };
            if is_asynchronous(tag) {
                self.dropped = size;
            } else if size > MAX_MESSAGE {
                return Err(Malformed);
            } else if buffer.len() < size {
                return Ok(None);
            } else {
                return Ok(Some(Front::Message { tag, size }));
            }
        }
    }

    /// Whether a part of a DataRow was given out and its rest was not.
    pub(super) fn is_inside_a_row(&self) -> bool {
        self.row > 0
    }

    /// How much of the front of `buffer` belongs to rows.
    fn rows(&mut self, buffer: &[u8]) -> Result<usize, Malformed> {
        let mut end = 0;
        loop {
            let taken = self.row.min(buffer.len() - end);
            self.row -= taken;
            end += taken;
            let rest = buffer.get(end..).unwrap_or_default();
            match header(rest)? {
                Some((b'D', length)) if self.row == 0 && self.dropped == 0 => self.row = length,
                _ => return Ok(end),
            }
        }
    }
}

/// Type and whole length of the message at the front, once they are there.
fn header(bytes: &[u8]) -> Result<Option<(u8, usize)>, Malformed> {
    let Some((&[tag, a, b, c, d], _)) = bytes.split_first_chunk::<HEADER>() else { return Ok(None) };
    let length = usize::try_from(i32::from_be_bytes([a, b, c, d])).map_err(|_| Malformed)?;
    if length < 4 { Err(Malformed) } else { Ok(Some((tag, length + 1))) }
}

/// Notices, notifications and changed settings of the shadow are none of the client's.
fn is_asynchronous(tag: u8) -> bool {
    matches!(tag, b'N' | b'A' | b'S')
}

/// What is behind the header.
pub(super) fn body(frame: &[u8]) -> &[u8] {
    frame.get(HEADER..).unwrap_or_default()
}

/// The SQLSTATE of an ErrorResponse.
pub(super) fn sqlstate(frame: &[u8]) -> Option<[u8; 5]> {
    body(frame).split(|&byte| byte == 0).find_map(|field| field.strip_prefix(b"C")?.try_into().ok())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn frame(tag: u8, body: &[u8]) -> Vec<u8> {
        [&[tag][..], &(body.len() as u32 + 4).to_be_bytes(), body].concat()
    }

    /// Feeds `stream` in pieces of `size` bytes; gives all rows joined, and the other messages.
    fn cut(stream: &[u8], size: usize) -> Result<(Vec<u8>, Vec<Vec<u8>>), Malformed> {
        let (mut cutter, mut buffer) = (Cutter::default(), BytesMut::new());
        let (mut rows, mut messages) = (Vec::new(), Vec::new());
        for piece in stream.chunks(size.max(1)) {
            buffer.extend_from_slice(piece);
            while let Some(cut) = cutter.cut(&mut buffer)? {
                match cut {
                    Cut::Rows(bytes) => rows.extend_from_slice(&bytes),
                    Cut::Message { frame, .. } => messages.push(frame.to_vec()),
                }
            }
        }
        assert!(!cutter.is_inside_a_row() && buffer.is_empty());
        Ok((rows, messages))
    }

    proptest! {
        #[test]
        fn rows_and_messages_are_the_same_in_whatever_pieces_they_come(
            messages in prop::collection::vec((prop::sample::select(b"DCZNSA".to_vec()), prop::collection::vec(any::<u8>(), 0..40)), 0..20),
            size in 1_usize..50,
        ) {
            let frames: Vec<_> = messages.iter().map(|(tag, body)| (*tag, frame(*tag, body))).collect();
            let of = |tags: &[u8]| -> Vec<Vec<u8>> {
                frames.iter().filter(|(tag, _)| tags.contains(tag)).map(|(_, frame)| frame.clone()).collect()
            };
            let stream: Vec<u8> = frames.iter().flat_map(|(_, frame)| frame.clone()).collect();
            prop_assert_eq!(cut(&stream, size).unwrap(), (of(b"D").concat(), of(b"CZ")));
        }

        #[test]
        fn no_bytes_make_it_panic(bytes: Vec<u8>) {
            let (mut cutter, mut buffer) = (Cutter::default(), BytesMut::from(&bytes[..]));
            while let Ok(Some(_)) = cutter.cut(&mut buffer) {}
            sqlstate(&bytes);
        }
    }

    #[test]
    fn a_row_passes_before_all_of_it_is_there() {
        let mut cutter = Cutter::default();
        let mut buffer = BytesMut::from(&frame(b'D', &[7; 100])[..50]);
        assert_eq!(cutter.cut(&mut buffer), Ok(Some(Cut::Rows(frame(b'D', &[7; 100])[..50].to_vec().into()))));
        assert!(cutter.is_inside_a_row());
        assert_eq!(cutter.cut(&mut buffer), Ok(None));
    }

    #[test]
    fn impossible_and_excessive_lengths_are_refused() {
        let cut = |bytes: &[u8]| Cutter::default().cut(&mut BytesMut::from(bytes));
        assert_eq!(cut(b"C\0\0\0\x03"), Err(Malformed));
        assert_eq!(cut(b"D\xff\0\0\0"), Err(Malformed));
        assert_eq!(cut(b"C\x7f\0\0\0"), Err(Malformed));
    }

    #[test]
    fn an_error_tells_its_sqlstate() {
        assert_eq!(sqlstate(&frame(b'E', b"SERROR\0C42P01\0Mno such table\0\0")), Some(*b"42P01"));
        assert_eq!(sqlstate(&frame(b'E', b"SERROR\0\0")), None);
    }
}
