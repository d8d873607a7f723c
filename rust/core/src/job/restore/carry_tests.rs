use super::*;
use crate::job::restore::swap::testing::{tree, write};
use std::fs as std_fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};

/// A live tree, a new one beside it that has the file `new`, and where a list goes.
fn trees() -> (tempfile::TempDir, PathBuf, PathBuf, PathBuf) {
    let dir = tempfile::tempdir().expect("a folder");
    let (live, new, list) = (dir.path().join("live"), dir.path().join("new"), dir.path().join("list"));
    std_fs::create_dir(&live).expect("made");
    write(&new.join("new"), "new");
    (dir, live, new, list)
}

fn mode(path: &Path) -> u32 {
    std_fs::symlink_metadata(path).expect("there").mode() & 0o7777
}

fn chmod_to(path: &Path, mode: u32) {
    std_fs::set_permissions(path, std_fs::Permissions::from_mode(mode)).expect("set");
}

#[test]
fn more_folders_than_a_journal_should_hold_go_and_come_back() {
    let (_dir, live, new, list) = trees();
    let names: Vec<PathBuf> = (0..IN_JOURNAL + 3).map(|number| format!("keep-{number}").into()).collect();
    for name in &names {
        write(&live.join(name).join("in"), "mine");
    }
    let before = tree(&live);
    let few = Carry::prepare(&live, &new, &names[3..], &[], &list).expect("prepared");
    assert!(few.list().is_none() && !list.exists(), "as many as fit need no file");
    let all = Carry::prepare(&live, &new, &names, &[], &list).expect("prepared");
    assert_eq!(all.list(), Some(list.as_path()));
    let listed = std_fs::read(&list).expect("a list");
    assert_eq!(listed.iter().filter(|byte| **byte == 0).count(), 3);
    all.go(&live, &new).expect("moved");
    all.go(&live, &new).expect("moved again");
    assert!(tree(&live).is_empty());
    assert_eq!(tree(&new).len(), names.len() + 1);
    all.back(&live, &new).expect("moved back");
    all.back(&live, &new).expect("moved back again");
    assert_eq!((tree(&live), tree(&new)), (before, vec!["new=new".to_owned()]));
}

#[test]
fn what_was_made_anew_meanwhile_and_what_comes_back_become_one() {
    let (_dir, live, new, list) = trees();
    write(&live.join("keep/deep/mine"), "mine");
    write(&live.join("keep/both"), "mine");
    let carry = Carry::prepare(&live, &new, &["keep".into()], &[], &list).expect("prepared");
    carry.go(&live, &new).expect("moved");
    write(&live.join("keep/deep/theirs"), "theirs");
    write(&live.join("keep/both"), "theirs");
    carry.back(&live, &new).expect("moved back");
    assert_eq!(tree(&live), ["keep/both=theirs", "keep/deep/mine=mine", "keep/deep/theirs=theirs"]);
}

#[test]
fn folders_made_for_what_stays_are_as_the_live_ones_and_keep_their_time() {
    let (_dir, live, new, list) = trees();
    write(&live.join("a/b/file"), "mine");
    write(&live.join("c/file"), "mine");
    std_fs::create_dir(new.join("c")).expect("made");
    chmod_to(&live.join("a"), 0o2751);
    chmod_to(&live.join("a/b"), 0o700);
    let long_ago = std::time::UNIX_EPOCH + std::time::Duration::from_secs(1_000_000_000);
    File::open(new.join("c")).expect("opened").set_modified(long_ago).expect("set");
    let paths = ["a/b/file".into(), "c/file".into()];
    let carry = Carry::prepare(&live, &new, &paths, &[], &list).expect("prepared");
    assert!(carry.moves.is_empty(), "files get a second name");
    assert_eq!((mode(&new.join("a")), mode(&new.join("a/b"))), (0o2751, 0o700));
    assert_eq!(std_fs::metadata(new.join("c")).expect("there").mtime(), 1_000_000_000);
    let inode = |path: PathBuf| std_fs::metadata(path).expect("there").ino();
    assert_eq!(inode(new.join("a/b/file")), inode(live.join("a/b/file")));
}

#[test]
fn beside_what_is_pinned_folders_move_and_what_is_pinned_stays() {
    let (_dir, live, new, list) = trees();
    write(&live.join("a/mount/file"), "there");
    write(&live.join("a/beside/file"), "mine");
    write(&live.join("a/file"), "mine");
    let (paths, pins) = (["a".into(), "a/mount/file".into()], ["a/mount".into()]);
    let carry = Carry::prepare(&live, &new, &paths, &pins, &list).expect("prepared");
    carry.go(&live, &new).expect("moved");
    assert_eq!(tree(&live), ["a/file=mine", "a/mount/file=there"]);
    assert_eq!(tree(&new), ["a/beside/file=mine", "a/file=mine", "new=new"]);
}

#[test]
fn what_can_have_no_second_name_is_copied_as_it_is() {
    let (_dir, live, new, _) = trees();
    write(&live.join("file"), "mine");
    write(&live.join("new"), "another");
    symlink("no/where", live.join("link")).expect("linked");
    chmod_to(&live.join("file"), 0o640);
    let long_ago = std::time::UNIX_EPOCH + std::time::Duration::from_secs(1_000_000_000);
    File::open(live.join("file")).expect("opened").set_modified(long_ago).expect("set");
    let open = |path: &Path| Tree::open(path).expect("opened").expect("there").dir;
    let (from, to) = (open(&live), open(&new));
    for name in ["file", "link"] {
        let found = look(&from, name.as_bytes()).expect("looked").expect("there");
        copy(&from, &to, name.as_bytes(), &found).expect("copied");
    }
    let copied = std_fs::metadata(new.join("file")).expect("there");
    assert_eq!((copied.mode() & 0o7777, copied.mtime(), copied.nlink()), (0o640, 1_000_000_000, 1));
    assert_eq!(std_fs::read_to_string(new.join("file")).expect("read"), "mine");
    assert_eq!(std_fs::read_link(new.join("link")).expect("a link"), Path::new("no/where"));
    let found = look(&from, b"new").expect("looked").expect("there");
    assert_eq!(copy(&from, &to, b"new", &found), Err(Errno::EXIST));
    assert_eq!(std_fs::read_to_string(new.join("new")).expect("read"), "new", "nothing is written over");
}
