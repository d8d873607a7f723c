//! Which old backups go. Pure functions: whoever deletes asks here first, and `prune --dry-run` shows the same.
//!
//! Decided per destination, so that one that missed the newest backup keeps what it has. Only backups of the schedule
//! count or go; whoever asks hands in those of one site. What a wrong clock dated in the future neither counts nor goes.

use super::smart::smart;
use super::{Backup, BackupId, Copy, date, is_future, periods};
use crate::config::{Document, Keep, SmartKeep};
use jiff::tz::TimeZone;
use std::borrow::Borrow;
use std::collections::BTreeMap;
use std::sync::Arc;

/// What becomes of one backup at one destination, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision {
    /// Its number.
    pub id: BackupId,
    /// Its file name.
    pub file: Arc<str>,
    /// Whether it stays.
    pub keep: bool,
    /// Why, for people: a text that others may share.
    pub reason: Arc<str>,
}

/// Why a backup stays (`Ok`) or goes (`Err`).
type Reason = Result<Arc<str>, Arc<str>>;

/// Whose a backup is, as far as a rule asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Whose<'b> {
    Ours,
    Schedule(&'b str),
    None,
    Future,
}

impl Whose<'_> {
    /// Why it stays; of its own the rule decides later.
    fn told(self) -> Arc<str> {
        match self {
            Whose::Ours => "nothing was decided".into(),
            Whose::Schedule(schedule) => format!("made by schedule {schedule}").into(),
            Whose::None => "not made by a schedule".into(),
            Whose::Future => "dated in the future by a wrong clock".into(),
        }
    }
}

/// A backup of the schedule, and which decision is its.
struct Ours {
    decision: usize,
    time: i64,
    worth: Worth,
    verified: bool,
}

/// The rule of one schedule.
#[derive(Clone)]
pub struct Rule<'a> {
    /// Machine name of the schedule.
    pub schedule: &'a str,
    /// Which stay.
    pub keep: &'a Keep,
    /// What smart delete keeps.
    pub smart: &'a SmartKeep,
    /// In which days, weeks, months and years begin: the site's.
    pub zone: TimeZone,
    /// Whether a copy of a backup was found damaged.
    pub is_damaged: &'a dyn Fn(&Backup, &Copy) -> bool,
}

/// How much a copy can be counted on. One of a lower kind pushes none of a higher one out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Worth {
    /// Nothing is known to be amiss.
    Good,
    /// Something could not be backed up.
    Incomplete,
    /// Its bytes are not what was written.
    Damaged,
}

