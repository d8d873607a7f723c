//! `bam config check`: what the engine and the timers find, for people.

use super::schedule;
use crate::args::Global;
use crate::configuration;
use crate::print::Output;
use crate::work::run;
use bam::config::Document;
use bam::job::Request;
use bam::job::check::{Finding, FindingState, exit_code};
use bam::{Note, NoteKind, Result};
use serde_json::{Value, json};

pub fn check(global: &Global, offline: bool, output: &Output) -> Result<u8> {
    let (document, said) = configuration::load_with_notes(global)?;
    if offline { syntax(&document, said, output) } else { look(global, document, said, output) }
}

/// Says what is wrong with what is written, and looks at nothing else.
fn syntax(document: &Document, said: Vec<String>, output: &Output) -> Result<u8> {
    let mut notes = document.check();
    notes.extend(said.into_iter().map(|text| Note { kind: NoteKind::Warning, text }));
    let notes = json!(notes);
    output.notes(&notes);
    let code = document.validate().map_or_else(|error| error.code().exit_code(), |()| 0);
    let counts = counts(document);
    let mut value = json!({ "notes": notes, "exit_code": code });
    for (name, count) in counts {
        value[name] = count.into();
    }
    output.result(&value, || {
        let found: Vec<String> = counts.iter().map(|(name, count)| format!("{count} {name}")).collect();
        let verdict = match code {
            0 => "What is written can be read",
            _ => "The configuration contradicts itself",
        };
        format!("{verdict}: {}. Nothing else was looked at.\n", found.join(", "))
    });
    Ok(code)
}

fn look(global: &Global, document: Document, said: Vec<String>, output: &Output) -> Result<u8> {
    let schedules = schedule::look(global, &document)?;
    let counts = counts(&document);
    let mut result = run(document, Request::Check { destination: None }, output)?;
    let engine = exit_code_of(&result);
    let own = said.into_iter().map(|text| Finding::new("configuration", "", FindingState::Notice, text));
    let own: Vec<Finding> = own.chain(schedules).collect();
    // 2 is worse than 3: what is wrong has to be mended first.
    let code = match (engine, exit_code(&own)) {
        (2, _) | (_, 2) => 2,
        (engine, own) => engine.max(own),
    };
    if let Some(looked) = result["looked"].as_array_mut() {
        looked.extend(own.iter().map(|finding| json!(finding)));
    }
    result["exit_code"] = code.into();
    for (name, count) in counts {
        result[name] = count.into();
    }
    output.result(&result, || lines(&result));
    if output.is_quiet() {
        for finding in looked(&result).filter(|finding| is_bad(finding)) {
            output.warn(&line(finding));
        }
    }
    Ok(code)
}

fn lines(result: &Value) -> String {
    let mut text: String = looked(result).map(|finding| line(finding) + "\n").collect();
    let all = looked(result).count();
    let bad = looked(result).filter(|finding| is_bad(finding)).count();
    let unseen = looked(result).filter(|finding| finding["state"] == "unseen").count();
    text += &match bad {
        0 => format!("\nAll {} that were looked at are good", all - unseen),
        bad => format!("\n{bad} of {} that were looked at are not as they should be", all - unseen),
    };
    text += &match unseen {
        0 => ".\n".to_owned(),
        unseen => format!("; {unseen} could not be looked at.\n"),
    };
    text
}

/// `good     database db: …`, and what to do on a line of its own.
pub fn line(finding: &Value) -> String {
    let word = |key: &str| finding[key].as_str().unwrap_or_default();
    let state = match word("state") {
        "missing" => "MISSING",
        "wrong" => "WRONG",
        other => other,
    };
    let name = match word("name") {
        "" => String::new(),
        name => format!(" {name}"),
    };
    let clean = |text: &str| text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect::<String>();
    let mut line = format!("{state:<8} {}{name}: {}", word("area"), clean(word("text")));
    if let Some(hint) = finding["hint"].as_str().filter(|hint| !hint.is_empty()) {
        line += &format!("\n           {}", clean(hint));
    }
    line
}

fn looked(result: &Value) -> impl Iterator<Item = &Value> {
    result["looked"].as_array().into_iter().flatten()
}

fn is_bad(finding: &Value) -> bool {
    matches!(finding["state"].as_str(), Some("wrong" | "missing"))
}

fn exit_code_of(result: &Value) -> u8 {
    result["exit_code"].as_u64().and_then(|code| u8::try_from(code).ok()).unwrap_or_default()
}

fn counts(document: &Document) -> [(&'static str, usize); 5] {
    [
        ("databases", document.databases.len()),
        ("sources", document.sources.len()),
        ("destinations", document.destinations.len()),
        ("profiles", document.profiles.len()),
        ("schedules", document.schedules.len()),
    ]
}
