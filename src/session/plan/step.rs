//! A statement on its way, with what is to happen: what can be asked of both.

use std::sync::Arc;

use super::{Capture, Plan, Planner, changes_session, marked};
use crate::effect::{Reason, Touched};
use crate::sql::{self, Kind, Script};

/// One statement with what is to happen.
#[derive(Debug, Clone)]
pub(in crate::session) struct Step {
    pub(super) script: Arc<Script>,
    pub(super) index: usize,
    /// What is to happen.
    pub(in crate::session) plan: Plan,
    /// The view that it makes, of which reading runs code that may write, or the temporary table, of which writing does.
    pub(in crate::session) opaque_relation: Option<String>,
}

impl Step {
    /// The facts of the statement.
    pub(in crate::session) fn kind(&self) -> &Kind {
        self.script.statements.get(self.index).map_or(&Kind::Opaque, |statement| &*statement.kind)
    }

    /// Where it stands in the text.
    pub(in crate::session) fn span(&self) -> std::ops::Range<usize> {
        self.script.statements.get(self.index).map_or(0..0, |statement| statement.span.clone())
    }

    /// The tables it may write.
    pub(in crate::session) fn touched(&self) -> Touched {
        match &self.plan {
            Plan::Captured(capture) => capture.touched.clone(),
            Plan::Marked(marking) => marking.touched.clone(),
            Plan::Quiet | Plan::Unmirrored | Plan::Refused => Touched::NONE,
        }
    }

    /// Whether those are all tables.
    pub(in crate::session) fn touches_all(&self) -> bool {
        match &self.plan {
            Plan::Captured(capture) => capture.touched == Touched::All,
            Plan::Marked(marking) => marking.touched == Touched::All,
            Plan::Quiet | Plan::Unmirrored | Plan::Refused => false,
        }
    }

    /// Whether it may change a setting of the session.
    pub(in crate::session) fn may_change_settings(&self) -> bool {
        match self.kind() {
            Kind::Set(_) | Kind::Discard { .. } | Kind::Procedure | Kind::Opaque | Kind::Execute { .. } => true,
            Kind::Read(read) | Kind::CopyTo(read) if changes_session(read) => true,
            _ => self.may_write_anything(),
        }
    }

    /// Whether names may stand for other tables behind it.
    pub(in crate::session) fn may_change_names(&self) -> bool {
        match self.kind() {
            Kind::Set(setting) => changes_names(setting),
            Kind::Read(read) if !read.settings.is_empty() => read.settings.iter().any(changes_names),
            Kind::Read(_) => self.sets_by_function() || self.may_write_anything(),
            _ => self.may_change_settings(),
        }
    }

    /// The same statement, where what it names may be another table, and lead elsewhere, than it was planned for. What is
    /// captured tells by itself of which table it is.
    pub(in crate::session) fn of_any_table(self) -> Self {
        match &self.plan {
            Plan::Marked(marking) if marking.replay.is_none() && !marking.touched.is_empty() => {
                let plan = marked(Touched::All, marking.reason);
                Self { plan, ..self }
            }
            Plan::Unmirrored => Self { plan: marked(Touched::All, Reason::Settings), ..self },
            _ => self,
        }
    }

    /// Whether it calls `set_config`.
    pub(in crate::session) fn sets_by_function(&self) -> bool {
        let (Kind::Read(read) | Kind::CopyTo(read)) = self.kind() else { return false };
        read.functions.iter().any(|function| function.name == "set_config")
    }

    /// Whether code of the user may run in it of which nothing is known.
    pub(in crate::session) fn may_write_anything(&self) -> bool {
        self.touches_all() && !matches!(self.kind(), Kind::Ddl { temporary: false, .. } | Kind::CommitPrepared(_))
    }

    /// The same statement, which runs another whose text was rewritten when it was prepared, and may call anything besides.
    pub(in crate::session) fn captured_before(self, capture: &Capture, calls: bool) -> Self {
        let mut capture = Capture { rewrite: sql::Rewrite { at: 0, insert: String::new() }, ..capture.clone() };
        if calls {
            (capture.touched, capture.besides) = (Touched::All, vec![(Touched::All, Reason::Opaque)]);
        }
        Self { plan: Plan::Captured(Arc::new(capture)), ..self }
    }

    /// The same statement, where it stays in the client's own form though it could be captured.
    pub(in crate::session) fn unrewritten(self) -> Self {
        match &self.plan {
            Plan::Captured(capture) => Self { plan: marked(capture.touched.clone(), Reason::Form), ..self },
            _ => self,
        }
    }

    /// The statement at this place of a text, planned anew.
    pub(in crate::session) fn again(&self, text: &str, planner: &Planner<'_>) -> Self {
        planner.step(&self.script, self.index, text)
    }

    /// Whether it matters to anyone that it ran.
    pub(in crate::session) fn is_quiet(&self) -> bool {
        let Plan::Quiet = self.plan else { return false };
        match self.kind() {
            Kind::Read(read) | Kind::CopyTo(read) => !changes_session(read),
            Kind::Utility { session_state } => !session_state,
            _ => false,
        }
    }
}

fn changes_names(setting: &sql::Setting) -> bool {
    ["search_path", "role", "session_authorization", "all"].contains(&setting.name.as_str())
}
