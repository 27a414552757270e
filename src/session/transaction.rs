//! What the open transaction has done so far, with a mark per savepoint ("What counts as committed" in the design).

use std::sync::Arc;

use super::room::{Holding, Room};
use crate::effect::{Change, Mark, Reason, Touched, Xid};

/// A transaction that holds more is marked by table instead (rule 23).
pub(super) const MAX_BYTES: usize = 8 << 20;

/// The changes of the open transaction, explicit or implicit.
#[derive(Debug)]
pub(super) struct Transaction {
    changes: Vec<Change>,
    xid: Option<Xid>,
    savepoints: Vec<Savepoint>,
    bytes: usize,
    wrote_unmirrored: bool,
    /// Tables of which no more rows are kept: they are marked.
    given_up: Touched,
    /// Its locks do not tell what it wrote.
    untellable: bool,
    holding: Holding,
}

#[derive(Debug)]
struct Savepoint {
    name: String,
    changes: usize,
    bytes: usize,
}

/// What a commit leaves.
#[derive(Debug, PartialEq)]
pub(super) enum Sealed {
    /// Nothing was written.
    Nothing,
    /// Only what is not mirrored.
    Unmirrored,
    /// These changes.
    Changes(Option<Xid>, Vec<Change>),
}

impl Transaction {
    /// Nothing is done yet; what it will hold is taken from `room`.
    pub(super) fn new(room: Arc<Room>) -> Self {
        Self {
            changes: Vec::new(),
            xid: None,
            savepoints: Vec::new(),
            bytes: 0,
            wrote_unmirrored: false,
            given_up: Touched::NONE,
            untellable: false,
            holding: Holding::nothing_of(room),
        }
    }

    pub(super) fn push(&mut self, xid: Option<Xid>, change: Change) {
        self.xid = xid.or(self.xid);
        self.bytes += match &change {
            Change::Row(row) if self.given_up.contains(row.shape.table) => return,
            Change::Row(row) => 160 + row.key.as_bytes().len() + row.image.as_ref().map_or(0, |image| image.len()),
            Change::Replay(replay) => 160 + replay.sql.len(),
            Change::Mark(Mark::Referring { referring, .. }) if self.given_up.contains(referring.table) => return,
            Change::Mark(mark) if self.holds_mark(mark) => return,
            Change::Mark(Mark::Referring { key, .. }) => 160 + key.as_bytes().len(),
            Change::Mark(Mark::Keys { keys, .. }) => 160 + keys.iter().map(|key| key.as_bytes().len()).sum::<usize>(),
            Change::Mark(Mark::Tables { .. }) => 160,
        };
        self.changes.push(change);
        if self.bytes > MAX_BYTES || !self.holding.resize(self.bytes) {
            self.overflow();
        }
    }

    /// Wrote something that is not mirrored.
    pub(super) fn push_unmirrored(&mut self) {
        self.wrote_unmirrored = true;
    }

    pub(super) fn savepoint(&mut self, name: &str) {
        self.savepoints.push(Savepoint { name: name.to_owned(), changes: self.changes.len(), bytes: self.bytes });
    }

    pub(super) fn release(&mut self, name: &str) {
        if let Some(index) = self.savepoints.iter().rposition(|savepoint| savepoint.name == name) {
            self.savepoints.truncate(index);
        }
    }

    /// Something wrote what its locks will not tell.
    pub(super) fn untellable(&mut self) {
        self.untellable = true;
    }

    /// Whether it marks all tables, and its locks may tell which.
    pub(super) fn is_untold(&self) -> bool {
        !self.untellable && self.changes.iter().any(|change| matches!(change, Change::Mark(mark) if is_on_all(mark)))
    }

    /// All that it wrote is in these tables (rule 15).
    pub(super) fn told(&mut self, written: &Touched) {
        if self.untellable {
            return;
        }
        self.changes.retain_mut(|change| {
            let Change::Mark(mark) = change else { return true };
            if !is_on_all(mark) {
                return true;
            }
            if let Mark::Tables { touched, .. } = mark {
                touched.clone_from(written);
            }
            !written.is_empty()
        });
    }

    /// Takes back what came after the savepoint, which itself stays. The locks that go with it are not told apart.
    pub(super) fn rollback_to(&mut self, name: &str) {
        self.untellable = true;
        if let Some(index) = self.savepoints.iter().rposition(|savepoint| savepoint.name == name) {
            self.savepoints.truncate(index + 1);
            self.changes.truncate(self.savepoints[index].changes);
            self.bytes = self.savepoints[index].bytes;
            self.holding.resize(self.bytes);
        }
    }

    /// It rolled back.
    pub(super) fn discard(&mut self) {
        let mut changes = std::mem::take(&mut self.changes);
        changes.clear();
        *self = Self { changes, ..Self::new(self.holding.room()) };
    }

    /// Whether nothing was written.
    pub(super) fn is_untouched(&self) -> bool {
        self.changes.is_empty() && !self.wrote_unmirrored && self.given_up.is_empty()
    }

    /// It committed.
    pub(super) fn seal(&mut self) -> Sealed {
        let next = Self::new(self.holding.room());
        let done = std::mem::replace(self, next);
        match (done.changes.is_empty(), done.wrote_unmirrored) {
            (false, _) => Sealed::Changes(done.xid, done.changes),
            (true, true) => Sealed::Unmirrored,
            (true, false) => Sealed::Nothing,
        }
    }

