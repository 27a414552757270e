//! From text to facts, through the server's own grammar.

use std::ops::Range;
use std::sync::Arc;

use super::classify::classify;
use super::lexer::{Lexer, TokenKind};
use super::{Kind, Script, Statement};

/// Longer texts are not looked at: one [`Kind::Opaque`] statement.
pub const MAX_BYTES: usize = 64 << 10;

/// The facts of `text`. Never fails: what cannot be read is opaque.
///
/// Strings are read as with `standard_conforming_strings` on: where that is off, a text with a backslash in it must not
/// be trusted to this.
pub fn analyze(text: &[u8]) -> Script {
    match readable(text).and_then(statements) {
        Some(statements) => Script { statements },
        None => Script::opaque(text),
    }
}

impl Script {
    /// What is said of a text that cannot be read.
    pub fn opaque(text: &[u8]) -> Self {
        Self { statements: vec![Statement { span: 0..text.len(), kind: Arc::new(Kind::Opaque) }] }
    }
}

fn readable(text: &[u8]) -> Option<&str> {
    if text.len() > MAX_BYTES || memchr::memchr(0, text).is_some() {
        return None;
    }
    str::from_utf8(text).ok()
}

fn statements(text: &str) -> Option<Vec<Statement>> {
    let tree = pg_raw_parse::parse(text).ok()?;
    tree.iter()
        .map(|raw| {
            let start = usize::try_from(raw.stmt_location).ok()?;
            let end = match usize::try_from(raw.stmt_len).ok()? {
                0 => text.len(),
                len => start + len,
            };
            let span = tokens_of(text, start..end)?;
            let kind = Arc::new(classify(raw.stmt(), text, &span));
            Some(Statement { span, kind })
        })
        .collect()
}

/// From the first token in `range` to behind the last that is no semicolon.
fn tokens_of(text: &str, range: Range<usize>) -> Option<Range<usize>> {
    let offset = range.start;
    let mut tokens = Lexer::new(text.get(range)?).filter(|token| token.kind != TokenKind::Semicolon);
    let first = tokens.next()?.span;
    let last = tokens.last().map_or(first.end, |token| token.span.end);
    Some(offset + first.start..offset + last)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn spans(text: &str) -> Vec<&str> {
        analyze(text.as_bytes()).statements.into_iter().map(|statement| &text[statement.span]).collect()
    }

    fn is_opaque(text: &[u8]) -> bool {
        analyze(text).statements == [Statement { span: 0..text.len(), kind: Arc::new(Kind::Opaque) }]
    }

    #[test]
    fn spans_hold_the_tokens_and_nothing_else() {
        assert_eq!(spans(" SELECT 1 ; "), ["SELECT 1"]);
        assert_eq!(spans("/* ; */ SELECT 1 -- ;\n;; SELECT ';' /* c */"), ["SELECT 1", "SELECT ';'"]);
        assert_eq!(spans("SELECT $$;$$;SELECT E'\\';'--x"), ["SELECT $$;$$", "SELECT E'\\';'"]);
        assert_eq!(spans("-- ä\nSELECT 'ä'; -- ö\n SELECT \"ü\""), ["SELECT 'ä'", "SELECT \"ü\""]);
        assert_eq!(
            spans("CREATE FUNCTION f() RETURNS int BEGIN ATOMIC SELECT 1; SELECT 2; END; SELECT 3"),
            ["CREATE FUNCTION f() RETURNS int BEGIN ATOMIC SELECT 1; SELECT 2; END", "SELECT 3"]
        );
    }

    #[test]
    fn an_empty_text_has_no_statement() {
        for text in ["", " ", ";", " ; ;", "-- nothing", "/* nothing */ ;"] {
            assert!(spans(text).is_empty(), "{text}");
        }
    }

    #[test]
    fn what_cannot_be_read_is_opaque() {
        for text in [&b"SELECT"[..], b"SELEC 1", b"SELECT '", b"SELECT \xff", b"SELECT 1\0", b"SELECT E'\\xff'", b"/*"]
        {
            assert!(is_opaque(text) || text == b"SELECT", "{}", text.escape_ascii());
        }
        assert!(is_opaque("SELECT 1 ".repeat(MAX_BYTES).as_bytes()));
    }

    #[test]
    fn rule_11_depth_does_not_overflow_a_small_stack() {
        let shapes = [
            format!("SELECT {}1{}", "(".repeat(30_000), ")".repeat(30_000)),
            format!("SELECT 1{}", "+1".repeat(30_000)),
            format!("SELECT 1{}", " + (1".repeat(3000) + &")".repeat(3000)),
            format!("SELECT {}true", "NOT ".repeat(9000)),
            format!("SELECT {}1", "- ".repeat(9000)),
            format!("SELECT 1{}", " UNION SELECT 1".repeat(4000)),
            format!("SELECT {}1{}", "(SELECT ".repeat(3000), ")".repeat(3000)),
            format!("SELECT * FROM {}t{}", "(SELECT * FROM ".repeat(2000), ") a".repeat(2000)),
            format!("SELECT {}1{}", "CASE WHEN true THEN ".repeat(2000), " END".repeat(2000)),
            format!("SELECT {}1{}", "ARRAY[".repeat(4000), "]".repeat(4000)),
            format!("SELECT a{}", "[1]".repeat(20_000)),
            format!("SELECT 1{}", "::int".repeat(10_000)),
            format!("SELECT true{}", " AND true".repeat(7000)),
            format!("SELECT * FROM t{}", " JOIN t ON true".repeat(4000)),
            format!("EXPLAIN {}SELECT 1", "EXPLAIN ".repeat(7000)),
            "(".repeat(60_000),
        ];
        let worker = std::thread::Builder::new().stack_size(512 << 10).spawn(move || {
            for shape in &shapes {
                assert_eq!(analyze(shape.as_bytes()).statements.len(), 1, "{}", &shape[..40]);
            }
        });
        worker.unwrap().join().unwrap();
    }

    proptest! {
        #[test]
        fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..80)) {
            for statement in analyze(&bytes).statements {
                prop_assert!(bytes.get(statement.span).is_some());
            }
        }

        #[test]
        fn no_words_panic(words in prop::collection::vec(prop::sample::select(WORDS), 0..25)) {
            let text = words.join(" ");
            for statement in analyze(text.as_bytes()).statements {
                prop_assert!(text.get(statement.span).is_some());
            }
        }
    }

    const WORDS: &[&str] = &[
        "SELECT",
        "INSERT INTO",
        "UPDATE",
        "DELETE FROM",
        "MERGE INTO",
        "SET",
        "WHERE",
        "FROM",
        "USING",
        "WITH",
        "AS",
        "(",
        ")",
        ",",
        ";",
        "a",
        "b.c",
        "*",
        "1",
        "'x'",
        "=",
        "VALUES",
        "RETURNING",
        "ON CONFLICT DO NOTHING",
        "CREATE TABLE",
        "DROP TABLE",
        "EXPLAIN",
        "ANALYZE",
        "PREPARE",
        "EXECUTE",
        "COPY",
        "TO STDOUT",
        "BEGIN",
        "GRANT",
        "ON",
        "ALTER",
        "ROLE",
        "int",
        "CASE",
        "WHEN",
        "THEN",
        "END",
        "ROW",
        "ARRAY[",
        "]",
        "$1",
        "-- c\n",
        "/*",
        "*/",
        "$$",
        "\"q\"",
        "E'\\''",
    ];
}
