//! `bam backups`: the list.

use crate::args::Backups;
use crate::names;
use crate::print::{Align::Left, Align::Right, Output, date, size, table, text};
use crate::result::{exit_code, list, number};
use crate::work::run;
use bam::Result;
use bam::config::{Document, duration};
use bam::job::Request;
use jiff::Timestamp;
use serde_json::Value;

pub fn backups(document: Document, args: Backups, output: &Output) -> Result<u8> {
    let request = Request::Backups { destinations: names(args.destination)?, site: args.of.site };
    let result = run(document, request, output)?;
    output.notes(&result["notes"]);
    if args.lines {
        let code = exit_code(&result);
        output.lines(result, "backups");
        return Ok(code);
    }
    output.result(&result, || {
        let now = Timestamp::now().as_second();
        let backups: Vec<&Value> = list(&result, "backups").collect();
        let sites: Vec<String> = backups.iter().map(|backup| site_of(backup)).collect();
        let several = sites.iter().any(|site| Some(site) != sites.first());
        if backups.is_empty() {
            return match list(&result, "other_sites").next() {
                Some(_) => "There are no backups of this site.\n".into(),
                None => "There are no backups.\n".into(),
            };
        }
        let rows = backups.iter().map(|backup| listed(backup, now));
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
        if !several {
            return table(heading, &rows.collect::<Vec<_>>());
        }
        let rows: Vec<_> = rows
            .zip(sites)
            .map(|([id, source, date, age, size, encrypted, verified, places, file], site)| {
                [id, site, source, date, age, size, encrypted, verified, places, file]
            })
            .collect();
        let [id, source, date, age, size, encrypted, verified, places, file] = heading;
        table([id, ("site", Left), source, date, age, size, encrypted, verified, places, file], &rows)
    });
    Ok(exit_code(&result))
}

/// A backup as a row of the list.
fn listed(backup: &Value, now: i64) -> [String; 9] {
    let id = backup["id"].as_i64().unwrap_or_default();
    let time = backup["time"].as_i64().unwrap_or(id);
    let places: Vec<&str> = list(backup, "copies").map(|copy| text(copy, "destination")).collect();
    let encrypted = if text(backup, "encryption") == "none" { "no" } else { "yes" };
    [
        id.to_string(),
        text(backup, "source").into(),
        date(time),
        duration::rough(u64::try_from(now.saturating_sub(time)).unwrap_or(0)),
        size(number(backup, "size")),
        encrypted.into(),
        backup["verified"].as_i64().map_or("-".into(), date),
        places.join(","),
        text(backup, "file").into(),
    ]
}

/// Whose a backup is, for the list: address, else name. A question mark where it does not say.
fn site_of(backup: &Value) -> String {
    let told = ["site_url", "site"].map(|key| text(backup, key));
    let site = told.into_iter().find(|told| !told.is_empty());
    match (site, backup["site_assumed"] == true) {
        (Some(site), false) => site.into(),
        (Some(site), true) => format!("{site}?"),
        (None, _) => "?".into(),
    }
}
