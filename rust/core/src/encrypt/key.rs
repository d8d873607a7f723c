//! Key files: making, checking and naming them.

use super::age::Identities;
use super::kdf::random;
use super::passphrase::Passphrase;
use crate::{Code, Error, Note, NoteKind, Result, ResultExt};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;
use zeroize::{Zeroize, Zeroizing};

/// Bytes of a key file that are read: a passphrase is one line, an identity file has a few.
const LONGEST: usize = 64 * 1024;

/// Names a key for people: two files with one ID are the same key. Not for places that strangers can read: whoever
/// guesses a passphrase can try it on the ID, and its cost never rises.
///
/// The first 8 bytes of PBKDF2-HMAC-SHA256 over the passphrase with the fixed salt `bam key id 1` and 600 000
/// iterations, as 16 hex digits. Sidecars of earlier versions hold it; since then they hold a [`KeyCheck`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct KeyId([u8; 8]);

impl KeyId {
    /// Takes about 0.1 s.
    pub fn of(passphrase: &Passphrase) -> Self {
        // A fuzzer has other work than that.
        let iterations = if cfg!(fuzzing) { 1 } else { 600_000 };
        let mut id = [0; 8];
        bam_crypto::pbkdf2_sha256(passphrase.expose(), b"bam key id 1", iterations, &mut id);
        KeyId(id)
    }

    /// From the 16 hex digits that `Display` writes.
    pub fn parse(text: &str) -> Option<Self> {
        eight_bytes(text).map(KeyId)
    }
}

/// 16 hex digits.
pub(crate) fn eight_bytes(text: &str) -> Option<[u8; 8]> {
    let hex = text.len() == 16 && text.bytes().all(|b| b.is_ascii_hexdigit());
    hex.then(|| u64::from_str_radix(text, 16).ok().map(u64::to_be_bytes)).flatten()
}

/// Tells whether a key is the one that a backup was made with: bytes 80 to 87 of that backup's own key derivation, over
/// its salt and with its iterations. So it costs nothing besides, tells two backups' keys apart from nobody, and to
/// guess a passphrase from it costs as much as from the backup itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeyCheck(pub(super) [u8; 8]);

impl KeyCheck {
    /// From the 16 hex digits that `Display` writes.
    pub fn parse(text: &str) -> Option<Self> {
        eight_bytes(text).map(KeyCheck)
    }
}

impl fmt::Display for KeyCheck {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", u64::from_be_bytes(self.0))
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", u64::from_be_bytes(self.0))
    }
}

/// What a file of a key ring holds.
pub enum KeyFile {
    /// A passphrase, for `.enc` files.
    Passphrase(Passphrase),
    /// Secret keys, for `.age` files.
    Identities(Identities),
}

impl KeyFile {
    /// Reads a key file of either kind.
    pub fn read(path: &Path) -> Result<KeyFile> {
        let text = super::read_key_file(path, LONGEST)?;
        let read = if Identities::is_in(&text) {
            let text = Zeroizing::new(String::from_utf8_lossy(&text).into_owned());
            Identities::parse(&text).map(KeyFile::Identities)
        } else {
            Passphrase::from_first_line(&text).map(KeyFile::Passphrase)
        };
        read.map_err(|error| error.context(format!("key file {}", path.display())))
    }
}

/// Makes a new age identity file, as private as [`create`]'s; its public key.
pub fn create_identity(path: &Path) -> Result<String> {
    let identity = Identities::generate();
    write_new(path, identity.to_file().as_bytes())?;
    Ok(identity.recipients().concat())
}

/// Makes a new key file: 32 random bytes as base64 on one line, readable by its owner only, on disk when this
/// returns. Never replaces a file that is there.
pub fn create(path: &Path) -> Result<Passphrase> {
    let mut bytes = random::<32>()?;
    let mut line = Zeroizing::new(BASE64_STANDARD.encode(bytes));
    bytes.zeroize();
    line.push('\n');
    write_new(path, line.as_bytes())?;
    Passphrase::from_first_line(line.as_bytes())
}

