//! What happens with a statement on its way to the primary: forwarded as it is, captured, or marked.
//!
//! Not sure means no: a statement whose effect cannot be told exactly marks what it may have written, and a mark
//! always converges. Rules 7 and 10 to 16.

use std::collections::HashSet;
use std::sync::Arc;

use super::accounts::Env;
use super::refusals::{Refusal, Refusals};
use super::settings::{Settings, may_be_rounded};
use super::temporary::Temporary;
use crate::catalog::{Extent, Leads, Resolved, Table, Volatility};
use crate::config::Ddl;
use crate::effect::{Disturbed, Reason, Replay, Shape, Touched};
use crate::sql::{self, Bulky, Call, DefiningQuery, FunctionName, Kind, Name, Script, Verb, Write};

mod reach;
mod step;

use reach::{cascades, reached};
pub(super) use step::Step;

/// What happens with a statement.
#[derive(Debug, Clone)]
pub(super) enum Plan {
    /// Forwarded: it writes nothing that counts.
    Quiet,
    /// Rewritten so that the primary tells its rows.
    Captured(Arc<Capture>),
    /// Forwarded: what it may have written is marked.
    Marked(Arc<Marking>),
    /// Forwarded: it writes only what is not mirrored.
    Unmirrored,
    /// Replaced by an error: `mirror.ddl = "refuse"`.
    Refused,
}

/// How a statement is captured.
#[derive(Debug, Clone)]
pub(super) struct Capture {
    pub(super) verb: Verb,
    /// The table it names, as it was known then.
    pub(super) table: Arc<Table>,
    pub(super) shape: Arc<Shape>,
    /// Whether the client asked for rows of its own.
    pub(super) own_columns: bool,
    /// All tables it may write.
    pub(super) touched: Touched,
    /// What it writes besides the rows it tells.
    pub(super) besides: Vec<(Touched, Reason)>,
    /// The insertion into the text.
    pub(super) rewrite: sql::Rewrite,
}

/// What a statement may have written.
#[derive(Debug)]
pub(super) struct Marking {
    pub(super) touched: Touched,
    pub(super) reason: Reason,
    /// To be run again on the shadow.
    pub(super) replay: Option<Replay>,
    /// Of these it changes what they are.
    pub(super) disturbed: Option<Disturbed>,
}

/// Whether a read leaves something behind in its session.
pub(super) fn changes_session(read: &sql::Read) -> bool {
    let changes =
        |name: &str| name == "set_config" || name.starts_with("pg_advisory") || name.starts_with("pg_try_advisory");
    read.functions.iter().any(|function| changes(&function.name))
}

/// What a plan depends on beside the statement and the session's settings.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Era {
    /// Of the catalog.
    pub(super) generation: u64,
    /// Of what could be trusted of it.
    pub(super) currency: u64,
    /// How many of its tables had refused a rewrite of this session.
    pub(super) refusals: usize,
    /// Of the schemas in which names are looked for.
    pub(super) path: u64,
}

/// Plans statements.
pub(super) struct Planner<'a> {
    pub(super) settings: &'a Settings,
    pub(super) refusals: &'a Refusals,
    /// Views that the session made, of which reading runs code that may write, and temporary tables, of which writing does.
    pub(super) opaque_relations: &'a HashSet<String>,
    pub(super) temporary: &'a Temporary,
    pub(super) env: &'a Env<'a>,
}

fn marked(touched: Touched, reason: Reason) -> Plan {
    Plan::Marked(Arc::new(Marking { touched, reason, replay: None, disturbed: None }))
}

/// Columns whose text may be too long to be made (rule 10). Those of a key have to fit into an index.
fn bulky(table: &Table) -> Vec<Bulky<'_>> {
    let columns = table.shape.columns.iter().zip(&table.columns).enumerate();
    let others = columns.filter(|(index, _)| !table.shape.key.contains(index));
    let bulky = others.filter_map(|(_, (column, facts))| match facts.extent {
        Extent::Bounded => None,
        Extent::Octets => Some(Bulky::Octets(&column.name)),
        Extent::Stored => Some(Bulky::Stored(&column.name)),
    });
    bulky.collect()
}

