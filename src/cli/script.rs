//! What `crossfade repair --dry-run` prints: SQL that `psql` takes, words as comments.

use std::fmt::Write;

use crate::report::job::DryRun;

/// As the mirror writes to the shadow: no triggers, and texts read as they were printed.
const HEAD: &str = "\
-- What crossfade repair would come down to, for the rows that differ now. Nothing was applied.
-- It is right only while nobody writes; crossfade repair is right at any time.
BEGIN;
SET LOCAL session_replication_role = replica;
SET LOCAL client_encoding = 'UTF8';
SET LOCAL standard_conforming_strings = on;
SET LOCAL DateStyle = 'ISO, MDY';
SET LOCAL IntervalStyle = postgres;
SET LOCAL TimeZone = 'UTC';
SET LOCAL lc_monetary = 'C';
SET LOCAL xmloption = content;
";

/// Of all tables; those without difference and without a word are left out.
pub(super) fn script(tables: &[DryRun]) -> String {
    let told: Vec<_> = tables.iter().filter(|table| table.rows > 0 || table.note.is_some()).collect();
    let mut text = String::new();
    if told.iter().any(|table| !table.statements.is_empty()) {
        text.push_str(HEAD);
    }
    for DryRun { table, rows, statements, left_out, note } in &told {
        let _ =
            writeln!(text, "-- {}: {rows} {}", comment(table), if *rows == 1 { "row differs" } else { "rows differ" });
        if let Some(note) = note {
            let _ = writeln!(text, "-- {}", comment(note));
        }
        for statement in statements {
            let _ = writeln!(text, "{statement}");
        }
        if *left_out > 0 {
            let _ = writeln!(text, "-- left out here: {left_out}");
        }
    }
    if told.iter().any(|table| !table.statements.is_empty()) {
        text.push_str("COMMIT;\n");
    } else if told.iter().all(|table| table.rows == 0) {
        text.push_str("-- no confirmed difference is left\n");
    }
    text
}

/// A name may hold the end of a line, and behind it anything.
fn comment(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(name: &str, rows: u64, statements: &[&str]) -> DryRun {
        let statements: Vec<_> = statements.iter().map(|&statement| statement.to_owned()).collect();
        let left_out = rows - statements.len() as u64;
        DryRun { table: name.into(), rows, statements, left_out, note: None }
    }

    #[test]
    fn a_script_says_what_is_in_it_and_what_is_not() {
        let text = script(&[table("public.same", 0, &[]), table("public.t\nDROP", 3, &["DELETE 1;", "INSERT 2;"])]);
        let (head, rest) = text.split_once("-- public.").unwrap();
        assert_eq!(head, HEAD);
        assert_eq!(rest, "t DROP: 3 rows differ\nDELETE 1;\nINSERT 2;\n-- left out here: 1\nCOMMIT;\n");
    }

    #[test]
    fn where_nothing_is_to_be_done_there_is_no_statement_at_all() {
        assert_eq!(script(&[table("public.same", 0, &[])]), "-- no confirmed difference is left\n");
        let noted = DryRun { note: Some("not compared yet".into()), ..table("public.t", 0, &[]) };
        let text = script(&[noted]);
        assert_eq!(text, "-- public.t: 0 rows differ\n-- not compared yet\n-- no confirmed difference is left\n");
    }
}
