//! Which paths a backup could not read, in bounded memory: where there are too many, the folder that they lie in stands for
//! them. So a restore leaves rather more than was lost, and never less.

use crate::{Code, Error};
use std::collections::{BTreeMap, BTreeSet};

/// How many paths are kept, of either kind.
const MOST: usize = 1000;
/// Bytes that they may take where they are written down, each byte in up to three.
const MOST_BYTES: usize = 128 << 10;
/// Of what has a longer path, a folder above stands for it.
const LONGEST: usize = 1024;

/// Paths relative to one folder, which is the empty one.
#[derive(Debug, Clone, Default)]
pub struct Unread {
    /// These, with all that is below them.
    whole: BTreeSet<Vec<u8>>,
    bytes: usize,
    /// Files that are in the backup, but not to their end.
    cut: BTreeSet<Vec<u8>>,
    cut_bytes: usize,
}

impl Unread {
    /// Takes in what is missing with all that is below it.
    pub fn add(&mut self, path: &[u8]) {
        let mut path = path;
        while path.len() > LONGEST {
            path = parent(path);
        }
        if self.covers(path) {
            return;
        }
        self.bytes += cost(path);
        self.whole.insert(path.to_vec());
        while self.whole.len() > MOST || self.bytes > MOST_BYTES {
            self.fold();
        }
    }

    /// Takes in a file that is in the backup, but not to its end; no folder can stand for that. `false`: there are too many.
    #[must_use]
    pub fn add_cut(&mut self, path: &[u8]) -> bool {
        let bytes = self.cut_bytes + cost(path);
        if self.cut.len() == MOST || bytes > MOST_BYTES {
            return false;
        }
        self.cut_bytes = bytes;
        self.cut.insert(path.to_vec());
        true
    }

    /// Takes in those of another, whose paths are these below the folder.
    pub fn join(&mut self, other: &Unread) {
        other.whole.iter().for_each(|path| self.add(path));
        for path in &other.cut {
            if !self.add_cut(path) {
                self.add(path);
            }
        }
    }

    /// All of them.
    pub fn paths(&self) -> impl Iterator<Item = &[u8]> {
        self.whole.iter().chain(&self.cut).map(Vec::as_slice)
    }

    /// Whether something stands for `path` already.
    fn covers(&self, path: &[u8]) -> bool {
        let mut path = path;
        loop {
            if self.whole.contains(path) {
                return true;
            }
            if path.is_empty() {
                return false;
            }
            path = parent(path);
        }
    }

    /// Puts folders in the place of what lies in them: those of which most lies in one, else the innermost.
    fn fold(&mut self) {
        let mut counts: BTreeMap<&[u8], usize> = BTreeMap::new();
        for path in &self.whole {
            *counts.entry(parent(path)).or_default() += 1;
        }
        let most = counts.values().copied().max().unwrap_or_default();
        let depth = |folder: &[u8]| folder.iter().filter(|byte| **byte == b'/').count();
        let deepest = counts.keys().map(|folder| depth(folder)).max().unwrap_or_default();
        let folders: Vec<Vec<u8>> = counts
            .into_iter()
            .filter(|(folder, count)| match most {
                1 => depth(folder) == deepest,
                _ => *count >= 2.max(most / 2),
            })
            .map(|(folder, _)| folder.to_vec())
            .collect();
        self.whole.extend(folders);
        let whole = std::mem::take(&mut self.whole);
        self.bytes = 0;
        // In this order what is above comes before what is below it.
        for path in whole {
            if !self.covers(&path) {
                self.bytes += cost(&path);
                self.whole.insert(path);
            }
        }
    }
}

/// The folder of a path; of one in the outermost folder, the empty one.
fn parent(path: &[u8]) -> &[u8] {
    let slash = path.iter().rposition(|byte| *byte == b'/').unwrap_or(0);
    path.get(..slash).unwrap_or_default()
}

/// Bytes that a path takes in a list of a sidecar.
fn cost(path: &[u8]) -> usize {
    let plain = |byte: &&u8| byte.is_ascii_alphanumeric() || b"._-/".contains(byte);
    let plain = path.iter().filter(plain).count();
    plain + 3 * (path.len() - plain) + 1
}

/// What was not read of the site's files, with what to do where nothing better is known.
pub(crate) fn not_read(error: Error) -> Error {
    match (error.code(), error.next_step()) {
        (Code::Permission, _) => error.hint(
            "give the user who runs this access to it, exclude it, or set ignore_errors in the profile to go on without it",
        ),
        (_, None) => error.hint("check the disk, exclude the file, or set ignore_errors in the profile"),
        _ => error,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(paths: impl IntoIterator<Item = String>) -> Unread {
        let mut unread = Unread::default();
        for path in paths {
            unread.add(path.as_bytes());
            assert!(unread.whole.len() <= MOST && unread.bytes <= MOST_BYTES);
        }
        unread
    }

    fn shown(unread: &Unread) -> Vec<String> {
        unread.paths().map(|path| String::from_utf8_lossy(path).into_owned()).collect()
    }

    #[test]
    fn few_are_kept_as_they_are_and_of_many_the_folder() {
        let few = of((0..MOST).map(|n| format!("m/{n}")));
        assert_eq!(few.paths().count(), MOST);
        let many = of((0..3 * MOST).map(|n| format!("m/{n}")).chain(["a/b".into(), "m2".into()]));
        assert_eq!(shown(&many), ["a/b", "m", "m2"]);
        assert_eq!(shown(&of((0..2 * MOST).map(|n| n.to_string()))), [""], "the outermost folder itself");
    }

    #[test]
    fn something_stands_for_each_however_they_lie() {
        let long = "ü".repeat(125);
        let cases: [Box<dyn Fn(usize) -> String>; 4] = [
            Box::new(|n| format!("{}/{n}", n / 2)),
            Box::new(|n| format!("d{n}/e/f/g")),
            Box::new(move |n| format!("{}/{n}", [long.as_str(); 12].join("/"))),
            Box::new(|n| "a/".repeat(n % 700) + &n.to_string()),
        ];
        for (number, case) in cases.iter().enumerate() {
            let all: Vec<String> = (0..5000).map(case).collect();
            let unread = of(all.iter().cloned());
            assert!(all.iter().all(|path| unread.covers(path.as_bytes())), "case {number}");
            let mut again = Unread::default();
            again.join(&unread);
            assert_eq!(shown(&again), shown(&unread), "case {number}");
        }
    }

    #[test]
    fn what_is_cut_stands_for_itself() {
        let mut unread = of((0..2 * MOST).map(|n| format!("m/{n}")));
        assert!((0..MOST).all(|n| unread.add_cut(format!("m/cut{n}").as_bytes())));
        assert!(!unread.add_cut(b"m/one more"));
        assert_eq!(unread.paths().count(), MOST + 1);
    }
}
