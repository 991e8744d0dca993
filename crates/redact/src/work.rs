//! Counts the steps of the work on hostile input, so that tests can bound work instead of time.
//!
//! A step is a byte, a node or a state that was looked at. Every loop whose length depends on the input adds to the
//! count. Outside of this crate's own tests the counter does not exist.

#[cfg(test)]
use std::cell::Cell;

#[cfg(test)]
thread_local! {
    static STEPS: Cell<u64> = const { Cell::new(0) };
}

/// Adds steps to the count of this thread.
#[inline(always)]
pub(crate) fn add(steps: usize) {
    #[cfg(test)]
    STEPS.with(|count| count.set(count.get().saturating_add(steps as u64)));
    #[cfg(not(test))]
    let _ = steps;
}

/// Steps that `run` takes, and its result.
#[cfg(test)]
pub(crate) fn of<T>(run: impl FnOnce() -> T) -> (u64, T) {
    let before = STEPS.with(Cell::get);
    let result = run();
    (STEPS.with(Cell::get).saturating_sub(before), result)
}
