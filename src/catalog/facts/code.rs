//! Code of the user as the server's catalogs tell it: views, functions, operators, and what stored expressions call.

use tokio_postgres::{Error, Row};

use super::Fact;

/// Functions of `p` that are declared VOLATILE for what they draw, and are known to write no table.
macro_rules! draws_only {
    () => {
        "p.prolang = (SELECT oid FROM pg_language WHERE lanname = 'c') AND EXISTS (
            SELECT FROM pg_depend d JOIN pg_extension x ON x.oid = d.refobjid AND x.extname IN ('uuid-ossp', 'pgcrypto')
            WHERE d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.refclassid = 'pg_extension'::regclass
                AND d.deptype = 'e')"
    };
}

/// The functions that stored expressions call are read off the expressions' trees: dependencies are recorded on no
/// built-in function, and operators hide theirs.
///
/// What a type calls whenever a value becomes one of it (a domain's checks and default, a cast at an assignment) it
/// calls in every table that holds such values, in whatever form.
pub(super) const VOLATILE: &str = concat!(
    "WITH RECURSIVE volatile AS (
        SELECT p.oid FROM pg_proc p WHERE p.oid >= 16384 AND p.provolatile = 'v' AND NOT (",
    draws_only!(),
    ")
    ), calling AS (
        SELECT DISTINCT e.relation, e.type FROM (
            SELECT adrelid, 0::oid, adbin::text FROM pg_attrdef
            UNION ALL SELECT conrelid, contypid, conbin::text FROM pg_constraint WHERE contype = 'c'
            UNION ALL SELECT 0, oid, typdefaultbin::text FROM pg_type WHERE typtype = 'd'
        ) AS e (relation, type, tree), regexp_matches(e.tree, ':(?:funcid|opfuncid) (\\d+)', 'g') AS called
        JOIN volatile ON volatile.oid = called[1]::oid
        UNION SELECT 0, casttarget FROM pg_cast JOIN volatile ON volatile.oid = castfunc WHERE castcontext <> 'e'
    ), types (oid) AS (
        SELECT type FROM calling WHERE type <> 0
        UNION SELECT made.oid FROM types, LATERAL (
            SELECT t.oid FROM pg_type t WHERE types.oid IN (t.typbasetype, t.typelem)
            UNION ALL SELECT unnest(ARRAY[rngtypid, rngmultitypid]) FROM pg_range WHERE rngsubtype = types.oid
            UNION ALL SELECT c.reltype FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid WHERE a.atttypid = types.oid
        ) AS made
    )
    SELECT relation FROM calling WHERE relation <> 0
    UNION SELECT attrelid FROM pg_attribute JOIN types ON types.oid = atttypid"
);

/// A trigger of the user that fires at writes.
#[derive(Debug, Default)]
pub(in crate::catalog) struct TriggerFact {
    pub(in crate::catalog) relation: u32,
    pub(in crate::catalog) language: String,
    /// The function's body; of one in C, its name there.
    pub(in crate::catalog) source: String,
    /// `pg_trigger.tgtype`
    pub(in crate::catalog) kind: i16,
    /// Its WHEN calls code of the user.
    pub(in crate::catalog) calls_in_when: bool,
}

// The bits, from the lowest: ROW, BEFORE, INSERT, DELETE, UPDATE, TRUNCATE, INSTEAD.
impl TriggerFact {
    /// Fires at INSERT, UPDATE or DELETE.
    pub(in crate::catalog) fn fires_at_rows(&self) -> bool {
        self.kind & 0b1_1100 != 0
    }

    /// Fires at TRUNCATE.
    pub(in crate::catalog) fn fires_at_truncate(&self) -> bool {
        self.kind & 0b10_0000 != 0
    }

    /// INSTEAD OF.
    pub(in crate::catalog) fn is_instead(&self) -> bool {
        self.kind & 0b100_0000 != 0
    }

    /// May give a row that is updated another value.
    pub(in crate::catalog) fn is_before_update(&self) -> bool {
        self.kind & 0b1_0011 == 0b1_0011
    }
}

impl Fact for TriggerFact {
    const SQL: &'static str = "SELECT t.tgrelid, l.lanname::text, p.prosrc, t.tgtype,
            EXISTS (SELECT FROM regexp_matches(t.tgqual::text, ':(?:funcid|opfuncid) (\\d+)', 'g') m WHERE m[1]::oid >= 16384)
        FROM pg_trigger t JOIN pg_proc p ON p.oid = t.tgfoid JOIN pg_language l ON l.oid = p.prolang
        WHERE NOT t.tgisinternal AND t.tgenabled <> 'D'";

