//! Which backups there are: what every destination lists, put together.
//!
//! Copies of one backup are found by ID and file name (and digest, where both tell one). A copy that lost its sidecar
//! joins the backup of its name and size. An ID means what it meant when it was printed: where two backups claim one
//! (two sites that share a folder, files of others), it is ambiguous, and nothing is numbered anew.

use super::backup::{Backup, Maker, Place};
use super::{BackupId, Sites};
use crate::destination::{Destination, Listed, same};
use crate::{Code, Note, NoteKind, Result, threads};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// All backups, and what could not be listed.
#[derive(Debug, Clone, Default)]
pub struct Listing {
    /// The newest first.
    pub backups: Vec<Backup>,
    /// How many could not be looked at; the notes name them.
    pub left_out: usize,
    /// Destinations that could not be listed, and why.
    pub unreachable: BTreeMap<String, String>,
    /// Those of them that are there to be reached and hold nothing: repositories that nobody made yet.
    pub absent: BTreeSet<String>,
    /// What could not be read, IDs that two backups claim, copies whose size is not what their sidecar says.
    pub notes: Vec<Note>,
    /// Backups of sites that were not asked for ([`Listing::of_sites`]).
    pub others: Vec<Backup>,
    /// Destinations that are the place of one before them, by their names.
    pub same: BTreeMap<String, String>,
    /// Whose backups were asked for, once that was.
    pub asked: Option<Sites>,
}

/// What one place lists.
struct Files {
    maker: Maker,
    repository: bool,
    backups: Vec<Backup>,
    notes: Vec<Note>,
}

impl Files {
    fn new(place: Place) -> Files {
        let repository = place.repository;
        Files { maker: Maker::new(place), repository, backups: Vec::new(), notes: Vec::new() }
    }

    /// Takes one in; files that are no backups are left out.
    fn take(&mut self, listed: Listed) {
        let Some((backup, other_size)) = self.maker.make(listed) else { return };
        if let Some(told) = other_size {
            let text = format!(
                "{} at {} has {} bytes, its sidecar says {told}: this copy is damaged",
                backup.file,
                self.maker.place().destination,
                backup.size
            );
            self.notes.push(Note { kind: NoteKind::Warning, text });
        }
        self.backups.push(backup);
    }

    /// Whether both can be what one place lists: two servers may have one key, and be asked for one path.
    fn may_be(&self, other: &Files) -> bool {
        if self.repository || (self.maker.place().local && other.maker.place().local) {
            return true;
        }
        // In the order of their names.
        let mut theirs = other.backups.iter().peekable();
        self.backups.iter().all(|ours| {
            while theirs.next_if(|their| their.file < ours.file).is_some() {}
            let its = |backup: &Backup| backup.copies.first().map(|copy| (copy.size, copy.mtime));
            theirs.next_if(|their| their.file == ours.file).is_none_or(|their| its(their) == its(ours))
        })
    }

    /// Makes it the place of another destination, which lists these.
    fn lie_at(&mut self, other: &str, backups: Vec<Backup>) {
        let place = Arc::new(Place { same_as: Some(other.to_owned()), ..self.maker.place().clone() });
        self.backups = backups;
        for copy in self.backups.iter_mut().flat_map(|backup| &mut backup.copies) {
            copy.place = Arc::clone(&place);
        }
        self.notes.clear();
    }
}

