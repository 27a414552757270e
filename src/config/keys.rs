//! The table of keys: what each may hold, and whether a change takes effect while the proxy runs.

use super::Settings;
use super::kind::Kind;

/// When a changed key takes effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum When {
    /// At once.
    Hot,
    /// At the next start.
    Cold,
}

/// One key of `proxy.toml`.
pub(super) struct Key {
    /// `section.key`
    pub(super) name: &'static str,
    /// What it may hold.
    pub(super) kind: Kind,
    /// When a change takes effect.
    pub(super) when: When,
    /// Whether both settings agree on it.
    pub(super) same: fn(&Settings, &Settings) -> bool,
    /// Takes it from the first into the second.
    pub(super) adopt: fn(&Settings, &mut Settings),
}

macro_rules! keys {
    ($($section:ident . $field:ident = $when:ident $kind:expr;)*) => {
        /// Every key of [`Settings`], in the order of `proxy.toml`.
        pub(super) const KEYS: &[Key] = &[$(Key {
            name: concat!(stringify!($section), ".", stringify!($field)),
            kind: $kind,
            when: When::$when,
            same: |a, b| a.$section.$field == b.$section.$field,
            adopt: |from, into| into.$section.$field.clone_from(&from.$section.$field),
        }),*];
    };
}

const HOUR: u64 = 3_600_000;
const DAY: u64 = 24 * HOUR;

keys! {
    listen.address = Cold Kind::Address;
    listen.max_connections = Cold Kind::Whole(1, 1_000_000);
    listen.startup_timeout = Cold Kind::Duration(1, HOUR);
    listen.shutdown_timeout = Cold Kind::Duration(0, DAY);
    listen.tls_cert = Hot Kind::Path;
    listen.tls_key = Hot Kind::Path;
    listen.tls_min = Hot Kind::Choice(&["1.2", "1.3"]);
    listen.auth_file = Hot Kind::Path;
    primary.url = Cold Kind::Url;
    primary.password_file = Cold Kind::Path;
    shadow.url = Cold Kind::Url;
    shadow.password_file = Cold Kind::Path;
    mirror.enabled = Cold Kind::Switch;
    mirror.include = Hot Kind::Patterns;
    mirror.exclude = Hot Kind::Patterns;
    mirror.ddl = Cold Kind::Choice(&["mirror", "skip", "refuse"]);
    mirror.no_rewrite = Hot Kind::Patterns;
    mirror.workers = Cold Kind::Whole(1, 64);
    mirror.memory = Cold Kind::Size(64 << 10);
    mirror.journal = Cold Kind::Path;
    mirror.journal_max_bytes = Cold Kind::Size(1 << 20);
    reads.percent = Hot Kind::Number(0.0, 100.0);
    reads.sample_by = Hot Kind::Choice(&["query", "session", "random"]);
    reads.consistency = Hot Kind::Choice(&["table", "session", "none"]);
    reads.require = Hot Kind::Choice(&["verified", "mirrored", "any"]);
    reads.max_lag = Hot Kind::Duration(0, DAY);
    reads.timeout = Hot Kind::Duration(1, HOUR);
    reads.pool_size = Hot Kind::Whole(1, 10_000);
    reads.compare_percent = Hot Kind::Number(0.0, 100.0);
    reads.rule = Hot Kind::Rules;
    guard.max_error_percent = Hot Kind::Number(0.0, 100.0);
    guard.max_mismatch_percent = Hot Kind::Number(0.0, 100.0);
    guard.max_latency_ratio = Hot Kind::Number(0.1, 1000.0);
    guard.max_lag = Hot Kind::Duration(0, DAY);
    guard.window = Hot Kind::Duration(1000, HOUR);
    guard.cooldown = Hot Kind::Duration(0, DAY);
    check.interval = Hot Kind::Duration(0, 365 * DAY);
    check.chunk_time = Hot Kind::Duration(1, 60_000);
    check.max_rows_per_second = Hot Kind::Whole(0, i64::MAX);
    check.repair = Hot Kind::Choice(&["suspect", "all", "off"]);
    check.samples = Hot Kind::Whole(0, 10_000);
    copy.workers = Hot Kind::Whole(1, 64);
    admin.address = Cold Kind::Address;
    admin.token_file = Cold Kind::Path;
    log.level = Hot Kind::Level;
    log.format = Cold Kind::Choice(&["text", "json"]);
}

