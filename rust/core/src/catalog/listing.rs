//! Which backups there are: what every destination lists, put together.
//!
//! Copies of one backup are found by ID and file name (and digest, where both tell one). A copy that lost its sidecar
//! joins the backup of its name and size. An ID means what it meant when it was printed: where two backups claim one
//! (two sites that share a folder, files of others), it is ambiguous, and nothing is numbered anew.

use super::{BackupId, FileName, Kind, Sidecar, SiteIdentity, Sites, contested, key};
use crate::config::{Compression, EncryptionKind};
use crate::destination::{Destination, Listed};
use crate::{Code, Note, NoteKind, threads};
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};

/// What one destination lists.
#[derive(Debug, Clone)]
pub struct Place {
    /// Machine name of the destination.
    pub destination: String,
    /// The machine that holds the bytes.
    pub host: String,
    /// The folder there.
    pub folder: String,
    /// Whether that is a folder of this machine.
    pub local: bool,
    /// Whether it keeps snapshots, which are proven by the place itself.
    pub repository: bool,
    /// Its files.
    pub files: Vec<Listed>,
}

/// One copy of a backup.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Copy {
    /// Machine name of the destination.
    pub destination: String,
    /// The machine that holds the bytes.
    pub host: String,
    /// The folder there: two destinations may mean the same, which then holds one copy.
    #[serde(skip)]
    pub folder: String,
    /// Whether that is a folder of this machine.
    #[serde(skip)]
    pub local: bool,
    /// Whether it is in a repository: encrypted, and proven by that.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub repository: bool,
    /// Bytes.
    pub size: u64,
    /// Unix time of the last change of the data.
    #[serde(skip)]
    pub mtime: i64,
    /// Whether its sidecar is there, agrees with the backup's, and the size is what it says.
    pub whole: bool,
    /// Its sidecar contradicts the backup's, or tells nothing.
    #[serde(skip)]
    pub differs: bool,
    /// Whether its sidecar has a MAC; by which key is not looked at.
    #[serde(skip)]
    pub sealed: bool,
    /// Its own sidecar, where that has a MAC.
    #[serde(skip)]
    pub sidecar: Option<Sidecar>,
    /// Unix time at which it was last verified.
    pub verified: Option<u64>,
}

/// One backup, wherever it lies.
#[derive(Debug, Clone, Serialize)]
pub struct Backup {
    /// Its number.
    pub id: BackupId,
    /// Unix time at which it was made.
    pub time: u64,
    /// File name, the same at every destination.
    pub file: String,
    /// What is inside.
    pub kind: Kind,
    /// How it is compressed.
    pub compression: Compression,
    /// How it is encrypted.
    pub encryption: EncryptionKind,
    /// Machine name of the source, where known.
    pub source: Option<String>,
    /// The source's name for people.
    pub source_name: Option<String>,
    /// Machine name of the schedule that made it.
    pub schedule: Option<String>,
    /// Machine name of the profile.
    pub profile: Option<String>,
    /// What the profile says about it.
    pub description: Option<String>,
    /// The site's name.
    pub site: Option<String>,
    /// The site's address.
    pub site_url: Option<String>,
    /// Whether it is the configuration's own site's; null without a configuration.
    pub own: Option<bool>,
    /// It does not say whose it is, and counts as the own site's because of the folder that it lies in.
    pub site_assumed: bool,
    /// What wrote it.
    pub generator: Option<String>,
    /// Bytes of the data file.
    pub size: u64,
    /// SHA-256 in hex, where the sidecar tells it.
    pub sha256: Option<String>,
    /// Unix time at which a copy was last verified.
    pub verified: Option<u64>,
    /// Where it lies, in the order of the destinations.
    pub copies: Vec<Copy>,
    /// All that its sidecar says.
    #[serde(skip)]
    pub sidecar: Option<Sidecar>,
}

