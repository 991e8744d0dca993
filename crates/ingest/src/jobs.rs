//! Work that no request asks for.

use crate::http::State;
use crate::retention::Retention;
use crate::store::{DataDir, Refused, Writers};
use crate::upkeep::{control, disk, scrub};
use std::sync::Arc;
use std::time::Duration;

const PRUNE_INTERVAL: Duration = Duration::from_secs(3600);
/// How soon a changed file of tokens or people is in force.
const ACCESS_INTERVAL: Duration = Duration::from_secs(1);
/// How often the minutes that are over are judged, and how long batches come first while there are many.
const JUDGE_INTERVAL: Duration = Duration::from_secs(60);
const JUDGE_PAUSE: Duration = Duration::from_millis(50);
const PRUNE_RETRY: Duration = Duration::from_secs(60);

/// All of it that concerns the files.
pub(crate) async fn upkeep(writers: Arc<Writers>, data: Arc<DataDir>, retention: Retention) {
    let scrub_period = retention.scrub;
    tokio::join!(
        disk::keep_within(retention.max_disk, &data, &writers),
        prune(Arc::clone(&writers), retention),
        control::serve(&data, Arc::clone(&writers)),
        scrub::keep(scrub_period, &data, &writers),
        judge(Arc::clone(&writers)),
    );
}

/// Removes what is older than `retention` keeps it, at once and then every hour, until the writers stop.
async fn prune(writers: Arc<Writers>, retention: Retention) {
    loop {
        let wait = match writers.prune(&retention).await {
            Ok(()) => PRUNE_INTERVAL,
            Err(Refused::Stopped) => {
                tracing::error!(
                    "a writer of the store has stopped, so expired data is not removed: restart gatelens"
                );
                return;
            }
            Err(error) => {
                tracing::warn!(%error, "expired data could not be removed; trying again in a minute");
                PRUNE_RETRY
            }
        };
        tokio::time::sleep(wait).await;
    }
}

/// Judges the traffic of the minutes that are over, until the writers stop.
async fn judge(writers: Arc<Writers>) {
    loop {
        let wait = match writers.judge().await {
            Ok(true) => JUDGE_PAUSE,
            Ok(false) => JUDGE_INTERVAL,
            Err(Refused::Stopped) => return,
            Err(error) => {
                tracing::warn!(%error, "the uptime is not up to date; trying again in a minute");
                JUDGE_INTERVAL
            }
        };
        tokio::time::sleep(wait).await;
    }
}

/// Reads the files of tokens and people again as they change.
pub(crate) async fn watch_access(state: Arc<State>) {
    loop {
        tokio::time::sleep(ACCESS_INTERVAL).await;
        let state = Arc::clone(&state);
        if tokio::task::spawn_blocking(move || state.access().refresh()).await.is_err() {
            tracing::error!("reading the files of tokens and people again has failed: restart gatelens");
            return;
        }
    }
}
