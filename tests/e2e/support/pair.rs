//! Two clusters and the proxy between them.

use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use crossfade::demo::{Admin, Cluster, Options, Proxy, Role, Setup};
use crossfade::report::{Report, Status};
use tempfile::TempDir;
use tokio::task::spawn_blocking;
use tokio::time::sleep;

use super::{DATABASE, Line, psql};

/// Rounds of the checker come when a test asks for them.
const QUIET: &str = "[check]\ninterval = \"0s\"\n";
/// A mirror that is not settled by then never will be.
const SETTLE: Duration = Duration::from_mins(1);

/// How a pair is made.
#[derive(Default)]
pub(crate) struct Recipe {
    schema: String,
    settings: String,
    primary: Options,
    shadow: Options,
    shadow_user: Option<String>,
    lines: bool,
    listen: String,
    primary_parameters: String,
    shadow_parameters: String,
    primary_encoding: Option<String>,
    shadow_encoding: Option<String>,
}

impl Recipe {
    /// SQL that both sides run before the proxy starts.
    pub(crate) fn schema(mut self, sql: &str) -> Self {
        self.schema.push_str(sql);
        self
    }

    /// More of `proxy.toml`.
    pub(crate) fn settings(mut self, toml: &str) -> Self {
        toml.clone_into(&mut self.settings);
        self
    }

    /// Lines for the primary's `pg_hba.conf`.
    pub(crate) fn hba(mut self, lines: &[&str]) -> Self {
        self.primary.hba = lines.iter().map(ToString::to_string).collect();
        self
    }

    /// Lines for the primary's `postgresql.conf`.
    pub(crate) fn primary_settings(mut self, lines: &[&str]) -> Self {
        self.primary.settings = lines.iter().map(ToString::to_string).collect();
        self
    }

    /// The shadow lets `user:password` in, and nobody else over TCP without a password but the superuser.
    pub(crate) fn shadow_user(mut self, user: &str, password: &str) -> Self {
        self.shadow.hba = vec![format!("host all {user} 127.0.0.1/32 scram-sha-256")];
        self.shadow_user = Some(format!("{user}:{password}"));
        self
    }

    /// The proxy reaches both servers by lines that the test holds.
    pub(crate) fn lines(mut self) -> Self {
        self.lines = true;
        self
    }

    /// More of `[listen]`.
    pub(crate) fn listen(mut self, toml: &str) -> Self {
        toml.clone_into(&mut self.listen);
        self
    }

    /// What stands behind `?` in the proxy's URLs of primary and shadow.
    pub(crate) fn parameters(mut self, primary: &str, shadow: &str) -> Self {
        (self.primary_parameters, self.shadow_parameters) = (primary.to_owned(), shadow.to_owned());
        self
    }

    /// The encodings of the two databases.
    pub(crate) fn encodings(mut self, primary: &str, shadow: &str) -> Self {
        (self.primary_encoding, self.shadow_encoding) = (Some(primary.to_owned()), Some(shadow.to_owned()));
        self
    }

