//! Where on the site the members of an archive go.

use super::apply::Target;
use crate::archive::{Layout, Part, Place, show};
use crate::source::exclude::plain_path;
use crate::{Monitor, NoteKind};
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// The folders that an archive is put into.
pub struct Folders {
    /// In the order of the extractor's roots; none lies in another.
    pub live: Vec<PathBuf>,
    /// Path of the public files in the docroot of the archive.
    public_in_archive: Vec<u8>,
    docroot: Option<Place>,
    public: Option<Place>,
    private: Option<Place>,
    /// For files archives.
    files: Option<Place>,
    /// `CONF_PATH/settings.php` in the archive, where the live one stays.
    settings: Option<Vec<u8>>,
}

impl Folders {
    /// What `target` wants of an archive of this layout.
    pub fn of(target: &Target<'_>, layout: &Layout, monitor: &Monitor) -> Folders {
        let site = &target.document.site;
        let mut folders = Folders {
            live: Vec::new(),
            public_in_archive: Vec::new(),
            docroot: None,
            public: None,
            private: None,
            files: None,
            settings: None,
        };
        let archive = match layout {
            Layout::Site(archive) => archive,
            Layout::Files { .. } => {
                folders.files = target.folder.clone().map(|folder| folders.add(folder));
                return folders;
            }
        };
        folders.public_in_archive.clone_from(&archive.public);
        let private = archive.private.as_ref().and(site.private_dir()).map(|path| plain_path(&path));
        if archive.private.is_some() && private.is_none() {
            monitor.note(
                NoteKind::Missing,
                "the backup holds private files, but the site has no private path: they are left out",
            );
        }
        if target.code {
            folders.docroot = Some(folders.add(plain_path(&site.root)));
        }
        let public = plain_path(&site.public_dir());
        // The outer one first: a folder is replaced with all that is in it.
        match private {
            Some(private) if public.starts_with(&private) => {
                folders.private = Some(folders.add(private));
                folders.public = Some(folders.add(public));
            }
            private => {
                folders.public = Some(folders.add(public));
                folders.private = private.map(|private| folders.add(private));
            }
        }
        let conf_path = site.conf_path_or_default().trim_matches('/');
        if target.code && conf_path.as_bytes() != archive.conf_path {
            let text = format!(
                "the backup is of the site in {}, this one is in {conf_path}: public files go where they belong here, \
                 everything else into the folder it was in",
                show(&archive.conf_path)
            );
            monitor.note(NoteKind::Warning, text);
        }
        if !target.settings && site.conf_dir().join("settings.php").exists() {
            folders.settings = Some([archive.conf_path.as_slice(), b"/settings.php"].concat());
        }
        folders
    }

    /// A folder to restore into: one of its own, or a place in one that is there already.
    fn add(&mut self, folder: PathBuf) -> Place {
        for (root, outer) in self.live.iter().enumerate() {
            if let Ok(path) = folder.strip_prefix(outer) {
                return Place { root, path: path.as_os_str().as_bytes().to_vec() };
            }
        }
        self.live.push(folder);
        Place { root: self.live.len() - 1, path: Vec::new() }
    }

    /// Where a member goes.
    pub fn place(&self, part: Part<'_>) -> Option<Place> {
        let at = |place: &Option<Place>, rest: &[u8]| {
            place.as_ref().map(|Place { root, path }| Place { root: *root, path: join(path, rest) })
        };
        match part {
            Part::File(rest) => at(&self.files, rest),
            Part::Private(rest) => at(&self.private, rest),
            Part::Docroot(path) if self.settings.as_deref() == Some(path) => None,
            Part::Docroot(path) => match below(path, &self.public_in_archive) {
                Some(rest) => at(&self.public, rest),
                None => at(&self.docroot, path),
            },
            _ => None,
        }
    }

