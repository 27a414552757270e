//! What a history may not hold: a pure function of what the sessions did and saw.
//!
//! A register's value bears the place of the write that it comes from, as the primary told the writer: 1, 2, 3 … So what
//! is older needs no guessing. A list only grows, and each append goes into both halves of a list at once.

use std::collections::{BTreeMap, BTreeSet, HashMap};

/// By one clock for all sessions that never says the same twice.
pub(super) type Tick = u64;

/// A register or a list.
pub(super) type Id = i64;

/// What one session did or saw.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Event {
    /// One connection.
    pub(super) session: u32,
    pub(super) began: Tick,
    /// When the answer was there; `None`: the connection was lost, and whether it was done is not known.
    pub(super) ended: Option<Tick>,
    pub(super) deed: Deed,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Deed {
    /// The value is unique. What was written has this place among the writes of the register, if that was told.
    Write {
        register: Id,
        value: i64,
        place: Option<i64>,
    },
    Read {
        register: Id,
        value: i64,
        place: i64,
    },
    /// The element is unique.
    Append {
        list: Id,
        element: i64,
    },
    ReadList {
        list: Id,
        halves: [Vec<i64>; 2],
    },
}

/// What reads must keep to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Promise {
    /// A session sees its own writes, and never goes back in time.
    Session,
    /// And no read is older than what anybody was told before it began.
    Table,
}

/// What was broken, by the read at this place of the history.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Violation {
    /// Its session had written or seen something newer.
    WentBack(usize),
    /// Another session had been told something newer before it began.
    Stale(usize),
    /// Nobody wrote what it saw.
    FromNowhere(usize),
    /// It saw a part of a transaction.
    Torn(usize),
    /// It saw something twice.
    Twice(usize),
}

impl Violation {
    /// Its place in the history.
    pub(super) fn read(&self) -> usize {
        match *self {
            Self::WentBack(at) | Self::Stale(at) | Self::FromNowhere(at) | Self::Torn(at) | Self::Twice(at) => at,
        }
    }
}

/// What a history breaks of a promise, each once.
pub(super) fn judge(history: &[Event], promise: Promise) -> BTreeSet<Violation> {
    let written = Written::of(history);
    let mut everybody = Knowledge::default();
    let mut sessions: HashMap<u32, Knowledge> = HashMap::new();
    // What everybody knew when it began, of what has begun and not ended.
    let mut floors = HashMap::new();
    let mut found = BTreeSet::new();
    for step in in_order(history) {
        match step {
            Step::Begins(at) => drop(floors.insert(at, everybody.about(&history[at].deed))),
            Step::Ends(at) => {
                let Event { session, deed, .. } = &history[at];
                let own = sessions.entry(*session).or_default();
                found.extend(written.impossible(at, deed));
                if own.about(deed).is_newer_than(deed) {
                    found.insert(Violation::WentBack(at));
                }
                let floor = floors.remove(&at).expect("it has begun");
                if promise == Promise::Table && floor.is_newer_than(deed) {
                    found.insert(Violation::Stale(at));
                }
                own.learn(deed);
                everybody.learn(deed);
            }
        }
    }
    found
}

enum Step {
    Begins(usize),
    Ends(usize),
}

/// What has no end teaches nobody anything.
fn in_order(history: &[Event]) -> impl Iterator<Item = Step> {
    let mut steps = BTreeMap::new();
    for (at, event) in history.iter().enumerate() {
        let Some(ended) = event.ended else { continue };
        assert!(event.began < ended, "{event:?}");
        for (tick, step) in [(event.began, Step::Begins(at)), (ended, Step::Ends(at))] {
            assert!(steps.insert(tick, step).is_none(), "two steps at {tick}");
        }
    }
    steps.into_values()
}

/// All that anybody may see.
struct Written {
    /// By register and value: the place, where it was told.
    registers: HashMap<(Id, i64), Option<i64>>,
    appended: BTreeSet<(Id, i64)>,
}

