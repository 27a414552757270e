//! What of a catalog may be trusted while definitions change it. Without I/O.

use rapidhash::RapidHashSet;

use super::{Catalog, Leads, Resolved, Table};
use crate::effect::{Disturbed, TableId, Touched};

/// Says of which relations a catalog tells what is true, or what it did when the last definition began that may change it.
#[derive(Debug, Default)]
pub struct Currency {
    /// Differs from that of every other moment at which something else was to be trusted.
    pub version: u64,
    trust: Trust,
}

#[derive(Debug)]
enum Trust {
    /// All that it says.
    Whole,
    Except(Doubts),
    /// Nothing: it was never read, or a definition may change anything. Of these, not what a write to them leads to, either.
    Nothing(Doubts),
}

impl Default for Trust {
    fn default() -> Self {
        Self::Nothing(Doubts::default())
    }
}

#[derive(Debug, Default)]
struct Doubts {
    names: RapidHashSet<String>,
    /// Those that the names may stand for, and what inherits from them or they inherit from.
    tables: RapidHashSet<TableId>,
    /// Of these, those of which it is not known which name they or their columns bear.
    moved: RapidHashSet<TableId>,
    /// Of these it is not even known what a write to them leads to.
    leading: RapidHashSet<TableId>,
    /// One of the names is a view's: what others that read it lead to is not known.
    views: bool,
    /// Of tables of these names, mirrored or not, it is not known what a write to them leads to.
    leading_names: RapidHashSet<String>,
}

impl Currency {
    /// Nothing changes.
    pub fn whole(version: u64) -> Self {
        Self { version, trust: Trust::Whole }
    }

    /// Anything may change.
    pub fn nothing(version: u64) -> Self {
        Self { version, trust: Trust::default() }
    }

