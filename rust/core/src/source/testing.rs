//! Trees to test with: made at random from a seed, and compared in everything a backup must bring back.

use rustix::fs::{FileType, SeekFrom};
use std::collections::{BTreeMap, HashMap};
use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileExt, MetadataExt, PermissionsExt, chown, symlink};
use std::path::{Path, PathBuf};

/// A small generator (SplitMix64): the same tree from the same seed, everywhere.
pub struct Random(pub u64);

impl Random {
    pub fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % end
    }

    fn name(&mut self) -> Vec<u8> {
        const UGLY: [&[u8]; 12] = [
            b" ",
            b"\n",
            b"\\",
            b"\"",
            b"'",
            b"*",
            b"\xff\xfe",
            "ünï".as_bytes(),
            "\u{1F600}".as_bytes(),
            b"-rf",
            b"\x1b[31m",
            b"%s",
        ];
        let mut name = Vec::new();
        for _ in 0..=self.below(4) {
            match self.below(3) {
                0 => name.extend_from_slice(UGLY[self.below(UGLY.len() as u64) as usize]),
                _ => name.extend((0..=self.below(9)).map(|_| b"abcXYZ019._"[self.below(11) as usize])),
            }
        }
        if self.below(12) == 0 {
            name.resize(200 + self.below(56) as usize, b'n');
        }
        if name == b"." || name == b".." { b"dots".to_vec() } else { name }
    }

    fn content(&mut self) -> Vec<u8> {
        let len = match self.below(8) {
            0 => 0,
            1 => 512,
            2 => 511 + self.below(3),
            3 => self.below(300_000),
            _ => self.below(5000),
        };
        (0..len).map(|_| self.below(256) as u8).collect()
    }
}

/// Fills `root` with some 150 files, folders and links of every kind that the file system has.
pub fn random_tree(root: &Path, seed: u64) {
    let mut random = Random(seed);
    let mut folders = vec![root.to_path_buf()];
    let mut files: Vec<PathBuf> = Vec::new();
    for _ in 0..150 {
        let folder = folders[random.below(folders.len() as u64) as usize].clone();
        let path = folder.join(OsStr::from_bytes(&random.name()));
        if path.symlink_metadata().is_ok() || path.as_os_str().len() > 3500 {
            continue;
        }
        match random.below(10) {
            0..=2 => {
                fs::create_dir(&path).unwrap();
                folders.push(path);
            }
            3 => {
                let target = [OsStr::from_bytes(b"dangling \xfe"), OsStr::new("."), OsStr::new("..")];
                symlink(target[random.below(if folder == root { 2 } else { 3 }) as usize], &path).unwrap();
            }
            4 if !files.is_empty() => {
                fs::hard_link(&files[random.below(files.len() as u64) as usize], &path).unwrap();
            }
            5 => {
                let file = fs::File::create(&path).unwrap();
                file.write_all_at(&random.content(), random.below(1 << 22)).unwrap();
                file.set_len(1 << 22 | random.below(5000)).unwrap();
                files.push(path);
            }
            _ => {
                fs::write(&path, random.content()).unwrap();
                files.push(path);
            }
        }
    }
    let modes = [0o644, 0o600, 0o755, 0o400, 0o777, 0o000];
    for path in files.iter().rev().chain(folders.iter().rev()) {
        if rustix::process::geteuid().is_root() {
            let (uid, gid) = (random.below(3) as u32 * 1_000_003, random.below(3) as u32 * 33);
            chown(path, Some(uid), Some(gid)).unwrap();
        }
        let mode = modes[random.below(if path.is_dir() { 3 } else { 6 }) as usize];
        let mode = if path.is_dir() { mode | 0o2700 } else { mode | 0o400 };
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
        let mtime = std::time::UNIX_EPOCH + std::time::Duration::from_secs(random.below(1_600_000_000));
        let times = fs::FileTimes::new().set_modified(mtime);
        fs::File::open(path).unwrap().set_times(times).unwrap();
    }
}

/// Everything below `root`, by path, as text that shows at once what differs. Holes count; blocks do not.
pub fn snapshot(root: &Path) -> BTreeMap<PathBuf, String> {
    let mut found = BTreeMap::new();
    let mut first_names = HashMap::new();
    let mut waiting = vec![root.to_path_buf()];
    while let Some(path) = waiting.pop() {
        let meta = path.symlink_metadata().unwrap();
        let name = path.strip_prefix(root).unwrap().to_path_buf();
        let what = match FileType::from_raw_mode(meta.mode()) {
            FileType::Directory => {
                waiting.extend(fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
                "folder".to_owned()
            }
            FileType::Symlink => format!("link to {:?}", fs::read_link(&path).unwrap()),
            FileType::RegularFile => {
                let file = fs::File::open(&path).unwrap();
                let holes = rustix::fs::seek(&file, SeekFrom::Hole(0)).unwrap_or(meta.len()) < meta.len();
                let mut sum = crc32fast::Hasher::new();
                sum.update(&fs::read(&path).unwrap());
                format!(
                    "file of {} bytes, sum {:x}, holes {holes}, {} names",
                    meta.len(),
                    sum.finalize(),
                    meta.nlink()
                )
            }
            other => format!("{other:?}"),
        };
        if meta.is_file() {
            first_names.entry(meta.ino()).or_insert_with(Vec::new).push(name.clone());
        }
        let mode = if meta.is_symlink() { 0 } else { meta.mode() & 0o7777 };
        let of = format!("{what}, {mode:o} {}:{} at {}", meta.uid(), meta.gid(), meta.mtime());
        found.insert(name, of);
    }
    for mut names in first_names.into_values().filter(|names| names.len() > 1) {
        names.sort();
        for name in &names {
            found.get_mut(name).unwrap().push_str(&format!(", one file: {names:?}"));
        }
    }
    found
}

/// Asserts that two trees are the same, and says in few words where they are not.
pub fn assert_same(one: &Path, other: &Path) {
    let (one, other) = (snapshot(one), snapshot(other));
    for (path, what) in &one {
        assert_eq!(Some(what), other.get(path), "{path:?}");
    }
    for path in other.keys() {
        assert!(one.contains_key(path), "{path:?} is too much");
    }
    assert!(one.len() > 1, "nothing was compared");
}
