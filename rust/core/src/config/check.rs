//! What a document says that cannot be right although its grammar is: references that lead nowhere, keys of another
//! kind, missing keys.

use super::read::{place, suggest};
use super::{
    CRON_NONE, Destination, DestinationType, Document, HIDDEN, Keep, Schedule, Source, SourceType, builtin,
    mask, misplaced, parse_cron,
};
use crate::catalog::date;
use crate::destination::restic;
use crate::encrypt::kdf::{DEFAULT_ITERATIONS, MAX_ITERATIONS};
use crate::{Code, Error, Result};
use std::collections::BTreeMap;

/// One contradiction.
pub(super) struct Problem {
    /// The key it is about.
    pub(super) path: Vec<String>,
    text: String,
    hint: Option<String>,
}

impl Problem {
    pub(super) fn new(path: &[&str], text: impl Into<String>) -> Self {
        Problem { path: path.iter().map(|key| (*key).to_owned()).collect(), text: text.into(), hint: None }
    }

    pub(super) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    pub(super) fn into_error(self, at: Option<(usize, usize)>) -> Error {
        let error = Error::new(Code::Config, format!("{}: {}", place(&self.path.join("."), at), self.text));
        match self.hint {
            Some(hint) => error.hint(hint),
            None => error,
        }
    }
}

impl Document {
    /// Fails at the first contradiction: a reference that leads nowhere, a key that is missing or of another kind.
    pub fn validate(&self) -> Result<()> {
        self.problems().into_iter().next().map_or(Ok(()), |problem| Err(problem.into_error(None)))
    }

    /// Every contradiction.
    pub fn contradictions(&self) -> Vec<Error> {
        self.problems().into_iter().map(|problem| problem.into_error(None)).collect()
    }

    pub(super) fn problems(&self) -> Vec<Problem> {
        let mut found = Vec::new();
        for (path, _) in
            mask::secrets(self).into_iter().filter(|(_, secret)| holds_placeholder(secret.expose()))
        {
            let problem = Problem::new(&path, format!("{HIDDEN} stands where an export left out the secret"));
            found.push(problem.hint("put the secret there, or export with secrets"));
        }
        if let Some(zone) = self.site.timezone.as_deref()
            && let Some(hint) = date::unknown_zone(zone)
        {
            let problem = Problem::new(&["site", "timezone"], format!("there is no time zone \"{zone}\""));
            found.push(problem.hint(hint));
        }
        for (name, database) in &self.databases {
            if database.url.is_none() {
                let problem = Problem::new(&["databases", name, "url"], "the key \"url\" is missing");
                found.push(
                    problem.hint("e.g. mysql://user@127.0.0.1/name, pgsql://user@host/name, sqlite:/path"),
                );
            }
        }
        for (name, source) in &self.sources {
            self.source_problems(name, source, &mut found);
        }
        for (name, destination) in &self.destinations {
            self.destination_problems(name, destination, &mut found);
        }
        misplaced::problems(self, &mut found);
        if let Some(profile) = &self.default_profile {
            reference(&["default_profile"], profile, &self.profiles, &mut found);
        }
        for (name, schedule) in &self.schedules {
            self.schedule_problems(name, schedule, &mut found);
        }
        let keys = [
            self.encryption.key_file.is_some(),
            self.encryption.key.is_some(),
            self.encryption.key_env.is_some(),
        ];
        if keys.iter().filter(|is_set| **is_set).count() > 1 {
            found.push(Problem::new(&["encryption"], "only one of key_file, key and key_env can be the key"));
        }
        if self.encryption.iterations.is_some_and(|count| !(1..=MAX_ITERATIONS).contains(&count)) {
            let problem = Problem::new(
                &["encryption", "iterations"],
                format!("the number of iterations lies between 1 and {MAX_ITERATIONS}"),
            );
            found.push(problem.hint(format!("leave it out for {DEFAULT_ITERATIONS}")));
        }
        found
    }

    fn schedule_problems(&self, name: &str, schedule: &Schedule, found: &mut Vec<Problem>) {
        reference(&["schedules", name, "source"], &schedule.source, &self.sources, found);
        reference(&["schedules", name, "profile"], &schedule.profile, &self.profiles, found);
        for (index, destination) in schedule.destinations.iter().enumerate() {
            let index = index.to_string();
            let path = ["schedules", name, "destinations", &index];
            reference(&path, destination, &self.destinations, found);
        }
        let expression =
            schedule.cron.as_deref().map(str::trim).filter(|cron| !matches!(*cron, "" | CRON_NONE));
        if let Some(Err(error)) = expression.map(parse_cron) {
            let problem = Problem::new(&["schedules", name, "cron"], error.message());
            found.push(problem.hint(error.next_step().unwrap_or_default()));
        }
        if matches!(&schedule.keep, Keep::Periods(periods) if periods.is_empty()) {
            let problem = Problem::new(&["schedules", name, "keep"], "it names nothing that is kept");
            found.push(problem.hint("e.g. { last: 7, daily: 7, weekly: 5, monthly: 12 }; `all` keeps all"));
        }
        if schedule.destinations.is_empty() && schedule.enabled {
            found.push(Problem::new(
                &["schedules", name, "destinations"],
                "a schedule needs at least one destination",
            ));
        }
    }

