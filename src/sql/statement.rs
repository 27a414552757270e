//! The facts of a statement.

use std::ops::Range;
use std::sync::Arc;

use crate::effect::Disturbed;

/// All statements of one query text.
#[derive(Debug, Clone, PartialEq)]
pub struct Script {
    /// In order; none for an empty query. A text the parser refuses is one [`Kind::Opaque`] statement.
    pub statements: Vec<Statement>,
}

/// One statement and where it stands in the text.
#[derive(Debug, Clone, PartialEq)]
pub struct Statement {
    /// Bytes of the query text, from its first token to behind its last, without the semicolon.
    pub span: Range<usize>,
    /// What it is. Shared by the statements of one skeleton.
    pub kind: Arc<Kind>,
}

/// A possibly qualified name, unquoted and case-folded as the server does.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Name {
    /// `None`: by `search_path`.
    pub schema: Option<String>,
    /// Of the relation.
    pub name: String,
}

/// A function that a statement may call.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct FunctionName {
    /// `None`: by `search_path`.
    pub schema: Option<String>,
    /// Of the function, or the operator's symbol.
    pub name: String,
    /// In which way.
    pub call: Call,
}

/// Whether a transaction may write.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Access {
    /// Nothing was said: `default_transaction_read_only` decides.
    #[default]
    Default,
    /// READ ONLY was asked for.
    ReadOnly,
    /// READ WRITE was.
    ReadWrite,
}

/// How a function is called.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Call {
    /// `f(x)`
    Name,
    /// `x + y`: the function behind an operator.
    Operator,
    /// `x.f`: a column, or a function of the whole row.
    Attribute,
}

/// What a statement is.
#[derive(Debug, Clone, PartialEq)]
pub enum Kind {
    /// SELECT, VALUES, TABLE, without data-modifying WITH and without INTO.
    Read(Read),
    /// Top-level INSERT, UPDATE or DELETE without data-modifying WITH.
    Write(Box<Write>),
    /// Writes in a form that is not rewritten (MERGE, data-modifying WITH, writes inside EXPLAIN ANALYZE or COPY TO;
    /// SELECT INTO is `Ddl`). EXPLAIN ANALYZE of a read that calls functions is one too, without targets.
    OtherWrite {
        /// All tables it modifies.
        targets: Vec<Name>,
        /// Everything it reads and calls.
        reads: Read,
    },
    /// `BEGIN`, `START TRANSACTION`.
    Begin {
        /// READ ONLY or READ WRITE.
        access: Access,
        /// An isolation level above READ COMMITTED was asked for.
        repeatable: bool,
    },
    /// `COMMIT`, `END`.
    Commit {
        /// AND CHAIN.
        chain: bool,
    },
    /// `ROLLBACK`, `ABORT`.
    Rollback {
        /// AND CHAIN.
        chain: bool,
    },
    /// `SAVEPOINT name`
    Savepoint(String),
    /// `RELEASE name`
    Release(String),
    /// `ROLLBACK TO name`
    RollbackTo(String),
    /// `PREPARE TRANSACTION gid`
    PrepareTransaction(String),
    /// `COMMIT PREPARED gid`
    CommitPrepared(String),
    /// `ROLLBACK PREPARED gid`
    RollbackPrepared(String),
    /// `SET`, `RESET`, `SET TRANSACTION`, `SET ROLE`, `SET SESSION AUTHORIZATION`.
    Set(Setting),
    /// `DISCARD ALL` (true) or another DISCARD.
    Discard {
        /// ALL.
        all: bool,
    },
    /// SQL `PREPARE name AS …`
    Prepare {
        /// Of the prepared statement.
        name: String,
        /// The facts of its body, whose span is in the same text.
        body: Box<Statement>,
    },
    /// SQL `EXECUTE name`.
    Execute {
        /// Of the prepared statement.
        name: String,
        /// Its arguments call functions.
        calls: bool,
    },
    /// SQL `DEALLOCATE name`; `None`: ALL.
    Deallocate(Option<String>),
    /// `COPY table FROM STDIN` or from a file or program.
    CopyFrom {
        /// The table.
        target: Name,
        /// What its WHERE calls.
        reads: Read,
    },
    /// COPY TO of a table or query without data-modifying WITH. Not routed.
    CopyTo(Read),
    /// `TRUNCATE`
    Truncate {
        /// The tables named.
        targets: Vec<Name>,
        /// CASCADE.
        cascade: bool,
    },
    /// Anything that changes what tables or functions are: CREATE, ALTER, DROP, COMMENT, GRANT, SELECT INTO, …
    Ddl {
        /// The relations it names, as far as it names some, and those a query in it writes (CREATE TABLE AS). Their
        /// rows may change with it, not only their shape: a replay leaves their rows to be compared.
        targets: Vec<Name>,
        /// What it does to the first of them.
        deed: Deed,
        /// Of which relations a catalog is not to be trusted while it is under way.
        disturbed: Disturbed,
        /// A query in it.
        query: Option<DefiningQuery>,
        /// Creates or drops only temporary relations (CREATE TEMP …), so nothing that is mirrored changes.
        temporary: bool,
        /// Not for the other database: databases, roles, tablespaces, systems, subscriptions.
        cluster_wide: bool,
        /// CONCURRENTLY and the like: refuses to run in a transaction.
        outside_transaction: bool,
    },
    /// `DECLARE … CURSOR`
    DeclareCursor(Read),
    /// FETCH, MOVE, CLOSE, LISTEN, UNLISTEN, NOTIFY, SHOW, CHECKPOINT, VACUUM, ANALYZE, LOCK, EXPLAIN without ANALYZE
    /// of a write, CLUSTER, REINDEX, SET CONSTRAINTS: writes no table row and is not routed.
    Utility {
        /// Leaves state behind in the session that a shadow connection cannot share (LOAD).
        session_state: bool,
    },
    /// DO, CALL: may write anything.
    Procedure,
    /// Refused by the parser, too long, too deep, not UTF-8: may be and write anything.
    Opaque,
}

