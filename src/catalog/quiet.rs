//! Trigger functions that look at their row, change it, and do nothing else: `NEW.updated_at := now(); RETURN NEW;`. What
//! RETURNING tells of the row is then all that the statement wrote (rule 10).
//!
//! A proof by words. A body in PL/pgSQL that runs no statement of SQL, and calls in its expressions only what writes
//! nothing, writes nothing. Anything that is not known to be so, even if it only looks like something else, is no proof.

use std::collections::HashSet;

use super::plpgsql::{Token, tokens};

/// Words with which statements begin, or parts of them that read or write more than the row.
const FORBIDDEN: &[&str] = &[
    "alias",
    "alter",
    "analyze",
    "call",
    "cast",
    "close",
    "cluster",
    "collate",
    "comment",
    "commit",
    "copy",
    "create",
    "deallocate",
    "delete",
    "discard",
    "do",
    "drop",
    "execute",
    "explain",
    "fetch",
    "for",
    "foreach",
    "get",
    "grant",
    "import",
    "insert",
    "into",
    "listen",
    "load",
    "lock",
    "loop",
    "merge",
    "move",
    "notify",
    "open",
    "operator",
    "perform",
    "prepare",
    "refresh",
    "reindex",
    "release",
    "reset",
    "revoke",
    "rollback",
    "savepoint",
    "select",
    "set",
    "table",
    "truncate",
    "union",
    "unlisten",
    "update",
    "vacuum",
    "values",
    "while",
];

/// Syntax that is written like a call.
const SYNTAX: &[&str] =
    &["coalesce", "extract", "greatest", "least", "nullif", "overlay", "position", "substring", "trim"];

/// Words that may stand in front of a parenthesis and call nothing.
const NO_CALL: &[&str] = &[
    "all", "and", "any", "array", "between", "case", "distinct", "else", "elseif", "elsif", "in", "is", "not", "null",
    "or", "return", "row", "some", "then", "using", "when",
];

/// Types of the server's own.
const TYPES: &[&str] = &[
    "bigint",
    "bool",
    "boolean",
    "bpchar",
    "bytea",
    "char",
    "character",
    "date",
    "decimal",
    "double",
    "float4",
    "float8",
    "inet",
    "int",
    "int2",
    "int4",
    "int8",
    "integer",
    "interval",
    "json",
    "jsonb",
    "numeric",
    "real",
    "record",
    "smallint",
    "text",
    "time",
    "timestamp",
    "timestamptz",
    "timetz",
    "tsvector",
    "uuid",
    "varchar",
    "xml",
];

/// Operators behind words: IN, LIKE, BETWEEN, IS DISTINCT FROM, CASE …
const IMPLIED: &[&str] = &["=", "<>", "<", ">", "<=", ">=", "~~", "!~~", "~~*", "!~~*"];

/// Words that may stand in front of a string and are no type.
const NO_TYPE: &[&str] = &[
    "default",
    "detail",
    "errcode",
    "escape",
    "exception",
    "hint",
    "ilike",
    "info",
    "like",
    "message",
    "notice",
    "raise",
    "to",
    "warning",
    "zone",
];

/// Types that may stand in front of a parenthesis.
const MODIFIED_TYPES: &[&str] =
    &["char", "character", "decimal", "interval", "numeric", "time", "timestamp", "varchar"];

