//! Uploads in parts that nobody finished: S3 keeps their parts, unseen and paid for, until they are aborted. opendal has no
//! word for asking which there are.

use opendal::{Buffer, Error, ErrorKind, HttpTransporter, Result};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use reqsign_aws_v4::{Credential, RequestSigner};
use reqsign_core::{Context, OsEnv, ProvideCredentialChain, Signer};
use serde::Deserialize;
use url::Url;

/// What stays as it is in a query.
const PLAIN: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');
/// The same in a path.
const IN_PATH: &AsciiSet = &PLAIN.remove(b'/');

/// The bucket's unfinished uploads.
pub(super) struct Multiparts {
    /// The bucket's address, without a slash at its end.
    bucket: String,
    prefix: String,
    signer: Signer<Credential>,
    transport: HttpTransporter,
}

/// The answer to ListMultipartUploads, as far as it matters.
#[derive(Deserialize, Default)]
#[serde(default)]
struct Uploads {
    #[serde(rename = "Upload")]
    uploads: Vec<Unfinished>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Unfinished {
    key: String,
    upload_id: String,
}

/// A refusal.
#[derive(Deserialize, Default)]
#[serde(default, rename_all = "PascalCase")]
struct Refused {
    code: String,
    message: String,
}

impl Multiparts {
    pub fn new(
        endpoint: &Url,
        bucket: &str,
        prefix: &str,
        path_style: bool,
        region: &str,
        keys: ProvideCredentialChain<Credential>,
        transport: HttpTransporter,
    ) -> Multiparts {
        let top = endpoint.as_str().trim_end_matches('/');
        let bucket = match top.split_once("://") {
            Some((scheme, host)) if !path_style => format!("{scheme}://{bucket}.{host}"),
            _ => format!("{top}/{bucket}"),
        };
        let context = Context::new().with_env(OsEnv).with_http_send(transport.clone());
        let signer = Signer::new(context, keys, RequestSigner::new("s3", region));
        let prefix = if prefix.is_empty() { String::new() } else { format!("{prefix}/") };
        Multiparts { bucket, prefix, signer, transport }
    }

    /// Aborts all unfinished uploads of a name.
    pub async fn abort(&self, name: &str) -> Result<()> {
        let key = format!("{}{name}", self.prefix);
        let query = format!("/?prefix={}&uploads=", utf8_percent_encode(&key, PLAIN));
        let answer = self.send(http::Method::GET, &query).await?;
        let listed: Uploads = quick_xml::de::from_str(&answer).map_err(|cause| {
            Error::new(ErrorKind::Unexpected, "the list of unfinished uploads is none").set_source(cause)
        })?;
        for upload in listed.uploads.iter().filter(|upload| upload.key == key) {
            let id = utf8_percent_encode(&upload.upload_id, PLAIN);
            let path = format!("/{}?uploadId={id}", utf8_percent_encode(&key, IN_PATH));
            match self.send(http::Method::DELETE, &path).await {
                Err(cause) if cause.kind() == ErrorKind::NotFound => {}
                aborted => drop(aborted?),
            }
        }
        Ok(())
    }

    async fn send(&self, method: http::Method, path: &str) -> Result<String> {
        let bug = |cause: http::Error| Error::new(ErrorKind::Unexpected, "no request").set_source(cause);
        let request = http::Request::builder().method(method).uri(format!("{}{path}", self.bucket));
        let (mut parts, body) = request.body(Buffer::new()).map_err(bug)?.into_parts();
        self.signer
            .sign(&mut parts, None)
            .await
            .map_err(|cause| Error::new(ErrorKind::ConfigInvalid, "signing failed").set_source(cause))?;
        parts.headers.remove(http::header::HOST);
        let answer = self.transport.send(http::Request::from_parts(parts, body)).await?;
        let status = answer.status();
        let text = String::from_utf8_lossy(&answer.into_body().to_vec()).into_owned();
        if status.is_success() {
            return Ok(text);
        }
        let refused: Refused = quick_xml::de::from_str(&text).unwrap_or_default();
        let kind = match status.as_u16() {
            403 => ErrorKind::PermissionDenied,
            404 => ErrorKind::NotFound,
            _ => ErrorKind::Unexpected,
        };
        // In the words of opendal's own refusals.
        let text = format!("S3Error {{ code: \"{}\", message: \"{}\", }}", refused.code, refused.message);
        let error = Error::new(kind, text).with_context("status", status);
        Err(if status.is_server_error() && status.as_u16() != 501 { error.set_temporary() } else { error })
    }
}
