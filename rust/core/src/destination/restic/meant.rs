//! Which files restic means: in its messages it has U+FFFD for each byte that is not UTF-8.

use crate::entries;
use std::ffi::OsStr;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::PathBuf;

/// Folders that are listed at most to find names in them.
const LISTED: u32 = 500;
/// Names that are told as one, at most.
const ALIKE: usize = 16;

/// Looks for what is meant, as long as that does not take too long.
#[derive(Debug)]
pub(super) struct Meant {
    left: u32,
}

impl Default for Meant {
    fn default() -> Meant {
        Meant { left: LISTED }
    }
}

impl Meant {
    /// The files of this machine that are told as `path`; where they cannot be found, the folder stands for them.
    pub fn of(&mut self, path: &str) -> Vec<Vec<u8>> {
        let mut found = vec![PathBuf::from("/")];
        for part in path.split('/').filter(|part| !part.is_empty()) {
            if !part.contains(char::REPLACEMENT_CHARACTER) {
                found.iter_mut().for_each(|path| path.push(part));
                continue;
            }
            match self.listed(&found, part) {
                Some(meant) => found = meant,
                None => break,
            }
        }
        found.into_iter().map(|path| path.into_os_string().into_vec()).collect()
    }

    fn listed(&mut self, folders: &[PathBuf], part: &str) -> Option<Vec<PathBuf>> {
        let mut found = Vec::new();
        for folder in folders {
            self.left = self.left.checked_sub(1)?;
            for name in entries::names(folder).ok()? {
                let name = name.ok()?;
                if is_told_as(&name, part) {
                    found.push(folder.join(name));
                }
            }
        }
        (1..=ALIKE).contains(&found.len()).then_some(found)
    }
}

fn is_told_as(name: &OsStr, part: &str) -> bool {
    let told = name.as_bytes().utf8_chunks().flat_map(|chunk| {
        chunk.valid().chars().chain(chunk.invalid().iter().map(|_| char::REPLACEMENT_CHARACTER))
    });
    told.eq(part.chars())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn names_that_are_not_utf_8_are_found() {
        let dir = tempfile::tempdir().expect("a folder");
        let folder = dir.path().join(OsStr::from_bytes(b"d\xe2\x82"));
        fs::create_dir(&folder).expect("made");
        for name in [&b"a\xff"[..], b"a\xfe", "a\u{fffd}".as_bytes(), b"ab", b"a\xff\xff"] {
            fs::write(folder.join(OsStr::from_bytes(name)), "").expect("written");
        }
        let top = dir.path().to_str().expect("plain");
        let mut meant = Meant::default();
        let mut of = |path: &str| {
            let mut found = meant.of(&format!("{top}/{path}"));
            found.sort();
            found.iter().map(|path| path.get(top.len() + 1..).expect("below").to_owned()).collect::<Vec<_>>()
        };
        let below = |name: &[u8]| [b"d\xe2\x82/", name].concat();
        let alike = [below(b"a\xef\xbf\xbd"), below(b"a\xfe"), below(b"a\xff")];
        assert_eq!(of("d\u{fffd}\u{fffd}/a\u{fffd}"), alike);
        assert_eq!(of("d\u{fffd}\u{fffd}/a\u{fffd}\u{fffd}"), [below(b"a\xff\xff")]);
        assert_eq!(of("d\u{fffd}\u{fffd}/ab"), [below(b"ab")]);
        assert_eq!(of("d\u{fffd}\u{fffd}/b\u{fffd}"), [b"d\xe2\x82".to_vec()], "the folder");
        meant.left = 0;
        assert_eq!(meant.of(&format!("{top}/d\u{fffd}\u{fffd}/ab")), [top.as_bytes()]);
    }
}
