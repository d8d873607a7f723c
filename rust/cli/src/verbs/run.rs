//! `bam run`: schedules, those named or those that are due, and the drill that is due.

use super::backup::{go_offline, made};
use super::drill::drill;
use crate::args::Drill;
use crate::notify;
use crate::print::Output;
use crate::signals::Hold;
use crate::work::run;
use bam::config::Document;
use bam::job::{self, Request, choose};
use bam::{Code, Monitor, NoteKind, Result};
use jiff::Timestamp;
use serde_json::{Value, json};
use std::io::IsTerminal;

/// Runs schedules one after the other; one that fails does not keep the others from running.
pub fn run_schedules(document: &Document, mut schedules: Vec<String>, output: &Output) -> Result<u8> {
    let monitor = Monitor::new();
    job::bring_back(document, &monitor);
    let now = Timestamp::now().as_second();
    let drills = schedules.is_empty() && job::drill::is_due(document, now)?;
    if schedules.is_empty() {
        schedules = job::schedule::due(document, now, &monitor)?;
    }
    let notes = monitor.notes();
    output.notes(&json!(notes));
    let mut worst = Ok(match notes.iter().any(|note| note.kind == NoteKind::Missing) {
        true => Code::Partial.exit_code(),
        false => 0,
    });
    if schedules.is_empty() && !drills {
        nothing_due(document, &json!(notes), worst.as_ref().copied().unwrap_or_default(), output);
    }
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

/// Whoever types it wants an answer; cron hears nothing.
fn nothing_due(document: &Document, notes: &Value, exit_code: u8, output: &Output) {
    if output.is_json() {
        output.result(&json!({ "schedules": [], "notes": notes, "exit_code": exit_code }), String::new);
    } else if std::io::stdout().is_terminal() {
        output.say(match document.schedules.is_empty() {
            true => "There is no schedule.",
            false => "No schedule is due; `bam schedules` tells when they are.",
        });
    }
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
