//! Rows of one side, streamed as texts and hashed here: for servers that cannot hash alike. A row at a time is held, long
//! ones by their digest alone.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hasher};
use std::pin::pin;

use futures_util::TryStreamExt;

use super::chunk::common_text;
use super::share::portable;
use super::{Chunk, ProbeError, RowHash, ShareSums, Side, Sums, key_texts, predicate, share_number, whole_text};
use crate::effect::{Key, Snapshot, line_fields};

/// Rows whose text has more bytes come as their SHA-256.
const LONG: u32 = 64 << 10;

/// What is told of a row besides its text.
struct Fields {
    /// Of the table's alias `t`, separated by commas.
    sql: String,
    count: usize,
}

impl Fields {
    const NONE: Self = Self { sql: String::new(), count: 0 };
}

/// Rows in three numbers.
#[derive(Debug, Default, Clone, Copy)]
struct Summed {
    rows: u64,
    /// So many rows of 64 bits that the sums could overflow nobody has.
    sums: (i128, i128),
}

impl Summed {
    fn add(&mut self, (first, second): (i64, i64)) {
        self.rows += 1;
        self.sums.0 += i128::from(first);
        self.sums.1 += i128::from(second);
    }
}

impl From<Summed> for Sums {
    fn from(Summed { rows, sums: (first, second) }: Summed) -> Self {
        Self { rows, hashes: (first.to_string(), second.to_string()) }
    }
}

impl Side<'_> {
    pub(super) async fn sums_here(&self, chunk: &Chunk) -> Result<(Snapshot, Sums), ProbeError> {
        let (mut summed, condition) = (Summed::default(), predicate(self.shape(), chunk));
        let row = |_: &[String], text: &[u8]| {
            summed.add(hashes(text));
            Ok(())
        };
        let snapshot = self.stream(Fields::NONE, &condition, row).await?;
        Ok((snapshot, summed.into()))
    }

    pub(super) async fn share_sums_here(&self, of: u32) -> Result<HashMap<u32, ShareSums>, ProbeError> {
        let whole = whole_text(self.shape());
        let sql = format!("{}, pg_catalog.octet_length({whole})", share_number(&whole, of));
        let mut shares: HashMap<u32, (Summed, u64)> = HashMap::new();
        let row = |fields: &[String], text: &[u8]| {
            let number = |field: usize| fields[field].parse::<u64>().map_err(|_| ProbeError::Malformed("a number"));
            let share = u32::try_from(number(0)?).map_err(|_| ProbeError::Malformed("a share"))?;
            let (summed, bytes) = shares.entry(share).or_default();
            summed.add(hashes(text));
            *bytes += number(1)?;
            Ok(())
        };
        self.stream(Fields { sql, count: 2 }, "TRUE", row).await?;
        let sums = |(share, (summed, bytes)): (u32, (Summed, u64))| (share, ShareSums { sums: summed.into(), bytes });
        Ok(shares.into_iter().map(sums).collect())
    }

    pub(super) async fn row_hashes_here(&self, chunk: &Chunk) -> Result<(Snapshot, Vec<RowHash>), ProbeError> {
        let (shape, condition) = (self.shape(), predicate(self.shape(), chunk));
        let count = shape.key.len();
        let key = if count > 0 { Fields { sql: key_texts(shape), count } } else { Fields::NONE };
        // Of rows without a key those that are alike count as one.
        let (mut keyed, mut alike) = (Vec::new(), HashMap::<(i64, i64), u64>::new());
        let row = |fields: &[String], text: &[u8]| {
            let hash = hashes(text);
            if fields.is_empty() {
                *alike.entry(hash).or_default() += 1;
            } else {
                keyed.push(RowHash { key: Key::new(fields.iter().map(String::as_str)), hash, rows: 1 });
            }
            Ok(())
        };
        let snapshot = self.stream(key, &condition, row).await?;
        keyed.extend(alike.into_iter().map(|(hash, rows)| RowHash { key: Key::new([""; 0]), hash, rows }));
        Ok((snapshot, keyed))
    }

    /// Tells each row by its fields and its text. The snapshot is that of the very statement.
    async fn stream(
        &self,
        fields: Fields,
        condition: &str,
        mut row: impl FnMut(&[String], &[u8]) -> Result<(), ProbeError>,
    ) -> Result<Snapshot, ProbeError> {
        let count = fields.count;
        let (mut lines, mut snapshot) = (pin!(self.copy_out(&self.statement(&fields, condition)).await?), None);
        while let Some(line) = lines.try_next().await? {
            // NULL stands where the snapshot would.
            let Some(line) = line.strip_prefix(b"\\N\t") else {
                snapshot = Some(snapshot_line(&line)?);
                continue;
            };
            let mut parts = line.splitn(count + 1, |byte| *byte == b'\t');
            let fields: Vec<String> = parts.by_ref().take(count).map(field).collect::<Result<_, _>>()?;
            row(&fields, parts.next().ok_or(ProbeError::Malformed("a row"))?)?;
        }
        snapshot.ok_or(ProbeError::Malformed("a snapshot"))
    }

    /// Bytes of which the database does not know what they mean come as they are. OFFSET 0: texts are made once.
    fn statement(&self, fields: &Fields, condition: &str) -> String {
        let encoding = if self.table.text_sample.is_unconverted() { "SQL_ASCII" } else { "UTF8" };
        let comma = if fields.count > 0 { ", " } else { "" };
        format!(
            "COPY (SELECT pg_catalog.pg_current_snapshot()::pg_catalog.text, {nulls}NULL UNION ALL \
             SELECT NULL, {fields}{comma}CASE WHEN pg_catalog.octet_length(b.bytes) <= {LONG} THEN w.text \
             ELSE pg_catalog.encode(pg_catalog.sha256(b.bytes), 'hex') END FROM {source} AS t, \
             LATERAL (SELECT {text} AS text OFFSET 0) AS w, LATERAL (SELECT {bytes} AS bytes OFFSET 0) AS b \
             WHERE {condition}) TO STDOUT (ENCODING '{encoding}')",
            nulls = "NULL, ".repeat(fields.count),
            fields = fields.sql,
            source = self.source(),
            text = common_text(self.pair),
            bytes = portable("w.text"),
        )
    }
}

