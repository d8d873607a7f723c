//! Trees made at random: into an archive and back, through our hands and GNU tar's.

use super::*;
use crate::source::files::FileTree;
use crate::source::testing::{assert_same, random_tree};
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::process::Command;

fn archived(base: &Path) -> Vec<u8> {
    archived_by(base, None)
}

fn archived_by(base: &Path, threads: Option<usize>) -> Vec<u8> {
    let mut writer = Writer::new(Vec::new());
    let tree = FileTree { base: base.into(), threads, ..FileTree::default() };
    tree.walk(&Monitor::new(), &mut |entry, body| writer.append(entry, body).map(drop)).unwrap();
    writer.finish().unwrap()
}

#[test]
fn random_trees_come_back_whole() {
    for seed in 1..=3 {
        let temp = tempfile::tempdir().unwrap();
        let made: Vec<_> =
            ["source", "by-us", "by-tar", "from-tar"].map(|name| temp.path().join(name)).into();
        made.iter().for_each(|folder| fs::create_dir(folder).unwrap());
        let [source, by_us, by_tar, from_tar] = made.try_into().unwrap();
        random_tree(&source, seed);
        let ours = archived(&source);
        for threads in [0, 1, 20] {
            assert_eq!(archived_by(&source, Some(threads)), ours, "the same tree is the same archive");
        }

        extract(&ours, &by_us).unwrap();
        assert_same(&source, &by_us);

        let path = temp.path().join("ours.tar");
        fs::write(&path, &ours).unwrap();
        run(Command::new("tar")
            .args(["--delay-directory-restore", "-xpf"])
            .arg(&path)
            .arg("-C")
            .arg(&by_tar));
        assert_same(&source, &by_tar);

        let theirs = run(Command::new("tar").args(["-S", "-cf", "-", "."]).current_dir(&source));
        extract(&theirs, &from_tar).unwrap();
        assert_same(&source, &from_tar);
    }
}

#[test]
fn paths_longer_than_any_system_call_takes() {
    // PATH_MAX is 4096 bytes; trees may be deeper, and 1500 levels are more than there are descriptors.
    let temp = tempfile::tempdir().unwrap();
    let (source, target) = (temp.path().join("source"), temp.path().join("target"));
    fs::create_dir(&source).unwrap();
    fs::create_dir(&target).unwrap();
    let deep = vec![b"folder".to_vec(); 1500].join(&b'/');
    let root = fs::File::open(&source).unwrap();
    let inner = beneath::make_dir_all(std::os::fd::AsFd::as_fd(&root), &deep, |_| {}).unwrap();
    for name in ["a", "z"] {
        let flags = rustix::fs::OFlags::CREATE | rustix::fs::OFlags::WRONLY;
        let file = rustix::fs::openat(&inner, name, flags, rustix::fs::Mode::RUSR).unwrap();
        rustix::io::write(&file, name.as_bytes()).unwrap();
    }
    fs::write(source.join("zz"), "after the depths").unwrap();
    let ours = archived(&source);
    extract(&ours, &target).unwrap();
    assert_eq!(archived(&target), ours);
    assert_eq!(fs::read(target.join("zz")).unwrap(), b"after the depths");
}

