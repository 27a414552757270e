//! How relations hang together: partitions and their roots, inheritance, foreign keys.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use rapidhash::RapidHashMap;

use super::actions::{self, Action, Actions, OnDelete};
use super::facts::{ColumnFact, Facts, ForeignKey, Relation, TriggerFact};
use super::functions::Functions;
use super::{Leads, LoadOptions, Removal, Volatility, quiet};
use crate::effect::{Column, Referring, Shape, TableId, Touched};

/// The relations of one side.
pub(super) struct Relations<'a> {
    by_oid: HashMap<u32, &'a Relation>,
    parents: HashMap<u32, u32>,
    /// Of every relation, the tables that inherit from it; partitions left out.
    heirs: HashMap<u32, Vec<u32>>,
    actions: Actions,
    /// Roots with a foreign key to or from them.
    pub(super) in_foreign_keys: HashSet<u32>,
    /// Roots on which, or on whose partitions, users have triggers that may do anything.
    pub(super) with_triggers: HashSet<u32>,
    /// Roots on which, or on whose partitions, users have triggers for TRUNCATE.
    truncating: HashSet<u32>,
    /// Columns to which other triggers may give another value when a row is updated, by root.
    assigned: HashMap<u32, HashSet<String>>,
    /// Roots whose writes are not what the statement says: rules, foreign partitions.
    pub(super) rewritten: HashSet<u32>,
    /// Roots with foreign partitions.
    pub(super) partly_foreign: HashSet<u32>,
    /// Roots whose rows call volatile functions when they are written.
    pub(super) volatile: HashSet<u32>,
}

impl<'a> Relations<'a> {
    pub(super) fn new(facts: &'a Facts, functions: &Functions) -> Self {
        let by_oid: HashMap<_, _> = facts.relations.iter().map(|relation| (relation.oid, relation)).collect();
        let mut parents = HashMap::new();
        let mut heirs: HashMap<u32, Vec<u32>> = HashMap::new();
        for inherits in &facts.inherits {
            if by_oid.get(&inherits.child).is_some_and(|child| child.partition) {
                parents.insert(inherits.child, inherits.parent);
            } else {
                heirs.entry(inherits.parent).or_default().push(inherits.child);
            }
        }
        let mut relations = Self {
            by_oid,
            parents,
            heirs,
            actions: Actions::default(),
            in_foreign_keys: HashSet::new(),
            with_triggers: HashSet::new(),
            truncating: HashSet::new(),
            assigned: HashMap::new(),
            rewritten: HashSet::new(),
            partly_foreign: HashSet::new(),
            volatile: HashSet::new(),
        };
        let roots = |oids: &[u32]| oids.iter().map(|&oid| relations.root(oid)).collect::<HashSet<_>>();
        let foreign = facts.relations.iter().filter(|relation| relation.kind == "f" && relation.partition);
        let foreign: Vec<_> = foreign.map(|relation| relation.oid).collect();
        let volatile = roots(&facts.volatile);
        (relations.rewritten, relations.partly_foreign) = (&roots(&facts.rules) | &roots(&foreign), roots(&foreign));
        relations.volatile = volatile;
        for trigger in &facts.triggers {
            let root = relations.root(trigger.relation);
            if trigger.fires_at_truncate() {
                relations.truncating.insert(root);
            }
            if !trigger.fires_at_rows() {
                continue;
            }
            // Whose text is read runs in the form in which it came (rule 11).
            match assigned(trigger, functions).filter(|_| !facts.server.texts_are_read) {
                Some(columns) if trigger.is_before_update() => {
                    relations.assigned.entry(root).or_default().extend(columns);
                }
                Some(_) => {}
                None => drop(relations.with_triggers.insert(root)),
            }
        }
        for key in &facts.foreign_keys {
            let (referencing, referenced) = (relations.root(key.referencing), relations.root(key.referenced));
            relations.in_foreign_keys.extend([referencing, referenced]);
            let action = relations.action(key, referenced, facts);
            relations.actions.add(referenced, action);
        }
        relations
    }

