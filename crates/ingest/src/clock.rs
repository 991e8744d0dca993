//! The wall clock, in the one unit that the store knows.

use std::time::{SystemTime, UNIX_EPOCH};

/// Unix nanoseconds; a clock before 1970 reads 0.
pub(crate) fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_nanos()).unwrap_or(i64::MAX)
}
