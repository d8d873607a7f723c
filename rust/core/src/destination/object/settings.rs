//! From the configuration to a place: address, keys, TLS.

use super::dav::Dav;
use super::driver::{Names, Profile};
use super::line::Line;
use super::multipart::Multiparts;
use super::place::Place;
use crate::config::document::{self, CredentialsFrom, DestinationType};
use crate::config::{connection, hide, without_password};
use crate::destination::ssh::retry::Patience;
use crate::destination::ssh::silence::Silence;
use crate::regular;
use crate::{Code, Error, Fact, Result, ResultExt, Secret};
use opendal::services::{S3, Webdav};
use opendal::{HttpTransporter, OperationContext, Operator};
use percent_encoding::percent_decode_str;
use reqsign_aws_v4::{
    Credential, EnvCredentialProvider, ProfileCredentialProvider, StaticCredentialProvider,
};
use reqsign_core::ProvideCredentialChain;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, OnceLock};
use std::time::Duration;
use url::Url;

/// Where S3 lives when nobody says otherwise.
const REGION: &str = "us-east-1";

/// The place that the settings name.
pub(super) fn place(id: &str, config: &document::Destination) -> Result<Place> {
    let here = |error: Error| error.within(Fact::Destination, id);
    let mut patience = Patience::default();
    if let Some(seconds) = config.timeout {
        patience.timeout = Duration::from_secs(seconds.max(1));
        patience.looking = patience.timeout;
    }
    let made = match config.kind {
        DestinationType::Webdav => webdav(id, config, patience),
        _ => bucket(id, config, patience),
    };
    made.map_err(here)
}

fn bucket(id: &str, config: &document::Destination, patience: Patience) -> Result<Place> {
    let (bucket, prefix) = bucket_and_prefix(id, config)?;
    let region = match &config.region {
        Some(region) => region.clone(),
        None => config.endpoint.as_deref().and_then(region_of).unwrap_or(REGION).to_owned(),
    };
    let endpoint = match &config.endpoint {
        Some(endpoint) => Url::parse(endpoint).ok(),
        None => Url::parse(&format!("https://s3.{region}.amazonaws.com")).ok(),
    };
    let endpoint = endpoint.filter(|url| {
        let bare = url.username().is_empty() && url.password().is_none() && url.query().is_none();
        matches!(url.scheme(), "http" | "https") && url.has_host() && bare
    });
    let Some(endpoint) = endpoint else {
        return Err(wrong(format!(
            "the endpoint {:?} is no address",
            hide(config.endpoint.as_deref().unwrap_or_default())
        ))
        .hint(format!("write destinations.{id}.endpoint as https://HOST or https://HOST:PORT")));
    };
    let host = endpoint.host_str().unwrap_or_default().to_owned();
    // A bucket with dots has no certificate of its own name.
    let path_style = config.path_style.unwrap_or(config.endpoint.is_some() || bucket.contains('.'));
    let credentials = credentials(id, config)?;
    let mut builder = S3::default()
        .bucket(&bucket)
        .root(&prefix)
        .region(&region)
        .endpoint(endpoint.as_str().trim_end_matches('/'))
        .disable_config_load()
        .disable_ec2_metadata()
        // The server compares each part with it.
        .checksum_algorithm("crc32c")
        .credential_provider_chain(credentials.chain());
    if !path_style {
        builder = builder.enable_virtual_host_style();
    }
    let (op, transport, _) = operator(config, Operator::new(builder), patience)?;
    let multiparts =
        Multiparts::new(&endpoint, &bucket, &prefix, path_style, &region, credentials.chain(), transport);
    let folder = if prefix.is_empty() { bucket } else { format!("{bucket}/{prefix}") };
    Ok(Place {
        id: id.to_owned(),
        host,
        folder,
        op,
        patience,
        silence: Silence::default(),
        multiparts: Some(multiparts),
        dav: None,
        job: Mutex::default(),
        driver: OnceLock::new(),
    })
}

