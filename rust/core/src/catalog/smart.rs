//! What Backup and Migrate's smart delete keeps of backups made at these times.

use crate::config::SmartKeep;
use std::collections::BTreeMap;

/// B&M's smart delete (`smart_delete_backups` in includes/schedules.inc, 7.x-3.9): which of the times, oldest first, are
/// kept, and for which period. In each period, backwards from now, the backup nearest to each full step is kept; the
/// steps of all periods start at the oldest backup, so that they fall together.
pub(super) fn smart(times: &[i64], smart: &SmartKeep, now: i64) -> BTreeMap<usize, &'static str> {
    let mut kept = BTreeMap::new();
    let Some(&oldest) = times.first() else { return kept };
    let periods = [
        ("the last hours", 1, Some(smart.subhourly)),
        ("one an hour", 3_600, Some(smart.hourly)),
        ("one a day", 86_400, Some(smart.daily)),
        ("one a week", 604_800, smart.weekly),
    ];
    for (name, step, keep) in periods {
        let mut time = oldest;
        let reach = keep.and_then(|keep| i64::try_from(keep).ok()?.checked_add(1)?.checked_mul(step));
        let start = reach.and_then(|reach| now.checked_sub(reach)).unwrap_or(i64::MIN);
        if time < start {
            time = time.saturating_add((start - time + step - 1) / step * step);
        }
        while let Some(nearest) = nearest(times, time) {
            kept.entry(nearest).or_insert(name);
            // On to the first step for which another backup is nearest.
            let (Some(this), Some(next)) = (times.get(nearest), times.get(nearest + 1)) else { break };
            let middle = this + (next - this + 1) / 2;
            let steps = ((middle - time + step - 1) / step).max(1);
            time = time.saturating_add(steps.saturating_mul(step));
            if time >= now {
                break;
            }
        }
    }
    kept.entry(0).or_insert("the oldest");
    // A clock was wrong; B&M would delete them.
    let future = times.partition_point(|time| *time <= now);
    for index in future..times.len() {
        kept.entry(index).or_insert("dated in the future");
    }
    kept
}

/// The backup nearest to `time`; of two equally near the later one; none where all are earlier.
fn nearest(times: &[i64], time: i64) -> Option<usize> {
    let after = times.partition_point(|known| *known < time);
    let next = times.get(after)?;
    let before = after.checked_sub(1).and_then(|index| Some((index, times.get(index)?)));
    Some(match before {
        Some((index, previous)) if time - previous < next - time => index,
        _ => after,
    })
}
