//! What foreign keys write when rows that they refer to are deleted or changed, followed to its end (rule 16).

use std::collections::{HashMap, HashSet};

/// A foreign key that acts, its tables by their roots.
#[derive(Debug)]
pub(super) struct Action {
    pub(super) referencing: u32,
    /// In the order of `referenced`.
    pub(super) columns: Vec<String>,
    /// Columns that it refers to.
    pub(super) referenced: Vec<String>,
    pub(super) on_delete: OnDelete,
    /// A row that is changed changes those that refer to it.
    pub(super) on_update: bool,
    /// A row that is changed may be deleted and inserted: it moves between partitions, before PostgreSQL 15.
    pub(super) moves: bool,
    /// Columns of which one must be given a value for a row to change in `referenced`: itself, or what it is computed from.
    pub(super) changed_by: Vec<String>,
}

/// What becomes of the rows that refer to one that is deleted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum OnDelete {
    /// They stay, or it is refused.
    Nothing,
    /// CASCADE
    Deletes,
    /// SET NULL, SET DEFAULT
    Updates,
}

/// By referenced table.
#[derive(Debug, Default)]
pub(super) struct Actions(HashMap<u32, Vec<Action>>);

/// What is done to rows of a table.
#[derive(Clone, Copy)]
enum Event<'a> {
    Deleted(u32),
    Updated(u32, &'a [String]),
}

impl Event<'_> {
    fn table(self) -> u32 {
        match self {
            Self::Deleted(table) | Self::Updated(table, _) => table,
        }
    }
}

/// What a deletion writes.
#[derive(Debug)]
pub(super) struct Removal<'a> {
    /// Every table.
    pub(super) tables: HashSet<u32>,
    /// What acts on the row itself.
    pub(super) direct: Vec<&'a Action>,
    /// Tables that are written by what that leads to.
    pub(super) further: HashSet<u32>,
}

impl Actions {
    pub(super) fn add(&mut self, referenced: u32, action: Action) {
        self.0.entry(referenced).or_default().push(action);
    }

    fn of(&self, table: u32) -> impl Iterator<Item = &Action> {
        self.0.get(&table).into_iter().flatten()
    }

    /// What is written when rows of these are deleted.
    pub(super) fn removal(&self, tables: &[u32]) -> Removal<'_> {
        let direct: Vec<_> = tables.iter().flat_map(|&table| self.led_to(Event::Deleted(table))).collect();
        let further = self.follow(direct.iter().flat_map(|(_, event)| self.led_to(*event)).map(|(_, event)| event));
        let tables = direct.iter().map(|(_, event)| event.table()).chain(further.iter().copied()).collect();
        Removal { tables, direct: direct.into_iter().map(|(action, _)| action).collect(), further }
    }

    /// What is written when rows of these change, in whatever columns.
    pub(super) fn rekeying(&self, tables: &[u32]) -> HashSet<u32> {
        self.follow(self.changing(tables).flat_map(Action::by_update))
    }

    /// Columns of these that must be given a value for that.
    pub(super) fn changed_by(&self, tables: &[u32]) -> Vec<String> {
        let mut columns: Vec<String> =
            self.changing(tables).flat_map(|action| action.changed_by.iter().cloned()).collect();
        columns.sort_unstable();
        columns.dedup();
        columns
    }

    fn changing<'a>(&'a self, tables: &'a [u32]) -> impl Iterator<Item = &'a Action> {
        tables.iter().flat_map(|&table| self.of(table)).filter(|action| action.on_update || action.moves)
    }

    /// Every table that these events happen to, or others that they lead to.
    fn follow<'a>(&'a self, first: impl Iterator<Item = Event<'a>>) -> HashSet<u32> {
        let mut found: HashSet<u32> = HashSet::new();
        let mut seen: HashSet<(u32, Option<&[String]>)> = HashSet::new();
        let mut next: Vec<Event<'a>> = first.collect();
        while let Some(event) = next.pop() {
            let key = match event {
                Event::Deleted(table) => (table, None),
                Event::Updated(table, columns) => (table, Some(columns)),
            };
            if seen.insert(key) {
                found.insert(event.table());
                next.extend(self.led_to(event).map(|(_, event)| event));
            }
        }
        found
    }

    /// What one event leads to at once.
    fn led_to<'a>(&'a self, event: Event<'a>) -> impl Iterator<Item = (&'a Action, Event<'a>)> {
        self.of(event.table()).flat_map(move |action| {
            let events: Vec<Event<'a>> = match event {
                Event::Deleted(_) => action.by_delete().into_iter().collect(),
                Event::Updated(_, set) if action.changed_by.iter().any(|column| set.contains(column)) => {
                    action.by_update().collect()
                }
                Event::Updated(..) => Vec::new(),
            };
            events.into_iter().map(move |event| (action, event))
        })
    }
}

