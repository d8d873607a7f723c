use super::testing::{tree, write};
use super::*;

fn keep() -> [PathBuf; 3] {
    ["keep/sub".into(), "keep/file".into(), "not there".into()]
}

fn clean(swap: &TreeSwap) {
    for leftover in swap.leftovers() {
        assert!(crate::job::restore::erase::erase(&leftover).is_none());
    }
}

/// A live tree with something to keep, and a staged one.
fn site(inside: bool) -> (tempfile::TempDir, TreeSwap) {
    let dir = tempfile::tempdir().expect("a folder");
    let live = dir.path().join("files");
    write(&live.join("a"), "old");
    write(&live.join("gone/b"), "old");
    write(&live.join("keep/sub/backup"), "precious");
    write(&live.join("keep/file"), "mine");
    let mut swap = TreeSwap::plan(&live, "7", inside, Path::new("/none")).expect("planned");
    assert!(swap.make().expect("made"));
    write(&swap.staged().join("a"), "new");
    write(&swap.staged().join("c/d"), "new");
    swap.copy_attributes().expect("dressed");
    swap.check(&keep(), &dir.path().join("list")).expect("nothing is in the way");
    (dir, swap)
}

const OLD: [&str; 4] =
    ["files/a=old", "files/gone/b=old", "files/keep/file=mine", "files/keep/sub/backup=precious"];
const NEW: [&str; 4] =
    ["files/a=new", "files/c/d=new", "files/keep/file=mine", "files/keep/sub/backup=precious"];

#[test]
fn the_new_tree_takes_the_place_and_what_is_kept_moves_over() {
    for inside in [false, true] {
        let (dir, swap) = site(inside);
        for _ in 0..2 {
            swap.swap().expect("swapped");
        }
        clean(&swap);
        assert_eq!(tree(dir.path()), NEW, "inside: {inside}");
    }
}

#[test]
fn a_swap_can_be_taken_back_and_done_again() {
    for inside in [false, true] {
        let (dir, swap) = site(inside);
        for _ in 0..2 {
            swap.swap().expect("swapped");
            swap.revert().expect("reverted");
            swap.revert().expect("reverted again");
        }
        clean(&swap);
        assert_eq!(tree(dir.path()), OLD, "inside: {inside}");
    }
}

/// Every state of the disk that a kill may leave while entries trade places, in both directions.
#[test]
fn half_of_an_exchange_of_entries_goes_either_way() {
    for (outs, ins, back) in (0..3).flat_map(|a| (0..3).flat_map(move |b| [(a, b, false), (a, b, true)])) {
        let (dir, swap) = site(true);
        let (live, old, moving) = (swap.live().to_owned(), PathBuf::from(&swap.old), swap.moving());
        let some = |from: &Path, to: &Path, number| {
            let entries = fs::read_dir(from).expect("listed").flatten();
            let entries = entries.filter(|entry| !swap.leftovers().contains(&entry.path())).take(number);
            for entry in entries.collect::<Vec<_>>() {
                fs::rename(entry.path(), to.join(entry.file_name())).expect("moved");
            }
        };
        match ins {
            // Killed while the old entries go.
            0 => {
                swap.carry.go(&live, swap.staged()).expect("carried");
                private_folder(&moving).expect("made");
                some(&live, &moving, outs);
            }
            // Killed while the new ones come.
            _ if outs == 0 => {
                swap.swap().expect("swapped");
                some(&live, swap.staged(), ins);
            }
            // Killed while it was taken back.
            _ => {
                swap.swap().expect("swapped");
                swap.move_entries(&live, swap.staged()).expect("out");
                fs::rename(&old, &moving).expect("renamed");
                some(&moving, &live, ins);
            }
        }
        match back {
            true => swap.revert().expect("reverted"),
            false => swap.swap().expect("swapped"),
        }
        clean(&swap);
        assert_eq!(tree(dir.path()), if back { OLD } else { NEW }, "{outs} out, {ins} in, back: {back}");
    }
}

