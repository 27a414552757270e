//! Prepared statements follow the catalog: what was rewritten at its Parse is not for ever fit to be, and the other way round.
//!
//! When the catalog has changed since a statement was planned, its next Bind or Describe plans it anew. Where that asks for
//! another text than the primary has, a Parse of ours goes in front. First under a name of its own: if it fails, the
//! statement that was there stays, and the client gets the error as it would have from its own.

use std::sync::Arc;

use super::accounts::Env;
use super::client::rewritten;
use super::machine::Session;
use super::plan::Planner;
use super::prepared::Prepared;
use super::splice::Splice;
use crate::sql::Kind;
use crate::wire::{self, Target};

/// No client's statement is called so.
const TRIAL: &[u8] = b"crossfade trial";

impl Session {
    pub(super) fn planner<'a>(&'a self, env: &'a Env<'a>) -> Planner<'a> {
        let Self { settings, refusals, opaque_relations, temporary, .. } = self;
        Planner { settings, refusals, opaque_relations, temporary, env }
    }

    /// The statement of this name as the primary will have it at `at`, where what that takes is put.
    pub(super) fn follow(
        &mut self,
        name: &[u8],
        at: usize,
        env: &Env<'_>,
        splice: &mut Splice,
    ) -> Option<Arc<Prepared>> {
        let old = self.names.statements.get(name)?;
        let planner = self.planner(env);
        let era = planner.era();
        let (Some(step), Ok(text)) = (&old.step, std::str::from_utf8(&old.sql)) else { return Some(Arc::clone(old)) };
        if old.era == era || text.is_empty() || !self.reads_alike(&old.sql) {
            return Some(Arc::clone(old));
        }
        let wanted = step.again(text, &planner);
        let Kind::Write(write) = step.kind() else {
            // Its text stays; what it may write is what the catalog says now.
            let new = Arc::new(Prepared { step: Some(self.executing(wanted)), era, ..Prepared::clone(old) });
            self.names.statements.correct(name, Arc::clone(&new));
            return Some(new);
        };
        let is_same = rewritten(&old.sql, Some(step)) == rewritten(&old.sql, Some(&wanted));
        let may_change = !write.returning || write.reads.tables.is_empty() && has_same_columns(old, env);
        let step = match (is_same || may_change, old.capture()) {
            (true, _) => wanted,
            (false, None) => wanted.unrewritten(),
            (false, Some(_)) => step.clone(),
        };
        let shape = old.shape.clone();
        let new = Prepared { sql: old.sql.clone(), types: old.types.clone(), step: Some(step), era, shape };
        let new = Arc::new(new);
        let is_parsed = is_same || !may_change;
        if is_parsed {
            self.names.statements.correct(name, Arc::clone(&new));
        } else {
            self.parse_anew(name, &new, at, splice);
        }
        Some(new)
    }

    fn parse_anew(&mut self, name: &[u8], new: &Arc<Prepared>, at: usize, splice: &mut Splice) {
        let text = rewritten(&new.sql, new.step.as_ref());
        let parse = |name| wire::parse_message(name, &text, &new.types);
        splice.replace(at, 0, &parse(TRIAL));
        splice.replace(at, 0, &wire::close_statement_message(TRIAL));
        splice.replace(at, 0, &wire::close_statement_message(name));
        splice.replace(at, 0, &parse(name));
        self.ask_parse(TRIAL, Arc::clone(new));
        self.hide_answer(b'1');
        self.ask_close(Target::Statement(TRIAL));
        self.hide_answer(b'3');
        self.ask_close(Target::Statement(name));
        self.hide_answer(b'3');
        self.ask_parse(name, Arc::clone(new));
        self.hide_answer(b'1');
    }
}

/// Whether a RETURNING of the client still means the columns that were described to it: else the primary itself must refuse
/// to go on with the statement.
fn has_same_columns(prepared: &Prepared, env: &Env<'_>) -> bool {
    let Some(shape) = &prepared.shape else { return false };
    env.catalog.tables.get(&shape.table).is_some_and(|table| table.shape == *shape)
}
