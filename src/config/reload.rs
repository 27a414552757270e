//! Reading the same sources again: checked whole, then swapped whole.

use std::path::Path;
use std::sync::Arc;

use parking_lot::Mutex;
use serde::{Deserialize, Serialize};

use super::keys::{KEYS, Key, When};
use super::{Live, Loaded, Problems, Settings, Sources};

/// What a reload did.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReloadOutcome {
    /// Keys whose new value is in force now.
    pub changed: Vec<String>,
    /// Keys whose new value waits for a restart.
    pub needs_restart: Vec<String>,
    /// Keys the file gives and the environment or the command line overrides.
    pub overridden: Vec<String>,
    /// Accepted configurations, this one included.
    pub generation: u64,
}

/// Holds the sources, and puts what they say in force.
#[derive(Debug)]
pub struct Reloader {
    sources: Sources,
    live: Arc<Live>,
    accepted: Mutex<Accepted>,
}

#[derive(Debug)]
struct Accepted {
    /// What the sources say.
    wanted: Settings,
    /// Of that, what is in force: cold keys are those of the start.
    in_force: Settings,
}

impl Reloader {
    /// What was loaded is in force.
    pub fn new(loaded: Loaded) -> Arc<Self> {
        let Loaded { settings, sources, .. } = loaded;
        let accepted = Mutex::new(Accepted { wanted: settings.clone(), in_force: settings.clone() });
        Arc::new(Self { sources, live: Live::new(settings), accepted })
    }

    /// The settings in force.
    pub fn live(&self) -> &Arc<Live> {
        &self.live
    }

    /// The configuration file.
    pub fn file(&self) -> Option<&Path> {
        self.sources.file()
    }

    /// Reads the sources again. On any problem nothing changes. What says the same as before is no new generation.
    pub fn reload(&self) -> Result<ReloadOutcome, Problems> {
        let mut accepted = self.accepted.lock();
        let Loaded { settings: wanted, overridden, .. } = self.sources.load()?;
        let differs = |key: &&Key| !(key.same)(&accepted.in_force, &wanted);
        let (hot, cold): (Vec<_>, Vec<_>) = KEYS.iter().filter(differs).partition(|key| key.when == When::Hot);
        if wanted != accepted.wanted {
            let mut in_force = wanted.clone();
            for key in KEYS.iter().filter(|key| key.when == When::Cold) {
                (key.adopt)(&accepted.in_force, &mut in_force);
            }
            self.live.swap(in_force.clone());
            *accepted = Accepted { wanted, in_force };
        }
        let names = |keys: Vec<&Key>| keys.into_iter().map(|key| key.name.to_owned()).collect();
        Ok(ReloadOutcome {
            changed: names(hot),
            needs_restart: names(cold),
            overridden,
            generation: self.live.generation(),
        })
    }
}

#[cfg(test)]
mod tests;