#[test]
fn what_is_kept_is_not_carried_through_a_link_of_the_new_tree() {
    for inside in [false, true] {
        let (dir, mut swap) = site(inside);
        fs::create_dir(dir.path().join("outside")).expect("made");
        fs::remove_dir_all(swap.staged().join("keep")).expect("removed");
        std::os::unix::fs::symlink(dir.path().join("outside"), swap.staged().join("keep")).expect("linked");
        assert_eq!(
            swap.check(&keep(), &dir.path().join("list")).expect_err("a link").code(),
            Code::Integrity
        );
        assert_eq!(fs::read_dir(dir.path().join("outside")).expect("listed").count(), 0);
    }
}

#[test]
fn a_kill_right_after_the_exchange_is_finished_or_taken_back() {
    for back in [false, true] {
        let (dir, swap) = site(false);
        swap.carry.go(swap.live(), swap.staged()).expect("carried");
        rustix::fs::renameat_with(CWD, swap.staged(), CWD, swap.live(), RenameFlags::EXCHANGE)
            .expect("exchanged");
        match back {
            true => swap.revert().expect("reverted"),
            false => swap.swap().expect("swapped"),
        }
        clean(&swap);
        assert_eq!(tree(dir.path()), if back { OLD } else { NEW }, "back: {back}");
    }
}

#[test]
fn what_is_kept_outlives_an_empty_folder_of_its_name_in_the_backup() {
    let (dir, mut swap) = site(false);
    fs::create_dir_all(swap.staged().join("keep/sub")).expect("made");
    swap.check(&keep(), &dir.path().join("list")).expect("nothing is in the way");
    swap.swap().expect("swapped");
    clean(&swap);
    assert_eq!(tree(dir.path()), NEW);
}

#[test]
fn a_folder_that_was_lost_comes_back() {
    let dir = tempfile::tempdir().expect("a folder");
    let live = dir.path().join("sites/default/files");
    let mut swap = TreeSwap::plan(&live, "7", false, Path::new("/none")).expect("planned");
    assert!(swap.make().expect("made"));
    write(&swap.staged().join("a"), "new");
    swap.copy_attributes().expect("dressed");
    swap.swap().expect("swapped");
    swap.revert().expect("reverted");
    assert!(!exists(&live).unwrap(), "it is lost again");
    swap.swap().expect("swapped once more");
    clean(&swap);
    assert_eq!(tree(dir.path()), ["sites/default/files/a=new"]);
}

#[test]
fn the_new_folder_is_as_open_as_the_live_one() {
    let dir = tempfile::tempdir().expect("a folder");
    let mode = |swap: &TreeSwap| fs::metadata(swap.staged()).expect("there").mode() & 0o7777;
    for (name, live, expected) in [("closed", Some(0o2750), 0o2750), ("lost", None, 0o755)] {
        let path = dir.path().join(name);
        if let Some(bits) = live {
            fs::create_dir(&path).expect("made");
            fs::set_permissions(&path, Permissions::from_mode(bits)).expect("set");
        }
        let mut swap = TreeSwap::plan(&path, "7", false, Path::new("/none")).expect("planned");
        assert!(swap.make().expect("made"));
        assert_eq!(mode(&swap), 0o700, "until the swap");
        swap.copy_attributes().expect("dressed");
        assert_eq!(mode(&swap), expected, "{name}");
    }
}

#[test]
fn where_nothing_can_be_made_beside_a_folder_one_inside_it_may() {
    let dir = tempfile::tempdir().expect("a folder");
    let live = dir.path().join("files");
    let mut swap = TreeSwap::plan(&live, "7", false, Path::new("/none")).expect("planned");
    write(swap.staged(), "in the way");
    assert!(swap.make().is_err(), "there is no live folder");
    fs::create_dir(&live).expect("made");
    assert!(!swap.make().expect("told"), "not beside it");
    let mut inside = TreeSwap::plan(&live, "7", true, Path::new("/none")).expect("planned");
    assert!(inside.make().expect("made") && inside.staged().starts_with(&live));
    let mut again = TreeSwap::plan(&live, "7", true, Path::new("/none")).expect("planned");
    assert!(again.make().is_err(), "neither beside nor inside");
}
