//! Whose a backup is: the identity of a site, which stands in each sidecar under the MAC.
//!
//! `bam_site` holds words separated by blanks: the site's address, where one is set, and `folder:HASH`, 16 hex digits of
//! SHA-256 over docroot, `conf_path` and database (no host name: a container gets a new one with every start).
//! Addresses decide where both sides know theirs (`localhost` is none); else the folder does. What tells neither (Backup and Migrate's
//! files, dumps of others, sidecars of bam before it wrote `bam_site` and knew no URL) belongs to nobody by itself:
//! [`super::sites`] then looks at the place where it lies.

use super::{Sidecar, hex, key};
use crate::config::{Database, Document, Driver};
use sha2::{Digest, Sha256};
use std::fmt;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use url::{Host, Url};

/// What the word for docroot and database begins with.
const FOLDER: &str = "folder:";

/// A site's address, normalised: host in lower case (IDNA), no default port, no trailing slash, no user, query or
/// fragment. `http` and `https` are the same site.
#[derive(Debug, Clone)]
pub struct SiteUrl {
    /// With its scheme, to be shown.
    text: String,
    /// Without it, to be compared.
    bare: String,
}

impl PartialEq for SiteUrl {
    fn eq(&self, other: &Self) -> bool {
        self.bare == other.bare
    }
}

impl Eq for SiteUrl {}

impl fmt::Display for SiteUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl SiteUrl {
    /// Reads `http://example.org/sub`, also without the scheme. `None` for what is no address, and for `default`, which
    /// Drush makes up where nobody tells it one.
    pub fn parse(text: &str) -> Option<SiteUrl> {
        let text = text.trim();
        let parsed = match text.contains("://") {
            true => Url::parse(text).ok()?,
            false if text.contains('@') => return None,
            false => Url::parse(&format!("http://{text}")).ok()?,
        };
        let host = parsed.host_str()?.trim_end_matches('.');
        if host.is_empty() || host == "default" || !matches!(parsed.scheme(), "http" | "https") {
            return None;
        }
        let port = parsed.port().filter(|port| !matches!(port, 80 | 443));
        let port = port.map(|port| format!(":{port}")).unwrap_or_default();
        let path = parsed.path();
        let path = path.strip_suffix("index.php").unwrap_or(path).trim_end_matches('/');
        let bare = format!("{host}{port}{path}");
        Some(SiteUrl { text: format!("{}://{bare}", parsed.scheme()), bare })
    }

    /// The host alone.
    pub fn host(&self) -> String {
        let url = Url::parse(&self.text).ok();
        url.as_ref().and_then(Url::host_str).unwrap_or_default().to_owned()
    }

    /// Whether it is what every machine calls itself, and so tells no site from another.
    fn is_local(&self) -> bool {
        let host = Url::parse(&self.text).ok();
        match host.as_ref().and_then(Url::host) {
            Some(Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
            Some(Host::Ipv4(address)) => address.is_loopback() || address.is_unspecified(),
            Some(Host::Ipv6(address)) => address.is_loopback() || address.is_unspecified(),
            None => false,
        }
    }
}

/// Who a site is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SiteIdentity {
    /// Its address, where one is set.
    pub url: Option<SiteUrl>,
    /// Hash of docroot and database.
    pub folder: Option<String>,
    /// Its name: for people. Sites are renamed, and two may have the same.
    pub name: Option<String>,
    /// The address that it was reached by, which its settings do not name: for people only.
    pub told: Option<SiteUrl>,
    /// What it is called besides: addresses that it had, the folder's word in `bam_site`.
    pub aliases: Vec<String>,
}

/// How a backup's site stands to one's own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Relation {
    /// The same site.
    Same,
    /// Another.
    Other,
    /// Nothing tells.
    Unknown,
}

impl SiteIdentity {
    /// The document's site. `None` where the document names none (a bare machine): neither address, docroot nor
    /// database.
    pub fn of(document: &Document) -> Option<SiteIdentity> {
        let site = &document.site;
        let folder = folder_of(document);
        let (url, told) = match SiteUrl::parse(&site.url) {
            told if site.url_uncertain || told.as_ref().is_some_and(SiteUrl::is_local) => (None, told),
            url => (url, None),
        };
        if url.is_none() && folder.is_none() && document.sources.is_empty() {
            return None;
        }
        let name = Some(site.name.trim().to_owned()).filter(|name| !name.is_empty());
        Some(SiteIdentity { url, folder, name, told, aliases: site.aliases.clone() })
    }

