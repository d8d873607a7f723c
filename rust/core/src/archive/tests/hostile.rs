//! Archives that want to write elsewhere, or to exhaust us.

use super::*;
use crate::Code;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};

/// A folder to extract into, with a neighbour that must stay as it is.
struct Cell {
    temp: tempfile::TempDir,
}

impl Cell {
    fn new() -> Self {
        let temp = tempfile::tempdir().unwrap();
        fs::create_dir(temp.path().join("target")).unwrap();
        fs::create_dir(temp.path().join("outside")).unwrap();
        fs::write(temp.path().join("outside/precious"), "as it was").unwrap();
        Cell { temp }
    }

    fn target(&self) -> std::path::PathBuf {
        self.temp.path().join("target")
    }

    fn extract(&self, archive: &[u8]) -> Result<ExtractReport> {
        let done = extract(archive, &self.target());
        let outside: Vec<_> = fs::read_dir(self.temp.path().join("outside")).unwrap().collect();
        assert_eq!(outside.len(), 1, "something was written outside");
        assert_eq!(fs::read(self.temp.path().join("outside/precious")).unwrap(), b"as it was");
        assert_eq!(fs::read_dir(self.temp.path()).unwrap().count(), 2);
        done
    }

    fn refuses(&self, members: &[(Entry, Vec<u8>)]) {
        let error = self.extract(&archive(members)).unwrap_err();
        assert_eq!(error.code(), Code::Integrity, "{error}");
    }
}

/// A raw header block with a right checksum.
fn raw(name: &[u8], flag: u8, size: u64, link: &[u8]) -> Vec<u8> {
    let mut header = tar::Header::new_gnu();
    let gnu = header.as_gnu_mut().unwrap();
    gnu.name[..name.len()].copy_from_slice(name);
    gnu.linkname[..link.len()].copy_from_slice(link);
    gnu.typeflag = [flag];
    field::write(&mut gnu.size, size.cast_signed());
    field::write(&mut gnu.mode, 0o644);
    header.set_cksum();
    header.as_bytes().to_vec()
}

fn ended(mut archive: Vec<u8>) -> Vec<u8> {
    archive.extend([0; 2 * BLOCK]);
    archive
}

#[test]
fn names_that_climb_are_refused() {
    for path in ["../outside/new", "a/../../outside/new", "..", "a/.."] {
        Cell::new().refuses(&[file(path, "x")]);
        Cell::new().refuses(&[bare(path, EntryKind::Directory)]);
        Cell::new().refuses(&[bare(path, EntryKind::Symlink(b"x".to_vec()))]);
    }
}

#[test]
fn names_with_a_nul_are_refused() {
    for key in ["path", "linkpath"] {
        let record = format!("{} {key}=a\0b\n", key.len() + 8);
        assert_eq!(record.len(), key.len() + 8);
        let mut archive = raw(b"x", b'x', record.len() as u64, b"");
        archive.extend(record.bytes());
        archive.resize(1024, 0);
        archive.extend(raw(b"plain", b'2', 0, b"target"));
        let archive = ended(archive);
        let refused = Reader::new(archive.as_slice()).next_member().expect_err(key);
        assert_eq!(refused.code(), Code::Integrity, "{refused}");
    }
}

#[test]
fn absolute_names_land_below_the_target() {
    let cell = Cell::new();
    let name = format!("{}/outside/precious", cell.temp.path().display());
    cell.extract(&ended([raw(name.as_bytes(), b'0', 0, b""), raw(b"//etc/passwd", b'0', 0, b"")].concat()))
        .unwrap();
    assert!(cell.target().join("etc/passwd").is_file());
    assert!(cell.target().join(name.trim_start_matches('/')).is_file());
}

#[test]
fn nothing_is_written_through_a_link_of_the_archive() {
    for target in ["../outside", "..", "/tmp", "."] {
        let link = bare("link", EntryKind::Symlink(target.into()));
        Cell::new().refuses(&[link.clone(), file("link/new", "x")]);
        Cell::new().refuses(&[link.clone(), bare("link/new", EntryKind::Directory)]);
        Cell::new().refuses(&[link, bare("link/new/deep", EntryKind::Symlink(b"x".to_vec()))]);
    }
}

#[test]
fn nothing_is_written_through_a_link_that_was_there() {
    let cell = Cell::new();
    symlink("../outside", cell.target().join("dir")).unwrap();
    cell.refuses(&[file("dir/new", "x")]);
    symlink("../outside/precious", cell.target().join("file")).unwrap();
    cell.extract(&archive(&[file("file", "new"), bare("dir", EntryKind::Directory), file("dir/a", "x")]))
        .unwrap();
    assert!(fs::symlink_metadata(cell.target().join("file")).unwrap().is_file(), "the link was replaced");
    assert!(fs::symlink_metadata(cell.target().join("dir")).unwrap().is_dir(), "by a real folder");
}

