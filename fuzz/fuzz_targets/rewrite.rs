//! The statement rewrite: a text is taken apart without a panic, and a rewritten statement is the original and RETURNING.

#![no_main]

use std::sync::LazyLock;
use std::sync::mpsc::{SyncSender, sync_channel};

use crossfade::sql::{self, APPENDED_COLUMNS, Image, Kind, Statement, Write};
use libfuzzer_sys::fuzz_target;
use pg_raw_parse::Node;
use pg_raw_parse::nodes::ReturningClause;

/// As much as a thread of the proxy has.
const STACK: usize = 2 << 20;

type Job = (Vec<u8>, SyncSender<()>);

/// Does the work, so that a text that nests too deep is found at the depth that matters.
static WORKER: LazyLock<SyncSender<Job>> = LazyLock::new(|| {
    let (sender, jobs) = sync_channel::<Job>(1);
    let work = move || {
        for (bytes, done) in jobs {
            run(&bytes);
            done.send(()).expect("the fuzzer waits");
        }
    };
    std::thread::Builder::new().stack_size(STACK).spawn(work).expect("a thread");
    sender
});

fuzz_target!(|bytes: &[u8]| {
    let (sender, done) = sync_channel(1);
    WORKER.send((bytes.to_owned(), sender)).expect("the worker lives");
    done.recv().expect("the worker lives");
});

fn run(bytes: &[u8]) {
    let script = sql::analyze(bytes);
    let text = std::str::from_utf8(bytes).unwrap_or_default();
    let _ = sql::redact(text);
    for (index, statement) in script.statements.iter().enumerate() {
        assert!(bytes.get(statement.span.clone()).is_some());
        if let Kind::Write(write) = &*statement.kind
            && !write.unusual
        {
            for image in [Image::Whole, Image::Row, Image::Columns(&["k", "K\"2"])] {
                rewritten(text, index, statement, write, image);
            }
        }
    }
}

fn rewritten(text: &str, index: usize, statement: &Statement, write: &Write, image: Image<'_>) {
    let rewrite = sql::returning(statement, write, image);
    let mut after = text.to_owned();
    after.insert_str(rewrite.at, &rewrite.insert);
    let (Ok(before), Ok(after)) = (pg_raw_parse::parse(text), pg_raw_parse::parse(&after)) else {
        panic!("it is parsed no more: {after}");
    };
    assert_eq!(before.iter().count(), after.iter().count());
    for (at, (before, after)) in before.iter().zip(after.iter()).enumerate().take(index + 1) {
        let (before, after) = (before.stmt(), after.stmt());
        if at == index {
            assert_eq!(without_returning(before), without_returning(after));
            added(returned(before), returned(after));
        } else {
            assert_eq!(printed(before), printed(after));
        }
    }
}

/// The client's own expressions are still there and in front, and ours are behind them.
fn added(before: Option<&ReturningClause>, after: Option<&ReturningClause>) {
    let before: Vec<_> = before.into_iter().flat_map(ReturningClause::exprs).map(printed).collect();
    let after: Vec<_> = after.into_iter().flat_map(ReturningClause::exprs).map(printed).collect();
    assert_eq!(after.len(), before.len() + APPENDED_COLUMNS);
    assert_eq!(after[..before.len()], before);
}

fn returned(node: Node<'_>) -> Option<&ReturningClause> {
    match node {
        Node::InsertStmt(insert) => insert.returning_clause(),
        Node::UpdateStmt(update) => update.returning_clause(),
        Node::DeleteStmt(delete) => delete.returning_clause(),
        _ => panic!("no write"),
    }
}

fn without_returning(node: Node<'_>) -> String {
    let clause = format!("{:?}", returned(node));
    printed(node).replacen(&clause, "None", 1)
}

fn printed(node: Node<'_>) -> String {
    format!("{node:?}")
}