impl Written {
    fn of(history: &[Event]) -> Self {
        let mut written = Self { registers: HashMap::new(), appended: BTreeSet::new() };
        for event in history {
            match event.deed {
                Deed::Write { register, value, place } => drop(written.registers.insert((register, value), place)),
                Deed::Append { list, element } => drop(written.appended.insert((list, element))),
                Deed::Read { .. } | Deed::ReadList { .. } => {}
            }
        }
        written
    }

    /// What cannot be, whatever came before.
    fn impossible(&self, at: usize, deed: &Deed) -> Vec<Violation> {
        let mut found = Vec::new();
        match deed {
            Deed::Read { place: 0, value: 0, .. } | Deed::Write { .. } | Deed::Append { .. } => {}
            Deed::Read { register, value, place } => match self.registers.get(&(*register, *value)) {
                Some(told) if told.is_none_or(|told| told == *place) => {}
                _ => found.push(Violation::FromNowhere(at)),
            },
            Deed::ReadList { list, halves } => {
                let [one, other] = halves.each_ref().map(|half| half.iter().copied().collect::<BTreeSet<_>>());
                if one.len() != halves[0].len() || other.len() != halves[1].len() {
                    found.push(Violation::Twice(at));
                }
                if one != other {
                    found.push(Violation::Torn(at));
                }
                if !one.union(&other).all(|&element| self.appended.contains(&(*list, element))) {
                    found.push(Violation::FromNowhere(at));
                }
            }
        }
        found
    }
}

/// What somebody knows of registers and lists.
#[derive(Debug, Default)]
struct Knowledge {
    places: HashMap<Id, i64>,
    lists: HashMap<Id, BTreeSet<i64>>,
}

impl Knowledge {
    fn learn(&mut self, deed: &Deed) {
        match deed {
            Deed::Write { register, place: Some(place), .. } | Deed::Read { register, place, .. } => {
                let known = self.places.entry(*register).or_default();
                *known = (*known).max(*place);
            }
            Deed::Write { place: None, .. } => {}
            Deed::Append { list, element } => drop(self.lists.entry(*list).or_default().insert(*element)),
            Deed::ReadList { list, halves } => self.lists.entry(*list).or_default().extend(halves.iter().flatten()),
        }
    }

    /// What a read must show at least.
    fn about(&self, deed: &Deed) -> Floor {
        match deed {
            Deed::Read { register, .. } => Floor::Place(self.places.get(register).copied().unwrap_or_default()),
            Deed::ReadList { list, .. } => Floor::Elements(self.lists.get(list).cloned().unwrap_or_default()),
            Deed::Write { .. } | Deed::Append { .. } => Floor::None,
        }
    }
}

/// What a read must show at least.
enum Floor {
    None,
    Place(i64),
    Elements(BTreeSet<i64>),
}

