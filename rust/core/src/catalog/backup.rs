//! One backup and its copies, as a listing holds them. There may be very many, so that what many have in common is held
//! once, and what only some verbs ask for stays in its sidecar ([`super::texts`]).

use super::texts::{Kept, Texts};
use super::{BackupId, FileName, Kind, Sidecar, SiteIdentity, contested, key};
use crate::Result;
use crate::config::{Compression, EncryptionKind};
use crate::destination::Listed;
use serde::ser::{Error as _, SerializeStruct};
use serde::{Serialize, Serializer};
use std::collections::HashMap;
use std::sync::Arc;

/// A destination, as its copies know it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// Machine name of the destination.
    pub destination: String,
    /// The machine that holds the bytes.
    pub host: String,
    /// The folder there: two destinations may mean the same, which then holds one copy.
    pub folder: String,
    /// Whether that is a folder of this machine.
    pub local: bool,
    /// Whether it keeps snapshots: encrypted, and proven by the place itself.
    pub repository: bool,
    /// The destination before it that means the same place: what lies here is listed there.
    pub same_as: Option<String>,
}

/// One copy of a backup.
#[derive(Debug, Clone)]
pub struct Copy {
    /// Where it lies.
    pub place: Arc<Place>,
    /// Bytes.
    pub size: u64,
    /// Unix time of the last change of the data.
    pub mtime: i64,
    /// Whether its sidecar is there, agrees with the backup's, and the size is what it says.
    pub whole: bool,
    /// Its sidecar contradicts the backup's, or tells nothing.
    pub differs: bool,
    /// Whether its sidecar has a MAC; by which key is not looked at.
    pub sealed: bool,
    /// Its own sidecar, where that has a MAC.
    pub(super) kept: Option<Kept>,
    /// Unix time at which it was last verified.
    pub verified: Option<u64>,
}

impl Copy {
    /// One that nobody listed, believed to be whole and sealed.
    pub fn believed(place: Place, size: u64) -> Copy {
        let place = Arc::new(place);
        Copy { place, size, mtime: 0, whole: true, differs: false, sealed: true, kept: None, verified: None }
    }

    /// Its own sidecar, where that has a MAC.
    ///
    /// # Errors
    /// [`Kept::read`].
    pub fn sidecar(&self) -> Result<Option<Sidecar>> {
        self.kept.as_ref().map(Kept::read).transpose()
    }

    /// Whether its own sidecar is known.
    pub fn has_sidecar(&self) -> bool {
        self.kept.is_some()
    }
}

impl Serialize for Copy {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        let mut told = serializer.serialize_struct("Copy", 6)?;
        told.serialize_field("destination", &self.place.destination)?;
        told.serialize_field("host", &self.place.host)?;
        if self.place.repository {
            told.serialize_field("repository", &true)?;
        }
        told.serialize_field("size", &self.size)?;
        told.serialize_field("whole", &self.whole)?;
        told.serialize_field("verified", &self.verified)?;
        told.end()
    }
}

/// What sidecars tell that is the same in many.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct About {
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
    /// Whose it is.
    pub identity: SiteIdentity,
    /// What wrote it.
    pub generator: Option<String>,
    /// Whether bam wrote it.
    pub ours: bool,
}

impl About {
    fn of(sidecar: &Sidecar) -> About {
        let field = |key: &str| sidecar.get(key).map(str::to_owned);
        About {
            source: field(key::SOURCE_ID),
            source_name: field(key::SOURCE_NAME),
            schedule: field(key::SCHEDULE_ID),
            profile: field(key::PROFILE),
            description: field(key::DESCRIPTION),
            site: field(key::SITE_NAME),
            identity: SiteIdentity::of_sidecar(sidecar),
            generator: field(key::GENERATOR),
            ours: sidecar.get(key::FORMAT).is_some(),
        }
    }

    /// The site's address.
    pub fn site_url(&self) -> Option<String> {
        self.identity.address().map(ToString::to_string)
    }
}

