//! Where names lead: tables, partitions, views and what is behind them.

use std::collections::HashSet;
use std::sync::Arc;

use rapidhash::RapidHashMap;

use super::facts::{Facts, ViewFact};
use super::functions::Functions;
use super::relations::Relations;
use super::{Resolved, Table, Volatility};
use crate::effect::{Reason, TableId};

/// `name → (schema, what it is)` of every relation but temporary ones.
pub(super) fn all(
    facts: &Facts,
    relations: &Relations<'_>,
    tables: &RapidHashMap<TableId, Arc<Table>>,
    functions: &Functions,
) -> RapidHashMap<String, Vec<(String, Resolved)>> {
    let views: RapidHashMap<_, _> = facts.views.iter().map(|view| (view.relation, view)).collect();
    let expander = Expander { views, relations, tables, functions };
    let mut names: RapidHashMap<String, Vec<(String, Resolved)>> = RapidHashMap::default();
    for relation in facts.relations.iter().filter(|relation| !relation.temporary) {
        let root = tables.get(&TableId(relations.root(relation.oid)));
        let resolved = match (relation.kind.as_str(), root) {
            ("v", _) => expander.view(relation.oid),
            (_, Some(root)) if relation.partition => Resolved::Table(Arc::new(by_partition(root))),
            (_, Some(table)) => Resolved::Table(Arc::clone(table)),
            (_, None) => Resolved::Unmirrored,
        };
        names.entry(relation.name.clone()).or_default().push((relation.schema.clone(), resolved));
    }
    names
}

/// A root as it is written when a partition is named: the partition's columns may stand in another order than the
/// root's, so what it prints is not read, not even an insert into a table without key.
fn by_partition(root: &Table) -> Table {
    let worse = root.exact.err().filter(|reason| *reason != Reason::NoKey);
    Table { exact: Err(worse.unwrap_or(Reason::Form)), ..root.clone() }
}

struct Expander<'a> {
    views: RapidHashMap<u32, &'a ViewFact>,
    relations: &'a Relations<'a>,
    tables: &'a RapidHashMap<TableId, Arc<Table>>,
    functions: &'a Functions,
}

impl Expander<'_> {
    fn view(&self, oid: u32) -> Resolved {
        let mut found = Vec::new();
        let safe = self.expand(oid, &mut HashSet::new(), &mut found);
        Resolved::View(safe.then_some(found))
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
