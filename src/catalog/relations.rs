//! How relations hang together: partitions and their roots, inheritance, foreign keys.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use rapidhash::RapidHashMap;

use super::actions::{self, Action, Actions, OnDelete};
use super::facts::{ColumnFact, Facts, ForeignKey, Relation, TriggerFact};
use super::functions::Functions;
use super::quiet::{self, Deeds, Knowledge, Target, Verb};
use super::{Leads, LoadOptions, Removal, Volatility};
use crate::effect::{Column, Referring, Shape, TableId, Touched};

/// Of every mirrored table.
pub(super) type Shapes = RapidHashMap<TableId, Arc<Shape>>;

/// The relations of one side.
pub(super) struct Relations<'a> {
    by_oid: HashMap<u32, &'a Relation>,
    parents: HashMap<u32, u32>,
    /// Of every relation, the tables that inherit from it; partitions left out.
    heirs: HashMap<u32, Vec<u32>>,
    actions: Actions,
    /// Roots with a foreign key to or from them.
    pub(super) in_foreign_keys: HashSet<u32>,
    /// Roots on which, or on whose partitions, users have triggers.
    watched: HashSet<u32>,
    /// And those of which one may do anything.
    pub(super) with_triggers: HashSet<u32>,
    /// Roots on which, or on whose partitions, users have triggers for TRUNCATE.
    truncating: HashSet<u32>,
    /// Columns to which other triggers may give another value when a row is updated, by root.
    assigned: HashMap<u32, HashSet<String>>,
    /// Roots that other triggers write, and how, by root.
    noted: HashMap<u32, HashSet<(u32, Verb)>>,
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
            watched: HashSet::new(),
            with_triggers: HashSet::new(),
            truncating: HashSet::new(),
            assigned: HashMap::new(),
            noted: HashMap::new(),
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
        let named = Named::new(facts);
        for trigger in &facts.triggers {
            let root = relations.root(trigger.relation);
            relations.watched.insert(root);
            if trigger.fires_at_truncate() {
                relations.truncating.insert(root);
            }
            if !trigger.fires_at_rows() {
                continue;
            }
            // Whose text is read runs in the form in which it came (rule 11).
            let deeds = deeds(trigger, functions).filter(|_| !facts.server.texts_are_read);
            match deeds.and_then(|deeds| Some((deeds.assigned, named.all(&deeds.writes)?))) {
                Some((columns, writes)) => {
                    if trigger.is_before_update() {
                        relations.assigned.entry(root).or_default().extend(columns);
                    }
                    let writes = writes.into_iter().map(|(oid, verb)| (relations.root(oid), verb)).collect::<Vec<_>>();
                    relations.noted.entry(root).or_default().extend(writes);
                }
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
        // The columns by which a row moves to another partition are none of its key's.
        let is_part = self.get(key.referenced).is_some_and(|relation| relation.partition);
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
            changed_by: if follows_others || is_part { every() } else { key.referenced_columns.clone() },
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
    pub(super) fn leads(&self, root: u32, shapes: &Shapes) -> Leads {
        let heirs = self.descendants(root);
        let written: Vec<u32> = [root].into_iter().chain(heirs.iter().copied()).collect();
        let mut reach: HashSet<u32> = heirs.into_iter().collect();
        reach.extend(self.noted_with(&written));
        let mut rekeying = self.actions.rekeying(&written);
        rekeying.extend(self.noted_with(&rekeying));
        let truncates = written.iter().any(|oid| self.truncating.contains(oid));
        let mut removed = self.actions.removal(&written);
        let noted = self.noted_with(&removed.tables);
        removed.tables.extend(&noted);
        removed.further.extend(noted);
        let all = || written.iter().chain(&reach).chain(&rekeying).chain(&removed.tables);
        Leads {
            reach: if self.run_code(&written) { Touched::All } else { self.touched(&reach, shapes) },
            calls: self.volatile.contains(&root),
            beside: all()
                .filter(|oid| !shapes.contains_key(&TableId(**oid)))
                .filter_map(|oid| Some(self.get(*oid)?.name.clone()))
                .collect(),
            runs_code: all().any(|oid| self.watched.contains(oid) || self.volatile.contains(oid)),
            removal: self.removal(root, &removed, shapes),
            rekeying: self.touched(&rekeying, shapes),
            referenced: self.actions.changed_by(&written),
            truncation: if truncates { Touched::All } else { Touched::NONE },
        }
    }

    /// Those of these roots that are mirrored; all tables where code runs with one of them.
    fn touched(&self, roots: &HashSet<u32>, shapes: &Shapes) -> Touched {
        if self.run_code(roots) || roots.iter().any(|oid| self.volatile.contains(oid)) {
            return Touched::All;
        }
        Touched::of(roots.iter().copied().map(TableId).filter(|table| shapes.contains_key(table)))
    }

    fn run_code<'b>(&self, roots: impl IntoIterator<Item = &'b u32>) -> bool {
        roots.into_iter().any(|oid| self.with_triggers.contains(oid) || self.rewritten.contains(oid))
    }

    /// Everything that triggers of these roots write, and what is written with that.
    fn noted_with<'b>(&self, roots: impl IntoIterator<Item = &'b u32>) -> HashSet<u32> {
        let mut found = HashSet::new();
        let mut next: Vec<u32> = roots.into_iter().copied().collect();
        while let Some(root) = next.pop() {
            for &(target, verb) in self.noted.get(&root).into_iter().flatten() {
                let mut written = vec![target];
                if verb != Verb::Insert {
                    written.extend(self.descendants(target));
                }
                let acted_on = match verb {
                    Verb::Insert | Verb::Update => self.actions.rekeying(&written),
                    Verb::Delete => self.actions.removal(&written).tables,
                };
                next.extend(written.into_iter().chain(acted_on).filter(|&oid| found.insert(oid)));
            }
        }
        found
    }

    /// Whether triggers of a root lead back to it.
    pub(super) fn notes_itself(&self, root: u32) -> bool {
        let mut written = self.descendants(root);
        written.push(root);
        self.noted_with(&written).contains(&root)
    }

    fn removal(&self, root: u32, removed: &actions::Removal<'_>, shapes: &Shapes) -> Removal {
        let touched = self.touched(&removed.tables, shapes);
        if touched == Touched::All {
            return Removal { touched: Touched::All, whole: Touched::All, referring: Vec::new() };
        }
        let mut whole = removed.further.clone();
        let mut referring: Vec<Arc<Referring>> = Vec::new();
        for action in &removed.direct {
            match shapes.get(&TableId(root)).and_then(|shape| self.referring(action, shape, shapes)) {
                Some(found) if referring.iter().all(|known| **known != found) => referring.push(Arc::new(found)),
                Some(_) => {}
                None => drop(whole.insert(action.referencing)),
            }
        }
        referring.retain(|referring| !whole.contains(&referring.table.0));
        Removal { touched, whole: self.touched(&whole, shapes), referring }
    }

    /// How the rows are found that `action` writes with a row of `referenced`, by the key of that.
    fn referring(&self, action: &Action, referenced: &Shape, shapes: &Shapes) -> Option<Referring> {
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

/// Relations by name.
struct Named<'a>(HashMap<&'a str, Vec<&'a Relation>>);

impl<'a> Named<'a> {
    fn new(facts: &'a Facts) -> Self {
        let mut by_name: HashMap<&str, Vec<&Relation>> = HashMap::new();
        for relation in &facts.relations {
            by_name.entry(&relation.name).or_default().push(relation);
        }
        Self(by_name)
    }

    /// All that may be meant; `None` where one is no table, or none is known.
    fn all(&self, targets: &[Target]) -> Option<Vec<(u32, Verb)>> {
        let mut all = Vec::new();
        for Target { schema, name, verb } in targets {
            let is_meant = |relation: &&&Relation| {
                relation.temporary || schema.as_ref().is_none_or(|schema| *schema == relation.schema)
            };
            let mut found = self.0.get(name.as_str())?.iter().filter(is_meant).peekable();
            found.peek()?;
            for relation in found {
                if !matches!(relation.kind.as_str(), "r" | "p") {
                    return None;
                }
                all.push((relation.oid, *verb));
            }
        }
        Some(all)
    }
}

impl Knowledge for Functions {
    fn writes_nothing(&self, name: &str) -> bool {
        self.by_name.contains_key(name) && self.may_be_column(name)
    }

    fn may_be_column(&self, name: &str) -> bool {
        self.by_name.get(name).into_iter().flatten().all(|(_, volatility)| *volatility < Volatility::Opaque)
    }
}

/// What a trigger does; `None` if it may do anything else.
fn deeds(trigger: &TriggerFact, functions: &Functions) -> Option<Deeds> {
    if trigger.is_instead() || trigger.calls_in_when {
        return None;
    }
    match trigger.language.as_str() {
        "internal" => QUIET.contains(&trigger.source.as_str()).then(Deeds::default),
        "plpgsql" => quiet::deeds(&trigger.source, functions),
        _ => None,
    }
}
