//! Ending a restore that was killed: forward or back, whichever its journal says is possible.

use super::journal::{FILE, Journal, JournalState};
use super::leftovers;
use crate::config::Document;
use crate::job::request::RecoverWay;
use crate::job::{lock, site, state};
use crate::look::is_gone;
use crate::regular;
use crate::source::database;
use crate::{Code, Error, Monitor, NoteKind, Result, ResultExt};
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

const UNREADABLE: &str = "cannot read the restore's journal";

/// What [`recover`] can do with a restore that stopped in this state, in words.
fn ways(state: JournalState) -> &'static str {
    match state {
        JournalState::Staging | JournalState::Staged => {
            "it changed nothing; `bam recover` removes its traces"
        }
        JournalState::Checked => {
            "its data is whole, and nothing was changed: `bam recover` removes it, `bam recover --finish` puts it in place"
        }
        JournalState::Swapping => {
            "it was putting the new data in place: `bam recover` finishes it, `bam recover --take-back` takes it back"
        }
        JournalState::Swapped => {
            "the new data is in place: `bam recover` removes the old, `bam recover --take-back` puts it back"
        }
        JournalState::Tidying | JournalState::Settling => {
            "the new data is in place: `bam recover` removes the old"
        }
        JournalState::Reverting => {
            "it was being taken back: `bam recover` goes on with that, `bam recover --finish` puts the new data in place"
        }
        JournalState::Reverted => "it was taken back: `bam recover` removes its traces",
    }
}

/// Whether what is live may be half old and half new.
fn is_mixed(state: JournalState) -> bool {
    matches!(state, JournalState::Swapping | JournalState::Reverting)
}

/// Whether a restore waits to be ended, and what is possible: one sentence.
pub fn pending(state_dir: &Path) -> Option<String> {
    Some(match stopped(state_dir)? {
        Ok(journal) => {
            let offline =
                if journal.is_offline() { " (the site may be in maintenance mode until then)" } else { "" };
            format!("a restore of {} was stopped: {}{offline}", journal.backup, ways(journal.state()))
        }
        Err(error) => error.to_string(),
    })
}

/// The journal of a restore that was stopped; `None`: there is none.
fn stopped(state_dir: &Path) -> Option<Result<Journal>> {
    let path = state_dir.join(FILE);
    match regular::read(&path) {
        Err(cause) if is_gone(&cause) => None,
        text => Some(text.at(UNREADABLE, &path).and_then(|text| Journal::read(&path, &text))),
    }
}

/// Puts the site back online where a killed run left it in maintenance mode, and says so. Where a restore stopped between
/// old and new, it stays offline until that is ended.
pub fn bring_back(document: &Document, monitor: &Monitor) {
    let stopped = lock::state_dir(document).map(|dir| stopped(&dir));
    let mixed = |journal: Result<Journal>| journal.map_or(true, |journal| is_mixed(journal.state()));
    if !stopped.map_or(true, |journal| journal.is_some_and(mixed)) {
        site::bring_back(document, monitor);
    }
}

/// Folders that restores left on the site: no part of it, so no backup has them.
pub fn strays(state_dir: &Path) -> Vec<PathBuf> {
    let journal = stopped(state_dir).and_then(Result::ok);
    let mut all = journal.map(|journal| journal.leftovers()).unwrap_or_default();
    all.extend(leftovers::folders(state_dir));
    all
}

/// Ends a restore that was killed, and says how. `None`: there was none. The site's lock must be held.
pub fn recover(
    document: &Document,
    state_dir: &Path,
    way: RecoverWay,
    monitor: &Monitor,
) -> Result<Option<String>> {
    if let Err(error) = leftovers::retry(document, state_dir, monitor) {
        monitor.note(NoteKind::Warning, error.to_string());
    }
    let path = state_dir.join(FILE);
    // Killed while it was written.
    let _ = fs::remove_file(lock::part_of(&path));
    let text = match regular::read(&path) {
        Ok(text) => text,
        Err(cause) if cause.kind() == ErrorKind::NotFound => {
            // A killed backup that had sent the visitors away has none.
            if document.profiles.values().any(|profile| profile.site_offline) {
                site::bring_back(document, monitor);
            }
            return match state::restore_of_another(state_dir) {
                Some(another) => Err(another),
                None => Ok(None),
            };
        }
        Err(cause) => return Err(Error::io(UNREADABLE, &path, cause)),
    };
    let mut journal = Journal::read(&path, &text)?;
    let backup = journal.backup.clone();
    let told = end(&mut journal, document, way, monitor).map_err(|error| {
        error.context(format!("a restore of {backup} was stopped and cannot be ended now"))
    })?;
    let told = format!("a restore of {backup} had stopped {told}");
    monitor.note(NoteKind::Info, told.clone());
    Ok(Some(told))
}

