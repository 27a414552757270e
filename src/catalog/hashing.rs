//! Whether two servers hash alike, told by what they make of samples: a version is no proof.

use std::collections::HashMap;

use tokio_postgres::{Client, Error};

/// How the rows of a pair are hashed, so that equal rows hash alike on both sides.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hashing {
    /// By the servers' own functions: of a type's values where both make the same of its sample, else of texts.
    Server,
    /// By MD5 of the text in UTF-8, which is the same everywhere: the servers' functions or encodings differ.
    Md5,
}

/// What one server makes of samples.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Samples {
    /// The encoding, and the hash of a text.
    pub(super) text: String,
    /// By type of `pg_catalog`; empty where records have no hash.
    pub(super) types: HashMap<String, i64>,
}

/// Long enough for every part of the hash function, in characters that every encoding has.
const TEXT: &str = "SELECT pg_catalog.concat_ws(':', pg_catalog.current_setting('server_encoding'),
        pg_catalog.hashtextextended('The quick brown fox jumps over the lazy dog, 0123456789 times.', 1)),
    pg_catalog.to_regprocedure('pg_catalog.hash_record_extended(record,bigint)') IS NOT NULL";

const TYPES: &str = "SELECT name, hash_record_extended(sample, 1) FROM (VALUES
        ('bool', ROW(true)),
        ('char', ROW('x'::\"char\")),
        ('int2', ROW((-2)::int2)),
        ('int4', ROW((-70000)::int4)),
        ('int8', ROW((-5000000000)::int8)),
        ('oid', ROW(4000000000::oid)),
        ('uuid', ROW('6ecd8c99-4036-403d-bf84-cf8400f67836'::uuid)),
        ('date', ROW('2026-02-03'::date)),
        ('time', ROW('04:05:06.789'::time)),
        ('timestamp', ROW('2026-02-03 04:05:06.789'::timestamp)),
        ('timestamptz', ROW('2026-02-03 04:05:06.789+03'::timestamptz)),
        ('timetz', ROW('04:05:06.789+03'::timetz)),
        ('text', ROW('The quick brown fox'::text)),
        ('varchar', ROW('The quick brown fox'::varchar)),
        ('name', ROW('The quick brown fox'::name)),
        ('bytea', ROW('\\x00ff10'::bytea)),
        ('inet', ROW('10.1.2.3/24'::inet)),
        ('cidr', ROW('2001:db8::/32'::cidr)),
        ('macaddr', ROW('08:00:2b:01:02:03'::macaddr)),
        ('macaddr8', ROW('08:00:2b:01:02:03:04:05'::macaddr8)),
        ('pg_lsn', ROW('16/B374D848'::pg_lsn)),
        ('numeric', ROW((-12345.6789)::numeric))
    ) AS samples (name, sample)";

impl Samples {
    pub(super) async fn read(client: &Client) -> Result<Self, Error> {
        let row = client.query_one(TEXT, &[]).await?;
        let mut samples = Self { text: row.try_get(0)?, types: HashMap::new() };
        if row.try_get(1)? {
            for row in client.query(TYPES, &[]).await? {
                samples.types.insert(row.try_get(0)?, row.try_get(1)?);
            }
        }
        Ok(samples)
    }
}
