//! Reading a document: from YAML, from JSON, from a file; and saying what is wrong with it, where, and what was meant.

use super::{Document, builtin, exposure, locate, mask};
use crate::{Code, Error, Fact, Note, NoteKind, Result, ResultExt, Told};
use serde::Deserialize;
use serde_path_to_error::Segment;
use std::fs::File;
use std::io::{self, ErrorKind, Read};
use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

/// How serde begins to tell of an unknown key.
const UNKNOWN_KEY: &str = "unknown field `";

/// No configuration is bigger; a backup given by mistake is.
const LONGEST: u64 = 16 * 1024 * 1024;

/// The format of documents that this version knows: one whose keys older versions would misread counts it up.
const NEWEST_FORMAT: u64 = 1;

/// The one key that is looked at before all others, which may be unknown then.
#[derive(Deserialize)]
struct Head {
    format: Option<u64>,
}

/// Refuses what was written for a newer version. What is no document at all is told by whoever reads it as a whole.
fn check_format(head: Option<Head>) -> Result<()> {
    match head.and_then(|head| head.format) {
        Some(format) if format > NEWEST_FORMAT => {
            let ours = env!("CARGO_PKG_VERSION");
            Err(Error::new(
                Code::Config,
                format!("the configuration is too new: its format is {format}, and this bam ({ours}) knows those up to {NEWEST_FORMAT}"),
            )
            .hint(format!("it was written for a later bam than {ours}: install that one")))
        }
        _ => Ok(()),
    }
}

impl Document {
    /// Reads a `bam.yml` somebody wrote. Contradictions are errors, too, with their line ([`Document::validate`]).
    pub fn from_yaml(text: &str) -> Result<Document> {
        check_format(serde_yaml::from_str(text).ok())?;
        let mut track = serde_path_to_error::Track::new();
        let reader = serde_yaml::Deserializer::from_str(text);
        let read = Document::deserialize(serde_path_to_error::Deserializer::new(reader, &mut track));
        let mut document = read.map_err(|cause| {
            let path = track.path();
            let message = cause.to_string();
            let own_place = cause.location().map(|at| (at.line(), at.column()));
            // serde notices some mistakes only when it is past the value; an unknown key has no value to look for.
            let value_place =
                if message.contains(UNKNOWN_KEY) { None } else { locate::locate(text, &keys(&path)) };
            explain(&path, value_place.or(own_place), &message)
        })?;
        builtin::complete(&mut document);
        crate::environment::remember(&document);
        match document.problems().into_iter().next() {
            None => Ok(document),
            Some(problem) => {
                // A key that is missing has no place of its own: its parent's will do.
                let place = locate::locate(text, &problem.path).or_else(|| {
                    problem.path.split_last().and_then(|(_, parent)| locate::locate(text, parent))
                });
                Err(problem.into_error(place))
            }
        }
    }

    /// Reads what a program made of a site's settings. References that lead nowhere are no error here, since Drupal
    /// keeps schedules whose profile is gone; [`Document::check`] lists them.
    pub fn from_json(text: &str) -> Result<Document> {
        check_format(serde_json::from_str(text).ok())?;
        let mut track = serde_path_to_error::Track::new();
        let mut reader = serde_json::Deserializer::from_str(text);
        let read = Document::deserialize(serde_path_to_error::Deserializer::new(&mut reader, &mut track))
            .and_then(|document| reader.end().map(|()| document));
        let mut document = read.map_err(|cause| {
            let place = (cause.line() > 0).then(|| (cause.line(), cause.column()));
            explain(&track.path(), place, &cause.to_string())
        })?;
        builtin::complete(&mut document);
        crate::environment::remember(&document);
        Ok(document)
    }

    /// Reads a file: JSON where its name ends in `.json`, else YAML. `site.root`, `state_dir` and the files with keys
    /// and passwords may be relative to the file's folder, or begin with `~/`. A file that holds passwords and is
    /// readable by others gives a warning ([`Document::check`]).
    pub fn load(path: &Path) -> Result<Document> {
        let unreadable = |cause| Document::unreadable(path, cause);
        let file = File::open(path).map_err(unreadable)?;
        let open = exposure::is_open(&file.metadata().map_err(unreadable)?);
        let mut bytes = Zeroizing::new(Vec::new());
        file.take(LONGEST).read_to_end(&mut bytes).map_err(unreadable)?;
        let text =
            std::str::from_utf8(&bytes).map_err(|cause| not_utf8(path, &bytes, cause.valid_up_to()))?;
        let read = if path.extension().is_some_and(|ext| ext.eq_ignore_ascii_case("json")) {
            Document::from_json(text)
        } else {
            Document::from_yaml(text)
        };
        let mut document = read.within(Fact::Path, path.display())?;
        document.anchor(path.parent().unwrap_or(Path::new("")))?;
        document.file = Some(std::path::absolute(path).at("cannot find", path)?);
        if open && !mask::secrets(&document).is_empty() {
            document.notes.push(Note {
                kind: NoteKind::Warning,
                text: format!("{0} holds passwords, and anybody can read it: chmod o= {0}", path.display()),
            });
        }
        Ok(document)
    }

