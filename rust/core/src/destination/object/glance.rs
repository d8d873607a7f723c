//! The names in a folder of a bucket, or in one that restic's REST server tells of, asked for once and nothing else: for a
//! repository, whose snapshots' names say whether anything has changed.

use super::dav::broken;
use super::place::Place;
use super::settings;
use super::trouble::region_told;
use crate::config::document::{self, DestinationType};
use crate::destination::ssh::retry::{Patience, Trouble};
use crate::destination::ssh::silence::{HURRIED, Silence};
use crate::{Cancel, Result};
use futures_util::TryStreamExt;
use opendal::{ErrorKind, Operator};
use serde::Deserialize;
use std::path::PathBuf;
use std::sync::OnceLock;
use std::time::Duration;

/// More names than any repository has snapshots, and more bytes than they take.
const NAMES_MAX: usize = 200_000;
const ANSWER_MAX: usize = 32 << 20;
/// What restic asks for. Servers that know the first version alone answer by that, and others take nothing else.
const REST: &str = "application/vnd.x.restic.rest.v2";
const WHAT: &str = "cannot list";

/// A folder of which only the names are wanted.
pub(crate) struct Glance {
    config: document::Destination,
    place: Place,
    /// The same in the region that the server told.
    moved: OnceLock<Place>,
    silence: Silence,
}

/// `None`: there is no such folder.
type Names = Option<Vec<String>>;

impl Glance {
    /// A folder as the destination that it would be: [`DestinationType::S3`], or for a REST server
    /// [`DestinationType::Webdav`].
    pub fn new(id: &str, mut config: document::Destination) -> Result<Glance> {
        // As long as anybody waits who looks.
        config.timeout = config.timeout.or(Some(Patience::default().looking.as_secs()));
        let place = settings::place(id, &config)?;
        Ok(Glance { config, place, moved: OnceLock::new(), silence: Silence::default() })
    }

    pub fn remember_silence(&self, file: PathBuf) {
        self.silence.remember_in(file);
    }

    /// The names. With `hurry` not for long where the server did not answer lately.
    pub fn names(&self, hurry: bool, job: &Cancel) -> Result<Names, Trouble> {
        let place = self.moved.get().unwrap_or(&self.place);
        place.attend(job.clone());
        let cause = match self.look(place, hurry)? {
            Ok(names) => return Ok(names),
            Err(cause) => cause,
        };
        // Once: who is sent from one region to the next has to ask restic.
        match region_told(&cause).and_then(|region| self.in_region(region)) {
            Some(place) => {
                place.attend(job.clone());
                self.look(place, hurry)?.map_err(|cause| place.trouble(WHAT, &cause))
            }
            None => Err(place.trouble(WHAT, &cause)),
        }
    }

    fn in_region(&self, region: String) -> Option<&Place> {
        let config = document::Destination { region: Some(region), ..self.config.clone() };
        let place = settings::place(&self.place.id, &config).ok()?;
        self.moved.set(place).ok()?;
        self.moved.get()
    }

    /// What the server answers; fails where it does not.
    fn look(&self, place: &Place, hurry: bool) -> Result<opendal::Result<Names>, Trouble> {
        let hurried = hurry && self.silence.is_fresh();
        let limit = if hurried { HURRIED } else { place.patience.longer() };
        let is_rest = self.config.kind == DestinationType::Webdav;
        let asked = async {
            let names = if is_rest { told_by_rest(place).await } else { told_by_bucket(&place.op).await };
            match names {
                Err(cause) if cause.kind() == ErrorKind::NotFound => Ok(Ok(None)),
                Err(cause) if cause.is_temporary() => Err(cause),
                answer => Ok(answer),
            }
        };
        match place.wait(WHAT, limit, asked) {
            Ok(answer) => {
                self.silence.is_over();
                Ok(answer)
            }
            Err(trouble) if trouble.broken => {
                Err(Trouble { error: self.silence.goes_on(trouble.error, hurried), broken: true })
            }
            Err(trouble) => Err(trouble),
        }
    }
}

/// A bucket knows no folders: one without names is none.
async fn told_by_bucket(op: &Operator) -> opendal::Result<Names> {
    let (mut names, mut lister) = (Vec::new(), op.lister("/").await?);
    while let Some(entry) = lister.try_next().await? {
        if entry.metadata().is_file() {
            names.push(entry.name().to_owned());
        }
        if names.len() > NAMES_MAX {
            return Ok(None);
        }
    }
    Ok(Some(names).filter(|names| !names.is_empty()))
}

/// A file as the second version tells it, or the first.
#[derive(Deserialize)]
#[serde(untagged)]
enum Told {
    File { name: String },
    Name(String),
}

async fn told_by_rest(place: &Place) -> opendal::Result<Names> {
    let Some(server) = &place.dav else { return Ok(None) };
    let limit: Duration = place.patience.request();
    let request = server.request("GET", server.folder.as_str()).header("Accept", REST).timeout(limit);
    let mut answer = server.answer(request).await?;
    if !answer.status().is_success() {
        return Ok(None);
    }
    let mut text = Vec::new();
    while let Some(more) = answer.chunk().await.map_err(broken)? {
        text.extend_from_slice(&more);
        if text.len() > ANSWER_MAX {
            return Ok(None);
        }
    }
    Ok(names_of(&text))
}

/// `None`: it is no such list.
pub(crate) fn names_of(text: &[u8]) -> Names {
    let told: Option<Vec<Told>> = serde_json::from_slice(text).ok()?;
    let name = |told| match told {
        Told::File { name } | Told::Name(name) => name,
    };
    Some(told.unwrap_or_default().into_iter().map(name).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_versions_of_a_rest_servers_list_are_read() {
        let names = |text: &str| names_of(text.as_bytes());
        assert_eq!(names(r#"[{"name": "a", "size": 1}, {"name": "b"}]"#), Some(vec!["a".into(), "b".into()]));
        assert_eq!(names(r#"["a"]"#), Some(vec!["a".into()]));
        assert_eq!(names("null"), Some(vec![]));
        assert_eq!(names("[]"), Some(vec![]));
        assert_eq!(names("<html>"), None);
        assert_eq!(names("[1]"), None);
    }
}
