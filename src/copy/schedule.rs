//! Which suspects are read back next: keys before tables, one piece of work a table, whoever failed waits.

use std::collections::{HashMap, HashSet};
use std::time::{Duration, Instant};

use crate::effect::TableId;
use crate::mirror::{Suspect, SuspectKeys};

/// What one worker does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Work {
    /// Reads back rows of a table.
    Keys(SuspectKeys),
    /// Reads back a table.
    Table(Suspect),
}

impl Work {
    pub(super) fn table(&self) -> TableId {
        match self {
            Self::Keys(keys) => keys.table,
            Self::Table(table) => table.table,
        }
    }

    /// It answers marks up to this one.
    pub(super) fn generation(&self) -> u64 {
        match self {
            Self::Keys(keys) => keys.generation,
            Self::Table(table) => table.generation,
        }
    }
}

/// How a piece of work ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ended {
    /// Marks were cleared.
    Healed,
    /// This table could not be healed.
    Failed,
    /// A server could not be reached: no table's fault.
    Disconnected,
}

const FIRST_WAIT: Duration = Duration::from_millis(250);
const LONGEST_WAIT: Duration = Duration::from_mins(1);

/// Time is passed in.
#[derive(Debug, Default)]
pub(super) struct Schedule {
    running: HashSet<TableId>,
    waiting: HashMap<TableId, Wait>,
    servers: Wait,
}

#[derive(Debug, Default, Clone, Copy)]
struct Wait {
    failures: u32,
    until: Option<Instant>,
}

impl Wait {
    fn is_over(self, now: Instant) -> bool {
        self.until.is_none_or(|until| until <= now)
    }

    fn failed(&mut self, now: Instant) {
        let wait = FIRST_WAIT.saturating_mul(1 << self.failures.min(16)).min(LONGEST_WAIT);
        *self = Self { failures: self.failures + 1, until: Some(now + wait) };
    }
}

impl Schedule {
    /// Work for up to `workers` in all, oldest marks first; the given tables count as running from now on.
    pub(super) fn due(
        &mut self,
        now: Instant,
        keys: Vec<SuspectKeys>,
        tables: Vec<Suspect>,
        workers: usize,
    ) -> Vec<Work> {
        if !self.servers.is_over(now) {
            return Vec::new();
        }
        // Healing a table heals its keys.
        let whole: HashSet<TableId> = tables.iter().map(|suspect| suspect.table).collect();
        let keys = keys.into_iter().filter(|keys| !whole.contains(&keys.table)).map(Work::Keys);
        let mut given = Vec::new();
        for work in keys.chain(tables.into_iter().map(Work::Table)) {
            if self.running.len() >= workers {
                break;
            }
            let rested = self.waiting.get(&work.table()).is_none_or(|wait| wait.is_over(now));
            if rested && self.running.insert(work.table()) {
                given.push(work);
            }
        }
        given
    }

    /// Work on `table` took `took`.
    pub(super) fn ended(&mut self, table: TableId, now: Instant, took: Duration, how: Ended) {
        self.running.remove(&table);
        match how {
            Ended::Healed => {
                self.servers = Wait::default();
                // Marked again and again, a table takes at most half of a worker's time.
                self.waiting.insert(table, Wait { failures: 0, until: Some(now + took.min(LONGEST_WAIT)) });
            }
            Ended::Failed => self.waiting.entry(table).or_default().failed(now),
            Ended::Disconnected => self.servers.failed(now),
        }
    }

    /// No worker runs, however the last ones ended.
    pub(super) fn none_runs(&mut self) {
        self.running.clear();
    }

    /// How often work on `table` failed since it last succeeded.
    pub(super) fn failures(&self, table: TableId) -> u32 {
        self.waiting.get(&table).map_or(0, |wait| wait.failures)
    }

