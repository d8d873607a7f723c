//! Tests of [`super::Sites`]: two sites in one folder, and backups that do not say whose they are.

use super::{Listing, Place, Sidecar, Sites, Wanted, key};
use crate::Code;
use crate::config::Document;
use crate::destination::Listed;

const NOW: i64 = 1_000;

/// A file of these fields; without any it has no sidecar.
fn file(name: &str, id: u64, fields: &[(&str, &str)]) -> Listed {
    let mut sidecar = Sidecar::new();
    sidecar.set_number(key::ID, id);
    fields.iter().for_each(|(key, value)| sidecar.set(key, value));
    let sidecar = (!fields.is_empty()).then(|| sidecar.to_string());
    Listed { name: name.into(), size: 1, mtime: i64::try_from(id).expect("small"), sidecar }
}

/// Written by bam for a site.
fn ours(name: &str, id: u64, site: &str) -> Listed {
    let host = site.split_whitespace().next().unwrap_or_default();
    file(name, id, &[(key::SITE, site), (key::SITE_NAME, host), (key::FORMAT, "1"), (key::SOURCE_ID, "db")])
}

fn place(folder: &str, files: Vec<Listed>) -> (Place, Vec<Listed>) {
    let place = Place {
        destination: folder.into(),
        host: "h".into(),
        folder: folder.into(),
        local: true,
        repository: false,
        same_as: None,
    };
    (place, files)
}

fn document(yaml: &str) -> Document {
    Document::from_yaml(yaml).expect(yaml)
}

fn of(places: &[(Place, Vec<Listed>)], document: &Document, asked: Option<&str>) -> crate::Result<Listing> {
    Listing::from_places(places).of_sites(&Sites::of(document, asked))
}

fn names(listing: &Listing) -> Vec<&str> {
    listing.backups.iter().map(|backup| &*backup.file).collect()
}

fn latest(listing: &Listing) -> crate::Result<&str> {
    let wanted = Wanted { what: "latest", source: None, destination: None, now: NOW };
    listing.find(&wanted).map(|found| &*found.backup.file)
}

#[test]
fn each_site_sees_its_own() {
    let folder = [place(
        "/b",
        vec![
            ours("a1.tar", 1, "http://a.org"),
            ours("b2.tar", 2, "http://b.org"),
            ours("b3.tar", 3, "http://b.org"),
        ],
    )];
    let a = document("site: {url: 'https://a.org', name: A}");
    let listing = of(&folder, &a, None).expect("listed");
    assert_eq!((names(&listing), latest(&listing).expect("its own")), (vec!["a1.tar"], "a1.tar"));
    assert!(listing.notes.iter().any(|note| note.text.contains("2 backups of other sites are passed over")));
    let wanted = Wanted { what: "b3.tar", source: None, destination: None, now: NOW };
    let error = listing.find(&wanted).expect_err("another's");
    assert_eq!(error.code(), Code::Usage);
    assert!(error.to_string().contains("--site http://b.org"), "{error}");

    for asked in ["http://b.org/", "b.org", "https://b.org"] {
        assert_eq!(latest(&of(&folder, &a, Some(asked)).expect(asked)).expect(asked), "b3.tar");
    }
    assert_eq!(names(&of(&folder, &a, Some("all")).expect("all")), ["b3.tar", "b2.tar", "a1.tar"]);
    assert_eq!(names(&of(&folder, &a, Some("A")).expect("by its name")), ["a1.tar"]);
    let error = of(&folder, &a, Some("c.org")).expect_err("no such site");
    assert!(error.to_string().contains("2 of") || error.to_string().contains("http://b.org"), "{error}");

    let c = document("site: {url: 'https://c.org'}");
    let error = latest(&of(&folder, &c, None).expect("listed")).expect_err("none").to_string();
    assert!(
        error.contains("no backup of this site, https://c.org") && error.contains("http://b.org"),
        "{error}"
    );
}

