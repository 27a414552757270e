//! Files are changed the ways people and machines change them.

use std::os::unix::fs::symlink;
use std::path::PathBuf;

use super::*;
use crate::config::Sources;

fn text(percent: u32) -> String {
    format!(
        "[primary]\nurl = \"postgres://a@one/d\"\n[shadow]\nurl = \"postgres://a@two/d\"\n[reads]\npercent = {percent}\n"
    )
}

fn watched(file: PathBuf) -> Arc<Reloader> {
    let reloader = Reloader::new(Sources::with_environment(Some(file), []).load().unwrap());
    tokio::spawn(watch(Arc::clone(&reloader)));
    reloader
}

/// Returns once the share is in force; a test that never gets there ends by this limit.
async fn becomes(reloader: &Reloader, percent: f64) {
    let mut changes = reloader.live().subscribe();
    let reached = changes.wait_for(|_| reloader.live().get().reads.percent == percent);
    tokio::time::timeout(Duration::from_secs(30), reached).await.expect("the change is noticed").unwrap();
}

#[tokio::test]
async fn a_file_written_in_place_takes_effect() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("proxy.toml");
    std::fs::write(&file, text(0)).unwrap();
    let reloader = watched(file.clone());
    std::fs::write(&file, text(10)).unwrap();
    becomes(&reloader, 10.0).await;
    std::fs::write(&file, text(20)).unwrap();
    becomes(&reloader, 20.0).await;
}

#[tokio::test]
async fn a_file_replaced_by_rename_takes_effect_and_a_broken_one_between_does_not() {
    let folder = tempfile::tempdir().unwrap();
    let (file, next) = (folder.path().join("proxy.toml"), folder.path().join("next"));
    std::fs::write(&file, text(0)).unwrap();
    let reloader = watched(file.clone());
    for (content, percent) in [(text(10), 10.0), (text(250), 10.0), (text(30), 30.0)] {
        std::fs::write(&next, content).unwrap();
        std::fs::rename(&next, &file).unwrap();
        becomes(&reloader, percent).await;
    }
}

/// Kubernetes: the file is a link into `..data`, itself a link that is swapped.
#[tokio::test]
async fn a_swapped_symbolic_link_takes_effect() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    for (name, percent) in [("one", 0), ("two", 40)] {
        std::fs::create_dir(at(name)).unwrap();
        std::fs::write(at(name).join("proxy.toml"), text(percent)).unwrap();
    }
    symlink("one", at("..data")).unwrap();
    symlink("..data/proxy.toml", at("proxy.toml")).unwrap();
    let reloader = watched(at("proxy.toml"));
    symlink("two", at("..data_tmp")).unwrap();
    std::fs::rename(at("..data_tmp"), at("..data")).unwrap();
    becomes(&reloader, 40.0).await;
}

/// A renewed certificate: both files change, one after the other, and `proxy.toml` does not.
#[tokio::test]
async fn certificates_and_verifiers_that_change_alone_take_effect() {
    let (folder, elsewhere) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let at = |name: &str| elsewhere.path().join(name);
    let issue = || {
        let made = rcgen::generate_simple_self_signed(vec!["localhost".into()]).unwrap();
        std::fs::write(at("server.crt"), made.cert.pem()).unwrap();
        std::fs::write(at("next.key"), made.signing_key.serialize_pem()).unwrap();
        std::fs::rename(at("next.key"), at("server.key")).unwrap();
        made.cert.der().clone()
    };
    let first = issue();
    std::fs::write(at("users.txt"), "").unwrap();
    let named = |key: &str, name: &str| format!("{key} = {:?}\n", at(name));
    let listen = named("tls_cert", "server.crt") + &named("tls_key", "server.key") + &named("auth_file", "users.txt");
    let file = folder.path().join("proxy.toml");
    std::fs::write(&file, format!("[listen]\n{listen}{}", text(0))).unwrap();
    let reloader = watched(file);
    let listen = || reloader.live().get().listen.clone();
    assert_eq!(listen().certificate().unwrap(), first);
    let mut changes = reloader.live().subscribe();
    let mut within = async |reached: &dyn Fn() -> bool| {
        let reached = changes.wait_for(|_| reached());
        tokio::time::timeout(Duration::from_secs(30), reached).await.expect("the change is noticed").unwrap();
    };
    let second = issue();
    within(&|| listen().certificate().unwrap() == second).await;
    std::fs::write(at("users.txt"), "\"ana\" \"SCRAM-SHA-256$4096:c2FsdA==$a:b\"\n").unwrap();
    within(&|| listen().verifiers().unwrap().contains_key("ana")).await;
}
