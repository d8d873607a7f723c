//! The one error type of the engine: a stable code, what failed and why, what to do about it, and the same once more as
//! data: what was being done, to which path, object or database, at which destination, and why it failed.
//!
//! ```text
//! code.rs   what kind of failure it was, and the exit code that follows
//! fact.rs   what an error can be about, and its word in JSON
//! ```

mod code;
mod fact;

pub use code::Code;
pub use fact::Fact;

use crate::archive::show;
use crate::config::by_shape;
use crate::limits;
use crate::regular::Irregular;
use serde::ser::{Serialize, SerializeMap, Serializer};
use std::any::Any;
use std::fmt;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// `Result` with this crate's [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// A failure: `message` says what failed and why (with the path), `hint` what to do; facts say parts of the message once
/// more, for programs. None ever holds a secret.
#[derive(Debug)]
pub struct Error {
    code: Code,
    message: String,
    hint: Option<String>,
    facts: Vec<(Fact, String)>,
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
    of_a_name: bool,
    of_bytes: bool,
    leaves: bool,
}

impl Error {
    /// A failure of kind `code`; `message` is one sentence without a full stop.
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        Error {
            code,
            message: told(message),
            hint: None,
            facts: Vec::new(),
            source: None,
            of_a_name: false,
            of_bytes: false,
            leaves: false,
        }
    }

    /// A failure of kind `code` that a path is the subject of: `PATH is not a folder`.
    pub fn of_path(code: Code, path: impl AsRef<Path>, what: impl fmt::Display) -> Self {
        let path = path.as_ref();
        Error::new(code, format!("{} {what}", shortened(path))).with(Fact::Path, shown(path))
    }

    /// The same with what was being done, as a verb: `read`, `log in`. What is said first, nearest to the failure, stays.
    #[must_use]
    pub fn doing(self, operation: impl fmt::Display) -> Self {
        self.with(Fact::Operation, operation)
    }

    /// The same with a fact, which the message tells in its own words. What is said first, nearest to the failure, stays.
    #[must_use]
    pub fn with(mut self, fact: Fact, value: impl fmt::Display) -> Self {
        if self.fact(fact).is_none() {
            self.facts.push((fact, told(value.to_string())));
        }
        self
    }

    /// The same failure told in the context of what a fact names, as data and in its message: `destination offsite: …`.
    #[must_use]
    pub fn within(self, fact: Fact, name: impl fmt::Display) -> Self {
        let told = match fact.prefix() {
            "" => name.to_string(),
            word => format!("{word} {name}"),
        };
        self.context(told).with(fact, name)
    }

    /// The same without the name of what a fact names at its beginning, for whoever names it himself.
    #[must_use]
    pub(crate) fn without(mut self, fact: Fact, name: &str) -> Self {
        if let Some(rest) = self.message.strip_prefix(&format!("{} {name}: ", fact.prefix())) {
            self.message = rest.to_owned();
        }
        self
    }

    /// What it says of `fact`.
    pub fn fact(&self, fact: Fact) -> Option<&str> {
        self.facts.iter().find(|(known, _)| *known == fact).map(|(_, value)| value.as_str())
    }

    /// The same with the next step for the reader.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(told(hint));
        self
    }

    /// The same with the error that caused it; its text is appended to the message.
    #[must_use]
    pub fn because(mut self, cause: impl std::error::Error + Send + Sync + 'static) -> Self {
        self = self.caused_by(&cause);
        // Whatever was tried: the limit is met, and not what was tried.
        let met = (&cause as &dyn Any).downcast_ref::<io::Error>().and_then(limits::met);
        self.hint = self.hint.or_else(|| met.map(str::to_owned));
        self.source = Some(Box::new(cause));
        self
    }

    /// The same with the words of a server or a program that say why; they are appended to the message.
    #[must_use]
    pub fn caused_by(mut self, said: impl fmt::Display) -> Self {
        let said = told(said.to_string());
        self.message = format!("{}: {said}", self.message);
        self.with(Fact::Cause, said)
    }

    /// An operating system failure while doing `what` to `path`, e.g. `Error::io("cannot read", path, e)`.
    pub fn io(what: &str, path: &Path, cause: io::Error) -> Self {
        match Error::from_io(cause) {
            Ok(ours) => ours,
            Err(cause) => {
                let (code, hint) = (code_of(&cause), hint_of(&cause));
                let mut error = Error::new(code, format!("{what} {}", shortened(path))).because(cause);
                error.hint = hint.map(str::to_owned);
                error.doing(what.strip_prefix("cannot ").unwrap_or(what)).with(Fact::Path, shown(path))
            }
        }
    }

    /// Takes one of our own errors back out of an [`io::Error`] that carried it through a `Read` or `Write`.
    fn from_io(cause: io::Error) -> std::result::Result<Error, io::Error> {
        cause.downcast::<Error>()
    }

    /// The kind of failure.
    pub fn code(&self) -> Code {
        self.code
    }

    /// What failed and why.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// What to do about it, where we know.
    pub fn next_step(&self) -> Option<&str> {
        self.hint.as_deref()
    }

    /// The same failure once more, for somebody else; without the error that caused it.
    #[must_use]
    pub fn again(&self) -> Self {
        Error {
            code: self.code,
            message: self.message.clone(),
            hint: self.hint.clone(),
            facts: self.facts.clone(),
            source: None,
            of_a_name: self.of_a_name,
            of_bytes: self.of_bytes,
            leaves: self.leaves,
        }
    }

    /// The same failure told in a wider context: `what: message`.
    #[must_use]
    pub fn context(mut self, what: impl fmt::Display) -> Self {
        self.message = format!("{}: {}", told(what.to_string()), self.message);
        self
    }

    /// The same failure, which says what it is about: `what: message`, unless the message names it already.
    #[must_use]
    pub(crate) fn about(self, what: &str) -> Self {
        if self.message.contains(what) { self } else { self.context(what) }
    }

    /// The same failure, which another file name would not have met.
    #[must_use]
    pub(crate) fn of_a_name(mut self) -> Self {
        self.of_a_name = true;
        self
    }

    /// Whether a file name is taken, or in use right now: another one may do.
    pub(crate) fn is_of_a_name(&self) -> bool {
        self.of_a_name
    }

    /// The same failure: the bytes that were read are not those that were written, whatever key there is.
    #[must_use]
    pub(crate) fn of_bytes(mut self) -> Self {
        self.of_bytes = true;
        self
    }

    /// Whether bytes were read and are not those that were written: another copy may be good.
    pub(crate) fn is_of_bytes(&self) -> bool {
        self.of_bytes
    }

    /// Whether it does not say yet what it is about.
    pub(crate) fn is_bare(&self) -> bool {
        self.message.starts_with(BARE)
    }

    /// The same failure with what it has left behind, a sentence at the end of the message. What is said first, nearest to
    /// the failure, stays.
    #[must_use]
    pub(crate) fn leaving(mut self, what: &str) -> Self {
        if !self.leaves {
            self.message = format!("{}. {what}", self.message);
            self.leaves = true;
        }
        self
    }

    /// The same failure where dealing with it failed, too: the first is the one that is told, the second comes after it, and
    /// what it says of what is left behind holds. A cancel that could not be followed is none.
    #[must_use]
    pub fn followed_by(mut self, second: &Error) -> Self {
        self.message = format!("{}; then: {}", self.message, second.message);
        self.hint = second.hint.clone().or(self.hint);
        if self.code == Code::Cancelled {
            self.code = second.code;
        }
        self.leaves = true;
        self
    }
}

