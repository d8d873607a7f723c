//! Trees as they really are, and trees that change under the walk.

use super::exclude::Excludes;
use super::files::{FileTree, TreeReport};
use crate::archive::{Entry, EntryKind, Extractor, Reader, Writer, show};
use crate::config::Site;
use crate::{Code, Monitor, NoteKind, Result};
use rustix::thread::{Gid, Uid, set_thread_groups, set_thread_res_gid, set_thread_res_uid};
use std::fs;
use std::os::unix::fs::{FileExt, PermissionsExt, symlink};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};

/// A folder `tree` to walk and its neighbours.
struct Ground {
    _temp: tempfile::TempDir,
    root: PathBuf,
}

impl Ground {
    fn new() -> Self {
        let temp = tempfile::tempdir().unwrap();
        let root = temp.path().canonicalize().unwrap();
        fs::create_dir(root.join("tree")).unwrap();
        Ground { _temp: temp, root }
    }

    fn at(&self, path: &str) -> PathBuf {
        self.root.join(path)
    }

    /// Makes a file with its folders; its content is its path.
    fn file(&self, path: &str) -> &Self {
        let path = self.at(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, path.strip_prefix(&self.root).unwrap().as_os_str().as_encoded_bytes()).unwrap();
        self
    }

    fn link(&self, path: &str, target: impl AsRef<Path>) -> &Self {
        symlink(target, self.at(path)).unwrap();
        self
    }

    fn tree(&self) -> FileTree {
        FileTree { base: self.at("tree"), ..FileTree::default() }
    }

    /// The same, each file opened when it is its turn.
    fn in_step(&self) -> FileTree {
        FileTree { threads: Some(0), ..self.tree() }
    }
}

/// What a walk gives, a line each: path, kind, and the content of files that is text.
fn lines(tree: &FileTree, monitor: &Monitor) -> Result<(Vec<String>, TreeReport)> {
    let mut found = Vec::new();
    let report = tree.walk(monitor, &mut |entry, body| {
        let mut content = Vec::new();
        body.read_to_end(&mut content)?;
        found.push(line(entry, &content));
        Ok(())
    })?;
    Ok((found, report))
}

fn line(entry: &Entry, content: &[u8]) -> String {
    let path = show(&entry.path);
    match &entry.kind {
        EntryKind::Directory => format!("{path}/"),
        EntryKind::Symlink(target) => format!("{path} -> {}", show(target)),
        EntryKind::Hardlink(target) => format!("{path} = {}", show(target)),
        _ => format!("{path}: {}", show(content)),
    }
}

fn walked(tree: &FileTree) -> Vec<String> {
    lines(tree, &Monitor::new()).unwrap().0
}

#[test]
fn names_come_in_the_order_of_their_bytes() {
    let ground = Ground::new();
    ground
        .file("tree/b")
        .file("tree/a/z")
        .file("tree/a.b")
        .file("tree/a-b")
        .file("tree/\u{e9}")
        .file("tree/Z");
    fs::create_dir(ground.at("tree/a/empty")).unwrap();
    let tree = FileTree { prefix: b"docroot".to_vec(), ..ground.tree() };
    let expected = [
        "docroot/",
        "docroot/Z: tree/Z",
        "docroot/a/",
        "docroot/a/empty/",
        "docroot/a/z: tree/a/z",
        "docroot/a-b: tree/a-b",
        "docroot/a.b: tree/a.b",
        "docroot/b: tree/b",
        "docroot/é: tree/é",
    ];
    assert_eq!(walked(&tree), expected);
}

#[test]
fn links_inside_the_tree_and_dangling_ones_are_kept() {
    let ground = Ground::new();
    ground
        .file("tree/a/f")
        .link("tree/rel", "a/f")
        .link("tree/dir", "a")
        .link("tree/abs", ground.at("tree/a"));
    ground
        .link("tree/dangling", "no/such")
        .link("tree/self", "self")
        .link("tree/a/up", "../..")
        .link("tree/null", "/dev/null");
    let abs = format!("abs -> {}", ground.at("tree/a").display());
    let found = walked(&ground.tree());
    for kept in [&abs, "rel -> a/f", "dir -> a", "dangling -> no/such", "self -> self", "null -> /dev/null"] {
        assert!(found.iter().any(|line| line == kept), "{kept} in {found:#?}");
    }
}