    /// Forgets waits that are long over, so that dropped tables leave nothing behind.
    pub(super) fn forget(&mut self, now: Instant) {
        self.waiting.retain(|_, wait| wait.until.is_some_and(|until| until + LONGEST_WAIT > now));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::effect::{Key, Reason};
    use crate::mirror::Cause;

    const CAUSE: Cause = Cause { reason: Reason::Copy, is_asked: false, refused: 0 };

    fn keys(table: u32) -> SuspectKeys {
        SuspectKeys {
            table: TableId(table),
            keys: vec![Key::new(["1"])],
            referring: vec![],
            cause: CAUSE,
            generation: 1,
        }
    }

    fn table(table: u32) -> Suspect {
        Suspect { table: TableId(table), cause: CAUSE, generation: 1 }
    }

    fn ids(work: &[Work]) -> Vec<u32> {
        work.iter().map(|work| work.table().0).collect()
    }

    #[test]
    fn keys_come_first_unless_their_whole_table_is_suspect() {
        let mut schedule = Schedule::default();
        let work = schedule.due(Instant::now(), vec![keys(1), keys(2)], vec![table(3), table(1)], 9);
        assert_eq!(work, [Work::Keys(keys(2)), Work::Table(table(3)), Work::Table(table(1))]);
    }

    #[test]
    fn no_more_run_than_there_are_workers_and_no_table_twice() {
        let (mut schedule, now) = (Schedule::default(), Instant::now());
        let suspects = || vec![table(1), table(2), table(3)];
        assert_eq!(ids(&schedule.due(now, vec![], suspects(), 2)), [1, 2]);
        assert_eq!(ids(&schedule.due(now, vec![], suspects(), 2)), [0; 0]);
        schedule.ended(TableId(1), now, Duration::ZERO, Ended::Failed);
        assert_eq!(ids(&schedule.due(now, vec![], suspects(), 2)), [3]);
    }

    #[test]
    fn a_table_that_fails_waits_longer_each_time_and_the_others_go_on() {
        let (mut schedule, mut now) = (Schedule::default(), Instant::now());
        let mut waits = Vec::new();
        for _ in 0..12 {
            assert_eq!(ids(&schedule.due(now, vec![], vec![table(1)], 1)), [1]);
            schedule.ended(TableId(1), now, Duration::ZERO, Ended::Failed);
            let begun = now;
            while schedule.due(now, vec![], vec![table(1)], 0).is_empty() && !rested(&schedule, now) {
                now += Duration::from_millis(50);
            }
            waits.push(now - begun);
        }
        assert!(waits.is_sorted(), "{waits:?}");
        assert_eq!(waits.last(), Some(&LONGEST_WAIT));
        assert_eq!(schedule.failures(TableId(1)), 12);
        assert_eq!(ids(&schedule.due(now, vec![], vec![table(2)], 1)), [2]);
    }

    fn rested(schedule: &Schedule, now: Instant) -> bool {
        schedule.waiting.get(&TableId(1)).is_none_or(|wait| wait.is_over(now))
    }

    #[test]
    fn a_lost_server_stops_all_and_blames_none() {
        let (mut schedule, now) = (Schedule::default(), Instant::now());
        schedule.due(now, vec![], vec![table(1)], 1);
        schedule.ended(TableId(1), now, Duration::ZERO, Ended::Disconnected);
        assert_eq!(ids(&schedule.due(now, vec![], vec![table(1), table(2)], 9)), [0; 0]);
        assert_eq!(schedule.failures(TableId(1)), 0);
        assert_eq!(ids(&schedule.due(now + FIRST_WAIT, vec![], vec![table(1), table(2)], 9)), [1, 2]);
    }

    #[test]
    fn a_table_that_is_marked_all_the_time_rests_as_long_as_its_healing_took() {
        let (mut schedule, now, second) = (Schedule::default(), Instant::now(), Duration::from_secs(1));
        schedule.due(now, vec![], vec![table(1)], 1);
        schedule.ended(TableId(1), now, second, Ended::Healed);
        assert_eq!(ids(&schedule.due(now + second / 2, vec![], vec![table(1)], 1)), [0; 0]);
        assert_eq!(ids(&schedule.due(now + second, vec![], vec![table(1)], 1)), [1]);
    }
}
