//! Life of the plugin: root contexts, the workers that outlive them, and the end of both.

mod announced;
mod learned;
mod plugin;
mod redaction_report;
mod registry;
mod usage;
mod waiting;
mod worker;

pub use plugin::{Active, Ending, Plugin};
pub use registry::Registry;
pub use worker::{Phase, Worker};
