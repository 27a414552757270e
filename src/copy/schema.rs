//! `--create-schema`: the primary's schema brought to an empty shadow, by its own pg_dump and psql.
//!
//! They run where the proxy runs, which knows the servers and their passwords. Passwords go through the environment of
//! the programs, which nobody else may read, never through their arguments, which everybody may.

use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};

use thiserror::Error;
use tokio::process::Command;

use crate::catalog::ProbeError;
use crate::config::PgUrl;
use crate::server::Both;

/// Why the schema was not brought over.
#[derive(Debug, Error)]
pub enum SchemaError {
    /// Something would be in the way.
    #[error(
        "the shadow has tables already ({0}): --create-schema is for an empty database; drop them, or leave it out and \
         create what is missing by hand"
    )]
    NotEmpty(String),
    /// No program that can read the primary.
    #[error(
        "no pg_dump of PostgreSQL {wanted} or newer where the proxy runs (found: {found}): install postgresql-client-{wanted}"
    )]
    NoProgram {
        /// The primary's major version.
        wanted: u32,
        /// Versions and places, for people.
        found: String,
    },
    /// It ran, and failed.
    #[error("{program} failed: {said}")]
    Failed {
        /// Which.
        program: &'static str,
        /// The end of what it wrote to stderr.
        said: String,
    },
    /// It could not be run.
    #[error("{}: {source}", path.display())]
    Run {
        /// What was to be run.
        path: PathBuf,
        /// Why it was not.
        source: std::io::Error,
    },
    /// A server could not be asked.
    #[error("{0}")]
    Probe(#[from] ProbeError),
}

/// What was left out, for people.
pub(super) type LeftOut = Option<String>;

const TABLES: &str = "SELECT n.nspname || '.' || c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S') AND n.nspname !~ '^pg_'
    AND n.nspname NOT IN ('information_schema', 'crossfade')
    AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e')
    ORDER BY 1 LIMIT 5";
/// Who owns something, or was granted something, in this database. What the first user owns is not listed.
const ROLES: &str = "SELECT r.rolname::text FROM pg_roles r WHERE r.oid = 10 OR r.oid IN (SELECT d.refobjid FROM pg_shdepend d
    WHERE d.refclassid = 'pg_authid'::regclass AND d.dbid = (SELECT oid FROM pg_database WHERE datname = current_database()))
    ORDER BY 1";
const LACKING: &str = "SELECT w.name FROM unnest($1::text[]) AS w(name) WHERE NOT EXISTS (SELECT FROM pg_roles r
    WHERE r.rolname = w.name) ORDER BY 1";
const MAY_GIVE_AWAY: &str = "SELECT rolsuper FROM pg_roles WHERE rolname = current_user";

/// Brings the schema over in one transaction of the shadow, or nothing of it.
pub(super) async fn create_schema(primary: &PgUrl, shadow: &PgUrl, both: &Both) -> Result<LeftOut, SchemaError> {
    let there = names(&both.shadow, TABLES, &[]).await?;
    if !there.is_empty() {
        return Err(SchemaError::NotEmpty(there.join(", ")));
    }
    let left_out = owners(both).await?;
    let version = both.primary.query_one("SELECT current_setting('server_version_num')::int4", &[]).await;
    let version: i32 = version.and_then(|row| row.try_get(0)).map_err(ProbeError::from)?;
    let folder = programs(u32::try_from(version / 10_000).unwrap_or_default()).await?;
    let dumped = dump(&folder, primary, left_out.is_some()).await?;
    load(&folder, shadow, &dumped).await?;
    Ok(left_out)
}

/// Whether owners and privileges have to stay behind, and why.
async fn owners(both: &Both) -> Result<LeftOut, SchemaError> {
    let roles = names(&both.primary, ROLES, &[]).await?;
    let lacking = names(&both.shadow, LACKING, &[&roles]).await?;
    let may: bool =
        both.shadow.query_one(MAY_GIVE_AWAY, &[]).await.and_then(|row| row.try_get(0)).map_err(ProbeError::from)?;
    let why = match (lacking.is_empty(), may) {
        (true, true) => return Ok(None),
        (false, _) => format!("roles are missing on the shadow ({})", lacking.join(", ")),
        (true, false) => "the user of shadow.url is no superuser".to_owned(),
    };
    Ok(Some(format!(
        "owners and privileges were left out, because {why}: everything belongs to the user of shadow.url; reads may go \
         to the shadow only once its roles have their privileges there"
    )))
}

async fn names(
    client: &tokio_postgres::Client,
    sql: &str,
    parameters: &[&(dyn tokio_postgres::types::ToSql + Sync)],
) -> Result<Vec<String>, SchemaError> {
    let rows = client.query(sql, parameters).await.map_err(ProbeError::from)?;
    Ok(rows.iter().map(|row| row.try_get(0)).collect::<Result<_, _>>().map_err(ProbeError::from)?)
}

/// The folder of a pg_dump of this major version, else of the next newer one: an older one cannot read the server.
async fn programs(wanted: u32) -> Result<PathBuf, SchemaError> {
    let mut found: Vec<(u32, PathBuf)> = Vec::new();
    for folder in folders() {
        if let Some(major) = major_of(&folder.join("pg_dump")).await {
            found.push((major, folder));
        }
    }
    choose(wanted, &found).ok_or_else(|| {
        let list: Vec<_> = found.iter().map(|(major, folder)| format!("{major} in {}", folder.display())).collect();
        SchemaError::NoProgram { wanted, found: if list.is_empty() { "none".into() } else { list.join(", ") } }
    })
}

