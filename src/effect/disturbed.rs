//! What a definition on its way may make other than a catalog says.

/// Relations of which a catalog is not to be trusted until the definition has ended and the catalog was read anew.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Disturbed {
    /// Of these names, whatever their schema, and what belongs to them: where a name leads, columns, keys, privileges,
    /// triggers, rules, policies, foreign keys.
    Relations(Vec<String>),
    /// Any relation, or what functions and roles may do.
    Everything,
}

impl Disturbed {
    /// No relation that is known: what is made is new.
    pub const NOTHING: Self = Self::Relations(Vec::new());
}
