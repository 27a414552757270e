//! How long a copy or a check rests between two chunks, so that neither the primary's clients nor the mirror pay for it.
//! Without I/O.

use std::time::Duration;

/// Commits that wait longer than this for the shadow come first.
const MOST_LAG: Duration = Duration::from_secs(1);
/// An answer that takes so many times what the quickest took is slow.
const SLOWER: u32 = 5;
/// Quicker than this, nothing is slow.
const QUICK: Duration = Duration::from_millis(5);
const FIRST_REST: Duration = Duration::from_millis(50);
const LONGEST_REST: Duration = Duration::from_secs(2);

/// What the last chunks met.
#[derive(Debug, Default)]
pub struct Throttle {
    quickest: Option<Duration>,
    resting: Duration,
}

impl Throttle {
    /// The rest before the next chunk: the primary took `answer` for nothing, the mirror is `lag` behind. It doubles
    /// while there is cause, and ends by itself: the work always goes on, however slowly.
    pub fn rest(&mut self, answer: Duration, lag: Duration) -> Duration {
        let quickest = self.quickest.map_or(answer, |quickest| quickest.min(answer));
        self.quickest = Some(quickest);
        let slow = answer > (quickest * SLOWER).max(QUICK);
        self.resting =
            if slow || lag > MOST_LAG { (self.resting * 2).clamp(FIRST_REST, LONGEST_REST) } else { Duration::ZERO };
        self.resting
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn a_healthy_pair_is_not_throttled() {
        let mut throttle = Throttle::default();
        for answer in [1, 3, 2, 5] {
            assert_eq!(throttle.rest(answer * MS, 500 * MS), Duration::ZERO);
        }
    }

    #[test]
    fn rests_grow_while_the_primary_is_slow_or_the_mirror_behind_and_end_at_once() {
        let mut throttle = Throttle::default();
        throttle.rest(2 * MS, Duration::ZERO);
        let rests = [11, 12, 13].map(|answer| throttle.rest(answer * MS, Duration::ZERO));
        assert_eq!(rests, [50 * MS, 100 * MS, 200 * MS]);
        assert_eq!(throttle.rest(10 * MS, Duration::ZERO), Duration::ZERO);
        for _ in 0..20 {
            throttle.rest(MS, 2 * MOST_LAG);
        }
        assert_eq!(throttle.rest(MS, 2 * MOST_LAG), LONGEST_REST);
    }
}
