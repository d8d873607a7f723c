//! What a backup command means: which source, profile and destinations (DESIGN section 7's rules in one place).

use crate::config::{Destination, Document, Profile, Source};
use crate::{Code, Error, Result};
use std::collections::BTreeMap;

/// Where a backup goes when nobody says.
const DEFAULT_DESTINATION: &str = "manual";
const DEFAULT_SOURCE: &str = "db";
const DEFAULT_PROFILE: &str = "default";

/// What to back up, how, and where to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Choice {
    /// Source by machine name; it exists.
    pub source: String,
    /// Profile by machine name; `default` may be the built-in one.
    pub profile: String,
    /// Destinations by machine name, without repetitions; each exists.
    pub destinations: Vec<String>,
    /// The schedule that the settings were taken from.
    pub schedule: Option<String>,
}

/// Applies the rules: `what` is a source, else a profile, else a schedule; a source without a profile takes
/// the document's `default_profile` where there is such a one, else the one profile that has settings for this source, else `default`.
pub fn choose(
    document: &Document,
    what: Option<&str>,
    destinations: &[String],
    profile: Option<&str>,
) -> Result<Choice> {
    if what == Some("") {
        // An empty variable of a script, say: nobody knows what was meant.
        return Err(Error::new(Code::Usage, "what to back up is an empty name")
            .hint(format!("there are: {}", names(document).join(", "))));
    }
    let named = what;
    let what = named.unwrap_or(DEFAULT_SOURCE);
    let mut choice = if document.sources.contains_key(what) {
        let profile = profile_of(document, what).to_owned();
        Choice { source: what.to_owned(), profile, destinations: Vec::new(), schedule: None }
    } else if document.profiles.contains_key(what) {
        let schedule = document.schedules.iter().find(|(_, s)| s.profile == what);
        of_schedule(schedule.map(|(name, _)| name.as_str()), document, what)
    } else if let Some(schedule) = document.schedules.get(what) {
        of_schedule(Some(what), document, &schedule.profile)
    } else if named.is_none() {
        let text = format!("nobody says what to back up, and there is no source \"{DEFAULT_SOURCE}\"");
        return Err(Error::new(Code::Usage, text)
            .hint(format!("say it: `bam backup SOURCE`; there are: {}", names(document).join(", "))));
    } else {
        return Err(unknown("source, profile or schedule", what, &names(document)));
    };
    if let Some(profile) = profile {
        choice.profile = profile.to_owned();
    }
    if !destinations.is_empty() {
        choice.destinations = destinations.to_vec();
    }
    if choice.destinations.is_empty() {
        choice.destinations.push(DEFAULT_DESTINATION.to_owned());
    }
    let mut seen = std::collections::BTreeSet::new();
    choice.destinations.retain(|name| seen.insert(name.clone()));
    check(document, &choice)?;
    Ok(choice)
}

/// What a schedule says.
pub fn schedule(document: &Document, name: &str) -> Result<Choice> {
    let Some(schedule) = document.schedules.get(name) else {
        return Err(unknown("schedule", name, &keys(&document.schedules)));
    };
    let choice = of_schedule(Some(name), document, &schedule.profile);
    if choice.destinations.is_empty() {
        return Err(Error::new(Code::Config, format!("the schedule \"{name}\" has no destinations"))
            .hint("name at least one where the schedule is set up"));
    }
    check(document, &choice)?;
    Ok(choice)
}

fn of_schedule(schedule: Option<&str>, document: &Document, profile: &str) -> Choice {
    let found = schedule.and_then(|name| document.schedules.get(name));
    Choice {
        source: found.map_or("archive", |s| s.source.as_str()).to_owned(),
        profile: profile.to_owned(),
        destinations: found.map(|s| s.destinations.clone()).unwrap_or_default(),
        schedule: schedule.map(str::to_owned),
    }
}

/// The profile that a backup of `source` takes where nobody names one.
pub fn profile_of<'a>(document: &'a Document, source: &str) -> &'a str {
    match document.default_profile.as_deref() {
        Some(id) if document.profiles.contains_key(id) => id,
        _ => only_profile_for(document, source).unwrap_or(DEFAULT_PROFILE),
    }
}

/// The profile that has settings for `source`, where exactly one has.
fn only_profile_for<'a>(document: &'a Document, source: &str) -> Option<&'a str> {
    let mut having = document.profiles.iter().filter(|(_, p)| p.sources.contains_key(source));
    match (having.next(), having.next()) {
        (Some((name, _)), None) => Some(name),
        _ => None,
    }
}

