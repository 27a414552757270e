//! The listener's loop.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::oneshot;

use super::routes::router;
use super::{Control, Token};

/// Answers under way may end, this long.
const LINGER: Duration = Duration::from_secs(2);

/// Answers on `listener` until `shutdown` completes.
pub async fn serve(
    listener: TcpListener,
    control: Arc<dyn Control>,
    token: Token,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> io::Result<()> {
    let (told, ending) = oneshot::channel::<()>();
    let shutdown = async move {
        shutdown.await;
        drop(told);
    };
    let answering = axum::serve(listener, router(control, token)).with_graceful_shutdown(shutdown).into_future();
    let patience = async {
        let _ = ending.await;
        tokio::time::sleep(LINGER).await;
    };
    tokio::select! {
        result = answering => result,
        () = patience => Ok(()),
    }
}

#[cfg(test)]
mod tests;
