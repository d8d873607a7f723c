//! The databases: whether they answer, and whether their users may do what backups and restores need.

use super::{Finding, FindingState};
use crate::config::{Document, Driver};
use crate::job::web;
use crate::source::rights::{For, Rights, rights};
use crate::{Code, Monitor, Result};
use std::path::Path;

pub(super) fn look(document: &Document, monitor: &Monitor) -> Result<Vec<Finding>> {
    let mut findings = Vec::new();
    for name in document.databases.keys() {
        let looked = document.connection(name).and_then(|connection| {
            let found = rights(&connection, monitor)?;
            Ok((connection, found))
        });
        monitor.check()?;
        match looked {
            Ok((connection, found)) => {
                let drills = document.policy.verify_every.is_some();
                findings.extend(told(name, &connection.label(), &found, drills));
                if connection.driver == Driver::Sqlite {
                    findings.extend(on_the_web(document, name, &connection.path));
                }
            }
            Err(error) => {
                let finding = Finding::failed("database", name, &error);
                // The connection is refused for good: what the configuration says of it is wrong.
                let state =
                    if error.code() == Code::NotFound { FindingState::Missing } else { finding.state };
                findings.push(Finding { state, ..finding });
            }
        }
    }
    Ok(findings)
}

/// A database that is a file, where that stands on the web.
fn on_the_web(document: &Document, name: &str, file: &Path) -> Option<Finding> {
    match web::standing(&document.site, file) {
        Ok(standing) => {
            let text = format!("{} {}", file.display(), standing?.lies);
            Some(Finding::new("database", name, FindingState::Notice, text).hint(
                "Drupal's .htaccess keeps Apache from handing it out; see to that with other web servers",
            ))
        }
        Err(error) => Some(Finding::failed("database", name, &error)),
    }
}

fn told(name: &str, label: &str, rights: &Rights, drills: bool) -> Vec<Finding> {
    let user = if rights.user.is_empty() { String::new() } else { format!(" as {}", rights.user) };
    let first = match rights.tables {
        0 => Finding::new(
            "database",
            name,
            FindingState::Missing,
            format!("{label}{user} holds no tables, {}", rights.server),
        )
        .hint(format!("see whether databases.{name} names the right one, and its user may see its tables")),
        tables => {
            let seen = format!("{label}{user}, {tables} tables, {}", rights.server);
            Finding::new("database", name, FindingState::Good, seen)
        }
    };
    let mut findings = vec![first];
    for purpose in [For::Backup, For::Restore, For::Beside] {
        for lack in rights.lacks.iter().filter(|lack| lack.purpose == purpose) {
            let (state, for_want) = match purpose {
                For::Backup => (FindingState::Missing, "backups are not whole for want of"),
                For::Restore => (FindingState::Missing, "a restore fails for want of"),
                For::Beside if drills => {
                    (FindingState::Missing, "drills, which verify_every wants, fail for want of")
                }
                For::Beside => (
                    FindingState::Notice,
                    "restores go straight into the live database, and drills cannot run, for want of",
                ),
            };
            findings.push(
                Finding::new("database", name, state, format!("{for_want}: {}", lack.what))
                    .hint(format!("as the server's administrator: {}", lack.remedy)),
            );
        }
    }
    findings
}