    /// The failure to read the configuration at `path`, which is one of the configuration, whatever the reason.
    pub fn unreadable(path: &Path, cause: io::Error) -> Error {
        let hint = match cause.kind() {
            ErrorKind::PermissionDenied => {
                "run this as root, or as a user who may read it (it holds passwords: not everybody)"
            }
            _ => "check its name",
        };
        let what = format!("cannot read the configuration {}", path.display());
        Error::new(Code::Config, what).because(cause).hint(hint)
    }

    /// Makes the paths absolute that are relative to the configuration file.
    fn anchor(&mut self, folder: &Path) -> Result<()> {
        let folder = std::path::absolute(if folder.as_os_str().is_empty() { Path::new(".") } else { folder })
            .at("cannot find the folder", folder)?;
        let home = std::env::var_os("HOME").map(PathBuf::from);
        let anchor = |path: &mut PathBuf| {
            *path = match (path.strip_prefix("~"), &home) {
                (Ok(rest), Some(home)) => home.join(rest),
                _ => folder.join(&*path),
            };
        };
        if !self.site.root.as_os_str().is_empty() {
            anchor(&mut self.site.root);
        }
        let databases = self.databases.values_mut().filter_map(|database| database.password_file.as_mut());
        databases.for_each(anchor);
        for destination in self.destinations.values_mut() {
            let files = [
                &mut destination.password_file,
                &mut destination.identity_file,
                &mut destination.known_hosts,
                &mut destination.credentials_file,
                &mut destination.ca_file,
            ];
            files.into_iter().flatten().for_each(anchor);
        }
        self.encryption.key_file.iter_mut().for_each(anchor);
        self.encryption.keys.iter_mut().for_each(anchor);
        if let Some(module) = &mut self.encryption.aes_module {
            module.key_file.iter_mut().for_each(anchor);
        }
        self.state_dir.iter_mut().for_each(anchor);
        Ok(())
    }
}

/// Where the text stops to be UTF-8, counted in lines; nothing of it is repeated.
fn not_utf8(path: &Path, bytes: &[u8], at: usize) -> Error {
    let line = 1 + bytes.iter().take(at).filter(|byte| **byte == b'\n').count();
    let hint = match bytes.first_chunk::<2>() {
        Some([0xff, 0xfe] | [0xfe, 0xff]) => "it looks like UTF-16: save it as UTF-8",
        _ => "save it as UTF-8, e.g. with `iconv -f latin1 -t utf-8`",
    };
    Error::of_path(Code::Config, path, format!("is not UTF-8 (line {line})")).hint(hint)
}

/// `key path, line 3, column 5` as far as known.
pub(super) fn place(path: &str, at: Option<(usize, usize)>) -> String {
    let at = at.map(|(line, column)| format!("line {line}, column {column}"));
    match (path, at) {
        ("", Some(at)) => at,
        ("", None) => "the configuration".into(),
        (path, Some(at)) => format!("{path} ({at})"),
        (path, None) => path.to_owned(),
    }
}

/// The keys of serde's path, as far as it knows them.
fn keys(path: &serde_path_to_error::Path) -> Vec<String> {
    let name = |segment: &Segment| match segment {
        Segment::Map { key } => Some(key.clone()),
        Segment::Seq { index } => Some(index.to_string()),
        Segment::Enum { .. } | Segment::Unknown => None,
    };
    path.iter().map_while(name).collect()
}

