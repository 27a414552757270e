//! psql, pgbench and other programs, with what they said.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use tokio::process::Command;
use tokio::time::timeout;

/// A program that is not done by then hangs.
const PATIENCE: Duration = Duration::from_secs(90);

/// How a program ended.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Answer {
    /// Its output, if it went well.
    #[track_caller]
    pub(crate) fn must_succeed(self) -> String {
        // psql goes on behind an error in a file, and ends with 0.
        assert!(self.code == Some(0) && !self.stderr.contains("ERROR:"), "{self:?}");
        self.stdout
    }

    /// With a port number taken out of its messages.
    pub(crate) fn without_port(mut self, port: u16) -> Self {
        self.stderr = self.stderr.replace(&format!("port {port}"), "port N");
        self
    }
}

/// A file of the repository, in whose root tests are run: not where they were compiled, which may be another clone.
pub(crate) fn repository(file: impl AsRef<Path>) -> PathBuf {
    std::env::current_dir().unwrap().join(file)
}

/// The Python with the drivers in it: `make test` makes it.
pub(crate) fn python() -> PathBuf {
    let python = repository("target/python/bin/python");
    assert!(python.exists(), "{} is missing: `make test` makes it, with the drivers in it", python.display());
    python
}

/// A program to run, without input.
pub(crate) struct Program(Command);

impl Program {
    pub(crate) fn new(name: impl AsRef<OsStr>) -> Self {
        let mut command = Command::new(name);
        command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .env("LC_ALL", "C.UTF-8")
            .env("PGCONNECT_TIMEOUT", "20");
        Self(command)
    }

    pub(crate) fn args(mut self, arguments: &[&str]) -> Self {
        self.0.args(arguments);
        self
    }

    pub(crate) fn env(mut self, name: &str, value: impl AsRef<OsStr>) -> Self {
        self.0.env(name, value);
        self
    }

    /// Starts it, to be waited for with [`finish`].
    pub(crate) fn spawn(mut self) -> tokio::process::Child {
        let name = self.0.as_std().get_program().to_string_lossy().into_owned();
        self.0.spawn().unwrap_or_else(|error| panic!("{name}: {error}"))
    }

    pub(crate) async fn run(self) -> Answer {
        finish(self.spawn()).await
    }

    /// One that works for so many seconds before it comes to its end.
    pub(crate) async fn run_for(self, seconds: u64) -> Answer {
        finish_within(self.spawn(), PATIENCE + Duration::from_secs(seconds)).await
    }
}

/// Waits for the end of a program.
pub(crate) async fn finish(child: tokio::process::Child) -> Answer {
    finish_within(child, PATIENCE).await
}

async fn finish_within(child: tokio::process::Child, patience: Duration) -> Answer {
    let output = timeout(patience, child.wait_with_output()).await.expect("the program hangs").expect("its output");
    let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
    Answer { code: output.status.code(), stdout: text(&output.stdout), stderr: text(&output.stderr) }
}

/// Runs SQL through psql, all of it even where a statement fails; tuples only, unaligned.
pub(crate) async fn psql(url: &str, sql: &str) -> Answer {
    let file = tempfile::NamedTempFile::new().expect("a temporary file");
    std::fs::write(file.path(), sql).expect("a temporary file");
    let path = file.path().display().to_string();
    Program::new("psql").args(&[url, "-X", "-q", "-At", "-v", "ON_ERROR_STOP=0", "-f", &path]).run().await
}

/// What `pgbench -i` makes at scale 1.
pub(crate) const PGBENCH: &str = "
create table pgbench_branches (bid int not null primary key, bbalance int, filler char(88));
create table pgbench_tellers (tid int not null primary key, bid int, tbalance int, filler char(84));
create table pgbench_accounts (aid int not null primary key, bid int, abalance int, filler char(84));
create table pgbench_history (tid int, bid int, aid int, delta int, mtime timestamp, filler char(22));
insert into pgbench_branches values (1, 0);
insert into pgbench_tellers select g, 1, 0 from generate_series(1, 10) g;
insert into pgbench_accounts select g, 1, 0, '' from generate_series(1, 100000) g;
vacuum analyze;
";

/// Runs pgbench; no transaction may fail.
#[track_caller]
pub(crate) fn pgbench(url: &str, arguments: &[&str]) -> impl Future<Output = String> {
    // A postgresql package brings it, but only psql is linked into PATH everywhere.
    let program = Program::new(find("pgbench")).args(arguments).args(&[url]);
    async move {
        let answer = program.run().await;
        assert!(!answer.stderr.contains("aborted"), "{answer:?}");
        let output = answer.must_succeed();
        assert!(
            !output.contains("failed transactions") || output.contains("number of failed transactions: 0 "),
            "{output}"
        );
        output
    }
}

fn find(name: &str) -> std::path::PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut folders: Vec<_> = std::env::split_paths(&path).collect();
    if let Ok(majors) = std::fs::read_dir("/usr/lib/postgresql") {
        folders.extend(majors.filter_map(|major| Some(major.ok()?.path().join("bin"))));
    }
    folders.iter().map(|folder| folder.join(name)).find(|file| file.is_file()).unwrap_or_else(|| name.into())
}
