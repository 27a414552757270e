//! `[[reads.rule]]`: a list of tables in the file, each judged as a key of its own would be.

use config::{Map, Value, ValueKind};
use serde::{Deserialize, Serialize};

use super::kind::{Kind, found};

/// Which reads a rule is about.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RuleOf {
    /// Those of a table of this pattern.
    Table(String),
    /// Those whose text, literals replaced, is this.
    Query(String),
}

/// A share of their own for some reads. The first rule that is about a read decides.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct ReadRule {
    /// Which.
    #[serde(flatten)]
    pub of: RuleOf,
    /// In place of `reads.percent`.
    pub percent: f64,
}

const KEYS: [(&str, Kind); 3] =
    [("table", Kind::Pattern), ("query", Kind::Text), ("percent", Kind::Number(0.0, 100.0))];

/// What is wrong with the first rule that is none.
pub(super) fn complaint(value: &Value) -> Option<String> {
    let ValueKind::Array(rules) = &value.kind else {
        return Some(Kind::Rules.mismatch(&found(&value.kind)));
    };
    let complaints = rules.iter().enumerate().filter_map(|(at, rule)| Some((at, rule_complaint(rule)?)));
    complaints.map(|(at, complaint)| format!("rule {}: {complaint}", at + 1)).next()
}

fn rule_complaint(rule: &Value) -> Option<String> {
    let ValueKind::Table(fields) = &rule.kind else {
        return Some("found no table, allowed: [[reads.rule]] with table or query, and percent".to_owned());
    };
    if let Some(unknown) = sorted(fields).into_iter().find(|name| !KEYS.iter().any(|(key, _)| key == name)) {
        return Some(format!("{unknown}: unknown key, allowed in [[reads.rule]]: table, query, percent"));
    }
    let given = |name: &str| fields.contains_key(name);
    if given("table") == given("query") {
        let found = if given("table") { "both" } else { "neither" };
        return Some(format!("found {found} of table and query, allowed: one of them"));
    }
    if !given("percent") {
        return Some("percent: missing, allowed: a number from 0 to 100".to_owned());
    }
    KEYS.iter().find_map(|(key, kind)| Some(format!("{key}: {}", kind.complaint(fields.get(*key)?)?)))
}

fn sorted(fields: &Map<String, Value>) -> Vec<&str> {
    let mut names: Vec<_> = fields.keys().map(String::as_str).collect();
    names.sort_unstable();
    names
}
