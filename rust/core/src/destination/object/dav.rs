//! A client of WebDAV servers, for what opendal does not do: bodies that are not in memory, and moving without overwriting.

use crate::Secret;
use opendal::ErrorKind;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use url::Url;

/// What stays as it is in a path.
const PLAIN: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// The folder, and who asks for it.
pub(super) struct Dav {
    /// With a slash at its end.
    pub folder: Url,
    pub user: String,
    pub password: Option<Secret>,
    pub client: reqwest::Client,
}

impl Dav {
    pub fn address(&self, file: &str) -> String {
        format!("{}{}", self.folder, utf8_percent_encode(file, PLAIN))
    }

    pub fn request(&self, method: &'static str, address: &str) -> reqwest::RequestBuilder {
        let method = reqwest::Method::from_bytes(method.as_bytes()).unwrap_or_default();
        let request = self.client.request(method, address);
        match (&self.password, self.user.is_empty()) {
            (_, true) => request,
            (password, false) => {
                let password =
                    password.as_ref().map(|secret| String::from_utf8_lossy(secret.expose()).into_owned());
                request.basic_auth(&self.user, password)
            }
        }
    }

    /// opendal takes the folder for granted.
    pub async fn has_folder(&self, address: &str) -> opendal::Result<bool> {
        match self.send(self.request("PROPFIND", address).header("Depth", "0")).await {
            Err(cause) if cause.kind() == ErrorKind::NotFound => Ok(false),
            status => status.map(|_| true),
        }
    }

    /// The status, which is none of a failure.
    pub async fn send(&self, request: reqwest::RequestBuilder) -> opendal::Result<u16> {
        Ok(self.answer(request).await?.status().as_u16())
    }

    /// The answer, which is none of a failure.
    pub async fn answer(&self, request: reqwest::RequestBuilder) -> opendal::Result<reqwest::Response> {
        let answer = request.send().await.map_err(broken)?;
        let status = answer.status();
        let kind = match status.as_u16() {
            200..300 | 405 | 412 => return Ok(answer),
            401 | 403 => ErrorKind::PermissionDenied,
            404 | 409 => ErrorKind::NotFound,
            _ => ErrorKind::Unexpected,
        };
        let code = if status.as_u16() == 507 { "InsufficientStorage" } else { "" };
        let text = format!("S3Error {{ code: \"{code}\", message: \"the server answers {status}\", }}");
        let error = opendal::Error::new(kind, text);
        let passing =
            (status.is_server_error() && !matches!(status.as_u16(), 501 | 507)) || status.as_u16() == 423;
        Err(if passing { error.set_temporary() } else { error })
    }
}

/// The connection failed.
pub(super) fn broken(cause: reqwest::Error) -> opendal::Error {
    opendal::Error::new(ErrorKind::Unexpected, "cannot send").set_temporary().set_source(cause.without_url())
}
