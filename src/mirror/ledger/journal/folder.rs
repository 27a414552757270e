//! The folder of a journal: locked, bound to one primary, and what its files are called (rule 24).

use std::fs::{File, TryLockError};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::mirror::ledger::{Identity, OpenError};

/// A journal's folder, ours as long as this lives.
#[derive(Debug)]
pub(in crate::mirror::ledger) struct Folder {
    path: PathBuf,
    /// Which journal this is among all that a primary ever had: its places mean nothing to another.
    journal: String,
    _lock: File,
}

/// The content of `identity.json`.
#[derive(Debug, Serialize, Deserialize)]
struct Binding {
    journal: String,
    primary: Identity,
}

impl Folder {
    /// Makes it if absent, locks it, and binds it to `identity` or finds that it is.
    pub(in crate::mirror::ledger) fn open(path: &Path, identity: &Identity) -> Result<Self, OpenError> {
        std::fs::create_dir_all(path).map_err(OpenError::io(path))?;
        let lock_path = path.join("lock");
        let lock = File::create(&lock_path).map_err(OpenError::io(&lock_path))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(OpenError::Locked(path.to_owned())),
            Err(TryLockError::Error(error)) => return Err(OpenError::io(&lock_path)(error)),
        }
        let journal = bind(path, identity)?;
        Ok(Self { path: path.to_owned(), journal, _lock: lock })
    }

    pub(in crate::mirror::ledger) fn journal(&self) -> &str {
        &self.journal
    }

    pub(in crate::mirror::ledger) fn path(&self) -> &Path {
        &self.path
    }
}

/// Gives the journal's id.
fn bind(path: &Path, identity: &Identity) -> Result<String, OpenError> {
    let file = path.join("identity.json");
    let found = match std::fs::read(&file) {
        Ok(text) => serde_json::from_slice::<Binding>(&text)
            .map_err(|error| OpenError::io(&file)(io::Error::new(io::ErrorKind::InvalidData, error)))?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let journal = format!("{:016x}", rand::random::<u64>());
            let binding = Binding { journal, primary: identity.clone() };
            let text = serde_json::to_vec(&binding).map_err(|error| OpenError::io(&file)(error.into()))?;
            replace_file(&file, &text, Durability::Power).map_err(OpenError::io(&file))?;
            binding
        }
        Err(error) => return Err(OpenError::io(&file)(error)),
    };
    if found.primary == *identity {
        return Ok(found.journal);
    }
    Err(OpenError::Foreign { path: path.to_owned(), found: found.primary.describe(), expected: identity.describe() })
}

/// What a written file outlives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::mirror::ledger) enum Durability {
    /// The end of this process.
    Process,
    /// The end of the machine's power, too.
    Power,
}

/// Puts `content` in the file's place in one step.
pub(super) fn replace_file(path: &Path, content: &[u8], durability: Durability) -> io::Result<()> {
    let draft = path.with_extension("new");
    let mut file = File::create(&draft)?;
    file.write_all(content)?;
    if durability == Durability::Power {
        file.sync_data()?;
    }
    std::fs::rename(&draft, path)?;
    if durability == Durability::Power { sync_folder(path) } else { Ok(()) }
}

/// Makes the creation, renaming or removal of `file` durable.
pub(super) fn sync_folder(file: &Path) -> io::Result<()> {
    file.parent().map_or(Ok(()), |folder| File::open(folder)?.sync_all())
}

/// The path of the segment that begins with this place.
pub(super) fn segment_path(folder: &Path, first: u64) -> PathBuf {
    folder.join(format!("{first:020}.log"))
}

/// Removes a segment whose entries are no longer needed.
pub(in crate::mirror::ledger) fn remove_segment(folder: &Path, first: u64) -> io::Result<()> {
    std::fs::remove_file(segment_path(folder, first))
}

/// The segments of a folder by their first place, in order.
pub(super) fn segments(folder: &Path) -> io::Result<Vec<u64>> {
    let mut firsts = Vec::new();
    for item in std::fs::read_dir(folder)? {
        let name = item?.file_name();
        let digits = name.to_str().and_then(|name| name.strip_suffix(".log")).filter(|digits| digits.len() == 20);
        firsts.extend(digits.and_then(|digits| digits.parse::<u64>().ok()));
    }
    firsts.sort_unstable();
    Ok(firsts)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn identity(system: &str) -> Identity {
        Identity { system_identifier: system.into(), database: "app".into() }
    }

    #[test]
    fn rule_24_a_journal_is_locked_and_bound_to_its_primary() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("deep/journal");
        let first = Folder::open(&path, &identity("1")).unwrap();
        assert!(matches!(Folder::open(&path, &identity("1")), Err(OpenError::Locked(_))));
        let journal = first.journal().to_owned();
        drop(first);
        let error = Folder::open(&path, &identity("2")).unwrap_err();
        assert!(error.to_string().contains("belongs to database \"app\" of system 1, and this primary is"), "{error}");
        assert_eq!(Folder::open(&path, &identity("1")).unwrap().journal(), journal);
        let another = Folder::open(&folder.path().join("another"), &identity("1")).unwrap();
        assert_ne!(another.journal(), journal, "a journal that was lost is not this one");
    }

    #[test]
    fn segments_come_in_order_and_other_files_are_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        for first in [30, 4, 1_000_000] {
            std::fs::write(segment_path(folder.path(), first), "").unwrap();
        }
        for other in ["1.log", "00000000000000000005.log.broken", "state", "aaaaaaaaaaaaaaaaaaaa.log"] {
            std::fs::write(folder.path().join(other), "").unwrap();
        }
        assert_eq!(segments(folder.path()).unwrap(), [4, 30, 1_000_000]);
    }
}
