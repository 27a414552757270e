//! From facts to the catalog: which tables are mirrored, how exactly, and where names lead. Without a server.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use rapidhash::RapidHashMap;

use super::facts::{ColumnFact, Facts, IndexFact, Relation};
use super::functions::Functions;
use super::keys::{Keys, choose};
use super::relations::Relations;
use super::types::Types;
use super::{Catalog, KeyKind, Leads, LoadOptions, Resolved, Table, TextSample, names};
use crate::effect::{Reason, Shape, TableId};

/// What follows from the facts.
pub(super) fn assemble(facts: &Facts, options: &LoadOptions, generation: u64, system_identifier: String) -> Catalog {
    let functions = Functions::new(&facts.functions, &facts.operators);
    let relations = Relations::new(facts, &functions);
    let tables = Tables::new(facts, &relations, options).all();
    let mut roots = RapidHashMap::default();
    let mut unmirrored = RapidHashMap::default();
    let nowhere = Arc::new(Leads::NOWHERE);
    let shapes = tables.iter().map(|(id, table)| (*id, Arc::clone(&table.shape))).collect();
    for relation in &facts.relations {
        let root = relations.root(relation.oid);
        if tables.contains_key(&TableId(root)) {
            roots.insert(relation.oid, TableId(root));
        } else {
            let leads = relations.leads(root, &shapes);
            let leads = if leads.are_nowhere() { Arc::clone(&nowhere) } else { Arc::new(leads) };
            unmirrored.insert(relation.oid, leads);
        }
    }
    let leads = |relation: &&Relation| {
        relation.temporary && unmirrored.get(&relation.oid).is_some_and(|leads| !leads.are_nowhere())
    };
    let leading_temporaries = facts.relations.iter().filter(leads).map(|relation| relation.name.clone()).collect();
    let expander = names::Expander::new(facts, &relations, &tables, &functions);
    let names = names::all(facts, &expander, &unmirrored);
    let through_views = names::through_views(facts, &expander);
    let calling_views = names::calling_views(facts, &expander);
    let server = &facts.server;
    Catalog {
        generation,
        names,
        through_views,
        calling_views,
        unreadable: unreadable(facts, &tables),
        askers: facts.roles.iter().filter(|role| role.may_ask).map(|role| role.name.clone()).collect(),
        texts_are_read: server.texts_are_read,
        ddl_is_watched: server.ddl_is_watched,
        triggers_are_deferred: server.triggers_are_deferred,
        role_settings: role_settings(facts),
        functions: functions.by_name,
        tables,
        roots,
        unmirrored,
        leading_temporaries,
        epoch: format!("{system_identifier}/{}/{}", server.timeline, server.started),
        system_identifier,
        server_version: server.version.clone(),
    }
}

/// The facts by table.
struct Tables<'a> {
    facts: &'a Facts,
    relations: &'a Relations<'a>,
    options: &'a LoadOptions,
    types: Types<'a>,
    columns: RapidHashMap<u32, Vec<&'a ColumnFact>>,
    indexes: RapidHashMap<u32, Vec<&'a IndexFact>>,
    rows: HashMap<u32, f64>,
    text_sample: Arc<TextSample>,
}

impl<'a> Tables<'a> {
    fn new(facts: &'a Facts, relations: &'a Relations<'a>, options: &'a LoadOptions) -> Self {
        let mut columns: RapidHashMap<_, Vec<_>> = RapidHashMap::default();
        for fact in &facts.columns {
            columns.entry(fact.relation).or_default().push(fact);
        }
        let mut indexes: RapidHashMap<_, Vec<_>> = RapidHashMap::default();
        for fact in &facts.indexes {
            indexes.entry(fact.relation).or_default().push(fact);
        }
        let types = Types::new(&facts.types, &facts.collations, &facts.samples);
        let text_sample = Arc::new(facts.samples.text.clone());
        Self { facts, relations, options, types, columns, indexes, rows: relations.rows_estimates(), text_sample }
    }

    fn all(&self) -> RapidHashMap<TableId, Arc<Table>> {
        let mirrored = self.facts.relations.iter().filter(|relation| self.is_mirrored(relation));
        let mut tables: Vec<Table> = mirrored.filter_map(|relation| self.table(relation)).collect();
        let shapes = tables.iter().map(|table| (table.shape.table, Arc::clone(&table.shape))).collect();
        for table in &mut tables {
            table.leads = self.relations.leads(table.shape.table.0, &shapes);
        }
        tables.into_iter().map(|table| (table.shape.table, Arc::new(table))).collect()
    }

    fn is_mirrored(&self, relation: &Relation) -> bool {
        Relations::is_mirrored(relation, self.options)
    }

