//! The backup that somebody means: by its ID, its file name, or `latest`.

use super::sites::count;
use super::{Backup, BackupId, FileName, Listing, SiteCount, Sites};
use crate::{Code, Error, Note, NoteKind, Result};
use std::collections::BTreeSet;

/// The word for the newest backup.
const LATEST: &str = "latest";

/// How far clocks of good machines may be apart. What is dated later than this is of a clock that was wrong.
const SLACK: i64 = 300;

/// Whether a Unix time is further ahead than clocks may be apart: whoever wrote it had a wrong one, or has now.
pub fn is_future(time: u64, now: i64) -> bool {
    i64::try_from(time).unwrap_or(i64::MAX) > now.saturating_add(SLACK)
}

/// What is meant.
#[derive(Debug, Clone, Copy)]
pub struct Wanted<'a> {
    /// An ID, a file name, or `latest`.
    pub what: &'a str,
    /// Only of this source.
    pub source: Option<&'a str>,
    /// Only with a copy at this destination.
    pub destination: Option<&'a str>,
    /// Unix time.
    pub now: i64,
}

/// What was found.
#[derive(Debug)]
pub struct Found<'a> {
    /// The backup.
    pub backup: &'a Backup,
    /// What is to be said about the choice.
    pub notes: Vec<Note>,
}

impl Wanted<'_> {
    fn admits(&self, backup: &Backup) -> bool {
        self.source.is_none_or(|source| backup.about.source.as_deref() == Some(source))
            && self.destination.is_none_or(|destination| backup.copy_at(destination).is_some())
    }

    /// Whether a backup may be called so at all.
    fn could_be(&self) -> bool {
        self.what == LATEST || self.what.parse::<BackupId>().is_ok() || FileName::parse(self.what).is_some()
    }

    fn names(&self, backup: &Backup) -> bool {
        match self.what.parse::<BackupId>() {
            Ok(id) => backup.id == id,
            Err(_) => &*backup.file == self.what,
        }
    }
}

impl Listing {
    /// The backup that is meant. [`Code::Usage`] where several are, or where it is another site's.
    pub fn find(&self, wanted: &Wanted<'_>) -> Result<Found<'_>> {
        let candidates: Vec<&Backup> = self.backups.iter().filter(|backup| wanted.admits(backup)).collect();
        if wanted.what == LATEST {
            return self.latest(wanted, &candidates);
        }
        let mut named = candidates.into_iter().filter(|backup| wanted.names(backup));
        match (named.next(), named.collect::<Vec<_>>().as_slice()) {
            (Some(backup), []) => Ok(Found { backup, notes: Vec::new() }),
            (Some(first), more) => Err(ambiguous(wanted, first, more)),
            (None, _) => Err(self.not_found(wanted)),
        }
    }

    /// The newest, those aside that a wrong clock dated in the future.
    fn latest<'a>(&'a self, wanted: &Wanted<'_>, candidates: &[&'a Backup]) -> Result<Found<'a>> {
        let newest = |future: bool| {
            let those = candidates.iter().filter(|backup| is_future(backup.time, wanted.now) == future);
            those.max_by_key(|backup| (backup.time, backup.id))
        };
        let (present, future) = (newest(false), newest(true));
        let Some(backup) = present.or(future) else { return Err(self.not_found(wanted)) };
        if self.asked.as_ref().is_some_and(Sites::is_open) {
            check_one_site(candidates)?;
        }
        let mut notes = Vec::new();
        if let Some(future) = future {
            let text = match present {
                Some(_) => format!(
                    "{} is dated in the future, by a clock that was wrong, and is not taken for the latest",
                    future.file
                ),
                None => format!(
                    "{} is dated in the future: the clock was wrong when it was made, or is now",
                    future.file
                ),
            };
            notes.push(Note { kind: NoteKind::Warning, text });
        }
        let others: BTreeSet<&str> = candidates
            .iter()
            .filter_map(|other| other.about.source.as_deref())
            .filter(|s| Some(*s) != backup.about.source.as_deref())
            .collect();
        if !others.is_empty() {
            let others: Vec<&str> = others.into_iter().collect();
            let text = format!(
                "the latest is {} of {}; there are backups of {}, too (--source)",
                backup.id,
                backup.about.source.as_deref().unwrap_or("an unknown source"),
                others.join(", ")
            );
            notes.push(Note { kind: NoteKind::Info, text });
        }
        Ok(Found { backup, notes })
    }

    /// What is neither a number nor a file name is a slip of the pen.
    fn no_name(&self, wanted: &Wanted<'_>) -> Error {
        let files = self.backups.iter().map(|backup| &*backup.file);
        let near =
            files.chain([LATEST]).map(|name| (strsim::damerau_levenshtein(name, wanted.what), name)).min();
        let near = near.filter(|(distance, name)| *distance <= 1 + name.len() / 3);
        let list = "`bam backups` lists them";
        Error::new(
            Code::Usage,
            format!("\"{}\" is neither the ID nor the file name of a backup", wanted.what),
        )
        .hint(match near {
            Some((_, near)) => format!("did you mean \"{near}\"? {list}"),
            None => format!("give its ID, its file name, or `latest`; {list}"),
        })
    }

    fn not_found(&self, wanted: &Wanted<'_>) -> Error {
        let mut others = self.others.iter().filter(|backup| wanted.admits(backup) && wanted.names(backup));
        if let (Some(theirs), Some(asked)) = (others.next(), &self.asked) {
            return asked.not_ours(theirs.identity(), &theirs.file);
        }
        if !wanted.could_be() {
            return self.no_name(wanted);
        }
        let mut message = match wanted.what {
            LATEST => "there is no backup".to_owned(),
            what => format!("there is no backup \"{what}\""),
        };
        if let Some(source) = wanted.source {
            message += &format!(" of {source}");
        }
        if let Some(destination) = wanted.destination {
            message += &format!(" at {destination}");
        }
        let own = self.asked.as_ref().and_then(Sites::only_own);
        if let Some(own) = own.filter(|_| !self.others.is_empty()) {
            message += &format!(" of this site, {}", own.describe());
        }
        message += &self.unasked();
        let newest =
            self.backups.iter().max_by_key(|backup| (!is_future(backup.time, wanted.now), backup.time));
        let hint = match (newest, self.others.len()) {
            (Some(newest), _) => {
                format!("`bam backups` lists them; the newest is {} ({})", newest.id, newest.file)
            }
            (None, 0) if self.unreachable.is_empty() && self.left_out == 0 => {
                "there are no backups at all yet: make one with `bam backup`".into()
            }
            (None, 0) => "see why above".into(),
            (None, _) => {
                let moved =
                    self.others.iter().any(|other| own.is_some_and(|own| own.same_folder(other.identity())));
                format!(
                    "there are backups of other sites: {}; --site names one{}",
                    in_words(&self.other_sites()),
                    if moved { "; if this site had that address before, add it to site.aliases" } else { "" }
                )
            }
        };
        Error::new(Code::NotFound, message).hint(hint)
    }
}

