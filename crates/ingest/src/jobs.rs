//! Work that no request asks for.

use crate::retention::Retention;
use crate::store::{Refused, Writers};
use std::sync::Arc;
use std::time::Duration;

const PRUNE_INTERVAL: Duration = Duration::from_secs(3600);
const PRUNE_RETRY: Duration = Duration::from_secs(60);

/// Removes what is older than `retention` keeps it, at once and then every hour, until the writers stop.
pub(crate) async fn prune(writers: Arc<Writers>, retention: Retention) {
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
