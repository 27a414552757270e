//! What one side says of the tables.

use std::collections::{BTreeMap, HashMap};

use tokio_postgres::{Client, Error};

/// One side.
#[derive(Debug)]
pub(super) struct SideFacts {
    pub(super) encoding: String,
    /// By `schema.name`; those that are there.
    pub(super) tables: HashMap<String, TableFact>,
}

/// One table, its partitions included where they count.
#[derive(Debug, Default)]
pub(super) struct TableFact {
    /// In force for our role.
    pub(super) row_security: bool,
    pub(super) may_read: bool,
    pub(super) may_write: bool,
    pub(super) columns: Vec<ColumnFact>,
    /// Unique indexes and exclusion constraints by name; what they demand.
    pub(super) unique: BTreeMap<String, String>,
    /// Enabled triggers of the user, and whether they fire under `session_replication_role = replica` too.
    pub(super) triggers: Vec<(String, bool)>,
    /// Tables that it references, `schema.name`.
    pub(super) parents: Vec<String>,
}

#[derive(Debug)]
pub(super) struct ColumnFact {
    pub(super) name: String,
    /// With its modifier.
    pub(super) type_name: String,
    pub(super) not_null: bool,
    pub(super) generated: bool,
    pub(super) has_default: bool,
}

/// The tables by name, as `w(name, oid)`.
macro_rules! wanted {
    () => {
        "WITH w AS (SELECT n.nspname || '.' || c.relname AS name, c.oid
            FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
            WHERE c.relkind IN ('r', 'p') AND n.nspname || '.' || c.relname = ANY ($1::text[])) "
    };
}

const TABLES: &str = concat!(
    wanted!(),
    "SELECT name, row_security_active(oid), has_table_privilege(oid, 'SELECT'),
        has_table_privilege(oid, 'SELECT') AND has_table_privilege(oid, 'INSERT')
            AND has_table_privilege(oid, 'UPDATE') AND has_table_privilege(oid, 'DELETE') FROM w"
);

const COLUMNS: &str = concat!(
    wanted!(),
    "SELECT w.name, a.attname::text, format_type(a.atttypid, a.atttypmod), a.attnotnull, a.attgenerated <> '',
        a.atthasdef OR a.attidentity <> ''
    FROM w JOIN pg_attribute a ON a.attrelid = w.oid AND a.attnum > 0 AND NOT a.attisdropped ORDER BY w.name, a.attnum"
);

const UNIQUE: &str = concat!(
    wanted!(),
    "SELECT w.name, c.relname::text, coalesce((SELECT pg_get_constraintdef(k.oid) FROM pg_constraint k
            WHERE k.conindid = i.indexrelid AND k.contype = 'x' LIMIT 1),
        substring(pg_get_indexdef(i.indexrelid) FROM ' USING .*'))
    FROM w JOIN pg_index i ON i.indrelid = w.oid AND (i.indisunique OR i.indisexclusion)
    JOIN pg_class c ON c.oid = i.indexrelid"
);

const TRIGGERS: &str = concat!(
    wanted!(),
    "SELECT DISTINCT w.name, g.tgname::text, g.tgenabled IN ('A', 'R') FROM w
    JOIN pg_trigger g ON NOT g.tgisinternal AND g.tgenabled <> 'D'
        AND (g.tgrelid = w.oid OR g.tgrelid IN (SELECT p.relid FROM pg_partition_tree(w.oid) p)) ORDER BY 1, 2"
);

const PARENTS: &str = concat!(
    wanted!(),
    "SELECT DISTINCT w.name, n.nspname || '.' || c.relname FROM w
    JOIN pg_constraint k ON k.conrelid = w.oid AND k.contype = 'f' AND k.confrelid <> w.oid
    JOIN pg_class c ON c.oid = k.confrelid JOIN pg_namespace n ON n.oid = c.relnamespace ORDER BY 1, 2"
);

impl SideFacts {
    /// Of these tables.
    pub(super) async fn read(client: &Client, names: &[&str]) -> Result<Self, Error> {
        let encoding = client.query_one("SHOW server_encoding", &[]).await?.try_get(0)?;
        let mut tables = HashMap::new();
        for row in client.query(TABLES, &[&names]).await? {
            let (row_security, may_read, may_write) = (row.try_get(1)?, row.try_get(2)?, row.try_get(3)?);
            tables.insert(row.try_get(0)?, TableFact { row_security, may_read, may_write, ..TableFact::default() });
        }
        let mut facts = Self { encoding, tables };
        facts.describe(client, names).await?;
        Ok(facts)
    }

    async fn describe(&mut self, client: &Client, names: &[&str]) -> Result<(), Error> {
        for row in client.query(COLUMNS, &[&names]).await? {
            let (name, type_name) = (row.try_get(1)?, row.try_get(2)?);
            let (not_null, generated, has_default) = (row.try_get(3)?, row.try_get(4)?, row.try_get(5)?);
            self.of(row.try_get(0)?).columns.push(ColumnFact { name, type_name, not_null, generated, has_default });
        }
        for row in client.query(UNIQUE, &[&names]).await? {
            self.of(row.try_get(0)?).unique.insert(row.try_get(1)?, row.try_get(2)?);
        }
        for row in client.query(TRIGGERS, &[&names]).await? {
            self.of(row.try_get(0)?).triggers.push((row.try_get(1)?, row.try_get(2)?));
        }
        for row in client.query(PARENTS, &[&names]).await? {
            self.of(row.try_get(0)?).parents.push(row.try_get(1)?);
        }
        Ok(())
    }

    /// What each table references.
    pub(super) fn parents(&self) -> HashMap<&str, &[String]> {
        self.tables.iter().map(|(name, table)| (name.as_str(), &table.parents[..])).collect()
    }

    /// One that was made since the tables were listed is there too.
    fn of(&mut self, name: String) -> &mut TableFact {
        self.tables.entry(name).or_default()
    }
}
