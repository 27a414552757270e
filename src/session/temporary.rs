//! Names of the session's temporary relations: what a definition does to one of these is not for the shadow, where the
//! name means a real one or nothing.
//!
//! Statements tell them, in the order in which they ran. Of what a function makes nothing is known here, nor that
//! ON COMMIT DROP has removed one.

use std::collections::HashSet;

use crate::sql::{Deed, DefiningQuery, Kind, Name};

/// The temporary relations.
#[derive(Debug, Default)]
pub(super) struct Temporary {
    names: HashSet<String>,
    /// As they will be if the open transaction rolls back; set at its first change.
    before: Option<HashSet<String>>,
    /// Of what is on its way.
    announced: HashSet<String>,
    /// Those that ever were a view's, through which other tables are written.
    views: HashSet<String>,
}

impl Temporary {
    /// Whether a definition is about one of them.
    pub(super) fn hides(&self, kind: &Kind) -> bool {
        let Kind::Ddl { targets, deed: Deed::Changes | Deed::Drops, .. } = kind else { return false };
        targets.iter().any(|target| self.is_one(target))
    }

    /// Whether a name that leads nowhere else is that of a table that a statement has made, or makes first.
    pub(super) fn is_table(&self, name: &Name) -> bool {
        let is_made = self.names.contains(&name.name) || self.announced.contains(&name.name);
        is_made && !self.views.contains(&name.name)
    }

    /// Something that may make one is on its way.
    pub(super) fn announce(&mut self, kind: &Kind) {
        if let Kind::Ddl { targets, temporary: true, deed: Deed::Makes, query, .. } = kind
            && let Some(made) = targets.first()
        {
            if matches!(query, Some(DefiningQuery::View(_))) {
                self.views.insert(made.name.clone());
            }
            self.announced.insert(made.name.clone());
        }
    }

    /// Everything on its way was answered.
    pub(super) fn answered(&mut self) {
        self.announced.clear();
    }

    fn is_one(&self, name: &Name) -> bool {
        match name.schema.as_deref() {
            None => self.names.contains(&name.name),
            Some(schema) => schema == "pg_temp",
        }
    }

    /// A statement ran to its end.
    pub(super) fn completed(&mut self, kind: &Kind) {
        match kind {
            Kind::Ddl { targets, temporary: true, deed: Deed::Makes, .. } => {
                if let Some(made) = targets.first() {
                    self.change(|names| names.extend([made.name.clone()]));
                }
            }
            Kind::Ddl { targets, deed: Deed::Drops, .. } if targets.iter().any(|target| self.is_one(target)) => {
                self.change(|names| names.retain(|name| targets.iter().all(|target| target.name != *name)));
            }
            Kind::Discard { all: true } => *self = Self::default(),
            _ => {}
        }
    }

    fn change(&mut self, change: impl FnOnce(&mut HashSet<String>)) {
        self.before.get_or_insert_with(|| self.names.clone());
        change(&mut self.names);
    }

    /// The open transaction committed.
    pub(super) fn committed(&mut self) {
        self.before = None;
    }

    /// It rolled back.
    pub(super) fn rolled_back(&mut self) {
        if let Some(before) = self.before.take() {
            self.names = before;
        }
    }

    /// It rolled back to a savepoint: what was there before it or since may be there.
    pub(super) fn rolled_back_to_savepoint(&mut self) {
        if let Some(before) = &self.before {
            self.names.extend(before.iter().cloned());
        }
    }
}
