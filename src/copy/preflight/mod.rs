//! Before the first row: what of the tables' definitions would make a copy fail, or come out other than it was, told
//! for all tables at once.

mod columns;
mod facts;

use std::collections::{HashMap, HashSet};

use tokio_postgres::{Client, Error};

use self::columns::fit;
use self::facts::{ColumnFact, SideFacts, TableFact};
use crate::catalog::{KeyKind, Pair};
use crate::report::job::{Finding, Severity};
use crate::server::Both;

/// What was found, and in which order the tables are to be copied.
#[derive(Debug)]
pub(super) struct Preflight {
    /// In the order of the tables.
    pub(super) findings: Vec<Finding>,
    /// Places of the tables: all of one step may be copied at once, parents come in earlier steps than their children.
    /// One step where the shadow lets us stop its foreign keys.
    pub(super) steps: Vec<Vec<usize>>,
}

impl Preflight {
    /// Whether nothing may be copied.
    pub(super) fn refuses(&self) -> bool {
        self.findings.iter().any(|finding| finding.severity == Severity::Refused)
    }
}

/// Looks at both sides of all `pairs`.
pub(super) async fn preflight(both: &Both, pairs: &[Pair]) -> Result<Preflight, Error> {
    let names: Vec<&str> = pairs.iter().map(|pair| pair.name.as_str()).collect();
    let primary = SideFacts::read(&both.primary, &names).await?;
    let shadow = SideFacts::read(&both.shadow, &names).await?;
    let enforcement = Enforcement::of(&both.shadow).await?;
    let examined = Examined { primary, shadow, enforcement, chosen: names.iter().copied().collect() };
    let mut findings: Vec<Finding> = pairs.iter().flat_map(|pair| examined.table(pair)).collect();
    findings.extend(examined.encoding());
    let steps = match enforcement {
        Enforcement::Stopped => vec![(0..pairs.len()).collect()],
        Enforcement::Active => parents_first(&names, &examined.shadow.parents()),
    };
    Ok(Preflight { findings, steps })
}

/// Whether triggers and foreign keys of the shadow act on what is copied.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Enforcement {
    /// Only what is declared ALWAYS or REPLICA.
    Stopped,
    /// Like on any write.
    Active,
}

impl Enforcement {
    async fn of(shadow: &Client) -> Result<Self, Error> {
        let tried = shadow.batch_execute("BEGIN; SET LOCAL session_replication_role = replica").await;
        shadow.batch_execute("ROLLBACK").await?;
        match tried {
            Ok(()) => Ok(Self::Stopped),
            Err(error) if error.as_db_error().is_some() => Ok(Self::Active),
            Err(error) => Err(error),
        }
    }
}

struct Examined<'a> {
    primary: SideFacts,
    shadow: SideFacts,
    enforcement: Enforcement,
    chosen: HashSet<&'a str>,
}

impl Examined<'_> {
    fn table(&self, pair: &Pair) -> Vec<Finding> {
        let name = pair.name.as_str();
        let mut found = Vec::new();
        let mut tell = |severity, what: String| found.push(Finding { table: name.to_owned(), severity, what });
        let Some(ours) = self.primary.tables.get(name) else {
            tell(Severity::Refused, "it is missing on the primary".into());
            return found;
        };
        let Some(theirs) = self.shadow.tables.get(name) else {
            tell(
                Severity::Refused,
                "it is missing on the shadow: create it there, or fill an empty database with --create-schema".into(),
            );
            return found;
        };
        for (severity, what) in rights(ours, theirs).into_iter().chain(columns(ours, theirs)) {
            tell(severity, what);
        }
        if let Some(what) = key(pair) {
            tell(Severity::Warning, what);
        }
        for (index, definition) in &theirs.unique {
            if !ours.unique.values().any(|known| known == definition) {
                tell(
                    Severity::Warning,
                    format!("unique index {index} is only on the shadow: rows that it refuses stay suspect"),
                );
            }
        }
        for (trigger, fires_in_replica) in &theirs.triggers {
            if *fires_in_replica || self.enforcement == Enforcement::Active {
                tell(
                    Severity::Warning,
                    format!("trigger {trigger} of the shadow fires for every copied row: disable it"),
                );
            }
        }
        if self.enforcement == Enforcement::Active {
            for parent in theirs.parents.iter().filter(|parent| !self.chosen.contains(parent.as_str())) {
                let what = format!(
                    "it references {parent}, which is not in the list: rows whose parent the shadow lacks are refused"
                );
                tell(Severity::Warning, what);
            }
        }
        found
    }

    fn encoding(&self) -> Option<Finding> {
        let (ours, theirs) = (&self.primary.encoding, &self.shadow.encoding);
        let differs = ours != theirs && (theirs != "UTF8" || ours == "SQL_ASCII");
        differs.then(|| Finding {
            table: "(database)".into(),
            severity: Severity::Warning,
            what: format!("its encoding is {ours} on the primary, {theirs} on the shadow: rows with characters it lacks are refused"),
        })
    }
}

