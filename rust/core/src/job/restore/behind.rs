//! Links of the live site that lead to folders elsewhere (shared storage): a backup follows them, so a restore leaves
//! the link what it is and restores the folder behind it.
//!
//! Root may write anywhere, so a link counts only as far as whoever made it could have done the same by themselves:
//! they may change what is in the folder, and cannot lead the way there to another place meanwhile. Links of root and of
//! the user who restores count as they are, but not where another's link has led to them.

use crate::archive::beneath::open_dir;
use crate::look::{self, MAX_LINKS, is_gone};
use crate::source::reach::Reach;
use crate::{Error, Result, ResultExt};
use rustix::fd::{AsFd, AsRawFd};
use rustix::fs::{self, AtFlags, CWD, FileType, Mode, OFlags};
use rustix::io::Errno;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

/// What is behind a link.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Leads {
    Folder,
    /// A regular file.
    File,
    /// Nothing is there: perhaps a disk that is not mounted.
    Nowhere,
    /// We may not look.
    Closed,
}

/// What a link of the live site leads to.
#[derive(Debug)]
pub struct Target {
    /// Its path without links; as it stands in the link where that leads nowhere or is closed.
    pub real: PathBuf,
    /// What is there.
    pub leads: Leads,
    /// The link's text.
    pub text: Vec<u8>,
    /// Who made the link.
    maker: u32,
}

/// Looks at `path` below the folder `root`; `None` where there is no link, one to something else than a file or folder, where
/// another link lies on the way there, or where the way is closed to us.
///
/// # Errors
///
/// It cannot be looked at: shared storage that does not answer is not nothing.
pub fn look(root: &Path, path: &[u8]) -> Result<Option<Target>> {
    let (parent, name) = match path.iter().rposition(|byte| *byte == b'/') {
        Some(slash) => (path.get(..slash).unwrap_or_default(), path.get(slash + 1..).unwrap_or_default()),
        None => (&b""[..], path),
    };
    match look_at(root, parent, name) {
        Ok(found) => Ok(found),
        Err(Errno::XDEV | Errno::ACCESS | Errno::NAMETOOLONG | Errno::INVAL) => Ok(None),
        Err(cause) if is_gone(&cause.into()) => Ok(None),
        Err(cause) => Err(Error::io("cannot look at", &root.join(OsStr::from_bytes(path)), cause.into())),
    }
}

/// The links by which a link, an absolute path, leads where it does, itself not among them: as absolute paths, without links but
/// the last component.
///
/// # Errors
///
/// One cannot be looked at.
pub fn ways_of(link: &Path, text: &[u8]) -> Result<Vec<PathBuf>> {
    let names = |text: &[u8]| -> Vec<Vec<u8>> {
        let start = text.starts_with(b"/").then(|| b"/".to_vec());
        let names = text.split(|byte| *byte == b'/').rev();
        names.filter(|name| !matches!(*name, b"" | b".")).map(<[u8]>::to_vec).chain(start).collect()
    };
    let mut here = look::real_as_far(link.parent().unwrap_or(link))?;
    let (mut found, mut left) = (Vec::new(), names(text));
    while let Some(name) = left.pop() {
        match name.as_slice() {
            b"/" => here = PathBuf::from("/"),
            b".." => drop(here.pop()),
            name => {
                let path = here.join(OsStr::from_bytes(name));
                if !look::is_link(&path)? {
                    here = path;
                    continue;
                }
                let text = std::fs::read_link(&path).at("cannot read the link", &path)?;
                left.extend(names(text.as_os_str().as_bytes()));
                found.push(path);
                // The system follows no more.
                if found.len() > MAX_LINKS {
                    break;
                }
            }
        }
    }
    Ok(found)
}

fn look_at(root: &Path, parent: &[u8], name: &[u8]) -> rustix::io::Result<Option<Target>> {
    let handle = OFlags::PATH | OFlags::CLOEXEC;
    let root = fs::open(root, handle | OFlags::DIRECTORY, Mode::empty())?;
    let parent = open_dir(root.as_fd(), parent)?;
    let link = fs::statat(&parent, name, AtFlags::SYMLINK_NOFOLLOW)?;
    if !FileType::from_raw_mode(link.st_mode).is_symlink() {
        return Ok(None);
    }
    let text = fs::readlinkat(&parent, name, Vec::new())?.into_bytes();
    let found = |real: Vec<u8>, leads| {
        let real = PathBuf::from(OsString::from_vec(real));
        Target { real, leads, text: text.clone(), maker: link.st_uid }
    };
    let to = match fs::openat(&parent, name, handle, Mode::empty()) {
        Err(cause) if is_gone(&cause.into()) || cause == Errno::NAMETOOLONG => {
            return Ok(Some(found(text.clone(), Leads::Nowhere)));
        }
        Err(Errno::ACCESS) => return Ok(Some(found(text.clone(), Leads::Closed))),
        to => to?,
    };
    let leads = match FileType::from_raw_mode(fs::fstat(&to)?.st_mode) {
        FileType::Directory => Leads::Folder,
        FileType::RegularFile => Leads::File,
        _ => return Ok(None),
    };
    let real = fs::readlinkat(CWD, format!("/proc/self/fd/{}", to.as_raw_fd()), Vec::new())?;
    Ok(Some(found(real.into_bytes(), leads)).filter(|found| found.real.is_absolute()))
}

