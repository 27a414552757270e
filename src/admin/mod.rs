//! HTTP for the operator: read-only views, and commands. Sees the proxy only through [`Control`]; never touches a
//! session, the ledger or a database itself.

mod answer;
mod control;
mod exchange;
mod jobs;
mod routes;
mod server;
mod token;

pub use control::{Control, ControlError, Values};
pub use exchange::{Ask, ExchangeError, exchange};
pub use jobs::Jobs;
pub use server::serve;
pub use token::{Token, TokenError};
