//! Cutting a table into chunks: every key belongs to exactly one.

use serde::{Deserialize, Serialize};

use crate::catalog::{Bound, Chunk, Way};

/// Rows of a bucket, about.
const BUCKET: u64 = 10_000;

/// The way through one table; where it stands is all there is to resume from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Walk {
    /// The next range begins behind this key.
    Ranges(Bound),
    /// The next bucket.
    Buckets { next: u32, of: u32 },
    /// The whole table is one chunk.
    Whole,
    /// Through.
    Done,
}

impl Walk {
    pub(super) fn new(way: Way, rows_estimate: u64) -> Self {
        match way {
            Way::Ranges => Self::Ranges(None),
            Way::Buckets => Self::Buckets { next: 0, of: buckets(rows_estimate) },
            Way::Multiset => Self::Whole,
        }
    }

    /// The next chunk; `bound` ends it where ranges are walked, `None` when nothing lies behind it.
    pub(super) fn next(&mut self, bound: Bound) -> Option<Chunk> {
        let (chunk, then) = match self {
            Self::Ranges(after) => {
                let then = bound.clone().map_or(Self::Done, |bound| Self::Ranges(Some(bound)));
                (Chunk::Range { after: after.clone(), upto: bound }, then)
            }
            Self::Buckets { next, of } => {
                let then = if *next + 1 < *of { Self::Buckets { next: *next + 1, of: *of } } else { Self::Done };
                (Chunk::Bucket { number: *next, of: *of }, then)
            }
            Self::Whole => (Chunk::Range { after: None, upto: None }, Self::Done),
            Self::Done => return None,
        };
        *self = then;
        Some(chunk)
    }
}

/// Buckets for so many rows.
pub(super) fn buckets(rows: u64) -> u32 {
    u32::try_from(rows / BUCKET).unwrap_or(u32::MAX).saturating_add(1).min(1 << 16)
}

/// Parts of a chunk too large to list: a range at `middle`, a bucket or share by its next bit. `None` if it has none.
pub(super) fn split(chunk: &Chunk, middle: &Bound) -> Option<[Chunk; 2]> {
    match chunk {
        Chunk::Range { after, upto } if middle.is_some() && middle != upto => Some([
            Chunk::Range { after: after.clone(), upto: middle.clone() },
            Chunk::Range { after: middle.clone(), upto: upto.clone() },
        ]),
        &Chunk::Bucket { number, of } => {
            let twice = of.checked_mul(2)?;
            Some([Chunk::Bucket { number, of: twice }, Chunk::Bucket { number: number + of, of: twice }])
        }
        Chunk::Share(share) => Some(share.halves()?.map(Chunk::Share)),
        Chunk::Range { .. } | Chunk::Keys(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::effect::Key;

    /// Keys whose texts order as the numbers do.
    fn key(number: u64) -> Key {
        Key::new([format!("{number:04}").as_str()])
    }

    fn holds(chunk: &Chunk, number: u64) -> bool {
        match chunk {
            Chunk::Range { after, upto } => {
                after.as_ref().is_none_or(|after| key(number) > *after)
                    && upto.as_ref().is_none_or(|upto| key(number) <= *upto)
            }
            Chunk::Bucket { number: bucket, of } => number % u64::from(*of) == u64::from(*bucket),
            Chunk::Share(_) | Chunk::Keys(_) => false,
        }
    }

    fn halves(chunk: &Chunk, middle: u64) -> Vec<Chunk> {
        split(chunk, &Some(key(middle))).map_or_else(|| vec![chunk.clone()], Vec::from)
    }

    proptest! {
        #[test]
        fn every_key_belongs_to_exactly_one_chunk(
            bounds in prop::collection::btree_set(1u64..999, 0..12),
            middle in 0u64..1000,
            ranges: bool,
        ) {
            let mut walk = Walk::new(if ranges { Way::Ranges } else { Way::Buckets }, 70_000);
            let mut bounds = bounds.into_iter();
            let mut chunks = Vec::new();
            while let Some(chunk) = walk.next(bounds.next().map(key)) {
                let cut = matches!(&chunk, Chunk::Range { after, upto }
                    if after.as_ref() < Some(&key(middle)) && upto.as_ref().is_none_or(|upto| *upto > key(middle)));
                if cut || matches!(chunk, Chunk::Bucket { number: 3, .. }) {
                    chunks.extend(halves(&chunk, middle));
                } else {
                    chunks.push(chunk);
                }
            }
            for number in 0..1000 {
                prop_assert_eq!(chunks.iter().filter(|chunk| holds(chunk, number)).count(), 1, "{}", number);
            }
        }
    }

    #[test]
    fn a_range_is_not_split_at_its_own_end() {
        let range = Chunk::Range { after: None, upto: Some(key(5)) };
        assert_eq!(split(&range, &Some(key(5))), None);
        assert_eq!(split(&range, &None), None);
    }
}
