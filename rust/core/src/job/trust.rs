//! What a restore takes without proof, and what it refuses.
//!
//! A site that has a key takes nothing that its MAC does not prove, unless it is told to (`--unauthenticated`): whoever
//! can write to a destination could put anything there. Two exceptions, in opposite directions:
//!
//! - Backups that were made unencrypted before they carried a MAC are taken with a warning, where the site makes those of
//!   their source unencrypted to this day: they were never any better.
//! - What is known to have been encrypted, or sealed, is not taken as anything less, however it is asked for.

use super::choose;
use super::keys::{self, Fit, Ring};
use super::local::Local;
use super::made::{Made, plain_name};
use crate::catalog::{Backup, BackupId, FileName, Listing, Sidecar, key};
use crate::config::{Document, EncryptionKind};
use crate::destination::Destination;
use crate::encrypt::kdf::{self, Derivation, Kdf, Keys, Salt};
use crate::encrypt::{self, KeyCheck, KeyId, eight_bytes, enc};
use crate::{Code, Error, Fact, Monitor, NoteKind, Result, Told};
use std::collections::HashSet;
use std::sync::Arc;

/// How much of the rule a verb can do without.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Demand {
    /// What is put in place, or handed on: proof.
    Proof,
    /// What is only shown: proof where there is a MAC, else a warning.
    Say,
    /// The user takes it as it is.
    Nothing,
}

impl Demand {
    /// What `--unauthenticated` means.
    pub fn unless(unauthenticated: bool) -> Demand {
        if unauthenticated { Demand::Nothing } else { Demand::Proof }
    }
}

/// What a sidecar claims about its file, and by what that can be proven.
struct Claim<'a> {
    sidecar: &'a Sidecar,
    sha256: [u8; 32],
    tag: [u8; 32],
    salt: Salt,
    kdf: Kdf,
    check: Option<KeyCheck>,
    id: Option<KeyId>,
}

impl<'a> Claim<'a> {
    /// `None` where there is no MAC. `container` is the salt that a file of ours begins with.
    fn of(
        document: &Document,
        sidecar: Option<&'a Sidecar>,
        container: Option<Salt>,
    ) -> Result<Option<Claim<'a>>> {
        let Some(sidecar) = sidecar else { return Ok(None) };
        let salt = container.or_else(|| sidecar.get(key::SALT).and_then(eight_bytes));
        let found = (sidecar.digest(key::SHA256), sidecar.digest(key::HMAC_SHA256), salt);
        let (Some(sha256), Some(tag), Some(salt)) = found else { return Ok(None) };
        let told = sidecar.get(key::KDF_ITERATIONS).map(str::parse::<u64>);
        let iterations = match (document.encryption.iterations, told) {
            (_, None) => kdf::DEFAULT_ITERATIONS,
            (own, Some(told)) => {
                let most = own.unwrap_or_default().max(kdf::MOST_UNASKED);
                kdf::check_iterations(told.unwrap_or(u64::MAX), most, Code::Integrity)?
            }
        };
        Ok(Some(Claim {
            sidecar,
            sha256,
            tag,
            salt,
            kdf: Kdf::ours(iterations),
            check: sidecar.get(key::KEY_CHECK).and_then(KeyCheck::parse),
            id: sidecar.get(key::KEY_ID).and_then(KeyId::parse),
        }))
    }

    /// The keys of the file, once the MAC is right. The inner error is that no key at hand is the one; the outer one,
    /// that the key is and the MAC is not.
    fn prove(&self, file: &str, ring: Ring, monitor: &Monitor) -> Result<Result<Keys, Error>> {
        ring.open(file, self.id, monitor, |passphrase| {
            let derivation = Derivation::start(self.kdf, passphrase, self.salt)?;
            let keys = derivation.keys_unless_cancelled(monitor)?;
            if self.check.is_some_and(|check| check != keys.check()) {
                return Ok(Fit::No);
            }
            let verified = keys.mac_key().verify(&self.sha256, self.sidecar.mac_fields(), &self.tag);
            match verified.within(Fact::Backup, file) {
                Ok(()) => Ok(Fit::Yes(keys)),
                // The key is right, so the rest is not.
                Err(error) if self.check.is_some() => Err(error),
                Err(error) => Ok(Fit::Perhaps(error)),
            }
        })
    }
}

