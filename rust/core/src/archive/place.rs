//! Where members go, and the small steps of putting them there.

use super::{Entry, EntryKind, header, show};
use crate::{Code, Error, Result};
use rustix::fd::{BorrowedFd, OwnedFd};
use rustix::fs::{self, AtFlags, Mode, Timespec, Timestamps};
use rustix::io::Errno;

/// Where a member goes: into which root, and under which path there (as in [`Entry::path`]).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// Which root, counted from 0.
    pub root: usize,
    /// Path below it; empty is the root itself.
    pub path: Vec<u8>,
}

/// What to do about an archive that would write elsewhere.
pub const LOOK: &str = "the archive is damaged or was made to do harm; look into it with tar -tvf";

/// Makes a folder, in place of anything that is none. One that is there stays.
pub fn make_folder(dir: BorrowedFd<'_>, name: &[u8]) -> Result<(), Errno> {
    match fs::mkdirat(dir, name, Mode::RWXU) {
        Err(Errno::EXIST) => {
            let there = fs::statat(dir, name, AtFlags::SYMLINK_NOFOLLOW)?;
            if fs::FileType::from_raw_mode(there.st_mode).is_dir() {
                return Ok(());
            }
            fs::unlinkat(dir, name, AtFlags::empty())?;
            fs::mkdirat(dir, name, Mode::RWXU)
        }
        done => done,
    }
}

/// Makes something anew: what is in its place goes first, a folder only when it is empty; tells whether there was one.
pub fn replacing<T>(
    dir: &OwnedFd,
    name: &[u8],
    was_folder: &mut bool,
    mut make: impl FnMut() -> Result<T, Errno>,
) -> Result<T, Errno> {
    match make() {
        Err(Errno::EXIST) => {
            match fs::unlinkat(dir, name, AtFlags::empty()) {
                Err(Errno::ISDIR) => {
                    fs::unlinkat(dir, name, AtFlags::REMOVEDIR)?;
                    *was_folder = true;
                }
                done => done?,
            }
            make()
        }
        done => done,
    }
}

/// Splits off the last component; `None` for the root itself.
pub fn split(place: &Place) -> Option<(Place, &[u8])> {
    let path = place.path.as_slice();
    let at = |parent: &[u8]| Place { root: place.root, path: parent.to_vec() };
    match path.iter().rposition(|b| *b == b'/') {
        Some(slash) => Some((at(path.get(..slash)?), path.get(slash + 1..)?)),
        None if path.is_empty() => None,
        None => Some((at(b""), path)),
    }
}

pub fn times((seconds, nanos): (i64, u32)) -> Timestamps {
    Timestamps {
        last_access: Timespec { tv_sec: 0, tv_nsec: fs::UTIME_NOW },
        last_modification: Timespec { tv_sec: seconds, tv_nsec: nanos.into() },
    }
}

/// How deep a path may go, and how long it may be: what no program can name by its path (PATH_MAX is 4096 bytes) is no
/// part of a site, and what is much deeper keeps a machine busy for hours.
const MAX_DEPTH: usize = 4096;
const MAX_PATH: usize = 64 * 1024;

/// Whether a folder's content will have paths that a restore takes, with room for what lies around it in an archive.
pub fn within_limits(folder: &[u8]) -> bool {
    folder.len() + 1024 <= MAX_PATH && folder.split(|byte| *byte == b'/').count() + 16 <= MAX_DEPTH
}

/// Refuses a path that is only there to do harm.
pub fn refuse_deep(path: &[u8]) -> Result<()> {
    let depth = path.split(|byte| *byte == b'/').count();
    if depth <= MAX_DEPTH && path.len() <= MAX_PATH {
        return Ok(());
    }
    let start = show(path.get(..100).unwrap_or(path));
    let text = format!(
        "a path of {depth} folders and {} bytes, {start}…, is more than {MAX_DEPTH} folders or {MAX_PATH} bytes: refused",
        path.len()
    );
    Err(Error::new(Code::Integrity, text).hint(LOOK))
}

pub fn refuse_climbing(path: &[u8], member: &[u8]) -> Result<()> {
    if path.split(|b| *b == b'/').any(|part| part == b"..") || path.contains(&0) {
        let text = format!("{} would be written outside the folder: refused", show(member));
        return Err(Error::new(Code::Integrity, text).hint(LOOK));
    }
    Ok(())
}

/// Refuses a member for which there is no place in a folder, as extracting it would; `place` is where it would go.
pub fn refuse_misplaced(entry: &Entry, place: Option<&Place>) -> Result<()> {
    refuse_climbing(&entry.path, &entry.path)?;
    if let Some(place) = place {
        refuse_deep(&place.path)?;
        refuse_climbing(&place.path, &entry.path)?;
        if let EntryKind::Hardlink(target) = &entry.kind {
            refuse_climbing(target, &entry.path)?;
        }
    }
    Ok(())
}

