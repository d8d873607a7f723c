//! The destinations: whether each is there, takes a file and gives it back, has room, and is kept from the web.

use super::{Finding, FindingState};
use crate::config::{Destination, DestinationType, Document};
use crate::destination::{self, same};
use crate::job::places;
use crate::job::web::{self, Served, Standing};
use crate::look;
use crate::{Code, Error, Fact, Monitor, Result, ResultExt, threads};
use std::path::{Path, PathBuf};

/// Seconds that a server may be silent while somebody waits for the answer.
const PATIENCE: u64 = 15;
/// With less room than this no backup gets far.
const LITTLE: u64 = 100_000_000;

pub(super) fn look(document: &Document, monitor: &Monitor) -> Result<Vec<Finding>> {
    if document.destinations.is_empty() {
        let finding = Finding::new(
            "destination",
            "",
            FindingState::Wrong,
            "backups have nowhere to go: no destination",
        );
        return Ok(vec![finding.hint("add one under \"destinations\", or with `bam destination add`")]);
    }
    // All at once: one that is silent must not make the others wait.
    let found = threads::at_once("bam-check", &document.destinations, |(name, config)| {
        one(document, name, config, monitor)
    });
    monitor.check()?;
    let mut findings: Vec<Finding> = found.into_iter().flat_map(Result::unwrap_or_default).collect();
    for double in doubles(document, &findings, monitor) {
        // It is not good, or to be made, as well.
        findings.retain(|finding| finding.name != double.name || finding.state == FindingState::Wrong);
        findings.push(double);
    }
    if document.destinations.values().all(Destination::is_local) {
        let text = "all backups stay on this machine: what takes it takes them along";
        findings.push(
            Finding::new("destination", "", FindingState::Notice, text)
                .hint("add a place elsewhere: `bam destination add sftp://backup@host/backups`"),
        );
    }
    Ok(findings)
}

/// Destinations that are the place of another.
fn doubles(document: &Document, findings: &[Finding], monitor: &Monitor) -> Vec<Finding> {
    let open = places::open(document, &[]).unwrap_or_default();
    let open: Vec<&dyn destination::Destination> = open.iter().map(AsRef::as_ref).collect();
    open.iter().for_each(|place| place.attend(&monitor.flag()));
    let by_name = same::doubles(&open);
    // Only those are asked once more that have answered.
    let is_good = |place: &&dyn destination::Destination| {
        let mut of_it = findings.iter().filter(|finding| finding.name == place.id());
        of_it.any(|finding| finding.state == FindingState::Good)
    };
    let mut told = Vec::new();
    for (at, one) in open.iter().enumerate() {
        let named = by_name.iter().find(|(double, _)| *double == at).map(|(_, other)| *other);
        let before: Vec<_> = open.iter().take(at).copied().filter(is_good).collect();
        let proven = || is_good(one).then(|| same::proven(*one, &before)).flatten();
        let other = named.and_then(|other| open.get(other)).or_else(|| before.get(proven()?));
        if let Some(other) = other {
            let error = same::error(one.id(), other.id(), &one.describe());
            told.push(Finding::failed("destination", one.id(), &error));
        }
    }
    told
}

pub(super) fn one(document: &Document, name: &str, config: &Destination, monitor: &Monitor) -> Vec<Finding> {
    let mut config = config.clone();
    config.timeout = Some(config.timeout.map_or(PATIENCE, |seconds| seconds.min(PATIENCE)));
    let swallowed = match config.folder(&document.site) {
        Some(folder) => places::swallows(document, &folder).and_then(|own| match own {
            Some(own) => Err(places::swallowed(&folder, &own)),
            None => Ok(()),
        }),
        None => Ok(()),
    };
    if let Err(error) = swallowed {
        return vec![Finding::failed("destination", name, &error)];
    }
    let looked = match config.kind {
        DestinationType::Directory => folder(document, name, &config, monitor),
        DestinationType::Restic => repository(document, name, &config, monitor),
        _ => server(document, name, &config),
    };
    looked.unwrap_or_else(|error| {
        vec![Finding::failed("destination", name, &error.without(Fact::Destination, name))]
    })
}

fn repository(
    document: &Document,
    name: &str,
    config: &Destination,
    monitor: &Monitor,
) -> Result<Vec<Finding>> {
    let place = places::repository(document, name, config)?;
    place.attend(&monitor.flag());
    let label = place.describe();
    if !place.is_there()? {
        let text = format!("there is no repository at {label} yet");
        return Ok(vec![
            Finding::new("destination", name, FindingState::Missing, text)
                .hint(format!("make it: `bam destination init {name}`")),
        ]);
    }
    place.try_out()?;
    let free = place.free_space()?;
    let good = Finding::new("destination", name, FindingState::Good, format!("{label}, {}", room(free)));
    Ok(std::iter::once(good).chain(tight(name, free)).collect())
}

