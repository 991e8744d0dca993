//! Waiting for something that takes its time.

use std::thread;
use std::time::{Duration, Instant};

use crate::{Error, Result};

/// How long [`eventually`] waits: far longer than any healthy machine needs, so that a slow one does not fail.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// Asks every 20 ms until `probe` has an answer, for at most [`PATIENCE`].
///
/// # Errors
/// [`Error::Timeout`], naming `what` was awaited; or the first error of the probe itself.
pub fn eventually<T>(what: &str, mut probe: impl FnMut() -> Result<Option<T>>) -> Result<T> {
    let start = Instant::now();
    loop {
        if let Some(found) = probe()? {
            return Ok(found);
        }
        if start.elapsed() > PATIENCE {
            return Err(Error::Timeout {
                what: what.to_owned(),
                seconds: PATIENCE.as_secs(),
                log: String::new(),
            });
        }
        thread::sleep(Duration::from_millis(20));
    }
}
