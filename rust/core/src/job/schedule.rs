//! One run of a schedule: the backup, then what older runs left undone, then what is too old; and when runs are due.

use super::choose::{self, Choice};
use super::{backup, lock, places, prune, recover, replicate};
use crate::catalog::{BackupId, next_run};
use crate::config::{Document, Schedule};
use crate::{Monitor, Result};
use serde_json::{Map, Value, json};
use std::path::Path;
use std::sync::Arc;

const FILE: &str = "schedules.json";

/// Runs a schedule now, due or not. The result is that of a backup, with `copied` and `pruned` besides.
///
/// Nothing old is deleted when the new backup failed.
pub fn run(document: &Document, name: &str, monitor: &Arc<Monitor>) -> Result<Value> {
    let choice = choose::schedule(document, name)?;
    let _lock = lock::acquire(document)?;
    let state_dir = lock::state_dir(document)?;
    recover::before_a_backup(document, &state_dir, monitor)?;
    let result = make(document, name, &choice, monitor);
    // A failed run counts, or cron would try again every minute and mail each time.
    remember(&state_dir, name, jiff::Timestamp::now().as_second())?;
    result
}

fn make(document: &Document, name: &str, choice: &Choice, monitor: &Arc<Monitor>) -> Result<Value> {
    let profile = choose::profile(document, &choice.profile)?;
    let mut result = backup::make(document, choice, &profile, None, monitor)?;
    let fresh = result.get("id").and_then(Value::as_u64).map(BackupId);
    let all = places::open(document, &choice.destinations)?;
    let copied = replicate::bring_up_to_date(document, &all, monitor)?;
    let pruned = prune::apply(document, name, fresh, false, monitor)?;
    if let Value::Object(map) = &mut result {
        map.insert("copied".into(), json!(copied));
        map.insert("pruned".into(), pruned.into_iter().filter(|told| told["keep"] == false).collect());
    }
    Ok(result)
}

/// Schedules that are due at `now` (Unix time), by machine name.
pub fn due(document: &Document, now: i64) -> Result<Vec<String>> {
    let mut names = Vec::new();
    for (name, schedule) in &document.schedules {
        let next = next_run(&with_last_run(document, name, schedule)?, &document.site, now)?;
        if next.is_some_and(|next| next <= now) {
            names.push(name.clone());
        }
    }
    Ok(names)
}

/// The schedule with the later of the two last runs that are known: the site's own and ours.
pub fn with_last_run(document: &Document, name: &str, schedule: &Schedule) -> Result<Schedule> {
    let ours = remembered(&lock::state_dir(document)?)?.get(name).and_then(Value::as_u64);
    Ok(Schedule { last_run: schedule.last_run.max(ours), ..schedule.clone() })
}

fn remembered(state_dir: &Path) -> Result<Map<String, Value>> {
    lock::read_state(&state_dir.join(FILE))
}

fn remember(state_dir: &Path, name: &str, now: i64) -> Result<()> {
    let mut all = remembered(state_dir)?;
    all.insert(name.to_owned(), now.into());
    let path = state_dir.join(FILE);
    lock::write_state(&path, Value::Object(all).to_string().as_bytes())
}
