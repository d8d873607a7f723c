//! What is there and what is not, where something hangs on the answer. What cannot be looked at, because the disk fails or a
//! folder is closed, is neither: [`Path::exists`] and its like take it for gone.

use crate::source::exclude::plain_path;
use crate::{Code, Error, Result, ResultExt};
use std::fs::{self, Metadata};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

/// As many links Linux follows on one way.
pub const MAX_LINKS: usize = 40;

/// Whether anything has this name, a dangling link included.
///
/// # Errors
///
/// It cannot be looked at; so with all that follow.
pub fn exists(path: &Path) -> Result<bool> {
    itself(path).map(|found| found.is_some())
}

/// Whether there is a folder, perhaps behind a link.
pub fn is_folder(path: &Path) -> Result<bool> {
    follow(path).map(|found| found.is_some_and(|found| found.is_dir()))
}

/// Whether there is a regular file, perhaps behind a link.
pub fn is_file(path: &Path) -> Result<bool> {
    follow(path).map(|found| found.is_some_and(|found| found.is_file()))
}

/// Whether there is a link, whatever it leads to.
pub fn is_link(path: &Path) -> Result<bool> {
    itself(path).map(|found| found.is_some_and(|found| found.is_symlink()))
}

/// Whether there is a folder, and no link to one.
pub fn is_real_folder(path: &Path) -> Result<bool> {
    itself(path).map(|found| found.is_some_and(|found| found.is_dir()))
}

/// What there is, perhaps a link.
pub fn itself(path: &Path) -> Result<Option<Metadata>> {
    found(fs::symlink_metadata(path), path)
}

/// What there is, perhaps behind a link.
pub fn follow(path: &Path) -> Result<Option<Metadata>> {
    found(fs::metadata(path), path)
}

/// The path without links, of what is there.
pub fn real(path: &Path) -> Result<Option<PathBuf>> {
    found(fs::canonicalize(path), path)
}

/// The path without links, as far as it is there and open to us.
pub fn real_as_far(path: &Path) -> Result<PathBuf> {
    let absolute = std::path::absolute(path).at("cannot find", path)?;
    for ancestor in absolute.ancestors() {
        if let (Some(real), Ok(rest)) = (if_open(real(ancestor))?, absolute.strip_prefix(ancestor)) {
            // What does not exist has no links either.
            return Ok(plain_path(&real.join(rest)));
        }
    }
    Ok(plain_path(path))
}

/// As [`real_as_far`], but for the last component, which may be a link.
pub fn real_but_last(path: &Path) -> Result<PathBuf> {
    Ok(real_as_far(path.parent().unwrap_or(path))?.join(path.file_name().unwrap_or_default()))
}

/// As [`real_as_far`], and on through links that lead to nothing: where that which is not there would be.
pub fn real_beyond(path: &Path) -> Result<PathBuf> {
    let mut at = real_as_far(path)?;
    for _ in 0..MAX_LINKS {
        let mut link = None;
        for ancestor in at.ancestors() {
            if let Some(found) = if_open(itself(ancestor))? {
                link = found.is_symlink().then_some(ancestor);
                break;
            }
        }
        let Some(link) = link else { break };
        let text = fs::read_link(link).at("cannot read the link", link)?;
        let rest = at.strip_prefix(link).unwrap_or(Path::new(""));
        at = real_as_far(&link.parent().unwrap_or(link).join(text).join(rest))?;
    }
    Ok(at)
}

/// What is closed to us is nothing to us: neither read nor replaced.
pub fn if_open<T: Default>(looked: Result<T>) -> Result<T> {
    match looked {
        Err(error) if error.code() == Code::Permission => Ok(T::default()),
        looked => looked,
    }
}

/// Makes a folder and those above it. Looks first: of one that is there and cannot be looked at the system says no more
/// than that it exists.
pub fn make_folders(path: &Path, mode: u32, what: &str) -> Result<()> {
    use std::os::unix::fs::DirBuilderExt;
    match fs::metadata(path) {
        Ok(found) if found.is_dir() => return Ok(()),
        Err(cause) if !is_gone(&cause) => return Err(Error::io(what, path, cause)),
        _ => {}
    }
    fs::DirBuilder::new().recursive(true).mode(mode).create(path).at(what, path)
}

fn found<T>(looked: io::Result<T>, path: &Path) -> Result<Option<T>> {
    match looked {
        Ok(found) => Ok(Some(found)),
        Err(cause) if is_gone(&cause) => Ok(None),
        Err(cause) => Err(Error::io("cannot look at", path, cause)),
    }
}

/// The answer of a system that has looked: nothing is there. Links in a circle lead to nothing.
pub fn is_gone(cause: &io::Error) -> bool {
    matches!(cause.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory)
        || cause.raw_os_error() == Some(rustix::io::Errno::LOOP.raw_os_error())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::{PermissionsExt, symlink};

    #[test]
    fn what_cannot_be_looked_at_is_not_taken_for_gone() {
        let top = tempfile::tempdir().expect("a folder");
        let at = |name: &str| top.path().join(name);
        fs::write(at("file"), "").expect("written");
        symlink("nowhere", at("dangling")).expect("linked");
        symlink("circle", at("circle")).expect("linked");
        symlink(".", at("link")).expect("linked");
        assert!(is_folder(&at("link")).expect("seen") && !is_real_folder(&at("link")).expect("seen"));
        assert!(is_real_folder(top.path()).expect("seen") && !is_real_folder(&at("file")).expect("seen"));
        assert!(exists(&at("dangling")).expect("seen") && is_link(&at("circle")).expect("seen"));
        for none in ["dangling", "circle", "none", "file/below"] {
            assert!(!is_folder(&at(none)).expect(none) && !is_file(&at(none)).expect(none), "{none}");
            assert_eq!(real(&at(none)).expect(none), None);
        }
        assert_eq!(
            real_as_far(&at("none/below")).expect("as far"),
            top.path().canonicalize().expect("real").join("none/below")
        );
        // On through links to nothing, which may go in a circle.
        symlink("../away/x", at("out")).expect("linked");
        symlink("out/y", at("way")).expect("linked");
        let real = top.path().canonicalize().expect("real");
        for (path, end) in [
            ("way/z", real.parent().expect("above").join("away/x/y/z")),
            ("dangling", real.join("nowhere")),
            ("circle/x", real.join("circle/x")),
            ("link/none", real.join("none")),
        ] {
            assert_eq!(real_beyond(&at(path)).expect(path), end, "{path}");
        }
        // A name that no file system takes: whether the rest of the path is there, nobody has seen.
        let long = at(&"x".repeat(300));
        for looked in [exists(&long), is_folder(&long), is_file(&long), is_link(&long), is_real_folder(&long)]
        {
            assert!(looked.expect_err("too long").to_string().contains("cannot look at"));
        }
        assert!(
            make_folders(&long, 0o700, "cannot make").is_err()
                && make_folders(&at("file"), 0o700, "cannot make").is_err()
        );
        make_folders(&at("a/b"), 0o700, "cannot make").expect("made");
        make_folders(&at("a/b"), 0o700, "cannot make").expect("is there");
        assert_eq!(fs::metadata(at("a/b")).expect("there").permissions().mode() & 0o777, 0o700);
        assert!(!if_open::<bool>(Err(Error::new(Code::Permission, "closed"))).expect("closed"));
    }
}
