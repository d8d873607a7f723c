//! What a backup of files leaves out.
//!
//! As Backup and Migrate 7.x-3.9 does it (sources.filesource.inc, sources.archivesource.inc): a list of paths, compared
//! whole, with symbolic links resolved; no wildcards. A line may be indented, relative to the source, absolute, or
//! a stream URI; one with a leading slash counts from the source, too, because B&M strips slashes first (a
//! profile that says `/tmp` means the `tmp` of its source). Lines relative to the docroot work as they do there.
//!
//! One accident of B&M is left out: there a line that matches nothing at the top excludes whatever bears that name
//! anywhere below, so that files are lost or not depending on whether some other folder exists.

use crate::config::Site;
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
        let mut excludes = Excludes::default();
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

/// The path with all symbolic links resolved, as far as it exists.
pub(crate) fn real_path(path: &Path) -> PathBuf {
    let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_path_buf());
    for ancestor in absolute.ancestors() {
        if let (Ok(real), Ok(rest)) = (ancestor.canonicalize(), absolute.strip_prefix(ancestor)) {
            // What does not exist has no links either.
            return plain_path(&real.join(rest));
        }
    }
    plain_path(path)
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
