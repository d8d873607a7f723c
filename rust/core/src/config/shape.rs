//! Secrets that their shape gives away: those of URLs, `user:password@host`, `password=…`. What somebody wrote in the wrong
//! place ends up in a message, too, or in the note of a backup that everybody at its destination can read.
//!
//! Rather too much is hidden than too little: a password may hold blanks, quotes, slashes and `@`, so it ends at the last `@`
//! of its line. What has no password stays readable: paths, mail addresses, `host:22`, `git@host:path`.

use super::HIDDEN;
use std::ops::Range;

/// A text without the secrets in it that their shape gives away.
pub fn by_shape(text: String) -> String {
    if !text.contains(['@', '=']) {
        return text;
    }
    text.split_inclusive('\n').map(|line| of_assignments(&of_logins(line))).collect()
}

/// The same for a word that stands where a name should: an address there, a webhook's say, may be all secret but its host.
pub(crate) fn of_key(key: &str) -> String {
    let mut key = by_shape(key.to_owned());
    let lower = key.to_ascii_lowercase();
    if let Some(host) =
        ["https://", "http://"].iter().find_map(|scheme| Some(lower.find(scheme)? + scheme.len()))
    {
        let rest = key.get(host..).unwrap_or_default();
        let end = rest.find(['/', '?', '#']).map_or(key.len(), |end| host + end);
        if key.len() > end + 1 {
            key.truncate(end);
            key = format!("{key}/{HIDDEN}");
        }
    }
    key
}

/// What was hidden already.
pub(super) const DONE: &str = "[hidden]@";

/// What no user name holds, and what stands before one.
fn is_no_user(c: char) -> bool {
    c.is_whitespace() || "\"'`<>()[]{},;=/\\?#|:".contains(c)
}

/// What begins an address, and is no user: `sftp:me@host:/path` as restic has it.
pub(super) const SCHEMES: [&str; 19] = [
    "mysql",
    "mysqli",
    "mariadb",
    "pgsql",
    "postgres",
    "postgresql",
    "sqlite",
    "sftp",
    "ssh",
    "scp",
    "rsync",
    "rest",
    "rclone",
    "s3",
    "http",
    "https",
    "webdav",
    "davs",
    "mailto",
];

/// Without the passwords of URLs and of `user:password@host`.
fn of_logins(line: &str) -> String {
    let mut masked = String::with_capacity(line.len());
    let mut rest = line;
    while let Some(secret) = login(rest) {
        masked.push_str(rest.get(..secret.start).unwrap_or_default());
        masked.push_str(HIDDEN);
        rest = rest.get(secret.end..).unwrap_or_default();
    }
    masked.push_str(rest);
    masked
}

/// Where the first password is that stands between a user and an `@`.
fn login(line: &str) -> Option<Range<usize>> {
    let last = line.rfind('@')?;
    let mut word_end = 0;
    line.match_indices(':').take_while(|(colon, _)| *colon < last).find_map(|(colon, _)| {
        let (before, value) = (line.get(..colon)?, line.get(colon + 1..)?);
        let user = before.rsplit(is_no_user).next()?;
        let front = before.strip_suffix(user)?;
        if value.starts_with(char::is_whitespace) || value.starts_with(DONE) {
            return None;
        }
        let is_host = user.contains(['.', '@']) || user == "localhost";
        if is_host && (value.starts_with('/') || is_port(value)) {
            return None;
        }
        let length = if front.ends_with("://") {
            match next_url(value) {
                Some(end) if colon + 1 + end <= last => match value.get(..end)?.rfind('@') {
                    Some(at) => at,
                    None if is_port(value) => return None,
                    // What looks like another address stands in its password.
                    None => last - colon - 1,
                },
                _ => last - colon - 1,
            }
        } else {
            let is_scheme = SCHEMES.contains(&user.to_ascii_lowercase().as_str());
            // A URL that lost a slash is one all the same.
            let in_path = front.ends_with('/') && !front.strip_suffix(":/").is_some_and(ends_in_scheme);
            if user.is_empty() || is_scheme || user.contains('@') || in_path {
                return None;
            }
            let length = match front.chars().next_back() {
                Some(quote @ ('"' | '\'' | '`')) => closing(value, quote).unwrap_or(value.len()),
                _ => {
                    if word_end <= colon {
                        word_end = value.find(char::is_whitespace).map_or(line.len(), |end| colon + 1 + end);
                    }
                    word_end - colon - 1
                }
            };
            let at = value.get(..length)?.rfind('@').filter(|_| !value.starts_with('/'))?;
            if value.get(..at)?.contains("://") {
                // An address in it has a password of its own, and what ends this one may stand in that.
                last - colon - 1
            } else {
                // A machine follows.
                value.get(at + 1..)?.starts_with(|c: char| c.is_alphanumeric() || c == '[').then_some(at)?
            }
        };
        Some(colon + 1..colon + 1 + length)
    })
}

