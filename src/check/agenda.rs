//! When the next round is due, and which tables are asked again before it. Pure: time is passed in.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

const FIRST_WAIT: Duration = Duration::from_secs(2);
const LONGEST_WAIT: Duration = Duration::from_mins(1);

/// What is due.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Due {
    /// Nothing yet.
    Nothing,
    /// All tables.
    Round,
    /// These, whose last check came to no end.
    Tables(Vec<String>),
}

/// Of the checker.
#[derive(Debug, Default)]
pub(super) struct Agenda {
    /// When the last round began.
    round: Option<Instant>,
    again: BTreeMap<String, Again>,
}

#[derive(Debug, Clone, Copy)]
struct Again {
    at: Instant,
    tries: u32,
}

impl Agenda {
    /// With `interval` zero there are no rounds. What is given counts as begun.
    pub(super) fn due(&mut self, now: Instant, interval: Duration) -> Due {
        if !interval.is_zero() && self.round.is_none_or(|last| now >= last + interval) {
            self.round = Some(now);
            return Due::Round;
        }
        let due = self.again.iter().filter(|(_, again)| again.at <= now);
        let tables: Vec<String> = due.map(|(table, _)| table.clone()).collect();
        if tables.is_empty() { Due::Nothing } else { Due::Tables(tables) }
    }

    /// The check of `table` came to an end, or not: then it is asked again, each time later.
    pub(super) fn checked(&mut self, table: &str, now: Instant, complete: bool) {
        if complete {
            self.again.remove(table);
            return;
        }
        let tries = self.again.get(table).map_or(0, |again| again.tries);
        let wait = FIRST_WAIT.saturating_mul(1 << tries.min(16)).min(LONGEST_WAIT);
        self.again.insert(table.to_owned(), Again { at: now + wait, tries: tries + 1 });
    }

    /// `table` is no more.
    pub(super) fn forget(&mut self, table: &str) {
        self.again.remove(table);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_mins(1);

    #[test]
    fn the_first_round_comes_at_once_and_the_next_after_the_interval() {
        let (mut agenda, now) = (Agenda::default(), Instant::now());
        assert_eq!(agenda.due(now, MINUTE), Due::Round);
        assert_eq!(agenda.due(now + MINUTE / 2, MINUTE), Due::Nothing);
        assert_eq!(agenda.due(now + MINUTE, MINUTE), Due::Round);
        assert_eq!(Agenda::default().due(now, Duration::ZERO), Due::Nothing);
    }

    #[test]
    fn a_table_that_came_to_no_end_is_asked_again_later_each_time_until_it_does() {
        let (mut agenda, now) = (Agenda::default(), Instant::now());
        agenda.checked("t", now, false);
        assert_eq!(agenda.due(now, Duration::ZERO), Due::Nothing);
        assert_eq!(agenda.due(now + FIRST_WAIT, Duration::ZERO), Due::Tables(vec!["t".into()]));
        agenda.checked("t", now, false);
        assert_eq!(agenda.due(now + FIRST_WAIT, Duration::ZERO), Due::Nothing);
        for _ in 0..40 {
            agenda.checked("t", now, false);
        }
        assert_eq!(agenda.due(now + LONGEST_WAIT, Duration::ZERO), Due::Tables(vec!["t".into()]));
        agenda.checked("t", now, true);
        assert_eq!(agenda.due(now + LONGEST_WAIT, Duration::ZERO), Due::Nothing);
    }
}
