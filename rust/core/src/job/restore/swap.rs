//! Replacing a folder by another one in a single rename, so that a killed restore leaves the old tree or the new one.
//!
//! The new tree is extracted beside the live one (same file system), then both trade places
//! (`renameat2(RENAME_EXCHANGE)`). Where that cannot be - a mount point, a parent that is not ours, another file system
//! somewhere below - the new tree is extracted inside the live one, and the entries trade places one by one; mount points
//! and the folders above them stay where they are. Each step, backwards too, can be done again after a kill: what is done
//! already is read from the disk (inode numbers, folder names), not remembered.

use super::carry::{self, Carry};
use crate::entries;
use crate::look::{self, exists};
use crate::mounts;
use crate::{Code, Error, Result, ResultExt};
use rustix::fd::AsFd;
use rustix::fs::{CWD, RenameFlags};
use rustix::io::Errno;
use serde::{Deserialize, Serialize};
use std::ffi::OsString;
use std::fs::{self, DirBuilder, File, Permissions};
use std::os::unix::ffi::OsStrExt;
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
    /// What stays where it is, relative to the live folder: mount points, and bam's state folder.
    #[serde(default)]
    pins: Vec<OsString>,
    /// Permissions of a live folder that stays the folder it is.
    #[serde(default)]
    mode: Option<u32>,
    #[serde(default)]
    carry: Carry,
    /// Paths that are moved over after the swap: journals written before there was [`Carry`] have them.
    keep: Vec<OsString>,
}

impl TreeSwap {
    /// Decides on names for replacing `live`, unique by `id`; touches nothing. `inside`: the folder is to stay the folder
    /// it is, its content alone is replaced. `state`: the folder that the journal of this restore lies in, without links: it
    /// must be there at every moment.
    pub fn plan(live: &Path, id: &str, inside: bool, state: &Path) -> Result<TreeSwap> {
        let live = match look::real(live)? {
            Some(real) => real,
            None => absolute(live)?,
        };
        let (Some(parent), Some(name)) = (live.parent(), live.file_name()) else {
            return Err(Error::new(Code::Usage, format!("cannot replace {}", live.display())));
        };
        refuse_link_to_nothing(&live)?;
        refuse_state(&live, state, true)?;
        let mut pins: Vec<OsString> =
            mounts::below(&live)?.into_iter().map(PathBuf::into_os_string).collect();
        if let Ok(state) = state.strip_prefix(&live)
            && !pins.iter().any(|pin| state.starts_with(pin))
        {
            pins.push(state.into());
        }
        let inside = inside || !pins.is_empty() || mounts::is_point(&live)?;
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
        let live = live.into_os_string();
        let (carry, keep) = (Carry::default(), Vec::new());
        Ok(TreeSwap { live, staged, old, inode: 0, inside, pins, mode: None, carry, keep })
    }

