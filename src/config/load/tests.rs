//! Every message as its reader sees it.

use std::ffi::OsString;
use std::time::Duration;

use super::*;
use crate::config::{ByteSize, Repair};
use crate::config::{ReadRule, RuleOf};

const BOTH: &str = "[primary]\nurl = \"postgres://a@one/d\"\n[shadow]\nurl = \"postgres://a@two/d\"\n";

/// A folder with this `proxy.toml`.
fn folder(text: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("proxy.toml"), text).unwrap();
    folder
}

fn sources(folder: &tempfile::TempDir, variables: &[(&str, &str)]) -> Sources {
    let variables = variables.iter().map(|(name, value)| (OsString::from(name), OsString::from(value)));
    Sources::with_environment(Some(folder.path().join("proxy.toml")), variables)
}

fn loads(text: &str) -> Settings {
    sources(&folder(text), &[]).load().unwrap().settings
}

/// The complaint about this file, its folder's name left out.
fn complaint(text: &str) -> String {
    complaint_with(text, &[])
}

fn complaint_with(text: &str, variables: &[(&str, &str)]) -> String {
    let folder = folder(text);
    let problems = sources(&folder, variables).load().unwrap_err().to_string();
    problems.replace(&format!("{}/", folder.path().display()), "")
}

/// The complaint about one section, beside what is needed.
fn complaint_about(section: &str) -> String {
    complaint(&format!("{BOTH}{section}"))
}

#[test]
fn two_urls_are_enough() {
    let sources = Sources::with_environment(None, [])
        .with_flag("--primary", "primary.url", Some("postgres://a@one/d".into()))
        .with_flag("--shadow", "shadow.url", Some("postgres://a@two/d".into()))
        .with_flag("--listen", "listen.address", None);
    let settings = sources.load().unwrap().settings;
    let mut expected = Settings::between("postgres://a@one/d".parse().unwrap(), "postgres://a@two/d".parse().unwrap());
    expected.mirror.journal = std::env::current_dir().unwrap().join("crossfade-data");
    assert_eq!(settings, expected);
}

#[test]
fn the_shipped_file_holds_every_key_at_its_default() {
    let file = std::env::current_dir().unwrap().join("proxy.toml");
    let settings = Sources::with_environment(Some(file.clone()), []).load().unwrap().settings;
    let mut expected = Settings::between(settings.primary.url.clone(), settings.shadow.url.clone());
    expected.mirror.journal = file.with_file_name("crossfade-data");
    assert_eq!(settings, expected);

    let text = std::fs::read_to_string(file).unwrap();
    let fields = text.lines().map(|line| line.trim_start_matches("# ")).filter_map(|line| line.split_once(" = "));
    let named: Vec<_> = fields.map(|(field, _)| field).filter(|field| !field.contains(' ')).collect();
    let known: Vec<_> = crate::config::keys::KEYS.iter().filter_map(|key| Some(key.name.split_once('.')?.1)).collect();
    assert_eq!(named, known, "every key, in order, commented out or not");
}

#[test]
fn values_are_read() {
    let settings = loads(&format!(
        "{BOTH}[reads]\npercent = 12.5\n[check]\ninterval = \"90s\"\nrepair = \"all\"\n[mirror]\nmemory = \"1GiB\"\n"
    ));
    assert_eq!(settings.reads.percent, 12.5);
    assert_eq!(settings.check.interval, Duration::from_secs(90));
    assert_eq!(settings.check.repair, Repair::All);
    assert_eq!(settings.mirror.memory, ByteSize(1 << 30));
}

#[test]
fn the_environment_beats_the_file_and_the_command_line_both() {
    let folder = folder(&format!("{BOTH}[listen]\naddress = \"127.0.0.1:1\"\n[reads]\npercent = 1\npool_size = 1\n"));
    let variables = [
        ("CROSSFADE_READS__PERCENT", "25"),
        ("CROSSFADE_LISTEN__ADDRESS", "127.0.0.1:2"),
        ("CROSSFADE_MIRROR__EXCLUDE", "public.log_*, audit.*"),
        ("CROSSFADE_MIRROR__ENABLED", "false"),
    ];
    let flagged = sources(&folder, &variables).with_flag("--listen", "listen.address", Some("127.0.0.1:3".into()));
    let Loaded { settings, overridden, .. } = flagged.load().unwrap();
    assert_eq!(settings.reads.percent, 25.0);
    assert_eq!(settings.reads.pool_size, 1);
    assert_eq!(settings.listen.address, "127.0.0.1:3");
    assert_eq!(settings.mirror.exclude, ["public.log_*", "audit.*"]);
    assert!(!settings.mirror.enabled);
    assert_eq!(overridden, ["listen.address", "reads.percent"]);
}

