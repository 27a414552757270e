//! The three axes of `rules.md` 1: stamps order effects on one key, xids decide what a snapshot sees, seq counts.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// One life of the primary: WAL positions and xids compare only inside it (rule 5).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
pub struct Epoch(pub u32);

/// A position in the primary's write-ahead log, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
pub struct Lsn(pub u64);

/// A full transaction id (`xid8`): it never wraps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Xid(pub u64);

/// When a row was written: read on the primary while its row lock was held, so it grows with every later write.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
pub struct Stamp {
    /// Outranks the position.
    pub epoch: Epoch,
    /// `pg_current_wal_insert_lsn()` at the row.
    pub lsn: Lsn,
}

/// A place in the ledger. Watermarks, fences and freshness count it; it never compares with a stamp.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
pub struct Seq(pub u64);

impl Seq {
    /// The place behind this one.
    #[must_use]
    pub fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

/// A text that is no `pg_lsn`.
#[derive(Debug, Error, PartialEq, Eq)]
#[error("expected a WAL position such as 16/B374D848")]
pub struct MalformedLsn;

impl FromStr for Lsn {
    type Err = MalformedLsn;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (high, low) = text.split_once('/').ok_or(MalformedLsn)?;
        let half = |digits: &str| u32::from_str_radix(digits, 16).map_err(|_| MalformedLsn);
        Ok(Self(u64::from(half(high)?) << 32 | u64::from(half(low)?)))
    }
}

impl fmt::Display for Lsn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:X}/{:X}", self.0 >> 32, self.0 & 0xFFFF_FFFF)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_lsn_reads_back_as_it_prints() {
        for text in ["0/0", "16/B374D848", "FFFFFFFF/FFFFFFFF"] {
            assert_eq!(text.parse::<Lsn>().unwrap().to_string(), text);
        }
        for text in ["", "16", "16/", "/1", "x/1", "1/100000000"] {
            assert_eq!(text.parse::<Lsn>(), Err(MalformedLsn), "{text}");
        }
    }

    #[test]
    fn a_later_epoch_outranks_any_position() {
        let old = Stamp { epoch: Epoch(1), lsn: Lsn(900) };
        let new = Stamp { epoch: Epoch(2), lsn: Lsn(10) };
        assert!(new > old);
    }
}
