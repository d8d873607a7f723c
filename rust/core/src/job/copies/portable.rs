//! The program that lies beside an exported backup: one that runs on any Linux of this kind of processor, where there is one.

use crate::look;
use crate::{Result, ResultExt};
use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};

/// Where a static program is looked for, from the folder above `bin`.
pub const STATIC: &str = "lib/bam/static/bam";
/// Of an ELF file's program headers (elf(5)): the one that names the loader of shared libraries.
const PT_INTERP: u32 = 3;
/// Header and program headers lie at the start; there are about a dozen, of 56 bytes.
const HEAD: u64 = 4096;

/// The static program that is installed with `program`, else `program` itself.
pub fn best(program: &Path) -> PathBuf {
    let installed = program.ancestors().nth(2).map(|prefix| prefix.join(STATIC));
    installed.filter(|path| look::is_file(path).unwrap_or(false)).unwrap_or_else(|| program.to_owned())
}

/// Whether a program needs no shared library. False where it is none that can be read as one of 64 bits.
///
/// # Errors
/// The file cannot be read.
pub fn is_static(program: &Path) -> Result<bool> {
    let mut head = Vec::new();
    let file = File::open(program).at("cannot open", program)?;
    file.take(HEAD).read_to_end(&mut head).at("cannot read", program)?;
    Ok(headers(&head).is_some_and(|mut types| !types.any(|kind| kind == PT_INTERP)))
}

/// The types of an ELF file's program headers.
fn headers(head: &[u8]) -> Option<impl Iterator<Item = u32> + '_> {
    // 64 bits, least significant byte first.
    head.strip_prefix(b"\x7fELF\x02\x01")?;
    let number = |at: usize, length: usize| {
        let bytes = head.get(at..at.checked_add(length)?)?;
        bytes.iter().rev().try_fold(0_usize, |sum, byte| Some((sum << 8) | usize::from(*byte)))
    };
    let (start, size, count) = (number(0x20, 8)?, number(0x36, 2)?, number(0x38, 2)?);
    let end = size.checked_mul(count)?.checked_add(start)?;
    let table = head.get(start..end).filter(|_| size >= 4)?;
    Some(
        table
            .chunks_exact(size)
            .filter_map(|header| header.first_chunk().map(|kind| u32::from_le_bytes(*kind))),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn programs_are_told_by_their_loader() {
        let folder = tempfile::tempdir().expect("a folder");
        let bin = folder.path().join("bin/bam");
        fs::create_dir_all(folder.path().join("bin")).expect("a folder");
        fs::copy("/bin/sh", &bin).expect("a copy");
        assert!(!is_static(&bin).expect("read"), "a shell has a loader");
        assert_eq!(best(&bin), bin);
        // The same without it: the header is of another type.
        let mut bytes = fs::read(&bin).expect("read");
        let start = usize::from(bytes[0x20]);
        let at = (start..).step_by(56).find(|at| bytes[*at] == 3).expect("a loader");
        bytes[at] = 0;
        let portable = folder.path().join(STATIC);
        fs::create_dir_all(portable.parent().expect("above")).expect("a folder");
        fs::write(&portable, &bytes).expect("written");
        assert!(is_static(&portable).expect("read"));
        assert_eq!(best(&bin), portable);
        for odd in [&b"#!/bin/sh\n"[..], b"", b"\x7fELF\x02\x01\x01"] {
            fs::write(&bin, odd).expect("written");
            assert!(!is_static(&bin).expect("read"), "{odd:?}");
        }
    }
}