impl Floor {
    fn is_newer_than(&self, deed: &Deed) -> bool {
        match (self, deed) {
            (Self::Place(known), Deed::Read { place, .. }) => known > place,
            (Self::Elements(known), Deed::ReadList { halves, .. }) => {
                halves.iter().any(|half| !known.is_subset(&half.iter().copied().collect()))
            }
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A history in which each deed begins when the one before has ended.
    fn one_by_one(deeds: impl IntoIterator<Item = (u32, Deed)>) -> Vec<Event> {
        let event = |(tick, (session, deed))| Event { session, began: tick, ended: Some(tick + 1), deed };
        (0..).step_by(2).zip(deeds).map(event).collect()
    }

    fn write(place: i64) -> Deed {
        Deed::Write { register: 7, value: place * 100, place: Some(place) }
    }

    fn read(place: i64) -> Deed {
        Deed::Read { register: 7, value: place * 100, place }
    }

    fn append(element: i64) -> Deed {
        Deed::Append { list: 3, element }
    }

    fn list(elements: &[i64]) -> Deed {
        Deed::ReadList { list: 3, halves: [elements.to_vec(), elements.to_vec()] }
    }

    fn violations(history: &[Event], promise: Promise) -> Vec<Violation> {
        judge(history, promise).into_iter().collect()
    }

    #[test]
    fn what_keeps_every_promise_is_not_complained_of() {
        let history = one_by_one([
            (1, read(0)),
            (1, list(&[])),
            (1, write(1)),
            (2, read(1)),
            (2, write(2)),
            (1, append(5)),
            (2, append(6)),
            (1, read(2)),
            (2, list(&[6, 5])),
            (1, list(&[5, 6])),
        ]);
        assert_eq!(violations(&history, Promise::Table), []);
    }

    #[test]
    fn a_session_that_misses_its_own_write_is_found() {
        for promise in [Promise::Session, Promise::Table] {
            let history = one_by_one([(1, write(1)), (1, write(2)), (1, read(1))]);
            assert!(judge(&history, promise).contains(&Violation::WentBack(2)));
            let history = one_by_one([(1, append(5)), (1, append(6)), (1, list(&[5]))]);
            assert!(judge(&history, promise).contains(&Violation::WentBack(2)));
        }
    }

    #[test]
    fn a_session_that_goes_back_in_time_is_found() {
        let history = one_by_one([(2, write(1)), (2, write(2)), (1, read(2)), (1, read(1))]);
        assert_eq!(violations(&history, Promise::Session), [Violation::WentBack(3)]);
        let history = one_by_one([(2, append(5)), (1, list(&[5])), (1, list(&[]))]);
        assert_eq!(violations(&history, Promise::Session), [Violation::WentBack(2)]);
    }

    #[test]
    fn a_stale_read_breaks_the_promise_of_a_table_and_not_that_of_a_session() {
        let registers = one_by_one([(1, write(1)), (2, read(0))]);
        let lists = one_by_one([(1, append(5)), (2, list(&[]))]);
        let learnt_by_reading = one_by_one([(1, write(1)), (2, write(2)), (3, read(2)), (4, read(1))]);
        for (history, at) in [(registers, 1), (lists, 1), (learnt_by_reading, 3)] {
            assert_eq!(violations(&history, Promise::Table), [Violation::Stale(at)]);
            assert_eq!(violations(&history, Promise::Session), []);
        }
    }

    #[test]
    fn what_was_told_only_while_the_read_ran_may_be_missing() {
        let event = |session, began, ended, deed| Event { session, began, ended, deed };
        let told_before = [event(1, 0, Some(2), write(1)), event(2, 3, Some(4), read(0))];
        assert_eq!(violations(&told_before, Promise::Table), [Violation::Stale(1)]);
        let told_meanwhile = [event(1, 0, Some(2), write(1)), event(2, 1, Some(4), read(0))];
        assert_eq!(violations(&told_meanwhile, Promise::Table), []);
    }

    #[test]
    fn what_was_never_told_may_be_seen_or_not_but_not_unseen() {
        let unknown =
            Event { session: 1, began: 0, ended: None, deed: Deed::Write { register: 7, value: 100, place: None } };
        let seen = |session, tick, place| Event { session, began: tick, ended: Some(tick + 1), deed: read(place) };
        let may = [unknown.clone(), seen(2, 1, 0), seen(2, 3, 1)];
        assert_eq!(violations(&may, Promise::Table), []);
        let must_not = [unknown, seen(2, 1, 1), seen(2, 3, 0)];
        assert_eq!(violations(&must_not, Promise::Session), [Violation::WentBack(2)]);
    }

    #[test]
    fn values_from_nowhere_are_found() {
        let elsewhere = Deed::Read { register: 8, value: 100, place: 1 };
        let misplaced = Deed::Read { register: 7, value: 100, place: 2 };
        for deed in [elsewhere, misplaced, read(5), list(&[5])] {
            let history = one_by_one([(1, write(1)), (2, deed)]);
            assert_eq!(violations(&history, Promise::Session), [Violation::FromNowhere(1)]);
        }
    }

    #[test]
    fn a_part_of_a_transaction_and_an_element_seen_twice_are_found() {
        let half = Deed::ReadList { list: 3, halves: [vec![5], vec![]] };
        let history = one_by_one([(1, append(5)), (2, half)]);
        assert!(judge(&history, Promise::Session).contains(&Violation::Torn(1)));
        let history = one_by_one([(1, append(5)), (2, list(&[5, 5]))]);
        assert_eq!(violations(&history, Promise::Session), [Violation::Twice(1)]);
    }
}
