//! `postgres://user:password@host:port/database?sslmode=…`.

use std::fmt;
use std::path::PathBuf;

use serde::Deserialize;

/// How TLS is asked for, as libpq names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum SslMode {
    /// Never.
    #[default]
    Disable,
    /// If the server offers it.
    Prefer,
    /// Always; the certificate is not looked at.
    Require,
    /// Always; signed by a known authority.
    VerifyCa,
    /// And for this host.
    VerifyFull,
}

/// Where a server is and who we are there. `Debug` and `Display` leave the password out.
#[derive(Clone, PartialEq, Deserialize)]
#[serde(try_from = "String")]
pub struct PgUrl {
    /// Name or address; a path when it starts with `/`: the folder of a unix socket.
    pub host: String,
    /// 5432 if left out.
    pub port: u16,
    /// Who we log in as.
    pub user: String,
    /// From the URL or the password file.
    pub password: Option<String>,
    /// The user's name if left out.
    pub database: String,
    /// TLS.
    pub sslmode: SslMode,
    /// Certificates to trust.
    pub sslrootcert: Option<PathBuf>,
}

impl fmt::Debug for PgUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for PgUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "postgres://{}@{}:{}/{}", self.user, self.host, self.port, self.database)
    }
}

impl TryFrom<String> for PgUrl {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl std::str::FromStr for PgUrl {
    type Err = String;

    fn from_str(_text: &str) -> Result<Self, String> {
        todo!()
    }
}
