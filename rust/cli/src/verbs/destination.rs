//! `bam destination`: adding a place where backups go, trusting its server, trying it.

use super::check;
use super::import_settings::import_into_site;
use super::schedule::Account;
use crate::args::{AddDestination, Global};
use crate::configuration;
use crate::confirm::ask;
use crate::print::Output;
use crate::result::exit_code as exit_code_of;
use crate::work::run;
use crate::yaml_edit::with_entry;
use bam::config::{Destination, DestinationType, Document};
use bam::destination::{HostKey, at_address, host_key, open};
use bam::job::check::{FindingState, destination as look_at, exit_code};
use bam::job::{Request, choose};
use bam::{Code, Error, Monitor, Result, ResultExt, whole_file};
use serde_json::{Value, json};
use std::fs;
use std::io::Write;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// Agrees on the server's key, tries the place, and only then writes it into the configuration or the site.
pub fn add(global: &Global, args: AddDestination, output: &Output) -> Result<u8> {
    let mut document = configuration::load(global)?;
    let (label, mut destination) = at_address(&args.address)?;
    let remote = destination.kind != DestinationType::Directory;
    let name = free_name(&document, args.name, &args.address, remote)?;
    if !remote && (args.identity.is_some() || args.password_file.is_some() || args.host_key.is_some()) {
        return Err(Error::new(
            Code::Usage,
            format!("{label} is a folder of this machine: nobody logs in there"),
        ));
    }
    destination.identity_file = args.identity.as_deref().map(absolute).transpose()?;
    destination.password_file = args.password_file.as_deref().map(absolute).transpose()?;
    if remote {
        destination.host_key = Some(match args.host_key {
            Some(pin) => pin,
            None => agree(&name, &destination, args.yes, output)?,
        });
    }
    document.destinations.insert(name.clone(), destination.clone());
    let monitor = Monitor::new();
    // As the first backup would: the folder is made where it is missing.
    open(&name, &destination, &document.site)?
        .prepare(&monitor)
        .map_err(|error| error.context("nothing was added"))?;
    let looked = look_at(&document, &name, &monitor)?;
    let code = exit_code(&looked);
    let told: Vec<Value> = looked.iter().map(|finding| json!(finding)).collect();
    if let Some(bad) = looked.iter().find(|finding| finding.state >= FindingState::Missing) {
        let error = Error::new(Code::Destination, format!("nothing was added: {}", bad.text));
        return Err(match &bad.hint {
            Some(hint) => error.hint(hint.clone()),
            None => error,
        });
    }
    warn_of_users(&document, &destination, output);
    let place = match &global.root {
        Some(root) => {
            let file = export_of(&name, &destination)?;
            import_into_site(root, global.uri.as_deref(), file.path())?;
            root.clone()
        }
        None => into_file(&document, &name, &destination)?,
    };
    let result = json!({"name": name, "configuration": place, "looked": told, "exit_code": code});
    output.result(&result, || {
        let lines: String = told.iter().map(|finding| check::line(finding) + "\n").collect();
        format!(
            "{lines}Destination {name} is in {} now: `bam backup db {name}` sends a backup there.\n",
            place.display()
        )
    });
    Ok(code)
}

/// The name that was given, or the usual one; one that is taken is refused.
fn free_name(document: &Document, given: Option<String>, address: &str, remote: bool) -> Result<String> {
    let name = match given {
        Some(name) => name,
        None if remote => "offsite".into(),
        None => Path::new(address).file_name().unwrap_or_default().to_string_lossy().into_owned(),
    };
    let plain = |c: char| c.is_ascii_alphanumeric() || "_.-".contains(c);
    if name.is_empty() || !name.chars().all(plain) {
        return Err(Error::new(Code::Usage, format!("'{name}' cannot be a destination's name"))
            .hint("give one of letters, digits and _.- behind the address"));
    }
    if document.destinations.contains_key(&name) {
        return Err(Error::new(Code::Usage, format!("there is a destination {name} already"))
            .hint("give another name behind the address"));
    }
    Ok(name)
}

