//! Where names lead: tables, partitions, views and what is behind them.

use std::collections::HashSet;
use std::sync::Arc;

use rapidhash::RapidHashMap;

use super::facts::{Facts, ViewFact};
use super::functions::Functions;
use super::relations::Relations;
use super::{Leads, Resolved, Table, Volatility};
use crate::effect::{Reason, TableId, Touched};

/// `name → (schema, what it is)` of every relation but temporary ones.
pub(super) fn all(
    facts: &Facts,
    expander: &Expander<'_>,
    unmirrored: &RapidHashMap<u32, Arc<Leads>>,
) -> RapidHashMap<String, Vec<(String, Resolved)>> {
    let Expander { relations, tables, .. } = expander;
    let mut names: RapidHashMap<String, Vec<(String, Resolved)>> = RapidHashMap::default();
    for relation in facts.relations.iter().filter(|relation| !relation.temporary) {
        let root = tables.get(&TableId(relations.root(relation.oid)));
        let resolved = match (relation.kind.as_str(), root) {
            ("v", _) => expander.view(relation.oid),
            (_, Some(root)) if relation.partition => Resolved::Table(Arc::new(by_partition(root))),
            (_, Some(table)) => Resolved::Table(Arc::clone(table)),
            (_, None) => Resolved::Unmirrored(unmirrored.get(&relation.oid).cloned().unwrap_or_default()),
        };
        names.entry(relation.name.clone()).or_default().push((relation.schema.clone(), resolved));
    }
    names
}

/// Names of views of which reading calls code that may write.
pub(super) fn calling_views(facts: &Facts, expander: &Expander<'_>) -> HashSet<String> {
    let views = facts.relations.iter().filter(|relation| relation.kind == "v" && !relation.temporary);
    let calling = views.filter(|view| expander.calls(view.oid, &mut HashSet::new()));
    calling.map(|view| view.name.clone()).collect()
}

/// What a write through a view reaches, by the names that only a view bears.
pub(super) fn through_views(facts: &Facts, expander: &Expander<'_>) -> RapidHashMap<String, Touched> {
    let lasting = || facts.relations.iter().filter(|relation| !relation.temporary);
    let mut bearers: RapidHashMap<&str, usize> = RapidHashMap::default();
    for relation in lasting() {
        *bearers.entry(&relation.name).or_default() += 1;
    }
    let alone = lasting().filter(|relation| relation.kind == "v" && bearers.get(relation.name.as_str()) == Some(&1));
    alone.filter_map(|view| Some((view.name.clone(), expander.through(view.oid)?))).collect()
}

/// A root as it is written when a partition is named: the partition's columns may stand in another order than the
/// root's, so what it prints is not read, not even an insert into a table without key.
fn by_partition(root: &Table) -> Table {
    let worse = root.exact.err().filter(|reason| *reason != Reason::NoKey);
    Table { exact: Err(worse.unwrap_or(Reason::Form)), ..root.clone() }
}

/// Looks behind views.
pub(super) struct Expander<'a> {
    views: RapidHashMap<u32, &'a ViewFact>,
    relations: &'a Relations<'a>,
    tables: &'a RapidHashMap<TableId, Arc<Table>>,
    functions: &'a Functions,
}

impl<'a> Expander<'a> {
    pub(super) fn new(
        facts: &'a Facts,
        relations: &'a Relations<'a>,
        tables: &'a RapidHashMap<TableId, Arc<Table>>,
        functions: &'a Functions,
    ) -> Self {
        let views = facts.views.iter().map(|view| (view.relation, view)).collect();
        Self { views, relations, tables, functions }
    }

    /// What a write through a view reaches: the tables behind it, and what acts on writes to them. `None` where the view's
    /// own rules, triggers or defaults act, or those of one behind it.
    fn through(&self, oid: u32) -> Option<Touched> {
        let (mut seen, mut found) = (HashSet::new(), Vec::new());
        let is_safe = self.expand(oid, &mut seen, &mut found);
        let acts = |view: &u32| {
            let Relations { with_triggers, rewritten, volatile, .. } = self.relations;
            with_triggers.contains(view) || rewritten.contains(view) || volatile.contains(view)
        };
        if !is_safe || seen.iter().any(acts) {
            return None;
        }
        let mut touched = Touched::NONE;
        for table in found.iter().filter_map(|table| self.tables.get(table)) {
            touched.extend(&Touched::Tables(vec![table.shape.table]));
            touched.extend(&table.leads.of_rows());
        }
        Some(touched)
    }

    fn view(&self, oid: u32) -> Resolved {
        let mut found = Vec::new();
        let safe = self.expand(oid, &mut HashSet::new(), &mut found);
        Resolved::View(safe.then_some(found))
    }

    /// Whether a view of the user, or one behind it, calls what may write.
    fn calls(&self, oid: u32, seen: &mut HashSet<u32>) -> bool {
        let Some(view) = self.views.get(&oid).filter(|_| seen.insert(oid)) else { return false };
        let may_write =
            |function: &u32| self.functions.by_oid.get(function).is_none_or(|known| *known == Volatility::Opaque);
        view.functions.iter().any(may_write) || view.relations.iter().any(|&relation| self.calls(relation, seen))
    }

    /// Collects the tables behind a view; false when it reads or calls anything else.
    fn expand(&self, oid: u32, seen: &mut HashSet<u32>, found: &mut Vec<TableId>) -> bool {
        let Some(view) = self.views.get(&oid) else { return false };
        if !seen.insert(oid) {
            return true;
        }
        let is_safe = |function| self.functions.by_oid.get(function) == Some(&Volatility::Safe);
        if view.keywords || !view.functions.iter().all(is_safe) {
            return false;
        }
        view.relations.iter().all(|&relation| {
            let root = TableId(self.relations.root(relation));
            match self.tables.get(&root) {
                Some(table) if table.strays => false,
                Some(table) => {
                    for &part in [&root].into_iter().chain(&table.descendants) {
                        if !found.contains(&part) {
                            found.push(part);
                        }
                    }
                    true
                }
                None => self.expand(relation, seen, found),
            }
        })
    }
}
