//! Sessions of people that all replicas share. A session has the hash of its cookie as its name: the database holds no cookie.

use super::{ClickHouse, in_time};
use crate::store::StoreError;
use clickhouse::Row;
use data_encoding::HEXLOWER;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// Time for one exchange: people wait for it.
const TIMEOUT: Duration = Duration::from_secs(2);
/// Time between making a key and reading it, in which those that start at the same moment make theirs.
const KEY_PAUSE: Duration = Duration::from_millis(500);

/// What a replica knows of a session. Rows of one session are merged in any order.
#[derive(Debug, Clone, PartialEq, Eq, Row, Serialize)]
pub(crate) struct ToldSession {
    pub(crate) id: String,
    /// Empty where the session was only used, or ended.
    pub(crate) person: String,
    pub(crate) way: String,
    pub(crate) ended: u8,
}

/// A session, by the clock of the server.
#[derive(Debug, Clone, Row, Deserialize)]
pub(crate) struct SharedSession {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) proof: String,
    /// Milliseconds since it began.
    pub(crate) age: i64,
    /// Milliseconds since it was used.
    pub(crate) idle: i64,
    pub(crate) has_ended: u8,
}

/// Which sessions to read.
pub(crate) enum Wanted<'a> {
    /// Those of these names, which are hexadecimal.
    Named(&'a [String]),
    /// Those of which a replica told something within these seconds.
    Told(u32),
}

#[derive(Row, Serialize, Deserialize)]
struct Key {
    key: String,
}

impl ClickHouse {
    /// Tells the other replicas of sessions.
    ///
    /// # Errors
    /// When the server cannot be reached or refuses within 2 s.
    pub(crate) async fn put_sessions(&self, sessions: &[ToldSession]) -> Result<(), StoreError> {
        Ok(in_time(TIMEOUT, self.insert("sessions", sessions)).await?)
    }

    /// Sessions that any replica has told of.
    ///
    /// # Errors
    /// When the server cannot be reached or refuses within 2 s.
    pub(crate) async fn sessions(&self, wanted: Wanted<'_>) -> Result<Vec<SharedSession>, StoreError> {
        let wanted = match wanted {
            Wanted::Named(ids) => {
                let is_hash = |id: &&String| id.bytes().all(|byte| byte.is_ascii_hexdigit());
                let ids: Vec<_> = ids.iter().filter(is_hash).map(|id| format!("'{id}'")).collect();
                format!("id IN ({})", if ids.is_empty() { "''".to_owned() } else { ids.join(",") })
            }
            Wanted::Told(seconds) => format!(
                "id IN (SELECT id FROM sessions WHERE used_at >= now64(3) - INTERVAL {seconds} SECOND)"
            ),
        };
        let statement = format!(
            "SELECT id, max(person) AS name, max(way) AS proof,
                    toUnixTimestamp64Milli(now64(3)) - toUnixTimestamp64Milli(min(begun_at)) AS age,
                    toUnixTimestamp64Milli(now64(3)) - toUnixTimestamp64Milli(max(used_at)) AS idle,
                    max(ended) AS has_ended
             FROM sessions WHERE {wanted} GROUP BY id"
        );
        Ok(in_time(TIMEOUT, self.client.query_raw(&statement).fetch_all::<SharedSession>()).await?)
    }

    /// A secret of 32 bytes that all replicas know, for what they put into browsers; `None` when the system has no random numbers.
    ///
    /// # Errors
    /// When the server cannot be reached or refuses.
    pub(crate) async fn shared_key(
        &self,
        random: impl Fn() -> Option<[u8; 32]>,
    ) -> Result<Option<[u8; 32]>, StoreError> {
        for attempt in 0..2 {
            let asked = self.client.query_raw("SELECT key FROM sign_in_keys ORDER BY made_at, key LIMIT 1");
            let found = asked.fetch_optional::<Key>().await?;
            let found = found.and_then(|found| HEXLOWER.decode(found.key.as_bytes()).ok());
            if let Some(key) = found.and_then(|key| key.try_into().ok()) {
                return Ok(Some(key));
            }
            let Some(new) = random().filter(|_| attempt == 0) else { break };
            self.insert("sign_in_keys", &[Key { key: HEXLOWER.encode(&new) }]).await?;
            tokio::time::sleep(KEY_PAUSE).await;
        }
        Ok(None)
    }
}
