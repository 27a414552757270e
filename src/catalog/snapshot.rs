//! The catalog of one side at one moment, and the questions it answers.

use std::collections::HashSet;
use std::sync::Arc;

use rapidhash::RapidHashMap;

use super::{Leads, Table, builtin};
use crate::effect::{TableId, Touched};

/// What a name stands for.
#[derive(Debug, Clone)]
pub enum Resolved {
    /// A table that is mirrored. Where a partition was named, its root, not to be captured exactly.
    Table(Arc<Table>),
    /// A view: the tables behind it, views expanded; `None` when it reads anything else (system catalogs, materialized
    /// views), or calls functions that are not known safe.
    View(Option<Vec<TableId>>),
    /// Known, and nothing that is mirrored: system catalogs, excluded and foreign tables, sequences, materialized views.
    /// What is written with it may be.
    Unmirrored(Arc<Leads>),
    /// Not known: a temporary table, or made since.
    Unknown,
}

/// What a function may do, from harmless to worst.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Volatility {
    /// A built-in on the allow-list, or the user's and IMMUTABLE: the same on both sides.
    Safe,
    /// Depends on the clock only (`now()`).
    Clock,
    /// A built-in that writes no table, and answers for its server or session (`pg_backend_pid`, `nextval`, `random`).
    Local,
    /// The user's, STABLE: writes nothing.
    Stable,
    /// The user's, VOLATILE, or unknown, or a built-in with reach: may write anything.
    Opaque,
}

/// One side's tables and functions.
#[derive(Debug, Default)]
pub struct Catalog {
    /// Counts loads, from 1.
    pub generation: u64,
    /// Mirrored tables by id.
    pub tables: RapidHashMap<TableId, Arc<Table>>,
    /// `relation oid → root` of every partition and of every mirrored table.
    pub roots: RapidHashMap<u32, TableId>,
    /// By oid the relations that are known and not mirrored (temporary, excluded, system), with what is written with them.
    pub unmirrored: RapidHashMap<u32, Arc<Leads>>,
    /// Names of temporary relations, of whatever session, with which more is written.
    pub leading_temporaries: HashSet<String>,
    /// Where each name leads.
    pub names: RapidHashMap<String, Vec<(String, Resolved)>>,
    /// Of each view that shares its name with no other relation: all that a write through it reaches, where that is known.
    pub through_views: RapidHashMap<String, Touched>,
    /// Names of views of which reading calls code that may write.
    pub calling_views: HashSet<String>,
    /// `name → (schema, worst of its overloads)` of every function and operator.
    pub functions: RapidHashMap<String, Vec<(String, Volatility)>>,
    /// Roles by name with the tables of which they may NOT read every column, or on which row security binds them.
    pub unreadable: RapidHashMap<String, HashSet<TableId>>,
    /// Roles that may look at what a transaction has locked.
    pub askers: HashSet<String>,
    /// Code or a stored expression of the user may look at the text that the client sent (`current_query()`).
    pub texts_are_read: bool,
    /// Users have event triggers: a definition may do more than it says.
    pub ddl_is_watched: bool,
    /// Users have triggers that may run as late as the commit.
    pub triggers_are_deferred: bool,
    /// Settings that a role gets at login in this database, name and value.
    pub role_settings: RapidHashMap<String, Vec<(String, String)>>,
    /// Of the cluster; empty if we may not read it.
    pub system_identifier: String,
    /// As `server_version` says.
    pub server_version: String,
    /// `(system identifier, timeline, postmaster start)` as text: changes with the epoch.
    pub epoch: String,
}

impl Catalog {
    /// What `name` stands for under `search_path` (unquoted schema names, `$user` already replaced; `pg_catalog` comes
    /// first unless named). Temporary tables, which would come before, are the session's to know.
    pub fn resolve(&self, schema: Option<&str>, name: &str, search_path: &[String]) -> Resolved {
        let Some(known) = self.names.get(name) else { return Resolved::Unknown };
        let find = |schema: &str| known.iter().find(|(of, _)| of == schema).map(|(_, resolved)| resolved.clone());
        let found = match schema {
            Some(schema) => find(schema),
            None => path(search_path).find_map(find),
        };
        found.unwrap_or(Resolved::Unknown)
    }

    /// Every mirrored table that is called `name`, in any schema: what a write to it might touch at worst.
    pub fn namesakes(&self, name: &str) -> Vec<TableId> {
        let known = self.names.get(name).into_iter().flatten();
        let tables = known.filter_map(|(_, resolved)| match resolved {
            Resolved::Table(table) => Some(table.shape.table),
            Resolved::View(_) | Resolved::Unmirrored(_) | Resolved::Unknown => None,
        });
        tables.collect()
    }

    /// The mirrored table (root) to which relation `oid` belongs.
    pub fn by_oid(&self, oid: u32) -> Option<&Arc<Table>> {
        self.roots.get(&oid).and_then(|root| self.tables.get(root))
    }

    /// Whether `role` is known to read every column and row of `table`.
    pub fn may_read_all(&self, role: &str, table: TableId) -> bool {
        self.unreadable.get(role).is_some_and(|tables| !tables.contains(&table))
    }

    /// All that is written where these relations are locked for writing: partitions by their root, and everything if one of them
    /// is not known.
    pub fn written(&self, relations: &[u32]) -> Touched {
        let mut tables: Vec<TableId> = Vec::new();
        for relation in relations {
            match self.roots.get(relation) {
                Some(root) => tables.push(*root),
                None if self.unmirrored.contains_key(relation) => {}
                None => return Touched::All,
            }
        }
        tables.sort_unstable();
        tables.dedup();
        Touched::Tables(tables)
    }

    /// Whether no user has a function of this name beside the server's.
    pub fn is_servers_own(&self, name: &str) -> bool {
        self.functions.get(name).is_none_or(|known| known.iter().all(|(schema, _)| schema == "pg_catalog"))
    }

    /// The worst that `x.name` may do: a function that takes the row of `x` looks like its column. Of PostgreSQL's own none
    /// that takes any row does harm.
    pub fn attribute_volatility(&self, name: &str) -> Volatility {
        let known = self.functions.get(name).into_iter().flatten();
        let of_users = known.filter(|(of, _)| of != "pg_catalog").map(|(_, volatility)| *volatility);
        of_users.max().unwrap_or(Volatility::Safe)
    }

    /// The worst that a function or operator of this name may do: without a schema, of those of any schema. A cast is told
    /// by its type, in `pg_catalog`, where no `search_path` counts; it calls the type's input function.
    pub fn volatility(&self, schema: Option<&str>, name: &str) -> Volatility {
        let keyword = schema.is_none().then(|| builtin::keyword(name)).flatten();
        let cast =
            || schema.filter(|schema| *schema == "pg_catalog").and_then(|_| self.worst(schema, &format!("{name}in")));
        self.worst(schema, name).max(keyword).or_else(cast).unwrap_or(Volatility::Opaque)
    }

    fn worst(&self, schema: Option<&str>, name: &str) -> Option<Volatility> {
        let known = self.functions.get(name).into_iter().flatten();
        let fitting = known.filter(|(of, _)| schema.is_none_or(|schema| schema == of));
        fitting.map(|(_, volatility)| *volatility).max()
    }
}

/// The schemas in which a name is looked for.
fn path(search_path: &[String]) -> impl Iterator<Item = &str> {
    let implicit = !search_path.iter().any(|schema| schema == "pg_catalog");
    implicit.then_some("pg_catalog").into_iter().chain(search_path.iter().map(String::as_str))
}
