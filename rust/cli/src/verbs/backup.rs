//! `bam backup`: one backup, now.

use crate::args::Backup;
use crate::maintenance::Offline;
use crate::names;
use crate::print::{Output, size, text};
use crate::result::{exit_code, list, number};
use crate::signals::Hold;
use crate::work::run;
use bam::Result;
use bam::config::Document;
use bam::job::choose::{self, choose};
use bam::job::{Request, lock};
use serde_json::Value;

pub fn backup(document: Document, args: Backup, output: &Output) -> Result<u8> {
    let destinations = names(args.destination)?;
    let choice = choose(&document, args.what.as_deref(), &destinations, args.profile.as_deref())?;
    // Dropped behind the line below: the site is back online before a signal may end the program.
    let _hold = Hold::begin()?;
    let _offline = go_offline(&document, &choice.profile, output)?;
    let request = Request::Backup {
        what: args.what,
        destinations,
        profile: args.profile,
        description: args.description,
    };
    made(&run(document, request, output)?, output)
}

/// Tells of a backup that was made.
pub fn made(result: &Value, output: &Output) -> Result<u8> {
    output.notes(&result["notes"]);
    let mut places = Vec::new();
    for copy in list(result, "destinations") {
        if copy["ok"] == true {
            places.push(text(copy, "name"));
        }
    }
    output.result(result, || {
        let seconds = result["seconds"].as_f64().unwrap_or_default();
        format!(
            "Backup {} of {} is at {}.\n  {}, {} made of {} in {seconds:.1} s\n",
            result["id"],
            text(result, "source"),
            places.join(", "),
            text(result, "file"),
            size(number(result, "bytes_out")),
            size(number(result, "bytes_in")),
        )
    });
    Ok(exit_code(result))
}

/// Maintenance mode, where the profile wants it, for as long as the result is held. A site that cannot be put offline
/// is backed up all the same.
pub fn go_offline(document: &Document, profile: &str, output: &Output) -> Result<Option<Offline>> {
    let profile = choose::profile(document, profile)?;
    if !profile.site_offline {
        return Ok(None);
    }
    // A run that cannot get the lock must not make the site flicker.
    drop(lock::acquire(document)?);
    Ok(Offline::begin(document, &profile.site_offline_message).unwrap_or_else(|error| {
        output.warn(&format!("the site stays online while it is backed up: {error}"));
        None
    }))
}
