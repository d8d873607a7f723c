//! Where other file systems are attached. What lies on one cannot be renamed onto another, and a mount point cannot be
//! renamed at all, so a swap has to know of them before it begins.

use crate::look::{follow, is_gone};
use crate::{Result, ResultExt};
use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// Mount points below `folder`, a path without links, relative to it; none below another. None where there is no /proc.
///
/// # Errors
///
/// What the kernel tells cannot be read.
pub fn below(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut found: Vec<PathBuf> = all()?
        .into_iter()
        .filter_map(|point| point.strip_prefix(folder).ok().map(Path::to_owned))
        .filter(|rest| !rest.as_os_str().is_empty())
        .collect();
    found.sort();
    found.dedup_by(|later, earlier| later.starts_with(&*earlier));
    Ok(found)
}

/// Whether `folder`, a path without links, is a mount point, another file system than its parent's included.
///
/// # Errors
///
/// As of [`below`]; it cannot be looked at.
pub fn is_point(folder: &Path) -> Result<bool> {
    if let Some(parent) = folder.parent()
        && let Some((here, above)) = follow(folder)?.zip(follow(parent)?)
        && here.dev() != above.dev()
    {
        return Ok(true);
    }
    is_listed(folder)
}

/// Whether the kernel lists `folder`, a path without links, as a mount point, without looking at it.
///
/// # Errors
///
/// As of [`below`].
pub fn is_listed(folder: &Path) -> Result<bool> {
    Ok(all()?.iter().any(|point| point == folder))
}

/// What is mounted of a device, by its number: `/dev/sdb1`, `server:/share`.
///
/// # Errors
///
/// As of [`below`].
pub fn source(number: &str) -> Result<Option<String>> {
    // 36 35 98:0 /root /mount options … - type source options
    let text = list()?;
    let found = text.split(|byte| *byte == b'\n').find_map(|line| {
        let mut words = line.split(|byte| *byte == b' ');
        words.nth(2).filter(|word| *word == number.as_bytes())?;
        words.find(|word| *word == b"-")?;
        words.nth(1)
    });
    Ok(found.map(|source| String::from_utf8_lossy(&plain(source)).into_owned()))
}

/// All mount points of this process: the fifth field.
fn all() -> Result<Vec<PathBuf>> {
    let text = list()?;
    let points = text.split(|byte| *byte == b'\n').filter_map(|line| line.split(|byte| *byte == b' ').nth(4));
    Ok(points.map(|point| PathBuf::from(OsStr::from_bytes(&plain(point)))).collect())
}

/// What proc(5) lists, blanks and the like in octal; nothing where there is no /proc.
fn list() -> Result<Vec<u8>> {
    let list = Path::new("/proc/self/mountinfo");
    match fs::read(list) {
        Err(cause) if is_gone(&cause) => Ok(Vec::new()),
        text => text.at("cannot tell what is mounted by", list),
    }
}

/// Takes `\040` and its like out.
fn plain(mut text: &[u8]) -> Vec<u8> {
    let mut plain = Vec::with_capacity(text.len());
    while let Some((first, rest)) = text.split_first() {
        let octal = rest.first_chunk::<3>().filter(|_| *first == b'\\');
        let octal = octal.and_then(|digits| std::str::from_utf8(digits).ok());
        match octal.and_then(|digits| u8::from_str_radix(digits, 8).ok()) {
            Some(byte) => {
                plain.push(byte);
                text = rest.get(3..).unwrap_or_default();
            }
            None => {
                plain.push(*first);
                text = rest;
            }
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_as_the_kernel_writes_them() {
        assert_eq!(plain(br"/srv/my\040files\134x"), br"/srv/my files\x");
        assert_eq!(plain(br"/a\04"), br"/a\04");
    }

    #[test]
    fn proc_is_a_mount_point_and_a_new_folder_is_none() {
        let dir = tempfile::tempdir().expect("a folder");
        let is_point = |path| is_point(path).expect("looked");
        let below = |path| below(path).expect("looked");
        assert!(is_point(Path::new("/proc")) && !is_point(dir.path()));
        assert!(below(Path::new("/")).contains(&PathBuf::from("proc")));
        assert_eq!(below(dir.path()), [] as [PathBuf; 0]);
    }
}
