//! What a column's type means for identity, order and comparison (rule 17).

use std::collections::HashMap;

use super::facts::{CollationFact, ColumnFact, TypeFact};
use super::hashing::Samples;
use super::{Canonical, ColumnFacts, Extent, KeyKind};
use crate::effect::Column;

/// Domains over domains, arrays of domains: deeper than this nobody is.
const MAX_DEPTH: usize = 32;

/// The highest modifier under which a value is short, whatever its characters.
const SHORT: i32 = 16 << 10;

/// The types and collations of one side.
pub(super) struct Types<'a> {
    types: HashMap<u32, &'a TypeFact>,
    collations: HashMap<u32, &'a CollationFact>,
    samples: &'a Samples,
}

impl<'a> Types<'a> {
    pub(super) fn new(types: &'a [TypeFact], collations: &'a [CollationFact], samples: &'a Samples) -> Self {
        Self {
            samples,
            types: types.iter().map(|fact| (fact.oid, fact)).collect(),
            collations: collations.iter().map(|fact| (fact.oid, fact)).collect(),
        }
    }

    /// The column as shapes know it; `None` if its type vanished meanwhile.
    pub(super) fn column(&self, fact: &ColumnFact) -> Option<Column> {
        let type_name = self.types.get(&fact.type_oid)?.sql_name.clone();
        Some(Column { name: fact.name.clone(), type_name, generated: fact.generated })
    }

    /// All else that is to be known of the column.
    pub(super) fn facts(&self, fact: &ColumnFact) -> ColumnFacts {
        let (canonical, kind, order) = self.judge(fact);
        let (number, definition) = (fact.number, fact.definition.clone());
        ColumnFacts { number, canonical, kind, extent: self.extent(fact), order, definition }
    }

    fn extent(&self, fact: &ColumnFact) -> Extent {
        let Some(base) = self.base(fact.type_oid) else { return Extent::Stored };
        // Characters, or bits, and the four that a modifier is offset by.
        let is_short = (0..=SHORT).contains(&fact.modifier);
        match base.name.as_str() {
            _ if base.length > 0 => Extent::Bounded,
            _ if base.schema != "pg_catalog" => Extent::Stored,
            "numeric" | "inet" | "cidr" => Extent::Bounded,
            "varchar" | "bpchar" | "bit" | "varbit" if is_short => Extent::Bounded,
            "text" | "varchar" | "bpchar" | "bytea" => Extent::Octets,
            _ => Extent::Stored,
        }
    }

    fn judge(&self, fact: &ColumnFact) -> (Canonical, KeyKind, String) {
        let everywhere = String::new();
        let Some(base) = self.base(fact.type_oid) else { return (Canonical::Text, KeyKind::Opaque, everywhere) };
        if let Some(labels) = &base.labels {
            return (Canonical::Text, KeyKind::Collated, format!("enum:{}", labels.join(",")));
        }
        if base.schema != "pg_catalog" || base.kind != "b" {
            return (Canonical::Text, KeyKind::Opaque, everywhere);
        }
        let native = match self.samples.types.get(&base.name) {
            Some(&sample) => Canonical::Native { sample },
            None => Canonical::Text,
        };
        match base.name.as_str() {
            "bool" | "char" | "int2" | "int4" | "int8" | "oid" | "uuid" | "date" | "time" | "timestamp" => {
                (native, KeyKind::Plain, everywhere)
            }
            "text" | "varchar" | "name" => match self.collations.get(&fact.collation) {
                Some(collation) if collation.deterministic => (native, KeyKind::Collated, collation.order.clone()),
                _ => (Canonical::Text, KeyKind::Opaque, everywhere),
            },
            "bytea" | "timestamptz" | "timetz" | "inet" | "cidr" | "macaddr" | "macaddr8" | "pg_lsn" => {
                (native, KeyKind::Opaque, everywhere)
            }
            // With a scale of its own each value prints in one way only.
            "numeric" if fact.modifier >= 0 => (native, KeyKind::Opaque, everywhere),
            _ => (Canonical::Text, KeyKind::Opaque, everywhere),
        }
    }

    /// Whether an index under these collations takes for equal what its columns tell apart.
    pub(super) fn is_looser(&self, index: u32, column: u32) -> bool {
        index != column && self.collations.get(&index).is_some_and(|collation| !collation.deterministic)
    }

    /// Whether its text depends on settings that no session's image can be trusted to have: money on `lc_monetary`,
    /// names of objects on the search path.
    pub(super) fn depends_on_settings(&self, type_oid: u32) -> bool {
        let mut oid = type_oid;
        for _ in 0..MAX_DEPTH {
            match self.base(oid) {
                Some(base) if base.element != 0 => oid = base.element,
                Some(base) => {
                    return base.schema == "pg_catalog" && (base.name == "money" || base.name.starts_with("reg"));
                }
                None => return true,
            }
        }
        true
    }

    fn base(&self, type_oid: u32) -> Option<&'a TypeFact> {
        let mut found = *self.types.get(&type_oid)?;
        for _ in 0..MAX_DEPTH {
            if found.base == 0 {
                return Some(found);
            }
            found = self.types.get(&found.base)?;
        }
        None
    }
}
