//! What a statement costs before it is forwarded: analysis, the rewrite, a hit in the cache.

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use crossfade::sql::{Cache, Image, Kind, analyze, returning};

const TEXTS: &[(&str, &str)] = &[
    ("select_by_key", "SELECT abalance FROM pgbench_accounts WHERE aid = $1"),
    ("update_by_key", "UPDATE pgbench_accounts SET abalance = abalance + $1 WHERE aid = $2"),
    (
        "insert_returning",
        "INSERT INTO \"orders\" (\"customer_id\", \"status\", \"total\", \"created_at\") VALUES ($1, $2, $3, now()) \
         RETURNING \"id\"",
    ),
    (
        "select_of_an_orm",
        "SELECT \"o\".\"id\", \"o\".\"status\", \"o\".\"total\", \"c\".\"id\", \"c\".\"name\", \"c\".\"email\" \
         FROM \"orders\" AS \"o\" INNER JOIN \"customers\" AS \"c\" ON \"o\".\"customer_id\" = \"c\".\"id\" \
         LEFT OUTER JOIN \"regions\" AS \"r\" ON \"c\".\"region_id\" = \"r\".\"id\" \
         WHERE \"o\".\"status\" IN ($1, $2, $3) AND \"c\".\"deleted_at\" IS NULL AND lower(\"c\".\"email\") LIKE $4 \
         ORDER BY \"o\".\"created_at\" DESC LIMIT $5 OFFSET $6",
    ),
    ("begin", "BEGIN"),
];

fn statement(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("statement");
    let cache = Cache::new(1000);
    for (name, text) in TEXTS {
        group.bench_function(format!("analyze/{name}"), |bench| bench.iter(|| analyze(black_box(text.as_bytes()))));
        cache.analyze(text.as_bytes());
        group.bench_function(format!("hit/{name}"), |bench| bench.iter(|| cache.analyze(black_box(text.as_bytes()))));

        let script = analyze(text.as_bytes());
        if let [statement] = &script.statements[..]
            && let Kind::Write(write) = &*statement.kind
        {
            group.bench_function(format!("rewrite/{name}"), |bench| {
                bench.iter(|| returning(black_box(statement), write, Image::Row));
            });
        }
    }
    group.finish();
}

criterion_group!(benches, statement);
criterion_main!(benches);
