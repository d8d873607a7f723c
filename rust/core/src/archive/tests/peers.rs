//! GNU tar reads what we write and we read what it writes, in each of its formats.

use super::*;
use std::fs;
use std::io::{Seek, Write as _};
use std::os::unix::fs::MetadataExt;
use std::process::Command;

/// Makes a file with data at some offsets and holes between.
fn sparse_file(path: &Path, size: u64, data: &[(u64, &[u8])]) {
    let mut file = fs::File::create(path).unwrap();
    for (offset, bytes) in data {
        file.seek(std::io::SeekFrom::Start(*offset)).unwrap();
        file.write_all(bytes).unwrap();
    }
    file.set_len(size).unwrap();
}

/// The segments of `data` as the archive's plan for a file of `size` bytes, with the body that goes with them.
fn sparse_entry(path: &str, size: u64, data: &[(u64, Vec<u8>)]) -> (Entry, Vec<u8>) {
    let segments =
        plan_segments(size, data.iter().map(|(o, b)| Segment { offset: *o, len: b.len() as u64 })).unwrap();
    let mut body = Vec::new();
    for segment in &segments {
        let mut bytes = vec![0; segment.len as usize];
        for (offset, content) in
            data.iter().filter(|(o, _)| (segment.offset..segment.offset + segment.len).contains(o))
        {
            let at = (offset - segment.offset) as usize;
            bytes[at..at + content.len()].copy_from_slice(content);
        }
        body.extend(bytes);
    }
    (entry(path, EntryKind::Sparse { size, data: segments }), body)
}

fn gnu_extract(archive: &[u8], target: &Path) {
    let path = target.with_extension("tar");
    fs::write(&path, archive).unwrap();
    run(Command::new("tar").arg("-xf").arg(&path).arg("-C").arg(target));
}

#[test]
fn gnu_tar_reads_long_names_links_and_folders() {
    let temp = tempfile::tempdir().unwrap();
    let target = temp.path().join("target");
    fs::create_dir(&target).unwrap();
    let deep = |len: usize| vec!["d".repeat(90); len / 91 + 1].join("/");
    let names = [
        "n".repeat(99),
        "n".repeat(100),
        "n".repeat(101),
        "n".repeat(255),
        deep(300),
        deep(1100),
        deep(3000),
    ];
    let mut members =
        vec![bare("", EntryKind::Directory), bare("empty", EntryKind::Directory), file("empty file", "")];
    for (i, name) in names.iter().enumerate() {
        members.push(file(&format!("{name}/f"), name));
        members.push(bare(&format!("sym{i}"), EntryKind::Symlink(name.clone().into_bytes())));
        members.push(bare(&format!("hard{i}"), EntryKind::Hardlink(format!("{name}/f").into_bytes())));
    }
    gnu_extract(&archive(&members), &target);
    for (i, name) in names.iter().enumerate() {
        assert_eq!(fs::read_to_string(target.join(name).join("f")).unwrap(), *name);
        assert_eq!(fs::read_link(target.join(format!("sym{i}"))).unwrap(), Path::new(name));
        assert_eq!(fs::metadata(target.join(format!("hard{i}"))).unwrap().nlink(), 2);
    }
    assert_eq!(fs::read_dir(target.join("empty")).unwrap().count(), 0);
}

#[test]
fn gnu_tar_lists_what_was_meant() {
    let temp = tempfile::tempdir().unwrap();
    let mut members = vec![
        file("plain", "12345"),
        bare("späce\nnew\\line", EntryKind::Directory),
        bare("link", EntryKind::Symlink(b"../any where".to_vec())),
    ];
    (members[0].0.uid, members[0].0.gid, members[0].0.mode) = (4_000_000_000, 3_000_000, 0o6751);
    members[1].0.mtime = -86_400;
    members[2].0.mtime = 1 << 36;
    let path = temp.path().join("a.tar");
    fs::write(&path, archive(&members)).unwrap();
    let listing = run(Command::new("tar")
        .args(["--numeric-owner", "--full-time", "--utc", "-tvf"])
        .arg(&path)
        .env("LC_ALL", "C.UTF-8"));
    let listing = String::from_utf8(listing).unwrap();
    let lines: Vec<&str> = listing.lines().collect();
    assert!(lines[0].starts_with("-rwsr-s--x 4000000000/3000000"), "{listing}");
    assert!(lines[0].contains(" 5 2020-09-13 12:26:40 plain"), "{listing}");
    assert!(lines[1].ends_with("1969-12-31 00:00:00 späce\\nnew\\\\line/"), "{listing}");
    assert!(lines[2].ends_with("4147-08-20 07:32:16 link -> ../any where"), "{listing}");
}

#[test]
fn names_of_owners_travel() {
    let owners = Owners::with(&[("deploy", 33)], &[("editors", 50)]);
    let mut writer = Writer::with_owners(Vec::new(), owners);
    let mut entry = entry("a", EntryKind::Directory);
    (entry.uid, entry.gid) = (33, 50);
    writer.append(&entry, &mut std::io::empty()).unwrap();
    let bytes = writer.finish().unwrap();
    let member = Reader::new(bytes.as_slice()).next_member().unwrap().unwrap();
    assert_eq!((member.user.as_slice(), member.group.as_slice()), (&b"deploy"[..], &b"editors"[..]));
    assert_eq!(member.entry, entry);
}

