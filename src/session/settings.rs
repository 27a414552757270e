//! How a session's role and settings change, and what that means for images and for other connections.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::Arc;

use super::Profile;
use super::profile::DEFAULT_SEARCH_PATH;
use super::question::Answer;
use crate::effect::Shape;
use crate::sql::{Setting, SettingValue};
use crate::wire::Startup;

/// Settings that end with the session or transaction and change no result.
const HARMLESS: [&str; 11] = [
    "jit",
    "application_name",
    "lock_timeout",
    "idle_in_transaction_session_timeout",
    "idle_session_timeout",
    "client_min_messages",
    "synchronous_commit",
    "transaction",
    "client_connection_check_interval",
    "tcp_user_timeout",
    "log_statement",
];

/// Settings that decide what a name means, who reads and how values print.
const DECISIVE: [&str; 7] = [
    "search_path",
    "role",
    "session_authorization",
    "extra_float_digits",
    "datestyle",
    "intervalstyle",
    "client_encoding",
];

/// Past so many savepoints of a transaction no further is remembered.
const MAX_SAVEPOINTS: usize = 1000;

/// Whether code ran that may have changed role, search_path and temporary tables (rule 15).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Doubt {
    /// No, or they are as they are known.
    None,
    /// They were not asked for since.
    Unasked,
    /// It has changed them.
    Confirmed,
}

/// Role and settings at one moment of a transaction.
#[derive(Debug, Clone)]
struct Moment {
    profile: Arc<Profile>,
    /// The role to which RESET ROLE goes back: who logged in, or SET SESSION AUTHORIZATION.
    user: String,
    /// Whether the profile says what is decisive; else something may have changed any of it in a way that was not seen.
    known: bool,
    /// Whether it says all that another connection must be told.
    whole: bool,
    doubt: Doubt,
}

/// What a ROLLBACK TO goes back to.
#[derive(Debug)]
struct Savepoint {
    name: String,
    now: Moment,
    after: Option<Moment>,
}

/// Role and settings now, and as they will be if the open transaction rolls back. A statement that stands alone is a
/// transaction, and so are all of a query or series: SET LOCAL holds for what stands behind it there, too.
#[derive(Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each follows settings of its own, in any combination")]
pub(super) struct Settings {
    login: Arc<Profile>,
    now: Moment,
    /// Of the profile, taken apart.
    search_path: Vec<String>,
    path_number: u64,
    /// Whether the profile says that values print plainly: the server reports what was set only when it waits for the next
    /// query, and what stands behind it in the same is printed so already.
    is_plain: bool,
    /// What the server reports of itself and another connection must be told.
    reported: BTreeMap<String, String>,
    /// The profile and what is reported.
    shared: Arc<Profile>,
    /// As they were when the open transaction began; set at its first change.
    before: Option<Moment>,
    /// As they will be when it commits, when that is not as they are now (SET LOCAL).
    after: Option<Moment>,
    savepoints: Vec<Savepoint>,
    shareable: bool,
    datestyle_iso: bool,
    interval_postgres: bool,
    utf8: bool,
    standard_strings: bool,
}

fn number(search_path: &[String]) -> u64 {
    let mut hasher = DefaultHasher::new();
    search_path.hash(&mut hasher);
    hasher.finish()
}

impl Settings {
    /// Those of a session that logs in with `startup`; `defaults` are what the role gets at login.
    pub(super) fn new(startup: &Startup, defaults: &[(String, String)]) -> Self {
        let mut profile = Profile { role: startup.get("user").unwrap_or_default().to_owned(), ..Profile::default() };
        let mut shareable = true;
        for (name, value) in defaults {
            profile.settings.insert(name.to_lowercase(), value.clone());
        }
        for (name, value) in &startup.parameters {
            match name.to_lowercase().as_str() {
                "user" | "database" | "replication" => {}
                "options" => shareable &= options(value, &mut profile),
                name if name.starts_with("_pq_.") || HARMLESS.contains(&name) => {}
                name => drop(profile.settings.insert(name.to_owned(), value.clone())),
            }
        }
        let (search_path, is_plain) = (profile.search_path(), profile.prints_plainly());
        let profile = Arc::new(profile);
        Self {
            login: Arc::clone(&profile),
            now: Moment { user: profile.role.clone(), profile, known: true, whole: true, doubt: Doubt::None },
            path_number: number(&search_path),
            search_path,
            is_plain,
            reported: BTreeMap::new(),
            shared: Arc::default(),
            before: None,
            after: None,
            savepoints: Vec::new(),
            shareable,
            datestyle_iso: true,
            interval_postgres: true,
            utf8: true,
            standard_strings: true,
        }
    }