#[test]
fn a_bare_machine_is_asked_which_site_where_there_are_several() {
    let bare = Document::default();
    let one = [place("/b", vec![ours("a1.tar", 1, "http://a.org folder:f"), ours("a2.tar", 2, "folder:f")])];
    assert_eq!(latest(&of(&one, &bare, None).expect("listed")).expect("one site"), "a2.tar");
    let two = [place("/b", vec![ours("a1.tar", 1, "http://a.org"), ours("b2.tar", 2, "http://b.org")])];
    let listing = of(&two, &bare, None).expect("listed");
    let error = latest(&listing).expect_err("several sites");
    assert_eq!(error.code(), Code::Usage);
    for word in ["http://a.org", "http://b.org", "--site"] {
        assert!(error.to_string().contains(word), "{error}");
    }
    let by_id = Wanted { what: "1", source: None, destination: None, now: NOW };
    assert_eq!(listing.find(&by_id).expect("a number names one").backup.file.as_ref(), "a1.tar");
    assert_eq!(latest(&of(&two, &bare, Some("http://a.org")).expect("listed")).expect("named"), "a1.tar");
}

#[test]
fn what_does_not_say_whose_it_is_counts_where_no_other_site_is() {
    let a = document("site: {url: 'https://a.org', name: A}");
    let dump = || file("dump.mysql.gz", 5, &[]);
    let alone =
        of(&[place("/b", vec![dump(), ours("a1.tar", 1, "http://a.org")])], &a, None).expect("listed");
    assert_eq!(names(&alone), ["dump.mysql.gz", "a1.tar"]);
    assert_eq!(alone.backups.iter().map(|backup| backup.site_assumed).collect::<Vec<_>>(), [true, false]);
    let shared =
        of(&[place("/b", vec![dump(), ours("b1.tar", 1, "http://b.org")])], &a, None).expect("listed");
    assert_eq!(names(&shared), [""; 0]);
    let drush =
        |name: &str, site: &str| file(name, 5, &[(key::SITE_URL, "http://default/"), (key::SITE_NAME, site)]);
    let renamed = of(&[place("/b", vec![drush("x.tar", "Old name")])], &a, None).expect("listed");
    assert_eq!(names(&renamed), ["x.tar"]);
    let two =
        of(&[place("/b", vec![drush("x.tar", "A"), drush("y.tar", "B"), dump()])], &a, None).expect("listed");
    assert_eq!(names(&two), ["x.tar"], "two sites by their names");
    let elsewhere = [place("/b", vec![ours("b1.tar", 1, "http://b.org")]), place("/c", vec![dump()])];
    assert_eq!(names(&of(&elsewhere, &a, None).expect("listed")), ["dump.mysql.gz"]);
}

#[test]
fn backup_and_migrates_address_does_not_count_in_the_sites_own_folder() {
    let a = document("site: {root: /nowhere, url: 'https://a.org', private_path: /private/a}");
    let theirs = || file("x.mysql.gz", 5, &[(key::SITE_URL, "http://10.0.0.7")]);
    let own = of(&[place("/private/a/backup_migrate/manual", vec![theirs()])], &a, None).expect("listed");
    assert_eq!(names(&own), ["x.mysql.gz"]);
    assert!(own.backups.iter().all(|backup| backup.site_assumed));
    assert_eq!(names(&of(&[place("/srv", vec![theirs()])], &a, None).expect("listed")), [""; 0]);
    let bam = file("y.mysql.gz", 5, &[(key::SITE_URL, "http://b.org"), (key::FORMAT, "1")]);
    let own = of(&[place("/private/a/b", vec![bam])], &a, None).expect("listed");
    assert_eq!(names(&own), [""; 0], "what bam wrote says whose it is");
}

