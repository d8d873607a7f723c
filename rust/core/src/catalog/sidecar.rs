//! Sidecars: the file `NAME.info` beside a backup, `key = "value"` lines.
//!
//! Two PHP parsers read what we write, and agree with us: `parse_ini_string` (in its normal mode; its raw mode knows no
//! escapes) and Drupal's `drupal_parse_info_format`, through which Backup and Migrate reads it. What is safe in both:
//!
//! - a value is in double quotes, on one line; `"` is written `\"`, `\` is `\\`, and `${`, which PHP would replace by
//!   an environment variable, is `\${`;
//! - control characters cannot be written: NUL ends PHP's parser, and a quote before a line break ends its value,
//!   escaped or not. [`Sidecar::set`] makes each of them a space, and trims the value. Lists of file names go through
//!   [`Sidecar::set_list`], which percent-encodes what is not plain;
//! - a value of word characters alone that happens to name a PHP constant (`PHP_VERSION`, `TRUE`) reaches Drupal as that
//!   constant. Nothing can be done about it; flags are therefore 0 and 1.
//!
//! What Backup and Migrate wrote is read as it meant it: it escapes nothing, so values may hold line breaks, single
//! backslashes and quotes. Keys that we do not know survive, in their place.

use crate::{Code, Error, Result};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, percent_encode};
use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

/// The newest `bam_format` that there is. It grows when older versions cannot read what is written.
pub const NEWEST_FORMAT: u64 = 1;

/// The keys. Those without `bam_` are Backup and Migrate's, as are `bam_sourceid`, `bam_sourcetype`, `bam_sourcename`.
pub mod key {
    /// The backup's name without its extensions.
    pub const FILENAME: &str = "filename";
    /// What the profile says about the backup.
    pub const DESCRIPTION: &str = "description";
    /// Unix time of the backup.
    pub const DATESTAMP: &str = "datestamp";
    /// The program that wrote it.
    pub const GENERATOR: &str = "generator";
    /// Its version.
    pub const GENERATOR_VERSION: &str = "generatorversion";
    /// The site's base URL.
    pub const SITE_URL: &str = "siteurl";
    /// The site's name.
    pub const SITE_NAME: &str = "sitename";
    /// Drupal's version.
    pub const DRUPAL_VERSION: &str = "drupalversion";
    /// Bytes of the data file.
    pub const FILE_SIZE: &str = "filesize";
    /// Machine name of the source.
    pub const SOURCE_ID: &str = "bam_sourceid";
    /// B&M's kind of source: `mysql`, `filesource`, `archive`.
    pub const SOURCE_TYPE: &str = "bam_sourcetype";
    /// The source's name for people.
    pub const SOURCE_NAME: &str = "bam_sourcename";
    /// Machine name of the schedule that made it.
    pub const SCHEDULE_ID: &str = "schedule_id";
    /// The schedule's name for people.
    pub const SCHEDULE_NAME: &str = "schedule_name";
    /// The backup ID.
    pub const ID: &str = "bam_id";
    /// Whose it is ([`crate::catalog::SiteIdentity`]).
    pub const SITE: &str = "bam_site";
    /// Version of bam's format.
    pub const FORMAT: &str = "bam_format";
    /// Machine name of the profile.
    pub const PROFILE: &str = "bam_profile";
    /// SHA-256 of the data file, in hex.
    pub const SHA256: &str = "bam_sha256";
    /// HMAC-SHA256 over that digest and the other fields, in hex.
    pub const HMAC_SHA256: &str = "bam_hmac_sha256";
    /// PBKDF2 iterations behind the MAC key, and behind the container's.
    pub const KDF_ITERATIONS: &str = "bam_kdf_iterations";
    /// The salt of that derivation, in hex; in a container it stands at the file's beginning, too.
    pub const SALT: &str = "bam_salt";
    /// Tells whether a key is the one it was made with ([`crate::encrypt::KeyCheck`]).
    pub const KEY_CHECK: &str = "bam_key_check";
    /// The same in sidecars of earlier versions ([`crate::encrypt::KeyId`]).
    pub const KEY_ID: &str = "bam_key_id";
    /// The age public keys that it was encrypted to ([`super::Sidecar::set_list`]).
    pub const RECIPIENTS: &str = "bam_recipients";
    /// SHA-256, in hex, of the file that this one was re-encrypted from.
    pub const REKEYED_FROM: &str = "bam_rekeyed_from";
    /// Files that changed while they were read ([`super::Sidecar::set_list`]).
    pub const CHANGED_FILES: &str = "bam_changed_files";
    /// How many things could not be backed up; not there: none.
    pub const MISSING: &str = "bam_missing";
    /// Paths in the archive of what of that is not in it, with all below them, or not to its end; the first of them where they
    /// are many ([`super::Sidecar::set_list`]).
    pub const UNREAD: &str = "bam_unread";
    /// Tables that could not be read, or not to their end; the first of them where they are many ([`super::Sidecar::set_list`]).
    pub const UNREAD_TABLES: &str = "bam_unread_tables";
    /// Regular files in it, further names of them and the manifest not counted.
    pub const FILES: &str = "bam_files";
    /// Bytes of them.
    pub const FILE_BYTES: &str = "bam_file_bytes";
    /// Tables in its dump, those without their rows included.
    pub const TABLES: &str = "bam_tables";
    /// Paths in the archive that were left out on purpose, with all below them ([`super::Sidecar::set_list`]).
    pub const EXCLUDED: &str = "bam_excluded";
    /// Patterns of what else was left out, in order, as a `.gitignore` at the root of the archive would have them.
    pub const EXCLUDED_PATTERNS: &str = "bam_excluded_patterns";
    /// Folders in the archive that were behind links out of the tree; the first of them where they are many.
    pub const FOLLOWED: &str = "bam_followed";
    /// In a repository: bytes of all that is in it.
    pub const CONTENT_SIZE: &str = "bam_content_size";
    /// In a repository: bytes that it added there, before compression.
    pub const ADDED: &str = "bam_added";
    /// CRC-32 of its blocks ([`crate::catalog::blocks::Blocks`]).
    pub const BLOCKS: &str = "bam_blocks";
    /// Where in the backup, before encryption, its index lies, how long it is, and its SHA-256 in hex.
    pub const INDEX: &str = "bam_index";
    /// The same of what says where in its dump the rows of each table stand.
    pub const INDEX_TABLES: &str = "bam_index_tables";
    /// Destinations that the backup was sent to, by machine name.
    pub const COPIES: &str = "bam_copies";
    /// Unix time at which this copy was last found whole.
    pub const VERIFIED: &str = "bam_verified";
}