fn webdav(id: &str, config: &document::Destination, patience: Patience) -> Result<Place> {
    let example = || format!("write destinations.{id}.url as https://USER@HOST/PATH/OF/THE/FOLDER");
    let Some(secret) = &config.url else {
        return Err(wrong("this kind needs a url").hint(example()));
    };
    let said = String::from_utf8_lossy(secret.expose()).into_owned();
    let parsed = Url::parse(&said).ok().filter(|url| matches!(url.scheme(), "http" | "https"));
    let Some(mut url) = parsed.filter(Url::has_host) else {
        return Err(wrong(format!("{} is no address of a folder", without_password(secret))).hint(example()));
    };
    if url.query().is_some() || url.fragment().is_some() {
        return Err(wrong(format!(
            "{} is no address of a folder: no ? nor # belongs into it",
            without_password(secret)
        ))
        .hint("write a ? or # in a name as %3F and %23; a token goes into password_file, as a password"));
    }
    let decoded = |text: &str| percent_decode_str(text).decode_utf8_lossy().into_owned();
    let user = decoded(url.username());
    let in_url = url.password().map(decoded);
    let password = connection::password(
        in_url.is_some(),
        config.password.as_ref(),
        config.password_file.as_deref(),
        config.password_env.as_deref(),
    )?
    .or(in_url.map(Secret::new));
    let _ = url.set_username("").and_then(|()| url.set_password(None));
    if !url.path().ends_with('/') {
        url.set_path(&format!("{}/", url.path()));
    }
    let host = url.host_str().unwrap_or_default().to_owned();
    if url.scheme() == "http" && !user.is_empty() && !is_this_machine(&host) {
        return Err(wrong("over http:// everybody on the way reads the password")
            .hint(format!("set destinations.{id}.url to an https:// address")));
    }
    let password = password.map(|secret| String::from_utf8_lossy(secret.expose()).into_owned());
    // The server's address and the folder apart, for opendal encodes the latter itself.
    let folder = decoded(url.path());
    let mut top = url.clone();
    top.set_path("");
    let mut builder =
        Webdav::default().endpoint(top.as_str().trim_end_matches('/')).root(&folder).disable_create_dir(true);
    if !user.is_empty() {
        builder = builder.username(&user).password(password.as_deref().unwrap_or_default());
    }
    let (op, _, client) = operator(config, Operator::new(builder), patience)?;
    Ok(Place {
        id: id.to_owned(),
        host,
        folder: decoded(url.as_str()).trim_end_matches('/').to_owned(),
        op,
        patience,
        silence: Silence::default(),
        multiparts: None,
        dav: Some(Dav { folder: url, user, password: password.map(Secret::new), client }),
        job: Mutex::default(),
        driver: OnceLock::new(),
    })
}

/// With the way to the server that we want; a client for large bodies beside it.
fn operator(
    config: &document::Destination,
    made: opendal::Result<Operator>,
    patience: Patience,
) -> Result<(Operator, HttpTransporter, reqwest::Client)> {
    let op = made.map_err(|cause| wrong("the settings make no place").caused_by(cause.message()))?;
    let mut quick = client(config, patience)?;
    quick = quick.read_timeout(patience.timeout);
    let build = |builder: reqwest::ClientBuilder| {
        builder.build().map_err(|cause| wrong("TLS cannot be set up").because(cause.without_url()))
    };
    let slow = build(client(config, patience)?)?;
    let transport = HttpTransporter::new(Line::new(build(quick)?, slow.clone(), patience.timeout));
    let context = OperationContext::new().with_http_transport(transport.clone());
    Ok((op.with_context(context), transport, slow))
}

fn client(config: &document::Destination, patience: Patience) -> Result<reqwest::ClientBuilder> {
    let mut builder = reqwest::Client::builder()
        .dns_resolver(Names)
        .user_agent(concat!("bam/", env!("CARGO_PKG_VERSION")))
        .connect_timeout(patience.timeout.min(Duration::from_secs(30)))
        // A signature holds for one address only.
        .redirect(reqwest::redirect::Policy::none());
    if let Some(file) = &config.ca_file {
        let file = at_home(file);
        let pem = regular::read_named(&file).at("cannot read the certificates in", &file)?;
        let certificates = reqwest::Certificate::from_pem_bundle(&pem).unwrap_or_default();
        if certificates.is_empty() {
            return Err(Error::of_path(Code::Config, &file, "holds no certificate in PEM"));
        }
        for certificate in certificates {
            builder = builder.add_root_certificate(certificate);
        }
    }
    Ok(builder)
}

