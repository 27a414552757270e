//! What kind of statement a tree is.

use std::ops::Range;

use pg_raw_parse::Node;
use pg_raw_parse::nodes::{
    CopyStmt, DiscardMode, DropBehavior, ExplainStmt, PrepareStmt, RangeVar, ResTarget, ReturningClause,
    TransactionStmt, TransactionStmtKind, TruncateStmt,
};

use super::facts::Facts;
use super::lexer::{Lexer, TokenKind};
use super::{Kind, Name, Read, Statement, Verb, Write};
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
            if calls.unknown || calls.read.functions.iter().any(|function| !function.operator) {
                return Kind::Opaque;
            }
            Kind::Execute { name: execute.name().unwrap_or_default().to_owned() }
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
        return ddl::select_into(into, facts.writes);
    }
    if let [_] = facts.writes[..]
        && let Some(head) = Head::of(node)
    {
        return Kind::Write(Box::new(head.write(facts)));
    }
    if facts.writes.is_empty() {
        Kind::Read(facts.read)
    } else {
        Kind::OtherWrite { targets: facts.writes, functions: facts.read.functions }
    }
}

/// What INSERT, UPDATE and DELETE have in common.
struct Head<'a> {
    verb: Verb,
    target: &'a RangeVar,
    returning: Option<&'a ReturningClause>,
    set_columns: Vec<String>,
}

