//! `crossfade demo` keeps its promises, and leaves nothing behind however it ends.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::time::Duration;

use tempfile::TempDir;
use tokio::time::sleep;

use crate::support::{Program, finish};

/// A temporary folder of its own: whatever is in it afterwards was left behind.
fn nowhere_else() -> TempDir {
    let folder = TempDir::new().unwrap();
    // The servers run as another user where the tests run as root.
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o777)).unwrap();
    folder
}

fn demo(folder: &TempDir) -> tokio::process::Child {
    Program::new(env!("CARGO_BIN_EXE_crossfade")).args(&["demo"]).env("TMPDIR", folder.path()).spawn()
}

/// Command lines of running processes that have to do with the folder.
fn processes_of(folder: &TempDir) -> Vec<String> {
    let folder = folder.path().display().to_string();
    let lines = fs::read_dir("/proc").unwrap().filter_map(|entry| fs::read(entry.ok()?.path().join("cmdline")).ok());
    lines.map(|line| String::from_utf8_lossy(&line).replace('\0', " ")).filter(|line| line.contains(&folder)).collect()
}

fn must_have_left_nothing(folder: &TempDir) {
    let left: Vec<_> = fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert!(left.is_empty(), "files left behind: {left:?}");
    assert_eq!(processes_of(folder), Vec::<String>::new(), "processes left behind");
}

#[tokio::test(flavor = "multi_thread")]
async fn it_keeps_every_promise_and_leaves_nothing() {
    let folder = nowhere_else();
    let answer = finish(demo(&folder)).await;
    assert_eq!(answer.code, Some(0), "{}\n{}", answer.stderr, answer.stdout);
    assert!(answer.stdout.contains("verdict: consistent"), "{}", answer.stdout);
    assert!(!answer.stdout.contains("BROKEN"), "{}", answer.stdout);
    must_have_left_nothing(&folder);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signal_at_any_time_leaves_nothing() {
    for (signal, after_ms) in [("INT", 300), ("TERM", 2500), ("INT", 12_000)] {
        let folder = nowhere_else();
        let demo = demo(&folder);
        sleep(Duration::from_millis(after_ms)).await;
        Program::new("kill").args(&[&format!("-{signal}"), &demo.id().unwrap().to_string()]).run().await.must_succeed();
        let answer = finish(demo).await;
        assert_eq!(answer.code, Some(0), "SIG{signal} after {after_ms} ms: {answer:?}");
        assert!(!answer.stdout.contains("verdict"), "it had ended by itself: {answer:?}");
        must_have_left_nothing(&folder);
    }
}
