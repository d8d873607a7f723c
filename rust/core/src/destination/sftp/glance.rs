//! The names in a folder, and nothing else.

use super::Sftp;
use crate::Result;
use crate::destination::ssh::retry::Trouble;
use crate::destination::ssh::server::Server;

impl Sftp {
    /// A folder in the one that a server's address names.
    pub(crate) fn within(server: &Server, folder: &str) -> Sftp {
        let mut server = server.clone();
        server.location.path = format!("{}/{folder}", server.location.path.trim_end_matches('/'));
        Sftp::new(server, 0o600)
    }

    /// The names of its files; `None`: there is no such folder. With `hurry` not for long where the server did not answer
    /// lately.
    pub(crate) fn names(&self, hurry: bool) -> Result<Option<Vec<String>>, Trouble> {
        let server = if hurry { self.hurried() } else { self.server.looking() };
        self.with_server(&server, |folder| Ok(folder.files()?.map(|files| files.into_keys().collect())))
    }
}
