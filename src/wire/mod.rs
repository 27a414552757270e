//! Frames and messages of the PostgreSQL protocol 3 (documentation, chapter 55), without I/O.
//!
//! Views borrow the bytes they look at and check every length; nothing here panics on any bytes, keeps state, or knows
//! what a message means for a session.

mod authentication;
mod backend;
mod frame;
mod frontend;
mod reply;
mod startup;

pub use authentication::{
    Authentication, SCRAM_SHA_256, SCRAM_SHA_256_PLUS, authentication, sasl_begin, sasl_challenge,
    sasl_initial_response, sasl_offer, sasl_outcome, sasl_response,
};
pub use backend::{
    ColumnStrip, TransactionStatus, data_row_fields, error_fields, is_fatal, parameter_status, ready_status,
    strip_columns,
};
pub use frame::{HEADER, Header, Malformed, Passing, header};
pub use frontend::{Bind, Execute, Parse, Target, bind, close_or_describe, cstring, execute, parse};
pub use reply::{
    Severity, bind_message, close_portal_message, close_statement_message, error_response, execute_message, no_data,
    parse_message,
};
pub use startup::{Startup, StartupPacket, startup_packet};