/// Whether rows only arrive in a table that has no key: each is told by its image, and none is ever looked for.
fn is_arrival(write: &Write, table: &Table) -> bool {
    table.exact == Err(Reason::NoKey)
        && table.shape.key.is_empty()
        && write.verb == Verb::Insert
        && write.set_columns.is_empty()
}

impl Planner<'_> {
    /// When this is.
    pub(super) fn era(&self) -> Era {
        let generation = self.env.catalog.generation;
        Era {
            generation,
            currency: self.env.currency.version,
            refusals: self.refusals.count(generation),
            path: self.settings.path_number(),
        }
    }

    /// Plans one statement of `script`, which stands in `text`.
    pub(super) fn step(&self, script: &Arc<Script>, index: usize, text: &str) -> Step {
        let statement = script.statements.get(index);
        let plan = statement.map_or(Plan::Quiet, |statement| self.plan(statement, text));
        let opaque_relation = statement.and_then(|statement| self.opaque_relation(&statement.kind));
        Step { script: Arc::clone(script), index, plan, opaque_relation }
    }

    fn opaque_relation(&self, kind: &Kind) -> Option<String> {
        let Kind::Ddl { targets, query: Some(query), .. } = kind else { return None };
        let is_opaque = match query {
            DefiningQuery::View(read) => self.reads_opaque(read),
            DefiningQuery::Table(read) => {
                self.is_opaque(&read.functions) || read.tables.iter().any(|like| self.calls(like))
            }
            DefiningQuery::Runs(_) => false,
        };
        targets.first().filter(|_| is_opaque).map(|made| made.name.clone())
    }

    /// Whether defaults or checks of a table may write anything.
    fn calls(&self, table: &Name) -> bool {
        match self.resolve(table) {
            Resolved::Table(table) => table.leads.calls,
            Resolved::Unmirrored(leads) => leads.calls,
            Resolved::View(_) => false,
            Resolved::Unknown => self.opaque_relations.contains(&table.name),
        }
    }

    fn plan(&self, statement: &sql::Statement, text: &str) -> Plan {
        match &*statement.kind {
            Kind::Read(read) if !read.settings.is_empty() && self.sets_by_servers_own() => Plan::Quiet,
            Kind::Read(read) | Kind::CopyTo(read) | Kind::DeclareCursor(read) => {
                if self.reads_opaque(read) {
                    marked(Touched::All, Reason::Opaque)
                } else {
                    Plan::Quiet
                }
            }
            Kind::Write(write) => self.write(statement, write),
            Kind::OtherWrite { targets, reads } => {
                if self.reads_opaque(reads) {
                    marked(Touched::All, Reason::Opaque)
                } else if targets.is_empty() {
                    Plan::Quiet
                } else {
                    self.targets(targets, Reason::Form, Leads::of_rows)
                }
            }
            Kind::CopyFrom { reads, .. } if self.reads_opaque(reads) => marked(Touched::All, Reason::Opaque),
            Kind::CopyFrom { target, .. } => self.targets(std::slice::from_ref(target), Reason::Copy, Leads::of_rows),
            Kind::Truncate { targets, cascade: false } => self.targets(targets, Reason::Truncate, Leads::of_truncation),
            Kind::Truncate { cascade: true, .. } => marked(Touched::All, Reason::Truncate),
            // Of roles: it changes who may read what, and no table.
            Kind::Ddl { cluster_wide: true, temporary: false, disturbed, .. } => {
                let (touched, disturbed) = (Touched::NONE, Some(disturbed.clone()));
                Plan::Marked(Arc::new(Marking { touched, reason: Reason::Ddl, replay: None, disturbed }))
            }
            Kind::Ddl { targets, temporary: false, disturbed, query, .. } => {
                self.ddl(targets, disturbed, query.as_ref(), text.get(statement.span.clone()).unwrap_or(text))
            }
            Kind::Procedure | Kind::Execute { .. } => marked(Touched::All, Reason::Opaque),
            Kind::Opaque => marked(Touched::All, Reason::Unparsed),
            Kind::CommitPrepared(_) => marked(Touched::All, Reason::TwoPhase),
            Kind::Ddl { temporary: true, query, .. } if self.may_do_more(query.as_ref()) => {
                marked(Touched::All, Reason::Opaque)
            }
            Kind::Ddl { temporary: true, .. }
            | Kind::Begin { .. }
            | Kind::Commit { .. }
            | Kind::Rollback { .. }
            | Kind::Savepoint(_)
            | Kind::Release(_)
            | Kind::RollbackTo(_)
            | Kind::PrepareTransaction(_)
            | Kind::RollbackPrepared(_)
            | Kind::Set(_)
            | Kind::Discard { .. }
            | Kind::Prepare { .. }
            | Kind::Deallocate(_)
            | Kind::Utility { .. } => Plan::Quiet,
        }
    }

    fn write(&self, statement: &sql::Statement, write: &Write) -> Plan {
        let table = match self.resolve(&write.target) {
            Resolved::Table(table) => table,
            _ if self.calls_opaque(write) => return marked(Touched::All, Reason::Opaque),
            Resolved::Unmirrored(leads) => return self.beside_the_mirror(write, &leads),
            Resolved::View(_) => return marked(self.through_view(&write.target), Reason::NotATable),
            Resolved::Unknown => {
                return self.targets(std::slice::from_ref(&write.target), Reason::Form, Leads::of_rows);
            }
        };
        let mut touched = self.namesakes(&write.target);
        touched.extend(&Touched::Tables(vec![table.shape.table]));
        let besides = self.besides(write, &table);
        for (more, _) in &besides {
            touched.extend(more);
        }
        cascades(write, &table.leads).into_iter().for_each(|more| touched.extend(more));
        if let Err(reason) = self.qualifies(write, &table) {
            touched.extend(&self.led_to(&table, |leads| reached(write, leads)));
            touched.extend(&self.renamed(&table));
            return marked(touched, reason);
        }
        match self.refusals.of(table.shape.table, self.env.catalog.generation) {
            Some(Refusal::New) => return marked(Touched::All, Reason::NotATable),
            Some(Refusal::Repeated) => return marked(touched, Reason::Privilege),
            None => {}
        }
        let key: Vec<&str> = table.shape.key_columns().map(|column| column.name.as_str()).collect();
        let bulky = bulky(&table);
        let by_name = sql::names_its_row(write, table.shape.columns.iter().map(|column| column.name.as_str()));
        let image = match write.verb {
            Verb::Delete => sql::Image::Columns(&key),
            Verb::Insert | Verb::Update if !bulky.is_empty() => sql::Image::Unless { bulky: &bulky, key: &key },
            Verb::Insert | Verb::Update if by_name => sql::Image::Whole,
            Verb::Insert | Verb::Update => sql::Image::Row,
        };
        let rewrite = sql::returning(statement, write, image);
        let (verb, own_columns, shape) = (write.verb, write.returning, Arc::clone(&table.shape));
        Plan::Captured(Arc::new(Capture { verb, table, shape, own_columns, touched, besides, rewrite }))
    }

    /// Whether the statement may be captured, by table, role, session and form.
    fn qualifies(&self, write: &Write, table: &Table) -> Result<(), Reason> {
        if let Err(reason) = table.exact
            && !is_arrival(write, table)
        {
            return Err(reason);
        }
        let key_is_set = table.shape.key_columns().any(|column| write.set_columns.contains(&column.name));
        if !self.env.currency.knows(&write.target.name) || !self.env.currency.trusts(table) {
            return Err(Reason::Ddl);
        }
        if write.unusual {
            return Err(Reason::Form);
        }
        if key_is_set {
            return Err(Reason::KeyChange);
        }
        if !self.settings.prints_plainly() {
            return Err(Reason::Settings);
        }
        // What it calls may set how its own rows are printed.
        if self.calls_unseen(write, table) && may_be_rounded(&table.shape) {
            return Err(Reason::Opaque);
        }
        if !self.env.catalog.may_read_all(&self.settings.profile().role, table.shape.table) {
            return Err(Reason::Privilege);
        }
        Ok(())
    }

    /// Whether code runs with it that may do anything.
    fn calls_unseen(&self, write: &Write, table: &Table) -> bool {
        self.calls_opaque(write) || reached(write, &table.leads) == Touched::All
    }

    /// Whether a definition writes more than what it makes: by the query that fills it, or by an event trigger.
    fn may_do_more(&self, query: Option<&DefiningQuery>) -> bool {
        self.env.catalog.ddl_is_watched
            || match query {
                Some(DefiningQuery::Runs(Some(read))) => self.reads_opaque(read),
                Some(DefiningQuery::Runs(None)) => true,
                Some(DefiningQuery::View(_) | DefiningQuery::Table(_)) | None => false,
            }
    }

    fn ddl(&self, targets: &[Name], disturbed: &Disturbed, query: Option<&DefiningQuery>, text: &str) -> Plan {
        // Without a name it may be about any table: DROP SCHEMA, GRANT ON ALL TABLES.
        let is_any = targets.is_empty() || self.may_do_more(query);
        let mut touched = if is_any { Touched::All } else { Touched::NONE };
        for target in targets {
            if let Resolved::Table(table) = self.resolve(target) {
                touched.extend(&Touched::Tables(vec![table.shape.table]));
            }
            touched.extend(&self.namesakes(target));
        }
        let replay = match self.env.ddl {
            Ddl::Refuse => return Plan::Refused,
            Ddl::Skip => None,
            Ddl::Mirror => Some(Replay {
                sql: text.to_owned(),
                settings: self.settings.for_replay(),
                touched: touched.clone(),
                reason: "ddl".to_owned(),
            }),
        };
        let disturbed = if self.env.catalog.ddl_is_watched { Disturbed::Everything } else { disturbed.clone() };
        Plan::Marked(Arc::new(Marking { touched, reason: Reason::Ddl, replay, disturbed: Some(disturbed) }))
    }

    fn resolve(&self, name: &Name) -> Resolved {
        self.env.catalog.resolve(name.schema.as_deref(), &name.name, self.settings.search_path())
    }

    fn sets_by_servers_own(&self) -> bool {
        ["set_config", "current_setting"].iter().all(|name| self.env.catalog.is_servers_own(name))
    }

    fn calls_opaque(&self, write: &Write) -> bool {
        self.reads_opaque(&write.reads)
    }

    /// Whether reading it runs code that may write.
    fn reads_opaque(&self, read: &sql::Read) -> bool {
        self.is_opaque(&read.functions) || self.has_opaque_relation(&read.tables)
    }

    fn is_opaque(&self, functions: &[FunctionName]) -> bool {
        let volatility = |function: &FunctionName| match function.call {
            Call::Name | Call::Operator => self.env.catalog.volatility(function.schema.as_deref(), &function.name),
            Call::Attribute => self.env.catalog.attribute_volatility(&function.name),
        };
        functions.iter().any(|function| volatility(function) == Volatility::Opaque)
    }

    fn has_opaque_relation(&self, tables: &[Name]) -> bool {
        let was_made_opaque =
            |name: &Name| self.opaque_relations.contains(&name.name) && !self.temporary.is_table(name);
        let may_be_another =
            |name: &Name| !self.env.currency.knows(&name.name) && matches!(self.resolve(name), Resolved::View(_));
        tables.iter().any(|name| {
            self.env.catalog.calling_views.contains(&name.name) || was_made_opaque(name) || may_be_another(name)
        })
    }
}
