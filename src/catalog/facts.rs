//! What the system catalogs say, as they say it: one query and one plain struct per kind of fact. What follows from
//! the facts is decided elsewhere, without a server.

use tokio_postgres::{Client, Error, Row};

use super::hashing::Samples;

mod code;
mod keys;

use code::VOLATILE;
pub(super) use code::{FunctionFact, OperatorFact, TriggerFact, ViewFact};
pub(super) use keys::{ForeignKey, IndexFact};

/// Everything [`load`](super::load()) reads.
#[derive(Debug, Default)]
pub(super) struct Facts {
    pub(super) server: Server,
    pub(super) samples: Samples,
    pub(super) relations: Vec<Relation>,
    pub(super) inherits: Vec<Inherits>,
    pub(super) columns: Vec<ColumnFact>,
    pub(super) types: Vec<TypeFact>,
    pub(super) collations: Vec<CollationFact>,
    pub(super) indexes: Vec<IndexFact>,
    pub(super) foreign_keys: Vec<ForeignKey>,
    /// Enabled triggers of the user.
    pub(super) triggers: Vec<TriggerFact>,
    /// Tables with rewrite rules, and views with rules of their own.
    pub(super) rules: Vec<u32>,
    /// Tables whose defaults, generated columns or checks call a volatile function of the user.
    pub(super) volatile: Vec<u32>,
    pub(super) views: Vec<ViewFact>,
    pub(super) functions: Vec<FunctionFact>,
    pub(super) operators: Vec<OperatorFact>,
    pub(super) roles: Vec<RoleFact>,
    pub(super) role_settings: Vec<RoleSetting>,
}

/// The relations that could be mirrored tables, as `c` with namespace `n`.
macro_rules! from_tables {
    () => {
        "pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace AND n.nspname !~ '^pg_'
            AND n.nspname NOT IN ('information_schema', 'crossfade')
            AND c.relkind IN ('r', 'p') AND c.relpersistence <> 't' AND NOT c.relispartition"
    };
}
use from_tables;

/// A fact that one row of one query tells.
trait Fact: Sized {
    const SQL: &'static str;

    fn read(row: &Row) -> Result<Self, Error>;
}

async fn all<F: Fact>(client: &Client) -> Result<Vec<F>, Error> {
    client.query(F::SQL, &[]).await?.iter().map(F::read).collect()
}

async fn oids(client: &Client, sql: &str) -> Result<Vec<u32>, Error> {
    client.query(sql, &[]).await?.iter().map(|row| row.try_get(0)).collect()
}

impl Facts {
    /// Reads them one by one; in a transaction of the caller's, so that they agree.
    pub(super) async fn read(client: &Client) -> Result<Self, Error> {
        let server = Server::read(&client.query_one(Server::SQL, &[]).await?)?;
        let collations = client.query(&collations_sql(server.version_num), &[]).await?;
        Ok(Self {
            server,
            samples: Samples::read(client).await?,
            relations: all(client).await?,
            inherits: all(client).await?,
            columns: all(client).await?,
            types: all(client).await?,
            collations: collations.iter().map(CollationFact::read).collect::<Result<_, _>>()?,
            indexes: all(client).await?,
            foreign_keys: all(client).await?,
            triggers: all(client).await?,
            rules: oids(client, RULES).await?,
            volatile: oids(client, VOLATILE).await?,
            views: all(client).await?,
            functions: all(client).await?,
            operators: all(client).await?,
            roles: all(client).await?,
            role_settings: all(client).await?,
        })
    }
}

/// The server itself.
#[derive(Debug, Default)]
pub(super) struct Server {
    pub(super) version: String,
    pub(super) version_num: i32,
    /// Of the WAL that is written now; empty on a standby.
    pub(super) timeline: String,
    pub(super) started: String,
    /// Code or a stored expression of the user may look at the text that the client sent.
    pub(super) texts_are_read: bool,
    /// Event triggers of users fire.
    pub(super) ddl_is_watched: bool,
    /// Users have triggers that may run as late as the commit.
    pub(super) triggers_are_deferred: bool,
}