    /// The live path of a place.
    pub fn live_path(&self, place: &Place) -> PathBuf {
        let root = self.live.get(place.root).map_or(Path::new(""), PathBuf::as_path);
        match place.path.as_slice() {
            b"" => root.to_owned(),
            path => root.join(OsStr::from_bytes(path)),
        }
    }
}

/// What is left of `path` below `folder`: nothing for the folder itself.
pub fn below<'p>(path: &'p [u8], folder: &[u8]) -> Option<&'p [u8]> {
    match path.strip_prefix(folder)? {
        b"" => Some(b""),
        rest if folder.is_empty() => Some(rest),
        rest => rest.strip_prefix(b"/"),
    }
}

/// `rest` below `folder`.
pub fn join(folder: &[u8], rest: &[u8]) -> Vec<u8> {
    match (folder, rest) {
        (folder, b"") => folder.to_vec(),
        (b"", rest) => rest.to_vec(),
        (folder, rest) => [folder, b"/", rest].concat(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::archive::{Entry, EntryKind, Survey};
    use crate::config::Document;

    /// Where a member of a site archive lands on a site.
    fn landed(site: serde_json::Value, code: bool, member: &str) -> Option<PathBuf> {
        let manifest = "[Site 0]\ndocroot = docroot\nsitedir = sites/default\nfiles-public = docroot/sites/default/files\n\
                        bam-files-private = private\n";
        let mut survey = Survey::default();
        let kind = EntryKind::File { size: manifest.len() as u64 };
        let entry = Entry { path: b"MANIFEST.ini".to_vec(), kind, mode: 0o644, uid: 0, gid: 0, mtime: 0 };
        survey.observe(&entry, &mut manifest.as_bytes()).expect("a manifest");
        let layout = survey.layout();
        let document: Document =
            serde_json::from_value(serde_json::json!({"site": site})).expect("a document");
        let target = Target {
            document: &document,
            state_dir: Path::new("/"),
            id: String::new(),
            database: String::new(),
            folder: None,
            code,
            settings: false,
            tables: &[],
            translate: true,
            authentic: false,
            keep: &|_| Vec::new(),
        };
        let folders = Folders::of(&target, &layout, &Monitor::new());
        for (at, folder) in folders.live.iter().enumerate() {
            let inside = |(other, outer): (usize, &PathBuf)| other != at && folder.starts_with(outer);
            assert!(!folders.live.iter().enumerate().any(inside), "{:?}", folders.live);
        }
        folders.place(layout.part(member.as_bytes())).map(|place| folders.live_path(&place))
    }

    #[test]
    fn files_go_where_this_site_has_them() {
        let public = "docroot/sites/default/files/a";
        for (site, code, member, expected) in [
            (serde_json::json!({"root": "/w"}), false, public, Some("/w/sites/default/files/a")),
            (serde_json::json!({"root": "/w"}), false, "docroot/index.php", None),
            (serde_json::json!({"root": "/w"}), true, "docroot/index.php", Some("/w/index.php")),
            (serde_json::json!({"root": "/w"}), true, "private/m", None),
            (
                serde_json::json!({"root": "/w", "conf_path": "sites/x.org"}),
                true,
                public,
                Some("/w/sites/x.org/files/a"),
            ),
            (serde_json::json!({"root": "/w", "public_path": "/srv/f"}), true, public, Some("/srv/f/a")),
            (
                serde_json::json!({"root": "/w", "private_path": "sites/default/files/private"}),
                false,
                "private/m",
                Some("/w/sites/default/files/private/m"),
            ),
            (
                serde_json::json!({"root": "/w", "private_path": "/srv", "public_path": "/srv/public"}),
                false,
                public,
                Some("/srv/public/a"),
            ),
            (serde_json::json!({"root": "/w", "private_path": "../p"}), true, "private/m", Some("/p/m")),
        ] {
            assert_eq!(
                landed(site.clone(), code, member).as_deref(),
                expected.map(Path::new),
                "{site} {member}"
            );
        }
    }
}
