//! `use` runs downward only: the floors of ARCHITECTURE.md, read from the source and enforced.

use std::fs;
use std::path::{Path, PathBuf};

/// Rooms by floor, lowest first. Rooms of one floor do not know each other, but for those named in [`NEIGHBOURS`].
const FLOORS: [&[&str]; 6] = [
    &["effect", "report", "wire", "config", "telemetry"],
    &["sql", "catalog", "server"],
    &["mirror", "session"],
    &["net", "reads", "check", "copy"],
    &["proxy", "admin"],
    &["cli", "demo", "main"],
];

/// On one floor, and still the first may use the second.
const NEIGHBOURS: [(&str, &str); 3] = [("cli", "demo"), ("proxy", "admin"), ("main", "cli")];

/// A source file: its room and its text.
struct Source<'a> {
    room: &'a str,
    text: &'a str,
}

fn floor(room: &str) -> Option<usize> {
    FLOORS.iter().position(|rooms| rooms.contains(&room))
}

/// Why `from` may not use `to`, or `None`.
fn complaint(from: &str, to: &str) -> Option<String> {
    let (Some(mine), Some(theirs)) = (floor(from), floor(to)) else {
        return Some(format!("{from} uses {to}: one of them stands on no floor of tests/architecture.rs"));
    };
    match mine.cmp(&theirs) {
        _ if from == to => None,
        std::cmp::Ordering::Greater => None,
        // Plain data may name other plain data.
        std::cmp::Ordering::Equal if mine == 0 => None,
        std::cmp::Ordering::Equal if NEIGHBOURS.contains(&(from, to)) => None,
        std::cmp::Ordering::Equal => Some(format!("{from} uses {to}, on the same floor ({mine})")),
        std::cmp::Ordering::Less => Some(format!("{from} (floor {mine}) uses {to} above it (floor {theirs})")),
    }
}

/// The rooms that `text` names behind `prefix`, in `use` lines or in full paths.
fn rooms_used(text: &str, prefix: &str) -> Vec<String> {
    let word = |rest: &str| -> String { rest.chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '_').collect() };
    let mut rooms = Vec::new();
    for (at, _) in text.match_indices(prefix) {
        let rest = &text[at + prefix.len()..];
        match rest.strip_prefix('{') {
            None => rooms.push(word(rest)),
            Some(list) => rooms.extend(first_words(list).iter().map(|item| word(item))),
        }
    }
    rooms.retain(|room| !room.is_empty());
    rooms
}

/// The items of a `{…}` list that stand directly in it: `a::{b, c}, d` gives `a…` and `d`.
fn first_words(list: &str) -> Vec<&str> {
    let (mut depth, mut begun, mut items) = (0_i32, 0, Vec::new());
    for (at, c) in list.char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth == 0 => {
                items.push(list[begun..at].trim());
                return items;
            }
            '}' => depth -= 1,
            ',' if depth == 0 => {
                items.push(list[begun..at].trim());
                begun = at + 1;
            }
            _ => {}
        }
    }
    items
}

/// Without comments, and without what only tests see, which stands last: `demo::Cluster` may be used there by everyone.
fn product_code(text: &str) -> String {
    let tests = text.match_indices("#[cfg(test)]\n").find(|(at, attribute)| {
        let next = text[at + attribute.len()..].lines().next().unwrap_or_default();
        next.contains("mod ") && next.ends_with('{')
    });
    let before_tests = tests.map_or(text, |(at, _)| &text[..at]);
    let code = before_tests.lines().map(|line| line.split("//").next().unwrap_or_default());
    code.collect::<Vec<_>>().join("\n")
}

/// The modules with a file of their own that only tests see.
fn test_modules(text: &str) -> Vec<String> {
    let declared = text.split("#[cfg(test)]\n").skip(1).filter_map(|rest| rest.lines().next()?.split_once("mod "));
    declared.filter_map(|(_, name)| name.strip_suffix(';').map(str::to_owned)).collect()
}

fn complaints<'a>(sources: impl IntoIterator<Item = Source<'a>>) -> Vec<String> {
    let mut complaints = Vec::new();
    for Source { room, text } in sources {
        // The binary sees the library from outside.
        let prefix = if room == "main" { "crossfade::" } else { "crate::" };
        complaints.extend(rooms_used(&product_code(text), prefix).iter().filter_map(|used| complaint(room, used)));
    }
    complaints.sort();
    complaints.dedup();
    complaints
}