    /// Makes it: clusters, schema, then `before` with the two still alone, then the proxy.
    pub(crate) async fn start(self) -> Pair {
        let Self { schema, settings, listen, primary_parameters, shadow_parameters, .. } = self;
        let (primary, shadow) = tokio::join!(start(self.primary, Role::Primary), start(self.shadow, Role::Shadow));
        for (side, encoding) in [(&primary, self.primary_encoding), (&shadow, self.shadow_encoding)] {
            if let Some(encoding) = encoding {
                encode(side, &encoding).await;
            }
            psql(&side.url(DATABASE), &schema).await.must_succeed();
        }
        let lines = if self.lines {
            Some(Lines { primary: Line::to(primary.port()).await, shadow: Line::to(shadow.port()).await })
        } else {
            None
        };
        let (primary_port, shadow_port) = match &lines {
            Some(lines) => (lines.primary.port(), lines.shadow.port()),
            None => (primary.port(), shadow.port()),
        };
        let shadow_user = self.shadow_user.unwrap_or_else(|| "postgres".to_owned());
        let folder = TempDir::new().expect("a temporary folder");
        let proxy = Proxy::start(Setup {
            executable: PathBuf::from(env!("CARGO_BIN_EXE_crossfade")),
            folder: folder.path().to_owned(),
            primary: format!("postgres://postgres@127.0.0.1:{primary_port}/{DATABASE}?{primary_parameters}"),
            shadow: format!("postgres://{shadow_user}@127.0.0.1:{shadow_port}/{DATABASE}?{shadow_parameters}"),
            listen,
            settings: if settings.contains("[check]") { settings } else { format!("{QUIET}\n{settings}") },
        });
        let proxy = proxy.await.unwrap_or_else(|error| panic!("{error}"));
        Pair { proxy, lines, primary, shadow, _folder: folder }
    }
}

/// Makes the database anew in this encoding.
async fn encode(side: &Cluster, encoding: &str) {
    let sql = format!(
        "drop database {DATABASE};\ncreate database {DATABASE} template template0 encoding '{encoding}' lc_collate 'C' lc_ctype 'C';"
    );
    psql(&side.url("template1"), &sql).await.must_succeed();
}

async fn start(recipe: Options, role: Role) -> Cluster {
    let options = Options { settings: recipe.settings, hba: recipe.hba, ..Options::for_test(role) };
    let started = spawn_blocking(move || Cluster::start(&options)).await.expect("starting does not panic");
    started.unwrap_or_else(|error| panic!("{error}"))
}

/// From the proxy to the servers.
struct Lines {
    primary: Line,
    shadow: Line,
}

/// Dropped: proxy killed, servers stopped, folders removed; the proxy's log printed if the test failed.
pub(crate) struct Pair {
    pub(crate) proxy: Proxy,
    lines: Option<Lines>,
    pub(crate) primary: Cluster,
    pub(crate) shadow: Cluster,
    _folder: TempDir,
}

impl Pair {
    /// How to make one.
    pub(crate) fn recipe() -> Recipe {
        Recipe::default()
    }

    /// With this schema on both sides, and the defaults but for the checker's rounds.
    pub(crate) async fn start(schema: &str) -> Self {
        Self::recipe().schema(schema).start().await
    }

    /// Where an application connects.
    pub(crate) fn url(&self) -> String {
        self.proxy.url(DATABASE)
    }

    /// Straight to the primary.
    pub(crate) fn primary_url(&self) -> String {
        self.primary.url(DATABASE)
    }

    /// Straight to the shadow.
    pub(crate) fn shadow_url(&self) -> String {
        self.shadow.url(DATABASE)
    }

    /// From the proxy to the primary, if it was made with [`Recipe::lines`].
    pub(crate) fn primary_line(&self) -> &Line {
        &self.lines.as_ref().expect("a recipe with lines").primary
    }

    /// From the proxy to the shadow, if it was made with [`Recipe::lines`].
    pub(crate) fn shadow_line(&self) -> &Line {
        &self.lines.as_ref().expect("a recipe with lines").shadow
    }

    /// The folder of the ledger.
    pub(crate) fn journal(&self) -> PathBuf {
        self.proxy.config_file().with_file_name("crossfade-data")
    }

    /// The ledger's segments, in order.
    pub(crate) fn segments(&self) -> Vec<PathBuf> {
        let files = fs::read_dir(self.journal()).expect("the journal").map(|file| file.expect("a file").path());
        let mut segments: Vec<_> = files.filter(|path| path.extension().is_some_and(|end| end == "log")).collect();
        segments.sort();
        segments
    }

    /// The size of the segments.
    pub(crate) fn journal_bytes(&self) -> u64 {
        self.segments().iter().map(|path| fs::metadata(path).map_or(0, |file| file.len())).sum()
    }