#[test]
fn sparse_files_go_both_ways() {
    let block = 1u64 << 20;
    let data: Vec<(u64, Vec<u8>)> = (0..60).map(|i| (i * block, vec![i as u8 + 1; 5000])).collect();
    let holes_at_both_ends: Vec<(u64, Vec<u8>)> = vec![(3 * block, b"x".repeat(777))];
    let ends_with_data: Vec<(u64, Vec<u8>)> = vec![(block * 9 - 10, b"end of file".to_vec())];
    let cases = [
        ("many", 61 * block, data),
        ("both", 9 * block + 5, holes_at_both_ends),
        ("tail", block * 9 + 1, ends_with_data),
        ("hole", 7 * block, vec![]),
    ];
    let temp = tempfile::tempdir().unwrap();
    for (name, size, data) in cases {
        let source = temp.path().join("source");
        sparse_file(&source, size, &data.iter().map(|(o, b)| (*o, b.as_slice())).collect::<Vec<_>>());
        let ours = archive(&[sparse_entry("x", size, &data), file("after", "it")]);
        assert!((ours.len() as u64) < size / 2);
        for by_tar in [true, false] {
            let target = temp.path().join(format!("{name}-{by_tar}"));
            fs::create_dir(&target).unwrap();
            match by_tar {
                true => gnu_extract(&ours, &target),
                false => assert_eq!(extract(&ours, &target).unwrap().files, 2),
            }
            run(Command::new("cmp").arg(&source).arg(target.join("x")));
            assert_eq!(fs::read(target.join("after")).unwrap(), b"it");
            assert!(fs::metadata(target.join("x")).unwrap().blocks() * 512 < size / 2, "{name} became solid");
        }
        for format in [
            "--format=gnu",
            "--format=posix --sparse-version=1.0",
            "--format=posix --sparse-version=0.1",
            "--format=posix --sparse-version=0.0",
        ] {
            let theirs = run(Command::new("tar")
                .args(format.split(' '))
                .args(["-S", "-cf", "-", "source"])
                .current_dir(&temp));
            let target = tempfile::tempdir().unwrap();
            extract(&theirs, target.path()).unwrap();
            run(Command::new("cmp").arg(&source).arg(target.path().join("source")));
            assert!(
                fs::metadata(target.path().join("source")).unwrap().blocks() * 512 < size / 2,
                "{name} {format}"
            );
        }
    }
}

#[test]
fn beyond_8_gib() {
    let size = 20u64 << 30;
    let data = vec![(0, b"begin".to_vec()), (9 << 30, b"middle".to_vec()), (size - 3, b"end".to_vec())];
    let ours = archive(&[sparse_entry("huge", size, &data)]);
    let temp = tempfile::tempdir().unwrap();
    extract(&ours, temp.path()).unwrap();
    let file = fs::File::open(temp.path().join("huge")).unwrap();
    assert_eq!(file.metadata().unwrap().len(), size);
    for (offset, bytes) in data {
        let mut found = vec![0; bytes.len()];
        std::os::unix::fs::FileExt::read_exact_at(&file, &mut found, offset).unwrap();
        assert_eq!(found, bytes);
    }
    // A solid member that large: only its header is worth making.
    let mut writer = Writer::new(std::io::sink());
    let solid = entry("solid", EntryKind::File { size });
    let header = header::build(&solid, b"", b"").unwrap();
    assert_eq!(field::parse_unsigned(&header.as_old().size), Some(size));
    assert_eq!(writer.append(&solid, &mut std::io::empty()).unwrap().padded, size);
    assert_eq!(writer.bytes(), size + 512);
}

#[test]
fn every_format_of_gnu_tar_is_read() {
    let temp = tempfile::tempdir().unwrap();
    let source = temp.path().join("source");
    let long = "l".repeat(60);
    fs::create_dir_all(source.join(&long).join("empty")).unwrap();
    fs::write(source.join(&long).join("üñï\n=x"), "newline").unwrap();
    fs::write(source.join(&long).join("hidden"), vec![7; 70_000]).unwrap();
    fs::hard_link(source.join(&long).join("hidden"), source.join("zz hard")).unwrap();
    std::os::unix::fs::symlink(&long, source.join("sym")).unwrap();
    for format in ["gnu", "oldgnu", "posix", "ustar", "v7"] {
        let tar = run(Command::new("tar")
            .arg(format!("--format={format}"))
            .args(["-cf", "-", "."])
            .current_dir(&source));
        let target = tempfile::tempdir().unwrap();
        extract(&tar, target.path()).unwrap();
        run(Command::new("diff").args(["-r", "--no-dereference"]).arg(&source).arg(target.path()));
        assert_eq!(fs::metadata(target.path().join("zz hard")).unwrap().nlink(), 2, "{format}");
        let time = |root: &Path| fs::metadata(root.join(&long)).unwrap().mtime();
        assert_eq!(time(target.path()), time(&source), "{format}");
    }
}

#[test]
fn an_archive_that_tar_appended_to_is_read() {
    let temp = tempfile::tempdir().unwrap();
    for name in ["one", "two"] {
        fs::write(temp.path().join(name), name).unwrap();
    }
    let tar = |args: &[&str]| run(Command::new("tar").args(args).current_dir(&temp));
    tar(&["-cf", "a.tar", "one"]);
    tar(&["-rf", "a.tar", "two"]);
    let target = tempfile::tempdir().unwrap();
    let report = extract(&fs::read(temp.path().join("a.tar")).unwrap(), target.path()).unwrap();
    assert_eq!(report.files, 2);
}
