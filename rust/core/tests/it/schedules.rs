//! Schedules as cron runs them: retention, copies that are completed later, when they are due.

use bam::config::{Document, Schedule};
use bam::job::{Answer, Job, Request, schedule};
use bam::{Code, Error, Monitor, NoteKind};
use serde_json::{Value, json};
use std::fs;
use std::path::PathBuf;

struct Site {
    dir: tempfile::TempDir,
}

impl Site {
    fn new() -> Site {
        let dir = tempfile::tempdir().expect("a folder");
        fs::create_dir_all(dir.path().join("site/files")).expect("made");
        fs::write(dir.path().join("site/files/note"), "field note").expect("written");
        Site { dir }
    }

    fn path(&self, rest: &str) -> PathBuf {
        self.dir.path().join(rest)
    }

    fn document(&self) -> Document {
        let text = json!({
            "site": {"root": self.path("site")},
            "sources": {"files": {"type": "files", "path": "files"}},
            "destinations": {
                "near": {"type": "directory", "path": self.path("near")},
                "far": {"type": "directory", "path": self.path("far")},
            },
            "schedules": {"weekly": {"source": "files", "destinations": ["near", "far"], "every": 604800, "keep": 1}},
            "state_dir": self.path("state"),
        });
        Document::from_json(&text.to_string()).expect("a document")
    }

    fn run(&self, request: Value) -> Result<Value, Error> {
        let request: Request = serde_json::from_value(request).expect("a request");
        Job::start(self.document(), request).and_then(Job::finish)?.into_value()
    }

    fn backups(&self, place: &str) -> Vec<String> {
        let Ok(entries) = fs::read_dir(self.path(place)) else { return Vec::new() };
        let mut names: Vec<String> = entries
            .map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned())
            .filter(|name| name.ends_with(".gz"))
            .collect();
        names.sort();
        names
    }
}

#[test]
fn a_schedule_keeps_what_it_says_and_is_due_again_after_its_period() {
    let site = Site::new();
    let now = jiff::Timestamp::now().as_second();
    assert_eq!(schedule::due(&site.document(), now, &Monitor::new()).expect("asked"), ["weekly"]);
    let first = site.run(json!({"job": "run", "schedule": "weekly"})).expect("made");
    assert!(schedule::due(&site.document(), now, &Monitor::new()).expect("asked").is_empty(), "ran just now");
    assert_eq!(schedule::due(&site.document(), now + 604_800, &Monitor::new()).expect("asked"), ["weekly"]);
    site.run(json!({"job": "backup", "what": "files", "destinations": ["near"]})).expect("made by hand");
    let second = site.run(json!({"job": "run", "schedule": "weekly"})).expect("made");
    assert_eq!(second["pruned"].as_array().map(Vec::len), Some(2), "the first, at both places: {second}");
    assert_eq!(second["pruned"][0]["id"], first["id"]);
    assert_eq!(site.backups("near").len(), 2, "the one made by hand stays");
    assert_eq!(site.backups("far").len(), 1);
}

#[test]
fn one_whose_time_cannot_be_told_stops_no_other() {
    let site = Site::new();
    let mut document = site.document();
    let bad = Schedule { cron: Some("0 4 * * 8".into()), ..document.schedules["weekly"].clone() };
    document.schedules.insert("bad".into(), bad);
    let (now, monitor) = (jiff::Timestamp::now().as_second(), Monitor::new());
    assert_eq!(schedule::due(&document, now, &monitor).expect("asked"), ["weekly"]);
    let told = |monitor: &Monitor| {
        let notes = monitor.notes();
        notes
            .iter()
            .any(|note| note.kind == NoteKind::Missing && note.text.starts_with("schedule bad never runs"))
    };
    assert!(told(&monitor));
    site.run(json!({"job": "run", "schedule": "weekly"})).expect("made");
    let job = Job::start(document, serde_json::from_value(json!({"job": "status"})).expect("a request"));
    let status = job.and_then(Job::finish).and_then(Answer::into_value).expect("told");
    assert!(status["schedules"]["bad"]["next_run"].is_null(), "{status}");
    assert!(status["schedules"]["weekly"]["next_run"].is_i64(), "{status}");
    assert!(status["notes"].to_string().contains("schedule bad never runs"), "{status}");
}