#[test]
fn hard_links_reach_nothing_outside() {
    let cell = Cell::new();
    let link = |target: &str| bare("steal", EntryKind::Hardlink(target.into()));
    cell.refuses(&[link("../outside/precious")]);
    // Through a link, or to one: nothing is linked, and the report says so.
    let via = bare("via", EntryKind::Symlink(b"../outside".to_vec()));
    for target in ["via/precious", "via", "/etc/passwd", "nowhere"] {
        let report = cell.extract(&archive(&[via.clone(), link(target)])).unwrap();
        assert_eq!(report.missing, 1, "{target}");
        assert!(!cell.target().join("steal").exists());
    }
    assert_eq!(fs::metadata(cell.temp.path().join("outside/precious")).unwrap().nlink(), 1);
}

#[test]
fn writing_to_a_name_does_not_write_into_other_names_of_its_file() {
    let cell = Cell::new();
    fs::hard_link(cell.temp.path().join("outside/precious"), cell.target().join("a")).unwrap();
    cell.extract(&archive(&[file("a", "new content")])).unwrap();
    assert_eq!(fs::read(cell.target().join("a")).unwrap(), b"new content");
}

#[test]
fn a_link_to_itself_keeps_its_content() {
    let cell = Cell::new();
    cell.extract(&archive(&[file("a", "content"), bare("a", EntryKind::Hardlink(b"a".to_vec()))])).unwrap();
    assert_eq!(fs::read(cell.target().join("a")).unwrap(), b"content");
}

#[test]
fn the_last_of_several_members_with_one_name_counts() {
    let cell = Cell::new();
    let members = [
        file("a", "first, and longer"),
        file("a", "second"),
        bare("b", EntryKind::Directory),
        file("b", "was a folder"),
        bare("c", EntryKind::Symlink(b"../outside/precious".to_vec())),
        file("c", "was a link"),
        file("d", "was a file"),
        bare("d", EntryKind::Directory),
        file("d/e", "in it"),
    ];
    cell.extract(&archive(&members)).unwrap();
    let read = |name| fs::read_to_string(cell.target().join(name)).unwrap();
    assert_eq!((read("a"), read("b"), read("c"), read("d/e")).1, "was a folder");
    assert_eq!(
        (read("a").as_str(), read("c").as_str(), read("d/e").as_str()),
        ("second", "was a link", "in it")
    );
}

#[test]
fn a_folder_with_content_is_not_replaced_by_a_file() {
    let cell = Cell::new();
    let error = cell.extract(&archive(&[file("a/b", "x"), file("a", "y")])).unwrap_err();
    assert!(error.message().contains("target/a"), "{error}");
    assert_eq!(fs::read(cell.target().join("a/b")).unwrap(), b"x");
}

#[test]
fn the_root_itself_is_not_replaced() {
    let cell = Cell::new();
    for kind in [b'0', b'2'] {
        let error = cell.extract(&ended(raw(b"./", kind, 0, b"x"))).map(|report| report.files);
        match kind {
            // A file's name that ends in a slash is a folder, by the oldest rule there is.
            b'0' => assert_eq!(error.unwrap(), 0),
            _ => assert_eq!(error.unwrap_err().code(), Code::Integrity),
        }
    }
    assert!(cell.target().is_dir());
}

#[test]
fn devices_and_fifos_are_skipped_with_a_word() {
    let cell = Cell::new();
    let monitor = Monitor::new();
    let tar =
        ended([raw(b"null", b'3', 0, b""), raw(b"sda", b'4', 0, b""), raw(b"pipe", b'6', 0, b"")].concat());
    let report = extract_with(&tar, &cell.target(), ExtractOptions::default(), &monitor).unwrap();
    assert_eq!((report.skipped, monitor.notes().len()), (3, 3));
    assert_eq!(fs::read_dir(cell.target()).unwrap().count(), 0);
}

#[test]
fn set_user_id_bits_come_back_only_on_request() {
    let mut suid = file("suid", "x");
    suid.0.mode = 0o6755;
    let mut folder = bare("shared", EntryKind::Directory);
    folder.0.mode = 0o3775;
    let tar = archive(&[suid, folder]);
    let mode =
        |cell: &Cell, name| fs::metadata(cell.target().join(name)).unwrap().permissions().mode() & 0o7777;
    let cell = Cell::new();
    let monitor = Monitor::new();
    extract_with(&tar, &cell.target(), ExtractOptions::default(), &monitor).unwrap();
    assert_eq!((mode(&cell, "suid"), mode(&cell, "shared")), (0o755, 0o3775));
    assert!(monitor.notes().iter().any(|n| n.text.starts_with("suid")), "{:?}", monitor.notes());
    let cell = Cell::new();
    let options = ExtractOptions { special_bits: true, ..ExtractOptions::default() };
    extract_with(&tar, &cell.target(), options, &monitor).unwrap();
    assert_eq!(mode(&cell, "suid"), if options.owners { 0o6755 } else { 0o755 });
}

