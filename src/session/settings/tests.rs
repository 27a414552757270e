//! Settings that are set, told and taken back.

use super::*;
use crate::effect::{Column, TableId};

fn settings(parameters: &[(&str, &str)]) -> Settings {
    let parameters = parameters.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect();
    Settings::new(&Startup { parameters }, &[("search_path".into(), "app".into())])
}

fn set(name: &str, value: &str, local: bool) -> Setting {
    Setting { name: name.into(), local, value: SettingValue::Values(vec![value.into()]) }
}

#[test]
fn what_a_transaction_set_goes_with_its_rollback_and_set_local_with_its_commit() {
    let mut settings = settings(&[("user", "bob")]);
    assert_eq!(settings.profile().search_path(), ["app"]);
    settings.set(&set("search_path", "one", false));
    assert_eq!(settings.shared_profile(), None, "not before the transaction ends");
    settings.rolled_back();
    assert_eq!(settings.profile().search_path(), ["app"]);
    settings.set(&set("search_path", "two", true));
    assert_eq!(settings.profile().search_path(), ["two"]);
    settings.set(&set("search_path", "three", false));
    settings.committed();
    assert_eq!(settings.profile().search_path(), ["three"]);
    assert!(settings.shared_profile().is_some());
}

#[test]
fn rule_10_only_iso_dates_utf8_and_full_floats_print_exactly() {
    let mut settings = settings(&[("user", "bob"), ("options", "-c extra_float_digits=3 --geqo=off")]);
    assert!(settings.prints_plainly());
    settings.reported(b"DateStyle", b"SQL, DMY");
    assert!(!settings.prints_plainly());
    settings.reported(b"DateStyle", b"ISO, MDY");
    settings.set(&set("extra_float_digits", "0", false));
    assert!(!settings.prints_plainly());
    for rounded in ["0.4", "0x0", " 0"] {
        settings.set(&set("extra_float_digits", rounded, false));
        assert!(!settings.prints_plainly(), "{rounded}");
    }
    settings.discard_all();
    assert!(settings.prints_plainly());
    settings.set(&set("client_encoding", "'utf-8'", false));
    assert!(settings.prints_plainly(), "as asyncpg writes it");
    settings.reported(b"client_encoding", b"LATIN1");
    assert!(!settings.prints_plainly());
}

#[test]
fn a_replay_finds_names_where_the_session_does() {
    let path = |settings: &Settings| {
        settings.for_replay().into_iter().find(|(name, _)| name == "search_path").map(|(_, value)| value)
    };
    let mut session = settings(&[("user", "bob")]);
    assert_eq!(path(&session).as_deref(), Some("app"), "the role's");
    session.set(&set("search_path", "Two", false));
    assert_eq!(path(&session).as_deref(), Some("\"Two\""));
    let startup = Startup { parameters: vec![("user".into(), "bob".into())] };
    assert_eq!(path(&Settings::new(&startup, &[])).as_deref(), Some("\"$user\", public"), "nobody's");
}

#[test]
fn session_characteristics_are_the_defaults_of_its_transactions() {
    let mut settings = settings(&[("user", "bob")]);
    let modes = ["transaction_isolation=serializable", "transaction_read_only=1"];
    let value = SettingValue::Values(modes.map(str::to_owned).to_vec());
    settings.set(&Setting { name: "session_characteristics".into(), local: false, value });
    let settings = &settings.profile().settings;
    assert_eq!(settings["default_transaction_isolation"], "serializable");
    assert_eq!(settings["default_transaction_read_only"], "1");
}

#[test]
fn a_statements_time_is_limited_elsewhere_too_but_not_when_it_is_replayed() {
    let mut settings = settings(&[("user", "bob")]);
    settings.set(&set("statement_timeout", "5s", false));
    settings.committed();
    assert_eq!(settings.shared_profile().unwrap().settings["statement_timeout"], "5s");
    assert!(settings.for_replay().iter().all(|(name, _)| name != "statement_timeout"));
}

#[test]
fn rule_15_behind_code_that_may_change_them_role_and_path_are_shared_when_the_primary_says_that_they_are_the_same() {
    let answer = |search_path: &str, role: &str, temporary, extra_float_digits| Answer {
        relations: Vec::new(),
        search_path: search_path.into(),
        role: role.into(),
        temporary,
        extra_float_digits,
    };
    let mut settings = settings(&[("user", "bob")]);
    settings.doubt();
    settings.committed();
    assert!(settings.shared_profile().is_none() && settings.is_doubted());
    for (path, role) in [("other", "bob"), ("app", "eve"), ("app, other", "bob")] {
        settings.found(&answer(path, role, false, 1));
        assert!(settings.shared_profile().is_none() && !settings.is_doubted(), "{path} {role}");
    }
    settings.found(&answer("app", "bob", false, 3));
    assert!(settings.shared_profile().is_some());
    settings.set(&set("search_path", "My Schema", false));
    settings.committed();
    settings.doubt();
    settings.committed();
    settings.found(&answer("\"My Schema\"", "bob", false, 1));
    assert!(settings.shared_profile().is_some() && settings.prints_plainly());
    settings.found(&answer("\"My Schema\"", "bob", true, 0));
    assert!(settings.shared_profile().is_none() && !settings.prints_plainly());
    settings.discard_all();
    settings.set(&set("extra_float_digits", "0", false));
    settings.committed();
    settings.doubt();
    settings.committed();
    settings.found(&answer("app", "bob", false, 0));
    assert!(settings.shared_profile().is_some(), "as the client set them");
}

