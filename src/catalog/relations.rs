//! How relations hang together: partitions and their roots, inheritance, foreign keys.

use std::collections::{HashMap, HashSet};

use super::facts::{Facts, Relation, TriggerFact};
use super::functions::Functions;
use super::{LoadOptions, Volatility, quiet};
use crate::effect::{TableId, Touched};

/// The relations of one side.
pub(super) struct Relations<'a> {
    by_oid: HashMap<u32, &'a Relation>,
    parents: HashMap<u32, u32>,
    /// Of every relation, the tables that inherit from it; partitions left out.
    heirs: HashMap<u32, Vec<u32>>,
    /// `referenced root → referencing roots` that a delete or key change writes.
    acted_on: HashMap<u32, Vec<u32>>,
    /// Roots with a foreign key to or from them.
    pub(super) in_foreign_keys: HashSet<u32>,
    /// Roots on which, or on whose partitions, users have triggers that may do anything.
    pub(super) with_triggers: HashSet<u32>,
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
            acted_on: HashMap::new(),
            in_foreign_keys: HashSet::new(),
            with_triggers: HashSet::new(),
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
            // Whose text is read runs in the form in which it came (rule 11).
            match assigned(trigger, functions).filter(|_| !facts.server.texts_are_read) {
                Some(columns) if trigger.before_update => relations.assigned.entry(root).or_default().extend(columns),
                Some(_) => {}
                None => drop(relations.with_triggers.insert(root)),
            }
        }
        for key in &facts.foreign_keys {
            let (referencing, referenced) = (relations.root(key.referencing), relations.root(key.referenced));
            relations.in_foreign_keys.extend([referencing, referenced]);
            if key.acts {
                relations.acted_on.entry(referenced).or_default().push(referencing);
            }
        }
        relations
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
        reach(&self.heirs, oid)
    }

    /// What a delete or a key change in a root writes by foreign keys, filtered to what `is_mirrored`.
    pub(super) fn cascades(&self, root: u32, is_mirrored: impl Fn(u32) -> bool) -> Touched {
        let written = reach(&self.acted_on, root);
        let beyond = |oid: &u32| self.with_triggers.contains(oid) || self.volatile.contains(oid);
        if written.iter().any(beyond) {
            return Touched::All;
        }
        Touched::Tables(written.into_iter().filter(|&oid| is_mirrored(oid)).map(TableId).collect())
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

/// Everything that edges lead to from `start`, each once, without `start` itself.
fn reach(edges: &HashMap<u32, Vec<u32>>, start: u32) -> Vec<u32> {
    let mut found = Vec::new();
    let mut next = vec![start];
    while let Some(at) = next.pop() {
        for &to in edges.get(&at).into_iter().flatten() {
            if to != start && !found.contains(&to) {
                found.push(to);
                next.push(to);
            }
        }
    }
    found
}

/// The server's own, which touch nothing but their row; what one of these fills is no key.
const QUIET: &[&str] =
    &["suppress_redundant_updates_trigger", "tsvector_update_trigger_byid", "tsvector_update_trigger_bycolumn"];

/// To which columns a trigger may give another value; `None` if it may do anything else.
fn assigned(trigger: &TriggerFact, functions: &Functions) -> Option<HashSet<String>> {
    if trigger.instead || trigger.calls_in_when {
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
