//! What a row image means: the columns of a table as they were when the image was printed (rule 8).

use serde::{Deserialize, Serialize};

/// A table of the primary, by its `pg_class.oid`; of a partitioned table, the root (rule 7).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct TableId(pub u32);

/// One column, dropped ones left out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Column {
    /// Its name, unquoted.
    pub name: String,
    /// Its type without modifier, quoted and qualified: `pg_catalog.int4`, `public."Mood"`, `pg_catalog._text`.
    pub type_name: String,
    /// Computed by the server: compared, never written.
    pub generated: bool,
}

/// A table's columns and key at one moment. Shared by every change captured under it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shape {
    /// The table.
    pub table: TableId,
    /// Its schema, unquoted.
    pub schema: String,
    /// Its name, unquoted.
    pub name: String,
    /// In the order in which `ROW(t.*)` prints them.
    pub columns: Vec<Column>,
    /// Indexes into `columns`, in the order of the key; empty when there is none (rule 14).
    pub key: Vec<usize>,
}

impl Shape {
    /// `"schema"."name"`, for SQL.
    pub fn sql_name(&self) -> String {
        format!("{}.{}", quote_ident(&self.schema), quote_ident(&self.name))
    }

    /// `schema.name`, for people and reports.
    pub fn display_name(&self) -> String {
        format!("{}.{}", self.schema, self.name)
    }

    /// The key columns, in the order of the key.
    pub fn key_columns(&self) -> impl ExactSizeIterator<Item = &Column> {
        self.key.iter().map(|&index| &self.columns[index])
    }

    /// The columns that are written, with their indexes: all but generated ones.
    pub fn written(&self) -> impl Iterator<Item = (usize, &Column)> {
        self.columns.iter().enumerate().filter(|(_, column)| !column.generated)
    }
}

/// An identifier quoted for SQL, whatever is in it.
pub fn quote_ident(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}