/// Makes a repository.
pub fn init(document: Document, name: &str, output: &Output) -> Result<u8> {
    let result = run(document, Request::Init { destination: name.to_owned() }, output)?;
    output.result(&result, || {
        let place = result["repository"].as_str().unwrap_or_default();
        format!("The repository {place} is made: `bam backup archive {name}` sends a backup there.\n")
    });
    Ok(exit_code_of(&result))
}

/// Puts a small file there and takes it away again.
pub fn try_out(document: Document, name: &str, output: &Output) -> Result<u8> {
    let result = run(document, Request::Check { destination: Some(name.to_owned()) }, output)?;
    output.result(&result, || {
        let looked = result["looked"].as_array().into_iter().flatten();
        looked.map(|finding| check::line(finding) + "\n").collect()
    });
    Ok(exit_code_of(&result))
}

/// Shows what a server is known by, or would be: nothing is recorded, and nobody logs in.
pub fn show_host_key(document: &Document, place: &str, output: &Output) -> Result<u8> {
    let key = match document.destinations.get(place) {
        Some(destination) => host_key(place, destination)?,
        None => {
            let (name, destination) = at_address(place)?;
            host_key(&name, &destination)?
        }
    };
    let key = key.ok_or_else(|| no_server(place))?;
    output.asked(&json!({"host_key": key}), || {
        let known = if key.known { "known" } else { "not known here" };
        format!("{} has the key {} {} ({known})\n", key.host, key.key_type, key.fingerprint)
    });
    match &key.warning {
        Some(warning) => Err(Error::new(Code::Destination, warning.clone())),
        None => Ok(0),
    }
}

pub fn trust(document: &Document, name: &str, yes: bool, output: &Output) -> Result<u8> {
    let key = key_of(name, choose::destination(document, name)?)?;
    let told = json!({"host": key.host, "type": key.key_type, "fingerprint": key.fingerprint, "known": key.known,
                      "known_hosts": key.known_hosts, "line": key.line});
    if key.known {
        output.result(&told, || {
            format!("The key of {} is known: {} {}\n", key.host, key.key_type, key.fingerprint)
        });
        return Ok(0);
    }
    confirm(&key, yes, "destination trust", output)?;
    key.remember()?;
    output
        .result(&told, || format!("The key of {} is recorded in {}.\n", key.host, key.known_hosts.display()));
    Ok(0)
}

/// The fingerprint to pin: that of a server that is known, or whose key the user says is right.
fn agree(name: &str, destination: &Destination, yes: bool, output: &Output) -> Result<String> {
    let key = key_of(name, destination)?;
    if !key.known {
        confirm(&key, yes, "destination add", output)?;
    }
    Ok(key.fingerprint)
}

fn key_of(name: &str, destination: &Destination) -> Result<HostKey> {
    let key = host_key(name, destination)?.ok_or_else(|| no_server(name))?;
    match &key.warning {
        Some(warning) => Err(Error::new(Code::Destination, warning.clone())),
        None => Ok(key),
    }
}

fn no_server(place: &str) -> Error {
    Error::new(Code::Usage, format!("{place} is not reached by ssh: there is no host key"))
}

fn confirm(key: &HostKey, yes: bool, verb: &str, output: &Output) -> Result<()> {
    if yes {
        return Ok(());
    }
    output.say(&format!("{} has the key\n  {} {}", key.host, key.key_type, key.fingerprint));
    ask("Is that what its administrator says?", verb)
}

/// The site's own user makes scheduled backups, too, where Drupal's cron runs them.
fn warn_of_users(document: &Document, destination: &Destination, output: &Output) {
    if destination.kind == DestinationType::Directory {
        return;
    }
    let owner = fs::metadata(document.site.public_dir()).map(|found| found.uid());
    let Ok(Ok(account)) = owner.map(|uid| Account::find(&uid.to_string())) else { return };
    match (&destination.identity_file, &destination.password_file) {
        (None, None) => output.warn(
            "no --identity and no --password-file: whoever runs bam logs in with keys of its own, the web server's user too",
        ),
        (identity, password) => {
            for file in [identity, password].into_iter().flatten().filter(|file| !account.may(file, "-r")) {
                output.warn(&format!(
                    "{0}, to whom the site's files belong, cannot read {1}; if its cron is to make backups: chown {0} {1}",
                    account.name(),
                    file.display()
                ));
            }
        }
    }
}

