//! What kind of statement a tree is.

use std::ops::Range;
use std::sync::Arc;

use pg_raw_parse::Node;
use pg_raw_parse::nodes::{
    CopyStmt, DiscardMode, DropBehavior, ExplainStmt, PrepareStmt, RangeVar, ResTarget, ReturningClause,
    TransactionStmt, TransactionStmtKind, TruncateStmt,
};

use super::facts::Facts;
use super::lexer::{Lexer, TokenKind};
use super::{Call, Kind, Name, Read, Statement, Verb, Write};
use super::{ddl, names, settings};

/// The kind of `node`, which stands in `text` at `span`.
pub(super) fn classify(node: Node<'_>, text: &str, span: &Range<usize>) -> Kind {
    match node {
        Node::SelectStmt(_) | Node::InsertStmt(_) | Node::UpdateStmt(_) | Node::DeleteStmt(_) | Node::MergeStmt(_) => {
            rows(node)
        }
        Node::TransactionStmt(statement) => transaction(statement),
        Node::VariableSetStmt(set) => Kind::Set(settings::setting(set)),
        Node::DiscardStmt(discard) => Kind::Discard { all: discard.target == DiscardMode::DISCARD_ALL },
        Node::PrepareStmt(statement) => prepare(statement, text, span),
        Node::ExecuteStmt(execute) => {
            let calls = Facts::of(Node::NodeList(execute.params()));
            if calls.unknown {
                return Kind::Opaque;
            }
            let calls = calls.read.functions.iter().any(|function| function.call != Call::Operator);
            Kind::Execute { name: execute.name().unwrap_or_default().to_owned(), calls }
        }
        Node::DeallocateStmt(deallocate) => Kind::Deallocate(deallocate.name().map(str::to_owned)),
        Node::CopyStmt(copy) => copy_rows(copy),
        Node::TruncateStmt(statement) => truncate(statement),
        Node::DeclareCursorStmt(declare) => reading(declare.query(), Kind::DeclareCursor),
        Node::ExplainStmt(explain) => explained(explain, text, span),
        Node::DoStmt(_) | Node::CallStmt(_) => Kind::Procedure,
        Node::LoadStmt(_) => Kind::Utility { session_state: true },
        Node::FetchStmt(_)
        | Node::ClosePortalStmt(_)
        | Node::ListenStmt(_)
        | Node::UnlistenStmt(_)
        | Node::NotifyStmt(_)
        | Node::VariableShowStmt(_)
        | Node::CheckPointStmt(_)
        | Node::VacuumStmt(_)
        | Node::ClusterStmt(_)
        | Node::ReindexStmt(_)
        | Node::LockStmt(_)
        | Node::ConstraintsSetStmt(_) => Kind::Utility { session_state: false },
        other => ddl::definition(other).unwrap_or(Kind::Opaque),
    }
}

/// SELECT, INSERT, UPDATE, DELETE, MERGE.
fn rows(node: Node<'_>) -> Kind {
    let facts = Facts::of(node);
    if facts.unknown {
        return Kind::Opaque;
    }
    if let Some(into) = facts.into {
        return ddl::select_into(into, Facts { into: None, ..facts });
    }
    if let [_] = facts.writes[..]
        && let Some(head) = Head::of(node)
    {
        return Kind::Write(Box::new(head.write(facts)));
    }
    if facts.writes.is_empty() {
        let settings = match node {
            Node::SelectStmt(select) => settings::set_by_function(select),
            _ => Vec::new(),
        };
        Kind::Read(Read { settings, ..facts.read })
    } else {
        Kind::OtherWrite { targets: facts.writes, reads: facts.read }
    }
}

/// What INSERT, UPDATE and DELETE have in common.
struct Head<'a> {
    verb: Verb,
    target: &'a RangeVar,
    returning: Option<&'a ReturningClause>,
    set_columns: Vec<String>,
    joined: bool,
}

impl<'a> Head<'a> {
    fn of(node: Node<'a>) -> Option<Self> {
        Some(match node {
            Node::InsertStmt(insert) => Self {
                verb: Verb::Insert,
                target: insert.relation()?,
                returning: insert.returning_clause(),
                set_columns: insert.on_conflict_clause().map_or_else(Vec::new, |on| columns(on.target_list())),
                joined: false,
            },
            Node::UpdateStmt(update) => Self {
                verb: Verb::Update,
                target: update.relation()?,
                returning: update.returning_clause(),
                set_columns: columns(update.target_list()),
                joined: !update.from_clause().is_empty(),
            },
            Node::DeleteStmt(delete) => Self {
                verb: Verb::Delete,
                target: delete.relation()?,
                returning: delete.returning_clause(),
                set_columns: Vec::new(),
                joined: !delete.using_clause().is_empty(),
            },
            _ => return None,
        })
    }

