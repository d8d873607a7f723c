//! The environment of child processes: variables that hold a key or a password (`key_env`, `password_env`) are nobody
//! else's business, and anybody may read a child's who may read its parent's files in /proc.

use crate::config::Document;
use std::collections::BTreeSet;
use std::process::Command;
use std::sync::{Mutex, PoisonError};

/// Names of such variables, of all documents that were read.
static SECRET: Mutex<BTreeSet<String>> = Mutex::new(BTreeSet::new());

/// Takes note of a document's.
pub(crate) fn remember(document: &Document) {
    let mut known = SECRET.lock().unwrap_or_else(PoisonError::into_inner);
    known.extend(document.encryption.key_env.clone());
    known.extend(document.databases.values().filter_map(|database| database.password_env.clone()));
    known.extend(document.destinations.values().filter_map(|destination| destination.password_env.clone()));
}

/// Takes them out of what a child will see.
pub fn clean(command: &mut Command) -> &mut Command {
    for name in SECRET.lock().unwrap_or_else(PoisonError::into_inner).iter() {
        command.env_remove(name);
    }
    command
}

/// A value in curl's configuration, which it reads from standard input so that no argument shows it (curl(1), `--config`).
pub fn curl_value(text: &str) -> String {
    let text = text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n").replace('\r', "\\r");
    format!("\"{text}\"")
}

/// Lets no core of this process be written, and no other process of the same user look into it: keys are in memory.
/// Where the system does not let us, the work goes on.
pub fn protect_memory() {
    use rustix::process::{DumpableBehavior, Resource, Rlimit, getrlimit, set_dumpable_behavior, setrlimit};
    let maximum = getrlimit(Resource::Core).maximum;
    let _ = setrlimit(Resource::Core, Rlimit { current: Some(0), maximum });
    let _ = set_dumpable_behavior(DumpableBehavior::NotDumpable);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn children_do_not_see_what_a_configuration_names() {
        let text = r#"{"encryption": {"key_env": "BAM_TEST_KEY_A"},
            "databases": {"db": {"url": "mysql://u@h/d", "password_env": "BAM_TEST_PW_B"}}}"#;
        Document::from_json(text).expect("a document");
        let mut command = Command::new("env");
        command.env("BAM_TEST_KEY_A", "secret").env("BAM_TEST_PW_B", "secret").env("BAM_TEST_C", "plain");
        let seen = clean(&mut command).output().expect("ran");
        let seen = String::from_utf8_lossy(&seen.stdout);
        assert!(!seen.contains("BAM_TEST_KEY_A") && !seen.contains("BAM_TEST_PW_B"), "{seen}");
        assert!(seen.contains("BAM_TEST_C=plain"));
    }

    #[test]
    fn no_option_of_curl_is_smuggled_in() {
        assert_eq!(curl_value("a\"\nurl = \"x\\"), "\"a\\\"\\nurl = \\\"x\\\\\"");
    }
}
