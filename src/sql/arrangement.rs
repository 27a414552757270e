//! In what order the rows of a read come, and whether the same tables must always give the same rows: looked at only where
//! two answers are held against each other, so it reads the text once more.

use pg_raw_parse::Node;
use pg_raw_parse::nodes::{ResTarget, SelectStmt};

use super::lexer::{Lexer, TokenKind};
use super::{Call, Read};

/// How the rows of a read come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Arrangement {
    /// As the server finds them; all of them.
    Free,
    /// Sorted by these columns of its only table, as far as they are plain. The order is total where they hold a key of it.
    Sorted {
        /// By name.
        columns: Vec<String>,
        /// Not all rows come: without a total order, which do is open.
        limited: bool,
    },
    /// Which rows come, or what stands in them, depends on the order in which the server finds them.
    Found,
}

/// Aggregates whose result depends on the order of their input: lists, and sums of floating point.
const ORDERED_AGGREGATES: [&str; 24] = [
    "any_value",
    "array_agg",
    "avg",
    "corr",
    "covar_pop",
    "covar_samp",
    "json_agg",
    "json_agg_strict",
    "json_arrayagg",
    "json_object_agg",
    "json_objectagg",
    "jsonb_agg",
    "jsonb_agg_strict",
    "jsonb_object_agg",
    "regr_avgx",
    "regr_avgy",
    "regr_intercept",
    "regr_r2",
    "regr_slope",
    "regr_sxx",
    "regr_sxy",
    "regr_syy",
    "string_agg",
    "xmlagg",
];

/// Whose result does so where they sum floating point, which the text does not tell.
const SUMS: [&str; 7] = ["stddev", "stddev_pop", "stddev_samp", "sum", "var_pop", "var_samp", "variance"];

impl Arrangement {
    /// Of one statement, whose facts are `read`. `floating`: a column of its result is of floating point.
    pub fn of(text: &str, read: &Read, floating: bool) -> Self {
        let aggregates = |names: &[&str]| {
            read.functions.iter().any(|call| call.call == Call::Name && names.contains(&call.name.as_str()))
        };
        let Ok(tree) = pg_raw_parse::parse(text) else { return Self::Found };
        let mut statements = tree.iter();
        let (Some(raw), None) = (statements.next(), statements.next()) else { return Self::Found };
        let Node::SelectStmt(select) = raw.stmt() else { return Self::Found };
        let limited = is_some(select.limit_count()) || is_some(select.limit_offset());
        if picks_within(text) || aggregates(&ORDERED_AGGREGATES) || (floating && aggregates(&SUMS)) {
            return Self::Found;
        }
        match (sorted_by(select), limited) {
            (Some(columns), limited) => Self::Sorted { columns, limited },
            (None, true) => Self::Found,
            (None, false) => Self::Free,
        }
    }
}

/// Whether something within the statement picks by order: a window, DISTINCT ON, a limit in parentheses. By words: a column
/// called `over` makes a read one that does.
fn picks_within(text: &str) -> bool {
    let (mut depth, mut after_distinct) = (0_i32, false);
    for token in Lexer::new(text) {
        let word = text.get(token.span).unwrap_or_default();
        let is = |name: &str| token.kind == TokenKind::Word && word.eq_ignore_ascii_case(name);
        match word {
            "(" => depth += 1,
            ")" => depth -= 1,
            _ if is("over") || is("window") || (after_distinct && is("on")) => return true,
            _ if depth > 0 && (is("limit") || is("offset") || is("fetch")) => return true,
            _ => {}
        }
        after_distinct = is("distinct");
    }
    false
}

/// The plain columns it is sorted by, if each of its rows is one of its only table.
fn sorted_by(select: &SelectStmt) -> Option<Vec<String>> {
    let mut sources = select.from_clause().iter();
    let (Some(Node::RangeVar(_)), None) = (sources.next(), sources.next()) else { return None };
    let plain = !is_some(select.larg())
        && select.distinct_clause().is_empty()
        && select.group_clause().is_empty()
        && !is_some(select.having_clause())
        && select.with_clause().is_none()
        && select.target_list().iter().all(|target| target_column(target).is_some());
    if !plain || select.sort_clause().is_empty() {
        return None;
    }
    let sorts = select.sort_clause().iter().filter_map(|sort| column(sort.node()));
    // What bears another column's name in the result is what ORDER BY means.
    let is_other = |target, name: &str| matches!(target_column(target), Some((Some(alias), of)) if alias == name && of != Some(name));
    let hidden = |name: &str| select.target_list().iter().any(|target| is_other(target, name));
    Some(sorts.filter(|name| !hidden(name)).map(str::to_owned).collect())
}

