//! What of a session decides how a statement reads: role and settings.

use std::collections::BTreeMap;

/// Role and settings as a shadow connection must have them to answer as the primary would.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct Profile {
    /// The role in force (`SET ROLE`, `SET SESSION AUTHORIZATION`, else who logged in).
    pub role: String,
    /// `client_encoding`, `datestyle` and `timezone` in any case, as the primary reports them; and what else differs from
    /// the server's built-in defaults. Name (lower case) to value as SHOW gives it, all of them plain and settable.
    pub settings: BTreeMap<String, String>,
}
