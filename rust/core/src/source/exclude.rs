//! What a backup of files leaves out.
//!
//! As Backup and Migrate 7.x-3.9 does it (sources.filesource.inc, sources.archivesource.inc): a list of paths, compared
//! whole, with symbolic links resolved; no wildcards. A line may be indented, relative to the source, absolute, or
//! a stream URI; one with a leading slash counts from the source, too, because B&M strips slashes first (a
//! profile that says `/tmp` means the `tmp` of its source). Lines relative to the docroot work as they do there.
//!
//! Beside that, an entry with `*`, `?`, `[` or a leading `!` is a pattern as `.gitignore` has them ([`super::pattern`]). It
//! is a path as well: a file whose real name it is stays left out, as with B&M.
//!
//! One accident of B&M is left out: there a line that matches nothing at the top excludes whatever bears that name
//! anywhere below, so that files are lost or not depending on whether some other folder exists.

use super::pattern::{self, Patterns};
use crate::Result;
use crate::config::Site;
use crate::look;
use std::collections::{HashMap, HashSet};
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};

/// What files sources leave out by default: what Drupal makes again by itself, and backups.
const DEFAULT: [&str; 9] =
    ["backup_migrate", "styles", "css", "js", "ctools", "less", "languages", "advagg_css", "advagg_js"];

/// Absolute paths that are left out, with everything below them.
#[derive(Debug, Clone, Default)]
pub struct Excludes {
    /// By last component, which rules most paths out at once.
    paths: HashMap<OsString, HashSet<PathBuf>>,
    /// What fits one of these, by its path in the archive.
    patterns: Patterns,
    /// Patterns that cannot be understood, and why.
    malformed: Vec<(String, String)>,
    /// Folders that are archived, without links, and their paths in the archive; the source's own first.
    places: Vec<(PathBuf, String)>,
}

/// The same since Drupal 8: compiled templates, which are code of another state of the site.
const MODERN: &str = "php";

/// The default list of a files source.
pub fn default_of_files(site: &Site) -> Vec<String> {
    DEFAULT.into_iter().chain(site.is_modern().then_some(MODERN)).map(str::to_owned).collect()
}

/// The default list of a whole-site source: that of the public files, backups, settings.php (it holds the database's
/// password) and the temporary folder. What else is of one machine alone: [`crate::source::machine`].
pub fn default_of_archive(site: &Site) -> Vec<String> {
    let mut list: Vec<String> =
        default_of_files(site).into_iter().map(|name| format!("public://{name}")).collect();
    list.push("private://backup_migrate".into());
    list.push(format!("{}/settings.php", site.conf_path_or_default()));
    list.push("temporary://".into());
    list
}

impl Excludes {
    /// From the lines of a profile, for a source whose folder is `base`. What does not exist, or names a scheme that
    /// this site does not have, excludes nothing.
    pub fn new<L: AsRef<str>>(lines: impl IntoIterator<Item = L>, base: &Path, site: &Site) -> Self {
        Self::in_archive(lines, base, site, &[(base.to_owned(), String::new())])
    }

    /// The same where the folders of the source lie at other places of the archive than its root: `places` are folders
    /// and their paths in the archive, `base` among them.
    pub fn in_archive<L: AsRef<str>>(
        lines: impl IntoIterator<Item = L>,
        base: &Path,
        site: &Site,
        places: &[(PathBuf, String)],
    ) -> Self {
        let places = places.iter().map(|(folder, at)| (real_path(folder), at.clone())).collect();
        let mut excludes = Excludes { places, ..Excludes::default() };
        for line in lines {
            // One entry may hold several lines when a whole text field was taken over.
            for line in line.as_ref().lines() {
                excludes.add_line(line.trim(), base, site);
            }
        }
        excludes
    }

    fn add_line(&mut self, line: &str, base: &Path, site: &Site) {
        let relative = line.trim_matches('/');
        if relative.is_empty() {
            return;
        }
        // An unknown scheme or a missing docroot leaves nothing to add.
        if let Ok(path) = site.resolve(Path::new(line)) {
            self.add_path(&path);
        }
        if !line.contains("://") {
            self.add_path(&base.join(relative));
        }
        if pattern::is_pattern(line)
            && let Err(why) = self.add_pattern(line, base, site)
        {
            self.malformed.push((line.to_owned(), why));
        }
    }