/// Two hashes of a text that both sides print alike. They are compared with those of this process alone.
fn hashes(text: &[u8]) -> (i64, i64) {
    let seeded = |seed| {
        let mut hasher = DefaultHasher::new();
        hasher.write_u64(seed);
        hasher.write(text);
        hasher.finish().cast_signed()
    };
    (seeded(1), seeded(2))
}

/// As COPY prints it.
fn field(bytes: &[u8]) -> Result<String, ProbeError> {
    let text = std::str::from_utf8(bytes).map_err(|_| ProbeError::Malformed("a key in UTF-8"))?;
    let field = line_fields(text).next().flatten().ok_or(ProbeError::Malformed("a key without NULL"))?;
    Ok(field.into_owned())
}

/// The snapshot in a line of COPY: its first field.
pub fn snapshot_line(line: &[u8]) -> Result<Snapshot, ProbeError> {
    let text = line.split(|byte| *byte == b'\t').next().and_then(|field| std::str::from_utf8(field).ok());
    text.and_then(|text| text.trim_end().parse().ok()).ok_or(ProbeError::Malformed("a snapshot"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_count_what_stands_twice_and_tell_who_has_a_value() {
        let sums = |rows: &[&str]| {
            let mut summed = Summed::default();
            rows.iter().for_each(|row| summed.add(hashes(row.as_bytes())));
            Sums::from(summed)
        };
        assert_eq!(sums(&["(1,a)", "(2,b)"]), sums(&["(2,b)", "(1,a)"]));
        assert_ne!(sums(&["(1,a)", "(2,b)"]), sums(&["(1,b)", "(2,a)"]));
        assert_ne!(sums(&["(1,a)", "(1,a)", "(2,b)"]), sums(&["(2,b)", "(2,b)", "(2,b)"]));
        assert_ne!(sums(&["(1,)"]), sums(&["(1,\"\")"]));
    }
}