impl Backup {
    fn new(file: &str, name: &FileName, listed: &Listed, sidecar: Option<Sidecar>) -> Backup {
        let field = |key: &str| sidecar.as_ref().and_then(|sidecar| sidecar.get(key)).map(str::to_owned);
        let id = BackupId::of(sidecar.as_ref(), listed.mtime);
        // Without a sidecar the name's date is better than the file's, which a copy loses.
        let time = match &sidecar {
            Some(sidecar) => sidecar.number(key::DATESTAMP),
            None => name.date(None),
        };
        let time = time.unwrap_or(id.0);
        Backup {
            id,
            time,
            file: file.to_owned(),
            kind: name.kind,
            compression: name.compression,
            encryption: name.encryption,
            source: field(key::SOURCE_ID),
            source_name: field(key::SOURCE_NAME),
            schedule: field(key::SCHEDULE_ID),
            profile: field(key::PROFILE),
            description: field(key::DESCRIPTION),
            site: field(key::SITE_NAME),
            site_url: sidecar
                .as_ref()
                .and_then(|sidecar| SiteIdentity::of_sidecar(sidecar).address().map(ToString::to_string)),
            own: None,
            site_assumed: false,
            generator: field(key::GENERATOR),
            size: listed.size,
            sha256: field(key::SHA256).map(|hex| hex.to_ascii_lowercase()),
            verified: None,
            // Most have one or two; there may be very many backups.
            copies: Vec::with_capacity(1),
            sidecar,
        }
    }

    /// Whose it is, as far as its sidecar tells.
    pub fn identity(&self) -> SiteIdentity {
        self.sidecar.as_ref().map(SiteIdentity::of_sidecar).unwrap_or_default()
    }

    /// Whether bam wrote it.
    pub fn is_ours(&self) -> bool {
        self.sidecar.as_ref().is_some_and(|sidecar| sidecar.get(key::FORMAT).is_some())
    }

    /// Whether reading it takes a key.
    pub fn is_encrypted(&self) -> bool {
        self.encryption != EncryptionKind::None || self.is_in_repositories()
    }

    /// Whether only repositories have it.
    pub fn is_in_repositories(&self) -> bool {
        !self.copies.is_empty() && self.copies.iter().all(|copy| copy.repository)
    }

    /// Whether something could not be backed up when it was made.
    pub fn is_incomplete(&self) -> bool {
        self.sidecar
            .as_ref()
            .and_then(|sidecar| sidecar.number(key::MISSING))
            .is_some_and(|missing| missing > 0)
    }

    /// Seconds since it was made.
    pub fn age(&self, now: i64) -> u64 {
        u64::try_from(now).unwrap_or(0).saturating_sub(self.time)
    }

    /// The copy at a destination.
    pub fn copy_at(&self, destination: &str) -> Option<&Copy> {
        self.copies.iter().find(|copy| copy.destination == destination)
    }

    fn add(&mut self, place: &Place, listed: &Listed, sidecar: Option<&Sidecar>) {
        let told = sidecar.and_then(|sidecar| sidecar.number(key::FILE_SIZE));
        let verified = sidecar.and_then(|sidecar| sidecar.number(key::VERIFIED));
        self.verified = self.verified.max(verified);
        let sealed = sidecar.filter(|sidecar| sidecar.get(key::HMAC_SHA256).is_some());
        self.copies.push(Copy {
            destination: place.destination.clone(),
            host: place.host.clone(),
            folder: place.folder.clone(),
            local: place.local,
            repository: place.repository,
            size: listed.size,
            mtime: listed.mtime,
            whole: sidecar.is_some() && told.is_none_or(|told| told == listed.size),
            differs: false,
            sealed: sealed.is_some() || place.repository,
            sidecar: sealed.cloned(),
            verified,
        });
    }