/// Where the keys come from.
enum Keys {
    Given { access_key: String, secret: String },
    Profile { name: String, file: Option<PathBuf> },
    Environment,
}

impl Keys {
    fn chain(&self) -> ProvideCredentialChain<Credential> {
        let chain = ProvideCredentialChain::new();
        match self {
            Keys::Given { access_key, secret } => {
                chain.push(StaticCredentialProvider::new(access_key, secret))
            }
            Keys::Profile { name, file } => {
                let mut profile = ProfileCredentialProvider::new().with_profile(name);
                if let Some(file) = file {
                    profile = profile.with_credentials_file(file.to_string_lossy());
                }
                chain.push(Profile(profile))
            }
            Keys::Environment => chain.push(EnvCredentialProvider::new()),
        }
    }
}

fn credentials(id: &str, config: &document::Destination) -> Result<Keys> {
    let secret = connection::password(
        false,
        config.password.as_ref(),
        config.password_file.as_deref(),
        config.password_env.as_deref(),
    )?;
    let ways = [config.access_key.is_some(), config.profile.is_some(), config.credentials.is_some()];
    if ways.iter().filter(|is_set| **is_set).count() > 1 {
        return Err(wrong("the keys are said to come from several places").hint(format!(
            "keep one in destinations.{id}: access_key with password_file, profile, or credentials"
        )));
    }
    match (&config.access_key, secret, &config.profile, config.credentials) {
        (Some(access_key), Some(secret), ..) => {
            let secret = String::from_utf8_lossy(secret.expose()).trim().to_owned();
            Ok(Keys::Given { access_key: access_key.trim().to_owned(), secret })
        }
        (Some(_), None, ..) => Err(wrong("there is an access_key and no secret key to it")
            .hint(format!("name the file that holds it in destinations.{id}.password_file"))),
        (None, _, None, Some(CredentialsFrom::Environment)) => {
            for name in ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"] {
                if std::env::var_os(name).is_none_or(|value| value.is_empty()) {
                    return Err(wrong(format!("the environment variable {name} is not set")));
                }
            }
            Ok(Keys::Environment)
        }
        (None, _, profile, _) => {
            let name = profile.as_deref().unwrap_or("default").to_owned();
            if profile.is_none() && config.credentials_file.is_none() {
                return Err(wrong("nothing says which keys to use").hint(format!(
                    "set destinations.{id}.access_key and password_file; or profile, of ~/.aws/credentials; or credentials: environment"
                )));
            }
            let file = config.credentials_file.as_deref().map(at_home);
            check_profile(&name, file.as_deref())?;
            Ok(Keys::Profile { name, file })
        }
    }
}

/// opendal passes over a file that is not there.
fn check_profile(name: &str, file: Option<&Path>) -> Result<()> {
    let file = file.map_or_else(|| at_home(Path::new("~/.aws/credentials")), Path::to_owned);
    let text = String::from_utf8_lossy(&regular::read_named(&file).at("cannot read the keys in", &file)?)
        .into_owned();
    let heading = format!("[{name}]");
    if !text.lines().any(|line| line.trim() == heading) {
        return Err(Error::of_path(Code::Config, &file, format!("has no profile [{name}]")));
    }
    Ok(())
}

/// `s3://BUCKET/PREFIX`
fn bucket_and_prefix(id: &str, config: &document::Destination) -> Result<(String, String)> {
    let example = || format!("write destinations.{id}.url as s3://BUCKET or s3://BUCKET/PREFIX");
    let Some(url) = &config.url else { return Err(wrong("this kind needs a url").hint(example())) };
    let text = String::from_utf8_lossy(url.expose()).into_owned();
    let rest = text.strip_prefix("s3://").filter(|rest| !rest.contains(['@', '?', '#']));
    let (bucket, prefix) = rest.map(|rest| rest.split_once('/').unwrap_or((rest, ""))).unwrap_or_default();
    let plain = |c: char| c.is_ascii_alphanumeric() || "-._".contains(c);
    if bucket.is_empty() || !bucket.chars().all(plain) {
        return Err(wrong(format!("{} names no bucket", without_password(url))).hint(example()));
    }
    let prefix = prefix.trim_matches('/');
    if prefix.split('/').any(|part| part.trim() != part || part == "." || part == "..") {
        return Err(wrong(format!("{} is no place in a bucket", without_password(url))).hint(example()));
    }
    Ok((bucket.to_owned(), prefix.to_owned()))
}

