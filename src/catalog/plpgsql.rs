//! The words of a PL/pgSQL body, as far as [`super::quiet`] needs to tell them apart. What it does not know for certain it
//! does not read at all.

/// One of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Token {
    /// A keyword or plain name, in lower case.
    Word(String),
    /// A name in quotes.
    Quoted(String),
    /// A number or string.
    Literal,
    /// An operator or punctuation.
    Symbol(String),
}

/// The server cuts names off behind so many bytes.
const LONGEST_NAME: usize = 63;

const OPERATOR: &str = "+-*/<>=~!@#%^&|`?";

/// All of them; `None` where one is not understood: escapes, what is not closed, anything but ASCII outside of names and strings.
pub(super) fn tokens(source: &str) -> Option<Vec<Token>> {
    let mut tokens = Vec::new();
    let mut rest = source;
    while let Some(first) = rest.chars().next() {
        let taken = if first.is_ascii_whitespace() {
            1
        } else if rest.starts_with("--") {
            rest.find(['\n', '\r']).unwrap_or(rest.len())
        } else if rest.starts_with("/*") {
            comment(rest)?
        } else {
            let (token, size) = token(rest, first)?;
            tokens.push(token);
            size
        };
        rest = rest.get(taken..)?;
    }
    Some(tokens)
}

/// The size of a comment, in which others may be.
fn comment(text: &str) -> Option<usize> {
    let (mut depth, mut at) = (0, 0);
    loop {
        let rest = text.as_bytes().get(at..)?;
        match rest {
            [b'/', b'*', ..] => (depth, at) = (depth + 1, at + 2),
            [b'*', b'/', ..] => (depth, at) = (depth - 1, at + 2),
            [] => return None,
            _ => at += 1,
        }
        if depth == 0 {
            return Some(at);
        }
    }
}

fn token(text: &str, first: char) -> Option<(Token, usize)> {
    Some(match first {
        '\'' => quoted(text, '\'').map(|(_, size)| (Token::Literal, size))?,
        '"' => {
            let (name, size) = quoted(text, '"').filter(|(name, _)| name.len() <= LONGEST_NAME)?;
            (Token::Quoted(name), size)
        }
        '$' => (Token::Literal, dollar_quoted(text)?),
        '0'..='9' => (Token::Literal, number(text)),
        'a'..='z' | 'A'..='Z' | '_' => word(text)?,
        '(' | ')' | '[' | ']' | ',' | ';' | '.' => (Token::Symbol(first.to_string()), 1),
        ':' => {
            let size = if text.starts_with("::") || text.starts_with(":=") { 2 } else { 1 };
            (Token::Symbol(text.get(..size)?.to_owned()), size)
        }
        operator if OPERATOR.contains(operator) => {
            let size = text.find(|c| !OPERATOR.contains(c)).unwrap_or(text.len());
            let symbol = text.get(..size)?;
            // A comment may begin within.
            if symbol.contains("--") || symbol.contains("/*") {
                return None;
            }
            (Token::Symbol(symbol.to_owned()), size)
        }
        _ => return None,
    })
}

fn quoted(text: &str, quote: char) -> Option<(String, usize)> {
    let mut inside = String::new();
    let mut rest = text.get(1..)?;
    loop {
        let end = rest.find(quote)?;
        let part = rest.get(..end)?;
        if part.contains('\\') {
            return None;
        }
        inside.push_str(part);
        rest = rest.get(end + 1..)?;
        match rest.strip_prefix(quote) {
            Some(behind) => {
                inside.push(quote);
                rest = behind;
            }
            None => return Some((inside, text.len() - rest.len())),
        }
    }
}

fn dollar_quoted(text: &str) -> Option<usize> {
    let tag_end = text.get(1..)?.find('$')? + 2;
    let tag = text.get(..tag_end)?;
    let name = tag.trim_matches('$');
    let is_tag =
        name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') && !name.starts_with(|c: char| c.is_ascii_digit());
    let end = text.get(tag_end..)?.find(tag)?;
    is_tag.then_some(tag_end + end + tag.len())
}

/// `1..3` is a number, dots and another.
fn number(text: &str) -> usize {
    let digits = |text: &str| text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let whole = digits(text);
    match text.get(whole..).and_then(|rest| rest.strip_prefix('.')) {
        Some(fraction) if !fraction.starts_with('.') => whole + 1 + digits(fraction),
        _ => whole,
    }
}

fn word(text: &str) -> Option<(Token, usize)> {
    let size = text.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_' || c == '$')).unwrap_or(text.len());
    let (name, rest) = text.split_at_checked(size)?;
    if name.len() > LONGEST_NAME {
        return None;
    }
    // A prefix of a string (E'', B''), U&, or a name that goes on beyond ASCII.
    let goes_on = rest.starts_with('\'')
        || rest.starts_with(|c: char| !c.is_ascii())
        || name.eq_ignore_ascii_case("u") && rest.starts_with('&');
    (!goes_on).then(|| (Token::Word(name.to_ascii_lowercase()), size))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn no_source_panics(source: String) {
            let _ = tokens(&source);
        }

        #[test]
        fn no_mixture_panics(parts in prop::collection::vec(prop::sample::select(vec![
            "'", "\"", "$", "$a$", "--", "/*", "*/", "\n", "x", "1.", "..", ":=", "::", "é", "\\", " ", "U&", "e'",
        ]), 0..20)) {
            let _ = tokens(&parts.concat());
        }
    }
}