impl Fact for Server {
    const SQL: &'static str = "SELECT current_setting('server_version'), current_setting('server_version_num')::int4,
        CASE WHEN NOT pg_is_in_recovery() THEN left(pg_walfile_name(pg_current_wal_lsn()), 8) ELSE '' END,
        extract(epoch FROM pg_postmaster_start_time())::text,
        EXISTS (SELECT FROM pg_proc WHERE oid >= 16384 AND prosrc ~* 'current_query|pg_stat_activity|pg_stat_get_')
            OR EXISTS (SELECT FROM (
                    SELECT adbin::text FROM pg_attrdef
                    UNION ALL SELECT ev_action::text FROM pg_rewrite WHERE oid >= 16384
                    UNION ALL SELECT tgqual::text FROM pg_trigger
                    UNION ALL SELECT to_jsonb(p) ->> 'prosqlbody' FROM pg_proc p WHERE oid >= 16384
                ) AS e (tree)
                WHERE tree ~ (SELECT format(':(funcid (%s)|relid %s) ', string_agg(oid::text, '|'),
                        'pg_catalog.pg_stat_activity'::regclass::oid)
                    FROM pg_proc
                    WHERE proname IN ('current_query', 'pg_stat_get_activity', 'pg_stat_get_backend_activity'))),
        EXISTS (SELECT FROM pg_trigger WHERE tgfoid >= 16384 AND tgdeferrable),
        EXISTS (SELECT FROM pg_event_trigger e WHERE evtenabled IN ('O', 'A') AND evtevent <> 'login'
            AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_event_trigger'::regclass AND d.objid = e.oid
                AND d.deptype = 'e'))";

    fn read(row: &Row) -> Result<Self, Error> {
        Ok(Self {
            version: row.try_get(0)?,
            version_num: row.try_get(1)?,
            timeline: row.try_get(2)?,
            started: row.try_get(3)?,
            texts_are_read: row.try_get(4)?,
            triggers_are_deferred: row.try_get(5)?,
            ddl_is_watched: row.try_get(6)?,
        })
    }
}

/// A table, view, sequence …
#[derive(Debug, Default, Clone)]
pub(super) struct Relation {
    pub(super) oid: u32,
    pub(super) schema: String,
    pub(super) name: String,
    /// `pg_class.relkind`
    pub(super) kind: String,
    pub(super) temporary: bool,
    pub(super) partition: bool,
    /// Below zero: unknown.
    pub(super) rows: f64,
}

impl Fact for Relation {
    const SQL: &'static str = "SELECT c.oid, n.nspname::text, c.relname::text, c.relkind::text, c.relpersistence = 't',
            c.relispartition, c.reltuples::float8
        FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
        WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S')";

    fn read(row: &Row) -> Result<Self, Error> {
        Ok(Self {
            oid: row.try_get(0)?,
            schema: row.try_get(1)?,
            name: row.try_get(2)?,
            kind: row.try_get(3)?,
            temporary: row.try_get(4)?,
            partition: row.try_get(5)?,
            rows: row.try_get(6)?,
        })
    }
}

/// A partition of, or an inheriting table.
#[derive(Debug)]
pub(super) struct Inherits {
    pub(super) child: u32,
    pub(super) parent: u32,
}

impl Fact for Inherits {
    const SQL: &'static str = "SELECT i.inhrelid, i.inhparent FROM pg_inherits i
        JOIN pg_class c ON c.oid = i.inhrelid AND c.relkind IN ('r', 'p', 'f')";

    fn read(row: &Row) -> Result<Self, Error> {
        Ok(Self { child: row.try_get(0)?, parent: row.try_get(1)? })
    }
}

/// A column of a table that is no partition.
#[derive(Debug, Default)]
pub(super) struct ColumnFact {
    pub(super) relation: u32,
    pub(super) number: i16,
    pub(super) name: String,
    pub(super) type_oid: u32,
    pub(super) modifier: i32,
    pub(super) collation: u32,
    pub(super) not_null: bool,
    pub(super) generated: bool,
    /// For people.
    pub(super) definition: String,
}

