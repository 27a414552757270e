//! What a definition on its way may make other than a catalog says.

/// Relations of which a catalog is not to be trusted until the definition has ended and the catalog was read anew.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Disturbed {
    /// Of these names, whatever their schema: columns, keys, privileges, policies.
    Shapes(Vec<String>),
    /// And which of them, or of their columns, a name stands for: renamed, moved to another schema, dropped in front of another.
    Names(Vec<String>),
    /// And what a write to them leads to: triggers, rules, foreign keys, code in defaults and checks.
    Relations(Vec<String>),
    /// Any relation, or what functions and roles may do.
    Everything,
}

impl Disturbed {
    /// No relation that is known: what is made is new.
    pub const NOTHING: Self = Self::Shapes(Vec::new());
}
