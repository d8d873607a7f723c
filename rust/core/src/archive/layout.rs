//! Recognises what kind of archive a tar is and what its members are for.
//!
//! Known: bam's site archives and files archives; Backup and Migrate's, with a `NAME/` folder around everything
//! or without, and its old files archives with a `files/` folder around everything; drush archive-dump's, whose
//! docroot has the name of the folder it was in and whose manifest comes last.

use super::place::leads_out;
use super::{Entry, EntryKind, Manifest, show};
use crate::{Code, Error, Result};
use std::io::Read;

/// A manifest longer than this is none.
const MAX_MANIFEST: u64 = 1024 * 1024;

const MANIFEST: &[u8] = b"MANIFEST.ini";

/// Looks at every member of an archive once, best while the archive is verified.
#[derive(Debug, Default)]
pub struct Survey {
    manifest: Option<(Vec<u8>, Manifest)>,
    /// The innermost folder that everything lies in, as far as it was seen.
    around: Option<Vec<u8>>,
    /// A folder that holds nothing so far.
    pending: Option<Vec<u8>>,
    /// The folder of everything is a member itself: then nothing is around it.
    is_rooted: bool,
    /// For archives that lost their manifest.
    has_docroot: bool,
    has_dump: bool,
    entries: u64,
    bytes: u64,
}

/// How an archive is laid out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Layout {
    /// Code, files and a database.
    Site(Site),
    /// One folder; its content lies below `base` (`files`, in old archives) or at the top (empty).
    Files {
        /// The folder around everything, or empty.
        base: Vec<u8>,
    },
}

/// Where things are in a site archive. Paths are as in [`Entry::path`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Site {
    /// The folder around everything, or empty.
    pub prefix: Vec<u8>,
    /// What the archive says about itself.
    pub manifest: Manifest,
    /// The docroot, below the prefix.
    pub docroot: Vec<u8>,
    /// The dump, below the prefix.
    pub database: Vec<u8>,
    /// `mysql`, `pgsql` or `sqlite`.
    pub driver: String,
    /// The private files, below the prefix, where the archive names them.
    pub private: Option<Vec<u8>>,
    /// `sites/default` or the multi-site's folder, below the docroot.
    pub conf_path: Vec<u8>,
    /// The public files, below the docroot.
    pub public: Vec<u8>,
}

