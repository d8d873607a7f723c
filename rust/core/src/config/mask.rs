//! Keeping secrets out of an exported document, and finding where it holds them.

use super::Document;
use crate::Secret;
use serde::{Serialize, Serializer};
use serde_json::Value;

/// What stands for a secret in an exported document. A document that still holds it is not accepted back.
pub const HIDDEN: &str = "[hidden]";

pub(super) fn secret<S: Serializer>(secret: &Option<Secret>, serializer: S) -> Result<S::Ok, S::Error> {
    secret.as_ref().map(|_| HIDDEN).serialize(serializer)
}

pub(super) fn url<S: Serializer>(url: &Option<Secret>, serializer: S) -> Result<S::Ok, S::Error> {
    url.as_ref().map(without_password).serialize(serializer)
}

/// The URL with its password replaced by [`HIDDEN`], for messages and exports.
pub fn without_password(url: &Secret) -> String {
    let text = String::from_utf8_lossy(url.expose());
    let masked = text.split_once("://").and_then(|(scheme, rest)| {
        // The last @ before the path; a password that was not URL-encoded may hold slashes, and then it is the last of all.
        let authority_end = rest.find('/').unwrap_or(rest.len());
        let at = rest[..authority_end].rfind('@').or_else(|| rest.rfind('@'))?;
        let (user, _) = rest[..at].split_once(':')?;
        Some(format!("{scheme}://{user}:{HIDDEN}{}", &rest[at..]))
    });
    masked.unwrap_or_else(|| text.into_owned())
}

/// A text without the passwords in it that their shape gives away, those of URLs and `password=…`: what somebody wrote in
/// the wrong place ends up in a message, too, or in the note of a backup that everybody at its destination can read.
pub(crate) fn by_shape(text: String) -> String {
    let text = if text.contains("://") { of_urls(&text) } else { text };
    if text.contains('=') { of_assignments(&text) } else { text }
}

fn of_urls(text: &str) -> String {
    let ends = |c: char| c.is_whitespace() || matches!(c, '"' | '\'' | '`' | '<' | '>');
    let mut masked = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("://") {
        let start = rest.get(..at).and_then(|before| before.rfind(ends)).map_or(0, |space| space + 1);
        let start = (start..=at).find(|index| rest.is_char_boundary(*index)).unwrap_or(at);
        let end = rest.get(at..).and_then(|url| url.find(ends)).map_or(rest.len(), |len| at + len);
        masked.push_str(rest.get(..start).unwrap_or_default());
        masked.push_str(&without_password(&Secret::new(rest.get(start..end).unwrap_or_default())));
        rest = rest.get(end..).unwrap_or_default();
    }
    masked.push_str(rest);
    masked
}

/// Words that a secret follows, behind `=`. Not `password: …`, which is how servers say that one was sent.
const NAMES: [&str; 5] = ["password", "passwd", "passphrase", "pwd", "secret"];

