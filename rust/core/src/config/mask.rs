//! Keeping secrets out of an exported document, and finding where it holds them.

use super::Document;
use super::address::{has_password, hide, is_secret, without_password};
use crate::Secret;
use serde::{Serialize, Serializer};
use serde_json::Value;
use std::borrow::Cow;
use std::path::{Path, PathBuf};

/// What stands for a secret in an exported document. A document that still holds it is not accepted back.
pub const HIDDEN: &str = "[hidden]";

pub(super) fn secret<S: Serializer>(secret: &Option<Secret>, serializer: S) -> Result<S::Ok, S::Error> {
    secret.as_ref().map(|_| HIDDEN).serialize(serializer)
}

pub(super) fn url<S: Serializer>(url: &Option<Secret>, serializer: S) -> Result<S::Ok, S::Error> {
    url.as_ref().map(without_password).serialize(serializer)
}

/// An address that holds no secret where it is written as it should be.
pub(super) fn address<S: Serializer>(address: &Option<String>, serializer: S) -> Result<S::Ok, S::Error> {
    address.as_deref().map(hide).serialize(serializer)
}

/// The same of one that is always there.
pub(super) fn text<S: Serializer>(address: &str, serializer: S) -> Result<S::Ok, S::Error> {
    hide(address).serialize(serializer)
}

/// A path in whose place somebody may have written an address.
pub(super) fn path<S: Serializer>(path: &Option<PathBuf>, serializer: S) -> Result<S::Ok, S::Error> {
    match path.as_deref().and_then(Path::to_str).filter(|text| is_secret(text)) {
        Some(text) => hide(text).serialize(serializer),
        None => path.serialize(serializer),
    }
}

/// Every secret of the document with the path of its key. Addresses count where they carry one.
pub(super) fn secrets(document: &Document) -> Vec<(Vec<&str>, Cow<'_, Secret>)> {
    let plain = plain_secrets(document).into_iter().map(|(path, text)| (path, Cow::Owned(Secret::new(text))));
    plain.chain(of_their_own(document)).collect()
}

/// Addresses that are no secrets by themselves, and hold one.
fn plain_secrets(document: &Document) -> Vec<(Vec<&str>, &str)> {
    let mut all = vec![(vec!["site", "url"], Some(document.site.url.as_str()))];
    for (name, database) in &document.databases {
        all.push((vec!["databases", name, "socket"], database.socket.as_deref().and_then(Path::to_str)));
    }
    for (name, destination) in &document.destinations {
        all.push((vec!["destinations", name, "endpoint"], destination.endpoint.as_deref()));
    }
    all.into_iter().filter_map(|(path, text)| Some((path, text.filter(|text| is_secret(text))?))).collect()
}

fn of_their_own(document: &Document) -> Vec<(Vec<&str>, Cow<'_, Secret>)> {
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
    for (name, profile) in &document.profiles {
        all.push((vec!["profiles", name, "notify", "webhook"], profile.notify.webhook.as_ref()));
        all.push((vec!["profiles", name, "notify", "ping"], profile.notify.ping.as_ref()));
    }
    all.push((vec!["encryption", "key"], document.encryption.key.as_ref()));
    if let Some(module) = &document.encryption.aes_module {
        all.push((vec!["encryption", "aes_module", "key"], module.key.as_ref()));
        all.push((vec!["encryption", "aes_module", "iv"], module.iv.as_ref()));
    }
    all.into_iter().filter_map(|(path, secret)| Some((path, Cow::Borrowed(secret?)))).collect()
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
    fn an_export_hides_secrets_and_shows_them_on_request() {
        let text = r#"{"databases": {"db": {"url": "mysql://u:s3cret@h/d7", "password": "s3cret"}},
            "destinations": {"o": {"type": "sftp", "url": "sftp://u:s3cret@h/b", "password": "s3cret"}},
            "profiles": {"p": {"notify": {"webhook": "https://h/s3cret", "ping": "https://h/s3cret"}}},
            "encryption": {"key": "s3cret", "aes_module": {"key": "s3cret", "iv": "s3cret"}}}"#;
        let document = Document::from_json(text).expect("a document");
        let hidden = document.to_json(false).expect("json").to_string();
        assert!(!hidden.contains("s3cret"), "{hidden}");
        assert_eq!(hidden.matches(HIDDEN).count(), 9);
        let shown = document.to_json(true).expect("json").to_string();
        assert_eq!((shown.matches("s3cret").count(), shown.contains(HIDDEN)), (9, false));

        let again = Document::from_yaml(&document.to_yaml(true).expect("yaml")).expect("our own export");
        assert_eq!(again.to_json(true).expect("json"), document.to_json(true).expect("json"));
        // Each of them is missed where it was left out.
        let missing = secrets(&document).len();
        let given =
            Document::from_json(&document.to_json(false).expect("json").to_string()).expect("a document");
        let told = given.contradictions().iter().filter(|error| error.message().contains(HIDDEN)).count();
        assert_eq!((missing, told), (9, 9));
    }

    #[test]
    fn an_export_hides_secrets_in_odd_places_too() {
        let text = r#"{"site": {"url": "https://u:s3cret@h"},
            "databases": {"db": {"url": "mysql:/u:s3cret@h/x?password=s3cret", "socket": "mysql://u:s3cret@h/x"}},
            "destinations": {"a": {"type": "rsync", "url": "u:s3cret@h:/b"}, "b": {"type": "webdav", "url": "https://h/b?token=s3cret"},
                "c": {"type": "s3", "url": "s3://b", "endpoint": "http://k:s3cret@h"}}}"#;
        let document = Document::from_json(text).expect("a document");
        let hidden = document.to_json(false).expect("json").to_string();
        assert!(!hidden.contains("s3cret"), "{hidden}");
        assert_eq!(hidden.matches(HIDDEN).count(), 7);
        for kept in [
            "https://u:",
            "mysql:/u:",
            "@h/x?password=",
            "u:[hidden]@h:/b",
            "https://h/b?token=",
            "http://k:",
        ] {
            assert!(hidden.contains(kept), "{hidden}");
        }
        let shown = document.to_json(true).expect("json").to_string();
        assert_eq!((shown.matches("s3cret").count(), shown.contains(HIDDEN)), (7, false));
        assert_eq!(secrets(&document).len(), 6);
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
