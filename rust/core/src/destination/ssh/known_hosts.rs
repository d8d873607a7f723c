//! OpenSSH's file of known host keys: sshd(8), "SSH_KNOWN_HOSTS FILE FORMAT".
//!
//! libssh2 reads such files, too, but cannot say which *kinds* of keys it knows for a host, without which a server
//! with several keys looks changed; nor does it understand `@revoked` and patterns.

use crate::regular;
use crate::{Code, Error, Result, ResultExt};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};
use hmac::{Hmac, KeyInit, Mac};
use sha1::Sha1;
use sha2::{Digest, Sha256};
use std::fs::{DirBuilder, OpenOptions};
use std::io::{ErrorKind, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// What the files say about a host's key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Verdict {
    Known,
    Unknown,
    /// Another key is known for the host, in this line of this file.
    Changed {
        file: PathBuf,
        line: usize,
    },
    /// Marked `@revoked`.
    Revoked {
        file: PathBuf,
        line: usize,
    },
}

#[derive(Debug)]
struct Entry {
    file: PathBuf,
    line: usize,
    revoked: bool,
    hosts: String,
    key_type: String,
    key: Vec<u8>,
}

/// The entries of one or several files.
#[derive(Debug, Default)]
pub(crate) struct KnownHosts(Vec<Entry>);

impl KnownHosts {
    /// Reads the files that exist. Lines that make no sense are skipped, as ssh does.
    pub fn load(files: &[PathBuf]) -> Result<KnownHosts> {
        let mut known = KnownHosts::default();
        for path in files {
            let mut text = Vec::new();
            match regular::open(path) {
                Err(cause) if cause.kind() == ErrorKind::NotFound => continue,
                opened => {
                    let file = opened.at("cannot read the known host keys in", path)?;
                    file.take(64 << 20)
                        .read_to_end(&mut text)
                        .at("cannot read the known host keys in", path)?;
                }
            }
            known.parse(path, &String::from_utf8_lossy(&text));
        }
        Ok(known)
    }

    /// Adds what the text of a file says.
    pub fn parse(&mut self, file: &Path, text: &str) {
        for (index, line) in text.lines().enumerate() {
            let mut words = line.split_ascii_whitespace();
            let Some(mut hosts) = words.next().filter(|word| !word.starts_with('#')) else { continue };
            let mut revoked = false;
            if hosts.starts_with('@') {
                // @cert-authority signs certificates, which libssh2 does not take.
                if hosts != "@revoked" {
                    continue;
                }
                revoked = true;
                let Some(next) = words.next() else { continue };
                hosts = next;
            }
            let (Some(key_type), Some(key)) = (words.next(), words.next()) else { continue };
            let Ok(key) = STANDARD.decode(key) else { continue };
            let (hosts, key_type) = (hosts.to_owned(), key_type.to_owned());
            self.0.push(Entry { file: file.to_owned(), line: index + 1, revoked, hosts, key_type, key });
        }
    }

    fn of(&self, host: &str) -> Vec<&Entry> {
        self.0.iter().filter(|entry| matches(&entry.hosts, host)).collect()
    }

    /// The kinds of keys known for a host, as the file names them: `ssh-ed25519`, `ssh-rsa` ….
    pub fn key_types(&self, host: &str, port: u16) -> Vec<&str> {
        let mut entries = self.of(&host_name(host, port));
        entries.retain(|entry| !entry.revoked);
        if entries.is_empty() {
            entries = self.of(host);
        }
        entries.into_iter().map(|entry| entry.key_type.as_str()).collect()
    }

    /// Whether `key` (its binary form) is the host's. Like ssh, a key known for the host without a port will do.
    pub fn check(&self, host: &str, port: u16, key: &[u8]) -> Verdict {
        let (exact, loose) = (self.of(&host_name(host, port)), self.of(host));
        let place = |entry: &Entry| (entry.file.clone(), entry.line);
        let mut revoked = exact.iter().chain(&loose).filter(|entry| entry.revoked && entry.key == key);
        if let Some((file, line)) = revoked.next().map(|entry| place(entry)) {
            return Verdict::Revoked { file, line };
        }
        let is_known = |entries: &[&Entry]| entries.iter().any(|entry| !entry.revoked && entry.key == key);
        if is_known(&exact) {
            return Verdict::Known;
        }
        match exact.iter().find(|entry| !entry.revoked).map(|entry| place(entry)) {
            Some((file, line)) => Verdict::Changed { file, line },
            None if is_known(&loose) => Verdict::Known,
            None => Verdict::Unknown,
        }
    }
}