/// Of Amazon's own addresses.
fn region_of(endpoint: &str) -> Option<&str> {
    let (_, host) = endpoint.split_once("://")?;
    let rest = host.strip_prefix("s3.").or_else(|| host.strip_prefix("s3-"))?;
    let (region, end) = rest.split_once('.')?;
    end.starts_with("amazonaws.com").then_some(region)
}

fn is_this_machine(host: &str) -> bool {
    matches!(host, "localhost" | "127.0.0.1" | "::1" | "[::1]")
}

fn at_home(path: &Path) -> PathBuf {
    crate::destination::ssh::server::at_home(path)
}

fn wrong(text: impl Into<String>) -> Error {
    Error::new(Code::Config, text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn made(mut settings: Value) -> Result<Place> {
        settings["type"] = settings.get("type").cloned().unwrap_or("s3".into());
        let config: document::Destination = serde_json::from_value(settings).expect("settings");
        place("cloud", &config)
    }

    fn refused(settings: Value) -> String {
        made(settings).err().expect("refused").to_string()
    }

    #[test]
    fn a_bucket_is_named_with_where_it_is() {
        let keys = |mut more: Value| {
            more["access_key"] = "AKID".into();
            more["password"] = "s3cret".into();
            made(more).expect("a place")
        };
        let place = keys(json!({"url": "s3://b-1/sites/pece/"}));
        assert_eq!(
            (place.host.as_str(), place.folder.as_str()),
            ("s3.us-east-1.amazonaws.com", "b-1/sites/pece")
        );
        let place = keys(json!({"url": "s3://b", "region": "eu-central-1"}));
        assert_eq!((place.host.as_str(), place.folder.as_str()), ("s3.eu-central-1.amazonaws.com", "b"));
        let place = keys(json!({"url": "s3://b", "endpoint": "http://127.0.0.1:9000"}));
        assert_eq!((place.host.as_str(), place.describe().as_str()), ("127.0.0.1", "s3://b"));
        assert_eq!(region_of("https://s3.eu-west-3.amazonaws.com"), Some("eu-west-3"));
        assert_eq!(region_of("https://minio.example.org"), None);
    }

    #[test]
    fn what_is_wrong_or_missing_is_named() {
        for (settings, told) in [
            (json!({}), "url"),
            (json!({"url": "s3:///x"}), "names no bucket"),
            (json!({"url": "https://host/b"}), "names no bucket"),
            (json!({"url": "s3://b/../c"}), "no place in a bucket"),
            (json!({"url": "s3://b"}), "which keys"),
            (json!({"url": "s3://b", "access_key": "A"}), "no secret key"),
            (json!({"url": "s3://b", "access_key": "A", "password": "x", "profile": "p"}), "several places"),
            (json!({"url": "s3://b", "profile": "p", "credentials_file": "/no/such"}), "/no/such"),
            (
                json!({"url": "s3://b", "access_key": "A", "password": "x", "endpoint": "host:9000"}),
                "is no address",
            ),
            (
                json!({"url": "s3://b", "access_key": "A", "password": "x", "ca_file": "/dev/null"}),
                "no certificate",
            ),
            (json!({"type": "webdav", "url": "ftp://host/x"}), "no address"),
            (json!({"type": "webdav", "url": "http://me:pw@example.org/x"}), "https"),
        ] {
            let error = refused(settings.clone());
            assert!(error.contains(told), "{settings}: {error}");
            assert!(!error.contains("pw@") && !error.contains(":pw"), "{error}");
        }
    }

    #[test]
    fn a_webdav_folder_keeps_its_password_to_itself() {
        let place =
            made(json!({"type": "webdav", "url": "https://me:p%40ss@cloud.example.org/dav/files/me/b%20c"}));
        let place = place.expect("a place");
        assert_eq!(place.describe(), "https://cloud.example.org/dav/files/me/b c");
    }
}
