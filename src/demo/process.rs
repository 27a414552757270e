//! A proxy as its users have it: the executable, a configuration file in a folder, two ports.

use std::fs;
use std::io;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use thiserror::Error;
use tokio::time::sleep;

use super::Admin;
use super::cluster::{ClusterError, free_ports};

/// A proxy that is not ready after it will not be.
const PATIENCE: Duration = Duration::from_mins(1);
/// Between two looks.
const POLL: Duration = Duration::from_millis(20);
/// Somebody else may take a port that was free a moment ago.
const ATTEMPTS: usize = 4;

/// Why there is no proxy.
#[derive(Debug, Error)]
pub enum ProcessError {
    /// A file, or starting a program.
    #[error("{what}: {source}")]
    Io {
        /// What was tried.
        what: String,
        /// What happened.
        source: io::Error,
    },
    /// No free port.
    #[error(transparent)]
    Port(#[from] ClusterError),
    /// It ended instead of becoming ready.
    #[error("the proxy ended ({status}) before it was ready; its log:\n{log}")]
    Ended {
        /// How.
        status: ExitStatus,
        /// What it wrote.
        log: String,
    },
    /// It runs, but `/readyz` never said so.
    #[error("the proxy was not ready after {} s; its log:\n{log}", PATIENCE.as_secs())]
    NotReady {
        /// What it wrote.
        log: String,
    },
}

/// What a proxy is started with.
#[derive(Debug, Clone)]
pub struct Setup {
    /// The program.
    pub executable: PathBuf,
    /// Where its configuration, journal and log go; must exist.
    pub folder: PathBuf,
    /// URL of the primary.
    pub primary: String,
    /// URL of the shadow.
    pub shadow: String,
    /// More of `[listen]`.
    pub listen: String,
    /// The rest of `proxy.toml`: sections other than `listen`, `primary`, `shadow` and `admin`.
    pub settings: String,
}

/// A running proxy on ports of its own. Dropped: killed; its folder stays.
#[derive(Debug)]
pub struct Proxy {
    setup: Setup,
    port: u16,
    admin: Admin,
    child: Child,
}

impl Proxy {
    /// Starts one and waits until it is ready.
    pub async fn start(setup: Setup) -> Result<Self, ProcessError> {
        let mut attempt = 1;
        loop {
            let [port, admin] = free_ports()?;
            let admin = Admin::new(format!("127.0.0.1:{admin}"));
            configure(&setup, port, &admin)?;
            let child = spawn(&setup)?;
            let mut proxy = Self { setup: setup.clone(), port, admin, child };
            match proxy.wait_ready().await {
                Err(ProcessError::Ended { log, .. }) if attempt < ATTEMPTS && log.contains("in use") => attempt += 1,
                other => return other.map(|()| proxy),
            }
        }
    }

    /// Where clients connect.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// `postgres://postgres@127.0.0.1:port/database`
    pub fn url(&self, database: &str) -> String {
        format!("postgres://postgres@127.0.0.1:{}/{database}", self.port)
    }

    /// Its admin address.
    pub fn admin(&self) -> &Admin {
        &self.admin
    }

    /// Of the process.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Its configuration file.
    pub fn config_file(&self) -> PathBuf {
        self.setup.folder.join("proxy.toml")
    }

    /// Writes its configuration anew, with the same addresses.
    pub fn configure(&mut self, settings: &str) -> Result<(), ProcessError> {
        settings.clone_into(&mut self.setup.settings);
        configure(&self.setup, self.port, &self.admin)
    }

    /// What it wrote since it was first started.
    pub fn log(&self) -> String {
        log(&self.setup.folder)
    }

    /// Sends it a signal by name: `HUP`, `TERM`, `STOP`, `CONT`.
    pub fn signal(&self, name: &str) -> Result<(), ProcessError> {
        send_signal(self.pid(), name)
    }

    /// Ends it at once, as a crash would.
    pub fn kill(&mut self) {
        // The only error is that it has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Asks it to end, and waits until it has.
    pub async fn stop(&mut self) -> Result<ExitStatus, ProcessError> {
        if let Some(status) = self.exit_status()? {
            return Ok(status);
        }
        self.signal("TERM")?;
        loop {
            match self.exit_status()? {
                Some(status) => return Ok(status),
                None => sleep(POLL).await,
            }
        }
    }

    /// Starts it again after [`Proxy::kill`] or [`Proxy::stop`], on the same ports and journal.
    pub async fn start_again(&mut self) -> Result<(), ProcessError> {
        self.child = spawn(&self.setup)?;
        self.wait_ready().await
    }

    async fn wait_ready(&mut self) -> Result<(), ProcessError> {
        let begun = Instant::now();
        loop {
            if let Some(status) = self.exit_status()? {
                return Err(ProcessError::Ended { status, log: self.log() });
            }
            if self.admin.text("/readyz").await.is_ok() {
                return Ok(());
            }
            if begun.elapsed() > PATIENCE {
                return Err(ProcessError::NotReady { log: self.log() });
            }
            sleep(POLL).await;
        }
    }

    fn exit_status(&mut self) -> Result<Option<ExitStatus>, ProcessError> {
        self.child.try_wait().map_err(|e| io_error("waiting for the proxy", e))
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.kill();
    }
}

fn configure(setup: &Setup, port: u16, admin: &Admin) -> Result<(), ProcessError> {
    let Setup { primary, shadow, listen, settings, folder, .. } = setup;
    let text = format!(
        "[listen]\naddress = \"127.0.0.1:{port}\"\n{listen}\n\n[admin]\naddress = \"{}\"\n\n\
         [primary]\nurl = \"{primary}\"\n\n[shadow]\nurl = \"{shadow}\"\n\n{settings}\n",
        admin.address()
    );
    // Renamed into place: a proxy that watches the file never reads half of it.
    let (staged, path) = (folder.join("proxy.toml.new"), folder.join("proxy.toml"));
    fs::write(&staged, text)
        .and_then(|()| fs::rename(&staged, &path))
        .map_err(|e| io_error(&format!("writing {}", path.display()), e))
}

fn spawn(setup: &Setup) -> Result<Child, ProcessError> {
    let path = setup.folder.join("proxy.log");
    let log = fs::OpenOptions::new()
        .create(true)
        .append(true)
        .open(&path)
        .map_err(|e| io_error(&format!("opening {}", path.display()), e))?;
    let copy = log.try_clone().map_err(|e| io_error(&format!("opening {}", path.display()), e))?;
    Command::new(&setup.executable)
        .args(["run", "--config"])
        .arg(setup.folder.join("proxy.toml"))
        .current_dir(&setup.folder)
        .stdin(Stdio::null())
        .stdout(copy)
        .stderr(log)
        // Ctrl-c at a terminal goes to the whole group: the proxy is ours to end.
        .process_group(0)
        .spawn()
        .map_err(|e| io_error(&format!("starting {}", setup.executable.display()), e))
}

fn log(folder: &Path) -> String {
    fs::read(folder.join("proxy.log")).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default()
}

fn send_signal(pid: u32, name: &str) -> Result<(), ProcessError> {
    let what = || format!("sending SIG{name} to {pid}");
    let status = Command::new("kill")
        .args([format!("-{name}"), pid.to_string()])
        .stderr(Stdio::null())
        .status()
        .map_err(|e| io_error(&what(), e))?;
    if status.success() { Ok(()) } else { Err(io_error(&what(), io::ErrorKind::NotFound.into())) }
}

fn io_error(what: &str, source: io::Error) -> ProcessError {
    ProcessError::Io { what: what.to_owned(), source }
}
