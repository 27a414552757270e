//! How safe functions and operators are, by name and by oid.

use rapidhash::RapidHashMap;

use super::facts::{FunctionFact, OperatorFact};
use super::{Volatility, builtin};

/// By oid and by name.
#[derive(Debug, Default)]
pub(super) struct Functions {
    pub(super) by_oid: RapidHashMap<u32, Volatility>,
    /// `name → (schema, worst of its overloads)`
    pub(super) by_name: RapidHashMap<String, Vec<(String, Volatility)>>,
}

impl Functions {
    pub(super) fn new(functions: &[FunctionFact], operators: &[OperatorFact]) -> Self {
        let mut found = Self::default();
        for (fact, declared) in with_worst_overload(functions) {
            let volatility = match (fact.builtin, declared) {
                (true, declared) => builtin::function(&fact.name, declared),
                (false, "i") => Volatility::Safe,
                (false, "s") => Volatility::Stable,
                (false, _) => Volatility::Opaque,
            };
            found.by_oid.insert(fact.oid, volatility);
            found.worsen(&fact.schema, &fact.name, volatility);
        }
        for fact in operators {
            // PostgreSQL's own depend on nothing but settings.
            let behind = || found.by_oid.get(&fact.function).copied().unwrap_or(Volatility::Opaque);
            let volatility = if fact.builtin { Volatility::Safe } else { behind() };
            found.worsen(&fact.schema, &fact.name, volatility);
        }
        found
    }

    fn worsen(&mut self, schema: &str, name: &str, volatility: Volatility) {
        let schemas = self.by_name.entry(name.to_owned()).or_default();
        match schemas.iter_mut().find(|(known, _)| known == schema) {
            Some((_, worst)) => *worst = volatility.max(*worst),
            None => schemas.push((schema.to_owned(), volatility)),
        }
    }
}

/// Each function with the worst declaration of those that PostgreSQL has under its name: the lists go by name. The
/// user's functions speak for themselves.
fn with_worst_overload(functions: &[FunctionFact]) -> impl Iterator<Item = (&FunctionFact, &str)> {
    let mut worst: RapidHashMap<&str, &str> = RapidHashMap::default();
    for fact in functions.iter().filter(|fact| fact.builtin) {
        let declared = worst.entry(&fact.name).or_insert(&fact.declared);
        *declared = fact.declared.as_str().max(declared);
    }
    functions.iter().map(move |fact| {
        let own = fact.declared.as_str();
        (fact, if fact.builtin { worst.get(fact.name.as_str()).copied().unwrap_or(own) } else { own })
    })
}
