//! Reading a document: from YAML, from JSON, from a file; and saying what is wrong with it, where, and what was meant.

use super::shape::of_key;
use super::{Document, builtin, exposure, locate, mask, misplaced};
use crate::regular;
use crate::{Code, Error, Fact, Note, NoteKind, Result, ResultExt, Told};
use serde::Deserialize;
use serde_path_to_error::Segment;
use std::io::{self, ErrorKind, Read};
use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

/// How serde begins to tell of an unknown key.
const UNKNOWN_KEY: &str = "unknown field `";
/// The same of a key that is there twice.
pub(super) const DUPLICATE_KEY: &str = "duplicate field `";

/// No configuration is bigger; a backup given by mistake is.
const LONGEST: u64 = 16 * 1024 * 1024;

/// The format of documents that this version knows: one whose keys older versions would misread counts it up.
const NEWEST_FORMAT: u64 = 1;

/// No configuration has so many brackets open at once; the time that reading them takes grows with the square of their number.
const DEEPEST: usize = 1000;

/// Refuses what could keep the reader busy for hours. Brackets in texts count, too: it takes a thousand of them.
fn check_depth(text: &str) -> Result<()> {
    let mut open: usize = 0;
    for byte in text.bytes() {
        match byte {
            b'[' | b'{' => open += 1,
            b']' | b'}' => open = open.saturating_sub(1),
            _ => {}
        }
        if open > DEEPEST {
            let text = format!(
                "the configuration is nested too deep: more than {DEEPEST} brackets are open at once"
            );
            return Err(Error::new(Code::Config, text).hint("look whether it is the right file"));
        }
    }
    Ok(())
}

/// The one key that is looked at before all others, which may be unknown then.
#[derive(Deserialize)]
struct Head {
    format: Option<u64>,
}

/// Refuses what was written for a newer version. What is no document at all is told by whoever reads it as a whole.
fn check_format(head: Option<Head>) -> Result<()> {
    match head.and_then(|head| head.format) {
        Some(format) if format > NEWEST_FORMAT => {
            let ours = env!("CARGO_PKG_VERSION");
            Err(Error::new(
                Code::Config,
                format!("the configuration is too new: its format is {format}, and this bam ({ours}) knows those up to {NEWEST_FORMAT}"),
            )
            .hint(format!("it was written for a later bam than {ours}: install that one")))
        }
        _ => Ok(()),
    }
}

impl Document {
    /// Reads a `bam.yml` somebody wrote. Contradictions are errors, too, with their line ([`Document::validate`]).
    pub fn from_yaml(text: &str) -> Result<Document> {
        check_depth(text)?;
        check_format(serde_yaml::from_str(text).ok())?;
        let mut track = serde_path_to_error::Track::new();
        let reader = serde_yaml::Deserializer::from_str(text);
        let read = Document::deserialize(serde_path_to_error::Deserializer::new(reader, &mut track));
        let mut document = read.map_err(|cause| {
            let path = track.path();
            let message = cause.to_string();
            let own_place = cause.location().map(|at| (at.line(), at.column()));
            // serde notices some mistakes only when it is past the value; an unknown key has no value to look for.
            let value_place = if message.contains(UNKNOWN_KEY) {
                None
            } else if let Some(key) = twice(&message) {
                locate::locate_second(text, &[keys(&path), vec![key]].concat())
            } else {
                locate::locate(text, &keys(&path))
            };
            explain(&path, value_place.or(own_place), &message)
        })?;
        builtin::complete(&mut document);
        crate::environment::remember(&document);
        match document.problems().into_iter().next() {
            None => Ok(document),
            Some(problem) => {
                // A key that is missing has no place of its own: its parent's will do.
                let place = locate::locate(text, &problem.path).or_else(|| {
                    problem.path.split_last().and_then(|(_, parent)| locate::locate(text, parent))
                });
                Err(problem.into_error(place))
            }
        }
    }

    /// Reads what a program made of a site's settings. References that lead nowhere are no error here, since Drupal
    /// keeps schedules whose profile is gone; [`Document::check`] lists them.
    pub fn from_json(text: &str) -> Result<Document> {
        check_format(serde_json::from_str(text).ok())?;
        let mut track = serde_path_to_error::Track::new();
        let mut reader = serde_json::Deserializer::from_str(text);
        let read = Document::deserialize(serde_path_to_error::Deserializer::new(&mut reader, &mut track))
            .and_then(|document| reader.end().map(|()| document));
        let mut document = read.map_err(|cause| {
            let place = (cause.line() > 0).then(|| (cause.line(), cause.column()));
            explain(&track.path(), place, &cause.to_string())
        })?;
        builtin::complete(&mut document);
        crate::environment::remember(&document);
        Ok(document)
    }

