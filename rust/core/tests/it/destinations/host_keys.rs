//! A server with the wrong key gets nothing.

use super::configured;
use super::sshd::{Sshd, fingerprint, make_key};
use bam::config::document::Destination as Config;
use bam::destination::host_key;
use bam::{Code, Monitor};
use std::fs;
use std::process::Command;

fn config(settings: &serde_json::Value) -> Config {
    serde_json::from_value(settings.clone()).unwrap()
}

/// The server saw neither a user name nor a try to log in.
fn nothing_was_said(server: &Sshd) {
    let log = server.log();
    assert!(log.contains("Connection from"), "{log}");
    for word in ["Accepted", "Failed", "user", "authenticating", "publickey", "password"] {
        assert!(!log.contains(word), "{word} in {log}");
    }
}

#[test]
fn an_unknown_server_is_refused_with_the_line_to_add() {
    let Some(server) = Sshd::start("an_unknown_server_is_refused_with_the_line_to_add", "") else { return };
    let known = server.path("known_hosts");
    fs::remove_file(&known).unwrap();
    let settings = server.settings(server.port);
    let error = configured(settings.clone()).prepare(&Monitor::new()).unwrap_err();
    assert_eq!(error.code(), Code::Destination);
    let shown = fingerprint(&server.path("host_ed25519.pub"));
    assert!(error.message().contains(&shown), "{error}");
    nothing_was_said(&server);
    let hint = error.next_step().unwrap();
    let key = fs::read_to_string(server.path("host_ed25519.pub")).unwrap();
    let line = format!("[127.0.0.1]:{} {}", server.port, key.rsplit_once(' ').unwrap().0);
    assert!(hint.contains(&line) && hint.contains("trust there"), "{hint}");
    // What `trust` does.
    let offered = host_key("there", &config(&settings)).unwrap().unwrap();
    assert_eq!(
        (offered.fingerprint.as_str(), offered.known, offered.warning.as_ref()),
        (shown.as_str(), false, None)
    );
    fs::write(&known, "# no end of line").unwrap();
    offered.remember().unwrap();
    assert_eq!(fs::read_to_string(&known).unwrap(), format!("# no end of line\n{line}\n"));
    configured(settings.clone()).prepare(&Monitor::new()).unwrap();
    assert!(host_key("there", &config(&settings)).unwrap().unwrap().known);
}

#[test]
fn a_changed_key_is_refused_loudly() {
    let Some(server) = Sshd::start("a_changed_key_is_refused_loudly", "") else { return };
    make_key(&server.path("other"), "ed25519");
    let key = fs::read_to_string(server.path("other.pub")).unwrap();
    let known = format!("# comment\n[127.0.0.1]:{} {key}", server.port);
    fs::write(server.path("known_hosts"), &known).unwrap();
    let mut settings = server.settings(server.port);
    settings["password"] = "hunter2".into();
    let error = configured(settings.clone()).prepare(&Monitor::new()).unwrap_err();
    assert!(error.message().contains("HAS CHANGED") && error.message().contains("line 2"), "{error}");
    assert!(error.next_step().unwrap().contains("ssh-keygen -R"), "{error}");
    nothing_was_said(&server);
    let offered = host_key("there", &config(&settings)).unwrap().unwrap();
    assert!(offered.warning.is_some() && offered.remember().is_err());
    assert_eq!(fs::read_to_string(server.path("known_hosts")).unwrap(), known);
}

#[test]
fn a_revoked_key_is_refused() {
    let Some(server) = Sshd::start("a_revoked_key_is_refused", "") else { return };
    let known = fs::read_to_string(server.path("known_hosts")).unwrap();
    fs::write(server.path("known_hosts"), format!("{known}@revoked {known}")).unwrap();
    let error = configured(server.settings(server.port)).prepare(&Monitor::new()).unwrap_err();
    assert!(error.message().contains("revoked"), "{error}");
    nothing_was_said(&server);
}

#[test]
fn a_pinned_key_is_the_only_one() {
    let Some(server) = Sshd::start("a_pinned_key_is_the_only_one", "") else { return };
    fs::remove_file(server.path("known_hosts")).unwrap();
    let mut settings = server.settings(server.port);
    // Either of the server's keys; no file is needed.
    for key in ["host_ed25519.pub", "host_ecdsa.pub"] {
        settings["host_key"] = fingerprint(&server.path(key)).into();
        configured(settings.clone()).prepare(&Monitor::new()).unwrap();
    }
    let Some(stranger) = Sshd::start("a_pinned_key_is_the_only_one", "") else { return };
    settings["url"] = stranger.settings(stranger.port)["url"].clone();
    settings["password"] = "hunter2".into();
    let error = configured(settings).prepare(&Monitor::new()).unwrap_err();
    assert!(error.message().contains("IS NOT THE SERVER"), "{error}");
    nothing_was_said(&stranger);
}

#[test]
fn openssh_s_own_files_are_understood() {
    let Some(server) = Sshd::start("openssh_s_own_files_are_understood", "") else { return };
    let known = server.path("known_hosts");
    let key = fs::read_to_string(server.path("host_ed25519.pub")).unwrap();
    // Hashed by ssh-keygen.
    assert!(Command::new("ssh-keygen").arg("-Hf").arg(&known).output().unwrap().status.success());
    assert!(fs::read_to_string(&known).unwrap().starts_with("|1|"));
    configured(server.settings(server.port)).prepare(&Monitor::new()).unwrap();
    // Only a key of the other kind is known: that is the one to ask for.
    let ecdsa = fs::read_to_string(server.path("host_ecdsa.pub")).unwrap();
    fs::write(&known, format!("[127.0.0.1]:{} {ecdsa}", server.port)).unwrap();
    configured(server.settings(server.port)).prepare(&Monitor::new()).unwrap();
    for (hosts, fine) in [
        ("127.0.0.1".to_owned(), true),
        (format!("other,[127.0.0.?]:{}", server.port), true),
        ("*".to_owned(), true),
        (format!("*,![127.0.0.1]:{}", server.port), true),
        (format!("*,![127.0.0.1]:{},!127.0.0.1", server.port), false),
        ("[127.0.0.1]:1".to_owned(), false),
        (format!("@cert-authority [127.0.0.1]:{}", server.port), false),
    ] {
        fs::write(&known, format!("\nnonsense\n{hosts} {key}")).unwrap();
        let refused = configured(server.settings(server.port)).prepare(&Monitor::new()).err();
        assert_eq!(refused.is_none(), fine, "{hosts}: {refused:?}");
    }
}
