//! Keeps the files within `--max-disk`: spans go first, then the oldest bodies, then the oldest requests of the log, and counts last.

use crate::clock;
use crate::store::reduce::Kind;
use crate::store::{DataDir, Refused, Writers};
use std::time::Duration;

/// Between two looks at the sizes.
const INTERVAL: Duration = Duration::from_secs(5);
/// Hundredths of the limit by which the files shrink below it, so that not every batch needs a step.
const SLACK: u64 = 5;

/// Looks at which readers may be in the way of moving the journals into the files. Then the journals count as data.
const PATIENCE: u32 = 12;

/// Keeps the files within the limit until it is dropped.
pub(crate) async fn keep_within(limit: Option<u64>, data: &DataDir, writers: &Writers) {
    let Some(limit) = limit else { return };
    let mut exceeded = false;
    let mut waited = 0;
    loop {
        match shrink(limit, data, writers, &mut waited).await {
            Ok(fits) => {
                if !fits && !exceeded {
                    tracing::error!(
                        limit,
                        bytes = data.live_bytes(),
                        "the data exceeds --max-disk, and there is nothing left to remove: raise the limit"
                    );
                }
                exceeded = !fits;
            }
            Err(Refused::Stopped) => return,
            Err(error) => tracing::warn!(%error, "the data exceeds --max-disk and could not be reduced"),
        }
        tokio::time::sleep(INTERVAL).await;
    }
}

/// Removes until the files fit, if they do not. False when there is nothing left to remove.
async fn shrink(limit: u64, data: &DataDir, writers: &Writers, waited: &mut u32) -> Result<bool, Refused> {
    if data.live_bytes() <= limit {
        return Ok(true);
    }
    // A journal is not more data; without it the files may fit.
    if !writers.checkpoint().await? && *waited < PATIENCE {
        *waited += 1;
        return Ok(true);
    }
    *waited = 0;
    // What is freed counts at once: a reader may keep a file from becoming smaller until it has gone.
    let mut excess = data.live_bytes().saturating_sub(limit);
    if excess == 0 {
        return Ok(true);
    }
    excess += limit / 100 * SLACK;
    for kind in Kind::ALL {
        let mut removed = 0;
        let mut until = i64::MIN;
        while excess > 0 {
            let Some(reduced) = writers.reduce(kind).await? else { break };
            removed += reduced.removed;
            until = until.max(reduced.until);
            excess = excess.saturating_sub(reduced.freed);
            data.removed(kind, reduced, clock::now());
        }
        if removed > 0 {
            let until = jiff::Timestamp::from_nanosecond(i128::from(until)).unwrap_or_default();
            tracing::warn!(kind = kind.name(), removed, %until, limit, "the oldest data was removed to stay within --max-disk");
        }
    }
    Ok(excess == 0)
}
