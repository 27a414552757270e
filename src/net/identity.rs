//! What clients are shown of us by TLS: made of the settings in force, once for each of them.

use std::sync::Arc;

use parking_lot::Mutex;
use rustls::ServerConfig;

use crate::config::Settings;
use crate::server;

/// What TLS towards clients is spoken with.
#[derive(Debug, Clone)]
pub(super) struct Shown {
    pub(super) tls: Arc<ServerConfig>,
    /// What a client may bind its login to. `None`: the certificate is of a kind that none knows a binding to.
    pub(super) end_point: Option<Arc<[u8]>>,
}

/// Keeps what was made last. A new certificate counts for the connections that come after it.
#[derive(Debug, Default)]
pub(super) struct Identity {
    made: Mutex<Option<Made>>,
}

#[derive(Debug)]
struct Made {
    of: Arc<Settings>,
    shown: Option<Shown>,
}

impl Identity {
    /// `None`: TLS is declined.
    pub(super) fn of(&self, settings: &Arc<Settings>) -> Option<Shown> {
        let mut made = self.made.lock();
        match &*made {
            Some(made) if Arc::ptr_eq(&made.of, settings) => made.shown.clone(),
            _ => {
                let shown = shown(settings);
                *made = Some(Made { of: Arc::clone(settings), shown: shown.clone() });
                shown
            }
        }
    }
}

fn shown(settings: &Settings) -> Option<Shown> {
    // A bad pair was refused when it was loaded.
    let tls = settings.listen.tls().unwrap_or_default()?;
    let certificate = settings.listen.certificate();
    let end_point = certificate.and_then(|certificate| server::end_point(&certificate)).map(Arc::from);
    Some(Shown { tls, end_point })
}