fn check(document: &Document, choice: &Choice) -> Result<()> {
    if !document.sources.contains_key(&choice.source) {
        return Err(unknown("source", &choice.source, &keys(&document.sources)));
    }
    if choice.profile != DEFAULT_PROFILE && !document.profiles.contains_key(&choice.profile) {
        return Err(unknown("profile", &choice.profile, &keys(&document.profiles)));
    }
    choice.destinations.iter().try_for_each(|name| destination(document, name).map(drop))
}

/// The source that [`choose`] or a restore names.
pub fn source<'a>(document: &'a Document, name: &str) -> Result<&'a Source> {
    document.sources.get(name).ok_or_else(|| unknown("source", name, &keys(&document.sources)))
}

/// The destination's settings by name.
pub fn destination<'a>(document: &'a Document, name: &str) -> Result<&'a Destination> {
    document.destinations.get(name).ok_or_else(|| unknown("destination", name, &keys(&document.destinations)))
}

/// The profile by name; `default` is built in.
pub fn profile(document: &Document, name: &str) -> Result<Profile> {
    match document.profiles.get(name) {
        Some(profile) => Ok(profile.clone()),
        None if name == DEFAULT_PROFILE => Ok(Profile::default()),
        None => Err(unknown("profile", name, &keys(&document.profiles))),
    }
}

fn keys<T>(map: &BTreeMap<String, T>) -> Vec<&str> {
    map.keys().map(String::as_str).collect()
}

fn names(document: &Document) -> Vec<&str> {
    let mut all = keys(&document.sources);
    all.extend(keys(&document.profiles));
    all.extend(keys(&document.schedules));
    all.dedup();
    all
}

/// `unknown destination "manul"; did you mean "manual"?`
pub fn unknown(kind: &str, name: &str, known: &[&str]) -> Error {
    let nearest = known
        .iter()
        .map(|k| (strsim::damerau_levenshtein(k, name), *k))
        .min()
        .filter(|(distance, k)| *distance <= 1 + k.len() / 3);
    let error = Error::new(Code::Usage, format!("unknown {kind} \"{name}\""));
    match (nearest, known.is_empty()) {
        (Some((_, near)), _) => {
            error.hint(format!("did you mean \"{near}\"? There are: {}", known.join(", ")))
        }
        (None, false) => error.hint(format!("there are: {}", known.join(", "))),
        (None, true) => error.hint(format!("the configuration has no {kind} at all")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn site() -> Document {
        serde_json::from_value(serde_json::json!({
            "sources": {"db": {"type": "database"}, "archive": {"type": "archive"}, "files": {"type": "files"},
                        "pece_bkp": {"type": "files"}},
            "destinations": {"manual": {"type": "directory"}, "scheduled": {"type": "directory"},
                             "offsite": {"type": "sftp"}},
            "profiles": {"default": {"sources": {"db": {}}},
                         "pece_backup": {"sources": {"db": {}, "pece_bkp": {}}}},
            "schedules": {"weekly": {"source": "archive", "destinations": ["scheduled", "offsite"],
                                     "profile": "pece_backup"}}
        }))
        .expect("a document")
    }

    fn chosen(what: &str) -> (String, String, Vec<String>) {
        let c = choose(&site(), Some(what), &[], None).expect("chosen");
        (c.source, c.profile, c.destinations)
    }

    #[test]
    fn a_source_takes_the_one_profile_that_knows_it() {
        assert_eq!(chosen("pece_bkp"), ("pece_bkp".into(), "pece_backup".into(), vec!["manual".into()]));
        assert_eq!(chosen("db").1, "default", "two profiles know db");
        assert_eq!(chosen("files").1, "default", "none knows files");
    }

    #[test]
    fn the_sites_default_profile_wins_over_guessing_and_an_argument_over_both() {
        let document = Document { default_profile: Some("pece_backup".into()), ..site() };
        let choice = choose(&document, Some("db"), &[], None).expect("chosen");
        assert_eq!(choice.profile, "pece_backup");
        let choice = choose(&document, Some("db"), &[], Some("default")).expect("chosen");
        assert_eq!(choice.profile, "default");
    }

    #[test]
    fn a_profile_or_schedule_alone_means_what_its_schedule_says() {
        let expected = ("archive".into(), "pece_backup".into(), vec!["scheduled".into(), "offsite".into()]);
        assert_eq!(chosen("pece_backup"), expected);
        assert_eq!(chosen("weekly"), expected);
    }

    #[test]
    fn a_typo_names_its_neighbour() {
        let error = choose(&site(), Some("pece_bpk"), &[], None).expect_err("unknown");
        assert_eq!(error.code(), Code::Usage);
        assert!(error.to_string().contains("did you mean \"pece_bkp\""), "{error}");
        let error = choose(&site(), None, &["ofsite".into()], None).expect_err("unknown");
        assert!(error.to_string().contains("unknown destination \"ofsite\""), "{error}");
    }
}