fn choose(wanted: u32, found: &[(u32, PathBuf)]) -> Option<PathBuf> {
    let able = found.iter().filter(|(major, _)| *major >= wanted);
    able.min_by_key(|(major, _)| *major).map(|(_, folder)| folder.clone())
}

/// Those of PATH, then those where Debian and Red Hat put each version.
fn folders() -> Vec<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut folders: Vec<PathBuf> = std::env::split_paths(&path).collect();
    let below = |folder: &str| std::fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
    folders.extend(below("/usr/lib/postgresql").map(|version| version.join("bin")));
    folders.extend(below("/usr").filter(|path| is_versioned(path)).map(|version| version.join("bin")));
    folders
}

fn is_versioned(path: &Path) -> bool {
    path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("pgsql-"))
}

/// `pg_dump (PostgreSQL) 15.20 (Debian 15.20-0+deb12u1)`
async fn major_of(pg_dump: &Path) -> Option<u32> {
    let output = Command::new(pg_dump).arg("--version").stdin(Stdio::null()).output().await.ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    let version = text.strip_prefix("pg_dump (PostgreSQL) ")?;
    version.split(|char: char| !char.is_ascii_digit()).next()?.parse().ok()
}

async fn dump(folder: &Path, primary: &PgUrl, without_owners: bool) -> Result<Vec<u8>, SchemaError> {
    let mut arguments =
        vec!["--schema-only", "--no-publications", "--no-subscriptions", "--exclude-schema=crossfade", "--no-password"];
    if without_owners {
        arguments.extend(["--no-owner", "--no-privileges"]);
    }
    let output = run(folder.join("pg_dump"), "pg_dump", primary, &arguments, None).await?;
    Ok(output.stdout)
}

async fn load(folder: &Path, shadow: &PgUrl, dumped: &[u8]) -> Result<(), SchemaError> {
    let arguments = [
        "--no-psqlrc",
        "--quiet",
        "--single-transaction",
        "--set=ON_ERROR_STOP=1",
        "--no-password",
        "--output=/dev/null",
    ];
    run(folder.join("psql"), "psql", shadow, &arguments, Some(dumped)).await.map(drop)
}

async fn run(
    path: PathBuf,
    program: &'static str,
    url: &PgUrl,
    arguments: &[&str],
    input: Option<&[u8]>,
) -> Result<Output, SchemaError> {
    let failed = |source| SchemaError::Run { path: path.clone(), source };
    let mut command = Command::new(&path);
    command.args(arguments).kill_on_drop(true).stdout(Stdio::piped()).stderr(Stdio::piped());
    command.stdin(if input.is_some() { Stdio::piped() } else { Stdio::null() });
    connect_by_environment(&mut command, url);
    let mut child = command.spawn().map_err(failed)?;
    let stdin = child.stdin.take();
    let feed = async {
        if let (Some(mut stdin), Some(input)) = (stdin, input) {
            // A program that ended early says why by itself.
            let _ = tokio::io::AsyncWriteExt::write_all(&mut stdin, input).await;
        }
    };
    let ((), output) = tokio::join!(feed, child.wait_with_output());
    let output = output.map_err(failed)?;
    if output.status.success() {
        return Ok(output);
    }
    let said = String::from_utf8_lossy(&output.stderr);
    let first: Vec<&str> = said.lines().filter(|line| !line.is_empty()).take(3).collect();
    Err(SchemaError::Failed { program, said: first.join("; ") })
}

fn connect_by_environment(command: &mut Command, url: &PgUrl) {
    for inherited in ["PGSERVICE", "PGHOSTADDR", "PGOPTIONS", "PGPASSFILE", "PGPASSWORD", "PGTARGETSESSIONATTRS"] {
        command.env_remove(inherited);
    }
    command
        .env("PGHOST", &url.host)
        .env("PGPORT", url.port.to_string())
        .env("PGUSER", &url.user)
        .env("PGDATABASE", &url.database)
        .env("PGSSLMODE", url.sslmode.to_string())
        .env("PGAPPNAME", "crossfade-schema")
        .env("PGCONNECT_TIMEOUT", "10");
    if let Some(password) = &url.password {
        command.env("PGPASSWORD", password);
    }
    if let Some(authority) = &url.sslrootcert {
        command.env("PGSSLROOTCERT", authority);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_primarys_own_version_is_chosen_else_the_next_newer_and_never_an_older_one() {
        let found = [(17, "/17"), (14, "/14"), (15, "/15"), (16, "/16")].map(|(major, at)| (major, PathBuf::from(at)));
        assert_eq!(choose(15, &found), Some("/15".into()));
        assert_eq!(choose(13, &found), Some("/14".into()));
        assert_eq!(choose(18, &found), None);
    }

    #[test]
    fn a_password_is_in_the_environment_and_in_no_argument() {
        let mut command = Command::new("pg_dump");
        connect_by_environment(
            &mut command,
            &"postgres://me:secret@somewhere:6000/app?sslmode=require".parse().unwrap(),
        );
        let environment: Vec<_> =
            command.as_std().get_envs().filter_map(|(name, value)| Some((name, value?))).collect();
        assert!(environment.contains(&("PGPASSWORD".as_ref(), "secret".as_ref())));
        assert!(environment.contains(&("PGSSLMODE".as_ref(), "require".as_ref())));
        assert_eq!(command.as_std().get_args().count(), 0);
    }
}