/// The columns that a trigger function may give its row another value of; `None` if it may do anything else. `writes_nothing`
/// says that of a function or operator by its name, whatever its schema.
pub(super) fn assigned(source: &str, writes_nothing: impl Fn(&str) -> bool) -> Option<HashSet<String>> {
    let tokens = tokens(source)?;
    let mut body = Body { tokens: &tokens, assigned: HashSet::new(), calls: Vec::new(), declares: false };
    let is_quiet = IMPLIED.iter().all(|operator| writes_nothing(operator))
        && (0..tokens.len()).all(|at| body.is_quiet(at, &writes_nothing));
    is_quiet.then_some(body.assigned)
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

    fn is_quiet(&mut self, at: usize, writes_nothing: &impl Fn(&str) -> bool) -> bool {
        match &self.tokens[at] {
            Token::Literal => !self.is_behind(at, |token| !may_precede_value(token)),
            Token::Quoted(_) => self.is_plain_name(at),
            Token::Symbol(symbol) => self.is_quiet_symbol(at, symbol, writes_nothing),
            Token::Word(word) => self.is_quiet_word(at, word, writes_nothing),
        }
    }

    fn is_quiet_symbol(&mut self, at: usize, symbol: &str, writes_nothing: &impl Fn(&str) -> bool) -> bool {
        match symbol {
            "(" => self.calls.push(at.checked_sub(1).and_then(|before| self.word(before))),
            ")" => drop(self.calls.pop()),
            "::" => return self.word(at + 1).is_some_and(|word| TYPES.contains(&word)),
            // `(x).f` may call a function.
            "." => return !self.is_behind_symbol(at, ")") && !self.is_behind_symbol(at, "]"),
            ";" | "," | "[" | "]" | ":" | ":=" => {}
            "%" if self.declares && self.is_type_of(at) => {}
            operator => return writes_nothing(operator),
        }
        true
    }

    fn is_quiet_word(&mut self, at: usize, word: &'a str, writes_nothing: &impl Fn(&str) -> bool) -> bool {
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
        self.symbol(at + 1) != Some("(") || may_be_called(word, writes_nothing)
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
            let Some(column) = self.name(at + 2) else { return false };
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

fn may_be_called(word: &str, writes_nothing: &impl Fn(&str) -> bool) -> bool {
    // These tell of the statement that runs.
    let tells = word.starts_with("pg_") || word == "current_query";
    [NO_CALL, SYNTAX, MODIFIED_TYPES].iter().any(|words| words.contains(&word)) || !tells && writes_nothing(word)
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
mod tests {
    use super::*;

    fn columns(source: &str) -> Option<Vec<String>> {
        let quiet = ["now", "lower", "jsonb_build_object", "nextval", "+", "||", "-", "->"];
        let found = assigned(source, |name| quiet.contains(&name) || IMPLIED.contains(&name));
        found.map(|columns| {
            let mut columns: Vec<_> = columns.into_iter().collect();
            columns.sort_unstable();
            columns
        })
    }

    #[test]
    fn rule_10_what_changes_only_its_row_and_which_columns() {
        for (source, expected) in [
            ("BEGIN NEW.updated_at := now(); RETURN NEW; END", &["updated_at"][..]),
            ("begin\n  new.updated_at = current_timestamp; -- update it\n  return new;\nend;", &["updated_at"]),
            ("BEGIN RETURN NULL; END", &[]),
            ("BEGIN IF TG_OP = 'DELETE' THEN RETURN OLD; END IF; RETURN COALESCE(NEW, OLD); END", &[]),
            (
                "BEGIN IF NEW IS DISTINCT FROM OLD THEN NEW.version := OLD.version + 1; END IF; RETURN NEW; END",
                &["version"],
            ),
            (
                "BEGIN IF NEW.a IS NULL THEN NEW.a := lower(NEW.\"B c\") || $q$;insert into$q$; END IF; RETURN NEW; END",
                &["a"],
            ),
            ("DECLARE n int := 0; m t.c%TYPE; BEGIN n := n + 1; NEW.n := n; RETURN NEW; END", &["n"]),
            ("BEGIN NEW.tags[1] := 'x'; NEW.part.of := 1; RETURN NEW; END", &["part", "tags"]),
            ("BEGIN NEW.y := extract(year from NEW.at)::int; NEW.\"Sum\" = NEW.y + 1; RETURN NEW; END", &["Sum", "y"]),
            (
                "BEGIN IF NEW.n < 0 THEN RAISE EXCEPTION 'negative: %', NEW.n USING ERRCODE = '22003'; END IF; RETURN NEW; END",
                &[],
            ),
            ("BEGIN /* insert /* nested */ */ NEW.doc := jsonb_build_object('a', NEW.a); RETURN NEW; END", &["doc"]),
            ("BEGIN NEW.id := nextval('s'); RETURN NEW; END", &["id"]),
            ("BEGIN NEW.at := NEW.at at time zone 'UTC' + interval '1 day'; RETURN NEW; END", &["at"]),
            (
                "DECLARE at timestamp with time zone; BEGIN NEW.at := NULL::time with time zone; RETURN NEW; END",
                &["at"],
            ),
            (
                "BEGIN IF NEW.a LIKE 'x%' AND NEW.b IN ('y', 'z') OR NEW.c BETWEEN 1 AND 2 THEN NULL; END IF; RETURN NEW; END",
                &[],
            ),
            (
                "BEGIN IF (TG_OP = 'UPDATE') THEN IF (NEW.a = 1) THEN NEW.b = 2; END IF; END IF; RETURN NEW; END",
                &["a", "b"],
            ),
            ("BEGIN NEW.set := NEW.\"values\"; RETURN NEW; END", &["set"]),
        ] {
            assert_eq!(
                columns(source).as_deref(),
                Some(&expected.iter().map(|&name| name.to_owned()).collect::<Vec<_>>()[..]),
                "{source}"
            );
        }
    }

    #[test]
    fn rule_10_anything_else_is_no_proof() {
        for source in [
            "BEGIN INSERT INTO log VALUES (NEW.id); RETURN NEW; END",
            "BEGIN PERFORM f(); RETURN NEW; END",
            "BEGIN NEW.a := f(NEW.b); RETURN NEW; END",
            "BEGIN NEW.a := s.lower(NEW.b); RETURN NEW; END",
            "BEGIN NEW.a := \"F\"(NEW.b); RETURN NEW; END",
            "BEGIN NEW.a := NEW.b <+> 1; RETURN NEW; END",
            "BEGIN NEW.a := NEW.b::mine; RETURN NEW; END",
            "BEGIN NEW.a := max(id) FROM t; RETURN NEW; END",
            "BEGIN NEW.a := lower('x') FROM v; RETURN NEW; END",
            "BEGIN NEW.a := current_query(); RETURN NEW; END",
            "BEGIN NEW.a := CASE WHEN NEW.b THEN if(1) END; RETURN NEW; END",
            "BEGIN NEW.a := (NEW).f; RETURN NEW; END",
            "BEGIN NEW.a := NEW.b[1].f; RETURN NEW; END",
            "BEGIN NEW.a := mine 'x'; RETURN NEW; END",
            "BEGIN NEW.a := s.load(1); RETURN NEW; END",
            "BEGIN NEW.a := s.new(1); RETURN NEW; END",
            "BEGIN -- hidden\rINSERT INTO log VALUES (1);\rRETURN NEW; END",
            "BEGIN f.NEW.id := OLD.id + 1; RETURN NEW; END",
            "BEGIN f.NEW := OLD; RETURN NEW; END",
            "BEGIN \"new\".id := 1; RETURN NEW; END",
            "BEGIN \"new\" := OLD; RETURN NEW; END",
            "BEGIN f.\"new\".id := 1; RETURN NEW; END",
            "BEGIN NEW.n := record(NEW.id); RETURN NEW; END",
            "BEGIN NEW.n := uuid(NEW.id); RETURN NEW; END",
            "BEGIN NEW.n := v.distinct FROM v; RETURN NEW; END",
            "DECLARE x mydomain DEFAULT 5 % 2; BEGIN RETURN NEW; END",
            "BEGIN NEW.a234567890123456789012345678901234567890123456789012345678901234 := 1; RETURN NEW; END",
            "BEGIN NEW.a := pg_stat_get_activity(1); RETURN NEW; END",
            "BEGIN NEW := OLD; RETURN NEW; END",
            "BEGIN NEW = f; RETURN NEW; END",
            "DECLARE new t; BEGIN RETURN NEW; END",
            "DECLARE r t%ROWTYPE; BEGIN RETURN r; END",
            "DECLARE r record; BEGIN RETURN (r); END",
            "DECLARE x mine := 1; BEGIN RETURN NEW; END",
            "DECLARE n ALIAS FOR NEW; BEGIN n.id := 1; RETURN NEW; END",
            "BEGIN EXECUTE 'select 1' INTO NEW.id; RETURN NEW; END",
            "BEGIN SELECT * INTO NEW FROM t; RETURN NEW; END",
            "BEGIN BEGIN NEW.a := 1; EXCEPTION WHEN others THEN NULL; END; RETURN NEW; END",
            "BEGIN FOR NEW.id IN 1..2 LOOP NULL; END LOOP; RETURN NEW; END",
            "BEGIN NEW.a := U&'\\0041'; RETURN NEW; END",
            "BEGIN NEW.a := E'\\'; delete from t; --'; RETURN NEW; END",
            "BEGIN NEW.a := 'open; RETURN NEW; END",
            "BEGIN NEW.a := $q$open; RETURN NEW; END",
            "BEGIN NEW.a := (TABLE t); RETURN NEW; END",
            "BEGIN RETURN; END",
            "BEGIN NEW.a := 1; RETURN NEXT NEW; END",
        ] {
            assert_eq!(columns(source), None, "{source}");
        }
    }
}
