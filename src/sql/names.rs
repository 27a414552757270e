//! Names as the grammar has them, and what SQL syntax stands for.

use pg_raw_parse::Node;
use pg_raw_parse::list::NodeList;
use pg_raw_parse::nodes::{JsonExprOp, RangeVar, SQLValueFunctionOp, TypeName, XmlExprOp};

use super::{Call, FunctionName, Name};

/// The relation that `range` names.
pub(super) fn relation(range: &RangeVar) -> Name {
    Name { schema: range.schemaname().map(str::to_owned), name: range.relname().unwrap_or_default().to_owned() }
}

/// Whether `CREATE` of `range` makes a temporary relation.
pub(super) fn is_temporary(range: &RangeVar) -> bool {
    // 't': RELPERSISTENCE_TEMP.
    u8::try_from(range.relpersistence) == Ok(b't') || range.schemaname() == Some("pg_temp")
}

/// A possibly qualified name given as a list of strings: `[schema,] name`. A database in front is left out, because
/// the server accepts none but its own.
pub(super) fn qualified(list: &NodeList) -> Option<(Option<&str>, &str)> {
    let mut parts = list.iter().rev().filter_map(Node::as_str);
    let name = parts.next()?;
    Some((parts.next(), name))
}

/// The same as a relation's name.
pub(super) fn relation_of_list(list: &NodeList) -> Option<Name> {
    qualified(list).map(|(schema, name)| Name { schema: schema.map(str::to_owned), name: name.to_owned() })
}

/// How a type's name concerns a read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TypeClass<'a> {
    /// Built in.
    BuiltIn,
    /// Built in, and looks the catalog up: `regclass` and its like.
    CatalogLookup(&'a str),
    /// Anything else.
    User,
}

/// What `name` is.
pub(super) fn type_class(name: &TypeName) -> TypeClass<'_> {
    let mut parts = name.names().iter().rev().map(|part| part.sval().unwrap_or_default());
    let base = parts.next().unwrap_or_default();
    let schema = parts.next();
    if name.pct_type || schema.is_some_and(|schema| schema != "pg_catalog") {
        return TypeClass::User;
    }
    let element = base.strip_prefix('_').unwrap_or(base);
    if CATALOG_TYPES.contains(&element) {
        TypeClass::CatalogLookup(element)
    } else if schema.is_some() || BUILT_IN_TYPES.binary_search(&element).is_ok() {
        TypeClass::BuiltIn
    } else {
        TypeClass::User
    }
}

const CATALOG_TYPES: [&str; 11] = [
    "regclass",
    "regcollation",
    "regconfig",
    "regdictionary",
    "regnamespace",
    "regoper",
    "regoperator",
    "regproc",
    "regprocedure",
    "regrole",
    "regtype",
];

/// Sorted. Only the types that columns and literals have; of a pseudo-type nothing can be read.
const BUILT_IN_TYPES: [&str; 60] = [
    "aclitem",
    "bit",
    "bool",
    "box",
    "bpchar",
    "bytea",
    "char",
    "cid",
    "cidr",
    "circle",
    "date",
    "datemultirange",
    "daterange",
    "float4",
    "float8",
    "inet",
    "int2",
    "int2vector",
    "int4",
    "int4multirange",
    "int4range",
    "int8",
    "int8multirange",
    "int8range",
    "interval",
    "json",
    "jsonb",
    "jsonpath",
    "line",
    "lseg",
    "macaddr",
    "macaddr8",
    "money",
    "name",
    "numeric",
    "nummultirange",
    "numrange",
    "oid",
    "oidvector",
    "path",
    "pg_lsn",
    "point",
    "polygon",
    "record",
    "text",
    "tid",
    "time",
    "timestamp",
    "timestamptz",
    "timetz",
    "tsmultirange",
    "tsquery",
    "tsrange",
    "tstzmultirange",
    "tstzrange",
    "tsvector",
    "uuid",
    "varbit",
    "varchar",
    "xml",
];

/// The function behind `CURRENT_DATE`, `CURRENT_USER` and their like.
pub(super) fn value_function(op: SQLValueFunctionOp::Type) -> &'static str {
    match op {
        SQLValueFunctionOp::SVFOP_CURRENT_ROLE
        | SQLValueFunctionOp::SVFOP_CURRENT_USER
        | SQLValueFunctionOp::SVFOP_USER => "current_user",
        SQLValueFunctionOp::SVFOP_SESSION_USER => "session_user",
        SQLValueFunctionOp::SVFOP_CURRENT_CATALOG => "current_database",
        SQLValueFunctionOp::SVFOP_CURRENT_SCHEMA => "current_schema",
        // All the others ask the clock.
        _ => "now",
    }
}

/// A name for what an XML expression does.
pub(super) fn xml_function(op: XmlExprOp::Type) -> &'static str {
    match op {
        XmlExprOp::IS_XMLCONCAT => "xmlconcat",
        XmlExprOp::IS_XMLELEMENT => "xmlelement",
        XmlExprOp::IS_XMLFOREST => "xmlforest",
        XmlExprOp::IS_XMLPARSE => "xmlparse",
        XmlExprOp::IS_XMLPI => "xmlpi",
        XmlExprOp::IS_XMLROOT => "xmlroot",
        XmlExprOp::IS_XMLSERIALIZE => "xmlserialize",
        _ => "xml_is_document",
    }
}

/// A name for what an SQL/JSON query function does.
pub(super) fn json_function(op: JsonExprOp::Type) -> &'static str {
    match op {
        JsonExprOp::JSON_EXISTS_OP => "json_exists",
        JsonExprOp::JSON_QUERY_OP => "json_query",
        JsonExprOp::JSON_VALUE_OP => "json_value",
        _ => "json_table",
    }
}

/// The operators behind a BETWEEN, whose node names none.
pub(super) fn between_operators(negated: bool) -> [&'static str; 2] {
    if negated { ["<", ">"] } else { [">=", "<="] }
}

/// Whether a column's name is one that every table has.
pub(super) fn is_system_column(name: &str) -> bool {
    matches!(name, "tableoid" | "ctid" | "xmin" | "xmax" | "cmin" | "cmax")
}

/// Whether a string, read as a date or time, asks the clock: `'now'`, `'today'`, `'tomorrow 10:00'`.
pub fn asks_clock(string: &str) -> bool {
    // Longer strings are no dates.
    string.len() <= 64
        && string
            .split(|c: char| !c.is_ascii_alphabetic())
            .any(|word| ["now", "today", "tomorrow", "yesterday"].iter().any(|clock| word.eq_ignore_ascii_case(clock)))
}

/// A function called like this.
pub(super) fn function(schema: Option<&str>, name: &str, call: Call) -> FunctionName {
    FunctionName { schema: schema.map(str::to_owned), name: name.to_owned(), call }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn built_in_types_are_sorted_for_the_search() {
        assert!(BUILT_IN_TYPES.is_sorted());
    }

    #[test]
    fn strings_that_ask_the_clock() {
        for string in ["now", " NOW ", "today", "tomorrow 10:00", "Yesterday"] {
            assert!(asks_clock(string), "{string}");
        }
        for string in ["", "known", "2024-01-01", "snow"] {
            assert!(!asks_clock(string), "{string}");
        }
    }
}
