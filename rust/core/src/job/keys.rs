//! Which key a job uses, and whether anybody would still have it after a disaster.

use crate::config::{AesModule, Document};
use crate::encrypt::age::{Identities, Recipients};
use crate::encrypt::{KeyFile, KeyId, Passphrase, aes_module, kdf};
use crate::entries;
use crate::look;
use crate::{Code, Error, Monitor, NoteKind, Result, ResultExt, Secret};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// The passphrase of new `.enc` files: `encryption.key_file`, `key`, `key_env`, else the aes module's key where the site
/// has one.
pub fn passphrase(document: &Document) -> Result<Passphrase> {
    let settings = &document.encryption;
    if let Some(path) = &settings.key_file {
        return Passphrase::from_file(path);
    }
    if let Some(key) = &settings.key {
        return Passphrase::from_first_line(key.expose());
    }
    if let Some(name) = &settings.key_env {
        let value = std::env::var_os(name).ok_or_else(|| {
            Error::new(Code::Key, format!("the environment variable {name}, which holds the key, is not set"))
                .hint("set it, or use encryption.key_file")
        })?;
        return Passphrase::from_first_line(value.as_encoded_bytes());
    }
    match &settings.aes_module {
        Some(AesModule { key: Some(key), .. }) => Passphrase::from_first_line(key.expose()),
        Some(AesModule { key_file: Some(path), .. }) => Passphrase::from_file(path),
        _ => Err(Error::new(Code::Key, "no key is set, but the backup is to be encrypted")
            .hint("make one with `bam keygen FILE`, and set encryption.key_file")),
    }
}

/// What the lack of a key to encrypt with is: something to configure ([`Code::Config`]).
fn to_configure(error: Error) -> Error {
    let hint = match error.next_step() {
        Some(hint) => hint.to_owned(),
        None => {
            "correct encryption.key_file, or bring the key back; `bam config check` looks at it".to_owned()
        }
    };
    Error::new(Code::Config, error.message()).hint(hint)
}

/// The passphrase of a backup that is made now; [`Code::Config`] where there is none, or one that anybody could guess. The
/// aes module's, which Drupal has made and others use, is taken as it is.
pub fn to_encrypt(document: &Document) -> Result<Passphrase> {
    let key = passphrase(document).map_err(to_configure)?;
    let settings = &document.encryption;
    let ours = settings.key_file.is_some() || settings.key.is_some() || settings.key_env.is_some();
    match key.weakness().filter(|_| ours) {
        None => Ok(key),
        Some(why) => Err(Error::new(Code::Config, format!("the key {why}: nothing is encrypted with it")).hint(
            "make another, `bam keygen FILE`, set encryption.key_file to it, and keep this one in a file that encryption.keys \
             names: it still opens what was made with it",
        )),
    }
}

/// The passphrase that backups are sealed with, however they are encrypted; `None` where the site has none.
pub fn sealing(document: &Document) -> Result<Option<Passphrase>> {
    let settings = &document.encryption;
    let module = settings.aes_module.as_ref();
    let module = module.is_some_and(|module| module.key.is_some() || module.key_file.is_some());
    match &settings.key_file {
        Some(path) if matches!(KeyFile::read(path)?, KeyFile::Identities(_)) => Ok(None),
        None if settings.key.is_none() && settings.key_env.is_none() && !module => Ok(None),
        _ => passphrase(document).map(Some),
    }
}

/// PBKDF2 iterations of new backups.
pub fn iterations(document: &Document) -> u32 {
    document.encryption.iterations.unwrap_or(kdf::DEFAULT_ITERATIONS)
}

/// The public keys of new `.age` files.
pub fn recipients(document: &Document) -> Result<Recipients> {
    Recipients::parse(&document.encryption.recipients).map_err(to_configure)
}

/// What trying a key on a backup came to.
pub enum Fit<T> {
    /// It is the one.
    Yes(T),
    /// It is another.
    No,
    /// It is another, or the file is damaged: nobody can tell.
    Perhaps(Error),
}