impl Fact for ColumnFact {
    const SQL: &'static str = concat!(
        "SELECT a.attrelid, a.attnum, a.attname::text, a.atttypid, a.atttypmod, a.attcollation, a.attnotnull,
            a.attgenerated <> '',
            format_type(a.atttypid, a.atttypmod) || CASE WHEN a.attnotnull THEN ' not null' ELSE '' END
                || CASE a.attidentity WHEN 'a' THEN ' generated always as identity'
                    WHEN 'd' THEN ' generated by default as identity' ELSE '' END
                || coalesce(CASE WHEN a.attgenerated <> '' THEN ' generated always as ' ELSE ' default ' END
                    || pg_get_expr(d.adbin, d.adrelid), '')
        FROM ",
        from_tables!(),
        " JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
        LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
        ORDER BY a.attrelid, a.attnum"
    );

    fn read(row: &Row) -> Result<Self, Error> {
        Ok(Self {
            relation: row.try_get(0)?,
            number: row.try_get(1)?,
            name: row.try_get(2)?,
            type_oid: row.try_get(3)?,
            modifier: row.try_get(4)?,
            collation: row.try_get(5)?,
            not_null: row.try_get(6)?,
            generated: row.try_get(7)?,
            definition: row.try_get(8)?,
        })
    }
}

/// A data type.
#[derive(Debug, Default)]
pub(super) struct TypeFact {
    pub(super) oid: u32,
    pub(super) schema: String,
    pub(super) name: String,
    /// Quoted and qualified.
    pub(super) sql_name: String,
    /// `pg_type.typtype`
    pub(super) kind: String,
    /// In bytes; below zero it varies.
    pub(super) length: i16,
    /// Of a domain, else 0.
    pub(super) base: u32,
    /// Of an array, else 0.
    pub(super) element: u32,
    /// Of an enum, in order, else none.
    pub(super) labels: Option<Vec<String>>,
}

impl Fact for TypeFact {
    const SQL: &'static str = "SELECT t.oid, n.nspname::text, t.typname::text,
            quote_ident(n.nspname) || '.' || quote_ident(t.typname), t.typtype::text, t.typlen, t.typbasetype,
            CASE WHEN t.typoutput = 'array_out'::regproc THEN t.typelem ELSE 0::oid END,
            (SELECT array_agg(e.enumlabel::text ORDER BY e.enumsortorder) FROM pg_enum e WHERE e.enumtypid = t.oid)
        FROM pg_type t JOIN pg_namespace n ON n.oid = t.typnamespace";

    fn read(row: &Row) -> Result<Self, Error> {
        Ok(Self {
            oid: row.try_get(0)?,
            schema: row.try_get(1)?,
            name: row.try_get(2)?,
            sql_name: row.try_get(3)?,
            kind: row.try_get(4)?,
            length: row.try_get(5)?,
            base: row.try_get(6)?,
            element: row.try_get(7)?,
            labels: row.try_get(8)?,
        })
    }
}

/// A collation that some column has.
#[derive(Debug, Default)]
pub(super) struct CollationFact {
    pub(super) oid: u32,
    pub(super) deterministic: bool,
    /// Provider, locale and version; empty for byte order.
    pub(super) order: String,
}

impl CollationFact {
    fn read(row: &Row) -> Result<Self, Error> {
        Ok(Self { oid: row.try_get(0)?, deterministic: row.try_get(1)?, order: row.try_get(2)? })
    }
}

/// The columns that hold the locale have other names in other versions: hence by way of JSON. All of the built-in
/// provider's collations order by code point, which in UTF-8 is byte order. Before 15 a database's collation has no version
/// of its own: that of the same locale's collation is it, whose name may be spelled otherwise.
fn collations_sql(version_num: i32) -> String {
    let database_version =
        if version_num >= 150_000 { "pg_database_collation_actual_version(d.oid)" } else { SAME_LOCALE };
    format!(
        "SELECT oid, deterministic, CASE WHEN provider = 'b' OR locale IN ('C', 'POSIX') THEN ''
                ELSE concat_ws(':', provider, locale, version) END
        FROM (
            SELECT c.oid, c.collisdeterministic AS deterministic, c.collprovider::text AS provider,
                coalesce(j ->> 'colllocale', j ->> 'colliculocale', j ->> 'collcollate') AS locale,
                pg_collation_actual_version(c.oid) AS version
            FROM pg_collation c, to_jsonb(c) j
            WHERE c.collprovider <> 'd' AND c.oid IN (SELECT attcollation FROM pg_attribute WHERE attrelid >= 16384)
            UNION ALL
            SELECT c.oid, true, coalesce(j ->> 'datlocprovider', 'c'),
                coalesce(j ->> 'datlocale', j ->> 'daticulocale', j ->> 'datcollate'), {database_version}
            FROM pg_collation c, pg_database d, to_jsonb(d) j
            WHERE c.collprovider = 'd' AND d.datname = current_database()
        ) AS used"
    )
}