/// Why a site goes by its own memory of a backup, not by the sidecar.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Recalled {
    /// It has none any more, or one that tells nothing.
    Bare,
    /// It has one that says something else than was written.
    Changed,
}

/// One backup, wherever it lies.
#[derive(Debug, Clone)]
pub struct Backup {
    /// Its number.
    pub id: BackupId,
    /// Unix time at which it was made.
    pub time: u64,
    /// File name, the same at every destination.
    pub file: Arc<str>,
    /// What is inside.
    pub kind: Kind,
    /// How it is compressed.
    pub compression: Compression,
    /// How it is encrypted.
    pub encryption: EncryptionKind,
    /// What it has in common with others.
    pub about: Arc<About>,
    /// Whether it is the configuration's own site's; null without a configuration.
    pub own: Option<bool>,
    /// It does not say whose it is, and counts as the own site's because of the folder that it lies in.
    pub site_assumed: bool,
    /// Something could not be backed up when it was made.
    pub incomplete: bool,
    /// What the site remembers of it stands in place of what its sidecar says.
    pub recalled: Option<Recalled>,
    /// Its sidecar tells which backup it is of.
    pub(super) tells: bool,
    /// Bytes of the data file.
    pub size: u64,
    /// Unix time at which a copy was last verified.
    pub verified: Option<u64>,
    /// Where it lies, in the order of the destinations.
    pub copies: Vec<Copy>,
    /// All that its sidecar says.
    pub(super) kept: Option<Kept>,
}

impl Backup {
    /// All that its sidecar says; `None` where it has none.
    ///
    /// # Errors
    /// [`Kept::read`].
    pub fn sidecar(&self) -> Result<Option<Sidecar>> {
        self.kept.as_ref().map(Kept::read).transpose()
    }

    /// Whether it has a sidecar.
    pub fn has_sidecar(&self) -> bool {
        self.kept.is_some()
    }

    /// Whether its sidecar tells which backup it is of.
    pub fn tells(&self) -> bool {
        self.tells
    }

    /// Makes it what the site `own` remembers of it.
    pub fn recall(&mut self, how: Recalled, id: BackupId, source: &str, own: Option<&SiteIdentity>) {
        let about = Arc::make_mut(&mut self.about);
        (about.source, about.ours) = (Some(source.to_owned()), true);
        if let Some(own) = own {
            (about.identity, about.site) = (own.clone(), own.name.clone());
        }
        (self.id, self.time, self.verified, self.recalled) = (id, id.0, None, Some(how));
        for copy in &mut self.copies {
            (copy.whole, copy.verified) = (false, None);
            if how == Recalled::Changed {
                (copy.differs, copy.sealed, copy.kept) = (true, false, None);
            }
        }
    }

    /// What is to be said of one that something could not be backed up into.
    pub fn lacks(&self) -> Option<String> {
        self.incomplete.then(|| {
            format!(
                "{} ({}) lacks something that was not there or could not be read when it was made",
                self.file, self.id
            )
        })
    }

    /// Whose it is, as far as its sidecar tells.
    pub fn identity(&self) -> &SiteIdentity {
        &self.about.identity
    }

    /// Whether bam wrote it.
    pub fn is_ours(&self) -> bool {
        self.about.ours
    }

    /// Whether reading it takes a key.
    pub fn is_encrypted(&self) -> bool {
        self.encryption != EncryptionKind::None || self.is_in_repositories()
    }

    /// Whether only repositories have it.
    pub fn is_in_repositories(&self) -> bool {
        !self.copies.is_empty() && self.copies.iter().all(|copy| copy.place.repository)
    }

    /// Seconds since it was made.
    pub fn age(&self, now: i64) -> u64 {
        u64::try_from(now).unwrap_or(0).saturating_sub(self.time)
    }

    /// The copy at a destination.
    pub fn copy_at(&self, destination: &str) -> Option<&Copy> {
        self.copies.iter().find(|copy| copy.place.destination == destination)
    }

    /// The copies, each once: not by a second destination that means the same place.
    pub fn distinct_copies(&self) -> impl Iterator<Item = &Copy> {
        self.copies.iter().filter(|copy| copy.place.same_as.is_none())
    }

