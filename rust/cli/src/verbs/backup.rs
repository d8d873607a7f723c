//! The verbs that run a job of the engine, and how their results look to people. With `--json` the engine's result
//! (docs/json.md) goes out as it is.

use super::copies::or_dash;
use crate::args::{Backup, Backups, Delete, Drill, Verify};
use crate::maintenance::Offline;
use crate::print::{Align::Left, Align::Right, Output, confirm, date, size, table, text};
use crate::signals::Hold;
use crate::work::{can_ask, run};
use crate::{names, notify};
use bam::config::{Document, duration};
use bam::job::choose::{self, choose};
use bam::job::{self, Request, lock};
use bam::{Code, Error, Monitor, Result};
use jiff::Timestamp;
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

/// Runs schedules one after the other; one that fails does not keep the others from running.
pub fn run_schedules(document: &Document, mut schedules: Vec<String>, output: &Output) -> Result<u8> {
    let monitor = Monitor::new();
    job::site::bring_back(document, &monitor);
    output.notes(&serde_json::json!(monitor.notes()));
    let now = Timestamp::now().as_second();
    let drills = schedules.is_empty() && job::drill::is_due(document, now)?;
    if schedules.is_empty() {
        schedules = job::schedule::due(document, now)?;
    }
    let mut worst = Ok(0);
    for schedule in schedules {
        let told = run_schedule(document.clone(), &schedule, output);
        match (&told, &worst) {
            (Err(error), Ok(_)) if error.code() == Code::Cancelled => return told,
            (Err(error), Err(_)) => output.error(error),
            (Err(_), Ok(_)) => worst = told.map_err(|error| error.context(format!("schedule {schedule}"))),
            (Ok(code), Ok(before)) => worst = Ok(*code.max(before)),
            (Ok(_), Err(_)) => {}
        }
    }
    if drills && worst.is_ok() {
        worst = drill(document.clone(), Drill::default(), output)
            .and_then(|code| worst.map(|before| before.max(code)));
    }
    worst
}

fn run_schedule(document: Document, schedule: &str, output: &Output) -> Result<u8> {
    let choice = choose::schedule(&document, schedule)?;
    let _hold = Hold::begin()?;
    let _offline = go_offline(&document, &choice.profile, output)?;
    let notify = choose::profile(&document, &choice.profile)?.notify;
    let outcome = run(document.clone(), Request::Run { schedule: schedule.to_owned() }, output);
    notify::told(&document, schedule, &notify, &outcome, output);
    made(&outcome?, output)
}

