//! What of a live folder outlives a restore: what no backup has, because it is left out, backups themselves, and what
//! belongs to this machine and not to the site: its settings.

use crate::Result;
use crate::config::{Document, Site, Source, SourceType};
use crate::entries;
use crate::job::places;
use crate::job::scope;
use crate::look;
use crate::source::exclude::plain_path;
use crate::source::siblings;
use std::path::{Path, PathBuf};

/// Paths below `live`, relative to it. For a files source `base` is its folder, which `live` is or lies in. `excludes`:
/// what backups leave out today counts; else it is known what this one left out. `settings`: those of this machine do not stay.
pub fn of(
    document: &Document,
    source_name: &str,
    source: &Source,
    (base, live): (&Path, &Path),
    (excludes, settings): (bool, bool),
) -> Result<Vec<PathBuf>> {
    let mut kept = Vec::new();
    let profiles: Vec<_> =
        document.profiles.values().map(|profile| profile.sources.get(source_name)).collect();
    for settings in profiles.into_iter().chain([None]).filter(|_| excludes) {
        let excludes = match source.kind {
            SourceType::Files => scope::files_excludes(document, settings, base),
            _ => scope::archive_excludes(document, source, settings)?,
        };
        kept.extend(excludes.below(live));
        kept.extend(excludes.fitting(live)?);
    }
    let below = |path: PathBuf| path.strip_prefix(live).ok().map(Path::to_owned);
    // A database that is a file is restored as a database.
    for path in places::local_folders(document).into_iter().chain(scope::database_files(document)) {
        kept.extend(below(look::real_as_far(&path)?));
    }
    if source.kind == SourceType::Archive {
        // Other sites' files and databases, also of backups that were made when they were in.
        kept.extend(siblings::paths(&document.site)?.into_iter().filter_map(below));
    }
    if !settings {
        let site = &document.site;
        // Of a folder alone what keeps it private.
        let belongs = |path: &PathBuf| source.kind != SourceType::Files || path.ends_with(".htaccess");
        kept.extend(of_this_machine(site)?.into_iter().filter(belongs).filter_map(below));
    }
    kept.retain(|path| !path.as_os_str().is_empty());
    kept.sort();
    kept.dedup();
    // What lies below a kept folder moves with it.
    kept.dedup_by(|later, earlier| later.starts_with(earlier));
    Ok(kept)
}

/// Whether a live path of the site is what belongs to this machine: passwords, addresses, what the web server is told.
/// Of the private files what keeps them private.
pub fn is_of_this_machine(site: &Site, live: &Path) -> bool {
    if site.private_dir().is_some_and(|private| plain_path(&private).join(".htaccess") == live) {
        return true;
    }
    let root = plain_path(&site.root);
    let parts = |base: &Path| -> Option<Vec<String>> {
        let path = live.strip_prefix(base).ok()?;
        Some(path.iter().map(|part| part.to_string_lossy().into_owned()).collect())
    };
    if live.parent() == Some(&plain_path(&site.conf_dir())) {
        return live.file_name().is_some_and(|name| is_setting(&name.to_string_lossy()));
    }
    // A Composer project has its docroot in a folder of its own.
    let docroot = plain_path(&site.docroot());
    if let Some([name]) = parts(&root).as_deref() {
        return is_setting_of_root(name);
    }
    let Some(parts) = parts(&docroot) else { return false };
    match parts.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        [name] => is_setting_of_root(name),
        ["sites", "sites.php"] => true,
        ["sites", _, name] => is_setting(name),
        _ => false,
    }
}

fn is_setting_of_root(name: &str) -> bool {
    matches!(name, ".env" | ".user.ini" | ".htpasswd") || name.starts_with(".env.")
}

/// `settings.php`, `settings.local.php`, `services.yml`, `services.local.yml` and their like; no example of one.
fn is_setting(name: &str) -> bool {
    name == "settings.php"
        || (name.starts_with("settings.") && name.ends_with(".php"))
        || (name.starts_with("services") && name.ends_with(".yml"))
}

/// Those that there are, with all links above them resolved.
fn of_this_machine(site: &Site) -> Result<Vec<PathBuf>> {
    let (root, docroot) = (plain_path(&site.root), plain_path(&site.docroot()));
    let mut folders = vec![root, docroot.join("sites"), plain_path(&site.conf_dir()), docroot.clone()];
    folders.extend(site.private_dir().map(|private| plain_path(&private)));
    folders.extend(entries::paths(&docroot.join("sites"))?);
    let mut found = Vec::new();
    for folder in folders {
        let paths = entries::paths(&folder)?.into_iter().filter(|path| is_of_this_machine(site, path));
        for path in paths {
            found.push(look::real_as_far(&folder)?.join(path.file_name().unwrap_or_default()));
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_composer_project_has_its_sites_below_the_docroot() {
        let site = Site {
            root: "/w".into(),
            conf_path: "web/sites/default".into(),
            drupal_version: "10.6.15".into(),
            ..Site::default()
        };
        for path in [
            "/w/.env",
            "/w/web/sites/default/settings.php",
            "/w/web/sites/other/services.yml",
            "/w/web/sites/sites.php",
        ] {
            assert!(is_of_this_machine(&site, Path::new(path)), "{path}");
        }
        assert!(!is_of_this_machine(&site, Path::new("/w/web/sites/default/default.settings.php")));
    }

    #[test]
    fn what_belongs_to_the_machine() {
        let site = Site {
            root: "/w".into(),
            conf_path: "sub/conf".into(),
            private_path: Some("../p".into()),
            ..Site::default()
        };
        for path in [
            "/w/sites/default/settings.php",
            "/w/sites/other.org/settings.local.php",
            "/w/sites/default/services.yml",
            "/w/sites/default/services.prod.yml",
            "/w/sites/sites.php",
            "/w/sub/conf/settings.php",
            "/w/.env.local",
            "/p/.htaccess",
        ] {
            assert!(is_of_this_machine(&site, Path::new(path)), "{path}");
        }
        let project = Site { root: "/w".into(), conf_path: "web/sites/default".into(), ..Site::default() };
        for path in ["/w/.env", "/w/web/sites/default/settings.local.php", "/w/web/sites/other/settings.php"]
        {
            assert!(is_of_this_machine(&project, Path::new(path)), "{path}");
        }
        assert!(!is_of_this_machine(&project, Path::new("/w/composer.json")));
        for path in [
            "/w/sites/default/default.settings.php",
            "/w/sites/default/default.services.yml",
            "/w/sites/development.services.yml",
            "/w/sites/all/modules/x/settings.php",
            "/w/.htaccess",
            "/w/index.php",
            "/elsewhere/sites/default/settings.php",
        ] {
            assert!(!is_of_this_machine(&site, Path::new(path)), "{path}");
        }
    }
}
