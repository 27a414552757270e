//! How a session's role and settings change, and what that means for images and for other connections.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::Profile;
use super::profile::DEFAULT_SEARCH_PATH;
use super::question::Answer;
use crate::sql::{Setting, SettingValue};
use crate::wire::Startup;

/// Settings that end with the session or transaction and change no result.
const HARMLESS: [&str; 11] = [
    "application_name",
    "lock_timeout",
    "idle_in_transaction_session_timeout",
    "idle_session_timeout",
    "transaction_timeout",
    "client_min_messages",
    "synchronous_commit",
    "transaction",
    "client_connection_check_interval",
    "tcp_user_timeout",
    "log_statement",
];

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

/// Role and settings now, and as they will be if the open transaction rolls back.
#[derive(Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each follows settings of its own, in any combination")]
pub(super) struct Settings {
    login: Arc<Profile>,
    profile: Arc<Profile>,
    /// Of the profile, taken apart.
    search_path: Vec<String>,
    /// What the server reports of itself and another connection must be told.
    reported: BTreeMap<String, String>,
    /// The profile and what is reported.
    shared: Arc<Profile>,
    /// As they were when the open transaction began; set at its first change.
    before: Option<Arc<Profile>>,
    /// As they will be when it commits, when that is not as they are now (SET LOCAL).
    after: Option<Arc<Profile>>,
    shareable: bool,
    temporary: bool,
    known: bool,
    doubt: Doubt,
    datestyle_iso: bool,
    interval_postgres: bool,
    utf8: bool,
    standard_strings: bool,
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
        let search_path = profile.search_path();
        let profile = Arc::new(profile);
        Self {
            login: Arc::clone(&profile),
            profile,
            search_path,
            reported: BTreeMap::new(),
            shared: Arc::default(),
            before: None,
            after: None,
            shareable,
            temporary: false,
            known: true,
            doubt: Doubt::None,
            datestyle_iso: true,
            interval_postgres: true,
            utf8: true,
            standard_strings: true,
        }
    }

    /// Role and settings in force.
    pub(super) fn profile(&self) -> &Arc<Profile> {
        &self.profile
    }

    /// The schemas in which unqualified names are looked for.
    pub(super) fn search_path(&self) -> &[String] {
        &self.search_path
    }

    fn install(&mut self, profile: Arc<Profile>) {
        self.search_path = profile.search_path();
        self.profile = profile;
        self.share();
    }

    fn share(&mut self) {
        let mut shared = Profile::clone(&self.profile);
        shared.settings.extend(self.reported.clone());
        self.shared = Arc::new(shared);
    }

    /// Role and settings in force, if another connection can have them too.
    pub(super) fn shared_profile(&self) -> Option<Arc<Profile>> {
        (self.shareable && self.known && self.doubt == Doubt::None && self.before.is_none() && self.after.is_none())
            .then(|| Arc::clone(&self.shared))
    }

    /// What a statement needs to run elsewhere as it runs here, name and value.
    pub(super) fn for_replay(&self) -> Vec<(String, String)> {
        let mut settings = self.profile.settings.clone();
        // The client's patience, not the mirror's.
        settings.remove("statement_timeout");
        settings.entry("search_path".to_owned()).or_insert_with(|| DEFAULT_SEARCH_PATH.to_owned());
        // Last: what the role may not set is set before it is taken on.
        settings.into_iter().chain([("role".to_owned(), self.profile.role.clone())]).collect()
    }

    /// Whether values print in the one way in which images are read (rule 10).
    pub(super) fn prints_exactly(&self) -> bool {
        self.known && self.datestyle_iso && self.interval_postgres && self.utf8 && self.prints_whole_floats()
    }

    fn prints_whole_floats(&self) -> bool {
        let digits = self.profile.settings.get("extra_float_digits").and_then(|digits| digits.parse::<i32>().ok());
        digits.is_none_or(|digits| digits >= 1)
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

    /// A temporary table was made.
    pub(super) fn made_temporary(&mut self) {
        self.temporary = true;
        self.shareable = false;
    }

    /// Whether a name that the catalog does not know may be a temporary table's.
    pub(super) fn has_temporary(&self) -> bool {
        self.temporary
    }

    /// Something may have changed any setting in a way that was not seen.
    pub(super) fn unknown(&mut self) {
        self.known = false;
    }

    /// Code ran that may have changed role, search_path and temporary tables.
    pub(super) fn doubt(&mut self) {
        self.doubt = Doubt::Unasked;
    }

    /// Whether they are to be asked for before the session can be shared again.
    pub(super) fn is_doubted(&self) -> bool {
        self.doubt == Doubt::Unasked && self.shareable
    }

    /// What the primary says after it.
    pub(super) fn found(&mut self, answer: &Answer) {
        let setting = ("search_path".to_owned(), answer.search_path.clone());
        let found = Profile { role: answer.role.clone(), settings: [setting].into() };
        let is_same = found.role == self.profile.role && found.search_path() == self.search_path;
        self.doubt = if is_same { Doubt::None } else { Doubt::Confirmed };
        if answer.temporary {
            self.made_temporary();
        }
        self.known &= answer.extra_float_digits >= 1 || !self.prints_whole_floats();
    }

    /// Whether a statement of ours, a short one, may run among the client's: nothing that is known ends it.
    pub(super) fn may_ask(&self) -> bool {
        let is_long = |timeout: &String| timeout == "0" || milliseconds(timeout).is_some_and(|time| time >= 1000);
        self.known && self.utf8 && self.profile.settings.get("statement_timeout").is_none_or(is_long)
    }

    /// `DISCARD ALL` was done.
    pub(super) fn discard_all(&mut self) {
        self.install(Arc::clone(&self.login));
        (self.before, self.after) = (None, None);
        (self.shareable, self.temporary, self.known, self.doubt) = (true, false, true, Doubt::None);
    }

    /// A SET or RESET was done, inside an explicit transaction or not.
    pub(super) fn set(&mut self, setting: &Setting, in_block: bool) {
        if HARMLESS.contains(&setting.name.as_str()) {
            return;
        }
        if setting.local && !in_block {
            return;
        }
        if in_block {
            self.before.get_or_insert_with(|| Arc::clone(&self.profile));
        }
        if setting.local {
            self.after.get_or_insert_with(|| Arc::clone(&self.profile));
        } else if let Some(after) = &self.after {
            let mut profile = Profile::clone(after);
            self.known &= change(&mut profile, setting, &self.login);
            self.after = Some(Arc::new(profile));
        }
        let mut profile = Profile::clone(&self.profile);
        self.known &= change(&mut profile, setting, &self.login);
        self.install(Arc::new(profile));
    }

    /// The transaction committed.
    pub(super) fn committed(&mut self) {
        self.before = None;
        if let Some(after) = self.after.take() {
            self.install(after);
        }
    }

    /// The transaction rolled back.
    pub(super) fn rolled_back(&mut self) {
        self.after = None;
        if let Some(before) = self.before.take() {
            self.install(before);
        }
    }

    /// It rolled back to a savepoint: which settings that took back is not kept track of.
    pub(super) fn rolled_back_to_savepoint(&mut self) {
        self.known &= self.before.is_none();
    }
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
fn change(profile: &mut Profile, setting: &Setting, login: &Profile) -> bool {
    match (&setting.value, setting.name.as_str()) {
        (SettingValue::Default, "all") => profile.settings.clone_from(&login.settings),
        (SettingValue::Default, "role" | "session_authorization") => profile.role.clone_from(&login.role),
        (SettingValue::Values(values), "role") if values.len() == 1 => {
            profile.role = if values[0] == "none" { login.role.clone() } else { values[0].clone() };
        }
        (SettingValue::Values(values), "session_authorization") if values.len() == 1 => {
            profile.role.clone_from(&values[0]);
        }
        (SettingValue::Default, name) => match login.settings.get(name) {
            Some(value) => drop(profile.settings.insert(name.to_owned(), value.clone())),
            None => drop(profile.settings.remove(name)),
        },
        (SettingValue::Values(values), "search_path") => {
            let quoted: Vec<_> = values.iter().map(|value| crate::effect::quote_ident(value)).collect();
            profile.settings.insert("search_path".into(), quoted.join(", "));
        }
        (SettingValue::Values(modes), "session_characteristics") => {
            let defaults = modes.iter().filter_map(|mode| mode.split_once('='));
            profile.settings.extend(defaults.map(|(name, value)| (format!("default_{name}"), value.to_owned())));
        }
        (SettingValue::Values(values), name) => drop(profile.settings.insert(name.to_owned(), values.join(", "))),
        (SettingValue::Other, _) => return false,
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
