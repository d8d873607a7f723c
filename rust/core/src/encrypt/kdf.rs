//! From a passphrase and a salt to keys, as OpenSSL derives them.

use super::cbc::{Boxed, KeyIv};
use super::{KeyCheck, MacKey, Passphrase};
use crate::{Code, Error, Monitor, Result, threads};
use crossbeam_channel::{Receiver, bounded};
use std::thread::JoinHandle;
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing, zeroize_stack};

/// The 8 random bytes behind `Salted__`.
pub type Salt = [u8; 8];

/// PBKDF2 iterations for new backups: OWASP's recommendation for HMAC-SHA256 (Password Storage Cheat Sheet, 2023).
pub const DEFAULT_ITERATIONS: u32 = 600_000;

/// The most that can be asked for; this many take a minute.
pub const MAX_ITERATIONS: u32 = 200_000_000;

/// The most that a sidecar can ask for, that is a stranger: seconds, on any machine. Whoever makes backups with more
/// says so in the configuration or on the command line.
pub const MOST_UNASKED: u32 = 10_000_000;

/// Digests that `openssl enc -md` knows and that old backups use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Digest {
    Md5,
    Sha1,
    Sha224,
    Sha256,
    Sha384,
    Sha512,
}

impl Digest {
    /// From OpenSSL's name, e.g. `sha256`.
    pub fn from_name(name: &str) -> Result<Self> {
        Ok(match name.to_ascii_lowercase().replace('-', "").as_str() {
            "md5" => Digest::Md5,
            "sha1" => Digest::Sha1,
            "sha224" => Digest::Sha224,
            "sha256" => Digest::Sha256,
            "sha384" => Digest::Sha384,
            "sha512" => Digest::Sha512,
            _ => {
                return Err(Error::new(Code::Unsupported, format!("unknown digest {name}"))
                    .hint("one of md5, sha1, sha224, sha256, sha384, sha512"));
            }
        })
    }
}

/// How keys follow from a passphrase.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kdf {
    /// `openssl enc -pbkdf2 -iter N -md DIGEST`; ours is SHA-256.
    Pbkdf2 {
        /// `-md`, by default SHA-256.
        digest: Digest,
        /// `-iter`, by default 10 000 in OpenSSL.
        iterations: u32,
    },
    /// `openssl enc` without `-pbkdf2`: `EVP_BytesToKey` with one iteration. The digest is SHA-256 since
    /// OpenSSL 1.1.0, MD5 before.
    BytesToKey {
        /// `-md`.
        digest: Digest,
    },
}

impl Kdf {
    /// The derivation of our own container.
    pub fn ours(iterations: u32) -> Self {
        Kdf::Pbkdf2 { digest: Digest::Sha256, iterations }
    }

    /// The others that `openssl enc -aes-256-cbc` uses by default, newest first.
    pub const OPENSSL_DEFAULTS: [Kdf; 3] = [
        Kdf::Pbkdf2 { digest: Digest::Sha256, iterations: 10_000 },
        Kdf::BytesToKey { digest: Digest::Sha256 },
        Kdf::BytesToKey { digest: Digest::Md5 },
    ];

    /// Derives the keys; takes about 0.2 s with [`DEFAULT_ITERATIONS`]. [`Code::Integrity`] where the number of
    /// iterations is out of range: it comes with the file.
    pub fn derive(self, passphrase: &Passphrase, salt: Salt) -> Result<Keys> {
        let keys = self.derived(passphrase, salt);
        // More than hashing needs, and little beside the time for it.
        zeroize_stack::<65_536>();
        keys
    }

    /// Leaves what follows from the passphrase on the stack below it.
    #[inline(never)]
    fn derived(self, passphrase: &Passphrase, salt: Salt) -> Result<Keys> {
        // A longer PBKDF2 output begins with the shorter one, so the first 48 bytes are OpenSSL's key and IV. The third
        // block of 32 bytes has to be computed for the MAC key anyhow; the check is what else it has.
        let mut bytes: Boxed<88> = Box::new(Zeroizing::new([0; 88]));
        match self {
            Kdf::Pbkdf2 { digest, iterations } => {
                check_iterations(u64::from(iterations), MAX_ITERATIONS, Code::Integrity)?;
                let derive = match digest {
                    Digest::Md5 => bam_crypto::pbkdf2_md5,
                    Digest::Sha1 => bam_crypto::pbkdf2_sha1,
                    Digest::Sha224 => bam_crypto::pbkdf2_sha224,
                    Digest::Sha256 => bam_crypto::pbkdf2_sha256,
                    Digest::Sha384 => bam_crypto::pbkdf2_sha384,
                    Digest::Sha512 => bam_crypto::pbkdf2_sha512,
                };
                derive(passphrase.expose(), &salt, iterations, bytes.as_mut_slice());
            }
            Kdf::BytesToKey { digest } => {
                let derive = match digest {
                    Digest::Md5 => bytes_to_key::<md5::Md5>,
                    Digest::Sha1 => bytes_to_key::<sha1::Sha1>,
                    Digest::Sha224 => bytes_to_key::<sha2::Sha224>,
                    Digest::Sha256 => bytes_to_key::<sha2::Sha256>,
                    Digest::Sha384 => bytes_to_key::<sha2::Sha384>,
                    Digest::Sha512 => bytes_to_key::<sha2::Sha512>,
                };
                derive(passphrase.expose(), &salt, bytes.as_mut_slice());
            }
        }
        let (key, rest) = bytes.split_at(32);
        let (iv, rest) = rest.split_at(16);
        let (mac, check) = rest.split_at(32);
        let mut secret = Box::new(Derived::default());
        secret.key.copy_from_slice(key);
        secret.iv.copy_from_slice(iv);
        secret.mac.copy_from_slice(mac);
        secret.check.copy_from_slice(check);
        Ok(Keys { salt, secret })
    }
}

