//! What belongs to the other sites of the same installation (Drupal's `sites/NAME`): their files and SQLite databases. A
//! backup belongs to one site: theirs are in no archive of it, and a restore of it leaves them alone. Their code is shared.
//!
//! Their settings are not run but read: paths that are written out there are found, others are not.

use crate::config::Site;
use crate::entries;
use crate::look::{self, if_open};
use crate::{Result, ResultExt};
use std::fs;
use std::path::{Path, PathBuf};

/// The settings that name a folder, in Drupal 7 and later, and the one that names a SQLite database.
const FOLDERS: [&str; 2] = ["file_public_path", "file_private_path"];
const DATABASE: &str = "database";

/// A settings.php that is larger is none.
const MOST: u64 = 1 << 20;

/// Those that there are, with links resolved; nothing that holds what is the site's own.
///
/// # Errors
///
/// Something cannot be looked at, though it is open to us.
pub fn paths(site: &Site) -> Result<Vec<PathBuf>> {
    let docroot = site.docroot();
    let own = [site.root.clone(), docroot.clone(), site.conf_dir(), site.public_dir()];
    let own = own.into_iter().chain(site.private_dir()).collect();
    let own = real(own)?;
    let (mut theirs, conf_dir) = (Vec::new(), if_open(look::real(&site.conf_dir()))?);
    for folder in if_open(entries::paths(&docroot.join("sites")))? {
        // A link is another name of a site.
        if if_open(look::is_link(&folder))?
            || !if_open(look::is_file(&folder.join("settings.php")))?
            || if_open(look::real(&folder))? == conf_dir
        {
            continue;
        }
        theirs.push(folder.join("files"));
        for path in if_open(entries::paths(&folder))? {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            if name.starts_with("settings") && name.ends_with(".php") {
                theirs.extend(named_in(&path)?.into_iter().map(|path| docroot.join(path)));
            }
        }
    }
    let mut found = real(theirs)?;
    found.retain(|path| !own.iter().any(|own| own.starts_with(path)));
    found.sort();
    found.dedup();
    Ok(found)
}

/// Those that there are, without links.
fn real(paths: Vec<PathBuf>) -> Result<Vec<PathBuf>> {
    paths.iter().filter_map(|path| if_open(look::real(path)).transpose()).collect()
}

/// The paths that a settings file writes out. Databases are those that are files, with what SQLite keeps beside them.
fn named_in(settings: &Path) -> Result<Vec<PathBuf>> {
    if if_open(look::follow(settings))?.is_none_or(|found| !found.is_file() || found.len() > MOST) {
        return Ok(Vec::new());
    }
    let bytes = if_open(fs::read(settings).at("cannot read", settings))?;
    let text = String::from_utf8_lossy(&bytes);
    let mut found = Vec::new();
    for line in text.lines().map(str::trim_start) {
        if ["#", "//", "*", "/*"].iter().any(|comment| line.starts_with(comment)) {
            continue;
        }
        found.extend(FOLDERS.iter().filter_map(|key| value_of(line, key)).map(PathBuf::from));
        if let Some(path) = value_of(line, DATABASE) {
            let beside = ["", "-wal", "-shm", "-journal"];
            // The name of a database on a server names no file.
            found.extend(
                beside.iter().map(|end| PathBuf::from(format!("{path}{end}"))).filter(|_| path.contains('/')),
            );
        }
    }
    Ok(found)
}

/// The text that a key of an array is given: `'key'] = 'text';` or `'key' => 'text',`; none where it is put together.
fn value_of<'a>(line: &'a str, key: &str) -> Option<&'a str> {
    let (_, rest) = line.split_once(key)?;
    let rest = rest.strip_prefix(['\'', '"'])?.trim_start();
    let rest = rest
        .strip_prefix("=>")
        .or_else(|| rest.strip_prefix(']')?.trim_start().strip_prefix('='))?
        .trim_start();
    let quote = rest.chars().next().filter(|first| matches!(first, '\'' | '"'))?;
    let (text, rest) = rest.strip_prefix(quote)?.split_once(quote)?;
    (!text.is_empty() && !rest.trim_start().starts_with('.') && !text.contains(['$', '\\'])).then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_files_and_databases_of_other_sites_are_found_and_nothing_that_is_shared() {
        let top = tempfile::tempdir().expect("a folder");
        let root = top.path().canonicalize().expect("a path");
        for (path, text) in [
            ("web/sites/default/settings.php", ""),
            ("web/sites/default/files/own.txt", ""),
            ("private/own/own.txt", ""),
            (
                "web/sites/two/settings.php",
                "<?php\n# $settings['file_private_path'] = 'core';\n$settings['file_public_path'] = 'sites/two/open here';\n\
                 $settings['file_private_path'] = '../private/two';\n$databases = ['default' => ['default' => [\n\
                 'database' => 'sites/two/db/.ht.sqlite', 'driver' => 'sqlite']]];\n",
            ),
            ("web/sites/two/open here/a.txt", ""),
            ("web/sites/two/db/.ht.sqlite", ""),
            ("web/sites/two/db/.ht.sqlite-wal", ""),
            ("private/two/b.txt", ""),
            ("web/sites/three/settings.php", "<?php\n$settings['file_private_path'] = \"../private\";\n"),
            ("web/sites/three/settings.local.php", "<?php\n$conf['file_public_path'] = $here . '/files';\n"),
            ("web/sites/three/files/c.txt", ""),
            ("web/sites/all/files/shared.txt", ""),
            ("web/core/index.php", ""),
        ] {
            let path = root.join(path);
            fs::create_dir_all(path.parent().expect("a folder")).expect("made");
            fs::write(path, text).expect("written");
        }
        std::os::unix::fs::symlink("default", root.join("web/sites/alias")).expect("linked");
        let site = Site {
            root: root.clone(),
            conf_path: "web/sites/default".into(),
            private_path: Some("private/own".into()),
            drupal_version: "10.6.15".into(),
            ..Site::default()
        };
        let found: Vec<_> = paths(&site)
            .expect("looked")
            .iter()
            .map(|path| path.strip_prefix(&root).expect("below").to_string_lossy().into_owned())
            .collect();
        // The private files of the third hold the site's own.
        let expected = [
            "private/two",
            "web/sites/three/files",
            "web/sites/two/db/.ht.sqlite",
            "web/sites/two/db/.ht.sqlite-wal",
            "web/sites/two/open here",
        ];
        assert_eq!(found, expected);
    }
}
