//! One check of two quiet databases, without a running proxy: nothing is captured, so what is written meanwhile may show as
//! a difference.

use std::collections::HashMap;
use std::fs::DirBuilder;
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use thiserror::Error;

use crate::catalog::{Catalog, Handle, LoadError, LoadOptions, Patterns, load};
use crate::check::{CheckError, Checker};
use crate::config::{Live, Repair, Settings};
use crate::mirror::{Identity, LedgerSettings, Mirror, OpenError};
use crate::report::job::Progress;
use crate::report::{MirrorReport, ReadsReport, Report, rfc3339};
use crate::server::{ConnectError, Purpose, connect};

/// Of a ledger that nothing enters.
const LEDGER_BYTES: u64 = 1 << 20;

/// Why nothing was compared.
#[derive(Debug, Error)]
pub enum OnceError {
    /// A server could not be reached.
    #[error("{0}")]
    Connect(#[from] ConnectError),
    /// A server does not tell its tables.
    #[error("{0}")]
    Load(#[from] LoadError),
    /// There is no place for files.
    #[error("making {}: {why}", folder.display())]
    Folder {
        /// Which.
        folder: PathBuf,
        /// What stands against it.
        why: io::Error,
    },
    /// The files could not be made.
    #[error("{0}")]
    Open(#[from] OpenError),
    /// The check did not come to its end.
    #[error("{0}")]
    Check(#[from] CheckError),
}

/// Compares tables (`schema.table`; all if `None`) of the two databases of `settings`, and changes nothing in either.
pub async fn check_once(
    mut settings: Settings,
    tables: Option<Vec<String>>,
    progress: Progress,
) -> Result<Report, OnceError> {
    let folder = Folder::new()?;
    settings.mirror.journal = folder.0.clone();
    (settings.check.interval, settings.check.repair) = (Duration::ZERO, Repair::Off);
    let primary = connect(&settings.primary.url, Purpose::Catalog).await?;
    let shadow = connect(&settings.shadow.url, Purpose::Catalog).await?;
    let ours = load(&primary, &options(&settings), 1).await?;
    let theirs = load(&shadow, &options(&settings), 1).await?;

    let mirror = empty_mirror(&settings, &ours, &folder.0)?;
    let sides = [ours, theirs].map(|catalog| Arc::new(Handle::from(catalog)));
    let [ours, theirs] = &sides;
    let checker = Checker::start(Live::new(settings), mirror.clone(), Arc::clone(ours), Arc::clone(theirs));
    let checked = checker.check(tables.clone(), progress).await;
    let mut found = checker.tables(false, &HashMap::new());
    checker.stop().await;
    mirror.close().await;
    checked?;
    if let Some(tables) = tables {
        found.retain(|table| tables.contains(&table.table));
    }
    Ok(Report::new(rfc3339(SystemTime::now()), found, ReadsReport::default(), MirrorReport::default()))
}

fn options(settings: &Settings) -> LoadOptions {
    let patterns = |patterns: &[String]| Patterns::new(patterns);
    let (include, exclude) = (patterns(&settings.mirror.include), patterns(&settings.mirror.exclude));
    LoadOptions { include, exclude, ..LoadOptions::default() }
}

/// What the checker asks when it wants to know what is on its way: nothing is.
fn empty_mirror(settings: &Settings, catalog: &Catalog, folder: &Path) -> Result<Mirror, OpenError> {
    let ledger = LedgerSettings { journal: folder.to_owned(), journal_max_bytes: LEDGER_BYTES, memory: LEDGER_BYTES };
    let identity = Identity {
        system_identifier: catalog.system_identifier.clone(),
        database: settings.primary.url.database.clone(),
    };
    Ok(Mirror::open(&ledger, &identity)?.0)
}

/// Ours alone. Removed when it is dropped.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Result<Self, OnceError> {
        for attempt in 0..1000 {
            // One that was killed may have left its folder to a process of the same number.
            let folder = std::env::temp_dir().join(format!("crossfade-check-{}-{attempt}", std::process::id()));
            match DirBuilder::new().mode(0o700).create(&folder) {
                Ok(()) => return Ok(Self(folder)),
                Err(why) if why.kind() == io::ErrorKind::AlreadyExists => {}
                Err(why) => return Err(OnceError::Folder { folder, why }),
            }
        }
        Err(OnceError::Folder { folder: std::env::temp_dir(), why: io::ErrorKind::AlreadyExists.into() })
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // Nobody is left to be told.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
