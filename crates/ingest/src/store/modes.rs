//! Who may read the files: the owner alone, because the data may name people and hold bodies.

use super::StoreError;
use std::fs::{DirBuilder, File, Permissions};
use std::io::ErrorKind;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;

const DIRECTORY: u32 = 0o700;
const FILE: u32 = 0o600;
/// Of a directory that many share, such as /tmp, which stays as it is.
const STICKY: u32 = 0o1000;
const OTHERS: u32 = 0o077;

/// Makes the directory of the store where there is none, and mends the modes of an existing one and of its files. A
/// directory of another owner keeps its mode, as a volume does that an orchestrator has prepared for a group.
pub(crate) fn prepare(dir: &Path) -> Result<(), StoreError> {
    let made = DirBuilder::new().recursive(true).mode(DIRECTORY).create(dir);
    made.map_err(|error| StoreError::file(dir, error))?;
    mend(dir, DIRECTORY);
    for entry in std::fs::read_dir(dir).into_iter().flatten().flatten() {
        let name = entry.file_name();
        if name.to_str().is_some_and(is_ours) {
            mend(&entry.path(), FILE);
        }
    }
    Ok(())
}

/// Creates an empty file that only its owner may read, where there is none. SQLite fills it, and gives the files beside it
/// the same mode.
pub(crate) fn create(path: &Path) -> Result<(), StoreError> {
    match File::options().write(true).create_new(true).mode(FILE).open(path) {
        Err(error) if error.kind() != ErrorKind::AlreadyExists => Err(StoreError::file(path, error)),
        _ => Ok(()),
    }
}

fn is_ours(name: &str) -> bool {
    name == super::schema::LOCK_FILE
        || name.starts_with(super::METRICS_FILE)
        || name.starts_with(crate::alerts::ALERTS_FILE)
        || name.starts_with(crate::issues::ISSUES_FILE)
        || name.starts_with(crate::spans::SPANS_FILE)
        || (name.starts_with("requests-") && name.contains(".db"))
}

/// Takes every right from group and others.
fn mend(path: &Path, mode: u32) {
    let Ok(metadata) = std::fs::symlink_metadata(path) else { return };
    let found = metadata.permissions().mode();
    if metadata.is_symlink() || found & OTHERS == 0 || found & STICKY != 0 {
        return;
    }
    match std::fs::set_permissions(path, Permissions::from_mode(mode)) {
        Ok(()) => tracing::info!(path = %path.display(), "others could read it: its mode is now {mode:o}"),
        // A mode without a right for everyone is a decision of the owner.
        Err(_) if found & 0o007 == 0 => {}
        Err(error) => {
            tracing::warn!(path = %path.display(), %error, "others can read it, and its mode cannot be changed");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mode(path: &Path) -> u32 {
        std::fs::metadata(path).unwrap().permissions().mode() & 0o7777
    }

    #[test]
    fn only_the_owner_reads_what_is_made_or_found() {
        let parent = tempfile::tempdir().unwrap();
        let dir = parent.path().join("data");
        prepare(&dir).unwrap();
        assert_eq!(mode(&dir), 0o700);
        let files =
            ["metrics.db", "metrics.db-wal", "requests-2026-01-01.db", "lock", "metrics.db.corrupt-1"];
        for name in files {
            create(&dir.join(name)).unwrap();
            assert_eq!(mode(&dir.join(name)), 0o600);
            std::fs::set_permissions(dir.join(name), Permissions::from_mode(0o644)).unwrap();
        }
        std::fs::write(dir.join("notes.txt"), "").unwrap();
        std::fs::set_permissions(dir.join("notes.txt"), Permissions::from_mode(0o644)).unwrap();
        std::fs::set_permissions(&dir, Permissions::from_mode(0o755)).unwrap();
        prepare(&dir).unwrap();
        assert_eq!(mode(&dir), 0o700);
        files.iter().for_each(|name| assert_eq!(mode(&dir.join(name)), 0o600, "{name}"));
        assert_eq!(mode(&dir.join("notes.txt")), 0o644, "a file of somebody else");
        std::fs::set_permissions(&dir, Permissions::from_mode(0o1777)).unwrap();
        prepare(&dir).unwrap();
        assert_eq!(mode(&dir), 0o1777, "a directory that many share");
    }
}
