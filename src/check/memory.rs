//! What outlives a restart: the round, what it found so far, and where it stands within a table. Files beside the journal.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::SystemTime;
use std::{fs, io};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::state::Checked;
use super::table::Stand;
use crate::report::RoundReport;

/// The lives of primary and shadow: what was found of others says nothing of these.
pub(super) type Lives = [String; 2];

/// A round and all that is known.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Rounds {
    /// Which, counted from 1.
    pub(super) round: u64,
    pub(super) began: SystemTime,
    /// Tables still to be compared.
    pub(super) left: Vec<String>,
    pub(super) tables: BTreeMap<String, Checked>,
}

/// A table under way.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct UnderWay {
    pub(super) table: String,
    /// Of its columns and key.
    pub(super) definition: u32,
    pub(super) stand: Stand,
}

/// What is in a file.
#[derive(Serialize, Deserialize)]
struct Kept<L, T> {
    lives: L,
    what: T,
}

/// The files.
#[derive(Debug)]
pub(super) struct Memory {
    folder: PathBuf,
}

impl Memory {
    pub(super) fn new(folder: PathBuf) -> Self {
        Self { folder }
    }

    pub(super) fn rounds(&self, lives: &Lives) -> Option<Rounds> {
        self.of(lives, "check.json")
    }

    pub(super) fn keep_rounds(&self, lives: &Lives, rounds: &Rounds) {
        self.write("check.json", &Kept { lives, what: rounds });
    }

    pub(super) fn under_way(&self, lives: &Lives) -> Option<UnderWay> {
        self.of(lives, "check-table.json")
    }

    pub(super) fn keep_under_way(&self, lives: &Lives, under_way: &UnderWay) {
        self.write("check-table.json", &Kept { lives, what: under_way });
    }

    /// Rounds that ended, oldest first, whatever life they were of.
    pub(super) fn history(&self) -> Vec<RoundReport> {
        self.read("check-history.json").unwrap_or_default()
    }

    pub(super) fn keep_history(&self, history: &[RoundReport]) {
        self.write("check-history.json", &history);
    }

    /// `table` is not under way any more.
    pub(super) fn ended(&self, lives: &Lives, table: &str) {
        if self.under_way(lives).is_some_and(|under_way| under_way.table == table) {
            self.remove("check-table.json");
        }
    }

    /// What was found so far says nothing any more.
    pub(super) fn forget(&self) {
        self.remove("check.json");
        self.remove("check-table.json");
    }

    fn of<T: DeserializeOwned>(&self, lives: &Lives, name: &str) -> Option<T> {
        let kept: Kept<Lives, T> = self.read(name)?;
        (kept.lives == *lives).then_some(kept.what)
    }

    fn read<T: DeserializeOwned>(&self, name: &str) -> Option<T> {
        let file = self.folder.join(name);
        let read = fs::read(&file).and_then(|bytes| Ok(serde_json::from_slice(&bytes)?));
        match read {
            Ok(what) => Some(what),
            Err(error) => {
                if error.kind() != io::ErrorKind::NotFound {
                    tracing::warn!(%error, "{} is left alone: the round begins anew", file.display());
                }
                None
            }
        }
    }

    /// Written aside and renamed: never half there.
    fn write(&self, name: &str, what: &impl Serialize) {
        let (file, aside) = (self.folder.join(name), self.folder.join(format!("{name}.new")));
        let written = serde_json::to_vec(what).map_err(io::Error::from).and_then(|bytes| fs::write(&aside, bytes));
        if let Err(error) = written.and_then(|()| fs::rename(aside, &file)) {
            tracing::warn!(%error, "writing {}: after a restart the round begins anew", file.display());
        }
    }

    fn remove(&self, name: &str) {
        // Mostly it is not there.
        let _ = fs::remove_file(self.folder.join(name));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lives(shadow: &str) -> Lives {
        ["primary 1".into(), shadow.into()]
    }

    #[test]
    fn what_was_kept_is_of_the_same_lives_only_and_rubbish_is_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let memory = Memory::new(folder.path().to_owned());
        assert!(memory.rounds(&lives("a")).is_none());
        let rounds =
            Rounds { round: 7, began: SystemTime::now(), left: vec!["public.t".into()], tables: BTreeMap::new() };
        memory.keep_rounds(&lives("a"), &rounds);
        let read = memory.rounds(&lives("a")).unwrap();
        assert_eq!((read.round, read.left), (7, rounds.left));
        assert!(memory.rounds(&lives("b")).is_none());
        fs::write(folder.path().join("check.json"), "{").unwrap();
        assert!(memory.rounds(&lives("a")).is_none());
        memory.keep_rounds(&lives("a"), &Rounds { left: Vec::new(), ..rounds });
        memory.forget();
        assert!(memory.rounds(&lives("a")).is_none());
    }
}
