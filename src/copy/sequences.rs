//! Sequences of the shadow follow those of the primary, a headroom ahead, so that whoever writes to the shadow after the
//! switch draws no number twice. Numbers are drawn outside transactions and in functions: they are read, not captured.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use thiserror::Error;
use tracing::debug;

use crate::catalog::{Catalog, Handle, ProbeError};
use crate::config::Live;
use crate::effect::TableId;
use crate::server::{Both, Client, ConnectError, Purpose};

/// Between two looks.
const PERIOD: Duration = Duration::from_secs(3);
const STATEMENT_TIMEOUT: Duration = Duration::from_secs(30);
/// The least numbers ahead.
const LEAST_AHEAD: i128 = 1000;
/// Or so many times what was drawn between two looks.
const TIMES_DRAWN: i128 = 10;

/// Where each is that we may read, NULL before its first number, and the table whose column draws from it.
const READ: &str = "SELECT n.nspname, c.relname, s.seqincrement, s.seqmin, s.seqmax, s.seqcycle, \
       CASE WHEN pg_catalog.has_sequence_privilege(c.oid, 'SELECT, USAGE') \
         THEN pg_catalog.pg_sequence_last_value(c.oid) END, \
       (SELECT d.refobjid FROM pg_catalog.pg_depend d WHERE d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass \
          AND d.objid = c.oid AND d.refclassid = d.classid AND d.deptype IN ('a', 'i') LIMIT 1) \
     FROM pg_catalog.pg_sequence s JOIN pg_catalog.pg_class c ON c.oid = s.seqrelid \
       JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE c.relpersistence <> 't'";

/// Moves those that are not as far as the least that is asked for; never back. What is asked of a sequence stands behind
/// CASE, for the server may ask it of tables otherwise.
const FOLLOW: &str = "SELECT pg_catalog.setval(c.oid::pg_catalog.regclass, w.upto) \
     FROM ROWS FROM (pg_catalog.unnest($1::pg_catalog.text[]), pg_catalog.unnest($2::pg_catalog.text[]), \
         pg_catalog.unnest($3::pg_catalog.int8[]), pg_catalog.unnest($4::pg_catalog.int8[])) \
         AS w(schema, name, least, upto) \
       JOIN pg_catalog.pg_namespace n ON n.nspname = w.schema \
       JOIN pg_catalog.pg_class c ON c.relnamespace = n.oid AND c.relname = w.name \
       JOIN pg_catalog.pg_sequence s ON s.seqrelid = c.oid \
     WHERE w.upto BETWEEN s.seqmin AND s.seqmax \
       AND CASE WHEN c.relkind <> 'S' OR NOT pg_catalog.has_sequence_privilege(c.oid, 'UPDATE') THEN false \
         ELSE pg_catalog.sign(s.seqincrement::pg_catalog.numeric) * (w.least - \
           COALESCE(pg_catalog.pg_sequence_last_value(c.oid)::pg_catalog.numeric, \
             s.seqstart::pg_catalog.numeric - s.seqincrement)) > 0 END";

/// A sequence of the primary.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Sequence {
    schema: String,
    name: String,
    increment: i64,
    min: i64,
    max: i64,
    cycle: bool,
    last: i64,
}

/// Where the shadow's is to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Position {
    /// Moved when it is not as far.
    least: i64,
    /// To here.
    upto: i64,
}

impl Sequence {
    /// `before` is where it was at the last look. Half of the headroom may be used up before it is renewed. A sequence that
    /// begins anew at its end, or is near it, is followed without.
    fn position(&self, before: Option<i64>) -> Position {
        let (last, increment) = (i128::from(self.last), i128::from(self.increment));
        let drawn = before.map_or(0, |before| (last - i128::from(before)) / increment).max(0);
        let ahead = LEAST_AHEAD.max(TIMES_DRAWN * drawn) * increment;
        let within = |position: i128| i64::try_from(position).ok().filter(|it| (self.min..=self.max).contains(it));
        match (within(last + ahead / 2), within(last + 2 * ahead)) {
            (Some(least), Some(_)) if !self.cycle => {
                Position { least, upto: within(last + ahead).unwrap_or(self.last) }
            }
            _ => Position { least: self.last, upto: self.last },
        }
    }
}

/// By schema and name, where it was at the last look.
type Before = HashMap<(String, String), i64>;

