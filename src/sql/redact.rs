//! A statement's text for reports: no literal, no comment, one line.

use std::fmt::Write as _;

use super::lexer::{Lexer, Token, TokenKind};

/// Longer results are cut.
const MAX_BYTES: usize = 1000;

/// `text` with every literal replaced by a parameter, so that no row value or password is left, and equal statements
/// read equal. Of a text that does not even lex only the first word remains.
pub fn redact(text: &str) -> String {
    let text = cut(text, super::MAX_BYTES);
    // Where such a string ends depends on a setting of the session.
    if text.contains("\\'") {
        return first_word(text);
    }
    let mut next = Lexer::new(text).filter_map(|token| parameter(text, &token)).max().unwrap_or(0);
    let mut line = String::with_capacity(text.len().min(MAX_BYTES));
    let mut end = 0;
    for token in Lexer::new(text) {
        if !line.is_empty() && token.span.start > end {
            line.push(' ');
        }
        end = token.span.end;
        match token.kind {
            TokenKind::Unterminated => return first_word(text),
            TokenKind::String | TokenKind::Number => {
                next = next.saturating_add(1);
                // Writing to a String cannot fail.
                let _ = write!(line, "${next}");
            }
            TokenKind::Semicolon if text.len() == end => {}
            _ => line.push_str(text.get(token.span).unwrap_or_default()),
        }
        if line.len() > MAX_BYTES {
            line.truncate(cut(&line, MAX_BYTES).len());
            line.push('…');
            break;
        }
    }
    line
}

fn parameter(text: &str, token: &Token) -> Option<u32> {
    match token.kind {
        TokenKind::Parameter => text.get(token.span.clone())?.trim_start_matches('$').parse().ok(),
        _ => None,
    }
}

fn first_word(text: &str) -> String {
    let word = Lexer::new(text).find(|token| token.kind == TokenKind::Word);
    let word = word.and_then(|token| text.get(token.span)).unwrap_or("?");
    format!("{} …", cut(word, 20))
}

/// At most `max` bytes of `text`, whole characters.
fn cut(text: &str, max: usize) -> &str {
    text.get(..text.floor_char_boundary(max)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn literals_become_parameters_behind_those_there_are() {
        assert_eq!(redact("SELECT * FROM t WHERE a = 1 AND b = 'x'"), "SELECT * FROM t WHERE a = $1 AND b = $2");
        assert_eq!(redact("select  a, $2\n from t -- why\n where b>.5;"), "select a, $2 from t where b>$3");
    }

    #[test]
    fn no_secret_is_left() {
        for text in [
            "ALTER ROLE bob PASSWORD 'secret'",
            "ALTER ROLE bob PASSWORD E'sec\\'ret'",
            "SELECT $x$secret$x$ /* secret */ -- secret",
            "SELECT 'secret",
            "SELECT /* secret",
        ] {
            assert!(!redact(text).contains("secret"), "{text}");
            assert!(!redact(text).contains("ret'"), "{text}");
        }
    }

    #[test]
    fn a_long_text_is_cut() {
        let long = redact(&format!("SELECT {}", "ä, ".repeat(60_000)));
        assert!(long.len() <= MAX_BYTES + '…'.len_utf8());
        assert!(long.ends_with('…'));
    }

    proptest! {
        #[test]
        fn any_text_gives_a_short_line(text in r#"[a-zE0-9'"$;/*\\ \n-]{0,80}|\PC{0,2000}"#) {
            let line = redact(&text);
            prop_assert!(line.len() <= MAX_BYTES + '…'.len_utf8());
        }

        #[test]
        fn what_a_literal_holds_does_not_show(string in ".{0,40}", number in 0_u64..) {
            let text = format!("SELECT '{}', {number} FROM t", string.replace('\'', "''"));
            let line = redact(&text);
            prop_assert!(line == "SELECT $1, $2 FROM t" || line == "SELECT …", "{}", line);
        }
    }
}
