use super::*;
use crate::config::{Compression, EncryptionKind, Keep};
use std::fs;
use std::os::unix::fs::PermissionsExt;

const DESIGN: &str = r#"
# the example of the reference page
site: { root: /var/www/drupal, conf_path: sites/default, name: PECE Lab, mail: admin@example.org, url: "http://example.org" }
databases:
  db: { url: "mysql://user:pass@127.0.0.1:3306/d7" }
sources:
  db:       { type: database, database: db }
  files:    { type: files, path: sites/default/files }
  pece_bkp: { type: files, path: sites/default/files, name: PECE files }
  archive:  { type: archive }
destinations:
  manual:   { type: directory, path: /srv/backups/manual, chmod: 0640 }
  scheduled: { type: directory, path: /srv/backups/scheduled }
  offsite:  { type: sftp, url: "sftp://backup@host:22/backups", identity_file: /etc/bam/id, host_key: "SHA256:abc" }
  mirror:   { type: rsync, url: "backup@host:/backups" }
profiles:
  pece_backup:
    filename: "[site:name]"
    compression: gzip
    encryption: aes
    site_offline: yes
    ignore_errors: no
    notify: { success: "[site:mail]", failure: [ "a@example.org", "b@example.org" ] }
    sources:
      db:       { nodata_tables: [cache, sessions], exclude_tables: [], lock_tables: false }
      pece_bkp:
        exclude: |
          backup_migrate
             styles

          css
schedules:
  pece_backup: { source: archive, destinations: [scheduled, offsite], profile: pece_backup, every: 604800, cron: null, keep: 0, enabled: true }
  daily: { destinations: manual, every: 1d, keep: smart }
encryption: { key_file: /etc/bam/key, iterations: 600000 }
policy: { copies: 3, distinct_hosts: true, max_age: 8d, verify_every: 30d }
"#;

fn refused(text: &str) -> (String, String) {
    let error = Document::from_yaml(text).expect_err("must be refused");
    assert_eq!(error.code(), Code::Config);
    (error.message().to_owned(), error.next_step().unwrap_or_default().to_owned())
}

#[test]
fn the_reference_example_is_read() {
    let document = Document::from_yaml(DESIGN).expect("the example");
    let profile = document.profiles.get("pece_backup").expect("the profile");
    assert_eq!((profile.compression, profile.encryption), (Compression::Gzip, EncryptionKind::Aes256));
    assert_eq!((profile.site_offline, profile.ignore_errors), (true, false), "YAML 1.1's yes and no");
    assert_eq!(profile.notify.success, ["[site:mail]"], "one string is a list of one");
    let exclude = profile.sources.get("pece_bkp").and_then(|source| source.exclude.clone());
    assert_eq!(exclude.expect("excludes"), ["backup_migrate", "styles", "css"]);
    assert!(profile.sources.get("db").is_some_and(|db| db.exclude.is_none()));
    let daily = document.schedules.get("daily").expect("the schedule");
    assert_eq!((daily.every, &daily.keep, daily.enabled), (86_400, &Keep::Smart, true));
    assert_eq!((daily.source.as_str(), daily.profile.as_str()), ("db", "default"));
    assert_eq!(document.policy.max_age, Some(8 * 86_400));
    let manual = document.destinations.get("manual").expect("the destination");
    assert_eq!(manual.chmod.as_deref(), Some("0640"));
}

#[test]
fn an_unknown_key_names_its_place_and_its_neighbour() {
    let (message, hint) = refused("profiles:\n  pece:\n    compresion: gzip\n");
    assert_eq!(message, "profiles.pece.compresion (line 3, column 5): there is no key \"compresion\"");
    assert!(hint.starts_with("did you mean \"compression\"? There are: name, filename,"), "{hint}");
    let (message, hint) = refused("sorces: {}\n");
    assert_eq!(message, "sorces (line 1, column 1): there is no key \"sorces\"");
    assert!(hint.starts_with("did you mean \"sources\""), "{hint}");
}