    /// The copy at a destination, unless it is listed at one before it that means the same place.
    pub fn distinct_copy_at(&self, destination: &str) -> Option<&Copy> {
        self.copy_at(destination).filter(|copy| copy.place.same_as.is_none())
    }

    /// The destinations that have a copy, in words.
    pub fn places(&self) -> String {
        self.distinct_copies().map(|copy| copy.place.destination.as_str()).collect::<Vec<_>>().join(", ")
    }

    /// SHA-256 in hex, where the sidecar tells it.
    ///
    /// # Errors
    /// [`Kept::read`].
    pub fn sha256(&self) -> Result<Option<String>> {
        Ok(self.sidecar()?.and_then(|sidecar| sidecar.get(key::SHA256).map(str::to_ascii_lowercase)))
    }

    /// Whether `other`, which one place lists under the same name, is a copy of this one.
    pub(super) fn has_copy(&self, other: &Backup) -> Result<bool> {
        if !other.tells {
            return Ok(self.copies.iter().any(|copy| copy.size == other.size));
        }
        // First, so that few are read again.
        if self.id != other.id {
            return Ok(false);
        }
        let (Some(own), Some(theirs)) = (self.sidecar()?, other.sidecar()?) else { return Ok(false) };
        // A repository keeps no file that could have a digest or a MAC, and counts for itself what it read.
        if other.copies.iter().any(|copy| copy.place.repository) {
            return Ok([key::SITE, key::SOURCE_ID].iter().all(|key| own.get(key) == theirs.get(key)));
        }
        let rekeyed = is_rekeyed(&own, &theirs) || is_rekeyed(&theirs, &own);
        let same_digest = match (own.get(key::SHA256), theirs.get(key::SHA256)) {
            (Some(one), Some(other)) => one.eq_ignore_ascii_case(other) || rekeyed,
            _ => true,
        };
        Ok(same_digest && contested::agree(&own, &theirs, rekeyed))
    }

    /// Takes the copies of another, which is the same backup.
    pub(super) fn join(&mut self, other: &mut Backup) {
        let differs = other.kept.is_some() && !other.tells && self.tells;
        let mut copies = std::mem::take(&mut other.copies);
        if differs {
            for copy in &mut copies {
                (copy.differs, copy.whole, copy.verified) = (true, false, None);
                (copy.sealed, copy.kept) = (copy.place.repository, None);
            }
        } else {
            self.verified = self.verified.max(other.verified);
        }
        self.copies.append(&mut copies);
    }
}

/// Whether `new` is of what `old` was, encrypted anew: while that goes on, copies differ.
fn is_rekeyed(new: &Sidecar, old: &Sidecar) -> bool {
    let from = new.list(key::REKEYED_FROM);
    let was = old.get(key::SHA256).map(|hex| hex.to_ascii_lowercase().into_bytes());
    was.is_some_and(|was| from.contains(&was))
        || old.list(key::REKEYED_FROM).iter().any(|was| from.contains(was))
}

impl Serialize for Backup {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        let about = &*self.about;
        let mut told = serializer.serialize_struct("Backup", 20)?;
        told.serialize_field("id", &self.id)?;
        told.serialize_field("time", &self.time)?;
        told.serialize_field("file", &*self.file)?;
        told.serialize_field("kind", &self.kind)?;
        told.serialize_field("compression", &self.compression)?;
        // One that only repositories have is encrypted by them.
        match self.is_in_repositories() {
            true => told.serialize_field("encryption", "restic")?,
            false => told.serialize_field("encryption", &self.encryption)?,
        }
        told.serialize_field("source", &about.source)?;
        told.serialize_field("source_name", &about.source_name)?;
        told.serialize_field("schedule", &about.schedule)?;
        told.serialize_field("profile", &about.profile)?;
        told.serialize_field("description", &about.description)?;
        told.serialize_field("site", &about.site)?;
        told.serialize_field("site_url", &about.site_url())?;
        told.serialize_field("own", &self.own)?;
        told.serialize_field("site_assumed", &self.site_assumed)?;
        told.serialize_field("generator", &about.generator)?;
        told.serialize_field("incomplete", &self.incomplete)?;
        told.serialize_field("size", &self.size)?;
        told.serialize_field("sha256", &self.sha256().map_err(S::Error::custom)?)?;
        told.serialize_field("verified", &self.verified)?;
        told.serialize_field("copies", &self.distinct_copies().collect::<Vec<_>>())?;
        told.end()
    }
}

