//! The last backup of each hour, day, week, month, year: what `restic forget --keep-…` keeps of the same times.
//!
//! Of `ApplyPolicy` in restic's internal/restic/snapshot_policy.go (0.14; the same in 0.18): from the newest on, a backup
//! stays as long as its period is another than that of the one kept before and the word has some left. Periods without a
//! backup do not count. Where a word has some left at the end, the oldest stays, so that it reaches back as far as it can.

use crate::config::{Count, KeepPeriods, duration};
use jiff::Zoned;

/// For each time, the newest first: by which words it stays (`daily 2026-11-23`); none: it goes.
pub(super) fn kept(times: impl ExactSizeIterator<Item = Zoned>, rule: &KeepPeriods) -> Vec<Vec<String>> {
    let mut left = rule.counts().map(|(word, Count(left))| (word, left, None::<String>));
    let (mut newest, all) = (None, times.len());
    let mut kept = Vec::with_capacity(all);
    for (place, time) in times.enumerate() {
        let mut reasons = Vec::new();
        let newest = *newest.get_or_insert_with(|| time.timestamp().as_second());
        if let Some(within) = rule.within.filter(|within| *within > 0) {
            let reach = newest.saturating_sub(i64::try_from(within).unwrap_or(i64::MAX));
            if time.timestamp().as_second() > reach {
                reasons.push(format!("within {} of the newest", duration::format(within)));
            }
        }
        for (word, left, before) in &mut left {
            let period = period(word, &time, place);
            if *left == 0 || (before.as_ref() == Some(&period) && place + 1 < all) {
                continue;
            }
            let oldest = if before.as_ref() == Some(&period) { ", the oldest" } else { "" };
            reasons.push(format!("{word} {period}{oldest}"));
            *before = Some(period);
            if Count(*left) != Count::ALL {
                *left -= 1;
            }
        }
        kept.push(reasons);
    }
    kept
}

/// The period that a time lies in, as it is shown.
fn period(word: &str, time: &Zoned, place: usize) -> String {
    match word {
        // A clock that is set back has the same hour twice; restic counts them as one.
        "hourly" => time.strftime("%Y-%m-%d %Hh").to_string(),
        "daily" => time.strftime("%Y-%m-%d").to_string(),
        "weekly" => time.strftime("%G-W%V").to_string(),
        "monthly" => time.strftime("%Y-%m").to_string(),
        "yearly" => time.strftime("%Y").to_string(),
        _ => format!("{}", place + 1),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::date;
    use crate::config::Keep;

    /// Dates of more than a year, whose days and weeks change with the clocks and with the year.
    #[test]
    fn what_restic_keeps_stays() {
        let text = include_str!("../../../../tests/fixtures/keep_periods.txt");
        let mut lines = text.lines().filter(|line| !line.starts_with('#'));
        let numbers =
            |text: &str| -> Vec<i64> { text.split(',').map(|n| n.parse().expect("a time")).collect() };
        let zone = date::zone(Some("Europe/Berlin"));
        let oldest_first = numbers(lines.next().expect("the times"));
        let times: Vec<Zoned> = oldest_first.iter().rev().map(|time| date::at(*time, &zone)).collect();
        let mut cases = 0;
        for line in lines {
            let (rule, expected) = line.split_once('|').expect("a rule and what stays");
            let Keep::Periods(rule) = serde_json::from_str(rule).expect("a rule") else { panic!("{line}") };
            let kept = kept(times.iter().cloned(), &rule);
            let of =
                |(time, why): (&Zoned, Vec<String>)| (!why.is_empty()).then(|| time.timestamp().as_second());
            let mut stay: Vec<i64> = times.iter().zip(kept).filter_map(of).collect();
            stay.reverse();
            assert_eq!(stay, numbers(expected), "{rule:?}");
            cases += 1;
        }
        assert!(cases >= 10, "{cases}");
    }

    #[test]
    fn each_says_why_it_stays() {
        let zone = date::zone(Some("Europe/Berlin"));
        // 2026-11-23 00:10, 2026-11-22 23:50 and 23:40 there; the middle of 2025.
        let times =
            [1_795_389_000, 1_795_387_800, 1_795_387_200, 1_750_000_000].map(|time| date::at(time, &zone));
        let rule =
            KeepPeriods { last: Count(1), daily: Count(7), weekly: Count(9), ..KeepPeriods::default() };
        assert_eq!(
            kept(times.iter().cloned(), &rule),
            [
                vec!["last 1", "daily 2026-11-23", "weekly 2026-W48"],
                vec!["daily 2026-11-22", "weekly 2026-W47"],
                vec![],
                vec!["daily 2025-06-15", "weekly 2025-W24"],
            ]
        );
        let within = KeepPeriods { within: Some(1_200), ..KeepPeriods::default() };
        let stays: Vec<bool> =
            kept(times.iter().cloned(), &within).iter().map(|why| !why.is_empty()).collect();
        assert_eq!(stays, [true, false, false, false], "20 minutes are not within 20 minutes");
        let two = KeepPeriods { yearly: Count(3), ..KeepPeriods::default() };
        assert_eq!(
            kept(times.iter().take(3).cloned(), &two),
            [vec!["yearly 2026"], vec![], vec!["yearly 2026, the oldest"]]
        );
    }
}
