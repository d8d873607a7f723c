//! What of a live folder outlives its replacement: it is in the new tree before the two trade places.
//!
//! Files get a second name in the new tree (or a copy, where that cannot be), so they are in both. Folders, and files
//! that can only be moved, move right before the swap; which ones is on record, in the journal and, where they are many, in
//! a file of its own beside it, so that a swap that is taken back takes them back, too. Paths are resolved below their tree and through no link: an archive that has a link where the site has a folder cannot have anything
//! carried out of the site.

use crate::archive::beneath::{make_dir_all, open_dir};
use crate::archive::show;
use crate::{Code, Error, Result, ResultExt};
use rustix::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use rustix::fs::{self, Access, AtFlags, Dir, FileType, Gid, Mode, OFlags, Stat, Timespec, Timestamps, Uid};
use rustix::io::Errno;
use serde::{Deserialize, Serialize};
use std::ffi::{OsStr, OsString};
use std::fs::{File, OpenOptions};
use std::io::{self, BufRead, BufReader, BufWriter, Write};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// What moves from the live tree to the new one. Serialisable, for the restore's journal.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Carry {
    moves: Vec<OsString>,
    /// A file with further ones, each with a NUL behind it: there may be more than a journal should hold.
    #[serde(default)]
    list: Option<OsString>,
}

/// As many stand in the journal itself.
const IN_JOURNAL: usize = 256;

/// Writes the list of what moves.
struct Moves<'p> {
    first: Vec<OsString>,
    path: &'p Path,
    file: Option<BufWriter<File>>,
}

impl Moves<'_> {
    fn add(&mut self, path: Vec<u8>) -> Result<()> {
        if self.first.len() < IN_JOURNAL {
            self.first.push(OsString::from_vec(path));
            return Ok(());
        }
        let mut write = || {
            if self.file.is_none() {
                let mut options = OpenOptions::new();
                options.write(true).create(true).truncate(true).mode(0o600);
                self.file = Some(BufWriter::new(options.open(self.path)?));
            }
            let file = self.file.as_mut().ok_or(io::ErrorKind::NotFound)?;
            file.write_all(&path)?;
            file.write_all(&[0])
        };
        write().at("cannot write", self.path)
    }

    fn end(self) -> Result<Carry> {
        let Some(file) = self.file else { return Ok(Carry { moves: self.first, list: None }) };
        let file = file.into_inner().map_err(io::IntoInnerError::into_error);
        file.and_then(|file| file.sync_all()).at("cannot write", self.path)?;
        Ok(Carry { moves: self.first, list: Some(self.path.into()) })
    }
}

/// A root folder of one of the trees, and its path for messages.
struct Tree<'p> {
    path: &'p Path,
    dir: OwnedFd,
}

impl<'p> Tree<'p> {
    /// `None` where there is no such folder.
    fn open(path: &'p Path) -> Result<Option<Tree<'p>>> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        match fs::open(path, flags, Mode::empty()) {
            Ok(dir) => Ok(Some(Tree { path, dir })),
            Err(Errno::NOENT | Errno::NOTDIR) => Ok(None),
            Err(cause) => Err(Error::io("cannot open", path, cause.into())),
        }
    }

    fn at(&self, path: &[u8]) -> PathBuf {
        self.path.join(OsStr::from_bytes(path))
    }

    /// The folder at `path`; `None` where a link or a file is in the way, or nothing.
    fn folder(&self, path: &[u8]) -> Result<Option<OwnedFd>> {
        match open_dir(self.dir.as_fd(), path) {
            Ok(dir) => Ok(Some(dir)),
            Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP | Errno::XDEV) => Ok(None),
            Err(cause) => Err(Error::io("cannot open", &self.at(path), cause.into())),
        }
    }
}