/// Where no site is one's own, the latest of several sites is nobody's wish.
fn check_one_site(candidates: &[&Backup]) -> Result<()> {
    let sites = count(candidates.iter().copied());
    if sites.len() < 2 {
        return Ok(());
    }
    Err(Error::new(Code::Usage, format!("there are backups of several sites: {}", in_words(&sites)))
        .hint("say of which with --site, or name one by its ID; `bam backups` lists them"))
}

/// `3 of Lab (http://lab.example.org); 1 of …`
fn in_words(sites: &[SiteCount]) -> String {
    let told: Vec<String> = sites.iter().map(|site| format!("{} of {}", site.backups, site.site)).collect();
    told.join("; ")
}

/// Several backups fit: nobody may guess.
fn ambiguous(wanted: &Wanted<'_>, first: &Backup, more: &[&Backup]) -> Error {
    let all: Vec<&Backup> = std::iter::once(first).chain(more.iter().copied()).collect();
    let told: Vec<String> = all
        .iter()
        .map(|backup| {
            format!(
                "{} ({} of {}, at {})",
                backup.file,
                backup.id,
                backup.about.source.as_deref().unwrap_or("?"),
                backup.places()
            )
        })
        .collect();
    let files: BTreeSet<&str> = all.iter().map(|backup| &*backup.file).collect();
    let ids: BTreeSet<BackupId> = all.iter().map(|backup| backup.id).collect();
    let hint = match (files.len() == all.len(), ids.len() == all.len()) {
        (true, _) => "name one by its file",
        (false, true) => "name one by its ID",
        (false, false) => "say at which destination, with --destination",
    };
    Error::new(Code::Usage, format!("\"{}\" is ambiguous: {}", wanted.what, told.join("; "))).hint(hint)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clocks_may_be_five_minutes_apart() {
        assert!(!is_future(1_300, 1_000));
        assert!(is_future(1_301, 1_000));
        assert!(is_future(u64::MAX, i64::MAX - 400) && !is_future(u64::MAX, i64::MAX));
    }
}