    /// What is written with it is not told yet. `None` without a column, for then its rows hold nothing to mirror; and when a
    /// type vanished while we read, of which the next load will tell.
    fn table(&self, relation: &Relation) -> Option<Table> {
        let oid = relation.oid;
        let columns = self.columns.get(&oid)?.as_slice();
        let indexes = self.indexes.get(&oid).map_or(&[][..], Vec::as_slice);
        let facts: Vec<_> = columns.iter().map(|column| self.types.facts(column)).collect();
        let keys = choose(indexes, columns, &facts, &self.types);
        let others = indexes.len() > usize::from(!keys.chosen.is_empty());
        let is_mirrored = |oid| self.relations.get(oid).is_some_and(|relation| self.is_mirrored(relation));
        let heirs = self.relations.descendants(oid);
        let strays = !heirs.iter().all(|&heir| is_mirrored(heir)) || self.relations.partly_foreign.contains(&oid);
        let descendants: Vec<_> = heirs.into_iter().filter(|&heir| is_mirrored(heir)).map(TableId).collect();
        let mut table = Table {
            shape: Arc::new(Shape {
                table: TableId(oid),
                schema: relation.schema.clone(),
                name: relation.name.clone(),
                columns: columns.iter().map(|column| self.types.column(column)).collect::<Option<_>>()?,
                key: keys.chosen.clone(),
            }),
            columns: facts,
            key_kind: keys.kind,
            exact: self.exact(relation, columns, &keys),
            leads: Leads::NOWHERE,
            entangled: others || self.relations.in_foreign_keys.contains(&oid),
            rows_estimate: self.rows.get(&oid).map_or(0, |rows| *rows as u64),
            unique_keys: keys.unique,
            text_sample: Arc::clone(&self.text_sample),
            partitioned: relation.kind == "p",
            descendants,
            strays,
        };
        self.consider_other_side(&mut table);
        Some(table)
    }

    fn exact(&self, relation: &Relation, columns: &[&ColumnFact], keys: &Keys) -> Result<(), Reason> {
        let oid = relation.oid;
        if self.relations.rewritten.contains(&oid) {
            return Err(Reason::NotATable);
        }
        if self.relations.with_triggers.contains(&oid) {
            return Err(Reason::Trigger);
        }
        if !self.relations.descendants(oid).is_empty() {
            return Err(Reason::Form);
        }
        if self.options.no_rewrite.matches(&relation.schema, &relation.name) {
            return Err(Reason::Configured);
        }
        if self.relations.notes_itself(oid) {
            return Err(Reason::Trigger);
        }
        let is_assigned = |at: &usize| columns.get(*at).is_some_and(|column| self.relations.assigns(oid, &column.name));
        if keys.chosen.iter().any(is_assigned) {
            return Err(Reason::Trigger);
        }
        if columns.iter().any(|column| self.types.depends_on_settings(column.type_oid)) {
            return Err(Reason::Settings);
        }
        match keys.kind {
            KeyKind::Plain | KeyKind::Collated => Ok(()),
            KeyKind::Opaque => Err(Reason::KeyType),
            KeyKind::None => Err(Reason::NoKey),
        }
    }

    /// A key that is not unique on the other side cannot be applied by (rule 14). A table that is missing there may
    /// be on its way.
    fn consider_other_side(&self, table: &mut Table) {
        let Some(other) = &self.options.other else { return };
        let namesake = other.resolve(Some(&table.shape.schema), &table.shape.name, &[]);
        if table.exact.is_ok() && matches!(namesake, Resolved::Table(other) if !table.shares_key_with(&other)) {
            table.exact = Err(Reason::NoKey);
        }
    }
}

fn unreadable(facts: &Facts, tables: &RapidHashMap<TableId, Arc<Table>>) -> RapidHashMap<String, HashSet<TableId>> {
    let of_role = |oids: &[u32]| oids.iter().copied().map(TableId).filter(|id| tables.contains_key(id)).collect();
    facts.roles.iter().map(|role| (role.name.clone(), of_role(&role.unreadable))).collect()
}

/// For each role the settings of all that speak of it, what comes later in place of what came before.
fn role_settings(facts: &Facts) -> RapidHashMap<String, Vec<(String, String)>> {
    let of_role = |role: &str| {
        let mut merged: Vec<(String, String)> = Vec::new();
        let speaks = |of: &Option<String>| of.as_deref().is_none_or(|of| of == role);
        for setting in facts.role_settings.iter().filter(|setting| speaks(&setting.role)) {
            for (name, value) in setting.settings.iter().filter_map(|text| text.split_once('=')) {
                merged.retain(|(known, _)| known != name);
                merged.push((name.to_owned(), value.to_owned()));
            }
        }
        merged
    };
    let roles = facts.roles.iter().map(|role| (role.name.clone(), of_role(&role.name)));
    roles.filter(|(_, settings)| !settings.is_empty()).collect()
}
