//! Counts of drawn reads, and the share of the last minute. Time is passed in.

use std::collections::BTreeMap;

use crate::report::ReadsStatus;

const MINUTE: usize = 60;

/// What became of the reads that were drawn.
#[derive(Debug, Default)]
pub(super) struct Stats {
    shadow: u64,
    fallback: u64,
    ineligible: BTreeMap<&'static str, u64>,
    seconds: Vec<Second>,
}

#[derive(Debug, Clone, Default)]
struct Second {
    second: u64,
    shadow: u64,
    eligible: u64,
}

impl Stats {
    /// The shadow answered. `second` counts from any fixed moment; `None`: its share is another's affair.
    pub(super) fn shadow(&mut self, second: Option<u64>) {
        self.shadow += 1;
        if let Some(second) = second {
            let slot = self.slot(second);
            slot.eligible += 1;
            slot.shadow += 1;
        }
    }

    /// It might have, and the primary did.
    pub(super) fn fallback(&mut self, second: Option<u64>) {
        self.fallback += 1;
        if let Some(second) = second {
            self.slot(second).eligible += 1;
        }
    }

    /// It was not allowed to.
    pub(super) fn ineligible(&mut self, reason: &'static str) {
        *self.ineligible.entry(reason).or_default() += 1;
    }

    /// Reads not allowed, by reason.
    pub(super) fn reasons(&self) -> Vec<(&'static str, u64)> {
        self.ineligible.iter().map(|(&reason, &count)| (reason, count)).collect()
    }

    /// For `/status`.
    pub(super) fn status(&self, second: u64, percent: f64) -> ReadsStatus {
        ReadsStatus {
            percent,
            effective_percent: self.effective_percent(second, percent),
            eligible: self.shadow + self.fallback,
            shadow: self.shadow,
            fallback: self.fallback,
            ineligible: self.ineligible.values().sum(),
            ..ReadsStatus::default()
        }
    }

    fn effective_percent(&self, now: u64, percent: f64) -> Option<f64> {
        let minute = self.seconds.iter().filter(|slot| slot.second + MINUTE as u64 > now);
        let (shadow, eligible) = minute.fold((0, 0), |(s, e), slot| (s + slot.shadow, e + slot.eligible));
        (eligible > 0).then(|| percent * shadow as f64 / eligible as f64)
    }

    fn slot(&mut self, second: u64) -> &mut Second {
        self.seconds.resize(MINUTE, Second::default());
        let slot = &mut self.seconds[second as usize % MINUTE];
        if slot.second != second {
            *slot = Second { second, ..Second::default() };
        }
        slot
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn eligible_is_shadow_and_fallback_and_reasons_sum_to_ineligible() {
        let mut stats = Stats::default();
        (0..3).for_each(|_| stats.shadow(Some(1)));
        stats.fallback(Some(1));
        stats.ineligible("stale");
        stats.ineligible("locks");
        stats.ineligible("stale");
        let status = stats.status(1, 40.0);
        assert_eq!((status.eligible, status.shadow, status.fallback, status.ineligible), (4, 3, 1, 3));
        assert_eq!(status.effective_percent, Some(30.0));
        assert_eq!(stats.reasons(), [("locks", 1), ("stale", 2)]);
    }

    #[test]
    fn without_eligible_reads_there_is_no_effective_share() {
        let mut stats = Stats::default();
        stats.ineligible("stale");
        assert_eq!(stats.status(5, 10.0).effective_percent, None);
        stats.shadow(Some(5));
        assert_eq!(stats.status(64, 10.0).effective_percent, Some(10.0));
        assert_eq!(stats.status(65, 10.0).effective_percent, None);
    }

    proptest! {
        #[test]
        fn the_effective_share_is_that_of_the_last_minute(
            steps in prop::collection::vec((0_u64..20, any::<bool>()), 1..200), idle in 0_u64..90,
        ) {
            let (mut stats, mut second, mut all) = (Stats::default(), 1000, Vec::new());
            for (pause, served) in steps {
                second += pause;
                if served { stats.shadow(Some(second)) } else { stats.fallback(Some(second)) }
                all.push((second, served));
            }
            let now = second + idle;
            let minute: Vec<_> = all.iter().filter(|(at, _)| at + 60 > now).collect();
            let served = minute.iter().filter(|(_, served)| *served).count();
            let expected = (!minute.is_empty()).then(|| 50.0 * served as f64 / minute.len() as f64);
            prop_assert_eq!(stats.status(now, 50.0).effective_percent, expected);
        }
    }
}