    /// Role and settings in force.
    pub(super) fn profile(&self) -> &Arc<Profile> {
        &self.now.profile
    }

    /// The schemas in which unqualified names are looked for.
    pub(super) fn search_path(&self) -> &[String] {
        &self.search_path
    }

    /// Differs from that of another path.
    pub(super) fn path_number(&self) -> u64 {
        self.path_number
    }

    fn install(&mut self, moment: Moment) {
        self.search_path = moment.profile.search_path();
        self.path_number = number(&self.search_path);
        self.is_plain = moment.profile.prints_plainly();
        self.now = moment;
        self.share();
    }

    fn share(&mut self) {
        let mut shared = Profile::clone(&self.now.profile);
        shared.settings.extend(self.reported.clone());
        self.shared = Arc::new(shared);
    }

    /// Role and settings in force, if another connection can have them too.
    pub(super) fn shared_profile(&self) -> Option<Arc<Profile>> {
        let is_settled = self.now.doubt == Doubt::None && self.before.is_none() && self.after.is_none();
        (self.shareable && self.now.known && self.now.whole && is_settled).then(|| Arc::clone(&self.shared))
    }

    /// What a statement needs to run elsewhere as it runs here, name and value.
    pub(super) fn for_replay(&self) -> Vec<(String, String)> {
        let mut settings = self.now.profile.settings.clone();
        // The client's patience, not the mirror's.
        settings.remove("statement_timeout");
        settings.entry("search_path".to_owned()).or_insert_with(|| DEFAULT_SEARCH_PATH.to_owned());
        // Last: what the role may not set is set before it is taken on.
        settings.into_iter().chain([("role".to_owned(), self.now.profile.role.clone())]).collect()
    }

    /// Whether the values of a row print in the one way in which images are read (rule 10).
    pub(super) fn prints_exactly(&self, shape: &Shape) -> bool {
        self.prints_plainly() && (self.now.doubt != Doubt::Unasked || !may_be_rounded(shape))
    }

    /// The same, as far as it was not done by code that nobody looked into: that is decided when rows are told.
    pub(super) fn prints_plainly(&self) -> bool {
        let is_reported = self.datestyle_iso && self.interval_postgres && self.utf8;
        self.now.known && is_reported && self.is_plain
    }

    /// Whether the server reads a text as we do: the same characters, and backslashes that mean nothing but themselves.
    pub(super) fn reads_alike(&self, text: &[u8]) -> bool {
        (self.utf8 || text.is_ascii()) && (self.standard_strings || memchr::memchr(b'\\', text).is_none())
    }

    /// The server reports a value.
    pub(super) fn reported(&mut self, name: &[u8], value: &[u8]) {
        let settable: &[&[u8]] =
            &[b"DateStyle", b"TimeZone", b"IntervalStyle", b"client_encoding", b"standard_conforming_strings"];
        if settable.contains(&name) {
            let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
            self.reported.insert(text(name).to_lowercase(), text(value));
            self.share();
        }
        match name {
            b"DateStyle" => self.datestyle_iso = value.starts_with(b"ISO"),
            b"IntervalStyle" => self.interval_postgres = value == b"postgres",
            b"client_encoding" => self.utf8 = value.eq_ignore_ascii_case(b"UTF8"),
            b"standard_conforming_strings" => self.standard_strings = value == b"on",
            _ => {}
        }
    }

    /// The session has state that another connection cannot share: temporary tables, LISTEN, advisory locks.
    pub(super) fn unshareable(&mut self) {
        self.shareable = false;
    }

    /// Something may have changed any setting in a way that was not seen.
    pub(super) fn unknown(&mut self) {
        self.before.get_or_insert_with(|| self.now.clone());
        self.now.known = false;
        if let Some(after) = &mut self.after {
            after.known = false;
        }
    }

    /// Code ran that may have changed role, search_path and temporary tables.
    pub(super) fn doubt(&mut self) {
        self.before.get_or_insert_with(|| self.now.clone());
        self.now.doubt = Doubt::Unasked;
        if let Some(after) = &mut self.after {
            after.doubt = Doubt::Unasked;
        }
    }