    fn is_same(&self, place: &Place, sidecar: Option<&Sidecar>, listed: &Listed) -> bool {
        let Some(sidecar) = sidecar else {
            return self.copies.iter().any(|copy| copy.size == listed.size);
        };
        // A repository keeps no file that could have a digest or a MAC, and counts for itself what it read.
        if let (true, Some(own)) = (place.repository, &self.sidecar) {
            return self.id == BackupId::of(Some(sidecar), listed.mtime)
                && [key::SITE, key::SOURCE_ID].iter().all(|key| own.get(key) == sidecar.get(key));
        }
        let digest = sidecar.get(key::SHA256);
        let Some(own) = &self.sidecar else { return false };
        let rekeyed = is_rekeyed(own, sidecar) || is_rekeyed(sidecar, own);
        let same_digest = match (self.sha256.as_deref(), digest) {
            (Some(one), Some(other)) => one.eq_ignore_ascii_case(other) || rekeyed,
            _ => true,
        };
        same_digest
            && self.id == BackupId::of(Some(sidecar), listed.mtime)
            && contested::agree(own, sidecar, rekeyed)
    }
}

/// Whether `new` is of what `old` was, encrypted anew: while that goes on, copies differ.
fn is_rekeyed(new: &Sidecar, old: &Sidecar) -> bool {
    let from = new.list(key::REKEYED_FROM);
    let was = old.get(key::SHA256).map(|hex| hex.to_ascii_lowercase().into_bytes());
    was.is_some_and(|was| from.contains(&was))
        || old.list(key::REKEYED_FROM).iter().any(|was| from.contains(was))
}

/// All backups, and what could not be listed.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Listing {
    /// The newest first.
    pub backups: Vec<Backup>,
    /// How many could not be looked at; the notes name them.
    pub left_out: usize,
    /// Destinations that could not be listed, and why.
    pub unreachable: BTreeMap<String, String>,
    /// Those of them that are there to be reached and hold nothing: repositories that nobody made yet.
    #[serde(skip)]
    pub absent: BTreeSet<String>,
    /// What could not be read, IDs that two backups claim, copies whose size is not what their sidecar says.
    pub notes: Vec<Note>,
    /// Backups of sites that were not asked for ([`Listing::of_sites`]).
    #[serde(skip)]
    pub others: Vec<Backup>,
    /// Whose backups were asked for, once that was.
    #[serde(skip)]
    pub asked: Option<Sites>,
}

impl Listing {
    /// Lists destinations, all at once. One that cannot be reached does not spoil the others.
    pub fn of(destinations: &[&dyn Destination]) -> Listing {
        let listed = threads::at_once("bam-list", destinations, |destination| {
            let mut told = Vec::new();
            destination.look(&mut told).map(|files| (files, told))
        });
        let mut places = Vec::new();
        let (mut unreachable, mut absent) = (BTreeMap::new(), BTreeSet::new());
        let (mut notes, mut left_out) = (Vec::new(), 0);
        for (destination, result) in destinations.iter().zip(listed) {
            let id = destination.id().to_owned();
            match result {
                Ok(Ok((files, told))) => {
                    left_out += told.iter().filter(|note| note.kind == NoteKind::Missing).count();
                    // Whether it matters is for those to say who asked.
                    notes.extend(told.into_iter().map(|note| Note {
                        kind: note.kind.min(NoteKind::Warning),
                        text: format!("{id}: {}", note.text),
                    }));
                    let (host, folder) = (destination.host(), destination.folder());
                    let (local, repository) = (destination.pushes(), destination.snapshots().is_some());
                    places.push(Place { destination: id, host, folder, local, repository, files });
                }
                Ok(Err(error)) => {
                    if error.code() == Code::NotFound && destination.snapshots().is_some() {
                        absent.insert(id.clone());
                    }
                    unreachable.insert(id, error.to_string());
                }
                Err(_) => drop(unreachable.insert(id, "listing it stopped at a bug in bam".into())),
            }
        }
        let mut listing = Listing { unreachable, absent, left_out, ..Listing::put_together(places) };
        listing.notes.append(&mut notes);
        listing
    }