#[test]
fn other_peoples_variables_are_left_alone() {
    let folder = folder(BOTH);
    let variables = [("CROSSFADE_SERVICE_HOST", "10.0.0.1"), ("CROSSFADE_PORT", "tcp://10.0.0.1:5432"), ("PATH", "x")];
    assert!(sources(&folder, &variables).load().is_ok());
}

#[test]
fn paths_start_at_the_folder_of_the_file() {
    let folder = folder(&format!("{BOTH}[admin]\ntoken_file = \"token\"\n"));
    std::fs::write(folder.path().join("token"), "t\n").unwrap();
    let settings = sources(&folder, &[]).load().unwrap().settings;
    assert_eq!(settings.mirror.journal, folder.path().join("crossfade-data"));
    assert_eq!(settings.admin.token_file, Some(folder.path().join("token")));
}

#[test]
fn a_password_is_read_from_its_file_and_shown_nowhere() {
    let folder = folder(&BOTH.replace("one/d\"", "one/d\"\npassword_file = \"secret\""));
    let from = sources(&folder, &[]);
    let complaint = from.load().unwrap_err().to_string();
    assert!(
        complaint.contains("primary.password_file: ") && complaint.contains("secret cannot be read: "),
        "{complaint}"
    );

    std::fs::write(folder.path().join("secret"), "hunter2\n").unwrap();
    let loaded = from.load().unwrap();
    assert_eq!(loaded.settings.primary.url.password.as_deref(), Some("hunter2"));
    assert!(!format!("{loaded:?}").contains("hunter2"));

    std::fs::write(folder.path().join("secret"), "\n").unwrap();
    let complaint = from.load().unwrap_err().to_string();
    assert!(complaint.ends_with("secret must hold exactly one line, and not an empty one"), "{complaint}");
}

#[test]
fn no_error_shows_a_password() {
    for text in [
        BOTH.replace("a@one/d\"", "a:hunter2@one/d"),
        BOTH.replace("a@one/d", "a:hunter2@one/d?nonsense=1"),
        BOTH.replace("a@one/d", "a:hunter2@one/d?sslmode=verify-ca"),
        BOTH.replace("\"postgres://a@one/d\"", "[\"postgres://a:hunter2@one/d\"]"),
        BOTH.replace("postgres://a@one/d", "mysql://a:hunter2@one/d"),
        BOTH.replace("a@one/d", "a:hunter2@two/d"),
    ] {
        let complaint = complaint(&text);
        assert!(!complaint.contains("hunter2"), "{complaint}");
    }
}

#[test]
fn what_is_missing_is_said_with_every_way_to_give_it() {
    assert_eq!(
        complaint("[reads]\npercent = 5\n"),
        "configuration: primary.url: missing: give it in proxy.toml, as environment variable CROSSFADE_PRIMARY__URL, or by --primary\n\
         configuration: shadow.url: missing: give it in proxy.toml, as environment variable CROSSFADE_SHADOW__URL, or by --shadow"
    );
}

#[test]
fn all_problems_are_told_at_once() {
    assert_eq!(
        complaint_with(
            &format!("{BOTH}[reads]\npercnt = 5\ntimeout = 2\n[reeds]\nx = 1\n"),
            &[("CROSSFADE_MIRROR__WORKERS", "many"), ("CROSSFADE_READS_PERCENT", "5")]
        ),
        "environment variable CROSSFADE_READS_PERCENT: section and key are parted by two underscores: CROSSFADE_READS__PERCENT\n\
         proxy.toml: reads.percnt: unknown key, did you mean reads.percent?\n\
         proxy.toml: reads.timeout: found 2, allowed: a duration from \"1ms\" to \"1h\" (ms, s, m, h)\n\
         proxy.toml: reeds.x: unknown section, did you mean [reads]?\n\
         environment variable CROSSFADE_MIRROR__WORKERS: mirror.workers: found \"many\", allowed: a whole number from 1 to 64"
    );
}