    fn action(&self, key: &ForeignKey, referenced: u32, facts: &Facts) -> Action {
        let columns = || facts.columns.iter().filter(|column| column.relation == referenced);
        let is_computed = |column: &ColumnFact| column.generated || self.assigns(referenced, &column.name);
        let follows_others =
            columns().any(|column| key.referenced_columns.contains(&column.name) && is_computed(column));
        let every = || columns().map(|column| column.name.clone()).collect();
        Action {
            referencing: self.root(key.referencing),
            columns: key.columns.clone(),
            referenced: key.referenced_columns.clone(),
            on_delete: match key.on_delete.as_str() {
                "c" => OnDelete::Deletes,
                "n" | "d" => OnDelete::Updates,
                _ => OnDelete::Nothing,
            },
            on_update: key.on_update,
            moves: self.get(referenced).is_some_and(|relation| relation.kind == "p"),
            changed_by: if follows_others { every() } else { key.referenced_columns.clone() },
        }
    }

    /// Of a partition, the table at the top; of anything else, itself.
    pub(super) fn root(&self, oid: u32) -> u32 {
        let mut root = oid;
        // No chain is longer than there are partitions: a circle in a catalog being changed must not hold us.
        for _ in 0..=self.parents.len() {
            match self.parents.get(&root) {
                Some(&parent) => root = parent,
                None => break,
            }
        }
        root
    }

    /// Whether a trigger may give this column another value when a row is updated.
    pub(super) fn assigns(&self, root: u32, column: &str) -> bool {
        self.assigned.get(&root).is_some_and(|columns| columns.contains(column))
    }