impl Action {
    fn by_delete(&self) -> Option<Event<'_>> {
        match self.on_delete {
            OnDelete::Nothing => None,
            OnDelete::Deletes => Some(Event::Deleted(self.referencing)),
            OnDelete::Updates => Some(Event::Updated(self.referencing, &self.columns)),
        }
    }

    fn by_update(&self) -> impl Iterator<Item = Event<'_>> {
        let updated = self.on_update.then_some(Event::Updated(self.referencing, &self.columns));
        let moved = if self.moves { self.by_delete() } else { None };
        updated.into_iter().chain(moved)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(of: &[&str]) -> Vec<String> {
        of.iter().map(|&name| name.to_owned()).collect()
    }

    fn action(referencing: u32, column: &str, referenced: &str, on_delete: OnDelete, on_update: bool) -> Action {
        Action {
            referencing,
            columns: names(&[column]),
            referenced: names(&[referenced]),
            on_delete,
            on_update,
            moves: false,
            changed_by: names(&[referenced]),
        }
    }

    fn removal(actions: &Actions, of: u32) -> (Vec<u32>, Vec<u32>) {
        let found = actions.removal(&[of]);
        let mut further: Vec<u32> = found.further.iter().copied().collect();
        further.sort_unstable();
        assert!(found.tables.is_superset(&found.further));
        (found.direct.iter().map(|action| action.referencing).collect(), further)
    }

    fn set(of: &[u32]) -> HashSet<u32> {
        of.iter().copied().collect()
    }

    #[test]
    fn rule_16_what_acts_on_a_deleted_row_is_told_from_what_lies_behind() {
        let mut actions = Actions::default();
        actions.add(1, action(2, "one", "id", OnDelete::Deletes, false));
        actions.add(2, action(3, "two", "id", OnDelete::Deletes, false));
        actions.add(3, action(4, "three", "id", OnDelete::Nothing, false));
        assert_eq!(removal(&actions, 1), (vec![2], vec![3]));
        assert_eq!(removal(&actions, 2), (vec![3], vec![]));
        assert_eq!(removal(&actions, 3), (vec![], vec![]));
        assert_eq!(actions.rekeying(&[1]), set(&[]));
    }

    #[test]
    fn rule_16_a_tree_is_written_to_its_leaves_if_it_deletes_and_one_step_if_it_cuts() {
        let mut actions = Actions::default();
        actions.add(1, action(1, "up", "id", OnDelete::Deletes, false));
        actions.add(2, action(2, "up", "id", OnDelete::Updates, false));
        assert_eq!(removal(&actions, 1), (vec![1], vec![1]));
        assert_eq!(removal(&actions, 2), (vec![2], vec![]));
    }

    #[test]
    fn rule_16_a_row_that_is_changed_leads_where_its_changed_columns_are_referred_to() {
        let mut actions = Actions::default();
        actions.add(1, action(2, "one", "code", OnDelete::Updates, true));
        actions.add(2, action(3, "two", "one", OnDelete::Nothing, true));
        actions.add(2, action(4, "two", "other", OnDelete::Nothing, true));
        assert_eq!(actions.rekeying(&[1]), set(&[2, 3]));
        assert_eq!(actions.changed_by(&[1]), names(&["code"]));
        assert_eq!(removal(&actions, 1), (vec![2], vec![3]));
    }

    #[test]
    fn rule_16_a_row_that_moves_between_partitions_is_deleted() {
        let mut actions = Actions::default();
        actions.add(1, Action { moves: true, ..action(2, "one", "id", OnDelete::Deletes, false) });
        actions.add(2, action(3, "two", "id", OnDelete::Deletes, false));
        assert_eq!(actions.rekeying(&[1]), set(&[2, 3]));
        assert_eq!(actions.changed_by(&[1]), names(&["id"]));
    }
}