#[test]
fn links_that_lead_out_and_to_nothing_are_kept_and_missing() {
    let ground = Ground::new();
    ground.file("shared/files/x").file("tree/a/f");
    ground.link("tree/abs", ground.at("gone/x")).link("tree/a/rel", "../../gone").link("tree/way", "abs/y");
    ground.link("tree/through", "shared/../../gone").link("tree/shared", "../shared/files");
    // Behind a link that was followed what counts is the folder there, and the base.
    ground.link("shared/files/in", "no/such").link("shared/files/out", "../other");
    ground.link("shared/files/home", ground.at("tree/no/such"));
    // These stay inside, whatever their text.
    ground
        .link("tree/full", ground.at("tree/no/such"))
        .link("tree/around", "../tree/no")
        .link("tree/self", "self");
    ground.link("tree/lock", format!("user@host:{}", "1".repeat(300)));
    let monitor = Monitor::new();
    let tree = FileTree { prefix: b"docroot".to_vec(), ..ground.tree() };
    let (found, report) = lines(&tree, &monitor).unwrap();
    let mut missing =
        ["a/rel", "abs", "shared/out", "through", "way"].map(|name| format!("docroot/{name}")).to_vec();
    let unread = |report: &[Vec<u8>]| report.iter().map(|path| show(path).to_string()).collect::<Vec<_>>();
    assert_eq!(unread(&report.unread), missing, "{:?}", monitor.notes());
    assert_eq!((report.missing, report.vanished), (5, 0));
    assert!(
        monitor.notes().iter().all(|note| note.kind == NoteKind::Missing && note.text.contains("mount it"))
    );
    assert!(
        missing.iter().all(|name| found.iter().any(|line| line.starts_with(&format!("{name} -> ")))),
        "{found:?}"
    );
    let outline = tree.outline(&Monitor::new()).unwrap();
    let outlined: Vec<Vec<u8>> = outline.unread.paths().map(<[u8]>::to_vec).collect();
    assert_eq!((unread(&outlined), outline.missing), (missing.clone(), 5));
    // What is excluded is nothing, by the link's name or by what it leads to.
    let site = Site { root: ground.at("tree"), ..Site::default() };
    let lines_of = ["a/rel".to_owned(), ground.at("gone/x").display().to_string(), "thr*/".into()];
    let excludes = Excludes::new(lines_of, &ground.at("tree"), &site);
    let tree = FileTree { excludes, ..tree };
    missing = vec!["docroot/shared/out".to_owned(), "docroot/way".to_owned()];
    assert_eq!(unread(&lines(&tree, &Monitor::new()).unwrap().1.unread), missing);
}

#[test]
fn links_that_lead_out_are_followed_once() {
    let ground = Ground::new();
    ground.file("shared/files/x").file("shared/one").file("tree/plain");
    ground.link("tree/a", ground.at("shared/files")).link("tree/b", "../shared/files").link("tree/c", "a/x");
    ground.link("tree/f1", "../shared/one").link("tree/f2", ground.at("shared/one"));
    ground
        .link("shared/files/home", ground.at("tree"))
        .link("shared/files/self", ".")
        .link("shared/files/y", "x");
    ground
        .link("shared/files/abs", ground.at("shared/files/x"))
        .link("shared/files/plain", "../../tree/plain");
    let expected = [
        "./",
        "a/",
        "a/abs -> x",
        "a/home -> ..",
        "a/plain -> ../plain",
        "a/self -> .",
        "a/x: shared/files/x",
        "a/y -> x",
        "b -> a",
        "c -> a/x",
        "f1: shared/one",
        "f2 = f1",
        "plain: tree/plain",
    ];
    assert_eq!(walked(&ground.tree()), expected);
}

