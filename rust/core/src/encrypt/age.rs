//! The age format (`.age`, <https://age-encryption.org/v1>), through the `age` crate: encrypted to public keys
//! ("recipients", `age1…`), so that the machine that makes backups cannot read them.
//!
//! X25519 recipients only, no passphrases, no SSH keys, no plugins. Each 64 KiB carry a tag of their own, so a flipped
//! bit and a missing end show while reading. What age does not tell is who made a file: a public key is no secret.

use super::damaged;
use crate::{Code, Error, Result};
use age::secrecy::ExposeSecret;
use age::stream::{StreamReader, StreamWriter};
use age::x25519::{Identity, Recipient};
use age::{DecryptError, Decryptor, Encryptor};
use std::io::{self, Read, Seek, SeekFrom, Write};
use zeroize::Zeroizing;

/// How a secret key begins, in the form that age's tools write.
pub(super) const SECRET: &str = "AGE-SECRET-KEY-1";

/// Bytes of what is encrypted that each tag is for, and with the tag (the format's section "Payload").
const CHUNK: u64 = 64 << 10;
const SEALED_CHUNK: u64 = CHUNK + 16;

/// Bytes behind the header that hold the first `clear` bytes of what was encrypted, where there are as many.
pub fn sealed(clear: u64) -> u64 {
    clear.div_ceil(CHUNK).saturating_mul(SEALED_CHUNK)
}

/// Public keys to encrypt to; never none. `Debug` and `Display` show them, they are no secret.
#[derive(Debug, Clone)]
pub struct Recipients(Vec<Recipient>);

impl Recipients {
    /// From `age1…` texts.
    pub fn parse<S: AsRef<str>>(texts: &[S]) -> Result<Self> {
        let parse = |text: &S| {
            let text = text.as_ref().trim();
            text.parse().map_err(|why| {
                // A secret key put here by mistake must not reach a log.
                let shown = if text.starts_with("age1") { text } else { "an entry" };
                Error::new(
                    Code::Config,
                    format!("encryption.recipients: {shown} is no age public key: {why}"),
                )
                .hint("a public key is what `bam keygen --age FILE` or `age-keygen -y FILE` prints: age1…")
            })
        };
        let keys = texts.iter().map(parse).collect::<Result<Vec<_>>>()?;
        if keys.is_empty() {
            return Err(Error::new(Code::Key, "the backup is to be encrypted with age, but to nobody").hint(
                "make a key with `bam keygen --age FILE` on another machine, and set encryption.recipients",
            ));
        }
        Ok(Recipients(keys))
    }

    /// As texts, sorted: what the sidecar records.
    pub fn names(&self) -> Vec<String> {
        let mut names: Vec<String> = self.0.iter().map(ToString::to_string).collect();
        names.sort();
        names.dedup();
        names
    }
}

/// Secret keys. Zeroed when dropped; nothing prints them.
#[derive(Clone)]
pub struct Identities(Vec<Identity>);

impl Identities {
    /// A new one.
    pub fn generate() -> Self {
        Identities(vec![Identity::generate()])
    }

    /// From the lines of an identity file, as `age-keygen` writes it: `#` begins a remark, empty lines do not count.
    pub fn parse(text: &str) -> Result<Self> {
        let lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
        let parse = |line: &str| {
            line.parse().map_err(|_| {
                Error::new(Code::Key, "a line of the age identity is no secret key")
                    .hint(format!("each line is a secret key, {SECRET}…, or begins with #"))
            })
        };
        let keys = lines.map(parse).collect::<Result<Vec<_>>>()?;
        if keys.is_empty() {
            return Err(Error::new(Code::Key, "the age identity holds no secret key"));
        }
        Ok(Identities(keys))
    }

    /// Whether a text is an identity file, not a passphrase.
    pub fn is_in(text: &[u8]) -> bool {
        text.split(|&byte| byte == b'\n').any(|line| line.trim_ascii_start().starts_with(SECRET.as_bytes()))
    }

    /// The public keys, as texts.
    pub fn recipients(&self) -> Vec<String> {
        self.0.iter().map(|key| key.to_public().to_string()).collect()
    }

    /// Adds another's keys.
    pub fn add(&mut self, other: Identities) {
        self.0.extend(other.0);
    }

    /// An identity file of these, as `age-keygen` writes it.
    pub fn to_file(&self) -> Zeroizing<String> {
        let mut text = Zeroizing::new(String::new());
        for key in &self.0 {
            text.push_str(&format!("# public key: {}\n", key.to_public()));
            text.push_str(key.to_string().expose_secret());
            text.push('\n');
        }
        text
    }
}

/// Encrypts what is written to it. [`Writer::finish`] must be called: without it the end is missing.
pub struct Writer<W: Write>(StreamWriter<W>);