#[test]
fn a_site_that_changed_its_address_is_shown_the_way() {
    let before = document("site: {root: /nowhere, url: 'http://old.org'}");
    let words = super::SiteIdentity::of(&before).expect("a site").words();
    let folder = [place("/b", vec![ours("x.tar", 1, &words)])];
    let after = document("site: {root: /nowhere, url: 'https://new.org'}");
    let error = latest(&of(&folder, &after, None).expect("listed")).expect_err("none").to_string();
    assert!(error.contains("site.aliases") && error.contains("http://old.org"), "{error}");
    let moved = document("site: {root: /nowhere, url: 'https://new.org', aliases: ['http://old.org']}");
    assert_eq!(latest(&of(&folder, &moved, None).expect("listed")).expect("its own"), "x.tar");
    // Run without its address (Drush without --uri), it is the same folder and database.
    let unaddressed = document("site: {root: /nowhere}");
    assert_eq!(latest(&of(&folder, &unaddressed, None).expect("listed")).expect("its own"), "x.tar");
}

#[test]
fn a_backup_of_another_site_is_admitted_only_where_it_was_asked_for() {
    let a = document("site: {root: /nowhere, url: 'https://a.org', name: A}");
    let bare = Document::default();
    let identity = |yaml: &str| super::SiteIdentity::of(&document(yaml)).expect("a site");
    let sites = [
        identity("site: {url: 'http://a.org'}"),
        identity("site: {url: 'http://b.org'}"),
        super::SiteIdentity::of_sidecar(&Sidecar::new()),
    ];
    for (document, asked, admitted) in [
        (&a, None, [true, false, true]),
        (&a, Some("A"), [true, false, true]),
        (&a, Some("b.org"), [false, true, false]),
        (&a, Some("all"), [true; 3]),
        (&bare, None, [true; 3]),
        (&bare, Some("b.org"), [false, true, false]),
    ] {
        let wanted = Sites::of(document, asked);
        assert_eq!(sites.each_ref().map(|theirs| wanted.admit(theirs)), admitted, "{asked:?}");
        let checked = sites.each_ref().map(|theirs| wanted.check(theirs, "x.tar").is_ok());
        assert_eq!(checked, admitted, "{asked:?}");
        assert_eq!(wanted.own().is_some(), document.site.name == "A");
        assert_eq!(wanted.is_open(), document.site.name.is_empty() && asked.is_none());
    }
    let refused = |theirs| Sites::of(&a, None).check(theirs, "x.tar").expect_err("another's");
    let error = refused(&sites[1]);
    assert_eq!(error.code(), Code::Usage);
    assert!(error.to_string().ends_with("--site http://b.org)"), "{error}");
    let error = refused(&identity("site: {root: /nowhere, url: 'http://old.org'}"));
    assert!(error.to_string().ends_with("add http://old.org to site.aliases)"), "{error}");
}

#[test]
fn backups_of_one_site_are_together() {
    let a = document("site: {url: 'https://a.org', name: A}");
    let groups = |listing: &Listing| -> Vec<Vec<String>> {
        let names = |group: Vec<&super::Backup>| group.iter().map(|backup| backup.file.to_string()).collect();
        listing.by_site().into_iter().map(names).collect()
    };
    let dump = || file("dump.mysql.gz", 5, &[]);
    let own = [place("/b", vec![dump(), ours("a1.tar", 1, "http://a.org")])];
    assert_eq!(groups(&of(&own, &a, None).expect("listed")), [["dump.mysql.gz", "a1.tar"]]);
    let shared = [place(
        "/b",
        vec![
            dump(),
            ours("a3.tar", 3, "http://a.org"),
            ours("b2.tar", 2, "http://b.org"),
            ours("a1.tar", 1, "http://a.org"),
        ],
    )];
    let all = of(&shared, &a, Some("all")).expect("listed");
    assert_eq!(groups(&all), [vec!["dump.mysql.gz"], vec!["a3.tar", "a1.tar"], vec!["b2.tar"]]);
    let named = |name: &str, id: u64, site: &str| file(name, id, &[(key::SITE_NAME, site)]);
    let unaddressed =
        [place("/b", vec![named("x.tar", 3, "A"), named("y.tar", 2, "B"), named("z.tar", 1, "A")])];
    let listing = of(&unaddressed, &Document::default(), None).expect("listed");
    assert_eq!(groups(&listing), [vec!["x.tar", "z.tar"], vec!["y.tar"]]);
}