fn server(document: &Document, name: &str, config: &Destination) -> Result<Vec<Finding>> {
    let place = destination::open(name, config, &document.site)?;
    let label = place.describe();
    if !place.is_there()? {
        // More than a notice, which a folder of this machine gets: whether it could be made was looked at there.
        let text = format!(
            "{label}: the server lets us in; the folder is not there yet, and whether it can be made was not tried"
        );
        return Ok(vec![
            Finding::new("destination", name, FindingState::Missing, text)
                .hint("if the path is as it should be, make the folder; or leave that to the first backup"),
        ]);
    }
    place.try_out()?;
    Ok(vec![Finding::new(
        "destination",
        name,
        FindingState::Good,
        format!("{label}, {}", room(place.free_space()?)),
    )]
    .into_iter()
    .chain(tight(name, place.free_space()?))
    .collect())
}

fn folder(document: &Document, name: &str, config: &Destination, monitor: &Monitor) -> Result<Vec<Finding>> {
    let place = destination::open(name, config, &document.site)?;
    let path = config.path.as_deref().map_or(Ok(PathBuf::new()), |path| document.site.resolve(path))?;
    let mut findings = Vec::new();
    let (there, free) = (place.is_there()?, free_around(&path)?);
    if there {
        place.try_out()?;
        findings.push(Finding::new(
            "destination",
            name,
            FindingState::Good,
            format!("{}, {}", path.display(), room(Some(free))),
        ));
    } else {
        let parent = nearest(&path);
        rustix::fs::access(parent, rustix::fs::Access::WRITE_OK | rustix::fs::Access::EXEC_OK)
            .at("cannot make the destination's folder below", parent)?;
        let text = format!(
            "{} is not there yet; the first backup makes it, on the file system of {}, {}",
            path.display(),
            parent.display(),
            room(Some(free))
        );
        findings.push(Finding::new("destination", name, FindingState::Notice, text));
    }
    findings.extend(tight(name, Some(free)));
    if let Some(standing) = web::standing(&document.site, &path)? {
        let web = on_the_web(document, name, &path, &standing, there, monitor);
        if web.state == FindingState::Wrong {
            // It is not good as well.
            findings.retain(|finding| finding.state != FindingState::Good);
        }
        findings.push(web);
    }
    Ok(findings)
}

/// A folder that stands on the web: whether the web server hands out what lies in it.
fn on_the_web(
    document: &Document,
    name: &str,
    path: &Path,
    standing: &Standing,
    there: bool,
    monitor: &Monitor,
) -> Finding {
    let finding = |state, text: String| {
        Finding::new("destination", name, state, text)
            .hint("choose a folder outside of the docroot, e.g. below /var/backups")
    };
    let lies = format!("{} {}", path.display(), standing.lies);
    let served = match there {
        true => web::served(&document.site, path, standing, monitor),
        false => Served::Unknown("it is not there yet".into()),
    };
    match served {
        Served::Yes(url) => finding(
            FindingState::Wrong,
            format!("{lies}, and the web server hands out what is in it: {url} was there for everybody"),
        ),
        Served::No(answer) => finding(
            FindingState::Notice,
            format!("{lies}; the web server did not hand out a file from it ({answer})"),
        ),
        Served::Unknown(why) => finding(
            FindingState::Wrong,
            format!("{lies}, and whether the web server hands out what is in it is not known: {why}"),
        ),
    }
}

fn tight(name: &str, free: Option<u64>) -> Option<Finding> {
    let free = free.filter(|free| *free < LITTLE)?;
    let text = format!("hardly any room is left: {free} bytes");
    Some(Finding::new("destination", name, FindingState::Missing, text).hint("free some space there"))
}

fn room(free: Option<u64>) -> String {
    match free {
        Some(free) if free >= 10_000_000_000 => format!("{} GB free", free / 1_000_000_000),
        Some(free) => format!("{} MB free", free / 1_000_000),
        None => "how much is free it does not tell".into(),
    }
}

/// The part of a path that is there.
fn nearest(path: &Path) -> &Path {
    path.ancestors().find(|folder| look::exists(folder).unwrap_or(true)).unwrap_or(Path::new("/"))
}

fn free_around(path: &Path) -> Result<u64> {
    let parent = nearest(path);
    if !look::is_folder(parent)? {
        return Err(
            Error::of_path(Code::Config, parent, "is no folder").hint("correct the path of this destination")
        );
    }
    let room = rustix::fs::statvfs(parent).at("cannot ask for the free space of", parent)?;
    Ok(room.f_bavail.saturating_mul(room.f_frsize))
}
