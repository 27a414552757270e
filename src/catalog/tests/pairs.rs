//! Both sides beside each other.

use super::*;
use crate::catalog::{KeyKind, Pair, Pairs};
use crate::effect::Reason;

/// Two databases of one cluster as the two sides.
async fn sides(primary: &str, shadow: &str) -> (Cluster, Client, Client) {
    let (cluster, client) = server().await;
    client.batch_execute("CREATE DATABASE shadow").await.unwrap();
    let other = super::client(&cluster, "shadow").await;
    run(&client, primary).await;
    run(&other, shadow).await;
    (cluster, client, other)
}

fn pair<'a>(pairs: &'a Pairs, name: &str) -> &'a Pair {
    pairs.all.iter().find(|pair| pair.name == name).unwrap()
}

#[tokio::test]
async fn differences_of_definition_are_named() {
    let (_cluster, primary, shadow) = sides(
        "CREATE TABLE same (a int PRIMARY KEY, b numeric(9,2) DEFAULT 1);
         CREATE TABLE other (a int PRIMARY KEY, b int NOT NULL, c int);
         CREATE TABLE gone (a int)",
        "CREATE TABLE same (a int PRIMARY KEY, b numeric(9,2) DEFAULT 1);
         CREATE TABLE other (a int, b bigint, d int);
         CREATE TABLE extra (a int)",
    )
    .await;
    let pairs = Pairs::new(&catalog(&primary).await, &catalog(&shadow).await);
    assert_eq!(
        pairs.all.iter().map(|pair| pair.name.as_str()).collect::<Vec<_>>(),
        ["public.extra", "public.gone", "public.other", "public.same"]
    );
    assert!(pair(&pairs, "public.same").differences.is_empty());
    assert_eq!(pair(&pairs, "public.gone").differences, ["the table is missing on the shadow"]);
    assert_eq!(pair(&pairs, "public.extra").differences, ["the table is missing on the primary"]);
    assert_eq!(
        pair(&pairs, "public.other").differences,
        [
            "column a is integer not null on the primary, integer on the shadow",
            "column b is integer not null on the primary, bigint on the shadow",
            "column c is missing on the shadow",
            "column d is missing on the primary",
            "the shadow has no unique index over the key (a)",
        ]
    );
    assert_eq!(pair(&pairs, "public.other").key_kind, KeyKind::None);
    let same = pair(&pairs, "public.same").primary.as_ref().unwrap().shape.table;
    assert_eq!(pairs.of(same).unwrap().name, "public.same");
}

#[tokio::test]
async fn rule_17_ranges_hold_only_where_both_sides_order_alike() {
    let (_cluster, primary, shadow) = sides(
        "CREATE TYPE alike AS ENUM ('a', 'b'); CREATE TYPE turned AS ENUM ('a', 'b');
         CREATE TABLE ints (k int PRIMARY KEY); CREATE TABLE wider (k int PRIMARY KEY);
         CREATE TABLE bytes (k text COLLATE \"C\" PRIMARY KEY); CREATE TABLE words (k text PRIMARY KEY);
         CREATE TABLE german (k text COLLATE \"de-x-icu\" PRIMARY KEY);
         CREATE TABLE moved (k text COLLATE \"de-x-icu\" PRIMARY KEY);
         CREATE TABLE enums (k alike PRIMARY KEY); CREATE TABLE turns (k turned PRIMARY KEY);
         CREATE TABLE digits (k int PRIMARY KEY); CREATE TABLE exact (k numeric PRIMARY KEY)",
        "CREATE TYPE alike AS ENUM ('a', 'b'); CREATE TYPE turned AS ENUM ('b', 'a');
         CREATE TABLE ints (k int PRIMARY KEY); CREATE TABLE wider (k bigint PRIMARY KEY);
         CREATE TABLE bytes (k text COLLATE \"C\" PRIMARY KEY); CREATE TABLE words (k text PRIMARY KEY);
         CREATE TABLE german (k text COLLATE \"de-x-icu\" PRIMARY KEY);
         CREATE TABLE moved (k text COLLATE \"sv-x-icu\" PRIMARY KEY);
         CREATE TABLE enums (k alike PRIMARY KEY); CREATE TABLE turns (k turned PRIMARY KEY);
         CREATE TABLE digits (k text COLLATE \"C\" PRIMARY KEY); CREATE TABLE exact (k numeric PRIMARY KEY)",
    )
    .await;
    let pairs = Pairs::new(&catalog(&primary).await, &catalog(&shadow).await);
    for (name, kind, ranges) in [
        ("ints", KeyKind::Plain, true),
        ("wider", KeyKind::Plain, true),
        ("bytes", KeyKind::Collated, true),
        ("words", KeyKind::Collated, true),
        ("german", KeyKind::Collated, true),
        ("moved", KeyKind::Collated, false),
        ("enums", KeyKind::Collated, true),
        ("turns", KeyKind::Collated, false),
        ("digits", KeyKind::Collated, false),
        ("exact", KeyKind::Opaque, false),
    ] {
        let pair = pair(&pairs, &format!("public.{name}"));
        assert_eq!((pair.key_kind, pair.ranges), (kind, ranges), "{name}");
    }
}

#[tokio::test]
async fn rule_14_a_key_must_be_unique_on_the_other_side_too() {
    let (_cluster, primary, shadow) = sides(
        "CREATE TABLE shared (a int, b int, PRIMARY KEY (a, b)); CREATE TABLE loose (a int PRIMARY KEY);
         CREATE TABLE missing (a int PRIMARY KEY)",
        "CREATE TABLE shared (b int NOT NULL, a int NOT NULL, c int PRIMARY KEY, UNIQUE (b, a));
         CREATE TABLE loose (a int)",
    )
    .await;
    let options = LoadOptions { other: Some(Arc::new(catalog(&shadow).await)), ..everything() };
    let catalog = load(&primary, &options, 1).await.unwrap();
    assert_eq!(catalog.table("shared").exact, Ok(()));
    assert_eq!(catalog.table("loose").exact, Err(Reason::NoKey));
    assert_eq!(catalog.table("missing").exact, Ok(()), "it may be on its way");
}
