//! `gatelens backup` and `gatelens restore`.

use gatelens_ingest::upkeep::backup::{self, Existing, Manifest};
use std::path::PathBuf;
use std::process::ExitCode;

/// Copies the data of a service, which may be at work meanwhile, to a new directory.
#[derive(clap::Args)]
pub(crate) struct BackupArguments {
    /// Directory with the data.
    #[arg(long, value_name = "DIR")]
    data: PathBuf,
    /// Directory for the backup, which must not exist.
    #[arg(value_name = "TARGET")]
    target: PathBuf,
}

/// Puts a backup back. No service may use the directory.
#[derive(clap::Args)]
pub(crate) struct RestoreArguments {
    /// Directory for the data; created if it does not exist.
    #[arg(long, value_name = "DIR")]
    data: PathBuf,
    /// Remove the data that the directory has.
    #[arg(long)]
    force: bool,
    /// Directory that `gatelens backup` made.
    #[arg(value_name = "BACKUP")]
    source: PathBuf,
}

/// Makes a backup. 0 when it is complete and verified, 1 otherwise.
pub(crate) fn back_up(arguments: &BackupArguments) -> ExitCode {
    let BackupArguments { data, target } = arguments;
    let progress = |name: &str| eprintln!("gatelens: copying {name}");
    match backup::backup(data, target, progress) {
        Ok(manifest) => {
            println!("{}: {}", target.display(), contents(&manifest));
            ExitCode::SUCCESS
        }
        Err(error) => fail(&error),
    }
}

/// Restores a backup. 0 when the data is as it was, 1 otherwise.
pub(crate) fn restore(arguments: &RestoreArguments) -> ExitCode {
    let RestoreArguments { data, force, source } = arguments;
    let existing = if *force { Existing::Replace } else { Existing::Keep };
    let progress = |name: &str| eprintln!("gatelens: restoring {name}");
    match backup::restore(source, data, existing, progress) {
        Ok(manifest) => {
            println!("{}: {}, as of {}", data.display(), contents(&manifest), manifest.made_at);
            ExitCode::SUCCESS
        }
        Err(error) => fail(&error),
    }
}

fn contents(manifest: &Manifest) -> String {
    let sum = |logged: bool| -> i64 {
        let files = manifest.files.values().filter(|sums| sums.rows.contains_key("chunks") == logged);
        files.map(|sums| sums.requests).sum()
    };
    format!("{} files, {} requests counted, {} logged", manifest.files.len(), sum(false), sum(true))
}

fn fail(error: &dyn std::error::Error) -> ExitCode {
    eprintln!("gatelens: {error}");
    ExitCode::FAILURE
}
