//! Every setting with its default, as `proxy.toml` names it.

use std::path::PathBuf;
use std::time::Duration;

use serde::Deserialize;

use super::{ByteSize, ContentFile, PgUrl, ReadRule, TlsMin};

/// The whole configuration.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// Where clients connect.
    #[serde(default)]
    pub listen: Listen,
    /// The database that is the truth.
    pub primary: Primary,
    /// The database that is to become it.
    pub shadow: Shadow,
    /// What is mirrored, and with what means.
    #[serde(default)]
    pub mirror: Mirror,
    /// The share of reads sent to the shadow.
    #[serde(default)]
    pub reads: Reads,
    /// What turns the share down by itself.
    #[serde(default)]
    pub guard: Guard,
    /// The background comparison.
    #[serde(default)]
    pub check: Check,
    /// Refresh and backfill.
    #[serde(default)]
    pub copy: Copy,
    /// The HTTP endpoint.
    #[serde(default)]
    pub admin: Admin,
    /// What is logged.
    #[serde(default)]
    pub log: Log,
}

impl Settings {
    /// Every default, between these two databases.
    pub fn between(primary: PgUrl, shadow: PgUrl) -> Self {
        Self {
            listen: Listen::default(),
            primary: Primary { url: primary, password_file: None },
            shadow: Shadow { url: shadow, password_file: None },
            mirror: Mirror::default(),
            reads: Reads::default(),
            guard: Guard::default(),
            check: Check::default(),
            copy: Copy::default(),
            admin: Admin::default(),
            log: Log::default(),
        }
    }
}

macro_rules! defaults {
    ($type:ident { $($field:ident : $value:expr),* $(,)? }) => {
        impl Default for $type {
            fn default() -> Self {
                Self { $($field: $value),* }
            }
        }
    };
}

/// `[listen]`
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Listen {
    /// `host:port`.
    pub address: String,
    /// Sessions beyond it get 53300.
    pub max_connections: usize,
    /// From accept to the end of login.
    #[serde(with = "super::units::duration")]
    pub startup_timeout: Duration,
    /// How long running transactions may go on after SIGTERM.
    #[serde(with = "super::units::duration")]
    pub shutdown_timeout: Duration,
    /// The certificate shown to clients, and those that lead from it to its authority, in PEM form.
    pub tls_cert: Option<ContentFile>,
    /// Its key.
    pub tls_key: Option<ContentFile>,
    /// The oldest version of TLS that clients may speak.
    pub tls_min: TlsMin,
    /// Verifiers, for clients that crossfade itself must authenticate.
    pub auth_file: Option<ContentFile>,
}
defaults!(Listen {
    address: "127.0.0.1:6432".into(),
    max_connections: 1000,
    startup_timeout: Duration::from_secs(10),
    shutdown_timeout: Duration::from_secs(30),
    tls_cert: None,
    tls_key: None,
    tls_min: TlsMin::V12,
    auth_file: None,
});

/// `[primary]`
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Primary {
    /// Host and port for sessions too; user and database for connections of our own.
    pub url: PgUrl,
    /// A file that holds the password; it wins over one in the URL.
    pub password_file: Option<PathBuf>,
}

/// `[shadow]`
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Shadow {
    /// The shadow database.
    pub url: PgUrl,
    /// A file that holds the password; it wins over one in the URL.
    pub password_file: Option<PathBuf>,
}

/// What happens to DDL.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Ddl {
    /// Replay it on the shadow.
    Mirror,
    /// Leave the shadow as it is.
    Skip,
    /// Answer the client with an error.
    Refuse,
}

/// `[mirror]`
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Mirror {
    /// Off: relay only.
    pub enabled: bool,
    /// `schema.table` patterns, `*` for any run of characters; `*` alone is every table.
    pub include: Vec<String>,
    /// Patterns taken out again.
    pub exclude: Vec<String>,
    /// What happens to DDL.
    pub ddl: Ddl,
    /// Tables whose statements are forwarded untouched and mirrored by refresh.
    pub no_rewrite: Vec<String>,
    /// Connections that apply.
    pub workers: usize,
    /// Bound on captured transactions held in memory.
    pub memory: ByteSize,
    /// The folder of the ledger.
    pub journal: PathBuf,
    /// Bound on its size.
    pub journal_max_bytes: ByteSize,
}
defaults!(Mirror {
    enabled: true,
    include: vec!["*".into()],
    exclude: Vec::new(),
    ddl: Ddl::Mirror,
    no_rewrite: Vec::new(),
    workers: 4,
    memory: ByteSize(64 << 20),
    journal: "crossfade-data".into(),
    journal_max_bytes: ByteSize(10 << 30),
});

