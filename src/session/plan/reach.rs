//! Which tables a statement writes besides those that it names: by triggers, foreign keys, views, and names that may stand
//! for several.

use super::{Plan, Planner, marked};
use crate::catalog::{Leads, Resolved, Table};
use crate::effect::{Reason, TableId, Touched};
use crate::sql::{Name, Verb, Write};

impl Planner<'_> {
    /// What the statement writes besides the rows of its target.
    pub(super) fn besides(&self, write: &Write, table: &Table) -> Vec<(Touched, Reason)> {
        if self.calls_unseen(write, table) {
            return vec![(Touched::All, Reason::Opaque)];
        }
        let reached = reached(write, &table.leads);
        let triggers = Some(&reached).filter(|reached| !reached.is_empty());
        let cascades = match write.verb {
            // The others are found by the keys of the rows that it tells.
            Verb::Delete => Some(&table.leads.removal.whole).filter(|whole| !whole.is_empty()),
            Verb::Insert | Verb::Update => cascades(write, &table.leads),
        };
        let found = [(triggers, Reason::Trigger), (cascades, Reason::Cascade)];
        found.into_iter().filter_map(|(touched, reason)| Some((touched?.clone(), reason))).collect()
    }

    /// A write to a table that is not mirrored: what is written with it may be.
    pub(super) fn beside_the_mirror(&self, write: &Write, leads: &Leads) -> Plan {
        let by = |leads: &Leads| {
            let mut touched = reached(write, leads);
            cascades(write, leads).into_iter().for_each(|more| touched.extend(more));
            touched
        };
        let touched = self.led_from(&write.target, leads, by);
        let reason = if reached(write, leads).is_empty() { Reason::Cascade } else { Reason::Trigger };
        if touched.is_empty() { Plan::Unmirrored } else { marked(touched, reason) }
    }

    /// Where a write leads while definitions change which table or column a name stands for: wherever one does of which they
    /// are on their way.
    pub(super) fn renamed(&self, table: &Table) -> Touched {
        let moved = self.env.currency.moved(table);
        let mut touched = moved.clone();
        if let Touched::Tables(moved) = moved {
            let tables = moved.iter().filter_map(|id| self.env.catalog.tables.get(id));
            tables.for_each(|table| touched.extend(&self.led_to(table, Leads::everywhere)));
        }
        touched
    }

    /// What is written with a table that is not mirrored.
    fn led_from(&self, target: &Name, leads: &Leads, by: impl Fn(&Leads) -> Touched) -> Touched {
        if self.env.currency.trusts_leads(&target.name, leads) { by(leads) } else { Touched::All }
    }

    /// What is written with a row of `table`.
    pub(super) fn led_to(&self, table: &Table, by: impl Fn(&Leads) -> Touched) -> Touched {
        if self.env.currency.trusts_reach(table) { by(&table.leads) } else { Touched::All }
    }

    /// Marks every table that these names may stand for, and where what is done to them leads.
    pub(super) fn targets(&self, targets: &[Name], reason: Reason, by: impl Fn(&Leads) -> Touched) -> Plan {
        let mut touched = Touched::NONE;
        for target in targets {
            match self.resolve(target) {
                Resolved::Table(table) => {
                    touched.extend(&Touched::Tables(vec![table.shape.table]));
                    touched.extend(&self.led_to(&table, &by));
                    touched.extend(&self.renamed(&table));
                }
                Resolved::Unmirrored(leads) => touched.extend(&self.led_from(target, &leads, &by)),
                Resolved::View(_) => match self.through_view(target) {
                    Touched::All => return marked(Touched::All, Reason::NotATable),
                    tables @ Touched::Tables(_) => touched.extend(&tables),
                },
                Resolved::Unknown if self.is_temporary(target) => {}
                Resolved::Unknown => return marked(Touched::All, reason),
            }
            touched.extend(&self.namesakes(target));
        }
        if touched.is_empty() { Plan::Unmirrored } else { marked(touched, reason) }
    }

    pub(super) fn namesakes(&self, name: &Name) -> Touched {
        let mut tables: Vec<TableId> = self.env.catalog.namesakes(&name.name);
        tables.sort_unstable();
        tables.dedup();
        Touched::Tables(tables)
    }

    /// Whether a name that leads nowhere is a temporary relation's, and nothing is written with it: nothing of that name is
    /// being made.
    fn is_temporary(&self, name: &Name) -> bool {
        self.env.currency.knows(&name.name)
            && self.temporary.is_table(name)
            && !self.env.catalog.leading_temporaries.contains(&name.name)
            && !self.opaque_relations.contains(&name.name)
    }

    /// All that a write through this view may reach.
    pub(super) fn through_view(&self, view: &Name) -> Touched {
        let known = self.env.catalog.through_views.get(&view.name);
        let trusted = known.filter(|reached| self.env.currency.trusts_view(&view.name, reached));
        trusted.cloned().unwrap_or(Touched::All)
    }
}

/// What triggers, rules and what the table calls write when rows are written so.
pub(super) fn reached(write: &Write, leads: &Leads) -> Touched {
    match write.verb {
        Verb::Delete => leads.reach.clone(),
        Verb::Insert | Verb::Update => leads.by_writing(),
    }
}

/// What foreign keys write when rows are written so.
pub(super) fn cascades<'a>(write: &Write, leads: &'a Leads) -> Option<&'a Touched> {
    match write.verb {
        Verb::Delete => Some(&leads.removal.touched),
        Verb::Insert | Verb::Update => leads.of_update(&write.set_columns),
    }
}
