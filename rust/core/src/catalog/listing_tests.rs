//! Tests of [`super::Listing`], on Backup and Migrate's own files and on what could go wrong.

use super::{Backup, BackupId, Kind, Listing, Place, Sidecar, SiteIdentity, SiteUrl, Sites, Wanted, key};
use crate::Code;
use crate::config::{Document, EncryptionKind};
use crate::destination::Listed;
use std::path::Path;

/// A file with a sidecar of these fields.
fn file(name: &str, mtime: i64, fields: &[(&str, &str)]) -> Listed {
    let mut sidecar = Sidecar::new();
    fields.iter().for_each(|(key, value)| sidecar.set(key, value));
    let sidecar = (!fields.is_empty()).then(|| sidecar.to_string());
    Listed { name: name.into(), size: 100, mtime, sidecar }
}

fn place(destination: &str, host: &str, files: Vec<Listed>) -> (Place, Vec<Listed>) {
    let place = Place {
        destination: destination.into(),
        host: host.into(),
        folder: destination.into(),
        local: true,
        repository: false,
        same_as: None,
    };
    (place, files)
}

/// What is found of a listing that every site's backups are in.
fn find<'l>(
    listing: &'l Listing,
    what: &str,
    source: Option<&str>,
    destination: Option<&str>,
) -> crate::Result<&'l Backup> {
    let wanted = Wanted { what, source, destination, now: 1_900_000_000 };
    listing.find(&wanted).map(|found| found.backup)
}

fn seen(listing: &Listing) -> Vec<(u64, &str, Vec<&str>)> {
    listing
        .backups
        .iter()
        .map(|b| (b.id.0, &*b.file, b.copies.iter().map(|c| c.place.destination.as_str()).collect()))
        .collect()
}

#[test]
fn backup_and_migrates_folder_is_listed() {
    let folder = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/fixtures/backup_migrate"));
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).expect("the fixtures") {
        let path = entry.expect("an entry").path();
        let name = path.file_name().and_then(|name| name.to_str()).expect("UTF-8").to_owned();
        let sidecar = std::fs::read_to_string(folder.join(format!("{name}.info"))).ok();
        let size = path.metadata().expect("metadata").len();
        files.push(Listed { name, size, mtime: 1_600_000_000, sidecar });
    }
    let listing = Listing::from_places(&[place("manual", "here", files)]);
    assert!(listing.notes.is_empty(), "{:?}", listing.notes);
    assert_eq!(listing.backups.len(), 7, "no sidecars, no README");

    let newest = find(&listing, "latest", None, None).expect("the newest");
    assert_eq!((newest.id, newest.kind), (BackupId(1_795_391_463), Kind::SiteArchive));
    assert_eq!(newest.encryption, EncryptionKind::AesModule);
    assert_eq!(newest.about.source_name.as_deref(), Some("Entire Site (code, files & DB)"));
    assert!(newest.copies.iter().all(|copy| copy.whole));
    let files = find(&listing, "latest", Some("pece_bkp"), None).expect("of the source");
    assert_eq!(&*files.file, "sitename-2026-11-22T23-51-01.tar.gz.aes");
    assert_eq!(
        find(&listing, "1795391457", None, None).expect("by ID").file.as_ref(),
        "plain-2026-11-22T23-50-57.mysql.gz"
    );
    let bare = listing.backups.last().expect("the one without a sidecar");
    assert_eq!((bare.id.0, &*bare.file), (1_600_000_000, "mcrypt-2026-11-22T23-50-57.mysql.gz.aes"));
    assert_eq!((bare.about.source.as_deref(), bare.copies.first().map(|c| c.whole)), (None, Some(false)));
}