#[test]
fn a_way_back_in_from_outside_ends() {
    let ground = Ground::new();
    ground.file("tree/f").link("tree/up", "..");
    fs::create_dir(ground.at("beside")).unwrap();
    ground.link("beside/tree", "../tree");
    // What is above holds the tree itself and a link to it.
    let expected = ["./", "f: tree/f", "up/", "up/beside/", "up/beside/tree -> ../..", "up/tree -> .."];
    assert_eq!(walked(&ground.tree()), expected);
    let monitor = Monitor::new();
    ground.link("tree/proc", "/proc");
    let (found, report) = lines(&ground.tree(), &monitor).unwrap();
    assert!(!found.iter().any(|line| line.starts_with("proc/")), "{found:?}");
    assert_eq!(report.skipped, 1, "{:?}", monitor.notes());
}

#[test]
fn what_was_followed_extracts_to_the_same_content() {
    let ground = Ground::new();
    ground.file("shared/files/deep/x").file("shared/one").link("shared/files/deep/up", "../deep/x");
    ground
        .link("tree/a", "../shared/files")
        .link("tree/b", "../shared/files/deep")
        .link("tree/one", "../shared/one");
    let mut writer = Writer::new(Vec::new());
    let monitor = Monitor::new();
    ground.tree().walk(&monitor, &mut |entry, body| writer.append(entry, body).map(drop)).unwrap();
    let archive = writer.finish().unwrap();
    let elsewhere = tempfile::tempdir().unwrap();
    let extractor = Extractor::into_folder(elsewhere.path(), Default::default(), &monitor).unwrap();
    extractor.run(&mut Reader::new(archive.as_slice())).unwrap();
    fs::remove_dir_all(ground.at("shared")).unwrap();
    for path in ["a/deep/x", "b/x", "b/up"] {
        assert_eq!(fs::read_to_string(elsewhere.path().join(path)).unwrap(), "shared/files/deep/x", "{path}");
    }
}

#[test]
fn hard_links_are_stored_once() {
    let ground = Ground::new();
    ground.file("tree/z/first by creation");
    for name in ["tree/a", "tree/m"] {
        fs::hard_link(ground.at("tree/z/first by creation"), ground.at(name)).unwrap();
    }
    let found = walked(&FileTree { prefix: b"p".to_vec(), ..ground.tree() });
    assert_eq!(
        found[1..],
        ["p/a: tree/z/first by creation", "p/m = p/a", "p/z/", "p/z/first by creation = p/a"]
    );
}

#[test]
fn excluded_paths_are_left_out_however_they_are_reached() {
    let ground = Ground::new();
    ground
        .file("tree/styles/x")
        .file("tree/keep/styles/x")
        .file("shared/css/x")
        .file("shared/keep/x")
        .file("shared/settings");
    ground
        .link("tree/shared", "../shared")
        .link("tree/css", "../shared/css")
        .link("tree/settings.php", "../shared/settings");
    let site = Site { root: ground.at("tree"), ..Site::default() };
    let lines =
        ["styles".to_owned(), "shared/css".into(), ground.at("shared/settings").display().to_string()];
    let tree = FileTree { excludes: Excludes::new(lines, &ground.at("tree"), &site), ..ground.tree() };
    let expected = [
        "./",
        "keep/",
        "keep/styles/",
        "keep/styles/x: tree/keep/styles/x",
        "shared/",
        "shared/keep/",
        "shared/keep/x: shared/keep/x",
    ];
    assert_eq!(walked(&tree), expected);
}

#[test]
fn a_destination_inside_the_tree_is_not_archived_into_itself() {
    let ground = Ground::new();
    ground.file("tree/f").file("tree/backups/old.tar").file("tree/.new.tar.part").link("alias", "tree");
    let mut tree = FileTree { base: ground.at("alias"), ..FileTree::default() };
    tree.excludes.add_path(&ground.at("tree/backups"));
    tree.excludes.add_path(&ground.at("alias/.new.tar.part"));
    assert_eq!(walked(&tree), ["./", "f: tree/f"]);
    tree.excludes.add_path(&ground.at("tree"));
    let error = lines(&tree, &Monitor::new()).unwrap_err();
    assert!(error.code() == Code::Config && error.message().contains("alias"), "{error}");
}

