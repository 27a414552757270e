//! Which table is compared next, of three lanes: what came to no end, what was written since its last match, and the
//! sweep over everything. Pure: time is passed in.

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

const FIRST_WAIT: Duration = Duration::from_secs(2);
const LONGEST_WAIT: Duration = Duration::from_mins(1);
/// So long after a write its table is due.
const SOON: Duration = Duration::from_secs(5);
/// A table rests so many times what its check took, so that hot tables are not compared all the time.
const REST: u32 = 9;

/// What is to be done next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Step {
    /// A sweep is due: see [`Agenda::begin_round`].
    Round,
    /// This table.
    Check(String, Lane),
}

/// Why a table is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Lane {
    /// Its last check came to no end.
    Again,
    /// It was written, or read back.
    Dirty,
    /// Its turn.
    Sweep,
}

/// A table as it stands now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Standing {
    /// Transactions that wrote to it.
    pub(super) writes: u64,
    /// To be read back, in part or whole.
    pub(super) suspect: bool,
}

/// A check that has ended.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ended {
    pub(super) at: Instant,
    pub(super) took: Duration,
    /// As they were when it began.
    pub(super) writes: u64,
    /// Or it is worth asking again.
    pub(super) complete: bool,
}

/// Of the checker.
#[derive(Debug, Default)]
pub(super) struct Agenda {
    /// When the last round began.
    round: Option<Instant>,
    /// What is left of it.
    sweep: VecDeque<String>,
    /// It has not been told yet that nothing is left.
    sweeping: bool,
    again: BTreeMap<String, Again>,
    past: BTreeMap<String, Past>,
    dirty: BTreeMap<String, Dirty>,
    /// Of the last step: the sweep gets every second one.
    last: Option<Lane>,
    /// The table at the head of the sweep let others pass.
    midst: bool,
    /// What goes on before anything else that is urgent.
    paused: Option<(String, Lane)>,
}

#[derive(Debug, Clone, Copy)]
struct Again {
    at: Instant,
    tries: u32,
}

/// Of a table that was compared.
#[derive(Debug, Clone, Copy)]
struct Past {
    writes: u64,
    rests_until: Instant,
}

#[derive(Debug, Clone, Copy)]
struct Dirty {
    since: Instant,
    how: How,
}

/// In the order in which they are asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum How {
    /// It was suspect, and has been read back.
    Healed,
    Written,
    /// It is to be read back first.
    Suspect,
}

impl Agenda {
    /// Every table that can be compared, as it stands. What is not among them is forgotten.
    pub(super) fn look(&mut self, now: Instant, tables: &BTreeMap<String, Standing>) {
        if self.midst && !self.sweep.front().is_some_and(|table| tables.contains_key(table)) {
            self.midst = false;
        }
        self.paused = self.paused.take().filter(|(table, _)| tables.contains_key(table));
        self.sweep.retain(|table| tables.contains_key(table));
        self.again.retain(|table, _| tables.contains_key(table));
        self.past.retain(|table, _| tables.contains_key(table));
        self.dirty.retain(|table, _| tables.contains_key(table));
        for (table, standing) in tables {
            // What was never compared is the sweep's.
            let Some(past) = self.past.get(table) else { continue };
            let known = self.dirty.get(table).map(|dirty| dirty.how);
            let how = match known {
                _ if standing.suspect => How::Suspect,
                Some(How::Suspect | How::Healed) => How::Healed,
                Some(How::Written) => How::Written,
                None if standing.writes != past.writes => How::Written,
                None => continue,
            };
            self.dirty.entry(table.clone()).or_insert(Dirty { since: now, how }).how = how;
        }
    }

