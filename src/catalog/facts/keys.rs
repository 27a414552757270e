//! Indexes and foreign keys.

use tokio_postgres::{Error, Row};

use super::{Fact, from_tables};

/// A unique or exclusion index of a table that is no partition.
#[derive(Debug, Default)]
pub(in crate::catalog) struct IndexFact {
    pub(in crate::catalog) relation: u32,
    pub(in crate::catalog) primary: bool,
    pub(in crate::catalog) replica_identity: bool,
    /// Unique, valid, total, immediate, expressionless, with PostgreSQL's own operators.
    pub(in crate::catalog) usable: bool,
    /// Of its key columns, in order.
    pub(in crate::catalog) columns: Vec<i16>,
    /// Of its key columns, in order.
    pub(in crate::catalog) collations: Vec<u32>,
}

impl Fact for IndexFact {
    const SQL: &'static str = concat!(
        "SELECT i.indrelid, i.indisprimary, i.indisreplident AND c.relreplident = 'i',
            i.indisunique AND i.indisvalid AND i.indislive AND i.indimmediate AND NOT i.indisexclusion
                AND i.indpred IS NULL AND i.indexprs IS NULL
                AND NOT EXISTS (SELECT FROM unnest(i.indclass) used (opclass) JOIN pg_opclass o ON o.oid = used.opclass
                    JOIN pg_namespace s ON s.oid = o.opcnamespace WHERE s.nspname <> 'pg_catalog'),
            (string_to_array(i.indkey::text, ' ')::int2[])[1:i.indnkeyatts],
            (string_to_array(i.indcollation::text, ' ')::oid[])[1:i.indnkeyatts]
        FROM ",
        from_tables!(),
        " JOIN pg_index i ON i.indrelid = c.oid AND (i.indisunique OR i.indisexclusion)
        ORDER BY i.indexrelid"
    );

    fn read(row: &Row) -> Result<Self, Error> {
        Ok(Self {
            relation: row.try_get(0)?,
            primary: row.try_get(1)?,
            replica_identity: row.try_get(2)?,
            usable: row.try_get(3)?,
            columns: row.try_get(4)?,
            collations: row.try_get(5)?,
        })
    }
}

/// A foreign key.
#[derive(Debug)]
pub(in crate::catalog) struct ForeignKey {
    pub(in crate::catalog) referencing: u32,
    pub(in crate::catalog) referenced: u32,
    /// `pg_constraint.confdeltype`
    pub(in crate::catalog) on_delete: String,
    /// ON UPDATE writes the referencing table.
    pub(in crate::catalog) on_update: bool,
    pub(in crate::catalog) columns: Vec<String>,
    /// In the order of `columns`.
    pub(in crate::catalog) referenced_columns: Vec<String>,
}

impl Fact for ForeignKey {
    const SQL: &'static str = "SELECT conrelid, confrelid, confdeltype::text, confupdtype IN ('c', 'n', 'd'),
            ARRAY(SELECT attname::text FROM unnest(conkey) WITH ORDINALITY k (number, place)
                JOIN pg_attribute ON attrelid = conrelid AND attnum = number ORDER BY place),
            ARRAY(SELECT attname::text FROM unnest(confkey) WITH ORDINALITY k (number, place)
                JOIN pg_attribute ON attrelid = confrelid AND attnum = number ORDER BY place)
        FROM pg_constraint WHERE contype = 'f' ORDER BY oid";

    fn read(row: &Row) -> Result<Self, Error> {
        Ok(Self {
            referencing: row.try_get(0)?,
            referenced: row.try_get(1)?,
            on_delete: row.try_get(2)?,
            on_update: row.try_get(3)?,
            columns: row.try_get(4)?,
            referenced_columns: row.try_get(5)?,
        })
    }
}