fn source_folder() -> PathBuf {
    // Where tests are run, which need not be where they were compiled.
    std::env::current_dir().unwrap().join("src")
}

/// Every source file, with its text.
fn files(folder: &Path, found: &mut Vec<(PathBuf, String)>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = fs::read_to_string(&path).unwrap();
            found.push((path, text));
        }
    }
}

/// Where the modules that a file declares have their own files.
fn folder_of_modules(file: &Path) -> PathBuf {
    let is_root = ["mod.rs", "lib.rs", "main.rs"].iter().any(|root| file.ends_with(root));
    if is_root { file.parent().unwrap().to_owned() } else { file.with_extension("") }
}

/// The room that a file belongs to: the first part of its path below `src`.
fn room_of(file: &Path) -> String {
    let first = file.strip_prefix(source_folder()).unwrap().components().next().unwrap();
    first.as_os_str().to_str().unwrap().trim_end_matches(".rs").to_owned()
}

#[test]
fn use_runs_downward_only() {
    let mut found = Vec::new();
    files(&source_folder(), &mut found);
    assert!(found.len() > 20, "the sources were not found");
    let only_for_tests: Vec<PathBuf> = found
        .iter()
        .flat_map(|(file, text)| test_modules(text).into_iter().map(|name| folder_of_modules(file).join(name)))
        .collect();
    let sources = found.iter().filter(|(file, _)| {
        // lib.rs declares the rooms and uses none.
        !file.ends_with("lib.rs") && !only_for_tests.iter().any(|module| file.with_extension("").starts_with(module))
    });
    let sources: Vec<_> = sources.map(|(file, text)| (room_of(file), text)).collect();
    let complaints = complaints(sources.iter().map(|(room, text)| Source { room, text }));
    assert!(complaints.is_empty(), "{}", complaints.join("\n"));
}

#[test]
fn every_room_stands_on_a_floor() {
    for entry in fs::read_dir(source_folder()).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        let room = name.trim_end_matches(".rs");
        assert!(room == "lib" || floor(room).is_some(), "src/{name} stands on no floor");
    }
}

fn of(room: &str, text: &str) -> Vec<String> {
    complaints([Source { room, text }])
}

#[test]
fn a_forbidden_edge_is_found_in_every_way_of_writing_it() {
    for (room, text) in [
        ("wire", "use crate::session::Profile;\n"),
        ("mirror", "use crate::session::Profile;\n"),
        ("session", "use crate::{effect::Key, mirror::Mirror};\n"),
        ("session", "use crate::{\n    effect::{Key, Seq},\n    mirror,\n};\n"),
        ("sql", "fn f() { crate::catalog::load(); }\n"),
        ("net", "use crate::reads;\n"),
        ("check", "pub(crate) use crate::copy::Window;\n"),
        ("server", "use crate::demo::Cluster;\n"),
        ("server", "#[cfg(test)]\nmod testing;\nuse crate::demo::Cluster;\n"),
        ("admin", "use crate::proxy::Handles;\n"),
        ("main", "fn main() { crossfade::nowhere::run() }\n"),
        ("nowhere", "use crate::effect::Key;\n"),
    ] {
        assert_eq!(of(room, text).len(), 1, "{room}: {text}");
    }
}

#[test]
fn what_is_allowed_is_not_complained_about() {
    for (room, text) in [
        ("session", "use crate::effect::Key;\nuse crate::sql::{self, Script};\n"),
        ("report", "use crate::effect::TableId;\n"),
        ("mirror", "use crate::mirror::Window;\nuse super::session;\n"),
        ("proxy", "use crate::{admin, net, reads, check, copy};\n"),
        ("main", "fn main() { crossfade::cli::main() }\n"),
        ("server", "// use crate::demo::Cluster;\n"),
        ("config", "const FILTER: &str = \"crossfade::mirror=debug\";\n"),
        ("server", "#[cfg(test)]\npub(super) mod fakes {\n    use crate::demo::Cluster;\n}\n"),
        ("server", "use crate::config::PgUrl;\n#[cfg(test)]\nmod tests {\n    use crate::demo::Cluster;\n}\n"),
    ] {
        assert_eq!(of(room, text), Vec::<String>::new(), "{room}: {text}");
    }
}

#[test]
fn files_that_only_tests_see_are_known_by_their_declaration() {
    let text =
        "mod a;\n#[cfg(test)]\nmod testing;\n#[cfg(test)]\npub(crate) mod fakes;\n#[cfg(test)]\nmod tests {\n}\n";
    assert_eq!(test_modules(text), ["testing", "fakes"]);
}
