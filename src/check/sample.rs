//! Describing a few of the differences: which key, which columns, and the rows themselves for who asks for values.

use std::collections::{BTreeMap, HashMap};

use serde_json::Value;

use super::diff::{Differing, Kind};
use crate::catalog::{Chunk, Hashing, Method, ProbeError, Side, Sides, digest, key, key_texts, predicate, record_text};
use crate::effect::{Column, Key, Shape, fields, quote_ident};
use crate::report::Difference;

/// Rows whose text is longer are described without values.
const LONGEST_ROW: usize = 16 << 10;

/// What a server says of bytes that are no text in UTF-8, or have none.
const INCONVERTIBLE: [&str; 2] = ["22021", "22P05"];

/// A row of one side: a hash of each column's text, and its values unless they are too long.
struct Row {
    hashes: Vec<String>,
    values: Option<BTreeMap<String, Option<String>>>,
}

/// Describes differences with a key, as both sides stand now; without a key there is only the kind.
pub(super) async fn describe(sides: &Sides<'_>, found: &[Differing]) -> Result<Vec<Difference>, ProbeError> {
    let shape = sides.shape();
    if shape.key.is_empty() {
        return Ok(found.iter().map(|row| difference(shape, row, None, None)).collect());
    }
    let keys: Vec<Key> = found.iter().map(|row| row.key.clone()).collect();
    let hashing = sides.pair().hashing;
    let mut ours = rows(&sides.primary, &keys, hashing).await?;
    let mut theirs = rows(&sides.shadow, &keys, hashing).await?;
    Ok(found.iter().map(|row| difference(shape, row, ours.remove(&row.key), theirs.remove(&row.key))).collect())
}

fn difference(shape: &Shape, found: &Differing, ours: Option<Row>, theirs: Option<Row>) -> Difference {
    let columns = match (found.kind, &ours, &theirs) {
        (Kind::Different, Some(ours), Some(theirs)) => {
            let hashes = ours.hashes.iter().zip(&theirs.hashes);
            let columns = shape.columns.iter().zip(hashes).filter(|(_, (ours, theirs))| ours != theirs);
            columns.map(|(column, _)| column.name.clone()).collect()
        }
        _ => Vec::new(),
    };
    let parts = shape.key_columns().zip(found.key.parts());
    Difference {
        key: parts.map(|(column, part)| (column.name.clone(), json(column, part))).collect(),
        kind: found.kind.into(),
        columns,
        primary: ours.and_then(|row| row.values),
        shadow: theirs.and_then(|row| row.values),
    }
}

/// A key's part as JSON: numbers and booleans as such.
fn json(column: &Column, part: &str) -> Value {
    let number = || part.parse::<i64>().ok().map(Value::from);
    match column.type_name.as_str() {
        "pg_catalog.int2" | "pg_catalog.int4" | "pg_catalog.int8" => number().unwrap_or_else(|| part.into()),
        "pg_catalog.bool" => (part == "t").into(),
        _ => part.into(),
    }
}

async fn rows(side: &Side<'_>, keys: &[Key], hashing: Hashing) -> Result<HashMap<Key, Row>, ProbeError> {
    let image = record_text(side.shape());
    let shown = format!("CASE WHEN pg_catalog.octet_length({image}) <= {LONGEST_ROW} THEN {image} END");
    match rows_with(side, keys, hashing, &shown).await {
        // Some are of bytes that cannot be shown.
        Err(ProbeError::Refused { sqlstate, .. }) if INCONVERTIBLE.contains(&sqlstate.as_str()) => {
            rows_with(side, keys, hashing, "NULL").await
        }
        rows => rows,
    }
}

async fn rows_with(
    side: &Side<'_>,
    keys: &[Key],
    hashing: Hashing,
    image: &str,
) -> Result<HashMap<Key, Row>, ProbeError> {
    let shape = side.shape();
    let hash = |column: &Column| {
        let text = format!("pg_catalog.textin(pg_catalog.record_out(ROW(t.{})))", quote_ident(&column.name));
        match hashing {
            Hashing::There(Method::Native) => format!("pg_catalog.hashtextextended({text}, 0)"),
            Hashing::There(Method::Md5) | Hashing::Here => digest(&text),
        }
    };
    let sql = format!(
        "SELECT {image}, {}, {} FROM {} AS t WHERE {}",
        shape.columns.iter().map(hash).collect::<Vec<_>>().join(", "),
        key_texts(shape),
        side.source(),
        predicate(shape, &Chunk::Keys(keys.to_vec()))
    );
    let columns = shape.columns.len();
    let read = |row: &tokio_postgres::SimpleQueryRow| {
        let text = |column| row.try_get(column).ok().flatten();
        let hashes = (1..=columns).map(|column| text(column).unwrap_or_default().to_owned()).collect();
        let values = text(0).and_then(|image| values(shape, image));
        Ok((key(row, columns + 1, shape.key.len())?, Row { hashes, values }))
    };
    side.query(&sql).await?.iter().map(read).collect()
}

fn values(shape: &Shape, image: &str) -> Option<BTreeMap<String, Option<String>>> {
    let fields = fields(image).ok()?;
    let named = shape.columns.iter().zip(fields);
    Some(named.map(|(column, field)| (column.name.clone(), field.map(std::borrow::Cow::into_owned))).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::effect::TableId;

    fn shape() -> Shape {
        let column = |name: &str, ty: &str| Column {
            name: name.into(),
            type_name: format!("pg_catalog.{ty}"),
            generated: false,
        };
        Shape {
            table: TableId(1),
            schema: "public".into(),
            name: "t".into(),
            columns: vec![column("id", "int8"), column("on", "bool"), column("v", "text")],
            key: vec![0, 1],
        }
    }

    fn row(hashes: [&str; 3], image: &str) -> Row {
        Row { hashes: hashes.map(str::to_owned).into(), values: values(&shape(), image) }
    }

    #[test]
    fn a_difference_names_its_key_in_the_columns_types_and_the_columns_that_differ() {
        let found = Differing { key: Key::new(["5", "t"]), kind: Kind::Different, rows: 1 };
        let described =
            difference(&shape(), &found, Some(row(["1", "2", "3"], "(5,t,a)")), Some(row(["1", "2", "4"], "(5,t,)")));
        assert_eq!(serde_json::to_string(&described.key).unwrap(), r#"{"id":5,"on":true}"#);
        assert_eq!(described.columns, ["v"]);
        assert_eq!(described.primary.unwrap()["v"], Some("a".into()));
        assert_eq!(described.shadow.unwrap()["v"], None);
    }

    #[test]
    fn a_missing_row_names_no_columns() {
        let found = Differing { key: Key::new(["5", "f"]), kind: Kind::Missing, rows: 1 };
        let described = difference(&shape(), &found, Some(row(["1", "2", "3"], "(5,f,a)")), None);
        assert!(described.columns.is_empty() && described.shadow.is_none());
    }
}
