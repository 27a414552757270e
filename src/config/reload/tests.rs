//! What a reload changes, and what it must not.

use super::*;

const BOTH: &str = "[primary]\nurl = \"postgres://a@one/d\"\n[shadow]\nurl = \"postgres://a@two/d\"\n";

struct Fixture {
    folder: tempfile::TempDir,
    reloader: Arc<Reloader>,
}

impl Fixture {
    fn new(rest: &str, variables: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("proxy.toml");
        std::fs::write(&file, format!("{BOTH}{rest}")).unwrap();
        let variables = variables.iter().map(|(name, value)| (name.into(), value.into()));
        let loaded = Sources::with_environment(Some(file), variables).load().unwrap();
        Self { folder, reloader: Reloader::new(loaded) }
    }

    fn write(&self, rest: &str) {
        std::fs::write(self.folder.path().join("proxy.toml"), format!("{BOTH}{rest}")).unwrap();
    }

    fn reload(&self, rest: &str) -> ReloadOutcome {
        self.write(rest);
        self.reloader.reload().unwrap()
    }

    fn settings(&self) -> Settings {
        Settings::clone(&self.reloader.live().get())
    }
}

fn outcome(changed: &[&str], needs_restart: &[&str], overridden: &[&str], generation: u64) -> ReloadOutcome {
    let names = |keys: &[&str]| keys.iter().map(|&key| key.to_owned()).collect();
    ReloadOutcome {
        changed: names(changed),
        needs_restart: names(needs_restart),
        overridden: names(overridden),
        generation,
    }
}

#[test]
fn hot_keys_are_in_force_at_once() {
    let fixture = Fixture::new("[reads]\npercent = 1\n", &[]);
    let told = fixture.reload("[reads]\npercent = 30\n[check]\nsamples = 5\n[mirror]\nexclude = [\"a.b\"]\n");
    assert_eq!(told, outcome(&["mirror.exclude", "reads.percent", "check.samples"], &[], &[], 2));
    let settings = fixture.settings();
    assert_eq!((settings.reads.percent, settings.check.samples), (30.0, 5));
    assert_eq!(settings.mirror.exclude, ["a.b"]);
}

#[test]
fn cold_keys_wait_and_are_named_until_the_restart() {
    let fixture = Fixture::new("", &[]);
    let told = fixture.reload("[listen]\naddress = \"127.0.0.1:7\"\n[mirror]\nworkers = 9\n[reads]\npercent = 5\n");
    assert_eq!(told, outcome(&["reads.percent"], &["listen.address", "mirror.workers"], &[], 2));
    let settings = fixture.settings();
    assert_eq!((settings.listen.address.as_str(), settings.mirror.workers), ("127.0.0.1:6432", 4));
    assert_eq!(settings.reads.percent, 5.0);

    assert_eq!(fixture.reloader.reload().unwrap(), outcome(&[], &["listen.address", "mirror.workers"], &[], 2));
    assert_eq!(fixture.reload(""), outcome(&["reads.percent"], &[], &[], 3), "taken back");
}

#[test]
fn a_key_the_environment_overrides_does_not_change() {
    let fixture = Fixture::new("[reads]\npercent = 1\n", &[("CROSSFADE_READS__PERCENT", "25")]);
    assert_eq!(fixture.reload("[reads]\npercent = 70\n"), outcome(&[], &[], &["reads.percent"], 1));
    assert_eq!(fixture.settings().reads.percent, 25.0);
}

#[test]
fn a_broken_file_changes_nothing() {
    let fixture = Fixture::new("[reads]\npercent = 1\n", &[]);
    let before = fixture.settings();
    for broken in ["[reads]\npercent = 250\n", "[reads]\npercent = 2\npol_size = 3\n", "[reads\n"] {
        fixture.write(broken);
        assert!(fixture.reloader.reload().is_err(), "{broken}");
        assert_eq!((fixture.settings(), fixture.reloader.live().generation()), (before.clone(), 1), "{broken}");
    }
    std::fs::remove_file(fixture.folder.path().join("proxy.toml")).unwrap();
    assert!(fixture.reloader.reload().is_err());
    assert_eq!(fixture.settings(), before);
}

#[test]
fn what_says_the_same_is_no_new_generation() {
    let fixture = Fixture::new("[reads]\npercent = 1\n", &[]);
    assert_eq!(fixture.reload("# a comment\n[reads]\npercent = 1.0\n"), outcome(&[], &[], &[], 1));
}

#[test]
fn the_ramp_holds_through_reloads_of_other_keys() {
    let fixture = Fixture::new("[reads]\npercent = 1\n", &[]);
    fixture.reloader.live().ramp(60.0);
    assert_eq!(fixture.reload("[reads]\npercent = 1\npool_size = 2\n"), outcome(&["reads.pool_size"], &[], &[], 2));
    assert_eq!(fixture.settings().reads.percent, 60.0);
    fixture.reload("[reads]\npercent = 5\npool_size = 2\n");
    assert_eq!(fixture.settings().reads.percent, 5.0);
}

#[test]
fn rules_are_hot() {
    let fixture = Fixture::new("", &[]);
    let rule = |percent: u32| format!("[[reads.rule]]\ntable = \"*\"\npercent = {percent}\n");
    assert_eq!(fixture.reload(&rule(7)), outcome(&["reads.rule"], &[], &[], 2));
    assert_eq!(fixture.settings().reads.rule[0].percent, 7.0);
    assert_eq!(fixture.reload(&rule(7)), outcome(&[], &[], &[], 2));
    assert_eq!(fixture.reload(""), outcome(&["reads.rule"], &[], &[], 3));
    assert_eq!(fixture.settings().reads.rule, []);
}
