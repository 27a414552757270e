//! A catalog that follows its server.

use std::time::Duration;

use tokio::sync::mpsc;

use super::*;
use crate::catalog::{Changed, Currency, Handle};
use crate::effect::Disturbed;

const SOON: Duration = Duration::from_millis(50);
const NEVER: Duration = Duration::from_hours(1);
/// A test that waits this long has failed.
const PATIENCE: Duration = Duration::from_mins(1);

/// Follows on a connection of its own, and tells of every load.
fn follow(handle: &Arc<Handle>, client: Client, poll: Duration) -> mpsc::UnboundedReceiver<Changed> {
    let (sender, receiver) = mpsc::unbounded_channel();
    let handle = Arc::clone(handle);
    tokio::spawn(async move {
        handle.follow(&client, everything, poll, |changed| drop(sender.send(changed))).await;
    });
    receiver
}

async fn next(loads: &mut mpsc::UnboundedReceiver<Changed>) -> Changed {
    tokio::time::timeout(PATIENCE, loads.recv()).await.expect("a load").expect("it still follows")
}

async fn until_current(handle: &Handle) {
    let current = async {
        while !handle.is_current() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(PATIENCE, current).await.expect("it becomes current");
}

#[tokio::test]
async fn rule_08_a_shape_that_changed_behind_our_back_is_found_and_told() {
    let (cluster, client) = server().await;
    run(&client, "CREATE TABLE steady (a int PRIMARY KEY); CREATE TABLE t (a int PRIMARY KEY, b int)").await;
    let handle = Arc::new(Handle::default());
    let mut loads = follow(&handle, super::client(&cluster, "postgres").await, SOON);
    let first = next(&mut loads).await;
    assert!(first.tables.is_empty() && !first.announced);
    // As many columns as before, of the same types.
    run(&client, "BEGIN; ALTER TABLE t DROP b; ALTER TABLE t ADD c int; COMMIT").await;
    let second = next(&mut loads).await;
    let id = second.after.table("t").shape.table;
    assert_eq!((second.tables.as_slice(), second.announced), (&[id][..], false));
    assert_eq!(second.after.generation, 2);
    run(&client, "CREATE TABLE fresh (a int PRIMARY KEY)").await;
    let third = next(&mut loads).await;
    assert_eq!(third.tables, [third.after.table("fresh").shape.table]);
}

#[tokio::test]
async fn what_changes_no_catalog_causes_no_load() {
    let (cluster, client) = server().await;
    run(&client, "CREATE TABLE t (a int PRIMARY KEY, b int)").await;
    let handle = Arc::new(Handle::default());
    let mut loads = follow(&handle, super::client(&cluster, "postgres").await, SOON);
    next(&mut loads).await;
    run(
        &client,
        "INSERT INTO t SELECT i, i FROM generate_series(1, 1000) i; DELETE FROM t WHERE a % 2 = 0;
         CREATE TEMP TABLE passing (a int); INSERT INTO passing VALUES (1); ANALYZE t",
    )
    .await;
    client.batch_execute("VACUUM public.t").await.unwrap();
    run(&client, "ALTER TABLE t ADD last int").await;
    let second = next(&mut loads).await;
    assert_eq!(second.after.generation, 2);
    assert!(second.after.table("t").column("last").is_some(), "only the ALTER caused a load");
}

#[tokio::test]
async fn ddl_of_ours_is_read_once_its_transaction_has_ended() {
    let (cluster, client) = server().await;
    let handle = Arc::new(Handle::default());
    let mut loads = follow(&handle, super::client(&cluster, "postgres").await, NEVER);
    next(&mut loads).await;
    until_current(&handle).await;
    let ddl = handle.invalidate(Disturbed::Everything);
    run(&client, "CREATE TABLE t (a int PRIMARY KEY)").await;
    assert!(!handle.is_current());
    drop(ddl);
    let load = next(&mut loads).await;
    assert!(load.announced);
    assert_eq!(load.tables, [load.after.table("t").shape.table]);
    until_current(&handle).await;
    assert_eq!(handle.get().table("t").exact, Ok(()));
}

/// Partitions, heirs, and what writes lead to by foreign keys and through views.
#[tokio::test]
async fn rule_12_what_ddl_names_is_doubted_with_all_that_belongs_to_it() {
    let (cluster, client) = server().await;
    run(
        &client,
        "CREATE TABLE root (id int PRIMARY KEY) PARTITION BY LIST (id);
         CREATE TABLE part PARTITION OF root DEFAULT;
         CREATE TABLE parent (id int PRIMARY KEY); CREATE TABLE heir () INHERITS (parent);
         CREATE TABLE owner (id int PRIMARY KEY);
         CREATE TABLE owned (id int PRIMARY KEY, owner int REFERENCES owner ON DELETE CASCADE);
         CREATE VIEW seen AS SELECT * FROM owned; CREATE VIEW other AS SELECT * FROM parent;
         CREATE SCHEMA s; CREATE TABLE s.far (id int PRIMARY KEY); CREATE TABLE steady (id int PRIMARY KEY);
         CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';
         CREATE TRIGGER t AFTER DELETE ON owned FOR EACH ROW EXECUTE FUNCTION f();
         CREATE MATERIALIZED VIEW unmirrored AS SELECT 1",
    )
    .await;
    let handle = Arc::new(Handle::default());
    let _loads = follow(&handle, super::client(&cluster, "postgres").await, NEVER);
    until_current(&handle).await;
    let catalog = handle.get().clone();
    for (named, doubted, views) in [
        ("unmirrored", &[][..], &[][..]),
        ("part", &["root"][..], &[][..]),
        ("root", &["root"], &[]),
        ("heir", &["heir", "parent"], &["other"]),
        ("parent", &["heir", "parent"], &["other"]),
        ("owned", &["owned", "owner"], &["seen"]),
        ("owner", &["owner"], &[]),
        ("far", &["far"], &[]),
        ("seen", &[], &["other", "seen"]),
        ("new", &[], &[]),
    ] {
        let disturbed = Disturbed::Relations(vec![named.to_owned()]);
        let currency = Currency::while_changed(1, &catalog, [&disturbed]);
        let is_doubted = |table: &&Arc<Table>| !currency.trusts(table);
        let mut names: Vec<_> =
            catalog.tables.values().filter(is_doubted).map(|table| table.shape.name.as_str()).collect();
        names.sort_unstable();
        assert_eq!(names, doubted, "{named}");
        let leads = |view: &str| catalog.through_views.get(view).unwrap().clone();
        let is_doubted = |view: &&str| !currency.trusts_view(view, &leads(view));
        assert_eq!(["other", "seen"].into_iter().filter(is_doubted).collect::<Vec<_>>(), views, "{named}");
        assert!(!currency.knows(named) && currency.knows("steady") && !currency.is_whole());
    }
    assert!(Currency::while_changed(1, &catalog, [&Disturbed::NOTHING]).knows("new"));
    assert!(Currency::while_changed(1, &catalog, [&Disturbed::NOTHING, &Disturbed::Everything]).is_nothing());
    let nothing = Currency::nothing(1);
    let leads = |name: &str| !nothing.trusts_reach(catalog.by_oid(catalog.namesakes(name)[0].0).unwrap());
    assert!(leads("owned") && leads("owner") && !leads("steady"), "a function may be another by now");
}

#[tokio::test]
async fn rule_12_what_leads_on_by_way_of_a_table_that_is_not_mirrored_is_doubted_with_it() {
    let (_cluster, client) = super::server().await;
    run(
        &client,
        "CREATE TABLE t (id int PRIMARY KEY); CREATE TABLE u (id int PRIMARY KEY REFERENCES t ON DELETE CASCADE);
         CREATE TABLE v (id int PRIMARY KEY); CREATE SCHEMA s; CREATE TABLE s.v (id int PRIMARY KEY)",
    )
    .await;
    let exclude = Patterns::new(&["public.u".to_owned(), "s.v".to_owned()]);
    let catalog = load(&client, &LoadOptions { exclude, ..everything() }, 1).await.unwrap();
    let named = |name: &str| Disturbed::Relations(vec![name.to_owned()]);
    let while_changed = |disturbed: &[Disturbed]| Currency::while_changed(1, &catalog, disturbed);
    let (t, v) = (&*catalog.table("t"), &*catalog.table("v"));
    let currency = while_changed(&[named("u")]);
    assert!(!currency.trusts(t) && !currency.trusts_reach(t) && currency.trusts(v));
    let currency = while_changed(&[Disturbed::Everything, named("v")]);
    assert!(currency.is_nothing() && currency.trusts_reach(t), "its definition stands");
    assert!(!currency.trusts_reach(v), "a trigger may be on its way");
}

#[tokio::test]
async fn a_lost_connection_ends_it_and_another_takes_over() {
    let (cluster, client) = server().await;
    let handle = Arc::new(Handle::default());
    let mut loads = follow(&handle, super::client(&cluster, "postgres").await, SOON);
    next(&mut loads).await;
    let others = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
        WHERE pid <> pg_backend_pid() AND backend_type = 'client backend'";
    client.batch_execute(others).await.unwrap();
    assert!(tokio::time::timeout(PATIENCE, loads.recv()).await.expect("it ends").is_none());
    run(&client, "CREATE TABLE meanwhile (a int PRIMARY KEY)").await;
    let again = next(&mut follow(&handle, super::client(&cluster, "postgres").await, SOON)).await;
    assert_eq!(again.tables, [again.after.table("meanwhile").shape.table]);
}
