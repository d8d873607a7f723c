//! Files with keys and passwords that others than their owner and his group can read.
//!
//! The group is left out: root and the site's user share one, so that both can make and read backups.

use super::Document;
use crate::{Note, NoteKind};
use std::collections::BTreeSet;
use std::fs::{self, Metadata};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// Whether anybody can read or change it.
pub(super) fn is_open(found: &Metadata) -> bool {
    found.mode() & 0o006 != 0
}

impl Document {
    /// A warning for each file named here that holds a secret and is open to anybody. Those that cannot be looked at are
    /// passed over: whoever uses them says so.
    pub fn exposed(&self) -> Vec<Note> {
        let encryption = &self.encryption;
        let mut files: BTreeSet<&Path> = BTreeSet::new();
        files.extend(encryption.key_file.as_deref());
        files.extend(encryption.keys.iter().map(std::path::PathBuf::as_path));
        files.extend(encryption.aes_module.as_ref().and_then(|module| module.key_file.as_deref()));
        files.extend(self.databases.values().filter_map(|database| database.password_file.as_deref()));
        for destination in self.destinations.values() {
            files.extend(destination.password_file.as_deref());
            files.extend(destination.credentials_file.as_deref().filter(|file| file.is_absolute()));
            files.extend(destination.identity_file.as_deref().filter(|file| file.is_absolute()));
        }
        let open = |file: &&Path| fs::metadata(file).is_ok_and(|found| found.is_file() && is_open(&found));
        let warn = |file: &Path| Note {
            kind: NoteKind::Warning,
            text: format!(
                "{0} holds a key or a password, and anybody can read it: chmod o= {0}",
                file.display()
            ),
        };
        files.into_iter().filter(open).map(warn).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::Permissions;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn each_file_that_anybody_can_read_is_named_once() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = |name: &str| dir.path().join(name);
        for (name, mode) in [("key", 0o644), ("old", 0o640), ("pw", 0o604), ("id", 0o600)] {
            fs::write(path(name), "x").expect("written");
            fs::set_permissions(path(name), Permissions::from_mode(mode)).expect("chmod");
        }
        let document = Document::from_json(
            &serde_json::json!({
                "encryption": {"key_file": path("key"), "keys": [path("key"), path("old"), path("none")]},
                "destinations": {"far": {"type": "sftp", "url": "sftp://h/x", "password_file": path("pw"),
                                         "identity_file": path("id")}},
            })
            .to_string(),
        );
        let told: Vec<String> =
            document.expect("a document").exposed().into_iter().map(|note| note.text).collect();
        assert_eq!(told.len(), 2, "{told:?}");
        assert!(told[0].contains(&path("key").display().to_string()), "{told:?}");
        assert!(told[1].contains(&path("pw").display().to_string()), "{told:?}");
    }
}
