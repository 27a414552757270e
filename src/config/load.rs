//! From sources to settings: every entry judged, the whole merged, files with secrets and certificates read.

use std::path::{Path, PathBuf};

use config::Config;

use super::problem::{Place, Problem, Problems};
use super::sources::{Entries, Sources};
use super::{Admin, PgUrl, Settings, validate};

/// Checked settings, and where they came from.
#[derive(Debug, Clone)]
pub struct Loaded {
    /// In full: paths resolved, passwords read.
    pub settings: Settings,
    /// For reloading.
    pub sources: Sources,
    /// Keys the file gives and the environment or the command line overrides.
    pub overridden: Vec<String>,
}

impl Sources {
    /// Reads all sources now. Nothing is accepted unless everything is fine.
    pub fn load(&self) -> Result<Loaded, Problems> {
        let (entries, mut problems) = self.entries()?;
        problems.extend(entries.0.iter().filter_map(super::sources::Entry::problem));
        problems.extend(missing(&entries));
        Problems::none_of(problems)?;
        let mut settings: Settings = merge(&entries)?;
        let mut problems = resolve(&mut settings, self.folder(), &entries);
        problems.extend(validate::together(&settings, &entries));
        Problems::none_of(problems)?;
        Ok(Loaded { settings, sources: self.clone(), overridden: entries.overridden() })
    }

    /// Where a running proxy's admin address is, for the commands that talk to it: nothing else is judged.
    pub fn admin(&self) -> Result<Admin, Problems> {
        let (mut entries, _) = self.entries()?;
        entries.0.retain(|entry| entry.key.starts_with("admin."));
        Problems::none_of(entries.0.iter().filter_map(super::sources::Entry::problem).collect())?;
        let mut admin = if entries.0.is_empty() { Admin::default() } else { merge::<OnlyAdmin>(&entries)?.admin };
        admin.token_file = admin.token_file.map(|path| self.folder().join(path));
        Ok(admin)
    }
}

#[derive(serde::Deserialize)]
struct OnlyAdmin {
    admin: Admin,
}

fn missing(entries: &Entries) -> Vec<Problem> {
    let given = |key: &str| entries.0.iter().any(|entry| entry.key == key);
    let wanted = [("primary.url", "PRIMARY", "--primary"), ("shadow.url", "SHADOW", "--shadow")];
    let absent = wanted.into_iter().filter(|(key, ..)| !given(key));
    let complain = |(key, section, flag): (&str, &str, &str)| Problem {
        place: Place::Nowhere,
        key: Some(key.to_owned()),
        complaint: format!(
            "missing: give it in proxy.toml, as environment variable CROSSFADE_{section}__URL, or by {flag}"
        ),
    };
    absent.map(complain).collect()
}

/// Every entry has been judged, so that this fails only where the table of keys and the settings disagree.
fn merge<T: serde::de::DeserializeOwned>(entries: &Entries) -> Result<T, Problems> {
    let merged = Config::builder().add_source(entries.clone()).build().and_then(Config::try_deserialize);
    merged.map_err(|error| Problems::whole(Place::Nowhere, error.to_string()))
}

/// Paths from the folder; passwords, certificates and verifiers from their files.
fn resolve(settings: &mut Settings, folder: &Path, entries: &Entries) -> Vec<Problem> {
    settings.mirror.journal = folder.join(&settings.mirror.journal);
    settings.admin.token_file = settings.admin.token_file.take().map(|path| folder.join(path));
    let Settings { listen, primary, shadow, .. } = settings;
    for url in [&mut primary.url, &mut shadow.url] {
        url.sslrootcert = url.sslrootcert.take().map(|path| folder.join(path));
    }
    let logins = [
        ("primary.password_file", &mut primary.url, &mut primary.password_file),
        ("shadow.password_file", &mut shadow.url, &mut shadow.password_file),
    ];
    let files = [
        ("listen.tls_cert", &mut listen.tls_cert),
        ("listen.tls_key", &mut listen.tls_key),
        ("listen.auth_file", &mut listen.auth_file),
    ];
    let problem =
        |key: &str, complaint: String| Problem { place: entries.place(key), key: Some(key.to_owned()), complaint };
    let contents = files.into_iter().filter_map(|(key, file)| Some(problem(key, file.as_mut()?.read(folder).err()?)));
    let mut problems: Vec<_> = contents.collect();
    let read = |(key, url, file): (&str, &mut PgUrl, &mut Option<PathBuf>)| {
        *file = file.take().map(|path| folder.join(path));
        Some(problem(key, read_password(url, file.as_deref()?).err()?))
    };
    problems.extend(logins.into_iter().filter_map(read));
    problems
}

fn read_password(url: &mut PgUrl, file: &Path) -> Result<(), String> {
    url.password = Some(read_secret(file)?);
    Ok(())
}

/// The one line of a file that holds a password or a token.
pub fn read_secret(file: &Path) -> Result<String, String> {
    let text = std::fs::read_to_string(file).map_err(|error| format!("{} cannot be read: {error}", file.display()))?;
    let secret = text.trim_end_matches(['\n', '\r']);
    if secret.is_empty() || secret.contains('\n') {
        return Err(format!("{} must hold exactly one line, and not an empty one", file.display()));
    }
    Ok(secret.to_owned())
}

#[cfg(test)]
mod tests;
