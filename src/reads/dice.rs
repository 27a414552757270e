//! Where a read stands among all (`reads.sample_by`), which decides whether it is drawn (`reads.percent`). Monotone: whoever is
//! in at 10 % is in at 50 %.

use crate::config::SampleBy;
use crate::session::Sample;

/// Where a read stands in [0, 100): it is drawn by every share above. `random` is called only where each read is drawn anew.
pub(super) fn place(by: SampleBy, sample: &Sample, random: impl FnOnce() -> u64) -> f64 {
    position(match by {
        SampleBy::Query => sample.query,
        SampleBy::Session => sample.session,
        SampleBy::Random => random(),
    })
}

/// Where a number stands in [0, 100). It does not depend on the share, which is what makes the draw monotone.
pub(super) fn position(number: u64) -> f64 {
    (mix(number) >> 11) as f64 / (1_u64 << 53) as f64 * 100.0
}

/// Spreads numbers that are close together (the finalizer of splitmix64): counters and weak hashes are fair as well.
fn mix(number: u64) -> u64 {
    let number = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let number = (number ^ (number >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    number ^ (number >> 31)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn by_query(percent: f64, query: u64) -> bool {
        place(SampleBy::Query, &Sample { query, session: 0, settings: None }, || unreachable!("not random")) < percent
    }

    proptest! {
        #[test]
        fn whoever_is_in_at_a_share_is_in_at_every_higher_one(query: u64, low in 0.0..=100.0_f64, more in 0.0..=100.0_f64) {
            prop_assert!(!by_query(low, query) || by_query(f64::max(low, more), query));
        }

        #[test]
        fn nobody_is_in_at_0_and_everybody_at_100(query: u64) {
            prop_assert!(!by_query(0.0, query));
            prop_assert!(by_query(100.0, query));
        }
    }

    #[test]
    fn the_share_drawn_is_the_share_asked_for_even_of_numbers_in_a_row() {
        let drawn = (0..100_000).filter(|&query| by_query(25.0, query)).count();
        assert!((24_000..26_000).contains(&drawn), "{drawn}");
    }

    #[test]
    fn each_way_of_drawing_looks_at_its_own_number() {
        let (inside, outside) = (0, u64::from_be_bytes([7; 8]));
        assert!(position(inside) < 1.0 && position(outside) > 1.0);
        let sample = Sample { query: inside, session: outside, settings: None };
        let draw = |by, random| place(by, &sample, || random) < 1.0;
        assert!(draw(SampleBy::Query, outside));
        assert!(!draw(SampleBy::Session, inside));
        assert!(draw(SampleBy::Random, inside));
        assert!(!draw(SampleBy::Random, outside));
    }
}
