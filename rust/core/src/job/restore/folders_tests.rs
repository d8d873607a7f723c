use super::*;
use crate::archive::{Entry, EntryKind, Survey};
use crate::config::Document;

/// Where a member of a site archive lands on a site.
fn landed(site: serde_json::Value, code: bool, member: &str) -> Option<PathBuf> {
    let manifest = "[Site 0]\ndocroot = docroot\nsitedir = sites/default\nfiles-public = docroot/sites/default/files\n\
                        bam-files-private = private\n";
    let mut survey = Survey::default();
    let kind = EntryKind::File { size: manifest.len() as u64 };
    let entry = Entry {
        path: b"MANIFEST.ini".to_vec(),
        kind,
        mode: 0o644,
        uid: 0,
        gid: 0,
        mtime: 0,
        extras: Default::default(),
    };
    survey.observe(&entry, &mut manifest.as_bytes()).expect("a manifest");
    let layout = survey.layout();
    let document: Document = serde_json::from_value(serde_json::json!({"site": site})).expect("a document");
    let target = Target {
        document: &document,
        state_dir: Path::new("/"),
        id: String::new(),
        database: String::new(),
        folder: None,
        code,
        settings: false,
        tables: &[],
        unread_tables: Vec::new(),
        only: None,
        translate: true,
        authentic: false,
        keep: &|_| Ok(Vec::new()),
        others: Vec::new(),
        recorded: None,
    };
    let folders = Folders::of(&target, &layout, true, &Monitor::new()).expect("looked");
    let live = folders.live();
    for (at, folder) in live.iter().enumerate() {
        let inside = |(other, outer): (usize, &PathBuf)| other != at && folder.starts_with(outer);
        assert!(!live.iter().enumerate().any(inside), "{live:?}");
    }
    folders.place(layout.part(member.as_bytes())).map(|place| folders.live_path(&place))
}

#[test]
fn files_go_where_this_site_has_them() {
    let public = "docroot/sites/default/files/a";
    for (site, code, member, expected) in [
        (serde_json::json!({"root": "/w"}), false, public, Some("/w/sites/default/files/a")),
        (serde_json::json!({"root": "/w"}), false, "docroot/index.php", None),
        (serde_json::json!({"root": "/w"}), true, "docroot/index.php", Some("/w/index.php")),
        (serde_json::json!({"root": "/w"}), true, "private/m", None),
        (
            serde_json::json!({"root": "/w", "conf_path": "sites/x.org"}),
            true,
            public,
            Some("/w/sites/x.org/files/a"),
        ),
        (serde_json::json!({"root": "/w", "public_path": "/srv/f"}), true, public, Some("/srv/f/a")),
        (
            serde_json::json!({"root": "/w", "private_path": "sites/default/files/private"}),
            false,
            "private/m",
            Some("/w/sites/default/files/private/m"),
        ),
        (
            serde_json::json!({"root": "/w", "private_path": "/srv", "public_path": "/srv/public"}),
            false,
            public,
            Some("/srv/public/a"),
        ),
        (serde_json::json!({"root": "/w", "private_path": "../p"}), true, "private/m", Some("/p/m")),
    ] {
        assert_eq!(landed(site.clone(), code, member).as_deref(), expected.map(Path::new), "{site} {member}");
    }
}