    /// Every table it wrote, as far as known.
    pub(super) fn touched(&self) -> Touched {
        let mut touched = Touched::NONE;
        for change in &self.changes {
            match change {
                Change::Row(row) => touched.extend(&Touched::Tables(vec![row.shape.table])),
                Change::Replay(replay) => touched.extend(&replay.touched),
                Change::Mark(Mark::Keys { table, .. }) => touched.extend(&Touched::Tables(vec![*table])),
                Change::Mark(Mark::Referring { referring, .. }) => touched.extend(&Touched::of([referring.table])),
                Change::Mark(Mark::Tables { touched: marked, .. }) => touched.extend(marked),
            }
        }
        touched
    }

    /// Whether the same mark is there already, in the part that no savepoint can take back alone.
    fn holds_mark(&self, mark: &Mark) -> bool {
        let from = self.savepoints.last().map_or(0, |savepoint| savepoint.changes);
        let same = |change: &Change| matches!(change, Change::Mark(found) if found == mark);
        self.changes[from.min(self.changes.len())..].iter().rev().take(16).any(same)
    }

    /// Gives up the rows, keeps their tables. Savepoints keep what they would take back as marks: marking too much
    /// is safe.
    fn overflow(&mut self) {
        self.given_up = self.touched();
        let mark = Change::Mark(Mark::Tables { touched: self.given_up.clone(), reason: Reason::Overflow });
        self.changes.retain(|change| matches!(change, Change::Replay(_)));
        self.changes.insert(0, mark);
        for savepoint in &mut self.savepoints {
            savepoint.changes = self.changes.len();
            savepoint.bytes = 0;
        }
        self.bytes = 0;
        self.holding.resize(0);
    }
}

fn is_on_all(mark: &Mark) -> bool {
    matches!(mark, Mark::Tables { touched: Touched::All, .. })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::effect::{Epoch, Key, Lsn, RowChange, Shape, Stamp, TableId};
    use proptest::prelude::*;

    fn row(n: u64, bytes: usize) -> Change {
        let shape = Shape {
            table: TableId(7),
            schema: "public".into(),
            name: "t".into(),
            columns: Vec::new(),
            key: Vec::new(),
        };
        Change::Row(RowChange {
            shape: Arc::new(shape),
            key: Key::new([n.to_string().as_str()]),
            stamp: Stamp { epoch: Epoch(1), lsn: Lsn(n) },
            image: Some("x".repeat(bytes).into()),
        })
    }

    fn stamps(sealed: Sealed) -> Vec<u64> {
        let Sealed::Changes(_, changes) = sealed else { return Vec::new() };
        let lsn = |change: &Change| if let Change::Row(row) = change { row.stamp.lsn.0 } else { 0 };
        changes.iter().map(lsn).collect()
    }

    #[derive(Debug, Clone)]
    enum Step {
        Write,
        Savepoint(u8),
        Release(u8),
        RollbackTo(u8),
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            4 => Just(Step::Write),
            1 => (0_u8..3).prop_map(Step::Savepoint),
            1 => (0_u8..3).prop_map(Step::Release),
            1 => (0_u8..3).prop_map(Step::RollbackTo),
        ]
    }

    proptest! {
        /// The model: a stack of levels, each with the name that opened it and its own writes.
        #[test]
        fn savepoints_in_every_order_keep_what_the_server_keeps(steps in prop::collection::vec(step(), 0..40)) {
            let mut transaction = Transaction::new(Arc::default());
            let mut model: Vec<(Option<u8>, Vec<u64>)> = vec![(None, Vec::new())];
            for (n, step) in (1..).zip(steps) {
                let found = |model: &[(Option<u8>, Vec<u64>)], name| model.iter().rposition(|level| level.0 == Some(name));
                match step {
                    Step::Write => {
                        transaction.push(None, row(n, 1));
                        model.last_mut().unwrap().1.push(n);
                    }
                    Step::Savepoint(name) => {
                        transaction.savepoint(&name.to_string());
                        model.push((Some(name), Vec::new()));
                    }
                    Step::Release(name) => {
                        transaction.release(&name.to_string());
                        if let Some(index) = found(&model, name) {
                            let inner: Vec<u64> = model.drain(index..).flat_map(|level| level.1).collect();
                            model.last_mut().unwrap().1.extend(inner);
                        }
                    }
                    Step::RollbackTo(name) => {
                        transaction.rollback_to(&name.to_string());
                        if let Some(index) = found(&model, name) {
                            model.truncate(index + 1);
                            model[index].1.clear();
                        }
                    }
                }
            }
            let expected: Vec<u64> = model.into_iter().flat_map(|level| level.1).collect();
            prop_assert_eq!(stamps(transaction.seal()), expected);
        }
    }

    #[test]
    fn a_rollback_leaves_nothing_and_an_unmirrored_write_is_told() {
        let mut transaction = Transaction::new(Arc::default());
        transaction.push(None, row(1, 1));
        transaction.push_unmirrored();
        transaction.discard();
        assert_eq!(transaction.seal(), Sealed::Nothing);
        transaction.push_unmirrored();
        assert_eq!(transaction.seal(), Sealed::Unmirrored);
    }

    #[test]
    fn rule_23_a_transaction_too_large_becomes_a_table_mark_whatever_is_rolled_back_to() {
        let mut transaction = Transaction::new(Arc::default());
        transaction.savepoint("a");
        for n in 0..10 {
            transaction.push(None, row(n, 1 << 20));
        }
        transaction.push(None, row(10, 1));
        transaction.rollback_to("a");
        transaction.push(None, row(11, 1));
        let Sealed::Changes(_, changes) = transaction.seal() else { panic!("nothing sealed") };
        let mark = Mark::Tables { touched: Touched::Tables(vec![TableId(7)]), reason: Reason::Overflow };
        assert_eq!(changes, [Change::Mark(mark)]);
    }
}
