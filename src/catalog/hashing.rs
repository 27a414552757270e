//! Whether two servers hash alike, told by what they make of samples: a version is no proof.

use std::collections::HashMap;

use tokio_postgres::{Client, Error};

/// Where the rows of a pair are hashed, so that equal rows hash alike on both sides.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hashing {
    /// By each server.
    There(Method),
    /// Their texts are streamed and hashed here: the servers do not hash alike, and one has no MD5 (FIPS), or does not know
    /// the encoding of its texts (`SQL_ASCII`) and would refuse to convert them.
    Here,
}

/// How servers hash rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// By their own functions: of a type's values where both make the same of its sample, else of texts.
    Native,
    /// By MD5 of the text in UTF-8, which is the same everywhere: the servers' functions or encodings differ.
    Md5,
}

impl Hashing {
    /// On servers that make this of texts.
    pub(super) fn between(primary: &TextSample, shadow: &TextSample) -> Self {
        let sides = [primary, shadow];
        match primary.encoding == shadow.encoding && primary.hash == shadow.hash {
            true => Self::There(Method::Native),
            false if sides.iter().all(|side| side.md5 == Md5::Works && !side.is_unconverted()) => {
                Self::There(Method::Md5)
            }
            false => Self::Here,
        }
    }
}

/// What one server makes of texts.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TextSample {
    /// Of the database.
    pub encoding: String,
    /// Of a sample.
    pub hash: i64,
    /// Whether there is MD5.
    pub md5: Md5,
}

impl TextSample {
    /// Its texts are bytes that nobody can convert.
    pub fn is_unconverted(&self) -> bool {
        self.encoding == "SQL_ASCII"
    }
}

/// Whether a server computes MD5 hashes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Md5 {
    /// As most do.
    #[default]
    Works,
    /// It is forbidden there.
    Fails,
}

/// What one server makes of samples.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Samples {
    pub(super) text: TextSample,
    /// By type of `pg_catalog`; empty where records have no hash.
    pub(super) types: HashMap<String, i64>,
}

/// Long enough for every part of the hash function, in characters that every encoding has.
const TEXT: &str = "SELECT pg_catalog.current_setting('server_encoding'),
    pg_catalog.hashtextextended('The quick brown fox jumps over the lazy dog, 0123456789 times.', 1),
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
    /// In a transaction of the caller's.
    pub(super) async fn read(client: &Client) -> Result<Self, Error> {
        let row = client.query_one(TEXT, &[]).await?;
        let text = TextSample { encoding: row.try_get(0)?, hash: row.try_get(1)?, md5: md5(client).await? };
        let mut samples = Self { text, types: HashMap::new() };
        if row.try_get(2)? {
            for row in client.query(TYPES, &[]).await? {
                samples.types.insert(row.try_get(0)?, row.try_get(1)?);
            }
        }
        Ok(samples)
    }
}

async fn md5(client: &Client) -> Result<Md5, Error> {
    client.batch_execute("SAVEPOINT md5").await?;
    let asked = client.batch_execute("SELECT pg_catalog.md5('x'::pg_catalog.bytea)").await;
    client.batch_execute("ROLLBACK TO SAVEPOINT md5; RELEASE SAVEPOINT md5").await?;
    Ok(if asked.is_ok() { Md5::Works } else { Md5::Fails })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_hashed_here_only_where_the_servers_cannot_hash_alike() {
        let sample = |encoding: &str, md5| TextSample { encoding: encoding.into(), hash: 7, md5 };
        let utf8 = sample("UTF8", Md5::Works);
        let between = |shadow| Hashing::between(&utf8, &shadow);
        assert_eq!(between(utf8.clone()), Hashing::There(Method::Native));
        assert_eq!(between(sample("UTF8", Md5::Fails)), Hashing::There(Method::Native));
        assert_eq!(between(TextSample { hash: 8, ..utf8.clone() }), Hashing::There(Method::Md5));
        assert_eq!(between(TextSample { hash: 8, ..sample("UTF8", Md5::Fails) }), Hashing::Here);
        assert_eq!(between(sample("LATIN1", Md5::Works)), Hashing::There(Method::Md5));
        assert_eq!(between(sample("LATIN1", Md5::Fails)), Hashing::Here);
        let ascii = sample("SQL_ASCII", Md5::Works);
        assert_eq!(Hashing::between(&ascii, &utf8), Hashing::Here);
        assert_eq!(Hashing::between(&ascii, &ascii), Hashing::There(Method::Native));
    }
}
