//! The two sides beside each other, table by table, paired by schema and name.

use std::sync::Arc;

use super::{Catalog, Table};
use crate::effect::TableId;

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
    /// Whether ranges of the key mean the same rows on both sides.
    pub ranges: bool,
}

/// All pairs.
#[derive(Debug, Default)]
pub struct Pairs {
    /// Sorted by name.
    pub all: Vec<Pair>,
}

impl Pairs {
    /// Every mirrored table of either side.
    pub fn new(_primary: &Catalog, _shadow: &Catalog) -> Self {
        todo!()
    }

    /// The pair of a table of the primary.
    pub fn of(&self, table: TableId) -> Option<&Pair> {
        self.all.iter().find(|pair| pair.primary.as_ref().is_some_and(|found| found.shape.table == table))
    }
}