impl Carry {
    /// Puts the files among `paths` (relative to both trees, folders with all that is in them; the empty one is the tree
    /// itself) into `new` where it has no
    /// such path, and finds out which folders are to move; fails where one cannot. `pins` stay where they are, with all
    /// that is below them. May be called again.
    /// Where there are many, they are listed in the file `list`.
    pub fn prepare(
        live: &Path,
        new: &Path,
        paths: &[PathBuf],
        pins: &[PathBuf],
        list: &Path,
    ) -> Result<Carry> {
        let mut moves = Moves { first: Vec::new(), path: list, file: None };
        let (Some(old), Some(new)) = (Tree::open(live)?, Tree::open(new)?) else { return moves.end() };
        let pins: Vec<&[u8]> = pins.iter().map(|pin| pin.as_os_str().as_bytes()).collect();
        let mut paths = paths.iter().rev();
        let mut waiting: Vec<Vec<u8>> = Vec::new();
        let mut next = |waiting: &mut Vec<Vec<u8>>| {
            waiting.pop().or_else(|| Some(paths.next()?.as_os_str().as_bytes().to_vec()))
        };
        while let Some(path) = next(&mut waiting) {
            if pins.iter().any(|pin| is_at_or_below(&path, pin)) {
                continue;
            }
            // The tree itself: whatever the new one lacks.
            if path.is_empty() {
                names(&old, &path, &mut waiting)?;
                continue;
            }
            let (parent, name) = split(&path);
            let Some(from) = old.folder(parent)? else { continue };
            let Some(found) = look(&from, name).at("cannot look at", &old.at(&path))? else { continue };
            let to = parents(&old, &new, parent)?;
            let there = look(&to, name).at("cannot look at", &new.at(&path))?;
            let holds_pin = pins.iter().any(|pin| is_at_or_below(pin, &path));
            match (is_folder(&found), there.as_ref().map(is_folder)) {
                // The new one wins.
                (false, Some(_)) | (true, Some(false)) => {}
                (false, None) => {
                    match with_its_time(&to, || share(&from, &to, name, &found)) {
                        // Nobody else's to read or to link, but ours to move.
                        Err(Errno::ACCESS | Errno::PERM) => moves.add(path)?,
                        shared => shared.at("cannot keep", &old.at(&path))?,
                    }
                }
                (true, None) if !holds_pin => {
                    can_move(&from, &to, name)
                        .at("cannot keep", &old.at(&path))
                        .map_err(|error| error.context("nothing was changed"))?;
                    moves.add(path)?;
                }
                (true, _) => {
                    if there.is_none() {
                        drop(parents(&old, &new, &path)?);
                    }
                    names(&old, &path, &mut waiting)?;
                }
            }
        }
        moves.end()
    }

    /// The file with those that are not in the journal.
    pub fn list(&self) -> Option<&Path> {
        self.list.as_deref().map(Path::new)
    }

    /// All of them.
    fn each(&self, mut visit: impl FnMut(&[u8]) -> Result<()>) -> Result<()> {
        for path in &self.moves {
            visit(path.as_bytes())?;
        }
        let Some(list) = self.list() else { return Ok(()) };
        let mut file = BufReader::new(File::open(list).at("cannot read", list)?);
        let mut path = Vec::new();
        while file.read_until(0, &mut path).at("cannot read", list)? > 0 {
            visit(path.strip_suffix(&[0]).unwrap_or(&path))?;
            path.clear();
        }
        Ok(())
    }

    /// Moves the folders into the new tree. May be called again after a kill; not once the trees have traded places.
    pub fn go(&self, live: &Path, new: &Path) -> Result<()> {
        if self.moves.is_empty() {
            return Ok(());
        }
        let (Some(old), Some(new)) = (Tree::open(live)?, Tree::open(new)?) else { return Ok(()) };
        self.each(|path| {
            let (parent, name) = split(path);
            let (Some(from), Some(to)) = (old.folder(parent)?, new.folder(parent)?) else { return Ok(()) };
            let at = old.at(path);
            if look(&to, name).at("cannot look at", &at)?.is_none() {
                with_its_time(&to, || shift(from.as_fd(), to.as_fd(), name)).at("cannot move", &at)?;
            }
            Ok(())
        })
    }

    /// Moves them back, when the trees are back in their old places. May be called again after a kill.
    pub fn back(&self, live: &Path, new: &Path) -> Result<()> {
        if self.moves.is_empty() {
            return Ok(());
        }
        let (Some(old), Some(new)) = (Tree::open(live)?, Tree::open(new)?) else { return Ok(()) };
        self.each(|path| {
            // Whoever missed one meanwhile may have made it anew: the two become one.
            let mut waiting = vec![path.to_vec()];
            while let Some(path) = waiting.pop() {
                let (parent, name) = split(&path);
                let (Some(from), Some(to)) = (new.folder(parent)?, old.folder(parent)?) else { continue };
                let at = new.at(&path);
                let found = look(&from, name).at("cannot look at", &at)?;
                let there = look(&to, name).at("cannot look at", &at)?;
                match (found, there) {
                    (Some(_), None) => shift(from.as_fd(), to.as_fd(), name).at("cannot move back", &at)?,
                    (Some(found), Some(there)) if is_folder(&found) && is_folder(&there) => {
                        names(&new, &path, &mut waiting)?;
                    }
                    _ => {}
                }
            }
            Ok(())
        })
    }
}