/// All keys at hand to open backups with, the current one first.
pub struct Ring {
    passphrases: Vec<(String, Passphrase)>,
    identities: Vec<(String, Identities)>,
    /// What of the configuration could not be used.
    unusable: Vec<Error>,
}

impl Ring {
    /// `encryption.key_file`, `key`, `key_env`, then `keys`, then the aes module's key. Files that cannot be read are
    /// told of when no other key opens a backup.
    pub fn of(document: &Document) -> Ring {
        let mut ring = Ring { passphrases: Vec::new(), identities: Vec::new(), unusable: Vec::new() };
        let settings = &document.encryption;
        let module = settings.aes_module.as_ref();
        if let Some(path) = &settings.key_file {
            ring.add_file(path);
        } else if settings.key.is_some() || settings.key_env.is_some() {
            ring.add("the configuration's key".into(), passphrase(document));
        }
        for path in &settings.keys {
            ring.add_path(path);
        }
        match module {
            Some(AesModule { key: Some(key), .. }) => {
                ring.add("the aes module's key".into(), Passphrase::from_first_line(key.expose()));
            }
            Some(AesModule { key_file: Some(path), .. }) if settings.key_file.as_ref() != Some(path) => {
                ring.add(path.display().to_string(), Passphrase::from_file(path));
            }
            _ => {}
        }
        ring
    }

    fn add(&mut self, place: String, key: Result<Passphrase>) {
        match key {
            Ok(key) if self.passphrases.iter().any(|(_, known)| *known == key) => {}
            Ok(key) => self.passphrases.push((place, key)),
            Err(error) => self.unusable.push(error),
        }
    }

    fn add_file(&mut self, path: &Path) {
        match KeyFile::read(path) {
            Ok(KeyFile::Passphrase(key)) => self.add(path.display().to_string(), Ok(key)),
            Ok(KeyFile::Identities(keys)) => self.identities.push((path.display().to_string(), keys)),
            Err(error) => self.unusable.push(error),
        }
    }

    /// A key file, or a folder of them; hidden files and `.pub` are none.
    fn add_path(&mut self, path: &Path) {
        // What cannot be looked at cannot be read either, and that is told.
        if !look::is_folder(path).unwrap_or(false) {
            return self.add_file(path);
        }
        let files = entries::names(path).and_then(Iterator::collect::<io::Result<Vec<_>>>);
        match files.at("cannot look into the key folder", path) {
            Ok(files) => {
                let mut files: Vec<PathBuf> = files.iter().map(|name| path.join(name)).collect();
                files.retain(|file| {
                    let name = file.file_name().unwrap_or_default().as_encoded_bytes();
                    !name.starts_with(b".") && !name.ends_with(b".pub") && look::is_file(file).unwrap_or(true)
                });
                files.sort();
                files.iter().for_each(|file| self.add_file(file));
            }
            Err(error) => self.unusable.push(error),
        }
    }

    /// The first passphrase; the error where there is none.
    pub fn first(mut self) -> Result<Passphrase> {
        if self.passphrases.is_empty() {
            return Err(match self.unusable.is_empty() {
                false => self.unusable.remove(0),
                true => Error::new(Code::Key, "no key is given"),
            });
        }
        Ok(self.passphrases.remove(0).1)
    }

    /// All passphrases, the current one first, and why there is none where one is meant to be.
    pub fn secrets(mut self) -> (Vec<Secret>, Option<Error>) {
        let unusable = if self.unusable.is_empty() { None } else { Some(self.unusable.remove(0)) };
        (self.passphrases.into_iter().map(|(_, key)| Secret::new(key.expose())).collect(), unusable)
    }

    /// Whether all keys that are meant to be here are.
    pub fn is_whole(&self) -> bool {
        self.unusable.is_empty()
    }

    /// Whether there is no passphrase here, and none is meant to be: then nothing can be proven.
    pub fn is_keyless(&self) -> bool {
        self.passphrases.is_empty() && self.unusable.is_empty()
    }

