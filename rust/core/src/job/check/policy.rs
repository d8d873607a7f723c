//! The policy: whether what is configured could ever meet it.

use super::{Finding, FindingState};
use crate::config::{Document, Schedule, duration, parse_cron};
use crate::job::places;
use std::collections::BTreeSet;

pub(super) fn look(document: &Document) -> Vec<Finding> {
    let mut findings = Vec::new();
    let notice = |text: String| Finding::new("policy", "", FindingState::Notice, text);
    for (name, schedule) in document.schedules.iter().filter(|(_, schedule)| schedule.enabled) {
        if let Some(wanted) = document.policy.copies
            && let Some(reached) = copies(document, schedule).filter(|reached| *reached < wanted)
        {
            let where_to =
                if document.policy.distinct_hosts { "on as many machines" } else { "in as many folders" };
            let text =
                format!("the policy wants {wanted} copies {where_to}, schedule {name} makes {reached}");
            let hint =
                "give it more destinations; else `bam replicate` or `bam export` have to make the others";
            findings.push(notice(text).hint(hint));
        }
        if let Some(limit) = document.policy.max_age
            && let Some(gap) = gap(schedule).filter(|gap| *gap > limit)
        {
            let text = format!(
                "the policy allows backups to be {} old, schedule {name} makes one every {}",
                duration::rough(limit),
                duration::rough(gap)
            );
            findings.push(notice(text).hint("let it run more often, or raise policy.max_age"));
        }
    }
    findings
}

/// The copies that a run of it makes and the policy counts; `None` where its destinations can't be told.
fn copies(document: &Document, schedule: &Schedule) -> Option<u32> {
    let all = places::open(document, &schedule.destinations).ok()?;
    let different: BTreeSet<(String, String)> = match document.policy.distinct_hosts {
        true => all.iter().map(|place| (place.host(), String::new())).collect(),
        false => all.iter().map(|place| (place.host(), place.folder())).collect(),
    };
    u32::try_from(different.len()).ok()
}

/// The seconds between two runs; `None` where it never runs by itself.
fn gap(schedule: &Schedule) -> Option<u64> {
    match schedule.cron.as_deref().map(str::trim).filter(|cron| !cron.is_empty()) {
        Some(cron) => {
            let cron = parse_cron(cron).ok()?;
            let first = cron.find_next_occurrence(&jiff::Zoned::now(), false).ok()?;
            let second = cron.find_next_occurrence(&first, false).ok()?;
            u64::try_from(second.timestamp().as_second() - first.timestamp().as_second()).ok()
        }
        None => Some(schedule.every).filter(|every| *every > 0),
    }
}