impl Target {
    /// Whether what is behind the link may be replaced; else why not. `above` is who made the link that led to this one.
    pub fn may_be_replaced(&self, above: Option<u32>) -> Result<(), String> {
        let trusted = |user: u32| user == 0 || user == rustix::process::geteuid().as_raw();
        for user in [Some(self.maker), above].into_iter().flatten().filter(|user| !trusted(*user)) {
            self.may_be_replaced_by(user).map_err(|why| {
                format!("{why}; where that is right, let root make the link: `chown -h root LINK`")
            })?;
        }
        Ok(())
    }

    /// Who made the link, for what lies behind it; nobody where that does not matter.
    pub fn maker(&self, above: Option<u32>) -> Option<u32> {
        let own = [0, rustix::process::geteuid().as_raw()].contains(&self.maker);
        if own { above } else { Some(self.maker) }
    }

    fn may_be_replaced_by(&self, user: u32) -> Result<(), String> {
        let reach = Reach::of(user);
        let at = |path: &Path| {
            fs::stat(path).map_err(|cause| format!("{} cannot be seen: {cause}", path.display()))
        };
        let bytes = self.real.as_os_str().as_bytes();
        // A file is replaced by another one in its folder.
        let changed = match self.leads {
            Leads::Folder => &*self.real,
            _ => self.real.parent().unwrap_or(Path::new("/")),
        };
        if !reach.gets_to(bytes) || !reach.changes(&at(changed)?) {
            return Err(format!("its owner (user {user}) may not write to {}", changed.display()));
        }
        for folder in changed.ancestors().skip(1) {
            if reach.changes(&at(folder)?) {
                return Err(format!(
                    "its owner (user {user}) may also change {}, and so where it leads",
                    OsStr::to_string_lossy(folder.as_os_str())
                ));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs as std_fs;
    use std::os::unix::fs::{PermissionsExt, lchown, symlink};

    #[test]
    fn only_links_to_folders_and_files_count_and_none_on_the_way() {
        let dir = tempfile::tempdir().expect("a folder");
        let root = dir.path().join("root");
        std_fs::create_dir_all(root.join("a")).expect("made");
        std_fs::create_dir(dir.path().join("out")).expect("made");
        symlink("../../out", root.join("a/link")).expect("linked");
        symlink("nowhere", root.join("a/dangling")).expect("linked");
        symlink("a", root.join("way")).expect("linked");
        let look = |path| look(&root, path).expect("looked");
        let found = look(b"a/link").expect("a link to a folder");
        assert_eq!(found.real, dir.path().canonicalize().expect("real").join("out"));
        assert!(found.leads == Leads::Folder && found.text == b"../../out");
        assert_eq!(look(b"a/dangling").expect("a link").leads, Leads::Nowhere);
        for path in ["a", "way/link", "none", "none/link"] {
            assert!(look(path.as_bytes()).is_none(), "{path}");
        }
    }

    #[test]
    fn a_link_counts_as_far_as_its_maker_could_go() {
        if !rustix::process::geteuid().is_root() {
            println!("SKIP job::behind::a_link_counts: only root has links of others");
            return;
        }
        let dir = tempfile::tempdir().expect("a folder");
        std_fs::set_permissions(dir.path(), std_fs::Permissions::from_mode(0o755)).expect("set");
        let (root, store) = (dir.path().join("root"), dir.path().join("store"));
        std_fs::create_dir(&root).expect("made");
        std_fs::create_dir_all(store.join("in")).expect("made");
        symlink(store.join("in"), root.join("link")).expect("linked");
        let judged = |maker: u32, folder: (u32, u32), above: (u32, u32)| {
            lchown(root.join("link"), Some(maker), Some(maker)).expect("given");
            for (path, (owner, mode)) in [(store.join("in"), folder), (store.clone(), above)] {
                lchown(&path, Some(owner), Some(owner)).expect("given");
                std_fs::set_permissions(&path, std_fs::Permissions::from_mode(mode)).expect("set");
            }
            look(&root, b"link").expect("looked").expect("a link").may_be_replaced(None)
        };
        let (root_s, own) = ((0, 0o755), (33, 0o755));
        judged(0, root_s, root_s).expect("root's");
        judged(33, own, root_s).expect("their own folder");
        for (folder, above) in [(root_s, root_s), (own, own), ((0, 0o1777), root_s), (own, (0, 0o777))] {
            judged(33, folder, above).expect_err("it is not theirs, or they may lead elsewhere");
        }
        judged(0, root_s, root_s).expect("root's");
        let link = look(&root, b"link").expect("looked").expect("a link");
        link.may_be_replaced(Some(33)).expect_err("found behind a link of another");
    }
}