    fn source_problems(&self, name: &str, source: &Source, found: &mut Vec<Problem>) {
        let key = |key| ["sources", name, key];
        match (source.kind, &source.path) {
            (SourceType::Files, None) => {
                found.push(Problem::new(&key("path"), "a source of type files needs a path"))
            }
            (SourceType::Files, Some(path)) => {
                if let Err(error) = self.site.resolve(path) {
                    let problem = Problem::new(&key("path"), error.message());
                    found.push(problem.hint(error.next_step().unwrap_or_default()));
                }
            }
            (_, Some(_)) => found.push(Problem::new(&key("path"), "only a source of type files has a path")),
            (_, None) => {}
        }
        if source.code.is_some() && source.kind != SourceType::Archive {
            found.push(Problem::new(&key("code"), "only a source of type archive has code"));
        }
        match (source.kind, source.database.as_deref()) {
            (SourceType::Files, Some(_)) => {
                found.push(Problem::new(&key("database"), "a source of type files has no database"));
            }
            (SourceType::Files, None) => {}
            // The docroot of a site without a database is an archive, too.
            (SourceType::Archive, None) if self.databases.is_empty() => {}
            (_, database) => self.database_problem(name, database, found),
        }
    }

    /// A database that a source is about and that is nowhere described.
    fn database_problem(&self, source: &str, database: Option<&str>, found: &mut Vec<Problem>) {
        let named = database.unwrap_or(builtin::DB);
        if self.databases.contains_key(named) {
            return;
        }
        let known: Vec<&String> = self.databases.keys().collect();
        let (text, hint) = match (database, known.as_slice()) {
            (_, []) => (
                format!("there is no database \"{named}\": none is described"),
                format!(
                    "describe it, e.g. databases: {{ {named}: {{ url: \"mysql://user@localhost/name\", password_file: FILE }} }}"
                ),
            ),
            (Some(_), known) => (format!("there is no database \"{named}\""), suggest(named, known)),
            (None, [only]) => (
                format!("which database is meant is not said, and there is none called \"{named}\""),
                format!("write database: {only}"),
            ),
            (None, known) => (
                format!("which database is meant is not said, and there is none called \"{named}\""),
                format!("write database: NAME; there are: {}", names(known)),
            ),
        };
        found.push(Problem::new(&["sources", source, "database"], text).hint(hint));
    }

    fn repository_problems(&self, name: &str, destination: &Destination, found: &mut Vec<Problem>) {
        let key = |key| ["destinations", name, key];
        match &destination.repository {
            None => {
                let problem =
                    Problem::new(&key("repository"), "a destination of type restic needs a repository");
                found.push(
                    problem.hint("e.g. /srv/repo, sftp:user@host:/repo, s3:https://host/bucket/prefix"),
                );
            }
            Some(repository) => {
                let text = String::from_utf8_lossy(repository.expose()).into_owned();
                match restic::scheme(&text) {
                    None if text.contains("://") => {
                        let known = restic::SCHEMES.join(":, ");
                        let problem =
                            Problem::new(&key("repository"), "restic knows no address of this kind");
                        found.push(problem.hint(format!("a path, or one that begins with {known}:")));
                    }
                    None => {
                        if let Err(error) = self.site.resolve(std::path::Path::new(&text)) {
                            let problem = Problem::new(&key("repository"), error.message());
                            found.push(problem.hint(error.next_step().unwrap_or_default()));
                        }
                    }
                    Some(_) => {}
                }
            }
        }
        for (is_set, other, instead) in [
            (destination.path.is_some(), "path", "repository"),
            (destination.url.is_some(), "url", "repository"),
            (destination.password.is_some(), "password", "password_file"),
            (destination.password_env.is_some(), "password_env", "password_file"),
            (destination.chmod.is_some(), "chmod", "repository"),
            (destination.chgrp.is_some(), "chgrp", "repository"),
        ] {
            if is_set {
                let problem =
                    Problem::new(&key(other), format!("a destination of type restic has no {other}"));
                found.push(match instead {
                    "repository" if other.starts_with("ch") => problem,
                    _ => problem.hint(format!("use {instead}")),
                });
            }
        }
        for variable in
            destination.credential_files.keys().filter(|variable| !restic::is_credential(variable))
        {
            let path = ["destinations", name, "credential_files", variable];
            let problem = Problem::new(&path, "is no variable that restic takes credentials from");
            found.push(
                problem.hint(
                    "e.g. AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, B2_ACCOUNT_ID, AZURE_ACCOUNT_KEY",
                ),
            );
        }
    }

