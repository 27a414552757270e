//! `crossfade run`: settings, logs, and over to the proxy.

use std::sync::Arc;

use tokio::runtime::Builder;
use tracing::{error, warn};

use super::args::{RunArgs, config_file};
use super::exit::{Exit, Failure};
use super::{on_a_runtime, open_files};
use crate::config::{self, Reloader, Sources};
use crate::telemetry::{LogLevel, log_panics, start_logging};

/// Runs until the proxy is told to end.
pub(super) fn run(args: RunArgs) -> Result<Exit, Failure> {
    let sources = Sources::new(config_file(args.config))
        .with_flag("--primary", "primary.url", args.primary)
        .with_flag("--shadow", "shadow.url", args.shadow)
        .with_flag("--listen", "listen.address", args.listen);
    let loaded = sources
        .load()
        .map_err(|problems| Failure::new(Exit::Usage, format!("the configuration is refused\n{problems}")))?;
    log_panics();
    let level = start_logging(&loaded.settings.log).map_err(|error| Failure::new(Exit::Usage, error.to_string()))?;
    open_files::raise_for(loaded.settings.listen.max_connections);
    let reloader = Reloader::new(loaded);
    on_a_runtime(&mut Builder::new_multi_thread(), async {
        tokio::spawn(follow_level(Arc::clone(&reloader), level));
        tokio::spawn(follow_file(Arc::clone(&reloader)));
        let ended = crate::proxy::run(reloader).await;
        ended.map(|()| Exit::Done).map_err(|error| Failure::new(Exit::Bad, format!("{error:#}")))
    })
}

async fn follow_level(reloader: Arc<Reloader>, level: LogLevel) {
    let mut changes = reloader.live().subscribe();
    while changes.changed().await.is_ok() {
        if let Err(error) = level.set(&reloader.live().get().log.level) {
            warn!("{error}");
        }
    }
}

async fn follow_file(reloader: Arc<Reloader>) {
    if let Err(error) = config::watch(reloader).await {
        error!("changes of the configuration file go unnoticed: {error}");
    }
}
