//! A folder's way there and back through the whole engine: every room takes part, only the command line is missing.

use bam::config::Document;
use bam::job::{Job, Request};
use bam::{Code, Error};
use serde_json::{Value, json};
use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

struct Site {
    dir: tempfile::TempDir,
}

impl Site {
    fn new() -> Site {
        let dir = tempfile::tempdir().expect("a folder");
        fs::write(dir.path().join("key"), "correct horse battery staple\n").expect("a key");
        let files = dir.path().join("www/sites/default/files");
        for folder in ["field/deep", "empty", "styles/thumb", "backup_migrate/manual"] {
            fs::create_dir_all(files.join(folder)).expect("made");
        }
        fs::write(files.join("field/notes ünï'\"\n.txt"), "interview").expect("written");
        fs::write(files.join(OsStr::from_bytes(b"field/latin\xe91")), b"\x00\xff").expect("written");
        fs::write(files.join("field/deep").join("x".repeat(250)), vec![7; 3_000_000]).expect("written");
        fs::write(files.join("nothing"), "").expect("written");
        fs::write(files.join("styles/thumb/skip.png"), "made again by Drupal").expect("written");
        fs::write(files.join("backup_migrate/manual/old.tar"), "an older backup").expect("written");
        fs::hard_link(files.join("nothing"), files.join("same")).expect("linked");
        symlink("field/deep", files.join("link")).expect("linked");
        fs::set_permissions(files.join("field/deep"), fs::Permissions::from_mode(0o750)).expect("set");
        Site { dir }
    }

    fn path(&self, rest: &str) -> PathBuf {
        self.dir.path().join(rest)
    }

    fn files(&self) -> PathBuf {
        self.path("www/sites/default/files")
    }

    fn document(&self) -> Document {
        let text = json!({
            "site": {"root": self.path("www"), "name": "PECE Lab"},
            "sources": {"pece_bkp": {"type": "files", "path": "sites/default/files"}},
            "destinations": {
                "manual": {"type": "directory", "path": self.path("backups")},
                "second": {"type": "directory", "path": self.files().join("backup_migrate/second")},
            },
            "profiles": {"pece_backup": {
                "encryption": "aes256",
                "sources": {"pece_bkp": {"exclude": ["backup_migrate", "styles"]}},
            }},
            "encryption": {"key_file": self.path("key"), "iterations": 1000},
            "state_dir": self.path("state"),
        });
        Document::from_json(&text.to_string()).expect("a document")
    }

    fn run(&self, request: Value) -> Result<Value, Error> {
        let request: Request = serde_json::from_value(request).expect("a request");
        Job::start(self.document(), request).and_then(Job::finish)?.into_value()
    }

    fn back_up(&self) -> (PathBuf, u64) {
        let made = self
            .run(json!({"job": "backup", "what": "pece_bkp", "destinations": ["manual", "second"]}))
            .expect("backed up");
        let file = made["file"].as_str().expect("a name");
        (self.path("backups").join(file), made["id"].as_u64().expect("an ID"))
    }
}

/// Every path with all that a backup keeps of it.
fn picture(root: &Path) -> Vec<String> {
    let mut lines = Vec::new();
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).expect("listed") {
            let path = entry.expect("an entry").path();
            let meta = path.symlink_metadata().expect("there");
            let content = if meta.is_dir() {
                folders.push(path.clone());
                "folder".into()
            } else if meta.is_symlink() {
                format!("{:?}", fs::read_link(&path).expect("a link"))
            } else {
                format!("{:?} links {}", md5(&fs::read(&path).expect("read")), meta.nlink())
            };
            let name = path.strip_prefix(root).expect("inside");
            lines.push(format!("{name:?} {:o} {} {content}", meta.mode(), meta.mtime()));
        }
    }
    lines.sort();
    lines
}

/// Not a hash: enough to tell the files of these tests apart.
fn md5(bytes: &[u8]) -> (usize, u64) {
    (bytes.len(), bytes.iter().fold(5381, |sum: u64, b| sum.wrapping_mul(33) ^ u64::from(*b)))
}

#[test]
fn a_folder_comes_back_as_it_was_and_what_is_left_out_stays() {
    let site = Site::new();
    let (_, id) = site.back_up();
    let before = picture(&site.files());
    let files = site.files();
    fs::remove_dir_all(files.join("field")).expect("damaged");
    fs::write(files.join("nothing"), "something").expect("damaged");
    fs::write(files.join("intruder.php"), "<?php").expect("damaged");
    fs::set_permissions(files.join("empty"), fs::Permissions::from_mode(0o700)).expect("damaged");
    let restored = site.run(json!({"job": "restore", "id": id.to_string()})).expect("restored");
    assert_eq!(restored["source"], "pece_bkp");
    assert_eq!(picture(&files), before);
    let traces: Vec<_> = fs::read_dir(site.path("www/sites/default")).expect("listed").collect();
    assert_eq!(traces.len(), 1, "{traces:?}");
    assert!(!site.path("state/restore.json").exists());
}

