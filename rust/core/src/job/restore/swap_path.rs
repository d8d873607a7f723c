//! Replacing one path - a file, a link, or a folder with all that is below it - so that a killed restore leaves the
//! old one or the new one, and nothing beside it is touched.
//!
//! The new one is extracted into a private folder in the same parent, the holder; both then trade places. As with
//! [`super::swap::TreeSwap`], what was done before a kill is read from the disk.

use super::carry::Carry;
use super::swap::{carry_over, private_folder, refuse_link_to_nothing, refuse_state};
use crate::look::{self, exists};
use crate::mounts;
use crate::{Code, Error, Result, ResultExt};
use rustix::fs::{CWD, RenameFlags};
use serde::{Deserialize, Serialize};
use std::ffi::OsString;
use std::fs::{self, DirBuilder, File};
use std::io::ErrorKind;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};

/// What the new one is called in the holder.
pub const NEW: &str = "new";
const OLD: &str = "old";

/// One path that is being replaced. Serialisable, for the restore's journal.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct PathSwap {
    live: OsString,
    holder: OsString,
    /// Inode of the new one, once it is there: tells after a kill whether the two have traded places.
    inode: Option<u64>,
    /// Folders above `live` that are not there yet, the outermost first.
    missing: Vec<OsString>,
    #[serde(default)]
    carry: Carry,
    /// Paths that are moved over after the swap: journals written before there was [`Carry`] have them.
    keep: Vec<OsString>,
}

/// Refuses to put a folder in the place of `live` where that is a link to one.
pub fn refuse_link_to_folder(live: &Path) -> Result<()> {
    if !look::is_link(live)? || !look::is_folder(live)? {
        return Ok(());
    }
    Err(Error::of_path(Code::Usage, live, "is a folder in the backup and a symbolic link to one here")
        .hint("name the paths below it"))
}

/// The folder that is there above `live`, the nearest one. Refuses what can be no folder for it: a file in its way, or a
/// link to nothing, which may lead to a disk that is not mounted.
pub fn folder_above(live: &Path) -> Result<&Path> {
    for above in live.ancestors().skip(1) {
        if look::is_folder(above)? {
            return Ok(above);
        }
        if exists(above)? {
            refuse_link_to_nothing(above)?;
            let name = live.display();
            return Err(Error::of_path(
                Code::Unsupported,
                above,
                format!("is no folder: {name} has no place in it"),
            )
            .hint("restore that path itself with --path, or move it away, and restore again"));
        }
    }
    Ok(Path::new("/"))
}

impl PathSwap {
    /// Decides how `live`, an absolute path, is replaced; touches nothing. `id` is unique to it; `state` as for
    /// [`super::swap::TreeSwap::plan`].
    pub fn plan(live: &Path, id: &str, state: &Path) -> Result<PathSwap> {
        let (Some(parent), Some(name)) = (live.parent(), live.file_name()) else {
            return Err(Error::new(Code::Usage, format!("cannot replace {}", live.display())));
        };
        let there = folder_above(live)?;
        let real = fs::canonicalize(there).at("cannot find", there)?;
        let mut missing = Vec::new();
        let mut live = real.clone();
        for part in parent.strip_prefix(there).into_iter().flatten() {
            live.push(part);
            missing.push(live.clone().into_os_string());
        }
        live.push(name);
        refuse_state(&live, state, false)?;
        if look::itself(&live)?.is_some_and(|found| !found.is_symlink()) && mounts::is_point(&live)? {
            return Err(Error::of_path(Code::Usage, &live, "is a mount point and cannot be replaced")
                .hint("name the paths below it"));
        }
        if let Some(mount) = mounts::below(&live)?.first() {
            let mount = live.join(mount);
            return Err(Error::new(
                Code::Usage,
                format!("{} cannot be replaced: {} in it is a mount point", live.display(), mount.display()),
            )
            .hint("unmount it, or name the paths beside it and below it"));
        }
        let holder = real.join(format!(".bam-{id}"));
        let (carry, keep) = (Carry::default(), Vec::new());
        Ok(PathSwap { live: live.into(), holder: holder.into(), inode: None, missing, carry, keep })
    }

    /// Makes the holder. The journal must know of it before: a kill leaves nothing that is not on record.
    pub fn make_holder(&self) -> Result<()> {
        private_folder(self.holder()).at("cannot create", self.holder())
    }

    /// Into which folder the new one is extracted, as [`NEW`].
    pub fn holder(&self) -> &Path {
        Path::new(&self.holder)
    }

    /// What is being replaced.
    pub fn live(&self) -> &Path {
        Path::new(&self.live)
    }

    /// Takes note of what was extracted; fails where there is nothing, or where it cannot take the live one's place.
    pub fn arrived(&mut self) -> Result<()> {
        let live = self.live();
        let new = match fs::symlink_metadata(self.incoming()) {
            Ok(new) => new,
            Err(cause) if cause.kind() == ErrorKind::NotFound => {
                return Err(Error::new(
                    Code::NotFound,
                    format!("the backup does not hold {}", live.display()),
                )
                .hint("`bam ls ID` lists what it holds"));
            }
            Err(cause) => return Err(Error::io("cannot look at", &self.incoming(), cause)),
        };
        if new.is_dir() {
            refuse_link_to_folder(live)?;
        }
        self.inode = Some(new.ino());
        Ok(())
    }