    /// What a sidecar says. Backup and Migrate's `siteurl` and that of older versions count as the address.
    pub fn of_sidecar(sidecar: &Sidecar) -> SiteIdentity {
        let mut found = SiteIdentity {
            name: sidecar.get(key::SITE_NAME).map(|name| name.trim().to_owned()),
            ..SiteIdentity::default()
        };
        match sidecar.get(key::SITE) {
            Some(words) => {
                for word in words.split_ascii_whitespace() {
                    match word.strip_prefix(FOLDER) {
                        Some(hash) => found.folder = Some(hash.to_owned()),
                        None => found.url = found.url.or_else(|| SiteUrl::parse(word)),
                    }
                }
            }
            None => found.url = sidecar.get(key::SITE_URL).and_then(SiteUrl::parse),
        }
        found.url = found.url.filter(|url| !url.is_local());
        if found.url.is_none() {
            found.told = sidecar.get(key::SITE_URL).and_then(SiteUrl::parse);
        }
        found
    }

    /// What `bam_site` says of this site; empty where there is nothing to say.
    pub fn words(&self) -> String {
        let folder = self.folder.as_ref().map(|hash| format!("{FOLDER}{hash}"));
        let words: Vec<String> = self.url.iter().map(ToString::to_string).chain(folder).collect();
        words.join(" ")
    }

    /// Whether it says who it is, beyond a name.
    pub fn is_known(&self) -> bool {
        self.url.is_some() || self.folder.is_some()
    }

    /// How the site of a backup stands to this one.
    pub fn relation(&self, theirs: &SiteIdentity) -> Relation {
        if self.aliases.iter().any(|alias| theirs.is_at(alias)) {
            return Relation::Same;
        }
        if let (Some(own), Some(their)) = (&self.url, &theirs.url) {
            return if own == their { Relation::Same } else { Relation::Other };
        }
        if let (Some(own), Some(their)) = (&self.folder, &theirs.folder) {
            return if own == their { Relation::Same } else { Relation::Other };
        }
        Relation::Unknown
    }

    /// Whether both are the same folder and database, whatever their addresses.
    pub fn same_folder(&self, theirs: &SiteIdentity) -> bool {
        self.folder.is_some() && self.folder == theirs.folder
    }

    /// Whether somebody means this site by `text`: its address, its name, or its word in `bam_site`.
    pub fn is_meant_by(&self, text: &str) -> bool {
        let text = text.trim();
        let named = self.name.as_ref().is_some_and(|name| name.to_lowercase() == text.to_lowercase());
        let url = SiteUrl::parse(text);
        let mut aliases = self.aliases.iter().map(|alias| SiteUrl::parse(alias));
        named || self.is_at(text) || aliases.any(|alias| alias.is_some() && alias == url)
    }

    /// Whether that is its address, or its folder's word.
    fn is_at(&self, text: &str) -> bool {
        match text.strip_prefix(FOLDER) {
            Some(hash) => self.folder.as_deref() == Some(hash),
            None => SiteUrl::parse(text).is_some_and(|url| Some(&url) == self.address()),
        }
    }

    /// Its address as people know it, whether or not it decides anything.
    pub fn address(&self) -> Option<&SiteUrl> {
        self.url.as_ref().or(self.told.as_ref())
    }

    /// The site in words: `Lab (http://lab.example.org)`.
    pub fn describe(&self) -> String {
        let folder = self.folder.as_ref().map(|hash| format!("{FOLDER}{hash}"));
        let address = match (&self.url, &self.told) {
            (Some(url), _) => Some(url.to_string()),
            (None, Some(told)) => {
                Some(folder.map_or_else(|| told.to_string(), |folder| format!("{told}, {folder}")))
            }
            (None, None) => folder,
        };
        match (&self.name, address) {
            (Some(name), Some(address)) => format!("{name} ({address})"),
            (Some(name), None) => name.clone(),
            (None, Some(address)) => address,
            (None, None) => "a site that does not say who it is".into(),
        }
    }
}