/// The folder `path` of the new tree, made where it is missing, each folder as the live one of its name.
fn parents(old: &Tree<'_>, new: &Tree<'_>, path: &[u8]) -> Result<OwnedFd> {
    let refused = |cause: Errno| {
        match cause {
        Errno::LOOP | Errno::NOTDIR | Errno::XDEV => Error::new(
            Code::Integrity,
            format!(
                "the backup has a link or a file at or above {}, where the site has a folder with something that stays: \
                 nothing was changed",
                show(path)
            ),
        )
        .hint("look into the backup with `bam ls ID`; what of it is wanted can be named with --path"),
        cause => Error::io("cannot make the folder", &new.at(path), cause.into()),
    }
    };
    match open_dir(new.dir.as_fd(), path) {
        Err(Errno::NOENT) => {}
        done => return done.map_err(refused),
    }
    let mut made = Vec::new();
    let dir = writable_above(new, path, || make_dir_all(new.dir.as_fd(), path, |it| made.push(it.to_vec())))
        .map_err(refused)?;
    for folder in made.iter().rev() {
        let (Some(like), Some(made)) = (old.folder(folder)?, new.folder(folder)?) else { continue };
        let like = fs::fstat(&like).at("cannot look at", &old.at(folder))?;
        dress_folder(&made, &like).at("cannot set the permissions of", &new.at(folder))?;
    }
    Ok(dir)
}

/// Makes something below the deepest folder of `path` that is there, which may have to be opened for that.
fn writable_above<T>(
    tree: &Tree<'_>,
    path: &[u8],
    make: impl FnMut() -> Result<T, Errno>,
) -> Result<T, Errno> {
    let mut above = path;
    let there = loop {
        above = split(above).0;
        match open_dir(tree.dir.as_fd(), above) {
            Err(Errno::NOENT) if !above.is_empty() => {}
            done => break done?,
        }
    };
    writable(&[there.as_fd()], make)
}

/// A second name for what is no folder, or a copy.
fn share(from: &OwnedFd, to: &OwnedFd, name: &[u8], found: &Stat) -> Result<(), Errno> {
    writable(&[to.as_fd()], || match fs::linkat(from, name, to, name, AtFlags::empty()) {
        Ok(()) => Ok(()),
        Err(Errno::EXIST) => Ok(()),
        // Not ours (fs.protected_hardlinks), immutable, no such thing here, another file system.
        Err(Errno::PERM | Errno::XDEV | Errno::MLINK | Errno::OPNOTSUPP) => copy(from, to, name, found),
        Err(cause) => Err(cause),
    })
}

fn copy(from: &OwnedFd, to: &OwnedFd, name: &[u8], found: &Stat) -> Result<(), Errno> {
    let owner = (Some(Uid::from_raw(found.st_uid)), Some(Gid::from_raw(found.st_gid)));
    match FileType::from_raw_mode(found.st_mode) {
        FileType::Symlink => {
            let target = fs::readlinkat(from, name, Vec::new())?;
            fs::symlinkat(&target, to, name)?;
            let _ = fs::chownat(to, name, owner.0, owner.1, AtFlags::SYMLINK_NOFOLLOW);
            Ok(())
        }
        FileType::RegularFile => {
            let flags = OFlags::CLOEXEC | OFlags::NOFOLLOW;
            let mut input = File::from(fs::openat(from, name, flags | OFlags::RDONLY, Mode::empty())?);
            let make = flags | OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL;
            let mut out = File::from(fs::openat(to, name, make, Mode::RUSR | Mode::WUSR)?);
            let filled = io::copy(&mut input, &mut out)
                .map_err(|cause| Errno::from_io_error(&cause).unwrap_or(Errno::IO));
            let done = filled.and_then(|_| {
                // Refused unless we are root; then it is the user's who restores, as what is extracted.
                let _ = fs::fchown(&out, owner.0, owner.1);
                fs::fchmod(&out, Mode::from_raw_mode(found.st_mode & 0o7777))?;
                fs::futimens(&out, &times(found))
            });
            if done.is_err() {
                let _ = fs::unlinkat(to, name, AtFlags::empty());
            }
            done
        }
        // Sockets and the like are made anew by whoever needs them.
        _ => Ok(()),
    }
}

#[allow(
    clippy::unnecessary_cast,
    clippy::useless_conversion,
    reason = "of other types on some architectures"
)]
fn times(found: &Stat) -> Timestamps {
    Timestamps {
        last_access: Timespec { tv_sec: 0, tv_nsec: fs::UTIME_NOW },
        last_modification: Timespec { tv_sec: found.st_mtime as i64, tv_nsec: found.st_mtime_nsec as _ },
    }
}

fn dress_folder(folder: &OwnedFd, like: &Stat) -> Result<(), Errno> {
    let _ = fs::chownat(
        folder,
        "",
        Some(Uid::from_raw(like.st_uid)),
        Some(Gid::from_raw(like.st_gid)),
        AtFlags::EMPTY_PATH,
    );
    chmod(folder.as_fd(), Mode::from_raw_mode(like.st_mode & 0o7777))
}

