//! The keys: whether there is one where one is needed, whether it can be used, and who else can read it.

use super::{Finding, FindingState};
use crate::Note;
use crate::accounts::{self, Account};
use crate::config::{Document, EncryptionKind};
use crate::encrypt::{KeyFile, age::Recipients, key};
use crate::job::choose::profile;
use crate::job::keys::{aes_settings, passphrase, recipients, to_encrypt};
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

pub(super) fn look(document: &Document) -> Vec<Finding> {
    let encryption = &document.encryption;
    let mut findings = Vec::new();
    let uses = |kind: EncryptionKind| -> Vec<&str> {
        let using = document.profiles.iter().filter(|(_, profile)| profile.encryption == kind);
        using.map(|(name, _)| name.as_str()).collect()
    };
    let (secret, public, module) =
        (uses(EncryptionKind::Aes256), uses(EncryptionKind::Age), uses(EncryptionKind::AesModule));
    if let Some(path) = &encryption.key_file {
        findings.push(file(path));
    } else if encryption.key.is_some() || encryption.key_env.is_some() || encryption.aes_module.is_some() {
        findings.push(match passphrase(document) {
            Ok(_) => Finding::new("key", "", FindingState::Good, "the configuration holds it"),
            Err(error) => Finding::failed("key", "", &error),
        });
    } else if !secret.is_empty() {
        let text = format!("there is no key, and the profiles that encrypt need one: {}", secret.join(", "));
        findings.push(Finding::new("key", "", FindingState::Wrong, text).hint(
            "make one with `bam keygen /etc/bam/key`, set encryption.key_file to it, and keep a copy elsewhere",
        ));
    }
    if let (false, Ok(_), Err(error)) = (secret.is_empty(), passphrase(document), to_encrypt(document)) {
        findings.push(Finding::failed("key", "", &error));
    }
    findings.extend(encryption.keys.iter().map(|path| older(path)));
    if !public.is_empty() || !encryption.recipients.is_empty() {
        findings.push(public_keys(&encryption.recipients, &public));
    }
    if !module.is_empty() && encryption.aes_module.is_none() {
        let text = format!("there are no settings of the aes module for the profiles {}", module.join(", "));
        findings.push(Finding::new("key", "", FindingState::Wrong, text).hint("use encryption: aes256"));
    }
    if !findings.is_empty() {
        findings.extend(in_the_clear(document));
    }
    if findings.is_empty() {
        let text =
            "there is no key, and no profile encrypts: backups can be read by whoever gets hold of one";
        findings.push(
            Finding::new("key", "", FindingState::Notice, text)
                .hint("make one with `bam keygen /etc/bam/key` and set encryption: aes256 in the profiles"),
        );
    }
    findings
}

/// A key file, or a folder of them, for older backups.
fn older(path: &Path) -> Finding {
    match fs::metadata(path) {
        Ok(found) if found.is_dir() => {
            Finding::new("key", "", FindingState::Good, format!("older keys are in {}", path.display()))
        }
        _ => match KeyFile::read(path) {
            // Not a passphrase: secret age keys.
            Ok(KeyFile::Identities(_)) => private(path, Vec::new()),
            _ => file(path),
        },
    }
}

/// The keys that these profiles encrypt to.
fn public_keys(recipients: &[String], profiles: &[&str]) -> Finding {
    match Recipients::parse(recipients) {
        Ok(_) if recipients.is_empty() => {
            let text = format!("nobody could open what these profiles encrypt: {}", profiles.join(", "));
            Finding::new("key", "", FindingState::Wrong, text)
                .hint("set encryption.recipients to the public keys that `bam keygen --age` prints")
        }
        Ok(_) => {
            let count = recipients.len();
            let text = format!("{count} public key{}", if count == 1 { "" } else { "s" });
            Finding::new("key", "", FindingState::Good, text)
        }
        Err(error) => Finding::failed("key", "", &error),
    }
}

/// The schedules that are on and do not encrypt, though there is a key.
fn in_the_clear(document: &Document) -> Option<Finding> {
    let clear = |name: &str| profile(document, name).is_ok_and(|it| it.encryption == EncryptionKind::None);
    let schedules = document.schedules.iter();
    let names: Vec<&str> = schedules
        .filter(|(_, schedule)| schedule.enabled && clear(&schedule.profile))
        .map(|(name, _)| name.as_str())
        .collect();
    if names.is_empty() {
        return None;
    }
    let text =
        format!("there is a key, and backups of these schedules are not encrypted: {}", names.join(", "));
    Some(Finding::new("key", "", FindingState::Notice, text).hint("set encryption: aes256 in their profiles"))
}

/// The same where a schedule that is on encrypts and could not; else nothing.
pub(super) fn unusable(document: &Document) -> Vec<Finding> {
    let scheduled = document.schedules.values().filter(|schedule| schedule.enabled);
    let mut kinds =
        scheduled.filter_map(|schedule| Some(profile(document, &schedule.profile).ok()?.encryption));
    let fails = kinds.any(|kind| match kind {
        EncryptionKind::Aes256 => to_encrypt(document).is_err(),
        EncryptionKind::Age => recipients(document).is_err(),
        EncryptionKind::AesModule => aes_settings(document).is_err(),
        EncryptionKind::None => false,
    });
    let mut findings = if fails { look(document) } else { Vec::new() };
    findings.retain(|finding| finding.state >= FindingState::Missing);
    findings
}

/// A key file: usable, and private.
fn file(path: &Path) -> Finding {
    let notes = match key::check(path) {
        Ok(notes) => notes,
        Err(error) => {
            let finding = Finding { state: FindingState::Wrong, ..Finding::failed("key", "", &error) };
            return match finding.hint {
                Some(_) => finding,
                None => finding.hint("make one with `bam keygen`, or correct encryption.key_file"),
            };
        }
    };
    private(path, notes)
}

fn private(path: &Path, notes: Vec<Note>) -> Finding {
    let readers = readers(path);
    match notes.as_slice() {
        [] => Finding::new(
            "key",
            "",
            FindingState::Good,
            format!("{}, which {readers} can read", path.display()),
        ),
        [first, rest @ ..] => {
            let rest = rest.iter().map(|note| format!("; {}", note.text)).collect::<String>();
            // A key that others can read encrypts nothing from them.
            let open = fs::metadata(path).map_or(true, |found| found.mode() & 0o007 != 0);
            let state = if open { FindingState::Wrong } else { FindingState::Notice };
            Finding::new("key", "", state, format!("{}{rest}", first.text))
        }
    }
}

/// Who can read a file, by its owner, group and mode.
fn readers(path: &Path) -> String {
    let Ok(found) = fs::metadata(path) else { return "at least this user".into() };
    let owner =
        Account::by_uid(found.uid()).map_or_else(|| format!("user {}", found.uid()), |user| user.name);
    match found.mode() & 0o044 {
        0 => format!("{owner} alone"),
        0o040 => {
            let group = accounts::group_name(found.gid()).unwrap_or_else(|| found.gid().to_string());
            format!("{owner} and the group {group}")
        }
        _ => "everybody".into(),
    }
}
