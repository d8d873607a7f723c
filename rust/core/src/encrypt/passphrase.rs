//! The passphrase: the first line of a key file, exactly as OpenSSL's `-pass file:` reads it.

use super::age::Identities;
use crate::{Code, Error, Result, Secret};
use std::collections::BTreeSet;
use std::path::Path;

/// OpenSSL reads at most this many bytes of the line (`APP_PASS_LEN` in apps/lib/apps.c is 1024, with the NUL).
const MAX_BYTES: usize = 1023;

/// Shorter ones are found by trying them all.
const SHORTEST: usize = 8;

/// What lists of passwords begin with, and what stands in the way of whoever sets up a site: at the front of a key that has
/// nothing but digits and marks behind it.
const COMMON: &[&str] = &[
    "abcdefgh",
    "abcdefghi",
    "abcdefghij",
    "admin",
    "adminadmin",
    "administrator",
    "archive",
    "asdfasdf",
    "asdfghjk",
    "asdfghjkl",
    "backup",
    "backupkey",
    "backupandmigrate",
    "backups",
    "baseball",
    "changeit",
    "changeme",
    "charlie",
    "computer",
    "database",
    "default",
    "drupal",
    "drupalbackup",
    "encryption",
    "encryptionkey",
    "football",
    "geheim",
    "hallo",
    "hello",
    "iloveyou",
    "jennifer",
    "key",
    "letmein",
    "liverpool",
    "mariadb",
    "michelle",
    "monkey",
    "mysecret",
    "mysql",
    "pass",
    "passphrase",
    "passw0rd",
    "p@ssw0rd",
    "passwort",
    "password",
    "passwordpassword",
    "princess",
    "qwerty",
    "qwertyui",
    "qwertyuiop",
    "root",
    "secret",
    "secretkey",
    "secretsecret",
    "site",
    "starwars",
    "sunshine",
    "superman",
    "test",
    "testtest",
    "trustno",
    "welcome",
    "whatever",
];

/// A passphrase that is never empty. Zeroed when dropped; `Debug` hides it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Passphrase(Secret);

impl Passphrase {
    /// The first line of `text`, as OpenSSL reads it: up to the line feed (a carriage return before it belongs to
    /// the passphrase), at most 1023 bytes. OpenSSL would stop at a NUL byte and accept an empty line; both leave a
    /// key that anybody can guess, so here they are errors ([`Code::Key`]).
    pub fn from_first_line(text: &[u8]) -> Result<Self> {
        let line = text.split(|&byte| byte == b'\n').next().unwrap_or_default();
        let line = line.get(..MAX_BYTES).unwrap_or(line);
        let bad = |what: &str| {
            Err(Error::new(Code::Key, what).hint(
                "the key is one line of text; make one with `bam keygen FILE` or `openssl rand -base64 32 > FILE`",
            ))
        };
        if line.is_empty() {
            return bad("the first line of the key is empty");
        }
        if Identities::is_in(text) {
            return Err(Error::new(Code::Key, "this is an age identity, not a passphrase").hint(
                "with `encryption: age` its public key goes into encryption.recipients, and the file stays off this \
                 machine",
            ));
        }
        if line.contains(&0) {
            return bad("the key holds a NUL byte, where OpenSSL would cut it off");
        }
        Ok(Passphrase(Secret::new(line)))
    }

    /// Reads the first line of the file at `path`; no more than the line's limit is read from it.
    pub fn from_file(path: &Path) -> Result<Self> {
        let text = super::read_key_file(path, MAX_BYTES)?;
        Passphrase::from_first_line(&text).map_err(|e| e.context(format!("key file {}", path.display())))
    }

    /// Why anybody could guess it, where that is so: it opens what it has encrypted, and is not to encrypt anything new.
    pub fn weakness(&self) -> Option<&'static str> {
        let key = self.expose().trim_ascii();
        if key.len() < SHORTEST {
            return Some("is shorter than 8 characters");
        }
        if key.iter().collect::<BTreeSet<_>>().len() < 3 {
            return Some("is the same over and over");
        }
        if key.iter().all(u8::is_ascii_digit) && key.len() < 16 {
            return Some("is a short number");
        }
        let word = key
            .iter()
            .rposition(u8::is_ascii_alphabetic)
            .and_then(|last| key.get(..=last))
            .unwrap_or_default();
        let is_common = COMMON.iter().any(|common| word.eq_ignore_ascii_case(common.as_bytes()));
        (is_common && key.len() - word.len() < SHORTEST).then_some("is a word that everybody tries first")
    }

    /// What the passphrase may have been before an editor, a clipboard or another system changed its file, with words
    /// for each: a byte order mark before it, blanks or a carriage return behind it, or one that was lost.
    pub fn mended(&self) -> Vec<(&'static str, Passphrase)> {
        let bytes = self.expose();
        let plain = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes).trim_ascii();
        let mut found = Vec::new();
        if plain != bytes && !plain.is_empty() {
            found.push(("without the blanks and marks around it", Passphrase(Secret::new(plain))));
        }
        if !bytes.ends_with(b"\r") {
            let line = [plain, b"\r"].concat();
            found.push(("with a carriage return at its end", Passphrase(Secret::new(line))));
        }
        found
    }

    /// The bytes: for key derivation only.
    pub(crate) fn expose(&self) -> &[u8] {
        self.0.expose()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(text: &[u8]) -> Vec<u8> {
        Passphrase::from_first_line(text).unwrap().expose().to_vec()
    }

    #[test]
    fn the_line_is_cut_as_openssl_cuts_it() {
        assert_eq!(line(b"abc\ndef\n"), b"abc");
        assert_eq!(line(b"abc"), b"abc");
        assert_eq!(line(b"abc\r\ndef"), b"abc\r");
        assert_eq!(line(b" \xff \n"), b" \xff ");
        assert_eq!(line(&[b'a'; 5000]), [b'a'; 1023]);
    }

    #[test]
    fn keys_anybody_could_guess_are_refused() {
        for text in [&b""[..], b"\n", b"\nabc", b"\0abc\n", b"ab\0c"] {
            let error = Passphrase::from_first_line(text).unwrap_err();
            assert_eq!(error.code(), Code::Key, "{text:?}");
            assert!(error.next_step().is_some());
        }
    }

    #[test]
    fn what_anybody_could_guess_is_told_from_what_nobody_would() {
        let weakness = |text: &str| Passphrase::from_first_line(text.as_bytes()).unwrap().weakness();
        for weak in [
            "a",
            "1",
            "123456",
            "drupal",
            "password",
            "Password1!",
            "DRUPAL2026",
            "aaaaaaaaaaaaaaaaaaaa",
            "abababababab",
            "12345678",
            "20261129",
            " secret \r",
            "backupandmigrate",
            "changeme",
        ] {
            assert!(weakness(weak).is_some(), "{weak}");
        }
        for strong in [
            "correct horse battery staple",
            "password of my site",
            "drupal-4711-x",
            "1234567890123456",
            "x7Gq2pLm",
            "3n0+q9vZbN6Jc0q1l5yQmY7hR2kT8wXsUeDfGa4iVpo=",
        ] {
            assert_eq!(weakness(strong), None, "{strong}");
        }
    }

    #[test]
    fn a_missing_file_is_named() {
        let error = Passphrase::from_file(Path::new("/nonexistent/key")).unwrap_err();
        assert_eq!(error.code(), Code::NotFound);
        assert!(error.message().contains("/nonexistent/key"));
    }
}