#[test]
fn files_that_change_while_they_are_read() {
    let ground = Ground::new();
    for name in ["a-shrinks", "b-grows", "c-changes", "d-stays"] {
        fs::write(ground.at("tree").join(name), [b'.'; 1000]).unwrap();
    }
    let monitor = Monitor::new();
    let mut writer = Writer::new(Vec::new());
    let base = ground.at("tree");
    let report = ground.in_step().walk(&monitor, &mut |entry, body| {
        let open = || fs::OpenOptions::new().append(true).open(base.join(show(&entry.path))).unwrap();
        match entry.path.first() {
            Some(b'a') => open().set_len(10).unwrap(),
            Some(b'b') => fs::write(base.join("b-grows"), [b'+'; 5000]).unwrap(),
            Some(b'c') => open().write_at(b"!", 500).map(drop).unwrap(),
            _ => {}
        }
        writer.append(entry, body).map(drop)
    });
    let report = report.unwrap();
    assert_eq!((report.changed, report.missing, report.unread), (2, 1, vec![b"a-shrinks".to_vec()]));
    let notes: Vec<_> = monitor.notes().into_iter().map(|note| (note.kind, note.text)).collect();
    assert!(
        matches!(
            &notes[..],
            [(NoteKind::Missing, a), (NoteKind::Warning, b), (NoteKind::Warning, c)]
                if a.contains("became shorter") && b.contains("changed while") && c.contains("changed while")
        ),
        "{notes:?}"
    );
    let archive = writer.finish().unwrap();
    let mut reader = Reader::new(archive.as_slice());
    let mut sizes = Vec::new();
    while let Some(member) = reader.next_member().unwrap() {
        sizes.push(member.entry.kind.size());
    }
    assert_eq!(sizes, [0, 1000, 1000, 1000, 1000]);
}

#[test]
fn files_that_were_opened_ahead_are_watched_too() {
    let ground = Ground::new();
    for i in 100..400 {
        fs::write(ground.at(&format!("tree/{i}")), vec![b'.'; if i % 2 == 0 { 100 } else { 100_000 }])
            .unwrap();
    }
    let base = ground.at("tree");
    let monitor = Monitor::new();
    let mut sizes = Vec::new();
    let report = ground.tree().walk(&monitor, &mut |entry, body| {
        let grows = [&b"151"[..], b"251", b"351"].contains(&entry.path.as_slice());
        if grows {
            fs::write(base.join(show(&entry.path)), vec![b'+'; 200_000]).unwrap();
        }
        let size = std::io::copy(body, &mut std::io::sink())?;
        if entry.path.len() == 3 {
            sizes.push(size);
        }
        assert_eq!(size, entry.kind.size());
        Ok(())
    });
    assert_eq!(report.unwrap().changed, 3, "{:?}", monitor.notes());
    assert_eq!(sizes, [100, 100_000].repeat(150));
}

#[test]
fn an_error_far_down_ends_the_walk_wherever_the_threads_are() {
    let ground = Ground::new();
    for i in 100..700 {
        ground.file(&format!("tree/{i}"));
    }
    let mut seen = 0;
    let error = ground.tree().walk(&Monitor::new(), &mut |entry, _| {
        seen += 1;
        match entry.path.as_slice() {
            b"300" => Err(crate::Error::new(Code::Space, "full")),
            _ => Ok(()),
        }
    });
    assert_eq!((error.unwrap_err().code(), seen), (Code::Space, 202));
    let part_of_way = Monitor::new();
    let error = ground.tree().walk(&part_of_way, &mut |entry, _| {
        if entry.path == b"650" {
            part_of_way.cancel();
        }
        Ok(())
    });
    assert_eq!(error.unwrap_err().code(), Code::Cancelled);
}