    /// With `interval` zero only what came to no end is asked again.
    pub(super) fn next(&mut self, now: Instant, interval: Duration) -> Option<Step> {
        if !interval.is_zero() && self.sweep.is_empty() && self.round.is_none_or(|last| now >= last + interval) {
            return Some(Step::Round);
        }
        let due = self.again.iter().filter(|(table, again)| again.at <= now && !self.is_swept(table));
        let again = due.min_by_key(|(_, again)| again.at);
        let again = again.map(|(table, _)| (table.clone(), Lane::Again));
        let dirty = || self.most_dirty(now).filter(|_| !interval.is_zero()).map(|table| (table, Lane::Dirty));
        let urgent = self.paused.clone().or(again).or_else(dirty);
        let waits = !interval.is_zero() && !self.sweep.is_empty();
        let (table, lane) = match urgent {
            Some(urgent) if !waits || self.last == Some(Lane::Sweep) => urgent,
            _ if waits => {
                self.midst = false;
                (self.sweep.pop_front()?, Lane::Sweep)
            }
            _ => return None,
        };
        self.paused = self.paused.take().filter(|(paused, _)| *paused != table);
        self.last = Some(lane);
        Some(Step::Check(table, lane))
    }

    /// A sweep over these begins.
    pub(super) fn begin_round(&mut self, now: Instant, tables: Vec<String>) {
        self.round = Some(now);
        self.sweep = tables.into();
        self.sweeping = true;
    }

    /// One that was begun before a restart goes on; `checked` had been compared by then.
    pub(super) fn resume(&mut self, began: Instant, left: Vec<String>, checked: impl Iterator<Item = String>) {
        self.begin_round(began, left);
        self.sweeping = !self.sweep.is_empty();
        self.past = checked.map(|table| (table, Past { writes: 0, rests_until: began })).collect();
    }

    /// Whether a round is over; said once.
    pub(super) fn round_ended(&mut self) -> bool {
        self.sweep.is_empty() && std::mem::take(&mut self.sweeping)
    }

    /// What is left of the round.
    pub(super) fn left(&self) -> impl Iterator<Item = &String> {
        self.sweep.iter()
    }

    /// The check of `table` let others pass.
    pub(super) fn paused(&mut self, table: String, lane: Lane) {
        match lane {
            Lane::Sweep => {
                self.sweep.push_front(table);
                self.midst = true;
            }
            Lane::Again | Lane::Dirty => self.paused = Some((table, lane)),
        }
    }

    /// Whether the check of `table` let others pass and is to go on.
    pub(super) fn is_paused(&self, table: &str) -> bool {
        self.is_swept(table) || self.paused.as_ref().is_some_and(|(paused, _)| paused == table)
    }

    fn is_swept(&self, table: &str) -> bool {
        self.midst && self.sweep.front().is_some_and(|front| front == table)
    }

    /// The check of `table` ended. If it came to no end it is asked again, each time later.
    pub(super) fn checked(&mut self, table: &str, ended: Ended) {
        let Ended { at, took, writes, complete } = ended;
        let rest = took.saturating_mul(REST).max(SOON);
        self.past.insert(table.to_owned(), Past { writes, rests_until: at + rest });
        self.dirty.remove(table);
        if complete {
            self.again.remove(table);
            if self.is_paused(table) {
                self.midst = self.midst && !self.is_swept(table);
                self.paused = self.paused.take().filter(|(paused, _)| paused != table);
            }
            self.sweep.retain(|left| left != table);
            return;
        }
        let tries = self.again.get(table).map_or(0, |again| again.tries);
        let wait = FIRST_WAIT.saturating_mul(1 << tries.min(16)).min(LONGEST_WAIT);
        self.again.insert(table.to_owned(), Again { at: at + wait, tries: tries + 1 });
    }

