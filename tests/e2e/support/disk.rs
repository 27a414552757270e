//! A small filesystem that a test can fill: really full, with the kernel's own error.

use std::fs;
use std::os::unix::fs::{MetadataExt, chown};
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use super::Program;

/// A mounted filesystem in memory. Dropped: unmounted.
pub(crate) struct SmallDisk(TempDir);

impl SmallDisk {
    /// Of this size; `None` where mounting is not permitted, which is said aloud.
    pub(crate) async fn mount(mebibytes: u32) -> Option<Self> {
        let folder = TempDir::new().expect("a temporary folder");
        let (size, path) = (format!("size={mebibytes}m"), folder.path().display().to_string());
        let mounted = Program::new("mount").args(&["-t", "tmpfs", "-o", &size, "crossfade-test", &path]).run().await;
        if mounted.code != Some(0) {
            eprintln!("NOT TESTED: a full disk, for want of the right to mount one: {}", mounted.stderr);
            return None;
        }
        fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o755)).expect("the mount's root");
        Some(Self(folder))
    }

    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }

    /// A folder on it that belongs to the owner of `like`.
    pub(crate) fn folder(&self, name: &str, like: &Path) -> PathBuf {
        let (folder, owner) = (self.path().join(name), fs::metadata(like).expect("its owner"));
        fs::create_dir(&folder).expect("a folder");
        chown(&folder, Some(owner.uid()), Some(owner.gid())).expect("root may");
        folder
    }

    /// Takes all that is left.
    pub(crate) fn fill(&self) {
        let mut ballast = fs::File::create(self.ballast()).expect("a file");
        for piece in [1 << 20, 4 << 10] {
            while std::io::Write::write_all(&mut ballast, &vec![0; piece]).is_ok() {}
        }
    }

    /// Gives it back.
    pub(crate) fn free(&self) {
        fs::remove_file(self.ballast()).expect("the ballast");
    }

    fn ballast(&self) -> PathBuf {
        self.path().join("ballast")
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // Lazily: a server that a failed test left behind may still have files open on it.
        let _ = std::process::Command::new("umount").arg("-l").arg(self.path()).output();
    }
}
