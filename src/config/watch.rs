//! Reloading by itself: when the file or one that it names changes, and on SIGHUP.

use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use notify::{Event, RecursiveMode, Watcher};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::Notify;
use tokio::time::{MissedTickBehavior, interval, sleep};
use tracing::{debug, error, info, warn};

use super::{Problems, ReloadOutcome, Reloader};

/// An editor writes in several steps.
const DEBOUNCE: Duration = Duration::from_millis(100);

/// Where no event arrives (network file systems, a folder that was itself replaced, files elsewhere), they are looked at
/// this often.
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
                if seen == Some(Fingerprint::of(&reloader)) {
                    continue;
                }
                sleep(DEBOUNCE).await;
            }
            () = touched.notified() => {
                sleep(DEBOUNCE).await;
                if seen == Some(Fingerprint::of(&reloader)) {
                    continue;
                }
            }
        }
        seen = Some(Fingerprint::of(&reloader));
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

/// By which a change is known; `None` for what cannot be read.
#[derive(Debug, PartialEq, Eq)]
struct Fingerprint {
    /// What the configuration file says.
    text: Option<u64>,
    /// Which files those are that the settings in force name.
    named: Vec<Option<Version>>,
}

/// Which file stands behind a path, and as of when: it may be long.
#[derive(Debug, PartialEq, Eq)]
struct Version {
    inode: (u64, u64),
    length: u64,
    modified: Option<SystemTime>,
}

impl Fingerprint {
    fn of(reloader: &Reloader) -> Self {
        let text = reloader.file().and_then(|file| std::fs::read(file).ok());
        let settings = reloader.live().get();
        Self {
            text: text.map(|bytes| rapidhash::v3::rapidhash_v3(&bytes)),
            named: settings.listen.files().map(Version::of).collect(),
        }
    }
}

impl Version {
    fn of(path: &Path) -> Option<Self> {
        let file = std::fs::metadata(path).ok()?;
        Some(Self { inode: (file.dev(), file.ino()), length: file.len(), modified: file.modified().ok() })
    }
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
    let complain =
        |error: notify::Error| warn!("no file events ({error}): {} is looked at every {POLL:?}", file.display());
    watcher.map_err(complain).ok()
}

#[cfg(test)]
mod tests;