#[test]
fn a_wrong_value_says_what_is_allowed() {
    let (message, hint) = refused("profiles:\n  pece:\n    compression: gzipp\n");
    assert_eq!(message, "profiles.pece.compression (line 3, column 18): \"gzipp\" is not allowed here");
    assert!(hint.contains("did you mean \"gzip\"?") && hint.contains("zstd, bzip2"), "{hint}");
    let (message, hint) = refused("sources:\n  a: {type: archive}\n  db: {path: x, type: databse}\n");
    assert_eq!(message, "sources.db.type (line 3, column 23): \"databse\" is not allowed here");
    assert_eq!(hint, "did you mean \"database\"? There are: database, files, archive");
    let (message, _) = refused("policy:\n  max_age: soon\n");
    assert_eq!(
        message,
        "policy.max_age (line 2, column 12): found a text, expected a duration such as 8d, 12h or 90m, or a number of seconds"
    );
    let (message, _) = refused("sources:\n  db: [1, 2]\n");
    assert!(message.starts_with("sources.db"), "{message}");
    let (message, _) = refused("sources:\n  x: {path: a}\n");
    assert_eq!(message, "sources.x (line 2, column 6): the key \"type\" is missing");
}

#[test]
fn a_secret_is_never_repeated() {
    for text in [
        "databases: {db: 'mysql://u:s3cret@h/d'}",
        "databases: {db: {url: [s3cret]}}",
        "encryption: s3cret",
        "encryption: {iterations: s3cret}",
        "policy: {max_age: s3cret}",
        "destinations: {x: {type: sftp, chmod: s3cret}}",
    ] {
        let error = Document::from_yaml(text).expect_err("wrong type");
        assert!(!error.to_string().contains("s3cret"), "{error}");
    }
    let error = Document::from_json(r#"{"databases": {"db": {"url": 5, "password": "s3cret"}}}"#)
        .expect_err("wrong type");
    assert_eq!(error.message(), "databases.db.url (line 1, column 30): found a number, expected a text");
    let error = Document::from_json(r#"{"databases": {"db": "s3cret"}}"#).expect_err("wrong type");
    assert!(!error.to_string().contains("s3cret"), "{error}");
}

#[test]
fn a_database_that_is_not_described_is_told_with_what_to_write() {
    for (text, says, hint) in [
        (
            "databases: { main: { url: sqlite:/x } }\nsources: { all: { type: archive } }",
            "is not said",
            "write database: main",
        ),
        (
            "databases: { a: { url: sqlite:/x }, b: { url: sqlite:/y } }\nsources: { all: { type: archive } }",
            "is not said",
            "there are: a, b",
        ),
        (
            "databases: { main: { url: sqlite:/x } }\nsources: { all: { type: archive, database: mian } }",
            "\"mian\"",
            "\"main\"",
        ),
        ("sources: { all: { type: database } }", "\"db\": none is described", "databases: { db: { url:"),
    ] {
        let error = Document::from_yaml(text).expect_err(text);
        assert!(error.message().starts_with("sources.all") && error.message().contains(says), "{error}");
        assert!(error.next_step().unwrap_or_default().contains(hint), "{error}");
    }
}

#[test]
fn references_must_lead_somewhere() {
    let text = "sources: {site: {type: files, path: /srv}}\nschedules:\n  weekly:\n    source: sit\n    destinations: [m]\n";
    let (message, hint) = refused(text);
    assert_eq!(message, "schedules.weekly.source (line 4, column 13): there is no \"sit\"");
    assert_eq!(hint, "did you mean \"site\"? There are: site");
    let (message, _) = refused("schedules:\n  weekly: {every: 7d}\n");
    assert!(message.starts_with("schedules.weekly.source (line 2, column 11)"), "{message}");
    let (message, _) = refused("sources: {x: {type: database}}");
    assert!(message.starts_with("sources.x.database"), "{message}");
    let (message, hint) =
        refused("databases: {db: {url: 'sqlite:/d'}}\nschedules: {w: {destinations: [], cron: 'at noon'}}");
    assert!(
        message.starts_with("schedules.w.cron (line 2, column 41): \"at noon\" is no crontab"),
        "{message}"
    );
    assert!(hint.contains("0 4 * * 6"), "{hint}");
    let (message, hint) = refused("sources: {x: {type: files, path: 's3://bucket'}}");
    assert!(
        message.starts_with("sources.x.path (line 1, column 34): s3://bucket: unknown kind"),
        "{message}"
    );
    assert!(hint.contains("public://"), "{hint}");
}

#[test]
fn syntax_errors_say_where() {
    let (message, _) = refused("sources:\n  db: {type: database}\n   x: y\n");
    assert!(message.contains("line 3"), "{message}");
    let error = Document::from_json("{\"sources\": {\n").expect_err("cut off");
    assert!(error.message().starts_with("sources (line 2, column 0)"), "{error}");
    let error = Document::from_json("{} x").expect_err("trailing");
    assert!(error.message().contains("line 1, column 4"), "{error}");
    let (message, _) = refused("databases: {db: {url: a}, db: {url: b}}");
    assert!(message.contains("\"db\" is there twice"), "{message}");
    let (message, _) = refused("site: {name: a, name: b}");
    assert!(message.contains("\"name\" is there twice"), "{message}");
}

#[test]
fn php_writes_empty_arrays_and_numbers_in_its_own_way() {
    let document = Document::from_json(
        r#"{"site": [], "databases": [], "sources": [], "policy": null, "schedules": {"a": {"enabled": "1", "keep": "-2",
               "every": "604800", "destinations": {"0": "manual", "1": "copy"}, "last_run": null}},
               "profiles": {"p": {"append_timestamp": "1", "site_offline": 1, "encryption": "0", "sources": []}}}"#,
    )
    .expect("what PHP writes");
    let schedule = document.schedules.get("a").expect("the schedule");
    assert_eq!((schedule.every, &schedule.keep, schedule.enabled), (604_800, &Keep::Smart, true));
    assert_eq!(schedule.destinations, ["manual", "copy"]);
    assert_eq!(document.validate().expect_err("no source db").code(), Code::Config);
    assert!(document.check().iter().any(|note| note.text.contains("schedules.a.source")));
}