#[test]
fn copies_are_one_backup() {
    let ours: &[_] = &[(key::ID, "50"), (key::SHA256, "ab"), (key::SOURCE_ID, "db"), (key::FILE_SIZE, "100")];
    let verified: &[_] =
        &[(key::ID, "50"), (key::SHA256, "AB"), (key::VERIFIED, "77"), (key::FILE_SIZE, "100")];
    let listing = Listing::from_places(&[
        place("lost", "c", vec![file("a.mysql.gz", 999, &[])]),
        place("manual", "a", vec![file("a.mysql.gz", 10, ours)]),
        place("offsite", "b", vec![file("a.mysql.gz", 20, verified), file("notes.txt", 1, &[])]),
    ]);
    assert_eq!(seen(&listing), [(50, "a.mysql.gz", vec!["manual", "offsite", "lost"])]);
    let backup = listing.backups.first().expect("one");
    assert_eq!((backup.verified, backup.about.source.as_deref()), (Some(77), Some("db")));
    assert_eq!(backup.copies.iter().map(|copy| copy.whole).collect::<Vec<_>>(), [true, true, false]);
}

#[test]
fn a_copy_of_the_wrong_size_is_reported() {
    let listing = Listing::from_places(&[place(
        "m",
        "a",
        vec![file("a.tar", 1, &[(key::ID, "5"), (key::FILE_SIZE, "99")])],
    )]);
    assert!(listing.backups.iter().all(|backup| backup.copies.iter().all(|copy| !copy.whole)));
    assert!(
        listing.notes.iter().any(|note| note.text.contains("100 bytes, its sidecar says 99")),
        "{:?}",
        listing.notes
    );
}

#[test]
fn other_backups_of_the_same_name_stay_apart() {
    // A name that is overwritten each time, and a destination that missed the last one.
    let listing = Listing::from_places(&[
        place("manual", "a", vec![file("a.tar", 1, &[(key::ID, "60")])]),
        place("offsite", "b", vec![file("a.tar", 1, &[(key::ID, "50")])]),
    ]);
    assert_eq!(seen(&listing), [(60, "a.tar", vec!["manual"]), (50, "a.tar", vec!["offsite"])]);
    // Same ID and name, other bytes.
    let listing = Listing::from_places(&[
        place("manual", "a", vec![file("a.tar", 1, &[(key::ID, "60"), (key::SHA256, "aa")])]),
        place("offsite", "b", vec![file("a.tar", 1, &[(key::ID, "60"), (key::SHA256, "bb")])]),
    ]);
    assert_eq!(seen(&listing), [(60, "a.tar", vec!["manual"]), (60, "a.tar", vec!["offsite"])]);
    let error = find(&listing, "60", None, None).expect_err("nobody may guess");
    assert!(error.next_step().is_some_and(|hint| hint.contains("--destination")), "{error}");
    assert!(find(&listing, "60", None, Some("offsite")).is_ok());
}

const A: &str = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
const B: &str = "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb";
const SEALED: &[(&str, &str)] = &[
    (key::ID, "60"),
    (key::DATESTAMP, "60"),
    (key::FILE_SIZE, "100"),
    (key::SITE, "http://own.org"),
    (key::SOURCE_ID, "db"),
    (key::SHA256, A),
    (key::SALT, "0011223344556677"),
    (key::HMAC_SHA256, B),
];

/// The sealed sidecar's fields with changes; an empty value takes a field out.
fn sealed<'f>(changes: &[(&'f str, &'f str)]) -> Vec<(&'f str, &'f str)> {
    let mut fields: Vec<_> =
        SEALED.iter().copied().filter(|(key, _)| changes.iter().all(|(changed, _)| changed != key)).collect();
    fields.extend(changes.iter().copied().filter(|(_, value)| !value.is_empty()));
    fields
}

/// What a site lists that has the sealed backup at one destination, and a file of these bytes at the other: either one is
/// the first.
fn contested(other: &Listed, remembers: bool, check: impl Fn(&Listing)) {
    let own = SiteIdentity { url: SiteUrl::parse("http://own.org"), ..SiteIdentity::default() };
    let good = file("a.tar", 60, SEALED);
    let known = good.sidecar.as_deref().map(Sidecar::parse).expect("a sidecar");
    let mut places = [place("good", "g", vec![good]), place("bad", "b", vec![other.clone()])];
    for _ in 0..2 {
        let mut listing = Listing::from_places(&places);
        listing.settle(Some(&own), &|_, sidecar| remembers && *sidecar == known).expect("settled");
        check(&listing);
        places.reverse();
    }
}