#[test]
fn sizes_and_names_beyond_reason_cost_no_memory() {
    let cell = Cell::new();
    let absurd: [(Vec<u8>, &str); 4] = [
        (raw(b"a", b'0', i64::MAX as u64, b""), "a"),
        (raw(b"././@LongLink", b'L', 1 << 40, b""), "name"),
        (raw(b"x", b'x', 1 << 40, b""), "header"),
        (raw(b"huge", b'g', 1 << 60, b""), "cut off"),
    ];
    let long = [raw(b"././@LongLink", b'L', 700_000, b""), vec![b'a'; 700_416], raw(b"x", b'0', 0, b"")];
    assert_eq!(cell.extract(&ended(long.concat())).unwrap_err().code(), Code::Integrity);
    for (tar, what) in absurd {
        let error = cell.extract(&ended(tar)).unwrap_err();
        assert_eq!(error.code(), Code::Integrity, "{what}: {error}");
    }
    let error = cell.extract(&ended(raw(b"a", b'0', 1 << 40, b""))).unwrap_err();
    assert!(error.message().contains("in the middle of a"), "{error}");
    assert!(!cell.target().join("a").exists(), "no half a file stays");
    let mut negative = raw(b"a", b'0', 0, b"");
    negative[124..136].fill(0xff);
    let mut header = tar::Header::from_byte_slice(&negative).clone();
    header.set_cksum();
    assert_eq!(cell.extract(&ended(header.as_bytes().to_vec())).unwrap_err().code(), Code::Integrity);
}

#[test]
fn an_endless_sparse_map_is_refused() {
    let mut header = tar::Header::new_gnu();
    let gnu = header.as_gnu_mut().unwrap();
    gnu.name[0] = b'a';
    gnu.typeflag = *b"S";
    gnu.set_is_extended(true);
    header.set_cksum();
    let mut tar = header.as_bytes().to_vec();
    for i in 0..7000u64 {
        let mut block = tar::GnuExtSparseHeader::new();
        for (j, slot) in (0u64..).zip(block.sparse_mut()) {
            field::write(&mut slot.offset, ((i * 21 + j) * 4096).cast_signed());
            field::write(&mut slot.numbytes, 512);
        }
        block.set_is_extended(true);
        tar.extend_from_slice(block.as_bytes());
    }
    let error = Cell::new().extract(&ended(tar)).unwrap_err();
    assert!(matches!(error.code(), Code::Unsupported), "{error}");
}

#[test]
fn whatever_happens_to_an_archive_it_neither_panics_nor_leaves_its_place() {
    let valid = archive(&[
        bare("dir", EntryKind::Directory),
        file("dir/file", "content"),
        bare("link", EntryKind::Symlink(b"../outside".to_vec())),
        bare("hard", EntryKind::Hardlink(b"dir/file".to_vec())),
        file(&"long/".repeat(40), "x"),
        (
            entry(
                "sparse",
                EntryKind::Sparse { size: 1 << 20, data: vec![Segment { offset: 4096, len: 512 }] },
            ),
            vec![b's'; 512],
        ),
    ]);
    let mut random = crate::source::testing::Random(20);
    let (mut whole, mut refused) = (0, 0);
    for _ in 0..100 {
        let cell = Cell::new();
        let mut bytes = valid.clone();
        for _ in 0..=random.below(4) {
            let block = random.below(bytes.len() as u64 / 512) as usize * 512;
            // Where names, types, links, sizes and maps are; anything that could be meant to do harm.
            let at = block
                + [0, 3, 100, 124, 135, 156, 157, 257, 345, 386, 398, 482, 483][random.below(13) as usize];
            let with: &[&[u8]] = &[
                b"../",
                b"/",
                b"..",
                b"5",
                b"2",
                b"1",
                b"L",
                b"x",
                b"S",
                &[0x80, 0xff],
                &[0xff; 12],
                &[0],
                b"7777",
            ];
            let with = with[random.below(with.len() as u64) as usize];
            bytes[at..at + with.len()].copy_from_slice(with);
            let mut header = tar::Header::from_byte_slice(&bytes[block..block + 512]).clone();
            header.set_cksum();
            bytes[block..block + 512].copy_from_slice(header.as_bytes());
        }
        match cell.extract(&bytes) {
            Ok(_) => whole += 1,
            Err(_) => refused += 1,
        }
    }
    assert!(whole > 10 && refused > 10, "{whole} whole, {refused} refused: nothing was tried");
}
