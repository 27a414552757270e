//! The SQL that writes rows of one shape. Values travel as arrays of text, one per column, and are cast to the
//! column's type without its modifier: the assignment then enforces lengths as an INSERT would. Text only.

use crate::effect::{Column, Shape, quote_ident};

/// What to do where a row with the key is there already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Conflict {
    /// Put the new image in its place.
    Update,
    /// Leave it.
    Nothing,
    /// It was deleted before; that it is there is an error.
    Raise,
}

/// Which end of a key range is bounded; the bounds are parameters, one text per key column, `after` first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Bounds {
    pub(super) after: bool,
    pub(super) upto: bool,
}

/// The columns that are written: all but generated ones.
pub(super) fn written(shape: &Shape) -> impl Iterator<Item = (usize, &Column)> {
    shape.columns.iter().enumerate().filter(|(_, column)| !column.generated)
}

/// Inserts rows; one parameter per written column.
pub(super) fn upsert(shape: &Shape, conflict: Conflict) -> String {
    let columns: Vec<&Column> = written(shape).map(|(_, column)| column).collect();
    format!(
        "INSERT INTO {table} AS t ({names}) OVERRIDING SYSTEM VALUE SELECT {values} FROM {rows}{conflict}",
        table = shape.sql_name(),
        names = list(&columns, |_, column| quote_ident(&column.name)),
        values = list(&columns, |i, column| typed("u", i, column)),
        rows = unnest("u", 1, columns.len()),
        conflict = on_conflict(shape, conflict),
    )
}

fn on_conflict(shape: &Shape, conflict: Conflict) -> String {
    if conflict == Conflict::Raise || shape.key.is_empty() {
        return String::new();
    }
    let key: Vec<&Column> = shape.key_columns().collect();
    let rest: Vec<&Column> =
        written(shape).filter(|(index, _)| !shape.key.contains(index)).map(|(_, column)| column).collect();
    let target = list(&key, |_, column| quote_ident(&column.name));
    if conflict == Conflict::Nothing || rest.is_empty() {
        return format!(" ON CONFLICT ({target}) DO NOTHING");
    }
    let set = list(&rest, |_, column| {
        let name = quote_ident(&column.name);
        format!("{name} = EXCLUDED.{name}")
    });
    format!(" ON CONFLICT ({target}) DO UPDATE SET {set}")
}

/// Deletes rows by key; one parameter per key column.
pub(super) fn delete(shape: &Shape) -> String {
    let key: Vec<&Column> = shape.key_columns().collect();
    format!(
        "DELETE FROM {table} AS t USING {rows} WHERE {same}",
        table = shape.sql_name(),
        rows = unnest("u", 1, key.len()),
        same = same_key(&key),
    )
}

/// Deletes the rows of a key range that are not among those kept. Parameters: the kept keys, one array per key column,
/// then the bounds.
pub(super) fn delete_range(shape: &Shape, bounds: Bounds) -> String {
    let key: Vec<&Column> = shape.key_columns().collect();
    let names = list(&key, |_, column| format!("t.{}", quote_ident(&column.name)));
    let mut next = key.len();
    let mut bound = |operator: &str| {
        let values = list(&key, |i, column| format!("${}::pg_catalog.text::{}", next + i + 1, column.type_name));
        next += key.len();
        format!(" AND ({names}) {operator} ({values})")
    };
    let after = if bounds.after { bound(">") } else { String::new() };
    let upto = if bounds.upto { bound("<=") } else { String::new() };
    format!(
        "DELETE FROM {table} AS t WHERE NOT EXISTS (SELECT FROM {rows} WHERE {same}){after}{upto}",
        table = shape.sql_name(),
        rows = unnest("u", 1, key.len()),
        same = same_key(&key),
    )
}

/// Keeps readers, stops writers, while the multisets are made equal.
pub(super) fn lock(shape: &Shape) -> String {
    format!("LOCK TABLE {} IN SHARE ROW EXCLUSIVE MODE", shape.sql_name())
}

/// Deletes the whole rows of which the shadow has more than the parameters say (one per written column). Rows are
/// compared by their text: not every type has an equality.
pub(super) fn delete_surplus(shape: &Shape) -> String {
    let columns: Vec<&Column> = written(shape).map(|(_, column)| column).collect();
    format!(
        "WITH wanted AS (SELECT {wanted} AS image, pg_catalog.count(*) AS number FROM {rows} GROUP BY 1), \
         present AS (SELECT p.ctid AS place, p.tableoid AS part, p.image, pg_catalog.row_number() OVER (PARTITION BY \
         p.image) AS number FROM (SELECT t.ctid, t.tableoid, {present} AS image FROM {table} AS t) AS p) \
         DELETE FROM {table} AS t USING present LEFT JOIN wanted USING (image) \
         WHERE t.ctid = present.place AND t.tableoid = present.part \
         AND present.number > COALESCE(wanted.number, 0)",
        table = shape.sql_name(),
        wanted = wanted_image(&columns),
        present = present_image(&columns),
        rows = unnest("u", 1, columns.len()),
    )
}