/// What a member is for, with its path there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part<'p> {
    /// MANIFEST.ini.
    Manifest,
    /// Something in the docroot (code, and files that lie there).
    Docroot(&'p [u8]),
    /// Something in the private files.
    Private(&'p [u8]),
    /// The database dump.
    Database,
    /// Something in the folder of a files archive.
    File(&'p [u8]),
    /// Nothing we know.
    Other,
}

impl Survey {
    /// Takes note of a member; reads `body` when it is the manifest.
    pub fn observe(&mut self, entry: &Entry, body: &mut dyn Read) -> Result<()> {
        self.entries += 1;
        self.bytes = self.bytes.saturating_add(entry.kind.body_len());
        let path = entry.path.as_slice();
        let (first, rest) = match path.iter().position(|b| *b == b'/') {
            Some(slash) => (path.get(..slash), path.get(slash + 1..).unwrap_or_default()),
            None => (Some(path), &b""[..]),
        };
        let first = first.unwrap_or_default();
        self.lies(path, entry.kind == EntryKind::Directory);
        self.has_docroot |= first == b"docroot";
        self.has_dump |= is_dump(path);
        let prefix = if rest == MANIFEST { Some(first) } else { (path == MANIFEST).then_some(&b""[..]) };
        if let (Some(prefix), EntryKind::File { size }, None) = (prefix, &entry.kind, &self.manifest) {
            if *size > MAX_MANIFEST {
                return Err(Error::new(Code::Integrity, "MANIFEST.ini is too long"));
            }
            let mut text = Vec::new();
            body.read_to_end(&mut text)?;
            self.manifest = Some((prefix.to_vec(), Manifest::parse(&text)?));
        }
        Ok(())
    }

    /// How many members there were.
    pub fn entries(&self) -> u64 {
        self.entries
    }

    /// How many bytes of content they hold.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// What the archive is.
    pub fn layout(self) -> Layout {
        match self.manifest {
            // A docroot may hold a file called MANIFEST.ini; ours says where the dump or the docroot is.
            Some((prefix, manifest)) if manifest.site("docroot").is_some() => site(prefix, manifest),
            _ if self.has_docroot && self.has_dump => site(Vec::new(), Manifest::default()),
            _ => Layout::Files { base: base_of(&self.around).to_vec() },
        }
    }

    /// No more members come.
    pub fn end(&mut self) {
        if let Some(folder) = self.pending.take() {
            self.share(&folder);
        }
        if self.is_rooted {
            self.around = None;
        }
    }

    /// The one folder at the top that everything lies in, where there is one.
    pub fn top(&self) -> Option<&[u8]> {
        let around = self.around.as_deref()?;
        around.split(|b| *b == b'/').next().filter(|top| !top.is_empty())
    }

    fn lies(&mut self, path: &[u8], is_folder: bool) {
        if let Some(folder) = self.pending.take()
            && below(path, &folder).is_none()
        {
            self.share(&folder);
        }
        if path.is_empty() {
            self.is_rooted = true;
        } else if is_folder {
            self.pending = Some(path.to_vec());
        } else {
            let slash = path.iter().rposition(|b| *b == b'/');
            self.share(slash.and_then(|slash| path.get(..slash)).unwrap_or_default());
        }
    }

    /// Something lies in this folder.
    fn share(&mut self, folder: &[u8]) {
        let Some(around) = &self.around else {
            self.around = Some(folder.to_vec());
            return;
        };
        let parts = around.split(|b| *b == b'/').zip(folder.split(|b| *b == b'/'));
        let same: Vec<&[u8]> = parts.take_while(|(one, other)| one == other).map(|(one, _)| one).collect();
        self.around = Some(same.join(&b'/'));
    }
}

/// The outermost of the folders around everything that is a site's folder of files by its name: `files`,
/// `sites/default/files`, Pantheon's `files_live`.
fn base_of(around: &Option<Vec<u8>>) -> &[u8] {
    let around = around.as_deref().unwrap_or_default();
    let mut end = 0;
    for part in around.split(|b| *b == b'/') {
        end += part.len();
        if part == b"files" || part.starts_with(b"files_") {
            return around.get(..end).unwrap_or_default();
        }
        end += 1;
    }
    b""
}

fn is_dump(path: &[u8]) -> bool {
    path == b"database.sql" || path == b"database.sqlite"
}

fn site(prefix: Vec<u8>, manifest: Manifest) -> Layout {
    let own = |key: &str| manifest.site(key).map(str::to_owned);
    // drush writes the docroot's full path, Backup and Migrate its name in the archive.
    let docroot = own("docroot").unwrap_or_else(|| "docroot".into());
    let docroot = docroot.trim_end_matches('/').rsplit('/').next().unwrap_or_default().to_owned();
    // In the one's manifest paths begin with the docroot, in the other's they are relative to it.
    let in_docroot = |path: String| match path.strip_prefix(&docroot).map(|rest| rest.strip_prefix('/')) {
        Some(Some(rest)) => rest.trim_end_matches('/').to_owned(),
        Some(None) if path == docroot => String::new(),
        _ => path.trim_matches('/').to_owned(),
    };
    let conf_path = own("sitedir").map(in_docroot).unwrap_or_else(|| "sites/default".into());
    // Where the variable is not set, Backup and Migrate writes `docroot/`.
    let public = own("files-public").map(in_docroot).filter(|path| !path.is_empty());
    let public = public.unwrap_or_else(|| format!("{conf_path}/files"));
    let database = own("database-file-default").or_else(|| own("database-default-file"));
    let driver = own("database-file-driver").or_else(|| own("database-default-driver"));
    // The others' private files are in the archive only where they lie in the docroot.
    let inside = |path: &String| !path.starts_with('/') && path.split('/').all(|part| part != "..");
    let theirs =
        || own("files-private").filter(inside).map(in_docroot).map(|path| format!("{docroot}/{path}"));
    let private = own("bam-files-private").or_else(theirs);
    let private = private.map(|path| path.trim_matches('/').as_bytes().to_vec());
    Layout::Site(Site {
        docroot: docroot.into_bytes(),
        database: database.unwrap_or_else(|| "database.sql".into()).into_bytes(),
        driver: driver.unwrap_or_else(|| "mysql".into()),
        private: private.filter(|path| !path.is_empty()),
        conf_path: conf_path.into_bytes(),
        public: public.into_bytes(),
        prefix,
        manifest,
    })
}

impl Layout {
    /// What the member at `path` is for.
    pub fn part<'p>(&self, path: &'p [u8]) -> Part<'p> {
        match self {
            Layout::Files { base } => below(path, base).map_or(Part::Other, Part::File),
            Layout::Site(site) => {
                let Some(path) = below(path, &site.prefix) else { return Part::Other };
                if path == MANIFEST {
                    return Part::Manifest;
                }
                if path == site.database {
                    return Part::Database;
                }
                if let Some(rest) = site.private.as_deref().and_then(|private| below(path, private)) {
                    return Part::Private(rest);
                }
                below(path, &site.docroot).map_or(Part::Other, Part::Docroot)
            }
        }
    }

    /// The target of a link that stands where a site archive has the public or private files, and leads out of it: mostly to
    /// what was not there when the archive was made.
    pub fn link_for_files<'e>(&'e self, entry: &'e Entry) -> Option<&'e [u8]> {
        self.any_link_for_files(entry)
            .filter(|(in_docroot, target)| leads_out(in_docroot, target))
            .map(|it| it.1)
    }

    /// The same wherever it leads, after its path in the docroot. Up to 0.3.0 there was one in front of the files where another
    /// link of the docroot leads to them as well.
    pub fn any_link_for_files<'e>(&'e self, entry: &'e Entry) -> Option<(&'e [u8], &'e [u8])> {
        let (Layout::Site(site), EntryKind::Symlink(target)) = (self, &entry.kind) else { return None };
        let in_docroot = match self.part(&entry.path) {
            Part::Docroot(path) if path == site.public => path,
            Part::Private(b"") => {
                let private = site.private.as_deref().unwrap_or_default();
                below(private, &site.docroot).unwrap_or_default()
            }
            _ => return None,
        };
        Some((in_docroot, target))
    }

    /// What is to be said of such a link.
    pub fn tell_of_link(entry: &Entry, target: &[u8]) -> String {
        format!("the backup holds no files for {}, only a link to {}", show(&entry.path), show(target))
    }
}

