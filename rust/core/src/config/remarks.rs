//! What a document may say and can hardly mean: keys that are missing or weak, patterns that are none, schedules that
//! never run.

use super::{CRON_NONE, Document, EncryptionKind, parse_cron};
use crate::encrypt::kdf::DEFAULT_ITERATIONS;
use crate::source::pattern::{Patterns, is_pattern};
use crate::{Note, NoteKind};
use std::collections::BTreeMap;

/// With fewer iterations than this, guessing a passphrase costs nearly nothing (RFC 8018 section 4.2 calls 1000 a minimum).
const FEW_ITERATIONS: u32 = 10_000;

impl Document {
    /// All that deserves attention: what was noticed while reading, every contradiction, and what looks like a mistake.
    pub fn check(&self) -> Vec<Note> {
        let mut notes = self.remarks();
        notes.extend(self.remarks_on_keys());
        notes.extend(self.remarks_on_patterns());
        notes
    }

    /// The same but for what concerns keys.
    pub(crate) fn remarks(&self) -> Vec<Note> {
        let mut notes = self.notes.clone();
        notes.extend(self.exposed());
        let problems = self.problems().into_iter().map(|problem| problem.into_error(None).to_string());
        notes.extend(problems.map(|text| Note { kind: NoteKind::Warning, text }));
        for (name, profile) in &self.profiles {
            for source in profile.sources.keys().filter(|source| !self.sources.contains_key(*source)) {
                let text =
                    format!("profile {name} has settings for the source {source}, which does not exist");
                notes.push(Note { kind: NoteKind::Info, text });
            }
        }
        let mut folders = BTreeMap::new();
        for (name, destination) in &self.destinations {
            let Some(path) = destination.path.as_ref().and_then(|path| self.site.resolve(path).ok()) else {
                continue;
            };
            if let Some(other) = folders.insert(path, name) {
                let text = format!(
                    "destinations {other} and {name} are the same folder: together they hold one copy"
                );
                notes.push(Note { kind: NoteKind::Warning, text });
            }
        }
        notes.extend(self.remarks_on_schedules());
        if let Some(iterations) = self.encryption.iterations.filter(|few| (1..FEW_ITERATIONS).contains(few)) {
            let text = format!(
                "encryption.iterations: {iterations} protects no passphrase that can be guessed; leave it out for {DEFAULT_ITERATIONS}"
            );
            notes.push(Note { kind: NoteKind::Warning, text });
        }
        notes
    }

    fn remarks_on_schedules(&self) -> Vec<Note> {
        let now = jiff::Zoned::now();
        // What is no expression at all is told as such.
        let comes =
            |cron: &str| parse_cron(cron).map_or(true, |cron| cron.find_next_occurrence(&now, false).is_ok());
        let mut notes = Vec::new();
        for (name, schedule) in self.schedules.iter().filter(|(_, schedule)| schedule.enabled) {
            let cron = schedule.cron.as_deref().map(str::trim).filter(|cron| !cron.is_empty());
            match cron {
                None if schedule.every == 0 => notes.push(Note {
                    kind: NoteKind::Info,
                    text: format!(
                        "schedule {name} is enabled, but has neither `every` nor `cron`: it runs only when asked"
                    ),
                }),
                Some(cron) if cron != CRON_NONE && !comes(cron) => {
                    notes.push(Note {
                        kind: NoteKind::Missing,
                        text: format!("schedule {name} never runs: no day is like `{cron}`"),
                    });
                }
                _ => {}
            }
            if cron.is_some() && schedule.every != 0 {
                let text = format!("schedule {name} has `every` and `cron`: only `cron` counts");
                notes.push(Note { kind: NoteKind::Info, text });
            }
        }
        notes
    }

    /// Only looking tells whether they are names of files.
    fn remarks_on_patterns(&self) -> Vec<Note> {
        let mut notes = Vec::new();
        for (name, profile) in &self.profiles {
            for (source, settings) in &profile.sources {
                let entries =
                    settings.exclude.iter().flatten().flat_map(|entry| entry.lines()).map(str::trim);
                for line in entries.filter(|line| is_pattern(line)) {
                    if let Err(why) = Patterns::default().add(line, "") {
                        let text = format!(
                            "profiles.{name}.sources.{source}.exclude: {line:?} is no pattern ({why}): only what bears just \
                             that name is left out"
                        );
                        notes.push(Note { kind: NoteKind::Warning, text });
                    }
                }
            }
        }
        notes
    }

    fn remarks_on_keys(&self) -> Vec<Note> {
        let mut notes = Vec::new();
        let keyless = self.encryption.key_file.is_none()
            && self.encryption.key.is_none()
            && self.encryption.key_env.is_none();
        for (name, profile) in &self.profiles {
            if profile.encryption == EncryptionKind::Aes256 && keyless && self.encryption.aes_module.is_none()
            {
                let text = format!(
                    "profile {name} encrypts, but there is no key: set encryption.key_file (see `bam keygen`)"
                );
                notes.push(Note { kind: NoteKind::Warning, text });
            }
            if profile.encryption == EncryptionKind::Age && self.encryption.recipients.is_empty() {
                let text = format!(
                    "profile {name} encrypts with age, but nobody could open it: set encryption.recipients (see \
                     `bam keygen --age`)"
                );
                notes.push(Note { kind: NoteKind::Warning, text });
            }
        }
        notes
    }
}
