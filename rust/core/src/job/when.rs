//! When a schedule is to run by itself: so many seconds after its last run, or as a crontab expression says.

use crate::catalog::date;
use crate::config::{Schedule, Site};
use crate::{Code, Error, Result};
use croner::Cron;
use std::str::FromStr;

/// Cron jobs start a little earlier or later than a period after the last one: a run is due one part in so many of its
/// period early (`BACKUP_MIGRATE_SCHEDULE_BUFFER`, 1 %). Else a daily run would slip to every other day.
const SLACK: u64 = 100;

/// The next time (Unix, in seconds) at which the schedule is due; past or present: it is due now. `None`: it runs only
/// when it is asked for. A crontab expression that never ran waits for the first time from `now` on.
pub fn next_run(schedule: &Schedule, site: &Site, now: i64) -> Result<Option<i64>> {
    let last = schedule.last_run.map(|time| i64::try_from(time).unwrap_or(i64::MAX));
    match schedule.cron.as_deref() {
        _ if !schedule.enabled => Ok(None),
        Some("none") => Ok(None),
        Some(expression) => next_by_crontab(expression, site, last.unwrap_or(now)).map(Some),
        None if schedule.every == 0 => Ok(None),
        None => {
            let wait = schedule.every - schedule.every / SLACK;
            Ok(Some(last.map_or(now, |last| last.saturating_add_unsigned(wait))))
        }
    }
}

/// The first time after `after` that the expression names, in the site's time zone.
fn next_by_crontab(expression: &str, site: &Site, after: i64) -> Result<i64> {
    let wrong = |cause| {
        Error::new(Code::Config, format!("\"{}\" is no crontab expression", expression.escape_debug()))
            .because(cause)
            .hint("five fields: minute hour day month weekday, e.g. \"0 4 * * 6\" for Saturdays at four")
    };
    let after = date::at(after, &date::zone(site.timezone.as_deref()));
    let next = Cron::from_str(expression).and_then(|cron| cron.find_next_occurrence(&after, false));
    Ok(next.map_err(wrong)?.timestamp().as_second())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 2026-11-23 was a Monday.
    const MONDAY_NOON: i64 = 1_795_435_200;
    const DAY: i64 = 86_400;

    fn berlin() -> Site {
        Site { timezone: Some("Europe/Berlin".into()), ..Site::default() }
    }

    fn next(schedule: Schedule, now: i64) -> Option<i64> {
        next_run(&schedule, &berlin(), now).expect("a schedule")
    }

    #[test]
    fn a_period_is_due_one_part_in_a_hundred_early() {
        let weekly = |last_run| Schedule { every: 604_800, last_run, ..Schedule::default() };
        assert_eq!(next(weekly(None), 5_000), Some(5_000), "never run: now");
        assert_eq!(next(weekly(Some(1_000_000)), 0), Some(1_000_000 + 604_800 - 6_048));
    }

    #[test]
    fn a_crontab_expression_is_read_in_the_sites_time_zone() {
        let saturdays =
            |last_run| Schedule { cron: Some("0 4 * * 6".into()), last_run, ..Schedule::default() };
        let saturday = MONDAY_NOON + 5 * DAY - 9 * 3_600;
        assert_eq!(next(saturdays(None), MONDAY_NOON), Some(saturday), "04:00 in Berlin is 03:00 UTC");
        let last = u64::try_from(saturday - 7 * DAY).ok();
        assert_eq!(
            next(saturdays(last), saturday + 30),
            Some(saturday),
            "missed by half a minute: still due"
        );
    }

    #[test]
    fn what_runs_only_when_asked_is_never_due() {
        let none = Schedule { cron: Some("none".into()), every: 60, ..Schedule::default() };
        let disabled = Schedule { enabled: false, every: 60, ..Schedule::default() };
        assert_eq!([next(none, 0), next(disabled, 0), next(Schedule::default(), 0)], [None, None, None]);
    }

    #[test]
    fn nonsense_is_told() {
        let schedule = Schedule { cron: Some("61 4 * * *".into()), ..Schedule::default() };
        let error = next_run(&schedule, &berlin(), 0).expect_err("no minute 61");
        assert!(error.code() == Code::Config && error.message().contains("61 4 * * *"), "{error}");
    }
}