const SAME_LOCALE: &str = "(SELECT pg_collation_actual_version(same.oid) FROM pg_collation same
    WHERE same.collprovider = 'c' AND lower(replace(same.collcollate, '-', '')) = lower(replace(d.datcollate, '-', '')) LIMIT 1)";

/// Of a view, other than the one that makes it a view.
const RULES: &str = "SELECT DISTINCT r.ev_class FROM pg_rewrite r
    JOIN pg_class c ON c.oid = r.ev_class AND (c.relkind IN ('r', 'p') OR c.relkind = 'v' AND r.rulename <> '_RETURN')";

/// A role, and the tables of which it may not read every column and row.
#[derive(Debug, Default)]
pub(super) struct RoleFact {
    pub(super) name: String,
    pub(super) unreadable: Vec<u32>,
    /// It may look at locks, triggers, cursors and settings, as everyone may unless that was taken away.
    pub(super) may_ask: bool,
}

impl Fact for RoleFact {
    // Roles beyond the limit are unknown, and what is unknown may read nothing.
    const SQL: &'static str = concat!(
        "SELECT r.rolname::text, ARRAY(SELECT c.oid FROM ",
        from_tables!(),
        " WHERE NOT (r.rolsuper OR has_table_privilege(r.oid, c.oid, 'SELECT')
                AND (NOT c.relrowsecurity OR r.rolbypassrls
                    OR NOT c.relforcerowsecurity AND pg_has_role(r.oid, c.relowner, 'USAGE')))),
            has_schema_privilege(r.oid, 'pg_catalog', 'USAGE')
            AND (SELECT bool_and(has_table_privilege(r.oid, 'pg_catalog.' || asked, 'SELECT'))
                FROM unnest(ARRAY['pg_locks', 'pg_class', 'pg_trigger', 'pg_cursors']) asked)
            AND (SELECT bool_and(has_function_privilege(r.oid, 'pg_catalog.' || asked, 'EXECUTE'))
                FROM unnest(ARRAY['pg_lock_status()', 'pg_cursor()', 'pg_backend_pid()', 'pg_my_temp_schema()',
                    'current_setting(text)']) asked)
        FROM pg_roles r ORDER BY r.rolcanlogin DESC, r.rolname LIMIT 500"
    );

    fn read(row: &Row) -> Result<Self, Error> {
        Ok(Self { name: row.try_get(0)?, unreadable: row.try_get(1)?, may_ask: row.try_get(2)? })
    }
}

/// Settings of the server where they are not PostgreSQL's own, of a role, a database, or both.
#[derive(Debug)]
pub(super) struct RoleSetting {
    /// `None`: for all roles.
    pub(super) role: Option<String>,
    /// `name=value`
    pub(super) settings: Vec<String>,
}

impl Fact for RoleSetting {
    // What comes later wins: the database before the server, the role before the database, both together before either.
    // Of the server's only those that decide what a statement means, unless our own role has them in another way.
    const SQL: &'static str = "SELECT role, settings FROM (
            SELECT NULL::text, array_agg(name || '=' || reset_val), 0 FROM pg_settings g
            WHERE reset_val IS DISTINCT FROM boot_val AND name IN ('search_path', 'default_transaction_isolation',
                    'default_transaction_deferrable', 'extra_float_digits', 'bytea_output', 'xmloption', 'xmlbinary', 'array_nulls',
                    'row_security', 'transform_null_equals', 'default_text_search_config', 'statement_timeout')
                AND NOT EXISTS (SELECT FROM pg_db_role_setting s JOIN pg_roles r ON r.oid = s.setrole,
                    unnest(s.setconfig) AS x (own) WHERE r.rolname = session_user AND split_part(own, '=', 1) = g.name)
            HAVING count(*) > 0
            UNION ALL SELECT r.rolname::text, s.setconfig, 1 + (s.setrole <> 0)::int * 2 + (s.setdatabase <> 0)::int
            FROM pg_db_role_setting s LEFT JOIN pg_roles r ON r.oid = s.setrole
            WHERE (s.setrole = 0 OR r.oid IS NOT NULL)
                AND s.setdatabase IN (0, (SELECT oid FROM pg_database WHERE datname = current_database()))
        ) AS all_of_them (role, settings, place) ORDER BY place";

    fn read(row: &Row) -> Result<Self, Error> {
        Ok(Self { role: row.try_get(0)?, settings: row.try_get(1)? })
    }
}