impl<'a> Rule<'a> {
    /// The rule of a schedule of the document.
    pub fn of(
        document: &'a Document,
        schedule: &'a str,
        keep: &'a Keep,
        is_damaged: &'a dyn Fn(&Backup, &Copy) -> bool,
    ) -> Rule<'a> {
        let zone = date::zone(document.site.timezone.as_deref());
        Rule { schedule, keep, smart: &document.smart_keep, zone, is_damaged }
    }

    /// Decides for all backups that have a copy at `destination`, at `now` (Unix time); the newest first.
    ///
    /// Never goes: what another schedule made, or is dated in the future; the newest good one; the newest verified one, unless a newer
    /// one that stays is verified, too: that it was written is no proof that it can be read. A backup that lacks something does not
    /// push out one that lacks nothing, and one that is damaged pushes nothing out.
    pub fn decide<B: Borrow<Backup>>(&self, backups: &[B], destination: &str, now: i64) -> Vec<Decision> {
        let mut there: Vec<(&Backup, &Copy)> = backups
            .iter()
            .map(B::borrow)
            .filter_map(|backup| Some((backup, backup.distinct_copy_at(destination)?)))
            .collect();
        there.sort_by(|(a, _), (b, _)| b.id.cmp(&a.id).then_with(|| a.file.cmp(&b.file)));
        let (mut decisions, mut ours) = (Vec::with_capacity(there.len()), Vec::new());
        let mut words = BTreeMap::new();
        for (backup, copy) in there {
            let whose = match backup.about.schedule.as_deref() {
                Some(schedule) if schedule != self.schedule => Whose::Schedule(schedule),
                None => Whose::None,
                // Neither may it push out real ones: its clock says nothing about which is newer.
                Some(_) if is_future(backup.time, now) => Whose::Future,
                Some(_) => Whose::Ours,
            };
            if whose == Whose::Ours {
                ours.push(Ours {
                    decision: decisions.len(),
                    time: backup.id.seconds(),
                    worth: self.worth(backup, copy),
                    verified: copy.verified.is_some(),
                });
            }
            let reason = words.entry(whose).or_insert_with(|| whose.told());
            let (file, reason) = (Arc::clone(&backup.file), Arc::clone(reason));
            decisions.push(Decision { id: backup.id, file, keep: true, reason });
        }
        // Each among those that are worth as much or more.
        for least in [Worth::Good, Worth::Incomplete, Worth::Damaged] {
            if !ours.iter().any(|one| one.worth == least) {
                continue;
            }
            let counted = || ours.iter().filter(|one| one.worth <= least);
            let times: Vec<i64> = counted().map(|one| one.time).collect();
            for (one, reason) in
                counted().zip(self.reasons(&times, now)).filter(|(one, _)| one.worth == least)
            {
                if let Some(decision) = decisions.get_mut(one.decision) {
                    decision.keep = reason.is_ok();
                    decision.reason = reason.unwrap_or_else(|reason| reason);
                }
            }
        }
        let mut has_verified = false;
        for one in ours {
            let Some(decision) = decisions.get_mut(one.decision) else { continue };
            let verified = one.verified && one.worth != Worth::Damaged;
            if !decision.keep && verified && !has_verified {
                (decision.keep, decision.reason) = (true, "the newest that is verified".into());
            } else if decision.keep && one.worth == Worth::Damaged {
                decision.reason = format!("{}; damaged: it counts for none", decision.reason).into();
            }
            has_verified |= verified && decision.keep;
        }
        decisions
    }

    fn worth(&self, backup: &Backup, copy: &Copy) -> Worth {
        match backup.incomplete {
            _ if (self.is_damaged)(backup, copy) => Worth::Damaged,
            true => Worth::Incomplete,
            false => Worth::Good,
        }
    }

    /// Whether the backup of this number would stay where it came to lie beside these others, which count.
    pub fn would_stay(&self, id: BackupId, mut others: impl Iterator<Item = BackupId>, now: i64) -> bool {
        match self.keep {
            Keep::All => true,
            Keep::Newest(keep) => (others.filter(|other| *other > id).count() as u64) < *keep,
            // Its steps begin at the oldest of each place: of the newest alone it is certain.
            Keep::Smart => !others.any(|other| other > id),
            Keep::Periods(_) => {
                let mut times: Vec<i64> = others.chain([id]).map(|id| id.seconds()).collect();
                times.sort_unstable_by(|a, b| b.cmp(a));
                let reasons = self.reasons(&times, now);
                times.iter().zip(reasons).any(|(time, reason)| *time == id.seconds() && reason.is_ok())
            }
        }
    }

    /// For each of the schedule's backups, the newest first: why it stays or goes.
    fn reasons(&self, times: &[i64], now: i64) -> Vec<Reason> {
        let same = |reason: Reason| vec![reason; times.len()];
        match self.keep {
            Keep::All => same(Ok("all are kept".into())),
            Keep::Newest(keep) => {
                let goes: Arc<str> = format!("only the newest {keep} stay").into();
                let reason = |place: u64| match place {
                    place if place <= *keep => Ok(format!("number {place} of {keep}").into()),
                    _ => Err(Arc::clone(&goes)),
                };
                (1..).take(times.len()).map(reason).collect()
            }
            Keep::Smart => {
                let oldest_first: Vec<i64> = times.iter().rev().copied().collect();
                let kept = smart(&oldest_first, self.smart, now);
                let newest = times.len().saturating_sub(1);
                let goes: Arc<str> = "smart delete keeps others of that time".into();
                let reason = |place: usize| match kept.get(&place) {
                    Some(period) => Ok(format!("smart delete keeps it: {period}").into()),
                    // Not so in B&M, which may delete the newest when it looks an hour after it was made.
                    None if place == newest => Ok("the newest".into()),
                    None => Err(Arc::clone(&goes)),
                };
                (0..times.len()).rev().map(reason).collect()
            }
            // `config check` refuses it; nothing goes by what nobody can mean.
            Keep::Periods(empty) if empty.is_empty() => same(Ok("keep: it names nothing".into())),
            Keep::Periods(rule) => {
                let times = times.iter().map(|time| date::at(*time, &self.zone));
                let goes: Arc<str> = format!("others stay by: {}", self.keep).into();
                let told = |why: Vec<String>| match why.is_empty() {
                    true => Err(Arc::clone(&goes)),
                    false => Ok(why.join(", ").into()),
                };
                periods::kept(times, rule).into_iter().map(told).collect()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::{Listing, Place, Sidecar, key};
    use crate::destination::Listed;

    const NOW: i64 = 1_000_000_000;

    /// A listing of backups at `m`: ID, schedule, whether verified.
    fn listing(backups: &[(u64, &str, bool)]) -> Vec<Backup> {
        let files = backups.iter().map(|(id, schedule, verified)| {
            let mut sidecar = Sidecar::new();
            sidecar.set_number(key::ID, *id);
            sidecar.set(key::SCHEDULE_ID, schedule);
            sidecar.set(key::SITE_NAME, "Lab");
            sidecar.set(key::SITE_URL, "https://lab.example.org/");
            if *verified {
                sidecar.set_number(key::VERIFIED, *id + 1);
            }
            Listed { name: format!("b{id}.tar.gz"), size: 1, mtime: 0, sidecar: Some(sidecar.to_string()) }
        });
        let place = Place {
            destination: "m".into(),
            host: "h".into(),
            folder: "/b".into(),
            local: true,
            repository: false,
            same_as: None,
        };
        Listing::from_places(&[(place, files.collect())]).backups
    }

    fn kept_of(backups: &[Backup], keep: i64) -> Vec<u64> {
        kept_without(backups, keep, &[])
    }

    /// The same where some are damaged.
    fn kept_without(backups: &[Backup], keep: i64, damaged: &[u64]) -> Vec<u64> {
        let keep = serde_json::from_value(keep.into()).expect("a rule");
        let is_damaged = |backup: &Backup, _: &Copy| damaged.contains(&backup.id.0);
        let document = Document::default();
        let rule = Rule::of(&document, "weekly", &keep, &is_damaged);
        let decisions = rule.decide(backups, "m", NOW);
        assert_eq!(decisions.len(), backups.len());
        assert!(decisions.iter().all(|decision| !decision.reason.is_empty()));
        decisions.iter().filter(|decision| decision.keep).map(|decision| decision.id.0).collect()
    }

    fn kept(backups: &[(u64, &str, bool)], keep: i64) -> Vec<u64> {
        kept_of(&listing(backups), keep)
    }

    #[test]
    fn a_number_keeps_the_newest_of_the_schedule() {
        let all = [
            (1, "weekly", false),
            (2, "daily", false),
            (3, "weekly", false),
            (4, "", false),
            (5, "weekly", false),
        ];
        assert_eq!(kept(&all, 1), [5, 4, 2]);
        assert_eq!(kept(&all, 2), [5, 4, 3, 2]);
        assert_eq!(kept(&all, 0), [5, 4, 3, 2, 1]);
    }

    #[test]
    fn the_newest_verified_never_goes() {
        let all = [(1, "weekly", true), (2, "weekly", true), (3, "weekly", false), (4, "weekly", false)];
        assert_eq!(kept(&all, 1), [4, 2]);
        let newest = [(1, "weekly", true), (2, "weekly", true)];
        assert_eq!(kept(&newest, 1), [2], "keep: 1 is one copy once the new one is verified");
    }

    #[test]
    fn one_that_lacks_something_pushes_no_complete_one_out() {
        let mut all = listing(&[
            (1, "weekly", false),
            (2, "weekly", false),
            (3, "weekly", false),
            (4, "weekly", false),
        ]);
        for backup in all.iter_mut().filter(|backup| backup.id.0 != 2) {
            backup.incomplete = backup.id.0 > 2;
        }
        assert_eq!(kept_of(&all, 1), [4, 2]);
        assert_eq!(kept_of(&all, 2), [4, 3, 2, 1]);
    }

    #[test]
    fn what_is_damaged_pushes_nothing_out() {
        let mut all = listing(&[
            (1, "weekly", false),
            (2, "weekly", true),
            (3, "weekly", false),
            (4, "weekly", true),
            (5, "weekly", false),
        ]);
        assert_eq!(kept_without(&all, 1, &[5, 4]), [5, 3, 2], "nor is it the newest verified");
        assert_eq!(kept_without(&all, 1, &[1]), [5, 4], "it goes like any other");
        assert_eq!(kept_without(&all, 2, &[5, 3]), [5, 4, 2]);
        assert_eq!(kept_without(&all, -2, &[5, 4, 3, 2]).last(), Some(&1), "the last good one");
        let (document, is_damaged) = (Document::default(), |backup: &Backup, _: &Copy| backup.id.0 == 5);
        let rule = Rule::of(&document, "weekly", &Keep::Newest(1), &is_damaged);
        let decisions = rule.decide(&all, "m", NOW);
        let reasons: Vec<_> = decisions.iter().map(|decision| &*decision.reason).collect();
        let gone = "only the newest 1 stay";
        assert_eq!(
            reasons,
            ["number 1 of 1; damaged: it counts for none", "number 1 of 1", gone, gone, gone]
        );
        for backup in all.iter_mut().filter(|backup| backup.id.0 == 4) {
            backup.incomplete = true;
        }
        assert_eq!(kept_without(&all, 1, &[5]), [5, 4, 3], "one that lacks something is still better");
    }

    #[test]
    fn a_wrong_clock_pushes_nothing_out() {
        let day = 86_400;
        let ahead = u64::try_from(NOW).expect("positive") + 10 * 365 * day;
        let of = |keep| {
            let all = [
                (1, "weekly", true),
                (2, "weekly", false),
                (3, "weekly", false),
                (ahead, "weekly", true),
                (ahead + day, "weekly", true),
            ];
            kept(&all, keep)
        };
        assert_eq!(of(2), [ahead + day, ahead, 3, 2, 1], "the newest verified of the real ones, too");
        assert_eq!(of(1), [ahead + day, ahead, 3, 1]);
        let skewed = u64::try_from(NOW).expect("positive") + 60;
        assert_eq!(
            kept(&[(1, "weekly", false), (skewed, "weekly", false)], 1),
            [skewed],
            "good clocks differ, too"
        );
    }

    #[test]
    fn a_rule_that_names_nothing_lets_nothing_go() {
        let (document, keep) = (Document::default(), Keep::Periods(crate::config::KeepPeriods::default()));
        let rule = Rule::of(&document, "weekly", &keep, &|_, _| false);
        let all = listing(&[(1, "weekly", false), (2, "weekly", false)]);
        assert!(rule.decide(&all, "m", NOW).iter().all(|decision| decision.keep));
    }

    #[test]
    fn other_destinations_are_not_touched() {
        let document = Document::default();
        let rule = Rule::of(&document, "weekly", &Keep::Newest(1), &|_, _| false);
        assert!(rule.decide(&listing(&[(1, "weekly", false)]), "elsewhere", NOW).is_empty());
    }

    /// Ages of the backups that stay, the oldest first.
    fn smart_ages(ages: &[i64], keep: &SmartKeep) -> Vec<i64> {
        let times: Vec<i64> = ages.iter().map(|age| NOW - age).collect();
        smart(&times, keep, NOW).into_keys().filter_map(|index| ages.get(index).copied()).collect()
    }

    #[test]
    fn smart_delete_keeps_what_backup_and_migrate_keeps() {
        let mut cases = 0;
        for line in include_str!("../../../../tests/fixtures/smart_delete.txt")
            .lines()
            .filter(|line| !line.starts_with('#'))
        {
            let columns: Vec<&str> = line.split('|').collect();
            let [name, keep, all, kept] = columns.as_slice() else { panic!("{line}") };
            let numbers = |text: &str| -> Vec<i64> {
                text.split(',').map(|number| number.parse().expect("a number")).collect()
            };
            let mut keep = keep.split(',').map(|number| number.parse::<u64>().ok());
            let mut next = || keep.next().flatten();
            let keep = SmartKeep {
                subhourly: next().expect("seconds"),
                hourly: next().expect("hours"),
                daily: next().expect("days"),
                weekly: next(),
            };
            assert_eq!(smart_ages(&numbers(all), &keep), numbers(kept), "{name}");
            cases += 1;
        }
        assert_eq!(cases, 9);
        let hours = |hourly| SmartKeep { subhourly: 0, hourly, daily: 0, weekly: None };
        for (hourly, ages) in [(1, vec![10_800, 7_200, 3_600]), (100, vec![20_000, 16_000, 9_600, 9_200])] {
            assert_eq!(smart_ages(&ages, &hours(hourly)), ages, "on a step, and in the middle on one");
        }
        assert_eq!(smart_ages(&[1, 0], &hours(0)), [1], "now is no step, nor is it the future");
        let hourly: Vec<i64> = (0..60 * 24).rev().map(|hour| 3600 * hour + 50).collect();
        assert_eq!(smart_ages(&hourly, &SmartKeep::default()).len(), 60, "B&M keeps 60 of these");
    }

    #[test]
    fn smart_delete_keeps_the_newest_even_where_backup_and_migrate_would_not() {
        let day = 86_400;
        let backups: Vec<(u64, &str, bool)> = [9 * day, 8 * day, 8 * day - 100, 7 * day + 5]
            .map(|age| (u64::try_from(NOW - age).expect("positive"), "weekly", false))
            .to_vec();
        let newest = backups.last().expect("four").0;
        assert!(kept(&backups, -2).contains(&newest));
        assert_eq!(kept(&backups, -2).len(), 3);
        assert_eq!(kept(&[], -2), [0; 0]);
    }

    #[test]
    fn one_would_stay_where_it_stays_once_it_is_there() {
        let document = Document::default();
        let rules = ["0", "1", "2", "-2", r#"{"daily": 2}"#, r#"{"last": 1, "weekly": 1}"#];
        for (keep, chosen) in rules.iter().flat_map(|keep| (0..32_u64).map(move |chosen| (keep, chosen))) {
            let keep = serde_json::from_str(keep).expect("a rule");
            let rule = Rule::of(&document, "weekly", &keep, &|_, _| false);
            let ids: Vec<u64> =
                (0..5).filter(|bit| (chosen >> bit) & 1 == 1).map(|bit| (1 + bit) * 50_000).collect();
            let all: Vec<_> = ids.iter().map(|id| (*id, "weekly", false)).collect();
            for decision in rule.decide(&listing(&all), "m", NOW) {
                let others = ids.iter().copied().map(BackupId).filter(|id| *id != decision.id);
                let stays = rule.would_stay(decision.id, others, NOW);
                match keep {
                    // Whether others stay is seen only when all are there.
                    Keep::Smart => assert!(!stays || decision.keep, "{ids:?} {decision:?}"),
                    _ => assert_eq!(stays, decision.keep, "{ids:?} {decision:?}"),
                }
            }
        }
        let rule = Rule::of(&document, "weekly", &Keep::Smart, &|_, _| false);
        assert!(rule.would_stay(BackupId(7), [BackupId(6)].into_iter(), NOW), "the newest");
    }

    #[test]
    fn no_times_make_it_slow_or_wrong() {
        let huge = SmartKeep { subhourly: u64::MAX, hourly: u64::MAX, daily: 0, weekly: Some(u64::MAX) };
        assert_eq!(smart_ages(&[NOW, NOW - 5, 10, -100], &huge), [NOW, NOW - 5, 10, -100]);
        assert_eq!(smart(&[0, i64::MAX - 5], &SmartKeep::default(), NOW).len(), 2);
    }
}
