//! What `status` knows from memory: backups that were made and are gone, or whose sidecars are, or that a place lacks.

use crate::catalog::{Listing, Status};
use crate::config::Document;
use crate::job::absent::{self, Absent, By};
use crate::job::made::{self, Made};
use crate::job::recall;
use crate::{Monitor, NoteKind, Result};

/// What is missing, by source.
pub struct Remembered {
    gone: Vec<(String, String)>,
    recalled: Vec<(Option<String>, String)>,
    absent: Vec<Absent>,
}

impl Remembered {
    /// Of a listing with all that there is.
    pub fn of(document: &Document, listing: &Listing, monitor: &Monitor) -> Result<Remembered> {
        let made = Made::of(document);
        made.tell_unread(monitor);
        let gone = made.gone(document, listing).into_iter();
        let recalled = listing.backups.iter();
        let all: Vec<&str> = document.destinations.keys().map(String::as_str).collect();
        Ok(Remembered {
            absent: absent::of(document, &made, &all, listing, By::Sidecars)?,
            gone: gone.map(|(source, backup)| (source.to_owned(), made::tell_gone(backup))).collect(),
            recalled: recalled
                .filter_map(|backup| Some((backup.about.source.clone(), recall::tell(backup)?)))
                .collect(),
        })
    }

    /// Sources of which backups are gone.
    pub fn gone(&self) -> impl Iterator<Item = &str> {
        self.gone.iter().map(|(source, _)| source.as_str())
    }

    /// Says it of the sources that are watched; of others what lies there and proves nothing.
    pub fn tell(self, status: &mut Status, monitor: &Monitor) {
        for (source, text) in self.recalled {
            match status.sources.iter_mut().find(|watched| Some(&watched.source) == source.as_ref()) {
                Some(watched) => watched.missing.push(text),
                None => monitor.note(NoteKind::Missing, text),
            }
        }
        for (source, text) in self.gone {
            let watched = status.sources.iter_mut().filter(|watched| watched.source == source);
            watched.for_each(|watched| watched.missing.push(text.clone()));
        }
        for absent in self.absent {
            match status.sources.iter_mut().find(|watched| watched.source == absent.source) {
                Some(watched) => watched.missing.push(absent.text()),
                None => monitor.note(NoteKind::Missing, absent.text()),
            }
        }
        status.sources.iter_mut().for_each(|source| source.ok &= source.missing.is_empty());
        status.ok = status.ok && status.sources.iter().all(|source| source.ok);
    }
}
