//! Settings: what they are ([`Settings`]), where they come from ([`Sources`]), and how they change while the proxy runs
//! ([`Live`], [`Reloader`], [`watch()`]).
//!
//! Everyone may read settings; only `proxy.rs` and `cli/` load them. Passwords never leave [`PgUrl`] but to log in.

mod keys;
mod kind;
mod live;
mod load;
mod problem;
mod read_rule;
mod reload;
mod settings;
mod sources;
mod tls;
mod units;
mod url;
mod validate;
mod watch;

pub use live::Live;
pub use load::{Loaded, read_secret};
pub use problem::{Place, Problem, Problems};
pub use read_rule::{ReadRule, RuleOf};
pub use reload::{ReloadOutcome, Reloader};
pub use settings::{
    Admin, Check, Consistency, Copy, Ddl, Guard, Listen, Log, LogFormat, Mirror, Primary, Reads, Repair, Require,
    SampleBy, Settings, Shadow,
};
pub use sources::Sources;
pub use tls::{ContentFile, TlsMin, certificates};
pub use units::ByteSize;
pub use url::{PgUrl, SslMode};
pub use validate::is_loopback;
pub use watch::watch;
