//! What every kind of destination must do. `raw` is the folder behind it, looked into directly.

use bam::destination::{Destination, Existing, Follow, Spool};
use bam::{Code, Monitor};
use std::collections::BTreeSet;
use std::fs;
use std::io::{Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::thread;

/// Bytes that look random and are the same each time.
pub fn bytes(length: usize) -> Vec<u8> {
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let mut bytes = Vec::with_capacity(length + 8);
    while bytes.len() < length {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&state.to_le_bytes());
    }
    bytes.truncate(length);
    bytes
}

/// A finished local file with these bytes.
pub fn whole(bytes: &[u8]) -> Follow {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(bytes).unwrap();
    Follow::finished(file).unwrap()
}

pub fn files(raw: &Path) -> BTreeSet<String> {
    let entries = fs::read_dir(raw).unwrap();
    entries.map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned()).collect()
}

/// What a run leaves beside its part that was killed on another machine, long ago.
pub fn abandoned(raw: &Path, names: &[&str]) {
    for name in names {
        fs::write(raw.join(format!(".{name}.lease")), "bam-lease 1\nhost = elsewhere\nboot = b\n").unwrap();
        for file in [format!(".{name}.lease"), format!(".{name}.part")] {
            age(&raw.join(file), 25);
        }
    }
}

/// Makes a file look as if it was last changed so many hours ago.
pub fn age(file: &Path, hours: u64) {
    let then = std::time::SystemTime::now() - std::time::Duration::from_secs(hours * 3600);
    if let Ok(file) = fs::File::options().write(true).open(file) {
        file.set_modified(then).unwrap();
    }
}

fn put(to: &dyn Destination, name: &str, existing: Existing, bytes: &[u8], sidecar: &str) -> bam::Result<()> {
    to.follow(name, existing, &whole(bytes), &|| Ok(sidecar.into()), &Monitor::new())
}

pub fn read(from: &dyn Destination, name: &str) -> Vec<u8> {
    let mut all = Vec::new();
    from.open(name).unwrap().read_to_end(&mut all).unwrap();
    all
}

/// Runs everything. The folder must be empty, or not there yet.
pub fn run(to: &dyn Destination, raw: &Path) {
    to.prepare(&Monitor::new()).unwrap();
    assert!(to.free_space().unwrap().unwrap() > 0);
    appears_whole(to, raw, true);
    run_rest(to, raw, "a b;c&d|e*?[x]", Steps::Several);
    foreign_files_stay(to, raw);
    assert!(to.list().unwrap().is_empty(), "{:?}", to.list());
}

/// The same for a place that knows no permissions, hashes nothing, and does not tell how much room there is; what others
/// put there is its own business.
pub fn run_plain(to: &dyn Destination, raw: &Path) {
    to.prepare(&Monitor::new()).unwrap();
    assert_eq!(to.free_space().unwrap(), None);
    appears_whole(to, raw, false);
    // wsgidav, told to move to a name with ; or ? in it, cuts that off.
    run_rest(to, raw, "a b,c&d|e*[x]", Steps::One);
}

/// In how many steps a place replaces a sidecar, and data.
#[derive(Clone, Copy, PartialEq)]
enum Steps {
    One,
    Several,
}

fn run_rest(to: &dyn Destination, raw: &Path, special: &str, steps: Steps) {
    a_growing_file_is_followed(to);
    names_are_kept_apart(to, raw, special);
    one_replaces_another(to, raw);
    sidecars_change(to, raw);
    failures_leave_nothing(to, raw);
    another_run_is_left_alone(to, raw);
    leftovers_are_cleaned(to, raw, steps);
    cut_off_removals_and_replacements_are_finished(to, raw, steps);
    assert!(to.list().unwrap().is_empty(), "{:?}", to.list());
}