    fn most_dirty(&self, now: Instant) -> Option<String> {
        let is_due = |(table, dirty): &(&String, &Dirty)| {
            let soon = if dirty.how == How::Written { SOON } else { Duration::ZERO };
            let rests = self.past.get(*table).is_some_and(|past| now < past.rests_until);
            dirty.how != How::Suspect && now >= dirty.since + soon && !rests && !self.is_swept(table)
        };
        let due = self.dirty.iter().filter(is_due);
        due.min_by_key(|(_, dirty)| (dirty.how, dirty.since)).map(|(table, _)| table.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_mins(1);
    const SECOND: Duration = Duration::from_secs(1);

    fn check(table: &str, lane: Lane) -> Step {
        Step::Check(table.to_owned(), lane)
    }

    fn ended(at: Instant) -> Ended {
        Ended { at, took: SECOND, writes: 0, complete: true }
    }

    fn standing(tables: &[(&str, u64, bool)]) -> BTreeMap<String, Standing> {
        let standing = |&(table, writes, suspect): &(&str, u64, bool)| (table.to_owned(), Standing { writes, suspect });
        tables.iter().map(standing).collect()
    }

    /// `tables` were compared in a round that is over.
    fn after_a_round(now: Instant, tables: &[&str]) -> Agenda {
        let mut agenda = Agenda::default();
        agenda.begin_round(now, Vec::new());
        for table in tables {
            agenda.checked(table, ended(now));
        }
        agenda
    }

    #[test]
    fn the_first_round_comes_at_once_and_the_next_after_the_interval() {
        let (mut agenda, now) = (Agenda::default(), Instant::now());
        assert_eq!(agenda.next(now, MINUTE), Some(Step::Round));
        agenda.begin_round(now, vec!["a".into(), "b".into()]);
        assert_eq!(agenda.next(now, Duration::ZERO), None);
        assert_eq!(agenda.next(now, MINUTE), Some(check("a", Lane::Sweep)));
        assert!(!agenda.round_ended());
        assert_eq!(
            agenda.next(now + 2 * MINUTE, MINUTE),
            Some(check("b", Lane::Sweep)),
            "no round begins within a round"
        );
        assert!(agenda.round_ended() && !agenda.round_ended());
        assert_eq!(agenda.next(now + MINUTE / 2, MINUTE), None);
        assert_eq!(agenda.next(now + MINUTE, MINUTE), Some(Step::Round));
        assert_eq!(Agenda::default().next(now, Duration::ZERO), None);
    }

    #[test]
    fn a_table_that_came_to_no_end_is_asked_again_later_each_time_until_it_does() {
        let (mut agenda, now) = (Agenda::default(), Instant::now());
        let busy = Ended { complete: false, ..ended(now) };
        agenda.checked("t", busy);
        assert_eq!(agenda.next(now, Duration::ZERO), None);
        assert_eq!(agenda.next(now + FIRST_WAIT, Duration::ZERO), Some(check("t", Lane::Again)));
        agenda.checked("t", busy);
        assert_eq!(agenda.next(now + FIRST_WAIT, Duration::ZERO), None);
        for _ in 0..40 {
            agenda.checked("t", busy);
        }
        assert_eq!(agenda.next(now + LONGEST_WAIT, Duration::ZERO), Some(check("t", Lane::Again)));
        agenda.checked("t", ended(now));
        assert_eq!(agenda.next(now + LONGEST_WAIT, Duration::ZERO), None);
    }

    #[test]
    fn what_was_written_since_its_last_check_is_due_soon_and_what_was_read_back_before_it() {
        let now = Instant::now();
        let mut agenda = after_a_round(now, &["a", "b", "c", "quiet"]);
        let later = now + MINUTE / 2;
        agenda.look(later, &standing(&[("a", 1, false), ("b", 2, true), ("c", 0, true), ("quiet", 0, false)]));
        assert_eq!(agenda.next(later, MINUTE), None);
        let then = later + SOON;
        agenda.look(then, &standing(&[("a", 3, false), ("b", 2, false), ("c", 0, true), ("quiet", 0, false)]));
        assert_eq!(agenda.next(then, MINUTE), Some(check("b", Lane::Dirty)));
        agenda.checked("b", Ended { writes: 2, ..ended(then) });
        assert_eq!(agenda.next(then, MINUTE), Some(check("a", Lane::Dirty)));
        agenda.checked("a", Ended { writes: 3, ..ended(then) });
        assert_eq!(agenda.next(then, MINUTE), None, "c is to be read back first");
        agenda.look(then, &standing(&[("a", 3, false), ("b", 2, false), ("quiet", 0, false)]));
        assert_eq!(agenda.next(then + SOON, MINUTE), None, "a table that is gone is forgotten");
    }

    #[test]
    fn a_hot_table_rests_in_proportion_to_what_its_check_took() {
        let now = Instant::now();
        let mut agenda = after_a_round(now, &["t"]);
        agenda.look(now, &standing(&[("t", 1, false)]));
        assert_eq!(agenda.next(now + SECOND * (REST - 1), MINUTE), None);
        assert_eq!(agenda.next(now + SECOND * REST, MINUTE), Some(check("t", Lane::Dirty)));
        assert_eq!(agenda.next(now + SECOND * REST, Duration::ZERO), None, "only on request");
    }

    #[test]
    fn neither_the_sweep_nor_the_dirty_lane_starves_the_other() {
        let now = Instant::now();
        let mut agenda = after_a_round(now, &["d", "e"]);
        let written = now + MINUTE;
        let then = written + SOON;
        agenda.look(written, &standing(&[("d", 1, false), ("e", 1, false), ("s", 0, false), ("u", 0, false)]));
        agenda.begin_round(then, vec!["s".into(), "u".into()]);
        let lanes: Vec<_> = (0..4)
            .map(|_| {
                let Some(Step::Check(table, lane)) = agenda.next(then, MINUTE) else { panic!() };
                agenda.checked(&table, Ended { writes: 1, ..ended(then) });
                lane
            })
            .collect();
        assert_eq!(lanes, [Lane::Sweep, Lane::Dirty, Lane::Sweep, Lane::Dirty]);
    }

    #[test]
    fn what_is_urgent_comes_between_the_turns_of_one_table() {
        let now = Instant::now();
        let mut agenda = after_a_round(now, &["d", "huge"]);
        let then = now + MINUTE + SOON;
        agenda.begin_round(then, vec!["huge".into(), "rest".into()]);
        assert_eq!(agenda.next(then, MINUTE), Some(check("huge", Lane::Sweep)));
        agenda.paused("huge".into(), Lane::Sweep);
        let tables = standing(&[("d", 1, false), ("huge", 1, false), ("rest", 0, false)]);
        agenda.look(now + MINUTE, &tables);
        assert_eq!(agenda.next(then, MINUTE), Some(check("d", Lane::Dirty)), "not the one that is being compared");
        agenda.paused("d".into(), Lane::Dirty);
        assert!(!agenda.round_ended() && agenda.is_paused("d") && agenda.is_paused("huge"));
        assert_eq!(agenda.next(then, MINUTE), Some(check("huge", Lane::Sweep)));
        agenda.paused("huge".into(), Lane::Sweep);
        assert_eq!(agenda.next(then, MINUTE), Some(check("d", Lane::Dirty)), "it goes on");
        agenda.checked("d", Ended { writes: 1, ..ended(then) });
        assert_eq!(agenda.next(then, MINUTE), Some(check("huge", Lane::Sweep)));
        agenda.checked("huge", ended(then));
        assert_eq!(agenda.next(then, MINUTE), Some(check("rest", Lane::Sweep)), "huge, which was written, rests");
        agenda.paused("rest".into(), Lane::Sweep);
        agenda.checked("rest", ended(then));
        assert!(!agenda.is_paused("rest") && agenda.round_ended(), "asked for and done meanwhile");
    }

    #[test]
    fn a_round_goes_on_after_a_restart() {
        let (mut agenda, now) = (Agenda::default(), Instant::now());
        agenda.resume(now, vec!["b".into()], ["a".to_owned()].into_iter());
        assert_eq!(agenda.next(now, MINUTE), Some(check("b", Lane::Sweep)));
        assert_eq!(agenda.next(now, MINUTE), None);
        agenda.look(now, &standing(&[("a", 1, false), ("b", 0, false)]));
        assert_eq!(agenda.next(now + SOON, MINUTE), Some(check("a", Lane::Dirty)));
    }
}