impl Listing {
    /// Lists destinations, all at once. One that cannot be reached does not spoil the others.
    ///
    /// # Errors
    /// [`Code::Io`] where this machine does not give back what it was to keep; [`Code::Cancelled`].
    pub fn of(destinations: &[&dyn Destination]) -> Result<Listing> {
        let listed = threads::at_once("bam-list", destinations, |destination| {
            let mut files = Files::new(Place {
                destination: destination.id().to_owned(),
                host: destination.host(),
                folder: destination.folder(),
                local: destination.pushes(),
                repository: destination.snapshots().is_some(),
                same_as: None,
            });
            let mut told = Vec::new();
            destination.look(&mut |listed| files.take(listed), &mut told).map(|()| (files, told))
        });
        let answered = destinations.iter().zip(&listed).filter(|(_, result)| matches!(result, Ok(Ok(_))));
        let answered: Vec<&dyn Destination> = answered.map(|(destination, _)| *destination).collect();
        let mut doubles = same::doubles(&answered);
        let files: Vec<&Files> =
            listed.iter().filter_map(|result| Some(&result.as_ref().ok()?.as_ref().ok()?.0)).collect();
        doubles.retain(|(one, other)| {
            files.get(*one).zip(files.get(*other)).is_some_and(|(one, other)| one.may_be(other))
        });
        let name = |at: usize| answered.get(at).map(|destination| destination.id().to_owned());
        let same: BTreeMap<String, String> =
            doubles.iter().filter_map(|(one, other)| name(*one).zip(name(*other))).collect();
        let mut places: Vec<Files> = Vec::new();
        let (mut unreachable, mut absent) = (BTreeMap::new(), BTreeSet::new());
        let (mut notes, mut left_out) = (Vec::new(), 0);
        for (destination, result) in destinations.iter().zip(listed) {
            let id = destination.id().to_owned();
            match result {
                // Of one that is the place of another nothing is said twice.
                Ok(Ok((files, _))) if same.contains_key(&id) => places.push(files),
                Ok(Ok((files, told))) => {
                    left_out += told.iter().filter(|note| note.kind == NoteKind::Missing).count();
                    // Whether it matters is for those to say who asked.
                    notes.extend(told.into_iter().map(|note| Note {
                        kind: note.kind.min(NoteKind::Warning),
                        text: format!("{id}: {}", note.text),
                    }));
                    places.push(files);
                }
                Ok(Err(error)) if error.code() == Code::Cancelled => return Err(error),
                Ok(Err(error)) => {
                    if error.code() == Code::NotFound && destination.snapshots().is_some() {
                        absent.insert(id.clone());
                    }
                    unreachable.insert(id, error.to_string());
                }
                Err(_) => drop(unreachable.insert(id, "listing it stopped at a bug in bam".into())),
            }
        }
        for (one, other) in doubles {
            if let Some((backups, there)) =
                places.get(other).map(|files| files.backups.clone()).zip(name(other))
                && let Some(files) = places.get_mut(one)
            {
                files.lie_at(&there, backups);
            }
        }
        let mut listing = Listing { unreachable, absent, left_out, same, ..Listing::put_together(places)? };
        listing.notes.append(&mut notes);
        Ok(listing)
    }

    /// What places with these files list.
    #[cfg(test)]
    pub fn from_places(places: &[(Place, Vec<Listed>)]) -> Listing {
        let all = places.iter().cloned().map(|(place, listed)| {
            let mut files = Files::new(place);
            listed.into_iter().for_each(|listed| files.take(listed));
            files
        });
        Listing::put_together(all.collect()).expect("kept in memory")
    }

    /// Puts together what places list.
    fn put_together(mut places: Vec<Files>) -> Result<Listing> {
        // Repositories after the others, whose sidecars say more of a backup that lies in both.
        places.sort_by_key(|files| files.repository);
        let mut listing = Listing::default();
        for mut files in places {
            listing.notes.append(&mut files.notes);
            if listing.backups.is_empty() {
                listing.backups = files.backups;
            } else {
                listing.backups.append(&mut files.backups);
            }
        }
        // Last those that do not tell which they are of, so that they find the backup they belong to.
        listing.backups.sort_by(|a, b| a.file.cmp(&b.file).then_with(|| b.tells.cmp(&a.tells)));
        for same_name in listing.backups.chunk_by_mut(|a, b| a.file == b.file) {
            for at in 1..same_name.len() {
                let (before, rest) = same_name.split_at_mut(at);
                let Some(this) = rest.first_mut() else { continue };
                for known in before.iter_mut().filter(|known| !known.copies.is_empty()) {
                    if known.has_copy(this)? {
                        known.join(this);
                        break;
                    }
                }
            }
        }
        // Those that joined another.
        listing.backups.retain(|backup| !backup.copies.is_empty());
        listing.sort();
        Ok(listing)
    }

    /// The newest first.
    pub fn sort(&mut self) {
        self.backups.sort_by(|a, b| b.id.cmp(&a.id).then_with(|| a.file.cmp(&b.file)));
    }

    /// Says which IDs more than one backup claims.
    pub(super) fn tell_ambiguous(&mut self) {
        // The newest came first.
        for claims in self.backups.chunk_by(|a, b| a.id == b.id).rev().filter(|claims| claims.len() > 1) {
            let mut files: Vec<&str> = claims.iter().map(|backup| &*backup.file).collect();
            files.sort_unstable();
            let Some(BackupId(id)) = claims.first().map(|backup| backup.id) else { continue };
            let text = format!(
                "{} backups have the ID {id}, name them by their files: {}",
                files.len(),
                files.join(", ")
            );
            self.notes.push(Note { kind: NoteKind::Info, text });
        }
    }

    /// What a verb that is about all backups says of those that it could not look at; `None`: there are none.
    pub fn incomplete(&self) -> Option<Note> {
        let text = match self.left_out {
            0 => return None,
            1 => "one backup is left out, whose sidecar cannot be read: see above".to_owned(),
            many => format!("{many} backups are left out, whose sidecars cannot be read: see above"),
        };
        Some(Note { kind: NoteKind::Missing, text })
    }
}
