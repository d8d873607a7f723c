//! Which folders of a Composer project `composer install` brings back: what composer.json says of them.

use crate::{Code, Error, Result, ResultExt, look};
use serde_json::Value;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

/// No composer.json is longer.
const LONGEST: u64 = 4 * 1024 * 1024;

/// The folders, absolute; `None` where `root` is no Composer project with a composer.lock, without which nobody knows
/// which versions were there.
///
/// # Errors
///
/// composer.json cannot be read, or says nothing that can be understood.
pub fn folders(root: &Path) -> Result<Option<Vec<PathBuf>>> {
    let json = root.join("composer.json");
    if !look::is_file(&root.join("composer.lock"))? || !look::is_file(&json)? {
        return Ok(None);
    }
    let mut text = Vec::new();
    File::open(&json).and_then(|file| file.take(LONGEST).read_to_end(&mut text)).at("cannot read", &json)?;
    let project: Value = serde_json::from_slice(&text)
        .map_err(|cause| Error::of_path(Code::Config, &json, "is no JSON").because(cause))?;
    let vendor = project.pointer("/config/vendor-dir").and_then(Value::as_str).unwrap_or("vendor");
    let mut found = vec![vendor.to_owned()];
    if let Some(Value::Object(paths)) = project.pointer("/extra/installer-paths") {
        // "web/modules/contrib/{$name}" holds contributed code alone; "web/core" is one package. A path with the name
        // elsewhere than at its end, or with nothing before it, tells no folder of its own.
        found.extend(paths.keys().filter_map(|path| {
            let path = path.trim_end_matches('/');
            let folder = path.strip_suffix("{$name}").unwrap_or(path).trim_end_matches('/');
            let telling = !folder.is_empty() && !folder.contains('{') && is_contributed(path, folder);
            telling.then(|| folder.to_owned())
        }));
    }
    Ok(Some(found.into_iter().map(|path| root.join(path.trim_start_matches("./"))).collect()))
}

/// Whether all in a folder comes from Composer: custom code has its own, or lies in one that has no `contrib`.
fn is_contributed(path: &str, folder: &str) -> bool {
    let last = folder.rsplit('/').next().unwrap_or_default();
    !path.ends_with("{$name}") || matches!(last, "contrib" | "libraries")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn what_composer_installs_is_found_and_custom_code_is_not() {
        let root = tempfile::tempdir().expect("a folder");
        let write = |name: &str, text: &str| fs::write(root.path().join(name), text).expect("written");
        let json = r#"{"config": {"vendor-dir": "lib"}, "extra": {"installer-paths": {
            "web/core": ["type:drupal-core"],
            "web/modules/contrib/{$name}": ["type:drupal-module"],
            "web/modules/custom/{$name}": ["type:drupal-custom-module"],
            "web/libraries/{$name}/": ["type:drupal-library"],
            "{$vendor}/{$name}": ["x"]
        }}}"#;
        write("composer.json", json);
        assert_eq!(folders(root.path()).expect("looked"), None, "nobody knows the versions");
        write("composer.lock", "{}");
        let mut found = folders(root.path()).expect("looked").expect("a project");
        found.sort();
        let expected = ["lib", "web/core", "web/libraries", "web/modules/contrib"];
        assert_eq!(found, expected.map(|path| root.path().join(path)));
    }
}