fn of_assignments(text: &str) -> String {
    let mut masked = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, value)) = rest.split_once('=') {
        masked.push_str(before);
        masked.push('=');
        rest = value;
        let name = before.trim_end().to_ascii_lowercase();
        if !NAMES.iter().any(|known| name.ends_with(known)) {
            continue;
        }
        let blanks = value.len() - value.trim_start().len();
        let (space, value) = value.split_at(blanks);
        let secret = match value.chars().next() {
            Some(quote @ ('"' | '\'')) => {
                value.get(1..).and_then(|inner| inner.find(quote)).map(|end| end + 2)
            }
            _ => value.find(|c: char| c.is_whitespace() || matches!(c, ',' | ';' | '&' | ')' | '`')),
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

/// Whether a URL carries a password.
fn has_password(url: &Secret) -> bool {
    without_password(url).as_bytes() != url.expose()
}

/// Every secret of the document with the path of its key. URLs count where they carry a password.
pub(super) fn secrets(document: &Document) -> Vec<(Vec<&str>, &Secret)> {
    let with_password = |url: &&Secret| has_password(url);
    let mut all = Vec::new();
    for (name, database) in &document.databases {
        all.push((vec!["databases", name, "url"], database.url.as_ref().filter(with_password)));
        all.push((vec!["databases", name, "password"], database.password.as_ref()));
    }
    for (name, destination) in &document.destinations {
        all.push((vec!["destinations", name, "url"], destination.url.as_ref().filter(with_password)));
        let repository = destination.repository.as_ref().filter(with_password);
        all.push((vec!["destinations", name, "repository"], repository));
        all.push((vec!["destinations", name, "password"], destination.password.as_ref()));
    }
    all.push((vec!["encryption", "key"], document.encryption.key.as_ref()));
    if let Some(module) = &document.encryption.aes_module {
        all.push((vec!["encryption", "aes_module", "key"], module.key.as_ref()));
        all.push((vec!["encryption", "aes_module", "iv"], module.iv.as_ref()));
    }
    all.into_iter().filter_map(|(path, secret)| Some((path, secret?))).collect()
}

/// Puts the secrets back into what serialising `document` gave.
fn reveal(document: &Document, tree: &mut Value) {
    for (path, secret) in secrets(document) {
        let slot = path.iter().try_fold(&mut *tree, |node, key| node.get_mut(*key));
        if let Some(slot) = slot {
            *slot = Value::String(String::from_utf8_lossy(secret.expose()).into_owned());
        }
    }
}

impl Document {
    /// The document as JSON, with its secrets only where `with_secrets` asks for them.
    pub fn to_json(&self, with_secrets: bool) -> crate::Result<Value> {
        let mut tree = serde_json::to_value(self).map_err(|cause| {
            crate::Error::new(crate::Code::Internal, "cannot write the configuration").because(cause)
        })?;
        if with_secrets {
            reveal(self, &mut tree);
        }
        Ok(tree)
    }

    /// The same as YAML, ready to be a `bam.yml`.
    pub fn to_yaml(&self, with_secrets: bool) -> crate::Result<String> {
        to_yaml(&self.to_json(with_secrets)?)
    }
}

/// A part of a document as part of a `bam.yml`.
pub fn to_yaml(part: &Value) -> crate::Result<String> {
    serde_yaml::to_string(part).map_err(|cause| {
        crate::Error::new(crate::Code::Internal, "cannot write the configuration").because(cause)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_lose_their_password_only() {
        let masked = |url: &str| without_password(&Secret::new(url));
        assert_eq!(masked("mysql://u:p@h:3306/d7"), "mysql://u:[hidden]@h:3306/d7");
        assert_eq!(masked("mysql://u:p@ss@h/d7"), "mysql://u:[hidden]@h/d7");
        assert_eq!(masked("mysql://u:p/a/ss@h/d7"), "mysql://u:[hidden]@h/d7");
        assert_eq!(masked("mysql://u:p@h/d@7"), "mysql://u:[hidden]@h/d@7");
        for plain in ["mysql://u@h/d7", "sqlite:/srv/d7.sqlite", "backup@host:/backups", "sftp://host:22/a"] {
            assert_eq!(masked(plain), plain);
        }
    }

    #[test]
    fn passwords_in_any_text_are_hidden() {
        for (text, expected) in [
            ("there is no key \"mysql://u:pw@h/n\" (x)", "there is no key \"mysql://u:[hidden]@h/n\" (x)"),
            ("a sftp://u:p/w@h/b and pgsql://v:q@i", "a sftp://u:[hidden]@h/b and pgsql://v:[hidden]@i"),
            ("see https://example.org/a:b, or ü://u:p@h", "see https://example.org/a:b, or ü://u:[hidden]@h"),
            ("nothing: here", "nothing: here"),
            ("login me, password=hunter2, then", "login me, password=[hidden], then"),
            ("PASSWD = \"a b\" and x=1", "PASSWD = [hidden] and x=1"),
            ("a=b password=", "a=b password="),
            ("denied for 'u'@'h' (using password: YES)", "denied for 'u'@'h' (using password: YES)"),
            ("://", "://"),
        ] {
            assert_eq!(by_shape(text.to_owned()), expected);
        }
        let error =
            Document::from_yaml("databases: { db: { \"mysql://u:s3cret@h/n\" } }").expect_err("no url");
        assert!(!error.to_string().contains("s3cret"), "{error}");
        // Whatever is around it, and however often.
        let mut seed = 7u64;
        for _ in 0..2000 {
            let mut noise = String::new();
            for _ in 0..12 {
                seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                noise.extend(
                    ["ü", ":", "/", "@", " ", "\"", "://", "x", "`"].get((seed >> 40) as usize % 9).copied(),
                );
            }
            let masked =
                by_shape(format!("{noise} mysql://user:s3cret@host/{noise} password='s3cret'{noise}"));
            assert!(!masked.contains("s3cret"), "{masked}");
        }
    }

    #[test]
    fn an_export_hides_secrets_and_shows_them_on_request() {
        let text = r#"{"databases": {"db": {"url": "mysql://u:s3cret@h/d7", "password": "s3cret"}},
            "destinations": {"o": {"type": "sftp", "url": "sftp://u:s3cret@h/b", "password": "s3cret"}},
            "encryption": {"key": "s3cret", "aes_module": {"key": "s3cret", "iv": "s3cret"}}}"#;
        let document = Document::from_json(text).expect("a document");
        let hidden = document.to_json(false).expect("json").to_string();
        assert!(!hidden.contains("s3cret"), "{hidden}");
        assert_eq!(hidden.matches(HIDDEN).count(), 7);
        let shown = document.to_json(true).expect("json").to_string();
        assert_eq!((shown.matches("s3cret").count(), shown.contains(HIDDEN)), (7, false));

        let again = Document::from_yaml(&document.to_yaml(true).expect("yaml")).expect("our own export");
        assert_eq!(again.to_json(true).expect("json"), document.to_json(true).expect("json"));
    }

    #[test]
    fn a_url_is_a_secret_where_it_carries_a_password() {
        for (url, secret) in [("mysql://u:p@h/d7", true), ("mysql://u@h/d7", false)] {
            let document = serde_json::json!({"databases": {"db": {"url": url}}});
            let document: Document = serde_json::from_value(document).expect("a document");
            assert_eq!(!secrets(&document).is_empty(), secret, "{url}");
        }
    }
}
