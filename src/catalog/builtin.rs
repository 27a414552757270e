//! What PostgreSQL's own functions may do (rule 30). Volatility as declared is no proof: `version()` is STABLE and
//! `hashenum` IMMUTABLE, and both answer for their server. So lists, by name, for all overloads of a name.

use super::Volatility;

/// STABLE, and the same on both sides when the session's settings are: they depend on those and on nothing else.
const STABLE_AND_SAFE: &[&str] = &[
    "array_to_json",
    "array_to_string",
    "concat",
    "concat_ws",
    "convert",
    "convert_from",
    "convert_to",
    "date",
    "date_add",
    "date_part",
    "date_subtract",
    "date_trunc",
    "extract",
    "format",
    "generate_series",
    "in_range",
    "json_agg",
    "json_agg_strict",
    "json_build_array",
    "json_build_object",
    "json_object_agg",
    "json_object_agg_strict",
    "json_object_agg_unique",
    "json_object_agg_unique_strict",
    "json_populate_record",
    "json_populate_recordset",
    "json_to_record",
    "json_to_recordset",
    "json_to_tsvector",
    "jsonb_agg",
    "jsonb_agg_strict",
    "jsonb_build_array",
    "jsonb_build_object",
    "jsonb_object_agg",
    "jsonb_object_agg_strict",
    "jsonb_object_agg_unique",
    "jsonb_object_agg_unique_strict",
    "jsonb_path_exists_tz",
    "jsonb_path_match_tz",
    "jsonb_path_query_array_tz",
    "jsonb_path_query_first_tz",
    "jsonb_path_query_tz",
    "jsonb_populate_record",
    "jsonb_populate_recordset",
    "jsonb_to_record",
    "jsonb_to_recordset",
    "jsonb_to_tsvector",
    "length",
    "make_timestamptz",
    "numeric",
    "overlaps",
    "phraseto_tsquery",
    "plainto_tsquery",
    "quote_literal",
    "quote_nullable",
    "row_to_json",
    "string_agg",
    "time",
    "timestamp",
    "timestamptz",
    "timetz",
    "timezone",
    "to_char",
    "to_date",
    "to_json",
    "to_jsonb",
    "to_number",
    "to_timestamp",
    "to_tsquery",
    "to_tsvector",
    "ts_headline",
    "websearch_to_tsquery",
    "xml_is_well_formed",
];

/// The start of the transaction or statement, and what is counted from it.
const CLOCK: &[&str] = &[
    "age",
    "current_date",
    "current_time",
    "current_timestamp",
    "localtime",
    "localtimestamp",
    "now",
    "statement_timestamp",
    "transaction_timestamp",
];

/// SQL's names for functions that the catalogs know under another name, or not at all.
const LOCAL_BY_SYNTAX: &[&str] = &["current_catalog", "current_role", "user"];

/// IMMUTABLE, and yet they hash oids, which differ between the sides.
const IMMUTABLE_AND_LOCAL: &[&str] = &[
    "hash_array",
    "hash_array_extended",
    "hash_multirange",
    "hash_multirange_extended",
    "hash_range",
    "hash_range_extended",
    "hash_record",
    "hash_record_extended",
    "hashenum",
    "hashenumextended",
    "hashoid",
    "hashoidextended",
    "hashoidvector",
    "hashoidvectorextended",
];

/// They run queries given as text, or change the session's settings. Those of large objects write no table that is mirrored.
const OPAQUE: &[&str] = &["pg_extension_config_dump", "set_config", "ts_rewrite", "ts_stat"];
const OPAQUE_PREFIXES: &[&str] = &["binary_upgrade_", "pg_logical_", "pg_replication_origin_"];
const OPAQUE_SUFFIXES: &[&str] = &["_to_xml", "_to_xml_and_xmlschema", "_to_xmlschema"];

/// What the built-in function `name` may do, of which the worst overload is declared `declared` (`i`, `s`, `v`).
pub(super) fn function(name: &str, declared: &str) -> Volatility {
    let reaches_far = OPAQUE.contains(&name)
        || OPAQUE_PREFIXES.iter().any(|prefix| name.starts_with(prefix))
        || OPAQUE_SUFFIXES.iter().any(|suffix| name.ends_with(suffix));
    if reaches_far {
        return Volatility::Opaque;
    }
    if CLOCK.contains(&name) {
        return Volatility::Clock;
    }
    match declared {
        "i" if !IMMUTABLE_AND_LOCAL.contains(&name) => Volatility::Safe,
        "s" if STABLE_AND_SAFE.contains(&name) => Volatility::Safe,
        _ => Volatility::Local,
    }
}

/// What is called by a keyword instead of a function's name.
pub(super) fn keyword(name: &str) -> Option<Volatility> {
    if CLOCK.contains(&name) {
        return Some(Volatility::Clock);
    }
    LOCAL_BY_SYNTAX.contains(&name).then_some(Volatility::Local)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rule_30_stable_is_no_proof() {
        for (name, declared, expected) in [
            ("lower", "i", Volatility::Safe),
            ("to_char", "s", Volatility::Safe),
            ("now", "s", Volatility::Clock),
            ("version", "s", Volatility::Local),
            ("pg_backend_pid", "s", Volatility::Local),
            ("current_setting", "s", Volatility::Local),
            ("hashenum", "i", Volatility::Local),
            ("nextval", "v", Volatility::Local),
            ("random", "v", Volatility::Local),
            ("set_config", "v", Volatility::Opaque),
            ("lo_export", "v", Volatility::Local),
            ("lowrite", "v", Volatility::Local),
            ("table_to_xml", "s", Volatility::Opaque),
        ] {
            assert_eq!(function(name, declared), expected, "{name}");
        }
    }
}