/// How a read is drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SampleBy {
    /// By a hash of text and parameters as sent.
    Query,
    /// By a number drawn at connect.
    Session,
    /// Anew for each read.
    Random,
}

/// How fresh the shadow must be for a read (rule 29).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Consistency {
    /// Nothing pending or in flight on the read's tables.
    Table,
    /// The session's own writes applied, and never back in time.
    Session,
    /// As it comes.
    None,
}

/// What is asked of a table before it serves reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Require {
    /// Checked without a confirmed difference, and not suspect.
    Verified,
    /// Captured and not suspect.
    Mirrored,
    /// Nothing.
    Any,
}

/// `[reads]`
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Reads {
    /// Share of eligible reads sent to the shadow, 0 to 100.
    pub percent: f64,
    /// How a read is drawn.
    pub sample_by: SampleBy,
    /// How fresh the shadow must be.
    pub consistency: Consistency,
    /// What is asked of a table.
    pub require: Require,
    /// No read goes to a shadow that lags more.
    #[serde(with = "super::units::duration")]
    pub max_lag: Duration,
    /// Until the shadow's first byte.
    #[serde(with = "super::units::duration")]
    pub timeout: Duration,
    /// Connections that serve reads.
    pub pool_size: usize,
    /// Share of eligible reads run on both sides and compared.
    pub compare_percent: f64,
    /// Shares of their own for some reads; the first that is about a read decides.
    pub rule: Vec<ReadRule>,
}
defaults!(Reads {
    percent: 0.0,
    sample_by: SampleBy::Query,
    consistency: Consistency::Table,
    require: Require::Verified,
    max_lag: Duration::from_secs(1),
    timeout: Duration::from_secs(2),
    pool_size: 16,
    compare_percent: 0.0,
    rule: Vec::new(),
});

/// `[guard]`
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Guard {
    /// Share of shadow reads that may fail.
    pub max_error_percent: f64,
    /// Share of compared reads that may differ.
    pub max_mismatch_percent: f64,
    /// Shadow latency over primary latency.
    pub max_latency_ratio: f64,
    /// How far behind the shadow may be; zero: however far.
    #[serde(with = "super::units::duration")]
    pub max_lag: Duration,
    /// Over which the shares are taken.
    #[serde(with = "super::units::duration")]
    pub window: Duration,
    /// How long it stays open; zero: until reset.
    #[serde(with = "super::units::duration")]
    pub cooldown: Duration,
}
defaults!(Guard {
    max_error_percent: 1.0,
    max_mismatch_percent: 0.1,
    max_latency_ratio: 3.0,
    max_lag: Duration::from_mins(1),
    window: Duration::from_secs(30),
    cooldown: Duration::ZERO,
});

/// Which differences are healed without being asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Repair {
    /// Those we knew we might have.
    Suspect,
    /// All.
    All,
    /// None.
    Off,
}

/// `[check]`
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Check {
    /// Between rounds; zero: only on request.
    #[serde(with = "super::units::duration")]
    pub interval: Duration,
    /// A chunk is sized to take this long on the primary.
    #[serde(with = "super::units::duration")]
    pub chunk_time: Duration,
    /// Zero: as fast as the primary's health allows.
    pub max_rows_per_second: u64,
    /// Which differences are healed.
    pub repair: Repair,
    /// Differing keys kept per table.
    pub samples: usize,
}
defaults!(Check {
    interval: Duration::from_mins(10),
    chunk_time: Duration::from_millis(200),
    max_rows_per_second: 0,
    repair: Repair::Suspect,
    samples: 20,
});

/// `[copy]`
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Copy {
    /// Tables copied at a time.
    pub workers: usize,
}
defaults!(Copy { workers: 2 });

/// `[admin]`
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Admin {
    /// `host:port`.
    pub address: String,
    /// Holds the token every changing request must bear.
    pub token_file: Option<PathBuf>,
}
defaults!(Admin { address: "127.0.0.1:9632".into(), token_file: None });

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For people.
    Text,
    /// For machines.
    Json,
}

/// `[log]`
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Log {
    /// `error`, `warn`, `info`, `debug`, or a filter such as `crossfade::mirror=debug,info`.
    pub level: String,
    /// `text` or `json`.
    pub format: LogFormat,
}
defaults!(Log { level: "info".into(), format: LogFormat::Text });
