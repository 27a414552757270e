//! Which life of the primary this is (rule 5), kept beside the ledger so that it only grows.

use std::fs;
use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::Context;
use serde::{Deserialize, Serialize};
use tracing::warn;

use crate::effect::{Mark, Reason, Touched};
use crate::mirror::Mirror;

#[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
struct Stored {
    number: u32,
    /// System identifier, timeline and start of the postmaster.
    life: String,
}

/// Enters the primary's life `life`: the number of the last run if it is the same one, else a new number, and then what
/// was captured before is compared.
pub(super) fn enter(journal: &Path, life: &str, epoch: &AtomicU32, mirror: &Mirror) -> anyhow::Result<()> {
    let file = journal.join("epoch.json");
    let stored = read(&file).with_context(|| format!("reading {}", file.display()))?;
    let first = stored == Stored::default();
    let number = if stored.life == life { stored.number } else { stored.number + 1 };
    write(&file, &Stored { number, life: life.to_owned() }).with_context(|| format!("writing {}", file.display()))?;
    epoch.store(number, Ordering::Release);
    if number != stored.number && !first {
        warn!(number, "the primary began a new life: WAL positions may repeat, so everything is compared");
        mirror.mark(&Mark::Tables { touched: Touched::All, reason: Reason::NewEpoch });
    }
    Ok(())
}

/// The primary was out of sight, and whether it crashed is not known: what comes next outranks what was, and that is
/// compared.
pub(super) fn begin(journal: &Path, epoch: &AtomicU32, mirror: &Mirror) {
    let file = journal.join("epoch.json");
    let number = epoch.fetch_add(1, Ordering::AcqRel) + 1;
    let stored = read(&file).unwrap_or_default();
    if let Err(error) = write(&file, &Stored { number, ..stored }) {
        warn!(%error, "writing {}", file.display());
    }
    mirror.mark(&Mark::Tables { touched: Touched::All, reason: Reason::NewEpoch });
}

fn read(file: &Path) -> io::Result<Stored> {
    match fs::read(file) {
        Ok(bytes) => serde_json::from_slice(&bytes).map_err(io::Error::from),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Stored::default()),
        Err(error) => Err(error),
    }
}

/// Written aside and renamed: never half there.
fn write(file: &Path, stored: &Stored) -> io::Result<()> {
    let aside = file.with_extension("new");
    fs::write(&aside, serde_json::to_vec(stored)?)?;
    fs::rename(aside, file)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_stored_reads_back_and_rubbish_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("epoch.json");
        assert_eq!(read(&file).unwrap(), Stored::default());
        let stored = Stored { number: 3, life: "7 1 2026".into() };
        write(&file, &stored).unwrap();
        assert_eq!(read(&file).unwrap(), stored);
        fs::write(&file, "{").unwrap();
        assert!(read(&file).is_err());
    }
}
