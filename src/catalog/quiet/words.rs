//! Words, by what they may mean.

/// Words with which statements begin, or parts of them that read or write more than the row.
pub(super) const FORBIDDEN: &[&str] = &[
    "alias",
    "alter",
    "analyze",
    "call",
    "cast",
    "close",
    "cluster",
    "collate",
    "comment",
    "commit",
    "copy",
    "create",
    "deallocate",
    "delete",
    "discard",
    "do",
    "drop",
    "execute",
    "explain",
    "fetch",
    "for",
    "foreach",
    "get",
    "grant",
    "import",
    "insert",
    "into",
    "listen",
    "load",
    "lock",
    "loop",
    "merge",
    "move",
    "notify",
    "open",
    "operator",
    "perform",
    "prepare",
    "refresh",
    "reindex",
    "release",
    "reset",
    "revoke",
    "rollback",
    "savepoint",
    "select",
    "set",
    "table",
    "truncate",
    "union",
    "unlisten",
    "update",
    "vacuum",
    "values",
    "while",
];

/// Syntax that is written like a call.
pub(super) const SYNTAX: &[&str] =
    &["coalesce", "extract", "greatest", "least", "nullif", "overlay", "position", "substring", "trim"];

/// Words that may stand in front of a parenthesis and call nothing.
pub(super) const NO_CALL: &[&str] = &[
    "all", "and", "any", "array", "between", "case", "distinct", "else", "elseif", "elsif", "in", "is", "not", "null",
    "or", "return", "row", "some", "then", "using", "when",
];

/// Types of the server's own.
pub(super) const TYPES: &[&str] = &[
    "bigint",
    "bool",
    "boolean",
    "bpchar",
    "bytea",
    "char",
    "character",
    "date",
    "decimal",
    "double",
    "float4",
    "float8",
    "inet",
    "int",
    "int2",
    "int4",
    "int8",
    "integer",
    "interval",
    "json",
    "jsonb",
    "numeric",
    "real",
    "record",
    "smallint",
    "text",
    "time",
    "timestamp",
    "timestamptz",
    "timetz",
    "tsvector",
    "uuid",
    "varchar",
    "xml",
];

/// Operators behind words: IN, LIKE, BETWEEN, IS DISTINCT FROM, CASE …
pub(super) const IMPLIED: &[&str] = &["=", "<>", "<", ">", "<=", ">=", "~~", "!~~", "~~*", "!~~*"];

/// Words that may stand in front of a string and are no type.
pub(super) const NO_TYPE: &[&str] = &[
    "default",
    "detail",
    "errcode",
    "escape",
    "exception",
    "hint",
    "ilike",
    "info",
    "like",
    "message",
    "notice",
    "raise",
    "to",
    "warning",
    "zone",
];

/// Types that may stand in front of a parenthesis.
pub(super) const MODIFIED_TYPES: &[&str] =
    &["char", "character", "decimal", "interval", "numeric", "time", "timestamp", "varchar"];
