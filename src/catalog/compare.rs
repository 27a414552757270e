//! The two sides beside each other, table by table, paired by schema and name.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::{Canonical, Catalog, ColumnFacts, Hashing, KeyKind, Method, Table};
use crate::effect::{Column, TableId};

/// A table of the primary and its namesake on the shadow, or one of them alone.
#[derive(Debug, Clone)]
pub struct Pair {
    /// `schema.table`
    pub name: String,
    /// On the primary.
    pub primary: Option<Arc<Table>>,
    /// On the shadow.
    pub shadow: Option<Arc<Table>>,
    /// Differences of definition, for people; empty when they agree.
    pub differences: Vec<String>,
    /// The primary's key, if the shadow has a unique index over the same columns; else `None`: both sides can only be
    /// compared as multisets of rows.
    pub key_kind: KeyKind,
    /// Whether ranges of the key mean the same rows on both sides.
    pub ranges: bool,
    /// How rows are hashed on both sides.
    pub hashing: Hashing,
}

/// All pairs.
#[derive(Debug, Default)]
pub struct Pairs {
    /// Sorted by name.
    pub all: Vec<Pair>,
}

impl Pairs {
    /// Every mirrored table of either side.
    pub fn new(primary: &Catalog, shadow: &Catalog) -> Self {
        type Side = Option<Arc<Table>>;
        let mut sides: BTreeMap<String, (Side, Side)> = BTreeMap::new();
        for table in primary.tables.values() {
            sides.entry(table.shape.display_name()).or_default().0 = Some(Arc::clone(table));
        }
        for table in shadow.tables.values() {
            sides.entry(table.shape.display_name()).or_default().1 = Some(Arc::clone(table));
        }
        Self { all: sides.into_iter().map(|(name, (primary, shadow))| Pair::new(name, primary, shadow)).collect() }
    }

    /// The pair of a table of the primary.
    pub fn of(&self, table: TableId) -> Option<&Pair> {
        self.all.iter().find(|pair| pair.primary.as_ref().is_some_and(|found| found.shape.table == table))
    }
}

impl Pair {
    /// Compares the two definitions.
    pub fn new(name: String, primary: Option<Arc<Table>>, shadow: Option<Arc<Table>>) -> Self {
        let (key_kind, ranges) = (KeyKind::None, false);
        let hashing = Hashing::There(Method::Native);
        let mut pair = Self { name, primary, shadow, differences: Vec::new(), key_kind, ranges, hashing };
        let (Some(primary), Some(shadow)) = (&pair.primary, &pair.shadow) else {
            let side = if pair.primary.is_some() { "shadow" } else { "primary" };
            pair.differences = vec![format!("the table is missing on the {side}")];
            return pair;
        };
        let differences = differences(primary, shadow);
        let key = if primary.shares_key_with(shadow) { shared_key(primary, shadow) } else { Vec::new() };
        let hashing = Hashing::between(&primary.text_sample, &shadow.text_sample);
        (pair.key_kind, pair.ranges) = judge(&key, hashing);
        pair.hashing = hashing;
        pair.differences = differences;
        pair
    }

    /// A column that is written on the primary and that the shadow lacks.
    pub fn missing_column(&self) -> Option<&str> {
        let (primary, shadow) = (self.primary.as_ref()?, self.shadow.as_ref()?);
        let mut written = primary.shape.columns.iter().filter(|column| !column.generated);
        written.find(|column| shadow.column(&column.name).is_none()).map(|column| column.name.as_str())
    }

    /// The primary's columns that the shadow has too, and how they enter a row's hash on both sides.
    pub fn common_columns(&self) -> Vec<(&Column, Canonical)> {
        let (Some(primary), Some(shadow)) = (&self.primary, &self.shadow) else { return Vec::new() };
        let columns = primary.shape.columns.iter().zip(&primary.columns);
        let common = columns.filter_map(|(column, facts)| {
            let (other, other_facts) = shadow.column(&column.name)?;
            let alike = column.type_name == other.type_name && facts.canonical == other_facts.canonical;
            Some((column, if alike { facts.canonical } else { Canonical::Text }))
        });
        common.collect()
    }
}

/// A key column on the primary and on the shadow.
type KeyColumn<'a> = [(&'a Column, &'a ColumnFacts); 2];

fn shared_key<'a>(primary: &'a Table, shadow: &'a Table) -> Vec<KeyColumn<'a>> {
    let names = primary.shape.key_columns().map(|column| &column.name);
    names.filter_map(|name| Some([primary.column(name)?, shadow.column(name)?])).collect()
}

/// The kind of a key that both sides share, and whether its ranges hold the same rows on both: texts in different
/// encodings have no order in common.
fn judge(key: &[KeyColumn<'_>], hashing: Hashing) -> (KeyKind, bool) {
    let kind = key.iter().flatten().map(|(_, facts)| facts.kind).max().unwrap_or(KeyKind::None);
    let ordered_alike = |[(a, a_facts), (b, b_facts)]: &KeyColumn<'_>| {
        a_facts.order == b_facts.order && (a.type_name == b.type_name || (is_integer(a) && is_integer(b)))
    };
    let alike = hashing == Hashing::There(Method::Native);
    let highest = if alike { KeyKind::Collated } else { KeyKind::Plain };
    (kind, kind <= highest && key.iter().all(ordered_alike))
}

fn is_integer(column: &Column) -> bool {
    matches!(column.type_name.as_str(), "pg_catalog.int2" | "pg_catalog.int4" | "pg_catalog.int8")
}

/// In the order of the primary's columns, then what only the shadow has, then the key.
fn differences(primary: &Table, shadow: &Table) -> Vec<String> {
    let mut found = Vec::new();
    for (column, facts) in primary.shape.columns.iter().zip(&primary.columns) {
        match shadow.column(&column.name) {
            None => found.push(format!("column {} is missing on the shadow", column.name)),
            Some((_, other)) if other.definition != facts.definition => found.push(format!(
                "column {} is {} on the primary, {} on the shadow",
                column.name, facts.definition, other.definition
            )),
            Some(_) => {}
        }
    }
    for column in &shadow.shape.columns {
        if primary.column(&column.name).is_none() {
            found.push(format!("column {} is missing on the primary", column.name));
        }
    }
    if !primary.shape.key.is_empty() && !primary.shares_key_with(shadow) {
        found.push(format!("the shadow has no unique index over the key ({})", primary.key_names().join(", ")));
    }
    found
}
