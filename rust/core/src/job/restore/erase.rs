//! Removing a folder with all that is in it, as far as that goes: whatever its depth and breadth, in bounded memory, and
//! never beyond the file system it lies on. What cannot be removed is told, and stays.

use crate::error::shortened;
use rustix::fd::{AsFd, OwnedFd};
use rustix::fs::{self, AtFlags, Dir, FileType, Mode, OFlags, Stat, StatxAttributes, StatxFlags};
use rustix::io::Errno;
use std::collections::HashSet;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// How many folders of one level are noted before they are entered, and how many names that stay.
const AT_ONCE: usize = 256;

/// How many of those that stay are told by name.
const TOLD: usize = 3;

/// Flags of the folders that are opened.
const FOLDER: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

/// What could not be removed.
#[derive(Debug, Default)]
pub struct Remains {
    /// How many files and folders, those that only hold such not counted.
    pub count: u64,
    /// The first of them, and why.
    pub first: Vec<(PathBuf, Errno)>,
}

impl Remains {
    /// In words, for a note.
    pub fn told(&self) -> String {
        let names: Vec<String> =
            self.first.iter().map(|(path, why)| format!("{} ({why})", shortened(path))).collect();
        match self.count.saturating_sub(self.first.len() as u64) {
            0 => names.join(", "),
            more => format!("{} and {more} more", names.join(", ")),
        }
    }
}

/// One open folder on the way down.
struct Level {
    name: Vec<u8>,
    id: (u64, u64),
    /// Folders in it that are still to be entered.
    pending: Vec<Vec<u8>>,
    /// What stays in it.
    failed: HashSet<Vec<u8>>,
    /// There may be more than was noted.
    more: bool,
}

/// Removes what is at `path`, a link itself and not what it leads to. `None`: it is gone, or was not there.
pub fn erase(path: &Path) -> Option<Remains> {
    let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else { return None };
    let parent = if parent.as_os_str().is_empty() { Path::new(".") } else { parent };
    let mut eraser = Eraser { top: path, levels: Vec::new(), remains: Remains::default() };
    let done = fs::open(parent, FOLDER.difference(OFlags::NOFOLLOW), Mode::empty())
        .and_then(|parent| eraser.run(parent, name.as_bytes()));
    match done {
        Err(Errno::NOENT) => {}
        Err(why) => eraser.stays(b"", why),
        Ok(()) => {}
    }
    (eraser.remains.count > 0).then_some(eraser.remains)
}

struct Eraser<'p> {
    top: &'p Path,
    levels: Vec<Level>,
    remains: Remains,
}

impl Eraser<'_> {
    fn run(&mut self, parent: OwnedFd, name: &[u8]) -> Result<(), Errno> {
        if !is_folder(&parent, name)? {
            return remove(&parent, name, AtFlags::empty());
        }
        let mut at = self.enter(&parent, name)?;
        loop {
            let Some(level) = self.levels.last_mut() else { return Ok(()) };
            if let Some(folder) = level.pending.pop() {
                match self.enter(&at, &folder) {
                    Ok(below) => at = below,
                    Err(Errno::NOENT) => {}
                    Err(why) => self.fail(folder, why),
                }
            } else if level.more {
                self.scan(&at);
            } else if let Some(left) = self.levels.pop() {
                let Some(above) = self.levels.last_mut() else {
                    return if left.failed.is_empty() {
                        remove(&parent, name, AtFlags::REMOVEDIR)
                    } else {
                        Ok(())
                    };
                };
                let up = fs::openat(&at, "..", FOLDER, Mode::empty())?;
                if id(&fs::fstat(&up)?) != above.id {
                    // Somebody moves folders about meanwhile.
                    return Err(Errno::STALE);
                }
                at = up;
                if !left.failed.is_empty() {
                    above.failed.insert(left.name);
                } else if let Err(why) = remove(&at, &left.name, AtFlags::REMOVEDIR) {
                    self.fail(left.name, why);
                }
            }
        }
    }

    fn enter(&mut self, at: &OwnedFd, name: &[u8]) -> Result<OwnedFd, Errno> {
        let mut opened = fs::openat(at, name, FOLDER, Mode::empty());
        if matches!(opened, Err(Errno::ACCESS)) && is_folder(at, name)? {
            fs::chmodat(at, name, Mode::RWXU, AtFlags::empty())?;
            opened = fs::openat(at, name, FOLDER, Mode::empty());
        }
        let folder = opened?;
        let found = fs::fstat(&folder)?;
        if self.levels.first().is_some_and(|top| top.id.0 != id(&found).0) || is_mount_point(&folder)? {
            return Err(Errno::BUSY);
        }
        // One of ours that may be listed alone (`chmod -R 644` makes such) lets nobody at what is in it.
        let is_open = Mode::from_raw_mode(found.st_mode).contains(Mode::RWXU);
        if !is_open && found.st_uid == rustix::process::geteuid().as_raw() {
            fs::fchmod(&folder, Mode::RWXU)?;
        }
        self.levels.push(Level {
            name: name.to_vec(),
            id: id(&found),
            pending: Vec::new(),
            failed: HashSet::new(),
            more: true,
        });
        Ok(folder)
    }

    /// Removes the files of the folder that is open, and notes some of its folders.
    fn scan(&mut self, at: &OwnedFd) {
        let Some(level) = self.levels.last_mut() else { return };
        level.more = false;
        let entries = match Dir::read_from(at) {
            Ok(entries) => entries,
            Err(why) => {
                level.failed.insert(b".".to_vec());
                return self.stays(b"", why);
            }
        };
        let mut failures = Vec::new();
        for entry in entries {
            let entry = match entry {
                Ok(entry) => entry,
                // What was not listed stays.
                Err(why) => {
                    level.failed.insert(b".".to_vec());
                    failures.push((Vec::new(), why));
                    break;
                }
            };
            let name = entry.file_name().to_bytes();
            if matches!(name, b"." | b"..") || level.failed.contains(name) {
                continue;
            }
            if level.pending.len() >= AT_ONCE || level.failed.len() >= AT_ONCE {
                level.more = level.failed.len() < AT_ONCE;
                break;
            }
            let folder = match entry.file_type() {
                FileType::Directory => true,
                FileType::Unknown => is_folder(at, name).unwrap_or_default(),
                _ => false,
            };
            if folder {
                level.pending.push(name.to_vec());
            } else if let Err(why) = remove(at, name, AtFlags::empty()) {
                level.failed.insert(name.to_vec());
                failures.push((name.to_vec(), why));
            }
        }
        for (name, why) in failures {
            self.stays(&name, why);
        }
    }

    fn fail(&mut self, name: Vec<u8>, why: Errno) {
        self.stays(&name, why);
        if let Some(level) = self.levels.last_mut() {
            level.failed.insert(name);
        }
    }

    /// Takes note of what stays in the folder that is open.
    fn stays(&mut self, name: &[u8], why: Errno) {
        self.remains.count += 1;
        if self.remains.first.len() < TOLD {
            let mut path = self.top.to_path_buf();
            // The first level is the top itself.
            path.extend(self.levels.iter().skip(1).map(|level| OsStr::from_bytes(&level.name)));
            if !name.is_empty() && !self.levels.is_empty() {
                path.push(OsStr::from_bytes(name));
            }
            self.remains.first.push((path, why));
        }
    }
}