#[test]
fn octal_permissions_are_never_guessed() {
    let chmod = |value: &str| {
        let text = format!("destinations: {{m: {{type: directory, path: /srv, chmod: {value}}}}}");
        Document::from_yaml(&text)
            .map(|d| d.destinations.get("m").and_then(|m| m.chmod.clone()).unwrap_or_default())
    };
    for (written, read) in
        [("0640", "0640"), ("640", "0640"), ("\"0640\"", "0640"), ("'600'", "0600"), ("2770", "2770")]
    {
        assert_eq!(chmod(written).expect("permissions"), read);
    }
    for wrong in ["0o640", "416", "888", "yes", "rw", "12345", "044"] {
        assert!(chmod(wrong).is_err(), "{wrong}");
    }
}

/// Every key of every section stands in the reference, and its examples are read.
#[test]
fn the_reference_page_is_complete() {
    let page = include_str!("../../../../docs/configuration.md");
    for section in [
        "%",
        "site: {%}",
        "databases: {x: {%}}",
        "sources: {x: {type: files, %}}",
        "destinations: {x: {type: rsync, %}}",
        "profiles: {x: {%}}",
        "profiles: {x: {notify: {%}}}",
        "profiles: {x: {sources: {y: {%}}}}",
        "schedules: {x: {%}}",
        "schedules: {x: {keep: {%}}}",
        "smart_keep: {%}",
        "encryption: {%}",
        "encryption: {aes_module: {%}}",
        "policy: {%}",
    ] {
        let (_, hint) = refused(&section.replace('%', "zzzzzzzz: 1"));
        let keys = hint.strip_prefix("there are: ").unwrap_or_else(|| panic!("{section}: {hint}"));
        for key in keys.split(", ") {
            assert!(
                page.contains(&format!("`{key}`")),
                "{section}: {key} is missing in docs/configuration.md"
            );
        }
    }
    for example in page.split("```yaml").skip(1) {
        let yaml = example.split("```").next().unwrap_or_default();
        let document = Document::from_yaml(yaml).expect("the example of the page");
        assert_eq!(document.check(), [], "without a doubtful word");
    }
}

