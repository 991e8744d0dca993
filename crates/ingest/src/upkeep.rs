//! Work on the files of a store that an operator asks for: backups, senders to forget; and the limit of their size.

pub mod backup;
pub(crate) mod control;
pub mod copy;
pub(crate) mod disk;
pub mod forget;
pub mod scrub;
