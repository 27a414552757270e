//! A throw-away PostgreSQL cluster on this machine: made in a temporary folder, on a free port of the loopback
//! interface, trusting everyone who reaches it, gone with the value. For the demo, the tests and the benches.
//!
//! It stops only the server it started. Run as root it drops to an unprivileged user, because servers refuse root.

use std::fs;
use std::io;
use std::net::TcpListener;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use thiserror::Error;

/// Why there is no cluster.
#[derive(Debug, Error)]
pub enum ClusterError {
    /// No server programs on the machine.
    #[error(
        "no PostgreSQL server found (looked for initdb in PATH and /usr/lib/postgresql/*/bin): install the package `postgresql`"
    )]
    NoServer,
    /// Run as root, and nobody to drop to.
    #[error("running as root, and there is neither a user `postgres` nor `nobody` to run the server as")]
    NoUser,
    /// A file or program.
    #[error("{what}: {source}")]
    Io {
        /// What was tried.
        what: String,
        /// What happened.
        source: io::Error,
    },
    /// A server program said no.
    #[error("{program} failed:\n{output}")]
    Failed {
        /// Which.
        program: String,
        /// Its own words.
        output: String,
    },
}

/// How to make one.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// The folder of `initdb` and `pg_ctl`; found by itself if left out.
    pub bin: Option<PathBuf>,
    /// Lines for `postgresql.conf`.
    pub settings: Vec<String>,
    /// Lines for `pg_hba.conf` in front of the default, which trusts the loopback interface.
    pub hba: Vec<String>,
    /// A folder in which a pristine data folder is kept per server version, so that later clusters copy it.
    pub template_cache: Option<PathBuf>,
}

/// Which server of a pair a cluster stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// The truth.
    Primary,
    /// To be made equal to it.
    Shadow,
}

impl Options {
    /// For tests: data folders are copied, and the server is the one whose programs are in the folder that
    /// `CROSSFADE_TEST_PRIMARY_BIN` or `CROSSFADE_TEST_SHADOW_BIN` names, so that a test runs between any two majors.
    pub fn for_test(role: Role) -> Self {
        let variable = match role {
            Role::Primary => "CROSSFADE_TEST_PRIMARY_BIN",
            Role::Shadow => "CROSSFADE_TEST_SHADOW_BIN",
        };
        let template_cache = Some(std::env::temp_dir().join("crossfade-test-templates"));
        Self { bin: std::env::var_os(variable).map(PathBuf::from), template_cache, ..Self::default() }
    }
}

/// A running server. Dropped: stopped at once, its folder removed.
#[derive(Debug)]
pub struct Cluster {
    bin: PathBuf,
    root: PathBuf,
    owner: Option<Owner>,
    port: u16,
}

#[derive(Debug, Clone, Copy)]
struct Owner {
    uid: u32,
    gid: u32,
}

impl Cluster {
    /// Makes and starts one. Its superuser is `postgres`; database `postgres` exists.
    pub fn start(options: &Options) -> Result<Self, ClusterError> {
        let bin = options.bin.clone().or_else(find_bin).ok_or(ClusterError::NoServer)?;
        let owner = owner()?;
        let mut cluster = Self { bin, root: make_root(owner)?, owner, port: 0 };
        cluster.make_data(options.template_cache.as_deref())?;
        cluster.configure(options)?;
        cluster.start_somewhere()?;
        Ok(cluster)
    }

    /// Makes and starts a standby of this one, which follows it through `port`.
    pub fn standby(&self, port: u16) -> Result<Self, ClusterError> {
        let mut standby = Self { bin: self.bin.clone(), root: make_root(self.owner)?, owner: self.owner, port: 0 };
        let (data, port) = (standby.data().display().to_string(), port.to_string());
        let from = ["-h", "127.0.0.1", "-p", &port, "-U", "postgres"];
        let how = ["--write-recovery-conf", "--checkpoint=fast", "--no-sync", "-D", &data];
        standby.run("pg_basebackup", &[&from[..], &how].concat())?;
        standby.start_somewhere()?;
        Ok(standby)
    }

    /// Makes a primary of a standby.
    pub fn promote(&self) -> Result<(), ClusterError> {
        self.run("pg_ctl", &["promote", "-w", "-s", "-D", &self.data().display().to_string()])
    }

    /// Of the loopback interface.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Where it lives: `data` with the files, `server.log`, and the unix socket.
    pub fn folder(&self) -> &Path {
        &self.root
    }

    /// `postgres://postgres@127.0.0.1:port/database`
    pub fn url(&self, database: &str) -> String {
        format!("postgres://postgres@127.0.0.1:{}/{database}", self.port)
    }

    /// The folder with this server's programs.
    pub fn bin(&self) -> &Path {
        &self.bin
    }

