//! Settings: what they are ([`Settings`]), where they come from, and how they change while the proxy runs ([`Live`]).
//!
//! Everyone may read settings; only `proxy.rs` and `cli/` load them. Passwords never leave [`PgUrl`] but to log in.

mod live;
mod settings;
mod units;
mod url;

pub use live::Live;
pub use settings::{
    Admin, Check, Consistency, Copy, Ddl, Guard, Listen, Log, LogFormat, Mirror, Primary, Reads, Repair, Require,
    SampleBy, Settings, Shadow,
};
pub use units::ByteSize;
pub use url::{PgUrl, SslMode};
