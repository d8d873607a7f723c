//! What a site remembers between its runs: JSON objects in the state folder. One that is damaged holds nothing: every run says
//! so (exit code 3) until one adds to it, which keeps what was there under another name. One that cannot be read now is not
//! replaced.

use super::{lock, state};
use crate::config::Document;
use crate::look;
use crate::regular::{self, Irregular};
use crate::{Error, Monitor, NoteKind, Result, ResultExt};
use serde_json::{Map, Value};
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

/// The files whose loss somebody has to hear of, and what is not known without each.
const ALL: [(&str, &str); 7] = [
    ("made.json", "which backups were made here is not known, so none that is gone is missed"),
    ("damaged.json", "which copies were found damaged is not known, and `bam verify` finds it out anew"),
    (
        "exports.json",
        "which copies were exported is not known, so none counts: mend it, or export them again",
    ),
    ("schedules.json", "when the schedules ran is not known, so all are due"),
    ("failed.json", "how often schedules failed is not known"),
    ("drills.json", "how the last drills went is not known"),
    ("ids.json", "which numbers were given is not known"),
];

/// What was found in a memory.
enum Found {
    Good(Map<String, Value>),
    /// What is there is none of ours, and why.
    Damaged(String),
}

fn look_into(path: &Path) -> Result<Found> {
    match regular::read(path) {
        Ok(text) => Ok(match serde_json::from_slice(&text) {
            Ok(map) => Found::Good(map),
            Err(cause) => Found::Damaged(cause.to_string()),
        }),
        Err(cause) if cause.kind() == ErrorKind::NotFound => Ok(Found::Good(Map::new())),
        Err(cause) if cause.kind() == ErrorKind::IsADirectory => Ok(Found::Damaged("it is a folder".into())),
        Err(cause) if Irregular::is(&cause) => Ok(Found::Damaged(cause.to_string())),
        Err(cause) => Err(Error::io("cannot read", path, cause)),
    }
}

/// What a memory holds; nothing where there is none, or a damaged one.
pub fn read(path: &Path) -> Result<Map<String, Value>> {
    Ok(match look_into(path)? {
        Found::Good(map) => map,
        Found::Damaged(_) => Map::new(),
    })
}

/// The same with what root's says for all; of two numbers, and of two that tell their time, the later.
pub fn read_shared(state_dir: &Path, file: &str) -> Result<Map<String, Value>> {
    let mut all = read(&state_dir.join(file))?;
    let when = |value: &Value| value.as_i64().or_else(|| value["time"].as_i64());
    for (key, theirs) in read_roots(state_dir, file)? {
        if all.get(&key).is_none_or(|ours| when(ours) < when(&theirs)) {
            all.insert(key, theirs);
        }
    }
    Ok(all)
}

/// What root's memory says for all; nothing where we are root, or root shares none. A damaged one is root's to mend.
pub fn read_roots(state_dir: &Path, file: &str) -> Result<Map<String, Value>> {
    match look::if_open(state::of_root(state_dir))? {
        Some(root) => look::if_open(read(&root.join(file))),
        None => Ok(Map::new()),
    }
}

/// Replaces a memory in one step; on disk when this returns. A damaged one is kept beside it.
pub fn write(path: &Path, all: &Map<String, Value>) -> Result<()> {
    if is_damaged(path)? {
        fs::rename(path, aside(path)).at("cannot keep aside", path)?;
    }
    lock::write_state(path, Value::Object(all.clone()).to_string().as_bytes())
}

/// Whether what is there is no memory.
pub fn is_damaged(path: &Path) -> Result<bool> {
    Ok(matches!(look_into(path)?, Found::Damaged(_)))
}

/// A name that nothing has.
fn aside(path: &Path) -> PathBuf {
    let mut now = jiff::Timestamp::now().as_second();
    loop {
        let mut name = path.as_os_str().to_owned();
        name.push(format!(".damaged-{now}"));
        let name = PathBuf::from(name);
        if !look::exists(&name).unwrap_or(false) {
            return name;
        }
        now += 1;
    }
}

/// Says which of this user's memories are damaged, or cannot be read.
pub fn tell(document: &Document, monitor: &Monitor) {
    // Where there is no folder, whoever needs one says so.
    let Ok(dir) = lock::state_dir(document) else { return };
    for (file, _) in ALL {
        if let Some(text) = lost(&dir, file) {
            monitor.note(NoteKind::Missing, text);
        }
    }
}

/// What is lost where a memory is damaged or cannot be read; `None`: nothing is.
pub fn lost(state_dir: &Path, file: &str) -> Option<String> {
    let path = state_dir.join(file);
    let what = ALL.iter().find(|(name, _)| *name == file).map_or("", |(_, what)| *what);
    match look_into(&path) {
        Ok(Found::Good(_)) => None,
        Ok(Found::Damaged(why)) => Some(format!(
            "{} is damaged ({why}): {what}; the next run that adds to it keeps it aside, named {file}.damaged-TIME",
            path.display()
        )),
        Err(error) => Some(format!("{error}: {what}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_damaged_holds_nothing_is_told_and_kept_aside() {
        let dir = tempfile::tempdir().expect("a folder");
        let document = Document { state_dir: Some(dir.path().join("state")), ..Document::default() };
        let path = lock::state_dir(&document).expect("made").join("made.json");
        let told = || {
            let monitor = Monitor::new();
            tell(&document, &monitor);
            monitor.notes().into_iter().map(|note| (note.kind, note.text)).collect::<Vec<_>>()
        };
        let aside = || {
            let names = crate::entries::names(path.parent().expect("a folder")).expect("listed");
            names
                .filter(|name| name.as_ref().is_ok_and(|name| name.to_string_lossy().contains(".damaged-")))
                .count()
        };
        assert!(told().is_empty() && !is_damaged(&path).expect("looked"));
        for damage in ["", "{", "null", "[]", "\u{1}"] {
            fs::write(&path, damage).expect("written");
            assert!(
                matches!(&told()[..], [(NoteKind::Missing, text)] if text.contains("is damaged")),
                "{damage:?}"
            );
            assert!(read(&path).expect("read").is_empty());
        }
        assert_eq!(aside(), 0, "reading leaves it");
        let all = Map::from_iter([("x".to_owned(), Value::from(1))]);
        write(&path, &all).expect("written");
        assert_eq!((read(&path).expect("read"), aside(), told().len()), (all.clone(), 1, 0));
        fs::remove_file(&path).expect("removed");
        fs::create_dir_all(path.join("in the way")).expect("made");
        assert_eq!(told().len(), 1);
        write(&path, &all).expect("written");
        assert_eq!((read(&path).expect("read"), aside()), (all.clone(), 2), "one second, two names");
        fs::remove_file(&path).expect("removed");
        std::os::unix::fs::symlink("made.json", &path).expect("a loop");
        assert!(read(&path).is_err() && write(&path, &all).is_err());
        assert!(matches!(&told()[..], [(NoteKind::Missing, text)] if text.contains("cannot read")));
    }
}
