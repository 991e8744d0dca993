//! Work on the files of a store that an operator asks for: backups, damage, senders to forget.

pub mod backup;
