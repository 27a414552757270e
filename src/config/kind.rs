//! What the value of a key may be: judged before it becomes a setting, so that every complaint names what was found
//! and what is allowed.

use std::time::Duration;

use config::{Value, ValueKind};
use tracing_subscriber::filter::{LevelFilter, Targets};

use super::read_rule;
use super::units::{parse_duration, parse_size};
use super::{PgUrl, SslMode};

/// The values a key takes.
#[derive(Debug, Clone, Copy)]
pub(super) enum Kind {
    /// `true` or `false`.
    Switch,
    /// Without fraction, both ends allowed.
    Whole(i64, i64),
    /// With or without fraction, both ends allowed.
    Number(f64, f64),
    /// `"250ms"`, at least and at most, in milliseconds.
    Duration(u64, u64),
    /// `"64MiB"`, at least.
    Size(u64),
    /// One of these words.
    Choice(&'static [&'static str]),
    /// `host:port`.
    Address,
    /// `postgres://…`
    Url,
    /// Of a file or folder.
    Path,
    /// A list of `schema.table` patterns.
    Patterns,
    /// One of them.
    Pattern,
    /// Anything but nothing.
    Text,
    /// `[[reads.rule]]`
    Rules,
    /// A filter for log lines.
    Level,
}

impl Kind {
    /// What is wrong with `value`.
    pub(super) fn complaint(self, value: &Value) -> Option<String> {
        match self {
            Self::Url => url_complaint(value),
            Self::Patterns => self.patterns_complaint(value),
            Self::Rules => read_rule::complaint(value),
            _ => (!self.allows(&value.kind)).then(|| self.mismatch(&found(&value.kind))),
        }
    }

    fn allows(self, value: &ValueKind) -> bool {
        let text = if let ValueKind::String(text) = value { Some(text.as_str()) } else { None };
        match (self, value) {
            (Self::Switch, value) => matches!(value, ValueKind::Boolean(_)),
            (Self::Whole(min, max), ValueKind::I64(n)) => (min..=max).contains(n),
            (Self::Number(min, max), ValueKind::I64(n)) => (min..=max).contains(&(*n as f64)),
            (Self::Number(min, max), ValueKind::Float(n)) => (min..=max).contains(n),
            (Self::Duration(min, max), _) => {
                let within = |d: Duration| (u128::from(min)..=u128::from(max)).contains(&d.as_millis());
                text.and_then(parse_duration).is_some_and(within)
            }
            (Self::Size(min), _) => text.and_then(parse_size).is_some_and(|size| size.0 >= min),
            (Self::Choice(words), _) => text.is_some_and(|text| words.contains(&text)),
            (Self::Address, _) => text.is_some_and(is_address),
            (Self::Path | Self::Text, _) => text.is_some_and(|text| !text.trim().is_empty()),
            (Self::Pattern, _) => text.is_some_and(is_pattern),
            (Self::Level, _) => text.is_some_and(is_level),
            (Self::Whole(..) | Self::Number(..) | Self::Url | Self::Patterns | Self::Rules, _) => false,
        }
    }

    pub(super) fn mismatch(self, found: &str) -> String {
        format!("found {found}, allowed: {}", self.allowed())
    }

    /// What is allowed, in words.
    fn allowed(self) -> String {
        match self {
            Self::Switch => "true or false".to_owned(),
            Self::Whole(min, max) => format!("a whole number from {min} to {max}"),
            Self::Number(min, max) => format!("a number from {min} to {max}"),
            Self::Duration(min, max) => {
                format!("a duration from \"{}\" to \"{}\" (ms, s, m, h)", duration_text(min), duration_text(max))
            }
            Self::Size(min) => format!("a size of at least \"{}\" (B, KiB, MiB, GiB, TiB)", size_text(min)),
            Self::Choice(words) => {
                words.iter().map(|word| format!("\"{word}\"")).collect::<Vec<_>>().join(" or ")
            }
            Self::Address => "\"host:port\", such as \"127.0.0.1:6432\"".to_owned(),
            Self::Url => "\"postgres://user@host:port/database\"".to_owned(),
            Self::Path => "a path".to_owned(),
            Self::Patterns => {
                "a list of \"schema.table\" patterns, where * stands for any run of characters, or \"*\" for every table"
                    .to_owned()
            }
            Self::Pattern => "\"schema.table\", where * stands for any run of characters, or \"*\" for every table".to_owned(),
            Self::Text => "a text".to_owned(),
            Self::Rules => "[[reads.rule]] in the file, once for each rule".to_owned(),
            Self::Level => {
                "\"error\", \"warn\", \"info\", \"debug\" or \"trace\", or a filter such as \"info,crossfade::mirror=debug\""
                    .to_owned()
            }
        }
    }

    fn patterns_complaint(self, value: &Value) -> Option<String> {
        let ValueKind::Array(items) = &value.kind else { return Some(self.mismatch(&found(&value.kind))) };
        let wrong = items.iter().find(|item| !matches!(&item.kind, ValueKind::String(text) if is_pattern(text)))?;
        Some(self.mismatch(&found(&wrong.kind)))
    }

    /// A value given as text, by the environment or a flag: as the type this kind asks for, or left as text, which is
    /// then complained about.
    pub(super) fn read(self, text: &str) -> ValueKind {
        let as_text = || ValueKind::String(text.to_owned());
        match self {
            Self::Switch => text.parse().map_or_else(|_| as_text(), ValueKind::Boolean),
            Self::Whole(..) => text.parse().map_or_else(|_| as_text(), ValueKind::I64),
            Self::Number(..) => text.parse().map_or_else(|_| as_text(), ValueKind::Float),
            Self::Patterns => {
                let items = text.split(',').map(str::trim).filter(|item| !item.is_empty());
                ValueKind::Array(items.map(Value::from).collect())
            }
            _ => as_text(),
        }
    }
}

