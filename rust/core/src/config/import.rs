//! Backup and Migrate's items (profiles, schedules, sources, destinations) from their exports, and what they mean in the
//! words of the document.
//!
//! Three forms are read: what B&M's export page prints (`array (…)`), code that Features and CTools write
//! (`MODULE.backup_migrate_exportables.inc`), and what PHP's `serialize` made of either. All of a text is read, or
//! nothing: a mistake anywhere is an error.

use super::php::{Export, PhpKey, PhpValue, parse_export, unserialize};
use super::{Destination, Profile, Schedule, Source, lenient};
use crate::{Code, Error, Result};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

/// What an item is; B&M's `type_name`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ItemKind {
    /// How backups are made.
    Profile,
    /// When they are made.
    Schedule,
    /// What is backed up.
    Source,
    /// Where backups go.
    Destination,
}

const KINDS: [ItemKind; 4] = [ItemKind::Profile, ItemKind::Schedule, ItemKind::Source, ItemKind::Destination];

impl ItemKind {
    /// B&M's `type_name`.
    pub fn name(self) -> &'static str {
        match self {
            ItemKind::Profile => "profile",
            ItemKind::Schedule => "schedule",
            ItemKind::Source => "source",
            ItemKind::Destination => "destination",
        }
    }

    /// Where a hook's name says it: `x_exportables_backup_migrate_profiles`.
    fn of_hook(function: &str) -> Option<ItemKind> {
        let (_, plural) = function.split_once("exportables_backup_migrate_")?;
        KINDS.into_iter().find(|kind| plural.strip_suffix('s') == Some(kind.name()))
    }

    /// What its keys say, where no name does.
    fn of_keys(item: &PhpValue) -> Option<ItemKind> {
        if let Some(name) = item.get("type_name").and_then(PhpValue::text) {
            return KINDS.into_iter().find(|kind| kind.name() == name);
        }
        let has =
            |key: &str| item.entries().is_some_and(|all| all.iter().any(|(known, _)| known.text() == key));
        match () {
            () if has("filters") || has("timestamp_format") => Some(ItemKind::Profile),
            () if has("period") || (has("cron") && has("source_id")) => Some(ItemKind::Schedule),
            () if !has("location") => None,
            () if has("source_id") => Some(ItemKind::Source),
            () if has("destination_id") => Some(ItemKind::Destination),
            () => match item.get("subtype").and_then(PhpValue::text).as_deref() {
                Some("filesource" | "mysql" | "db" | "archive") => Some(ItemKind::Source),
                Some(_) => Some(ItemKind::Destination),
                None => None,
            },
        }
    }
}

/// One item.
#[derive(Debug, Clone)]
pub struct Item {
    /// What it is.
    pub kind: ItemKind,
    /// Its machine name.
    pub machine_name: String,
    /// The item as it was exported: what belongs into B&M's tables or variables.
    pub value: PhpValue,
    /// The same as an entry of the document, e.g. of `profiles`; none where bam has nothing like it.
    pub document: Option<Value>,
    /// For a source that is a database of its own: its entry in `databases`, under the same name.
    pub database: Option<Value>,
    /// What could not be said in the document's words.
    pub notes: Vec<String>,
}

/// Everything that a text exports.
#[derive(Debug, Clone, Default)]
pub struct Import {
    /// In the order of the text.
    pub items: Vec<Item>,
    /// What was left out, and why.
    pub notes: Vec<String>,
}

impl Import {
    /// Reads an export.
    pub fn read(text: &[u8]) -> Result<Import> {
        let exports = match text.trim_ascii() {
            stored @ [b'a' | b'O', b':', b'0'..=b'9', ..] => {
                vec![Export { function: None, value: unserialize(stored)? }]
            }
            _ => parse_export(text)?,
        };
        let mut import = Import::default();
        for Export { function, value } in exports {
            let kind = function.as_deref().and_then(ItemKind::of_hook);
            match function {
                Some(function) if kind.is_none() => {
                    import
                        .notes
                        .push(format!("{function}() exports nothing of Backup and Migrate's: left out"));
                }
                None if ItemKind::of_keys(&value).is_some() => import.take(None, None, value)?,
                _ => import.take_all(kind, value)?,
            }
        }
        if import.items.is_empty() {
            return Err(Error::new(Code::Config, "no profile, schedule, source or destination is in there")
                .hint("export one on Backup and Migrate's settings page, or give a .backup_migrate_exportables.inc file"));
        }
        Ok(import)
    }

