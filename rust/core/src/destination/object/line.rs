//! How requests are sent, and how long each may take.

use opendal::{Buffer, Error, ErrorKind, HttpBody, HttpTransport, Result};
use opendal_http_transport_reqwest::ReqwestTransport;
use std::time::Duration;

/// Bytes a second below which a line counts as dead.
const SLOWEST: u64 = 16 << 10;
/// A body from which on the answer cannot be expected before it is sent.
const LARGE: usize = 64 << 10;

/// The way to the server. Each request has its own end; trying again is for those who ask.
pub(super) struct Line {
    /// For what is answered at once: silence is noticed.
    quick: ReqwestTransport,
    /// For parts, and for putting them together, which takes a server its time.
    slow: ReqwestTransport,
    timeout: Duration,
}

impl Line {
    pub fn new(quick: reqwest::Client, slow: reqwest::Client, timeout: Duration) -> Line {
        Line { quick: quick.into(), slow: slow.into(), timeout }
    }
}

impl HttpTransport for Line {
    async fn fetch(&self, request: http::Request<Buffer>) -> Result<http::Response<HttpBody>> {
        let size = request.body().len();
        let slow = size > LARGE || request.method() == http::Method::POST;
        let (client, times) = if slow { (&self.slow, 5) } else { (&self.quick, 2) };
        let limit = self.timeout * times + Duration::from_secs(size as u64 / SLOWEST);
        match tokio::time::timeout(limit, client.fetch(request)).await {
            Ok(answer) => answer,
            Err(_) => {
                let text = format!("no answer within {} s", limit.as_secs());
                Err(Error::new(ErrorKind::Unexpected, text).set_temporary())
            }
        }
    }
}