#[test]
fn a_readable_file_with_passwords_is_reported() {
    let dir = tempfile::tempdir().expect("a folder");
    let path = dir.path().join("bam.yml");
    fs::write(&path, "site: {root: web}\nencryption: {key: s3cret}\n").expect("written");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).expect("chmod");
    let document = Document::load(&path).expect("read");
    assert_eq!(document.site.root, dir.path().join("web"), "relative to the file");
    assert!(
        document.check().iter().any(|note| note.kind == NoteKind::Warning && note.text.contains("chmod o="))
    );
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).expect("chmod");
    assert!(Document::load(&path).expect("read").notes.is_empty());

    let error = Document::load(&dir.path().join("none.yml")).expect_err("no file");
    assert_eq!(error.code(), Code::Config);
    fs::write(&path, "sourcs: {}\n").expect("written");
    let error = Document::load(&path).expect_err("a typo");
    assert!(error.message().starts_with(path.to_str().expect("UTF-8")), "{error}");
}

#[test]
fn the_newest_format_is_read_and_none_beyond_it() {
    let read = |format: u64| Document::from_json(&format!("{{\"format\": {format}}}"));
    read(NEWEST_FORMAT).expect("this one");
    let error = read(NEWEST_FORMAT + 1).expect_err("a later one");
    assert!(error.code() == Code::Config && error.message().contains("too new"), "{error}");
}

#[test]
fn a_name_that_is_half_another_is_that_one() {
    assert_eq!(nearest("mood", &["mode", "path"]), Some("mode"), "two letters of four");
    assert_eq!(nearest("mooood", &["mode", "path"]), None);
}

#[test]
fn a_secret_in_a_wrong_place_is_refused_and_not_repeated() {
    for (text, key) in [
        ("databases: { db: { url: 'mysql://u@h/x?password=s3cret' } }", "databases.db.url"),
        ("databases: { db: { url: 'mysql:/u:s3cret@h/x' } }", "databases.db.url"),
        (
            "databases: { db: { url: 'mysql://u@h/x', socket: 'mysql://u:s3cret@h/x' } }",
            "databases.db.socket",
        ),
        ("destinations: { d: { type: rsync, url: 'u:s3cret@h:/b' } }", "destinations.d.url"),
        ("destinations: { d: { type: rsync, url: 'sftp:s3cret@h:/b' } }", "destinations.d.url"),
        ("destinations: { d: { type: rsync, url: 'rsync://u:s3cret@h/m' } }", "destinations.d.url"),
        ("destinations: { d: { type: webdav, url: 'https://h/b?token=s3cret' } }", "destinations.d.url"),
        ("destinations: { d: { type: s3, url: 's3://k:s3cret@b/p' } }", "destinations.d.url"),
        (
            "destinations: { d: { type: s3, url: 's3://b', endpoint: 'http://k:s3cret@h' } }",
            "destinations.d.endpoint",
        ),
    ] {
        let (message, hint) = refused(text);
        assert!(message.starts_with(key), "{text}: {message}");
        assert!(!hint.is_empty() && !format!("{message}{hint}").contains("s3cret"), "{message} {hint}");
    }
    for text in [
        "databases: { db: { url: 'mysql://u:p@h/x', socket: /run/x.sock } }",
        "destinations: { d: { type: webdav, url: 'https://u:p@h/files/me@example.org' } }",
        "destinations: { d: { type: sftp, url: 'sftp://u:p@h/b' }, e: { type: rsync, url: 'u@h:/b' } }",
    ] {
        Document::from_yaml(text).expect(text);
    }
}

#[test]
fn a_key_in_the_place_of_its_file_is_not_repeated() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("bam.yml");
    let load = |text: &str| {
        std::fs::write(&path, text).expect("written");
        Document::load(&path)
    };
    for key in ["correct horse battery staple", "c29tZQ+/s3cret==", "s3cret"] {
        for text in [
            format!("encryption: {{ key_file: '{key}' }}"),
            format!("encryption: {{ keys: ['{key}'] }}"),
            format!("databases: {{ db: {{ url: 'mysql://u@h/x', password_file: '{key}' }} }}"),
            format!("destinations: {{ d: {{ type: sftp, url: 'u@h:/b', password_file: '{key}' }} }}"),
        ] {
            let error = load(&text).expect_err(&text);
            assert_eq!(error.code(), Code::Config);
            assert!(
                !error.to_string().contains(key) && error.to_string().contains("no file of the name"),
                "{error}"
            );
        }
    }
    std::fs::write(folder.path().join("key"), "k").expect("written");
    for file in ["key", "./later", "/etc/no/such/key"] {
        load(&format!("encryption: {{ key_file: '{file}' }}")).expect(file);
    }
}
