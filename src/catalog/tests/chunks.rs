//! SQL over parts of tables, run on the server.

use super::*;
use crate::catalog::{
    Bound, Canonical, Chunk, Hashing, KeyKind, Method, Pair, Seed, Share, hash_row, hash_sums, key_after, key_texts,
    predicate, record_text,
};
use crate::effect::{Key, fields};

async fn texts(client: &Client, sql: &str) -> Vec<Vec<String>> {
    let rows = client.query(sql, &[]).await.unwrap_or_else(|error| panic!("{error:?} in {sql}"));
    rows.iter().map(|row| (0..row.len()).map(|at| row.get(at)).collect()).collect()
}

async fn keys(client: &Client, table: &Table, chunk: &Chunk) -> Vec<Key> {
    let sql = format!(
        "SELECT {} FROM {} t WHERE {}",
        key_texts(&table.shape),
        table.source(),
        predicate(&table.shape, chunk)
    );
    texts(client, &sql).await.iter().map(|row| Key::new(row.iter().map(String::as_str))).collect()
}

/// The table as it stands here, beside itself.
async fn pair_of(client: &Client, name: &str) -> Pair {
    let table = catalog(client).await.table(name);
    Pair::new(name.to_owned(), Some(Arc::clone(&table)), Some(table))
}

#[tokio::test]
async fn ranges_hold_every_key_once() {
    let (_cluster, client) = server().await;
    run(
        &client,
        "CREATE TABLE \"odd \"\" table\" (\"Key's\" text, b bool, n int, PRIMARY KEY (\"Key's\", b));
         INSERT INTO \"odd \"\" table\" SELECT chr(33 + i) || '\\''', i % 2 = 0, i FROM generate_series(1, 60) i;
         INSERT INTO \"odd \"\" table\" SELECT '', b, 0 FROM (VALUES (true), (false)) v (b)",
    )
    .await;
    let table = catalog(&client).await.table("odd \" table");
    let mut found = Vec::new();
    let mut after: Bound = None;
    loop {
        let next = texts(&client, &key_after(&table, &after, 7)).await;
        let upto = next.first().map(|row| Key::new(row.iter().map(String::as_str)));
        let chunk = Chunk::Range { after: after.clone(), upto: upto.clone() };
        let part = keys(&client, &table, &chunk).await;
        assert_eq!(part.len(), if upto.is_some() { 7 } else { 62 % 7 });
        found.extend(part);
        match upto {
            Some(_) => after = upto,
            None => break,
        }
    }
    found.sort();
    let mut all = keys(&client, &table, &Chunk::Range { after: None, upto: None }).await;
    all.sort();
    assert_eq!((found.len(), &found), (62, &all));
    found.dedup();
    assert_eq!(found.len(), 62);
    let some = vec![all[3].clone(), all[40].clone()];
    let mut named = keys(&client, &table, &Chunk::Keys(some.clone())).await;
    named.sort();
    assert_eq!(named, some);
    assert!(keys(&client, &table, &Chunk::Keys(Vec::new())).await.is_empty());
}