fn is_the_good_one(listing: &Listing) {
    let [backup] = listing.backups.as_slice() else { panic!("{:?}", seen(listing)) };
    assert_eq!((backup.id.0, backup.time, backup.about.source.as_deref()), (60, 60, Some("db")));
    assert_eq!(backup.identity().url, SiteUrl::parse("http://own.org"));
    let copy = |name: &str| backup.copy_at(name).map(|copy| (copy.whole, copy.differs));
    assert_eq!((copy("good"), copy("bad")), (Some((true, false)), Some((false, true))));
    assert_eq!(backup.verified, None);
    let told = listing.notes.iter().filter(|note| note.text.starts_with("a.tar at bad does not count"));
    assert_eq!(told.count(), 1, "{:?}", listing.notes);
}

#[test]
fn a_bad_sidecar_at_one_place_hides_no_good_copy_at_another() {
    let garbage = Listed { sidecar: Some("garbage\n".into()), ..file("a.tar", 60, &[]) };
    let decided_by_form: [&[_]; 6] = [
        &[(key::SITE, "http://evil.example.org")],
        &[(key::HMAC_SHA256, ""), (key::VERIFIED, "99")],
        &[(key::HMAC_SHA256, ""), (key::SHA256, ""), (key::ID, "1999999999")],
        &[(key::HMAC_SHA256, "many"), (key::ID, "1999999999")],
        &[(key::SHA256, ""), (key::SITE, "")],
        &[(key::ID, ""), (key::DATESTAMP, "1999999999")],
    ];
    for remembers in [true, false] {
        contested(&garbage, remembers, is_the_good_one);
        contested(&Listed { mtime: 7, ..garbage.clone() }, remembers, is_the_good_one);
        for changes in decided_by_form {
            contested(&file("a.tar", 7, &sealed(changes)), remembers, is_the_good_one);
        }
    }
}

#[test]
fn what_the_form_does_not_decide_memory_does_or_it_stays_two() {
    let as_well_formed: [&[_]; 4] = [
        &[(key::ID, "1999999999"), (key::VERIFIED, "99")],
        &[(key::DATESTAMP, "1999999999")],
        &[(key::SOURCE_ID, "files")],
        &[(key::SHA256, B)],
    ];
    for changes in as_well_formed {
        let other = file("a.tar", 7, &sealed(changes));
        contested(&other, true, is_the_good_one);
        contested(&other, false, |listing| {
            assert_eq!(listing.backups.len(), 2, "{:?}", seen(listing));
            assert!(listing.backups.iter().all(|backup| backup.copies.iter().all(|copy| copy.whole)));
        });
    }
}

#[test]
fn what_is_another_backup_or_differs_in_nothing_that_counts_is_no_contradiction() {
    // A name that is overwritten each time, and a destination that missed the last one; another site's.
    for changes in [
        &[(key::ID, "50"), (key::DATESTAMP, "50"), (key::SHA256, B)],
        &[(key::SITE, "http://other.org"), (key::SHA256, B), (key::SOURCE_ID, "db")],
    ] {
        contested(&file("a.tar", 7, &sealed(changes)), true, |listing| {
            assert_eq!(listing.backups.len(), 2, "{:?}", seen(listing));
            assert!(listing.notes.is_empty(), "{:?}", listing.notes);
        });
    }
    // Verified; half way through sealing with another key, and through encrypting anew.
    let half_way: [&[_]; 3] = [
        &[(key::VERIFIED, "99"), (key::COPIES, "good bad")],
        &[(key::SALT, "8899aabbccddeeff"), (key::HMAC_SHA256, A)],
        &[(key::SHA256, B), (key::REKEYED_FROM, A), (key::BLOCKS, "1 2")],
    ];
    for changes in half_way {
        contested(&file("a.tar", 7, &sealed(changes)), true, |listing| {
            let [backup] = listing.backups.as_slice() else { panic!("{:?}", seen(listing)) };
            assert!(backup.copies.iter().all(|copy| copy.whole && !copy.differs));
        });
    }
}