    /// Whether they are to be asked for before the session can be shared again, and floats be captured exactly.
    pub(super) fn is_doubted(&self) -> bool {
        self.now.doubt == Doubt::Unasked
    }

    /// What the primary says after it.
    pub(super) fn found(&mut self, answer: &Answer) {
        let setting = ("search_path".to_owned(), answer.search_path.clone());
        let found = Profile { role: answer.role.clone(), settings: [setting].into() };
        let is_same = found.role == self.now.profile.role && found.search_path() == self.search_path;
        self.now.doubt = if is_same { Doubt::None } else { Doubt::Confirmed };
        if answer.temporary {
            self.unshareable();
        }
        let is_known = answer.extra_float_digits >= 1 || !self.now.profile.prints_whole_floats();
        self.now.known &= is_known;
        if let Some(after) = &mut self.after {
            after.known &= is_known;
            // What it set for the session may be hidden by what holds for the transaction.
            let is_hidden = |name: &str| after.profile.settings.get(name) != self.now.profile.settings.get(name);
            let hides = after.profile.role != self.now.profile.role || DECISIVE.iter().any(|name| is_hidden(name));
            after.doubt = if hides { Doubt::Unasked } else { self.now.doubt };
        }
    }

    /// Whether a statement of ours, a short one, may run among the client's: nothing that is known ends it.
    pub(super) fn may_ask(&self) -> bool {
        let is_long = |timeout: &String| timeout == "0" || milliseconds(timeout).is_some_and(|time| time >= 1000);
        self.now.known && self.utf8 && self.now.profile.settings.get("statement_timeout").is_none_or(is_long)
    }

    /// `DISCARD ALL` was done.
    pub(super) fn discard_all(&mut self) {
        let (profile, user) = (Arc::clone(&self.login), self.login.role.clone());
        self.install(Moment { profile, user, known: true, whole: true, doubt: Doubt::None });
        (self.before, self.after) = (None, None);
        self.shareable = true;
    }

    /// A SET or RESET was done.
    pub(super) fn set(&mut self, setting: &Setting) {
        if HARMLESS.contains(&setting.name.as_str()) || setting.name.starts_with("transaction_") {
            return;
        }
        self.before.get_or_insert_with(|| self.now.clone());
        if setting.local {
            self.after.get_or_insert_with(|| self.now.clone());
        } else if let Some(after) = &mut self.after {
            after.change(setting, &self.login);
        }
        let mut now = self.now.clone();
        now.change(setting, &self.login);
        self.install(now);
    }

    /// The transaction committed.
    pub(super) fn committed(&mut self) {
        self.before = None;
        self.savepoints.clear();
        if let Some(after) = self.after.take() {
            self.install(after);
        }
    }

    /// The transaction rolled back.
    pub(super) fn rolled_back(&mut self) {
        self.after = None;
        self.savepoints.clear();
        if let Some(before) = self.before.take() {
            self.install(before);
        }
    }

    /// SAVEPOINT was done.
    pub(super) fn savepoint(&mut self, name: &str) {
        if self.savepoints.len() < MAX_SAVEPOINTS {
            self.savepoints.push(Savepoint { name: name.to_owned(), now: self.now.clone(), after: self.after.clone() });
        }
    }

    /// RELEASE was done.
    pub(super) fn release(&mut self, name: &str) {
        if let Some(at) = self.last_savepoint(name) {
            self.savepoints.truncate(at);
        }
    }

    /// ROLLBACK TO was done.
    pub(super) fn rolled_back_to(&mut self, name: &str) {
        // With as many, it may be a later one of the same name that was not remembered.
        let at = self.last_savepoint(name).filter(|_| self.savepoints.len() < MAX_SAVEPOINTS);
        match at.and_then(|at| self.savepoints.get(at).map(|savepoint| (at, savepoint))) {
            Some((at, savepoint)) => {
                self.after.clone_from(&savepoint.after);
                let now = savepoint.now.clone();
                self.savepoints.truncate(at + 1);
                self.install(now);
            }
            None if self.before.is_some() => self.unknown(),
            None => {}
        }
    }

    fn last_savepoint(&self, name: &str) -> Option<usize> {
        self.savepoints.iter().rposition(|savepoint| savepoint.name == name)
    }
}