/// How a killed restore to somewhere else ends when the same place is asked for again: what was being put in place is taken
/// back, as it is wanted anew. Finished, it would leave a place that is no longer empty, and the new restore would be refused.
pub fn way_to_begin_again(state_dir: &Path) -> RecoverWay {
    match stopped(state_dir) {
        Some(Ok(journal)) if journal.state() == JournalState::Swapping => RecoverWay::TakeBack,
        _ => RecoverWay::Either,
    }
}

/// As [`recover`], for runs that do not touch the site: one that cannot be ended is no reason to make no backup.
pub fn before_a_backup(document: &Document, state_dir: &Path, monitor: &Monitor) -> Result<()> {
    match recover(document, state_dir, RecoverWay::Either, monitor) {
        Err(error) if error.code() == Code::Cancelled => Err(error),
        Err(error) => {
            monitor.note(
                NoteKind::Missing,
                format!("{error}; what is backed up now may be half old and half new"),
            );
            Ok(())
        }
        Ok(_) => Ok(()),
    }
}

/// Ends a restore that was stopped in this state, in the way that is wanted.
#[allow(clippy::too_many_lines, reason = "a table: each state, and each wish")]
fn end(
    journal: &mut Journal,
    document: &Document,
    way: RecoverWay,
    monitor: &Monitor,
) -> Result<&'static str> {
    const UNTOUCHED: &str = "before it changed anything: its traces are removed, the site is as it was";
    let state = journal.state();
    match (state, way) {
        (JournalState::Staging, RecoverWay::Finish) => {
            Err(Error::new(Code::Usage, "its data is not whole: it can only be taken back")
                .hint("`bam recover --take-back`, then restore again"))
        }
        (
            JournalState::Staging | JournalState::Staged | JournalState::Checked,
            RecoverWay::Either | RecoverWay::TakeBack,
        ) => {
            journal.abandon(document, monitor);
            Ok(UNTOUCHED)
        }
        (JournalState::Staged, RecoverWay::Finish) => {
            // What stays of the live folders was found out by the run that was killed, and only then.
            Err(Error::new(Code::Usage, "it was not checked yet: it can only be taken back")
                .hint("`bam recover --take-back`, then restore again"))
        }
        (JournalState::Reverting, RecoverWay::Either | RecoverWay::TakeBack)
        | (JournalState::Swapping | JournalState::Swapped, RecoverWay::TakeBack) => {
            reachable(journal, document, monitor)?;
            journal.take_back(document, monitor)?;
            Ok("while it put the data in place: it is taken back, the site is as it was")
        }
        (JournalState::Checked | JournalState::Swapping | JournalState::Reverting, RecoverWay::Finish) => {
            forward(journal, document, monitor)?;
            Ok("while it put the data in place: it is finished now")
        }
        (JournalState::Swapping, RecoverWay::Either) => {
            reachable(journal, document, monitor)?;
            let Err(error) = forward(journal, document, monitor) else {
                return Ok("while it put the data in place: it is finished now");
            };
            if error.code() == Code::Cancelled {
                return Err(error);
            }
            monitor.note(NoteKind::Warning, format!("the restore cannot be finished: {error}"));
            journal.take_back(document, monitor).map_err(|second| error.followed_by(&second))?;
            Ok(
                "while it put the data in place, and could not be finished: it is taken back, the site is as it was",
            )
        }
        (JournalState::Settling, RecoverWay::Either | RecoverWay::Finish) => {
            journal.settle()?;
            journal.close(document, monitor);
            Ok("while it put the data in place: it is finished now")
        }
        (JournalState::Swapped | JournalState::Tidying, RecoverWay::Either | RecoverWay::Finish) => {
            journal.close(document, monitor);
            Ok("when its data was in place: it is finished now")
        }
        (JournalState::Reverted, RecoverWay::Either | RecoverWay::TakeBack) => {
            journal.abandon(document, monitor);
            Ok("when it was taken back: its traces are removed, the site is as it was")
        }
        (JournalState::Tidying | JournalState::Settling, RecoverWay::TakeBack) => {
            Err(Error::new(Code::Usage, "the old data is being removed: it can only be finished")
                .hint("`bam recover`; to go back to another state of the site, restore another backup"))
        }
        (JournalState::Reverted, RecoverWay::Finish) => {
            Err(Error::new(Code::Usage, "it was taken back, and its data is being removed")
                .hint("`bam recover`, then restore again"))
        }
    }
}

fn forward(journal: &mut Journal, document: &Document, monitor: &Monitor) -> Result<()> {
    journal.begin_swap()?;
    journal.swap(document, monitor)?;
    journal.end(document, monitor);
    Ok(())
}

