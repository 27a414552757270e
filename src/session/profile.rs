//! What of a session decides how a statement reads: role and settings.

use std::collections::BTreeMap;

/// Role and settings as a shadow connection must have them to answer as the primary would.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct Profile {
    /// The role in force (`SET ROLE`, `SET SESSION AUTHORIZATION`, else who logged in).
    pub role: String,
    /// Settings that differ from the server's defaults, name (lower case) to value, all of them plain.
    pub settings: BTreeMap<String, String>,
}
