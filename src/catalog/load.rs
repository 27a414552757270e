//! Reading a side's catalogs.

use std::sync::Arc;

use thiserror::Error;
use tokio_postgres::Client;

use super::assemble::assemble;
use super::facts::Facts;
use super::{Catalog, Patterns};

/// Why a catalog could not be read.
#[derive(Debug, Error)]
pub enum LoadError {
    /// The server refused a query, or is gone.
    #[error("reading the catalogs: {}", reason(.0))]
    Query(#[from] tokio_postgres::Error),
}

fn reason(error: &tokio_postgres::Error) -> String {
    error.as_db_error().map_or_else(|| error.to_string(), |refusal| refusal.message().to_owned())
}

/// What of the settings decides which tables are mirrored, and how.
#[derive(Debug, Clone, Default)]
pub struct LoadOptions {
    /// `mirror.include`
    pub include: Patterns,
    /// `mirror.exclude`
    pub exclude: Patterns,
    /// `mirror.no_rewrite`
    pub no_rewrite: Patterns,
    /// The other side's catalog, as far as it is known: a table of the same name there must have a unique index over
    /// the key too, else nothing is exact (rule 14).
    pub other: Option<Arc<Catalog>>,
}

/// Reads everything through one connection of [`server::connect`](crate::server::connect), in one snapshot. A future
/// dropped halfway leaves a transaction open: the connection is then to be dropped too.
pub async fn load(client: &Client, options: &LoadOptions, generation: u64) -> Result<Catalog, LoadError> {
    let system_identifier = system_identifier(client).await?;
    client.batch_execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY").await?;
    let facts = Facts::read(client).await;
    client.batch_execute("ROLLBACK").await?;
    Ok(assemble(&facts?, options, generation, system_identifier))
}

/// Empty where the server keeps it to itself.
async fn system_identifier(client: &Client) -> Result<String, tokio_postgres::Error> {
    let answer = client.query_one("SELECT system_identifier::text FROM pg_control_system()", &[]).await;
    match answer.and_then(|row| row.try_get(0)) {
        Err(error) if error.as_db_error().is_some() => Ok(String::new()),
        other => other,
    }
}

/// A short text that changes when what [`load`] reads changes, estimates of sizes aside. Cheap: it counts rows of the
/// system catalogs and sums hashes of who wrote them, without looking at what they say.
pub(super) async fn fingerprint(client: &Client) -> Result<String, LoadError> {
    Ok(client.query_one(FINGERPRINT, &[]).await?.try_get(0)?)
}

/// Temporary tables are left out, as far as their share is large: applications make them all the time.
const FINGERPRINT: &str = "
    SELECT string_agg(concat_ws(':', catalog, rows, written), ' ' ORDER BY catalog) FROM (
        SELECT 'class', count(*), sum(hashint8extended(xmin::text::int8, oid::int8))
            FROM pg_class WHERE relpersistence <> 't' AND relkind <> 't'
        UNION ALL SELECT 'attribute', count(*), sum(hashint8extended(a.xmin::text::int8, attrelid::int8 * 2048 + attnum))
            FROM pg_attribute a JOIN pg_class c ON c.oid = attrelid WHERE relpersistence <> 't' AND relkind IN ('r', 'p')
        UNION ALL SELECT 'default', count(*), sum(hashint8extended(xmin::text::int8, oid::int8)) FROM pg_attrdef
        UNION ALL SELECT 'index', count(*), sum(hashint8extended(i.xmin::text::int8, indexrelid::int8))
            FROM pg_index i JOIN pg_class c ON c.oid = indexrelid WHERE relpersistence <> 't' AND indisunique
        UNION ALL SELECT 'constraint', count(*), sum(hashint8extended(xmin::text::int8, oid::int8)) FROM pg_constraint
        UNION ALL SELECT 'trigger', count(*), sum(hashint8extended(xmin::text::int8, oid::int8)) FROM pg_trigger
        UNION ALL SELECT 'event trigger', count(*), sum(hashint8extended(xmin::text::int8, oid::int8)) FROM pg_event_trigger
        UNION ALL SELECT 'cast', count(*), sum(hashint8extended(xmin::text::int8, oid::int8)) FROM pg_cast
        UNION ALL SELECT 'rule', count(*), sum(hashint8extended(xmin::text::int8, oid::int8)) FROM pg_rewrite
        UNION ALL SELECT 'inherits', count(*), sum(hashint8extended(xmin::text::int8, inhrelid::int8)) FROM pg_inherits
        UNION ALL SELECT 'namespace', count(*), sum(hashint8extended(xmin::text::int8, oid::int8))
            FROM pg_namespace WHERE nspname !~ '^pg_'
        UNION ALL SELECT 'function', count(*), sum(hashint8extended(xmin::text::int8, oid::int8)) FROM pg_proc
        UNION ALL SELECT 'operator', count(*), sum(hashint8extended(xmin::text::int8, oid::int8)) FROM pg_operator
        UNION ALL SELECT 'enum', count(*), sum(hashint8extended(xmin::text::int8, oid::int8)) FROM pg_enum
        UNION ALL SELECT 'setting', count(*), sum(hashint8extended(xmin::text::int8, setdatabase::int8 + setrole::int8))
            FROM pg_db_role_setting
        UNION ALL SELECT 'member', count(*), sum(hashint8extended(xmin::text::int8, roleid::int8 + member::int8))
            FROM pg_auth_members
        UNION ALL SELECT 'role', count(*), sum(hashtextextended(concat_ws(':', rolname, rolsuper, rolbypassrls), oid::int8))
            FROM pg_roles
        UNION ALL SELECT 'server', 1, extract(epoch FROM pg_postmaster_start_time())
    ) AS counts (catalog, rows, written)";