pub fn in_place_of_root(entry: &Entry) -> Error {
    let text = format!("{} would take the place of the folder itself: refused", show(&entry.path));
    Error::new(Code::Integrity, text)
}

/// Whether a link at `path` with this target points outside the root, by its text alone.
pub fn leads_out(path: &[u8], target: &[u8]) -> bool {
    let mut depth = header::clean_path(path).iter().filter(|b| **b == b'/').count();
    for part in target.split(|b| *b == b'/').filter(|p| !p.is_empty() && *p != b".") {
        match (part, depth) {
            (b"..", 0) => return true,
            (b"..", _) => depth -= 1,
            _ => depth += 1,
        }
    }
    target.starts_with(b"/")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_leads_out_by_the_step_that_leaves_the_folder() {
        for (path, target, out) in [
            ("l", "x", false),
            ("l", "..", true),
            ("l", "../x", true),
            ("a/l", "../x", false),
            ("a/l", "../../x", true),
            ("./a//b/l", "../../x", false),
            ("./a//b/l", "../../../x", true),
            ("l", "x/..", false),
            ("l", "x/../..", true),
            ("l", "././/..", true),
            ("l", "..x/...", false),
            ("l", "/x", true),
            ("l", "", false),
        ] {
            assert_eq!(leads_out(path.as_bytes(), target.as_bytes()), out, "{path} -> {target}");
        }
    }

    #[test]
    fn a_path_is_refused_from_one_folder_too_many_on() {
        let deep = |folders: usize| vec!["a"; folders].join("/").into_bytes();
        assert!(refuse_deep(&deep(MAX_DEPTH)).is_ok());
        assert_eq!(refuse_deep(&deep(MAX_DEPTH + 1)).unwrap_err().code(), Code::Integrity);
        assert!(refuse_deep(&[b'a'; MAX_PATH]).is_ok());
        assert_eq!(refuse_deep(&[b'a'; MAX_PATH + 1]).unwrap_err().code(), Code::Integrity);
        // What is backed up has room for names, and for what an archive puts in front.
        assert!(within_limits(&deep(MAX_DEPTH - 16)) && !within_limits(&deep(MAX_DEPTH - 15)));
        assert!(within_limits(&[b'a'; MAX_PATH - 1024]) && !within_limits(&[b'a'; MAX_PATH - 1023]));
    }

    #[test]
    fn a_place_comes_apart_at_its_last_slash() {
        let at = |path: &str| Place { root: 2, path: path.into() };
        assert_eq!(split(&at("a/b/c")), Some((at("a/b"), &b"c"[..])));
        assert_eq!(split(&at("a")), Some((at(""), &b"a"[..])));
        assert_eq!(split(&at("")), None);
    }

    #[test]
    fn what_climbs_is_refused_and_what_only_looks_so_is_not() {
        for climbing in ["..", "../a", "a/../b", "a/..", "a\0b"] {
            assert_eq!(
                refuse_climbing(climbing.as_bytes(), b"m").unwrap_err().code(),
                Code::Integrity,
                "{climbing}"
            );
        }
        for fine in ["", "a", "..a/b..", "a/.../b"] {
            assert!(refuse_climbing(fine.as_bytes(), b"m").is_ok(), "{fine}");
        }
    }

    #[test]
    fn a_member_is_refused_by_its_path_its_place_or_what_it_links_to() {
        let code = |path: &str, kind: EntryKind, place: Option<&str>| {
            let extras = super::super::Extras::default();
            let entry = Entry { path: path.into(), kind, mode: 0o644, uid: 1, gid: 2, mtime: 3, extras };
            let place = place.map(|path| Place { root: 0, path: path.into() });
            refuse_misplaced(&entry, place.as_ref()).err().map(|error| error.code())
        };
        let file = || EntryKind::File { size: 0 };
        let link = |target: &str| EntryKind::Hardlink(target.into());
        let deep = vec!["a"; MAX_DEPTH + 1].join("/");
        assert_eq!(code("a/b", file(), Some("b")), None);
        assert_eq!(code("a/b", link("a/c"), Some("b")), None);
        assert_eq!(code("a/b", link("../c"), None), None, "it is not put anywhere");
        for refused in [
            code("../b", file(), None),
            code("b", file(), Some("../b")),
            code("b", file(), Some(&deep)),
            code("b", link("../c"), Some("b")),
        ] {
            assert_eq!(refused, Some(Code::Integrity));
        }
    }
}