/// A text as messages, hints, facts and notes hold it: without the secrets that their shape gives away, and in one line
/// without control characters, which would drive the terminal that it is printed on.
pub(crate) fn told(text: impl Into<String>) -> String {
    let text = by_shape(text.into());
    match text.contains(char::is_control) {
        true => without_control(&text),
        false => text,
    }
}

fn without_control(text: &str) -> String {
    let mut plain = String::with_capacity(text.len() + 8);
    for c in text.chars() {
        if c.is_control() { plain.extend(c.escape_default()) } else { plain.push(c) }
    }
    plain
}

/// A path as `bam ls` shows it; none stays none.
fn shown(path: &Path) -> String {
    if path.as_os_str().is_empty() { String::new() } else { show(path.as_os_str().as_bytes()) }
}

/// The longest path that is told whole, in characters.
const LONG: usize = 300;

/// Nobody reads a path of thousands of characters: its middle is left out.
pub(crate) fn shortened(path: &Path) -> String {
    let text = shown(path);
    let count = text.chars().count();
    if count <= LONG {
        return text;
    }
    let start: String = text.chars().take(LONG / 2).collect();
    let end: String = text.chars().skip(count - LONG / 2).collect();
    format!("{start}…{end}")
}

/// What an error says that nobody has told the path of.
const BARE: &str = "input or output failed";