/// Whether the scheme of an address stands at the end.
fn ends_in_scheme(text: &str) -> bool {
    let word = text.rsplit(is_no_user).next().unwrap_or_default();
    SCHEMES.contains(&word.to_ascii_lowercase().as_str())
}

/// Whether it begins with a port.
pub(super) fn is_port(value: &str) -> bool {
    let digits = value.len() - value.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    (1..=5).contains(&digits)
        && !value.get(digits..).is_some_and(|rest| rest.starts_with(char::is_alphanumeric))
}

/// Where another address begins, of a kind that bam knows.
fn next_url(text: &str) -> Option<usize> {
    text.match_indices("://").find_map(|(at, _)| {
        let scheme = text.get(..at)?.rsplit(is_no_user).next()?;
        let front = text.get(..at)?.strip_suffix(scheme)?;
        let begins = front.ends_with(|c: char| c.is_whitespace() || "\"'`(<".contains(c));
        (begins && SCHEMES.contains(&scheme)).then_some(front.len())
    })
}

/// Where text in quotes ends.
fn closing(text: &str, quote: char) -> Option<usize> {
    let mut escaped = false;
    text.char_indices().find_map(|(at, c)| {
        let ends = c == quote && !escaped;
        escaped = c == '\\' && !escaped;
        ends.then_some(at)
    })
}

/// Ends of the names that a secret follows, behind `=`. Not `password: …`, which is how servers say that one was sent.
const NAMES: [&str; 13] = [
    "password",
    "passwd",
    "passphrase",
    "pwd",
    "secret",
    "token",
    "apikey",
    "_key",
    "-key",
    "credential",
    "credentials",
    "signature",
    "auth",
];
/// Those that are names of a secret in the query of a URL alone.
const IN_QUERIES: [&str; 4] = ["key", "sig", "pass", "code"];

/// Whether the name of a value in an address says that it is secret.
pub(super) fn is_secret_name(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    name.contains("pass")
        || IN_QUERIES.contains(&name.as_str())
        || NAMES.iter().any(|known| name.ends_with(known))
}

fn of_assignments(line: &str) -> String {
    let mut masked = String::with_capacity(line.len());
    let mut rest = line;
    while let Some((before, value)) = rest.split_once('=') {
        masked.push_str(before);
        masked.push('=');
        rest = value;
        let name = before.trim_end();
        let word =
            name.rsplit(|c: char| !c.is_alphanumeric() && !"_-.".contains(c)).next().unwrap_or_default();
        let front = name.strip_suffix(word).unwrap_or_default();
        let (word, in_query) = (word.to_ascii_lowercase(), front.ends_with(['?', '&']));
        let is_secret = NAMES.iter().any(|known| word.ends_with(known))
            || (in_query && IN_QUERIES.contains(&word.as_str()));
        if !is_secret {
            continue;
        }
        let (space, value) = value.split_at(value.len() - value.trim_start().len());
        let secret = match (value.chars().next(), front.chars().next_back()) {
            (Some(quote @ ('"' | '\'')), _) => {
                value.get(1..).and_then(|inner| closing(inner, quote)).map(|end| end + 2)
            }
            // The whole of it is quoted.
            (_, Some(quote @ ('"' | '\'' | '`'))) => closing(value, quote),
            _ => value.find(|c: char| {
                c.is_whitespace() || ",;&)`".contains(c) || (in_query && "\"'>#".contains(c))
            }),
        };
        let secret = secret.unwrap_or(value.len());
        masked.push_str(space);
        if secret > 0 {
            masked.push_str(HIDDEN);
        }
        rest = value.get(secret..).unwrap_or_default();
    }
    masked.push_str(rest);
    masked
}

#[cfg(test)]
#[path = "shape_tests.rs"]
mod tests;
