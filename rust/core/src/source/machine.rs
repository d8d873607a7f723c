//! Which files of a site say what is true of one machine alone, and what nobody else shall know: passwords, addresses, what
//! a developer switched on. They are in no archive by default. (A restore leaves more as it is: `job::restore::keep`.)

use crate::Result;
use crate::config::Site;
use crate::entries;
use crate::look::{if_open, is_file};
use std::path::PathBuf;

/// Files that Composer projects keep the environment in, beside composer.json.
const ENVIRONMENT: [&str; 2] = [".env", ".env.local"];

/// Whether a file called `name` in a site's folder is one: settings.php and what it includes by custom,
/// `settings.local.php` and `services.local.yml`. `services.yml` is code, as are the examples `default.*`.
fn is_setting(name: &[u8]) -> bool {
    let between = |beginning: &[u8], end: &[u8]| {
        name.len() > beginning.len() + end.len() && name.starts_with(beginning) && name.ends_with(end)
    };
    name == b"settings.php" || between(b"settings.", b".php") || between(b"services.", b".yml")
}

/// Those that are there, absolute: of all sites of the docroot, whose passwords are no less secret.
///
/// # Errors
///
/// A folder cannot be read, though it is open to us.
pub fn files(site: &Site) -> Result<Vec<PathBuf>> {
    let is_setting =
        |path: &PathBuf| path.file_name().is_some_and(|name| is_setting(name.as_encoded_bytes()));
    let mut found = vec![site.conf_dir().join("settings.php")];
    for folder in if_open(entries::paths(&site.docroot().join("sites")))? {
        found.extend(if_open(entries::paths(&folder))?.into_iter().filter(is_setting));
    }
    for path in ENVIRONMENT.iter().map(|name| site.root.join(name)).filter(|_| site.is_modern()) {
        if if_open(is_file(&path))? {
            found.push(path);
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn settings_of_every_site_are_found_and_examples_are_not() {
        let root = tempfile::tempdir().expect("a folder");
        for path in [
            "web/sites/default/settings.php",
            "web/sites/default/settings.local.php",
            "web/sites/default/services.local.yml",
            "web/sites/default/services.yml",
            "web/sites/default/default.settings.php",
            "web/sites/other/settings.prod.php",
            "web/sites/sites.php",
            "web/sites/development.services.yml",
            ".env",
            ".env.example",
        ] {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().expect("a folder")).expect("made");
            fs::write(path, "").expect("written");
        }
        let site = |version: &str| Site {
            root: root.path().into(),
            conf_path: "web/sites/default".into(),
            drupal_version: version.into(),
            ..Site::default()
        };
        let names = |site: &Site| {
            let mut names: Vec<String> = files(site)
                .expect("looked")
                .iter()
                .map(|path| path.strip_prefix(root.path()).expect("below").display().to_string())
                .collect();
            names.sort();
            names.dedup();
            names
        };
        let settings = [
            "web/sites/default/services.local.yml",
            "web/sites/default/settings.local.php",
            "web/sites/default/settings.php",
            "web/sites/other/settings.prod.php",
        ];
        assert_eq!(names(&site("7.105")), settings);
        assert_eq!(names(&site("10.6.15")), [&[".env"], &settings[..]].concat());
    }
}