#[test]
fn an_id_keeps_its_meaning_and_is_ambiguous_where_several_claim_it() {
    let mut files = vec![
        file("b.mysql.gz", 100, &[(key::DATESTAMP, "100")]),
        file("a.tar.gz", 100, &[(key::DATESTAMP, "100")]),
        file("c.tar.gz", 7, &[(key::ID, "100")]),
        file("d.tar.gz", 101, &[]),
    ];
    for _ in 0..files.len() {
        files.rotate_left(1);
        let all = Sites::of(&Document::default(), None);
        let listing = Listing::from_places(&[place("m", "h", files.clone())]).of_sites(&all).expect("listed");
        let ids: Vec<_> = listing.backups.iter().map(|backup| backup.id.0).collect();
        assert_eq!(ids, [101, 100, 100, 100], "nothing is numbered anew");
        let error = find(&listing, "100", None, None).expect_err("three claim it");
        assert_eq!(error.code(), Code::Usage);
        for file in ["a.tar.gz", "b.mysql.gz", "c.tar.gz"] {
            assert!(error.message().contains(file), "{error}");
            assert_eq!(find(&listing, file, None, None).expect("by name").id, BackupId(100));
            assert!(listing.notes.iter().any(|note| note.text.contains(file)), "{:?}", listing.notes);
        }
    }
    // One folder that cannot be read takes the meaning of no number along.
    let alone =
        Listing::from_places(&[place("m", "h", vec![file("b.mysql.gz", 5, &[(key::DATESTAMP, "100")])])]);
    assert_eq!(find(&alone, "100", None, None).expect("the only one").file.as_ref(), "b.mysql.gz");
    assert_eq!(BackupId::new(5, |id| id.0 < 8), BackupId(8));
}

#[test]
fn what_a_wrong_clock_dated_in_the_future_is_not_the_latest() {
    let ahead = "2100000000";
    let listing = Listing::from_places(&[place(
        "m",
        "h",
        vec![file("real.tar", 1, &[(key::ID, "50")]), file("ahead.tar", 1, &[(key::ID, ahead)])],
    )]);
    let wanted = Wanted { what: "latest", source: None, destination: None, now: 1_900_000_000 };
    let found = listing.find(&wanted).expect("found");
    assert_eq!(&*found.backup.file, "real.tar");
    assert!(found.notes.iter().any(|note| note.text.contains("ahead.tar")), "{:?}", found.notes);
    assert_eq!(find(&listing, ahead, None, None).expect("by number").file.as_ref(), "ahead.tar");
    let alone = Listing::from_places(&[place("m", "h", vec![file("ahead.tar", 1, &[(key::ID, ahead)])])]);
    let found = alone.find(&wanted).expect("the only one");
    assert!(found.notes.iter().any(|note| note.text.contains("the clock was wrong")), "{:?}", found.notes);
}

#[test]
fn what_is_not_there_is_said_with_a_way_on() {
    let mut listing = Listing::from_places(&[place("m", "h", vec![file("a.tar", 5, &[])])]);
    listing.unreachable.insert("offsite".into(), "no route to host".into());
    let error = find(&listing, "4", Some("db"), None).expect_err("not there");
    assert_eq!(error.code(), Code::NotFound);
    assert_eq!(
        error.message(),
        "there is no backup \"4\" of db; offsite could not be asked: no route to host"
    );
    assert!(error.next_step().is_some_and(|hint| hint.contains("the newest is 5 (a.tar)")), "{error}");
    assert_eq!(find(&listing, "a.tar", None, Some("m")).expect("by name").id, BackupId(5));
    assert!(find(&listing, "latest", None, Some("offsite")).is_err());
    assert!(
        find(&Listing::default(), "latest", None, None)
            .expect_err("none")
            .to_string()
            .contains("no backups at all")
    );
}