    /// The new one is whole: puts what of a live folder stays (`keep`, relative to it) where it is to be. Where the new
    /// one has the same path, that wins. `list`: a file for what a journal should not hold.
    pub fn check(&mut self, keep: &[PathBuf], list: &Path) -> Result<()> {
        if look::is_real_folder(self.live())? {
            self.carry = Carry::prepare(self.live(), &self.incoming(), keep, &[], list)?;
        }
        Ok(())
    }

    /// The two trade places. May be called again after a kill.
    pub fn swap(&self) -> Result<()> {
        if self.swapped()? {
            return self.finish_exchange().and_then(|()| self.sync());
        }
        let (live, new) = (self.live(), self.incoming());
        for folder in &self.missing {
            make_folder(Path::new(folder))?;
        }
        if !exists(live)? {
            return fs::rename(&new, live).at("cannot put in place", live).and_then(|()| self.sync());
        }
        self.carry.go(live, &new)?;
        match rustix::fs::renameat_with(CWD, &new, CWD, live, RenameFlags::EXCHANGE) {
            Ok(()) => self.finish_exchange()?,
            Err(rustix::io::Errno::INVAL | rustix::io::Errno::NOSYS) => {
                fs::rename(live, self.old()).at("cannot move away", live)?;
                fs::rename(&new, live).at("cannot put in place", live)?;
            }
            Err(cause) => return Err(Error::io("cannot put in place", live, cause.into())),
        }
        self.sync()
    }

    /// Takes a swap back, however far it came, as long as the holder is there. May be called again after a kill.
    pub fn revert(&self) -> Result<()> {
        let (live, old) = (self.live(), self.old());
        if self.swapped()? {
            self.finish_exchange()?;
            fs::rename(live, self.incoming()).at("cannot move away", live)?;
        }
        if !exists(live)? && exists(&old)? {
            fs::rename(&old, live).at("cannot put back", live)?;
        }
        if exists(live)? {
            self.carry.back(live, &self.incoming())?;
        }
        for folder in self.missing.iter().rev() {
            // Somebody may use it by now.
            let _ = fs::remove_dir(folder);
        }
        self.sync()
    }

    /// After the swap, for a journal of old: moves what is kept from the old folder into the new one.
    pub fn settle(&self) -> Result<()> {
        self.finish_exchange()?;
        for path in &self.keep {
            carry_over(&self.old().join(path), &self.live().join(path))?;
        }
        self.sync()
    }

    /// The file that [`PathSwap::check`] made.
    pub fn list(&self) -> Option<&Path> {
        self.carry.list()
    }

    fn incoming(&self) -> PathBuf {
        self.holder().join(NEW)
    }

    fn old(&self) -> PathBuf {
        self.holder().join(OLD)
    }

    fn swapped(&self) -> Result<bool> {
        let live = self.live();
        let Some(inode) = self.inode else { return Ok(false) };
        Ok(exists(live)? && fs::symlink_metadata(live).at("cannot look at", live)?.ino() == inode)
    }

    /// Right after the exchange the old one lies where the new one was.
    fn finish_exchange(&self) -> Result<()> {
        match self.swapped()? && exists(&self.incoming())? {
            true => fs::rename(self.incoming(), self.old()).at("cannot move away", &self.incoming()),
            false => Ok(()),
        }
    }

    fn sync(&self) -> Result<()> {
        let mut folder = self.live().parent().unwrap_or(Path::new("/"));
        if !look::is_folder(folder)? {
            folder = self.holder().parent().unwrap_or(Path::new("/"));
        }
        File::open(folder).and_then(|folder| folder.sync_all()).at("cannot flush", folder)
    }
}

