//! The part of the walk that is about expressions.

use pg_raw_parse::nodes::{A_Expr, A_Expr_Kind, FuncCall, SubLink, SubLinkType, TypeName, WindowDef};
use pg_raw_parse::{ConstValue, Node};

use super::super::Call;
use super::super::names::{self, TypeClass};
use super::{Scope, Walk};

impl<'a> Walk<'a> {
    pub(super) fn expression(&mut self, node: Node<'a>, scope: Scope) {
        match node {
            Node::NodeList(list) => self.push_all(list, scope),
            Node::A_Expr(expr) => self.operation(expr, scope),
            Node::FuncCall(call) => self.call(call, scope),
            Node::SubLink(link) => self.sublink(link, scope),
            Node::WindowDef(window) => self.window(window, scope),
            Node::TypeName(_)
            | Node::A_Star(_)
            | Node::ParamRef(_)
            | Node::SetToDefault(_)
            | Node::MergeSupportFunc(_)
            | Node::String(_) => {}
            Node::ColumnRef(column) => {
                let last = column.fields().iter().next_back().and_then(Node::as_str);
                self.facts.read.system_columns |= last.is_some_and(names::is_system_column);
                if let Some(name) = last
                    && column.fields().len() > 1
                {
                    self.attribute(name);
                }
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
                for name in indirection.indirection().iter().filter_map(Node::as_str) {
                    self.attribute(name);
                }
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
                    self.callable(schema, name, Call::Operator);
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
            for name in names::between_operators(negated) {
                self.operator(name);
            }
        } else if let Some((schema, name)) = names::qualified(expr.name()) {
            self.callable(schema, name, Call::Operator);
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
            Some((schema, name)) => self.callable(schema, name, Call::Operator),
            // IN names none.
            None if link.sub_link_type == SubLinkType::ANY_SUBLINK => self.operator("="),
            None => {}
        }
    }

    pub(super) fn type_name(&mut self, name: Option<&'a TypeName>, scope: Scope) {
        let Some(name) = name else { return };
        match names::type_class(name) {
            TypeClass::BuiltIn => {}
            TypeClass::CatalogLookup(name) => self.syntax(name),
            TypeClass::User => self.facts.read.user_types = true,
        }
        self.push_all(name.typmods(), scope);
    }
}
