//! gatelens.
