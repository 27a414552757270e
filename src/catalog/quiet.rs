//! Trigger functions that look at their row, change it, write tables that they name, and do nothing else: `NEW.updated_at :=
//! now(); INSERT INTO log VALUES (NEW.id); RETURN NEW;`. What RETURNING tells of the row is then all that the statement wrote
//! of its own table (rule 10), if the others do not lead back to it.
//!
//! A proof by words. A body in PL/pgSQL that calls in its expressions only what writes nothing writes what its statements of
//! SQL name, if those (`statements`) look at no other table. Anything that is not known to be so, even if it only looks like
//! something else, is no proof.

use std::collections::HashSet;

use super::plpgsql::{Token, tokens};

mod statements;
mod words;

use statements::{Statement, statement};
use words::{FORBIDDEN, IMPLIED, MODIFIED_TYPES, NO_CALL, NO_TYPE, SYNTAX, TYPES};

/// What is known of functions by their names, whatever their schema.
pub(super) trait Knowledge {
    /// Whether a function or operator of this name is known, and writes nothing.
    fn writes_nothing(&self, name: &str) -> bool;

    /// Whether `x.name` calls nothing that may write.
    fn may_be_column(&self, name: &str) -> bool;
}

/// What a trigger function does.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Deeds {
    /// Columns of its row that it may give another value.
    pub(super) assigned: HashSet<String>,
    /// Tables that it may write.
    pub(super) writes: Vec<Target>,
}

/// A table by the name under which it is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Target {
    pub(super) schema: Option<String>,
    pub(super) name: String,
    pub(super) verb: Verb,
}

/// How a table is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Verb {
    /// Also ON CONFLICT DO UPDATE.
    Insert,
    Update,
    Delete,
}

/// All that a trigger function does; `None` if it may do anything else.
pub(super) fn deeds(source: &str, knows: &impl Knowledge) -> Option<Deeds> {
    let (tokens, writes) = without_statements(&tokens(source)?, knows)?;
    let mut body = Body::new(&tokens);
    let is_quiet = IMPLIED.iter().all(|operator| knows.writes_nothing(operator))
        && (0..tokens.len()).all(|at| body.is_quiet(at, knows));
    is_quiet.then_some(Deeds { assigned: body.assigned, writes })
}

/// With `NULL` in place of every statement of SQL.
fn without_statements(tokens: &[Token], knows: &impl Knowledge) -> Option<(Vec<Token>, Vec<Target>)> {
    let body = Body::new(tokens);
    let (mut left, mut writes) = (Vec::new(), Vec::new());
    let mut at = 0;
    while let Some(token) = tokens.get(at) {
        let is_sql = body.word(at).is_some_and(|word| ["delete", "insert", "perform", "update"].contains(&word));
        // `CASE … THEN perform(x)` is a call.
        let may_be_called = body.symbol(at + 1) == Some("(") && body.is_behind_word(at, &["then", "else"]);
        if may_be_called || !(is_sql && body.begins(at)) {
            left.push(token.clone());
            at += 1;
            continue;
        }
        let rest = tokens.get(at..)?;
        let end = rest.iter().position(|token| matches!(token, Token::Symbol(end) if end == ";"))?;
        if let Statement::Writes(target) = statement(rest.get(..end)?, knows)? {
            writes.push(target);
        }
        left.push(Token::Word("null".to_owned()));
        at += end;
    }
    Some((left, writes))
}

struct Body<'a> {
    tokens: &'a [Token],
    assigned: HashSet<String>,
    /// What stands in front of the parentheses that are open.
    calls: Vec<Option<&'a str>>,
    /// Between DECLARE and BEGIN.
    declares: bool,
}

impl<'a> Body<'a> {
    fn new(tokens: &'a [Token]) -> Self {
        Self { tokens, assigned: HashSet::new(), calls: Vec::new(), declares: false }
    }

