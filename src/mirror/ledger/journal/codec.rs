//! Numbers and byte strings of a record: numbers as LEB128, strings behind their length.

use thiserror::Error;

/// Bytes that no encoder wrote.
#[derive(Debug, Error, PartialEq, Eq)]
#[error("the record cannot be decoded")]
pub(super) struct Malformed;

/// Appends to a buffer.
pub(super) struct Encoder<'a>(pub(super) &'a mut Vec<u8>);

impl Encoder<'_> {
    pub(super) fn number(&mut self, mut number: u64) {
        while number >= 0x80 {
            self.0.push(number as u8 | 0x80);
            number >>= 7;
        }
        self.0.push(number as u8);
    }

    pub(super) fn bytes(&mut self, bytes: &[u8]) {
        self.number(bytes.len() as u64);
        self.0.extend_from_slice(bytes);
    }

    pub(super) fn text(&mut self, text: &str) {
        self.bytes(text.as_bytes());
    }

    pub(super) fn option<T>(&mut self, value: Option<T>, encode: impl FnOnce(&mut Self, T)) {
        match value {
            None => self.number(0),
            Some(value) => {
                self.number(1);
                encode(self, value);
            }
        }
    }

    pub(super) fn list<T>(&mut self, items: impl ExactSizeIterator<Item = T>, mut encode: impl FnMut(&mut Self, T)) {
        self.number(items.len() as u64);
        items.for_each(|item| encode(self, item));
    }
}

/// Takes from the front of a record.
pub(super) struct Decoder<'a>(pub(super) &'a [u8]);

impl<'a> Decoder<'a> {
    pub(super) fn number(&mut self) -> Result<u64, Malformed> {
        let mut number = 0;
        for shift in (0..64).step_by(7) {
            let (&byte, rest) = self.0.split_first().ok_or(Malformed)?;
            self.0 = rest;
            let part = u64::from(byte & 0x7F);
            if (part << shift) >> shift != part {
                return Err(Malformed);
            }
            number |= part << shift;
            if byte & 0x80 == 0 {
                return Ok(number);
            }
        }
        Err(Malformed)
    }

    pub(super) fn number32(&mut self) -> Result<u32, Malformed> {
        self.number()?.try_into().map_err(|_| Malformed)
    }

    pub(super) fn flag(&mut self) -> Result<bool, Malformed> {
        match self.number()? {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(Malformed),
        }
    }

    pub(super) fn bytes(&mut self) -> Result<&'a [u8], Malformed> {
        let length = usize::try_from(self.number()?).map_err(|_| Malformed)?;
        let (bytes, rest) = self.0.split_at_checked(length).ok_or(Malformed)?;
        self.0 = rest;
        Ok(bytes)
    }

    pub(super) fn text(&mut self) -> Result<&'a str, Malformed> {
        std::str::from_utf8(self.bytes()?).map_err(|_| Malformed)
    }

    pub(super) fn option<T>(
        &mut self,
        decode: impl FnOnce(&mut Self) -> Result<T, Malformed>,
    ) -> Result<Option<T>, Malformed> {
        if self.flag()? { decode(self).map(Some) } else { Ok(None) }
    }

    /// Every item takes at least a byte, so a wrong count cannot make the list larger than the record.
    pub(super) fn list<T>(
        &mut self,
        mut decode: impl FnMut(&mut Self) -> Result<T, Malformed>,
    ) -> Result<Vec<T>, Malformed> {
        let count = self.number()?;
        if count > self.0.len() as u64 {
            return Err(Malformed);
        }
        (0..count).map(|_| decode(self)).collect()
    }

    pub(super) fn end(&self) -> Result<(), Malformed> {
        if self.0.is_empty() { Ok(()) } else { Err(Malformed) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn numbers_and_bytes_read_back(number: u64, bytes: Vec<u8>) {
            let mut buffer = Vec::new();
            let mut encoder = Encoder(&mut buffer);
            encoder.number(number);
            encoder.bytes(&bytes);
            let mut decoder = Decoder(&buffer);
            prop_assert_eq!(decoder.number(), Ok(number));
            prop_assert_eq!(decoder.bytes(), Ok(&bytes[..]));
            prop_assert_eq!(decoder.end(), Ok(()));
        }

        #[test]
        fn no_bytes_panic(bytes: Vec<u8>) {
            let _ = Decoder(&bytes).number();
            let _ = Decoder(&bytes).text();
            let _ = Decoder(&bytes).list(super::Decoder::bytes);
        }
    }

    #[test]
    fn a_number_of_more_than_64_bits_is_refused() {
        let mut bytes = [0xFF; 10];
        bytes[9] = 0x01;
        assert_eq!(Decoder(&bytes).number(), Ok(u64::MAX));
        bytes[9] = 0x02;
        assert_eq!(Decoder(&bytes).number(), Err(Malformed));
    }
}
