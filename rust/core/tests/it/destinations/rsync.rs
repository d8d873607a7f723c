//! The rsync program, against a real server.

use super::configured;
use super::sshd::{Fate, Line, Sshd, fingerprint, make_key};
use super::suite::{self, bytes, files, whole};
use bam::config::document::Destination as Config;
use bam::destination::{Destination, Existing, Patience, Rsync};
use bam::{Code, Monitor};
use std::fs;
use std::process::Command;
use std::thread;
use std::time::Duration;

fn start(test: &str) -> Option<Sshd> {
    if Command::new("rsync").arg("--version").output().is_err() {
        super::skip(test, "rsync is not installed");
        return None;
    }
    Sshd::start(test, "")
}

fn settings(server: &Sshd, port: u16) -> serde_json::Value {
    let mut settings = server.settings(port);
    settings["type"] = "rsync".into();
    settings
}

fn impatient(settings: serde_json::Value) -> Rsync {
    let config: Config = serde_json::from_value(settings).unwrap();
    // Connections are counted: on a busy machine a line is easily silent for some seconds, and that must not end one.
    let patience = Patience {
        timeout: Duration::from_secs(60),
        looking: Duration::from_secs(60),
        first_delay: Duration::from_millis(20),
        tries: 3,
        ..Patience::default()
    };
    Rsync::from_config("there", &config).unwrap().with_patience(patience)
}

#[test]
fn rsync_passes_the_suite() {
    let Some(server) = start("rsync_passes_the_suite") else { return };
    let mut settings = settings(&server, server.port);
    // A name that shells and rsync like to take apart.
    let path = server.backups().join("new $folder/it's [a] *");
    let url = settings["url"].as_str().unwrap().to_owned();
    settings["url"] = format!("{url}/new%20$folder/it's%20%5Ba%5D%20*").into();
    suite::run(&*configured(settings), &path);
}

#[test]
fn rsync_resumes_after_a_cut() {
    let Some(server) = start("rsync_resumes_after_a_cut") else { return };
    let sent = bytes(24 << 20);
    // One looks whether the name is free; then each attempt has a connection for SFTP and one for rsync.
    let cuts = [1 << 20, 1 << 20, 14 << 20, 2 << 20].map(Fate::Cut);
    let line = Line::to(server.port, &cuts);
    server.know(line.port);
    let to = impatient(settings(&server, line.port));
    to.follow("a.tar", Existing::Keep, &whole(&sent), &|| Ok("s".into()), &Monitor::new()).unwrap();
    assert!(fs::read(server.backups().join("a.tar")).unwrap() == sent);
    assert_eq!(files(&server.backups()), ["a.tar", "a.tar.info"].map(String::from).into());
    assert_eq!(line.connections(), 5);
}

#[test]
fn a_cancelled_rsync_ends_at_once() {
    let Some(server) = start("a_cancelled_rsync_ends_at_once") else { return };
    // The rsync connection stalls for good.
    let line = Line::to(server.port, &[Fate::Cut(1 << 20), Fate::Stall(5 << 20)]);
    server.know(line.port);
    let mut settings = settings(&server, line.port);
    settings["timeout"] = 3600.into();
    let to = configured(settings);
    let (sent, monitor) = (bytes(12 << 20), Monitor::new());
    let part = server.backups().join(".a.tar.part");
    thread::scope(|scope| {
        let upload =
            scope.spawn(|| to.follow("a.tar", Existing::Keep, &whole(&sent), &|| Ok("s".into()), &monitor));
        while fs::metadata(&part).map_or(0, |part| part.len()) < 2 << 20 {
            assert!(!upload.is_finished());
            thread::sleep(Duration::from_millis(5));
        }
        monitor.cancel();
        assert_eq!(upload.join().unwrap().unwrap_err().code(), Code::Cancelled);
    });
    // The backup is whole here: what is there can be resumed.
    assert_eq!(files(&server.backups()), [".a.tar.lease", ".a.tar.part"].map(String::from).into());
}

#[test]
fn rsync_takes_the_pinned_key_and_no_other() {
    let Some(server) = start("rsync_takes_the_pinned_key_and_no_other") else { return };
    fs::remove_file(server.path("known_hosts")).unwrap();
    let mut settings = settings(&server, server.port);
    for key in ["host_ed25519.pub", "host_ecdsa.pub"] {
        settings["host_key"] = fingerprint(&server.path(key)).into();
        let to = configured(settings.clone());
        to.follow("a.tar", Existing::Replace, &whole(b"x"), &|| Ok("s".into()), &Monitor::new()).unwrap();
    }
    make_key(&server.path("other"), "ed25519");
    settings["host_key"] = fingerprint(&server.path("other.pub")).into();
    let to = configured(settings);
    let error = to.follow("b.tar", Existing::Keep, &whole(b"x"), &|| Ok("s".into()), &Monitor::new());
    assert!(error.unwrap_err().message().contains("IS NOT THE SERVER"));
}

#[test]
fn rsync_cannot_use_passwords() {
    let config = serde_json::json!({ "type": "rsync", "url": "u@h:/x", "password": "hunter2" });
    let config: Config = serde_json::from_value(config).unwrap();
    let error = Rsync::from_config("there", &config).err().unwrap();
    assert_eq!(error.code(), Code::Config);
    assert!(!error.to_string().contains("hunter2"));
}
