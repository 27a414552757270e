//! Durations and sizes as people write them: `"250ms"`, `"64MiB"`.

use std::time::Duration;

use serde::{Deserialize, Deserializer, de::Error};

/// A number of bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct ByteSize(pub u64);

impl<'de> Deserialize<'de> for ByteSize {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        parse_size(&text).ok_or_else(|| {
            D::Error::custom(format!("found \"{text}\", expected a size such as \"64MiB\" (B, KiB, MiB, GiB, TiB)"))
        })
    }
}

/// For `#[serde(with = "…")]` on a [`Duration`].
pub(super) mod duration {
    use super::{Deserialize, Deserializer, Duration, Error, parse_duration};

    pub(in crate::config) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
        let text = String::deserialize(deserializer)?;
        parse_duration(&text).ok_or_else(|| {
            D::Error::custom(format!("found \"{text}\", expected a duration such as \"250ms\" (ms, s, m, h)"))
        })
    }
}

/// `"64MiB"`
pub(super) fn parse_size(text: &str) -> Option<ByteSize> {
    let scale = |unit: &str| match unit {
        "B" | "" => Some(1),
        "KiB" => Some(1 << 10),
        "MiB" => Some(1 << 20),
        "GiB" => Some(1 << 30),
        "TiB" => Some(1 << 40),
        _ => None,
    };
    scaled(text, scale).map(ByteSize)
}

/// `"250ms"`
pub(super) fn parse_duration(text: &str) -> Option<Duration> {
    let scale = |unit: &str| match unit {
        "ms" => Some(1),
        "s" => Some(1000),
        "m" => Some(60_000),
        "h" => Some(3_600_000),
        _ => None,
    };
    scaled(text, scale).map(Duration::from_millis)
}

fn scaled(text: &str, scale: impl Fn(&str) -> Option<u64>) -> Option<u64> {
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    number.parse::<u64>().ok()?.checked_mul(scale(unit.trim())?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_and_durations_are_a_number_and_a_unit() {
        assert_eq!(parse_size("64MiB"), Some(ByteSize(64 << 20)));
        assert_eq!(parse_size("10 GiB"), Some(ByteSize(10 << 30)));
        assert_eq!(parse_duration("250ms"), Some(Duration::from_millis(250)));
        assert_eq!(parse_duration("10m"), Some(Duration::from_mins(10)));
        for wrong in ["", "ms", "1.5s", "-1s", "1 week", "99999999999999999999s", "18446744073709551615h"] {
            assert_eq!(parse_duration(wrong), None, "{wrong}");
            assert_eq!(parse_size(wrong), None, "{wrong}");
        }
    }
}
