//! `postgres://user:password@host:port/database?sslmode=…`.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use serde::Deserialize;

/// How TLS is asked for, as libpq names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
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

impl SslMode {
    const ALL: [(&str, Self); 5] = [
        ("disable", Self::Disable),
        ("prefer", Self::Prefer),
        ("require", Self::Require),
        ("verify-ca", Self::VerifyCa),
        ("verify-full", Self::VerifyFull),
    ];
}

impl fmt::Display for SslMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Self::ALL.iter().find(|(_, mode)| mode == self).map_or(Ok(()), |(name, _)| f.write_str(name))
    }
}

impl FromStr for SslMode {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let found = Self::ALL.iter().find(|(name, _)| *name == text).map(|(_, mode)| *mode);
        found.ok_or_else(|| format!("sslmode is not one of {}", Self::ALL.map(|(name, _)| name).join(", ")))
    }
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

impl FromStr for PgUrl {
    type Err = String;

    /// As libpq reads it, one host only. Errors name what is wrong and repeat no value: any of it may be a piece of a
    /// password that was not percent-encoded.
    fn from_str(text: &str) -> Result<Self, String> {
        let rest = ["postgres://", "postgresql://"].iter().find_map(|scheme| text.strip_prefix(scheme));
        let rest = rest.ok_or("a database URL starts with postgres:// or postgresql://")?;
        let (authority, tail) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
        if tail.contains('@') {
            return Err("an @ behind the host: in user and password write / as %2F, ? as %3F, @ as %40".into());
        }
        let (path, query) = tail.split_once('?').unwrap_or((tail, ""));
        let (login, place) = authority.rsplit_once('@').unwrap_or(("", authority));

        let mut parts = Parts::default();
        let (user, password) = login.split_once(':').map_or((login, None), |(user, password)| (user, Some(password)));
        parts.set("user", user)?;
        parts.set("password", password.unwrap_or_default())?;
        let (host, port) = host_and_port(place)?;
        parts.set("host", host)?;
        parts.set("port", port)?;
        parts.set("dbname", path.strip_prefix('/').unwrap_or_default())?;
        for parameter in query.split('&').filter(|parameter| !parameter.is_empty()) {
            let (name, value) = parameter.split_once('=').ok_or("a parameter without a value behind ?")?;
            parts.set(&decode(name)?, value)?;
        }
        parts.finish()
    }
}

/// What has been given so far; what comes later wins, what is empty is left out.
#[derive(Default)]
struct Parts {
    host: Option<String>,
    port: Option<u16>,
    user: Option<String>,
    password: Option<String>,
    database: Option<String>,
    sslmode: SslMode,
    sslrootcert: Option<PathBuf>,
}

impl Parts {
    fn set(&mut self, name: &str, value: &str) -> Result<(), String> {
        if value.is_empty() {
            return Ok(());
        }
        let value = decode(value)?;
        match name {
            "host" if value.contains(',') => return Err("several hosts: expected one".into()),
            "host" => self.host = Some(value),
            "port" => {
                let port = value.parse().ok().filter(|&port| port != 0);
                self.port = Some(port.ok_or("the port is not a number from 1 to 65535")?);
            }
            "user" => self.user = Some(value),
            "password" => self.password = Some(value),
            "dbname" => self.database = Some(value),
            "sslmode" => self.sslmode = value.parse()?,
            "sslrootcert" => self.sslrootcert = Some(value.into()),
            _ => {
                let known = "host, port, user, password, dbname, sslmode, sslrootcert";
                return Err(format!("unknown parameter {name}: expected one of {known}"));
            }
        }
        Ok(())
    }

    fn finish(self) -> Result<PgUrl, String> {
        let user = self.user.ok_or("no user: expected postgres://user@host/database")?;
        Ok(PgUrl {
            host: self.host.unwrap_or_else(|| "localhost".into()),
            port: self.port.unwrap_or(5432),
            database: self.database.unwrap_or_else(|| user.clone()),
            user,
            password: self.password,
            sslmode: self.sslmode,
            sslrootcert: self.sslrootcert,
        })
    }
}

/// `host:port`, `[v6]:port`; either may be missing.
fn host_and_port(place: &str) -> Result<(&str, &str), String> {
    if let Some(address) = place.strip_prefix('[') {
        let (host, rest) = address.split_once(']').ok_or("a [ without ] around the host")?;
        return match rest.strip_prefix(':') {
            Some(port) => Ok((host, port)),
            None if rest.is_empty() => Ok((host, "")),
            None => Err("expected : and a port behind the ] of the host".into()),
        };
    }
    Ok(place.split_once(':').unwrap_or((place, "")))
}