/// How the file names a host: `host`, or `[host]:port` where the port is not 22; lower case.
pub(crate) fn host_name(host: &str, port: u16) -> String {
    let host = host.to_ascii_lowercase();
    if port == 22 { host } else { format!("[{host}]:{port}") }
}

/// Whether a line's host field means `name`.
fn matches(field: &str, name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    if let Some(hashed) = field.strip_prefix("|1|") {
        // HMAC-SHA1 of the name, keyed with the salt.
        let Some((salt, hash)) = hashed.split_once('|') else { return false };
        let (Ok(salt), Ok(hash)) = (STANDARD.decode(salt), STANDARD.decode(hash)) else { return false };
        let Ok(mut mac) = Hmac::<Sha1>::new_from_slice(&salt) else { return false };
        mac.update(name.as_bytes());
        return mac.verify_slice(&hash).is_ok();
    }
    let mut found = false;
    for pattern in field.split(',') {
        match pattern.strip_prefix('!') {
            Some(not) if glob(not.as_bytes(), name.as_bytes()) => return false,
            Some(_) => {}
            None => found |= glob(pattern.as_bytes(), name.as_bytes()),
        }
    }
    found
}

/// `*` and `?`, without regard to case.
fn glob(pattern: &[u8], name: &[u8]) -> bool {
    // The usual two-pointer match: on a mismatch, the last star takes one byte more.
    let (mut p, mut n, mut star) = (0, 0, None);
    while n < name.len() {
        match pattern.get(p) {
            Some(b'*') => {
                star = Some((p, n));
                p += 1;
            }
            Some(&byte) if byte == b'?' || name.get(n).is_some_and(|b| b.eq_ignore_ascii_case(&byte)) => {
                (p, n) = (p + 1, n + 1);
            }
            _ => match star {
                Some((at, taken)) => {
                    star = Some((at, taken + 1));
                    (p, n) = (at + 1, taken + 1);
                }
                None => return false,
            },
        }
    }
    pattern.get(p..).unwrap_or_default().iter().all(|&byte| byte == b'*')
}

/// `SHA256:…` of a key's binary form, as `ssh-keygen -l` prints it.
pub(crate) fn fingerprint(key: &[u8]) -> String {
    format!("SHA256:{}", STANDARD_NO_PAD.encode(Sha256::digest(key)))
}

/// The kind that a key's binary form names in its first field (RFC 4253 section 6.6).
pub(crate) fn key_type(key: &[u8]) -> &str {
    let length = key.get(..4).and_then(|bytes| bytes.try_into().ok()).map_or(0, u32::from_be_bytes);
    let name = usize::try_from(length).ok().and_then(|length| key.get(4..)?.get(..length));
    name.and_then(|name| std::str::from_utf8(name).ok()).unwrap_or("unknown")
}

/// The line that makes a key known.
pub(crate) fn line(host: &str, port: u16, key: &[u8]) -> String {
    format!("{} {} {}", host_name(host, port), key_type(key), STANDARD.encode(key))
}

/// Adds a line to the file, which is made (0600, its folder 0700) where it is missing.
pub(crate) fn append(path: &Path, line: &str) -> Result<()> {
    if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(folder)
            .at("cannot create the folder", folder)?;
    }
    let what = "cannot add a host key to";
    let mut file =
        OpenOptions::new().read(true).append(true).create(true).mode(0o600).open(path).at(what, path)?;
    let mut last = [b'\n'];
    if file.seek(SeekFrom::End(-1)).is_ok() {
        file.read_exact(&mut last).at(what, path)?;
    }
    let start = if last == *b"\n" { "" } else { "\n" };
    file.write_all(format!("{start}{line}\n").as_bytes()).map_err(|cause| Error::io(what, path, cause))
}

/// `SHA256:` and the digest in base64, as `ssh-keygen -l` prints it.
pub(crate) fn parse_pin(text: &str) -> Result<String> {
    let digest = text.trim().strip_prefix("SHA256:").map(|digest| digest.trim_end_matches('='));
    match digest.map(|digest| (digest, STANDARD_NO_PAD.decode(digest))) {
        Some((digest, Ok(bytes))) if bytes.len() == 32 => Ok(format!("SHA256:{digest}")),
        _ => Err(Error::new(Code::Config, format!("host_key {text:?} is no fingerprint"))
            .hint("write it as ssh-keygen -l prints it: SHA256: and 43 characters")),
    }
}