    /// Finds the key that `file` was made with: `attempt` says of each whether it is; its errors end the search. The
    /// inner error is that none fits. `id` is what a sidecar of an earlier version calls the key, for messages.
    pub fn open<T>(
        mut self,
        file: &str,
        id: Option<KeyId>,
        monitor: &Monitor,
        mut attempt: impl FnMut(&Passphrase) -> Result<Fit<T>>,
    ) -> Result<Result<T, Error>> {
        if self.passphrases.is_empty() {
            let nothing = || Error::new(Code::Key, format!("{file} was made with a key, and none is set"));
            return Ok(Err(match (self.unusable.is_empty(), id) {
                (false, _) => self.unusable.remove(0),
                (true, None) => {
                    nothing().hint("set encryption.key_file; without a configuration, name it with --key")
                }
                (true, Some(id)) => {
                    nothing().hint(format!("set encryption.key_file to the key with ID {id}"))
                }
            }));
        }
        let (mut perhaps, mut told) = (None, false);
        for (_, key) in &self.passphrases {
            match attempt(key)? {
                Fit::Yes(opened) => return Ok(Ok(opened)),
                Fit::No => told = true,
                Fit::Perhaps(error) => perhaps = Some(error),
            }
        }
        // A key that went through an editor or another system's clipboard.
        for (place, key) in self.passphrases.iter().flat_map(|(place, key)| {
            key.mended().into_iter().map(move |(how, mended)| (format!("{place} {how}"), mended))
        }) {
            if let Fit::Yes(opened) = attempt(&key)? {
                let text = format!(
                    "{file} opens with the key in {place}: mend that file before it is needed in a hurry"
                );
                monitor.note(NoteKind::Warning, text);
                return Ok(Ok(opened));
            }
        }
        let only = self.passphrases.len() == 1;
        Ok(Err(match (perhaps, id) {
            (Some(_), Some(id)) if !self.has(id) => self.missing(file, id),
            (Some(error), id) if only || id.is_some() => error,
            (None, _) if told => Error::new(
                Code::Integrity,
                format!("{file} was made with another key than those at hand ({})", self.places()),
            )
            .hint("find the file of that key and add it to encryption.keys; without a configuration, name it with --key"),
            _ => Error::new(
                Code::Integrity,
                format!("{file}: none of {} keys opens it ({})", self.passphrases.len(), self.places()),
            )
            .hint("add its key to encryption.keys; if that is among them, use another copy of this backup"),
        }))
    }

    /// Whether there is any secret key for `.age` files.
    pub fn has_identities(&self) -> bool {
        !self.identities.is_empty()
    }

    fn has(&self, id: KeyId) -> bool {
        self.passphrases.iter().any(|(_, key)| KeyId::of(key) == id)
    }

    /// Where keys were looked for.
    fn places(&self) -> String {
        let known =
            self.passphrases.iter().map(|(place, _)| place).chain(self.identities.iter().map(|(p, _)| p));
        let mut told: Vec<String> = known.cloned().collect();
        told.extend(self.unusable.iter().map(|error| error.message().to_owned()));
        if told.is_empty() { "no key is set".into() } else { told.join(", ") }
    }

    fn missing(&self, file: &str, id: KeyId) -> Error {
        let keys: Vec<String> = self
            .passphrases
            .iter()
            .map(|(place, key)| format!("{place} has the ID {}", KeyId::of(key)))
            .collect();
        let unusable = self.unusable.iter().map(|error| error.message().to_owned());
        let looked: Vec<String> = keys.into_iter().chain(unusable).collect();
        Error::new(
            Code::Integrity,
            format!("{file} was encrypted with the key {id}, which is not at hand: {}", looked.join(", ")),
        )
        .hint("find the file of that key and add it to encryption.keys; `bam keys` tells the ID of each")
    }

    /// The secret keys for `.age` files; `recipients` are the public ones that `file` is encrypted to, as far as its
    /// sidecar tells. `opens` asks whether a set of keys does.
    pub fn identities(
        mut self,
        file: &str,
        recipients: &[String],
        opens: impl FnOnce(&Identities) -> Result<bool>,
    ) -> Result<Identities> {
        let places = self.places();
        let mut all = None::<Identities>;
        for (_, keys) in std::mem::take(&mut self.identities) {
            match &mut all {
                Some(all) => all.add(keys),
                None => all = Some(keys),
            }
        }
        if let Some(keys) = all
            && opens(&keys)?
        {
            return Ok(keys);
        }
        let to = if recipients.is_empty() { String::new() } else { format!(" to {}", recipients.join(", ")) };
        Err(Error::new(
            Code::Key,
            format!("{file} is encrypted with age{to}, and no identity that opens it is at hand: {places}"),
        )
        .hint("bring the identity file (AGE-SECRET-KEY-1…) to this machine and name it in encryption.keys"))
    }