    pub(super) fn get(&self, oid: u32) -> Option<&'a Relation> {
        self.by_oid.get(&oid).copied()
    }

    /// Whether the relation is a table that is mirrored in its own name.
    pub(super) fn is_mirrored(relation: &Relation, options: &LoadOptions) -> bool {
        let Relation { schema, name, kind, .. } = relation;
        let ordinary = matches!(kind.as_str(), "r" | "p") && !relation.temporary && !relation.partition;
        let system = schema.starts_with("pg_") || matches!(schema.as_str(), "information_schema" | "crossfade");
        ordinary && !system && options.include.matches(schema, name) && !options.exclude.matches(schema, name)
    }

    /// All tables that inherit from it, directly or not.
    pub(super) fn descendants(&self, oid: u32) -> Vec<u32> {
        let mut found = Vec::new();
        let mut next = vec![oid];
        while let Some(at) = next.pop() {
            for &heir in self.heirs.get(&at).into_iter().flatten() {
                if heir != oid && !found.contains(&heir) {
                    found.push(heir);
                    next.push(heir);
                }
            }
        }
        found
    }

    /// What of the tables that are mirrored is written with a root. `shapes` are theirs.
    pub(super) fn leads(&self, root: u32, shapes: &RapidHashMap<TableId, Arc<Shape>>) -> Leads {
        let heirs = self.descendants(root);
        let written: Vec<u32> = [root].into_iter().chain(heirs.iter().copied()).collect();
        let rekeying = self.actions.rekeying(&written);
        let mirrored = |oids: &mut dyn Iterator<Item = u32>| -> Touched {
            Touched::of(oids.map(TableId).filter(|table| shapes.contains_key(table)))
        };
        let all_if = |runs_code: bool, tables: Touched| if runs_code { Touched::All } else { tables };
        Leads {
            reach: all_if(
                self.rewritten.contains(&root) || self.run_code(&written),
                mirrored(&mut heirs.iter().copied()),
            ),
            removal: self.removal(root, &written, shapes, &mirrored),
            rekeying: all_if(self.run_code(&rekeying), mirrored(&mut rekeying.iter().copied())),
            referenced: self.actions.changed_by(&written),
            truncation: all_if(written.iter().any(|oid| self.truncating.contains(oid)), Touched::NONE),
        }
    }

    fn run_code<'b>(&self, roots: impl IntoIterator<Item = &'b u32>) -> bool {
        roots.into_iter().any(|oid| self.with_triggers.contains(oid) || self.volatile.contains(oid))
    }

    fn removal(
        &self,
        root: u32,
        written: &[u32],
        shapes: &RapidHashMap<TableId, Arc<Shape>>,
        mirrored: &dyn Fn(&mut dyn Iterator<Item = u32>) -> Touched,
    ) -> Removal {
        let actions::Removal { tables, direct, further } = self.actions.removal(written);
        if self.run_code(&tables) {
            return Removal { touched: Touched::All, whole: Touched::All, referring: Vec::new() };
        }
        let mut whole = further;
        let mut referring: Vec<Arc<Referring>> = Vec::new();
        for action in direct {
            match shapes.get(&TableId(root)).and_then(|shape| self.referring(action, shape, shapes)) {
                Some(found) if referring.iter().all(|known| **known != found) => referring.push(Arc::new(found)),
                Some(_) => {}
                None => drop(whole.insert(action.referencing)),
            }
        }
        referring.retain(|referring| !whole.contains(&referring.table.0));
        let (touched, whole) = (mirrored(&mut tables.into_iter()), mirrored(&mut whole.into_iter()));
        Removal { touched, whole, referring }
    }

    /// How the rows are found that `action` writes with a row of `referenced`, by the key of that.
    fn referring(
        &self,
        action: &Action,
        referenced: &Shape,
        shapes: &RapidHashMap<TableId, Arc<Shape>>,
    ) -> Option<Referring> {
        let referencing = shapes.get(&TableId(action.referencing))?;
        let column = |part: &Column| {
            let at = action.referenced.iter().position(|column| *column == part.name)?;
            Some((action.columns.get(at)?.clone(), part.type_name.clone()))
        };
        let columns: Vec<(String, String)> = referenced.key_columns().map(column).collect::<Option<_>>()?;
        let keeps_its_key = action.on_delete == OnDelete::Deletes
            || referencing.key_columns().all(|part| {
                !action.columns.contains(&part.name) && !part.generated && !self.assigns(action.referencing, &part.name)
            });
        let is_by_key = !columns.is_empty() && columns.len() == action.referenced.len();
        (is_by_key && keeps_its_key && !referencing.key.is_empty())
            .then(|| Referring { table: referencing.table, columns })
    }

    /// Of a root: its own estimate, or the sum of its partitions'.
    pub(super) fn rows_estimates(&self) -> HashMap<u32, f64> {
        let mut estimates = HashMap::new();
        for relation in self.by_oid.values().filter(|relation| relation.kind == "r" && relation.rows > 0.0) {
            *estimates.entry(self.root(relation.oid)).or_default() += relation.rows;
        }
        estimates
    }
}

/// The server's own, which touch nothing but their row; what one of these fills is no key.
const QUIET: &[&str] =
    &["suppress_redundant_updates_trigger", "tsvector_update_trigger_byid", "tsvector_update_trigger_bycolumn"];

/// To which columns a trigger may give another value; `None` if it may do anything else.
fn assigned(trigger: &TriggerFact, functions: &Functions) -> Option<HashSet<String>> {
    if trigger.is_instead() || trigger.calls_in_when {
        return None;
    }
    match trigger.language.as_str() {
        "internal" => QUIET.contains(&trigger.source.as_str()).then(HashSet::new),
        "plpgsql" => quiet::assigned(&trigger.source, |name| {
            let known = functions.by_name.get(name);
            known.is_some_and(|known| known.iter().all(|(_, volatility)| *volatility < Volatility::Opaque))
        }),
        _ => None,
    }
}
