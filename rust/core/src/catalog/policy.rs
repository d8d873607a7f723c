//! Whether there are enough backups: what `status` reports against `policy`. Pure functions over a listing.

use super::{Backup, BackupId, Listing, is_future};
use crate::config::{Document, Policy, duration};
use serde::Serialize;
use std::collections::BTreeSet;

/// One source against the policy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SourceStatus {
    /// Machine name.
    pub source: String,
    /// Whether nothing is missing.
    pub ok: bool,
    /// Its newest backup.
    pub newest: Option<BackupId>,
    /// That backup's file name.
    pub file: Option<String>,
    /// Seconds since it was made.
    pub age: Option<u64>,
    /// Copies of it that count: whole, and on machines of their own where the policy wants that.
    pub copies: u32,
    /// The machines that hold it.
    pub hosts: Vec<String>,
    /// Where it lies.
    pub destinations: Vec<String>,
    /// Unix time at which a backup of this source was last verified.
    pub verified: Option<u64>,
    /// What is missing, one sentence each. Empty: all is well.
    pub missing: Vec<String>,
}

/// All sources, and what could not be looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Status {
    /// Whether every source is as the policy wants it, and every destination answered.
    pub ok: bool,
    /// By name.
    pub sources: Vec<SourceStatus>,
    /// Destinations that did not answer, and why. Copies there are not counted, and may exist.
    pub unreachable: Vec<String>,
}

/// The state of `document`'s sources at `now` (Unix time).
///
/// Looked at are the sources of enabled schedules; where there is none, those that have a backup, and those of which backups
/// are known to be `gone`.
pub fn status<'s>(
    document: &'s Document,
    listing: &'s Listing,
    gone: impl Iterator<Item = &'s str>,
    now: i64,
) -> Status {
    let mut watched: BTreeSet<&str> = document
        .schedules
        .values()
        .filter(|schedule| schedule.enabled)
        .map(|schedule| schedule.source.as_str())
        .collect();
    if watched.is_empty() {
        watched =
            listing.backups.iter().filter_map(|backup| backup.about.source.as_deref()).chain(gone).collect();
    }
    let sources: Vec<_> = watched
        .into_iter()
        .map(|source| of_source(source, &document.policy, &listing.backups, now))
        .collect();
    let unreachable: Vec<_> =
        listing.unreachable.iter().map(|(destination, why)| format!("{destination}: {why}")).collect();
    Status { ok: unreachable.is_empty() && sources.iter().all(|source| source.ok), sources, unreachable }
}

fn of_source(source: &str, policy: &Policy, backups: &[Backup], now: i64) -> SourceStatus {
    let of_source = || backups.iter().filter(|backup| backup.about.source.as_deref() == Some(source));
    // What a wrong clock dated in the future says nothing about how old the newest is.
    let newest = of_source()
        .filter(|backup| !is_future(backup.time, now))
        .max_by_key(|backup| (backup.time, backup.id));
    let future = of_source().filter(|backup| is_future(backup.time, now)).count();
    let verified = of_source().filter_map(|backup| backup.verified).filter(|at| !is_future(*at, now)).max();
    let whole = || newest.iter().flat_map(|backup| backup.distinct_copies()).filter(|copy| copy.whole);
    let hosts: BTreeSet<&str> = whole().map(|copy| copy.place.host.as_str()).collect();
    let folders: BTreeSet<_> = whole().map(|copy| (&copy.place.host, &copy.place.folder)).collect();
    let count = if policy.distinct_hosts { hosts.len() } else { folders.len() };
    let copies = u32::try_from(count).unwrap_or(u32::MAX);
    let mut missing = match newest {
        Some(backup) => of_the_newest(backup, copies, policy, now),
        None if future > 0 => vec![format!(
            "there is no backup but {future} dated in the future: the clock was wrong then, or is now"
        )],
        None => vec!["there is no backup".to_owned()],
    };
    if let Some(every) = policy.verify_every.filter(|_| newest.is_some()) {
        match verified.map(|at| u64::try_from(now).unwrap_or(0).saturating_sub(at)) {
            None => missing.push("no backup was ever verified".to_owned()),
            Some(ago) if ago > every => missing.push(format!(
                "backups were last verified {} ago, wanted is every {}",
                duration::rough(ago),
                duration::rough(every)
            )),
            Some(_) => {}
        }
    }
    SourceStatus {
        source: source.to_owned(),
        ok: missing.is_empty(),
        newest: newest.map(|backup| backup.id),
        file: newest.map(|backup| backup.file.to_string()),
        age: newest.map(|backup| backup.age(now)),
        copies,
        hosts: hosts.into_iter().map(str::to_owned).collect(),
        destinations: whole().map(|copy| copy.place.destination.clone()).collect(),
        verified,
        missing,
    }
}

