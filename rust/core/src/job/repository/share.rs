//! A part of a backup, read without the rest: single files, the folders that hold what is wanted, the dump.

use super::{About, Kept, plain};
use crate::archive::Entry;
use crate::destination::snapshots::Node;
use crate::job::member_path::{below, join};
use crate::{Monitor, Result, archive};
use std::collections::HashSet;
use std::io::{Cursor, Read};

/// Bytes of a header in a tar (POSIX.1-2017, pax, "ustar Interchange Format").
const TAR_BLOCK: usize = 512;

/// What of a backup is read.
#[derive(Debug, Clone, Default)]
pub struct Share {
    /// Folders of the snapshot, none below another; all that is in them. `None`: everything.
    pub folders: Option<Vec<Vec<u8>>>,
    /// Without the dump.
    pub no_database: bool,
}

impl Share {
    /// What says how it is laid out, and nothing else.
    pub fn nothing() -> Share {
        Share { folders: Some(Vec::new()), no_database: true }
    }

    /// The dump alone.
    pub fn database() -> Share {
        Share { no_database: false, ..Share::nothing() }
    }
}

impl About {
    /// Real paths that a path of the archive may have come from.
    fn real_paths(&self, member: &[u8]) -> Vec<Vec<u8>> {
        let of_place = |(real, at): &(Vec<u8>, Vec<u8>)| Some(join(real, below(member, at)?));
        let is_it = |real: &Vec<u8>| {
            let places = self.places_of(plain(real));
            places.iter().any(|place| place == member)
        };
        let again = self.again.iter().filter_map(|again| Some(join(&again.real, below(member, &again.at)?)));
        let mut found: Vec<_> = self.places.iter().filter_map(of_place).chain(again).filter(is_it).collect();
        found.dedup();
        found
    }
}

impl Kept {
    /// Reads a plain file by its path in the archive. `None` where it is none, or another name of one that is stored
    /// elsewhere: reading the archive tells.
    pub fn file(&self, member: &[u8], monitor: &Monitor) -> Result<Option<Box<dyn Read + Send>>> {
        let snapshots = self.snapshots()?;
        if let (Some(database), Some((name, _))) = (&self.database, &self.about.database)
            && name.as_bytes() == member
        {
            return snapshots.read(database, &join(b"/", member)).map(Some);
        }
        let Some(files) = &self.files else { return Ok(None) };
        if self.about.links.iter().any(|link| link.path == member) {
            return Ok(None);
        }
        for real in self.about.real_paths(member) {
            monitor.check()?;
            let mut content = snapshots.read(files, &real)?;
            let mut first = Vec::new();
            let read = content.by_ref().take(TAR_BLOCK as u64).read_to_end(&mut first);
            monitor.check()?;
            // To ask what it is takes as long as to read it: each opens the repository.
            let is_file = (read.is_ok() && !may_be_a_folder(&first)) || {
                let node = snapshots.nodes_below(files, &real)?.next();
                node.is_some_and(|node| node.is_file && node.path.as_bytes() == real)
            };
            if is_file {
                read?;
                return Ok(Some(Box::new(Cursor::new(first).chain(content))));
            }
        }
        Ok(None)
    }

    /// The folders that hold what `wanted` wants of the archive's paths, by the names of it alone; a few of the files around
    /// come along. `None` where names do not tell, and the whole has to be read.
    pub fn around(
        &self,
        wanted: &mut dyn FnMut(&[u8]) -> bool,
        monitor: &Monitor,
    ) -> Result<Option<Vec<Vec<u8>>>> {
        let Some(files) = &self.files else { return Ok(Some(Vec::new())) };
        let links: HashSet<&[u8]> = self.about.links.iter().map(|link| link.path.as_slice()).collect();
        let mut folders: Vec<Vec<u8>> = Vec::new();
        let mut inside: Option<Vec<u8>> = None;
        for node in self.snapshots()?.nodes(files)? {
            monitor.check()?;
            let path = node.path.as_bytes();
            if inside.as_deref().is_some_and(|folder| below(path, folder).is_some()) {
                continue;
            }
            let mut members = self.about.places_of(plain(path));
            members.retain(|member| !links.contains(member.as_slice()));
            // Each is asked for: what was wanted and not found is told.
            if members.iter().filter(|member| wanted(member)).count() == 0 {
                continue;
            }
            // Bytes that are no UTF-8 come replaced: nobody can ask for them by that.
            if node.path.contains('\u{fffd}') {
                return Ok(None);
            }
            inside = Some(path.to_vec());
            let parent = path.iter().rposition(|byte| *byte == b'/').unwrap_or_default();
            folders.push(path.get(..parent.max(1)).unwrap_or(b"/").to_vec());
        }
        Ok(Some(outermost(folders)))
    }

