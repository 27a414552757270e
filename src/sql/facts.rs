//! What a statement names, anywhere in it: one walk over its tree.
//!
//! The tree may be as deep as the text is long, so the walk keeps its own stack and never recurses. A node it does not
//! know makes the whole statement unknown: a newer server may have new syntax that writes.

mod expression;

use pg_raw_parse::Node;
use pg_raw_parse::nodes::{InsertStmt, MergeStmt, RangeVar, ReturningClause, SelectStmt, UpdateStmt, WithClause};
use rapidhash::RapidHashSet;

use super::names;
use super::{Call, Name, Read};

/// What was found.
#[derive(Debug, Default)]
pub(super) struct Facts {
    /// What it reads and calls. The targets of writes are not among the tables.
    pub(super) read: Read,
    /// Targets of INSERT, UPDATE, DELETE and MERGE, one entry each time.
    pub(super) writes: Vec<Name>,
    /// SELECT INTO.
    pub(super) into: Option<IntoTarget>,
    /// WHERE CURRENT OF.
    pub(super) current_of: bool,
    /// Something the walk does not know.
    pub(super) unknown: bool,
}

/// Where SELECT INTO puts its rows.
#[derive(Debug)]
pub(super) struct IntoTarget {
    pub(super) name: Name,
    pub(super) temporary: bool,
}

impl Facts {
    /// The facts of `node` and all below it.
    pub(super) fn of(node: Node<'_>) -> Self {
        let mut walk = Walk::default();
        walk.push(node, None);
        while let Some((node, scope)) = walk.stack.pop() {
            walk.visit(node, scope);
        }
        walk.facts
    }
}

/// The innermost WITH query in scope, as its place in [`Walk::withs`].
type Scope = Option<usize>;

/// A WITH query's name; the next one out is in scope too.
#[derive(Debug)]
struct With<'a> {
    name: &'a str,
    outer: Scope,
}

#[derive(Debug, Default)]
struct Walk<'a> {
    stack: Vec<(Node<'a>, Scope)>,
    withs: Vec<With<'a>>,
    tables: RapidHashSet<(Option<&'a str>, &'a str)>,
    functions: RapidHashSet<(Option<&'a str>, &'a str, Call)>,
    facts: Facts,
}

impl<'a> Walk<'a> {
    fn push(&mut self, node: impl Into<Node<'a>>, scope: Scope) {
        let node = node.into();
        if !matches!(node, Node::None) {
            self.stack.push((node, scope));
        }
    }

    fn push_all<L>(&mut self, list: L, scope: Scope)
    where
        L: IntoIterator<Item: Into<Node<'a>>>,
    {
        for node in list {
            self.push(node, scope);
        }
    }

    fn function(&mut self, schema: Option<&'a str>, name: &'a str) {
        self.callable(schema, name, Call::Name);
    }

    /// SQL syntax that is a function in disguise, which no `search_path` can replace.
    fn syntax(&mut self, name: &'a str) {
        self.function(Some("pg_catalog"), name);
    }

    fn operator(&mut self, name: &'a str) {
        self.callable(None, name, Call::Operator);
    }

    /// `name` behind a dot: a column, or a function of what stands before it.
    fn attribute(&mut self, name: &'a str) {
        self.callable(None, name, Call::Attribute);
    }

    fn callable(&mut self, schema: Option<&'a str>, name: &'a str, call: Call) {
        if self.functions.insert((schema, name, call)) {
            self.facts.read.functions.push(names::function(schema, name, call));
        }
    }

    fn visit(&mut self, node: Node<'a>, scope: Scope) {
        match node {
            Node::SelectStmt(_)
            | Node::InsertStmt(_)
            | Node::UpdateStmt(_)
            | Node::DeleteStmt(_)
            | Node::MergeStmt(_) => self.statement(node, scope),
            Node::RangeVar(_)
            | Node::JoinExpr(_)
            | Node::RangeSubselect(_)
            | Node::RangeFunction(_)
            | Node::RangeTableFunc(_)
            | Node::RangeTableFuncCol(_)
            | Node::RangeTableSample(_)
            | Node::JsonTable(_)
            | Node::JsonTableColumn(_) => self.source(node, scope),
            _ => self.expression(node, scope),
        }
    }

    fn statement(&mut self, node: Node<'a>, scope: Scope) {
        match node {
            Node::SelectStmt(select) => self.select(select, scope),
            Node::InsertStmt(insert) => self.insert(insert, scope),
            Node::UpdateStmt(update) => self.update(update, scope),
            Node::DeleteStmt(delete) => {
                let scope = self.with(delete.with_clause(), scope);
                self.target(delete.relation());
                self.push_all(delete.using_clause(), scope);
                self.push(delete.where_clause(), scope);
                self.returning(delete.returning_clause(), scope);
            }
            Node::MergeStmt(merge) => self.merge(merge, scope),
            _ => self.facts.unknown = true,
        }
    }

    fn select(&mut self, select: &'a SelectStmt, scope: Scope) {
        let scope = self.with(select.with_clause(), scope);
        if let Some(rel) = select.into_clause().and_then(|into| into.rel()) {
            self.facts.into = Some(IntoTarget { name: names::relation(rel), temporary: names::is_temporary(rel) });
        }
        // DISTINCT without ON is a list with one NULL in it, which `push` leaves out.
        self.push_all(select.distinct_clause(), scope);
        self.push_all(select.target_list(), scope);
        self.push_all(select.from_clause(), scope);
        self.push(select.where_clause(), scope);
        self.push_all(select.group_clause(), scope);
        self.push(select.having_clause(), scope);
        self.push_all(select.window_clause(), scope);
        self.push_all(select.values_lists(), scope);
        self.push_all(select.sort_clause(), scope);
        self.push(select.limit_offset(), scope);
        self.push(select.limit_count(), scope);
        // What a locking clause names are names of FROM items, not tables of its own.
        self.facts.read.locks |= !select.locking_clause().is_empty();
        self.push(select.larg(), scope);
        self.push(select.rarg(), scope);
    }