    fn destination_problems(&self, name: &str, destination: &Destination, found: &mut Vec<Problem>) {
        let key = |key| ["destinations", name, key];
        match destination.kind {
            DestinationType::Directory => match &destination.path {
                None => {
                    found.push(Problem::new(&key("path"), "a destination of type directory needs a path"))
                }
                Some(path) => {
                    if let Err(error) = self.site.resolve(path) {
                        let problem = Problem::new(&key("path"), error.message());
                        found.push(problem.hint(error.next_step().unwrap_or_default()));
                    }
                }
            },
            DestinationType::S3 | DestinationType::Webdav => {
                let (example, kind) = match destination.kind {
                    DestinationType::S3 => ("s3://bucket/folder", "s3"),
                    _ => ("https://user@host/folder", "webdav"),
                };
                if destination.url.is_none() {
                    let problem =
                        Problem::new(&key("url"), format!("a destination of type {kind} needs a url"));
                    found.push(problem.hint(format!("e.g. {example}")));
                }
                if destination.path.is_some() {
                    found.push(Problem::new(&key("path"), "a remote destination has its path in the url"));
                }
            }
            DestinationType::Sftp | DestinationType::Rsync => {
                if destination.url.is_none() {
                    let problem = Problem::new(&key("url"), "a remote destination needs a url");
                    found
                        .push(problem.hint("e.g. sftp://user@host/backups, or user@host:/backups for rsync"));
                }
                if destination.path.is_some() {
                    found.push(Problem::new(&key("path"), "a remote destination has its path in the url"));
                }
            }
            DestinationType::Restic => self.repository_problems(name, destination, found),
        }
        if destination.kind != DestinationType::Restic {
            for (is_set, other) in [
                (destination.repository.is_some(), "repository"),
                (destination.key_file.is_some(), "key_file"),
                (!destination.credential_files.is_empty(), "credential_files"),
            ] {
                if is_set {
                    let text = format!("only a destination of type restic has {other}");
                    found.push(Problem::new(&key(other), text));
                }
            }
        }
        self.kind_problems(name, destination, found);
        if destination.host_key.as_deref().is_some_and(|key| !key.starts_with("SHA256:")) {
            let problem = Problem::new(&key("host_key"), "a host key is written SHA256:…");
            found.push(problem.hint("`ssh-keyscan HOST | ssh-keygen -lf -` prints it"));
        }
    }
}

impl Document {
    /// Settings that belong to other kinds of destinations.
    fn kind_problems(&self, name: &str, destination: &Destination, found: &mut Vec<Problem>) {
        let (s3, http) = match destination.kind {
            DestinationType::S3 => (true, true),
            DestinationType::Webdav => (false, true),
            _ => (false, false),
        };
        let restic = destination.kind == DestinationType::Restic;
        let ssh = matches!(destination.kind, DestinationType::Sftp | DestinationType::Rsync);
        let set = [
            ("endpoint", destination.endpoint.is_some(), s3, "s3"),
            ("region", destination.region.is_some(), s3, "s3"),
            ("path_style", destination.path_style.is_some(), s3, "s3"),
            ("access_key", destination.access_key.is_some(), s3, "s3"),
            ("profile", destination.profile.is_some(), s3, "s3"),
            ("credentials_file", destination.credentials_file.is_some(), s3, "s3"),
            ("credentials", destination.credentials.is_some(), s3, "s3"),
            ("ca_file", destination.ca_file.is_some(), http || restic, "s3, webdav or restic"),
            ("append_only", destination.append_only, http || restic, "s3, webdav or restic"),
            ("host_key", http && destination.host_key.is_some(), ssh, "sftp or rsync"),
            ("known_hosts", http && destination.known_hosts.is_some(), ssh, "sftp or rsync"),
            ("identity_file", http && destination.identity_file.is_some(), ssh, "sftp or rsync"),
            ("chmod", http && destination.chmod.is_some(), !http, "directory, sftp or rsync"),
            ("chgrp", http && destination.chgrp.is_some(), !http, "directory"),
        ];
        for (key, _, _, kinds) in set.into_iter().filter(|(_, is_set, fits, _)| *is_set && !fits) {
            let text = format!("only a destination of type {kinds} has {key}");
            found.push(Problem::new(&["destinations", name, key], text));
        }
    }
}

fn names(known: &[&String]) -> String {
    known.iter().map(|name| name.as_str()).collect::<Vec<_>>().join(", ")
}

fn holds_placeholder(secret: &[u8]) -> bool {
    memchr::memmem::find(secret, HIDDEN.as_bytes()).is_some()
}

fn reference<T>(path: &[&str], name: &str, known: &BTreeMap<String, T>, found: &mut Vec<Problem>) {
    if !known.contains_key(name) {
        let names: Vec<&String> = known.keys().collect();
        found.push(Problem::new(path, format!("there is no \"{name}\"")).hint(suggest(name, &names)));
    }
}
