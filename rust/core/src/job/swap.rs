//! Replacing a folder by another one in a single rename, so that a killed restore leaves the old tree or the new one.
//!
//! The new tree is extracted beside the live one (same file system), then both trade places
//! (`renameat2(RENAME_EXCHANGE)`). Where that cannot be - a mount point, a parent that is not ours - the new tree is
//! extracted inside the live one, and the entries trade places one by one. Each step can be done again after a
//! kill: what is done already is read from the disk (inode numbers, folder names), not remembered.

use crate::{Code, Error, Result, ResultExt};
use rustix::fs::{CWD, RenameFlags};
use serde::{Deserialize, Serialize};
use std::ffi::OsString;
use std::fs::{self, DirBuilder, File, Permissions};
use std::io::ErrorKind;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// One folder that is being replaced. Serialisable, for the restore's journal.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct TreeSwap {
    live: OsString,
    /// Where the new tree is extracted.
    staged: OsString,
    /// Where the old tree waits when there is no exchange in one step.
    old: OsString,
    /// Inode of the new tree's root: tells after a kill whether the trees have traded places.
    inode: u64,
    inside: bool,
    /// Paths of the live tree, relative to it, that outlive the swap: what backups leave out.
    keep: Vec<OsString>,
}

impl TreeSwap {
    /// Decides on names for replacing `live`, unique by `id`; touches nothing. `inside`: the folder is to stay the folder
    /// it is, its content alone is replaced.
    pub fn plan(live: &Path, id: &str, inside: bool) -> Result<TreeSwap> {
        let live = match fs::canonicalize(live) {
            Ok(real) => real,
            Err(cause) if cause.kind() == ErrorKind::NotFound => absolute(live)?,
            Err(cause) => return Err(Error::io("cannot find", live, cause)),
        };
        let (Some(parent), Some(name)) = (live.parent(), live.file_name()) else {
            return Err(Error::new(Code::Usage, format!("cannot replace {}", live.display())));
        };
        let hidden = |what: &str| {
            if inside {
                return live.join(format!(".bam-{what}-{id}"));
            }
            let mut hidden = OsString::from(".");
            hidden.push(name);
            hidden.push(format!(".bam-{what}-{id}"));
            parent.join(hidden)
        };
        let (staged, old) = (hidden("new").into_os_string(), hidden("old").into_os_string());
        Ok(TreeSwap { live: live.into(), staged, old, inode: 0, inside, keep: Vec::new() })
    }

    /// Makes the folder into which the new tree is to be extracted, 0700 until the swap. `false`: a folder beside the
    /// live one cannot take its place; see whether one inside can.
    pub fn make(&mut self) -> Result<bool> {
        let (live, staged) = (self.live(), self.staged());
        let parent = live.parent().unwrap_or(live);
        if !self.inside {
            DirBuilder::new().recursive(true).create(parent).at("cannot create", parent)?;
        }
        match private_folder(staged) {
            Ok(()) if self.inside || !is_mount_point(live, parent)? => {}
            Ok(()) => return fs::remove_dir(staged).at("cannot remove", staged).map(|()| false),
            Err(_) if !self.inside && live.is_dir() => return Ok(false),
            Err(cause) => return Err(Error::io("cannot create", staged, cause)),
        }
        self.inode = fs::metadata(staged).at("cannot look at", staged)?.ino();
        Ok(true)
    }

    /// Where to extract the new tree.
    pub fn staged(&self) -> &Path {
        Path::new(&self.staged)
    }

    /// What is being replaced.
    pub fn live(&self) -> &Path {
        Path::new(&self.live)
    }

    /// Names what of the live tree stays, relative to it; where the new tree has the same path, that wins.
    pub fn keep(&mut self, paths: Vec<PathBuf>) {
        self.keep = paths.into_iter().map(PathBuf::into_os_string).collect();
    }

    /// Gives the new tree the owner and permissions of the live one: not every archive of a folder's contents says what
    /// the folder itself was like. Those that do are extracted over it.
    pub fn dress(&self) -> Result<()> {
        let Ok(live) = fs::metadata(self.live()) else {
            return fs::set_permissions(self.staged(), Permissions::from_mode(0o755))
                .at("cannot set the permissions of", self.staged());
        };
        // Refused unless we are root; then the new tree is the user's who restores, as any file they make.
        let _ = std::os::unix::fs::chown(self.staged(), Some(live.uid()), Some(live.gid()));
        fs::set_permissions(self.staged(), live.permissions())
            .at("cannot set the permissions of", self.staged())
    }

    /// The trees trade places. May be called again after a kill.
    pub fn swap(&self) -> Result<()> {
        if self.inside {
            return self.swap_entries();
        }
        if self.swapped() {
            return Ok(());
        }
        let (live, staged, old) = (self.live(), self.staged(), Path::new(&self.old));
        if !exists(live) {
            return fs::rename(staged, live).at("cannot put in place", live).and_then(|()| self.sync());
        }
        match rustix::fs::renameat_with(CWD, staged, CWD, live, RenameFlags::EXCHANGE) {
            // The old tree now lies at `staged`.
            Ok(()) => fs::rename(staged, old).at("cannot move away", staged)?,
            Err(rustix::io::Errno::INVAL | rustix::io::Errno::NOSYS) => {
                fs::rename(live, old).at("cannot move away", live)?;
                fs::rename(staged, live).at("cannot put in place", live)?;
            }
            Err(cause) => return Err(Error::io("cannot put in place", live, cause.into())),
        }
        self.sync()
    }