/// Adds the entry to the file that the document came from, all the rest of which stays as it is.
fn into_file(document: &Document, name: &str, destination: &Destination) -> Result<PathBuf> {
    let file = document
        .file
        .as_ref()
        .ok_or_else(|| Error::new(Code::Config, "the configuration is no file that could be added to"))?;
    // A link stays one.
    let file = fs::canonicalize(file).at("cannot find", file)?;
    let text = fs::read_to_string(&file).at("cannot read", &file)?;
    let entry = entry(destination);
    let by_hand = || format!("add this below \"destinations\" of {}:  {name}: {entry}", file.display());
    let edited = with_entry(&text, "destinations", name, &entry)
        .filter(|edited| {
            Document::from_yaml(edited).is_ok_and(|read| read.destinations.contains_key(name))
                && file.extension().is_none_or(|ending| !ending.eq_ignore_ascii_case("json"))
        })
        .ok_or_else(|| {
            Error::of_path(Code::Unsupported, &file, "is written in a way that is not edited by itself")
                .hint(by_hand())
        })?;
    let found = fs::metadata(&file).at("cannot look at", &file)?;
    whole_file::write(&file, true, |new| {
        new.write_all(edited.as_bytes()).at("cannot write", &file)?;
        let new = new.get_ref();
        std::os::unix::fs::fchown(new, Some(found.uid()), Some(found.gid()))
            .at("cannot set the owner of", &file)?;
        new.set_permissions(found.permissions()).at("cannot set the permissions of", &file)
    })?;
    Ok(file)
}

/// The destination's settings, in the order of the documentation, as one line of YAML.
fn entry(destination: &Destination) -> String {
    let kind = match destination.kind {
        DestinationType::Directory => "directory",
        DestinationType::Sftp => "sftp",
        DestinationType::Rsync => "rsync",
        DestinationType::S3 => "s3",
        DestinationType::Webdav => "webdav",
        DestinationType::Restic => "restic",
    };
    let mut parts = vec![format!("type: {kind}")];
    parts.extend(
        settings(destination).into_iter().map(|(key, value)| format!("{key}: {}", Value::from(value))),
    );
    format!("{{ {} }}", parts.join(", "))
}

fn settings(destination: &Destination) -> Vec<(&'static str, String)> {
    let path = |path: &Option<PathBuf>| path.as_ref().map(|path| path.display().to_string());
    let url = destination.url.as_ref().map(|url| String::from_utf8_lossy(url.expose()).into_owned());
    let all = [
        ("path", path(&destination.path)),
        ("url", url),
        ("identity_file", path(&destination.identity_file)),
        ("password_file", path(&destination.password_file)),
        ("host_key", destination.host_key.clone()),
    ];
    all.into_iter().filter_map(|(key, value)| Some((key, value?))).collect()
}

/// The destination as Backup and Migrate exports one, for the site's importer.
fn export_of(name: &str, destination: &Destination) -> Result<tempfile::NamedTempFile> {
    let php = |text: &str| format!("'{}'", text.replace('\\', "\\\\").replace('\'', "\\'"));
    let (subtype, place) = match destination.kind {
        DestinationType::Directory => ("file", "path"),
        DestinationType::Sftp => ("sftp", "url"),
        DestinationType::Rsync => ("rsync", "url"),
        DestinationType::S3 => ("s3", "url"),
        DestinationType::Webdav => ("webdav", "url"),
        DestinationType::Restic => ("restic", "repository"),
    };
    let all = settings(destination);
    let location = all.iter().find(|(key, _)| *key == place).map_or("", |(_, value)| value.as_str());
    let rest: Vec<String> = all
        .iter()
        .filter(|(key, _)| *key != place)
        .map(|(key, value)| format!("'{key}' => {}", php(value)))
        .collect();
    let text = format!(
        "array('machine_name' => {0}, 'name' => {0}, 'subtype' => '{subtype}', 'location' => {1}, 'settings' => array({2}), \
         'type_name' => 'destination')\n",
        php(name),
        php(location),
        rest.join(", ")
    );
    let mut file = tempfile::NamedTempFile::new()?;
    file.write_all(text.as_bytes())?;
    Ok(file)
}

fn absolute(path: &Path) -> Result<PathBuf> {
    fs::canonicalize(path).at("cannot find", path)
}