#[test]
fn a_flag_is_named_as_such() {
    let folder = folder(BOTH);
    let flagged = sources(&folder, &[]).with_flag("--listen", "listen.address", Some("6432".into()));
    assert_eq!(
        flagged.load().unwrap_err().to_string(),
        "command line, --listen: listen.address: found \"6432\", allowed: \"host:port\", such as \"127.0.0.1:6432\""
    );
}

#[test]
fn unknown_names_get_the_nearest_or_the_list() {
    for (section, expected) in [
        ("[copy]\nwokers = 2\n", "proxy.toml: copy.wokers: unknown key, did you mean copy.workers?"),
        ("[copy]\nthreads = 2\n", "proxy.toml: copy.threads: unknown key, allowed in [copy]: workers"),
        (
            "[tables]\nall = true\n",
            "proxy.toml: tables.all: unknown section, allowed: [listen], [primary], [shadow], [mirror], [reads], \
             [guard], [check], [copy], [admin], [log]",
        ),
    ] {
        assert_eq!(complaint_about(section), expected);
    }
    assert_eq!(
        complaint(&format!("percent = 5\n{BOTH}")),
        "proxy.toml: percent: unknown section, allowed: [listen], [primary], [shadow], [mirror], [reads], [guard], \
         [check], [copy], [admin], [log]"
    );
}

#[test]
fn values_that_cannot_be_are_named_with_what_can() {
    for (section, expected) in [
        ("[reads]\npercent = 250\n", "reads.percent: found 250, allowed: a number from 0 to 100"),
        ("[reads]\npercent = -0.5\n", "reads.percent: found -0.5, allowed: a number from 0 to 100"),
        ("[reads]\npercent = nan\n", "reads.percent: found NaN, allowed: a number from 0 to 100"),
        ("[reads]\npercent = \"25\"\n", "reads.percent: found \"25\", allowed: a number from 0 to 100"),
        ("[reads]\npercent = []\n", "reads.percent: found a list, allowed: a number from 0 to 100"),
        ("[reads]\ncompare_percent = 101\n", "reads.compare_percent: found 101, allowed: a number from 0 to 100"),
        (
            "[reads]\nconsistency = \"strong\"\n",
            "reads.consistency: found \"strong\", allowed: \"table\" or \"session\" or \"none\"",
        ),
        ("[mirror]\nworkers = 0\n", "mirror.workers: found 0, allowed: a whole number from 1 to 64"),
        ("[mirror]\nworkers = 2.5\n", "mirror.workers: found 2.5, allowed: a whole number from 1 to 64"),
        ("[mirror]\nenabled = \"yes\"\n", "mirror.enabled: found \"yes\", allowed: true or false"),
        (
            "[mirror]\nmemory = \"64MB\"\n",
            "mirror.memory: found \"64MB\", allowed: a size of at least \"64KiB\" (B, KiB, MiB, GiB, TiB)",
        ),
        (
            "[mirror]\ninclude = [\"public.*\", \"orders\"]\n",
            "mirror.include: found \"orders\", allowed: a list of \"schema.table\" patterns, where * stands for any run of \
             characters, or \"*\" for every table",
        ),
        (
            "[guard]\nwindow = \"10ms\"\n",
            "guard.window: found \"10ms\", allowed: a duration from \"1s\" to \"1h\" (ms, s, m, h)",
        ),
        (
            "[log]\nlevel = \"verbose\"\n",
            "log.level: found \"verbose\", allowed: \"error\", \"warn\", \"info\", \"debug\" or \"trace\", or a filter such as \
             \"info,crossfade::mirror=debug\"",
        ),
        (
            "[listen]\nauth_file = \"users.txt\"\n",
            "listen.auth_file: users.txt cannot be read: No such file or directory (os error 2)",
        ),
        (
            "[admin]\naddress = \"127.0.0.1:6432\"\n",
            "admin.address: found \"127.0.0.1:6432\", which is listen.address too; allowed: another port",
        ),
    ] {
        assert_eq!(complaint_about(section), format!("proxy.toml: {expected}"));
    }
}

#[test]
fn an_admin_address_open_to_others_needs_a_token() {
    assert_eq!(
        complaint_about("[admin]\naddress = \"0.0.0.0:9632\"\n"),
        "configuration: admin.token_file: missing: admin.address \"0.0.0.0:9632\" can be reached from other machines, so \
         changes need a token"
    );
}

