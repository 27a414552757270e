//! What clients are shown of us by TLS: made of the settings in force, once for each of them.

use std::sync::Arc;

use parking_lot::Mutex;
use rustls::ServerConfig;

use crate::config::Settings;

/// Keeps what was made last. A new certificate counts for the connections that come after it.
#[derive(Debug, Default)]
pub(super) struct Identity {
    made: Mutex<Option<Made>>,
}

#[derive(Debug)]
struct Made {
    of: Arc<Settings>,
    tls: Option<Arc<ServerConfig>>,
}

impl Identity {
    /// `None`: TLS is declined.
    pub(super) fn of(&self, settings: &Arc<Settings>) -> Option<Arc<ServerConfig>> {
        let mut made = self.made.lock();
        match &*made {
            Some(made) if Arc::ptr_eq(&made.of, settings) => made.tls.clone(),
            _ => {
                // A bad pair was refused when it was loaded.
                let tls = settings.listen.tls().unwrap_or_default();
                *made = Some(Made { of: Arc::clone(settings), tls: tls.clone() });
                tls
            }
        }
    }
}