    /// The most memory that the proxy has had so far, in bytes.
    pub(crate) fn most_memory(&self) -> usize {
        let status = fs::read_to_string(format!("/proc/{}/status", self.proxy.pid())).expect("the proxy runs");
        let most = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("a high water mark");
        most.split_whitespace().next().expect("a number").parse::<usize>().expect("a number") * 1024
    }

    pub(crate) fn admin(&self) -> &Admin {
        self.proxy.admin()
    }

    pub(crate) async fn status(&self) -> Status {
        self.admin().status().await.unwrap_or_else(|error| panic!("{error}"))
    }

    pub(crate) async fn report(&self) -> Report {
        self.admin().report().await.unwrap_or_else(|error| panic!("{error}"))
    }

    /// `check` or `repair` over all tables, to its end.
    pub(crate) async fn work(&self, kind: &str) {
        self.admin().work(kind).await.unwrap_or_else(|error| panic!("{error}"));
    }

    pub(crate) async fn ramp(&self, percent: f64) {
        self.admin().ramp(percent).await.unwrap_or_else(|error| panic!("{error}"));
    }

    /// Waits until nothing is pending and nothing suspect; the books must balance at every look.
    pub(crate) async fn wait_settled(&self) -> Status {
        self.wait_settled_within(SETTLE.as_secs()).await
    }

    /// As [`Pair::wait_settled`], where there is much to do.
    pub(crate) async fn wait_settled_within(&self, seconds: u64) -> Status {
        let begun = Instant::now();
        loop {
            let status = self.status().await;
            let mirror = &status.mirror;
            assert_eq!(
                mirror.captured,
                mirror.applied + mirror.pending + mirror.quarantined + mirror.skipped,
                "the books do not balance: {mirror:?}"
            );
            if mirror.settled {
                assert_eq!(mirror.pending, 0, "settled with something pending: {mirror:?}");
                return status;
            }
            assert!(begun.elapsed().as_secs() < seconds, "not settled after {seconds} s: {status:?}");
            sleep(Duration::from_millis(100)).await;
        }
    }

    /// New connections to the primary are accepted by the kernel, and wait; its sessions go on.
    pub(crate) fn nobody_enters(&self) -> NobodyEnters {
        let postmaster = self.primary.pid().expect("the primary runs");
        send("STOP", postmaster);
        NobodyEnters(postmaster)
    }

    /// SIGSTOP or SIGCONT (`STOP`, `CONT`) to every process of the shadow: it hangs, with its connections open.
    pub(crate) fn signal_shadow(&self, signal: &str) {
        let postmaster = self.shadow.pid().expect("the shadow runs");
        // The postmaster first: nobody new is born while its children are looked for.
        send(signal, postmaster);
        for child in children(postmaster) {
            send(signal, child);
        }
    }
}

/// The primary's postmaster is stopped until this is dropped.
pub(crate) struct NobodyEnters(u32);

impl Drop for NobodyEnters {
    fn drop(&mut self) {
        send("CONT", self.0);
    }
}

impl Drop for Pair {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("--- the proxy's log ---\n{}\n--- end of the proxy's log ---", self.proxy.log());
        }
        if self.shadow.pid().is_some() {
            self.signal_shadow("CONT");
        }
    }
}

/// A signal by name.
pub(crate) fn send(signal: &str, pid: u32) {
    // A child may have ended since it was seen.
    let _ = std::process::Command::new("kill").args([format!("-{signal}"), pid.to_string()]).output();
}

fn children(parent: u32) -> Vec<u32> {
    let processes =
        fs::read_dir("/proc").expect("/proc").filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    let parent_of = |pid: u32| -> Option<u32> {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        // Behind the name, which may hold anything but ends at the last parenthesis: state, parent.
        stat.rsplit_once(')')?.1.split_whitespace().nth(1)?.parse().ok()
    };
    processes.filter(|&pid| parent_of(pid) == Some(parent)).collect()
}
