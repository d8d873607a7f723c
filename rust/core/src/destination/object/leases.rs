//! Whose an unfinished upload is, and what becomes of it.

use super::Objects;
use super::place::{Place, RUN, check_object_name};
use crate::destination::lease::{self, Found, Held, LEASE_MAX, Lease, STALE_PROBE};
use crate::destination::names::{self, Kind, SIDECAR_MAX};
use crate::{Code, Result};
use opendal::Metadata;
use std::time::{Duration, SystemTime};

fn age(of: &Metadata) -> Duration {
    let changed = of.last_modified().map(|time| SystemTime::from(time.into_inner()));
    changed.and_then(|changed| changed.elapsed().ok()).unwrap_or_default()
}

impl Place {
    /// Who writes `name`; `None` where nobody says so.
    fn holder(&self, name: &str) -> Result<Option<Found>> {
        let file = names::lease(name);
        let Some(found) = self.stat(&file)? else { return Ok(None) };
        let mut age = age(&found);
        if self.dav.is_some()
            && let Some(part) = self.stat(&names::part(name))?
        {
            age = age.min(self::age(&part));
        }
        match self.read_text(&file, LEASE_MAX)? {
            Some(text) if text.is_empty() => Ok(Some(Found { lease: None, age })),
            Some(text) => Ok(Lease::parse(&text).map(|lease| Found { lease: Some(lease), age })),
            None => Ok(None),
        }
    }

    /// Whether the data that is there is what the lease beside it was written for.
    pub fn is_replaced(&self, name: &str) -> Result<bool> {
        if self.dav.is_some() {
            return Ok(self.stat(&names::part(name))?.is_none());
        }
        let Some(Found { lease: Some(lease), .. }) = self.holder(name)? else { return Ok(false) };
        Ok(self.stat(name)?.is_some_and(|data| is_of(&data, lease.run())))
    }
}

/// Whether a run made an object.
pub(super) fn is_of(data: &Metadata, run: &str) -> bool {
    data.user_metadata().is_some_and(|known| known.get(RUN) == Some(run))
}

impl Objects {
    /// Says that `name` is written by us from now on; settles what a run left that has ended.
    pub(super) fn claim(&self, name: &str, held: &Held) -> Result<()> {
        let place = &self.place;
        let file = names::lease(name);
        match place.holder(name)? {
            Some(found) if !found.is_over() => return Err(found.refusal(name, &place.describe())),
            Some(found) => self.settle(name, found.lease.as_ref().map_or("", Lease::run))?,
            None => {}
        }
        if place.dav.is_some() && place.stat(&names::part(name))?.is_some() {
            return Err(lease::in_the_way(&names::part(name), &place.describe()));
        }
        if place.write(&file, &held.text(), true)? {
            return Ok(());
        }
        // Another run was quicker, or an answer was lost and it is ours.
        match place.holder(name)? {
            Some(found) if found.lease.as_ref().is_some_and(|lease| held.is(lease)) => Ok(()),
            Some(found) => Err(found.refusal(name, &place.describe())),
            None => Err(lease::in_the_way(&file, &place.describe())),
        }
    }

    /// The end of an upload or a removal of our own, whatever became of it.
    pub(super) fn settle_own(&self, name: &str, held: &Held) -> Result<()> {
        self.settle(name, held.run())
    }

    /// Finishes or takes back what `run` left of `name`, and its lease.
    fn settle(&self, name: &str, run: &str) -> Result<()> {
        let place = &self.place;
        if let Some(multiparts) = &place.multiparts {
            match place
                .ask("cannot look for unfinished uploads", place.patience.longer(), || multiparts.abort(name))
            {
                // The bucket's rule for such uploads takes them in time.
                Err(error) if matches!(error.code(), Code::Permission | Code::Unsupported) => {}
                aborted => aborted?,
            }
        }
        let (next, part) = (names::sidecar_part(name), names::part(name));
        let data = place.stat(name)?;
        let has_part = place.dav.is_some() && place.stat(&part)?.is_some();
        if has_part {
            self.delete(&part)?;
            if place.stat(&next)?.is_some() {
                self.delete(&next)?;
            }
        }
        match &data {
            None => {
                let sidecar = names::sidecar(name);
                // It was put there for the part; where there are no parts, its text tells.
                let there = place.read_text(&sidecar, SIDECAR_MAX)?;
                if there.is_some_and(|text| has_part || names::is_our_text(&text)) {
                    self.delete(&sidecar)?;
                }
                if place.stat(&next)?.is_some() {
                    self.delete(&next)?;
                }
            }
            Some(data) => {
                if let Some(text) = place.read_text(&next, SIDECAR_MAX)? {
                    if place.dav.is_some() || is_of(data, run) {
                        place.write(&names::sidecar(name), &text, false)?;
                    }
                    self.delete(&next)?;
                }
            }
        }
        self.delete(&names::lease(name))
    }

    /// What broken uploads left.
    pub(super) fn clean(&self, keep: &dyn Fn(&str) -> bool) -> Result<Vec<String>> {
        let place = &self.place;
        let mut cleaned = Vec::new();
        for (file, stat) in place.files()?.unwrap_or_default() {
            place.job().check()?;
            let done = match names::kind(&file) {
                Kind::Lease(name) if check_object_name(name).is_ok() && !keep(name) => {
                    match place.holder(name)? {
                        Some(found) if found.is_over() => {
                            let settled = self.settle(name, found.lease.as_ref().map_or("", Lease::run));
                            settled.map(|()| cleaned.push(name.to_owned()))
                        }
                        _ => Ok(()),
                    }
                }
                Kind::Probe => {
                    let now = jiff::Timestamp::now().as_second();
                    let old = i64::try_from(STALE_PROBE.as_secs()).unwrap_or(i64::MAX);
                    if stat.mtime < now.saturating_sub(old) { self.delete(&file) } else { Ok(()) }
                }
                _ => Ok(()),
            };
            match done {
                // A server that guards what it has guards this, too; what it is worth telling is told where backups are deleted.
                Err(error) if error.code() == Code::Permission => return Ok(cleaned),
                done => done?,
            }
        }
        Ok(cleaned)
    }
}
