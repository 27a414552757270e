//! Metric names and logs. Whoever measures something names it in the one table of `recorder.rs`; whoever logs uses
//! `tracing`. Neither ever carries a password or a row's value.

mod guard;
mod logging;
mod panics;
mod publish;
mod recorder;
mod refusals;
mod values;

pub use guard::count_guard_opened;
pub use logging::{LogError, LogLevel, start_logging};
pub use panics::{count_session_panic, log_panics};
pub use publish::publish;
pub use recorder::{Metrics, MetricsError};
pub use refusals::count_refused_rewrite;
pub use values::without_value;