/// A number of iterations from outside, with the bound that it must keep; out of range it is an error of this `code`.
pub fn check_iterations(iterations: u64, most: u32, code: Code) -> Result<u32> {
    match u32::try_from(iterations) {
        Ok(iterations) if (1..=most).contains(&iterations) => Ok(iterations),
        _ => {
            let error = Error::new(
                code,
                format!("{iterations} key derivation iterations are out of range: from 1 to {most}"),
            );
            if code == Code::Config {
                return Err(error.hint(format!("leave encryption.iterations out for {DEFAULT_ITERATIONS}")));
            }
            Err(match iterations <= u64::from(MAX_ITERATIONS) && iterations > 0 {
                true => error.hint(format!(
                    "if they are right, say so: `--iterations {iterations}`, or encryption.iterations in the configuration"
                )),
                false => error.hint(format!("{DEFAULT_ITERATIONS} is usual; use another copy of this backup")),
            })
        }
    }
}

/// EVP_BytesToKey(3) with count 1: D1 = H(pass ‖ salt), Dn = H(Dn-1 ‖ pass ‖ salt), joined until `out` is full.
fn bytes_to_key<H: sha2::Digest>(passphrase: &[u8], salt: &[u8], out: &mut [u8]) {
    let mut previous = Zeroizing::new(Vec::new());
    for part in out.chunks_mut(<H as sha2::Digest>::output_size()) {
        let hash =
            H::new().chain_update(previous.as_slice()).chain_update(passphrase).chain_update(salt).finalize();
        previous = Zeroizing::new(hash.to_vec());
        part.iter_mut().zip(previous.iter()).for_each(|(to, from)| *to = *from);
    }
}

/// The keys of one file. Zeroed when dropped.
pub struct Keys {
    pub(super) salt: Salt,
    /// On the heap: moved on the stack, or through a channel, each place would keep a copy.
    secret: Box<Derived>,
}

#[derive(Default, Zeroize, ZeroizeOnDrop)]
struct Derived {
    key: [u8; 32],
    iv: [u8; 16],
    mac: [u8; 32],
    check: [u8; 8],
}

impl Clone for Keys {
    fn clone(&self) -> Self {
        let mut secret = Box::new(Derived::default());
        secret.key.copy_from_slice(&self.secret.key);
        secret.iv.copy_from_slice(&self.secret.iv);
        secret.mac.copy_from_slice(&self.secret.mac);
        secret.check.copy_from_slice(&self.secret.check);
        Keys { salt: self.salt, secret }
    }
}

impl Keys {
    /// What AES-256-CBC takes.
    pub(super) fn key_iv(&self) -> KeyIv {
        KeyIv::aes256(&self.secret.key, &self.secret.iv)
    }

    /// The salt they were derived over.
    pub fn salt(&self) -> Salt {
        self.salt
    }

    /// What a sidecar may tell of them.
    pub fn check(&self) -> KeyCheck {
        KeyCheck(self.secret.check)
    }

    /// The key of [`super::mac`]. Only [`Kdf::ours`] makes one that means anything.
    pub fn mac_key(&self) -> MacKey {
        MacKey::new(&self.secret.mac)
    }
}

/// A derivation under way on its own thread, so that the caller can open files and servers meanwhile.
#[must_use]
pub struct Derivation {
    salt: Salt,
    derived: Receiver<Result<Keys>>,
    thread: JoinHandle<()>,
}

impl Derivation {
    /// Starts it.
    pub fn start(kdf: Kdf, passphrase: &Passphrase, salt: Salt) -> Result<Self> {
        let passphrase = passphrase.clone();
        let (sender, derived) = bounded(1);
        // Nobody may want them any more.
        let thread = threads::spawn("bam-kdf", move || drop(sender.send(kdf.derive(&passphrase, salt))))?;
        Ok(Derivation { salt, derived, thread })
    }

