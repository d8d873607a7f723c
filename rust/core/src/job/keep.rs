//! What of a live folder outlives a restore: what no backup has, because it is left out, and backups themselves.

use super::{places, sources};
use crate::config::{Document, Source, SourceType};
use std::path::{Path, PathBuf};

/// Paths below `live`, relative to it. For a files source `base` is its folder, which `live` is or lies in.
pub fn of(document: &Document, source_name: &str, source: &Source, base: &Path, live: &Path) -> Vec<PathBuf> {
    let mut kept = Vec::new();
    let settings: Vec<_> =
        document.profiles.values().map(|profile| profile.sources.get(source_name)).collect();
    for settings in settings.into_iter().chain([None]) {
        let excludes = match source.kind {
            SourceType::Files => sources::files_excludes(document, settings, base),
            _ => sources::archive_excludes(document, settings),
        };
        kept.extend(excludes.below(live));
    }
    let folders = places::local_folders(document).into_iter().filter_map(|path| path.canonicalize().ok());
    kept.extend(folders.filter_map(|path| path.strip_prefix(live).ok().map(Path::to_owned)));
    kept.retain(|path| !path.as_os_str().is_empty());
    kept.sort();
    kept.dedup();
    // What lies below a kept folder moves with it.
    kept.dedup_by(|later, earlier| later.starts_with(earlier));
    kept
}
