//! What a write leads to beside the rows of its own table.

use std::sync::Arc;

use crate::effect::{Referring, Touched};

/// The mirrored tables that are written with a table, by what is done to it; [`Touched::All`] where code of the user runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Leads {
    /// When rows are written in any way (triggers, rules, what inherits from it).
    pub reach: Touched,
    /// What comes about by a row that is written, and not removed, calls code of the user (defaults, checks).
    pub calls: bool,
    /// Code of the user runs with rows of one of all these tables, or of its own, wherever it leads as it is now.
    pub runs_code: bool,
    /// Names of tables that are not mirrored and are written with it, too: what they lead to is counted in.
    pub beside: Vec<String>,
    /// When a row is deleted, too (foreign keys).
    pub removal: Removal,
    /// When one of the columns `referenced` is given a value, too (foreign keys).
    pub rekeying: Touched,
    /// Sorted.
    pub referenced: Vec<String>,
    /// When it is truncated, too (triggers for that).
    pub truncation: Touched,
}

/// What is written with a row that is deleted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Removal {
    /// Every table.
    pub touched: Touched,
    /// Those of which any row may be.
    pub whole: Touched,
    /// Those of which only rows are that refer to the deleted one.
    pub referring: Vec<Arc<Referring>>,
}

impl Default for Leads {
    fn default() -> Self {
        Self::NOWHERE
    }
}

impl Leads {
    /// To none.
    pub const NOWHERE: Self = Self {
        reach: Touched::NONE,
        calls: false,
        runs_code: false,
        beside: Vec::new(),
        removal: Removal { touched: Touched::NONE, whole: Touched::NONE, referring: Vec::new() },
        rekeying: Touched::NONE,
        referenced: Vec::new(),
        truncation: Touched::NONE,
    };

    /// Whether nothing else is written, whatever is done to the table.
    pub fn are_nowhere(&self) -> bool {
        !self.calls && self.each().all(Touched::is_empty)
    }

    /// Whether both say the same.
    pub fn are_same_as(&self, other: &Self) -> bool {
        self.calls == other.calls
            && self.referenced == other.referenced
            && self.removal.referring == other.removal.referring
            && self.each().zip(other.each()).all(|(mine, theirs)| mine.is_same_as(theirs))
    }

    /// What foreign keys write when these columns of a row are given values.
    pub fn of_update(&self, set: &[String]) -> Option<&Touched> {
        let is_referenced = set.iter().any(|column| self.referenced.binary_search(column).is_ok());
        (is_referenced && !self.rekeying.is_empty()).then_some(&self.rekeying)
    }

    /// Everywhere that rows written in any way lead.
    pub fn of_rows(&self) -> Touched {
        let mut touched = self.by_writing();
        touched.extend(&self.removal.touched);
        touched.extend(&self.rekeying);
        touched
    }

    /// Where rows lead that are written and not removed, foreign keys left out.
    pub fn by_writing(&self) -> Touched {
        if self.calls { Touched::All } else { self.reach.clone() }
    }

    /// Everywhere that anything done to it leads.
    pub fn everywhere(&self) -> Touched {
        let mut touched = self.of_rows();
        touched.extend(&self.truncation);
        touched
    }

    /// Where these lead and `before` did not.
    pub(super) fn beyond(&self, before: &Self) -> Touched {
        match (self.everywhere(), before.everywhere()) {
            (_, Touched::All) => Touched::NONE,
            (Touched::All, Touched::Tables(_)) => Touched::All,
            (Touched::Tables(now), Touched::Tables(then)) => {
                let columns = if self.referenced == before.referenced { &Touched::NONE } else { &self.rekeying };
                let mut touched = Touched::of(now.into_iter().filter(|table| !then.contains(table)));
                touched.extend(columns);
                touched
            }
        }
    }

    /// Everywhere that truncating leads.
    pub fn of_truncation(&self) -> Touched {
        let mut touched = self.reach.clone();
        touched.extend(&self.truncation);
        touched
    }

    pub(super) fn each(&self) -> impl Iterator<Item = &Touched> {
        [&self.reach, &self.removal.touched, &self.rekeying, &self.truncation].into_iter()
    }
}