    fn read(row: &Row) -> Result<Self, Error> {
        Ok(Self {
            relation: row.try_get(0)?,
            language: row.try_get(1)?,
            source: row.try_get(2)?,
            kind: row.try_get(3)?,
            calls_in_when: row.try_get(4)?,
        })
    }
}

/// A view of the user.
#[derive(Debug, Default)]
pub(in crate::catalog) struct ViewFact {
    pub(in crate::catalog) relation: u32,
    /// All relations it names.
    pub(in crate::catalog) relations: Vec<u32>,
    /// All functions it calls, operators' included.
    pub(in crate::catalog) functions: Vec<u32>,
    /// It asks for the time, the user, the next of a sequence by a keyword.
    pub(in crate::catalog) keywords: bool,
}

impl Fact for ViewFact {
    const SQL: &'static str = "SELECT r.ev_class,
            ARRAY(SELECT DISTINCT m[1]::oid FROM regexp_matches(r.ev_action::text, ':relid (\\d+)', 'g') m
                WHERE m[1]::oid NOT IN (0, r.ev_class)),
            ARRAY(SELECT DISTINCT m[1]::oid FROM regexp_matches(
                r.ev_action::text, ':(?:funcid|opfuncid|aggfnoid|winfnoid) (\\d+)', 'g') m),
            r.ev_action::text ~ '\\{(SQLVALUEFUNCTION|NEXTVALUEEXPR)'
        FROM pg_rewrite r JOIN pg_class c ON c.oid = r.ev_class AND c.relkind = 'v'
        JOIN pg_namespace n ON n.oid = c.relnamespace AND n.nspname NOT IN ('pg_catalog', 'information_schema')
        WHERE r.rulename = '_RETURN'";

    fn read(row: &Row) -> Result<Self, Error> {
        Ok(Self {
            relation: row.try_get(0)?,
            relations: row.try_get(1)?,
            functions: row.try_get(2)?,
            keywords: row.try_get(3)?,
        })
    }
}

/// A function, procedure or aggregate.
#[derive(Debug, Default)]
pub(in crate::catalog) struct FunctionFact {
    pub(in crate::catalog) oid: u32,
    pub(in crate::catalog) schema: String,
    pub(in crate::catalog) name: String,
    /// `i`, `s` or `v`; an aggregate's is the worst of its parts. `s` where it only draws a value, too.
    pub(in crate::catalog) declared: String,
    /// PostgreSQL's own.
    pub(in crate::catalog) builtin: bool,
}

impl Fact for FunctionFact {
    // The letters sort from harmless to worst.
    const SQL: &'static str = concat!(
        "SELECT p.oid, n.nspname::text, p.proname::text,
            CASE WHEN p.provolatile = 'v' AND ",
        draws_only!(),
        " THEN 's' ELSE greatest(p.provolatile::text, step.provolatile::text, last.provolatile::text) END,
            p.oid < 16384 AND n.nspname = 'pg_catalog'
        FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
        LEFT JOIN pg_aggregate a ON a.aggfnoid = p.oid
        LEFT JOIN pg_proc step ON step.oid = a.aggtransfn LEFT JOIN pg_proc last ON last.oid = a.aggfinalfn"
    );

    fn read(row: &Row) -> Result<Self, Error> {
        Ok(Self {
            oid: row.try_get(0)?,
            schema: row.try_get(1)?,
            name: row.try_get(2)?,
            declared: row.try_get(3)?,
            builtin: row.try_get(4)?,
        })
    }
}

/// An operator and the function behind it.
#[derive(Debug)]
pub(in crate::catalog) struct OperatorFact {
    pub(in crate::catalog) schema: String,
    pub(in crate::catalog) name: String,
    pub(in crate::catalog) function: u32,
    /// PostgreSQL's own.
    pub(in crate::catalog) builtin: bool,
}

impl Fact for OperatorFact {
    const SQL: &'static str = "SELECT n.nspname::text, o.oprname::text, o.oprcode::oid, o.oid < 16384
        FROM pg_operator o JOIN pg_namespace n ON n.oid = o.oprnamespace";

    fn read(row: &Row) -> Result<Self, Error> {
        Ok(Self { schema: row.try_get(0)?, name: row.try_get(1)?, function: row.try_get(2)?, builtin: row.try_get(3)? })
    }
}