    /// Takes a swap back, as long as [`TreeSwap::settle`] was not called.
    pub fn revert(&self) -> Result<()> {
        let (live, staged, old) = (self.live(), self.staged(), Path::new(&self.old));
        if self.inside {
            let moving = self.moving();
            let from = if exists(old) { old } else { moving.as_path() };
            if exists(from) {
                if exists(old) {
                    self.move_entries(live, staged, true)?;
                }
                self.move_entries(from, live, false)?;
                fs::remove_dir(from).at("cannot remove", from)?;
            }
            return self.sync();
        }
        if self.swapped() {
            self.finish_exchange()?;
            fs::rename(live, staged).at("cannot move away", live)?;
            if exists(old) {
                fs::rename(old, live).at("cannot put back", live)?;
            }
        } else if !exists(live) && exists(old) {
            fs::rename(old, live).at("cannot put back", live)?;
        }
        self.sync()
    }

    /// After the swap: moves what is kept from the old tree into the new one. May be called again after a kill.
    pub fn settle(&self) -> Result<()> {
        self.finish_exchange()?;
        for path in &self.keep {
            carry_over(&Path::new(&self.old).join(path), &self.live().join(path))?;
        }
        self.sync()
    }

    /// Removes the old tree after [`TreeSwap::settle`], or the new one that was not wanted after all.
    pub fn clean(&self) -> Result<()> {
        for leftover in [Path::new(&self.old), self.staged(), &self.moving()] {
            match fs::remove_dir_all(leftover) {
                Err(cause) if cause.kind() != ErrorKind::NotFound => {
                    return Err(Error::io("cannot remove", leftover, cause));
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// A kill between the exchange and the rename that follows it leaves the old tree at `staged`.
    fn finish_exchange(&self) -> Result<()> {
        if !self.inside && self.swapped() && exists(self.staged()) {
            fs::rename(self.staged(), &self.old).at("cannot move away", self.staged())?;
        }
        Ok(())
    }

    fn swapped(&self) -> bool {
        fs::metadata(self.live()).is_ok_and(|found| found.ino() == self.inode)
    }

    fn moving(&self) -> PathBuf {
        let mut moving = self.old.clone();
        moving.push(".moving");
        PathBuf::from(moving)
    }

    /// The fallback: out with the old entries, in with the new ones. That all old ones are out is told by the name
    /// of the folder they went to.
    fn swap_entries(&self) -> Result<()> {
        let (live, old, moving) = (self.live(), Path::new(&self.old), self.moving());
        if !exists(old) {
            if !exists(&moving) {
                private_folder(&moving).at("cannot create", &moving)?;
            }
            self.move_entries(live, &moving, true)?;
            fs::rename(&moving, old).at("cannot move away", &moving)?;
            self.sync()?;
        }
        if exists(self.staged()) {
            self.move_entries(self.staged(), live, false)?;
            let found = fs::metadata(self.staged()).at("cannot look at", self.staged())?;
            let _ = fs::set_permissions(live, found.permissions());
        }
        self.sync()
    }

    fn move_entries(&self, from: &Path, to: &Path, spare_ours: bool) -> Result<()> {
        for entry in fs::read_dir(from).at("cannot list", from)? {
            let entry = entry.at("cannot list", from)?;
            let path = entry.path();
            if spare_ours && [Path::new(&self.old), self.staged(), &self.moving()].contains(&path.as_path()) {
                continue;
            }
            fs::rename(&path, to.join(entry.file_name())).at("cannot move", &path)?;
        }
        Ok(())
    }

    fn sync(&self) -> Result<()> {
        let folder = if self.inside { self.live() } else { self.live().parent().unwrap_or(self.live()) };
        File::open(folder).and_then(|folder| folder.sync_all()).at("cannot flush", folder)
    }
}

/// Waits until everything below `folder` is on the disk. All that else waits to be written on that file system goes
/// with it: one call instead of one for each file.
pub fn flush(folder: &Path) -> Result<()> {
    let open = File::open(folder).at("cannot open", folder)?;
    rustix::fs::syncfs(&open).map_err(|cause| Error::io("cannot flush", folder, cause.into()))
}

/// Makes a folder that is nobody else's.
pub fn private_folder(path: &Path) -> std::io::Result<()> {
    DirBuilder::new().mode(0o700).create(path)
}

/// Whether anything is there, a dangling link included.
pub fn exists(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok()
}

fn absolute(path: &Path) -> Result<PathBuf> {
    std::path::absolute(path).at("cannot find", path)
}

fn is_mount_point(live: &Path, parent: &Path) -> Result<bool> {
    let Ok(found) = fs::metadata(live) else { return Ok(false) };
    Ok(found.dev() != fs::metadata(parent).at("cannot look at", parent)?.dev())
}

/// Moves `from` to `to`; of a folder that is there already, everything that it lacks. A backup may well hold a folder
/// that is kept, but empty: what it left out must not go with the old tree.
pub fn carry_over(from: &Path, to: &Path) -> Result<()> {
    let is_folder = |path: &Path| fs::symlink_metadata(path).is_ok_and(|found| found.is_dir());
    if !exists(from) {
        return Ok(());
    }
    if !exists(to) {
        if let Some(parent) = to.parent() {
            DirBuilder::new().recursive(true).create(parent).at("cannot create", parent)?;
        }
        return fs::rename(from, to).at("cannot move", from);
    }
    if is_folder(from) && is_folder(to) {
        for entry in fs::read_dir(from).at("cannot list", from)? {
            let name = entry.at("cannot list", from)?.file_name();
            carry_over(&from.join(&name), &to.join(&name))?;
        }
    }
    Ok(())
}

/// For the tests of both kinds of swap.
#[cfg(test)]
pub mod testing {
    use std::fs;
    use std::path::Path;

    /// Writes a file and the folders above it.
    pub fn write(path: &Path, text: &str) {
        fs::create_dir_all(path.parent().expect("a parent")).expect("made");
        fs::write(path, text).expect("written");
    }

    /// All files below `root` with their content.
    pub fn tree(root: &Path) -> Vec<String> {
        let mut found = Vec::new();
        let mut folders = vec![root.to_path_buf()];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder).expect("listed") {
                let path = entry.expect("an entry").path();
                if path.is_dir() {
                    folders.push(path);
                } else {
                    let text = fs::read_to_string(&path).expect("read");
                    found.push(format!("{}={text}", path.strip_prefix(root).expect("inside").display()));
                }
            }
        }
        found.sort();
        found
    }
}

#[cfg(test)]
mod tests {
    use super::testing::{tree, write};
    use super::*;

    /// A live tree with something to keep, and a staged one.
    fn site(inside: bool) -> (tempfile::TempDir, TreeSwap) {
        let dir = tempfile::tempdir().expect("a folder");
        let live = dir.path().join("files");
        write(&live.join("a"), "old");
        write(&live.join("gone/b"), "old");
        write(&live.join("keep/sub/backup"), "precious");
        let mut swap = TreeSwap::plan(&live, "7", inside).expect("planned");
        assert!(swap.make().expect("made"));
        swap.keep(vec!["keep/sub".into(), "not there".into()]);
        write(&swap.staged().join("a"), "new");
        write(&swap.staged().join("c/d"), "new");
        swap.dress().expect("dressed");
        (dir, swap)
    }

    const NEW: [&str; 3] = ["files/a=new", "files/c/d=new", "files/keep/sub/backup=precious"];

    #[test]
    fn the_new_tree_takes_the_place_and_what_is_kept_moves_over() {
        for inside in [false, true] {
            let (dir, swap) = site(inside);
            for _ in 0..2 {
                swap.swap().expect("swapped");
            }
            for _ in 0..2 {
                swap.settle().expect("settled");
            }
            swap.clean().expect("cleaned");
            assert_eq!(tree(dir.path()), NEW, "inside: {inside}");
        }
    }

    #[test]
    fn a_swap_can_be_taken_back() {
        for inside in [false, true] {
            let (dir, swap) = site(inside);
            swap.swap().expect("swapped");
            swap.revert().expect("reverted");
            swap.clean().expect("cleaned");
            assert_eq!(
                tree(dir.path()),
                ["files/a=old", "files/gone/b=old", "files/keep/sub/backup=precious"]
            );
        }
    }

    #[test]
    fn a_kill_right_after_the_exchange_is_finished_by_the_next_call() {
        let (dir, swap) = site(false);
        rustix::fs::renameat_with(CWD, swap.staged(), CWD, swap.live(), RenameFlags::EXCHANGE)
            .expect("exchanged");
        swap.swap().expect("swapped");
        swap.settle().expect("settled");
        swap.clean().expect("cleaned");
        assert_eq!(tree(dir.path()), NEW);
    }

    #[test]
    fn what_is_kept_outlives_an_empty_folder_of_its_name_in_the_backup() {
        let (dir, swap) = site(false);
        fs::create_dir_all(swap.staged().join("keep/sub")).expect("made");
        swap.swap().expect("swapped");
        swap.settle().expect("settled");
        swap.clean().expect("cleaned");
        assert_eq!(tree(dir.path()), NEW);
    }

    #[test]
    fn a_folder_that_was_lost_comes_back() {
        let dir = tempfile::tempdir().expect("a folder");
        let live = dir.path().join("sites/default/files");
        let mut swap = TreeSwap::plan(&live, "7", false).expect("planned");
        assert!(swap.make().expect("made"));
        write(&swap.staged().join("a"), "new");
        swap.dress().expect("dressed");
        swap.swap().expect("swapped");
        swap.settle().expect("settled");
        swap.clean().expect("cleaned");
        assert_eq!(tree(dir.path()), ["sites/default/files/a=new"]);
    }
}