    /// The items of a list, as a hook returns it or a variable `backup_migrate_…_defaults` holds it.
    fn take_all(&mut self, kind: Option<ItemKind>, list: PhpValue) -> Result<()> {
        let (PhpValue::Array(entries) | PhpValue::Object(_, entries)) = list else {
            return Err(Error::new(
                Code::Config,
                "this is no item of Backup and Migrate's, nor a list of them",
            ));
        };
        entries.into_iter().try_for_each(|(key, item)| self.take(kind, Some(key), item))
    }

    fn take(&mut self, kind: Option<ItemKind>, key: Option<PhpKey>, item: PhpValue) -> Result<()> {
        let at =
            key.as_ref().map_or_else(|| "the item".to_owned(), |key| format!("the item \"{}\"", key.text()));
        let kind = kind.or_else(|| ItemKind::of_keys(&item)).ok_or_else(|| {
            Error::new(Code::Config, format!("{at} is no profile, schedule, source or destination"))
                .hint("its key type_name says what an item is")
        })?;
        let machine_name = machine_name(kind, key.as_ref(), &item)
            .ok_or_else(|| Error::new(Code::Config, format!("{at} ({}) has no machine_name", kind.name())))?;
        if machine_name.chars().any(char::is_control) {
            return Err(Error::new(Code::Config, format!("{at}: the machine_name holds control characters")));
        }
        if is_set(&item, "disabled") {
            self.notes.push(format!("{} {machine_name} is disabled: left out", kind.name()));
            return Ok(());
        }
        if let Some(known) =
            self.items.iter().find(|known| known.kind == kind && known.machine_name == machine_name)
        {
            if known.value == item {
                return Ok(());
            }
            return Err(Error::new(
                Code::Config,
                format!("{} {machine_name} is there twice, and differs", kind.name()),
            ));
        }
        let mut converter = Converter { item: &item, name: &machine_name, notes: Vec::new() };
        let document = match kind {
            ItemKind::Profile => Some(converter.profile()),
            ItemKind::Schedule => Some(converter.schedule()),
            ItemKind::Source => converter.source(),
            ItemKind::Destination => converter.destination(),
        };
        let is_own_database =
            kind == ItemKind::Source && ["mysql", "db"].contains(&text(&item, "subtype").as_str());
        let database = is_own_database.then(|| json!({"url": text(&item, "location")}));
        let notes = converter.notes;
        if let Some(document) = &document {
            let checked = match kind {
                ItemKind::Profile => check::<Profile>(document),
                ItemKind::Schedule => check::<Schedule>(document),
                ItemKind::Source => check::<Source>(document),
                ItemKind::Destination => check::<Destination>(document),
            };
            checked
                .map_err(|why| Error::new(Code::Config, format!("{} {machine_name}: {why}", kind.name())))?;
        }
        self.items.push(Item { kind, machine_name, value: item, document, database, notes });
        Ok(())
    }

    /// For other programs:
    /// `{"items": [{"type", "machine_name", "item", "document", "database", "notes"}], "notes": [...]}`.
    ///
    /// `item` is the exported value, to be stored as it is; `document` the entry of the document or null. Fails where
    /// a text is not UTF-8. Holds the passwords that the export holds.
    pub fn to_json(&self) -> Result<Value> {
        let mut items = Vec::with_capacity(self.items.len());
        for item in &self.items {
            let value = item
                .value
                .to_json()
                .map_err(|error| error.context(format!("{} {}", item.kind.name(), item.machine_name)))?;
            items.push(json!({
                "type": item.kind.name(),
                "machine_name": item.machine_name,
                "item": value,
                "document": item.document,
                "database": item.database,
                "notes": item.notes,
            }));
        }
        Ok(json!({"items": items, "notes": self.notes}))
    }
}

/// Whether the document takes it.
fn check<T: DeserializeOwned>(document: &Value) -> std::result::Result<(), serde_json::Error> {
    T::deserialize(document).map(drop)
}

/// Says in the document's words what B&M's keys say.
struct Converter<'a> {
    item: &'a PhpValue,
    name: &'a str,
    notes: Vec<String>,
}

