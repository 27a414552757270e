//! Where settings come from: the file, the environment, the command line. Each gives entries, judged one by one.

use std::ffi::OsString;
use std::fmt;
use std::path::{Path, PathBuf};

use config::{File, FileFormat, Map, Source, Value, ValueKind};

use super::keys;
use super::problem::{Place, Problem, Problems};

/// Environment variables that begin with it may be settings.
const PREFIX: &str = "CROSSFADE_";

/// Read anew at every reload, in this order; the later wins. `Debug` shows no value: URLs hold passwords.
#[derive(Clone)]
pub struct Sources {
    file: Option<PathBuf>,
    folder: PathBuf,
    environment: Vec<(String, String)>,
    flags: Vec<(&'static str, &'static str, String)>,
}

/// A key with its value, and where it was given.
#[derive(Clone)]
pub(super) struct Entry {
    pub(super) key: String,
    pub(super) place: Place,
    pub(super) value: Value,
}

/// The entries of all sources, the later behind the earlier.
#[derive(Clone, Debug)]
pub(super) struct Entries(pub(super) Vec<Entry>);

impl Sources {
    /// This file, or none, and the variables of this process.
    pub fn new(file: Option<PathBuf>) -> Self {
        Self::with_environment(file, std::env::vars_os())
    }

    /// This file, or none, and these variables.
    pub fn with_environment(file: Option<PathBuf>, variables: impl IntoIterator<Item = (OsString, OsString)>) -> Self {
        let parent = file.as_deref().and_then(Path::parent).unwrap_or(Path::new(""));
        let folder = std::env::current_dir().unwrap_or_default().join(parent);
        let text = |text: OsString| text.to_string_lossy().into_owned();
        let mut environment: Vec<_> = variables.into_iter().map(|(name, value)| (text(name), text(value))).collect();
        environment.retain(|(name, _)| name.starts_with(PREFIX));
        environment.sort();
        Self { file, folder, environment, flags: Vec::new() }
    }

    /// Adds what a flag of the command line says of `key`.
    #[must_use]
    pub fn with_flag(mut self, flag: &'static str, key: &'static str, value: Option<String>) -> Self {
        self.flags.extend(value.map(|value| (flag, key, value)));
        self
    }

    /// The configuration file.
    pub fn file(&self) -> Option<&Path> {
        self.file.as_deref()
    }

    /// What relative paths start from: the file's folder, else the working directory.
    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    /// All that is given now; unknown variables are among the problems.
    pub(super) fn entries(&self) -> Result<(Entries, Vec<Problem>), Problems> {
        let mut entries = self.file.as_deref().map(of_file).transpose()?.unwrap_or_default();
        let mut problems = Vec::new();
        for (name, value) in &self.environment {
            match of_variable(name, value) {
                Ok(entry) => entries.extend(entry),
                Err(problem) => problems.push(problem),
            }
        }
        for (flag, key, value) in &self.flags {
            entries.push(Entry::from_text((*key).to_owned(), Place::Flag(flag), value));
        }
        Ok((Entries(entries), problems))
    }
}

fn of_file(path: &Path) -> Result<Vec<Entry>, Problems> {
    let place = Place::File(path.to_owned());
    let text = std::fs::read_to_string(path)
        .map_err(|error| Problems::whole(place.clone(), format!("cannot be read: {error}")))?;
    let sections = File::from_str(&text, FileFormat::Toml)
        .collect()
        .map_err(|error| Problems::whole(place.clone(), format!("not TOML: {}", without_source(&error.to_string()))))?;
    let mut entries = Vec::new();
    for (section, value) in sections {
        match value.kind {
            ValueKind::Table(fields) => entries.extend(fields.into_iter().map(|(field, value)| Entry {
                key: format!("{section}.{field}"),
                place: place.clone(),
                value,
            })),
            _ => entries.push(Entry { key: section, place: place.clone(), value }),
        }
    }
    entries.sort_by(|a, b| a.key.cmp(&b.key));
    Ok(entries)
}

/// The parser's message without the line it quotes, which may hold a password.
fn without_source(message: &str) -> String {
    let quoted =
        |line: &&str| line.trim_start().trim_start_matches(|c: char| c.is_ascii_digit()).trim().starts_with('|');
    let lines: Vec<_> = message.lines().filter(|line| !quoted(line)).map(str::trim).collect();
    lines.join(": ").replace("TOML parse error ", "")
}

/// `None`: not meant for us, such as the `CROSSFADE_SERVICE_HOST` of Kubernetes.
fn of_variable(name: &str, value: &str) -> Result<Option<Entry>, Problem> {
    let place = Place::Variable(name.to_owned());
    let rest = name.strip_prefix(PREFIX).unwrap_or(name).to_ascii_lowercase();
    if let Some((section, field)) = rest.split_once("__") {
        return Ok(Some(Entry::from_text(format!("{section}.{field}"), place, value)));
    }
    let Some(key) = keys::KEYS.iter().find(|key| key.name.replace('.', "_") == rest) else { return Ok(None) };
    let meant = format!("{PREFIX}{}", key.name.replace('.', "__").to_ascii_uppercase());
    Err(Problem { place, key: None, complaint: format!("section and key are parted by two underscores: {meant}") })
}

impl Entry {
    fn from_text(key: String, place: Place, text: &str) -> Self {
        let kind = keys::find(&key).map_or_else(|_| ValueKind::from(text), |known| known.kind.from_text(text));
        Self { key, place, value: Value::new(None, kind) }
    }

    /// What is wrong with it.
    pub(super) fn problem(&self) -> Option<Problem> {
        let complaint = match keys::find(&self.key) {
            Ok(key) => key.kind.complaint(&self.value)?,
            Err(complaint) => complaint,
        };
        Some(Problem { place: self.place.clone(), key: Some(self.key.clone()), complaint })
    }
}

impl Entries {
    /// Where the value in force was given.
    pub(super) fn place(&self, key: &str) -> Place {
        self.0.iter().rev().find(|entry| entry.key == key).map_or(Place::Nowhere, |entry| entry.place.clone())
    }

    /// Keys the file gives and a variable or flag overrides, sorted.
    pub(super) fn overridden(&self) -> Vec<String> {
        let in_file = self.0.iter().filter(|entry| matches!(entry.place, Place::File(_)));
        let beaten = in_file.filter(|entry| !matches!(self.place(&entry.key), Place::File(_)));
        beaten.map(|entry| entry.key.clone()).collect()
    }
}

impl Source for Entries {
    fn clone_into_box(&self) -> Box<dyn Source + Send + Sync> {
        Box::new(self.clone())
    }

    fn collect(&self) -> Result<Map<String, Value>, config::ConfigError> {
        Ok(self.0.iter().map(|entry| (entry.key.clone(), entry.value.clone())).collect())
    }
}

impl fmt::Debug for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of {}", self.key, self.place)
    }
}

impl fmt::Debug for Sources {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sources").field("file", &self.file).field("folder", &self.folder).finish_non_exhaustive()
    }
}
