//! What servers say, in our words, and what to change.

use super::place::Place;
use crate::destination::ssh::retry::Trouble;
use crate::{Code, Error};
use opendal::ErrorKind;

impl Place {
    /// Why `what` (a verb, with `cannot` in front) did not work.
    #[allow(clippy::too_many_lines, reason = "a table: what servers say, and what to change")]
    pub fn trouble(&self, what: &str, cause: &opendal::Error) -> Trouble {
        let said = Said::of(cause);
        let text = format!("{}: {what}", self.describe());
        let new = |code, hint: &str| Error::new(code, &text).caused_by(&said.text).hint(hint);
        let id = &self.id;
        let error = match (said.code.as_str(), cause.kind()) {
            ("RequestTimeTooSkewed", _) => new(
                Code::Destination,
                "this machine's clock and the server's are more than 15 minutes apart: set the clock (timedatectl, ntp)",
            ),
            ("ExpiredToken" | "TokenRefreshRequired", _) => {
                new(Code::Permission, "the session token has ended: get a new one")
            }
            ("InvalidAccessKeyId" | "InvalidClientTokenId", _) => new(
                Code::Permission,
                &format!(
                    "the server does not know that key: correct destinations.{id}.access_key, or the profile"
                ),
            ),
            ("SignatureDoesNotMatch", _) => new(
                Code::Permission,
                &format!(
                    "the secret key is not that of the access key: correct destinations.{id}.password_file, or the profile"
                ),
            ),
            ("NoSuchBucket", _) => new(
                Code::NotFound,
                &format!("make the bucket with the server's tools, or correct destinations.{id}.url"),
            ),
            (
                "AuthorizationHeaderMalformed" | "PermanentRedirect" | "IllegalLocationConstraintException",
                _,
            ) if self.dav.is_none() => {
                let region = said.region.as_deref().unwrap_or("that of the bucket");
                new(
                    Code::Config,
                    &format!("the bucket is in another region: set destinations.{id}.region to {region}"),
                )
            }
            ("InvalidObjectState", _) => new(
                Code::Destination,
                "the object was moved to an archive class, from where it has to be restored first: see the bucket's life-cycle rules",
            ),
            ("EntityTooLarge" | "QuotaExceeded" | "InsufficientStorage" | "XMinioStorageFull", _) => {
                new(Code::Space, "free some space there (`bam prune`), or have the quota raised")
            }
            ("NotImplemented", _) => new(
                Code::Unsupported,
                "the server does not know this request: see docs/object-storage.md for what is needed of one",
            ),
            _ if said.is_refusal => new(Code::Permission, &self.permission_hint(what)),
            (_, ErrorKind::PermissionDenied) => new(Code::Permission, &self.permission_hint(what)),
            (_, ErrorKind::NotFound) => new(Code::NotFound, "look at the server whether it is there"),
            (_, ErrorKind::ConfigInvalid) => {
                new(Code::Config, &format!("look at what destinations.{id} says"))
            }
            (_, ErrorKind::Conflict) => {
                new(Code::Locked, "another run writes the same: wait until it is done")
            }
            _ if said.text.contains("certificate") => new(
                Code::Destination,
                &format!(
                    "if the server has a certificate of your own, name the authority's file in destinations.{id}.ca_file"
                ),
            ),
            _ if said.text.contains("credential") || said.text.contains("signing") => new(
                Code::Config,
                &format!(
                    "set destinations.{id}.access_key and password_file, or profile, or credentials: environment"
                ),
            ),
            _ if cause.is_temporary() => {
                new(Code::Destination, "look whether the server runs and can be reached from here")
            }
            _ => Error::new(Code::Destination, &text).caused_by(&said.text),
        };
        // What WebDAV servers answer where they do not let us in is called passing, too, since some do so of locked files.
        Trouble { error, broken: cause.is_temporary() && cause.kind() != ErrorKind::PermissionDenied }
    }

    /// Which permission is missing.
    fn permission_hint(&self, what: &str) -> String {
        if self.dav.is_some() {
            return format!(
                "correct the user in destinations.{0}.url and destinations.{0}.password_file, or give that user the right to write there",
                self.id
            );
        }
        let (action, on) = match what {
            "cannot list" => ("s3:ListBucket", "the bucket"),
            "cannot read" | "cannot look at" => ("s3:GetObject (and s3:ListBucket)", "its objects"),
            "cannot delete" => {
                return "give the key s3:DeleteObject on the bucket's objects; or, if nothing shall be deleted from here, set \
                        append_only: true"
                    .to_owned();
            }
            "cannot look for unfinished uploads" => ("s3:ListBucketMultipartUploads", "the bucket"),
            "cannot abort" => ("s3:AbortMultipartUpload", "its objects"),
            _ => ("s3:PutObject", "its objects"),
        };
        format!("the key's or the bucket's policy must allow {action} on {on}: see docs/object-storage.md")
    }
}

/// The region that a server sends us to.
pub(super) fn region_told(cause: &opendal::Error) -> Option<String> {
    let said = Said::of(cause);
    let elsewhere =
        ["AuthorizationHeaderMalformed", "PermanentRedirect", "IllegalLocationConstraintException"];
    said.region.filter(|_| elsewhere.contains(&said.code.as_str()))
}

/// The parts of an answer that tell something.
struct Said {
    /// S3's word for it; empty where there is none.
    code: String,
    text: String,
    region: Option<String>,
    /// HTTP's 401, which opendal has no word for.
    is_refusal: bool,
}

impl Said {
    fn of(cause: &opendal::Error) -> Said {
        let message = cause.message();
        // As opendal puts S3's answer into words: `S3Error { code: "…", message: "…", … }`.
        let field = |name: &str| {
            let (_, rest) = message.split_once(&format!("{name}: \""))?;
            rest.split_once("\", ").map(|(value, _)| value.to_owned())
        };
        let code = field("code").unwrap_or_default();
        let all = cause.to_string();
        let region = all
            .split_once("x-amz-bucket-region\": \"")
            .and_then(|(_, rest)| rest.split_once('"'))
            .or_else(|| message.split_once("expecting '").and_then(|(_, rest)| rest.split_once('\'')))
            .map(|(region, _)| region.to_owned());
        let moved = all.contains("301 Moved") || all.contains("status: 301");
        let text = match field("message") {
            Some(said) if !said.is_empty() => said,
            _ if !code.is_empty() => code.clone(),
            _ => Said::of_source(cause, message),
        };
        Said {
            code: if moved && code.is_empty() { "PermanentRedirect".into() } else { code },
            text,
            region,
            is_refusal: all.contains("status: 401"),
        }
    }

    /// The message and what caused it, without the page that a web server may have answered with.
    fn of_source(cause: &opendal::Error, message: &str) -> String {
        let status = cause.to_string();
        let status = status.split_once("status: ").and_then(|(_, rest)| rest.split_once(','));
        let page = message.trim_start().starts_with('<') || message.trim().is_empty();
        let mut told = match (page, status) {
            (true, Some((status, _))) => format!("the server answers {status}"),
            (true, None) => cause.kind().to_string(),
            (false, _) => message.trim().chars().take(300).collect(),
        };
        let mut source = std::error::Error::source(cause);
        while let Some(deeper) = source {
            let more = deeper.to_string();
            if !told.contains(&more) {
                told = format!("{told}: {more}");
            }
            source = deeper.source();
        }
        told
    }
}