impl Converter<'_> {
    fn text(&self, key: &str) -> String {
        text(self.item, key)
    }

    fn profile(&mut self) -> Value {
        let nothing = PhpValue::Array(Vec::new());
        let filters = self.item.get("filters").unwrap_or(&nothing);
        let or = |text: String, default: &str| if text.is_empty() { default.to_owned() } else { text };
        let encryption = self.encryption(&text(filters, "encryption"));
        let compression = match filters.get("compression") {
            // B&M's default, which it adds to profiles that say nothing.
            None => "gzip".to_owned(),
            Some(_) => or(text(filters, "compression"), "none"),
        };
        let append = self.item.get("append_timestamp").map_or(1, |value| match value.text().as_deref() {
            Some("2") => 2,
            _ => u8::from(value.is_truthy()),
        });
        json!({
            "name": self.text("name"),
            "filename": or(self.text("filename"), "[site:name]"),
            "append_timestamp": append,
            "timestamp_format": or(self.text("timestamp_format"), "Y-m-d\\TH-i-s"),
            "compression": compression,
            "encryption": encryption,
            "description": text(filters, "utils_description"),
            "site_offline": is_set(filters, "utils_site_offline"),
            "site_offline_message": text(filters, "utils_site_offline_message"),
            "ignore_errors": is_set(filters, "ignore_errors"),
            "notify": {"success": addresses(filters, "notify_success"), "failure": addresses(filters, "notify_failure")},
            "sources": sources(filters),
        })
    }

    /// Never less than was asked for: another module's encryption becomes ours.
    fn encryption(&mut self, kind: &str) -> &'static str {
        match kind {
            "" | "0" | "none" => "none",
            "aes" | "aes256" => "aes256",
            "aes-module" => "aes-module",
            "age" => "age",
            other => {
                self.notes.push(format!(
                    "profile {}: encryption \"{other}\" is that of another module; bam encrypts with AES-256 instead",
                    self.name
                ));
                "aes256"
            }
        }
    }

    fn schedule(&self) -> Value {
        let number = |key: &str| self.text(key).trim().parse::<i64>().ok();
        let cron = self.text("cron");
        let is_builtin = matches!(cron.as_str(), "" | "builtin");
        let mut destinations: Vec<String> = Vec::new();
        for name in [self.text("destination_id"), self.text("copy_destination_id")] {
            if !name.is_empty() && name != "0" && !destinations.contains(&name) {
                destinations.push(name);
            }
        }
        let or = |text: String, default: &str| {
            if text.is_empty() || text == "0" { default.to_owned() } else { text }
        };
        json!({
            "name": self.text("name"),
            "source": or(self.text("source_id"), "db"),
            "destinations": destinations,
            "profile": or(self.text("profile_id"), "default"),
            // Neither a period nor an expression: it runs only when it is asked for by name.
            "every": if is_builtin { number("period").unwrap_or(86_400).max(0) } else { 0 },
            "cron": (cron == "elysia").then(|| self.text("cron_schedule")),
            "keep": number("keep").unwrap_or(0),
            "enabled": self.item.get("enabled").is_none_or(PhpValue::is_truthy),
        })
    }

    fn source(&mut self) -> Option<Value> {
        let (name, path) = (self.text("name"), self.text("location"));
        match self.text("subtype").as_str() {
            "filesource" => Some(json!({"type": "files", "path": path, "name": name})),
            "archive" => Some(json!({"type": "archive", "name": name})),
            "mysql" | "db" => Some(json!({"type": "database", "database": self.name, "name": name})),
            other => {
                self.notes.push(format!(
                    "source {}: bam knows databases, folders and the whole site, not the kind \"{other}\"",
                    self.name
                ));
                None
            }
        }
    }

    fn destination(&mut self) -> Option<Value> {
        let nothing = PhpValue::Array(Vec::new());
        let settings = self.item.get("settings").unwrap_or(&nothing);
        let subtype = self.text("subtype");
        let (place, kept): (_, &[&str]) = match subtype.as_str() {
            "file" | "file_manual" | "file_scheduled" => (("directory", "path"), &["chmod", "chgrp"]),
            "sftp" | "rsync" => {
                ((subtype.as_str(), "url"), &["identity_file", "known_hosts", "host_key", "password_file"])
            }
            // Ours: Backup and Migrate's own kind of that name has its place in other words.
            "s3" if self.text("location").starts_with("s3://") => (("s3", "url"), &S3_KEYS),
            "webdav" => (("webdav", "url"), &["password_file", "ca_file", "append_only"]),
            "restic" => (("restic", "repository"), &REPOSITORY_KEYS),
            // Made for web pages and for nothing else.
            "browser_download" | "browser_upload" => return None,
            "s3" => {
                self.notes.push(format!(
                    "destination {}: Backup and Migrate's own kind \"s3\" is not taken over; write the bucket into the \
                     configuration (docs/object-storage.md)",
                    self.name
                ));
                return None;
            }
            other => {
                self.notes.push(format!(
                    "destination {}: bam knows folders, sftp, rsync, s3, webdav and restic, not the kind \"{other}\"",
                    self.name
                ));
                return None;
            }
        };
        let mut document =
            json!({"type": place.0, "name": self.text("name"), place.1: self.text("location")});
        for key in kept {
            let value = text(settings, key);
            if let (false, Some(document)) = (value.is_empty(), document.as_object_mut()) {
                document.insert((*key).to_owned(), Value::from(value));
            }
        }
        let files = settings.get("credential_files").and_then(PhpValue::entries).unwrap_or_default();
        let files: serde_json::Map<_, _> =
            files.iter().filter_map(|(key, file)| Some((key.text(), Value::from(file.text()?)))).collect();
        if let (true, false, Some(document)) =
            (subtype == "restic", files.is_empty(), document.as_object_mut())
        {
            document.insert("credential_files".to_owned(), Value::from(files));
        }
        Some(document)
    }
}

