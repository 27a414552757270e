//! How long to wait before trying again: doubling from 50 ms to 5 s, with jitter.

use std::time::Duration;

const FIRST: Duration = Duration::from_millis(50);
const LONGEST: Duration = Duration::from_secs(5);

/// Counts failures in a row.
#[derive(Debug, Default)]
pub(super) struct Backoff {
    failures: u32,
}

impl Backoff {
    /// The next wait; `roll` is a random number in `0..1`: half of the wait is left to chance.
    pub(super) fn next(&mut self, roll: f64) -> Duration {
        let full = FIRST.saturating_mul(1 << self.failures.min(16)).min(LONGEST);
        self.failures = self.failures.saturating_add(1);
        full.mul_f64(0.5 + roll.clamp(0.0, 1.0) / 2.0)
    }

    /// Something worked.
    pub(super) fn reset(&mut self) {
        self.failures = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_to_the_longest_and_start_over_after_a_success() {
        let mut backoff = Backoff::default();
        assert_eq!(backoff.next(1.0), FIRST);
        assert_eq!(backoff.next(0.0), FIRST);
        let last = (0..1000).map(|_| backoff.next(1.0)).last();
        assert_eq!(last, Some(LONGEST));
        backoff.reset();
        assert_eq!(backoff.next(1.0), FIRST);
    }
}