impl<'a> Head<'a> {
    fn of(node: Node<'a>) -> Option<Self> {
        Some(match node {
            Node::InsertStmt(insert) => Self {
                verb: Verb::Insert,
                target: insert.relation()?,
                returning: insert.returning_clause(),
                set_columns: insert.on_conflict_clause().map_or_else(Vec::new, |on| columns(on.target_list())),
            },
            Node::UpdateStmt(update) => Self {
                verb: Verb::Update,
                target: update.relation()?,
                returning: update.returning_clause(),
                set_columns: columns(update.target_list()),
            },
            Node::DeleteStmt(delete) => Self {
                verb: Verb::Delete,
                target: delete.relation()?,
                returning: delete.returning_clause(),
                set_columns: Vec::new(),
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
            current_of: facts.current_of,
            unusual: renames || ambiguous,
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
        body: Box::new(Statement { span: body, kind }),
    }
}

fn copy_rows(copy: &CopyStmt) -> Kind {
    match (copy.relation().map(names::relation), copy.is_from) {
        (Some(target), true) => Kind::CopyFrom { target },
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
        Kind::Write(write) => Kind::OtherWrite { targets: vec![write.target], functions: write.reads.functions },
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
            Kind::Read(read) | Kind::DeclareCursor(read) if read.functions.is_empty() => {
                Kind::Utility { session_state: false }
            }
            Kind::Read(read) | Kind::DeclareCursor(read) => {
                Kind::OtherWrite { targets: Vec::new(), functions: read.functions }
            }
            other => other,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Setting, SettingValue, analyze};
    use super::*;

    fn kind(text: &str) -> Kind {
        let mut statements = analyze(text.as_bytes()).statements;
        assert_eq!(statements.len(), 1, "{text}");
        statements.remove(0).kind
    }

    fn write(text: &str) -> Write {
        match kind(text) {
            Kind::Write(write) => *write,
            other => panic!("{text}: {other:?}"),
        }
    }

    fn name(text: &str) -> Name {
        let (schema, name) = text.split_once('.').map_or((None, text), |(schema, name)| (Some(schema), name));
        Name { schema: schema.map(str::to_owned), name: name.to_owned() }
    }

    fn names(texts: &[&str]) -> Vec<Name> {
        texts.iter().map(|text| name(text)).collect()
    }

    fn set(name: &str, local: bool, value: SettingValue) -> Kind {
        Kind::Set(Setting { name: name.to_owned(), local, value })
    }

    fn values(values: &[&str]) -> SettingValue {
        SettingValue::Values(values.iter().map(|&value| value.to_owned()).collect())
    }

    #[test]
    fn a_read_is_a_read() {
        for text in
            ["SELECT 1", "VALUES (1)", "TABLE t", "WITH a AS (SELECT 1) SELECT * FROM a", "(SELECT 1) UNION SELECT 2"]
        {
            assert!(matches!(kind(text), Kind::Read(_)), "{text}");
        }
    }

    #[test]
    fn a_write_tells_its_table_and_columns() {
        let insert = write("INSERT INTO s.\"T\" AS x (a) VALUES (1) ON CONFLICT (a) DO UPDATE SET b = 2, c[1] = 3");
        assert_eq!((insert.verb, insert.target, insert.alias), (Verb::Insert, name("s.T"), Some("x".to_owned())));
        assert_eq!(insert.set_columns, ["b", "c"]);
        assert!(!insert.returning && !insert.unusual);

        let update = write("UPDATE ONLY T SET (a, B) = (1, 2) WHERE CURRENT OF c RETURNING *");
        assert_eq!((update.verb, update.target, update.alias), (Verb::Update, name("t"), None));
        assert_eq!(update.set_columns, ["a", "b"]);
        assert!(update.returning && update.current_of);

        let delete = write("WITH x AS (SELECT 1) DELETE FROM t USING x WHERE f(t.a)");
        assert_eq!((delete.verb, delete.target), (Verb::Delete, name("t")));
        assert_eq!(delete.reads.functions.len(), 1);
    }

    #[test]
    fn what_the_rewrite_does_not_cover_is_unusual() {
        assert!(write("UPDATE t SET a = 1 RETURNING WITH (OLD AS o) o.a").unusual);
        assert!(write("UPDATE t SET a = 1 FROM s.t WHERE true").unusual);
        assert!(!write("UPDATE t AS x SET a = 1 FROM s.t WHERE true").unusual);
        assert!(!write("UPDATE s.t SET a = 1 FROM y.t WHERE true").unusual);
    }

    #[test]
    fn writes_in_other_forms_name_all_their_targets() {
        for (text, targets) in [
            ("MERGE INTO t USING u ON t.a = u.a WHEN MATCHED THEN DELETE", &["t"][..]),
            ("WITH x AS (DELETE FROM s.a RETURNING *) SELECT * FROM x", &["s.a"]),
            ("EXPLAIN ANALYZE UPDATE t SET a = 1", &["t"]),
            ("EXPLAIN (ANALYZE on) UPDATE t SET a = 1", &["t"]),
            ("COPY (DELETE FROM t RETURNING *) TO STDOUT", &["t"]),
            ("EXPLAIN ANALYZE SELECT f()", &[]),
        ] {
            match kind(text) {
                Kind::OtherWrite { targets: found, .. } => assert_eq!(found, names(targets), "{text}"),
                other => panic!("{text}: {other:?}"),
            }
        }
        match kind("WITH x AS (INSERT INTO a VALUES (f()) RETURNING *) INSERT INTO b SELECT g() FROM x") {
            Kind::OtherWrite { mut targets, functions } => {
                targets.sort_by(|a, b| a.name.cmp(&b.name));
                assert_eq!(targets, names(&["a", "b"]));
                assert_eq!(functions.len(), 2);
            }
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn transactions() {
        let begin = |read_only, repeatable| Kind::Begin { read_only, repeatable };
        for (text, expected) in [
            ("BEGIN", begin(false, false)),
            ("START TRANSACTION READ ONLY", begin(true, false)),
            ("BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY", begin(true, true)),
            ("BEGIN ISOLATION LEVEL SERIALIZABLE READ WRITE", begin(false, true)),
            ("BEGIN ISOLATION LEVEL READ UNCOMMITTED", begin(false, false)),
            ("END", Kind::Commit { chain: false }),
            ("COMMIT AND CHAIN", Kind::Commit { chain: true }),
            ("ABORT", Kind::Rollback { chain: false }),
            ("ROLLBACK AND CHAIN", Kind::Rollback { chain: true }),
            ("SAVEPOINT A", Kind::Savepoint("a".into())),
            ("RELEASE SAVEPOINT a", Kind::Release("a".into())),
            ("ROLLBACK TO \"A\"", Kind::RollbackTo("A".into())),
            ("PREPARE TRANSACTION 'g'", Kind::PrepareTransaction("g".into())),
            ("COMMIT PREPARED 'g'", Kind::CommitPrepared("g".into())),
            ("ROLLBACK PREPARED 'g'", Kind::RollbackPrepared("g".into())),
        ] {
            assert_eq!(kind(text), expected, "{text}");
        }
    }

    #[test]
    fn settings() {
        for (text, expected) in [
            ("SET search_path = a, \"B\"", set("search_path", false, values(&["a", "B"]))),
            ("SET LOCAL statement_timeout TO 10", set("statement_timeout", true, values(&["10"]))),
            ("SET SCHEMA 'x'", set("search_path", false, values(&["x"]))),
            ("SET NAMES 'UTF8'", set("client_encoding", false, values(&["UTF8"]))),
            ("SET TIME ZONE 'UTC'", set("timezone", false, values(&["UTC"]))),
            ("SET TIME ZONE INTERVAL '1' HOUR TO MINUTE", set("timezone", false, SettingValue::Other)),
            ("SET TIME ZONE LOCAL", set("timezone", false, SettingValue::Default)),
            ("SET ROLE bob", set("role", false, values(&["bob"]))),
            ("SET ROLE NONE", set("role", false, values(&["none"]))),
            ("RESET ROLE", set("role", false, SettingValue::Default)),
            ("SET SESSION AUTHORIZATION bob", set("session_authorization", false, values(&["bob"]))),
            ("RESET SESSION AUTHORIZATION", set("session_authorization", false, SettingValue::Default)),
            ("SET DateStyle TO DEFAULT", set("datestyle", false, SettingValue::Default)),
            ("SET a.b FROM CURRENT", set("a.b", false, SettingValue::Other)),
            ("RESET ALL", set("all", false, SettingValue::Default)),
            ("SET TRANSACTION READ ONLY", set("transaction", false, values(&["transaction_read_only=1"]))),
            ("SET TRANSACTION SNAPSHOT '1-1'", set("transaction", false, SettingValue::Other)),
            (
                "SET SESSION CHARACTERISTICS AS TRANSACTION ISOLATION LEVEL SERIALIZABLE",
                set("session_characteristics", false, values(&["transaction_isolation=serializable"])),
            ),
            ("DISCARD ALL", Kind::Discard { all: true }),
            ("DISCARD TEMP", Kind::Discard { all: false }),
        ] {
            assert_eq!(kind(text), expected, "{text}");
        }
    }

    #[test]
    fn prepared_statements() {
        let text = "PREPARE p (int, text) AS /* as */ UPDATE t SET a = $1 -- end";
        match kind(text) {
            Kind::Prepare { name, body } => {
                assert_eq!((name.as_str(), &text[body.span.clone()]), ("p", "UPDATE t SET a = $1"));
                assert!(matches!(body.kind, Kind::Write(_)));
            }
            other => panic!("{other:?}"),
        }
        assert_eq!(kind("EXECUTE p(1, 'a')"), Kind::Execute { name: "p".into() });
        assert_eq!(kind("EXECUTE p(nextval('s'))"), Kind::Opaque);
        assert_eq!(kind("DEALLOCATE p"), Kind::Deallocate(Some("p".into())));
        assert_eq!(kind("DEALLOCATE ALL"), Kind::Deallocate(None));
    }

    #[test]
    fn copies_and_truncations() {
        assert_eq!(kind("COPY s.t (a) FROM STDIN"), Kind::CopyFrom { target: name("s.t") });
        assert_eq!(kind("COPY t FROM PROGRAM 'x'"), Kind::CopyFrom { target: name("t") });
        for text in ["COPY t TO STDOUT", "COPY (SELECT * FROM t) TO '/tmp/x'"] {
            assert!(matches!(kind(text), Kind::CopyTo(read) if read.tables == names(&["t"])), "{text}");
        }
        let targets = names(&["a", "s.b"]);
        assert_eq!(kind("TRUNCATE a, ONLY s.b CASCADE"), Kind::Truncate { targets, cascade: true });
        assert!(
            matches!(kind("DECLARE c CURSOR FOR SELECT * FROM t FOR UPDATE"), Kind::DeclareCursor(read) if read.locks)
        );
    }

    #[test]
    fn what_writes_no_row() {
        for text in [
            "FETCH 1 FROM c",
            "MOVE c",
            "CLOSE c",
            "LISTEN x",
            "UNLISTEN *",
            "NOTIFY x",
            "SHOW all",
            "CHECKPOINT",
            "VACUUM FULL t",
            "ANALYZE",
            "LOCK TABLE t",
            "EXPLAIN DELETE FROM t",
            "EXPLAIN (ANALYZE false) DELETE FROM t",
            "CLUSTER t",
            "EXPLAIN ANALYZE SELECT a FROM t",
            "REINDEX TABLE CONCURRENTLY t",
            "SET CONSTRAINTS ALL DEFERRED",
        ] {
            assert_eq!(kind(text), Kind::Utility { session_state: false }, "{text}");
        }
        assert_eq!(kind("LOAD 'x'"), Kind::Utility { session_state: true });
    }

    #[test]
    fn what_may_write_anything() {
        assert_eq!(kind("DO $$ BEGIN END $$"), Kind::Procedure);
        assert_eq!(kind("CALL p(1)"), Kind::Procedure);
        assert_eq!(kind("EXPLAIN ANALYZE EXECUTE p"), Kind::Opaque);
    }
}
