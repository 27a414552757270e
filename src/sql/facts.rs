//! What a statement names, anywhere in it: one walk over its tree.
//!
//! The tree may be as deep as the text is long, so the walk keeps its own stack and never recurses. A node it does not
//! know makes the whole statement unknown: a new PostgreSQL may have new syntax that writes.

use pg_raw_parse::nodes::{
    A_Expr, A_Expr_Kind, FuncCall, InsertStmt, MergeStmt, RangeVar, ReturningClause, SelectStmt, SubLink, SubLinkType,
    TypeName, UpdateStmt, WindowDef, WithClause,
};
use pg_raw_parse::{ConstValue, Node};
use rapidhash::RapidHashSet;

use super::names::{self, TypeClass};
use super::{Name, Read};

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
    functions: RapidHashSet<(Option<&'a str>, &'a str, bool)>,
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
        self.callable(schema, name, false);
    }

    /// SQL syntax that is a function in disguise, which no search_path can replace.
    fn syntax(&mut self, name: &'a str) {
        self.function(Some("pg_catalog"), name);
    }

    fn operator(&mut self, name: &'a str) {
        self.callable(None, name, true);
    }

    fn callable(&mut self, schema: Option<&'a str>, name: &'a str, operator: bool) {
        if self.functions.insert((schema, name, operator)) {
            self.facts.read.functions.push(names::function(schema, name, operator));
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
            | Node::JsonTableColumn(_) => self.from_item(node, scope),
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

    fn from_item(&mut self, node: Node<'a>, scope: Scope) {
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

    fn expression(&mut self, node: Node<'a>, scope: Scope) {
        match node {
            Node::NodeList(list) => self.push_all(list, scope),
            Node::A_Expr(expr) => self.operation(expr, scope),
            Node::FuncCall(call) => self.call(call, scope),
            Node::SubLink(link) => self.sublink(link, scope),
            Node::WindowDef(window) => self.window(window, scope),
            Node::TypeName(_) | Node::A_Star(_) | Node::ParamRef(_) | Node::SetToDefault(_) | Node::String(_) => {}
            Node::ColumnRef(column) => {
                let last = column.fields().iter().next_back().and_then(Node::as_str);
                self.facts.read.system_columns |= last.is_some_and(names::is_system_column);
            }
            Node::A_Const(constant) => {
                if let Some(ConstValue::String(string)) = constant.val()
                    && names::asks_clock(string)
                {
                    self.syntax("now");
                }
            }
            Node::TypeCast(cast) => {
                self.push(cast.arg(), scope);
                self.type_name(cast.type_name(), scope);
            }
            Node::ColumnDef(column) => self.type_name(column.type_name(), scope),
            Node::CollateClause(collate) => self.push(collate.arg(), scope),
            Node::ResTarget(target) => {
                self.push(target.val(), scope);
                self.push_all(target.indirection(), scope);
            }
            Node::MultiAssignRef(assign) => {
                // Each column of `(a, b) = (…)` refers to the one source.
                if assign.colno == 1 {
                    self.push(assign.source(), scope);
                }
            }
            Node::A_Indirection(indirection) => {
                self.push(indirection.arg(), scope);
                self.push_all(indirection.indirection(), scope);
            }
            Node::A_Indices(indices) => {
                self.push(indices.lidx(), scope);
                self.push(indices.uidx(), scope);
            }
            Node::A_ArrayExpr(array) => self.push_all(array.elements(), scope),
            Node::RowExpr(row) => self.push_all(row.args(), scope),
            Node::BoolExpr(expr) => self.push_all(expr.args(), scope),
            Node::CoalesceExpr(expr) => self.push_all(expr.args(), scope),
            Node::MinMaxExpr(expr) => self.push_all(expr.args(), scope),
            Node::GroupingFunc(grouping) => self.push_all(grouping.args(), scope),
            Node::GroupingSet(set) => self.push_all(set.content(), scope),
            Node::NullTest(test) => self.push(test.arg(), scope),
            Node::BooleanTest(test) => self.push(test.arg(), scope),
            Node::NamedArgExpr(arg) => self.push(arg.arg(), scope),
            Node::CaseExpr(case) => {
                if !matches!(case.arg(), Node::None) {
                    self.operator("=");
                    self.push(case.arg(), scope);
                }
                self.push_all(case.args(), scope);
                self.push(case.defresult(), scope);
            }
            Node::CaseWhen(when) => {
                self.push(when.expr(), scope);
                self.push(when.result(), scope);
            }
            Node::SortBy(sort) => {
                self.push(sort.node(), scope);
                if let Some((schema, name)) = names::qualified(sort.use_op()) {
                    self.callable(schema, name, true);
                }
            }
            Node::IndexElem(elem) => self.push(elem.expr(), scope),
            Node::CurrentOfExpr(_) => self.facts.current_of = true,
            Node::SQLValueFunction(value) => self.syntax(names::value_function(value.op)),
            Node::XmlExpr(xml) => {
                self.syntax(names::xml_function(xml.op));
                self.push_all(xml.named_args(), scope);
                self.push_all(xml.args(), scope);
            }
            Node::XmlSerialize(xml) => {
                self.syntax("xmlserialize");
                self.push(xml.expr(), scope);
                self.type_name(xml.type_name(), scope);
            }
            _ => self.json(node, scope),
        }
    }

    fn json(&mut self, node: Node<'a>, scope: Scope) {
        match node {
            Node::JsonValueExpr(value) => self.push(value.raw_expr(), scope),
            Node::JsonArgument(argument) => self.push(argument.val(), scope),
            Node::JsonBehavior(behavior) => self.push(behavior.expr(), scope),
            Node::JsonOutput(output) => self.type_name(output.type_name(), scope),
            Node::JsonKeyValue(pair) => {
                self.push(pair.key(), scope);
                self.push(pair.value(), scope);
            }
            Node::JsonIsPredicate(predicate) => {
                self.syntax("is_json");
                self.push(predicate.expr(), scope);
            }
            Node::JsonFuncExpr(call) => {
                self.syntax(names::json_function(call.op));
                self.push(call.context_item(), scope);
                self.push(call.pathspec(), scope);
                self.push_all(call.passing(), scope);
                self.push(call.output(), scope);
                self.push(call.on_empty(), scope);
                self.push(call.on_error(), scope);
            }
            Node::JsonParseExpr(parse) => {
                self.syntax("json");
                self.push(parse.expr(), scope);
                self.push(parse.output(), scope);
            }
            Node::JsonScalarExpr(scalar) => {
                self.syntax("json_scalar");
                self.push(scalar.expr(), scope);
                self.push(scalar.output(), scope);
            }
            Node::JsonSerializeExpr(serialize) => {
                self.syntax("json_serialize");
                self.push(serialize.expr(), scope);
                self.push(serialize.output(), scope);
            }
            Node::JsonObjectConstructor(object) => {
                self.syntax("json_object");
                self.push_all(object.exprs(), scope);
                self.push(object.output(), scope);
            }
            Node::JsonArrayConstructor(array) => {
                self.syntax("json_array");
                self.push_all(array.exprs(), scope);
                self.push(array.output(), scope);
            }
            Node::JsonArrayQueryConstructor(array) => {
                self.syntax("json_array");
                self.push(array.query(), scope);
                self.push(array.output(), scope);
            }
            Node::JsonObjectAgg(aggregate) => {
                self.syntax("json_objectagg");
                self.push(aggregate.arg(), scope);
                self.push(aggregate.constructor(), scope);
            }
            Node::JsonArrayAgg(aggregate) => {
                self.syntax("json_arrayagg");
                self.push(aggregate.arg(), scope);
                self.push(aggregate.constructor(), scope);
            }
            Node::JsonAggConstructor(aggregate) => {
                self.push(aggregate.output(), scope);
                self.push(aggregate.agg_filter(), scope);
                self.push_all(aggregate.agg_order(), scope);
                self.push(aggregate.over(), scope);
            }
            _ => self.facts.unknown = true,
        }
    }

    fn operation(&mut self, expr: &'a A_Expr, scope: Scope) {
        self.push(expr.lexpr(), scope);
        self.push(expr.rexpr(), scope);
        let between = match expr.kind {
            A_Expr_Kind::AEXPR_BETWEEN | A_Expr_Kind::AEXPR_BETWEEN_SYM => Some(false),
            A_Expr_Kind::AEXPR_NOT_BETWEEN | A_Expr_Kind::AEXPR_NOT_BETWEEN_SYM => Some(true),
            _ => None,
        };
        if let Some(negated) = between {
            names::between_operators(negated).into_iter().for_each(|name| self.operator(name));
        } else if let Some((schema, name)) = names::qualified(expr.name()) {
            self.callable(schema, name, true);
        }
    }

    fn call(&mut self, call: &'a FuncCall, scope: Scope) {
        match names::qualified(call.funcname()) {
            Some((schema, name)) => self.function(schema, name),
            None => self.facts.unknown = true,
        }
        self.push_all(call.args(), scope);
        self.push_all(call.agg_order(), scope);
        self.push(call.agg_filter(), scope);
        self.push(call.over(), scope);
    }

    fn window(&mut self, window: &'a WindowDef, scope: Scope) {
        self.push_all(window.partition_clause(), scope);
        self.push_all(window.order_clause(), scope);
        self.push(window.start_offset(), scope);
        self.push(window.end_offset(), scope);
    }

    fn sublink(&mut self, link: &'a SubLink, scope: Scope) {
        self.push(link.testexpr(), scope);
        self.push(link.subselect(), scope);
        match names::qualified(link.oper_name()) {
            Some((schema, name)) => self.callable(schema, name, true),
            // IN names none.
            None if link.sub_link_type == SubLinkType::ANY_SUBLINK => self.operator("="),
            None => {}
        }
    }

    fn type_name(&mut self, name: Option<&'a TypeName>, scope: Scope) {
        let Some(name) = name else { return };
        match names::type_class(name) {
            TypeClass::BuiltIn => {}
            TypeClass::CatalogLookup(name) => self.syntax(name),
            TypeClass::User => self.facts.read.user_types = true,
        }
        self.push_all(name.typmods(), scope);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts(text: &str) -> Facts {
        let tree = pg_raw_parse::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"));
        Facts::of(tree.stmts().next().unwrap())
    }

    fn tables(text: &str) -> Vec<String> {
        let mut names: Vec<String> = facts(text)
            .read
            .tables
            .into_iter()
            .map(|name| name.schema.map_or(String::new(), |schema| schema + ".") + &name.name)
            .collect();
        names.sort();
        names
    }

    fn functions(text: &str) -> Vec<String> {
        let facts = facts(text);
        assert!(!facts.unknown, "{text}");
        let mut names: Vec<String> = facts.read.functions.into_iter().map(|function| function.name).collect();
        names.sort();
        names
    }

    #[test]
    fn tables_are_found_anywhere_and_once() {
        assert_eq!(
            tables("SELECT * FROM a, s.b JOIN \"C\" ON true, LATERAL (SELECT * FROM d) x, a"),
            ["C", "a", "d", "s.b"]
        );
        assert_eq!(
            tables("SELECT (SELECT 1 FROM a) FROM b WHERE EXISTS (SELECT 1 FROM c) ORDER BY (TABLE d)"),
            ["a", "b", "c", "d"]
        );
        assert_eq!(tables("SELECT 1 FROM a UNION SELECT 1 FROM b EXCEPT VALUES ((SELECT 1 FROM c))"), ["a", "b", "c"]);
        assert_eq!(
            tables(
                "SELECT f((SELECT 1 FROM a)) FILTER (WHERE 1 IN (SELECT 1 FROM b)) OVER (ORDER BY (SELECT 1 FROM c))"
            ),
            ["a", "b", "c"]
        );
        assert_eq!(
            tables("SELECT * FROM f((SELECT 1 FROM a)) LIMIT (SELECT 1 FROM b) OFFSET (SELECT 1 FROM c)"),
            ["a", "b", "c"]
        );
    }

    #[test]
    fn names_of_with_queries_are_no_tables_where_they_are_in_scope() {
        assert_eq!(tables("WITH a AS (SELECT * FROM b) SELECT * FROM a"), ["b"]);
        assert_eq!(tables("WITH a AS (SELECT * FROM a) SELECT * FROM a"), ["a"]);
        assert_eq!(tables("WITH a AS (SELECT * FROM b), b AS (SELECT * FROM a) SELECT * FROM b"), ["b"]);
        assert_eq!(tables("WITH RECURSIVE a AS (SELECT * FROM b), b AS (SELECT * FROM a) SELECT * FROM b"), [""; 0]);
        assert_eq!(tables("SELECT * FROM a, (WITH a AS (SELECT 1) SELECT * FROM a) x"), ["a"]);
        assert_eq!(tables("WITH a AS (SELECT 1) SELECT * FROM s.a"), ["s.a"]);
        assert_eq!(tables("WITH a AS (SELECT 1) SELECT * FROM (SELECT * FROM a) x"), [""; 0]);
    }

    #[test]
    fn functions_and_operators_are_found() {
        assert_eq!(functions("SELECT f(1), s.g(a) FROM h() WHERE a @@ i(2)"), ["@@", "f", "g", "h", "i"]);
        assert_eq!(functions("SELECT count(*) OVER (PARTITION BY f(a) ORDER BY g(a)) FROM t"), ["count", "f", "g"]);
        assert_eq!(functions("SELECT 1 FROM t ORDER BY a USING s.<<"), ["<<"]);
        assert_eq!(functions("SELECT * FROM ROWS FROM (f(1), g(2)) x"), ["f", "g"]);
    }

    #[test]
    fn rule_30_syntax_that_is_a_function_is_named() {
        for (expression, names) in [
            ("CURRENT_USER", &["current_user"][..]),
            ("USER", &["current_user"]),
            ("SESSION_USER", &["session_user"]),
            ("CURRENT_SCHEMA", &["current_schema"]),
            ("CURRENT_CATALOG", &["current_database"]),
            ("CURRENT_DATE", &["now"]),
            ("LOCALTIMESTAMP(3)", &["now"]),
            ("'now'::timestamptz", &["now"]),
            ("DATE 'Tomorrow'", &["now"]),
            ("a AT TIME ZONE 'UTC'", &["timezone"]),
            ("EXTRACT(year FROM a)", &["extract"]),
            ("a LIKE 'x%'", &["~~"]),
            ("a NOT ILIKE 'x' ESCAPE '!'", &["!~~*", "like_escape"]),
            ("a SIMILAR TO 'x'", &["similar_to_escape", "~"]),
            ("a BETWEEN 1 AND 2", &["<=", ">="]),
            ("a NOT BETWEEN SYMMETRIC 1 AND 2", &["<", ">"]),
            ("a IN (1, 2)", &["="]),
            ("a IN (SELECT 1)", &["="]),
            ("a < ALL (SELECT 1)", &["<"]),
            ("a IS DISTINCT FROM 1", &["="]),
            ("NULLIF(a, 1)", &["="]),
            ("CASE a WHEN 1 THEN 2 END", &["="]),
            ("COALESCE(a, 1) IS NULL OR GREATEST(a, 1) IS NOT NULL", &[]),
            ("substring(a FROM 1)", &["substring"]),
            ("'t'::regclass", &["regclass"]),
            ("xmlelement(name a, b)", &["xmlelement"]),
            ("json_array(f(1))", &["f", "json_array"]),
            ("JSON_VALUE(a, '$' RETURNING int DEFAULT f() ON ERROR)", &["f", "json_value"]),
            ("a IS JSON", &["is_json"]),
            ("f(a => g())", &["f", "g"]),
            ("(f(a)).b[g(1)]", &["f", "g"]),
        ] {
            assert_eq!(functions(&format!("SELECT {expression} FROM t")), names, "{expression}");
        }
        assert_eq!(functions("SELECT * FROM t TABLESAMPLE bernoulli (f(1))"), ["f", "tablesample"]);
        assert_eq!(functions("SELECT * FROM t JOIN u USING (a)"), ["="]);
        assert_eq!(functions("SELECT * FROM t NATURAL JOIN u"), ["="]);
        assert_eq!(functions("SELECT * FROM xmltable('/a' PASSING x COLUMNS b int PATH 'c')"), ["xmltable"]);
        assert_eq!(functions("SELECT * FROM json_table(x, '$' COLUMNS (b int PATH '$'))"), ["json_table"]);
    }

    #[test]
    fn locks_system_columns_and_types_are_told() {
        assert!(facts("SELECT 1 FROM t FOR UPDATE").read.locks);
        assert!(facts("SELECT 1 FROM (SELECT 1 FROM t FOR KEY SHARE) x").read.locks);
        assert!(facts("SELECT 1 FROM t FOR UPDATE OF t").read.tables.len() == 1);
        assert!(facts("SELECT t.ctid FROM t").read.system_columns);
        assert!(!facts("SELECT t.a, t.* FROM t").read.system_columns);
        assert!(facts("SELECT a::mood FROM t").read.user_types);
        assert!(facts("SELECT * FROM f() x(a s.mood)").read.user_types);
        assert!(facts("SELECT CAST(a AS public.text[]) FROM t").read.user_types);
        for name in ["int", "text[]", "varchar(3)", "pg_catalog.int4", "timestamp with time zone", "_int4", "float"] {
            assert!(!facts(&format!("SELECT a::{name} FROM t")).read.user_types, "{name}");
        }
    }

    #[test]
    fn the_target_of_a_write_is_read_only_if_named_again() {
        assert_eq!(tables("UPDATE t SET a = 1 FROM u"), ["u"]);
        assert_eq!(tables("DELETE FROM t WHERE a IN (SELECT a FROM t)"), ["t"]);
        assert_eq!(
            tables("INSERT INTO t SELECT * FROM u ON CONFLICT (a) DO UPDATE SET b = (SELECT 1 FROM v)"),
            ["u", "v"]
        );
        assert_eq!(functions("UPDATE t SET (a, b) = (SELECT f(), g()) RETURNING h(a)"), ["f", "g", "h"]);
    }
}