/// Whether a folder can be moved, before anything is. Write permission that its owner can give counts as given.
fn can_move(from: &OwnedFd, to: &OwnedFd, name: &[u8]) -> Result<(), Errno> {
    let folder = open_dir(from.as_fd(), name)?;
    for dir in [from, to, &folder] {
        match fs::accessat(dir, ".", Access::WRITE_OK | Access::EXEC_OK, AtFlags::EACCESS) {
            Err(Errno::ACCESS) if is_ours(dir)? => {}
            done => done?,
        }
    }
    Ok(())
}

/// Renames `name` from one folder to another, where needed with write permission for as long as that takes: a folder
/// that gets another parent must be writable itself.
pub fn shift(from: BorrowedFd<'_>, to: BorrowedFd<'_>, name: &[u8]) -> Result<(), Errno> {
    match fs::renameat(from, name, to, name) {
        Err(Errno::ACCESS) => {
            let moved =
                fs::openat(from, name, OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty())?;
            let folder = is_folder(&fs::fstat(&moved)?);
            let dirs: Vec<BorrowedFd<'_>> =
                [from, to].into_iter().chain(folder.then(|| moved.as_fd())).collect();
            writable(&dirs, || fs::renameat(from, name, to, name))
        }
        done => done,
    }
}

/// Does something for which these folders must be writable; those of ours that are not are so meanwhile.
fn writable<T>(dirs: &[BorrowedFd<'_>], mut make: impl FnMut() -> Result<T, Errno>) -> Result<T, Errno> {
    match make() {
        Err(Errno::ACCESS) => {}
        done => return done,
    }
    let mut opened = Vec::new();
    for dir in dirs {
        let mode = Mode::from_raw_mode(fs::fstat(dir)?.st_mode & 0o7777);
        if is_ours(dir)? && !mode.contains(Mode::RWXU) {
            chmod(*dir, mode | Mode::RWXU)?;
            opened.push((*dir, mode));
        }
    }
    let done = make();
    for (dir, mode) in opened {
        let _ = chmod(dir, mode);
    }
    done
}

/// Changes what is in a folder, which keeps the time that the backup gave it.
fn with_its_time<T>(folder: &OwnedFd, change: impl FnOnce() -> Result<T, Errno>) -> Result<T, Errno> {
    let found = fs::fstat(folder)?;
    let done = change()?;
    // Refused where it is not ours; then it has the time of this restore.
    let _ = fs::utimensat(fs::CWD, by_handle(folder.as_fd()), &times(&found), AtFlags::empty());
    Ok(done)
}

/// Works on handles that were opened without the right to read, too.
fn chmod(dir: BorrowedFd<'_>, mode: Mode) -> Result<(), Errno> {
    fs::chmod(by_handle(dir), mode)
}

fn by_handle(dir: BorrowedFd<'_>) -> String {
    format!("/proc/self/fd/{}", dir.as_raw_fd())
}

fn is_ours(dir: impl AsFd) -> Result<bool, Errno> {
    Ok(fs::fstat(dir)?.st_uid == rustix::process::geteuid().as_raw())
}

fn look(dir: &OwnedFd, name: &[u8]) -> Result<Option<Stat>, Errno> {
    match fs::statat(dir, name, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(found) => Ok(Some(found)),
        Err(Errno::NOENT) => Ok(None),
        Err(cause) => Err(cause),
    }
}

fn is_folder(found: &Stat) -> bool {
    FileType::from_raw_mode(found.st_mode).is_dir()
}

/// Adds what is in a folder to `names`.
fn names(tree: &Tree<'_>, path: &[u8], names: &mut Vec<Vec<u8>>) -> Result<()> {
    let mut list = || -> Result<(), Errno> {
        let folder = open_dir(tree.dir.as_fd(), path)?;
        // It is open as a place only (O_PATH); `Dir::read_from` would open it once more in the same way.
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        for entry in Dir::new(fs::openat(&folder, ".", flags, Mode::empty())?)? {
            match entry?.file_name().to_bytes() {
                b"." | b".." => {}
                name if path.is_empty() => names.push(name.to_vec()),
                name => names.push([path, b"/", name].concat()),
            }
        }
        Ok(())
    };
    list().at("cannot list", &tree.at(path))
}

/// A path's folder and its name there.
fn split(path: &[u8]) -> (&[u8], &[u8]) {
    match path.iter().rposition(|byte| *byte == b'/') {
        Some(slash) => (path.get(..slash).unwrap_or_default(), path.get(slash + 1..).unwrap_or_default()),
        None => (b"", path),
    }
}

fn is_at_or_below(path: &[u8], folder: &[u8]) -> bool {
    path.strip_prefix(folder).is_some_and(|rest| rest.is_empty() || rest.starts_with(b"/"))
}

#[cfg(test)]
#[path = "carry_tests.rs"]
mod tests;
