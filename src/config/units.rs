//! Durations and sizes as people write them: `"250ms"`, `"64MiB"`.

use std::time::Duration;

use serde::{Deserialize, Deserializer, de::Error};

/// A number of bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct ByteSize(pub u64);

impl<'de> Deserialize<'de> for ByteSize {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let scale = |unit: &str| match unit {
            "B" | "" => Some(1),
            "KiB" => Some(1 << 10),
            "MiB" => Some(1 << 20),
            "GiB" => Some(1 << 30),
            "TiB" => Some(1 << 40),
            _ => None,
        };
        scaled(&text, scale).map(Self).ok_or_else(|| {
            D::Error::custom(format!("found \"{text}\", expected a size such as \"64MiB\" (B, KiB, MiB, GiB, TiB)"))
        })
    }
}

/// For `#[serde(with = "…")]` on a [`Duration`].
pub(super) mod duration {
    use super::{Deserialize, Deserializer, Duration, Error, scaled};

    pub(in crate::config) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
        let text = String::deserialize(deserializer)?;
        let scale = |unit: &str| match unit {
            "ms" => Some(1),
            "s" => Some(1000),
            "m" => Some(60_000),
            "h" => Some(3_600_000),
            _ => None,
        };
        scaled(&text, scale).map(Duration::from_millis).ok_or_else(|| {
            D::Error::custom(format!("found \"{text}\", expected a duration such as \"250ms\" (ms, s, m, h)"))
        })
    }
}

fn scaled(text: &str, scale: impl Fn(&str) -> Option<u64>) -> Option<u64> {
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let number: u64 = text[..digits].parse().ok()?;
    number.checked_mul(scale(text[digits..].trim())?)
}