/// Removes one name; in a folder of ours that we may not write into (Drupal keeps `sites/default` so), too.
fn remove(at: &OwnedFd, name: &[u8], flags: AtFlags) -> Result<(), Errno> {
    match fs::unlinkat(at, name, flags) {
        Err(Errno::NOENT) => Ok(()),
        Err(Errno::ACCESS) => {
            fs::fchmod(at, Mode::RWXU)?;
            fs::unlinkat(at, name, flags)
        }
        done => done,
    }
}

fn is_folder(at: &OwnedFd, name: &[u8]) -> Result<bool, Errno> {
    let found = fs::statat(at, name, AtFlags::SYMLINK_NOFOLLOW)?;
    Ok(FileType::from_raw_mode(found.st_mode).is_dir())
}

/// `false` where the kernel has no such question (before Linux 4.11).
fn is_mount_point(folder: &OwnedFd) -> Result<bool, Errno> {
    match fs::statx(folder.as_fd(), "", AtFlags::EMPTY_PATH, StatxFlags::empty()) {
        Ok(told) => Ok(told.stx_attributes.contains(StatxAttributes::MOUNT_ROOT)),
        Err(Errno::NOSYS) => Ok(false),
        Err(why) => Err(why),
    }
}

fn id(found: &Stat) -> (u64, u64) {
    (found.st_dev, found.st_ino)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::archive::beneath::make_dir_all;
    use std::fs as std_fs;
    use std::os::unix::fs::{PermissionsExt, symlink};

    #[test]
    fn depth_breadth_links_and_modes_are_no_matter() {
        let dir = tempfile::tempdir().expect("a folder");
        let top = dir.path().join("old");
        std_fs::create_dir_all(top.join("closed/in")).expect("made");
        std_fs::write(top.join("closed/in/f"), "").expect("written");
        std_fs::write(dir.path().join("beside"), "stays").expect("written");
        symlink("../beside", top.join("link")).expect("linked");
        for n in 0..2 * AT_ONCE + 1 {
            std_fs::create_dir_all(top.join(format!("d{n}/e"))).expect("made");
        }
        // Deeper than a path may be long, and than a stack would bear.
        let root = std_fs::File::open(&top).expect("opened");
        make_dir_all(root.as_fd(), &vec![b"d".to_vec(); 15_000].join(&b'/'), |_| {}).expect("made");
        std_fs::create_dir_all(top.join("listed/in")).expect("made");
        for (path, mode) in [("closed/in", 0o555), ("closed", 0o555), ("listed", 0o444)] {
            std_fs::set_permissions(top.join(path), std_fs::Permissions::from_mode(mode)).expect("set");
        }
        assert!(erase(&top).is_none());
        assert!(erase(&top).is_none(), "what is gone is gone");
        let left: Vec<_> =
            std_fs::read_dir(dir.path()).expect("listed").flatten().map(|it| it.file_name()).collect();
        assert_eq!(left, ["beside"]);
    }
}