/// What the MAC does not cover: itself, and what may differ between copies of one backup.
const OUTSIDE_MAC: [&str; 3] = [key::HMAC_SHA256, key::COPIES, key::VERIFIED];

/// A sidecar's fields, in order. Clones share them until one is changed: a listing holds one of each copy of each backup.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Sidecar {
    fields: Arc<Fields>,
}

/// Keys and values one behind the other in one text, which takes a third of what two strings for each field take.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Fields {
    text: String,
    /// Where in it each key and each value ends.
    ends: Vec<(usize, usize)>,
}

impl Fields {
    fn of<'f>(fields: impl Iterator<Item = (&'f str, &'f str)> + Clone) -> Fields {
        let (count, bytes) = fields
            .clone()
            .fold((0, 0), |(count, bytes), (key, value)| (count + 1, bytes + key.len() + value.len()));
        let mut all = Fields { text: String::with_capacity(bytes), ends: Vec::with_capacity(count) };
        for (key, value) in fields {
            all.text.push_str(key);
            let key_end = all.text.len();
            all.text.push_str(value);
            all.ends.push((key_end, all.text.len()));
        }
        all
    }

    fn iter(&self) -> impl Iterator<Item = (&str, &str)> + Clone {
        let starts = std::iter::once(0).chain(self.ends.iter().map(|(_, end)| *end));
        starts.zip(&self.ends).map(|(start, (key_end, end))| {
            let part = |from, to| self.text.get(from..to).unwrap_or_default();
            (part(start, *key_end), part(*key_end, *end))
        })
    }
}

impl Sidecar {
    /// An empty one.
    pub fn new() -> Self {
        Sidecar::default()
    }

    /// Reads what we or B&M wrote. Lines that are no field are skipped; of a key that is there twice the last counts,
    /// as in PHP.
    pub fn parse(text: &str) -> Self {
        let mut fields: Vec<(&str, String)> = Vec::new();
        let mut places: HashMap<&str, usize> = HashMap::new();
        let mut rest = text;
        // Where no quote closes a value, none closes a later one either: looking once is enough.
        let mut closes = true;
        while !rest.is_empty() {
            rest = rest.trim_start();
            let line_end = rest.find('\n').unwrap_or(rest.len());
            let (line, after) = rest.split_at(line_end);
            let field = line.split_once('=').map(|(key, _)| key.trim()).filter(|key| is_key(key));
            let Some(key) = field else {
                rest = after;
                continue;
            };
            let value = rest.split_once('=').map_or("", |(_, value)| value.trim_start_matches([' ', '\t']));
            let (value, after) = match value.strip_prefix('"') {
                Some(quoted) => read_quoted(quoted, &mut closes),
                None => (line.split_once('=').map_or("", |(_, value)| value).trim().to_owned(), after),
            };
            match places.get(key).and_then(|at| fields.get_mut(*at)) {
                Some((_, old)) => *old = value,
                None => {
                    places.insert(key, fields.len());
                    fields.push((key, value));
                }
            }
            rest = after;
        }
        Sidecar::of(fields.iter().map(|(key, value)| (*key, value.as_str())))
    }

