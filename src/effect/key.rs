//! The identity of a row: the text of its key columns, in the order of [`Shape::key`](super::Shape).

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Key values as PostgreSQL prints them, encoded as one block: for each part its length (u32, little endian) and bytes.
///
/// Two keys are the same row exactly when their texts are equal; a table whose key type does not promise that is
/// never given keys (rule 17).
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key(Box<[u8]>);

impl Key {
    /// A key of these parts, none of which is NULL.
    pub fn new<'a>(parts: impl IntoIterator<Item = &'a str>) -> Self {
        let mut block = Vec::new();
        for part in parts {
            block.extend_from_slice(&(part.len() as u32).to_le_bytes());
            block.extend_from_slice(part.as_bytes());
        }
        Self(block.into_boxed_slice())
    }

    /// The parts, in order.
    pub fn parts(&self) -> impl Iterator<Item = &str> {
        let mut rest = &*self.0;
        std::iter::from_fn(move || {
            let (length, tail) = rest.split_first_chunk::<4>()?;
            let (part, tail) = tail.split_at_checked(u32::from_le_bytes(*length) as usize)?;
            rest = tail;
            std::str::from_utf8(part).ok()
        })
    }

    /// Whether it has no parts: a row of a table without key, which is told by nothing but its image.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The encoded block, for the journal.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// A key from a block that [`Key::as_bytes`] gave; `None` if it is not one.
    pub fn from_bytes(block: &[u8]) -> Option<Self> {
        let mut rest = block;
        while !rest.is_empty() {
            let (length, tail) = rest.split_first_chunk::<4>()?;
            let (part, tail) = tail.split_at_checked(u32::from_le_bytes(*length) as usize)?;
            std::str::from_utf8(part).ok()?;
            rest = tail;
        }
        Some(Self(block.into()))
    }
}

/// As the list of its parts.
impl Serialize for Key {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.parts())
    }
}

impl<'de> Deserialize<'de> for Key {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let parts = Vec::<String>::deserialize(deserializer)?;
        Ok(Self::new(parts.iter().map(String::as_str)))
    }
}

impl fmt::Debug for Key {
    /// The number of parts only: key values are the user's data and stay out of logs.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Key({} parts)", self.parts().count())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_do_not_run_together() {
        let key = Key::new(["ab", "", "c"]);
        assert_eq!(key.parts().collect::<Vec<_>>(), ["ab", "", "c"]);
        assert_ne!(key, Key::new(["a", "b", "c"]));
        assert_eq!(Key::from_bytes(key.as_bytes()), Some(key.clone()));
        assert_eq!(Key::from_bytes(&key.as_bytes()[1..]), None);
        let json = serde_json::to_string(&key).unwrap();
        assert_eq!((json.as_str(), serde_json::from_str::<Key>(&json).unwrap()), (r#"["ab","","c"]"#, key));
    }
}