#[test]
fn files_that_vanish_or_become_something_else() {
    let ground = Ground::new();
    ground
        .file("tree/a")
        .file("tree/gone")
        .file("tree/gone-dir/x")
        .file("tree/now-a-link")
        .file("tree/now-a-dir")
        .file("tree/z");
    ground.file("secret").file("tree/dir-now-a-link/x").file("outside/y");
    let monitor = Monitor::new();
    let mut found = Vec::new();
    // Listed already when the first file is met: nothing of it is there any more, or it is something else.
    let report = ground.in_step().walk(&monitor, &mut |entry, body| {
        if entry.path == b"a" {
            fs::remove_file(ground.at("tree/gone")).unwrap();
            fs::remove_dir_all(ground.at("tree/gone-dir")).unwrap();
            fs::remove_file(ground.at("tree/now-a-link")).unwrap();
            ground.link("tree/now-a-link", ground.at("secret"));
            fs::remove_file(ground.at("tree/now-a-dir")).unwrap();
            fs::create_dir(ground.at("tree/now-a-dir")).unwrap();
            fs::remove_dir_all(ground.at("tree/dir-now-a-link")).unwrap();
            ground.link("tree/dir-now-a-link", ground.at("outside"));
        }
        let mut content = Vec::new();
        body.read_to_end(&mut content)?;
        found.push(line(entry, &content));
        Ok(())
    });
    assert_eq!(found, ["./", "a: tree/a", "z: tree/z"], "no race leads out of the tree");
    assert_eq!(report.unwrap().vanished, 5);
    assert!(monitor.notes().iter().any(|n| n.text.starts_with("gone vanished")), "{:?}", monitor.notes());
}

#[test]
fn sockets_and_fifos_are_skipped_with_a_word() {
    let ground = Ground::new();
    let _socket = UnixListener::bind(ground.at("tree/socket")).unwrap();
    let fifo = rustix::fs::FileType::Fifo;
    rustix::fs::mknodat(rustix::fs::CWD, ground.at("tree/fifo"), fifo, rustix::fs::Mode::RWXU, 0).unwrap();
    let monitor = Monitor::new();
    let (found, report) = lines(&ground.tree(), &monitor).unwrap();
    assert_eq!((found.len(), report.skipped), (1, 2));
    let texts: Vec<_> = monitor.notes().into_iter().map(|n| n.text).collect();
    assert_eq!(texts, ["fifo is a fifo: skipped", "socket is a socket: skipped"]);
}

/// Runs something as a user without rights (nobody), in a thread of its own: system calls change only that.
fn as_nobody<T: Send>(work: impl FnOnce() -> T + Send) -> T {
    std::thread::scope(|scope| {
        let thread = scope.spawn(|| {
            if rustix::process::geteuid().is_root() {
                let (uid, gid) = (Uid::from_raw(65534), Gid::from_raw(65534));
                set_thread_groups(&[]).unwrap();
                set_thread_res_gid(gid, gid, gid).unwrap();
                set_thread_res_uid(uid, uid, uid).unwrap();
            }
            work()
        });
        thread.join().unwrap()
    })
}

#[test]
fn what_cannot_be_read_is_an_error_unless_ignored() {
    let ground = Ground::new();
    ground.file("tree/readable").file("tree/secret").file("tree/closed/x");
    fs::set_permissions(&ground.root, fs::Permissions::from_mode(0o755)).unwrap();
    for closed in ["tree/secret", "tree/closed"] {
        fs::set_permissions(ground.at(closed), fs::Permissions::from_mode(0o000)).unwrap();
    }
    as_nobody(|| {
        let error = lines(&ground.tree(), &Monitor::new()).unwrap_err();
        assert_eq!(error.code(), Code::Permission);
        assert!(error.message().contains("tree/closed"), "{error}");
        assert!(error.next_step().is_some_and(|step| step.contains("ignore_errors")), "{error}");
        let monitor = Monitor::new();
        let (found, report) = lines(&FileTree { ignore_errors: true, ..ground.tree() }, &monitor).unwrap();
        assert_eq!(found, ["./", "readable: tree/readable"]);
        assert_eq!(report.missing, 2);
        assert!(monitor.notes().iter().all(|n| n.kind == NoteKind::Missing), "{:?}", monitor.notes());
    });
    fs::set_permissions(ground.at("tree/closed"), fs::Permissions::from_mode(0o700)).unwrap();
}

