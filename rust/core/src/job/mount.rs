//! A backup in a repository as a folder that can be looked into, for as long as the job runs.

use super::select::Criteria;
use crate::config::Document;
use crate::destination::snapshots::{ID, SITE, tag};
use crate::{Code, Error, Fact, Monitor, Result, ResultExt, Told, entries};
use serde_json::{Value, json};
use std::path::Path;

/// Shows a backup below `folder` until the job is cancelled, or the folder is unmounted by somebody else.
pub fn run(document: &Document, ask: &Criteria<'_>, folder: &Path, monitor: &Monitor) -> Result<Value> {
    let there = ask.list_for_one(document, monitor)?;
    let backup = ask.find(document, &there.listing, monitor)?;
    let holds = |id: &str| backup.copy_at(id).is_some_and(|copy| copy.place.repository && copy.whole);
    let holding = there.places.iter().filter(|place| holds(place.id()));
    let place = holding.min_by_key(|place| !place.is_here()).ok_or_else(|| {
        let text = format!("{} lies in no repository: archives cannot be mounted", backup.file);
        Error::new(Code::Unsupported, text).hint("look into it with `bam ls` and `bam cat`")
    })?;
    let Some(snapshots) = place.snapshots() else {
        return Err(Error::new(Code::Internal, "this place takes no snapshots"));
    };
    let folder = &folder.canonicalize().at("cannot look at", folder)?;
    if entries::names(folder).at("cannot look into", folder)?.next().is_some() {
        return Err(Error::of_path(Code::Usage, folder, "is not empty")
            .hint("name an empty folder: the backup is shown in it"));
    }
    let mut tags = vec![tag(ID, &backup.id.to_string())];
    let sidecar = backup.sidecar()?;
    let site = sidecar.as_ref().and_then(|sidecar| sidecar.get(crate::catalog::key::SITE));
    tags.extend(site.map(|site| tag(SITE, site)));
    match snapshots.mount(&tags, folder, monitor).within(Fact::Destination, place.id()) {
        // So it ends.
        Err(error) if error.code() == Code::Cancelled => {}
        done => done?,
    }
    Ok(json!({ "id": backup.id, "file": &*backup.file, "destination": place.id(), "folder": folder }))
}
