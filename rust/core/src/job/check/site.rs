//! The site's folders, the sources, and secrets that lie where the web server serves files from.

use super::{Finding, FindingState};
use crate::catalog::SiteIdentity;
use crate::config::{DestinationType, Document, SourceType};
use crate::job::web::{self, Roots};
use crate::regular;
use std::fs;
use std::path::{Path, PathBuf};

pub(super) fn look(document: &Document) -> Vec<Finding> {
    let mut findings = vec![site(document)];
    findings.extend(sources(document));
    findings.extend(exposed(document));
    findings.extend(unnamed(document));
    findings
}

/// A site without an address is known by its folder and database alone, which a copy of it elsewhere has, too.
fn unnamed(document: &Document) -> Option<Finding> {
    let identity = SiteIdentity::of(document)?;
    let mut places = document.destinations.values();
    let meets = places
        .any(|place| place.kind != DestinationType::Directory && place.folder(&document.site).is_none());
    (identity.url.is_none() && identity.folder.is_some() && meets).then(|| {
        let text = "no address tells this site from a copy of it on another machine, at the same path and with a database \
                    of the same name: at a common destination the retention of one removes backups of the other";
        Finding::new("site", "", FindingState::Notice, text)
            .hint("set site.url (in Drupal's settings.php: $base_url), another one in each copy")
    })
}

fn site(document: &Document) -> Finding {
    let site = &document.site;
    let finding = |state, text: String| Finding::new("site", "", state, text);
    if site.root.as_os_str().is_empty() {
        let text =
            "no site is named: nothing of it was looked at, and its files and code cannot be backed up";
        let state = if document.sources.is_empty() { FindingState::Wrong } else { FindingState::Missing };
        return finding(state, text.into()).hint("set site.root to the folder of Drupal's index.php");
    }
    let root = &site.root;
    match fs::metadata(root) {
        Ok(found) if found.is_dir() => {}
        Ok(_) => {
            return finding(FindingState::Wrong, format!("{} is no folder", root.display()))
                .hint("set site.root to the folder of Drupal's index.php");
        }
        Err(cause) => {
            return finding(FindingState::Wrong, format!("cannot look at {}: {cause}", root.display()))
                .hint("set site.root to the folder of Drupal's index.php");
        }
    }
    if !web::has_drupal(&site.docroot()).unwrap_or(true) {
        return finding(FindingState::Notice, format!("{} is a folder without a Drupal", root.display()));
    }
    let settings = site.conf_dir().join("settings.php");
    if let Err(cause) = regular::open(&settings) {
        return finding(FindingState::Wrong, format!("cannot read {}: {cause}", settings.display()))
            .hint("correct site.conf_path, or run this as a user who may read it");
    }
    let version = match site.drupal_version.as_str() {
        "" => "Drupal".to_owned(),
        version => format!("Drupal {version}"),
    };
    finding(FindingState::Good, format!("{version} in {}, {}", root.display(), site.conf_path_or_default()))
}

/// Whether the folders are there that are backed up.
fn sources(document: &Document) -> Vec<Finding> {
    if document.sources.is_empty() {
        let finding =
            Finding::new("source", "", FindingState::Wrong, "there is nothing to back up: no source");
        return vec![finding.hint("add one under \"sources\", or set site.root")];
    }
    let mut findings = Vec::new();
    for (name, source) in &document.sources {
        let (SourceType::Files, Some(path)) = (source.kind, &source.path) else { continue };
        // Contradictions are told of already.
        let Ok(folder) = document.site.resolve(path) else { continue };
        let scheduled =
            document.schedules.values().any(|schedule| schedule.enabled && schedule.source == *name);
        let built_in = matches!(name.as_str(), "files" | "files_private");
        let finding = |state, text| Finding::new("source", name, state, text);
        findings.push(match crate::entries::names(&folder) {
            Ok(_) => finding(FindingState::Good, folder.display().to_string()),
            Err(cause) => {
                let state = if built_in && !scheduled { FindingState::Notice } else { FindingState::Missing };
                finding(state, format!("cannot look into {}: {cause}", folder.display()))
                    .hint("correct its path, or run this as a user who may read it")
            }
        });
    }
    findings
}

/// Keys, passwords and the configuration must not lie where the web server may hand them out.
fn exposed(document: &Document) -> Vec<Finding> {
    if document.site.root.as_os_str().is_empty() {
        return Vec::new();
    }
    let roots = match Roots::of(&document.site) {
        Ok(roots) => roots,
        Err(error) => return vec![Finding::failed("site", "", &error)],
    };
    let encryption = &document.encryption;
    let mut files: Vec<(&'static str, &Path)> = Vec::new();
    let of = |what: &'static str, path: &'_ Option<PathBuf>| path.clone().map(|path| (what, path));
    let mut owned: Vec<(&'static str, PathBuf)> = Vec::new();
    owned.extend(of("the key file", &encryption.key_file));
    owned.extend(encryption.keys.iter().map(|path| ("the key", path.clone())));
    owned.extend(
        encryption.aes_module.as_ref().and_then(|module| of("the key of the aes module", &module.key_file)),
    );
    owned.extend(of("the configuration", &document.file));
    owned.extend(of("the state folder", &document.state_dir));
    for database in document.databases.values() {
        owned.extend(of("the password file", &database.password_file));
    }
    for destination in document.destinations.values() {
        owned.extend(of("the password file", &destination.password_file));
        owned.extend(of("the SSH key", &destination.identity_file));
    }
    files.extend(owned.iter().map(|(what, path)| (*what, path.as_path())));
    // What cannot be looked at fails where it is used.
    let inside =
        files.into_iter().filter_map(|(what, path)| Some((what, path, roots.standing(path).ok().flatten()?)));
    inside
        .map(|(what, path, standing)| {
            let (path, lies) = (path.display(), standing.lies);
            let text = format!("{what} {path} {lies}, where the web server may hand it out");
            Finding::new("site", "", FindingState::Wrong, text)
                .hint("move it outside of the docroot, e.g. to /etc/bam")
        })
        .collect()
}
