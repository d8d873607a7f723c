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

/// Reads them; nothing where the file system has none. What vanishes meanwhile is left out.
pub fn of(file: impl AsFd) -> Vec<Attribute> {
    let mut few = [0u8; 256];
    let mut found = Vec::new();
    match flistxattr(&file, &mut few[..]) {
        Ok(0) => {}
        Ok(len) => named(&file, few.get(..len).unwrap_or_default(), &mut found),
        Err(Errno::RANGE) => {
            let mut many = vec![0u8; LONGEST];
            if let Ok(len) = flistxattr(&file, &mut many[..]) {
                named(&file, many.get(..len).unwrap_or_default(), &mut found);
            }
        }
        Err(_) => {}
    }
    found
}

fn named(file: &impl AsFd, names: &[u8], found: &mut Vec<Attribute>) {
    let names = names.split(|b| *b == 0).filter(|name| !name.is_empty() && is_kept(name));
    for name in names {
        let mut value = vec![0u8; 1024];
        let mut read = fgetxattr(file, name, &mut value[..]);
        if read == Err(Errno::RANGE) {
            value = vec![0u8; LONGEST];
            read = fgetxattr(file, name, &mut value[..]);
        }
        if let Ok(len) = read {
            value.truncate(len);
            value.shrink_to_fit();
            found.push(Attribute { name: name.to_vec(), value });
        }
    }
    found.sort_by(|a, b| a.name.cmp(&b.name));
}

fn is_kept(name: &[u8]) -> bool {
    name.starts_with(b"user.")
        || name.starts_with(b"system.posix_acl_")
        || name == b"security.capability"
        || (name.starts_with(b"trusted.") && !name.starts_with(b"trusted.overlay."))
}