    /// [`Listing::put_together`] of what a test still needs.
    #[cfg(test)]
    pub fn from_places(places: &[Place]) -> Listing {
        Listing::put_together(places.to_vec())
    }

    /// Puts together what destinations list. Files that are no backups are left out.
    pub fn put_together(mut places: Vec<Place>) -> Listing {
        // Each text goes as soon as it is read.
        let sidecars: Vec<Vec<Option<Sidecar>>> = places
            .iter_mut()
            .map(|place| {
                let texts = place.files.iter_mut().map(|listed| listed.sidecar.take());
                texts.map(|text| text.as_deref().map(Sidecar::parse)).collect()
            })
            .collect();
        let mut listing = Listing::default();
        let mut by_file: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
        let mut without_sidecar = Vec::new();
        // Repositories after the others, whose sidecars say more of a backup that lies in both.
        let (repositories, others): (Vec<_>, Vec<_>) =
            places.iter().zip(sidecars).partition(|(place, _)| place.repository);
        for (place, sidecars) in others.into_iter().chain(repositories) {
            for (listed, sidecar) in place.files.iter().zip(sidecars) {
                let Some(name) = FileName::parse(&listed.name) else { continue };
                match sidecar {
                    Some(sidecar) if !contested::is_blank(&sidecar) => {
                        listing.take(&mut by_file, place, listed, &name, Some(sidecar));
                    }
                    blank => without_sidecar.push((place, listed, name, blank)),
                }
            }
        }
        // Last, so that they find the backup they belong to.
        for (place, listed, name, blank) in without_sidecar {
            listing.take(&mut by_file, place, listed, &name, blank);
        }
        listing.backups.sort_by(|a, b| b.id.cmp(&a.id).then_with(|| a.file.cmp(&b.file)));
        listing
    }

    fn take<'a>(
        &mut self,
        by_file: &mut BTreeMap<&'a str, Vec<usize>>,
        place: &Place,
        listed: &'a Listed,
        name: &FileName,
        sidecar: Option<Sidecar>,
    ) {
        let told = sidecar.as_ref().and_then(|sidecar| sidecar.number(key::FILE_SIZE));
        if let Some(told) = told.filter(|told| *told != listed.size) {
            let text = format!(
                "{} at {} has {} bytes, its sidecar says {told}: this copy is damaged",
                listed.name, place.destination, listed.size
            );
            self.notes.push(Note { kind: NoteKind::Warning, text });
        }
        let same_name = by_file.entry(&listed.name).or_default();
        // One that tells nothing belongs where one that is not there does.
        let telling = sidecar.as_ref().filter(|sidecar| !contested::is_blank(sidecar));
        let known = same_name.iter().find_map(|index| {
            self.backups.get(*index).filter(|known| known.is_same(place, telling, listed)).map(|_| *index)
        });
        let index = known.unwrap_or_else(|| {
            same_name.push(self.backups.len());
            self.backups.push(Backup::new(&listed.name, name, listed, sidecar.clone()));
            self.backups.len() - 1
        });
        if let Some(backup) = self.backups.get_mut(index) {
            let differs = known.is_some()
                && sidecar.is_some()
                && telling.is_none()
                && backup.sidecar.as_ref().is_some_and(|sidecar| !contested::is_blank(sidecar));
            backup.add(place, listed, sidecar.as_ref().filter(|_| !differs));
            if let Some(copy) = backup.copies.last_mut() {
                copy.differs = differs;
            }
        }
    }

    /// Says which IDs more than one backup claims.
    pub(super) fn tell_ambiguous(&mut self) {
        let mut claims: BTreeMap<BackupId, Vec<&str>> = BTreeMap::new();
        for backup in &self.backups {
            claims.entry(backup.id).or_default().push(&backup.file);
        }
        for (id, mut files) in claims.into_iter().filter(|(_, files)| files.len() > 1) {
            files.sort_unstable();
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
