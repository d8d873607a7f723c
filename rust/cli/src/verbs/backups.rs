//! `bam backups`: the list.

use crate::args::Backups;
use crate::names;
use crate::print::{Align::Left, Align::Right, Output, date, long_table, size};
use crate::result::{exit_code, list};
use crate::work::answer;
use bam::Result;
use bam::catalog::Backup;
use bam::config::{Document, duration};
use bam::job::{List, Request};
use jiff::Timestamp;

pub fn backups(document: Document, args: Backups, output: &Output) -> Result<u8> {
    let request = Request::Backups { destinations: names(args.destination)?, site: args.of.site };
    let answer = answer(document, request, output)?;
    output.notes(&answer["notes"]);
    if args.lines {
        output.lines(&answer);
        return Ok(exit_code(answer.value()));
    }
    output.answer(&answer, true, |put| {
        let Some(List::Backups(backups)) = answer.list().filter(|list| !list.is_empty()) else {
            return put(match list(answer.value(), "other_sites").next() {
                Some(_) => "There are no backups of this site.\n",
                None => "There are no backups.\n",
            });
        };
        let now = Timestamp::now().as_second();
        let first = backups.first().map(site_of);
        let heading = [
            ("id", Left),
            ("source", Left),
            ("date", Left),
            ("age", Right),
            ("size", Right),
            ("encrypted", Left),
            ("verified", Left),
            ("destinations", Left),
            ("file", Left),
        ];
        if backups.iter().all(|backup| Some(site_of(backup)) == first) {
            return long_table(heading, || backups.iter().map(|backup| listed(backup, now)), put);
        }
        let with_site = |backup: &Backup| {
            let [id, source, date, age, size, encrypted, verified, places, file] = listed(backup, now);
            [id, site_of(backup), source, date, age, size, encrypted, verified, places, file]
        };
        let [id, source, date, age, size, encrypted, verified, places, file] = heading;
        let heading = [id, ("site", Left), source, date, age, size, encrypted, verified, places, file];
        long_table(heading, || backups.iter().map(with_site), put)
    });
    Ok(exit_code(answer.value()))
}

/// A backup as a row of the list.
fn listed(backup: &Backup, now: i64) -> [String; 9] {
    let time = i64::try_from(backup.time).unwrap_or(backup.id.seconds());
    let places: Vec<&str> = backup.distinct_copies().map(|copy| &*copy.place.destination).collect();
    let verified = backup.verified.and_then(|time| i64::try_from(time).ok());
    [
        backup.id.to_string(),
        backup.about.source.clone().unwrap_or_default(),
        date(time),
        duration::age(time, now),
        size(backup.size),
        if backup.is_encrypted() { "yes" } else { "no" }.into(),
        verified.map_or("-".into(), date),
        places.join(","),
        if backup.incomplete {
            format!("{} (lacks something)", backup.file)
        } else {
            backup.file.to_string()
        },
    ]
}

/// Whose a backup is, for the list: address, else name. A question mark where it does not say.
fn site_of(backup: &Backup) -> String {
    let told = [backup.about.site_url(), backup.about.site.clone()];
    let site = told.into_iter().flatten().find(|told| !told.is_empty());
    match (site, backup.site_assumed) {
        (Some(site), false) => site,
        (Some(site), true) => format!("{site}?"),
        (None, _) => "?".into(),
    }
}