    fn of<'f>(fields: impl Iterator<Item = (&'f str, &'f str)> + Clone) -> Self {
        Sidecar { fields: Arc::new(Fields::of(fields)) }
    }

    /// The value of `key`; `None` where there is none or it is empty.
    pub fn get(&self, key: &str) -> Option<&str> {
        let field = self.fields().find(|(name, _)| *name == key);
        field.map(|(_, value)| value).filter(|value| !value.is_empty())
    }

    /// Whether there is such a field, be it empty.
    pub fn has(&self, key: &str) -> bool {
        self.fields().any(|(name, _)| name == key)
    }

    /// Sets `key`, in its place or at the end. Control characters become spaces, the value is trimmed.
    pub fn set(&mut self, key: &str, value: impl AsRef<str>) {
        let value = clean(value.as_ref());
        *self = match self.has(key) {
            true => {
                Sidecar::of(self.fields().map(|(name, old)| (name, if name == key { &value } else { old })))
            }
            false => Sidecar::of(self.fields().chain([(key, value.as_str())])),
        };
    }

    /// Takes `key` out.
    pub fn remove(&mut self, key: &str) {
        *self = Sidecar::of(self.fields().filter(|(name, _)| *name != key));
    }

    /// Whether nothing in it tells which backup it is of.
    pub fn is_blank(&self) -> bool {
        [key::ID, key::DATESTAMP, key::SHA256, key::HMAC_SHA256].iter().all(|key| self.get(key).is_none())
    }

    /// All fields in order.
    pub fn fields(&self) -> impl Iterator<Item = (&str, &str)> + Clone {
        self.fields.iter()
    }

    /// The fields that the MAC covers: all but the MAC itself and what may differ from copy to copy.
    pub fn mac_fields(&self) -> impl Iterator<Item = (&str, &str)> {
        self.fields().filter(|(key, _)| !OUTSIDE_MAC.contains(key))
    }

    /// A number.
    pub fn number(&self, key: &str) -> Option<u64> {
        self.get(key)?.parse().ok()
    }

    /// Refuses what a newer version made in a way that this one does not know.
    ///
    /// # Errors
    /// `bam_format` is a number above [`NEWEST_FORMAT`].
    pub fn check_format(&self, name: &str) -> Result<()> {
        match self.number(key::FORMAT) {
            Some(format) if format > NEWEST_FORMAT => {
                let maker = self.get(key::GENERATOR_VERSION).unwrap_or("of a later version");
                Err(Error::new(
                    Code::Unsupported,
                    format!("{name} is too new: its format is {format}, and this bam knows those up to {NEWEST_FORMAT}"),
                )
                .hint(format!(
                    "it says that bam {maker} made it: install that or a later one; if that is not so, its sidecar was changed"
                )))
            }
            _ => Ok(()),
        }
    }

    /// Sets a number.
    pub fn set_number(&mut self, key: &str, number: u64) {
        self.set(key, number.to_string());
    }

    /// 32 bytes in hex.
    pub fn digest(&self, key: &str) -> Option<[u8; 32]> {
        digest_of_hex(self.get(key)?.as_bytes())
    }

    /// Sets 32 bytes, in lower-case hex.
    pub fn set_digest(&mut self, key: &str, digest: &[u8; 32]) {
        self.set(key, hex(digest));
    }

    /// Notes how many things are missing. Where they are told as paths, or none of them is one, there is such a list; not so
    /// up to version 0.3.0.
    pub fn set_missing(&mut self, number: u64) {
        if number > 0 {
            self.set_number(key::MISSING, number);
            if !self.has(key::UNREAD) {
                self.set(key::UNREAD, "");
            }
        }
    }

    /// A list that [`Sidecar::set_list`] wrote.
    pub fn list(&self, key: &str) -> Vec<Vec<u8>> {
        let items = self.get(key).unwrap_or_default().split_ascii_whitespace();
        items.map(|item| percent_decode_str(item).collect()).collect()
    }

    /// Sets a list of names in any bytes: separated by spaces, everything but `A-Za-z0-9._-/` percent-encoded.
    pub fn set_list<B: AsRef<[u8]>>(&mut self, key: &str, items: impl IntoIterator<Item = B>) {
        const ENCODED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'.').remove(b'_').remove(b'-').remove(b'/');
        let items: Vec<String> =
            items.into_iter().map(|item| percent_encode(item.as_ref(), ENCODED).to_string()).collect();
        self.set(key, items.join(" "));
    }

    /// The same of paths, of which the empty one is `.`.
    pub fn set_paths<B: AsRef<[u8]>>(&mut self, key: &str, paths: impl IntoIterator<Item = B>) {
        let paths = paths.into_iter().map(|path| match path.as_ref() {
            b"" => b".".to_vec(),
            path => path.to_vec(),
        });
        self.set_list(key, paths);
    }

    /// A list that [`Sidecar::set_paths`] wrote.
    pub fn paths(&self, key: &str) -> Vec<Vec<u8>> {
        self.list(key).into_iter().map(|path| if path == b"." { Vec::new() } else { path }).collect()
    }

    /// Fails where its text has more than `most` bytes: beyond [`SIDECAR_MAX`](crate::destination::SIDECAR_MAX) nobody reads it.
    ///
    /// # Errors
    ///
    /// [`Code::Config`]
    pub fn check_length(&self, most: u64) -> Result<()> {
        let length = self.to_string().len() as u64;
        if length <= most {
            return Ok(());
        }
        let text = format!("what is to be noted beside the backup takes {length} bytes, {most} are the most");
        Err(Error::new(Code::Config, text)
            .hint("exclude folders or patterns in place of very many single paths"))
    }
}