    /// The postmaster's process id, from its lock file; `None` while it does not run.
    pub fn pid(&self) -> Option<u32> {
        fs::read_to_string(self.data().join("postmaster.pid")).ok()?.lines().next()?.trim().parse().ok()
    }

    /// Somebody else may take a port that was free a moment ago.
    fn start_somewhere(&mut self) -> Result<(), ClusterError> {
        for attempt in 0.. {
            self.port = free_port()?;
            match self.start_server() {
                Err(ClusterError::Failed { .. }) if attempt < 5 => {}
                other => return other,
            }
        }
        unreachable!("the loop returns")
    }

    /// Starts the server again on the same port.
    pub fn start_server(&self) -> Result<(), ClusterError> {
        let options = format!("-p {} -k {}", self.port, self.root.display());
        let log = self.root.join("server.log");
        let (data, log) = (self.data().display().to_string(), log.display().to_string());
        self.run("pg_ctl", &["start", "-w", "-s", "-t", "60", "-D", &data, "-l", &log, "-o", &options])
            .map_err(|error| self.with_log(error))
    }

    /// Stops the server: `fast` or `immediate` (as after a crash).
    pub fn stop_server(&self, mode: &str) -> Result<(), ClusterError> {
        self.run("pg_ctl", &["stop", "-w", "-s", "-m", mode, "-D", &self.data().display().to_string()])
    }

    fn data(&self) -> PathBuf {
        self.root.join("data")
    }

    fn make_data(&self, cache: Option<&Path>) -> Result<(), ClusterError> {
        let Some(cache) = cache else { return self.initdb(&self.data()) };
        let version = self.output("postgres", &["--version"])?;
        let template = cache.join(format!("template-{}", version.trim().replace([' ', '(', ')', '/'], "-")));
        if !template.exists() {
            // Made aside and renamed: of several makers one wins, and nobody copies a half-made one.
            let fresh = self.root.join("template");
            self.initdb(&fresh)?;
            fs::create_dir_all(cache).map_err(|e| io_error("making the template folder", e))?;
            // The root's name is nobody else's, in this process or another.
            let name = self.root.file_name().unwrap_or_default().to_string_lossy();
            let staged = cache.join(format!("staged-{name}"));
            copy_tree(&fresh, &staged)?;
            if fs::rename(&staged, &template).is_err() {
                let _ = fs::remove_dir_all(&staged);
            }
            fs::rename(&fresh, self.data()).map_err(|e| io_error("moving the data folder", e))?;
            return Ok(());
        }
        copy_tree(&template, &self.data())
    }