/// A server that does not answer says nothing about which way is possible: the journal stays as it is.
fn reachable(journal: &Journal, document: &Document, monitor: &Monitor) -> Result<()> {
    match journal.database() {
        Some(name) => database::tables(&document.connection(name)?, false, monitor)
            .map(drop)
            .map_err(|error| error.hint("when the database answers, run `bam recover`")),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::job::restore::swap::testing::{tree, write};

    /// A restore of one folder, stopped in this state.
    fn stopped(state: JournalState) -> (tempfile::TempDir, Document) {
        let dir = tempfile::tempdir().expect("a folder");
        let live = dir.path().join("files");
        write(&live.join("a"), "old");
        write(&live.join("keep/b"), "kept");
        let document = Document { state_dir: Some(dir.path().join("state")), ..Document::default() };
        let state_dir = lock::state_dir(&document).expect("a folder");
        let monitor = Monitor::new();
        let mut journal = Journal::begin(&state_dir, "x.tar").expect("begun");
        let at = journal.stage(&live, "7", false).expect("staged");
        write(&journal.tree(at).expect("there").staged().join("a"), "new");
        if state != JournalState::Staging {
            journal.check(&document, &|_| Ok(vec!["keep".into()]), &monitor).expect("checked");
        }
        match state {
            JournalState::Staging | JournalState::Checked => {}
            _ => {
                journal.begin_swap().expect("on record");
                journal.swap(&document, &monitor).expect("swapped");
            }
        }
        let path = state_dir.join(FILE);
        let text = fs::read_to_string(&path).expect("a journal");
        let mut text: serde_json::Value = serde_json::from_str(&text).expect("JSON");
        text["state"] = serde_json::to_value(state).expect("a name");
        fs::write(&path, text.to_string()).expect("written");
        (dir, document)
    }

    #[test]
    fn what_waits_to_be_ended_says_where_the_site_may_be_offline() {
        let (_dir, document) = stopped(JournalState::Swapped);
        let state_dir = lock::state_dir(&document).expect("a folder");
        let offline = || pending(&state_dir).expect("told").contains("maintenance mode until then");
        assert!(!offline());
        let path = state_dir.join(FILE);
        let text = fs::read_to_string(&path).expect("a journal");
        fs::write(&path, text.replace("\"offline\":false", "\"offline\":true")).expect("written");
        assert!(offline());
    }

    #[test]
    fn a_place_that_is_asked_for_again_is_taken_back_if_it_was_being_filled() {
        let empty = tempfile::tempdir().expect("a folder");
        assert!(matches!(way_to_begin_again(empty.path()), RecoverWay::Either));
        for state in
            [JournalState::Staging, JournalState::Checked, JournalState::Swapping, JournalState::Swapped]
        {
            let (_dir, document) = stopped(state);
            let way = way_to_begin_again(&lock::state_dir(&document).expect("a folder"));
            assert_eq!(matches!(way, RecoverWay::TakeBack), state == JournalState::Swapping, "{state:?}");
        }
    }

    const OLD: [&str; 2] = ["a=old", "keep/b=kept"];
    const NEW: [&str; 2] = ["a=new", "keep/b=kept"];

    #[test]
    fn each_state_ends_either_way_or_says_that_it_does_not() {
        use JournalState::{
            Checked, Reverted, Reverting, Settling, Staged, Staging, Swapped, Swapping, Tidying,
        };
        use RecoverWay::{Either, Finish, TakeBack};
        let none: Option<[&str; 2]> = None;
        for (state, way, expected) in [
            (Staging, Either, Some(OLD)),
            (Staging, TakeBack, Some(OLD)),
            (Staging, Finish, none),
            (Checked, Either, Some(OLD)),
            (Checked, TakeBack, Some(OLD)),
            (Checked, Finish, Some(NEW)),
            (Swapping, Either, Some(NEW)),
            (Swapping, TakeBack, Some(OLD)),
            (Swapping, Finish, Some(NEW)),
            (Swapped, Either, Some(NEW)),
            (Swapped, TakeBack, Some(OLD)),
            (Swapped, Finish, Some(NEW)),
            (Tidying, Either, Some(NEW)),
            (Tidying, TakeBack, none),
            (Settling, Either, Some(NEW)),
            (Settling, TakeBack, none),
            (Reverting, Either, Some(OLD)),
            (Reverting, TakeBack, Some(OLD)),
            (Reverting, Finish, Some(NEW)),
            (Reverted, Finish, none),
            (Staged, Finish, none),
        ] {
            let (dir, document) = stopped(state);
            let state_dir = lock::state_dir(&document).expect("a folder");
            let told = pending(&state_dir).expect("told");
            assert!(told.contains("x.tar") && told.contains("`bam recover"), "{told}");
            let ended = recover(&document, &state_dir, way, &Monitor::new());
            match expected {
                Some(expected) => {
                    assert!(ended.expect("ended").is_some());
                    assert_eq!(tree(&dir.path().join("files")), expected, "{state:?} {way:?}");
                    assert_eq!(pending(&state_dir), None, "{state:?} {way:?}");
                    let names = fs::read_dir(dir.path()).expect("listed").count();
                    assert_eq!(names, 2, "nothing is left beside: {state:?} {way:?}");
                }
                None => {
                    assert_eq!(ended.expect_err("impossible").code(), Code::Usage, "{state:?} {way:?}");
                    assert_eq!(pending(&state_dir).as_ref(), Some(&told), "it stays as it was");
                }
            }
        }
    }
}