/// What the newest backup lacks, of which there are so many copies.
fn of_the_newest(backup: &Backup, copies: u32, policy: &Policy, now: i64) -> Vec<String> {
    let mut missing = Vec::new();
    let age = backup.age(now);
    if let Some(limit) = policy.max_age.filter(|limit| age > *limit) {
        missing.push(format!(
            "the newest backup is {} old, allowed are {}",
            duration::rough(age),
            duration::rough(limit)
        ));
    }
    if let Some(wanted) = policy.copies.filter(|wanted| copies < *wanted) {
        let places = match (policy.distinct_hosts, wanted) {
            (true, 1) => "copy on a machine is",
            (true, _) => "copies on as many machines are",
            (false, 1) => "copy is",
            (false, _) => "copies are",
        };
        missing.push(format!("{wanted} {places} wanted of {}, there {}", backup.file, counted(copies)));
    }
    missing.extend(backup.lacks());
    for copy in backup.distinct_copies().filter(|copy| !copy.whole) {
        missing.push(format!("the copy at {} is damaged or has no sidecar", copy.place.destination));
    }
    missing
}

fn counted(copies: u32) -> String {
    match copies {
        0 => "is none".into(),
        1 => "is 1".into(),
        copies => format!("are {copies}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::{Place, Sidecar, key};
    use crate::destination::Listed;
    use std::iter::empty as none;

    const NOW: i64 = 1_795_391_457;
    const DAY: u64 = 86_400;

    fn document() -> Document {
        Document::from_yaml(
            "databases: {db: {url: 'mysql://u@h/d'}}\n\
             destinations: {a: {type: directory, path: /a}}\n\
             schedules: {daily: {source: db, destinations: [a], every: 1d}}\n\
             policy: {copies: 3, distinct_hosts: true, max_age: 8d, verify_every: 30d}\n",
        )
        .expect("a document")
    }

    /// A copy of the backup of `age` days at `destination` on `host`, verified so many days ago.
    fn place(destination: &str, host: &str, age: u64, verified: Option<u64>) -> (Place, Vec<Listed>) {
        let now = u64::try_from(NOW).expect("positive");
        let mut sidecar = Sidecar::new();
        sidecar.set_number(key::ID, now - age * DAY);
        sidecar.set_number(key::FILE_SIZE, 10);
        sidecar.set(key::SOURCE_ID, "db");
        if let Some(days) = verified {
            sidecar.set_number(key::VERIFIED, now - days * DAY);
        }
        let file =
            Listed { name: "x.mysql.gz".into(), size: 10, mtime: 0, sidecar: Some(sidecar.to_string()) };
        let place = Place {
            destination: destination.into(),
            host: host.into(),
            folder: destination.into(),
            local: true,
            repository: false,
            same_as: None,
        };
        (place, vec![file])
    }

    fn judged(places: &[(Place, Vec<Listed>)]) -> (bool, Vec<String>) {
        let mut status = status(&document(), &Listing::from_places(places), none(), NOW);
        assert_eq!(status.sources.len(), 1);
        let source = status.sources.remove(0);
        assert_eq!(source.ok, status.ok);
        (source.ok, source.missing)
    }

    #[test]
    fn all_is_well() {
        let places =
            [place("a", "here", 7, None), place("b", "there", 7, Some(29)), place("c", "far", 7, None)];
        assert_eq!(judged(&places), (true, vec![]));
    }

    #[test]
    fn a_copy_on_the_same_machine_is_none() {
        let places =
            [place("a", "here", 1, Some(1)), place("b", "here", 1, None), place("c", "far", 1, None)];
        let missing = "3 copies on as many machines are wanted of x.mysql.gz, there are 2";
        assert_eq!(judged(&places), (false, vec![missing.to_owned()]));
    }

    #[test]
    fn a_damaged_copy_does_not_count() {
        let mut broken = place("c", "far", 1, None);
        broken.1.iter_mut().for_each(|file| file.size = 9);
        let (ok, missing) = judged(&[place("a", "here", 1, Some(1)), place("b", "there", 1, None), broken]);
        assert!(
            !ok && missing.iter().any(|text| text == "the copy at c is damaged or has no sidecar"),
            "{missing:?}"
        );
        assert!(missing.iter().any(|text| text.ends_with("there are 2")), "{missing:?}");
    }

    #[test]
    fn too_old_and_too_long_unverified() {
        let places =
            [place("a", "here", 9, Some(31)), place("b", "there", 9, None), place("c", "far", 9, None)];
        let expected = [
            "the newest backup is 1w 2d old, allowed are 1w 1d",
            "backups were last verified 4w 3d ago, wanted is every 4w 2d",
        ];
        assert_eq!(judged(&places), (false, expected.map(str::to_owned).to_vec()));
        let never = [place("a", "here", 1, None), place("b", "there", 1, None), place("c", "far", 1, None)];
        assert_eq!(judged(&never), (false, vec!["no backup was ever verified".to_owned()]));
    }

    #[test]
    fn what_is_allowed_is_allowed_to_its_last_second() {
        let places =
            [place("a", "here", 8, Some(30)), place("b", "there", 8, None), place("c", "far", 8, None)];
        assert_eq!(judged(&places), (true, vec![]));
        let a_second_later = status(&document(), &Listing::from_places(&places), none(), NOW + 1);
        assert_eq!(a_second_later.sources[0].missing.len(), 2, "{a_second_later:?}");
    }

    #[test]
    fn what_there_is_is_told() {
        let places =
            [place("a", "here", 2, Some(1)), place("b", "here", 2, None), place("c", "far", 2, None)];
        let found = status(&document(), &Listing::from_places(&places), none(), NOW).sources.remove(0);
        assert_eq!((found.copies, found.hosts), (2, vec!["far".to_owned(), "here".to_owned()]));
        assert_eq!(found.destinations, ["a", "b", "c"]);
        assert_eq!((found.age, found.file.as_deref()), (Some(2 * DAY), Some("x.mysql.gz")));
        assert_eq!(found.newest.map(|id| id.seconds()), Some(NOW - 172_800));
        assert_eq!(found.verified, u64::try_from(NOW - 86_400).ok());
    }

    #[test]
    fn copies_are_counted_as_the_policy_counts_them() {
        let lacking = |copies: u32, distinct_hosts: bool, places: &[(Place, Vec<Listed>)]| {
            let mut document = document();
            document.policy = Policy { copies: Some(copies), distinct_hosts, ..Policy::default() };
            status(&document, &Listing::from_places(places), none(), NOW).sources.remove(0).missing
        };
        let two = [place("a", "here", 1, None), place("b", "here", 1, None)];
        assert_eq!(lacking(2, false, &two), [""; 0], "two folders of one machine");
        assert_eq!(lacking(3, false, &two), ["3 copies are wanted of x.mysql.gz, there are 2"]);
        assert_eq!(
            lacking(2, true, &two),
            ["2 copies on as many machines are wanted of x.mysql.gz, there is 1"]
        );
        // Damaged, so that none counts.
        let mut broken = place("a", "here", 1, None);
        broken.1.iter_mut().for_each(|file| file.size = 9);
        let of_one = |distinct| lacking(1, distinct, std::slice::from_ref(&broken)).remove(0);
        assert_eq!(of_one(false), "1 copy is wanted of x.mysql.gz, there is none");
        assert_eq!(of_one(true), "1 copy on a machine is wanted of x.mysql.gz, there is none");
    }

    #[test]
    fn a_wrong_clock_makes_nothing_good() {
        let mut places =
            [place("a", "here", 20, Some(40)), place("b", "there", 20, None), place("c", "far", 20, None)];
        let mut sidecar = Sidecar::new();
        let ahead = u64::try_from(NOW).expect("positive") + 400 * DAY;
        sidecar.set_number(key::ID, ahead);
        sidecar.set_number(key::VERIFIED, ahead);
        sidecar.set(key::SOURCE_ID, "db");
        let file =
            |name: &str| Listed { name: name.into(), size: 10, mtime: 0, sidecar: Some(sidecar.to_string()) };
        for (_, files) in &mut places {
            files.push(file("ahead.mysql.gz"));
        }
        let (ok, missing) = judged(&places);
        assert!(!ok && missing.len() == 2, "too old, and not verified for too long: {missing:?}");
        places.iter_mut().for_each(|(_, files)| *files = vec![file("ahead.mysql.gz")]);
        let (ok, missing) = judged(&places);
        assert!(!ok && missing.iter().any(|text| text.contains("dated in the future")), "{missing:?}");
    }

    #[test]
    fn no_backup_at_all() {
        assert_eq!(judged(&[]), (false, vec!["there is no backup".to_owned()]));
    }

    #[test]
    fn a_destination_that_does_not_answer_is_no_proof() {
        let places =
            [place("a", "here", 1, Some(1)), place("b", "there", 1, None), place("c", "far", 1, None)];
        let mut listing = Listing::from_places(&places);
        listing.unreachable.insert("d".into(), "no route to host".into());
        let status = status(&document(), &listing, none(), NOW);
        assert!(!status.ok && status.sources.iter().all(|source| source.ok));
        assert_eq!(status.unreachable, ["d: no route to host"]);
    }

    #[test]
    fn without_schedules_whatever_has_backups_is_looked_at() {
        let mut document = document();
        document.schedules.clear();
        document.policy = Policy::default();
        let status = status(&document, &Listing::from_places(&[place("a", "here", 100, None)]), none(), NOW);
        assert_eq!((status.ok, status.sources.len()), (true, 1), "no policy, nothing missing");
    }
}
