//! Looking whether what the document says is so: the site, its keys and who can read them, every database and what its
//! user may do there, every destination and whether it takes a file.
//!
//! Each thing that was looked at is a [`Finding`]; nothing is called good that was not looked at. Who runs the schedules
//! only the caller knows, who adds findings of its own. Changes nothing but a small file at each destination, which is
//! removed again.

mod databases;
mod destinations;
mod excludes;
mod keys;
mod policy;
mod site;

use crate::config::Document;
use crate::{Code, Error, Monitor, NoteKind, Result};
use serde::Serialize;
use serde_json::{Value, json};

/// What was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum FindingState {
    /// As it should be.
    Good,
    /// It works; somebody should know something about it.
    Notice,
    /// It could not be looked at from here.
    Unseen,
    /// Something is missing or does not answer. Exit code 3.
    Missing,
    /// The configuration, or what it names, has to be changed. Exit code 2.
    Wrong,
}

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// `site`, `source`, `key`, `database`, `destination`, `schedule`, `policy` or `configuration`.
    pub area: &'static str,
    /// Which, by its machine name; empty where there is one only.
    pub name: String,
    /// How it is.
    pub state: FindingState,
    /// What was seen.
    pub text: String,
    /// What to do, where something is to be done.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}

impl Finding {
    /// A finding about `name` of `area`.
    pub fn new(area: &'static str, name: &str, state: FindingState, text: impl Into<String>) -> Finding {
        Finding { area, name: name.to_owned(), state, text: text.into(), hint: None }
    }

    /// The same with what to do.
    #[must_use]
    pub fn hint(self, hint: impl Into<String>) -> Finding {
        Finding { hint: Some(hint.into()), ..self }
    }

    /// What a failure says. What the configuration could cure is wrong, the rest is missing.
    fn failed(area: &'static str, name: &str, error: &Error) -> Finding {
        let state = match error.code() {
            Code::Config | Code::Usage | Code::Key | Code::Permission | Code::Unsupported => {
                FindingState::Wrong
            }
            _ => FindingState::Missing,
        };
        let hint = error.next_step().map(str::to_owned);
        Finding { hint, ..Finding::new(area, name, state, error.message()) }
    }
}

/// 0, 2 where something is wrong, 3 where something is missing.
pub fn exit_code(findings: &[Finding]) -> u8 {
    match findings.iter().map(|finding| finding.state).max() {
        Some(FindingState::Wrong) => Code::Config.exit_code(),
        Some(FindingState::Missing) => Code::Partial.exit_code(),
        _ => 0,
    }
}

/// Looks at everything. The result holds the findings as `looked`.
pub fn run(document: &Document, monitor: &Monitor) -> Result<Value> {
    let mut findings = said(document);
    findings.extend(site::look(document));
    findings.extend(excludes::look(document, monitor)?);
    findings.extend(keys::look(document));
    findings.extend(policy::look(document));
    monitor.check()?;
    findings.extend(databases::look(document, monitor)?);
    findings.extend(destinations::look(document, monitor)?);
    Ok(json!({ "looked": findings, "exit_code": exit_code(&findings) }))
}

/// What is wrong with the keys, where schedules that are on encrypt and could not.
pub fn unusable_keys(document: &Document) -> Vec<Finding> {
    keys::unusable(document)
}

/// One destination alone, for whoever has just set it up.
pub fn destination(document: &Document, name: &str, monitor: &Monitor) -> Result<Vec<Finding>> {
    let config = super::choose::destination(document, name)?;
    Ok(destinations::one(document, name, config, monitor))
}

/// What the document says of itself: contradictions, and what looks like a mistake.
fn said(document: &Document) -> Vec<Finding> {
    let contradictions: Vec<String> = document.contradictions().iter().map(ToString::to_string).collect();
    let notes = document.remarks();
    let as_finding = |note: crate::Note| {
        let state = match note.kind {
            _ if contradictions.contains(&note.text) => FindingState::Wrong,
            NoteKind::Missing => FindingState::Missing,
            _ => FindingState::Notice,
        };
        Finding::new("configuration", "", state, note.text)
    };
    notes.into_iter().map(as_finding).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worst_finding_decides() {
        let of = |states: &[FindingState]| {
            let findings: Vec<_> = states.iter().map(|state| Finding::new("site", "", *state, "")).collect();
            exit_code(&findings)
        };
        assert_eq!(of(&[]), 0);
        assert_eq!(of(&[FindingState::Good, FindingState::Unseen, FindingState::Notice]), 0);
        assert_eq!(of(&[FindingState::Missing, FindingState::Good]), 3);
        assert_eq!(of(&[FindingState::Missing, FindingState::Wrong, FindingState::Good]), 2);
    }

    #[test]
    fn an_empty_document_is_not_good() {
        let monitor = Monitor::new();
        let result = run(&Document::default(), &monitor).expect("looked");
        assert_eq!(result["exit_code"], 2, "{result}");
        let areas: Vec<&str> = result["looked"]
            .as_array()
            .into_iter()
            .flatten()
            .filter(|finding| finding["state"] != "good")
            .filter_map(|finding| finding["area"].as_str())
            .collect();
        assert!(areas.contains(&"site") && areas.contains(&"destination"), "{result}");
    }
}