#[test]
fn names_of_what_is_not_extracted_get_its_content_by_a_second_pass() {
    let link = |path: &str, target: &str| bare(path, EntryKind::Hardlink(target.into()));
    let tar = archive(&[
        bare("files", EntryKind::Directory),
        link("files/early", "code/late"),
        file("code/one", "content"),
        bare("code/way", EntryKind::Symlink(b"one".to_vec())),
        link("files/one", "code/one"),
        link("files/two", "code/one"),
        link("files/way", "code/way"),
        link("files/way too", "code/way"),
        link("files/taken", "code/one"),
        link("files/lost", "code/nowhere"),
        file("files/taken", "the newest"),
        file("code/late", "late"),
    ]);
    let target = tempfile::tempdir().unwrap();
    let monitor = Monitor::new();
    let select = |path: &[u8]| path.starts_with(b"files").then(|| Place { root: 0, path: path.to_vec() });
    let mut extractor =
        Extractor::new(&[target.path()], ExtractOptions::default(), &monitor, select).unwrap();
    let mut reader = Reader::new(tar.as_slice());
    while let Some(member) = reader.next_member().unwrap() {
        extractor.take(&member, &mut reader).unwrap();
    }
    assert!(extractor.waits().unwrap());
    for (path, waits) in [("code/one", true), ("code/late", true), ("files/one", false), ("code", false)] {
        assert_eq!(extractor.waits_for(path.as_bytes()).unwrap(), waits, "{path}");
    }
    extractor.complete(&mut Reader::new(tar.as_slice())).unwrap();
    let report = extractor.finish().unwrap();
    assert_eq!((report.files, report.symlinks, report.missing), (4, 2, 1));
    assert_eq!(report.waiting, [b"files/lost"]);
    let at = |name: &str| target.path().join("files").join(name);
    for (name, text) in [("early", "late"), ("one", "content"), ("taken", "the newest")] {
        assert_eq!(fs::read_to_string(at(name)).unwrap(), text);
    }
    assert_eq!(fs::metadata(at("one")).unwrap().ino(), fs::metadata(at("two")).unwrap().ino());
    assert_eq!(fs::read_link(at("way")).unwrap(), fs::read_link(at("way too")).unwrap());
    assert!(!at("lost").exists());
    let told = fs::metadata(at("")).unwrap().mtime();
    assert_eq!(told, bare("files", EntryKind::Directory).0.mtime, "it has its time");
}

#[test]
fn several_roots_and_parts_alone() {
    let temp = tempfile::tempdir().unwrap();
    let roots: Vec<_> = ["code", "files"].map(|name| temp.path().join(name)).into();
    roots.iter().for_each(|folder| fs::create_dir(folder).unwrap());
    let tar = archive(&[
        bare("docroot", EntryKind::Directory),
        file("docroot/index.php", "code"),
        file("docroot/sites/default/files/a", "shared"),
        bare("docroot/b", EntryKind::Hardlink(b"docroot/sites/default/files/a".to_vec())),
        file("database.sql", "not a file of ours"),
    ]);
    let monitor = Monitor::new();
    let select = |path: &[u8]| {
        let path = path.strip_prefix(b"docroot")?;
        let path = path.strip_prefix(b"/").unwrap_or(path);
        Some(match path.strip_prefix(b"sites/default/files/") {
            Some(rest) => Place { root: 1, path: rest.to_vec() },
            None => Place { root: 0, path: path.to_vec() },
        })
    };
    let folders: Vec<&Path> = roots.iter().map(|root| root.as_path()).collect();
    let extractor = Extractor::new(&folders, ExtractOptions::default(), &monitor, select).unwrap();
    let report = extractor.run(&mut Reader::new(tar.as_slice())).unwrap();
    assert_eq!((report.files, report.missing), (3, 0));
    assert_eq!(fs::read_to_string(temp.path().join("code/index.php")).unwrap(), "code");
    assert_eq!(
        fs::metadata(temp.path().join("code/b")).unwrap().ino(),
        fs::metadata(temp.path().join("files/a")).unwrap().ino()
    );
    assert!(!temp.path().join("code/database.sql").exists());

    // One file alone: where its content is under another name, that is said.
    let alone = |wanted: &'static [u8]| {
        let target = tempfile::tempdir().unwrap();
        let monitor = Monitor::new();
        let select = move |path: &[u8]| (path == wanted).then(|| Place { root: 0, path: b"one".to_vec() });
        let extractor =
            Extractor::new(&[target.path()], ExtractOptions::default(), &monitor, select).unwrap();
        let report = extractor.run(&mut Reader::new(tar.as_slice())).unwrap();
        (report.files, report.missing, monitor.notes().len(), target.path().join("one").exists())
    };
    assert_eq!(alone(b"docroot/index.php"), (1, 0, 0, true));
    assert_eq!(alone(b"docroot/b"), (0, 1, 1, false));
}

#[test]
fn folders_that_the_archive_does_not_mention() {
    let temp = tempfile::tempdir().unwrap();
    let mut member = file("a/b/c", "x");
    if rustix::process::geteuid().is_root() {
        (member.0.uid, member.0.gid) = (4321, 1234);
    }
    extract(&archive(std::slice::from_ref(&member)), temp.path()).unwrap();
    for folder in ["a", "a/b"] {
        let meta = fs::metadata(temp.path().join(folder)).unwrap();
        assert_eq!((meta.mode() & 0o7777, meta.uid(), meta.gid()), (0o755, member.0.uid, member.0.gid));
    }
}
