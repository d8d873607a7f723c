//! When a schedule is to run by itself: so many seconds after its last run, or as a crontab expression says.

use super::date;
use crate::config::{CRON_NONE, Schedule, Site, parse_cron};
use crate::{Code, Error, Result};

/// Cron jobs start a little earlier or later than a period after the last one: a run is due one part in so many of its
/// period early (`BACKUP_MIGRATE_SCHEDULE_BUFFER`, 1 %). Else a daily run would slip to every other day.
const SLACK: i64 = 100;

/// A crontab expression that never ran is due for so long after a time that it names: not at once, perhaps by day with
/// the site offline, but neither only when somebody looks at that very second.
const GRACE: i64 = 3_600;

/// The next time (Unix, in seconds) at which the schedule is due; past or present: it is due now. `None`: it runs only
/// when it is asked for.
///
/// A period that never ran is due at once. A last run further in the future than a period (a day with a crontab
/// expression) was told by a wrong clock, and counts as none: it must not stop backups until that time comes.
pub fn next_run(schedule: &Schedule, site: &Site, now: i64) -> Result<Option<i64>> {
    if !schedule.enabled {
        return Ok(None);
    }
    // 0 is what B&M's variable says before the first run.
    let last_run =
        schedule.last_run.filter(|last| *last > 0).map(|last| i64::try_from(last).unwrap_or(i64::MAX));
    let believed = |reach: i64| last_run.filter(|last| *last <= now.saturating_add(reach));
    match schedule.cron.as_deref().map(str::trim).filter(|cron| !cron.is_empty()) {
        Some(CRON_NONE) => Ok(None),
        Some(expression) => {
            let cron = parse_cron(expression)?;
            let after = believed(86_400).unwrap_or(now.saturating_sub(GRACE));
            let after = date::at(after, &date::zone(site.timezone.as_deref()));
            match cron.find_next_occurrence(&after, false) {
                Ok(next) => Ok(Some(next.timestamp().as_second())),
                // The 30th of February never comes.
                Err(_) => Err(Error::new(Code::Config, format!("no day is like `{expression}`"))
                    .hint("correct its cron: minute, hour, day of the month, month, day of the week")),
            }
        }
        None if schedule.every == 0 => Ok(None),
        None => {
            let every = i64::try_from(schedule.every).unwrap_or(i64::MAX);
            // B&M compares with the fraction: what is cut off here rounds the wait up.
            let wait = every - every / SLACK;
            Ok(Some(believed(every).map_or(now, |last| last.saturating_add(wait))))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Sunday 2026-11-22 23:50:57 UTC.
    const NOW: i64 = 1_795_391_457;
    /// Saturday 2026-11-21 04:00:00 UTC.
    const SATURDAY: i64 = 1_795_233_600;
    const WEEK: i64 = 604_800;

    fn at(schedule: Schedule, last_run: Option<i64>, timezone: &str) -> Option<i64> {
        let last_run = last_run.map(|last| u64::try_from(last).expect("positive"));
        let site = Site { timezone: Some(timezone.into()), ..Site::default() };
        next_run(&Schedule { last_run, ..schedule }, &site, NOW).expect("a good schedule")
    }

    fn every(seconds: u64, last_run: Option<i64>) -> Option<i64> {
        at(Schedule { every: seconds, ..Schedule::default() }, last_run, "UTC")
    }

    fn cron(expression: &str, last_run: Option<i64>) -> Option<i64> {
        at(Schedule { every: 60, cron: Some(expression.into()), ..Schedule::default() }, last_run, "UTC")
    }

    #[test]
    fn a_period_is_due_one_part_in_a_hundred_early() {
        assert_eq!(every(604_800, Some(NOW - WEEK)), Some(NOW - 6_048));
        // 0.99 of 30 seconds are 29.7, of 150 148.5: B&M, which sees whole seconds, waits 30 and 149.
        assert_eq!(every(30, Some(NOW)), Some(NOW + 30));
        assert_eq!(every(150, Some(NOW)), Some(NOW + 149));
        assert_eq!(every(604_800, None), Some(NOW), "never run: now");
        assert_eq!(every(604_800, Some(0)), Some(NOW), "B&M's variable before the first run");
    }

    #[test]
    fn a_crontab_expression_is_due_from_the_time_that_it_names() {
        assert_eq!(
            cron("0 4 * * 6", Some(SATURDAY)),
            Some(SATURDAY + WEEK),
            "not the minute of the last run again"
        );
        assert_eq!(cron("0 4 * * 6", Some(SATURDAY - 1)), Some(SATURDAY));
        assert_eq!(
            cron("0 4 * * sat", Some(SATURDAY - 3 * WEEK)),
            Some(SATURDAY - 2 * WEEK),
            "missed: still due"
        );
        let weekly = Schedule { cron: Some("0 4 * * 6".into()), ..Schedule::default() };
        assert_eq!(
            at(weekly, Some(SATURDAY), "Europe/Berlin"),
            Some(SATURDAY + WEEK - 3_600),
            "in the site's zone"
        );
        let never = Schedule { cron: Some("0 0 30 2 *".into()), enabled: true, ..Schedule::default() };
        assert_eq!(next_run(&never, &Site::default(), NOW).expect_err("never").code(), Code::Config);
    }

    #[test]
    fn a_crontab_expression_that_never_ran_waits_for_its_time() {
        assert_eq!(cron("0 4 * * 6", None), Some(SATURDAY + WEEK));
        let last_quarter = NOW - 57 - 5 * 60;
        assert_eq!(cron("45 23 * * *", None), Some(last_quarter), "six minutes ago: due");
        assert_eq!(cron("45 22 * * *", None), Some(last_quarter + 23 * 3_600), "an hour ago: tomorrow");
    }

    #[test]
    fn a_clock_that_was_wrong_does_not_stop_backups() {
        assert_eq!(every(86_400, Some(NOW + 5)), Some(NOW + 5 + 85_536), "a little ahead");
        assert_eq!(every(86_400, Some(NOW + 40 * 86_400)), Some(NOW));
        assert_eq!(cron("@daily", Some(NOW + 40 * 86_400)), cron("@daily", None));
    }

    #[test]
    fn a_last_run_is_believed_up_to_a_period_ahead() {
        let day = 86_400;
        assert_eq!(every(86_400, Some(NOW + day)), Some(NOW + day + 85_536));
        assert_eq!(every(86_400, Some(NOW + day + 1)), Some(NOW));
        let midnight = NOW + 9 * 60 + 3;
        assert_eq!(cron("@daily", Some(NOW + day)), Some(midnight + day), "a day, where there is no period");
        assert_eq!(cron("@daily", Some(NOW + day + 1)), Some(midnight));
    }

    #[test]
    fn what_runs_only_when_asked_is_never_due() {
        let disabled = Schedule { enabled: false, every: 60, ..Schedule::default() };
        assert_eq!([every(0, None), cron("none", None), at(disabled, None, "UTC")], [None, None, None]);
        assert_eq!(cron(" ", None), Some(NOW), "empty: the period counts");
    }

    #[test]
    fn nonsense_is_told() {
        for expression in ["x", "* * *", "61 4 * * *", "0 4 * * 6 2026 1", "@never"] {
            let schedule = Schedule { cron: Some(expression.into()), ..Schedule::default() };
            let error = next_run(&schedule, &Site::default(), NOW).expect_err(expression);
            assert!(error.code() == Code::Config && error.message().contains(expression), "{error}");
        }
    }
}