/// Proves a file's sidecar, whose SHA-256 must be known to be that of the file, or says why it is taken without. The
/// keys it was sealed with; `None` where nothing proves it and that is as it may be.
pub fn settle(
    document: &Document,
    local: &Local,
    encryption: encrypt::Kind,
    container: Option<Salt>,
    demand: Demand,
    monitor: &Monitor,
) -> Result<Option<Keys>> {
    if local.kept.is_some() {
        // It opened with the repository's key, and who has not that cannot have made it.
        return same_name(local, demand, monitor).map(|()| None);
    }
    let (file, ring) = (local.name.as_str(), Ring::of(document));
    let (claim, made) = (Claim::of(document, local.sidecar(), container)?, Made::of(document));
    let is_ours = encryption == encrypt::Kind::Enc;
    let unproven = match claim {
        Some(claim) if is_ours || !ring.is_keyless() => match claim.prove(file, ring, monitor)? {
            Ok(keys) => {
                same_name(local, demand, monitor)?;
                return Ok(Some(keys));
            }
            Err(error) if is_ours || demand == Demand::Proof => return Err(error),
            Err(error) => Some(error),
        },
        Some(_) => {
            let text = format!("{file} has a MAC, which is not checked: no key is set here");
            monitor.note(NoteKind::Warning, text);
            return never_plain(&made, local, encryption).map(|()| None);
        }
        None if ring.is_keyless() && !is_ours => {
            return never_plain(&made, local, encryption).map(|()| None);
        }
        None => None,
    };
    never_plain(&made, local, encryption)?;
    let was_sealed = !local.by_hand && made.was_sealed(file);
    // Neither is shown, or called good, as if it had never had one.
    let demand = if (is_ours || was_sealed) && demand == Demand::Say { Demand::Proof } else { demand };
    match (demand, unproven) {
        (Demand::Proof, _) if was_sealed && local.sidecar().is_some() => {
            return Err(exchanged(local, "had a MAC", "has none"));
        }
        (Demand::Proof, _)
            if encryption == encrypt::Kind::None && !was_sealed && made_so(document, source_of(local)) =>
        {
            let text = format!(
                "{file} is taken without proof that it is unchanged: it has no MAC, as unencrypted backups of earlier \
                 versions"
            );
            monitor.note(NoteKind::Warning, text);
        }
        (Demand::Proof, _) => {
            let hint = match local.sidecar() {
                None => "put its .info file beside it, or accept it with --unauthenticated",
                Some(_) => "if you know where it comes from, accept it with --unauthenticated",
            };
            let what = if local.sidecar().is_some() { "no MAC" } else { "no sidecar with a MAC" };
            let text = format!("{file} has {what}: nothing proves that it is unchanged");
            return Err(Error::new(Code::Integrity, text).hint(hint));
        }
        (_, Some(error)) => {
            let text = format!("{file} is taken without proof that it is unchanged: {}", error.message());
            monitor.note(NoteKind::Warning, text);
        }
        (_, None) => {
            let text = format!("{file} is taken without proof that it is unchanged");
            monitor.note(NoteKind::Warning, text);
        }
    }
    Ok(None)
}

/// A sealed backup under another's name is that other one's content. In a repository nobody without its key renames any.
fn same_name(local: &Local, demand: Demand, monitor: &Monitor) -> Result<()> {
    if local.kept.is_some() {
        return Ok(());
    }
    let known = local.sidecar().and_then(|sidecar| sidecar.get(key::FILENAME));
    let (Some(known), Some(name)) = (known, FileName::parse(&local.name)) else { return Ok(()) };
    if known == name.base {
        return Ok(());
    }
    let text = format!("{} was renamed: it is the backup {known}", local.name);
    if demand == Demand::Proof && !local.by_hand {
        return Err(Error::new(Code::Integrity, text)
            .hint("give the file and its .info their name back, or accept it with --unauthenticated"));
    }
    monitor.note(NoteKind::Warning, text);
    Ok(())
}

/// What was encrypted does not come back in the clear. Only a file that is named by its path may, when the user says
/// so: somebody has decrypted it, then.
fn never_plain(made: &Made, local: &Local, encryption: encrypt::Kind) -> Result<()> {
    let was = local.never_plain || made.was_encrypted(&local.name);
    match was && encryption == encrypt::Kind::None && !local.by_hand {
        true => Err(exchanged(local, "was encrypted", "is not")),
        false => Ok(()),
    }
}

fn exchanged(local: &Local, was: &str, is: &str) -> Error {
    let (name, place) = (&local.name, &local.place);
    Error::new(
        Code::Integrity,
        format!("{name} at {place} was exchanged: this backup {was} when it was made, and this {is}"),
    )
    .hint("use another copy of this backup, and find out who can write there")
}

/// Whether another copy in this listing shows that the backup is an encrypted one. Another backup of the same name does
/// not, where this site knows that the last one under it was made in the clear.
pub fn is_known_encrypted(document: &Document, listing: &Listing, backup: &Backup) -> bool {
    !backup.is_encrypted() && Encrypted::of(listing).shows(&Made::of(document), backup)
}

/// What is encrypted in a listing.
#[derive(Default)]
pub struct Encrypted {
    names: HashSet<String>,
    /// Numbers are a site's own.
    ids: HashSet<BackupId>,
}

