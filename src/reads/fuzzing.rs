//! What `fuzz/` asks of this room.

use bytes::{Bytes, BytesMut};

use super::frames::{Cut, Cutter, sqlstate};
use super::row_description::{has_foreign_column, has_foreign_parameter, translated};

/// What the shadow sends, cut as it comes in pieces of `size` bytes: all rows, the other messages, and whether all of it
/// was some.
pub fn answers(stream: &[u8], size: usize) -> (Vec<u8>, Vec<Bytes>, bool) {
    let (mut cutter, mut buffer) = (Cutter::default(), BytesMut::new());
    let (mut rows, mut messages) = (Vec::new(), Vec::new());
    for piece in stream.chunks(size.max(1)) {
        buffer.extend_from_slice(piece);
        loop {
            match cutter.cut(&mut buffer) {
                Ok(None) => break,
                Ok(Some(Cut::Rows(bytes))) => rows.extend_from_slice(&bytes),
                Ok(Some(Cut::Message { frame, .. })) => messages.push(frame),
                Err(_) => return (rows, messages, false),
            }
        }
    }
    (rows, messages, true)
}

/// Looks at a frame in every way; one whose columns are given other tables is as long as it was.
pub fn described(frame: &Bytes) {
    let _ = (sqlstate(frame), has_foreign_parameter(frame));
    let translated = translated(frame, |table, attribute| (table % 2 == 0).then_some((7, attribute)));
    assert_eq!(translated.as_ref().map(Bytes::len), has_foreign_column(frame).as_ref().map(|_| frame.len()));
}
