//! Texts that the server reads in another way than we would: nothing is said of them.

use super::support::*;

/// With standard strings the first is one insert; without, the string goes on to the second quote but one.
const AMBIGUOUS: &str = r"insert into t values (1, 'a\'); delete from t; --')";

fn setting(name: &str, value: &str) -> Vec<u8> {
    message(b'S', format!("{name}\0{value}\0").as_bytes())
}

fn passes_unchanged(stage: &mut Stage, text: &[u8]) -> bool {
    let sent = message(b'Q', &[text, b"\0"].concat());
    let same = stage.client(&sent) == sent;
    stage.server(&[complete("INSERT 0 1"), ready(b'I')].concat());
    same
}

#[test]
fn without_standard_strings_a_text_with_a_backslash_is_opaque() {
    let mut stage = Stage::new();
    assert!(!passes_unchanged(&mut stage, br"insert into t values (1, 'a\')"));
    stage.server(&setting("standard_conforming_strings", "off"));
    stage.told();
    assert!(passes_unchanged(&mut stage, AMBIGUOUS.as_bytes()));
    assert_eq!(stage.commits(), [["mark all Unparsed"]]);
    assert!(!passes_unchanged(&mut stage, b"insert into t values (1, 'a')"), "nothing in it is read otherwise");
    stage.server(&setting("standard_conforming_strings", "on"));
    assert!(!passes_unchanged(&mut stage, br"insert into t values (1, 'a\')"));
}

#[test]
fn while_a_setting_is_on_its_way_a_text_that_it_may_change_is_opaque() {
    let mut stage = Stage::new();
    let set = [parse("", "set standard_conforming_strings = off"), bind("", &[]), execute(0)].concat();
    stage.client(&set);
    let insert = parse("a", r"insert into t values (1, 'a\')");
    assert_eq!(stage.client(&insert), insert);
    let plain = parse("b", "insert into t values (1, 'a')");
    assert_ne!(stage.client(&plain), plain);
}

#[test]
fn in_another_encoding_a_text_that_is_not_ascii_is_opaque() {
    // Two characters in one encoding and one in the other: another name, and in SJIS a backslash that is none.
    let names: [&[u8]; 2] = [b"insert into t values (1, '\xc3\xa9')", b"insert into t values (1, E'\xc3\x81\\')"];
    let mut stage = Stage::new();
    assert!(!passes_unchanged(&mut stage, names[0]));
    stage.server(&setting("client_encoding", "SJIS"));
    stage.told();
    for name in names {
        assert!(passes_unchanged(&mut stage, name));
        assert_eq!(stage.commits(), [["mark all Unparsed"]]);
    }
}