/// A value in words.
pub(super) fn found(value: &ValueKind) -> String {
    match value {
        ValueKind::Nil => "nothing".to_owned(),
        ValueKind::String(text) => format!("\"{text}\""),
        ValueKind::Table(_) => "a table".to_owned(),
        ValueKind::Array(_) => "a list".to_owned(),
        number_or_switch => number_or_switch.to_string(),
    }
}

/// What was found is not shown: it may hold a password.
fn url_complaint(value: &Value) -> Option<String> {
    let ValueKind::String(text) = &value.kind else {
        return Some(Kind::Url.mismatch("something else than text"));
    };
    let url = match text.parse::<PgUrl>() {
        Ok(url) => url,
        Err(complaint) => return Some(format!("{complaint}; allowed: {}", Kind::Url.allowed())),
    };
    let verifies = matches!(url.sslmode, SslMode::VerifyCa | SslMode::VerifyFull);
    (verifies && url.sslrootcert.is_none()).then(|| {
        format!("sslmode={} needs sslrootcert, a file with the certificates of trusted authorities", url.sslmode)
    })
}

/// `host:port`; an IPv6 host in brackets.
pub(super) fn split_address(address: &str) -> Option<(&str, u16)> {
    let (host, port) = address.rsplit_once(':')?;
    let plain = match host.strip_prefix('[') {
        Some(rest) => rest.strip_suffix(']').filter(|inner| inner.parse::<std::net::Ipv6Addr>().is_ok())?,
        None => host,
    };
    let name = |c: char| c.is_ascii_alphanumeric() || "-._".contains(c);
    let fine = !plain.is_empty() && (plain.len() < host.len() || plain.chars().all(name));
    fine.then_some((plain, port.parse().ok()?))
}

fn is_address(text: &str) -> bool {
    split_address(text).is_some()
}

/// A filter reads a lone word that is no level as a target and nothing as a level, so that `verbose` and `info,` would
/// pass: here they do not.
fn is_level(text: &str) -> bool {
    let has_level = |part: &str| {
        let level = part.split_once('=').map_or(part, |(_, level)| level).trim();
        !level.is_empty() && level.parse::<LevelFilter>().is_ok()
    };
    text.split(',').all(has_level) && text.parse::<Targets>().is_ok()
}

/// `*`, or `schema.table` with `*` anywhere.
fn is_pattern(text: &str) -> bool {
    let part = |part: &str| !part.is_empty() && part.trim() == part && !part.contains('"');
    text == "*" || text.split_once('.').is_some_and(|(schema, table)| part(schema) && part(table))
}

fn duration_text(milliseconds: u64) -> String {
    match milliseconds {
        0 => "0s".to_owned(),
        ms if ms % 3_600_000 == 0 => format!("{}h", ms / 3_600_000),
        ms if ms % 60_000 == 0 => format!("{}m", ms / 60_000),
        ms if ms % 1000 == 0 => format!("{}s", ms / 1000),
        ms => format!("{ms}ms"),
    }
}

fn size_text(bytes: u64) -> String {
    match bytes {
        b if b % (1 << 20) == 0 => format!("{}MiB", b >> 20),
        b if b % (1 << 10) == 0 => format!("{}KiB", b >> 10),
        b => format!("{b}B"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_host_and_port() {
        for fine in ["127.0.0.1:6432", "localhost:0", "[::1]:6432", "db-1.internal:5432"] {
            assert!(is_address(fine), "{fine}");
        }
        for wrong in ["6432", ":6432", "localhost", "localhost:", "::1:6432", "[nonsense]:1", "a b:1", "host:65536"] {
            assert!(!is_address(wrong), "{wrong}");
        }
    }

    #[test]
    fn patterns_name_schema_and_table() {
        for fine in ["*", "public.orders", "public.*", "*.audit_*", "shop.order items"] {
            assert!(is_pattern(fine), "{fine}");
        }
        for wrong in ["", "orders", "public.", ".orders", "public. orders", "public.\"Orders\""] {
            assert!(!is_pattern(wrong), "{wrong}");
        }
    }

    #[test]
    fn levels_are_known_words() {
        for fine in ["info", "off", "info,crossfade::mirror=debug"] {
            assert!(is_level(fine), "{fine}");
        }
        for wrong in ["", "verbose", "info,verbose", "crossfade=loud", "info,"] {
            assert!(!is_level(wrong), "{wrong}");
        }
    }

    #[test]
    fn text_becomes_the_type_its_key_asks_for() {
        assert_eq!(Kind::Number(0.0, 100.0).read("25"), ValueKind::Float(25.0));
        assert_eq!(Kind::Whole(1, 64).read("8"), ValueKind::I64(8));
        assert_eq!(Kind::Switch.read("false"), ValueKind::Boolean(false));
        assert_eq!(Kind::Path.read("7"), ValueKind::String("7".into()));
        let list = ValueKind::Array(vec!["public.*".into(), "shop.orders".into()]);
        assert_eq!(Kind::Patterns.read("public.*, shop.orders"), list);
        assert_eq!(Kind::Whole(1, 64).read("many"), ValueKind::String("many".into()));
    }
}