    /// Reads a file: JSON where its name ends in `.json`, else YAML. `site.root`, `state_dir` and the files with keys
    /// and passwords may be relative to the file's folder, or begin with `~/`. A file that holds passwords and is
    /// readable by others gives a warning ([`Document::check`]).
    pub fn load(path: &Path) -> Result<Document> {
        let unreadable = |cause| Document::unreadable(path, cause);
        let file = regular::open(path).map_err(unreadable)?;
        let open = exposure::is_open(&file.metadata().map_err(unreadable)?);
        let mut bytes = Zeroizing::new(Vec::new());
        file.take(LONGEST).read_to_end(&mut bytes).map_err(unreadable)?;
        let text =
            std::str::from_utf8(&bytes).map_err(|cause| not_utf8(path, &bytes, cause.valid_up_to()))?;
        // What some editors put in front of UTF-8.
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let read = if path.extension().is_some_and(|ext| ext.eq_ignore_ascii_case("json")) {
            Document::from_json(text)
        } else {
            Document::from_yaml(text)
        };
        let mut document = read.within(Fact::Path, path.display())?;
        document.anchor(path.parent().unwrap_or(Path::new("")))?;
        document.file = Some(std::path::absolute(path).at("cannot find", path)?);
        if open && !mask::secrets(&document).is_empty() {
            document.notes.push(Note {
                kind: NoteKind::Warning,
                text: format!("{0} holds passwords, and anybody can read it: chmod o= {0}", path.display()),
            });
        }
        Ok(document)
    }

    /// The failure to read the configuration at `path`, which is one of the configuration, whatever the reason.
    pub fn unreadable(path: &Path, cause: io::Error) -> Error {
        let hint = match cause.kind() {
            ErrorKind::PermissionDenied => {
                "run this as root, or as a user who may read it (it holds passwords: not everybody)"
            }
            _ => "check its name",
        };
        let what = format!("cannot read the configuration {}", path.display());
        Error::new(Code::Config, what).because(cause).hint(hint)
    }

    /// Makes the paths absolute that are relative to the configuration file.
    fn anchor(&mut self, folder: &Path) -> Result<()> {
        let folder = std::path::absolute(if folder.as_os_str().is_empty() { Path::new(".") } else { folder })
            .at("cannot find the folder", folder)?;
        if let Some((key, _)) =
            misplaced::secret_files(self).into_iter().find(|(_, path)| misplaced::is_no_file(path, &folder))
        {
            let text = format!(
                "{}: there is no file of the name that stands there in {}",
                key.join("."),
                folder.display()
            );
            return Err(Error::new(Code::Config, text).hint(
                "the name is not repeated, for it may be the secret itself, which belongs into a file; one that is to come is written with ./ in front",
            ));
        }
        let home = std::env::var_os("HOME").map(PathBuf::from);
        let anchor = |path: &mut PathBuf| {
            *path = match (path.strip_prefix("~"), &home) {
                (Ok(rest), Some(home)) => home.join(rest),
                _ => folder.join(&*path),
            };
        };
        if !self.site.root.as_os_str().is_empty() {
            anchor(&mut self.site.root);
        }
        let databases = self.databases.values_mut().filter_map(|database| database.password_file.as_mut());
        databases.for_each(anchor);
        for destination in self.destinations.values_mut() {
            let files = [
                &mut destination.password_file,
                &mut destination.identity_file,
                &mut destination.known_hosts,
                &mut destination.credentials_file,
                &mut destination.ca_file,
            ];
            files.into_iter().flatten().for_each(anchor);
        }
        self.encryption.key_file.iter_mut().for_each(anchor);
        self.encryption.keys.iter_mut().for_each(anchor);
        if let Some(module) = &mut self.encryption.aes_module {
            module.key_file.iter_mut().for_each(anchor);
        }
        self.state_dir.iter_mut().for_each(anchor);
        Ok(())
    }
}

/// Where the text stops to be UTF-8, counted in lines; nothing of it is repeated.
fn not_utf8(path: &Path, bytes: &[u8], at: usize) -> Error {
    let line = 1 + bytes.iter().take(at).filter(|byte| **byte == b'\n').count();
    let hint = match bytes.first_chunk::<2>() {
        Some([0xff, 0xfe] | [0xfe, 0xff]) => "it looks like UTF-16: save it as UTF-8",
        _ => "save it as UTF-8, e.g. with `iconv -f latin1 -t utf-8`",
    };
    Error::of_path(Code::Config, path, format!("is not UTF-8 (line {line})")).hint(hint)
}

/// `key path, line 3, column 5` as far as known.
pub(super) fn place(path: &str, at: Option<(usize, usize)>) -> String {
    let at = at.map(|(line, column)| format!("line {line}, column {column}"));
    match (path, at) {
        ("", Some(at)) => at,
        ("", None) => "the configuration".into(),
        (path, Some(at)) => format!("{path} ({at})"),
        (path, None) => path.to_owned(),
    }
}