fn rights(ours: &TableFact, theirs: &TableFact) -> Vec<(Severity, String)> {
    let refused = [
        (
            ours.row_security,
            "row security of the primary hides rows from the user of primary.url: let it bypass (ALTER ROLE … BYPASSRLS)",
        ),
        (
            theirs.row_security,
            "row security of the shadow hides rows from the user of shadow.url: let it bypass (ALTER ROLE … BYPASSRLS)",
        ),
        (!ours.may_read, "the user of primary.url may not read it: GRANT SELECT"),
        (!theirs.may_write, "the user of shadow.url may not write it: GRANT SELECT, INSERT, UPDATE, DELETE"),
    ];
    refused.into_iter().filter(|(applies, _)| *applies).map(|(_, what)| (Severity::Refused, what.to_owned())).collect()
}

fn columns(ours: &TableFact, theirs: &TableFact) -> Vec<(Severity, String)> {
    let mut found = Vec::new();
    let by_name: HashMap<&str, &ColumnFact> =
        theirs.columns.iter().map(|column| (column.name.as_str(), column)).collect();
    for column in ours.columns.iter().filter(|column| !column.generated) {
        let name = &column.name;
        match by_name.get(name.as_str()) {
            None => found.push((Severity::Refused, format!("column {name} is missing on the shadow"))),
            Some(other) if other.generated => {
                found.push((
                    Severity::Refused,
                    format!("column {name} is generated on the shadow and not on the primary"),
                ));
            }
            Some(other) => {
                if let Some(why) = fit(&column.type_name, &other.type_name) {
                    let what = format!(
                        "column {name} is {} on the primary, {} on the shadow: {why}",
                        column.type_name, other.type_name
                    );
                    found.push((Severity::Warning, what));
                }
                if other.not_null && !column.not_null {
                    found.push((
                        Severity::Warning,
                        format!("column {name} takes no NULL on the shadow: rows with one are refused"),
                    ));
                }
            }
        }
    }
    for column in theirs.columns.iter().filter(|column| !ours.columns.iter().any(|known| known.name == column.name)) {
        if column.not_null && !column.has_default && !column.generated {
            let what = format!(
                "column {} is only on the shadow, takes no NULL and has no default: every row is refused",
                column.name
            );
            found.push((Severity::Refused, what));
        }
    }
    found
}

fn key(pair: &Pair) -> Option<String> {
    let key = pair.primary.as_ref().map(|table| table.key_names()).unwrap_or_default();
    match pair.key_kind {
        KeyKind::None if key.is_empty() => Some(
            "it has no key: it is copied in shares of about 20000 rows or 2 MB, for each of which both sides read all of it, and \
             again where it is written meanwhile"
                .into(),
        ),
        KeyKind::None => Some(format!(
            "the shadow has no unique index over its key ({}): it is copied in shares of about 20000 rows or 2 MB, for each \
             of which both sides read all of it",
            key.join(", ")
        )),
        KeyKind::Plain | KeyKind::Collated | KeyKind::Opaque => None,
    }
}

/// Steps in which every table comes behind those it references; circles are one step, the last.
fn parents_first(names: &[&str], parents: &HashMap<&str, &[String]>) -> Vec<Vec<usize>> {
    let mut left: Vec<usize> = (0..names.len()).collect();
    let mut steps = Vec::new();
    while !left.is_empty() {
        let waits = |place: &usize| {
            let own = names[*place];
            let among = |parent: &String| parent != own && left.iter().any(|other| names[*other] == parent);
            parents.get(own).is_some_and(|parents| parents.iter().any(among))
        };
        let (waiting, ready): (Vec<usize>, Vec<usize>) = left.iter().copied().partition(waits);
        let circle = ready.is_empty();
        steps.push(if circle { waiting.clone() } else { ready });
        left = if circle { Vec::new() } else { waiting };
    }
    steps
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parents_come_before_their_children_and_circles_last() {
        let names = ["lines", "orders", "customers", "a", "b", "tree"];
        let lists = [
            ("lines", vec!["orders".to_owned()]),
            ("orders", vec!["customers".into(), "elsewhere".into()]),
            ("a", vec!["b".into()]),
            ("b", vec!["a".into()]),
            ("tree", vec!["tree".into()]),
        ];
        let parents = lists.iter().map(|(name, parents)| (*name, &parents[..])).collect();
        assert_eq!(parents_first(&names, &parents), [vec![2, 5], vec![1], vec![0], vec![3, 4]]);
        assert_eq!(parents_first(&[], &parents), Vec::<Vec<usize>>::new());
    }
}