/// Inserts the whole rows of which the shadow has fewer than the parameters say (one per written column).
pub(super) fn insert_missing(shape: &Shape) -> String {
    let columns: Vec<&Column> = written(shape).map(|(_, column)| column).collect();
    format!(
        "WITH present AS (SELECT {present} AS image, pg_catalog.count(*) AS number FROM {table} AS t GROUP BY 1), \
         wanted AS (SELECT w.*, pg_catalog.row_number() OVER (PARTITION BY w.image) AS number \
         FROM (SELECT u.*, {wanted} AS image FROM {rows}) AS w) \
         INSERT INTO {table} ({names}) OVERRIDING SYSTEM VALUE SELECT {values} FROM wanted \
         LEFT JOIN present USING (image) WHERE wanted.number > COALESCE(present.number, 0)",
        table = shape.sql_name(),
        names = list(&columns, |_, column| quote_ident(&column.name)),
        wanted = wanted_image(&columns),
        present = present_image(&columns),
        values = list(&columns, |i, column| typed("wanted", i, column)),
        rows = unnest("u", 1, columns.len()),
    )
}

fn wanted_image(columns: &[&Column]) -> String {
    let fields = list(columns, |i, column| format!("{}::pg_catalog.text", typed("u", i, column)));
    format!("ROW({fields})::pg_catalog.text")
}

fn present_image(columns: &[&Column]) -> String {
    let fields = list(columns, |_, column| format!("t.{}::pg_catalog.text", quote_ident(&column.name)));
    format!("ROW({fields})::pg_catalog.text")
}

/// `u.c1::type`
fn typed(alias: &str, index: usize, column: &Column) -> String {
    format!("{alias}.c{}::{}", index + 1, column.type_name)
}

/// `t."a" = u.c1::type AND …`
fn same_key(key: &[&Column]) -> String {
    let terms: Vec<String> = key
        .iter()
        .enumerate()
        .map(|(i, column)| format!("t.{} = {}", quote_ident(&column.name), typed("u", i, column)))
        .collect();
    terms.join(" AND ")
}

/// Parameters `$first…` side by side, as `alias(c1, c2, …)`.
fn unnest(alias: &str, first: usize, columns: usize) -> String {
    let arrays: Vec<String> =
        (first..first + columns).map(|i| format!("pg_catalog.unnest(${i}::pg_catalog.text[])")).collect();
    let names: Vec<String> = (1..=columns).map(|i| format!("c{i}")).collect();
    format!("ROWS FROM ({}) AS {alias}({})", arrays.join(", "), names.join(", "))
}

fn list(columns: &[&Column], item: impl Fn(usize, &Column) -> String) -> String {
    columns.iter().enumerate().map(|(i, column)| item(i, column)).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::effect::TableId;

    fn shape(columns: &[(&str, bool)], key: &[usize]) -> Shape {
        let column = |(name, generated): &(&str, bool)| Column {
            name: (*name).into(),
            type_name: "pg_catalog.int4".into(),
            generated: *generated,
        };
        Shape {
            table: TableId(1),
            schema: "s".into(),
            name: "T".into(),
            columns: columns.iter().map(column).collect(),
            key: key.to_vec(),
        }
    }

    #[test]
    fn an_upsert_leaves_generated_columns_out_and_names_the_key() {
        let sql = upsert(&shape(&[("a", false), ("g", true), ("b", false)], &[2]), Conflict::Update);
        assert_eq!(
            sql,
            "INSERT INTO \"s\".\"T\" AS t (\"a\", \"b\") OVERRIDING SYSTEM VALUE \
             SELECT u.c1::pg_catalog.int4, u.c2::pg_catalog.int4 \
             FROM ROWS FROM (pg_catalog.unnest($1::pg_catalog.text[]), pg_catalog.unnest($2::pg_catalog.text[])) \
             AS u(c1, c2) ON CONFLICT (\"b\") DO UPDATE SET \"a\" = EXCLUDED.\"a\""
        );
    }

    #[test]
    fn a_table_of_key_columns_only_has_nothing_to_update() {
        let shape = shape(&[("a", false), ("b", false)], &[0, 1]);
        assert!(upsert(&shape, Conflict::Update).ends_with(" ON CONFLICT (\"a\", \"b\") DO NOTHING"));
        assert!(!upsert(&shape, Conflict::Raise).contains("CONFLICT"));
    }

    #[test]
    fn a_range_compares_whole_keys_and_numbers_its_parameters() {
        let sql = delete_range(&shape(&[("a", false), ("b", false)], &[0, 1]), Bounds { after: true, upto: true });
        assert!(sql.contains(
            "(t.\"a\", t.\"b\") > ($3::pg_catalog.text::pg_catalog.int4, $4::pg_catalog.text::pg_catalog.int4)"
        ));
        assert!(sql.contains("<= ($5::pg_catalog.text::pg_catalog.int4, $6"));
        let open = delete_range(&shape(&[("a", false)], &[0]), Bounds { after: false, upto: false });
        assert!(!open.contains('>') && !open.contains('<'), "{open}");
    }
}