fn code_of(cause: &io::Error) -> Code {
    match cause.kind() {
        _ if Irregular::is(cause) => Code::Config,
        io::ErrorKind::NotFound => Code::NotFound,
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => Code::Permission,
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge => {
            Code::Space
        }
        _ => Code::Io,
    }
}

/// The next step, where the cause alone tells one.
fn hint_of(cause: &io::Error) -> Option<&'static str> {
    if Irregular::is(cause) {
        return Some("find out who put it there, and name a file, or put one in its place");
    }
    if let Some(hint) = limits::met(cause) {
        return Some(hint);
    }
    match (code_of(cause), cause.raw_os_error().map(rustix::io::Errno::from_raw_os_error)) {
        (Code::Space, _) => Some("free some space or choose another folder, then run it again"),
        (_, Some(rustix::io::Errno::ROFS)) => Some(
            "its file system is mounted read-only; mount it for writing, or look into the kernel's log why it became so",
        ),
        // Unlike EACCES, of which permission bits are the cause.
        (_, Some(rustix::io::Errno::PERM)) => Some(
            "run this as its owner or as root; `lsattr` shows whether it is immutable, which `chattr -i` ends",
        ),
        (Code::Permission, _) => Some("give the user who runs this access to it"),
        _ => None,
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        if let Some(hint) = &self.hint {
            write!(f, " ({hint})")?;
        }
        Ok(())
    }
}

/// `{"code", "message", "hint"}` and what facts are known, as docs/json.md has it.
impl Serialize for Error {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("code", self.code.name())?;
        map.serialize_entry("message", &self.message)?;
        map.serialize_entry("hint", &self.hint)?;
        for (fact, value) in &self.facts {
            map.serialize_entry(fact.name(), value)?;
        }
        map.end()
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.source.as_ref().map(|e| e.as_ref() as _)
    }
}

/// Lets an [`Error`] travel through `Read` and `Write`; `From<io::Error>` takes it out again whole.
impl From<Error> for io::Error {
    fn from(error: Error) -> Self {
        io::Error::other(error)
    }
}

impl From<io::Error> for Error {
    fn from(cause: io::Error) -> Self {
        match Error::from_io(cause) {
            Ok(ours) => ours,
            Err(cause) => Error::new(code_of(&cause), BARE).because(cause),
        }
    }
}

/// Adds the path to an operating system error.
pub trait ResultExt<T> {
    /// `file.sync_all().at("cannot flush", path)?`
    fn at(self, what: &str, path: &Path) -> Result<T>;
}

impl<T> ResultExt<T> for io::Result<T> {
    fn at(self, what: &str, path: &Path) -> Result<T> {
        self.map_err(|cause| Error::io(what, path, cause))
    }
}

impl<T> ResultExt<T> for rustix::io::Result<T> {
    fn at(self, what: &str, path: &Path) -> Result<T> {
        self.map_err(|cause| Error::io(what, path, cause.into()))
    }
}

/// Adds to a failure what the caller knows of it.
pub trait Told<T> {
    /// [`Error::doing`]
    fn doing(self, operation: &str) -> Result<T>;

    /// [`Error::within`]
    fn within(self, fact: Fact, name: impl fmt::Display) -> Result<T>;

    /// [`Error::with`]
    fn with(self, fact: Fact, value: impl fmt::Display) -> Result<T>;
}

impl<T> Told<T> for Result<T> {
    fn doing(self, operation: &str) -> Result<T> {
        self.map_err(|error| error.doing(operation))
    }

    fn within(self, fact: Fact, name: impl fmt::Display) -> Result<T> {
        self.map_err(|error| error.within(fact, name))
    }