/// Makes a folder that belongs to whom its parent belongs, so that the site can use it.
fn make_folder(path: &Path) -> Result<()> {
    match DirBuilder::new().mode(0o755).create(path) {
        Err(cause) if cause.kind() == ErrorKind::AlreadyExists => return Ok(()),
        made => made.at("cannot create", path)?,
    }
    if let Some(Ok(parent)) = path.parent().map(fs::metadata) {
        // Refused unless we are root; then the folder is the user's who restores.
        let _ = std::os::unix::fs::chown(path, Some(parent.uid()), Some(parent.gid()));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::job::restore::swap::testing::{tree, write};

    /// A file and a folder that are being replaced, the latter with something to keep, and a file that was lost with
    /// its folders.
    fn site() -> (tempfile::TempDir, [PathSwap; 3]) {
        let dir = tempfile::tempdir().expect("a folder");
        let root = dir.path();
        write(&root.join("a"), "old");
        write(&root.join("f/b"), "old");
        write(&root.join("f/keep/backup"), "precious");
        write(&root.join("other"), "stays");
        let mut swaps = ["a", "f", "lost/deep/c"].map(|path| {
            PathSwap::plan(&root.join(path), &format!("7-{}", path.replace('/', "")), Path::new("/none"))
                .expect("planned")
        });
        let [a, f, c] = &swaps;
        write(&a.holder().join(NEW), "new");
        write(&f.holder().join(NEW).join("d"), "new");
        write(&c.holder().join(NEW), "new");
        for swap in &mut swaps {
            swap.arrived().expect("it is there");
            swap.check(&["keep".into(), "not there".into()], &root.join("list"))
                .expect("nothing is in the way");
        }
        (dir, swaps)
    }

    fn clean(swap: &PathSwap) {
        assert!(crate::job::restore::erase::erase(swap.holder()).is_none());
    }

    #[test]
    fn each_takes_its_place_however_often_it_is_said() {
        let (dir, swaps) = site();
        for swap in &swaps {
            swap.swap().expect("done");
            swap.swap().expect("done again");
            clean(swap);
        }
        assert_eq!(
            tree(dir.path()),
            ["a=new", "f/d=new", "f/keep/backup=precious", "lost/deep/c=new", "other=stays"]
        );
    }

    #[test]
    fn each_can_be_taken_back() {
        let (dir, swaps) = site();
        for swap in &swaps {
            swap.swap().expect("swapped");
        }
        for swap in &swaps {
            swap.revert().expect("reverted");
            swap.revert().expect("reverted again");
            clean(swap);
        }
        assert_eq!(tree(dir.path()), ["a=old", "f/b=old", "f/keep/backup=precious", "other=stays"]);
        assert!(!dir.path().join("lost").exists());
    }

    #[test]
    fn a_kill_right_after_the_exchange_is_finished_or_taken_back() {
        for back in [false, true] {
            let (dir, [swap, ..]) = site();
            rustix::fs::renameat_with(CWD, swap.incoming(), CWD, swap.live(), RenameFlags::EXCHANGE)
                .expect("exchanged");
            match back {
                true => swap.revert().expect("reverted"),
                false => swap.swap().expect("swapped"),
            }
            let text = fs::read_to_string(dir.path().join("a")).expect("read");
            assert_eq!(text, if back { "old" } else { "new" });
        }
    }

    #[test]
    fn what_the_backup_does_not_hold_is_said() {
        let dir = tempfile::tempdir().expect("a folder");
        let mut swap = PathSwap::plan(&dir.path().join("x"), "7", Path::new("/none")).expect("planned");
        swap.make_holder().expect("made");
        let error = swap.arrived().expect_err("nothing there");
        assert_eq!(error.code(), Code::NotFound);
        assert!(error.message().contains("the backup does not hold"), "{error}");
        clean(&swap);
        assert_eq!(tree(dir.path()), [] as [&str; 0]);
    }

    #[test]
    fn a_folder_takes_the_place_of_a_link_to_a_file_and_of_none_to_a_folder() {
        let dir = tempfile::tempdir().expect("a folder");
        write(&dir.path().join("folder/a"), "theirs");
        for (target, allowed) in [("folder", false), ("folder/a", true), ("nowhere", true)] {
            let link = dir.path().join("link");
            std::os::unix::fs::symlink(target, &link).expect("linked");
            let mut swap = PathSwap::plan(&link, "7", Path::new("/none")).expect("planned");
            write(&swap.holder().join(NEW).join("b"), "new");
            match swap.arrived() {
                Err(error) => assert!(!allowed && error.code() == Code::Usage, "{target}: {error}"),
                Ok(()) => assert!(allowed, "{target}"),
            }
            clean(&swap);
            fs::remove_file(&link).expect("removed");
        }
        assert_eq!(tree(dir.path()), ["folder/a=theirs"]);
    }

    #[test]
    fn folders_that_somebody_made_meanwhile_are_used_and_stay() {
        let (dir, [_, _, swap]) = site();
        write(&dir.path().join("lost/theirs"), "theirs");
        swap.swap().expect("swapped");
        assert_eq!(fs::read_to_string(swap.live()).expect("read"), "new");
        swap.revert().expect("reverted");
        assert!(dir.path().join("lost/theirs").exists() && !dir.path().join("lost/deep").exists());
    }

    #[test]
    fn what_a_journal_of_old_keeps_moves_over_where_the_new_one_lacks_it() {
        let (dir, [_, mut swap, _]) = site();
        swap.carry = Carry::default();
        swap.keep = vec!["keep".into(), "b".into(), "not there".into()];
        write(&swap.incoming().join("b/in"), "new");
        swap.swap().expect("swapped");
        write(&swap.live().join("keep/made"), "anew");
        swap.settle().expect("settled");
        swap.settle().expect("settled again");
        clean(&swap);
        let expected =
            ["a=old", "f/b/in=new", "f/d=new", "f/keep/backup=precious", "f/keep/made=anew", "other=stays"];
        let found: Vec<_> = tree(dir.path()).into_iter().filter(|it| !it.starts_with('.')).collect();
        assert_eq!(found, expected);
    }
}
