use super::suite::{self, bytes, files};
use super::{SmallDisk, configured};
use bam::destination::{Destination, Directory, Existing};
use bam::{Code, Monitor};
use std::fs;
use std::io::Write;
use std::os::unix::fs::{MetadataExt, PermissionsExt};

#[test]
fn a_folder_passes_the_suite() {
    let folder = tempfile::tempdir().unwrap();
    // Made by `prepare`, parents included.
    let path = folder.path().join("new/backups");
    suite::run(&Directory::new("there", &path), &path);
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o7777, 0o700);
}

#[test]
fn pushed_bytes_appear_at_once_and_whole() {
    let folder = tempfile::tempdir().unwrap();
    let to = Directory::new("there", folder.path());
    let sent = bytes(20 << 20);
    let mut upload = to.begin("a.tar", Existing::Keep).unwrap();
    upload.write_all(&sent).unwrap();
    assert!(to.list().unwrap().is_empty());
    assert_eq!(files(folder.path()), [".a.tar.lease", ".a.tar.part"].map(String::from).into());
    // Another run neither writes the same backup nor cleans it away.
    assert_eq!(to.begin("a.tar", Existing::Keep).err().unwrap().code(), Code::Locked);
    assert!(to.clean_parts(&|_| false).unwrap().is_empty());
    upload.commit("side").unwrap();
    assert!(suite::read(&to, "a.tar") == sent);
    let mut upload = to.begin("b.tar", Existing::Keep).unwrap();
    upload.write_all(&sent).unwrap();
    drop(upload);
    assert_eq!(files(folder.path()), ["a.tar", "a.tar.info"].map(String::from).into());
}

#[test]
fn settings_decide_on_permissions_and_group() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("backups");
    let gid = fs::metadata(folder.path()).unwrap().gid();
    let to = configured(
        serde_json::json!({ "type": "directory", "path": path, "chmod": "0640", "chgrp": gid.to_string() }),
    );
    to.prepare(&Monitor::new()).unwrap();
    to.follow("a.tar", Existing::Keep, &suite::whole(b"x"), &|| Ok("s".into()), &Monitor::new()).unwrap();
    for (file, mode) in [("", 0o750), ("a.tar", 0o640), ("a.tar.info", 0o640)] {
        let metadata = fs::metadata(path.join(file)).unwrap();
        assert_eq!((metadata.permissions().mode() & 0o7777, metadata.gid()), (mode, gid), "{file}");
    }
}

#[test]
fn a_symlink_in_the_way_is_not_followed() {
    let folder = tempfile::tempdir().unwrap();
    let victim = folder.path().join("victim");
    fs::write(&victim, "precious").unwrap();
    let path = folder.path().join("backups");
    fs::create_dir(&path).unwrap();
    let to = Directory::new("there", &path);
    for name in [".a.tar.part", ".a.tar.info.part", "a.tar.info"] {
        std::os::unix::fs::symlink(&victim, path.join(name)).unwrap();
    }
    let _ = to.follow("a.tar", Existing::Keep, &suite::whole(b"x"), &|| Ok("s".into()), &Monitor::new());
    assert_eq!(fs::read_to_string(&victim).unwrap(), "precious");
}

#[test]
fn a_full_disk_is_named_and_leaves_no_rubble() {
    let test = "a_full_disk_is_named_and_leaves_no_rubble";
    let Some(disk) = SmallDisk::mount(test, 4 << 20) else { return };
    let to = Directory::new("there", disk.path());
    to.follow("old.tar", Existing::Keep, &suite::whole(b"old"), &|| Ok("o".into()), &Monitor::new()).unwrap();
    let large = suite::whole(&bytes(8 << 20));
    let error =
        to.follow("new.tar", Existing::Keep, &large, &|| Ok("s".into()), &Monitor::new()).unwrap_err();
    assert_eq!(error.code(), Code::Space, "{error}");
    assert!(error.message().contains("new.tar") && error.next_step().is_some(), "{error}");
    assert_eq!(files(disk.path()), ["old.tar", "old.tar.info"].map(String::from).into());
}

#[test]
fn a_folder_that_cannot_be_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("file"), "").unwrap();
    let error = Directory::new("there", folder.path().join("file")).prepare(&Monitor::new()).unwrap_err();
    assert!(error.message().contains("file"), "{error}");
    let error = Directory::new("there", "/proc/none").prepare(&Monitor::new()).unwrap_err();
    assert!(error.message().contains("/proc/none"), "{error}");
}