    /// Makes the folder into which the new tree is to be extracted, 0700 until the swap. `false`: a folder beside the
    /// live one cannot take its place; see whether one inside can.
    pub fn make(&mut self) -> Result<bool> {
        let (live, staged) = (self.live(), self.staged());
        let parent = live.parent().unwrap_or(live);
        if !self.inside {
            look::make_folders(parent, 0o777, "cannot create")?;
        }
        match private_folder(staged) {
            Ok(()) => {}
            Err(_) if !self.inside && look::is_folder(live)? => return Ok(false),
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

    /// Gives the new tree the owner and permissions of the live one: not every archive of a folder's contents says what
    /// the folder itself was like. Those that do are extracted over it.
    pub fn copy_attributes(&self) -> Result<()> {
        let Some(live) = look::follow(self.live())? else {
            return fs::set_permissions(self.staged(), Permissions::from_mode(0o755))
                .at("cannot set the permissions of", self.staged());
        };
        // Refused unless we are root; then the new tree is the user's who restores, as any file they make.
        let _ = std::os::unix::fs::chown(self.staged(), Some(live.uid()), Some(live.gid()));
        fs::set_permissions(self.staged(), live.permissions())
            .at("cannot set the permissions of", self.staged())
    }

    /// The new tree is whole: finds out what stands in the way of the swap, and puts what of the live tree stays (`keep`,
    /// relative to it) where it is to be. Where the new tree has the same path, that wins. `list`: a file for what a journal
    /// should not hold.
    pub fn check(&mut self, keep: &[PathBuf], list: &Path) -> Result<()> {
        let pins: Vec<PathBuf> = self.pins.iter().map(PathBuf::from).collect();
        for pin in &pins {
            for path in pin.ancestors().filter(|path| !path.as_os_str().is_empty()) {
                let staged = self.staged().join(path);
                if look::itself(&staged)?.is_some_and(|found| !found.is_dir()) {
                    let text = format!(
                        "the backup has a file or a link where {} is a folder with a mount point or bam's state in it",
                        self.live().join(path).display()
                    );
                    return Err(Error::new(Code::Unsupported, text).hint(
                        "unmount it first, set another state_dir, or name what is wanted with --path",
                    ));
                }
            }
        }
        if self.inside {
            self.mode = look::follow(self.live())?.map(|found| found.mode() & 0o7777);
        }
        // With the folders of this restore.
        let ours = self.leftovers();
        let ours = ours.iter().filter_map(|path| path.strip_prefix(self.live()).ok().map(Path::to_owned));
        let pins: Vec<PathBuf> = pins.into_iter().chain(ours).collect();
        self.carry = Carry::prepare(self.live(), self.staged(), keep, &pins, list)?;
        Ok(())
    }

    /// The trees trade places. May be called again after a kill.
    pub fn swap(&self) -> Result<()> {
        if self.inside {
            return self.swap_entries();
        }
        if self.swapped()? {
            return self.finish_exchange().and_then(|()| self.sync());
        }
        let (live, staged, old) = (self.live(), self.staged(), Path::new(&self.old));
        if !exists(live)? {
            return fs::rename(staged, live).at("cannot put in place", live).and_then(|()| self.sync());
        }
        self.carry.go(live, staged)?;
        match rustix::fs::renameat_with(CWD, staged, CWD, live, RenameFlags::EXCHANGE) {
            // The old tree now lies at `staged`.
            Ok(()) => fs::rename(staged, old).at("cannot move away", staged)?,
            Err(Errno::INVAL | Errno::NOSYS) => {
                fs::rename(live, old).at("cannot move away", live)?;
                fs::rename(staged, live).at("cannot put in place", live)?;
            }
            Err(Errno::XDEV) => {
                return Err(Error::io("cannot put in place", live, Errno::XDEV.into()).hint(
                    "this file system moves no folders (one of a container's image does not): restore elsewhere with \
                     --into, and copy it over",
                ));
            }
            Err(cause) => return Err(Error::io("cannot put in place", live, cause.into())),
        }
        self.sync()
    }

    /// Takes a swap back, however far it came, as long as [`TreeSwap::leftovers`] are there. May be called again after a
    /// kill; after it the trees may be swapped once more.
    pub fn revert(&self) -> Result<()> {
        let (live, staged, old) = (self.live(), self.staged(), Path::new(&self.old));
        if self.inside {
            let moving = self.moving();
            // As long as all old entries are out, those that are in are new ones.
            if exists(old)? {
                self.move_entries(live, staged)?;
                fs::rename(old, &moving).at("cannot move away", old)?;
            }
            if exists(&moving)? {
                self.move_entries(&moving, live)?;
                for folder in self.chain().iter().rev() {
                    let folder = moving.join(folder);
                    fs::remove_dir(&folder).at("cannot remove", &folder)?;
                }
            }
            if let Some(mode) = self.mode {
                let _ = fs::set_permissions(live, Permissions::from_mode(mode));
            }
        } else if self.swapped()? {
            self.finish_exchange()?;
            fs::rename(live, staged).at("cannot move away", live)?;
        }
        if !self.inside && !exists(live)? && exists(old)? {
            fs::rename(old, live).at("cannot put back", live)?;
        }
        if exists(live)? {
            self.carry.back(live, staged)?;
        }
        self.sync()
    }

    /// After the swap, for a journal of old: moves what is kept from the old tree into the new one.
    pub fn settle(&self) -> Result<()> {
        self.finish_exchange()?;
        for path in &self.keep {
            carry_over(&Path::new(&self.old).join(path), &self.live().join(path))?;
        }
        self.sync()
    }

    /// The file that [`TreeSwap::check`] made.
    pub fn list(&self) -> Option<&Path> {
        self.carry.list()
    }

    /// What is to be removed at the end: the old tree after a swap, else the new one.
    pub fn leftovers(&self) -> [PathBuf; 3] {
        [PathBuf::from(&self.old), self.staged().to_owned(), self.moving()]
    }

    /// A kill between the exchange and the rename that follows it leaves the old tree at `staged`.
    fn finish_exchange(&self) -> Result<()> {
        if !self.inside && self.swapped()? && exists(self.staged())? {
            fs::rename(self.staged(), &self.old).at("cannot move away", self.staged())?;
        }
        Ok(())
    }

    fn swapped(&self) -> Result<bool> {
        // Itself: a link in its place is not the new tree, whatever it leads to.
        Ok(look::itself(self.live())?.is_some_and(|found| found.ino() == self.inode))
    }

    fn moving(&self) -> PathBuf {
        let mut moving = self.old.clone();
        moving.push(".moving");
        PathBuf::from(moving)
    }

    /// Folders that stay where they are because of what is below them, relative to the live one, which is the first of
    /// them; the outer ones first.
    fn chain(&self) -> Vec<PathBuf> {
        let above =
            |pin: &OsString| Path::new(pin).ancestors().skip(1).map(Path::to_owned).collect::<Vec<_>>();
        let mut chain: Vec<PathBuf> = self.pins.iter().flat_map(above).collect();
        chain.push(PathBuf::new());
        chain.sort();
        chain.dedup();
        chain
    }

    /// The fallback: out with the old entries, in with the new ones. That all old ones are out is told by the name
    /// of the folder they went to.
    fn swap_entries(&self) -> Result<()> {
        let (live, staged, old, moving) = (self.live(), self.staged(), Path::new(&self.old), self.moving());
        if !exists(old)? {
            self.carry.go(live, staged)?;
            for folder in self.chain() {
                let folder = moving.join(folder);
                if !exists(&folder)? {
                    private_folder(&folder).at("cannot create", &folder)?;
                }
            }
            self.move_entries(live, &moving)?;
            fs::rename(&moving, old).at("cannot move away", &moving)?;
            self.sync()?;
        }
        if exists(staged)? {
            self.move_entries(staged, live)?;
            let found = fs::metadata(staged).at("cannot look at", staged)?;
            let _ = fs::set_permissions(live, found.permissions());
        }
        self.sync()
    }

    /// Moves the entries of a tree, and those of the folders that stay.
    fn move_entries(&self, from: &Path, to: &Path) -> Result<()> {
        let chain = self.chain();
        let ours = self.leftovers();
        for folder in &chain {
            let (from, to) = (from.join(folder), to.join(folder));
            if !exists(&from)? {
                continue;
            }
            if !exists(&to)? {
                private_folder(&to).at("cannot create", &to)?;
            }
            let open = |path: &Path| File::open(path).at("cannot open", path);
            let (from_dir, to_dir) = (open(&from)?, open(&to)?);
            for name in entries::names(&from).at("cannot list", &from)? {
                let name = name.at("cannot list", &from)?;
                let (path, below) = (from.join(&name), folder.join(&name));
                let stays = chain.contains(&below) || self.pins.iter().any(|pin| Path::new(pin) == below);
                if stays || ours.contains(&path) {
                    continue;
                }
                carry::shift(from_dir.as_fd(), to_dir.as_fd(), name.as_bytes()).at("cannot move", &path)?;
            }
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

/// Refuses to put a folder in the place of a link to nothing: it may lead to a disk that is not mounted.
pub fn refuse_link_to_nothing(live: &Path) -> Result<()> {
    if !look::is_link(live)? || look::real(live)?.is_some() {
        return Ok(());
    }
    let to = fs::read_link(live).at("cannot look at", live)?;
    let text = format!("is a link to {}, where nothing is: it is not replaced", to.display());
    Err(Error::of_path(Code::Unsupported, live, text)
        .hint("mount what it leads to, or remove the link, and restore again"))
}

/// Refuses to replace what is bam's state folder, lies in it, or (not `around`) has it inside.
pub fn refuse_state(live: &Path, state: &Path, around: bool) -> Result<()> {
    if live.starts_with(state) || !around && state.starts_with(live) {
        let text =
            format!("{} cannot be replaced: bam keeps its own state in {}", live.display(), state.display());
        return Err(Error::new(Code::Config, text)
            .hint("set another state_dir in the configuration, outside of what is backed up"));
    }
    Ok(())
}

fn absolute(path: &Path) -> Result<PathBuf> {
    std::path::absolute(path).at("cannot find", path)
}

/// Moves `from` to `to`; of a folder that is there already, everything that it lacks. For journals of old.
pub fn carry_over(from: &Path, to: &Path) -> Result<()> {
    if !exists(from)? {
        return Ok(());
    }
    if !exists(to)? {
        if let Some(parent) = to.parent() {
            look::make_folders(parent, 0o777, "cannot create")?;
        }
        return fs::rename(from, to).at("cannot move", from);
    }
    if look::is_real_folder(from)? && look::is_real_folder(to)? {
        for name in entries::names(from).at("cannot list", from)? {
            let name = name.at("cannot list", from)?;
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
#[path = "swap_tests.rs"]
mod tests;