impl Encrypted {
    /// What a listing has of it, as far as it tells something of others in it that are not.
    pub fn of(listing: &Listing) -> Encrypted {
        let all = || listing.backups.iter().chain(&listing.others);
        if !all().any(Backup::is_encrypted) {
            return Encrypted::default();
        }
        let plain: HashSet<String> = all()
            .filter(|backup| !backup.is_encrypted())
            .filter_map(|backup| plain_name(&backup.file))
            .collect();
        let encrypted = all().filter(|backup| backup.is_encrypted());
        let names =
            encrypted.filter_map(|backup| plain_name(&backup.file).filter(|name| plain.contains(name)));
        let names = names.collect();
        let ids = listing.backups.iter().filter(|backup| backup.is_encrypted() && !plain.is_empty());
        Encrypted { names, ids: ids.map(|backup| backup.id).collect() }
    }

    /// As [`is_known_encrypted`].
    pub fn shows(&self, made: &Made, backup: &Backup) -> bool {
        let same_name = || plain_name(&backup.file).is_some_and(|name| self.names.contains(&name));
        !backup.is_encrypted()
            && (self.ids.contains(&backup.id) || !made.was_made_plain(&backup.file) && same_name())
    }
}

fn source_of(local: &Local) -> Option<&str> {
    local.sidecar()?.get(key::SOURCE_ID)
}

/// Whether a backup without a MAC may be one that this site made before unencrypted ones got it: all that the site makes
/// of its source today is unencrypted, too.
pub fn made_so(document: &Document, source: Option<&str>) -> bool {
    let Some(source) = source.filter(|source| document.sources.contains_key(*source)) else { return false };
    let of_schedules = document.schedules.values().filter(|schedule| schedule.source == source);
    let mut profiles =
        of_schedules.map(|schedule| schedule.profile.as_str()).chain([choose::profile_of(document, source)]);
    profiles.all(|name| choose::profile(document, name).is_ok_and(|p| p.encryption == EncryptionKind::None))
}

/// Whether this site's key has sealed something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sealed {
    /// As the site remembers.
    Known,
    /// As the key just proved.
    Proven,
    /// It has no MAC.
    Not,
    /// No key at hand proves its MAC: another site's, or forged.
    Otherwise,
}

/// Whether this site's key has sealed a listed backup, as far as its sidecar tells: its bytes are not read. What is
/// known already costs nothing; else a key is derived, and remembered in `made`.
pub fn is_sealed(
    document: &Document,
    place: &Arc<dyn Destination>,
    backup: &Backup,
    made: &mut Made,
    monitor: &Monitor,
) -> Result<Sealed> {
    if place.snapshots().is_some() {
        return Ok(Sealed::Known);
    }
    let sidecar = backup.sidecar()?.filter(|sidecar| sidecar.get(key::HMAC_SHA256).is_some());
    let Some(sidecar) = &sidecar else { return Ok(Sealed::Not) };
    if made.knows(&backup.file, sidecar) {
        return Ok(Sealed::Known);
    }
    let container = match (backup.encryption, sidecar.get(key::SALT)) {
        // Of an earlier version.
        (EncryptionKind::Aes256, None) => Some(enc::read_salt(&mut place.open(&backup.file)?)?),
        _ => None,
    };
    let Some(claim) = Claim::of(document, Some(sidecar), container)? else { return Ok(Sealed::Not) };
    match claim.prove(&backup.file, Ring::of(document), monitor) {
        Ok(Ok(_)) => {
            made.add(&backup.file, sidecar);
            Ok(Sealed::Proven)
        }
        Err(error) if error.code() == Code::Cancelled => Err(error),
        _ => Ok(Sealed::Otherwise),
    }
}

/// Whether a key at hand proves a sidecar; `None` where that takes more than the sidecar, or the right key may be one that
/// cannot be read now. No byte of the backup is read.
pub fn proves(document: &Document, file: &str, sidecar: &Sidecar, monitor: &Monitor) -> Option<bool> {
    sidecar.get(key::SALT)?;
    let claim = Claim::of(document, Some(sidecar), None).ok()??;
    let ring = Ring::of(document);
    let is_whole = ring.is_whole();
    match claim.prove(file, ring, monitor) {
        Err(error) if error.code() == Code::Cancelled => None,
        Ok(Err(_)) if !is_whole => None,
        proven => Some(matches!(proven, Ok(Ok(_)))),
    }
}

/// Proves what the sidecar of an unencrypted backup says, and reads nothing of its bytes: the SHA-256 that a key at hand
/// has sealed.
pub fn sealed_digest(
    document: &Document,
    file: &str,
    sidecar: &Sidecar,
    monitor: &Monitor,
) -> Result<[u8; 32]> {
    let claim = Claim::of(document, Some(sidecar), None)?.ok_or_else(|| {
        Error::new(Code::Integrity, format!("{file} has no MAC: there is nothing to renew"))
            .hint("make a new backup")
    })?;
    claim.prove(file, Ring::of(document), monitor)??;
    Ok(claim.sha256)
}

/// Whether this site has a key to prove anything with.
pub fn has_key(document: &Document) -> bool {
    !matches!(keys::sealing(document), Ok(None))
}