/// The query of a definition.
#[derive(Debug, Clone, PartialEq)]
pub enum DefiningQuery {
    /// It runs to fill what is made (CREATE TABLE AS, SELECT INTO); `None`: it is not known what it does (EXECUTE).
    Runs(Option<Read>),
    /// It is what the view is.
    View(Read),
    /// What defaults and checks of a temporary table call, and tables that it is like.
    Table(Read),
}

/// What a definition does to a relation.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Deed {
    /// A relation of this name was not there, or is replaced.
    Makes,
    /// It was there and stays, or no relation is named.
    #[default]
    Changes,
    /// It was there, and others of the targets too.
    Drops,
}

/// A statement that reads.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Read {
    /// Relations named anywhere in it, CTE names left out, each once.
    pub tables: Vec<Name>,
    /// Functions and operators named anywhere in it, each once. SQL syntax that is a function in disguise is named as
    /// such, in `pg_catalog`: `current_user`, `now` for `CURRENT_TIMESTAMP` and for strings such as `'today'`, `timezone` for
    /// AT TIME ZONE, `tablesample`, `regclass` and its like for casts that look the catalog up …
    pub functions: Vec<FunctionName>,
    /// FOR UPDATE, FOR SHARE …
    pub locks: bool,
    /// Names a system column (ctid, xmin, tableoid …).
    pub system_columns: bool,
    /// Names a type that is neither unqualified built-in nor in `pg_catalog` (cast, row constructor).
    pub user_types: bool,
    /// What it sets by `set_config`, in order, if it does so once for certain and does nothing else.
    pub settings: Vec<Setting>,
}

/// What a captured statement does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verb {
    /// INSERT
    Insert,
    /// UPDATE
    Update,
    /// DELETE
    Delete,
}

/// A top-level INSERT, UPDATE or DELETE.
#[derive(Debug, Clone, PartialEq)]
pub struct Write {
    /// Which.
    pub verb: Verb,
    /// The table written.
    pub target: Name,
    /// Its alias, case-folded.
    pub alias: Option<String>,
    /// Whether it has a RETURNING clause of its own.
    pub returning: bool,
    /// Columns in SET, of UPDATE or ON CONFLICT DO UPDATE.
    pub set_columns: Vec<String>,
    /// FROM of UPDATE, USING of DELETE: other names are in scope in RETURNING.
    pub joined: bool,
    /// WHERE CURRENT OF, RETURNING WITH (OLD AS …), a table of the target's name in another schema beside it, or anything else that the
    /// rewrite does not cover.
    pub unusual: bool,
    /// Everything else it reads and calls, the target left out unless it is named again.
    pub reads: Read,
}

/// A change of a setting.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setting {
    /// Lower case; `role`, `session_authorization`, `transaction` (SET TRANSACTION), `session_characteristics`,
    /// `all` for RESET ALL; `time zone` is `timezone`, `names` is `client_encoding`.
    pub name: String,
    /// SET LOCAL.
    pub local: bool,
    /// What to. Transaction modes are `transaction_isolation=…`, `transaction_read_only=1`.
    pub value: SettingValue,
}

/// What a setting is set to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SettingValue {
    /// RESET, SET … TO DEFAULT.
    Default,
    /// Literals and names, in order.
    Values(Vec<String>),
    /// Names in one text, as `set_config` takes them for what is a list.
    List(String),
    /// In a form that is not plain (FROM CURRENT, intervals).
    Other,
}
