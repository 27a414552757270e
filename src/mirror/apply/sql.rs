//! The SQL that writes rows of one shape. Values travel as arrays of text, one per column, and are cast to the
//! column's type without its modifier: the assignment then enforces lengths as an INSERT would. Text only.

use crate::catalog::{share_number, whole_text};
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
    /// Leave whatever stands in its way, by any unique index or exclusion constraint.
    Yield,
}

/// Which end of a key range is bounded; the bounds are parameters, one text per key column, `after` first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Bounds {
    pub(super) after: bool,
    pub(super) upto: bool,
}

/// Inserts rows; one parameter per written column.
pub(super) fn upsert(shape: &Shape, conflict: Conflict) -> String {
    let columns: Vec<&Column> = shape.written().map(|(_, column)| column).collect();
    format!(
        "INSERT INTO {table} AS t ({names}) OVERRIDING SYSTEM VALUE SELECT {values} FROM {rows}{conflict}",
        table = shape.sql_name(),
        names = list(&columns, |_, column| quote_ident(&column.name)),
        values = list(&columns, |i, column| typed("u", i, column)),
        rows = unnest("u", 1, columns.len()),
        conflict = on_conflict(shape, conflict),
    )
}

/// Inserts rows that come as lines of the written columns.
pub(super) fn copy_in(shape: &Shape) -> String {
    let columns: Vec<&Column> = shape.written().map(|(_, column)| column).collect();
    format!("COPY {} ({}) FROM STDIN", shape.sql_name(), list(&columns, |_, column| quote_ident(&column.name)))
}

const ON_ANY_CONFLICT: &str = " ON CONFLICT DO NOTHING";

fn on_conflict(shape: &Shape, conflict: Conflict) -> String {
    match conflict {
        Conflict::Yield => return ON_ANY_CONFLICT.to_owned(),
        Conflict::Raise => return String::new(),
        Conflict::Update | Conflict::Nothing if shape.key.is_empty() => return String::new(),
        Conflict::Update | Conflict::Nothing => {}
    }
    let key: Vec<&Column> = shape.key_columns().collect();
    let rest: Vec<&Column> =
        shape.written().filter(|(index, _)| !shape.key.contains(index)).map(|(_, column)| column).collect();
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
        "DELETE FROM {table} AS t USING {rows} WHERE {same} AND {own}",
        table = shape.sql_name(),
        rows = unnest("u", 1, key.len()),
        same = same_key(&key),
        own = own_rows(shape),
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
        "DELETE FROM {table} AS t WHERE NOT EXISTS (SELECT FROM {rows} WHERE {same}){after}{upto} AND {own}",
        table = shape.sql_name(),
        rows = unnest("u", 1, key.len()),
        same = same_key(&key),
        own = own_rows(shape),
    )
}

/// Partitions' rows are the table's own; those of tables that inherit from it are not. ONLY would leave out both.
fn own_rows(shape: &Shape) -> String {
    let oid = format!("'{}'::pg_catalog.regclass", shape.sql_name().replace('\'', "''"));
    format!("(t.tableoid = {oid} OR (SELECT c.relkind FROM pg_catalog.pg_class AS c WHERE c.oid = {oid}) = 'p')")
}

/// Keeps readers, stops writers, while the multisets are made equal.
pub(super) fn lock(shape: &Shape) -> String {
    format!("LOCK TABLE {} IN SHARE ROW EXCLUSIVE MODE", shape.sql_name())
}

/// Deletes the whole rows of which the shadow has more in a share than the parameters say: one per written column, how
/// often each row is there, and number and count of the share. Rows are compared by their text: not every type has an
/// equality.
pub(super) fn delete_surplus(shape: &Shape) -> String {
    let columns: Vec<&Column> = shape.written().map(|(_, column)| column).collect();
    format!(
        "WITH wanted AS (SELECT {wanted} AS image, pg_catalog.sum({times}) AS number FROM {rows} GROUP BY 1), \
         present AS (SELECT p.*, pg_catalog.row_number() OVER (PARTITION BY p.image) AS number FROM {present}) \
         DELETE FROM {table} AS t USING present LEFT JOIN wanted USING (image) \
         WHERE t.ctid = present.place AND t.tableoid = present.part \
         AND present.number > COALESCE(wanted.number, 0)",
        table = shape.sql_name(),
        wanted = wanted_image(&columns),
        times = times(columns.len()),
        present = present(shape, columns.len()),
        rows = unnest("u", 1, columns.len() + 1),
    )
}

/// Inserts the whole rows of which the shadow has fewer in a share than the parameters say, which are those of
/// [`delete_surplus`].
pub(super) fn insert_missing(shape: &Shape, conflict: Conflict) -> String {
    let columns: Vec<&Column> = shape.written().map(|(_, column)| column).collect();
    format!(
        "WITH present AS (SELECT p.image, pg_catalog.count(*) AS number FROM {present} GROUP BY 1), \
         wanted AS (SELECT w.*, pg_catalog.sum(w.number) OVER (PARTITION BY w.image ROWS UNBOUNDED PRECEDING)\
         ::pg_catalog.int8 AS upto FROM (SELECT u.*, {times} AS number, {wanted} AS image FROM {rows}) AS w) \
         INSERT INTO {table} ({names}) OVERRIDING SYSTEM VALUE SELECT {values} FROM wanted \
         LEFT JOIN present USING (image), LATERAL pg_catalog.generate_series(\
         GREATEST(wanted.upto - wanted.number, COALESCE(present.number, 0)) + 1, wanted.upto){conflict}",
        conflict = if conflict == Conflict::Yield { ON_ANY_CONFLICT } else { "" },
        table = shape.sql_name(),
        names = list(&columns, |_, column| quote_ident(&column.name)),
        wanted = wanted_image(&columns),
        times = times(columns.len()),
        present = present(shape, columns.len()),
        values = list(&columns, |i, column| typed("wanted", i, column)),
        rows = unnest("u", 1, columns.len() + 1),
    )
}

/// The text that [`whole_text`] gives for the same row on the shadow.
fn wanted_image(columns: &[&Column]) -> String {
    format!("pg_catalog.textin(pg_catalog.record_out(ROW({})))", list(columns, |i, column| typed("u", i, column)))
}

/// How often a row is wanted: the parameter behind those of the columns.
fn times(columns: usize) -> String {
    format!("u.c{}::pg_catalog.int8", columns + 1)
}

/// The shadow's rows of the share that the last two parameters name. OFFSET 0: the text is made once.
fn present(shape: &Shape, columns: usize) -> String {
    let parameter = |behind| format!("${}::pg_catalog.text::pg_catalog.int8", columns + behind);
    format!(
        "(SELECT * FROM (SELECT t.ctid AS place, t.tableoid AS part, {image} AS image FROM {table} AS t WHERE {own} \
         OFFSET 0) AS t \
         WHERE {share} = {number}) AS p",
        image = whole_text(shape),
        table = shape.sql_name(),
        own = own_rows(shape),
        share = share_number("t.image", parameter(3)),
        number = parameter(2),
    )
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
