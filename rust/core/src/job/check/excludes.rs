//! What profiles leave out of folders: whether it is understood, and whether there is anything of it.

use super::{Finding, FindingState};
use crate::config::{Document, Source, SourceType};
use crate::job::choose;
use crate::job::scope;
use crate::look;
use crate::source::exclude::{Excludes, default_of_archive};
use crate::{Monitor, Result};
use std::path::PathBuf;

pub(super) fn look(document: &Document, monitor: &Monitor) -> Result<Vec<Finding>> {
    let mut findings = Vec::new();
    for (profile, settings) in &document.profiles {
        for (name, settings) in &settings.sources {
            let (Some(entries), Ok(source)) = (&settings.exclude, choose::source(document, name)) else {
                continue;
            };
            let Some(places) = places(document, name, source) else { continue };
            let Some((base, _)) = places.first().filter(|(base, _)| look::is_folder(base).unwrap_or(true))
            else {
                continue;
            };
            for line in
                entries.iter().flat_map(|entry| entry.lines()).map(str::trim).filter(|line| !line.is_empty())
            {
                monitor.check()?;
                let excludes = Excludes::in_archive([line], base, &document.site, &places);
                if excludes.finds_something() {
                    continue;
                }
                let key = format!("profiles.{profile}.sources.{name}.exclude");
                let finding = |state, text: String| Finding::new("source", name, state, text);
                if let Some((_, why)) = excludes.malformed().first() {
                    findings.push(
                        finding(FindingState::Wrong, format!("{key}: {line:?} is no pattern: {why}"))
                            .hint("patterns are written as in a .gitignore; a backslash takes its meaning from *, ? and ["),
                    );
                } else if !is_usual(document, line) {
                    findings.push(finding(
                        FindingState::Notice,
                        format!("{key}: {line:?} fits nothing that is there now"),
                    ));
                }
            }
        }
    }
    Ok(findings)
}

/// The folders of a source and their paths in the archive, the one that entries count from first.
fn places(document: &Document, name: &str, source: &Source) -> Option<Vec<(PathBuf, String)>> {
    match source.kind {
        SourceType::Database => None,
        SourceType::Files => Some(vec![(scope::folder(document, name, source).ok()?, String::new())]),
        SourceType::Archive => scope::archive_places(&document.site).ok(),
    }
}

/// What Backup and Migrate leaves out of any site, whether it is there or not, as its profiles have it.
fn is_usual(document: &Document, line: &str) -> bool {
    let usual = default_of_archive(&document.site);
    usual.iter().any(|entry| line == entry || entry.strip_prefix("public://") == Some(line))
}
