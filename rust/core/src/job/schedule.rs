//! One run of a schedule: the backup, then what older runs left undone, then what is too old; and when runs are due.

use super::answer::as_value;
use super::choose::{self, Choice};
use super::copies::{prune, replicate};
use super::restore::recover;
use super::{backup, lock, memory, places};
use crate::catalog::next_run;
use crate::config::{Document, Schedule};
use crate::{Code, Monitor, NoteKind, Result};
use serde_json::{Map, Value, json};
use std::fs;
use std::path::Path;
use std::sync::Arc;

/// Times of the last runs that made a backup, by schedule ([`key`]).
const FILE: &str = "schedules.json";
/// How many runs failed since, and when the last of them: `{"NAME": {"runs": 2, "time": 1795391457}}`.
const FAILED: &str = "failed.json";
/// Seconds from the first, second … failed run to the next; from then on always the last of these. Neither every minute,
/// with a mail each, nor only when the week is over.
const AGAIN: [i64; 4] = [300, 900, 3_600, 4 * 3_600];

/// Runs a schedule now, due or not. The result is that of a backup, with `copied` and `pruned` besides.
///
/// Nothing old is deleted when the new backup failed.
pub fn run(document: &Document, name: &str, monitor: &Arc<Monitor>) -> Result<Value> {
    let choice = choose::schedule(document, name)?;
    let _lock = lock::acquire(document)?;
    let state_dir = lock::state_dir(document)?;
    recover::before_a_backup(document, &state_dir, monitor)?;
    let result = make(document, name, &choice, monitor);
    let now = jiff::Timestamp::now().as_second();
    let key = &key(document, name);
    match &result {
        Ok(_) => {
            remember(&state_dir, FILE, key, Some(now.into()))?;
            remember(&state_dir, FAILED, key, None)?;
        }
        // Not its own fault, and it has not begun.
        Err(error) if matches!(error.code(), Code::Cancelled | Code::Locked) => {}
        Err(_) => {
            let runs = failed_runs(&state_dir, key)?.map_or(0, |(runs, _)| runs).saturating_add(1);
            remember(&state_dir, FAILED, key, Some(json!({"runs": runs, "time": now})))?;
        }
    }
    result
}

fn make(document: &Document, name: &str, choice: &Choice, monitor: &Arc<Monitor>) -> Result<Value> {
    let profile = choose::profile(document, &choice.profile)?;
    let mut result = backup::make(document, choice, &profile, None, monitor)?;
    // From here on there is a backup: whatever else goes wrong is told, and does not undo that.
    let all = places::open(document, &choice.destinations)?;
    let copied = replicate::bring_up_to_date(document, &all, None, monitor).map(Value::from);
    let copied = told(copied, "older copies could not be completed", monitor)?;
    let pruned = prune::apply(document, name, &all, false, None, monitor).and_then(|mut decided| {
        decided.retain(|one| !one.decision.keep);
        as_value(&decided)
    });
    let pruned = told(pruned, "what is too old could not be removed", monitor)?;
    if let Value::Object(map) = &mut result {
        map.insert("copied".into(), copied);
        map.insert("pruned".into(), pruned);
    }
    Ok(result)
}

/// What came of a step that the backup does not depend on; a failure is told.
fn told(done: Result<Value>, what: &str, monitor: &Monitor) -> Result<Value> {
    match done {
        Err(error) if error.code() == Code::Cancelled => Err(error),
        Err(error) => {
            monitor.note(NoteKind::Missing, format!("{what}: {error}"));
            Ok(json!([]))
        }
        done => done,
    }
}

/// Schedules that are due at `now` (Unix time), by machine name. One whose time cannot be told is a note, and keeps no other
/// from running.
pub fn due(document: &Document, now: i64, monitor: &Monitor) -> Result<Vec<String>> {
    let mut names = Vec::new();
    let state_dir = lock::state_dir(document)?;
    for (name, schedule) in &document.schedules {
        let next = match next_run(&with_last_run(document, name, schedule)?, &document.site, now) {
            Ok(next) => next,
            Err(error) => {
                monitor.note(NoteKind::Missing, format!("schedule {name} never runs: {error}"));
                continue;
            }
        };
        if next.is_some_and(|next| next <= now) && !waits(&state_dir, &key(document, name), now)? {
            names.push(name.clone());
        }
    }
    Ok(names)
}

/// The schedule with the later of the two last runs that are known: the site's own and ours.
pub fn with_last_run(document: &Document, name: &str, schedule: &Schedule) -> Result<Schedule> {
    let all = remembered(&lock::state_dir(document)?)?;
    // Until 0.1.0 the name alone was written.
    let ours = all.get(&key(document, name)).or_else(|| all.get(name)).and_then(Value::as_u64);
    Ok(Schedule { last_run: schedule.last_run.max(ours), ..schedule.clone() })
}

/// What is to be said where the times of the last runs are lost; `None`: they are not.
pub fn lost_runs(document: &Document) -> Option<String> {
    lock::state_dir(document).ok().and_then(|dir| memory::lost(&dir, FILE))
}

/// What a schedule is remembered by: its name and the file it stands in, since two configurations may share a state folder
/// and each have a schedule of that name. One that the site's own settings hold goes by its name.
fn key(document: &Document, name: &str) -> String {
    match &document.file {
        Some(file) => {
            format!("{name} in {}", fs::canonicalize(file).unwrap_or_else(|_| file.clone()).display())
        }
        None => name.to_owned(),
    }
}

fn remembered(state_dir: &Path) -> Result<Map<String, Value>> {
    memory::read_shared(state_dir, FILE)
}

/// Sets what a state file says of a schedule; `None`: nothing.
fn remember(state_dir: &Path, file: &str, key: &str, what: Option<Value>) -> Result<()> {
    let path = state_dir.join(file);
    let mut all = memory::read(&path)?;
    let before = match &what {
        Some(what) => all.insert(key.to_owned(), what.clone()),
        None => all.remove(key),
    };
    match before == what {
        true => Ok(()),
        false => memory::write(&path, &all),
    }
}

/// How many runs have failed in a row, and when the last of them did.
fn failed_runs(state_dir: &Path, key: &str) -> Result<Option<(u64, i64)>> {
    let all = memory::read(&state_dir.join(FAILED))?;
    let Some(failed) = all.get(key) else { return Ok(None) };
    Ok(failed["runs"].as_u64().zip(failed["time"].as_i64()))
}

/// Whether a schedule that failed is to be left alone for a while.
fn waits(state_dir: &Path, key: &str, now: i64) -> Result<bool> {
    let Some((runs, time)) = failed_runs(state_dir, key)? else { return Ok(false) };
    let step = usize::try_from(runs.saturating_sub(1)).unwrap_or(usize::MAX).min(AGAIN.len() - 1);
    let wait = AGAIN.get(step).copied().unwrap_or_default();
    // A clock that was wrong then must not stop it.
    Ok(time <= now && now < time.saturating_add(wait))
}