/// serde's message about `path` in the words of a person, without any value that might be a secret.
fn explain(path: &serde_path_to_error::Path, at: Option<(usize, usize)>, message: &str) -> Error {
    let path = keys(path).join(".");
    let at = place(&path, at);
    let error = |text: String| Error::new(Code::Config, format!("{at}: {text}"));
    if let Some((_, rest)) = message.split_once(UNKNOWN_KEY) {
        let (key, known) = quoted(rest);
        return error(format!("there is no key \"{key}\"")).hint(suggest(&key, &known));
    }
    if let Some((_, rest)) = message.split_once("unknown variant `") {
        let (value, known) = quoted(rest);
        return error(format!("\"{value}\" is not allowed here")).hint(suggest(&value, &known));
    }
    if let Some((_, rest)) = message.split_once("missing field `") {
        let (key, _) = quoted(rest);
        return error(format!("the key \"{key}\" is missing"));
    }
    if let Some((_, rest)) = message.split_once("duplicate field `") {
        let (key, _) = quoted(rest);
        return error(format!("the key \"{key}\" is there twice"));
    }
    if let Some((_, rest)) =
        message.split_once("invalid type: ").or_else(|| message.split_once("invalid value: "))
    {
        // What was found may be a password: only its kind is told.
        let found = match rest.split([' ', ',']).next().unwrap_or_default() {
            "unit" | "null" | "Option" => "nothing",
            "map" => "a map",
            "sequence" => "a list",
            "string" => "a text",
            "boolean" => "true or false",
            "integer" | "floating" => "a number",
            other => other,
        };
        let expected = rest.rsplit_once(", expected ").map_or("something else", |(_, expected)| expected);
        return error(format!("found {found}, expected {}", in_words(without_place(expected))));
    }
    let prefix = format!("{path}: ");
    error(without_place(message.strip_prefix(&prefix).unwrap_or(message)).to_owned())
}

/// What Rust calls a type, in the words of whoever writes the configuration.
fn in_words(expected: &str) -> &str {
    match expected {
        "u8" | "u16" | "u32" | "u64" | "usize" => "a whole number that is not negative",
        "i8" | "i16" | "i32" | "i64" | "isize" => "a whole number",
        "f32" | "f64" => "a number",
        "a boolean" => "true or false",
        "a sequence" => "a list",
        other if other.starts_with("struct ") || other == "a map" => "a map of keys and values",
        other => other.strip_prefix("a string").map_or(other, |_| "a text"),
    }
}

/// The first name of "name`, expected one of `a`, `b`", and the others.
fn quoted(rest: &str) -> (String, Vec<&str>) {
    let mut names = rest.split('`').step_by(2);
    (names.next().unwrap_or_default().to_owned(), rest.split('`').skip(2).step_by(2).collect())
}

/// The message without serde's ` at line 1 column 2`, which is told in front.
fn without_place(message: &str) -> &str {
    message.rsplit_once(" at line ").map_or(message, |(text, _)| text)
}

/// `did you mean "type"? There are: …`
pub(super) fn suggest<S: AsRef<str>>(name: &str, known: &[S]) -> String {
    let list = known.iter().map(AsRef::as_ref).collect::<Vec<_>>().join(", ");
    match (nearest(name, known), known.is_empty()) {
        (Some(near), _) => format!("did you mean \"{near}\"? There are: {list}"),
        (None, false) => format!("there are: {list}"),
        (None, true) => "there are none".into(),
    }
}

/// The name that was probably meant.
fn nearest<'a, S: AsRef<str>>(name: &str, known: &'a [S]) -> Option<&'a str> {
    let known = known.iter().map(AsRef::as_ref);
    let (distance, near) = known.map(|k| (strsim::damerau_levenshtein(k, name), k)).min()?;
    (distance <= 1 + near.len() / 3).then_some(near)
}

#[cfg(test)]
mod tests {
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
    fn references_must_lead_somewhere() {
        let text = "sources: {site: {type: files, path: /srv}}\nschedules:\n  weekly:\n    source: sit\n    destinations: [m]\n";
        let (message, hint) = refused(text);
        assert_eq!(message, "schedules.weekly.source (line 4, column 13): there is no \"sit\"");
        assert_eq!(hint, "did you mean \"site\"? There are: site");
        let (message, _) = refused("schedules:\n  weekly: {every: 7d}\n");
        assert!(message.starts_with("schedules.weekly.source (line 2, column 11)"), "{message}");
        let (message, _) = refused("sources: {x: {type: database}}");
        assert!(message.starts_with("sources.x.database"), "{message}");
        let (message, hint) = refused(
            "databases: {db: {url: 'sqlite:/d'}}\nschedules: {w: {destinations: [], cron: 'at noon'}}",
        );
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
            document
                .check()
                .iter()
                .any(|note| note.kind == NoteKind::Warning && note.text.contains("chmod o="))
        );
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).expect("chmod");
        assert!(Document::load(&path).expect("read").notes.is_empty());

        let error = Document::load(&dir.path().join("none.yml")).expect_err("no file");
        assert_eq!(error.code(), Code::Config);
        fs::write(&path, "sourcs: {}\n").expect("written");
        let error = Document::load(&path).expect_err("a typo");
        assert!(error.message().starts_with(path.to_str().expect("UTF-8")), "{error}");
    }
}
