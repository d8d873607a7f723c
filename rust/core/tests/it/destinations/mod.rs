//! Every kind of destination against one suite; the remote ones against a real OpenSSH server on a loopback port.
//! A test that cannot run here prints `SKIP name: reason` on a line of its own.

mod directory;
mod host_keys;
mod interrupted;
mod login;
mod object;
mod rsync;
mod sftp;
mod sshd;
mod suite;

use bam::config::document::{Destination as Config, Site};
use bam::destination::{Destination, open};

/// A destination from the YAML-shaped settings that a user writes.
fn configured(settings: serde_json::Value) -> Box<dyn Destination> {
    let config: Config = serde_json::from_value(settings).expect("settings");
    open("there", &config, &Site::default()).expect("destination")
}

/// Says that a test cannot run here, and why.
fn skip(test: &str, reason: &str) {
    println!("SKIP {test}: {reason}");
}

/// A folder on a file system of its own with so many bytes, for full disks; `None` (with a SKIP line) where we may
/// not mount.
struct SmallDisk(tempfile::TempDir);

impl SmallDisk {
    fn mount(test: &str, bytes: u64) -> Option<SmallDisk> {
        let folder = tempfile::tempdir().expect("folder");
        let mounted = std::process::Command::new("mount")
            .args(["-t", "tmpfs", "-o", &format!("size={bytes},mode=0777"), "tmpfs"])
            .arg(folder.path())
            .output();
        match mounted {
            Ok(output) if output.status.success() => Some(SmallDisk(folder)),
            Ok(output) => {
                let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
                skip(test, &format!("needs a small disk, and mounting one failed: {said}"));
                None
            }
            Err(error) => {
                skip(test, &format!("needs a small disk, and mount does not run: {error}"));
                None
            }
        }
    }

    fn path(&self) -> &std::path::Path {
        self.0.path()
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = std::process::Command::new("umount").arg("-l").arg(self.0.path()).status();
    }
}
