//! The access control lists and extended attributes of an open file or folder.
//!
//! Kept are `user.…`, access control lists, `security.capability` and `trusted.…`. What else the kernel lists belongs to
//! the machine: SELinux's labels follow from paths, integrity measurements from the machine's key, an overlay's marks
//! from its layers.

use crate::archive::Attribute;
use rustix::fd::AsFd;
use rustix::fs::{fgetxattr, flistxattr};
use rustix::io::Errno;

/// Names in one list, in bytes (Linux, XATTR_LIST_MAX), and the longest value (XATTR_SIZE_MAX).
const LONGEST: usize = 64 * 1024;

/// Lists of other kinds than POSIX's, which no other file system takes and no archive has a place for: NFSv4's (also of
/// ZFS), rich ACLs, those of CIFS, of NTFS and of AFS.
const FOREIGN: [&[u8]; 9] = [
    b"system.nfs4_acl",
    b"system.nfs4acl",
    b"system.nfs4_dacl",
    b"system.nfs4_sacl",
    b"system.nfs4acl_xdr",
    b"system.richacl",
    b"system.cifs_acl",
    b"system.ntfs_acl",
    b"afs.acl",
];

/// Whether an access control list is there that is not kept; its name. File systems show one for every file, also where it
/// says no more than the permission bits do, which only they can tell.
pub fn foreign_list(file: impl AsFd) -> Option<&'static str> {
    let mut names = [0u8; 1024];
    let len = flistxattr(&file, &mut names[..]).ok()?;
    foreign_in(names.get(..len)?)
}

fn foreign_in(names: &[u8]) -> Option<&'static str> {
    let listed = |foreign: &&&[u8]| names.split(|byte| *byte == 0).any(|name| name == **foreign);
    std::str::from_utf8(FOREIGN.iter().find(listed)?).ok()
}

/// Reads them; nothing where the file system has none. What vanishes meanwhile is left out.
///
/// # Errors
///
/// They cannot be read, because the disk fails, say.
pub fn of(file: impl AsFd) -> Result<Vec<Attribute>, Errno> {
    let (mut few, mut many) = ([0u8; 256], Vec::new());
    let mut listed = flistxattr(&file, &mut few[..]);
    if listed == Err(Errno::RANGE) {
        many = vec![0u8; LONGEST];
        listed = flistxattr(&file, &mut many[..]);
    }
    let names = if many.is_empty() { &few[..] } else { &many };
    let len = if_any(listed)?.unwrap_or(0);
    named(&file, names.get(..len).unwrap_or_default())
}

/// `None`: there are none, none that we may see, or what is there was replaced by a longer one meanwhile.
fn if_any(read: Result<usize, Errno>) -> Result<Option<usize>, Errno> {
    match read {
        Ok(len) => Ok(Some(len)),
        Err(
            Errno::NODATA
            | Errno::NOTSUP
            | Errno::NOSYS
            | Errno::PERM
            | Errno::ACCESS
            | Errno::INVAL
            | Errno::NOENT
            | Errno::RANGE
            | Errno::TOOBIG,
        ) => Ok(None),
        Err(cause) => Err(cause),
    }
}

fn named(file: &impl AsFd, names: &[u8]) -> Result<Vec<Attribute>, Errno> {
    let mut found = Vec::new();
    let names = names.split(|b| *b == 0).filter(|name| !name.is_empty() && is_kept(name));
    for name in names {
        let mut value = vec![0u8; 1024];
        let mut read = fgetxattr(file, name, &mut value[..]);
        if read == Err(Errno::RANGE) {
            value = vec![0u8; LONGEST];
            read = fgetxattr(file, name, &mut value[..]);
        }
        if let Some(len) = if_any(read)? {
            value.truncate(len);
            value.shrink_to_fit();
            found.push(Attribute { name: name.to_vec(), value });
        }
    }
    found.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(found)
}

fn is_kept(name: &[u8]) -> bool {
    name.starts_with(b"user.")
        || name.starts_with(b"system.posix_acl_")
        || name == b"security.capability"
        || (name.starts_with(b"trusted.") && !name.starts_with(b"trusted.overlay."))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn none_is_no_failure_and_a_failure_is_not_none() {
        let file = std::fs::File::open("/proc/self/status").expect("opened");
        assert_eq!(of(&file), Ok(Vec::new()));
        assert_eq!((if_any(Err(Errno::NOTSUP)), if_any(Err(Errno::IO))), (Ok(None), Err(Errno::IO)));
    }

    /// As flistxattr(2) gives them.
    #[test]
    fn lists_that_are_not_kept_are_seen() {
        assert_eq!(foreign_in(b"user.a\0system.nfs4_acl\0"), Some("system.nfs4_acl"));
        assert_eq!(foreign_in(b"system.posix_acl_access\0user.system.richacl\0"), None);
        assert_eq!(foreign_in(b""), None);
    }
}
