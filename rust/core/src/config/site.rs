//! Where a site's files are: Drupal's defaults, relative paths, stream URIs (`public://`, `private://`, `temporary://`).

use super::{Destination, DestinationType, Site};
use crate::destination::restic;
use crate::look;
use crate::{Code, Error, Fact, Result};
use std::path::{Path, PathBuf};

/// The docroot that a site's folder lies in, relative to the root: `web` of `web/sites/default`; empty where they are one.
pub fn docroot_of(conf_path: &str) -> &str {
    let conf_path = conf_path.trim_matches('/');
    match conf_path.split_once("/sites/") {
        Some((docroot, _)) if !conf_path.starts_with("sites/") => docroot,
        _ => "",
    }
}

impl Destination {
    /// Its folder, where it is one of this machine.
    pub fn folder(&self, site: &Site) -> Option<PathBuf> {
        match self.kind {
            DestinationType::Directory => site.resolve(self.path.as_ref()?).ok(),
            DestinationType::Restic => {
                let text = std::str::from_utf8(self.repository.as_ref()?.expose()).ok()?.trim();
                match restic::scheme(text) {
                    None | Some("local") => {
                        site.resolve(Path::new(text.strip_prefix("local:").unwrap_or(text))).ok()
                    }
                    Some(_) => None,
                }
            }
            _ => None,
        }
    }

    /// Whether what it holds is on this machine.
    pub fn is_local(&self) -> bool {
        let is_path = |repository: &crate::Secret| {
            restic::scheme(&String::from_utf8_lossy(repository.expose()))
                .is_none_or(|scheme| scheme == "local")
        };
        match self.kind {
            DestinationType::Directory => true,
            DestinationType::Restic => self.repository.as_ref().is_some_and(is_path),
            _ => false,
        }
    }
}

impl Site {
    /// The site's folder with `settings.php`, absolute.
    pub fn conf_dir(&self) -> PathBuf {
        self.root.join(self.conf_path_or_default())
    }

    /// `conf_path`, or Drupal's default.
    pub fn conf_path_or_default(&self) -> &str {
        if self.conf_path.is_empty() { "sites/default" } else { self.conf_path.as_str() }
    }

    /// The docroot, absolute: `root`, or the folder in it that `conf_path` names before `sites`.
    pub fn docroot(&self) -> PathBuf {
        match docroot_of(self.conf_path_or_default()) {
            "" => self.root.clone(),
            docroot => self.root.join(docroot),
        }
    }

    /// Whether its Drupal is of the generation that began with 8: by its version, else by its code.
    pub fn is_modern(&self) -> bool {
        match self.drupal_version.split('.').next().and_then(|major| major.parse::<u32>().ok()) {
            Some(major) => major >= 8,
            None => {
                !self.root.as_os_str().is_empty()
                    && look::is_file(&self.docroot().join("core/lib/Drupal.php")).unwrap_or(false)
            }
        }
    }

    /// The public files (`public://`), absolute. Default `CONF_PATH/files`.
    pub fn public_dir(&self) -> PathBuf {
        match &self.public_path {
            Some(path) => self.root.join(path),
            None => self.conf_dir().join("files"),
        }
    }

    /// The private files (`private://`), absolute; none where the site has none.
    pub fn private_dir(&self) -> Option<PathBuf> {
        self.private_path
            .as_ref()
            .filter(|path| !path.as_os_str().is_empty())
            .map(|path| self.root.join(path))
    }

    /// The temporary folder (`temporary://`). Default: the system's.
    pub fn temporary_dir(&self) -> PathBuf {
        self.temporary_path.as_ref().map_or_else(std::env::temp_dir, |path| self.root.join(path))
    }

    /// A path of the document: absolute as it is, a stream URI by its scheme, all else relative to the docroot.
    pub fn resolve(&self, path: &Path) -> Result<PathBuf> {
        if let Some((scheme, rest)) = path.to_str().and_then(|text| text.split_once("://")) {
            let base = match scheme {
                "public" => self.public_dir(),
                "private" => self.private_dir().ok_or_else(|| {
                    Error::of_path(Code::Config, path, "needs site.private_path, which is not set")
                        .hint("set the private file system path of the site, or use an absolute path")
                })?,
                "temporary" => self.temporary_dir(),
                _ => {
                    return Err(Error::new(Code::Config, "unknown kind of path")
                        .within(Fact::Path, path.display())
                        .hint("known are public://, private:// and temporary://, absolute paths, and paths relative to the docroot"));
                }
            };
            let rest = rest.trim_matches('/');
            return Ok(if rest.is_empty() { base } else { base.join(rest) });
        }
        if path.is_relative() && self.root.as_os_str().is_empty() {
            return Err(Error::of_path(
                Code::Config,
                path,
                "is relative to the docroot, but site.root is not set",
            )
            .hint("set site.root, or use an absolute path"));
        }
        Ok(self.root.join(path))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn site() -> Site {
        Site { root: "/var/www".into(), private_path: Some("../private".into()), ..Site::default() }
    }

    #[test]
    fn paths_resolve_as_drupal_resolves_them() {
        let resolve = |path: &str| site().resolve(Path::new(path)).expect("resolved");
        assert_eq!(resolve("/srv/x"), Path::new("/srv/x"));
        assert_eq!(resolve("sites/all"), Path::new("/var/www/sites/all"));
        assert_eq!(resolve("public://"), Path::new("/var/www/sites/default/files"));
        assert_eq!(resolve("public://a/b/"), Path::new("/var/www/sites/default/files/a/b"));
        assert_eq!(
            resolve("private://backup_migrate/manual"),
            Path::new("/var/www/../private/backup_migrate/manual")
        );
        assert_eq!(resolve("temporary://x"), std::env::temp_dir().join("x"));
    }

    #[test]
    fn the_docroot_may_lie_in_a_project() {
        let docroot = |conf_path: &str| Site { conf_path: conf_path.into(), ..site() }.docroot();
        for (conf_path, found) in [
            ("", "/var/www"),
            ("sites/default", "/var/www"),
            ("web/sites/example.org", "/var/www/web"),
            ("public/cms/sites/default/", "/var/www/public/cms"),
            ("sites/odd/sites/default", "/var/www"),
        ] {
            assert_eq!(docroot(conf_path), Path::new(found), "{conf_path}");
        }
        let modern = |version: &str| Site { drupal_version: version.into(), ..site() }.is_modern();
        assert!(modern("10.6.15") && modern("8.9.20") && !modern("7.105") && !modern(""));
    }

    #[test]
    fn what_cannot_be_resolved_says_why() {
        let none = Site::default();
        for (path, word) in
            [("private://x", "private_path"), ("files", "site.root"), ("s3://bucket", "unknown kind")]
        {
            let error = none.resolve(Path::new(path)).expect_err("unresolvable");
            assert!(error.code() == Code::Config && error.message().contains(word), "{error}");
        }
    }

    #[test]
    fn without_a_version_the_code_tells_the_generation() {
        let dir = tempfile::tempdir().expect("a folder");
        let site = |root: &Path, version: &str| Site {
            root: root.into(),
            drupal_version: version.into(),
            ..Site::default()
        };
        assert!(!site(dir.path(), "").is_modern());
        std::fs::create_dir_all(dir.path().join("core/lib")).expect("made");
        std::fs::write(dir.path().join("core/lib/Drupal.php"), "").expect("written");
        assert!(site(dir.path(), "").is_modern() && site(dir.path(), "8.0").is_modern());
        assert!(!site(dir.path(), "7.105").is_modern() && !site(Path::new(""), "").is_modern());
    }
}