#[test]
fn the_latest_tells_of_other_sources_and_a_slip_of_the_pen_of_what_is_near() {
    let of = |name: &str, id: &str, source: &str| file(name, 1, &[(key::ID, id), (key::SOURCE_ID, source)]);
    let two = [of("a.tar", "5", "db"), of("b.tar", "4", "files"), of("c.tar", "3", "db")];
    let listing = Listing::from_places(&[place("m", "h", two.to_vec())]);
    let notes = |source| {
        let wanted = Wanted { what: "latest", source, destination: None, now: 1_900_000_000 };
        let found = listing.find(&wanted).expect("the newest");
        found.notes.into_iter().map(|note| note.text).collect::<Vec<_>>()
    };
    assert_eq!(notes(None), ["the latest is 5 of db; there are backups of files, too (--source)"]);
    assert_eq!(notes(Some("db")), [""; 0]);
    for (what, hint) in [
        ("lat", "did you mean \"latest\"?"),
        ("b.tr", "did you mean \"b.tar\"?"),
        ("something else", "give its ID, its file name, or `latest`"),
    ] {
        let error = find(&listing, what, None, None).expect_err("none is called so");
        assert_eq!(error.code(), Code::Usage, "{error}");
        assert!(error.next_step().is_some_and(|found| found.starts_with(hint)), "{error}");
    }
    let ahead = [of("a.tar", "5", "db"), of("z.tar", "2000000000", "db")];
    let listing = Listing::from_places(&[place("m", "h", ahead.to_vec())]);
    let error = find(&listing, "4", None, None).expect_err("not there");
    assert!(error.next_step().is_some_and(|hint| hint.contains("the newest is 5 (a.tar)")), "{error}");
}

#[test]
fn what_a_backup_is_is_told_by_its_name_its_sidecar_and_where_it_lies() {
    let fields = |id, source| [(key::ID, id), (key::SOURCE_ID, source), (key::FORMAT, "1")];
    let here = || place("m", "h", vec![file("d.tar.gz", 7, &fields("7", "db"))]);
    let repository = |id, source| {
        let files = vec![file("d.tar.gz", 7, &fields(id, source))];
        let (place, files) = place("r", "h", files);
        (Place { repository: true, ..place }, files)
    };
    for (id, source, backups) in [("7", "db", 1), ("8", "db", 2), ("7", "files", 2)] {
        let listing = Listing::from_places(&[here(), repository(id, source)]);
        assert_eq!(listing.backups.len(), backups, "{id} {source}");
    }
    let one = |places: &[(Place, Vec<Listed>)]| {
        let sites = Sites::of(&Document::default(), None);
        let listing = Listing::from_places(places).of_sites(&sites).expect("every site's");
        assert!(listing.notes.is_empty(), "nothing is ambiguous: {:?}", listing.notes);
        listing.backups.into_iter().next().expect("one")
    };
    let both = one(&[here(), repository("7", "db")]);
    assert!(both.is_ours() && !both.is_in_repositories() && !both.is_encrypted());
    assert_eq!(both.copies.iter().map(|copy| copy.sealed).collect::<Vec<_>>(), [false, true]);
    assert_eq!((both.age(10), both.age(5)), (3, 0));
    let mut stored = one(&[repository("7", "db")]);
    assert!(stored.is_in_repositories() && stored.is_encrypted());
    stored.copies.clear();
    assert!(!stored.is_in_repositories(), "nowhere");
    let encrypted = one(&[place("m", "h", vec![file("e.tar.gz.aes", 7, &[(key::ID, "7")])])]);
    assert!(encrypted.is_encrypted() && !encrypted.is_in_repositories() && !encrypted.is_ours());
    let bare = one(&[here(), place("n", "h", vec![file("d.tar.gz", 7, &[])])]);
    assert_eq!(
        bare.copies.iter().map(|copy| (copy.whole, copy.differs)).collect::<Vec<_>>(),
        [(true, false), (false, false)]
    );
    let left = |left_out| Listing { left_out, ..Listing::default() }.incomplete().map(|note| note.text);
    assert_eq!(left(0), None);
    assert!(left(1).is_some_and(|text| text.starts_with("one backup is")));
    assert!(left(2).is_some_and(|text| text.starts_with("2 backups are")));
}