    /// What is in it.
    pub fn list(&self) -> Vec<Listed> {
        let ids = self.passphrases.iter().map(|(place, key)| Listed {
            place: place.clone(),
            key_id: Some(KeyId::of(key).to_string()),
            recipients: Vec::new(),
        });
        let public = self.identities.iter().map(|(place, keys)| Listed {
            place: place.clone(),
            key_id: None,
            recipients: keys.recipients(),
        });
        ids.chain(public).collect()
    }

    /// What of the configuration could not be used.
    pub fn unusable(&self) -> &[Error] {
        &self.unusable
    }
}

/// A key of a [`Ring`], as people may see it.
#[derive(Debug, serde::Serialize)]
pub struct Listed {
    /// The file, or where else it is from.
    pub place: String,
    /// Of a passphrase.
    pub key_id: Option<String>,
    /// The public keys of an age identity file.
    pub recipients: Vec<String>,
}

/// The settings of the Drupal module aes, for `.aes` files.
pub fn aes_settings(document: &Document) -> Result<aes_module::Settings> {
    match &document.encryption.aes_module {
        Some(module) => aes_module::Settings::from_document(module),
        None => Err(Error::new(
            Code::Key,
            "the file is encrypted by Drupal's aes module, but its key is not known",
        )
        .hint("set encryption.aes_module: implementation, key or key_file, and iv for mcrypt")),
    }
}

/// Warns when what is being backed up contains the only copy of the key that we know of: such a backup cannot be
/// opened after the disaster it was made for.
pub fn warn_if_inside(document: &Document, backed_up: &[PathBuf], database: bool, monitor: &Monitor) {
    let settings = &document.encryption;
    let module = settings.aes_module.as_ref();
    let file = settings.key_file.as_ref().or_else(|| module.and_then(|m| m.key_file.as_ref()));
    if let Some(file) = file {
        if let Ok(real) = fs::canonicalize(file)
            && backed_up.iter().any(|root| is_below(&real, root))
        {
            monitor.note(
                NoteKind::Warning,
                format!(
                    "the key {} lies inside what it encrypts: keep a copy on another machine, or the backup cannot \
                     be opened when this one is lost",
                    file.display()
                ),
            );
        }
    } else if database && settings.key.is_none() && settings.key_env.is_none() && module.is_some() {
        monitor.note(
            NoteKind::Warning,
            "the key (the aes module's variable aes_key) lies inside the database that it encrypts: keep a copy on \
             another machine, or the backup cannot be opened when this one is lost",
        );
    }
}