    fn add_pattern(&mut self, line: &str, base: &Path, site: &Site) -> Result<(), String> {
        let (not, text) = line.strip_prefix('!').map_or(("", line), |rest| ("!", rest));
        let Some((scheme, text)) = text.split_once("://") else {
            // What is archived of the source counts from here.
            let place = self.place_of(base).unwrap_or_default();
            return self.patterns.add(line, &place);
        };
        let folder = site.resolve(Path::new(&format!("{scheme}://")));
        match folder.ok().and_then(|folder| self.place_of(&folder)) {
            Some(place) => self.patterns.add_anchored(&format!("{not}{text}"), &place),
            // It is no part of this source, but may be well-formed.
            None => Patterns::default().add_anchored(&format!("{not}{text}"), ""),
        }
    }

    /// The path in the archive of a folder; `None` where it is not archived.
    fn place_of(&self, folder: &Path) -> Option<String> {
        let folder = real_path(folder);
        let inside =
            self.places.iter().filter_map(|(place, at)| Some((at, folder.strip_prefix(place).ok()?)));
        let (at, rest) = inside.min_by_key(|(_, rest)| rest.as_os_str().len())?;
        let rest = rest.to_str()?;
        Some([at.as_str(), rest].into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join("/"))
    }

    /// The patterns, for paths in the archive.
    pub fn patterns(&self) -> &Patterns {
        &self.patterns
    }

    /// Patterns that cannot be understood, and why: they leave out what bears just that name.
    pub fn malformed(&self) -> &[(String, String)] {
        &self.malformed
    }

    /// What is there below `folder` that a pattern leaves out, relative to it.
    ///
    /// # Errors
    ///
    /// Something cannot be looked at, though it is open to us.
    pub fn fitting(&self, folder: &Path) -> Result<Vec<PathBuf>> {
        match self.place_of(folder) {
            Some(at) if !self.patterns.is_empty() => self.patterns.fitting(folder, at.as_bytes()),
            _ => Ok(Vec::new()),
        }
    }

    /// Whether anything that these lines mean is there: a path, or below the folders of the source something that fits.
    pub fn finds_something(&self) -> bool {
        let mut paths = self.paths.values().flatten();
        paths.any(|path| path.symlink_metadata().is_ok())
            || self.places.iter().any(|(folder, at)| self.patterns.finds_something(folder, at.as_bytes()))
    }

    /// Leaves out one path: a destination's folder, the file being written. Relative paths count from the working
    /// directory.
    pub fn add_path(&mut self, path: &Path) {
        for path in [plain_path(path), real_path(path)] {
            if let Some(name) = path.file_name() {
                self.paths.entry(name.to_owned()).or_default().insert(path);
            }
        }
    }

    /// Whether anything called `name` may be on the list: spares most files the building of their path.
    pub(super) fn knows(&self, name: &[u8]) -> bool {
        self.paths.contains_key(OsStr::from_bytes(name))
    }

    /// What is on the list and lies below `folder`, relative to it.
    pub fn below(&self, folder: &Path) -> Vec<PathBuf> {
        let paths = self.paths.values().flatten();
        paths.filter_map(|path| path.strip_prefix(folder).ok().map(Path::to_owned)).collect()
    }

    /// Whether this absolute path, without `.` and `..`, is on the list.
    pub fn contains(&self, path: &Path) -> bool {
        path.file_name().and_then(|name| self.paths.get(name)).is_some_and(|paths| paths.contains(path))
    }
}

/// The path with all symbolic links resolved, as far as it exists and can be looked at. Where data hangs on it, see
/// [`look::real_as_far`].
pub(crate) fn real_path(path: &Path) -> PathBuf {
    look::real_as_far(path).unwrap_or_else(|_| plain_path(path))
}

