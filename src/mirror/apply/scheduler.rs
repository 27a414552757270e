//! Which tasks form a batch, and which batches run beside each other: those whose write sets do not meet (rule 19).
//! Without I/O.

use std::collections::VecDeque;
use std::sync::Arc;

use super::batch::{Batch, Company, Task};
use super::writes::WriteSet;
use crate::effect::Seq;

/// A batch holds about so many row changes.
const BATCH_ROWS: usize = 500;
/// And about so many bytes.
const BATCH_BYTES: usize = 1 << 20;

/// Tasks waiting, batches running. Batches are numbered in the order in which they start, and so commit.
#[derive(Debug)]
pub(super) struct Scheduler {
    /// To be run again, before anything new.
    again: VecDeque<Arc<Batch>>,
    queue: VecDeque<Task>,
    queued_bytes: usize,
    queued_rows: usize,
    /// Tasks in the queue that share no batch.
    queued_singles: usize,
    running: VecDeque<(u64, Arc<Batch>)>,
    next: u64,
}

impl Scheduler {
    pub(super) fn new() -> Self {
        Self {
            again: VecDeque::new(),
            queue: VecDeque::new(),
            queued_bytes: 0,
            queued_rows: 0,
            queued_singles: 0,
            running: VecDeque::new(),
            next: 0,
        }
    }

    /// Adds the next task of the ledger.
    pub(super) fn push(&mut self, task: Task) {
        self.queued_bytes += task.entry.bytes;
        self.queued_rows += task.rows();
        self.queued_singles += usize::from(task.is_single());
        self.queue.push_back(task);
    }

    /// Whether tasks wait, and more may join them before they start.
    pub(super) fn gathers(&self, awaited: Seq) -> bool {
        let full = self.queued_rows >= BATCH_ROWS || self.queued_bytes >= BATCH_BYTES || self.queued_singles > 0;
        let next = self.queue.front().map(Task::seq);
        self.again.is_empty() && !full && next.is_some_and(|next| awaited < next)
    }

    /// The next batch, if there is one that may start now.
    pub(super) fn start(&mut self) -> Option<(u64, Arc<Batch>)> {
        if self.running.iter().any(|(_, batch)| batch.company == Company::Alone) {
            return None;
        }
        let batch = match self.again.front() {
            Some(batch) if self.may_join(batch) => self.again.pop_front()?,
            Some(_) => return None,
            None => Arc::new(self.form()?),
        };
        let number = self.next;
        self.next += 1;
        self.running.push_back((number, batch.clone()));
        Some((number, batch))
    }

    /// The number of the next batch to start.
    pub(super) fn next_number(&self) -> u64 {
        self.next
    }

    /// Batch `number` has committed; every earlier one has too, but may be told later.
    pub(super) fn committed(&mut self, number: u64) -> Option<Arc<Batch>> {
        let index = self.running.iter().position(|(running, _)| *running == number)?;
        self.running.remove(index).map(|(_, batch)| batch)
    }

    /// The last place in a running batch.
    pub(super) fn last_running(&self) -> Seq {
        self.running.iter().map(|(_, batch)| batch.last()).max().unwrap_or_default()
    }

    /// Nothing runs any more: what did not commit is to be run again, in order.
    pub(super) fn recall(&mut self) {
        while let Some((_, batch)) = self.running.pop_back() {
            self.again.push_front(batch);
        }
    }

    /// The batch that is to be run again first.
    pub(super) fn take_again(&mut self) -> Option<Arc<Batch>> {
        self.again.pop_front()
    }

    /// Runs `batches` first, in order.
    pub(super) fn put_again(&mut self, batches: Vec<Batch>) {
        for batch in batches.into_iter().rev() {
            self.again.push_front(Arc::new(batch));
        }
    }

    /// Bytes of the tasks that are in no batch yet.
    pub(super) fn queued_bytes(&self) -> usize {
        self.queued_bytes
    }

    fn may_join(&self, batch: &Batch) -> bool {
        self.running.is_empty() || (batch.company == Company::Any && !self.meets_running(&batch.writes))
    }

    fn meets_running(&self, writes: &WriteSet) -> bool {
        self.running.iter().any(|(_, batch)| batch.writes.meets(writes))
    }