/// What a repository's settings may say besides its address.
const REPOSITORY_KEYS: [&str; 8] = [
    "key_file",
    "ca_file",
    "identity_file",
    "known_hosts",
    "host_key",
    "password_file",
    "timeout",
    "append_only",
];

/// What is kept of a bucket's settings.
const S3_KEYS: [&str; 10] = [
    "endpoint",
    "region",
    "path_style",
    "access_key",
    "password_file",
    "profile",
    "credentials_file",
    "credentials",
    "ca_file",
    "append_only",
];

/// B&M 3.x's `machine_name`, 2.x's `profile_id` …, or the name in the list.
fn machine_name(kind: ItemKind, key: Option<&PhpKey>, item: &PhpValue) -> Option<String> {
    let of_list = match key {
        Some(key @ PhpKey::String(_)) => key.text(),
        _ => String::new(),
    };
    let names = [text(item, "machine_name"), text(item, &format!("{}_id", kind.name())), of_list];
    names.into_iter().find(|name| !name.is_empty() && name != "0")
}

fn text(item: &PhpValue, key: &str) -> String {
    item.get(key).and_then(PhpValue::text).unwrap_or_default()
}

fn is_set(item: &PhpValue, key: &str) -> bool {
    item.get(key).is_some_and(PhpValue::is_truthy)
}

/// B&M keeps one field with addresses, and whether to use it.
fn addresses(filters: &PhpValue, key: &str) -> Vec<String> {
    if !is_set(filters, &format!("{key}_enable")) {
        return Vec::new();
    }
    let field = text(filters, &format!("{key}_email"));
    field.split(',').map(str::trim).filter(|address| !address.is_empty()).map(str::to_owned).collect()
}

/// What a profile says about each source. B&M 2.x had no settings per source; 3.x still honours its keys.
fn sources(filters: &PhpValue) -> Value {
    const KEYS: [&str; 4] = ["nodata_tables", "exclude_tables", "utils_lock_tables", "exclude_filepaths"];
    let own = filters.get("sources").and_then(PhpValue::entries).unwrap_or_default();
    let mut names: Vec<(String, Option<&PhpValue>)> =
        own.iter().map(|(key, value)| (key.text(), Some(value))).collect();
    if KEYS.iter().any(|key| filters.get(key).is_some()) {
        for name in ["db", "files"] {
            if !names.iter().any(|(known, _)| known == name) {
                names.push((name.to_owned(), None));
            }
        }
    }
    let mut said = serde_json::Map::new();
    for (name, own) in names {
        let value = |key: &str| own.and_then(|own| own.get(key)).or_else(|| filters.get(key));
        let mut settings = serde_json::Map::new();
        for key in ["nodata_tables", "exclude_tables"] {
            if let Some(list) = value(key) {
                settings.insert(key.to_owned(), Value::from(tables(list)));
            }
        }
        if let Some(lock) = value("utils_lock_tables") {
            settings.insert("lock_tables".to_owned(), Value::from(lock.is_truthy()));
        }
        // An empty text means "leave out nothing", no text at all "what is usual".
        if let Some(PhpValue::String(lines)) = value("exclude_filepaths") {
            let lines = lenient::split_lines(&String::from_utf8_lossy(lines));
            settings.insert("exclude".to_owned(), Value::from(lines));
        }
        said.insert(name, Value::Object(settings));
    }
    Value::Object(said)
}

/// The names that are chosen in a list of tables. Forms store those that are not as 0.
fn tables(list: &PhpValue) -> Vec<String> {
    let mut names = Vec::new();
    for (_, value) in list.entries().unwrap_or_default() {
        if let Some(name) = value.text().filter(|name| value.is_truthy() && !names.contains(name)) {
            names.push(name);
        }
    }
    names
}
