//! A text without its values: what texts have in common that differ only in plain numbers and strings.
//!
//! The facts of a read or a write do not depend on such values, so texts of one skeleton are analysed once. Whatever
//! could matter stays in it: strings that ask the clock, strings in any but the plain form, numbers too large for an
//! integer of the grammar.

use std::borrow::Cow;

use super::lexer::{Lexer, Token, TokenKind};
use super::names;

/// More digits may be too large for the grammar's `Iconst`.
const INTEGER_DIGITS: usize = 9;

/// `text` with `0` for its integers and `''` for its plain strings.
pub(super) fn skeleton(text: &str) -> Cow<'_, str> {
    // With one, a string's end depends on a setting; U& may name another escape in a string behind it.
    if memchr::memchr(b'\\', text.as_bytes()).is_some() || has_unicode_escapes(text) {
        return Cow::Borrowed(text);
    }
    let mut skeleton = String::new();
    let mut copied = 0;
    for token in Lexer::new(text) {
        if let Some(stand_in) = stand_in(text, &token) {
            skeleton.reserve(text.len());
            skeleton.push_str(text.get(copied..token.span.start).unwrap_or_default());
            skeleton.push_str(stand_in);
            copied = token.span.end;
        }
    }
    if copied == 0 {
        return Cow::Borrowed(text);
    }
    skeleton.push_str(text.get(copied..).unwrap_or_default());
    Cow::Owned(skeleton)
}

fn has_unicode_escapes(text: &str) -> bool {
    memchr::memchr_iter(b'&', text.as_bytes())
        .any(|at| matches!(text.as_bytes().get(at.wrapping_sub(1)), Some(b'u' | b'U')))
}

fn stand_in(text: &str, token: &Token) -> Option<&'static str> {
    let value = text.get(token.span.clone())?;
    match token.kind {
        TokenKind::Number => {
            (value.len() <= INTEGER_DIGITS && value.bytes().all(|byte| byte.is_ascii_digit())).then_some("0")
        }
        TokenKind::String => {
            let plain = value.starts_with('\'') && !value.contains(['\n', '\r']);
            (plain && !names::asks_clock(value)).then_some("''")
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::{Kind, analyze};
    use super::*;

    #[test]
    fn plain_values_are_left_out() {
        assert_eq!(
            skeleton("SELECT a1 FROM t WHERE id = 42 AND b = 'it''s'"),
            "SELECT a1 FROM t WHERE id = 0 AND b = ''"
        );
        assert_eq!(skeleton("INSERT INTO t VALUES (-1, 'ä', $1) -- 5"), "INSERT INTO t VALUES (-0, '', $1) -- 5");
    }

    #[test]
    fn what_may_matter_stays() {
        for text in [
            "SELECT 'now', 'tomorrow 10:00'",
            "SELECT E'a', e'b', B'01', x'ff', N'a', $$a$$, $t$a$t$",
            r"SELECT '\', 5",
            "SELECT U&\"d!0061t\" UESCAPE '!'",
            "SELECT 'no'\n'w'",
            "SELECT 1234567890, 1.5, 1e5, 0x1F, 1_000",
            "SELECT \"5\", t5, $5",
            "SELECT 'never ends",
        ] {
            assert_eq!(skeleton(text), text);
        }
    }

    /// Statements of every kind that shares its facts, with holes for values.
    const SHAPES: &[&str] = &[
        "SELECT * FROM t WHERE a = {} AND b < {} LIMIT {} OFFSET {}",
        "SELECT f({}), {}::regclass, interval {}, numeric({}) {}, extract({} FROM d) FROM s.t ORDER BY {}",
        "SELECT a::varchar({}), date {}, x FROM t TABLESAMPLE bernoulli ({}) WHERE b LIKE {} ESCAPE {} GROUP BY {}",
        "WITH w AS (SELECT {}) SELECT * FROM w, u WHERE v IN ({}, {}) FETCH FIRST {} ROWS ONLY",
        "INSERT INTO t AS x (a, b) VALUES ({}, {}), ({}, g({})) ON CONFLICT (a) DO UPDATE SET b = {} RETURNING a, {}",
        "UPDATE s.t SET a = {}, b[{}] = {} FROM u WHERE u.c = {} ; ",
        "DELETE FROM \"T\" USING u WHERE a BETWEEN {} AND {} /* {} */",
        "SET statement_timeout = {}",
        "COPY t FROM {}",
        "SELECT {}; SELECT {}",
    ];

    fn value() -> impl Strategy<Value = String> {
        prop_oneof![
            "[0-9]{1,12}".boxed(),
            "'[a-zäé0-9 :;.,-]{0,12}'".boxed(),
            Just("'today'".to_owned()).boxed(),
            Just("'it''s'".to_owned()).boxed(),
            "-?[0-9]{1,3}\\.[0-9]{1,3}".boxed(),
        ]
    }

    fn fill(shape: &str, values: &[String]) -> String {
        let mut values = values.iter();
        let parts: Vec<&str> = shape.split("{}").collect();
        let mut text = parts[0].to_owned();
        for part in &parts[1..] {
            text.push_str(values.next().map_or("1", String::as_str));
            text.push_str(part);
        }
        text
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]

        /// Where both can be read, texts of one skeleton have the same facts if they are a read or a write.
        #[test]
        fn texts_of_one_skeleton_share_their_facts(
            shape in proptest::sample::select(SHAPES),
            ours in proptest::collection::vec(value(), 8),
            theirs in proptest::collection::vec(value(), 8),
        ) {
            let (ours, theirs) = (fill(shape, &ours), fill(shape, &theirs));
            let kind = |text: &str| match &analyze(text.as_bytes()).statements[..] {
                [statement] => Some(statement.kind.clone()),
                _ => None,
            };
            if skeleton(&ours) == skeleton(&theirs)
                && let (Some(ours), Some(theirs)) = (kind(&ours), kind(&theirs))
                && matches!((&*ours, &*theirs), (Kind::Read(_), Kind::Read(_)) | (Kind::Write(_), Kind::Write(_)))
            {
                prop_assert_eq!(ours, theirs);
            }
        }
    }
}
