//! Zip as others write it: what the shared suite does not show.

use super::super::testing::{mixed, noise, prose, shell};
use super::super::{Kind, Level, reader, writer};
use crate::{Code, Result};
use std::io::{Cursor, Read, Write};
use std::process::Command;
use tempfile::TempDir;

fn read(file: &[u8]) -> Result<Vec<u8>> {
    let mut data = Vec::new();
    reader(Kind::Zip, Cursor::new(file.to_vec()), 1)?.read_to_end(&mut data)?;
    Ok(data)
}

#[test]
fn the_makers_of_zips_are_read() {
    let data = mixed(300_000);
    for script in [
        // Sizes known beforehand, stored, with an archive comment, with a 64-bit header, with a long extra field.
        "zip -qj $d/a.zip $d/data",
        "zip -qj0 $d/a.zip $d/data",
        "zip -qj $d/a.zip $d/data && echo 'a comment' | zip -qz $d/a.zip",
        "zip -qjfz $d/a.zip $d/data",
        "python3 -c 'import sys, zipfile; zipfile.ZipFile(sys.argv[1], \"w\", 8).write(sys.argv[2])' $d/a.zip $d/data",
    ] {
        let file = shell(
            &format!("d=$(mktemp -d) && cat >$d/data && {{ {script}; }} && cat $d/a.zip && rm -r $d"),
            &data,
        );
        assert!(read(&file).unwrap() == data, "{script}");
    }
}

#[test]
fn what_cannot_be_one_backup_is_refused_with_a_reason() {
    for (script, words) in [
        ("zip -q $d/a.zip $d/data /etc/passwd", "more than one file"),
        ("zip -qj -P secret $d/a.zip $d/data", "password"),
        ("cd $d && mkdir folder && zip -qr a.zip folder", "folders"),
        ("zip -qjZ bzip2 $d/a.zip $d/data", "method 12"),
        (
            "zip -qj $d/a.zip $d/data && zip -qd $d/a.zip data 2>/dev/null; printf 'PK\\5\\6' >$d/a.zip",
            "no file",
        ),
    ] {
        let file = shell(
            &format!("d=$(mktemp -d) && cat >$d/data && ( {script} ) && cat $d/a.zip && rm -r $d"),
            &prose(5000),
        );
        let error = read(&file).unwrap_err();
        assert_eq!(error.code(), Code::Unsupported, "{script}: {error}");
        assert!(error.message().contains(words) && error.next_step().is_some(), "{error}");
    }
}

#[test]
fn the_entry_has_the_name_and_a_private_mode() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("a.zip");
    let file = std::fs::File::create(&path).unwrap();
    let mut encoder = writer(Kind::Zip, Level::Default, "PECE Läb.mysql", file, 1).unwrap();
    encoder.write_all(&noise(5000)).unwrap();
    encoder.finish().unwrap();
    let list = Command::new("unzip").arg("-Z").arg(&path).env("LC_ALL", "C.UTF-8").output().unwrap();
    let list = String::from_utf8_lossy(&list.stdout).into_owned();
    assert!(
        list.contains("-rw-------") && list.contains("PECE Läb.mysql") && list.contains("5000"),
        "{list}"
    );
}

/// As Backup and Migrate reads and writes zips; needs PHP's zip extension.
#[test]
fn php_reads_ours_and_we_read_phps() {
    let dir = TempDir::new().unwrap();
    let (ours, theirs, plain) =
        (dir.path().join("ours.zip"), dir.path().join("theirs.zip"), dir.path().join("data"));
    let data = mixed(3 << 20);
    std::fs::write(&plain, &data).unwrap();
    let mut encoder =
        writer(Kind::Zip, Level::Default, "x.mysql", std::fs::File::create(&ours).unwrap(), 2).unwrap();
    encoder.write_all(&data).unwrap();
    encoder.finish().unwrap();
    let script = "if (!class_exists('ZipArchive')) { exit(9); }
        $zip = new ZipArchive(); $zip->open($argv[2], ZipArchive::CREATE); $zip->addFile($argv[3], 'x.mysql'); $zip->close();
        $zip = new ZipArchive(); $zip->open($argv[1]); $in = $zip->getStream($zip->getNameIndex(0));
        while (!feof($in)) { echo fread($in, 524288); }";
    let run = Command::new("php").args(["-r", script]).args([&ours, &theirs, &plain]).output().unwrap();
    assert_ne!(run.status.code(), Some(9), "install PHP's zip extension (Debian: php-zip)");
    assert!(run.stdout == data, "{}", String::from_utf8_lossy(&run.stderr));
    assert!(read(&std::fs::read(&theirs).unwrap()).unwrap() == data);
}
