//! Whether every value of one type is a value of another. By the names that `format_type` gives.

/// Why values of `from` may not come out as they are in a column of type `to`; `None`: they do.
pub(super) fn fit(from: &str, to: &str) -> Option<&'static str> {
    if from == to || holds_all(&Type::of(from), &Type::of(to)) {
        return None;
    }
    let narrower = holds_all(&Type::of(to), &Type::of(from));
    Some(if narrower {
        "values that do not fit are refused or cut"
    } else {
        "values may be refused or come out different"
    })
}

/// A type's name and what stands in its parentheses.
struct Type<'a> {
    name: &'a str,
    modifiers: Vec<i64>,
}

impl<'a> Type<'a> {
    fn of(text: &'a str) -> Self {
        let whole = Self { name: text, modifiers: Vec::new() };
        let Some((name, rest)) = text.split_once('(') else { return whole };
        let Some((numbers, "")) = rest.split_once(')') else { return whole };
        let modifiers: Result<Vec<i64>, _> = numbers.split(',').map(str::parse).collect();
        modifiers.map_or(whole, |modifiers| Self { name, modifiers })
    }

    fn is_text(&self) -> bool {
        matches!(self.name, "text" | "character varying")
    }
}

const INTEGERS: [&str; 3] = ["smallint", "integer", "bigint"];

fn holds_all(from: &Type<'_>, to: &Type<'_>) -> bool {
    let size = |name| INTEGERS.iter().position(|known| *known == name);
    match (size(from.name), size(to.name)) {
        (Some(from), Some(to)) => return from <= to,
        (Some(_), None) => return to.name == "numeric" && to.modifiers.is_empty(),
        _ => {}
    }
    match (&from.modifiers[..], &to.modifiers[..]) {
        _ if from.is_text() && to.is_text() => match (from.modifiers.first(), to.modifiers.first()) {
            (_, None) => true,
            (Some(from), Some(to)) => from <= to,
            (None, Some(_)) => false,
        },
        (_, []) if from.name == "numeric" && to.name == "numeric" => true,
        ([precision, scale], [other, other_scale]) if from.name == "numeric" && to.name == "numeric" => {
            scale <= other_scale && precision - scale <= other - other_scale
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wider_types_fit_and_narrower_ones_do_not() {
        let wider = [
            ("integer", "bigint"),
            ("smallint", "numeric"),
            ("character varying(20)", "character varying(30)"),
            ("character varying(20)", "text"),
            ("text", "character varying"),
            ("numeric(10,2)", "numeric(12,3)"),
            ("numeric(10,2)", "numeric"),
        ];
        for (from, to) in wider {
            assert_eq!(fit(from, to), None, "{from} to {to}");
            assert_eq!(fit(from, from), None, "{from}");
        }
        for (to, from) in wider.into_iter().filter(|(_, wide)| *wide != "numeric" && *wide != "character varying") {
            assert_eq!(fit(from, to), Some("values that do not fit are refused or cut"), "{from} to {to}");
        }
        for (from, to) in [("timestamp with time zone", "date"), ("text", "integer"), ("double precision", "real")] {
            assert_eq!(fit(from, to), Some("values may be refused or come out different"), "{from} to {to}");
        }
    }
}
