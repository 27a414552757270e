//! Log lines to stderr.

use std::io;

use thiserror::Error;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Layer, Registry, fmt, reload};

use crate::config::{Log, LogFormat};

/// Why nothing is logged.
#[derive(Debug, Error)]
pub enum LogError {
    /// The filter is none.
    #[error("log.level: found \"{0}\", which is no level and no filter")]
    Level(String),
    /// A second start.
    #[error("logging has been started already in this process")]
    Started,
}

/// Changes what is logged while running.
#[derive(Debug, Clone)]
pub struct LogLevel(reload::Handle<Targets, Registry>);

impl LogLevel {
    /// From now on. A level as `log.level` allows it.
    pub fn set(&self, level: &str) -> Result<(), LogError> {
        let targets = parse(level)?;
        // Fails only once the subscriber is gone, and with it every log line.
        let _ = self.0.reload(targets);
        Ok(())
    }
}

/// For the whole process, once.
pub fn start_logging(log: &Log) -> Result<LogLevel, LogError> {
    let (filter, handle) = reload::Layer::new(parse(&log.level)?);
    let lines = fmt::layer().with_writer(io::stderr);
    let lines = match log.format {
        LogFormat::Text => lines.with_ansi(io::IsTerminal::is_terminal(&io::stderr())).boxed(),
        LogFormat::Json => lines.json().flatten_event(true).with_current_span(false).with_span_list(false).boxed(),
    };
    let started = tracing_subscriber::registry().with(lines.with_filter(filter)).try_init();
    started.map(|()| LogLevel(handle)).map_err(|_| LogError::Started)
}

fn parse(level: &str) -> Result<Targets, LogError> {
    level.parse().map_err(|_| LogError::Level(level.to_owned()))
}
