//! The names in one folder, read at once and sorted by their bytes.

use rustix::fd::AsFd;
use rustix::fs::{FileType, RawDir};

/// Names and types, in order. A million names of usual length take some 30 MB, and only while their folder is open.
#[derive(Debug, Default)]
pub struct Names {
    bytes: Vec<u8>,
    /// Where each name lies in `bytes`, and what it is as far as the file system tells.
    index: Vec<(u32, u16, FileType)>,
    next: usize,
}

impl Names {
    /// Reads a folder that was just opened; `buffer` is scratch space.
    pub fn read(dir: impl AsFd, buffer: &mut Vec<u8>) -> rustix::io::Result<Self> {
        let mut names = Names::default();
        buffer.clear();
        let mut entries = RawDir::new(dir, buffer.spare_capacity_mut());
        while let Some(entry) = entries.next() {
            let entry = entry?;
            let name = entry.file_name().to_bytes();
            if name == b"." || name == b".." {
                continue;
            }
            // Neither fails: names have at most 255 bytes, and no folder of 4 GB of them was ever listed.
            let (Ok(at), Ok(len)) = (u32::try_from(names.bytes.len()), u16::try_from(name.len())) else {
                return Err(rustix::io::Errno::FBIG);
            };
            names.bytes.extend_from_slice(name);
            names.index.push((at, len, entry.file_type()));
        }
        let bytes = &names.bytes;
        names.index.sort_unstable_by(|a, b| name_at(bytes, a).cmp(name_at(bytes, b)));
        // A folder that changes while it is read may show a name twice.
        names.index.dedup_by(|a, b| name_at(bytes, a) == name_at(bytes, b));
        Ok(names)
    }

    /// The next name.
    pub fn next(&mut self) -> Option<(&[u8], FileType)> {
        let place = self.index.get(self.next)?;
        self.next += 1;
        Some((name_at(&self.bytes, place), place.2))
    }
}

fn name_at<'n>(bytes: &'n [u8], place: &(u32, u16, FileType)) -> &'n [u8] {
    let at = place.0 as usize;
    bytes.get(at..at + usize::from(place.1)).unwrap_or_default()
}