fn appears_whole(to: &dyn Destination, raw: &Path, posix: bool) {
    assert!(to.list().unwrap().is_empty() && files(raw).is_empty());
    for length in [0, 1, 100_000, 9 << 20] {
        let sent = bytes(length);
        put(to, "a.tar.gz", Existing::Keep, &sent, "k = \"v\"\n").unwrap();
        assert!(fs::read(raw.join("a.tar.gz")).unwrap() == sent);
        let listed = to.list().unwrap();
        assert_eq!((listed.len(), listed[0].name.as_str(), listed[0].size), (1, "a.tar.gz", length as u64));
        assert_eq!(listed[0].sidecar.as_deref(), Some("k = \"v\"\n"));
        let stat = to.stat("a.tar.gz").unwrap().unwrap();
        assert_eq!((stat.size, stat.mtime), (listed[0].size, listed[0].mtime));
        assert!(stat.mtime > 1_700_000_000);
        assert!(read(to, "a.tar.gz") == sent);
        let digest: [u8; 32] = <sha2::Sha256 as sha2::Digest>::digest(&sent).into();
        assert_eq!(to.sha256("a.tar.gz", &Monitor::new()).unwrap(), posix.then_some(digest));
        for file in ["a.tar.gz", "a.tar.gz.info"].into_iter().filter(|_| posix) {
            assert_eq!(fs::metadata(raw.join(file)).unwrap().permissions().mode() & 0o7777, 0o600, "{file}");
        }
        to.remove("a.tar.gz").unwrap();
        assert!(to.list().unwrap().is_empty() && files(raw).is_empty(), "{:?}", files(raw));
    }
}

fn a_growing_file_is_followed(to: &dyn Destination) {
    let sent = bytes(5_000_001);
    let (mut spool, follow) = Spool::create(&std::env::temp_dir()).unwrap();
    thread::scope(|scope| {
        let upload = scope.spawn(|| {
            // Asked for only when all bytes are there.
            let sidecar = || {
                assert!(follow.is_finished());
                Ok("late".into())
            };
            to.follow("growing.tar", Existing::Keep, &follow, &sidecar, &Monitor::new())
        });
        for piece in sent.chunks(70_001) {
            spool.write_all(piece).unwrap();
            assert!(to.stat("growing.tar").unwrap().is_none());
        }
        spool.finish();
        upload.join().unwrap().unwrap();
    });
    assert!(read(to, "growing.tar") == sent);
    to.remove("growing.tar").unwrap();
}

fn names_are_kept_apart(to: &dyn Destination, raw: &Path, special: &str) {
    let odd = ["-n", "it's $HOME `id`", "ünïcødé 🦀.tar", special, "back\\slash\"", "x.part", "~", "#x"];
    for name in odd {
        put(to, name, Existing::Keep, name.as_bytes(), name).unwrap();
    }
    let listed: BTreeSet<_> = to.list().unwrap().into_iter().map(|l| (l.name, l.sidecar)).collect();
    assert_eq!(listed, odd.iter().map(|name| (name.to_string(), Some(name.to_string()))).collect());
    for name in odd {
        assert_eq!(read(to, name), name.as_bytes());
        to.remove(name).unwrap();
    }
    for bad in ["", ".", "..", "../up", "a/b", ".hidden", "x.info", "a\0b", "two\nlines"] {
        assert_eq!(put(to, bad, Existing::Keep, b"x", "").unwrap_err().code(), Code::Usage, "{bad:?}");
        assert_eq!(to.remove(bad).unwrap_err().code(), Code::Usage, "{bad:?}");
        assert_eq!(to.open(bad).err().unwrap().code(), Code::Usage, "{bad:?}");
    }
    for missing in [to.remove("no").err(), to.open("no").err(), to.write_sidecar("no", "").err()] {
        assert_eq!(missing.unwrap().code(), Code::NotFound);
    }
    assert_eq!(to.sha256("no", &Monitor::new()).unwrap_err().code(), Code::NotFound);
    assert!(to.stat("no").unwrap().is_none() && to.sidecar("no").unwrap().is_none());
    assert!(files(raw).is_empty(), "{:?}", files(raw));
}

fn one_replaces_another(to: &dyn Destination, raw: &Path) {
    put(to, "r.tar", Existing::Keep, b"first", "1").unwrap();
    let error = put(to, "r.tar", Existing::Keep, b"second", "2").unwrap_err();
    assert!(error.message().contains("r.tar") && error.next_step().is_some(), "{error}");
    assert_eq!((read(to, "r.tar"), to.sidecar("r.tar").unwrap()), (b"first".to_vec(), Some("1".into())));
    put(to, "r.tar", Existing::Replace, b"third", "3").unwrap();
    assert_eq!((read(to, "r.tar"), to.sidecar("r.tar").unwrap()), (b"third".to_vec(), Some("3".into())));
    assert_eq!(files(raw), ["r.tar", "r.tar.info"].map(String::from).into());
    // One that fails changes nothing.
    let (spool, follow) = Spool::create(&std::env::temp_dir()).unwrap();
    drop(spool);
    let fourth = to.follow("r.tar", Existing::Replace, &follow, &|| Ok("4".into()), &Monitor::new());
    assert_eq!(fourth.unwrap_err().code(), Code::Cancelled);
    assert_eq!((read(to, "r.tar"), to.sidecar("r.tar").unwrap()), (b"third".to_vec(), Some("3".into())));
    assert_eq!(files(raw), ["r.tar", "r.tar.info"].map(String::from).into());
    to.remove("r.tar").unwrap();
}