    /// As many tasks from the front as fit together, up to the first that meets a running batch.
    fn form(&mut self) -> Option<Batch> {
        let (mut tasks, mut rows, mut bytes) = (Vec::new(), 0, 0);
        while let Some(task) = self.queue.front() {
            rows += task.rows();
            bytes += task.entry.bytes;
            let fits = tasks.is_empty() || (!task.is_single() && rows <= BATCH_ROWS && bytes <= BATCH_BYTES);
            if !fits || self.meets_running(&task.writes) {
                break;
            }
            let single = task.is_single();
            self.queued_bytes = self.queued_bytes.saturating_sub(task.entry.bytes);
            self.queued_rows = self.queued_rows.saturating_sub(task.rows());
            self.queued_singles = self.queued_singles.saturating_sub(usize::from(single));
            tasks.extend(self.queue.pop_front());
            if single {
                break;
            }
        }
        (!tasks.is_empty()).then(|| Batch::new(tasks))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use proptest::prelude::*;

    use super::*;
    use crate::mirror::apply::testing::{entry, refresh, row, shape};
    use crate::mirror::apply::{batch::Standing, memory::Verdict};
    use crate::mirror::entry::{Refresh, Scope};

    fn task(seq: u64, keys: &[u8]) -> Task {
        let shape = shape(1, "t", &["id"], &[0]);
        let changes = keys.iter().map(|key| row(&shape, &[&key.to_string()], seq, Some("(1)"))).collect();
        Task::new(entry(seq, changes), |_| Verdict::Apply, |_| Standing::default())
    }

    #[test]
    fn a_task_that_meets_a_running_batch_waits_and_those_behind_it_too() {
        let mut scheduler = Scheduler::new();
        scheduler.push(task(1, &[1]));
        let (first, _) = scheduler.start().unwrap();
        scheduler.push(task(2, &[2]));
        scheduler.push(task(3, &[1]));
        scheduler.push(task(4, &[4]));
        let (_, second) = scheduler.start().unwrap();
        assert_eq!(second.last().0, 2);
        assert!(scheduler.start().is_none());
        scheduler.committed(first).unwrap();
        let (_, third) = scheduler.start().unwrap();
        assert_eq!(third.tasks.len(), 2);
        assert_eq!(scheduler.queued_bytes(), 0);
    }

    #[test]
    fn recalled_batches_run_again_in_order_and_alone_means_alone() {
        let mut scheduler = Scheduler::new();
        for seq in 1..=3 {
            scheduler.push(task(seq, &[seq as u8]));
            scheduler.start().unwrap();
        }
        scheduler.recall();
        let failed = scheduler.take_again().unwrap();
        scheduler.put_again(failed.apart());
        let (number, batch) = scheduler.start().unwrap();
        assert_eq!((batch.last().0, batch.company), (1, Company::Alone));
        assert!(scheduler.start().is_none());
        scheduler.committed(number).unwrap();
        assert_eq!(scheduler.start().unwrap().1.last().0, 2);
        assert_eq!(scheduler.start().unwrap().1.last().0, 3);
    }

    #[test]
    fn tasks_gather_until_they_are_many_or_awaited_or_to_be_run_again() {
        let mut scheduler = Scheduler::new();
        assert!(!scheduler.gathers(Seq(0)), "nothing waits");
        for seq in 1..=4 {
            scheduler.push(task(seq, &[seq as u8]));
            assert!(scheduler.gathers(Seq(0)));
        }
        assert!(!scheduler.gathers(Seq(1)), "somebody waits for the first");
        let (_, batch) = scheduler.start().unwrap();
        assert_eq!(batch.tasks.len(), 4);
        scheduler.push(task(5, &[5]));
        assert!(scheduler.gathers(Seq(4)), "what somebody waited for has started");
        scheduler.recall();
        assert!(!scheduler.gathers(Seq(0)));
        scheduler.start().unwrap();
        let range = Scope::Range { after: None, upto: None };
        let shape = shape(1, "t", &["id"], &[0]);
        let refresh = refresh(6, Refresh { shape, scope: range, rows: Vec::new(), newer: HashSet::new() });
        scheduler.push(Task::new(refresh, |_| Verdict::Apply, |_| Standing::default()));
        assert!(!scheduler.gathers(Seq(0)), "it goes alone");
        let mut scheduler = Scheduler::new();
        let keys: Vec<u8> = (0..250).collect();
        scheduler.push(task(1, &keys));
        assert!(scheduler.gathers(Seq(0)));
        scheduler.push(task(2, &keys));
        assert!(!scheduler.gathers(Seq(0)), "a batch is full");
    }

    proptest! {
        #[test]
        fn rule_19_running_batches_never_share_a_key_and_every_task_runs_once_in_order(
            keys in prop::collection::vec(prop::collection::vec(0u8..12, 1..4), 1..40),
            steps in prop::collection::vec(0u8..4, 0..200),
        ) {
            let mut scheduler = Scheduler::new();
            let mut running: VecDeque<(u64, Arc<Batch>)> = VecDeque::new();
            let mut committed = Vec::new();
            let mut seqs = 1..=keys.len() as u64;
            let finish = std::iter::repeat_n([0, 1, 2], keys.len() + 1).flatten();
            for step in steps.into_iter().chain(finish) {
                match step {
                    0 => if let Some(seq) = seqs.next() {
                        scheduler.push(task(seq, &keys[seq as usize - 1]));
                    },
                    1 => running.extend(scheduler.start()),
                    2 => if let Some((number, batch)) = running.pop_front() {
                        prop_assert!(scheduler.committed(number).is_some());
                        committed.extend(batch.tasks.iter().map(|task| task.seq().0));
                    },
                    _ => {
                        scheduler.recall();
                        running.clear();
                    }
                }
                for (i, (_, one)) in running.iter().enumerate() {
                    for (_, other) in running.iter().skip(i + 1) {
                        prop_assert!(!one.writes.meets(&other.writes));
                    }
                }
            }
            while let Some((number, batch)) = running.pop_front() {
                scheduler.committed(number);
                committed.extend(batch.tasks.iter().map(|task| task.seq().0));
            }
            prop_assert_eq!(committed, (1..=keys.len() as u64).collect::<Vec<_>>());
        }
    }
}