impl Moment {
    /// `login` is what RESET goes back to.
    fn change(&mut self, setting: &Setting, login: &Profile) {
        let mut profile = Profile::clone(&self.profile);
        if change(&mut profile, &mut self.user, setting, login) {
            self.profile = Arc::new(profile);
        } else if DECISIVE.contains(&setting.name.as_str()) {
            self.known = false;
        } else {
            self.whole = false;
        }
    }
}

/// Types of the server whose values print the same whatever `extra_float_digits` says.
const NEVER_ROUNDED: [&str; 25] = [
    "bit",
    "bool",
    "bpchar",
    "bytea",
    "char",
    "cidr",
    "date",
    "inet",
    "int2",
    "int4",
    "int8",
    "interval",
    "json",
    "jsonb",
    "macaddr",
    "name",
    "numeric",
    "oid",
    "text",
    "time",
    "timestamp",
    "timestamptz",
    "timetz",
    "uuid",
    "varchar",
];

/// Whether rows of this shape may hold floats.
pub(super) fn may_be_rounded(shape: &Shape) -> bool {
    let is_never_rounded = |type_name: &str| {
        let plain = type_name.strip_prefix("pg_catalog.").map(|name| name.trim_matches('"').trim_end_matches("[]"));
        plain.is_some_and(|name| NEVER_ROUNDED.contains(&name.strip_prefix('_').unwrap_or(name)))
    };
    !shape.columns.iter().all(|column| is_never_rounded(&column.type_name))
}

/// A time as a setting gives it.
fn milliseconds(text: &str) -> Option<u64> {
    let unit_at = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(unit_at);
    let factor = match unit.trim() {
        "" | "ms" => 1,
        "s" => 1000,
        "min" => 60_000,
        "h" => 3_600_000,
        _ => return None,
    };
    number.parse::<u64>().ok()?.checked_mul(factor)
}

/// Applies one change; false when what it leads to is not known.
fn change(profile: &mut Profile, user: &mut String, setting: &Setting, login: &Profile) -> bool {
    match (&setting.value, setting.name.as_str()) {
        (SettingValue::Default, "all") => profile.settings.clone_from(&login.settings),
        (SettingValue::Default, "role") => profile.role.clone_from(user),
        (SettingValue::Default, "session_authorization") => {
            user.clone_from(&login.role);
            profile.role.clone_from(user);
        }
        (SettingValue::Values(values), "role") if values.len() == 1 => {
            profile.role.clone_from(if values[0] == "none" { user } else { &values[0] });
        }
        (SettingValue::Values(values), "session_authorization") if values.len() == 1 => {
            user.clone_from(&values[0]);
            profile.role.clone_from(user);
        }
        (SettingValue::Default, name) => match login.settings.get(name) {
            Some(value) => drop(profile.settings.insert(name.to_owned(), value.clone())),
            None => drop(profile.settings.remove(name)),
        },
        (SettingValue::List(text), "search_path") => drop(profile.settings.insert("search_path".into(), text.clone())),
        (SettingValue::Values(values), "search_path") => {
            let quoted: Vec<_> = values.iter().map(|value| crate::effect::quote_ident(value)).collect();
            profile.settings.insert("search_path".into(), quoted.join(", "));
        }
        (SettingValue::Values(modes), "session_characteristics") => {
            let defaults = modes.iter().filter_map(|mode| mode.split_once('='));
            profile.settings.extend(defaults.map(|(name, value)| (format!("default_{name}"), value.to_owned())));
        }
        (SettingValue::Values(values), name) => drop(profile.settings.insert(name.to_owned(), values.join(", "))),
        (SettingValue::List(_) | SettingValue::Other, _) => return false,
    }
    true
}

/// `options` of the start-up message: `-c name=value` and `--name=value`; false for anything else.
fn options(text: &str, profile: &mut Profile) -> bool {
    let mut words = text.split_ascii_whitespace();
    while let Some(word) = words.next() {
        let pair = match word {
            "-c" => words.next(),
            _ => word.strip_prefix("--").or_else(|| word.strip_prefix("-c")),
        };
        let Some((name, value)) = pair.and_then(|pair| pair.split_once('=')) else { return false };
        if value.contains('\\') {
            return false;
        }
        profile.settings.insert(name.replace('-', "_").to_lowercase(), value.to_owned());
    }
    true
}

#[cfg(test)]
mod tests;