#[test]
fn the_two_databases_are_two() {
    assert_eq!(
        complaint(&BOTH.replace("two", "one")),
        "proxy.toml: shadow.url: found the primary itself (postgres://a@one:5432/d), allowed: another database"
    );
}

#[test]
fn whoever_verifies_says_whom_it_trusts() {
    assert_eq!(
        complaint(&BOTH.replace("two/d", "two/d?sslmode=verify-full")),
        "proxy.toml: shadow.url: sslmode=verify-full needs sslrootcert, a file with the certificates of trusted authorities"
    );
    assert_eq!(
        complaint(&BOTH.replace("two/d", "two/d?sslmode=verify-ca&sslrootcert=ca.pem")),
        "proxy.toml: shadow.url: sslrootcert: ca.pem cannot be read: No such file or directory (os error 2)"
    );
}

#[test]
fn a_file_that_is_not_toml_or_not_there_is_named_with_the_place() {
    let complaint = complaint(&format!("{BOTH}[reads\npercent = 5\n"));
    assert!(complaint.starts_with("proxy.toml: not TOML: at line 5, column "), "{complaint}");
    let missing = Sources::with_environment(Some("/nowhere/proxy.toml".into()), []).load().unwrap_err();
    assert_eq!(missing.to_string(), "/nowhere/proxy.toml: cannot be read: No such file or directory (os error 2)");
}

#[test]
fn the_admin_address_is_found_without_the_rest() {
    let folder = folder("[admin]\naddress = \"127.0.0.1:7\"\ntoken_file = \"token\"\n[reads]\nnonsense = 1\n");
    let admin = sources(&folder, &[("CROSSFADE_ADMIN__ADDRESS", "127.0.0.1:8")]).admin().unwrap();
    assert_eq!(admin.address, "127.0.0.1:8");
    assert_eq!(admin.token_file, Some(folder.path().join("token")));
    assert_eq!(Sources::with_environment(None, []).admin().unwrap(), Admin::default());
}

#[test]
fn rules_are_a_list_of_tables_in_their_order() {
    let rules = "[reads]\npercent = 5\n[[reads.rule]]\ntable = \"public.*\"\npercent = 0\n\
                 [[reads.rule]]\nquery = \"select $1\"\npercent = 12.5\n";
    let folder = folder(&format!("{BOTH}{rules}"));
    let reads = sources(&folder, &[]).load().unwrap().settings.reads;
    let rule = |of, percent| ReadRule { of, percent };
    let expected = [rule(RuleOf::Table("public.*".into()), 0.0), rule(RuleOf::Query("select $1".into()), 12.5)];
    assert_eq!((reads.percent, &reads.rule[..]), (5.0, &expected[..]));
}

#[test]
fn a_rule_with_a_mistake_is_named_by_its_number() {
    for (rule, expected) in [
        ("table = \"a.b\"\npercnt = 5", "percnt: unknown key, allowed in [[reads.rule]]: table, query, percent"),
        ("table = \"a.b\"", "percent: missing, allowed: a number from 0 to 100"),
        ("percent = 5", "found neither of table and query, allowed: one of them"),
        ("table = \"a.b\"\nquery = \"select\"\npercent = 5", "found both of table and query, allowed: one of them"),
        ("table = \"a.b\"\npercent = 101", "percent: found 101, allowed: a number from 0 to 100"),
        (
            "table = \"orders\"\npercent = 5",
            "table: found \"orders\", allowed: \"schema.table\", where * stands for any run of characters, or \"*\" for every table",
        ),
        ("query = \" \"\npercent = 5", "query: found \" \", allowed: a text"),
    ] {
        let section = format!("[[reads.rule]]\ntable = \"*\"\npercent = 1\n[[reads.rule]]\n{rule}\n");
        assert_eq!(complaint_about(&section), format!("proxy.toml: reads.rule: rule 2: {expected}"));
    }
    for section in ["[reads]\nrule = 5\n", "[reads.rule]\ntable = \"*\"\npercent = 5\n"] {
        let told = complaint_about(section);
        assert!(told.ends_with("allowed: [[reads.rule]] in the file, once for each rule"), "{told}");
    }
}
