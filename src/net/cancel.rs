//! CancelRequests: forwarded to the primary as they came, by TLS where sessions are, whose key the client has; and told to a session that waits for
//! the shadow.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use dashmap::DashMap;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::Notify;

use crate::config::PgUrl;
use crate::server::{self, OpenError, Silence};

/// Sessions by the body of their BackendKeyData.
#[derive(Debug, Default)]
pub(super) struct CancelKeys {
    sessions: DashMap<Vec<u8>, Arc<Notify>>,
}

/// A session's place among them, given up when it is dropped.
#[derive(Debug)]
pub(super) struct Registered {
    keys: Arc<CancelKeys>,
    key: Vec<u8>,
}

impl CancelKeys {
    pub(super) fn register(self: &Arc<Self>, key: Vec<u8>, cancelled: Arc<Notify>) -> Registered {
        self.sessions.insert(key.clone(), cancelled);
        Registered { keys: Arc::clone(self), key }
    }

    /// Carries a request out. Returns when the primary has closed, as it does when the cancel was processed.
    pub(super) async fn cancel(&self, key: &[u8], primary: &PgUrl) -> Result<(), OpenError> {
        if let Some(session) = self.sessions.get(key) {
            session.notify_one();
        }
        let mut packet = (key.len() as u32 + 8).to_be_bytes().to_vec();
        packet.extend_from_slice(&80_877_102_u32.to_be_bytes());
        packet.extend_from_slice(key);
        let forward = async {
            let mut primary = server::open(primary, Silence::Impatient).await?;
            primary.write_all(&packet).await?;
            primary.flush().await?;
            primary.read_to_end(&mut Vec::new()).await?;
            Ok(())
        };
        let in_time = tokio::time::timeout(Duration::from_secs(10), forward).await;
        in_time.map_err(io::Error::from)?
    }
}

impl Drop for Registered {
    fn drop(&mut self) {
        self.keys.sessions.remove(&self.key);
    }
}
