//! What of a session decides how a statement reads: role and settings.

use std::collections::BTreeMap;
use std::sync::Arc;

use quick_cache::sync::Cache;

/// Role and settings as a shadow connection must have them to answer as the primary would.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct Profile {
    /// The role in force (`SET ROLE`, `SET SESSION AUTHORIZATION`, else who logged in).
    pub role: String,
    /// `client_encoding`, `datestyle` and `timezone` in any case, as the primary reports them; and what else differs from
    /// the server's built-in defaults. Name (lower case) to value as SHOW gives it, all of them plain and settable.
    pub settings: BTreeMap<String, String>,
}

/// The server's own, where nothing else is set.
pub(super) const DEFAULT_SEARCH_PATH: &str = "\"$user\", public";

impl Profile {
    /// The schemas in which unqualified names are looked for, unquoted.
    pub fn search_path(&self) -> Vec<String> {
        let path = self.settings.get("search_path").map_or(DEFAULT_SEARCH_PATH, String::as_str);
        let schema = |part: &str| match part.trim() {
            "\"$user\"" | "$user" => self.role.clone(),
            quoted if quoted.starts_with('"') => quoted.trim_matches('"').replace("\"\"", "\""),
            plain => plain.to_lowercase(),
        };
        path.split(',').map(schema).filter(|schema| !schema.is_empty()).collect()
    }
}

impl Profile {
    /// Whether values print in the one way in which images are read (rule 10).
    pub(super) fn prints_plainly(&self) -> bool {
        let is = |name: &str, is_plain: fn(&str) -> bool| {
            self.settings.get(name).is_none_or(|value| is_plain(&value.to_lowercase()))
        };
        self.prints_whole_floats()
            && is("datestyle", |style| !["german", "sql", "postgres"].iter().any(|other| style.contains(other)))
            && is("intervalstyle", |style| style == "postgres")
            && is("client_encoding", |encoding| {
                // As the server compares them: `'utf-8'`, quotes and all, is one.
                let name: String = encoding.chars().filter(char::is_ascii_alphanumeric).collect();
                ["utf8", "unicode"].contains(&name.as_str())
            })
    }

    /// Whether floats print with all their digits.
    pub(super) fn prints_whole_floats(&self) -> bool {
        // The server rounds, and takes hexadecimals: what is no plain number may be any.
        let is_whole = |digits: &String| digits.parse::<i32>().is_ok_and(|digits| digits >= 1);
        self.settings.get("extra_float_digits").is_none_or(is_whole)
    }
}

/// Profiles in use, each once: sessions whose role and settings are equal share one, which is found to be equal at a glance.
#[derive(Debug)]
pub struct Profiles(Cache<Arc<Profile>, Arc<Profile>>);

/// Of profiles that differ.
const KEPT: usize = 1024;

impl Default for Profiles {
    fn default() -> Self {
        Self(Cache::new(KEPT))
    }
}

impl Profiles {
    /// The one that equals `profile`.
    pub fn one(&self, profile: &Arc<Profile>) -> Arc<Profile> {
        if let Some(one) = self.0.get(profile) {
            return one;
        }
        self.0.insert(Arc::clone(profile), Arc::clone(profile));
        Arc::clone(profile)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_profiles_are_one() {
        let profile = |role: &str| Arc::new(Profile { role: role.into(), ..Profile::default() });
        let profiles = Profiles::default();
        let bob = profiles.one(&profile("bob"));
        assert!(Arc::ptr_eq(&bob, &profiles.one(&profile("bob"))));
        assert_ne!(bob, profiles.one(&profile("eve")));
    }

    #[test]
    fn the_search_path_reads_as_the_server_reads_it() {
        let mut profile = Profile { role: "bob".into(), ..Profile::default() };
        assert_eq!(profile.search_path(), ["bob", "public"]);
        profile.settings.insert("search_path".into(), "Sales, \"My Schema\",,\"$user\"".into());
        assert_eq!(profile.search_path(), ["sales", "My Schema", "bob"]);
        profile.settings.insert("search_path".into(), "\"\"".into());
        assert!(profile.search_path().is_empty());
    }
}
