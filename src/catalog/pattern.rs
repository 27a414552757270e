//! Patterns of table names: `public.orders`, `audit.*`, `*`.

/// Patterns as `mirror.include`, `exclude` and `no_rewrite` give them. `*` stands for any run of characters; a pattern
/// without a dot names tables of any schema.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Patterns(Vec<String>);

impl Patterns {
    /// From the settings.
    pub fn new(patterns: &[String]) -> Self {
        Self(patterns.to_vec())
    }

    /// Whether one of them fits.
    pub fn matches(&self, schema: &str, table: &str) -> bool {
        let full = format!("{schema}.{table}");
        self.0.iter().any(|pattern| fits(pattern, if pattern.contains('.') { &full } else { table }))
    }
}

/// The parts between the stars must follow each other: the first at the start, the last at the end, each of the others
/// at the earliest place possible.
fn fits(pattern: &str, name: &str) -> bool {
    let mut parts = pattern.split('*');
    let Some(mut rest) = parts.next().and_then(|first| name.strip_prefix(first)) else { return false };
    let Some(last) = parts.next_back() else { return rest.is_empty() };
    for part in parts {
        let Some(at) = rest.find(part) else { return false };
        rest = &rest[at + part.len()..];
    }
    rest.ends_with(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_is_any_run_and_no_dot_means_any_schema() {
        let matches = |pattern: &str, schema, table| Patterns::new(&[pattern.to_owned()]).matches(schema, table);
        for (pattern, expected) in [
            ("*", true),
            ("public.orders", true),
            ("public.*", true),
            ("*.orders", true),
            ("pub*.o*s", true),
            ("p*c.*r*d*s", true),
            ("orders", true),
            ("ord*", true),
            ("public.order", false),
            ("audit.*", false),
            ("order", false),
            ("public.orders*s", false),
            ("", false),
        ] {
            assert_eq!(matches(pattern, "public", "orders"), expected, "{pattern}");
        }
        assert!(!Patterns::default().matches("public", "orders"));
    }
}