impl<W: Write> Writer<W> {
    /// Writes the header.
    pub fn new(out: W, recipients: &Recipients) -> Result<Self> {
        let keys = recipients.0.iter().map(|key| key as &dyn age::Recipient);
        let encryptor = Encryptor::with_recipients(keys)
            .map_err(|why| Error::new(Code::Internal, "cannot encrypt with age").because(why))?;
        Ok(Writer(encryptor.wrap_output(out)?))
    }

    /// Writes the last block; gives back the inner writer, which it does not flush.
    pub fn finish(self) -> Result<W> {
        Ok(self.0.finish()?)
    }
}

impl<W: Write> Write for Writer<W> {
    fn write(&mut self, input: &[u8]) -> io::Result<usize> {
        self.0.write(input)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

/// Decrypts what is read through it. Damage ends in [`Code::Integrity`].
pub struct AgeReader<R: Read>(StreamReader<R>);

impl<R: Read> AgeReader<R> {
    /// Reads the header. `None`: none of these keys opens it.
    pub fn new(input: R, identities: &Identities) -> Result<Option<Self>> {
        let keys = identities.0.iter().map(|key| key as &dyn age::Identity);
        match Decryptor::new(input).and_then(|decryptor| decryptor.decrypt(keys)) {
            Ok(reader) => Ok(Some(AgeReader(reader))),
            Err(DecryptError::NoMatchingKeys) => Ok(None),
            Err(DecryptError::Io(cause)) if !is_damage(&cause) => Err(cause.into()),
            Err(_) => Err(damaged("the header of the age file cannot be read")),
        }
    }
}

impl<R: Read + Seek> Seek for AgeReader<R> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.0.seek(to).map_err(told)
    }
}

/// An error of the crate in our words.
fn told(cause: io::Error) -> io::Error {
    if is_damage(&cause) { damaged("data encrypted with age does not decrypt").into() } else { cause }
}

impl<R: Read> Read for AgeReader<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        self.0.read(out).map_err(told)
    }
}

/// Whether it is the crate that complains, not the disk.
fn is_damage(cause: &io::Error) -> bool {
    matches!(cause.kind(), io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sealed(plain: &[u8], recipients: &Recipients) -> Vec<u8> {
        let mut writer = Writer::new(Vec::new(), recipients).expect("begun");
        writer.write_all(plain).expect("written");
        writer.finish().expect("finished")
    }

    fn opened(sealed: &[u8], keys: &Identities) -> Result<Vec<u8>> {
        let mut plain = Vec::new();
        AgeReader::new(sealed, keys)?
            .ok_or_else(|| Error::new(Code::Key, "no key"))?
            .read_to_end(&mut plain)?;
        Ok(plain)
    }

    #[test]
    fn every_recipient_opens_it_and_nobody_else() {
        let (one, other, stranger) = (Identities::generate(), Identities::generate(), Identities::generate());
        let to = Recipients::parse(&[one.recipients(), other.recipients()].concat()).expect("keys");
        for size in [0, 1, 65_535, 65_536, 65_537, 300_000] {
            let plain: Vec<u8> = (0..size).map(|at: u32| (at % 251) as u8).collect();
            let file = sealed(&plain, &to);
            assert_eq!(opened(&file, &one).expect("opened"), plain, "{size}");
            assert_eq!(opened(&file, &other).expect("opened"), plain, "{size}");
            assert_eq!(opened(&file, &stranger).expect_err("a stranger").code(), Code::Key);
        }
    }

    #[test]
    fn damage_anywhere_is_an_integrity_error() {
        let key = Identities::generate();
        let to = Recipients::parse(&key.recipients()).expect("a key");
        let file = sealed(&[7; 100_000], &to);
        for at in [0, 30, 100, 150, 200, 300, 65_800, file.len() - 1] {
            let mut bad = file.clone();
            bad[at] ^= 1;
            let error = opened(&bad, &key).expect_err("damaged");
            assert!(matches!(error.code(), Code::Integrity | Code::Key), "{at}: {error}");
            let cut = opened(file.get(..at).expect("shorter"), &key).expect_err("cut");
            assert_eq!(cut.code(), Code::Integrity, "{at}: {cut}");
        }
    }

    #[test]
    fn an_identity_file_is_told_from_a_passphrase_and_read_back() {
        let key = Identities::generate();
        let text = key.to_file();
        assert!(Identities::is_in(text.as_bytes()));
        assert!(!Identities::is_in(b"correct horse battery staple\n"));
        assert_eq!(Identities::parse(&text).expect("read").recipients(), key.recipients());
        let error = Identities::parse(&format!("{}x", text.trim_end())).err().expect("damaged");
        assert!(!error.to_string().contains("SECRET-KEY-1Q"), "{error}");
        let error = Recipients::parse(&[text.lines().last().expect("a line")]).expect_err("a secret");
        assert!(!error.message().contains(SECRET), "{error}");
    }
}