    fn word(&self, at: usize) -> Option<&'a str> {
        match self.tokens.get(at)? {
            Token::Word(word) => Some(word),
            _ => None,
        }
    }

    fn symbol(&self, at: usize) -> Option<&'a str> {
        match self.tokens.get(at)? {
            Token::Symbol(symbol) => Some(symbol),
            _ => None,
        }
    }

    fn name(&self, at: usize) -> Option<&'a str> {
        match self.tokens.get(at)? {
            Token::Word(name) | Token::Quoted(name) => Some(name),
            _ => None,
        }
    }

    fn is_behind(&self, at: usize, is: impl Fn(&Token) -> bool) -> bool {
        at.checked_sub(1).and_then(|before| self.tokens.get(before)).is_some_and(is)
    }

    fn is_behind_symbol(&self, at: usize, symbol: &str) -> bool {
        self.is_behind(at, |token| matches!(token, Token::Symbol(before) if before == symbol))
    }

    fn is_behind_word(&self, at: usize, words: &[&str]) -> bool {
        self.is_behind(at, |token| matches!(token, Token::Word(before) if words.contains(&before.as_str())))
    }

    /// Whether a statement begins here.
    fn begins(&self, at: usize) -> bool {
        at == 0 || self.is_behind_symbol(at, ";") || self.is_behind_word(at, &["begin", "declare", "then", "else"])
    }

    fn is_quiet(&mut self, at: usize, knows: &impl Knowledge) -> bool {
        match &self.tokens[at] {
            Token::Literal => !self.is_behind(at, |token| !may_precede_value(token)),
            Token::Quoted(_) => self.is_plain_name(at),
            Token::Symbol(symbol) => self.is_quiet_symbol(at, symbol, knows),
            Token::Word(word) => self.is_quiet_word(at, word, knows),
        }
    }

    fn is_quiet_symbol(&mut self, at: usize, symbol: &str, knows: &impl Knowledge) -> bool {
        match symbol {
            "(" => self.calls.push(at.checked_sub(1).and_then(|before| self.word(before))),
            ")" => drop(self.calls.pop()),
            "::" => return self.word(at + 1).is_some_and(|word| TYPES.contains(&word)),
            // `(x).f` may call a function.
            "." => return !self.is_behind_symbol(at, ")") && !self.is_behind_symbol(at, "]"),
            ";" | "," | "[" | "]" | ":" | ":=" => {}
            "%" if self.declares && self.is_type_of(at) => {}
            operator => return knows.writes_nothing(operator),
        }
        true
    }

    fn is_quiet_word(&mut self, at: usize, word: &'a str, knows: &impl Knowledge) -> bool {
        if self.is_behind_symbol(at, ".") {
            let assigns = self.symbol(at + 1).is_some_and(|next| [".", "=", ":="].contains(&next));
            // `block.NEW` is NEW, too.
            return self.symbol(at + 1) != Some("(") && !(["new", "old"].contains(&word) && assigns);
        }
        match word {
            "new" | "old" => return self.is_quiet_row(at),
            "declare" => self.declares = true,
            "begin" => self.declares = false,
            "if" if self.is_if_statement(at) => return true,
            "return" => return self.returns_its_row(at),
            "exception" => return self.is_behind_word(at, &["raise"]),
            "from" => {
                let within = self.calls.last().copied().flatten();
                let is_syntax =
                    within.is_some_and(|call| ["extract", "overlay", "position", "substring", "trim"].contains(&call));
                // IS [NOT] DISTINCT FROM.
                let compares = at.checked_sub(1).is_some_and(|distinct| self.is_behind_word(distinct, &["is", "not"]));
                return is_syntax || compares && self.is_behind_word(at, &["distinct"]);
            }
            "with" => return self.word(at + 1) == Some("time") && self.is_behind_word(at, &["time", "timestamp"]),
            word if FORBIDDEN.contains(&word) => return false,
            _ if self.declares && self.begins(at) => return self.declares_plain_type(at),
            _ => {}
        }
        self.symbol(at + 1) != Some("(") || may_be_called(word, knows)
    }

    /// The statement, with its condition in parentheses.
    fn is_if_statement(&self, at: usize) -> bool {
        // Behind THEN and ELSE of a CASE it could be a call.
        let has_case = || self.tokens.iter().any(|token| matches!(token, Token::Word(word) if word == "case"));
        self.is_behind_symbol(at, ";") || self.is_behind_word(at, &["begin"]) || self.begins(at) && !has_case()
    }

    /// Not a call, nor the row.
    fn is_plain_name(&self, at: usize) -> bool {
        !matches!(self.name(at), Some("new" | "old"))
            && self.symbol(at + 1) != Some("(")
            && !(self.declares && self.begins(at))
    }

    /// A variable of a type whose values come about without code of the user.
    fn declares_plain_type(&self, at: usize) -> bool {
        let at = at + 1 + usize::from(self.word(at + 1) == Some("constant"));
        let rest = self.tokens.get(at..).unwrap_or_default();
        let mut declared =
            rest.iter().take_while(|token| !matches!(token, Token::Symbol(end) if end == ";" || end == ":="));
        let mut of_another = || declared.any(|token| matches!(token, Token::Symbol(percent) if percent == "%"));
        self.word(at).is_some_and(|word| TYPES.contains(&word)) || of_another()
    }

    /// `t.c%TYPE`
    fn is_type_of(&self, percent: usize) -> bool {
        matches!(self.word(percent + 1), Some("type" | "rowtype"))
    }

    /// NEW and OLD: a column, which may be assigned, or the row where it is only read.
    fn is_quiet_row(&mut self, at: usize) -> bool {
        if self.symbol(at + 1) == Some(".") {
            let Some(column) = self.name(at + 2) else { return self.symbol(at + 2) == Some("*") };
            if self.symbol(at + 3).is_some_and(|next| ["=", ":=", "[", "."].contains(&next)) {
                self.assigned.insert(column.to_owned());
            }
            return true;
        }
        !self.begins(at) && !self.symbol(at + 1).is_some_and(|next| ["=", ":="].contains(&next))
    }

    /// `RETURN NEW`, `OLD` or NULL, or the first of them that is there.
    fn returns_its_row(&self, at: usize) -> bool {
        let returned =
            self.tokens[at + 1..].iter().take_while(|token| !matches!(token, Token::Symbol(end) if end == ";"));
        returned.clone().next().is_some()
            && returned.clone().all(|token| match token {
                Token::Word(word) => ["new", "old", "null", "coalesce"].contains(&word.as_str()),
                Token::Symbol(symbol) => ["(", ")", ","].contains(&symbol.as_str()),
                Token::Quoted(_) | Token::Literal => false,
            })
    }
}

fn may_be_called(word: &str, knows: &impl Knowledge) -> bool {
    // These tell of the statement that runs.
    let tells = word.starts_with("pg_") && word != "pg_notify" || word == "current_query";
    [NO_CALL, SYNTAX, MODIFIED_TYPES].iter().any(|words| words.contains(&word)) || !tells && knows.writes_nothing(word)
}

/// `mine '…'` is a value of a type, which code of the user may read.
fn may_precede_value(token: &Token) -> bool {
    match token {
        Token::Word(word) => [NO_CALL, NO_TYPE, TYPES].iter().any(|words| words.contains(&word.as_str())),
        Token::Symbol(_) => true,
        Token::Quoted(_) | Token::Literal => false,
    }
}

#[cfg(test)]
mod tests;
