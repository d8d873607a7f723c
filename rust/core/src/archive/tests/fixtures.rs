//! Archives that Backup and Migrate wrote on a real site.

use super::*;
use flate2::read::MultiGzDecoder;
use std::fs::{self, File};

fn open(name: &str) -> MultiGzDecoder<File> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures/backup_migrate");
    MultiGzDecoder::new(File::open(folder.join(name)).unwrap())
}

fn survey(name: &str) -> Layout {
    let mut reader = Reader::new(open(name));
    let mut survey = Survey::default();
    while let Some(member) = reader.next_member().unwrap() {
        survey.observe(&member.entry, &mut reader).unwrap();
    }
    survey.end();
    survey.layout()
}

#[test]
fn a_files_archive() {
    let name = "plain-2026-11-22T23-50-59.tar.gz";
    assert_eq!(survey(name), Layout::Files { base: Vec::new() });
    let target = tempfile::tempdir().unwrap();
    let monitor = Monitor::new();
    let extractor = Extractor::into_folder(target.path(), ExtractOptions::default(), &monitor).unwrap();
    let report = extractor.run(&mut Reader::new(open(name))).unwrap();
    assert_eq!((report.files, report.directories, report.bytes), (3, 1, 20_000 + 38 + 639));
    assert_eq!(fs::metadata(target.path().join("field/photo.jpg")).unwrap().len(), 20_000);
    assert_eq!(fs::read(target.path().join("field/notes ünïcode.txt")).unwrap().len(), 38);
    assert!(target.path().join("empty_dir").is_dir());
}

#[test]
fn a_site_archive_with_its_prefix_folder() {
    let name = "tiny-2026-11-22T23-51-02.sitearchive.tar.gz";
    let layout = survey(name);
    let Layout::Site(site) = &layout else { panic!("{layout:?}") };
    assert_eq!(site.prefix, b"tiny-2026-11-22T23-51-02");
    assert_eq!((site.database.as_slice(), site.driver.as_str()), (&b"database.sql"[..], "mysql"));
    assert_eq!(site.conf_path, b"sites/default");
    // The manifest says `docroot/`, as B&M does where the variable was never set.
    assert_eq!(site.public, b"sites/default/files");
    assert_eq!(site.private.as_deref(), Some(&b"docroot/sites/default/private"[..]));
    let mut parts = Vec::new();
    let mut reader = Reader::new(open(name));
    while let Some(member) = reader.next_member().unwrap() {
        parts.push(format!("{:?}", layout.part(&member.entry.path)).split('(').next().unwrap().to_owned());
    }
    assert_eq!(parts, ["Manifest", "Docroot", "Docroot", "Docroot", "Docroot", "Database"]);
}