#[tokio::test]
async fn a_key_reads_as_in_the_rows_image() {
    let (_cluster, client) = server().await;
    run(
        &client,
        "CREATE TYPE mood AS ENUM ('it''s', 'a \"b\"');
         CREATE TABLE t (v text, a bool, b mood, c \"char\", d date, e uuid, f oid, PRIMARY KEY (f, e, d, c, b, a));
         INSERT INTO t VALUES (NULL, true, 'it''s', 'x', 'infinity', gen_random_uuid(), 7),
            ('', false, 'a \"b\"', '\"', '0044-03-15 BC', gen_random_uuid(), 8)",
    )
    .await;
    let table = catalog(&client).await.table("t");
    assert_eq!(table.key_kind, KeyKind::Collated);
    let sql = format!("SELECT {}, {} FROM {} t", record_text(&table.shape), key_texts(&table.shape), table.source());
    for row in texts(&client, &sql).await {
        let image = fields(&row[0]).unwrap();
        let parts: Vec<_> = table.shape.key.iter().map(|&at| image[at].as_deref().unwrap().to_owned()).collect();
        assert_eq!(parts, row[1..]);
        let key = Key::new(parts.iter().map(String::as_str));
        assert_eq!(keys(&client, &table, &Chunk::Keys(vec![key.clone()])).await, [key]);
    }
}

#[tokio::test]
async fn buckets_and_shares_hold_every_row_once() {
    let (_cluster, client) = server().await;
    run(
        &client,
        "CREATE TABLE keyed (a text PRIMARY KEY, b int); CREATE TABLE keyless (a text, b int);
         INSERT INTO keyed SELECT 'k' || i, i FROM generate_series(1, 300) i;
         INSERT INTO keyless SELECT a, NULL FROM keyed; INSERT INTO keyless SELECT a, NULL FROM keyed",
    )
    .await;
    let catalog = catalog(&client).await;
    for (name, rows) in [("keyed", 300), ("keyless", 600)] {
        let table = catalog.table(name);
        let mut sum = 0;
        for number in 0..8 {
            let bucket = Chunk::Bucket { number, of: 8 };
            let chunk = if name == "keyed" { bucket } else { Chunk::Share(Share { number, of: 8 }) };
            let count =
                format!("SELECT count(*)::text FROM {} t WHERE {}", table.source(), predicate(&table.shape, &chunk));
            let found: u64 = texts(&client, &count).await[0][0].parse().unwrap();
            assert!(found > 0 && found < rows / 2, "{name} {number}: {found}");
            sum += found;
        }
        assert_eq!(sum, rows, "{name}");
    }
}

/// Whatever prints differently must hash differently, and the other way round: what prints alike, alike.
#[tokio::test]
async fn a_hash_tells_apart_what_prints_differently() {
    let (_cluster, client) = server().await;
    run(&client, "CREATE DOMAIN whole AS int8; CREATE TYPE both_of AS (a int, b text)").await;
    for (of_type, a, b) in [
        ("int4", "1", "2"),
        ("whole", "1", "2"),
        ("text", "''", "NULL"),
        ("varchar(9)", "'a'", "'a '"),
        ("numeric", "1.0", "1.00"),
        ("numeric(9,2)", "1.0", "1.01"),
        ("float8", "0", "'-0'"),
        ("float4", "0.1", "0.10000001"),
        ("int[]", "'{1,2,3,4}'", "'{{1,2},{3,4}}'"),
        ("int[]", "'{1}'", "'[2:2]={1}'"),
        ("interval", "'1 day'", "'24 hours'"),
        ("jsonb", "'{\"a\": 1.0}'", "'{\"a\": 1.00}'"),
        ("json", "'{\"a\":1}'", "'{\"a\": 1}'"),
        ("xml", "'<a/>'", "'<b/>'"),
        ("money", "1", "1.01"),
        ("bit(3)", "B'101'", "B'100'"),
        ("point", "'(1,2)'", "'(2,1)'"),
        ("numrange", "'[1.0,2)'", "'[1.00,2)'"),
        ("timestamptz", "'2026-01-01 00:00:00Z'", "'2026-01-01 00:00:00.000001Z'"),
        ("timetz", "'10:00+00'", "'11:00+01'"),
        ("inet", "'10.0.0.1/24'", "'10.0.0.1/25'"),
        ("both_of", "'(1,)'", "'(1,\"\")'"),
        ("bytea", "'\\x00'", "'\\x0000'"),
        ("char(3)", "'a'", "'b'"),
        ("bool", "true", "false"),
        ("uuid", "'00000000-0000-0000-0000-000000000000'", "'00000000-0000-0000-0000-000000000001'"),
    ] {
        run(&client, &format!("CREATE TABLE t (v {of_type}); INSERT INTO t VALUES ({a}), ({b}), ({a})")).await;
        let pair = pair_of(&client, "t").await;
        let sql = format!("SELECT {}::text FROM public.t", hash_row(&pair, Method::Native, Seed::First))
            .replace("FROM public.t", "FROM public.t t");
        let hashes = texts(&client, &sql).await;
        assert_eq!(hashes[0], hashes[2], "{of_type}");
        assert_ne!(hashes[0], hashes[1], "{of_type}: {a} and {b}");
        run(&client, "DROP TABLE t").await;
    }
}

#[tokio::test]
async fn sums_agree_across_databases_and_count_doubles() {
    let (cluster, primary) = server().await;
    primary.batch_execute("CREATE DATABASE shadow").await.unwrap();
    let shadow = super::client(&cluster, "shadow").await;
    // The oids of the labels differ, the type of `n` too, and one column is missing.
    let rows = "INSERT INTO t SELECT i, 'b', i, i % 3 = 0, 'x' || i, now() - now() FROM generate_series(1, 200) i";
    run(
        &primary,
        &format!(
            "CREATE TYPE mood AS ENUM ('a', 'b');
             CREATE TABLE t (id int, m mood, n int, f bool, s text, i interval, only_here int); {rows}"
        ),
    )
    .await;
    run(
        &shadow,
        &format!(
            "CREATE TABLE before (x int); CREATE TYPE mood AS ENUM ('b', 'a');
             CREATE TABLE t (id int, m mood, n bigint, f bool, s text, i interval); {rows}"
        ),
    )
    .await;
    let tables = [catalog(&primary).await.table("t"), catalog(&shadow).await.table("t")];
    let pair = Pair::new("public.t".into(), Some(Arc::clone(&tables[0])), Some(Arc::clone(&tables[1])));
    let sums = format!("SELECT pg_catalog.concat_ws(' ', {}) FROM public.t t", hash_sums(&pair, Method::Native));
    let ours = texts(&primary, &sums).await;
    assert_eq!(ours, texts(&shadow, &sums).await);
    assert!(ours[0][0].starts_with("200 "));
    // As many rows, and each side's new ones cancel out under exclusive-or.
    let twice = |id: u32| format!("INSERT INTO t SELECT t.* FROM t, generate_series(1, 2) WHERE id = {id}");
    run(&primary, &twice(1)).await;
    run(&shadow, &twice(2)).await;
    assert_ne!(texts(&primary, &sums).await, texts(&shadow, &sums).await);
    run(&primary, "DELETE FROM t").await;
    assert_eq!(texts(&primary, &sums).await, [["0 0 0"]]);
}

/// A record's hash is a sum over its fields, and the sum of such sums is the same whoever owns which value.
#[tokio::test]
async fn sums_tell_who_has_a_value() {
    let (_cluster, client) = server().await;
    for columns in ["id int, v int", "id int, v text, j json", "v text, w text"] {
        run(&client, &format!("DROP TABLE IF EXISTS t; CREATE TABLE t ({columns})")).await;
        run(&client, "INSERT INTO t SELECT i, i * 7 FROM generate_series(1, 1000) i").await;
        let pair = pair_of(&client, "t").await;
        let sums = format!("SELECT pg_catalog.concat_ws(' ', {}) FROM public.t t", hash_sums(&pair, Method::Native));
        let before = texts(&client, &sums).await;
        let [first, second, ..] = &pair.primary.as_ref().unwrap().shape.columns[..] else { panic!("two columns") };
        let (first, second) = (&first.name, &second.name);
        for _ in 0..20 {
            let swap = format!(
                "WITH two AS (SELECT {first} AS who, {second} AS what FROM t ORDER BY random() LIMIT 2)
                 UPDATE t SET {second} = other.what FROM two AS mine, two AS other
                 WHERE mine.who <> other.who AND t.{first} = mine.who"
            );
            client.batch_execute("BEGIN").await.unwrap();
            run(&client, &swap).await;
            let after = texts(&client, &sums).await;
            client.batch_execute("ROLLBACK").await.unwrap();
            assert_ne!(before, after, "{columns}");
        }
    }
}

#[tokio::test]
async fn sides_of_different_encodings_hash_and_share_alike() {
    let (cluster, primary) = server().await;
    let other = "CREATE DATABASE shadow TEMPLATE template0 ENCODING 'LATIN1' LC_COLLATE 'C' LC_CTYPE 'C'";
    primary.batch_execute(other).await.unwrap();
    let shadow = super::client(&cluster, "shadow").await;
    let rows = "CREATE TABLE t (id int PRIMARY KEY, v text COLLATE \"C\"); CREATE TABLE named (v text COLLATE \"C\" PRIMARY KEY);
        INSERT INTO t SELECT i, chr(160 + i) FROM generate_series(1, 90) i; INSERT INTO named SELECT v FROM t";
    for side in [&primary, &shadow] {
        run(side, rows).await;
    }
    let (ours, theirs) = (catalog(&primary).await, catalog(&shadow).await);
    for (name, ranges) in [("t", true), ("named", false)] {
        let pair = Pair::new(name.into(), Some(ours.table(name)), Some(theirs.table(name)));
        assert_eq!((pair.hashing, pair.ranges), (Hashing::There(Method::Md5), ranges));
        let sql = format!("SELECT pg_catalog.concat_ws(' ', {}) FROM public.{name} t", hash_sums(&pair, Method::Md5));
        let sums = texts(&primary, &sql).await;
        assert_eq!(sums, texts(&shadow, &sql).await);
        run(&shadow, &format!("UPDATE {name} SET v = '!' WHERE v = chr(200)")).await;
        assert_ne!(sums, texts(&shadow, &sql).await);
    }
    let bucket = Chunk::Bucket { number: 3, of: 4 };
    let mut named = keys(&primary, &ours.table("named"), &bucket).await;
    named.retain(|key| key.parts().next() != Some("\u{c8}"));
    let mut there = keys(&shadow, &ours.table("named"), &bucket).await;
    there.retain(|key| key.parts().next() != Some("!"));
    named.sort();
    there.sort();
    assert!(!named.is_empty());
    assert_eq!(named, there);
}

/// A type of which the servers hash the sample differently is hashed by its text, and only that one.
#[tokio::test]
async fn a_type_that_is_hashed_differently_goes_by_its_text() {
    let (_cluster, client) = server().await;
    run(&client, "CREATE TABLE t (id int, v int8); INSERT INTO t SELECT i, i FROM generate_series(1, 50) i").await;
    let table = catalog(&client).await.table("t");
    let mut other = Table::clone(&table);
    other.columns[1].canonical = Canonical::Native { sample: 0 };
    let pair = Pair::new("public.t".into(), Some(table), Some(Arc::new(other)));
    let canonical: Vec<_> = pair.common_columns().iter().map(|(_, canonical)| *canonical).collect();
    assert!(matches!(canonical[..], [Canonical::Native { .. }, Canonical::Text]), "{canonical:?}");
    assert!(hash_row(&pair, Method::Native, Seed::First).contains("record_out(ROW(t.\"v\"))"));
}