    /// The same for a file that nobody has anything to write to yet: with a fresh random salt.
    pub fn fresh(kdf: Kdf, passphrase: &Passphrase) -> Result<Self> {
        Self::start(kdf, passphrase, random()?)
    }

    /// The salt it works with.
    pub fn salt(&self) -> Salt {
        self.salt
    }

    /// Waits for the keys.
    pub fn keys(self) -> Result<Keys> {
        let keys = self.derived.recv();
        self.ended(keys.ok())
    }

    /// Waits for the keys, but no longer than until the work is cancelled. The thread then ends by itself.
    pub fn keys_unless_cancelled(self, monitor: &Monitor) -> Result<Keys> {
        let keys = monitor.receive(&self.derived)?;
        self.ended(keys)
    }

    /// Nothing of a thread that is done is left when its keys are used.
    fn ended(self, keys: Option<Result<Keys>>) -> Result<Keys> {
        let _ = self.thread.join();
        keys.unwrap_or_else(|| Err(broken()))
    }
}

fn broken() -> Error {
    Error::new(Code::Internal, "the key derivation stopped at a bug in bam")
}

/// 128 random bits as 32 hex digits.
pub fn random_hex() -> Result<String> {
    Ok(format!("{:032x}", u128::from_be_bytes(random()?)))
}

/// Random bytes from the operating system.
pub(super) fn random<const N: usize>() -> Result<[u8; N]> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes)
        .map_err(|e| Error::new(Code::Io, "the operating system gives no random bytes").because(e))?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn iterations_from_strangers_are_bounded() {
        let passphrase = Passphrase::from_first_line(b"x").unwrap();
        for iterations in [0, u32::MAX] {
            let error = Kdf::ours(iterations).derive(&passphrase, [0; 8]).err().unwrap();
            assert_eq!(error.code(), Code::Integrity);
            assert!(error.message().contains("200000000"), "{error}");
        }
        assert_eq!(
            check_iterations(1 << 40, MOST_UNASKED, Code::Integrity).unwrap_err().code(),
            Code::Integrity
        );
        let error = check_iterations(20_000_000, MOST_UNASKED, Code::Integrity).unwrap_err();
        assert!(error.next_step().unwrap().contains("--iterations 20000000"), "{error}");
        assert_eq!(check_iterations(600_000, MOST_UNASKED, Code::Integrity).unwrap(), 600_000);
    }

    #[test]
    fn a_cancelled_wait_ends_at_once_and_the_check_belongs_to_salt_and_iterations() {
        let passphrase = Passphrase::from_first_line(b"a passphrase").unwrap();
        let monitor = Monitor::new();
        monitor.cancel();
        let derivation = Derivation::start(Kdf::ours(3_000_000), &passphrase, *b"saltsalt").unwrap();
        let ended = derivation.keys_unless_cancelled(&monitor).err().unwrap();
        assert_eq!(ended.code(), Code::Cancelled);
        let check = |passphrase: &[u8], iterations, salt| {
            let passphrase = Passphrase::from_first_line(passphrase).unwrap();
            Kdf::ours(iterations).derive(&passphrase, salt).unwrap().check()
        };
        let one = check(b"x", 1000, [1; 8]);
        assert_eq!(one, check(b"x", 1000, [1; 8]));
        assert!(one != check(b"x", 1001, [1; 8]) && one != check(b"x", 1000, [2; 8]));
        assert_ne!(one, check(b"y", 1000, [1; 8]));
        // The same bytes from OpenSSL: 80 to 87 of its output.
        let openssl = std::process::Command::new("openssl")
            .args(["kdf", "-keylen", "88", "-binary", "-kdfopt", "digest:SHA256", "-kdfopt", "iter:1000"])
            .args(["-kdfopt", "hexsalt:0101010101010101", "-kdfopt", "pass:x", "PBKDF2"])
            .output()
            .unwrap();
        assert_eq!(KeyCheck::parse(&one.to_string()), Some(one));
        assert_eq!(
            one.to_string(),
            openssl.stdout[80..].iter().map(|b| format!("{b:02x}")).collect::<String>()
        );
    }

    #[test]
    fn a_background_derivation_gives_the_same_keys() {
        let passphrase = Passphrase::from_first_line(b"a passphrase").unwrap();
        let salt = *b"saltsalt";
        let here = Kdf::ours(1000).derive(&passphrase, salt).unwrap();
        let there = Derivation::start(Kdf::ours(1000), &passphrase, salt).unwrap().keys().unwrap();
        let parts = |keys: &Keys| (keys.secret.key, keys.secret.iv, keys.secret.mac);
        assert_eq!(parts(&here), parts(&there));
        let other = Kdf::ours(1001).derive(&passphrase, salt).unwrap();
        assert_ne!(here.secret.mac, other.secret.mac);
    }
}
