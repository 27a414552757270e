//! What roles may read and which settings they get; what tells one epoch from another.

use super::*;

#[tokio::test]
async fn rule_11_a_role_reads_all_only_with_every_column_and_no_row_security() {
    let (_cluster, client) = server().await;
    run(
        &client,
        "CREATE ROLE ana LOGIN; CREATE ROLE staff; CREATE ROLE ben LOGIN IN ROLE staff; CREATE ROLE eve BYPASSRLS LOGIN;
         CREATE TABLE open (a int, b int); GRANT SELECT ON open TO PUBLIC;
         CREATE TABLE narrow (a int, b int); GRANT SELECT (a, b) ON narrow TO ana; GRANT SELECT ON narrow TO staff;
         CREATE TABLE secured (a int); ALTER TABLE secured OWNER TO staff; GRANT SELECT ON secured TO PUBLIC;
         ALTER TABLE secured ENABLE ROW LEVEL SECURITY;
         CREATE TABLE forced (a int); ALTER TABLE forced OWNER TO staff; GRANT SELECT ON forced TO PUBLIC;
         ALTER TABLE forced ENABLE ROW LEVEL SECURITY; ALTER TABLE forced FORCE ROW LEVEL SECURITY",
    )
    .await;
    let catalog = catalog(&client).await;
    for (role, readable) in [
        ("postgres", &["open", "narrow", "secured", "forced"][..]),
        ("ana", &["open"]),
        ("ben", &["open", "narrow", "secured"]),
        ("eve", &["open", "secured", "forced"]),
        ("nobody", &[]),
    ] {
        for name in ["open", "narrow", "secured", "forced"] {
            let found = catalog.may_read_all(role, catalog.table(name).shape.table);
            assert_eq!(found, readable.contains(&name), "{role} on {name}");
        }
    }
}

#[tokio::test]
async fn of_settings_for_a_role_the_narrowest_wins() {
    let (_cluster, client) = server().await;
    client.batch_execute("CREATE DATABASE other").await.unwrap();
    run(
        &client,
        "CREATE ROLE ana LOGIN; CREATE ROLE ben LOGIN;
         ALTER ROLE ALL SET work_mem = '1MB'; ALTER DATABASE postgres SET work_mem = '2MB';
         ALTER ROLE ana SET work_mem = '3MB'; ALTER ROLE ana IN DATABASE postgres SET work_mem = '4MB';
         ALTER ROLE ben SET work_mem = '5MB'; ALTER DATABASE other SET work_mem = '6MB';
         ALTER ROLE ben SET search_path = a, b",
    )
    .await;
    let catalog = catalog(&client).await;
    let setting = |role: &str, name: &str| {
        let settings = &catalog.role_settings[role];
        settings.iter().find(|(known, _)| known == name).map(|(_, value)| value.clone())
    };
    for (role, expected) in [("postgres", "2MB"), ("ana", "4MB"), ("ben", "5MB")] {
        assert_eq!(setting(role, "work_mem").as_deref(), Some(expected), "{role}");
    }
    assert_eq!(setting("ben", "search_path").as_deref(), Some("a, b"));
}

#[tokio::test]
async fn what_the_server_is_configured_with_is_a_default_of_every_role() {
    let (_cluster, client) = server().await;
    run(&client, "CREATE ROLE ana LOGIN; CREATE ROLE ben LOGIN; ALTER ROLE ben SET bytea_output = 'hex'").await;
    for set in ["default_transaction_isolation = 'serializable'", "bytea_output = 'escape'", "work_mem = '1MB'"] {
        client.batch_execute(&format!("ALTER SYSTEM SET {set}")).await.unwrap();
    }
    client.batch_execute("SELECT pg_reload_conf()").await.unwrap();
    let setting = |catalog: &Catalog, role: &str, name: &str| {
        let settings = catalog.role_settings.get(role)?;
        settings.iter().find(|(known, _)| known == name).map(|(_, value)| value.clone())
    };
    let mut catalog = catalog(&client).await;
    while setting(&catalog, "ana", "bytea_output").is_none() {
        catalog = super::catalog(&client).await;
    }
    assert_eq!(setting(&catalog, "ana", "bytea_output").as_deref(), Some("escape"));
    assert_eq!(setting(&catalog, "ben", "bytea_output").as_deref(), Some("hex"), "its own");
    assert_eq!(setting(&catalog, "ana", "default_transaction_isolation").as_deref(), Some("serializable"));
    assert_eq!(setting(&catalog, "ana", "work_mem"), None, "changes no answer");
    client.batch_execute("ALTER ROLE postgres SET bytea_output = 'escape'").await.unwrap();
    let catalog = super::catalog(&client).await;
    assert_eq!(setting(&catalog, "ana", "bytea_output"), None, "it may be that of our own role");
}

#[tokio::test]
async fn rule_05_a_restart_begins_a_new_epoch() {
    let (cluster, client) = server().await;
    let before = catalog(&client).await;
    assert_eq!(before.epoch, catalog(&client).await.epoch);
    assert!(before.server_version.starts_with(|c: char| c.is_ascii_digit()));
    cluster.stop_server("fast").unwrap();
    cluster.start_server().unwrap();
    let after = catalog(&super::client(&cluster, "postgres").await).await;
    assert_ne!(before.epoch, after.epoch);
    assert_eq!(before.system_identifier, after.system_identifier);
    assert!(!after.system_identifier.is_empty());
}

#[tokio::test]
async fn an_ordinary_role_can_load_too_even_without_the_system_identifier() {
    let (cluster, client) = server().await;
    run(
        &client,
        "CREATE ROLE ana LOGIN; CREATE TABLE t (a int PRIMARY KEY);
         REVOKE EXECUTE ON FUNCTION pg_catalog.pg_control_system() FROM PUBLIC",
    )
    .await;
    let url = format!("postgres://ana@127.0.0.1:{}/postgres", cluster.port());
    let (client, connection) = tokio_postgres::connect(&url, NoTls).await.unwrap();
    tokio::spawn(connection);
    client.batch_execute("SET search_path = pg_catalog").await.unwrap();
    let catalog = catalog(&client).await;
    assert_eq!(catalog.system_identifier, "");
    assert_eq!(catalog.table("t").exact, Ok(()));
}

#[tokio::test]
async fn rule_15_whoever_may_not_look_at_locks_is_not_asked() {
    let (_cluster, client) = server().await;
    run(&client, "CREATE ROLE ana; CREATE ROLE ben").await;
    let may_ask = async |role: &str| catalog(&client).await.askers.contains(role);
    assert!(may_ask("ana").await && !may_ask("nobody").await);
    for (taken, given) in [
        ("REVOKE SELECT ON pg_catalog.pg_locks FROM PUBLIC", "GRANT SELECT ON pg_catalog.pg_locks TO"),
        (
            "REVOKE EXECUTE ON FUNCTION pg_catalog.pg_lock_status() FROM PUBLIC",
            "GRANT EXECUTE ON FUNCTION pg_catalog.pg_lock_status() TO",
        ),
    ] {
        run(&client, taken).await;
        run(&client, &format!("{given} ben")).await;
        assert!(!may_ask("ana").await && may_ask("ben").await && may_ask("postgres").await, "{taken}");
        run(&client, &format!("{given} PUBLIC")).await;
        assert!(may_ask("ana").await, "{given}");
    }
}
