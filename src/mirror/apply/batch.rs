//! What is applied in one transaction of the shadow.

use std::collections::HashSet;
use std::sync::Arc;

use super::memory::Verdict;
use super::writes::{Place, WriteSet};
use crate::effect::{Change, Replay, RowChange, Seq, Shape, TableId};
use crate::mirror::entry::{Entry, Existing, Fill, Item, Refresh};

/// An entry with what is to be done about it.
#[derive(Debug, Clone)]
pub(super) struct Task {
    pub(super) entry: Arc<Entry>,
    /// Indexes of the row changes to apply, of a transaction.
    admitted: Vec<usize>,
    pub(super) writes: WriteSet,
    /// Tables whose rows are deleted and inserted instead of updated.
    replaced: HashSet<TableId>,
    filling: Filling,
}

/// How rows are put where the shadow has none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Filling {
    /// By COPY; if one is there already, as by insert.
    Copy,
    /// By INSERT, each value cast to the shadow's type.
    Insert,
}

/// What the shadow says of a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Standing {
    pub(super) entangled: Entangled,
    /// A column beside the key is GENERATED ALWAYS AS IDENTITY: an UPDATE of it is refused (rule 10).
    pub(super) always_identity: bool,
    /// Its columns have the types of the shape: it reads what the primary's COPY printed.
    pub(super) types_agree: bool,
}

/// Whether rows of a table depend on others than those with their key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Entangled {
    #[default]
    No,
    /// By a unique index or an exclusion constraint beside the key.
    Itself,
    /// By foreign keys that are checked.
    ForeignKeys,
}

/// Consecutive tasks that commit together.
#[derive(Debug, Clone)]
pub(super) struct Batch {
    pub(super) tasks: Vec<Task>,
    pub(super) writes: WriteSet,
    pub(super) form: Form,
    pub(super) company: Company,
    pub(super) trial: Trial,
}

/// How rows are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// `ON CONFLICT (key) DO UPDATE`.
    Upsert,
    /// All keys deleted, then all images inserted (rule 19).
    Replace,
    /// As that, for rows read back, but those that others stand in the way of are left out: what stands there goes when it is
    /// read back itself.
    Yield,
}

/// Whether others may run beside it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Company {
    Any,
    Alone,
}

/// What a refusal leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Trial {
    /// It may be what comes later in the ledger that it lacks: tried again behind it.
    First,
    /// It is for good (rule 20).
    Last,
}