    fn initdb(&self, data: &Path) -> Result<(), ClusterError> {
        let data = data.display().to_string();
        self.run("initdb", &["-D", &data, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C.UTF-8", "-N"])
    }

    fn configure(&self, options: &Options) -> Result<(), ClusterError> {
        let mut lines = vec![
            "listen_addresses = '127.0.0.1'",
            "fsync = off",
            "synchronous_commit = off",
            "full_page_writes = off",
            "shared_buffers = 32MB",
            "max_wal_size = 1GB",
            "dynamic_shared_memory_type = posix",
        ];
        lines.extend(options.settings.iter().map(String::as_str));
        let path = self.data().join("postgresql.auto.conf");
        fs::write(&path, lines.join("\n") + "\n").map_err(|e| io_error("writing postgresql.auto.conf", e))?;
        let path = self.data().join("pg_hba.conf");
        let default = "local all all trust\nhost all all 127.0.0.1/32 trust\nhost replication all 127.0.0.1/32 trust\n";
        fs::write(&path, options.hba.join("\n") + "\n" + default).map_err(|e| io_error("writing pg_hba.conf", e))
    }

    fn run(&self, program: &str, arguments: &[&str]) -> Result<(), ClusterError> {
        self.output(program, arguments).map(drop)
    }

    fn output(&self, program: &str, arguments: &[&str]) -> Result<String, ClusterError> {
        let mut command = Command::new(self.bin.join(program));
        command.args(arguments).current_dir(&self.root).stdin(Stdio::null()).env("LC_ALL", "C.UTF-8");
        if let Some(Owner { uid, gid }) = self.owner {
            command.uid(uid).gid(gid);
        }
        // pg_ctl's child keeps inherited pipes open for good: files instead.
        let [out, err] = ["stdout", "stderr"].map(|name| self.root.join(format!("{program}.{name}")));
        let file = |path: &Path| fs::File::create(path).map_err(|e| io_error("making an output file", e));
        let status = command
            .stdout(file(&out)?)
            .stderr(file(&err)?)
            .status()
            .map_err(|e| io_error(&format!("running {program}"), e))?;
        let read = |path: &Path| fs::read_to_string(path).unwrap_or_default();
        if status.success() {
            return Ok(read(&out));
        }
        Err(ClusterError::Failed { program: program.to_owned(), output: read(&out) + &read(&err) })
    }

    fn with_log(&self, error: ClusterError) -> ClusterError {
        match error {
            ClusterError::Failed { program, output } => {
                let log = fs::read_to_string(self.root.join("server.log")).unwrap_or_default();
                ClusterError::Failed { program, output: output + &log }
            }
            other => other,
        }
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        if self.pid().is_some() {
            let _ = self.stop_server("immediate");
        }
        let _ = fs::remove_dir_all(&self.root);
    }
}

fn io_error(what: &str, source: io::Error) -> ClusterError {
    ClusterError::Io { what: what.to_owned(), source }
}

/// `initdb` of the PATH, else of the newest Debian package.
fn find_bin() -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    // Linked there, its companions may not be.
    let named = std::env::split_paths(&path)
        .find_map(|folder| Some(fs::canonicalize(folder.join("initdb")).ok()?.parent()?.to_owned()));
    let debian = || {
        let majors = fs::read_dir("/usr/lib/postgresql").ok()?;
        let folders = majors.filter_map(|entry| Some(entry.ok()?.path().join("bin")));
        let major = |folder: &PathBuf| -> u32 {
            folder.parent().and_then(Path::file_name).and_then(|n| n.to_str()?.parse().ok()).unwrap_or(0)
        };
        folders.filter(|folder| folder.join("initdb").is_file()).max_by_key(major)
    };
    named.or_else(debian)
}

/// Who the server runs as: ourselves, unless we are root.
fn owner() -> Result<Option<Owner>, ClusterError> {
    let me = fs::metadata("/proc/self").map_err(|e| io_error("reading /proc/self", e))?;
    if std::os::unix::fs::MetadataExt::uid(&me) != 0 {
        return Ok(None);
    }
    let users = fs::read_to_string("/etc/passwd").map_err(|e| io_error("reading /etc/passwd", e))?;
    let find = |name: &str| {
        let line = users.lines().find(|line| line.split(':').next() == Some(name))?;
        let mut fields = line.split(':').skip(2);
        Some(Owner { uid: fields.next()?.parse().ok()?, gid: fields.next()?.parse().ok()? })
    };
    find("postgres").or_else(|| find("nobody")).map(Some).ok_or(ClusterError::NoUser)
}

fn make_root(owner: Option<Owner>) -> Result<PathBuf, ClusterError> {
    for attempt in 0..1000 {
        let root = std::env::temp_dir().join(format!("crossfade-pg-{}-{attempt}", std::process::id()));
        match fs::create_dir(&root) {
            Ok(()) => {
                if let Some(Owner { uid, gid }) = owner {
                    std::os::unix::fs::chown(&root, Some(uid), Some(gid))
                        .map_err(|e| io_error("giving the folder to the server's user", e))?;
                }
                return Ok(root);
            }
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(io_error(&format!("making {}", root.display()), error)),
        }
    }
    Err(io_error("making a temporary folder", io::ErrorKind::AlreadyExists.into()))
}

fn copy_tree(from: &Path, to: &Path) -> Result<(), ClusterError> {
    let Output { status, stderr, .. } =
        Command::new("cp").arg("-a").args([from, to]).output().map_err(|e| io_error("running cp", e))?;
    if status.success() {
        return Ok(());
    }
    Err(ClusterError::Failed { program: "cp".into(), output: String::from_utf8_lossy(&stderr).into_owned() })
}

pub(super) fn free_port() -> Result<u16, ClusterError> {
    free_ports().map(|[port]| port)
}

/// Of which no two are the same: each is held until all are found.
pub(super) fn free_ports<const COUNT: usize>() -> Result<[u16; COUNT], ClusterError> {
    let (mut held, mut ports) = (Vec::with_capacity(COUNT), [0; COUNT]);
    for port in &mut ports {
        let listener = TcpListener::bind("127.0.0.1:0").map_err(|e| io_error("looking for a free port", e))?;
        *port = listener.local_addr().map_err(|e| io_error("looking for a free port", e))?.port();
        held.push(listener);
    }
    Ok(ports)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_found_together_are_not_the_same() {
        for _ in 0..5000 {
            let [one, other] = free_ports().unwrap();
            assert_ne!(one, other);
        }
    }

    #[test]
    fn a_cluster_answers_restarts_and_leaves_nothing_behind() {
        let cluster = Cluster::start(&Options::for_test(Role::Primary)).unwrap();
        let select = |cluster: &Cluster| {
            let psql = Command::new("psql").args([&cluster.url("postgres"), "-Atc", "select 1"]).output().unwrap();
            String::from_utf8(psql.stdout).unwrap()
        };
        assert_eq!(select(&cluster), "1\n");
        cluster.stop_server("fast").unwrap();
        assert_eq!(cluster.pid(), None);
        cluster.start_server().unwrap();
        assert_eq!(select(&cluster), "1\n");
        let folder = cluster.folder().to_owned();
        drop(cluster);
        assert!(!folder.exists());
    }
}