#[test]
fn a_copy_that_could_not_be_made_is_made_by_the_next_run() {
    let site = Site::new();
    fs::write(site.path("far"), "a file where a folder should be").expect("written");
    let made = site.run(json!({"job": "run", "schedule": "weekly"})).expect("made at one place");
    assert_eq!(made["exit_code"], 3);
    assert_eq!(site.backups("near").len(), 1);
    fs::remove_file(site.path("far")).expect("mended");
    let copied = site.run(json!({"job": "replicate"})).expect("copied");
    assert_eq!(copied["copies"].as_array().map(Vec::len), Some(1), "{copied}");
    assert_eq!(site.backups("far"), site.backups("near"));
    let again = site.run(json!({"job": "replicate"})).expect("nothing to do");
    assert_eq!(again["copies"], json!([]));
    let checked = site.run(json!({"job": "verify"})).expect("verified");
    assert_eq!(checked["copies"].as_array().map(Vec::len), Some(2));
}

#[test]
fn a_damaged_copy_is_not_spread() {
    let site = Site::new();
    let made = site.run(json!({"job": "run", "schedule": "weekly"})).expect("made");
    let file = made["file"].as_str().expect("a name");
    for name in [file.to_owned(), format!("{file}.info")] {
        fs::remove_file(site.path("far").join(name)).expect("lost");
    }
    let near = site.path("near").join(file);
    let mut bytes = fs::read(&near).expect("read");
    bytes[20] ^= 1;
    fs::write(&near, bytes).expect("damaged");
    let told = site.run(json!({"job": "replicate"})).expect("tried");
    assert_eq!((&told["exit_code"], site.backups("far").len()), (&json!(3), 0), "{told}");
}

#[test]
fn nothing_goes_when_the_new_backup_failed() {
    let site = Site::new();
    site.run(json!({"job": "run", "schedule": "weekly"})).expect("made");
    fs::rename(site.path("site/files"), site.path("gone")).expect("moved");
    let error = site.run(json!({"job": "run", "schedule": "weekly"})).expect_err("no source");
    assert_eq!(error.code(), Code::NotFound);
    assert_eq!((site.backups("near").len(), site.backups("far").len()), (1, 1));
}

#[test]
fn an_exported_backup_is_checked_by_stock_tools_and_taken_in_again() {
    let site = Site::new();
    let made = site.run(json!({"job": "run", "schedule": "weekly"})).expect("made");
    let usb = site.path("usb");
    fs::create_dir(&usb).expect("made");
    let exported = site.run(json!({"job": "export", "id": "latest", "path": usb})).expect("exported");
    assert_eq!(exported["id"], made["id"]);
    let checked =
        std::process::Command::new("sha256sum").args(["-c", "SHA256SUMS"]).current_dir(&usb).output();
    assert!(checked.expect("ran").status.success());
    let howto = fs::read_to_string(usb.join("RESTORE.txt")).expect("read");
    let file = made["file"].as_str().expect("a name");
    assert!(howto.contains(&format!("cat {file} | gunzip | tar x")), "{howto}");
    site.run(json!({"job": "delete", "id": "latest"})).expect("erased");
    let taken =
        site.run(json!({"job": "import", "file": usb.join(file), "destination": "far"})).expect("taken in");
    assert_eq!(taken["id"], made["id"]);
    let mut bytes = fs::read(usb.join(file)).expect("read");
    bytes[20] ^= 1;
    fs::write(usb.join(file), bytes).expect("damaged");
    let refused = site.run(json!({"job": "import", "file": usb.join(file), "destination": "near"}));
    assert_eq!(refused.expect_err("damaged").code(), Code::Integrity);
    assert!(site.backups("near").is_empty());
}