#[test]
fn rule_15_only_a_session_that_gives_a_statement_time_is_asked() {
    for (timeout, expected) in [
        ("0", true),
        ("1000", true),
        ("1s", true),
        ("2 min", true),
        ("24h", true),
        ("999", false),
        ("10us", false),
        ("-1", false),
        ("99999999999999999999s", false),
    ] {
        let mut settings = settings(&[("user", "bob")]);
        settings.set(&set("statement_timeout", timeout, false));
        assert_eq!(settings.may_ask(), expected, "{timeout}");
    }
    let mut settings = settings(&[("user", "bob")]);
    assert!(settings.may_ask());
    settings.reported(b"client_encoding", b"LATIN1");
    assert!(!settings.may_ask());
}

#[test]
fn a_role_is_taken_on_and_off() {
    let mut settings = settings(&[("user", "bob")]);
    settings.set(&set("role", "eve", false));
    assert_eq!(settings.profile().role, "eve");
    settings.set(&set("role", "none", false));
    assert_eq!(settings.profile().role, "bob");
    settings.set(&set("session_authorization", "eve", false));
    settings.set(&set("role", "carol", false));
    settings.set(&Setting { name: "role".into(), local: false, value: SettingValue::Default });
    assert_eq!(settings.profile().role, "eve", "whose session it is now");
    settings.set(&set("role", "none", false));
    assert_eq!(settings.profile().role, "eve");
    settings.set(&Setting { name: "session_authorization".into(), local: false, value: SettingValue::Default });
    assert_eq!(settings.profile().role, "bob");
}

#[test]
fn a_savepoint_takes_back_what_was_set_since() {
    let mut settings = settings(&[("user", "bob")]);
    let path = |settings: &Settings| settings.profile().search_path().join(",");
    settings.set(&set("search_path", "one", true));
    settings.savepoint("a");
    settings.set(&set("search_path", "two", false));
    settings.savepoint("b");
    settings.savepoint("a");
    settings.set(&set("search_path", "three", true));
    settings.rolled_back_to("b");
    assert_eq!(path(&settings), "two");
    settings.rolled_back_to("a");
    assert_eq!(path(&settings), "one", "the first of that name: the second is gone");
    settings.rolled_back_to("a");
    settings.savepoint("c");
    settings.release("a");
    settings.set(&set("search_path", "four", false));
    settings.rolled_back_to("c");
    assert!(!settings.prints_plainly(), "what the server would refuse");
    settings.rolled_back();
    assert_eq!(path(&settings), "app");
    assert!(settings.prints_plainly() && settings.shared_profile().is_some());
}

#[test]
fn more_savepoints_than_are_remembered_leave_nothing_known_until_the_transaction_ends() {
    let mut settings = settings(&[("user", "bob")]);
    settings.set(&set("search_path", "one", false));
    for _ in 0..2 * MAX_SAVEPOINTS {
        settings.savepoint("a");
    }
    settings.rolled_back_to("a");
    assert!(!settings.prints_plainly() && settings.savepoints.len() == MAX_SAVEPOINTS);
    settings.rolled_back();
    assert!(settings.prints_plainly());
}

/// As PostgREST and drivers do: values are parameters.
#[test]
fn a_value_that_is_not_seen_matters_where_it_decides_and_as_long_as_it_holds() {
    let mut settings = settings(&[("user", "bob")]);
    let mut unseen = |name: &str, local| {
        settings.set(&Setting { name: name.into(), local, value: SettingValue::Other });
        let during = settings.prints_plainly();
        settings.committed();
        (during, settings.prints_plainly(), settings.shared_profile().is_some())
    };
    assert_eq!(unseen("jit", false), (true, true, true));
    assert_eq!(unseen("search_path", true), (false, true, true));
    assert_eq!(unseen("app.tenant", true), (true, true, true));
    assert_eq!(unseen("app.tenant", false), (true, true, false));
    assert_eq!(unseen("extra_float_digits", false), (false, false, false));
}

#[test]
fn rule_10_behind_code_that_nobody_looked_into_floats_are_read_back_until_the_primary_is_asked() {
    let column = |type_name: &str| Column { name: "c".into(), type_name: type_name.into(), generated: false };
    let shape = |types: &[&str]| Shape {
        table: TableId(1),
        schema: "public".into(),
        name: "t".into(),
        columns: types.iter().map(|name| column(name)).collect(),
        key: vec![0],
    };
    let plain = shape(&["pg_catalog.int4", "pg_catalog.\"char\"", "pg_catalog.text[]", "pg_catalog.timestamptz"]);
    let rounded =
        ["pg_catalog.float8", "pg_catalog.point", "pg_catalog.float4[]", "public.mood"].map(|name| shape(&[name]));
    let mut settings = settings(&[("user", "bob")]);
    assert!(rounded.iter().chain([&plain]).all(|shape| settings.prints_exactly(shape)));
    settings.doubt();
    settings.rolled_back();
    assert!(!settings.is_doubted() && rounded.iter().all(|shape| settings.prints_exactly(shape)), "it took that back");
    settings.unshareable();
    settings.doubt();
    settings.committed();
    assert!(settings.is_doubted() && settings.prints_exactly(&plain));
    assert!(!rounded.iter().any(|shape| settings.prints_exactly(shape)));
    let relations = Vec::new();
    let answer =
        Answer { relations, search_path: "app".into(), role: "bob".into(), temporary: false, extra_float_digits: 1 };
    settings.set(&set("lock_timeout", "1s", true));
    settings.set(&set("timezone", "UTC", true));
    settings.found(&answer);
    settings.committed();
    assert!(!settings.is_doubted(), "nothing decisive hid it");
    assert!(rounded.iter().all(|shape| settings.prints_exactly(shape)));
}
