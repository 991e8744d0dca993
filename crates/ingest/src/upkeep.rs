//! Work on the files of a store that an operator asks for: backups, and senders to forget.

pub mod backup;
pub(crate) mod control;
pub mod forget;
