//! Which backups a request is about: listed, of the right site, and the one that is meant among them.

use super::local::Local;
use super::request::Restore;
use super::{absent, made, places, recall};
use crate::catalog::{Backup, Listing, Relation, SiteIdentity};
use crate::config::Document;
use crate::destination::Destination;
use crate::{Code, Error, Monitor, Note, NoteKind, Result};
use std::path::Path;
use std::sync::Arc;

/// What was asked for.
#[derive(Debug, Clone, Copy)]
pub struct Criteria<'a> {
    /// An ID, a file name or `latest`; none: all.
    pub id: Option<&'a str>,
    /// Where to look; none: everywhere.
    pub destinations: &'a [String],
    /// Only of this source.
    pub source: Option<&'a str>,
    /// Of this site.
    pub site: Option<&'a str>,
}

/// The destinations of a request and what they list.
pub struct Selection {
    /// Those that were asked.
    pub places: Vec<Arc<dyn Destination>>,
    /// The right site's backups.
    pub listing: Listing,
}

impl<'a> Criteria<'a> {
    /// All of it.
    pub fn new(
        id: Option<&'a str>,
        destinations: &'a [String],
        source: Option<&'a str>,
        site: Option<&'a str>,
    ) -> Criteria<'a> {
        Criteria { id, destinations, source, site }
    }

    /// Lists what there is, for work on all copies of it.
    pub fn list(&self, document: &Document, monitor: &Monitor) -> Result<Selection> {
        let all = self.list_for(NoteKind::Missing, document, monitor)?;
        if self.id.is_none() {
            self.tell_of_absent(document, &all, monitor)?;
        }
        Ok(all)
    }

    /// The same, for work that one copy is enough for.
    pub fn list_for_one(&self, document: &Document, monitor: &Monitor) -> Result<Selection> {
        let all = self.list_for(self.id.map_or(NoteKind::Missing, gap), document, monitor)?;
        // Of the latest, at the places that are named.
        if matches!(self.id, None | Some("latest")) && !self.destinations.is_empty() {
            self.tell_of_absent(document, &all, monitor)?;
        }
        Ok(all)
    }

    fn tell_of_absent(&self, document: &Document, all: &Selection, monitor: &Monitor) -> Result<()> {
        if self.site.is_some() {
            return Ok(());
        }
        let asked: Vec<&str> = all.places.iter().map(|place| place.id()).collect();
        absent::tell(document, &asked, &all.listing, self.source, monitor)
    }

    fn list_for(&self, gap: NoteKind, document: &Document, monitor: &Monitor) -> Result<Selection> {
        let places = places::open(document, self.destinations)?;
        let listing = places::list(gap, document, &places, self.site, monitor)?;
        if matches!(self.id, None | Some("latest")) && self.destinations.is_empty() && self.site.is_none() {
            made::tell_of_gone(document, &listing, self.source, monitor);
        }
        // Of one that has a name and is found, another is no part.
        recall::tell_all(self.id.map_or(NoteKind::Missing, self::gap), &listing, monitor);
        // It may be the latest.
        if let (Some("latest"), Some(note)) = (self.id, listing.incomplete()) {
            monitor.note(note.kind, note.text);
        }
        Ok(Selection { places, listing })
    }

    /// The one that is meant, where one is; else all of the source.
    pub fn choose<'l>(
        &self,
        document: &Document,
        listing: &'l Listing,
        monitor: &Monitor,
    ) -> Result<Vec<&'l Backup>> {
        match self.id {
            Some(_) => Ok(vec![self.find(document, listing, monitor)?]),
            None => {
                places::check_source(document, listing, self.source)?;
                let of_source = |backup: &&Backup| {
                    self.source.is_none_or(|source| backup.about.source.as_deref() == Some(source))
                };
                Ok(listing.backups.iter().filter(of_source).collect())
            }
        }
    }

    /// The one that is meant.
    pub fn find<'l>(
        &self,
        document: &Document,
        listing: &'l Listing,
        monitor: &Monitor,
    ) -> Result<&'l Backup> {
        let id = self.id.ok_or_else(which)?;
        places::find(document, listing, id, self.source, None, monitor)
    }
}

/// How much it matters that a place could not be asked for a backup of which one copy is enough: the latest may lie there, but
/// one that has a name and is found is no other.
pub fn gap(id: &str) -> NoteKind {
    if id == "latest" { NoteKind::Missing } else { NoteKind::Warning }
}

/// Nobody said which backup.
pub fn which() -> Error {
    Error::new(Code::Usage, "which backup?").hint("give its ID, its file name, or `latest`")
}

/// The backup that a request means, for whoever asks before it is run.
#[derive(Debug, Clone)]
pub struct Meant {
    /// The backup.
    pub backup: Backup,
    /// The other site that it is of; none where it is the document's own.
    pub other_site: Option<String>,
    /// What is to be said about the choice.
    pub notes: Vec<Note>,
}

/// The other site that a backup file is of, in words; none where it is the document's own, or does not say.
pub fn other_site(document: &Document, file: &Path) -> Result<Option<String>> {
    let local = Local::from_path(file)?;
    let theirs = local.sidecar().map(SiteIdentity::of_sidecar).unwrap_or_default();
    let own = SiteIdentity::of(document);
    Ok(own.filter(|own| own.relation(&theirs) == Relation::Other).map(|_| theirs.describe()))
}

/// Finds the backup that a restore (or, by the same rules, a deletion) means, without touching it.
pub fn meant(document: &Document, ask: &Restore, monitor: &Monitor) -> Result<Meant> {
    let id = ask.id.as_deref().ok_or_else(which)?;
    let names: Vec<String> = ask.destination.iter().cloned().collect();
    let source = ask.source.as_deref().filter(|_| id == "latest");
    let wanted = Criteria::new(Some(id), &names, source, ask.site.as_deref());
    let there = wanted.list_for_one(document, monitor)?;
    let backup = wanted.find(document, &there.listing, monitor)?.clone();
    let other_site = (backup.own == Some(false)).then(|| backup.identity().describe());
    Ok(Meant { backup, other_site, notes: monitor.notes() })
}
