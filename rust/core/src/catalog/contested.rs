//! Copies of one file whose sidecars contradict each other: which of them is the backup, and which a copy that does not
//! count. Nobody who can write to one destination may hide, by what he writes there, the copy at another.

use super::{Backup, Listing, Relation, Sidecar, SiteIdentity, digest_of_hex, key};
use crate::{Note, NoteKind, Result};
use std::cmp::Reverse;

/// What sealing anew with another key changes of a sidecar whose file stays.
const SEAL: [&str; 4] = [key::SALT, key::KDF_ITERATIONS, key::KEY_CHECK, key::KEY_ID];

/// Whether two sidecars say the same under their MACs. Where neither has a MAC it is enough that they are of the same site and
/// source, as far as both tell, or one of them is all that has a digest; the ID and the digest compares whoever asks. `rekeyed`: one is of what the other was, encrypted anew.
pub(super) fn agree(one: &Sidecar, other: &Sidecar, rekeyed: bool) -> bool {
    let sealed = |sidecar: &Sidecar| sidecar.get(key::HMAC_SHA256).is_some();
    match (sealed(one), sealed(other)) {
        (false, false) => {
            let digests = [one, other].iter().all(|sidecar| sidecar.get(key::SHA256).is_some());
            [key::SITE, key::SOURCE_ID].iter().all(|key| match (one.get(key), other.get(key)) {
                (Some(one), Some(other)) => one == other,
                (one, other) => digests || one == other,
            })
        }
        _ if rekeyed => [key::SITE, key::SOURCE_ID, key::DATESTAMP]
            .iter()
            .all(|key| one.get(key).zip(other.get(key)).is_none_or(|(one, other)| one == other)),
        (true, true) => claims(one) == claims(other),
        _ => false,
    }
}

fn claims(sidecar: &Sidecar) -> Vec<(&str, &str)> {
    let mut claims: Vec<_> = sidecar.mac_fields().filter(|(key, _)| !SEAL.contains(key)).collect();
    claims.sort_unstable();
    claims
}

/// How much speaks for a sidecar, what weighs most first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Weight {
    /// This site made it, or has proven it.
    known: bool,
    /// It has an ID, a digest, a MAC, and the size of its file.
    formed: bool,
    /// 2 for this site's, 1 for one that tells of no other, 0 for another's.
    site: u8,
}

impl Weight {
    fn of(backup: &Backup, own: Option<&SiteIdentity>, knows: &Knows<'_>) -> Result<Weight> {
        let site = match own.map(|own| own.relation(backup.identity())) {
            Some(Relation::Same) => 2,
            Some(Relation::Unknown) | None => 1,
            Some(Relation::Other) => 0,
        };
        let sidecar = backup.sidecar()?;
        let known = sidecar.as_ref().is_some_and(|sidecar| knows(&backup.file, sidecar));
        let formed = sidecar.is_some_and(|sidecar| {
            sidecar.number(key::ID).is_some()
                && sidecar.digest(key::SHA256).is_some()
                && sidecar.digest(key::HMAC_SHA256).is_some()
                && sidecar.number(key::FILE_SIZE).is_none_or(|told| told == backup.size)
        });
        Ok(Weight { known, formed, site })
    }
}

/// Whether the site made a file with that very sidecar.
pub type Knows<'a> = dyn Fn(&str, &Sidecar) -> bool + 'a;

impl Listing {
    /// Makes, of backups that are one by their file and contradict each other in their sidecars, the one that most speaks
    /// for; the others become copies of it that do not count. What nothing decides stays as several backups. `own` is the
    /// site that asks.
    ///
    /// # Errors
    /// [`super::Kept::read`].
    pub fn settle(&mut self, own: Option<&SiteIdentity>, knows: &Knows<'_>) -> Result<()> {
        let mut lost = Vec::new();
        for same_name in self.of_same_names() {
            let mut weighed = Vec::with_capacity(same_name.len());
            for (index, backup) in &same_name {
                weighed.push((*index, *backup, Weight::of(backup, own, knows)?));
            }
            weighed.sort_by_key(|(.., weight)| Reverse(*weight));
            // The weakest first: what joins one that loses, too, goes on with it.
            for (loser, worse, light) in weighed.iter().rev() {
                let mut winner = None;
                for (index, better, heavy) in &weighed {
                    if heavy > light
                        && (heavy.known || heavy.formed)
                        && let Some(kinship) = kinship(better, worse, light.formed)?
                    {
                        winner = winner.max(Some((kinship, Reverse(*index))));
                    }
                }
                if let Some((_, Reverse(winner))) = winner {
                    lost.push((*loser, winner));
                }
            }
        }
        for (loser, winner) in &lost {
            let Some(backup) = self.backups.get_mut(*loser) else { continue };
            let mut copies = std::mem::take(&mut backup.copies);
            for copy in &mut copies {
                (copy.whole, copy.sealed, copy.differs) = (false, false, true);
                (copy.kept, copy.verified) = (None, None);
            }
            if let Some(winner) = self.backups.get_mut(*winner) {
                winner.copies.append(&mut copies);
            }
        }
        if !lost.is_empty() {
            self.backups.retain(|backup| !backup.copies.is_empty());
        }
        for backup in &self.backups {
            for copy in backup.copies.iter().filter(|copy| copy.differs) {
                let text = format!("{} at {} does not count: {DIFFERS}", backup.file, copy.place.destination);
                self.notes.push(Note { kind: NoteKind::Warning, text });
            }
        }
        Ok(())
    }

    /// Backups that share their name with others, by name, and where each is in the listing.
    fn of_same_names(&self) -> Vec<Vec<(usize, &Backup)>> {
        let mut by_name: Vec<(usize, &Backup)> = self.backups.iter().enumerate().collect();
        by_name.sort_by_key(|(_, backup)| &backup.file);
        let several = by_name.chunk_by(|(_, a), (_, b)| a.file == b.file).filter(|several| several.len() > 1);
        several.map(<[_]>::to_vec).collect()
    }
}

/// What is wrong with a copy that lost.
pub const DIFFERS: &str =
    "its sidecar differs from those of the other copies, so it is damaged or was exchanged";

/// What shows that a sidecar is of the same backup as a better one, the most telling last; `None`: it may be of another one
/// of that name.
fn kinship(better: &Backup, worse: &Backup, formed: bool) -> Result<Option<u8>> {
    let (own, theirs) = (better.sha256()?, worse.sha256()?);
    if own.is_some() && own == theirs {
        return Ok(Some(2));
    }
    // Two sites that gave the same name in the same second.
    let other_site = better.identity().relation(worse.identity()) == Relation::Other;
    if formed && other_site {
        return Ok(None);
    }
    if better.id == worse.id {
        return Ok(Some(1));
    }
    let digest = theirs.and_then(|hex| digest_of_hex(hex.as_bytes()));
    Ok((digest.is_none() && better.size == worse.size).then_some(0))
}