fn write_new(path: &Path, text: &[u8]) -> Result<()> {
    let mut file =
        OpenOptions::new().write(true).create_new(true).mode(0o600).open(path).map_err(|e| {
            match e.kind() {
                ErrorKind::AlreadyExists => {
                    Error::of_path(Code::Key, path, "exists already and is not replaced")
                        .hint("choose another name; backups made with the old key need the old key")
                }
                ErrorKind::NotFound => Error::io("cannot make the key file", path, e)
                    .hint("make its folder first, e.g. `install -d -m 0700 FOLDER`"),
                _ => Error::io("cannot make the key file", path, e),
            }
        })?;
    let folder = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let written =
        file.write_all(text).and_then(|()| file.sync_all()).and_then(|()| File::open(folder)?.sync_all());
    if let Err(e) = written {
        // Half a key must not be taken for one; where even this fails, the first error matters more.
        let _ = fs::remove_file(path);
        return Err(Error::io("cannot write the key file", path, e));
    }
    Ok(())
}

/// Looks at a key file and says what is wrong with it although it works: who else can read it, a carriage return or
/// too short a line. Fails where it cannot be used at all.
pub fn check(path: &Path) -> Result<Vec<Note>> {
    let passphrase = Passphrase::from_file(path)?;
    let meta = fs::metadata(path).at("cannot look at the key file", path)?;
    let name = path.display();
    let mut notes = Vec::new();
    let mut warn = |text: String| notes.push(Note { kind: NoteKind::Warning, text });
    // The group is left out: root and the site's users share one.
    if meta.mode() & 0o007 != 0 {
        warn(format!(
            "key file {name} has mode {:04o}: anybody on this machine can use it; run `chmod 600 {name}`",
            meta.mode() & 0o7777
        ));
    }
    if passphrase.expose().ends_with(b"\r") {
        warn(format!(
            "the first line of key file {name} ends with a carriage return, which is part of the key: an editor may \
             silently drop it"
        ));
    }
    if passphrase.expose().len() < 16 {
        warn(format!(
            "the key in {name} is shorter than 16 characters and can be guessed by machine; `bam keygen` makes a \
             strong one"
        ));
    }
    Ok(notes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;
    use tempfile::TempDir;

    #[test]
    fn a_new_key_is_private_random_and_never_replaces_another() {
        let dir = TempDir::new().unwrap();
        let path = dir.path().join("key");
        let made = create(&path).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o7777, 0o600);
        let text = fs::read(&path).unwrap();
        assert_eq!(BASE64_STANDARD.decode(&text[..44]).unwrap().len(), 32);
        assert_eq!(&text[44..], b"\n");
        assert_eq!(Passphrase::from_file(&path).unwrap(), made);
        assert_eq!(check(&path).unwrap(), []);
        assert_eq!(create(&path).unwrap_err().code(), Code::Key);
        assert_eq!(fs::read(&path).unwrap(), text);
        assert_ne!(create(&dir.path().join("other")).unwrap(), made);
        let error = create(&dir.path().join("no/such/key")).unwrap_err();
        assert!(error.next_step().unwrap().contains("folder"));
    }

    #[test]
    fn a_link_is_not_followed_to_where_it_dangles() {
        let dir = TempDir::new().unwrap();
        let (link, target) = (dir.path().join("link"), dir.path().join("target"));
        std::os::unix::fs::symlink(&target, &link).unwrap();
        assert_eq!(create(&link).unwrap_err().code(), Code::Key);
        assert!(!target.exists());
    }

    #[test]
    fn careless_keys_are_warned_about() {
        let dir = TempDir::new().unwrap();
        let path = dir.path().join("key");
        fs::write(&path, "secret\r\n").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        let notes = check(&path).unwrap();
        assert_eq!(notes.len(), 3);
        assert!(notes[0].text.contains("0644"));
        assert!(notes.iter().all(|note| !note.text.contains("secret")));
    }

    /// Pinned: sidecars carry it for years.
    #[test]
    fn the_id_of_a_key_never_changes() {
        let id = KeyId::of(&Passphrase::from_first_line(b"a passphrase").unwrap());
        assert_eq!(KeyId::parse(&id.to_string()), Some(id));
        let openssl = std::process::Command::new("openssl")
            .args(["kdf", "-keylen", "8", "-binary", "-kdfopt", "digest:SHA256", "-kdfopt", "iter:600000"])
            .args(["-kdfopt", "salt:bam key id 1", "-kdfopt", "pass:a passphrase", "PBKDF2"])
            .output()
            .unwrap();
        assert_eq!(openssl.stdout, id.0);
        assert_eq!(KeyId::parse("12"), None);
        assert_eq!(KeyId::parse("+123456789abcdef"), None);
    }
}