/// The key of this name, or what to say of a name that is none.
pub(super) fn find(name: &str) -> Result<&'static Key, String> {
    if let Some(key) = KEYS.iter().find(|key| key.name == name) {
        return Ok(key);
    }
    let nearest = KEYS.iter().map(|key| (distance(name, key.name), key.name)).min();
    if let Some((steps, nearest)) = nearest
        && steps <= 2.max(name.len() / 5)
    {
        return Err(format!("unknown key, did you mean {nearest}?"));
    }
    Err(out_of_place(name.split_once('.').map_or(name, |(section, _)| section)))
}

/// What to say of a name that resembles none.
fn out_of_place(section: &str) -> String {
    let fields: Vec<_> = KEYS.iter().filter_map(|key| key.name.strip_prefix(section)?.strip_prefix('.')).collect();
    if !fields.is_empty() {
        return format!("unknown key, allowed in [{section}]: {}", fields.join(", "));
    }
    let mut sections: Vec<_> = KEYS.iter().filter_map(|key| Some(key.name.split_once('.')?.0)).collect();
    sections.dedup();
    let nearest = sections.iter().map(|known| (distance(section, known), *known)).min();
    match nearest {
        Some((steps, known)) if steps <= 2 => format!("unknown section, did you mean [{known}]?"),
        _ => format!("unknown section, allowed: [{}]", sections.join("], [")),
    }
}

/// Letters to insert, drop or replace to turn one into the other.
fn distance(a: &str, b: &str) -> usize {
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.bytes().enumerate() {
        let mut diagonal = i;
        let mut left = i + 1;
        let mut next = vec![left];
        for (y, above) in b.bytes().zip(row.iter().skip(1)) {
            left = (diagonal + usize::from(x != y)).min(left + 1).min(above + 1);
            diagonal = *above;
            next.push(left);
        }
        row = next;
    }
    row.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances_count_single_letters() {
        assert_eq!(distance("percent", "percent"), 0);
        assert_eq!(distance("precent", "percent"), 2);
        assert_eq!(distance("percen", "percent"), 1);
        assert_eq!(distance("", "abc"), 3);
        assert_eq!(distance("abc", ""), 3);
    }

    #[test]
    fn what_is_hot_is_what_the_contract_says() {
        for key in KEYS {
            let (section, _) = key.name.split_once('.').unwrap();
            let hot = ["reads", "guard", "check", "copy"].contains(&section)
                || ["mirror.include", "mirror.exclude", "mirror.no_rewrite", "log.level"].contains(&key.name)
                || ["listen.tls_cert", "listen.tls_key", "listen.tls_min", "listen.auth_file"].contains(&key.name);
            assert_eq!(key.when == When::Hot, hot, "{}", key.name);
        }
    }

    #[test]
    fn the_table_has_every_field_of_the_settings() {
        let url = "postgres://a@b/c".parse::<crate::config::PgUrl>().unwrap();
        let settings = Settings::between(url.clone(), url);
        let mut section = String::new();
        let mut fields = Vec::new();
        for line in format!("{settings:#?}").lines() {
            let depth = line.len() - line.trim_start().len();
            let Some((name, _)) = line.trim().split_once(": ") else { continue };
            match depth {
                4 => name.clone_into(&mut section),
                8 => fields.push(format!("{section}.{name}")),
                _ => {}
            }
        }
        assert_eq!(fields, KEYS.iter().map(|key| key.name).collect::<Vec<_>>());
    }
}
