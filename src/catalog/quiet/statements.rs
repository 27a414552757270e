//! Statements of SQL in a body that write the table they name and nothing else: INSERT of given values, UPDATE and DELETE that
//! look at no other table, PERFORM of an expression.

use super::{Body, Knowledge, Target, Token, Verb};

/// Words with another meaning in a statement than in an expression, or that bring in other tables.
const BEYOND: &[&str] =
    &["begin", "declare", "exception", "if", "raise", "return", "returning", "tablesample", "using"];

/// One that was read.
pub(super) enum Statement {
    /// Writes this table.
    Writes(Target),
    /// Writes none.
    Quiet,
}

/// What one of these is, up to its semicolon; `None` if it may do anything else.
pub(super) fn statement(tokens: &[Token], knows: &impl Knowledge) -> Option<Statement> {
    let (first, rest) = tokens.split_first()?;
    let (found, rest) = match word(first)? {
        "perform" => (Statement::Quiet, rest),
        "insert" => {
            let (target, rest) = target(after(rest, "into")?, Verb::Insert)?;
            let rest = if rest.first().is_some_and(|token| is(token, "(")) { behind_names(rest)? } else { rest };
            let (kind, rest) = rest.split_first()?;
            match word(kind)? {
                "values" | "select" => (Statement::Writes(target), rest),
                "default" => (Statement::Writes(target), after(rest, "values")?),
                _ => return None,
            }
        }
        "update" => {
            let (target, rest) = target(rest, Verb::Update)?;
            (Statement::Writes(target), after(behind_alias(rest, "set"), "set")?)
        }
        "delete" => {
            let (target, rest) = target(after(rest, "from")?, Verb::Delete)?;
            let rest = behind_alias(rest, "where");
            (Statement::Writes(target), if rest.is_empty() { rest } else { after(rest, "where")? })
        }
        _ => return None,
    };
    let rest = without_conflict(rest)?;
    is_quiet(&rest, knows).then_some(found)
}

fn is_quiet(tokens: &[Token], knows: &impl Knowledge) -> bool {
    let stays = |token: &Token| !word(token).is_some_and(|word| BEYOND.contains(&word));
    // `t.f` may call a function of the rows of `t`.
    let is_column = |three: &[Token]| match three {
        [of, dot, column] if is(dot, ".") => {
            word(of).is_some_and(|of| ["new", "old"].contains(&of))
                || is(column, "*")
                || name(column).is_some_and(|column| knows.may_be_column(column))
        }
        _ => true,
    };
    let mut body = Body::new(tokens);
    tokens.iter().all(stays) && tokens.windows(3).all(is_column) && (0..tokens.len()).all(|at| body.is_quiet(at, knows))
}

fn word(token: &Token) -> Option<&str> {
    match token {
        Token::Word(word) => Some(word),
        _ => None,
    }
}

fn name(token: &Token) -> Option<&str> {
    match token {
        Token::Word(name) | Token::Quoted(name) => Some(name),
        _ => None,
    }
}

fn is(token: &Token, symbol: &str) -> bool {
    matches!(token, Token::Symbol(found) if found == symbol)
}

/// What stands behind this word, which must come first.
fn after<'a>(tokens: &'a [Token], expected: &str) -> Option<&'a [Token]> {
    let (first, rest) = tokens.split_first()?;
    (word(first)? == expected).then_some(rest)
}

/// The table's name, and what stands behind it.
fn target(tokens: &[Token], verb: Verb) -> Option<(Target, &[Token])> {
    let tokens = after(tokens, "only").unwrap_or(tokens);
    let (first, rest) = tokens.split_first()?;
    let first = name(first)?.to_owned();
    match rest {
        [dot, second, rest @ ..] if is(dot, ".") => {
            Some((Target { schema: Some(first), name: name(second)?.to_owned(), verb }, rest))
        }
        _ => Some((Target { schema: None, name: first, verb }, rest)),
    }
}

/// Behind `alias` or `AS alias`, if the word that is to follow does not come at once.
fn behind_alias<'a>(tokens: &'a [Token], follows: &str) -> &'a [Token] {
    match tokens {
        [first, ..] if word(first) == Some(follows) => tokens,
        [first, alias, rest @ ..] if word(first) == Some("as") && name(alias).is_some() => rest,
        [alias, rest @ ..] if name(alias).is_some() => rest,
        _ => tokens,
    }
}

/// Behind `( name, … )`.
fn behind_names(tokens: &[Token]) -> Option<&[Token]> {
    let end = tokens.iter().position(|token| is(token, ")"))?;
    let names = tokens.get(1..end)?;
    names.iter().all(|token| name(token).is_some() || is(token, ",")).then(|| tokens.get(end + 1..))?
}

/// With `ON CONFLICT … DO NOTHING` or `… DO UPDATE SET` taken out.
fn without_conflict(tokens: &[Token]) -> Option<Vec<Token>> {
    let begins =
        |two: &[Token]| matches!(two, [on, conflict] if word(on) == Some("on") && word(conflict) == Some("conflict"));
    let Some(at) = tokens.windows(2).position(begins) else { return Some(tokens.to_vec()) };
    let rest = tokens.get(at + 2..)?;
    let rest = match rest {
        [first, ..] if is(first, "(") => behind_names(rest)?,
        [on, constraint, of, rest @ ..]
            if word(on) == Some("on") && word(constraint) == Some("constraint") && name(of).is_some() =>
        {
            rest
        }
        _ => rest,
    };
    let rest = after(rest, "do")?;
    let rest = match after(rest, "nothing") {
        Some(rest) => rest,
        None => after(after(rest, "update")?, "set")?,
    };
    Some([tokens.get(..at)?, rest].concat())
}