    fn insert(&mut self, insert: &'a InsertStmt, scope: Scope) {
        let scope = self.with(insert.with_clause(), scope);
        self.target(insert.relation());
        self.push_all(insert.cols(), scope);
        self.push(insert.select_stmt(), scope);
        if let Some(conflict) = insert.on_conflict_clause() {
            if let Some(infer) = conflict.infer() {
                self.push_all(infer.index_elems(), scope);
                self.push(infer.where_clause(), scope);
            }
            self.push_all(conflict.target_list(), scope);
            self.push(conflict.where_clause(), scope);
        }
        self.returning(insert.returning_clause(), scope);
    }

    fn update(&mut self, update: &'a UpdateStmt, scope: Scope) {
        let scope = self.with(update.with_clause(), scope);
        self.target(update.relation());
        self.push_all(update.target_list(), scope);
        self.push_all(update.from_clause(), scope);
        self.push(update.where_clause(), scope);
        self.returning(update.returning_clause(), scope);
    }

    fn merge(&mut self, merge: &'a MergeStmt, scope: Scope) {
        let scope = self.with(merge.with_clause(), scope);
        self.target(merge.relation());
        self.push(merge.source_relation(), scope);
        self.push(merge.join_condition(), scope);
        for when in merge.merge_when_clauses() {
            self.push(when.condition(), scope);
            self.push_all(when.target_list(), scope);
            self.push_all(when.values(), scope);
        }
        self.returning(merge.returning_clause(), scope);
    }

    fn target(&mut self, relation: Option<&'a RangeVar>) {
        match relation {
            Some(relation) => self.facts.writes.push(names::relation(relation)),
            None => self.facts.unknown = true,
        }
    }

    fn returning(&mut self, clause: Option<&'a ReturningClause>, scope: Scope) {
        if let Some(clause) = clause {
            self.push_all(clause.exprs(), scope);
        }
    }

    /// The scope of a statement with this WITH clause. A WITH query sees those before it, of a recursive clause all.
    fn with(&mut self, clause: Option<&'a WithClause>, outer: Scope) -> Scope {
        let Some(clause) = clause else { return outer };
        let mut inner = outer;
        for cte in clause.ctes() {
            if !clause.recursive {
                self.push(cte.ctequery(), inner);
            }
            self.withs.push(With { name: cte.ctename().unwrap_or_default(), outer: inner });
            inner = Some(self.withs.len() - 1);
            if let Some(cycle) = cte.cycle_clause() {
                self.push(cycle.cycle_mark_value(), inner);
                self.push(cycle.cycle_mark_default(), inner);
                self.operator("=");
            }
        }
        if clause.recursive {
            for cte in clause.ctes() {
                self.push(cte.ctequery(), inner);
            }
        }
        inner
    }

    fn is_with_query(&self, name: &str, mut scope: Scope) -> bool {
        while let Some(with) = scope.and_then(|at| self.withs.get(at)) {
            if with.name == name {
                return true;
            }
            scope = with.outer;
        }
        false
    }

    fn source(&mut self, node: Node<'a>, scope: Scope) {
        match node {
            Node::RangeVar(range) => self.table(range, scope),
            Node::JoinExpr(join) => {
                self.push(join.larg(), scope);
                self.push(join.rarg(), scope);
                self.push(join.quals(), scope);
                if join.is_natural || !join.using_clause().is_empty() {
                    self.operator("=");
                }
            }
            Node::RangeSubselect(sub) => self.push(sub.subquery(), scope),
            Node::RangeFunction(function) => {
                self.push_all(function.functions(), scope);
                self.push_all(function.coldeflist(), scope);
            }
            Node::RangeTableFunc(table) => {
                self.syntax("xmltable");
                self.push(table.docexpr(), scope);
                self.push(table.rowexpr(), scope);
                self.push_all(table.namespaces(), scope);
                self.push_all(table.columns(), scope);
            }
            Node::RangeTableFuncCol(column) => {
                self.type_name(column.type_name(), scope);
                self.push(column.colexpr(), scope);
                self.push(column.coldefexpr(), scope);
            }
            Node::RangeTableSample(sample) => {
                self.syntax("tablesample");
                self.push(sample.relation(), scope);
                self.push_all(sample.args(), scope);
                self.push(sample.repeatable(), scope);
            }
            Node::JsonTable(table) => {
                self.syntax("json_table");
                self.push(table.context_item(), scope);
                self.push_all(table.passing(), scope);
                self.push_all(table.columns(), scope);
                self.push(table.on_error(), scope);
            }
            Node::JsonTableColumn(column) => {
                self.type_name(column.type_name(), scope);
                self.push_all(column.columns(), scope);
                self.push(column.on_empty(), scope);
                self.push(column.on_error(), scope);
            }
            _ => self.facts.unknown = true,
        }
    }

    fn table(&mut self, range: &'a RangeVar, scope: Scope) {
        let name = range.relname().unwrap_or_default();
        let schema = range.schemaname();
        if schema.is_none() && self.is_with_query(name, scope) {
            return;
        }
        if self.tables.insert((schema, name)) {
            self.facts.read.tables.push(names::relation(range));
        }
    }
}

#[cfg(test)]
mod tests;