    fn write(self, facts: Facts) -> Write {
        let target = names::relation(self.target);
        let alias = self.target.alias().and_then(|alias| alias.aliasname()).map(str::to_owned);
        let renames = self.returning.is_some_and(|returning| !returning.options().is_empty());
        // Beside `s.t`, a bare `t` in RETURNING could be either.
        let ambiguous = alias.is_none()
            && target.schema.is_none()
            && facts.read.tables.iter().any(|table| table.schema.is_some() && table.name == target.name);
        Write {
            verb: self.verb,
            target,
            alias,
            returning: self.returning.is_some(),
            set_columns: self.set_columns,
            joined: self.joined,
            unusual: renames || ambiguous || facts.current_of,
            reads: facts.read,
        }
    }
}

fn columns<'a>(targets: impl IntoIterator<Item = &'a ResTarget>) -> Vec<String> {
    targets.into_iter().filter_map(|target| target.name().map(str::to_owned)).collect()
}

fn transaction(statement: &TransactionStmt) -> Kind {
    let savepoint = || statement.savepoint_name().unwrap_or_default().to_owned();
    let gid = || statement.gid().unwrap_or_default().to_owned();
    match statement.kind {
        TransactionStmtKind::TRANS_STMT_BEGIN | TransactionStmtKind::TRANS_STMT_START => settings::begin(statement),
        TransactionStmtKind::TRANS_STMT_COMMIT => Kind::Commit { chain: statement.chain },
        TransactionStmtKind::TRANS_STMT_ROLLBACK => Kind::Rollback { chain: statement.chain },
        TransactionStmtKind::TRANS_STMT_SAVEPOINT => Kind::Savepoint(savepoint()),
        TransactionStmtKind::TRANS_STMT_RELEASE => Kind::Release(savepoint()),
        TransactionStmtKind::TRANS_STMT_ROLLBACK_TO => Kind::RollbackTo(savepoint()),
        TransactionStmtKind::TRANS_STMT_PREPARE => Kind::PrepareTransaction(gid()),
        TransactionStmtKind::TRANS_STMT_COMMIT_PREPARED => Kind::CommitPrepared(gid()),
        TransactionStmtKind::TRANS_STMT_ROLLBACK_PREPARED => Kind::RollbackPrepared(gid()),
        _ => Kind::Opaque,
    }
}

/// The body begins behind the first AS: neither the name nor a type before it can be that word unquoted.
fn prepare(statement: &PrepareStmt, text: &str, span: &Range<usize>) -> Kind {
    let prepared = text.get(span.clone()).unwrap_or_default();
    let mut tokens = Lexer::new(prepared).skip_while(|token| {
        let word = prepared.get(token.span.clone()).unwrap_or_default();
        token.kind != TokenKind::Word || !word.eq_ignore_ascii_case("as")
    });
    let Some(first) = tokens.nth(1) else { return Kind::Opaque };
    let body = span.start + first.span.start..span.end;
    let kind = classify(statement.query(), text, &body);
    Kind::Prepare {
        name: statement.name().unwrap_or_default().to_owned(),
        body: Box::new(Statement { span: body, kind: Arc::new(kind) }),
    }
}

fn copy_rows(copy: &CopyStmt) -> Kind {
    match (copy.relation().map(names::relation), copy.is_from) {
        (Some(target), true) => Kind::CopyFrom { target, reads: Facts::of(copy.where_clause()).read },
        (Some(table), false) => Kind::CopyTo(Read { tables: vec![table], ..Read::default() }),
        (None, _) => reading(copy.query(), Kind::CopyTo),
    }
}

/// `query` as `kind` if it only reads, else the write it is in disguise.
fn reading(query: Node<'_>, kind: impl FnOnce(Read) -> Kind) -> Kind {
    match rows(query) {
        Kind::Read(read) => kind(read),
        other => in_disguise(other),
    }
}

/// A write inside another statement is not rewritten.
fn in_disguise(kind: Kind) -> Kind {
    match kind {
        Kind::Write(write) => Kind::OtherWrite { targets: vec![write.target], reads: write.reads },
        other => other,
    }
}

fn truncate(statement: &TruncateStmt) -> Kind {
    let targets = statement.relations().iter().filter_map(|node| <&RangeVar>::try_from(node).ok());
    Kind::Truncate {
        targets: targets.map(names::relation).collect::<Vec<Name>>(),
        cascade: statement.behavior == DropBehavior::DROP_CASCADE,
    }
}

/// With ANALYZE it runs what it explains.
fn explained(explain: &ExplainStmt, text: &str, span: &Range<usize>) -> Kind {
    if !settings::is_on(explain.options(), "analyze") {
        return Kind::Utility { session_state: false };
    }
    match explain.query() {
        // What EXECUTE would return as rows is a plan now.
        Node::ExecuteStmt(_) | Node::ExplainStmt(_) => Kind::Opaque,
        query => match in_disguise(classify(query, text, span)) {
            Kind::Read(reads) | Kind::DeclareCursor(reads) if reads.functions.is_empty() && reads.tables.is_empty() => {
                Kind::Utility { session_state: false }
            }
            Kind::Read(reads) | Kind::DeclareCursor(reads) => Kind::OtherWrite { targets: Vec::new(), reads },
            other => other,
        },
    }
}

#[cfg(test)]
mod tests;