fn decode(text: &str) -> Result<String, String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&byte, tail)) = rest.split_first() {
        if byte != b'%' {
            bytes.push(byte);
            rest = tail;
            continue;
        }
        let digit = |at: usize| tail.get(at).and_then(|&byte| char::from(byte).to_digit(16));
        let (Some(high), Some(low)) = (digit(0), digit(1)) else {
            return Err("a % that two hexadecimal digits do not follow: write % as %25".into());
        };
        bytes.push((high * 16 + low) as u8);
        rest = &tail[2..];
    }
    if bytes.contains(&0) {
        return Err("a zero byte (%00)".into());
    }
    String::from_utf8(bytes).map_err(|_| "bytes that are not UTF-8 behind a %".into())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parse(text: &str) -> PgUrl {
        text.parse().unwrap()
    }

    #[test]
    fn every_part_is_read_and_decoded() {
        let url =
            parse("postgresql://an%40a:p%3Aa%2Fss@db.example:6000/my%20db?sslmode=verify-full&sslrootcert=/ca.pem");
        assert_eq!((url.user.as_str(), url.password.as_deref()), ("an@a", Some("p:a/ss")));
        assert_eq!((url.host.as_str(), url.port, url.database.as_str()), ("db.example", 6000, "my db"));
        assert_eq!((url.sslmode, url.sslrootcert), (SslMode::VerifyFull, Some("/ca.pem".into())));
    }

    #[test]
    fn what_is_left_out_has_defaults() {
        let url = parse("postgres://ana@");
        assert_eq!((url.host.as_str(), url.port, url.database.as_str()), ("localhost", 5432, "ana"));
        assert_eq!((url.password, url.sslmode, url.sslrootcert), (None, SslMode::Disable, None));
    }

    #[test]
    fn a_unix_socket_is_a_host_that_is_a_folder() {
        for text in ["postgres://ana@%2Ftmp/db", "postgres://ana@/db?host=/tmp", "postgres:///db?host=/tmp&user=ana"] {
            let url = parse(text);
            assert_eq!((url.host.as_str(), url.user.as_str(), url.database.as_str()), ("/tmp", "ana", "db"), "{text}");
        }
    }

    #[test]
    fn addresses_of_version_6_stand_in_brackets() {
        assert_eq!((parse("postgres://a@[::1]:7/d").host.as_str(), parse("postgres://a@[::1]:7/d").port), ("::1", 7));
        assert_eq!(parse("postgres://a@[::1]").port, 5432);
    }

    #[test]
    fn an_unknown_parameter_is_named() {
        let error = "postgres://a@h/d?sslmod=require".parse::<PgUrl>().unwrap_err();
        assert!(error.contains("sslmod:") && error.contains("sslmode"), "{error}");
        let error = "postgres://a@h/d?sslmode=maybe".parse::<PgUrl>().unwrap_err();
        assert!(error.contains("verify-ca"), "{error}");
    }

    #[test]
    fn errors_never_tell_the_password() {
        for text in [
            "mysql://a:hunter2@h/d",
            "postgres://a:hunter2@h:port/d",
            "postgres://a:hunter2@h/d?x=hunter2",
            "postgres://a:%zzhunter2@h/d",
            "postgres://a:hunter2/@h/d",
            "postgres://a:hunter2?x=@h/d",
            "postgres://a:x?hunter2=@h/d",
            "postgres://:hunter2@h/d",
            "postgres://a@h/d?password=hunter2&port=hunter2",
            "postgres://a@h/d?sslmode=hunter2",
        ] {
            let error = text.parse::<PgUrl>().unwrap_err();
            assert!(!error.contains("hunter2"), "{text}: {error}");
        }
        let url = parse("postgres://a:hunter2@h/d");
        assert!(!format!("{url} {url:?}").contains("hunter2"));
    }

    proptest! {
        #[test]
        fn whatever_is_encoded_reads_back(user in ".+", password in ".+", database in ".+") {
            prop_assume!(![&user, &password, &database].iter().any(|text| text.contains('\0')));
            let encode = |text: &str| text.bytes().map(|byte| format!("%{byte:02x}")).collect::<String>();
            let url = parse(&format!("postgres://{}:{}@h/{}", encode(&user), encode(&password), encode(&database)));
            prop_assert_eq!((url.user, url.password, url.database), (user, Some(password), database));
        }

        #[test]
        fn no_text_panics(text in "(postgres://)?.*") {
            let _ = text.parse::<PgUrl>();
        }
    }
}
