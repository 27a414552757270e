//! `[[reads.rule]]`: a share of their own for reads of some tables, or of one kind. The first rule that is about a read decides.

use crate::catalog::{Catalog, Patterns};
use crate::config::{ReadRule, Reads, RuleOf};
use crate::effect::TableId;
use crate::sql;

/// The rules of one configuration.
#[derive(Debug, Default)]
pub(super) struct Rules {
    source: Vec<ReadRule>,
    selectors: Vec<Selector>,
}

#[derive(Debug)]
enum Selector {
    Tables(Patterns),
    /// As the report shows it, and as it was given: a long text is cut there.
    Query {
        redacted: String,
        given: String,
    },
}

impl Rules {
    /// In this order.
    pub(super) fn new(source: &[ReadRule]) -> Self {
        let selector = |rule: &ReadRule| match &rule.of {
            RuleOf::Table(pattern) => Selector::Tables(Patterns::new(std::slice::from_ref(pattern))),
            RuleOf::Query(text) => Selector::Query { redacted: sql::redact(text), given: text.clone() },
        };
        Self { source: source.to_vec(), selectors: source.iter().map(selector).collect() }
    }

    /// Whether they were made of these.
    pub(super) fn is_of(&self, source: &[ReadRule]) -> bool {
        self.source == source
    }

    /// The first that is about a read of this text and these tables.
    pub(super) fn first(&self, text: &[u8], tables: &[TableId], catalog: &Catalog) -> Option<&ReadRule> {
        let mut fingerprint = None;
        let mut is_about = |selector: &Selector| match selector {
            Selector::Tables(patterns) => tables
                .iter()
                .filter_map(|table| catalog.tables.get(table))
                .any(|table| patterns.matches(&table.shape.schema, &table.shape.name)),
            Selector::Query { redacted, given } => {
                let text = fingerprint.get_or_insert_with(|| sql::redact(&String::from_utf8_lossy(text)));
                text == redacted || text == given
            }
        };
        let at = self.selectors.iter().position(&mut is_about)?;
        self.source.get(at)
    }
}

/// The highest share that any read may have: who stands above it needs no look.
pub(super) fn highest_share(reads: &Reads) -> f64 {
    reads.rule.iter().map(|rule| rule.percent).fold(reads.percent, f64::max)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::testing::{self, ITEMS, ORDERS};
    use super::*;

    fn rule(of: RuleOf, percent: f64) -> ReadRule {
        ReadRule { of, percent }
    }

    fn table(pattern: &str, percent: f64) -> ReadRule {
        rule(RuleOf::Table(pattern.to_owned()), percent)
    }

    fn query(text: &str, percent: f64) -> ReadRule {
        rule(RuleOf::Query(text.to_owned()), percent)
    }

    fn first(rules: &[ReadRule], text: &str, tables: &[TableId]) -> Option<f64> {
        Rules::new(rules).first(text.as_bytes(), tables, &testing::catalog()).map(|rule| rule.percent)
    }

    #[test]
    fn the_first_rule_about_a_read_decides() {
        let rules = [table("shop.*", 0.0), query("SELECT v FROM orders WHERE id = $1", 75.0), table("*", 5.0)];
        assert_eq!(first(&rules, "SELECT", &[ORDERS, ITEMS]), Some(0.0), "any of its tables");
        assert_eq!(first(&rules, "SELECT v FROM orders WHERE id = 7", &[ORDERS]), Some(75.0));
        assert_eq!(first(&rules, "SELECT v FROM orders WHERE id = $1 -- mine", &[ORDERS]), Some(75.0));
        assert_eq!(first(&rules, "SELECT v FROM orders", &[ORDERS]), Some(5.0));
        assert_eq!(first(&rules[..2], "SELECT v FROM orders", &[ORDERS]), None);
        assert_eq!(first(&[], "SELECT", &[ORDERS]), None);
    }

    #[test]
    fn a_query_may_be_given_as_it_is_written_or_as_the_report_shows_it() {
        let long = format!("SELECT v FROM orders WHERE id IN ({})", vec!["1"; 500].join(", "));
        for given in [sql::redact(&long), long.clone()] {
            assert_eq!(first(&[query(&given, 1.0)], &long, &[]), Some(1.0), "{given}");
        }
    }

    proptest! {
        #[test]
        fn no_read_has_a_higher_share_than_the_highest(percents in prop::collection::vec(0.0..=100.0_f64, 0..5), plain in 0.0..=100.0_f64) {
            let rule = percents.iter().map(|&percent| table("*", percent)).collect();
            let highest = highest_share(&Reads { percent: plain, rule, ..Reads::default() });
            prop_assert!(percents.iter().chain([&plain]).all(|&percent| percent <= highest));
        }
    }
}