#[test]
fn an_archive_made_by_root_extracts_for_anybody() {
    let ground = Ground::new();
    ground.file("tree/d/f");
    fs::set_permissions(ground.at("tree/d"), fs::Permissions::from_mode(0o555)).unwrap();
    fs::create_dir(ground.at("target")).unwrap();
    for open in [ground.root.clone(), ground.at("target")] {
        fs::set_permissions(open, fs::Permissions::from_mode(0o777)).unwrap();
    }
    let mut writer = Writer::new(Vec::new());
    ground.tree().walk(&Monitor::new(), &mut |entry, body| writer.append(entry, body).map(drop)).unwrap();
    let archive = writer.finish().unwrap();
    as_nobody(|| {
        let monitor = Monitor::new();
        // The owner is asked for, and refused: one word, no failure.
        let options = crate::archive::ExtractOptions { owners: true, ..Default::default() };
        let select =
            |path: &[u8]| (!path.is_empty()).then(|| crate::archive::Place { root: 0, path: path.to_vec() });
        let target = ground.at("target");
        let extractor = Extractor::new(&[&target], options, &monitor, select).unwrap();
        assert_eq!(extractor.run(&mut Reader::new(archive.as_slice())).unwrap().files, 1);
        assert_eq!(fs::read_to_string(target.join("d/f")).unwrap(), "tree/d/f");
        assert!(monitor.notes().len() <= 1, "{:?}", monitor.notes());
    });
}

#[test]
fn a_missing_base_and_a_cancelled_walk() {
    let ground = Ground::new();
    let error =
        lines(&FileTree { base: ground.at("none"), ..FileTree::default() }, &Monitor::new()).unwrap_err();
    assert!(error.code() == Code::NotFound && error.message().contains("none"), "{error}");
    ground.file("tree/a").file("tree/b");
    let monitor = Monitor::new();
    let error = ground.tree().walk(&monitor, &mut |_, _| {
        monitor.cancel();
        Ok(())
    });
    assert_eq!(error.unwrap_err().code(), Code::Cancelled);
}

/// How many bytes of a file the page cache holds, by util-linux's word. (Asking the kernel with RWF_NOWAIT would start
/// reading ahead.)
fn cached(path: &Path) -> u64 {
    let out = std::process::Command::new("fincore").args(["-n", "-b", "-r", "-o", "RES"]).arg(path).output();
    let out = out.expect("this test needs fincore (Debian: util-linux)");
    String::from_utf8(out.stdout).unwrap().trim().parse().unwrap()
}

#[test]
fn the_page_cache_stays_as_it_was() {
    // Beside the sources: temporary folders may lie in memory, which is all cache.
    let temp = tempfile::tempdir_in(env!("CARGO_MANIFEST_DIR")).unwrap();
    for (name, size) in [("cold", 3000), ("cold-large", 20 << 20), ("hot", 3000)] {
        let path = temp.path().join(name);
        fs::write(&path, vec![b'x'; size]).unwrap();
        let file = fs::File::open(&path).unwrap();
        file.sync_all().unwrap();
        if name != "hot" {
            rustix::fs::fadvise(&file, 0, None, rustix::fs::Advice::DontNeed).unwrap();
        }
    }
    let state = || ["cold", "cold-large", "hot"].map(|name| cached(&temp.path().join(name)) > 0);
    if state() != [false, false, true] {
        eprintln!("skipped: this file system keeps everything in memory");
        return;
    }
    let tree = FileTree { base: temp.path().into(), ..FileTree::default() };
    let report = lines(&tree, &Monitor::new()).unwrap().1;
    assert_eq!(report.bytes, 6000 + (20 << 20));
    assert_eq!(state(), [false, false, true]);
}
