//! What people and other programs write: settings, names, patterns, sidecars.

use crate::Secret;
use crate::catalog::{BackupId, Blocks, FileName, Sidecar, SiteIdentity, SiteUrl, Tokens, date, key};
use crate::config::document::Database;
use crate::config::import::Import;
use crate::config::php::{parse_export, serialize, unserialize};
use crate::config::{Document, Site, by_shape, duration, parse_cron, without_password};
use crate::destination::ssh::known_hosts::{KnownHosts, parse_pin};
use crate::destination::ssh::location::Location;
use crate::source::pattern::Patterns;
use std::path::Path;

/// The configuration document, as YAML and as JSON.
pub fn document(text: &str) {
    for read in [Document::from_yaml(text), Document::from_json(text)] {
        match read {
            Ok(document) => {
                let _ = document.contradictions();
                let _ = document.to_yaml(false);
                let _ = document.to_json(true);
            }
            Err(error) => assert!(!error.to_string().is_empty()),
        }
    }
}

/// Names of backups, tokens, dates, durations, cron lines, addresses of sites.
pub fn names(text: &str) {
    if let Some(name) = FileName::parse(text) {
        let written = name.to_string();
        let again = FileName::parse(&written).expect("its own name");
        assert_eq!(again.to_string(), written);
        let _ = name.date(Some("UTC"));
    }
    let site = Site { name: text.to_owned(), timezone: Some("Europe/Vienna".into()), ..Site::default() };
    let tokens = Tokens::of(&site, 1_764_000_000);
    let _ = tokens.replace(text);
    let _ = date::format(text, &tokens.now);
    if let Ok(seconds) = duration::parse(text) {
        assert_eq!(duration::parse(&duration::format(seconds)).ok(), Some(seconds));
    }
    let _ = parse_cron(text);
    let _ = SiteUrl::parse(text);
}

/// Exclude patterns: recorded in a sidecar, they mean what they meant.
pub fn pattern(text: &str) {
    let Some((path, lines)) = text.split_once('\n') else { return };
    let mut patterns = Patterns::default();
    for line in lines.lines().take(8) {
        let _ = patterns.add(line, "docroot");
    }
    let recorded: Vec<String> = patterns.lines().map(str::to_owned).collect();
    let again = Patterns::of(&recorded);
    for is_folder in [false, true] {
        assert_eq!(
            again.exclude(path.as_bytes(), is_folder),
            patterns.exclude(path.as_bytes(), is_folder),
            "{recorded:?}"
        );
    }
}

/// A sidecar: what is read of it is written so that the same is read again.
pub fn sidecar(text: &str) {
    let sidecar = Sidecar::parse(text);
    let written = sidecar.to_string();
    let again = Sidecar::parse(&written);
    assert_eq!(again.to_string(), written);
    assert_eq!(again.fields().count(), sidecar.fields().count());
    let identity = SiteIdentity::of_sidecar(&sidecar);
    let _ = (identity.describe(), identity.words(), identity.is_meant_by(text));
    let _ = BackupId::of(Some(&sidecar), 0);
    let _ = (sidecar.list(key::CHANGED_FILES), sidecar.digest(key::SHA256), sidecar.number(key::FILE_SIZE));
    let _ = Blocks::parse(sidecar.get(key::BLOCKS).unwrap_or(text));
}

/// What PHP wrote: exports as `var_export` prints them, and serialized values.
pub fn php(data: &[u8]) {
    let _ = parse_export(data);
    if let Ok(value) = unserialize(data) {
        let written = serialize(&value);
        let again = unserialize(&written).expect("what was written is read");
        assert_eq!(serialize(&again), written);
        let _ = value.to_json();
    }
    if let Ok(import) = Import::read(data) {
        for item in &import.items {
            let _ = item.value.to_json();
        }
    }
}

/// A file of known host keys, and addresses of servers and databases.
pub fn ssh(text: &str) {
    let mut known = KnownHosts::default();
    known.parse(Path::new("known_hosts"), text);
    let host = text.split([' ', ',', '\n']).next().unwrap_or_default();
    known.key_types(host, 22);
    known.check(host, 2222, text.as_bytes());
    let _ = parse_pin(text);
    let database = Database { url: Some(Secret::new(text)), ..Database::default() };
    if let Ok(connection) = database.resolve(Path::new("/site")) {
        let _ = (connection.label(), format!("{connection:?}"));
    }
    if let Ok(location) = Location::parse(&Secret::new(text)) {
        let _ = (location.machine(), location.folder(), location.describe("sftp"));
        assert!(!location.host.starts_with('-'), "an option to ssh");
    }
}

/// Passwords in a text: none shows that stands in a URL or behind `password=`, whatever is in it and around it.
pub fn mask(text: &str) {
    const SECRET: &str = "s3cret-4711";
    let masked = [by_shape(text.to_owned()), without_password(&Secret::new(text))];
    assert!(text.contains(['@', '=']) || masked.iter().all(|masked| masked == text), "nothing to hide");
    // Another address in it is taken for that, and what begins as what was hidden for that. The fuzzer learns the secret.
    // Taken out, either may leave another behind.
    let mut text = text.to_owned();
    while text.contains("://") || text.contains(SECRET) {
        text = text.replace("://", "").replace(SECRET, " ");
    }
    let mut lines = text.lines();
    let mut line = || lines.next().unwrap_or_default();
    let (before, after, around) = (line(), line(), line());
    let before = before.trim_start_matches(|c: char| c.is_whitespace() || c == '[');
    let url = format!("mysql://user:{before}{SECRET}{after}@host/n");
    for text in [
        without_password(&Secret::new(url.as_str())),
        by_shape(format!("{around} \"{url}\"")),
        by_shape(format!("{url} {around}")),
        without_password(&Secret::new(url.replacen("//", "/", 1))),
        without_password(&Secret::new(format!("https://{around}/?token={SECRET}"))),
        by_shape(format!("x password={SECRET}{around}")),
    ] {
        assert!(!text.contains(SECRET), "{text}");
    }
}