    /// What is left of `catalog` while all these change.
    pub fn while_changed<'a>(
        version: u64,
        catalog: &Catalog,
        disturbed: impl IntoIterator<Item = &'a Disturbed>,
    ) -> Self {
        let (mut names, mut leading_names, mut moved) =
            (RapidHashSet::default(), RapidHashSet::default(), RapidHashSet::default());
        let (mut is_whole, mut is_nothing) = (true, false);
        for disturbed in disturbed {
            is_whole = false;
            match disturbed {
                Disturbed::Everything => is_nothing = true,
                Disturbed::Shapes(shapes) => names.extend(shapes.iter().cloned()),
                Disturbed::Names(renamed) => {
                    names.extend(renamed.iter().cloned());
                    moved.extend(renamed.iter().cloned());
                }
                Disturbed::Relations(relations) => {
                    names.extend(relations.iter().cloned());
                    moved.extend(relations.iter().cloned());
                    leading_names.extend(relations.iter().cloned());
                }
            }
        }
        if is_whole {
            return Self::whole(version);
        }
        let mut known = names.iter().filter_map(|name| catalog.names.get(name)).flatten();
        let views = known.any(|(_, resolved)| matches!(resolved, Resolved::View(_)));
        let (tables, leading) = (families(&names, catalog), families(&leading_names, catalog));
        let moved = families(&moved, catalog);
        let doubts = Doubts { names, tables, moved, leading, views, leading_names };
        Self { version, trust: if is_nothing { Trust::Nothing(doubts) } else { Trust::Except(doubts) } }
    }

    /// Whether nothing is under way.
    pub fn is_whole(&self) -> bool {
        matches!(self.trust, Trust::Whole)
    }

    /// Whether anything may be trusted.
    pub fn is_nothing(&self) -> bool {
        matches!(self.trust, Trust::Nothing(_))
    }

    /// Whether the relation that is called `name` is the one that the catalog knows, or still none.
    pub fn knows(&self, name: &str) -> bool {
        match &self.trust {
            Trust::Whole => true,
            Trust::Except(doubts) => !doubts.names.contains(name),
            Trust::Nothing(_) => false,
        }
    }

    /// Whether `table` is what the catalog says, and so is all that is written with it.
    pub fn trusts(&self, table: &Table) -> bool {
        let id = table.shape.table;
        match &self.trust {
            Trust::Whole => true,
            Trust::Except(doubts) => {
                doubts.leave_be(&table.leads)
                    && !doubts.tables.contains(&id)
                    && !table.leads.each().any(|led_to| doubts.meet(led_to))
            }
            Trust::Nothing(_) => false,
        }
    }

    /// Whether a write to `table` leads to no other tables than the catalog says: nothing under way names it that may
    /// change that.
    pub fn trusts_reach(&self, table: &Table) -> bool {
        match &self.trust {
            Trust::Whole => true,
            Trust::Except(doubts) => doubts.leave_reach(table),
            // A function may be another by now.
            Trust::Nothing(doubts) => !table.leads.runs_code && doubts.leave_reach(table),
        }
    }

    /// Whether a write to what is not mirrored and called `name` leads to no other tables than these.
    pub fn trusts_leads(&self, name: &str, leads: &Leads) -> bool {
        let changes =
            |doubts: &Doubts| !doubts.leave_be(leads) || leads.each().any(|led_to| meet(led_to, &doubts.leading));
        self.knows(name) && !matches!(&self.trust, Trust::Except(doubts) if changes(doubts))
    }

    /// The tables that are not what it says, or belong to others by now.
    pub fn doubted(&self) -> Touched {
        match &self.trust {
            Trust::Whole => Touched::NONE,
            Trust::Except(doubts) => Touched::Tables(doubts.tables.iter().copied().collect()),
            Trust::Nothing(_) => Touched::All,
        }
    }

    /// Tables of which one or another may be called as `table` is, or its columns otherwise than it says; none where it is
    /// certain.
    pub fn moved(&self, table: &Table) -> Touched {
        match &self.trust {
            Trust::Except(doubts) if doubts.moved.contains(&table.shape.table) => {
                Touched::of(doubts.moved.iter().copied())
            }
            _ => Touched::NONE,
        }
    }

    /// Whether what is known of a view still holds, which leads to these tables.
    pub fn trusts_view(&self, name: &str, leads_to: &Touched) -> bool {
        match &self.trust {
            Trust::Whole => true,
            Trust::Except(doubts) => !doubts.views && self.knows(name) && !doubts.meet(leads_to),
            Trust::Nothing(_) => false,
        }
    }

    /// Whether these tables, told by the primary, are all that was written: none of them belongs to another by now.
    pub fn trusts_written(&self, written: &Touched) -> bool {
        match &self.trust {
            Trust::Whole => true,
            Trust::Except(doubts) => !doubts.meet(written),
            Trust::Nothing(_) => false,
        }
    }
}

impl Doubts {
    /// Whether no table that is not mirrored, on the way to where these lead, leads elsewhere by now.
    fn leave_be(&self, leads: &Leads) -> bool {
        !leads.beside.iter().any(|name| self.leading_names.contains(name))
    }

    fn leave_reach(&self, table: &Table) -> bool {
        let meets = |led_to: &Touched| meet(led_to, &self.leading);
        self.leave_be(&table.leads) && !self.leading.contains(&table.shape.table) && !table.leads.each().any(meets)
    }

    /// Whether one of them is doubted. Not of a reach that has no bounds: what writes everything is marked everywhere.
    fn meet(&self, touched: &Touched) -> bool {
        meet(touched, &self.tables)
    }
}

fn meet(touched: &Touched, tables: &RapidHashSet<TableId>) -> bool {
    match touched {
        Touched::Tables(touched) => touched.iter().any(|table| tables.contains(table)),
        Touched::All => false,
    }
}

/// The tables that these names may stand for, what inherits from them, and what they inherit from.
fn families(names: &RapidHashSet<String>, catalog: &Catalog) -> RapidHashSet<TableId> {
    let mut tables = RapidHashSet::default();
    for (_, resolved) in names.iter().filter_map(|name| catalog.names.get(name)).flatten() {
        if let Resolved::Table(table) = resolved {
            tables.insert(table.shape.table);
            tables.extend(&table.descendants);
        }
    }
    if tables.is_empty() {
        return tables;
    }
    let inherits = |table: &Table| table.descendants.iter().any(|descendant| tables.contains(descendant));
    let ancestors: Vec<_> =
        catalog.tables.values().filter(|table| inherits(table)).map(|table| table.shape.table).collect();
    tables.extend(ancestors);
    tables
}
