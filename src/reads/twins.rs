//! Which table of the shadow is which of the primary, and whether it has the same columns. Built anew when a catalog is.

use std::collections::{HashMap, HashSet};

use bytes::Bytes;

use super::frames::Malformed;
use super::row_description::translated;
use crate::catalog::{Catalog, Table};
use crate::effect::{Column, TableId};

/// Tables of the two sides paired by schema and name.
#[derive(Debug, Default)]
pub(super) struct Twins {
    generations: (u64, u64),
    /// By table of the shadow and number of its attribute: the same of the primary.
    attributes: HashMap<(u32, i16), (u32, i16)>,
    alike: HashSet<TableId>,
}

impl Twins {
    /// Of these two catalogs.
    pub(super) fn new(primary: &Catalog, shadow: &Catalog) -> Self {
        let by_name: HashMap<_, _> =
            shadow.tables.values().map(|table| ((&table.shape.schema, &table.shape.name), table)).collect();
        let mut twins = Self { generations: (primary.generation, shadow.generation), ..Self::default() };
        for (&id, table) in &primary.tables {
            let Some(twin) = by_name.get(&(&table.shape.schema, &table.shape.name)) else { continue };
            twins.attributes.extend(attributes(table, twin));
            if is_alike(&table.shape.columns, &twin.shape.columns) {
                twins.alike.insert(id);
            }
        }
        twins
    }

    /// Whether it was built from these.
    pub(super) fn is_of(&self, primary: &Catalog, shadow: &Catalog) -> bool {
        self.generations == (primary.generation, shadow.generation)
    }

    /// Which loads of the catalogs it was built from.
    pub(super) fn generations(&self) -> (u64, u64) {
        self.generations
    }

    /// Whether the shadow has this table with the same columns in the same order: a driver that learnt the types of a
    /// result on the primary must read the shadow's right.
    pub(super) fn is_alike(&self, table: TableId) -> bool {
        self.alike.contains(&table)
    }

    /// A RowDescription of the shadow as the primary would send it.
    pub(super) fn translated(&self, frame: &Bytes) -> Result<Bytes, Malformed> {
        translated(frame, |table, number| self.primary(table, number))
    }

    /// The primary's table and attribute for one of the shadow's.
    pub(super) fn primary(&self, shadow_oid: u32, attribute: i16) -> Option<(u32, i16)> {
        self.attributes.get(&(shadow_oid, attribute)).copied()
    }
}

/// Columns of the same name.
fn attributes<'a>(primary: &'a Table, shadow: &'a Table) -> impl Iterator<Item = ((u32, i16), (u32, i16))> + 'a {
    primary.shape.columns.iter().zip(&primary.columns).filter_map(|(column, facts)| {
        let (_, twin) = shadow.column(&column.name)?;
        Some(((shadow.shape.table.0, twin.number), (primary.shape.table.0, facts.number)))
    })
}

/// By names and types; what computes a value is no part of how it reads.
fn is_alike(one: &[Column], other: &[Column]) -> bool {
    let same = |(a, b): (&Column, &Column)| a.name == b.name && a.type_name == b.type_name;
    one.len() == other.len() && one.iter().zip(other).all(same)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::super::testing::{self, ITEMS, ORDERS, table};
    use super::*;

    #[test]
    fn tables_are_paired_by_name_and_alike_when_their_columns_are() {
        let primary = testing::catalog();
        let mut shadow = Catalog { generation: 3, ..Catalog::default() };
        for twin in [
            table(TableId(7), "public", "orders", &["id", "v"]),
            table(TableId(8), "shop", "items", &["id", "new"]),
            table(TableId(9), "other", "items", &["id"]),
        ] {
            shadow.tables.insert(twin.shape.table, Arc::clone(&twin));
        }
        let twins = Twins::new(&primary, &shadow);
        assert!(twins.is_alike(ORDERS) && !twins.is_alike(ITEMS));
        assert_eq!(twins.primary(7, 2), Some((ORDERS.0, 2)));
        assert_eq!(twins.primary(8, 1), Some((ITEMS.0, 1)));
        assert_eq!([twins.primary(8, 2), twins.primary(7, 3), twins.primary(9, 1)], [None; 3]);
        assert!(twins.is_of(&primary, &shadow));
        shadow.generation = 4;
        assert!(!twins.is_of(&primary, &shadow));
    }
}