    /// The members of a folder of the snapshot; of all of it with `None`.
    pub(super) fn members(
        &self,
        files: &str,
        folder: Option<&[u8]>,
        each: &mut dyn FnMut(Entry, &mut dyn Read) -> Result<()>,
    ) -> Result<()> {
        let snapshots = self.snapshots()?;
        let folder = folder.filter(|folder| *folder != b"/");
        let mut reader = archive::Reader::new(snapshots.read_tar(files, folder)?);
        let mut nodes = match folder {
            None => Some(snapshots.nodes(files)?),
            Some(folder) => {
                let mut nodes = snapshots.nodes_below(files, folder)?;
                // The tar begins with what is in it.
                let first = nodes.next().filter(|first| first.path.as_bytes() == folder);
                first.is_some().then_some(nodes)
            }
        };
        while let Some(mut member) = reader.next_member()? {
            match nodes.as_mut().and_then(Iterator::next).filter(|node| is_of(node, &member.entry)) {
                Some(node) => {
                    member.entry.mtime = node.mtime;
                    member.entry.extras.nanos = node.nanos;
                }
                // The two are not in step: times stay as they were rounded.
                None => nodes = None,
            }
            each(member.entry, &mut reader)?;
        }
        Ok(())
    }
}

/// Whether what comes for a path, by its first [`TAR_BLOCK`] bytes, may be a folder: that comes as a tar, an empty one as zeros.
fn may_be_a_folder(first: &[u8]) -> bool {
    let is_header = first.get(257..262).is_some_and(|magic| magic == b"ustar");
    first.len() == TAR_BLOCK && (is_header || first.iter().all(|byte| *byte == 0))
}

/// Folders without those that lie in another of them.
pub(super) fn outermost(mut folders: Vec<Vec<u8>>) -> Vec<Vec<u8>> {
    // Each comes before what lies in it.
    folders.sort();
    let mut outer: Vec<Vec<u8>> = Vec::new();
    for folder in folders {
        if !outer.iter().any(|known| known == b"/" || below(&folder, known).is_some()) {
            outer.push(folder);
        }
    }
    outer
}

/// Whether both mean the same: a path that is no UTF-8 is only told by what else they say.
fn is_of(node: &Node, entry: &Entry) -> bool {
    let same = std::str::from_utf8(&entry.path).is_ok_and(|path| node.path.trim_start_matches('/') == path);
    (same || node.path.contains('\u{fffd}')) && node.mtime.abs_diff(entry.mtime) <= 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_folder_is_read_twice() {
        let outer = |folders: &[&str]| {
            outermost(folders.iter().map(|folder| folder.as_bytes().to_vec()).collect())
                .into_iter()
                .map(|folder| String::from_utf8_lossy(&folder).into_owned())
                .collect::<Vec<_>>()
        };
        assert_eq!(outer(&["/a/c", "/a-b", "/a", "/a"]), ["/a", "/a-b"]);
        assert_eq!(outer(&["/x", "/", "/y/z"]), ["/"]);
    }

    #[test]
    fn a_path_of_the_archive_is_found_where_it_really_lies() {
        let places = vec![
            (b"/var/www".to_vec(), b"docroot".to_vec()),
            (b"/srv/f".to_vec(), b"docroot/files".to_vec()),
        ];
        let about = About { places, ..About::default() };
        let real = |path: &[u8]| about.real_paths(path);
        assert_eq!(real(b"docroot/index.php"), [b"/var/www/index.php".to_vec()]);
        assert!(real(b"docroot/files/a").contains(&b"/srv/f/a".to_vec()));
        assert!(real(b"private/a").is_empty());
        let alone = About { places: vec![(b"/f".to_vec(), Vec::new())], ..About::default() };
        assert_eq!(alone.real_paths(b"a/b"), [b"/f/a/b".to_vec()]);
    }
}