/// The path made absolute, `.` and `..` taken out by its text alone.
pub(crate) fn plain_path(path: &Path) -> PathBuf {
    let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_path_buf());
    let mut plain = PathBuf::new();
    for component in absolute.components() {
        match component {
            Component::CurDir => {}
            Component::ParentDir => drop(plain.pop()),
            other => plain.push(other),
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::symlink;

    fn site(root: &Path) -> Site {
        Site {
            root: root.into(),
            private_path: Some(root.join("../private")),
            temporary_path: Some("/var/tmp/site".into()),
            ..Site::default()
        }
    }

    #[test]
    fn every_kind_of_line() {
        let root = Path::new("/nowhere/www");
        let base = root.join("sites/default/files");
        // The first is as PECE's profile holds it: one text, indented, with Windows line ends.
        let lines = [
            "backup_migrate\r\n            styles\r\n\tctools/css/  \r\n\r\n",
            "/srv/media",
            "/tmp",
            "public://js",
            "private://backup_migrate/",
            "temporary://",
            "sites/default/files/by-docroot",
            "../sibling",
            "s3://bucket/x",
            "./dotted/./x",
        ];
        let excludes = Excludes::new(lines, &base, &site(root));
        for path in [
            "/nowhere/www/sites/default/files/backup_migrate",
            "/nowhere/www/sites/default/files/styles",
            "/nowhere/www/sites/default/files/ctools/css",
            "/srv/media",
            "/nowhere/www/sites/default/files/tmp",
            "/nowhere/www/sites/default/files/js",
            "/nowhere/private/backup_migrate",
            "/var/tmp/site",
            "/nowhere/www/sites/default/files/by-docroot",
            "/nowhere/www/sites/default/sibling",
            "/nowhere/www/sites/default/files/dotted/x",
        ] {
            assert!(excludes.contains(Path::new(path)), "{path}");
        }
        for path in [
            "/nowhere/www/sites/default/files",
            "/nowhere/www/sites/default/files/field/styles",
            "/nowhere/www/sites/default/files/ctools",
            "/nowhere/www/sites/default/files/styles2",
            "/nowhere/www",
        ] {
            assert!(!excludes.contains(Path::new(path)), "{path}");
        }
    }

    #[test]
    fn an_entry_with_wildcards_is_a_pattern_as_well() {
        let root = Path::new("/nowhere/www");
        let base = root.join("sites/default/files");
        let lines =
            ["styles", "*.mp4\r\n !keep.mp4", "a[1].txt", "public://x/*.tmp", "private://*.x", "b[", "/top?"];
        let excludes = Excludes::new(lines, &base, &site(root));
        let out = |path: &[u8]| excludes.patterns().exclude(path, false);
        assert!(out(b"deep/\xff.mp4") && out(b"a1.txt") && out(b"x/a.tmp") && out(b"top1"));
        assert!(
            !out(b"keep.mp4") && !out(b"y/x/a.tmp") && !out(b"a.x") && !out(b"deep/top1") && !out(b"styles")
        );
        assert!(excludes.contains(&base.join("a[1].txt")) && excludes.contains(&base.join("b[")));
        assert!(matches!(excludes.malformed(), [(line, _)] if line == "b["), "{:?}", excludes.malformed());
        // What is no pattern is none of them, and what B&M leaves out is none.
        let plain = Excludes::new(default_of_files(&site(root)), &base, &site(root));
        assert!(plain.patterns().is_empty() && plain.malformed().is_empty());
    }

    #[test]
    fn patterns_of_a_whole_site_reach_its_files_wherever_they_lie() {
        let root = Path::new("/nowhere/www");
        let places = [(root.into(), "docroot".into()), ("/nowhere/private".into(), "private".to_owned())];
        let lines = ["*.mp4", "sites/*/tmp/", "private://*.x", "!private://y.x", "public://*.log"];
        let excludes = Excludes::in_archive(lines, root, &site(root), &places);
        let out = |path: &str| excludes.patterns().exclude(path.as_bytes(), true);
        for path in [
            "docroot/a.mp4",
            "private/b/a.mp4",
            "docroot/sites/x/tmp",
            "private/a.x",
            "docroot/sites/default/files/a.log",
        ] {
            assert!(out(path), "{path}");
        }
        for path in ["private/y.x", "private/z/a.x", "docroot/a.x", "docroot/a.log", "docroot/y/sites/x/tmp"]
        {
            assert!(!out(path), "{path}");
        }
    }

    #[test]
    fn the_archives_defaults() {
        let root = Path::new("/nowhere/www");
        let excludes = Excludes::new(default_of_archive(&site(root)), root, &site(root));
        for path in ["sites/default/files/styles", "sites/default/settings.php", "../private/backup_migrate"]
        {
            assert!(excludes.contains(&plain_path(&root.join(path))), "{path}");
        }
        assert!(excludes.contains(Path::new("/var/tmp/site")));
        assert!(
            !excludes.contains(&root.join("styles")) && !excludes.contains(&root.join("sites/default/css"))
        );
    }

    #[test]
    fn links_are_resolved_in_what_is_excluded() {
        let temp = tempfile::tempdir().unwrap();
        let real = temp.path().canonicalize().unwrap();
        fs::create_dir_all(real.join("shared/files/styles")).unwrap();
        fs::create_dir_all(real.join("www/sites/default")).unwrap();
        symlink(real.join("shared/files"), real.join("www/sites/default/files")).unwrap();
        let excludes =
            Excludes::new(["public://styles", "public://new"], &real.join("www"), &site(&real.join("www")));
        for path in ["www/sites/default/files/styles", "shared/files/styles", "shared/files/new"] {
            assert!(excludes.contains(&real.join(path)), "{path}");
        }
    }
}