/// The alias and the column of a part of the result that is one value of the row: a column, cast or not, a constant, all
/// columns. `None`: it may be several rows.
fn target_column(target: &ResTarget) -> Option<(Option<&str>, Option<&str>)> {
    let alias = target.name();
    match target.val() {
        Node::ColumnRef(_) => Some((alias, column(target.val()))),
        Node::A_Const(_) | Node::ParamRef(_) => Some((alias, None)),
        Node::TypeCast(cast) => {
            matches!(cast.arg(), Node::ColumnRef(_) | Node::A_Const(_) | Node::ParamRef(_)).then_some((alias, None))
        }
        _ => None,
    }
}

fn column(node: Node<'_>) -> Option<&str> {
    let Node::ColumnRef(column) = node else { return None };
    column.fields().iter().next_back().and_then(Node::as_str)
}

fn is_some<'a>(node: impl Into<Node<'a>>) -> bool {
    !matches!(node.into(), Node::None)
}

#[cfg(test)]
mod tests {
    use super::super::{Kind, analyze};
    use super::*;

    fn arrangement(text: &str) -> Arrangement {
        let script = analyze(text.as_bytes());
        let Kind::Read(read) = &*script.statements[0].kind else { panic!("{text}") };
        Arrangement::of(text, read, false)
    }

    fn sorted(columns: &[&str], limited: bool) -> Arrangement {
        Arrangement::Sorted { columns: columns.iter().map(|&column| column.to_owned()).collect(), limited }
    }

    #[test]
    fn plain_columns_of_the_only_table_sort() {
        assert_eq!(arrangement("SELECT * FROM t ORDER BY b DESC, t.a, lower(c) LIMIT 5"), sorted(&["b", "a"], true));
        assert_eq!(arrangement("SELECT a, b::text, 1 FROM s.t x ORDER BY a"), sorted(&["a"], false));
        assert_eq!(arrangement("SELECT a AS a FROM t ORDER BY a"), sorted(&["a"], false));
        assert_eq!(arrangement("SELECT b AS a FROM t ORDER BY a"), sorted(&[], false), "sorted by b");
        assert_eq!(arrangement("SELECT a::text AS a FROM t ORDER BY a"), sorted(&[], false), "sorted as text");
    }

    #[test]
    fn what_may_be_several_rows_of_one_does_not_sort_totally() {
        for text in [
            "SELECT a, unnest(b) FROM t ORDER BY a",
            "SELECT a FROM t, u ORDER BY a",
            "SELECT a FROM t JOIN u USING (a) ORDER BY a",
            "SELECT DISTINCT a FROM t ORDER BY a",
            "SELECT a FROM t GROUP BY a ORDER BY a",
            "SELECT a FROM t UNION ALL SELECT a FROM t ORDER BY a",
            "SELECT count(*), max(a) FROM t",
            "TABLE t",
        ] {
            assert_eq!(arrangement(text), Arrangement::Free, "{text}");
        }
    }

    #[test]
    fn what_depends_on_the_order_found_is_told() {
        for text in [
            "SELECT a FROM t LIMIT 1",
            "SELECT a FROM t OFFSET 1",
            "SELECT a FROM t, u ORDER BY a FETCH FIRST ROW ONLY",
            "SELECT * FROM (SELECT a FROM t ORDER BY a LIMIT 3) x ORDER BY a",
            "SELECT DISTINCT ON (a) a, b FROM t ORDER BY a",
            "SELECT row_number() OVER () FROM t",
            "SELECT rank() OVER w FROM t WINDOW w AS (ORDER BY a)",
            "SELECT array_agg(a) FROM t",
            "SELECT string_agg(a, ',') FROM t",
        ] {
            assert_eq!(arrangement(text), Arrangement::Found, "{text}");
        }
        let sum = "SELECT sum(a) FROM t";
        let script = analyze(sum.as_bytes());
        let Kind::Read(read) = &*script.statements[0].kind else { panic!("a read") };
        assert_eq!(Arrangement::of(sum, read, true), Arrangement::Found);
        assert_eq!(Arrangement::of(sum, read, false), Arrangement::Free);
    }
}