fn is_below(path: &Path, root: &Path) -> bool {
    fs::canonicalize(root).at("cannot find", root).is_ok_and(|root| path.starts_with(root))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Encryption;

    #[test]
    fn a_key_inside_the_backup_is_warned_of_and_one_outside_is_not() {
        let site = tempfile::tempdir().expect("a folder");
        let elsewhere = tempfile::tempdir().expect("a folder");
        let warned = |key: PathBuf| {
            fs::write(&key, "secret\n").expect("written");
            let encryption = Encryption { key_file: Some(key), ..Encryption::default() };
            let document = Document { encryption, ..Document::default() };
            let monitor = Monitor::new();
            warn_if_inside(&document, &[site.path().to_owned()], true, &monitor);
            monitor.notes().len()
        };
        assert_eq!(warned(site.path().join("key")), 1);
        assert_eq!(warned(elsewhere.path().join("key")), 0);
    }

    fn ring_of(folder: &Path, keys: &[&str]) -> Ring {
        let encryption = Encryption {
            key_file: Some(folder.join("key")),
            keys: keys.iter().map(|name| folder.join(name)).collect(),
            ..Encryption::default()
        };
        Ring::of(&Document { encryption, ..Document::default() })
    }

    fn perhaps<T>() -> Result<Fit<T>> {
        Ok(Fit::Perhaps(Error::new(Code::Integrity, "wrong")))
    }

    #[test]
    fn the_ring_picks_by_id_and_tries_each_where_there_is_none() {
        let dir = tempfile::tempdir().expect("a folder");
        fs::write(dir.path().join("key"), "new\n").expect("written");
        fs::create_dir(dir.path().join("old")).expect("made");
        for (name, text) in [("a", "first\n"), ("b", "second\n"), (".hidden", "no\n"), ("x.pub", "no\n")] {
            fs::write(dir.path().join("old").join(name), text).expect("written");
        }
        let of = |text: &str| Passphrase::from_first_line(text.as_bytes()).expect("a key");
        let ring = || ring_of(dir.path(), &["old", "gone"]);
        let monitor = Monitor::new();
        let mut tried = 0;
        let found = ring().open("f", None, &monitor, |key| {
            tried += 1;
            if *key == of("second") { Ok(Fit::Yes(())) } else { perhaps() }
        });
        assert!(found.is_ok_and(|found| found.is_ok()) && tried == 3, "new, first, second");
        let error = ring()
            .open("f", None, &monitor, |_| Ok(Fit::<()>::No))
            .expect("looked")
            .expect_err("another key")
            .to_string();
        assert!(error.contains("another key") && error.contains("old/a"), "{error}");

        let missing = KeyId::of(&of("lost"));
        let error = ring()
            .open("f.enc", Some(missing), &monitor, |_| perhaps::<()>())
            .expect("looked")
            .expect_err("missing")
            .to_string();
        for word in
            ["f.enc", &missing.to_string(), "old/a", "old/b", "gone", &KeyId::of(&of("new")).to_string()]
        {
            assert!(error.contains(word), "{word}: {error}");
        }
        assert!(!error.contains("hidden") && !error.contains(".pub"), "{error}");
    }

    #[test]
    fn a_single_key_that_fails_is_told_apart_from_a_damaged_file() {
        let dir = tempfile::tempdir().expect("a folder");
        fs::write(dir.path().join("key"), "new\n").expect("written");
        let key = Passphrase::from_first_line(b"new").expect("a key");
        let error = ring_of(dir.path(), &[])
            .open("f", Some(KeyId::of(&key)), &Monitor::new(), |_| perhaps::<()>())
            .expect("looked")
            .expect_err("damaged");
        assert_eq!(error.message(), "wrong");
        let other = KeyId::parse("0123456789abcdef").expect("an ID");
        let error = ring_of(dir.path(), &[])
            .open("f", Some(other), &Monitor::new(), |_| perhaps::<()>())
            .expect("looked")
            .expect_err("missing");
        assert!(error.message().contains("0123456789abcdef"), "{error}");
    }

    #[test]
    fn a_key_that_an_editor_has_changed_still_opens() {
        let dir = tempfile::tempdir().expect("a folder");
        let of = |text: &[u8]| Passphrase::from_first_line(text).expect("a key");
        for (stored, meant) in [
            (&b"secret\r\n"[..], &b"secret"[..]),
            (b"secret  \n", b"secret"),
            (b"\xef\xbb\xbfsecret\n", b"secret"),
            (b"secret\n", b"secret\r"),
        ] {
            fs::write(dir.path().join("key"), stored).expect("written");
            let monitor = Monitor::new();
            let opens = |key: &Passphrase| Ok(if *key == of(meant) { Fit::Yes(()) } else { Fit::No });
            ring_of(dir.path(), &[]).open("f", None, &monitor, opens).expect("looked").expect("opened");
            assert_eq!(monitor.notes().len(), 1, "{:?}", monitor.notes());
        }
    }

    #[test]
    fn without_any_key_the_error_says_how_to_make_one() {
        let error = passphrase(&Document::default()).expect_err("no key");
        assert_eq!(error.code(), Code::Key);
        assert!(error.to_string().contains("bam keygen"), "{error}");
    }
}
