//! The passphrase: the first line of a key file, exactly as OpenSSL's `-pass file:` reads it.

use super::age::Identities;
use crate::{Code, Error, Result, Secret};
use std::path::Path;

/// OpenSSL reads at most this many bytes of the line (`APP_PASS_LEN` in apps/lib/apps.c is 1024, with the NUL).
const MAX_BYTES: usize = 1023;

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
    fn a_missing_file_is_named() {
        let error = Passphrase::from_file(Path::new("/nonexistent/key")).unwrap_err();
        assert_eq!(error.code(), Code::NotFound);
        assert!(error.message().contains("/nonexistent/key"));
    }
}