    fn with(self, fact: Fact, value: impl fmt::Display) -> Result<T> {
        self.map_err(|error| error.with(fact, value))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn an_error_is_told_as_data_too() {
        let full = io::Error::from(io::ErrorKind::StorageFull);
        let error = Error::io("cannot write", Path::new("/srv/backups/a.tar"), full)
            .doing("backup")
            .with(Fact::Path, "/elsewhere")
            .within(Fact::Destination, "offsite");
        assert_eq!(error.message(), "destination offsite: cannot write /srv/backups/a.tar: no storage space");
        let facts = json!({
            "code": "space", "message": error.message(), "hint": error.next_step(), "cause": "no storage space",
            "operation": "write", "path": "/srv/backups/a.tar", "destination": "offsite",
        });
        assert_eq!(
            serde_json::to_value(&error).unwrap(),
            facts,
            "what was said nearest to the failure stays"
        );
        assert_eq!(serde_json::to_value(error.again()).unwrap(), facts);
        let back = Error::from(io::Error::from(error));
        assert_eq!(back.fact(Fact::Destination), Some("offsite"), "facts survive a trip through io");
    }

    #[test]
    fn what_is_left_behind_is_said_once_and_a_cancel_that_fails_is_none() {
        let cancelled = || Error::new(Code::Cancelled, "cancelled");
        let told = cancelled().leaving("Nothing was changed").leaving("All is lost").context("a.tar");
        assert_eq!((told.message(), told.code()), ("a.tar: cancelled. Nothing was changed", Code::Cancelled));
        let failed = cancelled().followed_by(&Error::new(Code::Space, "half of it is back"));
        let failed = failed.leaving("Nothing was changed");
        assert_eq!((failed.message(), failed.code()), ("cancelled; then: half of it is back", Code::Space));
    }

    #[test]
    fn facts_hold_no_password() {
        let error = Error::new(Code::Destination, "no answer")
            .caused_by("cannot reach sftp://me:hunter2@host/x")
            .within(Fact::Destination, "sftp://me:hunter2@host/x");
        assert!(!serde_json::to_string(&error).unwrap().contains("hunter2"), "{error}");
    }

    #[test]
    fn an_error_survives_a_trip_through_io() {
        let ours = Error::new(Code::Integrity, "the MAC does not match").hint("use another copy");
        let back = Error::from(io::Error::from(ours));
        assert_eq!((back.code(), back.next_step()), (Code::Integrity, Some("use another copy")));
    }

    #[test]
    fn nothing_in_an_error_drives_a_terminal() {
        use std::ffi::OsStr;
        let path = Path::new(OsStr::from_bytes(b"/srv/\x1b[31mRED\n\xff\x07\xc2\x9b/x"));
        let raw = "a\u{1b}[2J\r\nb\u{9b}\0";
        for error in [
            Error::io("cannot keep", path, io::ErrorKind::NotFound.into()),
            Error::of_path(Code::Io, path, raw),
            Error::new(Code::Io, format!("{} {raw}", path.display())).hint(raw),
            Error::new(Code::Io, "x")
                .caused_by(raw)
                .context(raw)
                .within(Fact::Object, raw)
                .because(io::Error::other(raw)),
        ] {
            let error = error.followed_by(&Error::new(Code::Io, raw).hint(raw));
            let all = format!("{error} {}", serde_json::to_string(&error).unwrap());
            assert!(!all.contains(char::is_control) && !all.contains("\\u001b"), "{all}");
        }
        let error = Error::of_path(Code::Io, path, "is closed");
        assert_eq!(error.message(), r"/srv/\u{1b}[31mRED\n\xff\u{7}\u{9b}/x is closed");
        assert_eq!(error.fact(Fact::Path), Some(r"/srv/\u{1b}[31mRED\n\xff\u{7}\u{9b}/x"));
    }

    #[test]
    fn a_long_path_is_told_by_its_ends() {
        let told = shortened(Path::new(&format!("/srv/{}name", "ö/".repeat(3000))));
        assert!(told.starts_with("/srv/ö/ö/") && told.ends_with("/ö/name") && told.contains('…'), "{told}");
        assert_eq!(told.chars().count(), LONG + 1);
        assert_eq!(shortened(Path::new("/srv/a")), "/srv/a");
    }

    #[test]
    fn a_full_disk_is_told_from_a_missing_file() {
        let of = |kind| Error::io("cannot write", Path::new("/x"), io::Error::from(kind)).code();
        assert_eq!(of(io::ErrorKind::StorageFull), Code::Space);
        assert_eq!(of(io::ErrorKind::NotFound), Code::NotFound);
    }

    #[test]
    fn what_no_permission_bit_forbids_has_a_hint_of_its_own() {
        use rustix::io::Errno;
        let of = |cause: Errno| Error::io("cannot write", Path::new("/x"), cause.into());
        let hint = |cause| of(cause).next_step().expect("has one").to_owned();
        assert!(hint(Errno::PERM).contains("chattr -i"));
        assert!(hint(Errno::ROFS).contains("read-only"));
        assert!(hint(Errno::ACCESS).contains("access"));
        assert_eq!(of(Errno::ROFS).code(), Code::Permission);
        assert!(hint(Errno::MFILE).contains("ulimit -n") && hint(Errno::FBIG).contains("ulimit -f"));
        let other = Error::new(Code::Unsupported, "cannot run it").because(io::Error::from(Errno::NFILE));
        assert!(other.next_step().is_some_and(|hint| hint.contains("ulimit -n")));
    }
}
