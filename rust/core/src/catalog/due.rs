//! When schedules run. Pure functions; who runs them remembers the last run (Drupal in B&M's own variable).

use super::date;
use crate::Result;
use crate::config::{CRON_NONE, Schedule, parse_cron};
use jiff::tz::TimeZone;
use serde::Serialize;

/// Whether a schedule should run now, and when it does next.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Due {
    /// Whether it should run now.
    pub now: bool,
    /// Unix time of the next run by itself; `now`'s where it is due. None: it never runs by itself.
    pub next: Option<i64>,
}

/// When `schedule` runs, given its last run (Unix time; none: never) and the time zone for crontab expressions.
///
/// A period is B&M's: due once 99 % of it have passed, so that a cron run that comes a little early counts. A crontab
/// expression is due when a time that it names has come since the last run. What never ran is due at once. A last run
/// that lies more than a period in the future was told by a wrong clock, and counts as none.
pub fn due(schedule: &Schedule, last_run: Option<i64>, now: i64, zone: &TimeZone) -> Result<Due> {
    const NEVER: Due = Due { now: false, next: None };
    const NOW: fn(i64) -> Due = |now| Due { now: true, next: Some(now) };
    if !schedule.enabled {
        return Ok(NEVER);
    }
    let last_run = last_run.filter(|last| *last > 0);
    match schedule.cron.as_deref().map(str::trim).filter(|cron| !cron.is_empty()) {
        Some(CRON_NONE) => Ok(NEVER),
        Some(expression) => {
            let cron = parse_cron(expression)?;
            let day = 86_400;
            let Some(last) = last_run.filter(|last| *last <= now.saturating_add(day)) else {
                return Ok(NOW(now));
            };
            // An expression such as 30 February names no time at all.
            let next = cron.find_next_occurrence(&date::at(last.min(now), zone), false).ok();
            let next = next.map(|next| next.timestamp().as_second());
            Ok(match next {
                Some(next) if next <= now && last <= now => NOW(now),
                Some(next) => Due { now: false, next: Some(next) },
                None => NEVER,
            })
        }
        None if schedule.every == 0 => Ok(NEVER),
        None => {
            let every = i64::try_from(schedule.every).unwrap_or(i64::MAX);
            let Some(last) = last_run.filter(|last| *last <= now.saturating_add(every)) else {
                return Ok(NOW(now));
            };
            // 1 % less, rounded up: B&M compares with the fraction.
            let wait = every - every / 100;
            let next = last.saturating_add(wait);
            Ok(if next <= now { NOW(now) } else { Due { now: false, next: Some(next) } })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Code;

    const NOW: i64 = 1_795_391_457; // Sunday 2026-11-22 23:50:57 UTC

    fn every(seconds: u64) -> Schedule {
        Schedule { every: seconds, ..Schedule::default() }
    }

    fn cron(expression: &str) -> Schedule {
        Schedule { every: 60, cron: Some(expression.into()), ..Schedule::default() }
    }

    fn ask(schedule: &Schedule, last_run: Option<i64>) -> (bool, Option<i64>) {
        let due = due(schedule, last_run, NOW, &TimeZone::UTC).expect("a good schedule");
        (due.now, due.next)
    }

    #[test]
    fn a_period_has_one_percent_of_slack() {
        let weekly = every(604_800);
        assert_eq!(ask(&weekly, Some(NOW - 598_752)), (true, Some(NOW)));
        assert_eq!(ask(&weekly, Some(NOW - 598_751)), (false, Some(NOW + 1)));
        assert_eq!(ask(&weekly, Some(NOW)), (false, Some(NOW + 598_752)));
        // 0.99 of 30 seconds are 29.7: after 29 B&M still waits.
        assert!(!ask(&every(30), Some(NOW - 29)).0);
        assert!(ask(&every(150), Some(NOW - 149)).0);
        assert!(!ask(&every(150), Some(NOW - 148)).0);
    }

    #[test]
    fn what_never_ran_is_due() {
        assert_eq!(ask(&every(604_800), None), (true, Some(NOW)));
        assert_eq!(ask(&every(604_800), Some(0)), (true, Some(NOW)), "B&M's variable before the first run");
        assert_eq!(ask(&cron("0 4 * * 6"), None), (true, Some(NOW)));
    }

    #[test]
    fn a_clock_that_was_wrong_does_not_stop_backups() {
        let daily = every(86_400);
        assert_eq!(ask(&daily, Some(NOW + 5)), (false, Some(NOW + 5 + 85_536)), "a little ahead");
        assert_eq!(ask(&daily, Some(NOW + 40 * 86_400)), (true, Some(NOW)));
        assert_eq!(ask(&cron("@daily"), Some(NOW + 5)), (false, Some(NOW + 543)));
        assert_eq!(ask(&cron("@daily"), Some(NOW + 40 * 86_400)), (true, Some(NOW)));
    }

    #[test]
    fn crontab_expressions_run_when_their_time_has_come() {
        let saturday = cron("0 4 * * 6");
        let last = 1_795_233_600; // Saturday 2026-11-21 04:00 UTC
        assert_eq!(ask(&saturday, Some(last)), (false, Some(last + 604_800)));
        assert_eq!(ask(&saturday, Some(last - 1)), (true, Some(NOW)));
        assert_eq!(ask(&cron("*/15 * * * *"), Some(NOW - 60)), (false, Some(NOW + 543)));
        assert_eq!(ask(&cron("*/15 * * * *"), Some(NOW - 1000)), (true, Some(NOW)));
        assert_eq!(ask(&cron("0 0 30 2 *"), Some(NOW - 1000)), (false, None), "never");
        let berlin = TimeZone::get("Europe/Berlin").expect("a zone");
        let due = due(&saturday, Some(last), NOW, &berlin).expect("a good schedule");
        assert_eq!(due.next, Some(last + 604_800 - 3600), "in the site's zone");
    }

    #[test]
    fn some_never_run_by_themselves() {
        let disabled = Schedule { enabled: false, ..every(60) };
        for schedule in [every(0), cron("none"), disabled] {
            assert_eq!(ask(&schedule, None), (false, None));
        }
        assert_eq!(ask(&cron(" "), Some(NOW - 60)), (true, Some(NOW)), "empty: the period counts");
    }

    #[test]
    fn nonsense_is_explained() {
        for expression in ["x", "* * *", "61 * * * *", "0 4 * * 6 2026 1", "@never"] {
            let error = due(&cron(expression), None, NOW, &TimeZone::UTC).expect_err(expression);
            assert_eq!(error.code(), Code::Config);
            assert!(error.to_string().contains("0 4 * * 6"), "{error}");
        }
    }
}
