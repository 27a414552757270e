//! What a repair would come down to: the statements that bring the shadow in line, from rows read on the primary in that
//! moment. Reads only; nothing here is ever sent to the shadow.

pub(super) mod keyless;

use std::collections::{HashMap, HashSet};

use crate::catalog::{Chunk, KeyKind, ProbeError, Side, Sides, key, key_texts, predicate, record_text};
use crate::effect::{Column, Key, Shape, fields, quote_ident};

/// Statements of one dry run, over all its tables.
const STATEMENTS: usize = 1000;
/// Bytes of these.
const BYTES: usize = 1 << 20;
/// Rows whose text is longer get no statement.
const LONGEST_ROW: usize = 16 << 10;
/// Rows read by one query.
const AT_ONCE: usize = 100;

/// How much may still be shown.
#[derive(Debug)]
pub(super) struct Room {
    statements: usize,
    bytes: usize,
}

impl Default for Room {
    fn default() -> Self {
        Self { statements: STATEMENTS, bytes: BYTES }
    }
}

impl Room {
    fn is_full(&self) -> bool {
        self.statements == 0 || self.bytes == 0
    }

    /// False: it is too much.
    fn take(&mut self, statement: &str) -> bool {
        if self.statements == 0 || statement.len() > self.bytes {
            return false;
        }
        self.statements -= 1;
        self.bytes -= statement.len();
        true
    }
}

/// A statement for each of these rows, deletions first, and for how many there is none.
pub(super) async fn write(sides: &Sides<'_>, keys: &[Key], room: &mut Room) -> Result<(Vec<String>, u64), ProbeError> {
    let (mut deletions, mut upserts, mut left_out) = (Vec::new(), Vec::new(), 0);
    // Which texts are one key only the server knows (rule 17): it is asked for one after the other.
    let opaque = sides.pair().key_kind == KeyKind::Opaque;
    let mut seen = HashSet::new();
    for batch in keys.chunks(if opaque { 1 } else { AT_ONCE }) {
        if room.is_full() {
            left_out += batch.len() as u64;
            continue;
        }
        let mut ours = rows(&sides.primary, batch).await?;
        for key in batch {
            let found = if opaque { ours.drain().next() } else { ours.remove_entry(key) };
            let (list, statement) = match &found {
                None => (&mut deletions, Some(deletion(&sides.shadow, key))),
                Some((key, _)) if !seen.insert(key.clone()) => continue,
                Some((_, image)) => {
                    let image = image.as_deref();
                    (&mut upserts, image.and_then(|image| upsert(sides.shape(), image, opaque)))
                }
            };
            match statement.filter(|statement| room.take(statement)) {
                Some(statement) => list.push(statement),
                None => left_out += 1,
            }
        }
    }
    deletions.append(&mut upserts);
    Ok((deletions, left_out))
}

/// The rows that the primary has of these: text of the record, unless it is too long.
async fn rows(side: &Side<'_>, keys: &[Key]) -> Result<HashMap<Key, Option<String>>, ProbeError> {
    let shape = side.shape();
    let image = record_text(shape);
    let sql = format!(
        "SELECT CASE WHEN pg_catalog.octet_length({image}) <= {LONGEST_ROW} THEN {image} END, {} FROM {} AS t WHERE {}",
        key_texts(shape),
        side.source(),
        predicate(shape, &Chunk::Keys(keys.to_vec()))
    );
    let read = |row: &tokio_postgres::SimpleQueryRow| {
        let image = row.try_get(0).ok().flatten().map(str::to_owned);
        Ok((key(row, 1, shape.key.len())?, image))
    };
    side.query(&sql).await?.iter().map(read).collect()
}

fn deletion(shadow: &Side<'_>, key: &Key) -> String {
    let condition = predicate(shadow.shape(), &Chunk::Keys(vec![key.clone()]));
    format!("DELETE FROM {} AS t WHERE {condition};", shadow.source())
}

/// Literals without a type: they are read as the columns' types, lengths and scales included. Where keys that print
/// differently can be equal, the key is written too. `None`: the text is no record of this shape.
fn upsert(shape: &Shape, image: &str, opaque: bool) -> Option<String> {
    let values = fields(image).ok().filter(|values| values.len() == shape.columns.len())?;
    let list = |columns: &mut dyn Iterator<Item = String>| columns.collect::<Vec<_>>().join(", ");
    let name = |column: &Column| quote_ident(&column.name);
    let rest = shape.written().filter(|(index, _)| opaque || !shape.key.contains(index));
    let set = list(&mut rest.map(|(_, column)| format!("{0} = EXCLUDED.{0}", name(column))));
    Some(format!(
        "INSERT INTO {} ({}) OVERRIDING SYSTEM VALUE VALUES ({}) ON CONFLICT ({}) DO {};",
        shape.sql_name(),
        list(&mut shape.written().map(|(_, column)| name(column))),
        list(&mut shape.written().map(|(index, _)| literal(values[index].as_deref()))),
        list(&mut shape.key_columns().map(name)),
        if set.is_empty() { "NOTHING".to_owned() } else { format!("UPDATE SET {set}") },
    ))
}

fn literal(value: Option<&str>) -> String {
    value.map_or_else(|| "NULL".to_owned(), |value| format!("'{}'", value.replace('\'', "''")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::effect::TableId;

    fn shape(columns: &[(&str, bool)], key: &[usize]) -> Shape {
        let column = |&(name, generated): &(&str, bool)| Column {
            name: name.into(),
            type_name: "pg_catalog.text".into(),
            generated,
        };
        Shape {
            table: TableId(1),
            schema: "s".into(),
            name: "T\"x".into(),
            columns: columns.iter().map(column).collect(),
            key: key.to_vec(),
        }
    }

    #[test]
    fn an_upsert_quotes_names_and_values_and_leaves_generated_columns_out() {
        let shape = shape(&[("id", false), ("g", true), ("v\"w", false), ("n", false)], &[0]);
        assert_eq!(
            upsert(&shape, r#"(it's,7,"a ""b"", \\c",)"#, false).unwrap(),
            "INSERT INTO \"s\".\"T\"\"x\" (\"id\", \"v\"\"w\", \"n\") OVERRIDING SYSTEM VALUE \
             VALUES ('it''s', 'a \"b\", \\c', NULL) ON CONFLICT (\"id\") \
             DO UPDATE SET \"v\"\"w\" = EXCLUDED.\"v\"\"w\", \"n\" = EXCLUDED.\"n\";"
        );
        assert!(upsert(&shape, "(1,2,3,4)", true).unwrap().contains("SET \"id\" = EXCLUDED.\"id\", "));
        assert_eq!(upsert(&shape, "(1,2)", false), None, "another shape's");
    }

    #[test]
    fn a_row_of_nothing_but_its_key_is_inserted_or_is_there() {
        let statement = upsert(&shape(&[("a", false), ("b", false)], &[1, 0]), "(1,2)", false).unwrap();
        assert!(statement.ends_with("VALUES ('1', '2') ON CONFLICT (\"b\", \"a\") DO NOTHING;"), "{statement}");
    }

    #[test]
    fn what_is_shown_is_bounded_in_number_and_bytes() {
        let mut room = Room { statements: 2, bytes: 10 };
        assert!(room.take("1234567") && !room.take("12345") && room.take("123") && room.is_full());
        let mut room = Room { statements: 1, bytes: 10 };
        assert!(room.take("1") && !room.take("1") && room.is_full());
    }
}
