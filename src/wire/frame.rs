//! The five bytes in front of every message behind the start-up.

use thiserror::Error;

/// Bytes of a header: the tag and a length that counts itself.
pub const HEADER: usize = 5;

/// A message's tag and size.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// Its kind.
    pub tag: u8,
    /// Its bytes, header included.
    pub size: usize,
}

/// Bytes that are no message of the protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("malformed message: {0}")]
pub struct Malformed(pub &'static str);

/// The header at the front of `bytes`; `None` while it is not whole.
pub fn header(bytes: &[u8]) -> Result<Option<Header>, Malformed> {
    let Some((&[tag, a, b, c, d], _)) = bytes.split_first_chunk::<HEADER>() else { return Ok(None) };
    let length = i32::from_be_bytes([a, b, c, d]);
    match usize::try_from(length) {
        Ok(length) if length >= 4 => Ok(Some(Header { tag, size: length + 1 })),
        _ => Err(Malformed("a length below 4")),
    }
}

/// How much of the message under way, in one direction, still passes without a look.
#[derive(Debug, Clone, Copy, Default)]
pub struct Passing(usize);

impl Passing {
    /// This much passes.
    pub fn over(size: usize) -> Self {
        Self(size)
    }

    /// Whether what passed so far ends with a whole message.
    pub fn is_between_messages(self) -> bool {
        self.0 == 0
    }

    /// Moves `at` behind what passes of `input`; gives how many bytes that were.
    pub fn advance(&mut self, input: &[u8], at: &mut usize) -> usize {
        let passed = self.0.min(input.len() - *at);
        self.0 -= passed;
        *at += passed;
        passed
    }

    /// The same, and the header of the message that stands there; `None` while it is not whole.
    pub fn next(&mut self, input: &[u8], at: &mut usize) -> Result<Option<Header>, Malformed> {
        self.advance(input, at);
        header(&input[*at..])
    }
}

/// A message of our own, its body in parts.
pub(super) fn message(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
    let length: usize = parts.iter().map(|part| part.len()).sum();
    let mut message = vec![tag];
    message.extend_from_slice(&(length as u32 + 4).to_be_bytes());
    parts.iter().for_each(|part| message.extend_from_slice(part));
    message
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_is_whole_or_not_there() {
        let bytes = [b'Q', 0, 0, 0, 6, b'x', 0];
        for cut in 0..HEADER {
            assert_eq!(header(&bytes[..cut]), Ok(None));
        }
        assert_eq!(header(&bytes), Ok(Some(Header { tag: b'Q', size: 7 })));
        assert!(header(&[b'Q', 0, 0, 0, 3]).is_err());
        assert!(header(&[b'Q', 0xFF, 0, 0, 0]).is_err());
    }
}