/// The hash of docroot, `conf_path` and database: the same for whoever runs it, so no password is looked for.
fn folder_of(document: &Document) -> Option<String> {
    let site = &document.site;
    let database = document.databases.get("db").or_else(|| document.databases.values().next());
    let database = database.and_then(|database| {
        let bare = Database { password: None, password_file: None, password_env: None, ..database.clone() };
        bare.resolve(&site.root).ok()
    });
    if site.root.as_os_str().is_empty() && database.is_none() {
        return None;
    }
    let root = fs::canonicalize(&site.root).unwrap_or_else(|_| site.root.clone());
    let mut hash = Sha256::new();
    let mut feed = |part: &[u8]| {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part);
    };
    feed(root.as_os_str().as_bytes());
    feed(site.conf_path_or_default().as_bytes());
    if let Some(database) = database {
        feed(database.driver.name().as_bytes());
        // However this machine's own server is reached.
        let local = database.socket.is_some()
            || matches!(database.host.as_str(), "" | "localhost" | "127.0.0.1" | "::1");
        feed(if local { b"" } else { database.host.as_bytes() });
        match database.driver {
            Driver::Sqlite => feed(database.path.as_os_str().as_bytes()),
            _ => feed(database.name.as_bytes()),
        }
        feed(database.prefix.as_bytes());
    }
    Some(hex(hash.finalize().get(..8).unwrap_or_default()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(text: &str) -> SiteUrl {
        SiteUrl::parse(text).expect(text)
    }

    fn identity(address: Option<&str>, folder: Option<&str>, name: Option<&str>) -> SiteIdentity {
        SiteIdentity {
            url: address.map(url),
            folder: folder.map(str::to_owned),
            name: name.map(str::to_owned),
            ..SiteIdentity::default()
        }
    }

    #[test]
    fn one_site_is_written_in_many_ways() {
        for same in [
            "https://lab.example.org/",
            "http://LAB.Example.org",
            "lab.example.org",
            "http://lab.example.org:80/index.php",
            "https://lab.example.org:443",
            "https://user:pw@lab.example.org./?q=node#top",
        ] {
            assert_eq!(url(same), url("http://lab.example.org"), "{same}");
        }
        for other in [
            "http://www.lab.example.org",
            "http://lab.example.org:8080",
            "http://lab.example.org/sub",
            "http://lab",
        ] {
            assert_ne!(url(other), url("http://lab.example.org"), "{other}");
        }
        assert_eq!(url("https://Lab.org/Sub/").to_string(), "https://lab.org/Sub");
        for none in
            ["", " ", "http://default", "default", "http://", "ftp://lab.org", "mailto:x@y", "a b", "a@b"]
        {
            assert_eq!(SiteUrl::parse(none), None, "{none}");
        }
    }

    #[test]
    fn addresses_decide_then_the_folder() {
        use Relation::{Other, Same, Unknown};
        let own = identity(Some("http://a.org"), Some("f1"), Some("Lab"));
        for (theirs, relation) in [
            (identity(Some("https://a.org/"), Some("f2"), Some("Renamed")), Same),
            (identity(Some("http://b.org"), Some("f1"), Some("Lab")), Other),
            (identity(None, Some("f1"), None), Same),
            (identity(None, Some("f2"), Some("Lab")), Other),
            (identity(None, None, Some("Lab")), Unknown),
            (identity(None, None, None), Unknown),
            (identity(None, None, Some("Shop")), Unknown),
        ] {
            assert_eq!(own.relation(&theirs), relation, "{theirs:?}");
        }
        let unaddressed = identity(None, Some("f1"), Some("Lab"));
        assert_eq!(unaddressed.relation(&identity(Some("http://b.org"), Some("f1"), None)), Same);
        assert_eq!(unaddressed.relation(&identity(Some("http://b.org"), Some("f2"), None)), Other);
        let moved = SiteIdentity { aliases: vec!["http://old.org".into()], ..own };
        assert_eq!(moved.relation(&identity(Some("https://old.org"), None, Some("Old"))), Same);
    }

    #[test]
    fn what_a_sidecar_says_is_what_was_written() {
        let own = identity(Some("https://a.org/x"), Some("0123"), Some("Lab"));
        let mut sidecar = Sidecar::new();
        sidecar.set(key::SITE, own.words());
        sidecar.set(key::SITE_NAME, "Lab");
        sidecar.set(key::SITE_URL, "http://elsewhere.org");
        assert_eq!(own.words(), "https://a.org/x folder:0123");
        assert_eq!(SiteIdentity::of_sidecar(&Sidecar::parse(&sidecar.to_string())), own);
        assert!(sidecar.mac_fields().any(|(key, _)| key == key::SITE), "the MAC covers it");
        sidecar.remove(key::SITE);
        assert_eq!(SiteIdentity::of_sidecar(&sidecar).url, Some(url("http://elsewhere.org")));
    }

    #[test]
    fn the_folder_is_the_same_for_whoever_runs_it_and_however_the_server_is_reached() {
        let document = |yaml: &str| Document::from_yaml(yaml).expect(yaml);
        let folder =
            |yaml: &str| SiteIdentity::of(&document(yaml)).expect("a site").folder.expect("a folder");
        let one = folder("site: {root: /nowhere}\ndatabases: {db: {url: 'mysql://u:p@localhost/d'}}");
        for same in [
            "site: {root: /nowhere}\ndatabases: {db: {url: 'mysql://other@127.0.0.1/d', password_file: /none}}",
            "site: {root: /nowhere, conf_path: sites/default}\ndatabases: {db: {url: 'mysql://u@h/d', socket: /s}}",
        ] {
            assert_eq!(folder(same), one, "{same}");
        }
        for other in [
            "site: {root: /nowhere}",
            "site: {root: /elsewhere}\ndatabases: {db: {url: 'mysql://u@localhost/d'}}",
            "site: {root: /nowhere, conf_path: sites/b}\ndatabases: {db: {url: 'mysql://u@localhost/d'}}",
            "site: {root: /nowhere}\ndatabases: {db: {url: 'mysql://u@localhost/e'}}",
            "site: {root: /nowhere}\ndatabases: {db: {url: 'mysql://u@far/d'}}",
            "site: {root: /nowhere}\ndatabases: {db: {url: 'mysql://u@localhost/d', prefix: b_}}",
        ] {
            assert_ne!(folder(other), one, "{other}");
        }
        assert_eq!(SiteIdentity::of(&Document::default()), None, "a bare machine has no site");
        let guessed = document("site: {root: /nowhere, url: 'http://a.org', url_uncertain: true}");
        let guessed = SiteIdentity::of(&guessed).expect("a site");
        assert_eq!((&guessed.url, guessed.told.clone()), (&None, Some(url("http://a.org"))));
        // It decides nothing, but people may name it.
        let theirs = identity(Some("http://a.org"), Some("other"), None);
        assert_eq!(guessed.relation(&theirs), Relation::Other);
        assert!(guessed.is_meant_by("a.org"));
    }

    #[test]
    fn what_every_machine_calls_itself_is_no_address() {
        for (address, local) in [
            ("http://localhost", true),
            ("http://a.localhost:8080", true),
            ("http://notlocalhost", false),
            ("http://localhost.org", false),
            ("http://127.0.0.9", true),
            ("http://0.0.0.0", true),
            ("http://10.0.0.7", false),
            ("http://[::1]", true),
            ("http://[::]", true),
            ("http://[2001:db8::1]", false),
        ] {
            assert_eq!(url(address).is_local(), local, "{address}");
        }
        assert_eq!(url("http://a.org:8080/x").host(), "a.org");
    }

    #[test]
    fn a_site_is_meant_by_address_name_alias_and_folder() {
        let aliases = vec!["http://old.org".into(), "no address".into()];
        let site = SiteIdentity { aliases, ..identity(Some("http://a.org"), Some("f1"), Some("L\u{e4}b")) };
        for (text, meant) in [
            (" https://a.org/ ", true),
            ("L\u{c4}B", true),
            ("old.org", true),
            ("folder:f1", true),
            ("folder:f2", false),
            ("b.org", false),
            ("neither an address", false),
            ("", false),
        ] {
            assert_eq!(site.is_meant_by(text), meant, "{text}");
        }
        let nobody = identity(None, None, None);
        assert!(!nobody.is_known() && !nobody.same_folder(&nobody));
        assert!(identity(Some("http://a.org"), None, None).is_known());
        let folder = identity(None, Some("f1"), None);
        assert!(folder.is_known() && folder.same_folder(&site));
        assert!(!folder.same_folder(&identity(None, Some("f2"), None)));
    }

    #[test]
    fn a_site_is_told_by_what_is_known_of_it() {
        let folder = identity(None, Some("f1"), None);
        let told = SiteIdentity { told: Some(url("http://10.0.0.7")), ..folder.clone() };
        for (site, words) in [
            (identity(Some("http://a.org"), Some("f1"), Some("Lab")), "Lab (http://a.org)"),
            (identity(None, None, Some("Lab")), "Lab"),
            (folder, "folder:f1"),
            (told, "http://10.0.0.7, folder:f1"),
            (identity(None, None, None), "a site that does not say who it is"),
        ] {
            assert_eq!(site.describe(), words);
        }
        let of = |yaml: &str| SiteIdentity::of(&Document::from_yaml(yaml).expect(yaml)).expect("a site");
        assert_eq!(of("site: {url: 'http://a.org', name: ' Lab '}").name.as_deref(), Some("Lab"));
        assert_eq!(of("site: {url: 'http://a.org'}").name, None);
    }
}