/// What [`About`] is made of.
const COMMON: [&str; 10] = [
    key::SOURCE_ID,
    key::SOURCE_NAME,
    key::SCHEDULE_ID,
    key::PROFILE,
    key::DESCRIPTION,
    key::SITE_NAME,
    key::SITE_URL,
    key::SITE,
    key::GENERATOR,
    key::FORMAT,
];

/// Makes backups of what one place lists.
pub(super) struct Maker {
    place: Arc<Place>,
    texts: Arc<Texts>,
    /// By all fields that it comes from.
    abouts: HashMap<String, Arc<About>>,
    none: Arc<About>,
}

impl Maker {
    pub fn new(place: Place) -> Maker {
        Maker { place: Arc::new(place), texts: Arc::default(), abouts: HashMap::new(), none: Arc::default() }
    }

    pub fn place(&self) -> &Place {
        &self.place
    }

    fn about(&mut self, sidecar: &Sidecar) -> Arc<About> {
        let mut fields = String::new();
        for value in COMMON.iter().map(|key| sidecar.get(key).unwrap_or_default()) {
            fields += &format!("{}:{value}", value.len());
        }
        match self.abouts.get(&fields) {
            Some(known) => Arc::clone(known),
            None => {
                let about = Arc::new(About::of(sidecar));
                self.abouts.insert(fields, Arc::clone(&about));
                about
            }
        }
    }

    /// The backup that a file is, with this one copy, and the size that its sidecar says where it is another; `None` where it
    /// is no backup.
    pub fn make(&mut self, listed: Listed) -> Option<(Backup, Option<u64>)> {
        let name = FileName::parse(&listed.name)?;
        let kept = listed.sidecar.as_deref().map(|text| self.texts.keep(text));
        let sidecar = listed.sidecar.as_deref().map(Sidecar::parse);
        let number = |key: &str| sidecar.as_ref().and_then(|sidecar| sidecar.number(key));
        let id = BackupId::of(sidecar.as_ref(), listed.mtime);
        // Without a sidecar the name's date is better than the file's, which a copy loses.
        let time = match &sidecar {
            Some(_) => number(key::DATESTAMP),
            None => name.date(None),
        };
        let other_size = number(key::FILE_SIZE).filter(|told| *told != listed.size);
        let verified = number(key::VERIFIED);
        let sealed = sidecar.as_ref().is_some_and(|sidecar| sidecar.get(key::HMAC_SHA256).is_some());
        let copy = Copy {
            place: Arc::clone(&self.place),
            size: listed.size,
            mtime: listed.mtime,
            whole: sidecar.is_some() && other_size.is_none(),
            differs: false,
            sealed: sealed || self.place.repository,
            kept: kept.clone().filter(|_| sealed),
            verified,
        };
        let about = match &sidecar {
            Some(sidecar) => self.about(sidecar),
            None => Arc::clone(&self.none),
        };
        let backup = Backup {
            id,
            time: time.unwrap_or(id.0),
            file: listed.name.into(),
            kind: name.kind,
            compression: name.compression,
            encryption: name.encryption,
            own: None,
            site_assumed: false,
            recalled: None,
            incomplete: number(key::MISSING).is_some_and(|missing| missing > 0),
            tells: sidecar.as_ref().is_some_and(|sidecar| !sidecar.is_blank()),
            about,
            size: listed.size,
            verified,
            // Most have one or two.
            copies: vec![copy],
            kept,
        };
        Some((backup, other_size))
    }
}
