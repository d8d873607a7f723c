use super::sshd::Sshd;
use super::suite::{self, bytes, files, whole};
use super::{SmallDisk, configured};
use bam::destination::Existing;
use bam::{Code, Monitor};
use std::fs;
use std::os::unix::fs::PermissionsExt;

#[test]
fn sftp_passes_the_suite() {
    let Some(server) = Sshd::start("sftp_passes_the_suite", "") else { return };
    let mut settings = server.settings(server.port);
    let path = server.backups().join("new/folder");
    settings["url"] = format!("{}/new/folder", settings["url"].as_str().unwrap()).into();
    suite::run(&*configured(settings), &path);
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o7777, 0o700);
}

#[test]
fn an_account_that_may_only_use_sftp_will_do() {
    let test = "an_account_that_may_only_use_sftp_will_do";
    let Some(server) = Sshd::start(test, "ForceCommand internal-sftp") else { return };
    let to = configured(server.settings(server.port));
    let sent = bytes(3 << 20);
    to.follow("a.tar", Existing::Keep, &whole(&sent), &|| Ok("s".into()), &Monitor::new()).unwrap();
    assert!(suite::read(&*to, "a.tar") == sent);
    assert_eq!(to.sha256("a.tar", &Monitor::new()).unwrap(), None);
}

#[test]
fn settings_decide_on_permissions() {
    let Some(server) = Sshd::start("settings_decide_on_permissions", "") else { return };
    let mut settings = server.settings(server.port);
    settings["chmod"] = "0640".into();
    let to = configured(settings);
    to.follow("a.tar", Existing::Keep, &whole(b"x"), &|| Ok("s".into()), &Monitor::new()).unwrap();
    for file in ["a.tar", "a.tar.info"] {
        assert_eq!(fs::metadata(server.backups().join(file)).unwrap().permissions().mode() & 0o7777, 0o640);
    }
}

#[test]
fn a_full_server_is_named_and_left_clean() {
    let test = "a_full_server_is_named_and_left_clean";
    let Some(server) = Sshd::start(test, "") else { return };
    let Some(disk) = SmallDisk::mount(test, 4 << 20) else { return };
    let mut settings = server.settings(server.port);
    let url = settings["url"].as_str().unwrap().replace(&server.backups().display().to_string(), "");
    settings["url"] = format!("{url}{}", disk.path().display()).into();
    let to = configured(settings);
    let sent = bytes(8 << 20);
    // Known before the first byte.
    let error = to.follow("a.tar", Existing::Keep, &whole(&sent), &|| Ok("s".into()), &Monitor::new());
    let error = error.unwrap_err();
    assert_eq!(error.code(), Code::Space, "{error}");
    assert!(error.message().contains("8388608"), "{error}");
    // Found in the middle: how much will come is not known at the start.
    let (mut spool, follow) = bam::destination::Spool::create(&std::env::temp_dir()).unwrap();
    std::io::Write::write_all(&mut spool, &sent).unwrap();
    let error = to.follow("a.tar", Existing::Keep, &follow, &|| Ok("s".into()), &Monitor::new()).unwrap_err();
    assert_eq!(error.code(), Code::Space, "{error}");
    assert!(error.next_step().is_some(), "{error}");
    assert!(files(disk.path()).is_empty(), "{:?}", files(disk.path()));
}

#[test]
fn a_folder_that_may_not_be_written_is_refused() {
    let Some(server) = Sshd::start("a_folder_that_may_not_be_written_is_refused", "") else { return };
    let mut settings = server.settings(server.port);
    settings["url"] = settings["url"].as_str().unwrap().replace("/backups", "/log").into();
    let error = configured(settings.clone()).prepare(&Monitor::new()).unwrap_err();
    assert!(error.message().contains("not a folder"), "{error}");
    let server = settings["url"].as_str().unwrap().rsplit_once("/tmp").unwrap().0.to_owned();
    settings["url"] = format!("{server}/proc/none").into();
    let error = configured(settings).prepare(&Monitor::new()).unwrap_err();
    assert!(error.message().contains("/proc/none"), "{error}");
}
