//! What a statement is: its kind, the tables and functions it names, whether it can be captured or routed; and the
//! rewrite that captures. Text in, facts out: no catalog, no session, no I/O. Never panics, whatever the text, and
//! is bounded in size and depth: what it cannot look at is [`Kind::Opaque`].

mod analyze;
mod arrangement;
mod cache;
mod classify;
mod ddl;
mod facts;
mod lexer;
mod names;
mod redact;
mod rewrite;
mod settings;
mod skeleton;
mod statement;

pub use analyze::{MAX_BYTES, analyze};
pub use arrangement::Arrangement;
pub use cache::Cache;
pub use names::asks_clock;
pub use redact::redact;
pub use rewrite::{APPENDED_COLUMNS, Bulky, Image, Rewrite, names_its_row, returning};
pub use statement::{
    Access, Call, Deed, DefiningQuery, FunctionName, Kind, Name, Read, Script, Setting, SettingValue, Statement, Verb,
    Write,
};