/// What is left of `path` below `folder`: nothing for the folder itself, `None` for what lies elsewhere.
fn below<'p>(path: &'p [u8], folder: &[u8]) -> Option<&'p [u8]> {
    if folder.is_empty() {
        return Some(path);
    }
    match path.strip_prefix(folder)? {
        b"" => Some(b""),
        rest => rest.strip_prefix(b"/"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn survey(members: &[(&str, &str)]) -> Layout {
        seen(members).layout()
    }

    /// What ends with a slash is a folder.
    fn seen(members: &[(&str, &str)]) -> Survey {
        let mut survey = Survey::default();
        for (path, content) in members {
            let (path, kind) = match path.strip_suffix('/') {
                Some(path) => (path, EntryKind::Directory),
                None => (*path, EntryKind::File { size: content.len() as u64 }),
            };
            let entry = Entry {
                path: path.as_bytes().to_vec(),
                kind,
                mode: 0o644,
                uid: 0,
                gid: 0,
                mtime: 0,
                extras: Default::default(),
            };
            survey.observe(&entry, &mut content.as_bytes()).unwrap();
        }
        survey.end();
        survey
    }

    #[test]
    fn a_drush_archive_has_its_docroots_own_name_and_the_manifest_last() {
        let manifest = "[Global]\narchiveformat = platform\n[default]\ndocroot = \"/var/www/html\"\n\
            sitedir = \"sites/default\"\nfiles-public = \"sites/default/files\"\nfiles-private = \"../private\"\n\
            database-default-file = \"d7.sql\"\ndatabase-default-driver = \"mysql\"\n";
        let layout = survey(&[("html/index.php", ""), ("d7.sql", ""), ("MANIFEST.ini", manifest)]);
        assert_eq!(layout.part(b"html/index.php"), Part::Docroot(b"index.php"));
        assert_eq!(layout.part(b"html"), Part::Docroot(b""));
        assert_eq!(layout.part(b"htmlx"), Part::Other);
        assert_eq!(layout.part(b"d7.sql"), Part::Database);
        let Layout::Site(site) = layout else { panic!("{layout:?}") };
        assert_eq!(
            (site.public.as_slice(), site.private),
            (&b"sites/default/files"[..], None),
            "it is not in there"
        );
    }

    #[test]
    fn private_files_are_told_from_the_docroot_they_lie_in() {
        let manifest =
            "[Site 0]\ndocroot = \"docroot\"\nbam-files-private = \"docroot/sites/default/private\"\n";
        let layout = survey(&[("MANIFEST.ini", manifest)]);
        assert_eq!(layout.part(b"docroot/sites/default/private/a/b"), Part::Private(b"a/b"));
        assert_eq!(layout.part(b"docroot/sites/default/privates"), Part::Docroot(b"sites/default/privates"));
    }

    #[test]
    fn a_files_folder_counts_only_when_everything_lies_in_it() {
        assert_eq!(survey(&[("files/a", ""), ("files/b/c", "")]), Layout::Files { base: b"files".to_vec() });
        assert_eq!(survey(&[("files/a", ""), ("b", "")]), Layout::Files { base: Vec::new() });
        let deep =
            survey(&[("var/www/sites/default/files/a/b", ""), ("var/www/sites/default/files/a/c", "")]);
        assert_eq!(deep, Layout::Files { base: b"var/www/sites/default/files".to_vec() });
        let pantheon = survey(&[("files_live/a", ""), ("files_live/b/c", "")]);
        assert_eq!(pantheon, Layout::Files { base: b"files_live".to_vec() });
        assert_eq!(survey(&[("field/a", ""), ("field/b", "")]), Layout::Files { base: Vec::new() });
        assert_eq!(survey(&[]), Layout::Files { base: Vec::new() });
        let lookalike = survey(&[("MANIFEST.ini", "[x]\ny = z\n"), ("a", "")]);
        assert_eq!(lookalike.part(b"a"), Part::File(b"a"));
    }

    #[test]
    fn a_site_archive_without_its_manifest_is_still_one() {
        let layout = survey(&[("docroot/index.php", ""), ("database.sql", "")]);
        assert_eq!(layout.part(b"database.sql"), Part::Database);
    }

    #[test]
    fn a_site_archive_without_its_manifest_has_both_a_docroot_and_a_dump() {
        let files = Layout::Files { base: Vec::new() };
        assert_eq!(survey(&[("docroot/index.php", ""), ("b", "")]), files);
        assert_eq!(survey(&[("web/index.php", ""), ("database.sql", "")]), files);
        assert_ne!(survey(&[("docroot/index.php", ""), ("database.sqlite", "")]), files);
    }

    #[test]
    fn folders_count_by_what_lies_in_them_and_alone_where_nothing_does() {
        let base = |members: &[(&str, &str)]| match survey(members) {
            Layout::Files { base } => String::from_utf8(base).unwrap(),
            site @ Layout::Site(_) => panic!("{site:?}"),
        };
        assert_eq!(base(&[("files/", ""), ("files/a", "")]), "files");
        assert_eq!(base(&[("files/", "")]), "files");
        assert_eq!(base(&[("files/a", ""), ("other/", "")]), "");
        assert_eq!(base(&[("/", ""), ("files/a", "")]), "", "the folder of everything is in there");
        assert_eq!(base(&[("files_x", "")]), "", "a file");
    }

    #[test]
    fn members_are_counted_and_the_folder_around_them_is_known() {
        let all = seen(&[("var/", ""), ("var/www/a", "abc"), ("var/b", "de")]);
        assert_eq!((all.entries(), all.bytes(), all.top()), (3, 5, Some(&b"var"[..])));
        assert_eq!(seen(&[("a", ""), ("var/b", "")]).top(), None);
        assert_eq!(seen(&[]).top(), None);
    }

    #[test]
    fn a_manifest_lies_in_the_folder_around_everything_and_has_a_bound() {
        let manifest = "[Site 0]\ndocroot = \"docroot\"\n";
        let layout = survey(&[("name/MANIFEST.ini", manifest), ("name/docroot/a", "")]);
        assert_eq!(layout.part(b"name/docroot/a"), Part::Docroot(b"a"));
        assert_eq!(layout.part(b"docroot/a"), Part::Other);
        let longest = format!("{manifest}{}", "\n".repeat(MAX_MANIFEST as usize - manifest.len()));
        assert!(matches!(survey(&[("MANIFEST.ini", &longest)]), Layout::Site(_)));
        let entry = |size| Entry {
            path: MANIFEST.to_vec(),
            kind: EntryKind::File { size },
            mode: 0o644,
            uid: 0,
            gid: 0,
            mtime: 0,
            extras: Default::default(),
        };
        let longer = Survey::default().observe(&entry(MAX_MANIFEST + 1), &mut std::io::empty());
        assert_eq!(longer.unwrap_err().code(), Code::Integrity);
    }

    #[test]
    fn paths_of_a_manifest_are_below_the_docroot_or_name_it() {
        let of = |line: &str| {
            let manifest = format!("[Site 0]\ndocroot = \"docroot\"\n{line}\n");
            let Layout::Site(site) = survey(&[("MANIFEST.ini", &manifest)]) else { panic!("{line}") };
            let text = |path: Vec<u8>| String::from_utf8(path).unwrap();
            (text(site.public), site.private.map(text))
        };
        for (written, public) in [
            ("docroot/media", "media"),
            ("media/", "media"),
            ("docroot/", "sites/default/files"),
            ("docroot", "sites/default/files"),
            ("docroots", "docroots"),
        ] {
            assert_eq!(of(&format!("files-public = \"{written}\"")).0, public, "{written}");
        }
        for (written, private) in [
            ("sites/default/private", Some("docroot/sites/default/private")),
            ("docroot/private", Some("docroot/private")),
            ("../private", None),
            ("sites/../../private", None),
            ("/srv/private", None),
        ] {
            let found = of(&format!("files-private = \"{written}\"")).1;
            assert_eq!(found.as_deref(), private, "{written}");
        }
    }
}
