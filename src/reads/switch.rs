//! Bringing a connection from one role and its settings to another's. Text only.

use crate::effect::quote_ident;
use crate::session::Profile;

/// Settings that change no answer and are not worth a switch; and the one that must stay as the connection has it, so that
/// nothing ever writes through it.
const NOT_CARRIED: [&str; 4] =
    ["application_name", "client_min_messages", "default_transaction_read_only", "default_transaction_isolation"];

/// Settings that are no mere values: who has them does not share a connection.
const NOT_SHAREABLE: [&str; 8] = [
    "role",
    "session_authorization",
    "session_replication_role",
    "transaction_isolation",
    "transaction_read_only",
    "transaction_deferrable",
    "default_transaction_deferrable",
    "allow_system_table_mods",
];

/// Settings that decide how values read, and have no default that both servers share.
const REQUIRED: [&str; 3] = ["client_encoding", "datestyle", "timezone"];

/// Whether a connection of ours can be brought to `profile`, and would then read as the session's own does.
pub(super) fn is_shareable(profile: &Profile) -> bool {
    let isolation = profile.settings.get("default_transaction_isolation");
    let texts = || profile.settings.iter().flat_map(|(name, value)| [name, value]).chain([&profile.role]);
    let encoding = profile.settings.get("client_encoding").map_or("utf8", String::as_str);
    !profile.role.is_empty()
        && REQUIRED.iter().all(|&name| profile.settings.contains_key(name))
        && isolation.is_none_or(|level| level.eq_ignore_ascii_case("read committed"))
        && !profile.settings.keys().any(|name| NOT_SHAREABLE.contains(&name.as_str()))
        && texts().all(|text| !text.contains('\0'))
        // The switch is written in UTF-8, and read in the encoding that the connection has at the moment.
        && (is_utf8(encoding) || texts().all(|text| text.is_ascii()))
}

/// The statements that lead from `from` to `to`, one by one; none if nothing differs. They are transactional: in one
/// transaction with the read, they hold when it commits and never were when it fails.
pub(super) fn statements(from: &Profile, to: &Profile) -> Vec<String> {
    let lost = from.settings.keys().filter(|name| is_carried(name) && !to.settings.contains_key(*name));
    let mut statements: Vec<String> = lost.map(|name| format!("RESET {}", quote_ident(name))).collect();
    let role = (from.role != to.role).then(|| set_config("role", &to.role));
    let changed =
        to.settings.iter().filter(|(name, value)| is_carried(name) && from.settings.get(*name) != Some(value));
    let calls: Vec<String> = role.into_iter().chain(changed.map(|(name, value)| set_config(name, value))).collect();
    if !calls.is_empty() {
        statements.push(format!("SELECT {}", calls.join(", ")));
    }
    statements
}

/// `set_config` takes a list such as `search_path` as it is shown, where `SET` would take it for one name.
fn set_config(name: &str, value: &str) -> String {
    format!("pg_catalog.set_config({}, {}, false)", literal(name), literal(value))
}

/// An escape string: it means the same whatever `standard_conforming_strings` is.
fn literal(text: &str) -> String {
    format!("E'{}'", text.replace('\\', "\\\\").replace('\'', "''"))
}

fn is_carried(name: &str) -> bool {
    !NOT_CARRIED.contains(&name)
}

fn is_utf8(encoding: &str) -> bool {
    ["utf8", "utf-8", "unicode"].iter().any(|name| encoding.eq_ignore_ascii_case(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn profile(role: &str, settings: &[(&str, &str)]) -> Profile {
        let settings = settings.iter().map(|&(name, value)| (name.to_owned(), value.to_owned())).collect();
        Profile { role: role.to_owned(), settings }
    }

    /// With what every session reports.
    fn reporting(role: &str, settings: &[(&str, &str)]) -> Profile {
        let reported = [("client_encoding", "UTF8"), ("datestyle", "ISO, MDY"), ("timezone", "UTC")];
        profile(role, &[&reported, settings].concat())
    }

    #[test]
    fn nothing_is_sent_when_nothing_differs() {
        let one = profile("app", &[("timezone", "UTC"), ("application_name", "one")]);
        let other = profile("app", &[("timezone", "UTC"), ("application_name", "other")]);
        assert_eq!(statements(&one, &other), [""; 0]);
    }

    #[test]
    fn role_and_settings_change_in_one_statement_and_what_is_gone_is_reset() {
        let one = profile("app", &[("timezone", "UTC"), ("my.user", "5")]);
        let other = profile("o'neill", &[("search_path", r#"a\b, "$user""#), ("timezone", "UTC")]);
        assert_eq!(
            statements(&one, &other),
            [
                r#"RESET "my.user""#,
                r#"SELECT pg_catalog.set_config(E'role', E'o''neill', false), pg_catalog.set_config(E'search_path', E'a\\b, "$user"', false)"#
            ]
        );
    }

    #[test]
    fn a_connection_never_becomes_one_that_writes() {
        let writer = reporting("app", &[("default_transaction_read_only", "off")]);
        assert!(is_shareable(&writer));
        assert_eq!(statements(&reporting("app", &[]), &writer), [""; 0]);
    }

    #[test]
    fn states_that_cannot_be_shared_are_refused() {
        assert!(is_shareable(&reporting("app", &[("default_transaction_isolation", "read committed")])));
        assert!(!is_shareable(&reporting("app", &[("default_transaction_isolation", "serializable")])));
        assert!(!is_shareable(&reporting("app", &[("session_replication_role", "replica")])));
        assert!(!is_shareable(&reporting("", &[])));
        assert!(!is_shareable(&profile("app", &[("client_encoding", "UTF8")])), "how values read is not known");
        assert!(!is_shareable(&reporting("app", &[("my.name", "a\0b")])));
        assert!(is_shareable(&reporting("jürgen", &[("client_encoding", "UTF8")])));
        assert!(!is_shareable(&reporting("jürgen", &[("client_encoding", "LATIN1")])));
    }
}
