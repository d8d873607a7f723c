//! Headers of members: building GNU ones, reading any.

use super::{BLOCK, Entry, EntryKind, field, show};
use crate::{Code, Error, Result};
use tar::{EntryType, Header};

/// The longest name a GNU header holds, and the longest target of a link. Longer ones precede the member.
pub const NAME_LEN: usize = 100;
pub const LINK_LEN: usize = 100;

/// What stands in for the name of the member that holds a long name.
const LONG_LINK: &[u8] = b"././@LongLink";
/// And for that of a pax header; readers that know none make a file of it.
const EXTENDED: &[u8] = b"././@PaxHeader";

/// The path as the tar shows it: folders end in `/`, the folder of everything is `./`.
pub fn stored_path(entry: &Entry) -> Vec<u8> {
    let mut path = if entry.path.is_empty() { b".".to_vec() } else { entry.path.clone() };
    if entry.kind == EntryKind::Directory {
        path.push(b'/');
    }
    path
}

/// The header of `entry`, without a sparse map and without its checksum.
pub fn build(entry: &Entry, user: &[u8], group: &[u8]) -> Result<Header> {
    let (kind, link): (_, &[u8]) = match &entry.kind {
        EntryKind::File { .. } => (EntryType::Regular, b""),
        EntryKind::Sparse { .. } => (EntryType::GNUSparse, b""),
        EntryKind::Directory => (EntryType::Directory, b""),
        EntryKind::Symlink(target) => (EntryType::Symlink, target),
        EntryKind::Hardlink(target) => (EntryType::Link, target),
        EntryKind::Special(_) => return Err(unsupported(entry, "it is no file, folder or link")),
    };
    if entry.path.contains(&0) || link.contains(&0) {
        return Err(unsupported(entry, "a name holds a NUL byte"));
    }
    if i64::try_from(entry.kind.size()).is_err() {
        return Err(unsupported(entry, "it is too large"));
    }
    let mut header = Header::new_gnu();
    header.set_entry_type(kind);
    if let Some(gnu) = header.as_gnu_mut() {
        put(&mut gnu.name, &stored_path(entry));
        put(&mut gnu.linkname, link);
        put(&mut gnu.uname, user);
        put(&mut gnu.gname, group);
        field::write(&mut gnu.mode, i64::from(entry.mode & 0o7777));
        field::write(&mut gnu.uid, i64::from(entry.uid));
        field::write(&mut gnu.gid, i64::from(entry.gid));
        field::write(&mut gnu.size, entry.kind.body_len().cast_signed());
        field::write(&mut gnu.mtime, entry.mtime);
    }
    Ok(header)
}

/// The header of a member of type `L` or `K`, whose content of `size` bytes is a name and a NUL.
pub fn long_name(flag: u8, size: u64) -> Header {
    about_the_next(flag, LONG_LINK, size)
}

/// The header of a member of type `x`, whose content of `size` bytes is records about the next one.
pub fn extended(size: u64) -> Header {
    about_the_next(b'x', EXTENDED, size)
}

fn about_the_next(flag: u8, name: &[u8], size: u64) -> Header {
    let mut header = Header::new_gnu();
    header.set_entry_type(EntryType::new(flag));
    if let Some(gnu) = header.as_gnu_mut() {
        put(&mut gnu.name, name);
        field::write(&mut gnu.mode, 0o644);
        field::write(&mut gnu.uid, 0);
        field::write(&mut gnu.gid, 0);
        field::write(&mut gnu.size, size.cast_signed());
        field::write(&mut gnu.mtime, 0);
    }
    header.set_cksum();
    header
}

/// As much of `text` as fits.
fn put(slot: &mut [u8], text: &[u8]) {
    slot.iter_mut().zip(text).for_each(|(slot, byte)| *slot = *byte);
}

/// Whether the checksum is right: the sum of all bytes, its own field counted as spaces. Some old writers summed
/// signed bytes.
pub fn checksum_is_right(block: &[u8; BLOCK]) -> bool {
    let own = 148..156;
    let Some(stated) = block.get(own.clone()).and_then(field::parse) else { return false };
    let (mut unsigned, mut signed) = (0i64, 0i64);
    for (i, &byte) in block.iter().enumerate() {
        let byte = if own.contains(&i) { b' ' } else { byte };
        unsigned += i64::from(byte);
        signed += i64::from(byte.cast_signed());
    }
    stated == unsigned || stated == signed
}

/// A text field up to its first NUL.
pub fn text(field: &[u8]) -> &[u8] {
    field.split(|b| *b == 0).next().unwrap_or_default()
}

/// A member's path without what means nothing: leading `/` and `./`, doubled and trailing `/`, `.` in between.
/// `..` stays, for the reader of the archive to judge.
pub fn clean_path(raw: &[u8]) -> Vec<u8> {
    let mut clean = Vec::with_capacity(raw.len());
    for part in raw.split(|b| *b == b'/').filter(|part| !part.is_empty() && *part != b".") {
        if !clean.is_empty() {
            clean.push(b'/');
        }
        clean.extend_from_slice(part);
    }
    clean
}

/// For members that cannot be written.
fn unsupported(entry: &Entry, why: &str) -> Error {
    Error::new(Code::Unsupported, format!("cannot archive {}: {why}", show(&entry.path)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_lose_what_means_nothing() {
        for (raw, clean) in [
            ("./", ""),
            (".", ""),
            ("/etc//passwd", "etc/passwd"),
            ("./a/./b/", "a/b"),
            ("a/../b", "a/../b"),
            ("...", "..."),
        ] {
            assert_eq!(clean_path(raw.as_bytes()), clean.as_bytes(), "{raw}");
        }
    }

    #[test]
    fn a_name_with_a_nul_is_refused_and_not_cut() {
        let entry = |path: &str, target: &str| Entry {
            path: path.into(),
            kind: EntryKind::Symlink(target.into()),
            mode: 0o777,
            uid: 0,
            gid: 0,
            mtime: 0,
            extras: Default::default(),
        };
        for (path, target, good) in [("a", "b", true), ("a\0", "b", false), ("a", "b\0", false)] {
            assert_eq!(build(&entry(path, target), b"", b"").is_ok(), good, "{path:?} to {target:?}");
        }
    }
}