/// Tells of a backup that was made.
fn made(result: &Value, output: &Output) -> Result<u8> {
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
fn go_offline(document: &Document, profile: &str, output: &Output) -> Result<Option<Offline>> {
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

pub fn backups(document: Document, args: Backups, output: &Output) -> Result<u8> {
    let request = Request::Backups { destinations: names(args.destination)?, site: args.site };
    let result = run(document, request, output)?;
    output.notes(&result["notes"]);
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

pub fn verify(document: Document, args: Verify, output: &Output) -> Result<u8> {
    let sample = args.sample;
    let (source, site) = (args.source, args.site);
    let request =
        Request::Verify { id: args.id, destinations: names(args.destination)?, sample, source, site };
    let result = run(document, request, output)?;
    output.notes(&result["notes"]);
    output.result(&result, || {
        let mut lines = String::new();
        for copy in list(&result, "copies") {
            let told = match (copy["error"].as_str(), copy.get("read")) {
                (Some(error), _) => error.to_owned(),
                (None, None) => "good".into(),
                (None, Some(Value::Null)) => "only its size was compared: it cannot be read in parts".into(),
                (None, Some(_)) => {
                    let (read, whole) = (size(number(copy, "read")), size(number(copy, "size")));
                    format!("{read} of {whole} read, as it was written")
                }
            };
            lines += &format!("{} at {}: {told}\n", text(copy, "file"), text(copy, "destination"));
        }
        if sample.is_some() && !lines.is_empty() {
            lines += "What was not read is not proven; this does not count as a verification.\n";
        }
        if lines.is_empty() { "There are no backups.\n".into() } else { lines }
    });
    Ok(exit_code(&result))
}

pub fn drill(document: Document, args: Drill, output: &Output) -> Result<u8> {
    let request = Request::Drill {
        id: args.id,
        destinations: names(args.destination)?,
        source: args.source,
        site: args.site,
        unauthenticated: args.unauthenticated,
    };
    let result = run(document, request, output)?;
    output.notes(&result["notes"]);
    output.result(&result, || {
        let lines: String = list(&result, "drills").map(drilled).collect();
        if lines.is_empty() { "There are no backups.\n".into() } else { lines }
    });
    Ok(exit_code(&result))
}

fn drilled(drill: &Value) -> String {
    if drill["ok"] != true {
        // Why is among the notes.
        return format!("{} was not drilled.\n", text(drill, "file"));
    }
    let mut parts = Vec::new();
    if number(drill, "tables") > 0 {
        let how = if drill["rows_compared"] == true { "each compared" } else { "counted" };
        parts.push(format!("{} tables with {} rows, {how}", number(drill, "tables"), number(drill, "rows")));
    }
    if number(drill, "files") > 0 {
        let bytes = size(number(drill, "bytes"));
        parts.push(format!("{} files ({bytes}), each compared", number(drill, "files")));
    }
    let seconds = drill["seconds"].as_f64().unwrap_or_default();
    format!("{} restores: {}, in {seconds:.1} s.\n", text(drill, "file"), parts.join("; "))
}

pub fn delete(document: Document, mut args: Delete, output: &Output) -> Result<u8> {
    let destinations = names(args.destination)?;
    if !args.yes {
        let one = job::Restore {
            id: Some(args.id.clone()),
            site: args.site.clone(),
            source: args.source.clone(),
            destination: match destinations.as_slice() {
                [one] => Some(one.clone()),
                _ => None,
            },
            ..job::Restore::default()
        };
        let (id, what) = describe(&document, &one, output)?;
        ask(&format!("Erase {what} for good?"), "delete")?;
        // What was asked about, even where a newer one appears meanwhile.
        args.id = id;
    }
    let request = Request::Delete { id: args.id, destinations, source: args.source, site: args.site };
    let result = run(document, request, output)?;
    output.notes(&result["notes"]);
    output.result(&result, || {
        format!("Erased {} ({} of {}).\n", text(&result, "file"), result["id"], or_dash(&result["source"]))
    });
    Ok(exit_code(&result))
}

/// Asks; without a terminal `--yes` has to stand in for the answer.
pub fn ask(question: &str, verb: &str) -> Result<()> {
    if !can_ask() {
        return Err(Error::new(
            Code::Usage,
            format!("{verb} wants a confirmation, and there is no terminal to ask on"),
        )
        .hint(format!("say `bam {verb} … --yes`")));
    }
    if confirm(question)? {
        return Ok(());
    }
    Err(Error::new(Code::Cancelled, "not confirmed; nothing was changed"))
}

/// The backup that is meant, by what names it from now on and in words.
pub fn describe(document: &Document, asked: &job::Restore, output: &Output) -> Result<(String, String)> {
    let _hold = Hold::begin()?;
    let meant = job::meant(document, asked, &Monitor::new())?;
    output.notes(&serde_json::json!(meant.notes));
    let backup = &meant.backup;
    let whose = match &meant.other_site {
        Some(site) => format!(" of ANOTHER SITE, {site},"),
        None => String::new(),
    };
    let source = backup.source.as_deref().unwrap_or("an unknown source");
    let made = date(i64::try_from(backup.time).unwrap_or_default());
    // The number is what was printed; where it is ambiguous, only the file's name got us here.
    let name =
        if asked.id.as_ref() == Some(&backup.file) { backup.file.clone() } else { backup.id.to_string() };
    Ok((name, format!("backup {} of {source}{whose} from {made} ({})", backup.id, backup.file)))
}

pub fn list<'a>(value: &'a Value, key: &str) -> impl Iterator<Item = &'a Value> {
    value[key].as_array().into_iter().flatten()
}

pub fn number(value: &Value, key: &str) -> u64 {
    value[key].as_u64().unwrap_or_default()
}

pub fn exit_code(result: &Value) -> u8 {
    result["exit_code"].as_u64().and_then(|code| u8::try_from(code).ok()).unwrap_or_default()
}