/// What one task does, in order.
pub(super) enum Step<'a> {
    Rows(Vec<&'a RowChange>),
    Replay(&'a Replay),
    Refresh(&'a Refresh),
    Fill(&'a Fill, Filling),
}

impl Task {
    /// A task for `entry`; `judge` decides about each row change, `standing` tells what the shadow says of a table.
    pub(super) fn new(
        entry: Arc<Entry>,
        mut judge: impl FnMut(&RowChange) -> Verdict,
        standing: impl Fn(&Shape) -> Standing,
    ) -> Self {
        let (mut admitted, mut writes, mut replaced) = (Vec::new(), WriteSet::default(), HashSet::new());
        let mut filling = Filling::Insert;
        let mut touch = |shape: &Shape, writes: &mut WriteSet| {
            let standing = standing(shape);
            match standing.entangled {
                Entangled::No => {}
                Entangled::Itself => writes.add_whole(Place::Table(shape.table)),
                Entangled::ForeignKeys => {
                    writes.add_whole(Place::Table(shape.table));
                    writes.add_whole(Place::ForeignKeys);
                }
            }
            // Where foreign keys are checked a delete acts on other rows: there the refusal stands.
            if standing.always_identity && standing.entangled != Entangled::ForeignKeys {
                replaced.insert(shape.table);
            }
        };
        match &entry.item {
            Item::Refresh(refresh) => {
                touch(&refresh.shape, &mut writes);
                writes.add_whole(Place::Table(refresh.shape.table));
            }
            Item::Fill(fill) => {
                touch(&fill.shape, &mut writes);
                writes.add_whole(Place::Table(fill.shape.table));
                let Standing { types_agree, entangled, .. } = standing(&fill.shape);
                // Where foreign keys are checked a delete acts on other rows: what can stay is updated.
                let deletes = fill.existing != Existing::Kept && entangled == Entangled::ForeignKeys;
                if types_agree && !deletes {
                    filling = Filling::Copy;
                }
            }
            Item::Transaction(transaction) => {
                for (index, change) in transaction.changes.iter().enumerate() {
                    match change {
                        Change::Row(row) => {
                            if matches!(judge(row), Verdict::Apply | Verdict::Doubtful) {
                                admitted.push(index);
                                touch(&row.shape, &mut writes);
                                writes.add_key(row.shape.table, &row.key);
                            }
                        }
                        Change::Replay(_) => writes = WriteSet::Everything,
                        // Marks are with the suspects already.
                        Change::Mark(_) => {}
                    }
                }
            }
        }
        Self { entry, admitted, writes, replaced, filling }
    }

    pub(super) fn seq(&self) -> Seq {
        self.entry.seq
    }

    /// Whether it brings rows to a table without key.
    pub(super) fn has_arrivals(&self) -> bool {
        let Item::Transaction(transaction) = &self.entry.item else { return false };
        transaction.changes.iter().any(|change| matches!(change, Change::Row(row) if row.key.is_empty()))
    }

    /// Row changes to apply.
    pub(super) fn rows(&self) -> usize {
        self.admitted.len()
    }

    /// Whether it shares no transaction of the shadow with others: a replayed statement, a refresh or a fill.
    pub(super) fn is_single(&self) -> bool {
        matches!(self.writes, WriteSet::Everything) || !matches!(self.entry.item, Item::Transaction(_))
    }

    fn steps(&self) -> Vec<Step<'_>> {
        let transaction = match &self.entry.item {
            Item::Refresh(refresh) => return vec![Step::Refresh(refresh)],
            Item::Fill(fill) => return vec![Step::Fill(fill, self.filling)],
            Item::Transaction(transaction) => transaction,
        };
        let mut steps = Vec::new();
        let mut rows = Vec::new();
        let mut admitted = self.admitted.iter().peekable();
        for (index, change) in transaction.changes.iter().enumerate() {
            let applies = admitted.next_if_eq(&&index).is_some();
            match change {
                Change::Row(row) if applies => rows.push(row),
                Change::Replay(replay) => {
                    if !rows.is_empty() {
                        steps.push(Step::Rows(std::mem::take(&mut rows)));
                    }
                    steps.push(Step::Replay(replay));
                }
                Change::Row(_) | Change::Mark(_) => {}
            }
        }
        if !rows.is_empty() {
            steps.push(Step::Rows(rows));
        }
        steps
    }
}

impl Batch {
    /// The first attempt at `tasks`.
    pub(super) fn new(tasks: Vec<Task>) -> Self {
        let mut writes = WriteSet::default();
        for task in &tasks {
            writes.extend(&task.writes);
        }
        Self { tasks, writes, form: Form::Upsert, company: Company::Any, trial: Trial::First }
    }

    /// The last of its places.
    pub(super) fn last(&self) -> Seq {
        self.tasks.last().map_or(Seq(0), Task::seq)
    }

    /// How the rows of `table` are written.
    pub(super) fn form_for(&self, table: TableId) -> Form {
        let replaced = self.tasks.iter().any(|task| task.replaced.contains(&table));
        if replaced && self.form == Form::Upsert { Form::Replace } else { self.form }
    }

    /// What it does, in order: the rows of consecutive transactions in one step.
    pub(super) fn steps(&self) -> Vec<Step<'_>> {
        let mut steps: Vec<Step<'_>> = Vec::new();
        for step in self.tasks.iter().flat_map(Task::steps) {
            match (steps.last_mut(), step) {
                (Some(Step::Rows(rows)), Step::Rows(more)) => rows.extend(more),
                (_, step) => steps.push(step),
            }
        }
        steps
    }

    /// Each task by itself, with nothing beside it.
    pub(super) fn apart(&self) -> Vec<Self> {
        let alone = |task: &Task| Self { company: Company::Alone, ..Self::new(vec![task.clone()]) };
        self.tasks.iter().map(alone).collect()
    }
}
