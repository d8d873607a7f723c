//! Every flipped bit and every cut of a backup and of its sidecar is found, whichever way it is kept. Some, drawn by a seed,
//! with each run of the tests; all of them with `BAM_TEST_FLIPS=all`.

use bam::config::Document;
use bam::job::{Job, Request};
use bam::{Code, Error};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// Of how many flips or cuts one is tried.
const ONE_OF: usize = 61;
/// What is told of a copy and proves nothing: when it was verified, and where others lie.
const UNPROVEN: [&str; 2] = ["bam_verified", "bam_copies"];

struct Site {
    dir: tempfile::TempDir,
    document: Document,
}

impl Site {
    fn new() -> Site {
        // What is flushed costs nothing in memory.
        let memory = Path::new("/dev/shm");
        let dir = if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() }
            .expect("a folder");
        let path = |name: &str| dir.path().join(name);
        private(&path("key"), "correct horse battery staple\n");
        fs::create_dir_all(path("www/files")).expect("made");
        fs::write(path("www/files/interview.txt"), "irreplaceable").expect("written");
        let text = json!({
            "site": {"root": path("www"), "name": "Lab", "url": "http://example.org"},
            "sources": {"files": {"type": "files", "path": "files"}},
            "destinations": {"manual": {"type": "directory", "path": path("backups")}},
            "profiles": {
                "plain": {"compression": "none"},
                "packed": {"compression": "zstd"},
                "secret": {"encryption": "aes256"},
                "public": {"encryption": "age"},
            },
            "encryption": {
                "key_file": path("key"), "iterations": 1,
                "recipients": ["age1xmwwc06ly3ee5rytxm9mflaz2u56jjj36s0mypdrwsvlul66mv4q47ryef"],
                "keys": [path("identity")],
            },
            "state_dir": path("state"),
        });
        let identity = "AGE-SECRET-KEY-1EGTZVFFV20835NWYV6270LXYVK2VKNX2MMDKWYKLMGR48UAWX40Q2P2LM0\n";
        private(&path("identity"), identity);
        let document = Document::from_json(&text.to_string()).expect("a document");
        Site { dir, document }
    }

    fn run(&self, request: Value) -> Result<Value, Error> {
        let request: Request = serde_json::from_value(request).expect("a request");
        Job::start(self.document.clone(), request).and_then(Job::finish)?.into_value()
    }

    fn back_up(&self, profile: &str) -> PathBuf {
        let made =
            self.run(json!({"job": "backup", "what": "files", "profile": profile})).expect("backed up");
        self.dir.path().join("backups").join(made["file"].as_str().expect("a name"))
    }

    /// Whether it is called good.
    fn is_good(&self, file: &Path) -> bool {
        let name = file.file_name().expect("a name").to_str();
        match self.run(json!({"job": "verify", "id": name, "site": "all"})) {
            Ok(told) => told["exit_code"] == 0,
            Err(error) => {
                // What seems to be a later version's is not called damaged; what has another name is not found.
                assert!([Code::Integrity, Code::Partial, Code::NotFound].contains(&error.code()), "{error}");
                false
            }
        }
    }
}

fn private(path: &Path, text: &str) {
    let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path).expect("made");
    file.write_all(text.as_bytes()).expect("written");
}

/// The numbers below `count` that are tried.
fn drawn(count: usize, seed: usize) -> impl Iterator<Item = usize> {
    let step = if std::env::var("BAM_TEST_FLIPS").is_ok_and(|wanted| wanted == "all") { 1 } else { ONE_OF };
    (seed % step..count).step_by(step)
}

/// Tries all flips and cuts of `path`, and gives those after which `file` was still called good.
fn unnoticed(site: &Site, file: &Path, path: &Path, seed: usize) -> (usize, Vec<Vec<u8>>) {
    let whole = fs::read(path).expect("read");
    let sidecar = fs::read(sidecar_of(file)).expect("read");
    let (mut tried, mut found) = (0, Vec::new());
    let flips = drawn(whole.len() * 8, seed).map(|bit| {
        let mut bytes = whole.clone();
        if let Some(byte) = bytes.get_mut(bit / 8) {
            *byte ^= 1 << (bit % 8);
        }
        bytes
    });
    let cuts = drawn(whole.len(), seed).map(|length| whole.get(..length).unwrap_or_default().to_vec());
    for bytes in flips.chain(cuts) {
        fs::write(path, &bytes).expect("written");
        tried += 1;
        if site.is_good(file) {
            found.push(bytes);
            // It was noted there that it is.
            fs::write(sidecar_of(file), &sidecar).expect("written");
        }
    }
    fs::write(path, &whole).expect("written");
    assert!(site.is_good(file), "as it was");
    fs::write(sidecar_of(file), &sidecar).expect("written");
    (tried, found)
}

fn sidecar_of(file: &Path) -> PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push(".info");
    name.into()
}

/// What a sidecar says, by the lines that INI files have, with or without quotes; digits of digests are the same in both
/// cases.
fn said(text: &[u8]) -> BTreeMap<String, String> {
    let text = String::from_utf8_lossy(text);
    let field = |line: &str| {
        let (name, value) = line.split_once('=')?;
        let (name, value) = (name.trim().to_owned(), value.trim().trim_matches('"').to_owned());
        let is_digest = value.bytes().all(|byte| byte.is_ascii_hexdigit());
        let value = if is_digest { value.to_ascii_lowercase() } else { value };
        // A line whose name is none is a comment.
        let is_name = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
        (is_name && !UNPROVEN.contains(&name.as_str())).then_some((name, value))
    };
    text.lines().filter_map(field).collect()
}

#[test]
fn every_flip_and_every_cut_is_found() {
    let seed = std::process::id() as usize;
    let site = Site::new();
    for profile in ["plain", "packed", "secret", "public"] {
        let file = site.back_up(profile);
        let (tried, found) = unnoticed(&site, &file, &file, seed);
        assert!(
            found.is_empty(),
            "seed {seed}: {} of {tried} changes of {profile} were not noticed",
            found.len()
        );
        let sidecar = sidecar_of(&file);
        let before = said(&fs::read(&sidecar).expect("read"));
        let (told, passed) = unnoticed(&site, &file, &sidecar, seed);
        let meant: BTreeSet<String> = passed
            .iter()
            .filter(|text| said(text) != before)
            .map(|text| String::from_utf8_lossy(text).into_owned())
            .collect();
        assert!(
            meant.is_empty(),
            "seed {seed}: {profile}: {} sidecars say something else: {meant:#?}",
            meant.len()
        );
        println!(
            "{profile}: {tried} changes of the data, {told} of the sidecar, of which {} mean nothing",
            passed.len()
        );
        fs::remove_file(&file).expect("removed");
        fs::remove_file(&sidecar).expect("removed");
    }
}
