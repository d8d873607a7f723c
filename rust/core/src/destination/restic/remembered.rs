//! Files of the state folder that tell whether they are what was written: one that a full disk or a fault cut short or
//! changed counts as none, and what it held is found out again.

use crate::catalog::{digest_of_hex, hex};
use crate::regular;
use crate::{Result, ResultExt, whole_file};
use sha2::{Digest, Sha256};
use std::io::{Read, Write};
use std::path::Path;

/// Bytes before the content: its SHA-256 in hexadecimal digits, and a line break.
const HEAD: usize = 65;

/// Writes it whole.
pub(super) fn write(file: &Path, content: &[u8]) -> Result<()> {
    let head = format!("{}\n", hex(&Sha256::digest(content)));
    whole_file::write(file, true, |out| {
        out.write_all(head.as_bytes()).and_then(|()| out.write_all(content)).at("cannot write", file)
    })
}

/// What was written, where that is no more than `most` bytes.
pub(super) fn read(file: &Path, most: u64) -> Option<Vec<u8>> {
    let mut text = Vec::new();
    regular::open(file).ok()?.take(most.saturating_add(HEAD as u64)).read_to_end(&mut text).ok()?;
    let (head, content) = text.split_at_checked(HEAD)?;
    let digest = digest_of_hex(head.strip_suffix(b"\n")?)?;
    (Sha256::digest(content).as_slice() == digest).then(|| content.to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn only_what_was_written_is_remembered() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("x");
        assert_eq!(read(&file, 9), None);
        for content in [b"".as_slice(), b"a\nb"] {
            write(&file, content).expect("written");
            assert_eq!(read(&file, 9).as_deref(), Some(content));
        }
        assert_eq!(read(&file, 2), None, "longer than anything that was written");
        let good = fs::read(&file).expect("there");
        for length in 0..good.len() {
            fs::write(&file, good.get(..length).unwrap_or_default()).expect("cut");
            assert_eq!(read(&file, 9), None, "{length}");
        }
        for at in 0..good.len() {
            let mut bad = good.clone();
            bad.iter_mut().skip(at).take(1).for_each(|byte| *byte ^= 1);
            fs::write(&file, bad).expect("changed");
            assert_eq!(read(&file, 9), None, "{at}");
        }
    }
}
