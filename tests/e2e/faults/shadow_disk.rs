//! The shadow's disk is full. Clients see nothing of it.

use std::fs;
use std::os::unix::fs::symlink;

use super::load::{SCHEMA, must_be_the_same, workers};
use crate::support::{Pair, SmallDisk, eventually, psql};

#[tokio::test(flavor = "multi_thread")]
async fn the_disk_of_a_table() {
    let Some(disk) = SmallDisk::mount(8).await else { return };
    let pair = Pair::start(SCHEMA).await;
    let folder = disk.folder("space", pair.shadow.folder());
    let moved =
        format!("create tablespace small location '{}'; alter table log set tablespace small", folder.display());
    psql(&pair.shadow_url(), &moved).await.must_succeed();
    let workers = workers(&pair).await;
    workers.go_on(50).await;
    disk.fill();
    workers.go_on(200).await;
    eventually("the shadow says that its disk is full", async || {
        pair.status().await.shadow.last_error.is_some_and(|said| said.contains("No space left on device"))
    })
    .await;
    let status = pair.status().await;
    assert!(status.mirror.pending > 0, "{status:?}");
    assert_eq!(status.mirror.quarantined, 0, "a full disk is nothing that is refused for good: {status:?}");
    disk.free();
    workers.go_on(50).await;
    workers.stop().await;
    must_be_the_same(&pair).await;
}

/// A server that cannot write its log ends at once, and cannot recover before there is room.
#[tokio::test(flavor = "multi_thread")]
async fn the_disk_of_its_write_ahead_log() {
    let Some(disk) = SmallDisk::mount(64).await else { return };
    let pair = Pair::start(SCHEMA).await;
    pair.shadow.stop_server("fast").unwrap();
    let (folder, log) = (disk.folder("wal", pair.shadow.folder()), pair.shadow.folder().join("data/pg_wal"));
    let moved = std::process::Command::new("cp").arg("-a").arg(log.join(".")).arg(&folder).status().unwrap();
    assert!(moved.success());
    fs::remove_dir_all(&log).unwrap();
    symlink(&folder, &log).unwrap();
    pair.shadow.start_server().unwrap();
    let workers = workers(&pair).await;
    workers.go_on(50).await;
    disk.fill();
    // Segments that are there already are filled; then there is no other.
    eventually("the shadow is down", async || {
        psql(&pair.shadow_url(), "select pg_switch_wal(); create table x (); drop table x").await.code != Some(0)
    })
    .await;
    workers.go_on(100).await;
    assert!(pair.status().await.mirror.pending > 0);
    disk.free();
    eventually("the shadow is up", async || {
        psql(&pair.shadow_url(), "select 1").await.code == Some(0) || pair.shadow.start_server().is_ok()
    })
    .await;
    workers.go_on(50).await;
    workers.stop().await;
    must_be_the_same(&pair).await;
}
