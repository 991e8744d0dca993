//! Ends the evaluation of rules early where somebody waits who may give up: a preview, and never the filter.

use std::cell::RefCell;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

thread_local! {
    static STOP: RefCell<Option<Arc<AtomicBool>>> = const { RefCell::new(None) };
}

/// Whether the caller has given up.
#[derive(Clone, Debug, Default)]
pub struct Interrupt(Arc<AtomicBool>);

impl Interrupt {
    /// Gives up. Every rule that is evaluated under this interrupt fails soon.
    pub fn give_up(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// Whether [`give_up`](Self::give_up) was called.
    pub fn is_given_up(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    /// Runs on this thread. Once the caller has given up, the rules that it evaluates fail.
    pub fn guard<T>(&self, run: impl FnOnce() -> T) -> T {
        /// Forgets the interrupt even if `run` unwinds.
        struct Reset;
        impl Drop for Reset {
            fn drop(&mut self) {
                STOP.with(|stop| stop.take());
            }
        }
        STOP.with(|stop| stop.replace(Some(Arc::clone(&self.0))));
        let _reset = Reset;
        run()
    }
}

/// The interrupt of the work at hand. The filter has none.
pub(crate) fn current() -> Option<Arc<AtomicBool>> {
    STOP.with(|stop| stop.borrow().clone())
}

/// Whether the caller of the work at hand has given up.
pub(crate) fn is_given_up() -> bool {
    STOP.with(|stop| stop.borrow().as_ref().is_some_and(|stop| stop.load(Ordering::Relaxed)))
}