impl fmt::Display for Sidecar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (key, value) in self.fields() {
            // Again, for what B&M wrote.
            let value = clean(value).replace('\\', r"\\").replace('"', r#"\""#).replace("${", r"\${");
            writeln!(f, "{key} = \"{value}\"")?;
        }
        Ok(())
    }
}

/// Bytes in lower-case hex.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// 32 bytes out of 64 hexadecimal digits, which no sign stands among.
pub fn digest_of_hex(digits: &[u8]) -> Option<[u8; 32]> {
    if digits.len() != 64 || !digits.iter().all(u8::is_ascii_hexdigit) {
        return None;
    }
    let mut digest = [0; 32];
    for (byte, pair) in digest.iter_mut().zip(digits.chunks_exact(2)) {
        *byte = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
    }
    Some(digest)
}

/// Control characters as spaces, trimmed: what can be written.
fn clean(value: &str) -> String {
    let plain: String = value.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    plain.trim().to_owned()
}

/// What Drupal takes for a key: no `=` or `;`, brackets only in pairs. PHP wants word characters; B&M writes nothing else.
fn is_key(key: &str) -> bool {
    let bare = key.split(['[', ']']).collect::<String>();
    key.matches('[').count() == key.matches(']').count()
        && !bare.is_empty()
        && bare.bytes().all(|b| b.is_ascii_alphanumeric() || b"_.-".contains(&b))
}

/// The value behind an opening quote, and what follows it. It ends at a quote that only blanks separate from the line's
/// end, or the text's; where there is none, at the end of its line.
fn read_quoted<'t>(text: &'t str, closes: &mut bool) -> (String, &'t str) {
    let candidates = if *closes { text } else { "" };
    for (at, _) in candidates.match_indices('"') {
        let (value, after) = text.split_at(at);
        let after = after.get(1..).unwrap_or_default();
        let blank = after.len() - after.trim_start_matches([' ', '\t', '\r']).len();
        let ends_line = after.get(blank..).is_some_and(|rest| rest.is_empty() || rest.starts_with('\n'));
        if ends_line {
            return (unescape(value), after);
        }
    }
    *closes = false;
    let (line, after) = text.split_at(text.find('\n').unwrap_or(text.len()));
    (unescape(line.trim_end()), after)
}

/// Undoes [`Sidecar`]'s escapes. Other backslashes stay: B&M wrote them, and meant them.
fn unescape(value: &str) -> String {
    let mut plain = String::with_capacity(value.len());
    let mut rest = value;
    while let Some(at) = rest.find('\\') {
        let (before, escape) = rest.split_at(at);
        plain.push_str(before);
        let after = escape.get(1..).unwrap_or_default();
        let escaped = after.chars().next().filter(|c| ['\\', '"'].contains(c) || after.starts_with("${"));
        plain.push(escaped.unwrap_or('\\'));
        rest = after.get(escaped.map_or(0, char::len_utf8)..).unwrap_or_default();
    }
    plain.push_str(rest);
    plain
}

#[cfg(test)]
#[path = "sidecar_tests.rs"]
mod tests;