#[test]
fn both_destinations_hold_the_same_bytes_and_stock_tools_open_them() {
    let site = Site::new();
    let (file, id) = site.back_up();
    let twin = site.files().join("backup_migrate/second").join(file.file_name().expect("a name"));
    assert!(fs::read(&file).expect("read") == fs::read(twin).expect("read"));
    let listed = site.run(json!({"job": "backups"})).expect("listed");
    assert_eq!(listed["backups"][0]["id"], id);
    assert_eq!(listed["backups"][0]["copies"].as_array().map(Vec::len), Some(2));
    let pass = format!("file:{}", site.path("key").display());
    let opened = Command::new("sh")
        .arg("-c")
        .arg("openssl enc -d -aes-256-cbc -pbkdf2 -iter 1000 -in \"$1\" -pass \"$2\" | tar tz")
        .args(["sh".as_ref(), file.as_os_str(), pass.as_ref()])
        .output()
        .expect("ran");
    let names = String::from_utf8_lossy(&opened.stdout).into_owned();
    assert!(names.contains("field/deep/xxx"), "{names}");
    assert!(!names.contains("styles"), "{names}");
}

#[test]
fn one_changed_byte_anywhere_is_refused_and_nothing_is_touched() {
    let site = Site::new();
    let (file, id) = site.back_up();
    let good = fs::read(&file).expect("read");
    let before = picture(&site.path("www"));
    for at in [0, 9, 17, good.len() / 2, good.len() - 1] {
        let mut bad = good.clone();
        bad[at] ^= 1;
        fs::write(&file, &bad).expect("written");
        let ask = json!({"job": "restore", "id": id.to_string(), "destination": "manual"});
        assert_eq!(site.run(ask).expect_err("refused").code(), Code::Integrity, "byte {at}");
    }
    fs::write(&file, &good[..good.len() - 1]).expect("written");
    let ask = json!({"job": "verify", "id": id.to_string(), "destinations": ["manual"]});
    assert_eq!(site.run(ask).expect_err("refused").code(), Code::Integrity);
    fs::write(&file, &good).expect("written");
    let info = PathBuf::from(format!("{}.info", file.display()));
    let text = fs::read_to_string(&info).expect("read").replace("PECE Lab", "Other Lab");
    fs::write(&info, text).expect("written");
    let ask = json!({"job": "restore", "id": id.to_string(), "destination": "manual"});
    assert_eq!(site.run(ask).expect_err("refused").code(), Code::Integrity, "a changed sidecar");
    fs::write(site.path("key"), "another key\n").expect("written");
    let ask = json!({"job": "restore", "id": id.to_string(), "destination": "second"});
    assert_eq!(site.run(ask).expect_err("refused").code(), Code::Integrity, "a wrong key");
    assert!(picture(&site.path("www")) == before);
}

#[test]
fn without_its_sidecar_a_backup_is_restored_only_when_told() {
    let site = Site::new();
    let (file, _) = site.back_up();
    let lone = site.path("lone.tar.gz.enc");
    fs::copy(&file, &lone).expect("copied");
    let mut ask = json!({"job": "restore", "file": lone, "source": "pece_bkp"});
    assert_eq!(site.run(ask.clone()).expect_err("refused").code(), Code::Integrity);
    let before = picture(&site.files());
    fs::remove_file(site.files().join("nothing")).expect("damaged");
    ask["unauthenticated"] = json!(true);
    site.run(ask).expect("restored");
    assert_eq!(picture(&site.files()), before);
}

#[test]
fn a_backup_is_erased_everywhere() {
    let site = Site::new();
    let (file, id) = site.back_up();
    let erased = site.run(json!({"job": "delete", "id": id.to_string()})).expect("erased");
    assert_eq!(erased["erased"], json!(["manual", "second"]));
    assert!(!file.exists());
    assert_eq!(site.run(json!({"job": "backups"})).expect("listed")["backups"], json!([]));
}

#[test]
fn a_bar_ends_with_the_work() {
    let site = Site::new();
    let counted = |request: Value| {
        let request: Request = serde_json::from_value(request).expect("a request");
        let job = Job::start(site.document(), request).expect("started");
        let monitor = job.monitor();
        let result = job.finish().expect("done");
        (monitor.snapshot(), result)
    };
    let backup = json!({"job": "backup", "what": "pece_bkp", "destinations": ["manual"]});
    let (first, _) = counted(backup.clone());
    let (second, made) = counted(backup);
    assert_eq!(first.bytes_in, 3_000_011);
    assert_eq!((second.bytes_in, second.bytes_total), (first.bytes_in, first.bytes_in), "as the last one");
    let file = site.path("backups").join(made["file"].as_str().expect("a name"));
    // Each byte is read to be proven, and again to be decoded.
    let twice = 2 * fs::metadata(file).expect("there").len();
    for request in [
        json!({"job": "verify", "id": made["id"].to_string()}),
        json!({"job": "restore", "id": made["id"].to_string()}),
    ] {
        let (done, _) = counted(request);
        assert_eq!((done.bytes_in, done.bytes_total), (twice, twice));
    }
}
