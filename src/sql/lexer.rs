//! Tokens of a query text, as far as finding where statements, literals and comments begin and end needs them. Follows
//! `scan.l` with `standard_conforming_strings` on. Never fails: what the server would refuse becomes some token.

use std::ops::Range;

/// What a token is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TokenKind {
    /// An unquoted identifier or keyword.
    Word,
    /// `"quoted"`, also `U&"…"`.
    QuotedName,
    /// A string in any of its forms, continuations included.
    String,
    /// A number.
    Number,
    /// `$1`
    Parameter,
    /// `;`
    Semicolon,
    /// One character of anything else.
    Symbol,
    /// A string, name or comment that never ends.
    Unterminated,
}

/// A token and where it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Token {
    pub(super) kind: TokenKind,
    pub(super) span: Range<usize>,
}

/// Walks a text, leaving out white space and comments.
#[derive(Debug)]
pub(super) struct Lexer<'a> {
    text: &'a [u8],
    at: usize,
}

impl<'a> Lexer<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        Self { text: text.as_bytes(), at: 0 }
    }

    fn peek(&self, ahead: usize) -> u8 {
        // NUL stands for the end: no text with a NUL inside gets here, and it belongs to no token.
        self.text.get(self.at + ahead).copied().unwrap_or(0)
    }

    fn skip_while(&mut self, belongs: impl Fn(u8) -> bool) {
        let rest = self.text.get(self.at..).unwrap_or_default();
        self.at += rest.iter().position(|&byte| !belongs(byte)).unwrap_or(rest.len());
    }

    /// White space and comments; false: a comment never ends.
    fn skip_blank(&mut self) -> bool {
        loop {
            self.skip_while(is_space);
            match (self.peek(0), self.peek(1)) {
                (b'-', b'-') => self.skip_while(|byte| byte != b'\n' && byte != b'\r'),
                (b'/', b'*') => {
                    if !self.skip_block_comment() {
                        return false;
                    }
                }
                _ => return true,
            }
        }
    }

    fn skip_block_comment(&mut self) -> bool {
        let mut depth = 0_usize;
        while self.at < self.text.len() {
            match (self.peek(0), self.peek(1)) {
                (b'/', b'*') => {
                    depth += 1;
                    self.at += 2;
                }
                (b'*', b'/') => {
                    depth -= 1;
                    self.at += 2;
                    if depth == 0 {
                        return true;
                    }
                }
                _ => self.at += 1,
            }
        }
        false
    }

    /// From an opening quote to behind the closing one; a doubled quote stands for itself.
    fn quoted(&mut self, quote: u8, escapes: bool) -> bool {
        self.at += 1;
        while self.at < self.text.len() {
            match self.peek(0) {
                b'\\' if escapes => self.at += 2,
                byte if byte == quote && self.peek(1) == quote => self.at += 2,
                byte if byte == quote => {
                    self.at += 1;
                    return true;
                }
                _ => self.at += 1,
            }
        }
        self.at = self.text.len();
        false
    }

    /// A string and its continuations: `'a'` and, on a later line, `'b'` are one.
    fn string(&mut self, escapes: bool) -> TokenKind {
        loop {
            if !self.quoted(b'\'', escapes) {
                return TokenKind::Unterminated;
            }
            let end = self.at;
            if !self.skip_to_continuation() {
                self.at = end;
                return TokenKind::String;
            }
        }
    }

    fn skip_to_continuation(&mut self) -> bool {
        let mut newline = false;
        loop {
            match (self.peek(0), self.peek(1)) {
                (b'\n' | b'\r', _) => {
                    newline = true;
                    self.at += 1;
                }
                (byte, _) if is_space(byte) => self.at += 1,
                (b'-', b'-') => self.skip_while(|byte| byte != b'\n' && byte != b'\r'),
                (byte, _) => return newline && byte == b'\'',
            }
        }
    }

    fn word(&mut self) -> TokenKind {
        let start = self.at;
        self.skip_while(continues_word);
        match (self.text.get(start..self.at), self.peek(0), self.peek(1)) {
            (Some(b"e" | b"E"), b'\'', _) => self.string(true),
            (Some(b"b" | b"B" | b"x" | b"X" | b"n" | b"N"), b'\'', _) => self.string(false),
            (Some(b"u" | b"U"), b'&', b'\'') => {
                self.at += 1;
                self.string(false)
            }
            (Some(b"u" | b"U"), b'&', b'"') => {
                self.at += 1;
                self.quoted_name()
            }
            _ => TokenKind::Word,
        }
    }

    fn quoted_name(&mut self) -> TokenKind {
        if self.quoted(b'"', false) { TokenKind::QuotedName } else { TokenKind::Unterminated }
    }

    fn dollar(&mut self) -> TokenKind {
        let start = self.at;
        self.at += 1;
        if self.peek(0).is_ascii_digit() {
            self.skip_while(|byte| byte.is_ascii_digit());
            return TokenKind::Parameter;
        }
        if starts_word(self.peek(0)) {
            self.skip_while(|byte| continues_word(byte) && byte != b'$');
        }
        if self.peek(0) != b'$' {
            self.at = start + 1;
            return TokenKind::Symbol;
        }
        self.at += 1;
        let tag = self.text.get(start..self.at).unwrap_or_default();
        let body = self.text.get(self.at..).unwrap_or_default();
        if let Some(found) = memchr::memmem::find(body, tag) {
            self.at += found + tag.len();
            TokenKind::String
        } else {
            self.at = self.text.len();
            TokenKind::Unterminated
        }
    }

    fn number(&mut self) -> TokenKind {
        let mut previous = 0;
        while self.at < self.text.len() {
            let byte = self.peek(0);
            let belongs = match byte {
                b'.' => self.peek(1) != b'.',
                b'+' | b'-' => matches!(previous, b'e' | b'E') && self.peek(1).is_ascii_digit(),
                _ => continues_word(byte),
            };
            if !belongs {
                break;
            }
            previous = byte;
            self.at += 1;
        }
        TokenKind::Number
    }
}