fn sidecars_change(to: &dyn Destination, raw: &Path) {
    put(to, "s.tar", Existing::Keep, b"data", "old").unwrap();
    to.write_sidecar("s.tar", "new").unwrap();
    assert_eq!(to.sidecar("s.tar").unwrap().as_deref(), Some("new"));
    assert_eq!(files(raw), ["s.tar", "s.tar.info"].map(String::from).into());
    to.remove("s.tar").unwrap();
}

fn failures_leave_nothing(to: &dyn Destination, raw: &Path) {
    // The backup itself fails after some bytes.
    let (mut spool, follow) = Spool::create(&std::env::temp_dir()).unwrap();
    spool.write_all(&bytes(300_000)).unwrap();
    drop(spool);
    let failed = to.follow("f.tar", Existing::Keep, &follow, &|| Ok(String::new()), &Monitor::new());
    assert_eq!(failed.unwrap_err().code(), Code::Cancelled);
    assert!(files(raw).is_empty(), "{:?}", files(raw));
    // There is no sidecar.
    let refuse = || Err(bam::Error::new(Code::Integrity, "no sidecar"));
    let failed = to.follow("f.tar", Existing::Keep, &whole(b"x"), &refuse, &Monitor::new());
    assert_eq!(failed.unwrap_err().code(), Code::Integrity);
    assert!(files(raw).is_empty(), "{:?}", files(raw));
    // Cancelled while it waits for more.
    let (mut spool, follow) = Spool::create(&std::env::temp_dir()).unwrap();
    spool.write_all(&bytes(300_000)).unwrap();
    let monitor = Monitor::new();
    thread::scope(|scope| {
        let upload =
            scope.spawn(|| to.follow("f.tar", Existing::Keep, &follow, &|| Ok(String::new()), &monitor));
        monitor.cancel();
        assert_eq!(upload.join().unwrap().unwrap_err().code(), Code::Cancelled);
    });
    assert!(files(raw).is_empty(), "{:?}", files(raw));
}

fn foreign_files_stay(to: &dyn Destination, raw: &Path) {
    fs::write(raw.join("foreign.tar"), "x").unwrap();
    fs::write(raw.join("lonely.tar.info"), "x").unwrap();
    // Hidden ones, too, in whatever way their names are like ours; beside one a file that could be its sidecar.
    for hidden in [".htaccess", ".notes.part", ".bashrc.old", ".x.lease", ".a.info.new", ".b.info.part"] {
        fs::write(raw.join(hidden), "x").unwrap();
    }
    fs::write(raw.join("notes.info"), "x").unwrap();
    for part in [".site.tar.gz.part", ".site.tar.gz.old", ".foreign.tar.part", ".foreign.tar.info.new"] {
        fs::write(raw.join(part), "x").unwrap();
        age(&raw.join(part), 1000);
    }
    fs::write(raw.join(std::ffi::OsStr::from_bytes(b"\xff.tar")), "x").unwrap();
    fs::create_dir(raw.join("folder")).unwrap();
    std::os::unix::fs::symlink("foreign.tar", raw.join("link.tar")).unwrap();
    let listed = to.list().unwrap();
    assert_eq!(listed.iter().map(|l| l.name.as_str()).collect::<Vec<_>>(), ["foreign.tar"]);
    assert_eq!(listed[0].sidecar, None);
    let before = files(raw);
    assert!(to.clean_parts(&|_| false).unwrap().is_empty());
    assert_eq!(files(raw), before);
    // Neither does an upload of that name, nor a removal, take what it finds for its own.
    for refused in [put(to, "site.tar.gz", Existing::Keep, b"x", "s"), to.remove("foreign.tar")] {
        let error = refused.unwrap_err();
        assert!(error.message().contains("is in the way") && error.next_step().is_some(), "{error}");
    }
    assert_eq!(files(raw), before);
    fs::remove_dir(raw.join("folder")).unwrap();
    for file in fs::read_dir(raw).unwrap() {
        fs::remove_file(file.unwrap().path()).unwrap();
    }
}

