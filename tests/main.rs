//! gatelens.
fn main() {}