impl Iterator for Lexer<'_> {
    type Item = Token;

    fn next(&mut self) -> Option<Token> {
        let blank = self.at;
        if !self.skip_blank() {
            return Some(Token { kind: TokenKind::Unterminated, span: blank..self.at });
        }
        if self.at >= self.text.len() {
            return None;
        }
        let start = self.at;
        let kind = match (self.peek(0), self.peek(1)) {
            (b'\'', _) => self.string(false),
            (b'"', _) => self.quoted_name(),
            (b'$', _) => self.dollar(),
            (byte, _) if starts_word(byte) => self.word(),
            (byte, _) if byte.is_ascii_digit() => self.number(),
            (b'.', next) if next.is_ascii_digit() => self.number(),
            (byte, _) => {
                self.at += 1;
                if byte == b';' { TokenKind::Semicolon } else { TokenKind::Symbol }
            }
        };
        Some(Token { kind, span: start..self.at })
    }
}

fn is_space(byte: u8) -> bool {
    CLASSES[usize::from(byte)] == Class::Space
}

fn starts_word(byte: u8) -> bool {
    CLASSES[usize::from(byte)] == Class::Letter
}

fn continues_word(byte: u8) -> bool {
    matches!(CLASSES[usize::from(byte)], Class::Letter | Class::InWord)
}

/// What a byte is to the server's scanner.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Class {
    Space,
    /// Begins a word.
    Letter,
    /// Goes on with a word that has begun.
    InWord,
    Other,
}

const CLASSES: [Class; 256] = {
    let mut classes = [Class::Other; 256];
    let mut byte = 0;
    while byte < 256 {
        classes[byte] = match byte as u8 {
            b' ' | b'\t' | b'\n' | b'\r' | 0x0b | 0x0c => Class::Space,
            b'a'..=b'z' | b'A'..=b'Z' | b'_' | 0x80.. => Class::Letter,
            b'0'..=b'9' | b'$' => Class::InWord,
            _ => Class::Other,
        };
        byte += 1;
    }
    classes
};

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn tokens(text: &str) -> Vec<(TokenKind, &str)> {
        Lexer::new(text).map(|token| (token.kind, &text[token.span])).collect()
    }

    #[test]
    fn comments_are_left_out_even_nested() {
        let found = tokens("/* a /* b */ ' */ SELECT -- x;\n 1 /* end */ ;");
        assert_eq!(found, [(TokenKind::Word, "SELECT"), (TokenKind::Number, "1"), (TokenKind::Semicolon, ";")]);
    }

    #[test]
    fn strings_end_where_the_server_ends_them() {
        for string in [
            "'it''s'",
            r"'back\'",
            r"E'it\'s'",
            r"e'a\\'",
            "B'01'",
            "x'ff'",
            "N'a'",
            "U&'d\\0061t'",
            "$$a'b$$",
            "$t$ $$ $x$ $t$",
            "'a' \n 'b'",
            "E'a'-- c\n'\\''",
        ] {
            let text = format!("{string};x");
            assert_eq!(tokens(&text)[0], (TokenKind::String, string));
        }
        assert_eq!(tokens("'a' 'b'").len(), 2);
    }

    #[test]
    fn names_numbers_and_parameters() {
        assert_eq!(tokens("\"a\"\"b\"")[0], (TokenKind::QuotedName, "\"a\"\"b\""));
        assert_eq!(tokens("a$1$ $1")[1], (TokenKind::Parameter, "$1"));
        assert_eq!(tokens("fooE'x'")[1], (TokenKind::String, "'x'"));
        assert_eq!(tokens("1..2").len(), 3);
        for number in ["1", "1.5", ".5", "1e-9", "0x1F", "1_000"] {
            assert_eq!(tokens(number), [(TokenKind::Number, number)]);
        }
    }

    #[test]
    fn what_never_ends_is_told() {
        for text in ["'a", "\"a", "$$a", "/* a", "E'\\"] {
            assert_eq!(tokens(text)[0].0, TokenKind::Unterminated, "{text}");
        }
    }

    proptest! {
        #[test]
        fn every_text_is_walked_to_its_end(text in r#"[a-zE0-9'"$;/*\\ \n-]{0,60}|\PC{0,40}"#) {
            let mut at = 0;
            for token in Lexer::new(&text) {
                prop_assert!(token.span.start >= at && token.span.end > token.span.start);
                prop_assert!(text.get(token.span.clone()).is_some() || token.kind == TokenKind::Symbol);
                at = token.span.end;
            }
        }
    }
}