/// Of another machine, container or user, whose process we do not see.
fn another_run_is_left_alone(to: &dyn Destination, raw: &Path) {
    put(to, "there.tar", Existing::Keep, b"there", "t").unwrap();
    for name in ["a.tar", "there.tar"] {
        fs::write(raw.join(format!(".{name}.part")), "of another run").unwrap();
        fs::write(raw.join(format!(".{name}.lease")), "bam-lease 1\nhost = elsewhere\nprocess = 7\n")
            .unwrap();
        // It was begun long ago, and something came just now.
        age(&raw.join(format!(".{name}.lease")), 1000);
    }
    let before = files(raw);
    assert!(to.clean_parts(&|_| false).unwrap().is_empty());
    for refused in [put(to, "a.tar", Existing::Keep, b"x", "s"), to.remove("there.tar")] {
        let error = refused.unwrap_err();
        assert_eq!(error.code(), Code::Locked, "{error}");
        assert!(error.message().contains("process 7 on elsewhere"), "{error}");
    }
    assert_eq!(files(raw), before);
    abandoned(raw, &["a.tar", "there.tar"]);
    assert_eq!(to.clean_parts(&|_| false).unwrap(), ["a.tar", "there.tar"]);
    to.remove("there.tar").unwrap();
    assert!(files(raw).is_empty(), "{:?}", files(raw));
}

fn leftovers_are_cleaned(to: &dyn Destination, raw: &Path, steps: Steps) {
    put(to, "whole.tar", Existing::Keep, b"whole", "w").unwrap();
    // Killed: while bytes came, when the sidecar was in place, before the first byte, while a sidecar was changed.
    for left in [".a.tar.part", ".b.tar.part", "b.tar.info", ".keep.tar.part"] {
        fs::write(raw.join(left), "x").unwrap();
    }
    let mut left = vec!["a.tar", "b.tar", "c.tar"];
    if steps == Steps::Several {
        fs::write(raw.join(".whole.tar.info.new"), "bam_id = \"1\"\nbam_format = \"1\"\n").unwrap();
        left.push("whole.tar");
    }
    abandoned(raw, &["a.tar", "b.tar", "c.tar", "keep.tar"]);
    let shown: Vec<_> = to.list().unwrap().into_iter().map(|l| l.name).collect();
    assert_eq!(shown, ["whole.tar"]);
    let cleaned = to.clean_parts(&|name| name == "keep.tar").unwrap();
    assert_eq!(cleaned, left);
    let kept = [".keep.tar.lease", ".keep.tar.part", "whole.tar", "whole.tar.info"];
    assert_eq!(files(raw), kept.map(String::from).into());
    assert_eq!(to.sidecar("whole.tar").unwrap().as_deref(), Some("w"));
    to.clean_parts(&|_| false).unwrap();
    to.remove("whole.tar").unwrap();
    assert!(files(raw).is_empty());
}

fn cut_off_removals_and_replacements_are_finished(to: &dyn Destination, raw: &Path, steps: Steps) {
    // A removal, killed after its first step.
    put(to, "gone.tar", Existing::Keep, b"gone", "g").unwrap();
    fs::rename(raw.join("gone.tar"), raw.join(".gone.tar.part")).unwrap();
    abandoned(raw, &["gone.tar"]);
    assert!(to.list().unwrap().is_empty());
    to.clean_parts(&|_| false).unwrap();
    assert!(files(raw).is_empty(), "{:?}", files(raw));
    // A replacement: the new one is whole.
    put(to, "new.tar", Existing::Keep, b"old", "o").unwrap();
    fs::write(raw.join(".new.tar.info.part"), "n").unwrap();
    if steps == Steps::One {
        fs::write(raw.join("new.tar"), "new").unwrap();
    } else if to.pushes() {
        fs::write(raw.join("new.tar"), "new").unwrap();
        assert_eq!(to.sidecar("new.tar").unwrap().as_deref(), Some("n"));
        assert_eq!(to.list().unwrap()[0].sidecar.as_deref(), Some("n"));
    } else {
        fs::rename(raw.join("new.tar"), raw.join(".new.tar.old")).unwrap();
        fs::write(raw.join(".new.tar.part"), "new").unwrap();
    }
    abandoned(raw, &["new.tar"]);
    to.clean_parts(&|_| false).unwrap();
    assert_eq!((read(to, "new.tar"), to.sidecar("new.tar").unwrap()), (b"new".to_vec(), Some("n".into())));
    assert_eq!(files(raw), ["new.tar", "new.tar.info"].map(String::from).into());
    to.remove("new.tar").unwrap();
}