#[derive(Debug, Error)]
enum Trouble {
    #[error("{0}")]
    Connect(#[from] ConnectError),
    #[error("{0}")]
    Probe(#[from] ProbeError),
}

impl From<tokio_postgres::Error> for Trouble {
    fn from(error: tokio_postgres::Error) -> Self {
        Self::Probe(error.into())
    }
}

/// Lets those follow that belong to mirrored tables or to none, forever.
pub async fn follow_sequences(live: Arc<Live>, primary: Arc<Handle>) {
    let (mut both, mut before) = (None, Before::new());
    loop {
        tokio::time::sleep(PERIOD).await;
        if !live.get().mirror.enabled {
            continue;
        }
        if let Err(trouble) = look(&live, &mut both, &primary.get(), &mut before).await {
            debug!("the shadow's sequences do not follow: {trouble}");
            both = None;
        }
    }
}

async fn look(live: &Live, both: &mut Option<Both>, catalog: &Catalog, before: &mut Before) -> Result<(), Trouble> {
    let (kept, settings) = (both.take(), Arc::clone(&live.get()));
    let both = both.insert(Both::kept_or_new(kept, &settings, Purpose::Copy, STATEMENT_TIMEOUT).await?);
    let sequences = read(&both.primary, catalog).await?;
    let positions: Vec<Position> = sequences
        .iter()
        .map(|sequence| sequence.position(before.get(&(sequence.schema.clone(), sequence.name.clone())).copied()))
        .collect();
    *before = sequences.iter().map(|it| ((it.schema.clone(), it.name.clone()), it.last)).collect();
    let schemas: Vec<&str> = sequences.iter().map(|sequence| sequence.schema.as_str()).collect();
    let names: Vec<&str> = sequences.iter().map(|sequence| sequence.name.as_str()).collect();
    let least: Vec<i64> = positions.iter().map(|position| position.least).collect();
    let upto: Vec<i64> = positions.iter().map(|position| position.upto).collect();
    both.shadow.query(FOLLOW, &[&schemas, &names, &least, &upto]).await?;
    Ok(())
}

async fn read(primary: &Client, catalog: &Catalog) -> Result<Vec<Sequence>, Trouble> {
    let rows = primary.query(READ, &[]).await?;
    let mut sequences = Vec::with_capacity(rows.len());
    for row in &rows {
        let owner: Option<u32> = row.try_get(7)?;
        let last: Option<i64> = row.try_get(6)?;
        let is_left_out = owner.is_some_and(|table| !catalog.tables.contains_key(&TableId(table)));
        let (Some(last), false) = (last, is_left_out) else { continue };
        sequences.push(Sequence {
            schema: row.try_get(0)?,
            name: row.try_get(1)?,
            increment: row.try_get(2)?,
            min: row.try_get(3)?,
            max: row.try_get(4)?,
            cycle: row.try_get(5)?,
            last,
        });
    }
    Ok(sequences)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn sequence(increment: i64, (min, max): (i64, i64), last: i64) -> Sequence {
        Sequence { schema: "public".into(), name: "s".into(), increment, min, max, cycle: false, last }
    }

    #[test]
    fn the_shadow_is_kept_ahead_by_more_than_is_drawn_between_two_looks() {
        let up = sequence(1, (1, i64::MAX), 5000);
        assert_eq!(up.position(None), Position { least: 5500, upto: 6000 });
        assert_eq!(up.position(Some(4000)), Position { least: 10_000, upto: 15_000 });
        let down = sequence(-10, (i64::MIN, -1), -50);
        assert_eq!(down.position(Some(-40)), Position { least: -5050, upto: -10_050 });
    }

    #[test]
    fn at_its_end_or_where_it_begins_anew_it_is_followed_without_headroom() {
        let near = sequence(1, (1, 32_767), 31_000);
        assert_eq!(near.position(None), Position { least: 31_000, upto: 31_000 });
        let round = Sequence { cycle: true, ..sequence(1, (1, 100_000), 50) };
        assert_eq!(round.position(None), Position { least: 50, upto: 50 });
    }

    proptest! {
        #[test]
        fn no_position_is_outside_or_behind(increment in prop_oneof![1..i64::MAX, i64::MIN..-1], last: i64, before: Option<i64>) {
            let it = sequence(increment, (i64::MIN, i64::MAX), last);
            let Position { least, upto } = it.position(before);
            if increment > 0 {
                prop_assert!(last <= least && least <= upto);
            } else {
                prop_assert!(last >= least && least >= upto);
            }
        }
    }
}
