//! Ways in, and what is said when there is none.

use super::configured;
use super::sshd::{Sshd, free_port, make_key, user};
use bam::{Code, Monitor};
use std::fs;
use std::io::Write;
use std::process::{Command, Stdio};

/// A user with a password, for as long as a test runs.
struct Throwaway(String);

impl Throwaway {
    fn add(test: &str, password: &str) -> Option<Throwaway> {
        if user() != "root" {
            super::skip(test, "only root can add a user with a password");
            return None;
        }
        let name = format!("bamtest{}", free_port());
        let added = Command::new("useradd").args(["-M", "-d", "/", "-s", "/bin/sh", &name]).status();
        if !added.is_ok_and(|status| status.success()) {
            super::skip(test, "useradd does not work here");
            return None;
        }
        let user = Throwaway(name);
        let mut chpasswd = Command::new("chpasswd").stdin(Stdio::piped()).spawn().unwrap();
        writeln!(chpasswd.stdin.take().unwrap(), "{}:{password}", user.0).unwrap();
        assert!(chpasswd.wait().unwrap().success());
        Some(user)
    }
}

impl Drop for Throwaway {
    fn drop(&mut self) {
        let _ = Command::new("userdel").arg(&self.0).status();
    }
}

#[test]
fn passwords_come_from_url_settings_or_file() {
    let test = "passwords_come_from_url_settings_or_file";
    let Some(server) = Sshd::start(test, "PasswordAuthentication yes\nPubkeyAuthentication no") else {
        return;
    };
    let password = "p@ss/w:rd #1%";
    let Some(account) = Throwaway::add(test, password) else { return };
    let path = server.backups();
    let opened = Command::new("chmod").arg("a+rwx").arg(server.folder.path()).arg(&path).status();
    assert!(opened.unwrap().success());
    let host = format!("127.0.0.1:{}{}", server.port, path.display());
    let settings = |url: String, more: serde_json::Value| {
        let mut settings = serde_json::json!({
            "type": "sftp", "url": url, "known_hosts": server.path("known_hosts"),
        });
        settings.as_object_mut().unwrap().extend(more.as_object().cloned().unwrap());
        configured(settings)
    };
    // As Backup and Migrate writes it.
    let url = format!("sftp://{}:p%40ss%2Fw%3Ard%20%231%25@{host}", account.0);
    let to = settings(url, serde_json::json!({}));
    to.prepare(&Monitor::new()).unwrap();
    assert!(!to.describe().contains("p%40ss") && !to.describe().contains(password));
    let bare = format!("sftp://{}@{host}", account.0);
    settings(bare.clone(), serde_json::json!({ "password": password })).prepare(&Monitor::new()).unwrap();
    fs::write(server.path("secret"), format!("{password}\n")).unwrap();
    settings(bare.clone(), serde_json::json!({ "password_file": server.path("secret") }))
        .prepare(&Monitor::new())
        .unwrap();
    let error = settings(bare, serde_json::json!({ "password": "wrong horse" })).prepare(&Monitor::new());
    let error = error.unwrap_err();
    assert_eq!(error.code(), Code::Destination);
    assert!(error.message().contains("does not let") && error.message().contains("the password"), "{error}");
    assert!(!error.to_string().contains("wrong horse"));
}

#[test]
fn a_key_that_the_server_does_not_know_is_named() {
    let Some(server) = Sshd::start("a_key_that_the_server_does_not_know_is_named", "") else { return };
    make_key(&server.path("stranger"), "ed25519");
    let mut settings = server.settings(server.port);
    settings["identity_file"] = server.path("stranger").display().to_string().into();
    let error = configured(settings.clone()).prepare(&Monitor::new()).unwrap_err();
    assert!(error.message().contains("stranger") && error.next_step().is_some(), "{error}");
    settings["identity_file"] = "/no/such/key".into();
    let error = configured(settings).prepare(&Monitor::new()).unwrap_err();
    assert_eq!(error.code(), Code::Config);
    assert!(error.message().contains("/no/such/key"), "{error}");
}

#[test]
fn every_usual_kind_of_key_file_opens_the_door() {
    let Some(server) = Sshd::start("every_usual_kind_of_key_file_opens_the_door", "") else { return };
    for (name, arguments) in [
        ("rsa", &["-t", "rsa", "-b", "3072"][..]),
        ("rsa_pem", &["-t", "rsa", "-b", "2048", "-m", "PEM"]),
        ("ecdsa", &["-t", "ecdsa"]),
        ("ed25519", &["-t", "ed25519"]),
    ] {
        let path = server.path(name);
        let made =
            Command::new("ssh-keygen").args(["-q", "-N", ""]).args(arguments).arg("-f").arg(&path).status();
        assert!(made.unwrap().success());
        fs::copy(path.with_extension("pub"), server.path("authorized_keys")).unwrap();
        // Only the private half is needed.
        fs::remove_file(path.with_extension("pub")).unwrap();
        let mut settings = server.settings(server.port);
        settings["identity_file"] = path.display().to_string().into();
        configured(settings).prepare(&Monitor::new()).unwrap_or_else(|error| panic!("{name}: {error}"));
    }
}

#[test]
fn an_unreachable_port_and_a_stranger_s_protocol_are_told_apart() {
    let mut settings = serde_json::json!({ "type": "sftp", "timeout": 2 });
    settings["url"] = format!("sftp://u:hunter2@127.0.0.1:{}/x", free_port()).into();
    let error = configured(settings.clone()).prepare(&Monitor::new()).unwrap_err();
    assert_eq!(error.code(), Code::Destination);
    assert!(error.message().contains("cannot reach") && error.message().contains("refused"), "{error}");
    assert!(!error.to_string().contains("hunter2"));
    // A server that says nothing.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    settings["url"] = format!("sftp://u@127.0.0.1:{}/x", silent.local_addr().unwrap().port()).into();
    let error = configured(settings).prepare(&Monitor::new()).unwrap_err();
    assert!(error.message().contains("no answer for 2 seconds"), "{error}");
}
