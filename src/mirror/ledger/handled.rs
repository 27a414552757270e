//! How committed transactions were handled, by table: exactly, replayed, or marked to be read back, and why. Since start.

use std::collections::{HashMap, HashSet};

use parking_lot::Mutex;

use crate::effect::{Change, Mark, Reason, TableId, Touched};
use crate::report::{Handled, Way};

/// Past so many tables and reasons no new ones are counted apart.
const MOST: usize = 10_000;

/// What was done with what a transaction wrote to a table; `None`: to tables that are not known.
type Deed = (Option<TableId>, Way, Option<Reason>);

/// Transactions by what was done with them. One counts once for each table and way.
#[derive(Debug, Default)]
pub(super) struct Handling(Mutex<HashMap<Deed, u64>>);

impl Handling {
    /// What a transaction wrote is in the journal.
    pub(super) fn kept(&self, effects: &[Change]) {
        let mut deeds: HashSet<Deed> = HashSet::new();
        let mut last = None;
        for change in effects {
            match change {
                Change::Row(row) if last.replace(row.shape.table) == Some(row.shape.table) => {}
                Change::Row(row) => drop(deeds.insert((Some(row.shape.table), Way::Exact, None))),
                Change::Replay(replay) => deeds.extend(each(&replay.touched, Way::Replayed, None)),
                Change::Mark(mark) => deeds.extend(read_back(mark)),
            }
        }
        self.count(deeds);
    }

    /// What a transaction wrote is marked.
    pub(super) fn marked(&self, marks: &[Mark]) {
        if !marks.is_empty() {
            self.count(marks.iter().flat_map(read_back).collect());
        }
    }

    fn count(&self, deeds: HashSet<Deed>) {
        let mut counts = self.0.lock();
        for deed in deeds {
            let is_full = counts.len() >= MOST;
            match counts.get_mut(&deed) {
                Some(count) => *count += 1,
                None if is_full => *counts.entry((None, deed.1, deed.2)).or_default() += 1,
                None => drop(counts.insert(deed, 1)),
            }
        }
    }

    /// For the report, sorted; `names` gives `schema.table`.
    pub(super) fn report(&self, names: &dyn Fn(TableId) -> String) -> Vec<Handled> {
        let counts: Vec<(Deed, u64)> = self.0.lock().iter().map(|(&deed, &count)| (deed, count)).collect();
        let handled = |((table, way, reason), transactions): (Deed, u64)| {
            let reason = reason.map(|reason| reason.to_string());
            Handled { table: table.map(names), way, reason, transactions }
        };
        let mut handled: Vec<_> = counts.into_iter().map(handled).collect();
        handled.sort_unstable_by(|a, b| (&a.table, a.way, &a.reason).cmp(&(&b.table, b.way, &b.reason)));
        handled
    }
}

fn read_back(mark: &Mark) -> Vec<Deed> {
    match mark {
        Mark::Keys { table, reason, .. } => vec![(Some(*table), Way::Refreshed, Some(*reason))],
        Mark::Referring { referring, reason, .. } => vec![(Some(referring.table), Way::Refreshed, Some(*reason))],
        Mark::Tables { touched, reason } => each(touched, Way::Refreshed, Some(*reason)),
    }
}

fn each(touched: &Touched, way: Way, reason: Option<Reason>) -> Vec<Deed> {
    match touched {
        Touched::Tables(tables) => tables.iter().map(|table| (Some(*table), way, reason)).collect(),
        Touched::All => vec![(None, way, reason)],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_transaction_counts_once_for_each_table_and_way() {
        let handling = Handling::default();
        let marked = |touched, reason| Mark::Tables { touched, reason };
        let both = marked(Touched::Tables(vec![TableId(1), TableId(2)]), Reason::Copy);
        let keys = Mark::Keys { table: TableId(1), keys: Vec::new(), reason: Reason::Copy };
        handling.marked(&[both.clone(), keys, marked(Touched::All, Reason::Opaque)]);
        handling.marked(&[both]);
        let told = handling.report(&|table| format!("t{}", table.0));
        let told: Vec<_> =
            told.iter().map(|h| (h.table.as_deref(), h.way, h.reason.as_deref(), h.transactions)).collect();
        let copied = |table, count| (Some(table), Way::Refreshed, Some("copy"), count);
        assert_eq!(told, [(None, Way::Refreshed, Some("opaque"), 1), copied("t1", 2), copied("t2", 2)]);
    }
}