/// The keys of serde's path, as far as it knows them.
fn keys(path: &serde_path_to_error::Path) -> Vec<String> {
    let name = |segment: &Segment| match segment {
        Segment::Map { key } => Some(key.clone()),
        Segment::Seq { index } => Some(index.to_string()),
        Segment::Enum { .. } | Segment::Unknown => None,
    };
    path.iter().map_while(name).collect()
}

/// serde's message about `path` in the words of a person, without any value that might be a secret.
fn explain(path: &serde_path_to_error::Path, at: Option<(usize, usize)>, message: &str) -> Error {
    let path = keys(path).iter().map(|key| of_key(key)).collect::<Vec<_>>().join(".");
    let at = place(&path, at);
    let error = |text: String| Error::new(Code::Config, format!("{at}: {text}"));
    if let Some((_, rest)) = message.split_once(UNKNOWN_KEY) {
        let (key, known) = quoted(rest);
        return error(format!("there is no key \"{}\"", of_key(&key))).hint(suggest(&key, &known));
    }
    if let Some((_, rest)) = message.split_once("unknown variant `") {
        let (value, known) = quoted(rest);
        return error(format!("\"{}\" is not allowed here", of_key(&value))).hint(suggest(&value, &known));
    }
    if let Some((_, rest)) = message.split_once("missing field `") {
        let (key, _) = quoted(rest);
        return error(format!("the key \"{key}\" is missing"));
    }
    if let Some(key) = twice(message) {
        return error(format!("the key \"{}\" is there twice", of_key(&key))).hint("write each key once");
    }
    if let Some((_, rest)) =
        message.split_once("invalid type: ").or_else(|| message.split_once("invalid value: "))
    {
        // What was found may be a password: only its kind is told.
        let found = match rest.split([' ', ',']).next().unwrap_or_default() {
            "unit" | "null" | "Option" => "nothing",
            "map" => "a map",
            "sequence" => "a list",
            "string" => "a text",
            "boolean" => "true or false",
            "integer" | "floating" => "a number",
            other => other,
        };
        let expected = rest.rsplit_once(", expected ").map_or("something else", |(_, expected)| expected);
        return error(format!("found {found}, expected {}", in_words(without_place(expected))));
    }
    let prefix = format!("{path}: ");
    error(without_place(message.strip_prefix(&prefix).unwrap_or(message)).to_owned())
}

/// The key that is there twice, of which a message tells.
fn twice(message: &str) -> Option<String> {
    let (_, rest) = message.split_once(DUPLICATE_KEY)?;
    Some(quoted(rest).0)
}

/// What Rust calls a type, in the words of whoever writes the configuration.
fn in_words(expected: &str) -> &str {
    match expected {
        "u8" | "u16" | "u32" | "u64" | "usize" => "a whole number that is not negative",
        "i8" | "i16" | "i32" | "i64" | "isize" => "a whole number",
        "f32" | "f64" => "a number",
        "a boolean" => "true or false",
        "a sequence" => "a list",
        other if other.starts_with("struct ") || other == "a map" => "a map of keys and values",
        other => other.strip_prefix("a string").map_or(other, |_| "a text"),
    }
}

/// The first name of "name`, expected one of `a`, `b`", whatever is in it, and the others.
fn quoted(rest: &str) -> (String, Vec<&str>) {
    let ends = ["`, expected ", "`, there are no "];
    let (name, known) = ends
        .iter()
        .find_map(|end| rest.rsplit_once(end))
        .unwrap_or_else(|| (without_place(rest).trim_end_matches('`'), ""));
    (name.to_owned(), known.split('`').skip(1).step_by(2).collect())
}

/// The message without serde's ` at line 1 column 2`, which is told in front.
fn without_place(message: &str) -> &str {
    message.rsplit_once(" at line ").map_or(message, |(text, _)| text)
}

/// `did you mean "type"? There are: …`
pub(super) fn suggest<S: AsRef<str>>(name: &str, known: &[S]) -> String {
    let list = known.iter().map(AsRef::as_ref).collect::<Vec<_>>().join(", ");
    match (nearest(name, known), known.is_empty()) {
        (Some(near), _) => format!("did you mean \"{near}\"? There are: {list}"),
        (None, false) => format!("there are: {list}"),
        (None, true) => "there are none".into(),
    }
}

/// The name that was probably meant.
fn nearest<'a, S: AsRef<str>>(name: &str, known: &'a [S]) -> Option<&'a str> {
    let known = known.iter().map(AsRef::as_ref);
    let (distance, near) = known.map(|k| (strsim::damerau_levenshtein(k, name), k)).min()?;
    (distance <= 1 + near.len() / 3).then_some(near)
}

#[cfg(test)]
#[path = "read_tests.rs"]
mod tests;
