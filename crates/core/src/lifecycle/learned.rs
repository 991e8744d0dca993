//! The learned route patterns in force in one worker.

use std::cell::RefCell;
use std::rc::Rc;

use gatelens_routes::Patterns;

/// Patterns that requests read while the worker itself may be in use.
#[derive(Debug, Default)]
pub(super) struct LearnedRoutes(RefCell<Option<Rc<Patterns>>>);

impl LearnedRoutes {
    /// The patterns in force; `None` while nothing is learned.
    pub(super) fn get(&self) -> Option<Rc<Patterns>> {
        self.0.try_borrow().ok()?.clone()
    }

    /// Puts patterns in force.
    pub(super) fn set(&self, patterns: Patterns) {
        if let Ok(mut present) = self.0.try_borrow_mut() {
            *present = Some(Rc::new(patterns)).filter(|patterns| !patterns.is_empty());
        }
    }
}
