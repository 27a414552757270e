//! Reloading by itself: when the file changes, and on SIGHUP.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use notify::{Event, RecursiveMode, Watcher};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::Notify;
use tokio::time::{MissedTickBehavior, interval, sleep};
use tracing::{debug, error, info, warn};

use super::{Problems, ReloadOutcome, Reloader};

/// An editor writes in several steps.
const DEBOUNCE: Duration = Duration::from_millis(100);

/// Where no event arrives (network file systems, a folder that was itself replaced), the file is looked at this often.
const POLL: Duration = Duration::from_millis(500);

/// Follows the configuration until dropped.
pub async fn watch(reloader: Arc<Reloader>) -> std::io::Result<()> {
    let mut hangup = signal(SignalKind::hangup())?;
    let touched = Arc::new(Notify::new());
    let _watcher = reloader.file().and_then(|file| events(file, Arc::clone(&touched)));
    let mut poll = interval(POLL);
    poll.set_missed_tick_behavior(MissedTickBehavior::Delay);
    // Not read yet: whatever changed since the start is found by the first look.
    let mut seen = None;
    loop {
        tokio::select! {
            _ = hangup.recv() => {}
            _ = poll.tick() => {
                if fingerprint(reloader.file()) == seen {
                    continue;
                }
                sleep(DEBOUNCE).await;
            }
            () = touched.notified() => {
                sleep(DEBOUNCE).await;
                if fingerprint(reloader.file()) == seen {
                    continue;
                }
            }
        }
        seen = fingerprint(reloader.file());
        tell(reloader.file(), reloader.reload());
    }
}

fn tell(file: Option<&Path>, outcome: Result<ReloadOutcome, Problems>) {
    let file = file.map(|file| file.display().to_string()).unwrap_or_default();
    match outcome {
        Ok(ReloadOutcome { changed, needs_restart, .. }) if changed.is_empty() && needs_restart.is_empty() => {
            debug!(file, "configuration read again, nothing changed");
        }
        Ok(ReloadOutcome { changed, needs_restart, overridden, generation }) => {
            info!(file, ?changed, ?needs_restart, ?overridden, generation, "configuration reloaded");
        }
        Err(problems) => error!(file, "configuration refused, nothing changed: {problems}"),
    }
}

/// What the file says; `None` while it cannot be read.
fn fingerprint(file: Option<&Path>) -> Option<u64> {
    std::fs::read(file?).ok().map(|bytes| rapidhash::v3::rapidhash_v3(&bytes))
}

/// Events of the whole folder: the file may be replaced by rename, or be a symbolic link by way of another one.
fn events(file: &Path, touched: Arc<Notify>) -> Option<notify::RecommendedWatcher> {
    let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let watcher = notify::recommended_watcher(move |event: notify::Result<Event>| {
        // Our own reading is an access, too.
        if !event.is_ok_and(|event| event.kind.is_access()) {
            touched.notify_one();
        }
    })
    .and_then(|mut watcher| {
        watcher.watch(folder, RecursiveMode::NonRecursive)?;
        Ok(watcher)
    });
    let complain = |error| warn!("no file events ({error}): {} is looked at every {POLL:?}", file.display());
    watcher.map_err(complain).ok()
}

#[cfg(test)]
mod tests;
